//! Mailboxes: those that keep mail for this device, what this device keeps for others, and what it owes by mail.

use super::Row;
use crate::protocol::{
    crypto::envelope::Tag,
    delivery::mailbox::{BoxSize, Kept},
    engine::record::Position,
    identity::bundle::{Address, BoxId},
    ids::{AccountId, ChatId, DeviceId, EventId, OpId, TransportKey},
    time::Millis,
    view::{Key, Table},
    wire::mailbox::{BlobId, Verdict},
};
use minicbor::{Decode, Encode};

// As one that is served

/// A node that keeps mail for this device, or is asked to.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct MailboxRow {
    /// Its key on the network.
    #[n(0)]
    pub node: TransportKey,
    /// Whose node it is.
    #[n(1)]
    pub account: AccountId,
    /// This device's box there.
    #[n(2)]
    pub id: BoxId,
    /// Where the node may be reached, best first.
    #[n(3)]
    pub addresses: Vec<Address>,
    /// What is shown to it, unless it is a contact's.
    #[n(4)]
    pub pass: Option<BoxId>,
    /// How far it is.
    #[n(5)]
    pub state: MailboxState,
    /// When it was added.
    #[n(6)]
    pub since: Millis,
    /// A guest's box at the mailbox of a link: the ticket's box there, and when it ends.
    #[n(7)]
    pub guest: Option<(BoxId, Millis)>,
}

/// How far it is with a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum MailboxState {
    /// Not answered yet.
    #[n(0)]
    Asked,
    /// It keeps the box.
    #[n(1)]
    Active,
    /// It does not, and said why.
    #[n(2)]
    Refused(#[n(0)] Verdict),
    /// It is left: what is in the box is read, and then it is closed.
    #[n(3)]
    Leaving,
}

impl Row for MailboxRow {
    const TABLE: Table = Table::Mailbox;
}

impl MailboxRow {
    /// The scope of those that were added.
    pub const SCOPE: &'static [u8] = b"own";
    /// The scope of guests' boxes.
    pub const GUESTS: &'static [u8] = b"guest";

    /// By node, of one that was added.
    pub fn key(node: TransportKey) -> Key {
        Key::named(Self::TABLE, Self::SCOPE, node)
    }

    /// By node, of a guest's box there.
    pub fn guest_key(node: TransportKey) -> Key {
        Key::named(Self::TABLE, Self::GUESTS, node)
    }

    /// Its own.
    pub fn own_key(&self) -> Key {
        if self.guest.is_some() { Self::guest_key(self.node) } else { Self::key(self.node) }
    }
}

/// What a device is owed that was not connected: it is left at its mailboxes, or told when it comes.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct OwedRow {
    /// Whom.
    #[n(0)]
    pub device: DeviceId,
    /// Positions whose records are durable here.
    #[n(1)]
    pub positions: Vec<Position>,
    /// Positions that cannot be opened.
    #[n(2)]
    pub lost: Vec<Position>,
    /// Conversations whose receipt is owed.
    #[n(3)]
    pub chats: Vec<ChatId>,
    /// Whether this device's newest bundle is owed.
    #[n(4)]
    pub bundle: bool,
    /// What of this was sealed, until it lies at enough mailboxes.
    #[n(5)]
    pub sealed: Vec<OwedWire>,
    /// Tags of envelopes for which no session is known.
    #[n(6)]
    pub unknown: Vec<Tag>,
    /// From when on this device's newest bundle is to be left for it outside sessions.
    #[n(7)]
    pub offer: Option<Millis>,
    /// That bundle, sealed under each intro, until it lies at enough mailboxes.
    #[cbor(n(8), default)]
    pub offers: Vec<OwedWire>,
}

/// Something owed, sealed.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct OwedWire {
    /// The envelope.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub wire: Vec<u8>,
    /// The mailboxes at which it is durable.
    #[n(1)]
    pub left: Vec<TransportKey>,
    /// When it was sealed.
    #[n(2)]
    pub since: Millis,
}

impl Row for OwedRow {
    const TABLE: Table = Table::Owed;
}

impl OwedRow {
    /// By device.
    pub fn key(device: DeviceId) -> Key {
        Key::named(Self::TABLE, b"", device)
    }

    /// Nothing owed.
    pub fn new(device: DeviceId) -> Self {
        Self {
            device,
            positions: vec![],
            lost: vec![],
            chats: vec![],
            bundle: false,
            sealed: vec![],
            unknown: vec![],
            offer: None,
            offers: vec![],
        }
    }

    /// Whether nothing is owed any more.
    pub fn is_empty(&self) -> bool {
        !self.is_unsealed() && self.sealed.is_empty() && self.offer.is_none() && self.offers.is_empty()
    }

    /// Whether nothing is owed before a later time.
    pub fn is_deferred(&self, now: Millis) -> bool {
        !self.is_unsealed()
            && self.sealed.is_empty()
            && self.offers.is_empty()
            && self.offer.is_some_and(|due| due > now)
    }

    /// Whether there is anything to seal in a session.
    pub fn is_unsealed(&self) -> bool {
        let told = [self.positions.len(), self.lost.len(), self.chats.len(), self.unknown.len()];
        self.bundle || told.iter().any(|count| *count > 0)
    }
}

/// A device that is told receipts on a connection: should this run end before that does, they are told again, by mail.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ToldRow {
    /// Which.
    #[n(0)]
    pub device: DeviceId,
    /// Where its control records came that it was told of lately; of events, what is here says it.
    #[n(1)]
    pub positions: Vec<Position>,
    /// Where records came that it was told were lost.
    #[n(2)]
    pub lost: Vec<Position>,
}

impl Row for ToldRow {
    const TABLE: Table = Table::Owed;
}

impl ToldRow {
    /// Their scope.
    pub const SCOPE: &'static [u8] = b"told lately";

    /// By device.
    pub fn key(device: DeviceId) -> Key {
        Key::named(Self::TABLE, Self::SCOPE, device)
    }

    /// Nothing told yet.
    pub fn new(device: DeviceId) -> Self {
        Self { device, positions: Vec::new(), lost: Vec::new() }
    }
}

// As a member of groups

/// Something of a group that is to be left at its mailboxes: a message, or an op.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct PostRow {
    /// What.
    #[n(0)]
    pub what: Posted,
    /// Of an op: the rotations whose secrets it is told under.
    #[n(1)]
    pub under: Vec<OpId>,
    /// Where it is durable.
    #[n(2)]
    pub left: Vec<(TransportKey, BoxId)>,
}

/// What a post is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Posted {
    /// An event of this device.
    #[n(0)]
    Event(#[n(0)] EventId),
    /// An op of this device, or one that ended a secret which this device made the next of.
    #[n(1)]
    Op(#[n(0)] OpId),
    /// The name of this account in the group, for those whom the event was not meant for in which it was said.
    #[n(2)]
    Name,
}

impl Row for PostRow {
    const TABLE: Table = Table::Post;
}

impl PostRow {
    /// The place of the name, before all else: it is left once, however many join.
    pub const NAME: u64 = 0;

    /// By group, in the order in which they were made; the name is at [`Self::NAME`].
    pub fn key(group: OpId, place: u64) -> Key {
        Key::at(Self::TABLE, group, place.to_be_bytes())
    }
}

/// How far a group's log at a mailbox was read.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct CursorRow(#[n(0)] pub u64);

impl Row for CursorRow {
    const TABLE: Table = Table::Mailbox;
}

impl CursorRow {
    /// By mailbox and log.
    pub fn key(node: TransportKey, id: BoxId) -> Key {
        Key::named(Self::TABLE, [b"read", &node.0[..]].concat(), id.0)
    }
}

// As one that serves

/// Whether this node is a mailbox, and how full it is.
#[derive(Debug, Clone, Default, Encode, Decode)]
#[cbor(map)]
pub struct ServingRow {
    /// Whether it takes boxes and mail.
    #[n(0)]
    pub on: bool,
    /// All that is kept.
    #[n(1)]
    pub kept: Kept,
    /// Boxes, those of guests not counted.
    #[n(2)]
    pub boxes: u64,
    /// Boxes of guests.
    #[n(3)]
    pub guests: u64,
    /// Logs of groups.
    #[n(4)]
    #[cbor(default)]
    pub logs: u64,
}

impl Row for ServingRow {
    const TABLE: Table = Table::Mailbox;
}

impl ServingRow {
    /// The one row.
    pub fn key() -> Key {
        Key::named(Self::TABLE, b"serving", b"serving")
    }
}

/// A link by which others may have boxes here.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct MailboxLinkRow {
    /// What its holders show.
    #[n(0)]
    pub pass: BoxId,
    /// When it ends.
    #[n(1)]
    pub expires: Millis,
}

impl Row for MailboxLinkRow {
    const TABLE: Table = Table::Mailbox;
}

impl MailboxLinkRow {
    /// The scope of all of them.
    pub const SCOPE: &'static [u8] = b"link";

    /// By what is shown.
    pub fn key(pass: BoxId) -> Key {
        Key::named(Self::TABLE, Self::SCOPE, pass.0)
    }
}

/// A box that is kept here.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct BoxRow {
    /// Which.
    #[n(0)]
    pub id: BoxId,
    /// Whose.
    #[n(1)]
    pub owner: TransportKey,
    /// By what right.
    #[n(2)]
    pub right: BoxRight,
    /// When it ends, or the memory of it.
    #[n(3)]
    pub until: Option<Millis>,
    /// What is in it.
    #[n(4)]
    pub kept: Kept,
    /// The last place that was given to anything in it.
    #[n(5)]
    pub last: u64,
    /// When its owner came last.
    #[n(6)]
    pub seen: Millis,
}

/// By what right a box is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum BoxRight {
    /// Its owner is a device of a contact.
    #[n(0)]
    Contact(#[n(0)] AccountId),
    /// Its owner had a link.
    #[n(1)]
    Link,
    /// Its owner answers a ticket whose box is here.
    #[n(2)]
    Guest,
    /// None any more: it was closed.
    #[n(3)]
    Closed,
    /// None is needed: it is a group's log, of whoever knows its id. The owner is who opened it.
    #[n(4)]
    Log,
}

impl Row for BoxRow {
    const TABLE: Table = Table::Box;
}

impl BoxRow {
    /// By id.
    pub fn key(id: BoxId) -> Key {
        Key::named(Self::TABLE, b"", id.0)
    }

    /// Whether it is one of a ticket or a guest, which hold little.
    pub fn is_small(&self) -> bool {
        self.until.is_some()
    }

    /// How much it may hold.
    pub fn size(&self) -> BoxSize {
        match self.right {
            BoxRight::Log => BoxSize::Log,
            _ if self.is_small() => BoxSize::Small,
            _ => BoxSize::Whole,
        }
    }

    /// Whether this peer may empty and close it: nobody may where it is a log.
    pub fn is_of(&self, peer: TransportKey) -> bool {
        self.owner == peer && self.right != BoxRight::Log
    }
}

/// That a box is of an owner.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct OwnedBoxRow(#[n(0)] pub BoxId);

impl Row for OwnedBoxRow {
    const TABLE: Table = Table::Box;
}

impl OwnedBoxRow {
    /// By owner and box.
    pub fn key(owner: TransportKey, id: BoxId) -> Key {
        Key::named(Self::TABLE, Self::scope(owner), id.0)
    }

    /// All of an owner.
    pub fn scope(owner: TransportKey) -> Vec<u8> {
        [b"of", &owner.0[..]].concat()
    }
}

/// That a log was opened by a device.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct OpenedLogRow(#[n(0)] pub BoxId);

impl Row for OpenedLogRow {
    const TABLE: Table = Table::Box;
}

impl OpenedLogRow {
    /// By opener and log.
    pub fn key(opener: TransportKey, id: BoxId) -> Key {
        Key::named(Self::TABLE, Self::scope(opener), id.0)
    }

    /// All of an opener.
    pub fn scope(opener: TransportKey) -> Vec<u8> {
        [b"log", &opener.0[..]].concat()
    }
}

/// What whoever names a box may read: a sealed bundle.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct PinnedRow(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

impl Row for PinnedRow {
    const TABLE: Table = Table::Box;
}

impl PinnedRow {
    /// By box.
    pub fn key(id: BoxId) -> Key {
        Key::named(Self::TABLE, b"pinned", id.0)
    }
}

/// What one sender has here, in all boxes of people or in all logs.
#[derive(Debug, Clone, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct SenderRow(#[n(0)] pub Kept);

impl Row for SenderRow {
    const TABLE: Table = Table::Box;
}

impl SenderRow {
    /// By sender and kind of box.
    pub fn key(sender: TransportKey, size: BoxSize) -> Key {
        match size {
            BoxSize::Whole | BoxSize::Small => Key::named(Self::TABLE, b"sender", sender),
            BoxSize::Log => Key::named(Self::TABLE, b"log-sender", sender),
        }
    }
}

/// One thing in a box.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct MailRow {
    /// What.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub blob: Vec<u8>,
    /// Who left it.
    #[n(1)]
    pub sender: TransportKey,
    /// When.
    #[n(2)]
    pub since: Millis,
}

impl Row for MailRow {
    const TABLE: Table = Table::Mail;
}

impl MailRow {
    /// By box and place.
    pub fn key(id: BoxId, place: u64) -> Key {
        Key::at(Self::TABLE, id.0, place.to_be_bytes())
    }
}

/// Where in a box a thing is: what is left twice is kept once.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct MailPlaceRow(#[n(0)] pub u64);

impl Row for MailPlaceRow {
    const TABLE: Table = Table::Mail;
}

impl MailPlaceRow {
    /// By box and name of the thing.
    pub fn key(id: BoxId, blob: BlobId) -> Key {
        Key::named(Self::TABLE, [b"place", &id.0[..]].concat(), blob.0)
    }
}

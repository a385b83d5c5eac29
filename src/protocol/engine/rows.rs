//! Every row the engine keeps: its type, its table, its key. Views read the same rows through the same functions.

use super::record::Position;
use crate::protocol::{
    crypto::{
        envelope::{HeaderKey, Sid, Tag},
        secret::Secret,
    },
    delivery::Numbers,
    group::{ChainId, ReceiverChain, Role, SenderChain},
    identity::{SignedList, bundle::BoxId, ticket::Inv},
    ids::{AccountId, ChatId, DeviceId, EventId, NoiseKey, OpId, TransportKey},
    time::Millis,
    view::{Direction, Key, Table, View, ViewError},
    wire,
};
use minicbor::{Decode, Encode, bytes::ByteVec};

/// A type that is kept as a row.
pub trait Row: Encode<()> + for<'b> Decode<'b, ()> {
    /// Where its rows are.
    const TABLE: Table;
}

/// The row under `key`, decoded.
pub fn read<R: Row>(view: &dyn View, key: &Key) -> Result<Option<R>, ViewError> {
    view.row(key)?.map(|bytes| parse(&bytes)).transpose()
}

/// A stored row's bytes, decoded; what does not decode was not written by us.
pub fn parse<R: Row>(bytes: &[u8]) -> Result<R, ViewError> {
    wire::decode(bytes, "row").map_err(|_| ViewError::Damaged(R::TABLE))
}

/// All rows of a scope, in the order of the store; meant for scopes that are small by nature.
pub fn all<R: Row>(view: &dyn View, scope: impl AsRef<[u8]>) -> Result<Vec<R>, ViewError> {
    view.scan(R::TABLE, scope.as_ref(), None, Direction::Forward, usize::MAX)?
        .iter()
        .map(|(_, bytes)| parse(bytes))
        .collect()
}

/// This device and its account. Its `Debug` shows no key.
#[derive(Clone, Encode, Decode)]
#[cbor(map)]
pub struct OwnRow {
    /// The account.
    #[n(0)]
    pub account: AccountId,
    /// This device.
    #[n(1)]
    pub device: DeviceId,
    /// Its key on the network.
    #[n(2)]
    pub transport: TransportKey,
    /// Its Noise key.
    #[n(3)]
    pub noise: NoiseKey,
    /// Its private keys, encoded `DeviceKeys`.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub keys: Vec<u8>,
    /// The signed certificate.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub cert: Vec<u8>,
    /// The signed device list.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub list: Vec<u8>,
    /// The newest signed bundle.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub bundle: Vec<u8>,
    /// Its number.
    #[n(8)]
    pub bundle_seq: u64,
    /// The display name.
    #[n(9)]
    pub name: String,
    /// When the account began here.
    #[n(10)]
    pub created: Millis,
    /// Addresses of the last run.
    #[n(11)]
    pub addresses: Vec<String>,
    /// Id of the present prekey and when it was made.
    #[cbor(n(12), with = "minicbor::bytes")]
    pub prekey: [u8; 8],
    /// When the present prekey was made.
    #[n(13)]
    pub prekey_made: Millis,
    /// When the display name was chosen; later with each name, whatever the clock does.
    #[n(14)]
    pub name_chosen: Millis,
}

impl std::fmt::Debug for OwnRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnRow").field("account", &self.account).field("device", &self.device).finish_non_exhaustive()
    }
}

impl Row for OwnRow {
    const TABLE: Table = Table::Own;
}

impl OwnRow {
    /// The one row.
    pub fn key() -> Key {
        Key::named(Self::TABLE, b"", b"self")
    }
}

/// Numbers that only grow.
#[derive(Debug, Clone, Default, Encode, Decode)]
#[cbor(map)]
pub struct CounterRow {
    /// The last cursor of the feed.
    #[n(0)]
    pub feed: u64,
    /// The last place in the outbox.
    #[n(1)]
    pub outbox: u64,
    /// Messages in the outbox now (control records are not counted).
    #[n(2)]
    pub waiting: u64,
}

impl Row for CounterRow {
    const TABLE: Table = Table::Counter;
}

impl CounterRow {
    /// The one row.
    pub fn key() -> Key {
        Key::named(Self::TABLE, b"", b"counters")
    }
}

/// The private half of a prekey.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct PrekeyRow {
    /// Encoded `PrekeySecret`.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub secret: Vec<u8>,
    /// When it was made.
    #[n(1)]
    pub made: Millis,
    /// The ticket it belongs to, if it is not a weekly one.
    #[n(2)]
    pub ticket: Option<BoxId>,
    /// Its id.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub id: [u8; 8],
}

impl Row for PrekeyRow {
    const TABLE: Table = Table::Prekey;
}

impl PrekeyRow {
    /// By prekey id.
    pub fn key(id: &[u8; 8]) -> Key {
        Key::named(Self::TABLE, b"", id)
    }
}

/// An invitation link of this account.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct TicketRow {
    /// Its secret.
    #[n(0)]
    pub inv: Inv,
    /// The link as it was given out.
    #[n(1)]
    pub link: String,
    /// Its end.
    #[n(2)]
    pub expires: Millis,
    /// Whether the first request is accepted by the node.
    #[n(3)]
    pub auto_accept: bool,
    /// The signed bundle whoever has the link may read; with a prekey of this ticket.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub bundle: Vec<u8>,
    /// That prekey.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub prekey: [u8; 8],
    /// Accounts whose requests wait.
    #[n(6)]
    pub pending: Vec<AccountId>,
    /// Whether it is open.
    #[n(7)]
    pub state: TicketState,
    /// When it was made.
    #[n(8)]
    pub made: Millis,
}

/// Whether a ticket can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum TicketState {
    /// It can.
    #[n(0)]
    Open,
    /// Somebody was accepted by it.
    #[n(1)]
    Used,
    /// Its maker closed it.
    #[n(2)]
    Revoked,
}

impl Row for TicketRow {
    const TABLE: Table = Table::Ticket;
}

impl TicketRow {
    /// By its box.
    pub fn key(ticket_box: BoxId) -> Key {
        Key::named(Self::TABLE, b"", ticket_box.0)
    }
}

/// Another account that this one knows.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ContactRow {
    /// Who.
    #[n(0)]
    pub account: AccountId,
    /// The local name, unique among contacts.
    #[n(1)]
    pub name: String,
    /// The name it gave itself.
    #[n(2)]
    pub own_name: Option<String>,
    /// Whether `name` was chosen by the owner; else it follows `own_name` at the first profile.
    #[n(3)]
    pub named: bool,
    /// How far it is with this contact.
    #[n(4)]
    pub state: ContactState,
    /// Nothing is taken from a blocked one.
    #[n(5)]
    pub blocked: bool,
    /// Whether the safety number was compared.
    #[n(6)]
    pub verified: bool,
    /// What went wrong with adding it.
    #[n(7)]
    pub problem: Option<ContactProblem>,
    /// The secret of the ticket that is being used, theirs (pending, requested) or ours (incoming).
    #[n(8)]
    pub ticket: Option<Inv>,
    /// When that ticket ends.
    #[n(9)]
    pub ticket_ends: Millis,
    /// Intro secrets for later starts, the one to try next last: one from each session that began under a link. Both sides
    /// keep several, since a side cannot know which starts the other has read.
    #[n(10)]
    pub intros: Vec<Secret>,
    /// Its devices by the newest list that was seen.
    #[n(11)]
    pub devices: Vec<DeviceId>,
    /// When this row began.
    #[n(12)]
    pub since: Millis,
    /// The network key of the device whose ticket is being used, until its bundle is known.
    #[n(13)]
    pub ticket_transport: Option<TransportKey>,
    /// When it chose the name it gave itself, by its own clock.
    #[n(14)]
    pub own_name_chosen: Millis,
}

/// How far it is with a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ContactState {
    /// Added by link; not reached yet.
    #[n(0)]
    Pending,
    /// Reached; it has not accepted.
    #[n(1)]
    Requested,
    /// It asks; the owner has not accepted.
    #[n(2)]
    Incoming,
    /// Both agreed.
    #[n(3)]
    Connected,
    /// Removed here; kept for the names in the history.
    #[n(4)]
    Removed,
    /// Only known as a member of a common group.
    #[n(5)]
    Stranger,
}

/// What went wrong with adding a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ContactProblem {
    /// Another used the link before.
    #[n(0)]
    LinkUsed,
    /// The link ended before its maker was reached.
    #[n(1)]
    LinkExpired,
}

impl Row for ContactRow {
    const TABLE: Table = Table::Contact;
}

impl ContactRow {
    /// By account.
    pub fn key(account: AccountId) -> Key {
        Key::named(Self::TABLE, b"", account)
    }
}

/// A device of another account.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct DeviceRow {
    /// Which.
    #[n(0)]
    pub device: DeviceId,
    /// Whose.
    #[n(1)]
    pub account: AccountId,
    /// Its key on the network.
    #[n(2)]
    pub transport: TransportKey,
    /// Its Noise key.
    #[n(3)]
    pub noise: NoiseKey,
    /// Its newest signed bundle.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub bundle: Vec<u8>,
    /// That bundle's number.
    #[n(5)]
    pub bundle_seq: u64,
    /// Addresses that worked or that its bundle names, best first.
    #[n(6)]
    pub addresses: Vec<String>,
    /// The session that is sent on.
    #[n(7)]
    pub sending: Option<Sid>,
    /// Every session that can still be read, oldest first.
    #[n(8)]
    pub sessions: Vec<Sid>,
    /// Groups in which it is a member's device now.
    #[n(9)]
    pub groups: Vec<OpId>,
}

impl Row for DeviceRow {
    const TABLE: Table = Table::Device;
}

impl DeviceRow {
    /// By device.
    pub fn key(device: DeviceId) -> Key {
        Key::named(Self::TABLE, b"", device)
    }
}

/// The newest device list of an account that was seen.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct ListRow(#[n(0)] pub SignedList);

impl Row for ListRow {
    const TABLE: Table = Table::List;
}

impl ListRow {
    /// By account.
    pub fn key(account: AccountId) -> Key {
        Key::named(Self::TABLE, b"", account)
    }
}

/// Which device has a network key.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct PeerRow {
    /// The device, once its bundle is known.
    #[n(0)]
    pub device: Option<DeviceId>,
    /// The account a ticket says it belongs to.
    #[n(1)]
    pub account: AccountId,
    /// The network key.
    #[n(2)]
    pub transport: TransportKey,
    /// Where the ticket says it is.
    #[n(3)]
    pub addresses: Vec<String>,
}

impl Row for PeerRow {
    const TABLE: Table = Table::Address;
}

impl PeerRow {
    /// By network key.
    pub fn key(transport: TransportKey) -> Key {
        Key::named(Self::TABLE, b"", transport)
    }
}

/// A session with a device.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct SessionRow {
    /// With which device.
    #[n(0)]
    pub device: DeviceId,
    /// Encoded `Session`.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub session: Vec<u8>,
    /// The tags it is found by.
    #[n(2)]
    pub tags: Vec<Tag>,
    /// How it came about.
    #[n(3)]
    pub origin: Origin,
    /// Prekey it was started with, if this side started it.
    #[n(4)]
    pub prekey: Option<ByteVec>,
    /// The first tag of the intro it began under.
    #[n(5)]
    pub intro_tag: Tag,
    /// Under which link of ours it began, if it did.
    #[n(6)]
    pub ticket: Option<Inv>,
}

/// How a session came about, and so what may be said in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Origin {
    /// By a link or between known contacts: everything.
    #[n(0)]
    Contact,
    /// Between members of a group: group records only, until a contact request is accepted.
    #[n(1)]
    Group,
}

impl Row for SessionRow {
    const TABLE: Table = Table::Session;
}

impl SessionRow {
    /// By session id.
    pub fn key(sid: Sid) -> Key {
        Key::named(Self::TABLE, b"", sid.0)
    }
}

/// A skipped message key.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct SkippedRow {
    /// The key.
    #[n(0)]
    pub key: Secret,
    /// When it was kept.
    #[n(1)]
    pub at: Millis,
}

impl Row for SkippedRow {
    const TABLE: Table = Table::Skipped;
}

impl SkippedRow {
    /// By session and position.
    pub fn key(sid: Sid, epoch: u32, index: u32) -> Key {
        let place = (u64::from(epoch) << 32) | u64::from(index);
        Key::at(Self::TABLE, sid.0, place.to_be_bytes())
    }
}

/// The first message of a start that was accepted: a second coming starts nothing.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct SeenRow {
    /// The session it began.
    #[n(0)]
    pub sid: Sid,
    /// The prekey it was made with; the row goes when the prekey does.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub prekey: [u8; 8],
    /// Its own name.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub start: [u8; 32],
    /// Who made it.
    #[n(3)]
    pub account: AccountId,
}

impl Row for SeenRow {
    const TABLE: Table = Table::Seen;
}

impl SeenRow {
    /// By prekey and the hash of the start's ephemeral key.
    pub fn key(prekey: &[u8; 8], start: &[u8; 32]) -> Key {
        Key::named(Self::TABLE, prekey, start)
    }
}

/// What an envelope's tag leads to.
#[derive(Debug, Clone, Default, Encode, Decode)]
#[cbor(map)]
pub struct TagRow {
    /// The header key.
    #[n(0)]
    pub key: Option<HeaderKey>,
    /// The open intro, if the tag is of one.
    #[n(1)]
    pub intro: Option<Intro>,
    /// The sessions whose envelopes may come under it.
    #[n(2)]
    pub sessions: Vec<Sid>,
    /// The intro secret, while the intro is open.
    #[n(3)]
    pub secret: Option<Secret>,
}

/// Whom an intro secret lets in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Intro {
    /// Whoever saw this link of ours.
    #[n(0)]
    Ticket(#[n(0)] BoxId),
    /// A known contact.
    #[n(1)]
    Again(#[n(0)] AccountId),
    /// Members of this group.
    #[n(2)]
    Group(#[n(0)] OpId),
    /// Nobody any more: the link was used or closed, and whoever tries is told so.
    #[n(3)]
    Closed,
}

impl Row for TagRow {
    const TABLE: Table = Table::Tag;
}

impl TagRow {
    /// By tag.
    pub fn key(tag: Tag) -> Key {
        Key::named(Self::TABLE, b"", tag.0)
    }
}

/// Something a device has not confirmed yet.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct OutboxRow {
    /// What.
    #[n(0)]
    pub what: Parcel,
    /// When it was put here.
    #[n(1)]
    pub since: Millis,
    /// Its envelope, while it is bound to a position of a session.
    #[n(2)]
    pub sealed: Option<SealedAt>,
}

/// What an outbox entry holds.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(flat)]
pub enum Parcel {
    /// An event of a 1-on-1 chat, by id.
    #[n(0)]
    Event(#[n(0)] ChatId, #[n(1)] EventId),
    /// A control record, whole, and the id it is confirmed by.
    #[n(1)]
    Control(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16], #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>),
}

/// Where and how an outbox entry was sealed.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct SealedAt {
    /// The session.
    #[n(0)]
    pub at: Position,
    /// The envelope.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub wire: Vec<u8>,
    /// When it was sealed.
    #[n(2)]
    pub sealed: Millis,
}

impl Row for OutboxRow {
    const TABLE: Table = Table::Outbox;
}

impl OutboxRow {
    /// By device and place.
    pub fn key(device: DeviceId, place: u64) -> Key {
        Key::at(Self::TABLE, device, place.to_be_bytes())
    }
}

/// Where in the outbox of a device a control record is.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct ControlRow(#[n(0)] pub u64);

impl Row for ControlRow {
    const TABLE: Table = Table::Control;
}

impl ControlRow {
    /// By device and control id.
    pub fn key(device: DeviceId, id: &[u8; 16]) -> Key {
        Key::named(Self::TABLE, device, id)
    }
}

/// A conversation.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ChatRow {
    /// Which.
    #[n(0)]
    pub chat: ChatId,
    /// With whom.
    #[n(1)]
    pub kind: ChatKind,
    /// How many events this device wrote here.
    #[n(2)]
    pub written: u64,
    /// The last of those.
    #[n(3)]
    pub previous: Option<EventId>,
    /// Events that no other event follows yet, encoded `Heads`.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub heads: Vec<u8>,
    /// Messages from others that were not read here.
    #[n(5)]
    pub unread: u64,
    /// The place of the last message, if there is one.
    #[n(6)]
    pub last: Option<ByteVec>,
    /// Everything up to this place was read here.
    #[n(7)]
    pub read: Option<ByteVec>,
    /// When it began.
    #[n(8)]
    pub since: Millis,
}

/// With whom a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum ChatKind {
    /// Another account.
    #[n(0)]
    Direct(#[n(0)] AccountId),
    /// A group.
    #[n(1)]
    Group(#[n(0)] OpId),
    /// Oneself.
    #[n(2)]
    Own,
}

impl Row for ChatRow {
    const TABLE: Table = Table::Chat;
}

impl ChatRow {
    /// By chat.
    pub fn key(chat: ChatId) -> Key {
        Key::named(Self::TABLE, b"", chat)
    }
}

/// An event that is in a conversation.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct EventRow {
    /// Where.
    #[n(0)]
    pub chat: ChatId,
    /// Which.
    #[n(1)]
    pub id: EventId,
    /// Who wrote it.
    #[n(2)]
    pub author: AccountId,
    /// On which device.
    #[n(3)]
    pub device: DeviceId,
    /// Its number among that device's events here.
    #[n(4)]
    pub no: u64,
    /// The signed clock.
    #[n(5)]
    pub clock: Millis,
    /// When it came here.
    #[n(6)]
    pub arrived: Millis,
    /// The events it follows.
    #[n(7)]
    pub deps: Vec<EventId>,
    /// Its place in the order.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub place: Vec<u8>,
    /// Encoded `Content`.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub content: Vec<u8>,
    /// Whether it was read here when it came (own ones are).
    #[n(10)]
    pub own: bool,
    /// Places in the outboxes it waits in.
    #[n(11)]
    pub outbox: Vec<(DeviceId, u64)>,
    /// The key that opens the original bytes of a group event.
    #[n(12)]
    pub key: Option<Secret>,
}

impl Row for EventRow {
    const TABLE: Table = Table::Event;
}

impl EventRow {
    /// By id.
    pub fn key(id: EventId) -> Key {
        Key::named(Self::TABLE, b"", id)
    }

    /// The time people see: what the author's clock said, but never later than the arrival.
    pub fn shown_at(&self) -> Millis {
        self.clock.min(self.arrived)
    }
}

/// The original bytes of a group event, to pass on.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct RawRow(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

impl Row for RawRow {
    const TABLE: Table = Table::Held;
}

impl RawRow {
    /// By id.
    pub fn key(id: EventId) -> Key {
        Key::named(Self::TABLE, b"raw", id)
    }
}

/// One line of a conversation, in its order: the place is the key.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct TimelineRow(#[n(0)] pub EventId);

impl Row for TimelineRow {
    const TABLE: Table = Table::Timeline;
}

impl TimelineRow {
    /// By chat and place.
    pub fn key(chat: ChatId, place: &[u8]) -> Key {
        Key::at(Self::TABLE, chat, place)
    }
}

/// That an event follows another (which may not be here).
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct FollowerRow(#[n(0)] pub EventId);

impl Row for FollowerRow {
    const TABLE: Table = Table::Waiting;
}

impl FollowerRow {
    /// By the followed and the following.
    pub fn key(followed: EventId, following: EventId) -> Key {
        Key::named(Self::TABLE, followed, following)
    }
}

/// The event a device wrote under a number.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct AuthorRow(#[n(0)] pub EventId);

impl Row for AuthorRow {
    const TABLE: Table = Table::Author;
}

impl AuthorRow {
    /// By chat, device and number.
    pub fn key(chat: ChatId, device: DeviceId, no: u64) -> Key {
        Key::at(Self::TABLE, Self::scope(chat, device), no.to_be_bytes())
    }

    /// All of a device in a chat.
    pub fn scope(chat: ChatId, device: DeviceId) -> Vec<u8> {
        [chat.0, device.0].concat()
    }
}

/// What a device holds of mine, or I of a device's, in one conversation.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ReceiptRow {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// Its account.
    #[n(1)]
    pub account: AccountId,
    /// Durable there (for [`Side::Theirs`]) or here: encoded `Vector`.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub held: Vec<u8>,
    /// The highest number that was read.
    #[n(3)]
    pub read: u64,
}

/// Whose knowledge a receipt row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What another's device confirmed of this device's events.
    Theirs,
    /// What is here of another device's events.
    Ours,
}

impl Row for ReceiptRow {
    const TABLE: Table = Table::Receipt;
}

impl ReceiptRow {
    /// The numbers, parsed.
    pub fn numbers(&self) -> Result<Numbers, ViewError> {
        wire::decode(&self.held, "numbers").map_err(|_| ViewError::Damaged(Self::TABLE))
    }

    /// By chat, side and device.
    pub fn key(chat: ChatId, side: Side, device: DeviceId) -> Key {
        Key::named(Self::TABLE, Self::scope(chat, side), device)
    }

    /// All of one side in a chat.
    pub fn scope(chat: ChatId, side: Side) -> Vec<u8> {
        [
            &chat.0[..],
            &[match side {
                Side::Theirs => 0,
                Side::Ours => 1,
            }],
        ]
        .concat()
    }
}

/// A group, as this account stands in it.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct GroupRow {
    /// Its id: that of its Create op.
    #[n(0)]
    pub group: OpId,
    /// The name as last known.
    #[n(1)]
    pub name: String,
    /// The own place in it.
    #[n(2)]
    pub state: GroupState,
    /// Who invited.
    #[n(3)]
    pub inviter: Option<AccountId>,
    /// How many ops are kept.
    #[n(4)]
    pub ops: u64,
    /// When it came here.
    #[n(6)]
    pub since: Millis,
    /// How many events are held without their keys.
    #[n(8)]
    pub held: u64,
    /// Whom this device invited and has not added yet.
    #[n(9)]
    pub invited: Vec<AccountId>,
}

/// The own place in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum GroupState {
    /// Invited; not answered.
    #[n(0)]
    Invited,
    /// Accepted; the inviter has not added us yet.
    #[n(1)]
    Joining,
    /// A member.
    #[n(2)]
    Joined,
    /// Left by oneself.
    #[n(3)]
    Left,
    /// Removed by another.
    #[n(4)]
    Removed,
    /// The invitation was declined.
    #[n(5)]
    Declined,
}

impl Row for GroupRow {
    const TABLE: Table = Table::Group;
}

impl GroupRow {
    /// By group.
    pub fn key(group: OpId) -> Key {
        Key::named(Self::TABLE, b"", group)
    }
}

/// A membership op, in the order of arrival.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct OpRow {
    /// The signed bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// When it came here.
    #[n(1)]
    pub arrived: Millis,
}

impl Row for OpRow {
    const TABLE: Table = Table::Op;
}

impl OpRow {
    /// By group and place.
    pub fn key(group: OpId, place: u64) -> Key {
        Key::at(Self::TABLE, group, place.to_be_bytes())
    }
}

/// A gossip secret of a group.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct GossipSecretRow {
    /// The op that made it.
    #[n(0)]
    pub op: OpId,
    /// The secret.
    #[n(1)]
    pub secret: Secret,
    /// When it came here.
    #[n(2)]
    pub arrived: Millis,
}

impl Row for GossipSecretRow {
    const TABLE: Table = Table::GroupSecret;
}

impl GossipSecretRow {
    /// By group and op.
    pub fn key(group: OpId, op: OpId) -> Key {
        Key::named(Self::TABLE, group, op)
    }
}

/// The own sender chain of a group.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct OwnChainRow {
    /// The chain.
    #[n(0)]
    pub chain: SenderChain,
    /// The devices it was given to.
    #[n(1)]
    pub given: Vec<DeviceId>,
}

impl Row for OwnChainRow {
    const TABLE: Table = Table::Chain;
}

impl OwnChainRow {
    /// By group.
    pub fn key(group: OpId) -> Key {
        Key::named(Self::TABLE, group, b"own")
    }
}

/// Another device's sender chain.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ChainRow {
    /// The chain.
    #[n(0)]
    pub chain: ReceiverChain,
    /// When it came here.
    #[n(1)]
    pub arrived: Millis,
}

impl Row for ChainRow {
    const TABLE: Table = Table::Chain;
}

impl ChainRow {
    /// By group, device and chain.
    pub fn key(group: OpId, device: DeviceId, chain: ChainId) -> Key {
        Key::named(Self::TABLE, Self::scope(group, device), chain.0)
    }

    /// All of a device in a group.
    pub fn scope(group: OpId, device: DeviceId) -> Vec<u8> {
        [&group.0[..], b"in", &device.0].concat()
    }

    /// The scope of its skipped keys.
    pub fn skipped_scope(device: DeviceId, chain: ChainId) -> Vec<u8> {
        [&device.0[..], &chain.0].concat()
    }
}

/// What a group event waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(flat)]
pub enum Waits {
    /// Ops that it names, or its author's bundle.
    #[n(0)]
    Heads,
    /// This chain of this device, or the event's own key.
    #[n(1)]
    Chain(#[n(0)] DeviceId, #[n(1)] ChainId),
    /// An event of a member that follows it: its author's device is no member's now.
    #[n(2)]
    Follower,
}

/// A group event that cannot be placed yet.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct HeldRow {
    /// Its id.
    #[n(0)]
    pub id: EventId,
    /// Its bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// When it came.
    #[n(2)]
    pub since: Millis,
    /// What it waits for.
    #[n(3)]
    pub waits: Waits,
}

impl Row for HeldRow {
    const TABLE: Table = Table::Held;
}

impl HeldRow {
    /// By group and event.
    pub fn key(group: OpId, id: EventId) -> Key {
        Key::named(Self::TABLE, group, id)
    }
}

/// A member of a group, as the ops say now; a copy for views.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MemberRow {
    /// Who.
    #[n(0)]
    pub account: AccountId,
    /// Its role; the last one for a former member.
    #[n(1)]
    pub role: Role,
    /// The name it gave itself in this group.
    #[n(2)]
    pub name: Option<String>,
    /// Whether it is a member now (rows of former ones stay for the names in the history).
    #[n(3)]
    pub current: bool,
    /// Its devices now.
    #[n(4)]
    pub devices: Vec<DeviceId>,
    /// The number of its event that said the name; 0 where none did.
    #[n(5)]
    pub named_by: u64,
}

impl Row for MemberRow {
    const TABLE: Table = Table::Bundle;
}

impl MemberRow {
    /// By group and account.
    pub fn key(group: OpId, account: AccountId) -> Key {
        Key::named(Self::TABLE, group, account)
    }
}

/// The entries of the feed are rows too.
impl Row for super::feed::FeedEntry {
    const TABLE: Table = Table::Feed;
}

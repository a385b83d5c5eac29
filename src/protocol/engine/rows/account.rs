//! This device: its account, counters, prekeys and links.

use super::{Row, Side};
use crate::protocol::{
    crypto::envelope::Sid,
    identity::{bundle::BoxId, ticket::Inv},
    ids::{AccountId, DeviceId, NoiseKey, TransportKey},
    time::Millis,
    view::{Key, Table},
};
use minicbor::{Decode, Encode};

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
    /// The account's devices that this one replaced, latest first; what they wrote is told of as own.
    #[cbor(n(15), default)]
    pub former: Vec<DeviceId>,
    /// That another device took the place of this one, if it is known.
    #[n(16)]
    pub replaced: Option<Replaced>,
    /// When an older store, or older keys, were found here last.
    #[n(17)]
    pub rolled_back: Option<Millis>,
    /// What is over between others and this device, and may still be read out of own mailboxes: the oldest first.
    #[cbor(n(18), default)]
    pub late: Vec<Late>,
}

/// A session or a device that is over: of what it sealed before, some may lie in own mailboxes.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct Late {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// The session that the device lost; none where the device is its account's no more.
    #[n(1)]
    pub session: Option<Sid>,
    /// Since when.
    #[n(2)]
    pub since: Millis,
    /// Own boxes that were not emptied since.
    #[n(3)]
    pub unfetched: Vec<BoxId>,
}

/// Another device took the place of this one.
#[derive(Clone, Encode, Decode)]
#[cbor(map)]
pub struct Replaced {
    /// The newest signed list of the account, which this device is not on.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub list: Vec<u8>,
    /// When this device was told.
    #[n(1)]
    pub since: Millis,
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
    /// Every device whose events are this account's own: this one, then those it replaced.
    pub fn authors(&self) -> impl Iterator<Item = DeviceId> {
        std::iter::once(self.device).chain(self.former.iter().copied())
    }

    /// Where it is kept what others confirmed of the events of an own device; `None` of a device of others.
    pub fn side_of(&self, author: DeviceId) -> Option<Side> {
        match author == self.device {
            true => Some(Side::Theirs),
            false => self.former.contains(&author).then_some(Side::TheirsOf(author)),
        }
    }

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
    // 2 was a count of the messages in the outbox.
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
    /// Accounts whose requests wait; once it is used, who was accepted, until that one knows other boxes than the link's.
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

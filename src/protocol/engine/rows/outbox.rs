//! What devices have not confirmed yet.

use super::Row;
use crate::protocol::{
    engine::record::{Position, Record},
    identity::bundle::BoxId,
    ids::{ChatId, DeviceId, EventId, OpId, TransportKey},
    time::Millis,
    view::{Key, Table},
    wire::limits::MAIL_KEPT,
};
use minicbor::{Decode, Encode};

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
    /// Where copies of that envelope are durable.
    #[n(3)]
    pub left: Option<Vec<LeftAt>>,
    /// Whether copies of an earlier envelope were left too: they may still be read.
    #[cbor(n(4), default)]
    pub was_left: bool,
}

/// A copy of an envelope at a mailbox.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct LeftAt {
    /// The mailbox.
    #[n(0)]
    pub node: TransportKey,
    /// The box.
    #[n(1)]
    pub id: BoxId,
    /// When it said so.
    #[n(2)]
    pub at: Millis,
}

/// What an outbox entry holds.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(flat)]
pub enum Parcel {
    /// An event of a 1-on-1 chat, by id.
    #[n(0)]
    Event(#[n(0)] ChatId, #[n(1)] EventId),
    /// The same, of which the author took back what it said: not counted as a message that waits.
    #[n(2)]
    Nothing(#[n(0)] ChatId, #[n(1)] EventId),
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

    /// Whether a copy may lie at a mailbox, or was taken from there by one whose receipt is still to come.
    pub fn may_be_read(&self) -> bool {
        self.was_left || self.left.as_ref().is_some_and(|left| !left.is_empty())
    }

    /// Whether it is a key of a group, without which what is said there cannot be read.
    pub fn is_key_of(&self, group: OpId) -> bool {
        let Parcel::Control(_, record) = &self.what else { return false };
        let record = Record::parse(record);
        matches!(record, Some(Record::Chain(of, _) | Record::GossipSecret(of, ..)) if of == group)
    }

    /// Whether a mailbox that said it has a copy still keeps it at this time.
    pub fn is_in_mailbox(&self, now: Millis) -> bool {
        self.left.iter().flatten().any(|left| now.since(left.at) < MAIL_KEPT)
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

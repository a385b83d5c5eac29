//! Sessions, how they are found, and what starts them.

use super::Row;
use crate::protocol::{
    crypto::{
        envelope::{HeaderKey, Sid, Tag},
        secret::Secret,
    },
    engine::record::Position,
    identity::{bundle::BoxId, ticket::Inv},
    ids::{AccountId, DeviceId, OpId},
    time::Millis,
    view::{Key, Table},
};
use minicbor::{Decode, Encode, bytes::ByteVec};

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

/// A record that was read and is kept in memory alone, since what it rests on is not here yet. Its position is not
/// confirmed: it must come again.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct UnsettledRow(#[n(0)] pub Millis);

impl Row for UnsettledRow {
    const TABLE: Table = Table::Unsettled;
}

impl UnsettledRow {
    /// By device and position.
    pub fn key(device: DeviceId, at: Position) -> Key {
        let place = [&at.sid[..], &at.epoch.to_be_bytes(), &at.index.to_be_bytes()].concat();
        Key::at(Self::TABLE, device, place)
    }
}

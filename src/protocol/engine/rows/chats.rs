//! Conversations and their events in order.

use super::{Row, read};
use crate::protocol::{
    crypto::secret::Secret,
    event::Place,
    ids::{AccountId, ChatId, DeviceId, EventId, OpId},
    time::Millis,
    view::{Cell, Direction, Key, Table, View, ViewError},
    wire::limits::MAIL_KEPT,
};
use minicbor::{Decode, Encode, bytes::ByteVec};

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
    /// Whether others here learn what was read; where nothing is said, what the settings say.
    #[n(9)]
    pub tells_read: Option<bool>,
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

impl ChatKind {
    /// The group that it is with.
    pub fn group(self) -> Option<OpId> {
        match self {
            Self::Group(group) => Some(group),
            Self::Direct(_) | Self::Own => None,
        }
    }
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
    /// How it ends, if it does not last.
    #[n(13)]
    pub ends: Option<Ends>,
    /// Of an own event in a group: when the first mailbox had it.
    #[n(14)]
    pub kept: Option<Millis>,
    /// Of an own event in a group: that it is certainly nowhere but here.
    #[cbor(n(15), default)]
    pub unsent: bool,
}

/// How a message ends that does not last.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Ends {
    /// So many seconds after it is read here.
    #[n(0)]
    AfterReading(#[n(0)] u32),
    /// Then.
    #[n(1)]
    At(#[n(0)] Millis),
    /// It has: content and key are gone. Of a group event what is signed is left, encoded `Stub`.
    #[n(2)]
    Erased(#[n(0)] Option<ByteVec>),
    /// It has for another, who had only what is signed, encoded `Stub`; here it never was. It is taken if it comes.
    #[n(3)]
    Unseen(#[n(0)] ByteVec),
    /// It is, and is kept out of sight for those who are still to get it from this device; then that is looked at again.
    #[n(4)]
    Over(#[n(0)] Millis),
}

/// Milliseconds of an hour: messages that end in the same one are erased with one key.
pub const HOUR: u64 = 3_600_000;
/// In place of an hour: messages whose timer does not run, since they are not read.
pub const UNREAD_HOUR: u64 = u64::MAX;

/// The hour of a time, counted from 1970.
pub fn hour_of(at: Millis) -> u64 {
    at.0 / HOUR
}

impl Row for EventRow {
    const TABLE: Table = Table::Event;

    fn cell(&self) -> Option<Cell> {
        Some(match &self.ends {
            None => Cell::lasting(self.chat),
            // Nothing was said in what is left.
            Some(Ends::Erased(_) | Ends::Unseen(_)) => return None,
            Some(Ends::AfterReading(_)) => Cell::until(self.chat, UNREAD_HOUR),
            Some(Ends::At(at) | Ends::Over(at)) => Cell::until(self.chat, hour_of(*at)),
        })
    }
}

impl EventRow {
    /// By id.
    pub fn key(id: EventId) -> Key {
        Key::named(Self::TABLE, b"", id)
    }

    /// Whether what was said is not here any more, or never was.
    pub fn is_erased(&self) -> bool {
        matches!(self.ends, Some(Ends::Erased(_) | Ends::Unseen(_)))
    }

    /// Whether what was said never came here.
    pub fn is_unseen(&self) -> bool {
        matches!(self.ends, Some(Ends::Unseen(_)))
    }

    /// Whether what was said is here for others alone.
    pub fn is_kept_unseen(&self) -> bool {
        matches!(self.ends, Some(Ends::Over(_)))
    }

    /// The same, kept out of sight for those who are still to get it, until that is looked at.
    pub fn kept_unseen(self, look_at: Millis) -> Self {
        Self { ends: Some(Ends::Over(look_at)), ..self }
    }

    /// Whether a mailbox of its group that said it has it still keeps it at this time.
    pub fn is_in_mailbox(&self, now: Millis) -> bool {
        self.kept.is_some_and(|kept| now.since(kept) < MAIL_KEPT)
    }

    /// What is left of a group's event whose body is not here, encoded `Stub`.
    pub fn stub(&self) -> Option<&[u8]> {
        match &self.ends {
            Some(Ends::Erased(Some(stub)) | Ends::Unseen(stub)) => Some(stub),
            _ => None,
        }
    }

    /// Whether what was said is gone, or is over at this time.
    pub fn is_over(&self, now: Millis) -> bool {
        self.is_erased() || self.is_kept_unseen() || matches!(self.ends, Some(Ends::At(at)) if at <= now)
    }

    /// The time people see: what the author's clock said, but never later than the arrival.
    pub fn shown_at(&self) -> Millis {
        self.clock.min(self.arrived)
    }
}

/// That an event ends: in the order of when, or in its conversation where it is to be read first.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ExpiryRow {
    /// Where it is.
    #[n(0)]
    pub chat: ChatId,
    /// Which.
    #[n(1)]
    pub id: EventId,
}

impl Row for ExpiryRow {
    const TABLE: Table = Table::Expiry;
}

impl ExpiryRow {
    /// By time and event.
    pub fn key(at: Millis, id: EventId) -> Key {
        Key::at(Self::TABLE, b"", Self::place(at, &id.0))
    }

    /// In a conversation, by event: of one whose timer does not run yet.
    pub fn unread_key(chat: ChatId, id: EventId) -> Key {
        Key::named(Self::TABLE, chat, id)
    }

    /// The place of a key by time.
    pub fn place(at: Millis, id: &[u8; 32]) -> Vec<u8> {
        [&at.0.to_be_bytes()[..], id].concat()
    }

    /// The time in a place.
    pub fn time(place: &[u8]) -> Option<Millis> {
        place.first_chunk::<8>().map(|at| Millis(u64::from_be_bytes(*at)))
    }
}

/// How many seconds messages last that are written here in a conversation.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct TimerRow(#[n(0)] pub u32);

impl Row for TimerRow {
    const TABLE: Table = Table::Timer;
}

impl TimerRow {
    /// By chat.
    pub fn key(chat: ChatId) -> Key {
        Key::named(Self::TABLE, b"", chat)
    }
}

/// A chat that is being cleared.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ClearRow {
    /// Which.
    #[n(0)]
    pub chat: ChatId,
    /// Up to which place.
    #[n(1)]
    pub upto: ByteVec,
    /// What stands behind this place is gone.
    #[n(2)]
    pub next: ByteVec,
}

impl Row for ClearRow {
    const TABLE: Table = Table::Waiting;
}

impl ClearRow {
    /// All of them.
    pub const SCOPE: &[u8] = b"clear";

    /// Whether an event of its chat goes: what came meanwhile was not meant, wherever it stands.
    pub fn takes(&self, event: &EventRow, view: &dyn View) -> Result<bool, ViewError> {
        let spared = || read::<SparedRow>(view, &SparedRow::key(self.chat, event.id));
        Ok(event.place.as_slice() <= self.upto.as_slice() && spared()?.is_none())
    }

    /// By chat.
    pub fn key(chat: ChatId) -> Key {
        Key::named(Self::TABLE, Self::SCOPE, chat)
    }
}

/// An event that came while its chat was being cleared, to a place that is.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct SparedRow(#[n(0)] pub EventId);

impl Row for SparedRow {
    const TABLE: Table = Table::Waiting;
}

impl SparedRow {
    /// By chat and event.
    pub fn key(chat: ChatId, id: EventId) -> Key {
        Key::named(Self::TABLE, Self::scope(chat), id)
    }

    /// All of a chat.
    pub fn scope(chat: ChatId) -> Vec<u8> {
        [b"spared", &chat.0[..]].concat()
    }
}

/// A chat of which events are on their way to other places.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct PushingRow(#[n(0)] pub ChatId);

impl Row for PushingRow {
    const TABLE: Table = Table::Waiting;
}

impl PushingRow {
    /// All of them.
    pub const SCOPE: &[u8] = b"push";

    /// By chat.
    pub fn key(chat: ChatId) -> Key {
        Key::named(Self::TABLE, Self::SCOPE, chat)
    }
}

/// One of these events: the least effective clock it is to have.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct PushRow(#[n(0)] pub Millis);

impl Row for PushRow {
    const TABLE: Table = Table::Waiting;
}

impl PushRow {
    /// By chat and where it stands, or stood.
    pub fn key(chat: ChatId, at: &Place) -> Key {
        Key::at(Self::TABLE, Self::scope(chat), at.to_key())
    }

    /// All of a chat.
    pub fn scope(chat: ChatId) -> Vec<u8> {
        [&chat.0[..], b"push"].concat()
    }
}

/// A group's event of which only the stub is here: its body is looked for.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct UnseenRow {
    /// Which.
    #[n(0)]
    pub id: EventId,
    /// Members' devices that were asked and do not have it.
    #[n(1)]
    pub asked: Vec<DeviceId>,
}

impl Row for UnseenRow {
    const TABLE: Table = Table::Waiting;
}

impl UnseenRow {
    /// By chat and event.
    pub fn key(chat: ChatId, id: EventId) -> Key {
        Key::at(Self::TABLE, Self::scope(chat), id)
    }

    /// All of a chat.
    pub fn scope(chat: ChatId) -> Vec<u8> {
        [&chat.0[..], b"unseen"].concat()
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

/// Rows that are looked for at once at the most.
const LARGEST_PAGE: usize = 256;

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

    /// What a device wrote in a chat under numbers from `first` to `last`, as far as it is here: the newest first, and no
    /// more than `most`. Work is for what is here, however many numbers there are between.
    pub fn within(
        view: &dyn View,
        (chat, device): (ChatId, DeviceId),
        (first, last): (u64, u64),
        most: usize,
    ) -> Result<Vec<(u64, EventId)>, ViewError> {
        let (scope, mut found, mut last, mut page_size) = (Self::scope(chat, device), Vec::new(), last, 1);
        while found.len() < most && first <= last {
            let at_once = page_size.min(most - found.len());
            let page = view.scan(Self::TABLE, &scope, Some(&last.to_be_bytes()), Direction::Backward, at_once)?;
            let is_last = page.len() < at_once;
            // Most ranges have few or none.
            page_size = (page_size * 4).min(LARGEST_PAGE);
            for (place, bytes) in page {
                let no = Self::number(&place)?;
                if no < first {
                    return Ok(found);
                }
                found.push((no, super::parse::<Self>(&bytes)?.0));
                last = no.saturating_sub(1);
            }
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    /// The number in a place.
    pub fn number(place: &[u8]) -> Result<u64, ViewError> {
        place.try_into().map(u64::from_be_bytes).map_err(|_| ViewError::Damaged(Self::TABLE))
    }
}

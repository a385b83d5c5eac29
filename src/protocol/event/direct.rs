//! An event of a 1-on-1 chat. Unsigned, hence deniable: the session that brings it authenticates its author.
//!
//! It is kept with the bytes as received: its id is their hash, and they are what is sent again. Who calls: the engine,
//! which has yet to check that the author is the session's peer and that the chat is theirs.

use crate::protocol::{
    crypto::{kdf::hash, labels},
    event::{Content, ascends},
    ids::{AccountId, ChatId, DeviceId, EventId},
    time::Millis,
    wire::{
        Malformed, decode, encode,
        limits::{MAX_DEPS, MAX_EVENT, MAX_NO},
    },
};
use minicbor::{Decode, Encode};

const WHAT: &str = "event";

/// What a 1-on-1 event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectFields {
    /// The chat.
    pub chat: ChatId,
    /// Who said it.
    pub account: AccountId,
    /// On which of their devices.
    pub device: DeviceId,
    /// That device's own count in this chat, from 1.
    pub no: u64,
    /// That device's event before this one; none for its first.
    pub previous: Option<EventId>,
    /// The events it follows: up to [`MAX_DEPS`] heads, ascending.
    pub deps: Vec<EventId>,
    /// The author's clock, as [`signed_clock`](super::signed_clock) gives it.
    pub clock: Millis,
    /// What was said.
    pub content: Content,
}

/// A 1-on-1 event, well formed, with its bytes and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectEvent {
    id: EventId,
    bytes: Vec<u8>,
    fields: DirectFields,
}

/// Why fields make no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Counts start at 1, and the first has none before it.
    #[error("event {0} of a device: counts start at 1, and the first names no previous one")]
    Number(u64),
    /// Too many, repeated, or out of order.
    #[error("an event follows up to {MAX_DEPS} different ones, in ascending order")]
    Deps,
    /// A clock past [`Millis::MAX`].
    #[error("a clock of {0} ms is past the end of time")]
    Clock(u64),
}

impl DirectEvent {
    /// The event with these fields.
    pub fn new(fields: DirectFields) -> Result<Self, EventError> {
        check(fields.no, fields.previous, &fields.deps, fields.clock)?;
        let bytes = encode(&Wire {
            chat: fields.chat,
            account: fields.account,
            device: fields.device,
            no: fields.no,
            previous: fields.previous,
            deps: fields.deps.clone(),
            clock: fields.clock,
            content: fields.content.to_bytes(),
        });
        Ok(Self { id: id(&bytes), bytes, fields })
    }

    /// The event in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_EVENT {
            return Err(Malformed(WHAT));
        }
        let wire: Wire = decode(bytes, WHAT)?;
        check(wire.no, wire.previous, &wire.deps, wire.clock).map_err(|_| Malformed(WHAT))?;
        let fields = DirectFields {
            chat: wire.chat,
            account: wire.account,
            device: wire.device,
            no: wire.no,
            previous: wire.previous,
            deps: wire.deps,
            clock: wire.clock,
            content: Content::parse(&wire.content)?,
        };
        Ok(Self { id: id(bytes), bytes: bytes.to_vec(), fields })
    }

    /// Its id: the hash of its bytes.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// Its bytes, as received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All it comes after in the timeline: its deps, and its author device's own previous event.
    pub fn follows(&self) -> Vec<EventId> {
        follows(&self.fields.deps, self.fields.previous)
    }
}

impl std::ops::Deref for DirectEvent {
    type Target = DirectFields;
    fn deref(&self) -> &DirectFields {
        &self.fields
    }
}

/// Deps and previous event as one list, each once, ascending.
pub(in crate::protocol) fn follows(deps: &[EventId], previous: Option<EventId>) -> Vec<EventId> {
    let all: std::collections::BTreeSet<EventId> = deps.iter().copied().chain(previous).collect();
    all.into_iter().collect()
}

/// The rules that direct and group events share.
pub(in crate::protocol) fn check(
    no: u64,
    previous: Option<EventId>,
    deps: &[EventId],
    clock: Millis,
) -> Result<(), EventError> {
    if no == 0 || no > MAX_NO || (no == 1 && previous.is_some()) {
        return Err(EventError::Number(no));
    }
    if deps.len() > MAX_DEPS || !ascends(deps) {
        return Err(EventError::Deps);
    }
    if clock > Millis::MAX {
        return Err(EventError::Clock(clock.0));
    }
    Ok(())
}

fn id(bytes: &[u8]) -> EventId {
    EventId(hash(&[labels::EVENT.as_bytes(), bytes]))
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    chat: ChatId,
    #[n(1)]
    account: AccountId,
    #[n(2)]
    device: DeviceId,
    #[n(3)]
    no: u64,
    #[n(4)]
    previous: Option<EventId>,
    #[n(5)]
    deps: Vec<EventId>,
    #[n(6)]
    clock: Millis,
    #[cbor(n(7), with = "minicbor::bytes")]
    content: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::wire::limits::{MAX_RECORD, MAX_TEXT};
    use proptest::prelude::*;

    fn fields() -> DirectFields {
        DirectFields {
            chat: ChatId([1; 32]),
            account: AccountId([2; 32]),
            device: DeviceId([3; 32]),
            no: 2,
            previous: Some(EventId([4; 32])),
            deps: vec![EventId([4; 32]), EventId([5; 32])],
            clock: Millis(1_700_000_000_000),
            content: Content::text("hello", None).unwrap(),
        }
    }

    #[test]
    fn an_event_comes_back_with_its_bytes_and_id() {
        let event = DirectEvent::new(fields()).unwrap();
        let back = DirectEvent::parse(event.bytes()).unwrap();
        assert_eq!(back, event);
        assert_eq!(back.follows(), vec![EventId([4; 32]), EventId([5; 32])]);
    }

    #[test]
    fn two_equal_messages_are_two_events() {
        let first = DirectEvent::new(fields()).unwrap();
        let second = DirectEvent::new(DirectFields { no: 3, previous: Some(first.id()), ..fields() }).unwrap();
        assert_ne!(first.id(), second.id());
    }

    #[test]
    fn wrong_numbers_deps_and_clocks_are_refused() {
        let no = |no, previous| DirectEvent::new(DirectFields { no, previous, ..fields() });
        assert_eq!(no(0, None), Err(EventError::Number(0)));
        assert_eq!(no(1, Some(EventId([4; 32]))), Err(EventError::Number(1)));
        assert!(no(2, None).is_ok(), "a store that was put back may not know what it wrote before");
        let deps = |deps| DirectEvent::new(DirectFields { deps, ..fields() });
        assert_eq!(deps(vec![EventId([5; 32]); 2]), Err(EventError::Deps));
        assert_eq!(deps((0..9).map(|i| EventId([i; 32])).collect()), Err(EventError::Deps));
        let late = DirectEvent::new(DirectFields { clock: Millis(Millis::MAX.0 + 1), ..fields() });
        assert_eq!(late, Err(EventError::Clock(Millis::MAX.0 + 1)));
    }

    #[test]
    fn the_longest_text_with_the_most_deps_fits_a_record() {
        let event = DirectEvent::new(DirectFields {
            content: Content::text("a".repeat(MAX_TEXT), Some(EventId([9; 32]))).unwrap(),
            deps: (0..8).map(|i| EventId([i; 32])).collect(),
            clock: Millis::MAX,
            ..fields()
        })
        .unwrap();
        assert!(event.bytes().len() <= MAX_EVENT, "{}", event.bytes().len());
        const { assert!(MAX_EVENT + 256 <= MAX_RECORD) };
        assert_eq!(DirectEvent::parse(event.bytes()), Ok(event));
    }

    proptest! {
        #[test]
        fn no_bytes_make_an_event_panic(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
            let mut bytes = DirectEvent::new(fields()).unwrap().bytes().to_vec();
            if let Some(b) = bytes.get_mut(at) { *b = byte; }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = DirectEvent::parse(&bytes);
        }
    }
}

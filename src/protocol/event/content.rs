//! What a person said. A kind of a newer version is kept byte for byte and shown as such.
//!
//! On the wire: `{0: kind, 1: body}`, where the body is a byte string that holds the kind's own CBOR, so that a kind not
//! known here passes through unchanged. Who calls: the engine, and groups, which seal the same bytes.

use crate::protocol::{
    identity::Name,
    ids::EventId,
    wire::{
        Malformed, decode, encode,
        limits::{MAX_CONTENT, MAX_TEXT, MAX_TIMER, MIN_TIMER},
    },
};
use minicbor::{Decode, Encode};
use std::time::Duration;

const TEXT: u16 = 1;
const PROFILE: u16 = 2;
const WITHDRAWN: u16 = 32;
const WHAT: &str = "content";

/// What a person said in one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text message.
    Text(Text),
    /// "My name is now this": how members of a group learn each other's names. Not shown as a message.
    Profile(Name),
    /// Nothing: its author took it back before anybody had it. Not shown; it keeps its place in the author's count.
    Withdrawn,
    /// A kind from a newer version.
    Unknown {
        /// Its number.
        kind: u16,
        /// Its bytes, as they came; at most [`MAX_CONTENT`].
        body: Vec<u8>,
    },
}

/// A text message: 1 to [`MAX_TEXT`] bytes of UTF-8, as typed. Make it safe before showing it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Text {
    #[n(0)]
    text: String,
    #[n(1)]
    reply_to: Option<EventId>,
    /// Seconds that it lasts, where it does not last for ever.
    #[n(2)]
    timer: Option<u32>,
}

/// Why something cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Nothing but white space.
    #[error("a message needs some text")]
    Empty,
    /// The text has this many bytes.
    #[error("a message holds {MAX_TEXT} bytes and this one has {0}; send it as a file")]
    TooLong(usize),
}

impl Content {
    /// A text message, perhaps in reply to another event of the conversation.
    pub fn text(text: impl Into<String>, reply_to: Option<EventId>) -> Result<Self, ContentError> {
        Text::new(text, reply_to).map(Self::Text)
    }

    /// A text message that is over this long after it was sent or read.
    pub fn passing_text(
        text: impl Into<String>,
        reply_to: Option<EventId>,
        timer: Option<Duration>,
    ) -> Result<Self, ContentError> {
        let seconds = timer.map(|timer| timer.as_secs().try_into().unwrap_or(u32::MAX));
        Ok(Self::Text(Text { timer: seconds, ..Text::new(text, reply_to)? }))
    }

    /// The content in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_CONTENT {
            return Err(Malformed(WHAT));
        }
        let Wire { kind, body } = decode(bytes, WHAT)?;
        match kind {
            TEXT => {
                let Text { text, reply_to, timer } = decode(&body, WHAT)?;
                let text = Text::new(text, reply_to).map_err(|_| Malformed(WHAT))?;
                Ok(Self::Text(Text { timer, ..text }))
            }
            PROFILE => Ok(Self::Profile(decode(&body, WHAT)?)),
            WITHDRAWN => Ok(Self::Withdrawn),
            _ => Ok(Self::Unknown { kind, body }),
        }
    }

    /// Whether it stands in the conversation for people to see.
    pub fn is_shown(&self) -> bool {
        !matches!(self, Self::Profile(_) | Self::Withdrawn)
    }

    /// The bytes of this content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Text(text) => (TEXT, encode(text)),
            Self::Profile(name) => (PROFILE, encode(name)),
            Self::Withdrawn => (WITHDRAWN, Vec::new()),
            Self::Unknown { kind, body } => (*kind, body.clone()),
        };
        encode(&Wire { kind, body })
    }
}

impl Text {
    /// A text message.
    pub fn new(text: impl Into<String>, reply_to: Option<EventId>) -> Result<Self, ContentError> {
        let text = text.into();
        if text.len() > MAX_TEXT {
            return Err(ContentError::TooLong(text.len()));
        }
        if text.is_empty() {
            return Err(ContentError::Empty);
        }
        Ok(Self { text, reply_to, timer: None })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How long it lasts, within what can be chosen; `None` for ever.
    pub fn timer(&self) -> Option<Duration> {
        self.timer.map(|seconds| Duration::from_secs(seconds.into()).clamp(MIN_TIMER, MAX_TIMER))
    }

    /// The event it answers.
    pub fn reply_to(&self) -> Option<EventId> {
        self.reply_to
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    kind: u16,
    #[cbor(n(1), with = "minicbor::bytes")]
    body: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_of_nothing_or_past_the_limit_is_refused_with_its_size() {
        assert_eq!(Content::text("", None), Err(ContentError::Empty));
        assert_eq!(Content::text("a".repeat(MAX_TEXT + 1), None), Err(ContentError::TooLong(MAX_TEXT + 1)));
        let longest = Content::text("a".repeat(MAX_TEXT), Some(EventId([7; 32]))).unwrap();
        assert_eq!(Content::parse(&longest.to_bytes()), Ok(longest));
    }

    #[test]
    fn an_empty_text_from_a_peer_is_malformed() {
        let empty =
            encode(&Wire { kind: TEXT, body: encode(&Text { text: String::new(), reply_to: None, timer: None }) });
        assert_eq!(Content::parse(&empty), Err(Malformed(WHAT)));
    }

    #[test]
    fn a_kind_from_a_newer_version_is_kept_byte_for_byte() {
        let newer = encode(&Wire { kind: 900, body: vec![0xff, 0, 1] });
        let content = Content::parse(&newer).unwrap();
        assert_eq!(content, Content::Unknown { kind: 900, body: vec![0xff, 0, 1] });
        assert_eq!(content.to_bytes(), newer);
    }

    proptest! {
        #[test]
        fn no_bytes_make_content_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Content::parse(&bytes);
        }
    }
}

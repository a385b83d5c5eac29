//! Display names: what a person calls themselves, a device or a group. Certificates never hold one; a profile record
//! inside a session or group carries it. A name promises to be shown exactly as it is stored, and to be seen at all.

use crate::protocol::wire::{
    limits::MAX_NAME,
    text::{Class, SafeText, class, is_blank},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};
use unicode_normalization::UnicodeNormalization;

/// What is longer than this before it is normalised is too long after: NFC makes three bytes of at most nine.
const MAX_TYPED: usize = 3 * MAX_NAME;

/// A display name: NFC, visible, one line, single spaces and only between words, at most [`MAX_NAME`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in what an owner typed for a contact, a group or themselves: one that can also be typed to mean it.
    /// [`OWN_CHAT`] and a leading [`SIGNS`] mean something else there.
    ///
    /// # Errors
    /// Those of parsing, and [`NameError::Reserved`], [`NameError::Sign`].
    pub fn typed(text: &str) -> Result<Self, NameError> {
        let name: Self = text.parse()?;
        match name.0.chars().next().filter(|first| SIGNS.contains(first)) {
            Some(sign) => Err(NameError::Sign { sign }),
            None if name.0 == OWN_CHAT => Err(NameError::Reserved),
            None => Ok(name),
        }
    }

    /// The name without the signs that others may have put before it; `None` where nothing else is in it.
    pub fn without_signs(&self) -> Option<Self> {
        self.0.trim_start_matches(|c| SIGNS.contains(&c) || c == ' ').parse().ok()
    }
}

/// What means the chat with oneself wherever a chat is typed.
pub const OWN_CHAT: &str = "me";
/// What says, before a name, that a contact is meant, or a group.
pub const SIGNS: [char; 2] = ['@', '#'];

impl FromStr for Name {
    type Err = NameError;

    /// The name in what was typed or received, normalised: NFC, and one space for any run of them, so that two names
    /// that look alike for their spaces are one. Whatever else would have to change is refused.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let typed = text.trim();
        if typed.len() > MAX_TYPED {
            return Err(NameError::TooLong { bytes: typed.len() });
        }
        if let Some(error) = typed.chars().find_map(refused) {
            return Err(error);
        }
        let spaced = typed.split_whitespace().collect::<Vec<_>>().join(" ");
        let name: String = spaced.nfc().collect();
        if !name.chars().any(|c| class(c) == Class::Plain && c != ' ') {
            return Err(NameError::Empty);
        }
        if name.len() > MAX_NAME {
            return Err(NameError::TooLong { bytes: name.len() });
        }
        if SafeText::line(&name).as_str() != name {
            return Err(NameError::Misplaced);
        }
        Ok(Self(name))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&Name> for SafeText {
    fn from(name: &Name) -> Self {
        Self::line(&name.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl<C> minicbor::Encode<C> for Name {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Name {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(|_: NameError| minicbor::decode::Error::message("not a name"))
    }
}

/// Why a text cannot be a name, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing that can be seen.
    #[error("a name needs something that can be seen: give at least one letter, digit or emoji")]
    Empty,
    /// More than [`MAX_NAME`] bytes.
    #[error("the name takes {bytes} bytes and at most {MAX_NAME} fit: shorten it")]
    TooLong {
        /// How long it is, in bytes of UTF-8.
        bytes: usize,
    },
    /// More than one line.
    #[error("a name is one line: remove the line breaks")]
    LineBreak,
    /// A tab or control character.
    #[error("the name holds the control character U+{code:04X}: remove it, or type the name anew")]
    Control {
        /// Its code point.
        code: u32,
    },
    /// A character that turns the direction of text.
    #[error("the name holds U+{code:04X}, which turns the direction of text: remove it, or type the name anew")]
    Direction {
        /// Its code point.
        code: u32,
    },
    /// A character that cannot be seen.
    #[error("the name holds U+{code:04X}, which cannot be seen: remove it, or type the name anew")]
    Invisible {
        /// Its code point.
        code: u32,
    },
    /// Marks or joiners where they join nothing, or too many of them.
    #[error("the name has accents or joiners without a letter, or too many on one: type the name anew")]
    Misplaced,
    /// [`OWN_CHAT`].
    #[error("the name “{OWN_CHAT}” means the notes to oneself: choose another")]
    Reserved,
    /// One of [`SIGNS`] stands first.
    #[error("the name begins with {sign}, which says what kind is meant: leave it out")]
    Sign {
        /// Which.
        sign: char,
    },
}

/// Why this character has no place in any name.
fn refused(c: char) -> Option<NameError> {
    let code = u32::from(c);
    match class(c) {
        Class::LineBreak => Some(NameError::LineBreak),
        Class::Tab | Class::Control => Some(NameError::Control { code }),
        Class::Direction => Some(NameError::Direction { code }),
        Class::Invisible | Class::None => Some(NameError::Invisible { code }),
        Class::Plain if is_blank(c) => Some(NameError::Invisible { code }),
        Class::Plain | Class::Tag | Class::Joiner | Class::Variation | Class::Mark => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Result<String, NameError> {
        text.parse().map(|name: Name| name.0)
    }

    #[test]
    fn honest_names_are_kept() {
        for text in ["미나", "Zoë", "O'Brien 2", "نور", "می\u{200C}نا", "👩\u{200D}🚀 Ada", "クリス", "น้ำ", "x"]
        {
            assert_eq!(name(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_name_typed_in_two_ways_is_one_name() {
        assert_eq!(name(" \u{3000}Zoe\u{308}  ").as_deref(), Ok("Zoë"));
        assert_eq!(name("Ada \u{A0} Lovelace").as_deref(), Ok("Ada Lovelace"));
        assert_eq!(name("\u{1106}\u{1175}\u{1102}\u{1161}").as_deref(), Ok("미나"));
    }

    #[test]
    fn a_name_that_cannot_be_seen_is_refused() {
        for text in ["", "  ", "\u{200D}", "\u{301}", "\u{FE0F}"] {
            assert_eq!(name(text), Err(NameError::Empty), "{text:?}");
        }
        for blank in ['\u{3164}', '\u{2800}', '\u{1160}', '\u{200B}'] {
            assert_eq!(name(&format!("mina{blank}")), Err(NameError::Invisible { code: u32::from(blank) }));
        }
    }

    #[test]
    fn a_name_that_deceives_is_refused_with_what_to_do() {
        assert_eq!(name("mina\u{202E}anim"), Err(NameError::Direction { code: 0x202E }));
        assert_eq!(name("mi\nna"), Err(NameError::LineBreak));
        assert_eq!(name("mi\u{2028}na"), Err(NameError::LineBreak));
        assert_eq!(name("\u{1b}[31mmina"), Err(NameError::Control { code: 0x1b }));
        assert_eq!(name("mi\tna"), Err(NameError::Control { code: 9 }));
        assert_eq!(name("\u{301}mina"), Err(NameError::Misplaced));
        assert_eq!(name(&format!("m{}", "\u{35C}".repeat(11))), Err(NameError::Misplaced));
        assert_eq!(name("mina\u{E0041}"), Err(NameError::Misplaced));
        let error = name("mi\u{200B}na").unwrap_err().to_string();
        assert_eq!(error, "the name holds U+200B, which cannot be seen: remove it, or type the name anew");
    }

    #[test]
    fn a_name_that_would_mean_something_else_is_refused_when_typed_and_stripped_when_received() {
        assert_eq!(Name::typed(" me "), Err(NameError::Reserved));
        assert_eq!(Name::typed("@mina"), Err(NameError::Sign { sign: '@' }));
        assert_eq!(Name::typed(" #1 Dad"), Err(NameError::Sign { sign: '#' }));
        for fine in ["Me", "me 2", "mina@home", "C#"] {
            assert_eq!(Name::typed(fine).unwrap().as_str(), fine);
        }
        let stripped = |text: &str| text.parse::<Name>().unwrap().without_signs().map(|name| name.0);
        assert_eq!(stripped("@# @mina").as_deref(), Some("mina"));
        assert_eq!(stripped("mina@home").as_deref(), Some("mina@home"));
        assert_eq!(stripped("##"), None);
        assert_eq!(stripped("@\u{301}x"), None, "what is left is no name");
    }

    #[test]
    fn a_name_has_at_most_so_many_bytes() {
        assert!(name(&"a".repeat(MAX_NAME)).is_ok());
        assert_eq!(name(&"a".repeat(MAX_NAME + 1)), Err(NameError::TooLong { bytes: MAX_NAME + 1 }));
        assert_eq!(name(&"a".repeat(10_000_000)), Err(NameError::TooLong { bytes: 10_000_000 }));
    }

    proptest! {
        #[test]
        fn a_name_is_shown_as_it_is_stored_and_parses_to_itself(text: String) {
            if let Ok(name) = text.parse::<Name>() {
                let shown = SafeText::from(&name);
                prop_assert_eq!(shown.as_str(), name.as_str());
                prop_assert_eq!(name.as_str().parse(), Ok(name.clone()));
            }
        }
    }
}

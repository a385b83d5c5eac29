//! Names of things: 32-byte ids and keys that people see as 52 lower-case base32 characters.
//!
//! One type each, so that an account can never stand where a device is meant.

use crate::protocol::crypto::kdf::hash;
use data_encoding::{BASE32_NOPAD, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, sync::LazyLock};

/// RFC 4648 base32, lower case, no padding, the letters people read; upper case is read too.
static BASE32_LOWER: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = BASE32_NOPAD.specification();
    spec.symbols.make_ascii_lowercase();
    spec.translate.from.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    spec.translate.to.push_str("abcdefghijklmnopqrstuvwxyz");
    // The specification above is a constant that a test encodes and decodes with.
    spec.encoding().unwrap_or(BASE32_NOPAD)
});

/// Lower-case base32 without padding.
pub fn base32(bytes: &[u8]) -> String {
    BASE32_LOWER.encode(bytes)
}

/// The bytes of a base32 text in either case; `None` where it is not one.
pub fn from_base32(text: &str) -> Option<Vec<u8>> {
    BASE32_LOWER.decode(text.as_bytes()).ok()
}

/// The text is not 52 base32 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 52 base32 characters (a-z, 2-7)")]
pub struct BadId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base32(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({}…)"), base32(&self.0[..5]))
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                let bytes = from_base32(text).ok_or(BadId)?;
                Ok(Self(bytes.try_into().map_err(|_| BadId)?))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(D::Error::custom)
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let bytes: [u8; 32] =
                    d.bytes()?.try_into().map_err(|_| minicbor::decode::Error::message("not 32 bytes"))?;
                Ok(Self(bytes))
            }
        }
    };
}

id! {
    /// An account: its Ed25519 public key AK.
    AccountId
}
id! {
    /// A device: its Ed25519 public key DK, which signs prekeys, bundles, membership ops and group events.
    DeviceId
}
id! {
    /// A device's libp2p Ed25519 public key TK; the network knows it as a PeerId.
    TransportKey
}
id! {
    /// A device's X25519 public key SK, its Noise static key.
    NoiseKey
}
id! {
    /// A conversation: a 1-on-1 chat, a group, or notes to self.
    ChatId
}
id! {
    /// An event in a conversation: the hash of its bytes.
    EventId
}
id! {
    /// A membership op: the hash of its signed bytes. A group's id is that of its Create op.
    OpId
}

impl ChatId {
    /// The 1-on-1 chat of two accounts, the same on both sides; with oneself, notes to self.
    pub fn direct(a: AccountId, b: AccountId) -> Self {
        let (lesser, greater) = if a <= b { (a, b) } else { (b, a) };
        Self(hash(&[b"moim/1/direct", &lesser.0, &greater.0]))
    }
}

impl From<OpId> for ChatId {
    fn from(create: OpId) -> Self {
        Self(create.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_52_lower_case_characters_and_read_in_either_case() {
        let id = AccountId([0xa7; 32]);
        let text = id.to_string();
        assert_eq!(text.len(), 52);
        assert_eq!(text, text.to_lowercase());
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        assert_eq!(text[1..].parse::<AccountId>(), Err(BadId));
    }

    #[test]
    fn a_direct_chat_has_one_id_on_both_sides() {
        let (a, b) = (AccountId([1; 32]), AccountId([2; 32]));
        assert_eq!(ChatId::direct(a, b), ChatId::direct(b, a));
        assert_ne!(ChatId::direct(a, b), ChatId::direct(a, a));
    }
}

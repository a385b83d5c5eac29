//! The outer layer of the ratchet: what a relay, a mailbox and the network see of a message.
//!
//! ```text
//! wire    = version (1) ‖ tag (16) ‖ nonce (24) ‖ XChaCha20-Poly1305(HK, content, ad = version ‖ tag)
//! content = length of header ‖ body (u32) ‖ header ‖ body ‖ zeros up to the bucket
//! header  = sid (16) ‖ n (u32) ‖ i (u32) ‖ pn (u32) ‖ length (u16) ‖ handshake
//! ```
//!
//! Integers are big-endian. The handshake is `R_n`, or `prekey id (8) ‖ ct (1088) ‖ I` in epoch 0. The content is padded to
//! one of five `BUCKETS`, so a wire has one of five lengths. A sid of zeros is no session's: under the tag of an intro, the body
//! is then the sender's sealed bundle ([`seal_offer`]), which nobody without the intro tells from a start. Whoever holds the header key reads the header, no more:
//! the body is under a message key of the session and authenticates the header's bytes.
//!
//! The engine calls [`peek`] to find a row by tag and [`open_outer`] with the header key of that row; `session` makes
//! envelopes. This module knows no sessions.

use crate::protocol::{
    crypto::{kdf::kdf_pair, labels, seal, secret::Secret},
    wire::limits::{BUCKETS, MAX_BUNDLE, MAX_ENVELOPE, MAX_RECORD},
};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use std::fmt;

/// The first byte of every envelope of this protocol.
pub const VERSION: u8 = 1;

/// Bytes of a header without its handshake.
const HEADER: usize = 16 + 4 + 4 + 4 + 2;
/// Bytes in front of header and body inside the seal.
const LENGTH: usize = 4;
/// Tag of the body's seal.
const BODY_TAG: usize = 16;
/// Bytes of a wire around its content.
const AROUND: usize = 1 + 16 + seal::SEAL_OVERHEAD;
/// The longest handshake: a start with the longest bundle. See `start` for its parts.
const LONGEST_HANDSHAKE: usize = super::start::OVERHEAD + MAX_BUNDLE;

// A record that may be sealed fits the largest bucket in any epoch, so that sealing anew is always possible.
const _: () = assert!(LENGTH + HEADER + LONGEST_HANDSHAKE + MAX_RECORD + BODY_TAG <= BUCKETS[4]);
const _: () = assert!(AROUND + BUCKETS[4] == MAX_ENVELOPE);
const _: () = assert!(LONGEST_HANDSHAKE <= u16::MAX as usize);

/// Sixteen bytes by which a receiver finds the session and epoch of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Tag(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// The key of the outer layer of one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct HeaderKey(#[n(0)] Secret);

/// Sixteen bytes that name a session, the same on both sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Sid(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({:02x}{:02x}{:02x}…)", self.0[0], self.0[1], self.0[2])
    }
}

/// What an envelope of no session names: sids are hashes.
const NO_SESSION: Sid = Sid([0; 16]);

/// Why an envelope's outer layer does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OuterError {
    /// Of a newer protocol.
    #[error("an envelope of version {0} is not understood")]
    Version(u8),
    /// Not of a length an envelope has, or its content is not laid out as one.
    #[error("malformed envelope")]
    Malformed,
    /// Another key, or tampered with.
    #[error("the envelope does not open")]
    DoesNotOpen,
}

/// An envelope whose outer layer is open: it says where its body belongs. Nothing but "the sender held the header key"
/// is proven until the session opens the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Outer {
    pub(super) tag: Tag,
    pub(super) header: Header,
    pub(super) header_bytes: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Outer {
    /// The session it names.
    pub fn sid(&self) -> Sid {
        self.header.sid
    }

    /// Its epoch `n`.
    pub fn epoch(&self) -> u32 {
        self.header.epoch
    }

    /// Its index `i` within the epoch.
    pub fn index(&self) -> u32 {
        self.header.index
    }

    /// The sealed bundle, where it carries that and nothing of a session.
    pub fn offer(&self) -> Option<&[u8]> {
        (self.header.sid == NO_SESSION).then_some(&self.body)
    }

    /// The tag it came under.
    pub fn tag(&self) -> Tag {
        self.tag
    }
}

impl fmt::Debug for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outer({:?}, {}, {}, {} bytes)", self.sid(), self.epoch(), self.index(), self.body.len())
    }
}

/// The tag of an envelope, for the look-up. Wrong lengths and other versions are refused before any cryptography.
pub fn peek(wire: &[u8]) -> Result<Tag, OuterError> {
    let (&version, rest) = wire.split_first().ok_or(OuterError::Malformed)?;
    if version != VERSION {
        return Err(OuterError::Version(version));
    }
    let content = wire.len().checked_sub(AROUND).ok_or(OuterError::Malformed)?;
    if !BUCKETS.contains(&content) {
        return Err(OuterError::Malformed);
    }
    rest.first_chunk().map(|tag| Tag(*tag)).ok_or(OuterError::Malformed)
}

/// Opens the outer layer with the header key of the row that [`peek`]'s tag named.
pub fn open_outer(wire: &[u8], key: &HeaderKey) -> Result<Outer, OuterError> {
    let tag = peek(wire)?;
    let (ad, sealed) = wire.split_at_checked(1 + tag.0.len()).ok_or(OuterError::Malformed)?;
    let content = seal::open(&key.0, ad, sealed).map_err(|_| OuterError::DoesNotOpen)?;
    unpad(&content).and_then(|inside| Outer::parse(tag, inside)).ok_or(OuterError::Malformed)
}

/// Tag and header key of an epoch, from the root key of the epoch before it or, for epoch 0, from the intro secret.
pub(super) fn outer_keys(root: &Secret) -> (Tag, HeaderKey) {
    let (tag, key) = kdf_pair(root.expose(), labels::OUTER, &[]);
    let mut short = [0; 16];
    short.copy_from_slice(&tag.expose()[..16]);
    (Tag(short), HeaderKey(key))
}

/// Makes a wire of a header and a sealed body.
pub(super) fn seal_outer(
    tag: Tag,
    key: &HeaderKey,
    header: &[u8],
    body: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, OuterError> {
    let content = pad(header, body).ok_or(OuterError::Malformed)?;
    let ad = [&[VERSION], &tag.0[..]].concat();
    let sealed = seal::seal(&key.0, &ad, &content, rng);
    Ok([ad, sealed].concat())
}

/// A sealed bundle in an envelope under the tag of this intro: what is left at a mailbox for one who cannot start a session.
pub fn seal_offer(intro: &Secret, bundle: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, OuterError> {
    let (tag, key) = outer_keys(intro);
    let header = Header { sid: NO_SESSION, epoch: 0, index: 0, previous: 0, handshake: Vec::new() };
    let header = header.to_bytes().ok_or(OuterError::Malformed)?;
    seal_outer(tag, &key, &header, bundle, rng)
}

/// The parts of a header.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sid: Sid,
    pub(super) epoch: u32,
    pub(super) index: u32,
    /// Messages in the sender's previous epoch.
    pub(super) previous: u32,
    pub(super) handshake: Vec<u8>,
}

impl Header {
    /// The packed bytes; `None` for a handshake that its length field cannot hold.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let length = u16::try_from(self.handshake.len()).ok()?;
        let mut bytes = Vec::with_capacity(HEADER + self.handshake.len());
        bytes.extend_from_slice(&self.sid.0);
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&self.previous.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.handshake);
        Some(bytes)
    }
}

impl Outer {
    /// The envelope whose header and body are `inside`.
    pub(super) fn parse(tag: Tag, inside: &[u8]) -> Option<Self> {
        let (sid, rest) = inside.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (previous, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (handshake, body) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let header = Header {
            sid: Sid(*sid),
            epoch: u32::from_be_bytes(*epoch),
            index: u32::from_be_bytes(*index),
            previous: u32::from_be_bytes(*previous),
            handshake: handshake.to_vec(),
        };
        let header_bytes = inside.get(..inside.len() - body.len())?.to_vec();
        Some(Self { tag, header, header_bytes, body: body.to_vec() })
    }
}

fn pad(header: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(header.len() + body.len()).ok()?;
    let used = LENGTH + header.len() + body.len();
    let bucket = BUCKETS.into_iter().find(|bucket| *bucket >= used)?;
    let mut content = Vec::with_capacity(bucket);
    content.extend_from_slice(&length.to_be_bytes());
    content.extend_from_slice(header);
    content.extend_from_slice(body);
    content.resize(bucket, 0);
    Some(content)
}

/// What [`pad`] padded; padding that is not zero is another's, and refused, so that an envelope has one form.
fn unpad(content: &[u8]) -> Option<&[u8]> {
    let (length, rest) = content.split_first_chunk()?;
    let (inside, zeros) = rest.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
    zeros.iter().all(|byte| *byte == 0).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn sealed(handshake: usize, body: usize) -> (HeaderKey, Vec<u8>, Vec<u8>) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (tag, key) = outer_keys(&Secret::from([3; 32]));
        let header = Header { sid: Sid([9; 16]), epoch: 5, index: 6, previous: 7, handshake: vec![8; handshake] };
        let header = header.to_bytes().unwrap();
        let wire = seal_outer(tag, &key, &header, &vec![4; body], &mut rng).unwrap();
        (key, header, wire)
    }

    #[test]
    fn an_envelope_says_where_it_belongs_to_the_holder_of_the_header_key_only() {
        let (key, header, wire) = sealed(48, 100);
        let (tag, other) = outer_keys(&Secret::from([4; 32]));
        let outer = open_outer(&wire, &key).unwrap();
        assert_eq!((outer.sid(), outer.epoch(), outer.index()), (Sid([9; 16]), 5, 6));
        assert_eq!((outer.header.previous, outer.header.handshake), (7, vec![8; 48]));
        assert_eq!((outer.header_bytes, outer.body), (header, vec![4; 100]));
        assert_eq!(peek(&wire), Ok(outer.tag));
        assert_ne!(outer.tag, tag);
        assert_eq!(open_outer(&wire, &other), Err(OuterError::DoesNotOpen));
    }

    #[test]
    fn a_wire_has_one_of_five_lengths_and_any_other_is_refused_without_cryptography() {
        let lengths: std::collections::BTreeSet<usize> =
            (0..9_000).step_by(97).chain([16_000, 65_000]).map(|body| sealed(48, body).2.len()).collect();
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), BUCKETS.map(|bucket| bucket + AROUND));
        let (_, _, wire) = sealed(48, 100);
        assert_eq!(peek(&wire[1..]), Err(OuterError::Version(wire[1])));
        assert_eq!(peek(&wire[..wire.len() - 1]), Err(OuterError::Malformed));
        assert_eq!(peek(&[]), Err(OuterError::Malformed));
        assert_eq!(peek(&[2]), Err(OuterError::Version(2)));
    }

    #[test]
    fn an_offer_looks_like_any_envelope_and_is_told_from_messages_by_who_has_the_intro() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let intro = Secret::from([3; 32]);
        let wire = seal_offer(&intro, &[5; 2_000], &mut rng).unwrap();
        let (tag, key) = outer_keys(&intro);
        assert_eq!((peek(&wire), wire.len()), (Ok(tag), BUCKETS[2] + AROUND));
        assert_eq!(open_outer(&wire, &key).unwrap().offer(), Some(&[5; 2_000][..]));
        let (key, _, wire) = sealed(48, 100);
        assert_eq!(open_outer(&wire, &key).unwrap().offer(), None);
        assert!(seal_offer(&intro, &[0; MAX_BUNDLE + seal::SEAL_OVERHEAD], &mut rng).is_ok());
    }

    #[test]
    fn every_byte_of_a_wire_is_authenticated() {
        let (key, _, wire) = sealed(48, 100);
        for at in 0..wire.len() {
            let mut bad = wire.clone();
            bad[at] ^= 1;
            assert!(open_outer(&bad, &key).is_err(), "byte {at}");
        }
    }

    #[test]
    fn padding_is_zero_or_the_envelope_is_malformed() {
        let mut content = pad(&[1; 30], &[2; 10]).unwrap();
        assert_eq!(unpad(&content).map(<[u8]>::len), Some(40));
        *content.last_mut().unwrap() = 1;
        assert_eq!(unpad(&content), None);
        assert_eq!(unpad(&u32::MAX.to_be_bytes()), None);
        assert_eq!(pad(&[0; 30], &[0; 64 * 1024]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = peek(&bytes);
            let _ = unpad(&bytes);
            let _ = Outer::parse(Tag([0; 16]), &bytes);
            let (_, key) = outer_keys(&Secret::from([3; 32]));
            prop_assert!(open_outer(&bytes, &key).is_err());
        }
    }
}

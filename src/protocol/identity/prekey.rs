//! Prekeys: what a stranger starts a session with while their owner is away. One per device, newest seq wins, and one
//! more per open ticket. `crypto::start` uses both halves; the engine makes, stores and erases them.

use crate::protocol::{
    crypto::{kdf::hash, secret::Secret},
    identity::device::x25519_public,
    wire::{Malformed, decode, encode, limits::MAX_SEQ},
};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of an ML-KEM-768 encapsulation key (FIPS 203).
pub const KEM_PUBLIC: usize = 1184;
/// Bytes of an ML-KEM seed, `d ‖ z` (FIPS 203).
pub const KEM_SEED: usize = 64;

/// The public record. A bundle carries it as bytes; sessions bind its [`hash`](Self::hash).
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Prekey {
    /// Names it in a start.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: [u8; 8],
    /// The X25519 public key.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub x25519: [u8; 32],
    /// The ML-KEM-768 encapsulation key, not yet validated: `crypto::kem` does before it is used.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub kem_ek: [u8; KEM_PUBLIC],
    /// The newest counts.
    #[n(3)]
    pub seq: u64,
    #[cbor(skip)]
    hash: [u8; 32],
}

impl Prekey {
    /// The record in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let prekey: Self = decode(bytes, "prekey")?;
        if prekey.seq > MAX_SEQ {
            return Err(Malformed("prekey"));
        }
        Ok(Self { hash: hash(&[bytes]), ..prekey })
    }

    /// SHA-256 of the record's bytes as they were received or made.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

impl fmt::Debug for Prekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prekey").field("id", &self.id).field("seq", &self.seq).finish_non_exhaustive()
    }
}

/// A prekey just made: its public record and what must be kept secret, for `crypto::start` to keep.
pub struct NewPrekey {
    /// The public record.
    pub prekey: Prekey,
    /// The record's bytes, for the bundle.
    pub record: Vec<u8>,
    /// The X25519 private key.
    pub x25519: Secret,
    /// The seed of the ML-KEM key pair.
    pub kem_seed: Zeroizing<[u8; KEM_SEED]>,
}

impl fmt::Debug for NewPrekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPrekey").field("prekey", &self.prekey).finish_non_exhaustive()
    }
}

/// A fresh prekey. `kem_public` gives the encapsulation key of a seed; `seq` comes from
/// [`next_seq`](super::certificate::next_seq).
pub fn make(seq: u64, kem_public: fn(&[u8; KEM_SEED]) -> [u8; KEM_PUBLIC], rng: &mut dyn CryptoRng) -> NewPrekey {
    let mut id = [0; 8];
    rng.fill_bytes(&mut id);
    let x25519 = Secret::random(rng);
    let mut kem_seed = Zeroizing::new([0; KEM_SEED]);
    rng.fill_bytes(&mut *kem_seed);
    let public = Prekey {
        id,
        x25519: x25519_public(&x25519),
        kem_ek: kem_public(&kem_seed),
        seq: seq.min(MAX_SEQ),
        hash: [0; 32],
    };
    let record = encode(&public);
    NewPrekey { prekey: Prekey { hash: hash(&[&record]), ..public }, record, x25519, kem_seed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn kem(seed: &[u8; KEM_SEED]) -> [u8; KEM_PUBLIC] {
        [seed[0]; KEM_PUBLIC]
    }

    #[test]
    fn a_prekey_comes_back_with_the_hash_of_its_bytes() {
        let new = make(7, kem, &mut ChaCha20Rng::seed_from_u64(1));
        assert_eq!(Prekey::parse(&new.record).as_ref(), Ok(&new.prekey));
        assert_eq!(new.prekey.hash(), &hash(&[&new.record]));
        assert_eq!(new.prekey.x25519, x25519_public(&new.x25519));
        assert_eq!(new.prekey.kem_ek, kem(&new.kem_seed));
    }

    #[test]
    fn a_new_prekey_never_shows_its_private_half() {
        let new = make(7, kem, &mut ChaCha20Rng::seed_from_u64(1));
        assert_eq!(format!("{new:?}"), format!("NewPrekey {{ prekey: {:?}, .. }}", new.prekey));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Prekey::parse(&bytes);
        }
    }
}

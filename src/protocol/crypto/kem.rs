//! ML-KEM-768 (FIPS 203) behind own types: a private key is its 64-byte seed, a public key is valid by construction.
//!
//! Randomness is handed in. Called by `start` (the prekey) and `session` (recovery inside the ratchet).

use crate::protocol::crypto::secret::Secret;
use libcrux_ml_kem::mlkem768::{
    MlKem768Ciphertext, MlKem768KeyPair, MlKem768PublicKey, decapsulate, encapsulate, generate_key_pair,
    validate_public_key,
};
use minicbor::{Decode, Encode, bytes::ByteArray};
use rand_core::CryptoRng;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of an encapsulation key.
pub const EK_LEN: usize = 1_184;
/// Bytes of a ciphertext.
pub const CT_LEN: usize = 1_088;

/// The bytes are not an encapsulation key: another length, or coefficients past the modulus (FIPS 203 section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ML-KEM-768 encapsulation key")]
pub struct BadKemKey;

/// A private key: the seed `d ‖ z` from which FIPS 203 makes the pair. Erased when dropped, never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct KemSeed([u8; 64]);

impl KemSeed {
    /// A fresh private key.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut seed = [0; 64];
        rng.fill_bytes(&mut seed);
        Self(seed)
    }

    /// Its public key.
    pub fn public(&self) -> KemPublic {
        KemPublic(Box::new(*self.pair().pk()))
    }

    /// The secret inside `ct`. A ciphertext made for another key gives an unrelated secret, not an error (implicit
    /// rejection), so what is sealed under it does not open.
    pub fn decapsulate(&self, ct: &[u8; CT_LEN]) -> Secret {
        let (mut private, _) = self.pair().into_parts();
        let shared = Zeroizing::new(decapsulate(&private, &MlKem768Ciphertext::from(ct)));
        private[0..libcrux_ml_kem::mlkem768::MlKem768PrivateKey::len()].zeroize();
        Secret::from(*shared)
    }

    fn pair(&self) -> MlKem768KeyPair {
        generate_key_pair(self.0)
    }
}

impl From<[u8; 64]> for KemSeed {
    fn from(seed: [u8; 64]) -> Self {
        Self(seed)
    }
}

impl fmt::Debug for KemSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemSeed(…)")
    }
}

impl<C> Encode<C> for KemSeed {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for KemSeed {
    fn decode(d: &mut minicbor::Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(ByteArray::decode(d, ctx)?.into()))
    }
}

/// A public key that passed the check of FIPS 203 section 7.2.
#[derive(Clone, PartialEq, Eq)]
pub struct KemPublic(Box<[u8; EK_LEN]>);

impl KemPublic {
    /// The key in `bytes`, checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadKemKey> {
        let key = MlKem768PublicKey::try_from(bytes).map_err(|_| BadKemKey)?;
        if !validate_public_key(&key) {
            return Err(BadKemKey);
        }
        Ok(Self(Box::new(*key.as_slice())))
    }

    /// The bytes that travel.
    pub fn as_bytes(&self) -> &[u8; EK_LEN] {
        &self.0
    }

    /// A fresh secret for the holder of the private key, and the ciphertext that carries it.
    pub fn encapsulate(&self, rng: &mut dyn CryptoRng) -> (Box<[u8; CT_LEN]>, Secret) {
        let (ct, shared) = encapsulate(&MlKem768PublicKey::from(&*self.0), *Secret::random(rng).expose());
        let shared = Zeroizing::new(shared);
        (Box::new(*ct.as_slice()), Secret::from(*shared))
    }
}

impl fmt::Debug for KemPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemPublic(…)")
    }
}

impl<C> Encode<C> for KemPublic {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&*self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for KemPublic {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::parse(d.bytes()?).map_err(|_| minicbor::decode::Error::message("not an encapsulation key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ml_kem::{Decapsulate, DecapsulationKey768, KeyExport};
    use rand_chacha::{ChaCha20Rng, rand_core::Rng, rand_core::SeedableRng};

    #[test]
    fn two_implementations_agree_on_200_seeds() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for _ in 0..200 {
            let (mut seed, mut coins) = ([0; 64], [0; 32]);
            rng.fill_bytes(&mut seed);
            rng.fill_bytes(&mut coins);
            let ours = KemSeed::from(seed);
            let theirs = DecapsulationKey768::from_seed(seed.into());
            assert_eq!(ours.public().as_bytes()[..], theirs.encapsulation_key().to_bytes()[..]);

            let (ct, shared) = ours.public().encapsulate(&mut Fixed(coins));
            let (their_ct, their_shared) = theirs.encapsulation_key().encapsulate_deterministic(&coins.into());
            assert_eq!(ct[..], their_ct[..]);
            assert_eq!(shared.expose()[..], their_shared[..]);
            assert_eq!(ours.decapsulate(&ct), shared);

            // Implicit rejection too: the same unrelated secret for a ciphertext that was tampered with.
            let mut bad = *ct;
            bad[coins[0] as usize] ^= 1;
            let rejected = theirs.decapsulate(&bad.into());
            assert_eq!(ours.decapsulate(&bad).expose()[..], rejected[..]);
            assert_ne!(ours.decapsulate(&bad), shared);
        }
    }

    #[test]
    fn a_key_past_the_modulus_or_of_another_length_is_refused() {
        let key = KemSeed::from([7; 64]).public();
        assert_eq!(KemPublic::parse(key.as_bytes()), Ok(key.clone()));
        assert_eq!(KemPublic::parse(&key.as_bytes()[1..]), Err(BadKemKey));
        assert_eq!(KemPublic::parse(&[]), Err(BadKemKey));
        let mut past = *key.as_bytes();
        past[0] = 0xff;
        past[1] |= 0x0f;
        assert_eq!(KemPublic::parse(&past), Err(BadKemKey));
    }

    #[test]
    fn a_seed_is_never_shown() {
        assert_eq!(format!("{:?}", KemSeed::from([0x41; 64])), "KemSeed(…)");
    }

    /// Gives the same 32 bytes: the coins of one encapsulation.
    struct Fixed([u8; 32]);

    impl rand_core::TryRng for Fixed {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            unreachable!("only bytes are drawn")
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            unreachable!("only bytes are drawn")
        }
        fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Self::Error> {
            dest.copy_from_slice(&self.0);
            Ok(())
        }
    }

    impl rand_core::TryCryptoRng for Fixed {}
}

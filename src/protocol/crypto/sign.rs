//! Ed25519 with strict verification, and [`Verified`], the proof that it was done.

use crate::protocol::{crypto::labels, crypto::secret::Secret};
use ed25519_dalek::{Signature as DalekSignature, Signer, SigningKey as DalekKey, VerifyingKey};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

/// A private signing key. Its `Debug` shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct SigningKey(#[n(0)] Secret);

impl SigningKey {
    /// A fresh key.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    /// The key with this seed (RFC 8032).
    pub fn from_seed(seed: Secret) -> Self {
        Self(seed)
    }

    /// The seed, for libp2p's own copy of a transport key.
    pub fn seed(&self) -> &Secret {
        &self.0
    }

    /// Its public key.
    pub fn public(&self) -> [u8; 32] {
        self.dalek().verifying_key().to_bytes()
    }

    /// Signs "moim/1/sig-" ‖ `kind` ‖ the parts.
    pub fn sign(&self, kind: &str, parts: &[&[u8]]) -> Signature {
        Signature(self.dalek().sign(&message(kind, parts)).to_bytes())
    }

    fn dalek(&self) -> DalekKey {
        DalekKey::from_bytes(self.0.expose())
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// Whether `public` signed "moim/1/sig-" ‖ `kind` ‖ the parts. Strict: no small-order keys, no malleable forms.
    pub fn verify(&self, public: &[u8; 32], kind: &str, parts: &[&[u8]]) -> Result<(), BadSignature> {
        let key = VerifyingKey::from_bytes(public).map_err(|_| BadSignature)?;
        key.verify_strict(&message(kind, parts), &DalekSignature::from_bytes(&self.0)).map_err(|_| BadSignature)
    }
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signature(…)")
    }
}

impl<C> Encode<C> for Signature {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Signature {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(d.bytes()?.try_into().map_err(|_| minicbor::decode::Error::message("not 64 bytes"))?))
    }
}

/// The signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signature does not hold")]
pub struct BadSignature;

/// A value whose signatures were checked. Only this crate's `protocol` makes one, where it checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Call this only where the signature over the value's bytes has just been checked, or was made by us.
    pub(in crate::protocol) fn vouch(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

fn message(kind: &str, parts: &[&[u8]]) -> Vec<u8> {
    [labels::SIGNATURE.as_bytes(), kind.as_bytes(), &parts.concat()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn a_signature_holds_for_its_key_kind_and_bytes_only() {
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
        let (key, other) = (SigningKey::random(&mut rng), SigningKey::random(&mut rng));
        let signature = key.sign("op", &[b"hello"]);
        assert_eq!(signature.verify(&key.public(), "op", &[b"hel", b"lo"]), Ok(()));
        assert_eq!(signature.verify(&other.public(), "op", &[b"hello"]), Err(BadSignature));
        assert_eq!(signature.verify(&key.public(), "bundle", &[b"hello"]), Err(BadSignature));
        assert_eq!(signature.verify(&key.public(), "op", &[b"hullo"]), Err(BadSignature));
    }

    #[test]
    fn a_small_order_key_signs_nothing() {
        let identity = {
            let mut k = [0; 32];
            k[0] = 1;
            k
        };
        let forged = Signature({
            let mut s = [0; 64];
            s[0] = 1;
            s
        });
        assert_eq!(forged.verify(&identity, "op", &[b"anything"]), Err(BadSignature));
    }
}

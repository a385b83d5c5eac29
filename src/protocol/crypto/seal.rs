//! The two AEADs: ChaCha20-Poly1305 for keys used once, XChaCha20-Poly1305 with a random nonce for keys used often.

use crate::protocol::crypto::{
    kdf::{hash, kdf},
    secret::Secret,
};
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use rand_core::CryptoRng;

/// The bytes do not open: another key, other associated data, or tampered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed bytes do not open")]
pub struct DoesNotOpen;

/// Nonce in front of what [`seal`] makes, and tag behind it.
pub const SEAL_OVERHEAD: usize = 24 + 16;

/// ChaCha20-Poly1305 under a key that seals exactly once, hence with nonce 0.
pub fn seal_once(key: &Secret, ad: &[u8], plain: &[u8]) -> Vec<u8> {
    let cipher = ChaCha20Poly1305::new(&(*key.expose()).into());
    match cipher.encrypt(&[0; 12].into(), Payload { msg: plain, aad: ad }) {
        Ok(sealed) => sealed,
        Err(_) => unreachable!("ChaCha20-Poly1305 seals up to 256 GiB and limits are far below"),
    }
}

/// Opens what [`seal_once`] made.
pub fn open_once(key: &Secret, ad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
    let cipher = ChaCha20Poly1305::new(&(*key.expose()).into());
    cipher.decrypt(&[0; 12].into(), Payload { msg: sealed, aad: ad }).map_err(|_| DoesNotOpen)
}

/// nonce (24, random) ‖ XChaCha20-Poly1305.
pub fn seal(key: &Secret, ad: &[u8], plain: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    seal_under(nonce, key, ad, plain)
}

/// The same with a nonce that is a keyed hash of all that is sealed: the same bytes give the same seal, other bytes another
/// nonce. It shows that two seals are of the same bytes, and nothing else.
pub fn seal_alike(key: &Secret, label: &str, ad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 24];
    let length = (ad.len() as u64).to_be_bytes();
    nonce.copy_from_slice(&kdf(key.expose(), label, &[&length, ad, &hash(&[plain])]).expose()[..24]);
    seal_under(nonce, key, ad, plain)
}

fn seal_under(nonce: [u8; 24], key: &Secret, ad: &[u8], plain: &[u8]) -> Vec<u8> {
    let cipher = XChaCha20Poly1305::new(&(*key.expose()).into());
    match cipher.encrypt(&nonce.into(), Payload { msg: plain, aad: ad }) {
        Ok(sealed) => [&nonce[..], &sealed].concat(),
        Err(_) => unreachable!("XChaCha20-Poly1305 seals up to 256 GiB and limits are far below"),
    }
}

/// Opens what [`seal`] made.
pub fn open(key: &Secret, ad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
    let (nonce, body) = sealed.split_first_chunk::<24>().ok_or(DoesNotOpen)?;
    let cipher = XChaCha20Poly1305::new(&(*key.expose()).into());
    cipher.decrypt(&(*nonce).into(), Payload { msg: body, aad: ad }).map_err(|_| DoesNotOpen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn sealed_bytes_open_with_their_key_and_data_only() {
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
        let (key, other) = (Secret::random(&mut rng), Secret::random(&mut rng));
        let sealed = seal(&key, b"ad", b"plain", &mut rng);
        assert_eq!(sealed.len(), 5 + SEAL_OVERHEAD);
        assert_eq!(open(&key, b"ad", &sealed).as_deref(), Ok(&b"plain"[..]));
        assert_eq!(open(&other, b"ad", &sealed), Err(DoesNotOpen));
        assert_eq!(open(&key, b"da", &sealed), Err(DoesNotOpen));
        assert_eq!(open(&key, b"ad", &sealed[1..]), Err(DoesNotOpen));
        assert_eq!(open(&key, b"ad", b""), Err(DoesNotOpen));
        let alike = seal_alike(&key, "nonce", b"ad", b"plain");
        assert_eq!(alike, seal_alike(&key, "nonce", b"ad", b"plain"));
        assert_eq!(open(&key, b"ad", &alike).as_deref(), Ok(&b"plain"[..]));
        let nonces = [&alike, &seal_alike(&key, "nonce", b"ad", b"plaim"), &seal_alike(&key, "nonce", b"a", b"dplain")];
        assert_eq!(nonces.map(|sealed| &sealed[..24]).into_iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
        let once = seal_once(&key, b"ad", b"plain");
        assert_eq!(open_once(&key, b"ad", &once).as_deref(), Ok(&b"plain"[..]));
        assert_eq!(open_once(&other, b"ad", &once), Err(DoesNotOpen));
    }
}

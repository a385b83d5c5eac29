//! SHA-256 and HKDF-SHA256 as the protocol uses them.

use crate::protocol::crypto::secret::Secret;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

/// SHA-256 of the parts, one after the other. Callers give parts of fixed width, or none but the last of free width.
pub fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut state = Sha256::new();
    for part in parts {
        state.update(part);
    }
    state.finalize().into()
}

/// `KDF(key, label)`: 32 bytes of HKDF-SHA256 with salt = key, input = label ‖ context, and no info.
pub fn kdf(key: &[u8; 32], label: &str, context: &[&[u8]]) -> Secret {
    let mut out = [0; 32];
    expand(key, label, context, &mut out);
    Secret::from(out)
}

/// `KDF(key, label)` of 64 bytes, as a pair.
pub fn kdf_pair(key: &[u8; 32], label: &str, context: &[&[u8]]) -> (Secret, Secret) {
    let mut out = [0; 64];
    expand(key, label, context, &mut out);
    let (mut first, mut second) = ([0; 32], [0; 32]);
    first.copy_from_slice(&out[..32]);
    second.copy_from_slice(&out[32..]);
    zeroize::Zeroize::zeroize(&mut out);
    (Secret::from(first), Secret::from(second))
}

/// HKDF-SHA256 with all four parts named (RFC 5869), 32 bytes.
pub fn hkdf(salt: &[u8], input: &[&[u8]], info: &[u8]) -> Secret {
    let mut out = [0; 32];
    let mut joined = zeroize::Zeroizing::new(input.concat());
    fill(&Hkdf::<Sha256>::new(Some(salt), &joined), info, &mut out);
    zeroize::Zeroize::zeroize(&mut *joined);
    Secret::from(out)
}

fn expand(key: &[u8; 32], label: &str, context: &[&[u8]], out: &mut [u8]) {
    let input = zeroize::Zeroizing::new([label.as_bytes(), &context.concat()].concat());
    fill(&Hkdf::<Sha256>::new(Some(key), &input), &[], out);
}

fn fill(kdf: &Hkdf<Sha256>, info: &[u8], out: &mut [u8]) {
    if kdf.expand(info, out).is_err() {
        unreachable!("HKDF-SHA256 gives up to 8,160 bytes and at most 64 are asked for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hkdf_matches_rfc_5869_test_case_1() {
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let salt: Vec<u8> = (0..=0x0c).collect();
        let out = hkdf(&salt, &[&[0x0b; 22]], &info);
        assert_eq!(hex::encode(out.expose()), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    }

    #[test]
    fn a_label_and_its_context_change_the_key() {
        let key = [7; 32];
        assert_ne!(kdf(&key, "a", &[]), kdf(&key, "b", &[]));
        assert_ne!(kdf(&key, "a", &[]), kdf(&key, "a", &[b"x"]));
    }
}

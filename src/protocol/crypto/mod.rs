//! Cryptography: the primitives behind own types, and the Noise-chained ratchet built from them.
//!
//! Pure functions of their arguments. Randomness is handed in as a [`rand_core::CryptoRng`]; nothing here logs.

pub mod envelope;
pub mod kdf;
pub mod labels;
pub mod seal;
pub mod secret;
pub mod sign;

//! Cryptography: the primitives behind own types, and the Noise-chained ratchet built from them.
//!
//! Pure functions of their arguments. Randomness is handed in as a [`rand_core::CryptoRng`]; nothing here logs.

pub mod envelope;
pub mod kdf;
pub mod kem;
pub mod labels;
pub mod noise;
pub mod seal;
pub mod secret;
pub mod session;
pub mod sign;
pub mod start;

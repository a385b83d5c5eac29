//! The clock and the randomness that the pure heart is given.

use crate::protocol::time::Millis;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// The system's clock. Before 1970 it is 1970.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(since.as_millis().try_into().unwrap_or(Millis::MAX.0)).min(Millis::MAX)
}

/// A generator of its own, seeded by the operating system.
pub(super) fn randomness() -> Result<ChaCha20Rng, getrandom::Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed)?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

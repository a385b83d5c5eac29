//! Chance by seed: the one source of everything random in a simulated world, so that a seed is a whole history.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

/// A generator for one seed and purpose.
#[derive(Debug)]
pub(super) struct Chance(ChaCha20Rng);

impl Chance {
    pub(super) fn new(seed: u64, purpose: u8) -> Self {
        Self(generator(seed, purpose))
    }

    /// A number from `least` to `most`, both included.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.next_u64() % (most.saturating_sub(least) + 1)
    }

    /// Whether something happens that happens so many times in a thousand.
    pub(super) fn permille(&mut self, often: u64) -> bool {
        often > 0 && self.0.next_u64() % 1000 < often
    }

    /// One of `count` things, by index.
    pub(super) fn index(&mut self, count: usize) -> usize {
        self.between(0, (count.max(1) - 1) as u64) as usize
    }

    /// A mean wait of `mean` milliseconds; never zero, never beyond four times that.
    pub(super) fn about(&mut self, mean: u64) -> u64 {
        self.between(1, mean.max(1)) + self.between(0, mean)
    }
}

/// The generator that a device is given, or the world has for itself.
pub(super) fn generator(seed: u64, purpose: u8) -> ChaCha20Rng {
    let mut bytes = [purpose; 32];
    let (start, _) = bytes.split_at_mut(8);
    start.copy_from_slice(&seed.to_le_bytes());
    ChaCha20Rng::from_seed(bytes)
}

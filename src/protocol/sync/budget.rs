//! What one peer may ask of this device in a while: a bucket that fills by itself.

use crate::protocol::time::Millis;

/// So much at once, and so much a second for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    left: u64,
    most: u64,
    a_second: u64,
    filled: Millis,
}

impl Budget {
    /// A full one.
    pub fn new(most: u64, a_second: u64, now: Millis) -> Self {
        Self { left: most, most, a_second, filled: now }
    }

    /// What may be taken now.
    pub fn left(&mut self, now: Millis) -> u64 {
        let passed = u64::try_from(now.since(self.filled).as_millis()).unwrap_or(u64::MAX);
        let more = passed.saturating_mul(self.a_second) / 1000;
        // A clock that was set back fills nothing and takes nothing; a rest below one unit goes on being counted.
        if more > 0 || now < self.filled {
            self.left = self.left.saturating_add(more).min(self.most);
            self.filled = now;
        }
        self.left
    }

    /// Takes this much. Where there is less, it takes nothing and says so.
    pub fn take(&mut self, amount: u64, now: Millis) -> bool {
        match self.left(now).checked_sub(amount) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_what_it_has_and_then_only_what_flows_in() {
        let at = |ms: u64| Millis(1_000_000 + ms);
        let mut budget = Budget::new(10, 2, at(0));
        assert!(budget.take(10, at(0)) && !budget.take(1, at(400)));
        assert!(budget.take(1, at(500)) && !budget.take(1, at(500)), "two a second, also in small steps");
        assert_eq!(budget.left(at(60_000)), 10, "never more than it holds");
        assert!(budget.take(3, at(0)), "a clock set back stops nobody");
        assert_eq!(budget.left(at(500)), 8);
    }
}

//! Safety numbers: what two people compare to know that nobody stands between them. Shown by every view, and typed or
//! scanned back at `verify`.
//!
//! A fingerprint is 30 digits of an account. `h₁ = SHA-512("moim/1/fingerprint" ‖ AK)`, `hᵢ = SHA-512(hᵢ₋₁ ‖ AK)`; of
//! `h₅₂₀₀` each of the first six groups of 5 bytes, big-endian, modulo 100,000 gives five digits. That is about 99
//! bits, and the repetition makes each try of who looks for a similar one 5,200 times as dear. A safety number is both
//! sides' fingerprints, the lesser first, so that it is the same on both screens.

use crate::protocol::{crypto::labels, ids::AccountId};
use sha2::{Digest, Sha512};
use std::{fmt, str::FromStr};

const ROUNDS: usize = 5_200;
const FINGERPRINT_DIGITS: usize = 30;
/// Digits of a safety number.
pub const SAFETY_DIGITS: usize = 2 * FINGERPRINT_DIGITS;
/// Digits are shown and read aloud in groups of this many.
const GROUP: usize = 5;
/// Characters looked at of a typed number: digits with a separator behind each, and some to spare.
const MAX_TYPED: usize = 4 * SAFETY_DIGITS;

/// Thirty digits that stand for an account. Computing them takes some milliseconds: keep them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of an account.
    pub fn of(account: AccountId) -> Self {
        let mut state = Sha512::new().chain_update(labels::FINGERPRINT).chain_update(account.0).finalize();
        for _ in 1..ROUNDS {
            state = Sha512::new().chain_update(state).chain_update(account.0).finalize();
        }
        let groups = state.chunks_exact(5).take(FINGERPRINT_DIGITS / GROUP);
        Self(groups.map(|bytes| format!("{:05}", big_endian(bytes) % 100_000)).collect())
    }

    /// The 30 digits.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

/// Sixty digits that stand for two accounts, the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafetyNumber(String);

impl SafetyNumber {
    /// The safety number of two accounts, in either order.
    pub fn of(one: &Fingerprint, other: &Fingerprint) -> Self {
        Self(format!("{}{}", one.min(other).0, one.max(other).0))
    }

    /// The 60 digits.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl FromStr for SafetyNumber {
    type Err = SafetyNumberError;

    /// Reads a number as people type it: spaces, line ends, dashes, dots between the digits are passed over.
    fn from_str(text: &str) -> Result<Self, SafetyNumberError> {
        let mut digits = String::with_capacity(SAFETY_DIGITS);
        for typed in text.chars().take(MAX_TYPED) {
            match typed {
                '0'..='9' => digits.push(typed),
                '-' | '‐' | '‑' | '–' | '—' | '.' => {}
                space if space.is_whitespace() => {}
                _ => return Err(SafetyNumberError::NotADigit { after: digits.len() }),
            }
        }
        if digits.len() != SAFETY_DIGITS {
            return Err(SafetyNumberError::Count { found: digits.len() });
        }
        Ok(Self(digits))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        grouped(&self.0, f)
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        grouped(&self.0, f)
    }
}

/// Why a typed text is not a safety number. That it is another one is not an error: compare with `==`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SafetyNumberError {
    /// Neither a digit nor something between digits.
    #[error("a safety number has digits only: something else stands after digit {after}")]
    NotADigit {
        /// How many digits came before it.
        after: usize,
    },
    /// Too few or too many digits.
    #[error("a safety number has {SAFETY_DIGITS} digits, and {found} were found")]
    Count {
        /// How many there were (counting stops soon after 60).
        found: usize,
    },
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn grouped(digits: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, digit) in digits.chars().enumerate() {
        let separator = if i > 0 && i % GROUP == 0 { " " } else { "" };
        write!(f, "{separator}{digit}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> SafetyNumber {
        SafetyNumber::of(&Fingerprint::of(AccountId([1; 32])), &Fingerprint::of(AccountId([2; 32])))
    }

    #[test]
    fn a_fingerprint_never_changes() {
        // Computed apart, by Python's hashlib.
        assert_eq!(Fingerprint::of(AccountId([1; 32])).to_string(), "12810 30733 87343 89337 23237 09651");
        assert_eq!(Fingerprint::of(AccountId([2; 32])).to_string(), "85953 90814 56798 42278 66599 64321");
    }

    #[test]
    fn a_safety_number_is_the_same_on_both_sides() {
        let (a, b) = (Fingerprint::of(AccountId([1; 32])), Fingerprint::of(AccountId([2; 32])));
        assert_eq!(SafetyNumber::of(&a, &b), SafetyNumber::of(&b, &a));
        assert_eq!(number().digits().len(), SAFETY_DIGITS);
    }

    #[test]
    fn a_number_is_read_as_people_type_it() {
        assert_eq!(number().to_string().parse(), Ok(number()));
        assert_eq!(number().digits().parse(), Ok(number()));
        assert_eq!(number().to_string().replace(' ', " - \n").parse(), Ok(number()));
        assert_eq!("12345".parse::<SafetyNumber>(), Err(SafetyNumberError::Count { found: 5 }));
        assert_eq!("12 three".parse::<SafetyNumber>(), Err(SafetyNumberError::NotADigit { after: 2 }));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,300}") {
            let _ = text.parse::<SafetyNumber>();
        }
    }
}

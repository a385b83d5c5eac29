//! The 24 words (BIP-39, English) that are the whole of an account. They promise to be read as people write them down:
//! any case, numbered, on many lines; and to say which word is wrong. Never in `Debug`, erased when dropped.

use crate::protocol::{
    crypto::{kdf::kdf, labels, secret::Secret},
    ids::base32,
};
use bip39::{Language, Mnemonic};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use std::fmt;
use zeroize::Zeroizing;

/// How many words there are: 32 bytes of entropy and one of checksum, 11 bits a word.
pub const WORD_COUNT: usize = 24;
/// Words looked at of what was typed; more is not a list of words at all.
const MAX_TYPED: usize = 2 * WORD_COUNT;
/// The longest word on the list has 8 letters: what is longer than this is close to none.
const MAX_COMPARED: usize = 16;
/// A suggestion is at most this many edits away.
const MAX_EDITS: usize = 2;
/// Suggestions for one unknown word.
const MAX_SUGGESTIONS: usize = 3;

/// The words of an account, held as their 32 bytes of entropy.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Words(#[n(0)] Secret);

impl Words {
    /// Words of a new account.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    /// The words that stand for this entropy.
    pub fn from_entropy(entropy: Secret) -> Self {
        Self(entropy)
    }

    /// The words in a text. Whatever stands between letters (spaces, commas, numbers, line ends) parts them.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        let mut indices = Zeroizing::new([0u16; WORD_COUNT]);
        let mut count = 0;
        for typed in text.split(|c: char| !c.is_alphabetic()).filter(|typed| !typed.is_empty()).take(MAX_TYPED) {
            let index = look_up(typed, count + 1)?;
            if let Some(slot) = indices.get_mut(count) {
                *slot = index;
            }
            count += 1;
        }
        if count != WORD_COUNT {
            return Err(WordsError::Count { found: count });
        }
        let list = Language::English.word_list();
        let known = indices.iter().filter_map(|&index| list.get(usize::from(index)).copied());
        let phrase = Zeroizing::new(known.collect::<Vec<_>>().join(" "));
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &phrase).map_err(|_| WordsError::Checksum)?;
        let bytes = Zeroizing::new(mnemonic.to_entropy_array().0);
        let entropy = bytes.first_chunk::<32>().copied().ok_or(WordsError::Checksum)?;
        Ok(Self(Secret::from(entropy)))
    }

    /// The 24 words with single spaces, to be shown to their owner and nowhere else.
    pub fn phrase(&self) -> Zeroizing<String> {
        match Mnemonic::from_entropy_in(Language::English, self.0.expose()) {
            Ok(mnemonic) => Zeroizing::new(mnemonic.to_string()),
            Err(_) => unreachable!("BIP-39 takes 32 bytes of entropy"),
        }
    }

    /// The passphrase of this account's backups, `base32(KDF(entropy, "moim/1/backup-file"))`: whoever has the words can
    /// open them, and nobody else, with a quantum computer or without.
    pub fn backup_passphrase(&self) -> Zeroizing<String> {
        Zeroizing::new(base32(kdf(self.0.expose(), labels::BACKUP, &[]).expose()))
    }

    /// The 32 bytes behind the words.
    pub(in crate::protocol::identity) fn entropy(&self) -> &Secret {
        &self.0
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(…)")
    }
}

/// Why a text is not the words of an account. `Display` is for their owner; `Debug` holds no word.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// A word that is not on the list.
    #[error("word {position}, \"{}\", is not on the list{}", word.as_str(), did_you_mean(nearest))]
    Unknown {
        /// Its place, from 1.
        position: usize,
        /// The word as typed, letters only, cut to a sane length.
        word: Zeroizing<String>,
        /// Words of the list that are close to it, nearest first.
        nearest: Vec<&'static str>,
    },
    /// More or fewer than 24.
    #[error("there must be {WORD_COUNT} words, and {found} were found: look for one left out or written twice")]
    Count {
        /// How many there were (counting stops at 48).
        found: usize,
    },
    /// All words are known, but not these together.
    #[error("the checksum does not fit: a word was mistaken for another, or two changed places")]
    Checksum,
}

impl fmt::Debug for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { position, .. } => write!(f, "Unknown {{ position: {position} }}"),
            Self::Count { found } => write!(f, "Count {{ found: {found} }}"),
            Self::Checksum => f.write_str("Checksum"),
        }
    }
}

fn did_you_mean(nearest: &[&str]) -> String {
    match nearest {
        [] => ": see whether two words ran together".to_owned(),
        some => format!(": did you mean {}?", some.join(" or ")),
    }
}

/// The index of a word that was typed at `position`.
fn look_up(typed: &str, position: usize) -> Result<u16, WordsError> {
    let word: Zeroizing<String> =
        Zeroizing::new(typed.chars().flat_map(char::to_lowercase).take(2 * MAX_COMPARED).collect());
    if let Some(index) = Language::English.find_word(&word) {
        return Ok(index);
    }
    let nearest = nearest(&word);
    Err(WordsError::Unknown { position, word, nearest })
}

fn nearest(word: &str) -> Vec<&'static str> {
    if word.chars().count() > MAX_COMPARED {
        return Vec::new();
    }
    let mut close: Vec<(usize, &'static str)> = Language::English
        .word_list()
        .iter()
        .map(|known| (edits(word, known), *known))
        .filter(|(edits, _)| *edits <= MAX_EDITS)
        .collect();
    close.sort_unstable();
    close.into_iter().take(MAX_SUGGESTIONS).map(|(_, known)| known).collect()
}

/// Letters to insert, remove, replace or swap with their neighbour to make `b` of `a`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    // Three rows of the usual table: two back (for swaps), one back, and the one being filled.
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (i, letter) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut row = vec![left];
        let mut last_b = None;
        for (j, &other) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&above, j) + usize::from(letter != other);
            let mut best = replaced.min(at(&above, j + 1) + 1).min(left + 1);
            if last_a == Some(other) && last_b == Some(letter) && j > 0 {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
            (left, last_b) = (best, Some(other));
        }
        before = std::mem::replace(&mut above, row);
        last_a = Some(letter);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words() -> Words {
        Words::from_entropy(Secret::from([7; 32]))
    }

    #[test]
    fn words_match_bip_39() {
        // Trezor's vectors, 256 bits.
        let zeros = Words::from_entropy(Secret::from([0; 32]));
        assert_eq!(*zeros.phrase(), format!("{}art", "abandon ".repeat(23)));
        let ones = Words::from_entropy(Secret::from([0xff; 32]));
        assert_eq!(*ones.phrase(), format!("{}vote", "zoo ".repeat(23)));
    }

    #[test]
    fn words_are_read_as_people_write_them_down() {
        let phrase = words().phrase();
        let numbered: String =
            phrase.split(' ').enumerate().map(|(i, word)| format!("{}. {},\r\n", i + 1, word.to_uppercase())).collect();
        assert_eq!(Words::parse(&numbered), Ok(words()));
    }

    #[test]
    fn a_mistyped_word_is_named_with_those_near_it() {
        let text = words().phrase().splitn(3, ' ').last().map(|rest| format!("alone abnadon {rest}")).unwrap();
        let error = Words::parse(&text).unwrap_err();
        assert_eq!(error.to_string(), "word 2, \"abnadon\", is not on the list: did you mean abandon?");
        assert_eq!(format!("{error:?}"), "Unknown { position: 2 }");
        assert!(
            Words::parse("abandonability").unwrap_err().to_string().ends_with("see whether two words ran together")
        );
    }

    #[test]
    fn a_wrong_count_and_a_wrong_checksum_are_told_apart() {
        let phrase = words().phrase();
        let fewer = phrase.rsplit_once(' ').unwrap().0;
        assert_eq!(Words::parse(fewer), Err(WordsError::Count { found: 23 }));
        assert_eq!(Words::parse(&format!("{} zoo", *phrase)), Err(WordsError::Count { found: 25 }));
        assert_eq!(Words::parse(""), Err(WordsError::Count { found: 0 }));
        assert_eq!(Words::parse(&format!("{fewer} zoo")), Err(WordsError::Checksum));
    }

    #[test]
    fn words_are_never_shown() {
        assert_eq!(format!("{:?}", words()), "Words(…)");
    }

    #[test]
    fn edits_count_letters_and_swaps() {
        for (a, b, n) in
            [("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("acb", "abc", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(edits(a, b), n, "{a} {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_entropy_comes_back_from_its_words(entropy: [u8; 32]) {
            let words = Words::from_entropy(Secret::from(entropy));
            prop_assert_eq!(Words::parse(&words.phrase()), Ok(words));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = Words::parse(&text).map_err(|error| error.to_string());
        }
    }
}

//! The form in which texts are compared, and the grams of a text.
//!
//! Every letter, every pair of letters and, in scripts with few letters, every three letters in a row are grams. Hangul
//! and Han have so many letters that a pair says as much as three of the others. Grams are kept as 28 bits of a hash under
//! a secret of the chat, so that nobody can write texts that fill one bucket.

use unicode_normalization::UnicodeNormalization;

/// 28 bits: among the 65,000 grams of a large segment a gram that is not there is taken for one that is with a
/// probability under 1 in 4,000.
pub type Gram = u32;

/// The bits of a [`Gram`].
pub const GRAM_BITS: u32 = 28;
/// Scripts from here on (radicals, Kana, Hangul, Han) have many letters. Conjoining Jamo are syllables after NFKC.
const MANY_LETTERS: char = '\u{2e80}';
/// Grams of a needle that are asked for: more would cost more than they rule out.
const ASKED: usize = 8;

/// What a text is compared as: compatibility forms, case and the kind and number of white space make no difference.
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut push = |letter: char| match letter {
        _ if !letter.is_whitespace() => out.push(letter),
        _ if !out.ends_with(' ') => out.push(' '),
        _ => {}
    };
    if text.is_ascii() {
        text.chars().map(|letter| letter.to_ascii_lowercase()).for_each(&mut push);
    } else {
        // Lower case may decompose, hence once more.
        text.nfkc().flat_map(char::to_lowercase).map(plain_sigma).nfkc().for_each(&mut push);
    }
    out
}

/// A word's last sigma is the same letter.
fn plain_sigma(letter: char) -> char {
    if letter == 'ς' { 'σ' } else { letter }
}

/// The grams of a normalised text, ascending, each once.
pub fn grams(secret: u64, normalised: &str) -> Vec<Gram> {
    let mut grams = Vec::with_capacity(normalised.len() * 3);
    let (mut before, mut last) = (None, None);
    for letter in normalised.chars() {
        grams.push(gram(secret, &[letter]));
        if let Some(last) = last {
            grams.push(gram(secret, &[last, letter]));
            if let Some(before) = before
                && is_alphabetic(&[before, last, letter])
            {
                grams.push(gram(secret, &[before, last, letter]));
            }
        }
        (before, last) = (last, Some(letter));
    }
    grams.sort_unstable();
    grams.dedup();
    grams
}

fn is_alphabetic(letters: &[char; 3]) -> bool {
    letters.iter().all(|letter| *letter < MANY_LETTERS)
}

fn gram(secret: u64, letters: &[char]) -> Gram {
    let packed = letters.iter().fold(0u64, |packed, letter| packed << 21 | u64::from(u32::from(*letter)));
    // The finaliser of SplitMix64: every bit of the letters moves every bit of the gram.
    let mut mixed = packed.wrapping_add(secret);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> (64 - GRAM_BITS)) as Gram
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle(String);

impl Needle {
    /// A needle; `None` where nothing but white space is left of it.
    pub fn new(typed: &str) -> Option<Self> {
        let normalised = normalise(typed);
        let trimmed = normalised.trim();
        (!trimmed.is_empty()).then(|| Self(trimmed.to_owned()))
    }

    /// Whether a text holds it.
    pub fn is_in(&self, text: &str) -> bool {
        normalise(text).contains(&self.0)
    }

    /// Grams that every text that holds it has: the longest there are, at most eight.
    pub fn grams(&self, secret: u64) -> Vec<Gram> {
        let letters: Vec<char> = self.0.chars().collect();
        if let [letter] = letters[..] {
            return vec![gram(secret, &[letter])];
        }
        let mut grams = Vec::new();
        let mut covered = false;
        for (at, pair) in letters.windows(2).enumerate() {
            let three = letters.get(at..).and_then(|rest| rest.first_chunk()).filter(|three| is_alphabetic(three));
            match three {
                Some(three) => grams.push(gram(secret, three)),
                None if !covered => grams.push(gram(secret, pair)),
                None => {}
            }
            covered = three.is_some();
        }
        // Spread over its length: neighbours say nearly the same.
        let step = grams.len().div_ceil(ASKED).max(1);
        grams.into_iter().step_by(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_width_jamo_and_white_space_make_no_difference() {
        let finds = |needle: &str, text: &str| Needle::new(needle).unwrap().is_in(text);
        assert!(finds("STRASSE", "die Strasse"));
        assert!(finds("ΟΔΟΣ", "οδός οδος"));
        assert!(finds("ａｂｃ１", "xABC1"));
        assert!(finds("한글", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"));
        assert!(finds("two  words", "two\n\twords"));
        assert!(finds("\u{130}stanbul", "I\u{307}STANBUL"));
        assert!(!finds("하", "한글"), "a syllable is one letter");
        assert_eq!(Needle::new(" \n"), None);
    }

    proptest! {
        #[test]
        fn whatever_a_text_holds_its_grams_are_among_the_texts(
            text in "(\\PC|[a-d가-갓ß İΣσς]){0,40}", from in 0usize..40, len in 1usize..14, secret: u64,
        ) {
            let normalised = normalise(&text);
            let part: String = normalised.chars().skip(from).take(len).collect();
            let Some(needle) = Needle::new(&part) else { return Ok(()) };
            if needle.is_in(&text) {
                let all = grams(secret, &normalised);
                for asked in needle.grams(secret) {
                    prop_assert!(all.binary_search(&asked).is_ok());
                }
            }
        }

        #[test]
        fn an_ascii_text_is_normalised_as_any_other(text in "[ -~\n\t]{0,30}") {
            let marked = normalise(&format!("{text}가"));
            prop_assert_eq!(normalise(&text), marked.strip_suffix('가').unwrap());
        }
    }
}

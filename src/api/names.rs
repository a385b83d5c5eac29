//! What a person means by what they typed: a name, an id, the beginning of an id.
//!
//! The order: exact id, then exact name (in Unicode's composed form, NFC), then an id's beginning of at least
//! [`MIN_PREFIX`] characters. `@name` means a contact, `#name` a group, `me` oneself. Pure: the node hands in what there
//! is. A newcomer can choose its own name, never another's id, so ids go first and several matches are never guessed at.

use crate::api::error::{ApiError, Choice, Reason};
use crate::protocol::{identity::profile::OWN_CHAT, ids::from_base32};
use unicode_normalization::UnicodeNormalization;

/// The shortest beginning of an id that stands for it: 30 bits, so that a chance match is rare.
pub const MIN_PREFIX: usize = 6;
/// How many guesses are offered for a name that is not there.
const MAX_GUESSES: usize = 3;
/// Letters of an id.
const ID_LENGTH: usize = 52;

/// Something that can be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What it is.
    pub kind: Kind,
    /// Its id, as text.
    pub id: String,
    /// A second id that means it too: the chat with a contact.
    pub also: Option<String>,
    /// Its local name.
    pub name: String,
}

/// What can be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    Contact,
    /// A group.
    Group,
    /// Notes to self.
    Own,
}

/// What was meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Resolution<'a> {
    /// This one.
    One(&'a Candidate),
    /// Any of these.
    Several(Vec<&'a Candidate>),
    /// None; these are spelled nearly so, the nearest first.
    Nothing(Vec<&'a Candidate>),
}

/// Finds what `typed` means among `candidates`.
pub fn resolve<'a>(candidates: &'a [Candidate], typed: &str) -> Resolution<'a> {
    if typed == OWN_CHAT
        && let Some(own) = candidates.iter().find(|candidate| candidate.kind == Kind::Own)
    {
        return Resolution::One(own);
    }
    let (kind, text) = match (typed.strip_prefix('@'), typed.strip_prefix('#')) {
        (Some(name), _) => (Some(Kind::Contact), name),
        (_, Some(name)) => (Some(Kind::Group), name),
        _ => (None, typed),
    };
    let fitting: Vec<&Candidate> =
        candidates.iter().filter(|candidate| kind.is_none_or(|kind| kind == candidate.kind)).collect();
    let lower = text.to_ascii_lowercase();
    let composed: String = text.nfc().collect();

    let by_id = |candidate: &&Candidate| candidate.ids().any(|id| id == lower);
    // What has no name is not meant by nothing.
    let by_name = |candidate: &&Candidate| !composed.is_empty() && candidate.name.nfc().eq(composed.chars());
    let by_prefix =
        |candidate: &&Candidate| lower.len() >= MIN_PREFIX && candidate.ids().any(|id| id.starts_with(&lower));
    let rules: [&dyn Fn(&&Candidate) -> bool; 3] = [&by_id, &by_name, &by_prefix];
    for rule in rules {
        let mut found: Vec<_> = fitting.iter().copied().filter(|candidate| rule(candidate)).collect();
        match found.len() {
            0 => continue,
            1 => return Resolution::One(found.remove(0)),
            _ => return Resolution::Several(found),
        }
    }
    let names: Vec<&str> = fitting.iter().map(|candidate| candidate.name.as_str()).collect();
    Resolution::Nothing(nearest(&names, text).into_iter().map(|at| fitting[at]).collect())
}

impl Candidate {
    fn ids(&self) -> impl Iterator<Item = &str> {
        [Some(self.id.as_str()), self.also.as_deref()].into_iter().flatten()
    }
}

impl<'a> Resolution<'a> {
    /// The one that was meant.
    ///
    /// # Errors
    /// `ambiguous` with the choices; `missing` with the nearest name where there is none.
    pub fn one(self, typed: &str, missing: Reason) -> Result<&'a Candidate, ApiError> {
        match self {
            Self::One(candidate) => Ok(candidate),
            Self::Several(candidates) => Err(ambiguous(typed, &candidates)),
            Self::Nothing(nearest) => {
                let error = ApiError::new(missing).with("given", typed);
                Err(match nearest.first() {
                    Some(candidate) => error.suggesting(&candidate.name),
                    None => error,
                })
            }
        }
    }
}

fn ambiguous(typed: &str, candidates: &[&Candidate]) -> ApiError {
    let list: Vec<String> =
        candidates.iter().map(|candidate| format!("{} ({:.8}…)", candidate.name, candidate.id)).collect();
    let mut error = ApiError::new(Reason::Ambiguous).with("given", typed).with("candidates", list.join(", "));
    error.choices =
        candidates.iter().map(|candidate| Choice { id: candidate.id.clone(), name: candidate.name.clone() }).collect();
    error
}

/// The places of those `known` words that are spelled nearly as `typed`, the nearest first, at most three.
pub fn nearest(known: &[&str], typed: &str) -> Vec<usize> {
    let typed: Vec<char> = typed.to_lowercase().chars().take(64).collect();
    let allowed = 1 + typed.len() / 4;
    let mut near: Vec<(usize, usize)> = known
        .iter()
        .enumerate()
        .map(|(at, word)| {
            let word: Vec<char> = word.to_lowercase().chars().take(64).collect();
            // A word that is gone on with is near, however much is missing.
            let begun = typed.len() >= 3 && word.starts_with(&typed);
            (if begun { 1 } else { distance(&word, &typed) }, at)
        })
        .filter(|(distance, at)| *distance <= allowed && *distance < known[*at].chars().count())
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, at)| at).take(MAX_GUESSES).collect()
}

/// Letters to insert, remove or replace (Levenshtein).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The lowest and the highest id that begin with `prefix`, so that a store can look them up as a range.
/// `None` where it is no beginning of an id, or shorter than [`MIN_PREFIX`].
pub fn id_range(prefix: &str) -> Option<([u8; 32], [u8; 32])> {
    let prefix = prefix.to_ascii_lowercase();
    if !(MIN_PREFIX..=ID_LENGTH).contains(&prefix.len()) || !prefix.is_ascii() {
        return None;
    }
    // 56 characters are a whole number of bytes: 35. An id's 52 carry 256 bits and 4 that are zero.
    let filled = |with: char| -> Option<[u8; 32]> {
        let text: String = prefix.chars().chain(std::iter::repeat(with)).take(56).collect();
        from_base32(&text)?.get(..32)?.try_into().ok()
    };
    Some((filled('a')?, filled('7')?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::EventId;
    use proptest::prelude::*;

    fn candidate(kind: Kind, byte: u8, name: &str) -> Candidate {
        Candidate { kind, id: EventId([byte; 32]).to_string(), also: None, name: name.to_owned() }
    }

    fn people() -> Vec<Candidate> {
        vec![
            candidate(Kind::Own, 0, "me"),
            candidate(Kind::Contact, 1, "mina"),
            candidate(Kind::Contact, 2, "준호"),
            candidate(Kind::Group, 3, "mina"),
            candidate(Kind::Group, 4, "hiking"),
        ]
    }

    fn name_of<'a>(resolution: &Resolution<'a>) -> Option<&'a Candidate> {
        match resolution {
            Resolution::One(candidate) => Some(candidate),
            _ => None,
        }
    }

    #[test]
    fn a_name_that_two_bear_is_never_guessed_at() {
        let people = people();
        let Resolution::Several(both) = resolve(&people, "mina") else { panic!("not ambiguous") };
        assert_eq!(both, [&people[1], &people[3]]);
        let error = resolve(&people, "mina").one("mina", Reason::NoSuchChat).unwrap_err();
        assert_eq!(error.code.exit_code(), 2);
        assert_eq!(error.choices.len(), 2);
    }

    #[test]
    fn signs_say_which_kind_is_meant() {
        let people = people();
        assert_eq!(name_of(&resolve(&people, "@mina")), Some(&people[1]));
        assert_eq!(name_of(&resolve(&people, "#mina")), Some(&people[3]));
        assert_eq!(name_of(&resolve(&people, "me")), Some(&people[0]));
        assert_eq!(name_of(&resolve(&people, "@hiking")), None);
    }

    #[test]
    fn a_name_is_found_however_its_letters_are_composed() {
        let people = people();
        let decomposed: String = "준호".nfd().collect();
        assert_ne!(decomposed, "준호");
        assert_eq!(name_of(&resolve(&people, &decomposed)), Some(&people[2]));
    }

    #[test]
    fn an_id_goes_before_a_name_and_a_name_before_a_prefix() {
        let mut people = people();
        let id = people[1].id.clone();
        people.push(candidate(Kind::Contact, 9, &id));
        assert_eq!(name_of(&resolve(&people, &id)), Some(&people[1]), "a newcomer took another's id for a name");
        assert_eq!(name_of(&resolve(&people, &id.to_uppercase())), Some(&people[1]));
        people.push(candidate(Kind::Contact, 10, &id[..8]));
        assert_eq!(name_of(&resolve(&people, &id[..8])), Some(&people[6]));
    }

    #[test]
    fn a_prefix_needs_six_characters_and_one_bearer() {
        let mut people = people();
        let id = people[4].id.clone();
        assert_eq!(name_of(&resolve(&people, &id[..5])), None);
        assert_eq!(name_of(&resolve(&people, &id[..6])), Some(&people[4]));
        people.push(Candidate { also: Some(id.clone()), ..candidate(Kind::Contact, 5, "other") });
        assert!(matches!(resolve(&people, &id[..6]), Resolution::Several(both) if both.len() == 2));
    }

    #[test]
    fn what_is_not_there_names_what_is_near() {
        let people = people();
        let error = resolve(&people, "hikng").one("hikng", Reason::NoSuchGroup).unwrap_err();
        assert_eq!((error.code.exit_code(), error.hint.as_str()), (6, "did you mean “hiking”?"));
        assert_eq!(resolve(&people, "zzzzzz"), Resolution::Nothing(vec![]));
        let with_nameless = [people.clone(), vec![candidate(Kind::Group, 5, "")]].concat();
        assert_eq!(resolve(&with_nameless, ""), Resolution::Nothing(vec![]));
        assert_eq!(resolve(&with_nameless, "#"), Resolution::Nothing(vec![]));
        assert_eq!(nearest(&["contacts", "chats", "config"], "conta"), [0]);
    }

    #[test]
    fn an_id_range_holds_exactly_the_ids_with_the_prefix() {
        assert_eq!(id_range("abcde"), None);
        assert_eq!(id_range("abcde1"), None, "1 is not a letter of base32");
        assert_eq!(id_range(&"a".repeat(53)), None);
        let id = EventId([0xa7; 32]);
        assert_eq!(id_range(&id.to_string()).map(|(low, _)| low), Some(id.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn ids_are_in_the_range_of_their_prefixes(bytes: [u8; 32], other: [u8; 32], length in MIN_PREFIX..=ID_LENGTH) {
            let (id, other) = (EventId(bytes), EventId(other));
            let prefix = &id.to_string()[..length];
            let (low, high) = id_range(prefix).unwrap();
            prop_assert!(low <= bytes && bytes <= high);
            prop_assert_eq!((low..=high).contains(&other.0), other.to_string().starts_with(prefix));
        }

        #[test]
        fn nothing_typed_breaks_it(typed in "\\PC{0,80}") {
            resolve(&people(), &typed).one(&typed, Reason::NoSuchChat).ok();
            id_range(&typed);
        }
    }
}

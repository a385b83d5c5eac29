//! Every sentence that people read, in their language.
//!
//! Texts are Fluent messages, built into the binary. English is whole by test, so a text missing elsewhere is shown in
//! English. The English sentences of errors live with their reasons in [`crate::api::error`], since scripts and logs
//! need them without any language; other languages hold them as `error-REASON` with the attribute `hint`.

use crate::{
    api::{
        config::LANGUAGES,
        error::{ApiError, Arg, Args},
    },
    protocol::wire::text::SafeText,
};
use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use std::borrow::Cow;
use unic_langid::LanguageIdentifier;

const ENGLISH: &[&str] = &[include_str!("texts/en/commands.ftl"), include_str!("texts/en/output.ftl")];
const KOREAN: &[&str] =
    &[include_str!("texts/ko/commands.ftl"), include_str!("texts/ko/output.ftl"), include_str!("texts/ko/errors.ftl")];

/// The texts of one language, with English behind them.
pub struct Texts {
    language: &'static str,
    own: Option<FluentBundle<FluentResource>>,
    english: FluentBundle<FluentResource>,
}

impl Texts {
    /// The texts of the first of these wishes that there are texts for, else English. A wish is a BCP 47 name or a POSIX
    /// locale: `ko`, `ko-KR`, `ko_KR.UTF-8`.
    pub fn choose<'a>(wishes: impl IntoIterator<Item = &'a str>) -> Self {
        let language = wishes.into_iter().find_map(known_language).unwrap_or("en");
        let own = (language == "ko").then(|| bundle("ko", KOREAN));
        Self { language, own, english: bundle("en", ENGLISH) }
    }

    /// Their language.
    pub fn language(&self) -> &'static str {
        self.language
    }

    /// A text without arguments. `ID.ATTRIBUTE` is an attribute of a message.
    pub fn get(&self, id: &str) -> String {
        self.with(id, &Args::new())
    }

    /// A text with arguments. Those are made safe to show first.
    pub fn with(&self, id: &str, args: &Args) -> String {
        let found = self.own.as_ref().and_then(|own| format(own, id, args)).or_else(|| format(&self.english, id, args));
        debug_assert!(found.is_some(), "no text {id}");
        found.unwrap_or_else(|| id.to_owned())
    }

    /// Whether English has this text.
    pub fn has(&self, id: &str) -> bool {
        format(&self.english, id, &Args::new()).is_some()
    }

    /// What happened, and what to do next (may be empty).
    pub fn error(&self, error: &ApiError) -> (String, String) {
        let own = |id: &str| self.own.as_ref().and_then(|own| format(own, id, &error.args));
        let message = own(&format!("error-{}", error.reason)).unwrap_or_else(|| safe(&error.message));
        let hint = match error.args.contains_key("suggestion") {
            true => own("error-did-you-mean"),
            false => own(&format!("error-{}.hint", error.reason)),
        };
        (message, hint.unwrap_or_else(|| safe(&error.hint)))
    }
}

/// The language of a wish, where there are texts in it. `C` and `POSIX` are no wish.
fn known_language(wish: &str) -> Option<&'static str> {
    let name = wish.split(['.', '@', '_', '-']).next()?.to_ascii_lowercase();
    LANGUAGES.iter().find(|language| **language == name).copied()
}

fn bundle(language: &str, sources: &[&str]) -> FluentBundle<FluentResource> {
    let language: LanguageIdentifier = language.parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Terminals order text themselves; isolates would be shown as boxes.
    bundle.set_use_isolating(false);
    for source in sources {
        // A faulty entry is left out and the rest kept; a test refuses faults.
        let resource = FluentResource::try_new((*source).to_owned()).unwrap_or_else(|(resource, _)| resource);
        bundle.add_resource_overriding(resource);
    }
    bundle
}

fn format(bundle: &FluentBundle<FluentResource>, id: &str, args: &Args) -> Option<String> {
    let (id, attribute) = match id.split_once('.') {
        Some((id, attribute)) => (id, Some(attribute)),
        None => (id, None),
    };
    let message = bundle.get_message(id)?;
    let pattern = match attribute {
        Some(name) => message.get_attribute(name)?.value(),
        None => message.value()?,
    };
    let args: FluentArgs<'_> = args.iter().map(|(name, value)| (Cow::from(name.as_str()), fluent(value))).collect();
    Some(bundle.format_pattern(pattern, Some(&args), &mut Vec::new()).into_owned())
}

fn fluent(value: &Arg) -> FluentValue<'static> {
    match value {
        Arg::Number(number) => FluentValue::from(*number),
        Arg::Text(text) => FluentValue::from(safe(text)),
    }
}

fn safe(text: &str) -> String {
    SafeText::line(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;
    use std::collections::{BTreeMap, BTreeSet};

    /// `id` or `id.attribute` → its variables, read from the source, so that faults of the parser show too.
    fn messages(sources: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
        let mut found = BTreeMap::new();
        for source in sources {
            FluentResource::try_new((*source).to_owned()).map_err(|(_, faults)| faults).expect("valid Fluent");
            let (mut message, mut current) = (String::new(), String::new());
            for line in source.lines().filter(|line| !line.starts_with('#')) {
                let name = line.split_once('=').map_or("", |(name, _)| name.trim());
                if !line.starts_with([' ', '}']) && !name.is_empty() {
                    message = name.to_owned();
                    current = message.clone();
                    assert!(found.insert(current.clone(), BTreeSet::new()).is_none(), "{current} is there twice");
                } else if let Some(attribute) = name.strip_prefix('.') {
                    current = format!("{message}.{attribute}");
                    found.insert(current.clone(), BTreeSet::new());
                }
                let variables = line.split('$').skip(1).map(|rest| {
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
                });
                found.entry(current.clone()).or_default().extend(variables);
            }
        }
        found.remove("");
        found
    }

    fn placeholders(sentence: &str) -> BTreeSet<String> {
        sentence.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
    }

    #[test]
    fn both_languages_have_every_text_with_the_same_variables() {
        assert_eq!(messages(ENGLISH), messages(&KOREAN[..2]));
    }

    #[test]
    fn every_error_is_told_in_korean_with_the_same_variables() {
        let mut english = BTreeMap::new();
        for reason in Reason::ALL {
            english.insert(format!("error-{}", reason.id()), placeholders(reason.message()));
            if !reason.hint().is_empty() {
                english.insert(format!("error-{}.hint", reason.id()), placeholders(reason.hint()));
            }
        }
        english.insert("error-did-you-mean".to_owned(), ["suggestion".to_owned()].into());
        assert_eq!(english, messages(&KOREAN[2..]));
    }

    #[test]
    fn no_text_is_empty_and_none_is_english_by_accident() {
        let (english, korean) = (Texts::choose([]), Texts::choose(["ko_KR.UTF-8"]));
        for id in messages(ENGLISH).keys() {
            let (here, there) = (english.get(id), korean.get(id));
            assert!(!here.trim().is_empty() && !there.trim().is_empty(), "{id} is empty");
            // What is left when the arguments are taken out: nothing to translate in `{$name}: {$state}`.
            let words: String = here.split('{').map(|part| part.rsplit('}').next().unwrap_or_default()).collect();
            let command = here.starts_with("moim ");
            let language_free =
                id.ends_with(".examples") || command || !words.contains(|c: char| c.is_ascii_lowercase());
            assert!(here != there || language_free, "{id} is English: {there}");
        }
    }

    #[test]
    fn the_first_wish_that_can_be_met_is_met() {
        assert_eq!(Texts::choose(["C", "ko_KR.UTF-8", "en"]).language(), "ko");
        assert_eq!(Texts::choose(["fr-FR", "en-GB"]).language(), "en");
        assert_eq!(Texts::choose([]).language(), "en");
    }

    #[test]
    fn an_error_of_a_newer_node_is_told_in_english() {
        let mut error = ApiError::new(Reason::NoSuchChat).with("given", "mina");
        let korean = Texts::choose(["ko"]);
        assert!(!korean.error(&error).0.contains("there is"));
        assert_eq!(Texts::choose([]).error(&error).0, "there is no chat “mina”");
        error.reason = "not-known-yet".to_owned();
        assert_eq!(korean.error(&error).0, "there is no chat “mina”");
    }

    #[test]
    fn an_argument_cannot_carry_control_characters_into_a_sentence() {
        let error = ApiError::new(Reason::NoSuchChat).with("given", "a\u{1b}[31m\u{202e}b");
        for texts in [Texts::choose([]), Texts::choose(["ko"])] {
            let (message, _) = texts.error(&error);
            assert!(!message.contains(['\u{1b}', '\u{202e}']), "{message:?}");
        }
    }
}

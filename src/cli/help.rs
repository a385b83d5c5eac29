//! Help pages, the manual, and what is said about a command line that is not understood, all in the reader's language.

use crate::{
    api::{
        ApiError, Reason,
        names::nearest,
        time::{BadLasting, BadSpan},
    },
    cli::{
        args::Line,
        out::{Out, Stop},
    },
    ui::texts::Texts,
};
use clap::{
    CommandFactory, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{error::Error, ffi::OsString};

/// The pages of the manual that `moim help TOPIC` prints.
pub(super) const MANUAL: &[(&str, &str)] = &[
    ("guide", include_str!("../manual/guide.md")),
    ("security", include_str!("../manual/security.md")),
    ("promises", include_str!("../manual/promises.md")),
    ("protocol", include_str!("../manual/protocol.md")),
    ("architecture", include_str!("../manual/architecture.md")),
    ("past_failures", include_str!("../manual/past_failures.md")),
];

/// What a command line comes to.
pub(super) enum Parsed {
    /// A command to perform.
    Line(Box<Line>),
    /// A page to print: help or the version.
    Page(String),
}

/// Reads a command line.
///
/// # Errors
/// `usage`, with what was probably meant.
pub(super) fn parse(args: &[OsString], texts: &Texts) -> Result<Parsed, ApiError> {
    let mut command = command(texts);
    let parsed = command.try_get_matches_from_mut(args).and_then(|matches| Line::from_arg_matches(&matches));
    match parsed {
        Ok(line) => Ok(Parsed::Line(Box::new(line))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Page(page(&error))),
            _ => Err(explain(&error, args)),
        },
    }
}

/// The command table with its texts.
pub(super) fn command(texts: &Texts) -> clap::Command {
    with_texts(Line::command().max_term_width(100).styles(clap::builder::Styles::plain()), "moim", texts)
}

/// `moim help`, `moim help TOPIC`, `moim help COMMAND`, `moim help group new`.
pub(super) fn print(out: &mut Out, topic: &[String]) -> Result<(), Stop> {
    let mut command = command(&out.texts);
    let [first, below @ ..] = topic else {
        out.raw(command.render_help().to_string().trim_end())?;
        let topics: Vec<&str> = MANUAL.iter().map(|(name, _)| *name).collect();
        out.raw("")?;
        return out.tell("help-topics", &[("topics", topics.join(" ").into())]);
    };
    if let Some((_, text)) = MANUAL.iter().find(|(name, _)| name == first && below.is_empty()) {
        return out.raw(text.trim_end());
    }
    command.build();
    let mut found = &mut command;
    for (at, word) in topic.iter().enumerate() {
        let topics = MANUAL.iter().map(|(name, _)| *name).filter(|_| at == 0);
        let known: Vec<String> =
            topics.chain(found.get_subcommands().map(clap::Command::get_name)).map(str::to_owned).collect();
        found = match found.find_subcommand_mut(word) {
            Some(below) => below,
            None => return Err(Stop::Failed(unknown_topic(&known, &topic.join(" "), word))),
        };
    }
    let page = found.render_help().to_string();
    out.raw(page.trim_end())
}

fn unknown_topic(known: &[String], topic: &str, word: &str) -> ApiError {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let error = ApiError::new(Reason::UnknownTopic).with("given", topic);
    match nearest(&known, word).first() {
        Some(at) => error.suggesting(known[*at]),
        None => error,
    }
}

fn page(error: &clap::Error) -> String {
    error.render().to_string().trim_end().to_owned()
}

/// Gives a command and those below it their texts: `command-PATH`, its `.examples`, and one text an argument.
fn with_texts(command: clap::Command, path: &str, texts: &Texts) -> clap::Command {
    let id = format!("command-{path}");
    let template = format!(
        "{{about-with-newline}}\n{{before-help}}{} {{usage}}\n\n{{all-args}}{{after-help}}",
        texts.get("heading-usage")
    );
    let examples = texts.get(&format!("{id}.examples"));
    let examples: String = examples.lines().map(|line| format!("\n  {line}")).collect();
    command
        .about(texts.get(&id))
        .before_help(format!("{}{examples}", texts.get("heading-examples")))
        .help_template(template)
        .subcommand_help_heading(texts.get("heading-commands"))
        .mut_args(|arg| {
            let heading = match (arg.is_positional(), path) {
                (true, _) => "heading-arguments",
                (false, "moim") => "heading-global",
                (false, _) => "heading-options",
            };
            let text = texts.get(&argument_id(path, arg.get_id().as_str(), texts));
            let arg = arg.help(text).help_heading(texts.get(heading));
            if !arg.get_action().takes_values() {
                return arg;
            }
            // clap says these in English; the texts say them themselves.
            arg.hide_possible_values(true).hide_default_value(true)
        })
        .mut_subcommands(|sub| {
            let path = if path == "moim" { sub.get_name().to_owned() } else { format!("{path}-{}", sub.get_name()) };
            with_texts(sub, &path, texts)
        })
}

/// The text of an argument: its own in this command, else the one that is the same everywhere.
fn argument_id(path: &str, name: &str, texts: &Texts) -> String {
    let name = name.replace('_', "-");
    let own = format!("argument-{path}-{name}");
    if texts.has(&own) { own } else { format!("argument-{name}") }
}

/// What clap says about a faulty line, as our own kind of error.
fn explain(error: &clap::Error, args: &[OsString]) -> ApiError {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let guess = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.last().cloned(),
        _ => None,
    };
    let given = |kind| said(kind).unwrap_or_default();
    let (fault, guess) = match error.kind() {
        ErrorKind::InvalidSubcommand => (
            ApiError::new(Reason::UnknownCommand).with("given", given(ContextKind::InvalidSubcommand)),
            guess(ContextKind::SuggestedSubcommand),
        ),
        ErrorKind::UnknownArgument => (
            ApiError::new(Reason::UnknownOption).with("given", given(ContextKind::InvalidArg)),
            guess(ContextKind::SuggestedArg),
        ),
        ErrorKind::MissingRequiredArgument => {
            (ApiError::new(Reason::MissingArgument).with("given", given(ContextKind::InvalidArg)), None)
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            (ApiError::new(Reason::MissingArgument).with("given", "COMMAND"), None)
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => (
            ApiError::new(misfit(error))
                .with("given", given(ContextKind::InvalidValue))
                .with("option", given(ContextKind::InvalidArg)),
            guess(ContextKind::SuggestedValue),
        ),
        ErrorKind::ArgumentConflict => (
            ApiError::new(Reason::Conflicting)
                .with("given", given(ContextKind::InvalidArg))
                .with("other", given(ContextKind::PriorArg)),
            None,
        ),
        _ => (ApiError::new(Reason::BadUsage), None),
    };
    let fault = match said(ContextKind::ValidValue).filter(|allowed| !allowed.is_empty()) {
        Some(allowed) => fault.with("allowed", allowed),
        None => fault,
    };
    let fault = fault.with("command", command_of(args));
    match guess {
        Some(guess) => fault.suggesting(guess),
        None => fault,
    }
}

/// What a value should have been, as far as its parser says.
fn misfit(error: &clap::Error) -> Reason {
    if matches!(error.get(ContextKind::ValidValue), Some(ContextValue::Strings(allowed)) if !allowed.is_empty()) {
        return Reason::BadChoice;
    }
    match error.source() {
        Some(source) if source.is::<BadSpan>() || source.is::<BadLasting>() => Reason::BadDuration,
        // clap's own parser of numbers has no error of a type.
        Some(source) if source.to_string().contains("digit") || source.to_string().contains("is not in") => {
            Reason::BadNumber
        }
        _ => Reason::BadValue,
    }
}

/// The command, and the one below it, that a faulty line is about.
fn command_of(args: &[OsString]) -> String {
    let mut known = Line::command();
    let mut path = vec!["moim".to_owned()];
    for word in args.iter().skip(1).filter_map(|arg| arg.to_str()) {
        let Some(next) = known.find_subcommand(word).cloned() else { continue };
        path.push(word.to_owned());
        known = next;
    }
    path.join(" ")
}

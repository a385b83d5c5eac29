//! Help pages, and the texts behind every command.

use super::*;
use crate::cli::help::command;

fn every_command(command: &clap::Command, path: &str, each: &mut dyn FnMut(&str, &clap::Command)) {
    each(path, command);
    for sub in command.get_subcommands() {
        every_command(sub, &format!("{path} {}", sub.get_name()), each);
    }
}

fn help_pages(language: &str) -> String {
    let mut pages = String::new();
    let mut command = command(&Texts::choose([language]));
    command.build();
    every_command(&command, "moim", &mut |path, command| {
        pages.push_str(&format!("## {path}\n{}\n", command.clone().render_help()));
    });
    pages
}

#[test]
fn help_pages_in_english() {
    insta::assert_snapshot!("help_in_english", help_pages("en"));
}

#[test]
fn help_pages_in_korean_are_korean_throughout() {
    let pages = help_pages("ko");
    for english in ["Usage:", "Options:", "Arguments:", "Commands:", "Examples:", "Print help", "[default", "[possible"]
    {
        assert!(!pages.contains(english), "{english}");
    }
    assert_eq!(pages.matches("사용법:").count(), help_pages("en").matches("Usage:").count());
}

#[test]
fn every_help_page_begins_with_examples() {
    let pages = help_pages("en");
    for page in pages.split("## ").skip(1) {
        let (examples, usage) = (page.find("Examples:\n  "), page.find("Usage: "));
        assert!(examples.is_some() && examples < usage, "{page}");
    }
}

#[test]
fn every_command_and_argument_has_its_text() {
    let mut command = command(&Texts::choose([]));
    command.build();
    every_command(&command, "moim", &mut |path, command| {
        let about = command.get_about().unwrap_or_else(|| panic!("{path}")).to_string();
        assert!(!about.starts_with("command-"), "{about}");
        for argument in command.get_arguments() {
            let help = argument.get_help().unwrap_or_else(|| panic!("{path} {}", argument.get_id())).to_string();
            assert!(!help.starts_with("argument-"), "{path}: {help}");
        }
    });
}

/// Reads the sources: what they name must be there, and what is there must be named.
#[test]
fn texts_and_their_uses_match() {
    let ids = |source: &str| -> Vec<String> {
        let lines = source.lines().filter(|line| !line.starts_with([' ', '#', '}']));
        lines.filter_map(|line| Some(line.split_once(" =")?.0.to_owned())).collect()
    };
    let mut literals = std::collections::BTreeSet::new();
    for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli")).unwrap().map(|file| file.unwrap().path())
    {
        if file.extension().is_some_and(|extension| extension == "rs") {
            literals.extend(fs::read_to_string(file).unwrap().split('"').map(str::to_owned));
        }
    }
    let output = ids(include_str!("../../ui/texts/en/output.ftl"));
    for id in &output {
        let named = literals.contains(id) || id.strip_prefix("column-").is_some_and(|name| literals.contains(name));
        assert!(named, "nothing says {id}");
    }
    let families: std::collections::BTreeSet<&str> =
        output.iter().filter_map(|id| Some(id.split_once('-')?.0)).collect();
    let is_id = |literal: &str| literal.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    for literal in &literals {
        let Some((family, rest)) = literal.split_once('-') else { continue };
        if is_id(literal) && !rest.is_empty() && families.contains(family) {
            assert!(output.contains(literal), "{literal} is no text");
        }
    }
    let mut used: std::collections::BTreeSet<String> = [
        "heading-usage",
        "heading-examples",
        "heading-commands",
        "heading-arguments",
        "heading-options",
        "heading-global",
        "help-topics",
    ]
    .map(str::to_owned)
    .into();
    let commands = ids(include_str!("../../ui/texts/en/commands.ftl"));
    let table = <args::Line as clap::CommandFactory>::command();
    every_command(&table, "", &mut |path, command| {
        let path = if path.is_empty() { "moim".to_owned() } else { path.trim().replace(' ', "-") };
        used.insert(format!("command-{path}"));
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str().replace('_', "-");
            let own = format!("argument-{path}-{name}");
            used.insert(if commands.contains(&own) { own } else { format!("argument-{name}") });
        }
    });
    assert_eq!(used, commands.into_iter().collect());
}

#[test]
fn without_a_command_there_is_help_on_stdout() {
    for line in [&[][..], &["help"], &["--help"], &["-h"]] {
        let ended = run_once(line);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{line:?}");
        assert!(ended.stdout.contains("moim init --name mina"), "{line:?}");
    }
    assert!(run_once(&["--version"]).stdout.starts_with("moim 0."));
    assert!(run_once(&["help", "send"]).stdout.contains("moim send juno"));
    assert!(run_once(&["help", "guide"]).stdout.starts_with('#'));
    assert!(run_once(&["help", "group", "new"]).stdout.contains("moim group new hiking"));
    for line in [&["help", "guide", "new"][..], &["help", "group", "nothing"], &["help", "send", "x"]] {
        assert_eq!(run_once(line).code, 2, "{line:?}");
    }
}

#[test]
fn files_for_the_system_are_made() {
    let trial = Try::new();
    let script = Script::with_names("mina");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = trial.run(&script, &["gen", "completions", shell]);
        assert!(ended.code == 0 && ended.stdout.contains("testnet"), "{shell}");
    }
    let dir = trial.home.path().join("man");
    assert_eq!(trial.run(&script, &["gen", "man", &dir.display().to_string()]).code, 0);
    let page = fs::read_to_string(dir.join("moim-group-new.1")).unwrap();
    assert!(page.contains("moim group new hiking"), "{page}");
    let unit = trial.run(&script, &["gen", "systemd"]).stdout;
    for line in [
        "Type=exec",
        "DynamicUser=yes",
        "StateDirectory=moim",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "SystemCallFilter=@system-service",
    ] {
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
}

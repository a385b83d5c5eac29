//! What is said on stdout and stderr, in which language, and that it is safe there.

use super::*;
use crate::{api::Reason, ui::format::steers};

#[test]
fn every_command_answers_in_both_languages_and_in_json() {
    for line in LINES {
        for extra in [&["--lang", "en"][..], &["--lang", "ko"], &["--json"]] {
            let args: Vec<&str> = line.iter().chain(extra).copied().collect();
            // What stands behind `exec` belongs to the other command.
            let args = if line.contains(&"exec") { [extra, line].concat() } else { args };
            let ended = run_once(&args);
            // The script's node goes away, and who watches must be told.
            if line.first() == Some(&"watch") {
                assert_eq!(ended.code, 3, "{args:?}: {}", ended.stderr);
                continue;
            }
            assert_eq!((ended.code, ended.stderr.contains("error")), (0, false), "{args:?}: {}", ended.stderr);
            if extra == ["--json"] {
                assert!(ended.stdout.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{args:?}");
                assert_eq!(ended.stderr, "", "{args:?}");
            }
        }
    }
}

#[test]
fn a_hostile_name_never_reaches_the_terminal_raw() {
    let hostile = "a\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}b\r\nerror\u{0}\u{2066}";
    let script = Script::with_names(hostile);
    for line in LINES {
        for extra in [&["--lang", "en"][..], &["--lang", "ko"], &["--json"]] {
            let args = [extra, line].concat();
            let ended = Try::new().run(&script, &args);
            let said = format!("{}{}", ended.stdout, ended.stderr);
            assert!(!said.chars().any(|c| c != '\n' && steers(c)), "{args:?}: {said:?}");
        }
    }
    let error = ApiError::new(Reason::NoSuchChat).with("given", hostile).suggesting(hostile);
    for extra in ["--lang=en", "--lang=ko", "--json"] {
        let ended = Try::new().run(&Script::failing(error.clone()), &["chats", extra]);
        assert!(!ended.stderr.chars().any(|c| c != '\n' && steers(c)), "{:?}", ended.stderr);
    }
}

#[test]
fn a_mailbox_without_a_name_is_not_called_by_letters_alone() {
    let script = Script::with_names(&crate::api::samples::ID[..8]);
    for line in [&["mailbox", "list"][..], &["mailbox", "add", "moim:1:abc"], &["group", "mailbox", "list", "hiking"]] {
        let ended = Try::new().run(&script, line);
        assert!(ended.stdout.contains("mailbox aaaqeaye"), "{line:?}: {}", ended.stdout);
    }
    assert!(!run_once(&["mailbox", "list"]).stdout.contains("mailbox aaaqeaye"));
}

#[test]
fn who_serves_a_mailbox_and_has_none_is_told_calmly() {
    let mut script = Script::with_names("mina");
    script.change = Some(("mailboxes", serde_json::json!([])));
    let ended = Try::new().run(&script, &["mailbox", "list"]);
    assert!(ended.stderr.contains("need none") && !ended.stderr.contains("waits with its senders"), "{}", ended.stderr);
}

#[test]
fn a_group_that_one_was_removed_from_is_listed_as_such() {
    for (language, said) in [("en", "group: you were removed"), ("ko", "모임: 내보내짐")] {
        let ended = run_once(&["chats", "--lang", language]);
        assert_eq!(ended.stdout.lines().filter(|line| line.contains(said)).count(), 1, "{}", ended.stdout);
    }
}

#[test]
fn the_log_of_a_group_says_why_something_is_void_and_how_many_know_of_an_end() {
    for (language, known, overruled, void) in [
        (
            "en",
            "    · 18 of 20 members are known to have applied it",
            "mina, who is above mina, had removed mina",
            "void:",
        ),
        (
            "ko",
            "    · 구성원 20명 중 18명이 적용한 것으로 확인됨",
            "mina 님보다 위인 mina 님이 mina 님을 내보냈습니다",
            "무효:",
        ),
    ] {
        let said = run_once(&["group", "log", "hiking", "--lang", language]).stdout;
        assert_eq!(said.lines().filter(|line| *line == known).count(), 2, "{said}");
        assert!(said.contains(overruled), "{said}");
        let reasons: Vec<&str> = said.lines().filter(|line| line.contains(void)).collect();
        let different: std::collections::BTreeSet<&&str> = reasons.iter().collect();
        // All are called mina, so that four sentences about who did it and about the other read alike.
        assert_eq!((reasons.len(), different.len()), (21, 17), "each reason has words of its own: {said}");
        assert!(!said.contains("group-"), "{said}");
    }
    let removed = run_once(&["group", "remove", "hiking", "mina", "--lang", "en"]).stdout;
    assert!(removed.contains("1 of 7 members know it so far"), "{removed}");
}

#[test]
fn a_message_of_several_lines_is_shown_on_several() {
    let ended = run_once(&["init", "--name", "mina", "--no-passphrase"]);
    assert_eq!(ended.stderr.lines().count(), 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("\n  moim up "));
}

#[test]
fn the_language_is_that_of_the_flag_then_the_environment_then_the_file_then_the_locale() {
    let mut trial = Try::new();
    let script = Script::with_names("mina");
    let korean = |trial: &Try, args: &[&str]| trial.run(&script, args).stdout.contains("1:1");
    assert!(!korean(&trial, &["chats"]));
    trial.environment.push(("LANG", "ko_KR.UTF-8"));
    assert!(korean(&trial, &["chats"]));
    fs::write(trial.home.path().join("config.toml"), "language = 'en'").unwrap();
    assert!(!korean(&trial, &["chats"]));
    trial.environment.push(("MOIM_LANG", "ko"));
    assert!(korean(&trial, &["chats"]));
    assert!(!korean(&trial, &["chats", "--lang", "en"]));
}

#[test]
fn a_closed_stdout_is_a_quiet_end() {
    let trial = Try::new();
    let stderr = Kept::default();
    let around = trial.surroundings(&["chats"], Box::new(Broken), Box::new(stderr.clone()));
    assert_eq!(futures::executor::block_on(run(around, &Script::with_names("mina"))), 0);
    assert!(stderr.0.take().is_empty());
}

#[test]
fn color_is_for_terminals_that_want_it() {
    let mut trial = Try::new();
    let script = Script::with_names("mina");
    assert!(!trial.run(&script, &["chats"]).stdout.contains('\u{1b}'));
    trial.terminal = true;
    assert!(trial.run(&script, &["chats"]).stdout.contains('\u{1b}'));
    assert!(!trial.run(&script, &["chats", "--no-color"]).stdout.contains('\u{1b}'));
    trial.environment.push(("NO_COLOR", "1"));
    assert!(!trial.run(&script, &["chats"]).stdout.contains('\u{1b}'));
    trial.environment = vec![("TERM", "dumb")];
    assert!(!trial.run(&script, &["chats"]).stdout.contains('\u{1b}'));
}

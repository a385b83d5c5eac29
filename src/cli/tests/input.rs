//! What is asked of the API for what was typed, piped or configured.

use super::*;
use crate::api::ErrorCode;
use serde_json::json;

#[test]
fn flags_for_every_command_stand_before_or_behind_it() {
    for line in [
        &["--json", "chats"][..],
        &["chats", "--json"],
        &["group", "--json", "members", "x"],
        &["group", "members", "x", "--json"],
        &["invite", "--json", "list"],
    ] {
        assert_eq!(run_once(line).json()["v"], 1, "{line:?}");
    }
}

#[test]
fn send_reads_stdin_to_its_end_and_drops_one_newline() {
    let mut trial = Try::new();
    for (stdin, text) in [("a\nb\n", "a\nb"), ("a\n\n", "a\n"), ("a\r\n", "a"), ("a", "a")] {
        trial.stdin = stdin.into();
        let script = Script::with_names("mina");
        assert_eq!(trial.run(&script, &["send", "mina", "-"]).code, 0);
        assert_eq!(script.asked()[1].1["text"], text);
    }
    let too_long = [b"a".repeat(51_201), b"a".repeat(1024 * 1024)];
    for (stdin, reason) in
        [(&b"\xff"[..], "not UTF-8"), (b"\n", "no text"), (&too_long[0], "51201 bytes"), (&too_long[1], "far longer")]
    {
        trial.stdin = stdin.into();
        let script = Script::with_names("mina");
        let ended = trial.run(&script, &["send", "mina", "-"]);
        assert_eq!(ended.code, 2);
        assert!(ended.stderr.contains(reason) && script.asked().is_empty(), "{}", ended.stderr);
    }
}

#[test]
fn what_is_asked_is_what_was_typed() {
    let asked = |args: &[&str]| {
        let script = Script::with_names("mina");
        Try::new().run(&script, args);
        script.asked().pop().unwrap()
    };
    let cases: &[(&[&str], &str, Value)] = &[
        (&["log", "#a", "-n", "3", "--search", "x"], "message.log", json!({"chat": "#a", "limit": 3, "search": "x"})),
        (&["add", "moim:1:abc", "--as", "J"], "contact.add", json!({"link": "moim:1:abc", "as": "J"})),
        (
            &["invite", "--expires", "10m", "--auto-accept"],
            "invite.create",
            json!({"expires": "10m", "auto_accept": true}),
        ),
        (&["group", "invite", "g", "a", "b"], "group.invite", json!({"group": "g", "who": ["a", "b"]})),
        (&["verify", "a", "--matches", "1 2"], "contact.verify", json!({"who": "a", "matches": "1 2"})),
        (&["timer", "a", "1h"], "chat.timer", json!({"chat": "a", "timer": "1h"})),
        (&["timer", "a"], "chat.timer", json!({"chat": "a"})),
        (&["clear", "a"], "chat.clear", json!({"chat": "a"})),
        (&["read", "a", "--up-to", "b"], "message.read", json!({"chat": "a", "up_to": "b"})),
        (&["receipts", "a", "default"], "chat.receipts", json!({"chat": "a", "set": "default"})),
        (&["up", "--no-mdns", "--listen", "/x"], "up", json!([["/x"], [], false])),
        (&["testnet", "exec", "node1", "block", "a"], "contact.block", json!({"who": "a"})),
    ];
    for (args, method, params) in cases {
        assert_eq!(asked(args), ((*method).to_owned(), params.clone()), "{args:?}");
    }
}

#[test]
fn add_takes_one_link_from_stdin_and_nothing_else() {
    let mut trial = Try::new();
    for stdin in ["moim:1:abc", "\n\t moim:1:abc \r\n\n", "moim:1:a\r\n  bc\n"] {
        trial.stdin = stdin.into();
        let script = Script::with_names("mina");
        assert_eq!(trial.run(&script, &["add", "-"]).code, 0);
        assert_eq!(script.asked()[1].1["link"], "moim:1:abc", "{stdin:?}");
    }
    for (stdin, reason) in [
        (&b"moim:1:abc\nmoim:1:def\n"[..], "more than one link"),
        (b"moim:1:abc MOIM:1:abc", "more than one link"),
        (b" \n", "no link"),
        (b"moim:1:\xff", "not UTF-8"),
    ] {
        trial.stdin = stdin.into();
        let script = Script::with_names("mina");
        let ended = trial.run(&script, &["add", "-"]);
        assert_eq!(ended.code, 2, "{stdin:?}");
        assert!(ended.stderr.contains(reason) && ended.stderr.contains("→"), "{}", ended.stderr);
        assert!(script.asked().is_empty());
    }
}

#[test]
fn a_command_on_a_testnet_uses_the_home_of_its_node() {
    let script = Script::with_names("n");
    assert_eq!(Try::new().run(&script, &["testnet", "exec", "1", "chats"]).code, 0);
    assert_eq!(script.asked()[0], ("connect".to_owned(), json!("/tmp/n")));
    assert_eq!(Try::new().run(&script, &["testnet", "exec", "9", "chats"]).code, 6);
}

#[test]
fn passphrases_come_from_a_file_and_never_from_nowhere() {
    let trial = Try::new();
    let file = trial.home.path().join("p");
    fs::write(&file, "secret\n").unwrap();
    let file = file.display().to_string();
    let script = Script::with_names("mina");
    assert_eq!(trial.run(&script, &["init", "--name", "m", "--passphrase-file", &file]).code, 0);
    assert_eq!(script.asked()[0].1["passphrase"], "secret");
    assert_eq!(trial.run(&script, &["words", "--passphrase-file", &file]).code, 0);
    for line in [
        &["init", "--name", "m", "--no-passphrase", "--passphrase-file", &file][..],
        &["--passphrase-file", &file, "init", "--name", "m", "--no-passphrase"],
    ] {
        let ended = trial.run(&script, line);
        assert_eq!((ended.code, script.asked().len()), (2, 1), "{line:?}");
        assert!(ended.stderr.contains("--passphrase-file"), "{}", ended.stderr);
    }
    for line in
        [&["init", "--name", "m"][..], &["words"], &["backup", "b"], &["restore", "b", "--restore-words-file", &file]]
    {
        let ended = trial.run(&script, line);
        assert_eq!((ended.code, script.asked().len()), (ErrorCode::Auth.exit_code(), 1), "{line:?}");
    }
}

#[test]
fn an_account_is_restored_from_a_file_with_its_words() {
    let trial = Try::new();
    let words = trial.home.path().join("words");
    fs::write(&words, "abandon ability\n").unwrap();
    let words = words.display().to_string();
    let script = Script::with_names("mina");
    let line = ["restore", "mina.age", "--restore-words-file", &words, "--no-passphrase"];
    let ended = trial.run(&script, &line);
    assert_eq!(ended.code, 0);
    assert!(
        ended.stdout.contains("2 messages") && ended.stderr.contains("moim up"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    assert_eq!(script.asked()[0].1, json!({"file": "mina.age", "passphrase": null, "words": "abandon ability\n"}));
    let ended = trial.run(&script, &["restore", "mina.age", "--no-passphrase"]);
    assert_eq!((ended.code, script.asked().len()), (2, 1), "nobody to ask for the words");
    assert!(ended.stderr.contains("--restore-words-file"));
    let ended = trial.run(&script, &["backup", "mina.age", "--passphrase-file", &words]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "mina, 4.0 KiB\n"));
}

#[test]
fn settings_show_where_they_come_from_and_keep_what_is_set() {
    let mut trial = Try::new();
    let script = Script::with_names("mina");
    assert_eq!(trial.run(&script, &["config", "receipts.read", "off"]).code, 0);
    trial.environment.push(("MOIM_LOG", "debug"));
    let ended = trial.run(&script, &["config", "--json", "--lang", "ko"]);
    let settings = ended.json()["settings"].clone();
    let of = |key: &str| settings.as_array().unwrap().iter().find(|s| s["key"] == key).unwrap().clone();
    assert_eq!(of("receipts.read"), json!({"key": "receipts.read", "value": false, "origin": "file"}));
    assert_eq!(of("log")["origin"], "environment");
    assert_eq!(of("language"), json!({"key": "language", "value": "ko", "origin": "flag"}));
    assert_eq!(of("mdns")["origin"], "default");
    assert!(script.asked().is_empty(), "settings need no node");
    assert_eq!(trial.run(&script, &["config", "mdns", "maybe"]).code, 2);
}

#[test]
fn a_picture_is_saved_and_reads_back() {
    let trial = Try::new();
    let path = trial.home.path().join("link.png");
    assert_eq!(trial.run(&Script::with_names("mina"), &["invite", "--png", &path.display().to_string()]).code, 0);
    assert!(image::open(path).is_ok());
}

#[test]
fn what_must_be_known_early_is_found_wherever_it_stands() {
    let peek = |args: &[&str]| Peeked::at(&args.iter().map(OsString::from).collect::<Vec<_>>());
    let full = Peeked { home: Some("/h".into()), language: Some("ko".into()), json: true };
    assert_eq!(peek(&["moim", "--home", "/h", "chats", "--lang=ko", "--json"]), full);
    assert_eq!(peek(&["moim", "send", "a", "--", "--json"]), Peeked::default());
    assert_eq!(peek(&["moim", "--home"]), Peeked::default());
}

//! How a line that fails ends: its code, why, and what to do.

use super::*;
use crate::api::Reason;
use serde_json::json;

#[test]
fn errors_say_what_happened_and_what_to_do_and_end_with_their_code() {
    let script = Script::failing(ApiError::new(Reason::NeedsNode));
    let ended = Try::new().run(&script, &["status"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
    assert_eq!(
        ended.stderr,
        "error: this needs a running node, and nothing was done\n  → start one in another terminal: moim up\n"
    );
    let ended = Try::new().run(&script, &["status", "--json"]);
    let report: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!((&report["v"], &report["error"]["code"]), (&json!(1), &json!("needs_node")));
    for reason in Reason::ALL {
        let ended = Try::new().run(&Script::failing(ApiError::new(*reason)), &["chats", "-q"]);
        assert_eq!(ended.code, reason.code().exit_code());
        assert_ne!(ended.stderr, "");
    }
}

#[test]
fn a_mistyped_line_exits_2_and_guesses() {
    let guessed = [
        (&["conatcts"][..], "contacts"),
        (&["contacts", "--jsno"], "--json"),
        (&["group", "membrs", "x"], "members"),
        (&["send", "a", "b", "--wait", "delivred"], "delivered"),
        (&["help", "securty"], "security"),
        (&["config", "langage"], "language"),
    ];
    for (line, guess) in guessed {
        let ended = run_once(line);
        assert_eq!(ended.code, 2, "{line:?}");
        assert!(ended.stderr.contains(&format!("did you mean “{guess}”?")), "{line:?}: {}", ended.stderr);
    }
    for line in [
        &["send"][..],
        &["group"],
        &["invite", "--expires", "7"],
        &["send", "a", "b", "c"],
        &["rpc"],
        &["id", "--qr", "--png", "x"],
        &["log", "a", "-n", "x"],
    ] {
        let ended = run_once(line);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{line:?}");
        assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("→"), "{line:?}: {}", ended.stderr);
    }
    let ended = run_once(&["--json", "nonsense"]);
    assert!(ended.stderr.starts_with(r#"{"v":1,"error":{"code":"usage","#), "{}", ended.stderr);
    assert!(run_once(&["--lang", "ko", "없는명령"]).stderr.starts_with("오류: "));
}

#[test]
fn a_timer_that_is_no_time_is_told_what_times_there_are() {
    for typed in ["xyz", "", "7", "1w"] {
        let ended = run_once(&["timer", "mina", typed]);
        assert_eq!(ended.code, 2, "{typed}");
        assert!(ended.stderr.contains("between 5s and 366d") && ended.stderr.contains("off"), "{}", ended.stderr);
    }
}

#[test]
fn a_wait_that_runs_out_exits_7_and_still_prints_the_message() {
    let ended = run_once(&["send", "mina", "hi", "--wait", "delivered", "--timeout", "5s", "--json"]);
    assert_eq!((ended.code, ended.json()["state"].as_str()), (7, Some("saved")));
    assert!(ended.stderr.contains("do not send it again"));
    let mut script = Script::with_names("mina");
    for (state, wanted, said) in [
        ("saved", "delivered", "is saved, and was not delivered within 5s"),
        ("mailbox", "read", "is at a mailbox, and was not read within 5s"),
        ("delivered", "read", "is delivered, and was not read within 5s\n  → it has arrived"),
    ] {
        script.change = Some(("state", json!(state)));
        let ended = Try::new().run(&script, &["send", "mina", "hi", "--wait", wanted, "--timeout", "5s"]);
        assert!(ended.code == 7 && ended.stderr.contains(said), "{}", ended.stderr);
    }
    script.change = Some(("state", json!("read")));
    assert_eq!(Try::new().run(&script, &["send", "mina", "hi", "--wait", "delivered"]).code, 0);
}

//! Backups, with the program and real nodes: written, read with the right words, and an account that goes on from one.

use crate::support::{Home, befriend, texts, until};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// The words of a home, in a file.
fn words_file(home: &Home, path: &Path) {
    fs::write(path, home.json(&["words"])["words"].as_str().unwrap()).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_lost_account_goes_on_from_its_backup_in_every_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let (file, words) = (folder.path().join("mina.age"), folder.path().join("words"));
    let (mina, jun) = (Home::new("mina"), Home::new("jun"));
    let (mut mina_up, _jun_up) = (mina.up(), jun.up());
    befriend(&mina, &jun);
    mina.json(&["send", "jun", "before", "--wait", "delivered"]);
    let group = mina.json(&["group", "new", "picnic"])["group"].as_str().unwrap().to_owned();
    mina.json(&["group", "invite", &group, "jun"]);
    until("jun is in the group", || {
        let members = mina.json(&["group", "members", &group])["members"].clone();
        (members.as_array().unwrap().len() == 2).then_some(())
    });
    mina.json(&["send", &group, "to all", "--wait", "delivered"]);

    words_file(&mina, &words);
    let written = mina.json(&["backup", text(&file)]);
    assert_eq!(written["damaged"], 0);
    assert_eq!(written["size"], fs::metadata(&file).unwrap().len());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = fs::read(&file).unwrap();
    let (code, error) = mina.failure(&["backup", text(&file)]);
    assert_eq!((code, &error["code"]), (1, &Value::from("conflict")));
    assert_eq!(fs::read(&file).unwrap(), kept, "a backup replaces nothing");
    let (code, error) = mina.failure(&["backup", "-"]);
    assert_eq!((code, &error["reason"]), (2, &Value::from("bad-value")), "it is a file");

    // The device is lost, and somebody writes to it.
    mina_up.kill();
    drop(mina);
    jun.json(&["send", "mina", "while you were lost", "--wait", "saved"]);
    let mina = Home::without_account();
    let restored = mina.json(&["restore", text(&file), "--restore-words-file", text(&words), "--no-passphrase"]);
    assert_eq!((&restored["name"], &restored["messages"]), (&Value::from("mina"), &Value::from(2)));
    assert_eq!(texts(&mina, "jun"), ["before"], "the history is there before the node runs");
    mina.json(&["send", &group, "saved before it runs", "--wait", "saved"]);
    let _mina_up = mina.up();
    until("what was written meanwhile arrives", || (texts(&mina, "jun").len() == 2).then_some(()));
    mina.json(&["send", "jun", "I am back", "--wait", "delivered"]);
    jun.json(&["send", "mina", "good", "--wait", "delivered"]);
    let all = ["before", "while you were lost", "I am back", "good"];
    assert_eq!(
        (texts(&mina, "jun"), texts(&jun, "mina")),
        (all.map(str::to_owned).to_vec(), all.map(str::to_owned).to_vec())
    );
    mina.json(&["send", &group, "here too", "--wait", "delivered"]);
    jun.json(&["send", &group, "welcome", "--wait", "delivered"]);
    let all = ["to all", "saved before it runs", "here too", "welcome"].map(str::to_owned).to_vec();
    assert_eq!((texts(&mina, &group), texts(&jun, &group)), (all.clone(), all));
    assert_eq!(mina.json(&["outbox"])["waiting"].as_array().unwrap().len(), 0);
    let contact = jun.json(&["contacts"])["contacts"][0].clone();
    assert!(contact["new_device"].is_string(), "jun is told of the new device: {contact}");
}

#[test]
fn a_backup_that_cannot_be_restored_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (mina, other) = (Home::new("mina"), Home::new("jun"));
    mina.json(&["send", "me", "a note", "--wait", "saved"]);
    words_file(&mina, &at("words"));
    words_file(&other, &at("others"));
    mina.json(&["backup", text(&at("b.age"))]);
    let whole = fs::read(at("b.age")).unwrap();
    fs::write(at("cut"), &whole[..whole.len() - 20]).unwrap();
    fs::write(at("none"), b"not a backup").unwrap();
    fs::write(at("typo"), "abandon ability abel").unwrap();
    let refused = [
        ("b.age", "others", 5, "auth"),
        ("cut", "words", 1, "io"),
        ("none", "words", 2, "usage"),
        ("nothing", "words", 1, "io"),
        ("b.age", "typo", 2, "usage"),
    ];
    for (file, words, code, name) in refused {
        let new = Home::without_account();
        let (path, words_path) = (at(file), at(words));
        let line = ["restore", text(&path), "--restore-words-file", text(&words_path), "--no-passphrase"];
        let (exit, error) = new.failure(&line);
        assert_eq!((exit, &error["code"]), (code, &Value::from(name)), "{file}, {words}: {error}");
        assert!(!error["hint"].as_str().unwrap().is_empty());
        assert!(!new.path().exists(), "{file}, {words}: no home is begun");
        // What went wrong does not stand in the way of trying again.
        new.json(&["restore", text(&at("b.age")), "--restore-words-file", text(&at("words")), "--no-passphrase"]);
        assert_eq!(texts(&new, "me"), ["a note"]);
        let (exit, _) = new.failure(&line);
        assert_ne!(exit, 0);
        assert_eq!(texts(&new, "me"), ["a note"], "a home that is there stays");
    }
    let (exit, error) =
        mina.failure(&["restore", text(&at("b.age")), "--restore-words-file", text(&at("words")), "--no-passphrase"]);
    assert_eq!((exit, &error["code"]), (1, &Value::from("conflict")));
}

#[test]
fn the_old_device_is_told_that_another_took_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (file, words) = (folder.path().join("mina.age"), folder.path().join("words"));
    let (old, jun) = (Home::new("mina"), Home::new("jun"));
    let (mut old_up, _jun_up) = (old.up(), jun.up());
    befriend(&old, &jun);
    words_file(&old, &words);
    old.json(&["backup", text(&file)]);
    old_up.kill();
    let new = Home::without_account();
    new.json(&["restore", text(&file), "--restore-words-file", text(&words), "--no-passphrase"]);
    let mut new_up = new.up();
    new.json(&["send", "jun", "from the new one", "--wait", "delivered"]);
    old.json(&["send", "jun", "saved while nothing ran", "--wait", "saved"]);

    let old_up = old.up();
    until("the old one is told", || old.json(&["status"])["replaced"].is_string().then_some(()));
    let (code, error) = old.failure(&["send", "jun", "does anybody hear me?"]);
    assert_eq!((code, &error["code"], &error["reason"]), (1, &Value::from("conflict"), &Value::from("replaced")));
    assert_eq!(old.json(&["outbox"])["waiting"][0]["why"], "replaced");
    assert_eq!(texts(&jun, "mina"), ["from the new one"]);
    assert!(new.json(&["status"])["replaced"].is_null());
    drop((old_up, new_up.kill()));
}

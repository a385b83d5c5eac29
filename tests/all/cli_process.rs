//! The program as people and scripts run it: two homes, their nodes, and what commands say and how they end.

use crate::support::{Home, befriend, internet_sockets, texts, until};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[test]
fn two_homes_talk_both_ways_and_see_how_far_each_message_is() {
    let (mina, jun) = (Home::new("mina"), Home::new("jun"));
    let (_a, _b) = (mina.up(), jun.up());
    befriend(&mina, &jun);
    until("the names are known", || (jun.json(&["contacts"])["contacts"][0]["name"] == "mina").then_some(()));

    assert_eq!(jun.json(&["send", "mina", "hello"])["state"], "saved");
    let sent = mina.json(&["send", "jun", "안녕 👩‍👩‍👧‍👦", "--wait", "delivered"]);
    assert_eq!(sent["state"], "delivered");
    until("both are there", || (texts(&mina, "jun").len() == 2).then_some(()));
    assert_eq!(texts(&mina, "jun"), texts(&jun, "mina"));
    jun.json(&["read", "mina"]);
    let read = until("it is read", || {
        let log = mina.json(&["log", "jun"])["messages"].clone();
        log.as_array()
            .unwrap()
            .iter()
            .find(|message| message["id"] == sent["id"] && message["state"] == "read")
            .cloned()
    });
    assert_eq!((&read["delivered"], &read["read"], &read["of"]), (&json!(1), &json!(1), &json!(1)));
}

#[test]
fn a_link_that_cannot_be_used_says_why() {
    let (mina, jun) = (Home::new("mina"), Home::new("jun"));
    let link = mina.json(&["invite"])["link"].as_str().unwrap().to_owned();
    let refusal = |link: &str| {
        let (code, error) = jun.failure(&["add", link]);
        assert!(!error["hint"].as_str().unwrap().is_empty(), "{error}");
        (code, error["code"].as_str().unwrap().to_owned(), error["reason"].as_str().unwrap().to_owned())
    };
    let is = |code: i32, kind: &str, reason: &str| (code, kind.to_owned(), reason.to_owned());

    assert_eq!(refusal("hello"), is(2, "usage", "bad-link"));
    assert_eq!(refusal(&link[..link.len() - 7]), is(2, "usage", "link-truncated"));
    let typo = if link.ends_with('a') { "b" } else { "a" };
    assert_eq!(refusal(&format!("{}{typo}", &link[..link.len() - 1])), is(2, "usage", "link-mistyped"));
    let (code, error) = mina.failure(&["add", &link]);
    assert_eq!((code, &error["reason"]), (1, &json!("own-link")));
    let brief = mina.json(&["invite", "--expires", "1s"])["link"].as_str().unwrap().to_owned();
    let expired = until("it expires", || {
        let out = jun.run(&["add", &brief, "--json"]);
        (out.status.code() == Some(1)).then_some(out.stderr)
    });
    let report: Value = serde_json::from_slice(&expired).unwrap();
    assert_eq!(report["error"]["reason"], "link-expired");
}

#[test]
fn without_a_node_commands_work_on_the_home_alone_and_open_no_socket() {
    let (mina, jun) = (Home::new("mina"), Home::new("jun"));
    let link = mina.json(&["invite"])["link"].as_str().unwrap().to_owned();
    assert_eq!(jun.json(&["add", &link, "--as", "mina"])["state"], "pending");
    assert_eq!(jun.json(&["send", "@mina", "later"])["state"], "saved");
    assert_eq!(jun.json(&["log", "mina"])["messages"][0]["waiting"]["why"], "no_node");
    let (code, error) = jun.failure(&["send", "mina", "now", "--wait", "delivered"]);
    assert_eq!((code, &error["code"]), (3, &json!("needs_node")));
    assert_eq!(texts(&jun, "mina"), ["later"], "what exits 3 has changed nothing");

    let mut rpc = jun.command(&["rpc", "--stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "message.send", "params": {"chat": "mina", "text": "more"}});
    writeln!(rpc.stdin.as_mut().unwrap(), "{request}").unwrap();
    let mut answer = String::new();
    BufReader::new(rpc.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["result"]["state"], "saved", "{answer}");
    assert_eq!(internet_sockets(rpc.id()), Vec::<String>::new());
    drop(rpc.stdin.take());
    assert!(rpc.wait().unwrap().success());

    let up = jun.up();
    assert!(!internet_sockets(up.id()).is_empty(), "the look sees sockets where there are some");
}

#[test]
fn a_node_ends_in_order_within_two_seconds_however_it_is_asked() {
    let home = Home::new("mina");
    let ended_by = |ask: &dyn Fn(u32)| {
        let up = home.up();
        let began = Instant::now();
        ask(up.id());
        let out = up.end();
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(home.json(&["status"])["running"], false);
    };
    let signal = |name: &'static str| {
        move |id: u32| assert!(Command::new("kill").args(["-s", name, &id.to_string()]).status().unwrap().success())
    };
    ended_by(&signal("INT"));
    ended_by(&signal("TERM"));
    ended_by(&|_| assert_eq!(home.json(&["down"])["stopping"], true));
}

#[test]
fn a_second_node_of_a_home_is_refused() {
    let home = Home::new("mina");
    let up = home.up();
    assert_eq!(up.ready["event"], "ready");
    assert!(up.ready["addrs"][0].as_str().unwrap().starts_with("/ip4/127.0.0.1/tcp/"));
    let (code, error) = home.failure(&["up"]);
    assert_eq!((code, &error["reason"]), (3, &json!("node-runs")));
}

#[test]
fn a_home_with_a_passphrase_asks_for_it_and_only_then() {
    let home = Home::new("nobody");
    std::fs::remove_dir_all(home.path()).unwrap();
    let file = home.path().with_file_name("passphrase");
    std::fs::write(&file, "correct horse\n").unwrap();
    let file = file.to_str().unwrap().to_owned();
    home.json(&["init", "--name", "mina", "--passphrase-file", &file]);
    assert_eq!(home.failure(&["chats"]).0, 5);
    let words = home.json(&["words", "--passphrase-file", &file])["words"].as_str().unwrap().to_owned();
    assert_eq!(words.split(' ').count(), 24);
    let wrong = home.path().with_file_name("wrong");
    std::fs::write(&wrong, "horse\n").unwrap();
    let (code, error) = home.failure(&["words", "--passphrase-file", wrong.to_str().unwrap()]);
    assert_eq!((code, &error["reason"]), (5, &json!("wrong-passphrase")));

    let other = Home::new("nobody");
    std::fs::remove_dir_all(other.path()).unwrap();
    let restore = other.path().with_file_name("words");
    std::fs::write(&restore, words).unwrap();
    let restore = restore.to_str().unwrap();
    let again = other.json(&["init", "--name", "mina", "--no-passphrase", "--restore-words-file", restore]);
    assert_eq!(again["account"], home.json(&["id", "--passphrase-file", &file])["account"]);
}

#[test]
fn the_demonstration_ends_well_within_half_a_minute() {
    let home = Home::new("nobody");
    let began = Instant::now();
    let out = home.run(&["demo", "--json"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let steps: Vec<Value> =
        String::from_utf8(out.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |name: &str| steps.iter().filter(|step| step["step"] == name).count();
    assert_eq!(
        (named("nodes"), named("met"), named("group"), named("back"), named("figures"), named("done")),
        (1, 2, 1, 1, 1, 1)
    );
    assert_eq!(steps.iter().find(|step| step["step"] == "back").unwrap()["received"], 3);
}

#[test]
fn the_nodes_of_a_demonstration_stay_up_until_they_are_told_to_stop() {
    let home = Home::new("nobody");
    let mut demo = home.command(&["demo", "--keep", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut steps = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let kept = steps.find(|step| step["step"] == "kept").expect("the nodes stay up");
    let homes: Vec<String> =
        kept["homes"].as_array().unwrap().iter().map(|kept| kept["home"].as_str().unwrap().to_owned()).collect();
    let of = |at: usize, args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_moim")).args(["--json", "--home", &homes[at]]).args(args).output();
        serde_json::from_slice::<Value>(&out.unwrap().stdout).unwrap()
    };
    assert_eq!(of(0, &["status"])["running"], true);
    assert_eq!(of(0, &["send", "jun", "still here?", "--wait", "delivered"])["state"], "delivered");
    assert_eq!(of(1, &["log", "mina", "-n", "1"])["messages"][0]["text"], "still here?");
    assert!(Command::new("kill").args(["-s", "INT", &demo.id().to_string()]).status().unwrap().success());
    assert!(demo.wait().unwrap().success());
    assert!(homes.iter().all(|home| !std::path::Path::new(home).exists()), "nothing is left behind");
}

#[test]
fn a_testnet_goes_on_after_down_and_up() {
    let home = Home::new("nobody");
    let round = |texts_before: usize| {
        let mut up = home
            .command(&["testnet", "up", "-n", "3", "--seed", "7", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(up.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let table: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(home.json(&["testnet", "list"])["nodes"].as_array().unwrap().len(), 3);
        assert_eq!(home.failure(&["testnet", "up", "-n", "3", "--seed", "7"]).0, 1);
        home.json(&["testnet", "exec", "2", "--", "send", "#testnet", "good morning", "--wait", "delivered"]);
        let heard = home.json(&["testnet", "exec", "node3", "--", "log", "#testnet"])["messages"].clone();
        assert_eq!(heard.as_array().unwrap().len(), texts_before + 1);
        home.json(&["testnet", "down"]);
        assert!(up.wait().unwrap().success());
        assert_eq!(home.failure(&["testnet", "list"]).0, 6);
        table["nodes"].as_array().unwrap().iter().map(|node| node["account"].clone()).collect::<Vec<_>>()
    };
    let accounts = round(0);
    assert_eq!(round(1), accounts);
    let (code, error) = home.failure(&["testnet", "up", "-n", "3", "--seed", "8"]);
    assert_eq!((code, &error["reason"]), (1, &json!("other-testnet")));
}

#[test]
fn the_examples_do_what_they_say() {
    let examples = std::path::Path::new(env!("CARGO_BIN_EXE_moim")).parent().unwrap().join("examples");
    let output = |name: &str| {
        let out = Command::new(examples.join(name)).output().unwrap();
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    assert!(output("two_nodes").contains("mina reads: Hello, Mina!"));
    assert!(output("group_chat").contains("one order for all: true"));

    let (bot, jun) = (Home::new("echo"), Home::new("jun"));
    let (_a, _b) = (bot.up(), jun.up());
    let mut echoing = Command::new(examples.join("echo_bot")).arg(bot.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(echoing.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "listening");
    befriend(&bot, &jun);
    until("the name is known", || (jun.json(&["contacts"])["contacts"][0]["name"] == "echo").then_some(()));
    jun.json(&["send", "echo", "hello?"]);
    until("it answers", || (texts(&jun, "echo") == ["hello?", "hello?"]).then_some(()));
    echoing.kill().unwrap();
    echoing.wait().unwrap();
}

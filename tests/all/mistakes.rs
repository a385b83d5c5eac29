//! What people get wrong, and what the program says then: what happened, why, what to do, and the right exit code.

use crate::support::{Home, until};
use serde_json::{Value, json};
use std::{
    io::{ErrorKind, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The code and reason of a command that fails, whose error must say what to do.
fn mistake(home: &Home, args: &[&str]) -> (i32, String, Value) {
    let (code, error) = home.failure(args);
    assert!(!error["hint"].as_str().unwrap().is_empty(), "{args:?}: {error}");
    (code, error["reason"].as_str().unwrap().to_owned(), error)
}

fn link_of(home: &Home) -> String {
    home.json(&["invite"])["link"].as_str().unwrap().to_owned()
}

#[test]
fn a_name_is_refused_with_the_reason_and_one_that_is_taken_is_named() {
    let (jun, mina, sora) = (Home::new("jun"), Home::new("mina"), Home::new("sora"));
    jun.json(&["add", &link_of(&mina), "--as", "mina"]);
    jun.json(&["add", &link_of(&sora), "--as", "sora"]);
    jun.json(&["group", "new", "hiking"]);
    let (code, reason, error) = mistake(&jun, &["rename", "mina", "sora"]);
    assert_eq!((code, reason.as_str(), &error["args"]["given"]), (1, "name-taken", &json!("sora")));

    let link = link_of(&Home::new("other"));
    for (name, reason) in [
        ("me", "name-reserved"),
        ("@x", "name-sign"),
        ("#x", "name-sign"),
        (" ", "name-empty"),
        ("a\u{202e}b", "name-direction"),
        ("a\u{200b}b", "name-invisible"),
        ("a\nb", "name-line-break"),
        (&"a".repeat(257), "name-too-long"),
    ] {
        for line in [
            &["rename", "mina", name][..],
            &["add", &link, "--as", name],
            &["group", "new", name],
            &["group", "rename", "hiking", name],
            &["profile", "--name", name],
        ] {
            let (code, said, _) = mistake(&jun, line);
            assert_eq!((code, said.as_str()), (2, reason), "{line:?}");
        }
    }
    let fresh = Home::new("nobody");
    std::fs::remove_dir_all(fresh.path()).unwrap();
    assert_eq!(mistake(&fresh, &["init", "--name", "me", "--no-passphrase"]).1, "name-reserved");
    assert!(!fresh.path().join("keyslots").exists());
}

#[test]
fn a_port_that_another_has_is_named_with_what_to_do() {
    let home = Home::new("mina");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let (code, reason, error) = mistake(&home, &["up", "--no-mdns", "--listen", &format!("/ip4/127.0.0.1/tcp/{port}")]);
    assert_eq!((code, reason.as_str(), &error["args"]["port"]), (1, "port-taken", &json!(port.to_string())));

    let jun = Home::new("jun");
    let up = jun.up();
    let taken = up.ready["addrs"][0].as_str().unwrap().split("/p2p/").next().unwrap().to_owned();
    assert_eq!(mistake(&home, &["up", "--no-mdns", "--listen", &taken]).1, "port-taken", "another node has it");

    let (code, reason, _) = mistake(&home, &["up", "--no-mdns", "--listen", "127.0.0.1:4001"]);
    assert_eq!((code, reason.as_str()), (2, "bad-address"));
    let (code, reason, _) = mistake(&home, &["up", "--no-mdns", "--listen", "/ip4/192.0.2.1/tcp/0"]);
    assert_eq!((code, reason.as_str()), (1, "cannot-listen"), "this machine has no such address");
}

#[test]
fn a_node_ends_within_two_seconds_whatever_its_clients_do_and_while_it_starts() {
    let home = Home::new("mina");
    let up = home.up();
    let socket = up.ready["socket"].as_str().unwrap().to_owned();
    // One that asks and never reads, one in the middle of a line, one that watches.
    let mut deaf = UnixStream::connect(&socket).unwrap();
    deaf.set_nonblocking(true).unwrap();
    let request = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n".repeat(100);
    until("it has no room left", || {
        deaf.write(&request).is_err_and(|e| e.kind() == ErrorKind::WouldBlock).then_some(())
    });
    let mut slow = UnixStream::connect(&socket).unwrap();
    slow.write_all(b"{\"jsonrpc\"").unwrap();
    let mut watch = home.command(&["watch"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    signal("INT", up.id());
    let out = up.end();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(watch.wait().unwrap().code(), Some(3), "whoever watches is told");

    // Not by INT: a shell that runs the tests in the background has it ignored until the node listens for it.
    let mut starting =
        home.command(&["up", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    signal("TERM", starting.id());
    starting.wait().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    home.up();
}

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
}

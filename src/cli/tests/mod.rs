//! The command line against a scripted API: what it asks, what it says, and how it ends.

mod errors;
mod help;
mod input;
mod output;
mod script;

use super::*;
use jiff::tz::TimeZone;
use script::Script;
use serde_json::Value;
use std::{
    cell::RefCell,
    io::{self, Cursor, Write},
    rc::Rc,
};

/// A stream that is kept, or one that nobody reads.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Ended {
    code: u8,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not one object: {:?}", self.stdout))
    }
}

struct Try {
    home: tempfile::TempDir,
    stdin: Vec<u8>,
    environment: Vec<(&'static str, &'static str)>,
    terminal: bool,
}

impl Try {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), stdin: Vec::new(), environment: Vec::new(), terminal: false }
    }

    fn surroundings(&self, args: &[&str], stdout: Box<dyn Write>, stderr: Box<dyn Write>) -> Surroundings {
        let home = self.home.path().display().to_string();
        let environment = [("MOIM_HOME", home.as_str())].into_iter().chain(self.environment.iter().copied());
        Surroundings {
            args: std::iter::once(&"moim").chain(args).map(OsString::from).collect(),
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            stdin: Box::new(Cursor::new(self.stdin.clone())),
            stdout,
            stderr,
            stdin_is_terminal: false,
            stdout_is_terminal: self.terminal,
            stderr_is_terminal: self.terminal,
            zone: TimeZone::UTC,
        }
    }

    fn run(&self, script: &Script, args: &[&str]) -> Ended {
        let (stdout, stderr) = (Kept::default(), Kept::default());
        let around = self.surroundings(args, Box::new(stdout.clone()), Box::new(stderr.clone()));
        let code = futures::executor::block_on(run(around, script));
        let text = |kept: Kept| String::from_utf8(kept.0.take()).unwrap();
        let ended = Ended { code, stdout: text(stdout), stderr: text(stderr) };
        assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("{$"), "{args:?} lacks a variable");
        ended
    }
}

fn run_once(args: &[&str]) -> Ended {
    Try::new().run(&Script::with_names("mina"), args)
}

/// A line for every command that answers.
const LINES: &[&[&str]] = &[
    &["init", "--name", "mina", "--no-passphrase"],
    &["profile"],
    &["up"],
    &["down"],
    &["status"],
    &["id"],
    &["id", "--qr"],
    &["invite"],
    &["invite", "--ascii"],
    &["invite", "list"],
    &["invite", "revoke", "abcdef"],
    &["add", "moim:1:abc"],
    &["contacts"],
    &["requests"],
    &["accept", "mina"],
    &["decline", "mina"],
    &["block", "mina"],
    &["unblock", "mina"],
    &["rename", "mina", "juno"],
    &["remove", "mina"],
    &["verify", "mina"],
    &["send", "mina", "hello"],
    &["log", "mina"],
    &["chats"],
    &["read", "mina"],
    &["receipts", "mina"],
    &["receipts", "mina", "off"],
    &["timer", "mina", "1h"],
    &["clear", "mina"],
    &["watch"],
    &["group", "new", "hiking"],
    &["group", "invite", "hiking", "mina"],
    &["group", "accept", "hiking"],
    &["group", "decline", "hiking"],
    &["group", "members", "hiking"],
    &["group", "log", "hiking"],
    &["group", "log", "hiking", "--all", "-n", "9", "--before", "k3vqxa"],
    &["group", "remove", "hiking", "mina"],
    &["group", "promote", "hiking", "mina"],
    &["group", "demote", "hiking", "mina"],
    &["group", "hand-over", "hiking", "mina"],
    &["group", "rename", "hiking", "walks"],
    &["group", "mailbox", "add", "hiking", "mina"],
    &["group", "mailbox", "remove", "hiking", "mina"],
    &["group", "mailbox", "list", "hiking"],
    &["group", "leave", "hiking"],
    &["mailbox", "serve", "on"],
    &["mailbox", "link"],
    &["mailbox", "add", "mina"],
    &["mailbox", "remove", "mina"],
    &["mailbox", "list"],
    &["outbox"],
    &["outbox", "cancel", "k3vqxa"],
    &["testnet", "up"],
    &["testnet", "list"],
    &["testnet", "exec", "1", "chats"],
    &["testnet", "down"],
    &["demo"],
    &["bench"],
    &["config"],
];

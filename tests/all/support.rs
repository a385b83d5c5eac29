//! What the tests of whole nodes share: homes for the `moim` program, its commands and their answers, and patience.

use moim::api::{Api, ApiError, Method, client::Socket};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What a test waits for before it is lost. Generous: machines that test are busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A home for the program.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// With an account, without a passphrase.
    pub(crate) fn new(name: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        home.json(&["init", "--name", name, "--no-passphrase"]);
        home
    }

    /// A place for one that is to be made.
    pub(crate) fn without_account() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A command of this home, with nothing of this machine's environment that would matter.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moim"));
        command.env_clear().env("HOME", self.folder.path()).env("LANG", "C.UTF-8");
        command.arg("--home").arg(self.path()).args(args).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The answer of a command that must succeed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let out = self.run(&[args, &["--json"]].concat());
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    /// How a command that must fail ends: its exit code and its error.
    pub(crate) fn failure(&self, args: &[&str]) -> (i32, Value) {
        let out = self.run(&[args, &["--json"]].concat());
        assert!(out.stdout.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&out.stdout));
        let report: Value = serde_json::from_slice(&out.stderr).unwrap();
        (out.status.code().unwrap(), report["error"].clone())
    }

    /// Starts `moim up` on loopback and returns when it is ready.
    pub(crate) fn up(&self) -> Up {
        let mut child = self
            .command(&["up", "--json", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str(&line) else {
            let out = child.wait_with_output().unwrap();
            panic!("no ready line: {line:?} {}", String::from_utf8_lossy(&out.stderr));
        };
        Up { child: Some(child), ready }
    }

    pub(crate) fn socket(&self) -> Asking {
        Asking { home: self.path(), socket: None }
    }
}

/// A running `moim up`. Killed when it is dropped.
pub(crate) struct Up {
    child: Option<Child>,
    pub(crate) ready: Value,
}

impl Up {
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Output {
        self.child.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client that connects again when the node was away.
pub(crate) struct Asking {
    home: PathBuf,
    socket: Option<Socket>,
}

impl Asking {
    pub(crate) async fn call<M: Method>(&mut self, params: M::Params) -> Option<Result<M::Result, ApiError>> {
        if self.socket.is_none() {
            self.socket = Socket::connect(&self.home).await.ok()?;
        }
        let answer = self.socket.as_mut()?.call::<M>(params).await;
        // A machine that tests may be so busy that an answer does not come in time: it is asked anew all the same.
        let no_answer = [moim::api::Reason::NodeGone, moim::api::Reason::NodeSilent];
        if answer.as_ref().is_err_and(|error| no_answer.iter().any(|reason| error.is(*reason))) {
            self.socket = None;
            return None;
        }
        Some(answer)
    }
}

/// Looks until it finds.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: it did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Contacts of two homes whose nodes run.
pub(crate) fn befriend(inviter: &Home, guest: &Home) {
    let link = inviter.json(&["invite", "--auto-accept"])["link"].as_str().unwrap().to_owned();
    let contact = guest.json(&["add", &link])["contact"].as_str().unwrap().to_owned();
    until("they are contacts", || {
        let contacts = guest.json(&["contacts"])["contacts"].clone();
        let connected = |known: &&Value| known["id"] == contact.as_str() && known["state"] == "connected";
        contacts.as_array().unwrap().iter().find(connected).map(drop)
    });
}

/// The texts of a chat, oldest first.
pub(crate) fn texts(home: &Home, chat: &str) -> Vec<String> {
    let log = home.json(&["log", chat, "-n", "1000"]);
    let messages = log["messages"].as_array().unwrap();
    messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

/// Sockets of the internet that a process holds.
pub(crate) fn internet_sockets(process: u32) -> Vec<String> {
    let of_process = Path::new("/proc").join(process.to_string());
    let inodes: Vec<String> = std::fs::read_dir(of_process.join("fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"].map(|table| of_process.join("net").join(table));
    let lines = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
    let lines: Vec<String> = lines.flat_map(|table| table.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines
        .into_iter()
        .filter(|line| line.split_whitespace().nth(9).is_some_and(|inode| inodes.iter().any(|own| own == inode)))
        .collect()
}

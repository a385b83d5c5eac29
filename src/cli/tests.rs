//! The command line against a scripted API: what it asks, what it says, and how it ends.

use super::*;
use crate::{
    api::{
        ErrorCode, Reason, samples,
        types::{BenchResult, DemoEnding, DemoHome, DemoStep, Identity, Ready, TestnetResult, WatchEvent, WordsResult},
    },
    ui::format::steers,
};
use futures::stream::{self, BoxStream, StreamExt};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    io::{self, Cursor, Write},
    rc::Rc,
    sync::{Arc, Mutex},
};

/// A runtime whose answers are the samples, or one error.
#[derive(Clone)]
struct Script {
    name: String,
    error: Option<ApiError>,
    change: Option<(&'static str, Value)>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Script {
    fn with_names(name: &str) -> Self {
        Self { name: name.to_owned(), error: None, change: None, asked: Arc::default() }
    }

    fn failing(error: ApiError) -> Self {
        Self { error: Some(error), ..Self::with_names("mina") }
    }

    fn answer<T: serde::de::DeserializeOwned>(&self, sample: Value) -> Result<T, ApiError> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(serde_json::from_value(sample).expect("a sample of this type")),
        }
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }

    fn nodes(&self) -> Value {
        json!({"v": 1, "nodes": [{"n": 1, "name": "node1", "account": samples::ID, "peer": "12D3", "addrs": ["/ip4/127.0.0.1"],
            "home": format!("/tmp/{}", self.name), "socket": "/tmp/s"}]})
    }
}

impl Api for Script {
    async fn call<M: Method>(&mut self, params: M::Params) -> Result<M::Result, ApiError> {
        self.asked.lock().unwrap().push((M::NAME.to_owned(), serde_json::to_value(&params).unwrap()));
        let mut sample = samples::answer(M::NAME, &self.name);
        if let Some((key, value)) = &self.change {
            sample[*key] = value.clone();
        }
        self.answer(sample)
    }

    async fn watch(&mut self, _: Option<u64>) -> Result<BoxStream<'_, Result<WatchEvent, ApiError>>, ApiError> {
        let events = samples::events(&self.name).into_iter().map(|event| self.answer(event));
        Ok(stream::iter(events.collect::<Vec<_>>()).boxed())
    }
}

impl Runtime for Script {
    type Api = Self;

    async fn init(&self, _: &Path, new: NewHome) -> Result<Identity, ApiError> {
        let asked = json!({"name": new.name, "passphrase": new.passphrase.map(|p| p.to_string()), "words": new.words.map(|w| w.to_string())});
        self.asked.lock().unwrap().push(("init".to_owned(), asked));
        self.answer(samples::answer("id", &self.name))
    }

    async fn words(&self, _: &Path, ask: &AskPassphrase<'_>) -> Result<WordsResult, ApiError> {
        ask()?;
        self.answer(json!({"v": 1, "words": vec!["abandon"; 24].join(" ")}))
    }

    async fn connect(&self, home: &Path, _: &AskPassphrase<'_>) -> Result<Self, ApiError> {
        self.asked.lock().unwrap().push(("connect".to_owned(), json!(home)));
        Ok(self.clone())
    }

    async fn up(
        &self,
        _: &Path,
        start: Start,
        _: &AskPassphrase<'_>,
        ready: &mut dyn FnMut(Ready),
    ) -> Result<(), ApiError> {
        self.asked.lock().unwrap().push(("up".to_owned(), json!([start.listen, start.bootstrap, start.mdns])));
        let sample = json!({"v": 1, "event": "ready", "account": samples::ID, "peer": "12D3", "addrs": ["/ip4/127.0.0.1"], "socket": "/tmp/s"});
        ready(self.answer(sample)?);
        Ok(())
    }

    async fn rpc_stdio(&self, _: &Path, _: &AskPassphrase<'_>) -> Result<(), ApiError> {
        self.answer(json!(null))
    }

    async fn testnet_up(
        &self,
        _: &Path,
        _: u32,
        _: Option<u64>,
        ready: &mut dyn FnMut(TestnetResult),
    ) -> Result<(), ApiError> {
        ready(self.answer(self.nodes())?);
        Ok(())
    }

    async fn testnet_list(&self, _: &Path) -> Result<TestnetResult, ApiError> {
        self.answer(self.nodes())
    }

    async fn testnet_down(&self, _: &Path) -> Result<TestnetResult, ApiError> {
        self.answer(self.nodes())
    }

    async fn demo(&self, _: DemoEnding, tell: &mut dyn FnMut(DemoStep)) -> Result<(), ApiError> {
        let name = || self.name.clone();
        for step in [
            DemoStep::Nodes { names: vec![name(), name()] },
            DemoStep::Met { inviter: name(), guest: name() },
            DemoStep::Group { name: name(), members: 3 },
            DemoStep::Said { from: name(), to: name(), text: name(), state: crate::api::types::MessageState::Read },
            DemoStep::Away { name: name() },
            DemoStep::Back { name: name(), received: 0 },
            DemoStep::Figures { messages: 9, per_second: 8, p50_us: 7, p99_us: 1234 },
            DemoStep::Done { messages: 1, millis: 1234 },
            DemoStep::Kept { homes: vec![DemoHome { name: name(), home: name() }] },
        ] {
            tell(step);
        }
        self.answer(json!(null))
    }

    async fn bench(&self, _: &Path) -> Result<BenchResult, ApiError> {
        self.answer(
            json!({"v": 1, "loads": [{"name": self.name, "count": 9, "per_second": 8, "p50_us": 7, "p99_us": 1234}]}),
        )
    }
}

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
    &["watch"],
    &["group", "new", "hiking"],
    &["group", "invite", "hiking", "mina"],
    &["group", "accept", "hiking"],
    &["group", "decline", "hiking"],
    &["group", "members", "hiking"],
    &["group", "rename", "hiking", "walks"],
    &["group", "leave", "hiking"],
    &["testnet", "up"],
    &["testnet", "list"],
    &["testnet", "exec", "1", "chats"],
    &["testnet", "down"],
    &["demo"],
    &["bench"],
    &["config"],
];

fn every_command(command: &clap::Command, path: &str, each: &mut dyn FnMut(&str, &clap::Command)) {
    each(path, command);
    for sub in command.get_subcommands() {
        every_command(sub, &format!("{path} {}", sub.get_name()), each);
    }
}

fn help_pages(language: &str) -> String {
    let mut pages = String::new();
    let mut command = help::command(&Texts::choose([language]));
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
    let mut command = help::command(&Texts::choose([]));
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
        if file.extension().is_some_and(|extension| extension == "rs") && !file.ends_with("tests.rs") {
            literals.extend(fs::read_to_string(file).unwrap().split('"').map(str::to_owned));
        }
    }
    let output = ids(include_str!("../ui/texts/en/output.ftl"));
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
    let commands = ids(include_str!("../ui/texts/en/commands.ftl"));
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
fn a_message_of_several_lines_is_shown_on_several() {
    let ended = run_once(&["init", "--name", "mina", "--no-passphrase"]);
    assert_eq!(ended.stderr.lines().count(), 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("\n  moim up "));
}

#[test]
fn errors_say_what_happened_and_what_to_do_and_end_with_their_code() {
    let script = Script::failing(ApiError::new(Reason::NeedsNode));
    let ended = Try::new().run(&script, &["status"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
    assert_eq!(ended.stderr, "error: this needs a running node\n  → start one in another terminal: moim up\n");
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
fn without_a_command_there_is_help_on_stdout() {
    for line in [&[][..], &["help"], &["--help"], &["-h"]] {
        let ended = run_once(line);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{line:?}");
        assert!(ended.stdout.contains("moim init --name mina"), "{line:?}");
    }
    assert!(run_once(&["--version"]).stdout.starts_with("moim 0."));
    assert!(run_once(&["help", "send"]).stdout.contains("moim send juno"));
    assert!(run_once(&["help", "guide"]).stdout.starts_with('#'));
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
fn send_reads_stdin_to_its_end_and_drops_one_newline() {
    let mut trial = Try::new();
    for (stdin, text) in [("a\nb\n", "a\nb"), ("a\n\n", "a\n"), ("a\r\n", "a"), ("a", "a")] {
        trial.stdin = stdin.into();
        let script = Script::with_names("mina");
        assert_eq!(trial.run(&script, &["send", "mina", "-"]).code, 0);
        assert_eq!(script.asked()[1].1["text"], text);
    }
    for (stdin, reason) in [(&b"\xff"[..], "not UTF-8"), (b"\n", "no text")] {
        trial.stdin = stdin.into();
        let script = Script::with_names("mina");
        let ended = trial.run(&script, &["send", "mina", "-"]);
        assert_eq!(ended.code, 2);
        assert!(ended.stderr.contains(reason) && script.asked().is_empty(), "{}", ended.stderr);
    }
}

#[test]
fn a_wait_that_runs_out_exits_7_and_still_prints_the_message() {
    let ended = run_once(&["send", "mina", "hi", "--wait", "delivered", "--timeout", "5s", "--json"]);
    assert_eq!((ended.code, ended.json()["state"].as_str()), (7, Some("saved")));
    assert!(ended.stderr.contains("do not send it again"));
    let mut script = Script::with_names("mina");
    script.change = Some(("state", json!("read")));
    assert_eq!(Try::new().run(&script, &["send", "mina", "hi", "--wait", "delivered"]).code, 0);
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
        (&["read", "a", "--up-to", "b"], "message.read", json!({"chat": "a", "up_to": "b"})),
        (&["up", "--no-mdns", "--listen", "/x"], "up", json!([["/x"], [], false])),
        (&["testnet", "exec", "node1", "block", "a"], "contact.block", json!({"who": "a"})),
    ];
    for (args, method, params) in cases {
        assert_eq!(asked(args), ((*method).to_owned(), params.clone()), "{args:?}");
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
    for line in [&["init", "--name", "m"][..], &["words"]] {
        let ended = trial.run(&script, line);
        assert_eq!((ended.code, script.asked().len()), (ErrorCode::Auth.exit_code(), 1), "{line:?}");
    }
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

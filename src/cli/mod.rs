//! The command line: reads what was typed, asks the API, and says the answer to people or as JSON.
//!
//! It knows API types and texts. What starts nodes is behind [`Runtime`], which `main.rs` implements. Data goes to
//! stdout, messages to stderr, and the exit code is that of [`ErrorCode`](crate::api::ErrorCode).

mod args;
mod backup;
mod generate;
mod group_log;
mod groups;
mod help;
mod mailboxes;
mod messages;
mod node;
mod out;
mod people;
mod runtime;
mod surroundings;
mod testnet;
#[cfg(test)]
mod tests;

pub use runtime::{AskPassphrase, NewHome, Runtime, Start};
pub use surroundings::{PassphraseSource, Surroundings};

use crate::{
    api::{Api, ApiError, Method, config},
    ui::texts::Texts,
};
use args::{Command, Global};
use help::Parsed;
use out::{Out, Stop};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// Performs the command line of `around` and returns the exit code.
pub async fn run<R: Runtime>(around: Surroundings, runtime: &R) -> u8 {
    let peeked = Peeked::at(&around.args);
    let home = peeked.home.clone().map_or_else(|| around.default_home(), Ok);
    let texts = texts(&around, &peeked, home.as_deref().ok());
    let no_color = around.variable("NO_COLOR").is_some() || around.variable("TERM") == Some("dumb");
    let mut out = Out {
        texts,
        json: peeked.json,
        quiet: false,
        color: around.stdout_is_terminal && !no_color,
        color_messages: around.stderr_is_terminal && !no_color,
        zone: around.zone,
        stdout: around.stdout,
        stderr: around.stderr,
    };
    let ended = match (help::parse(&around.args, &out.texts), home) {
        (Ok(Parsed::Page(page)), _) => out.raw(&page),
        (Err(error), _) | (_, Err(error)) => Err(error.into()),
        (Ok(Parsed::Line(line)), Ok(home)) => {
            let mut session = Session {
                runtime,
                home,
                passphrase: PassphraseSource::Nobody,
                stdin: around.stdin,
                stdin_is_terminal: around.stdin_is_terminal,
                environment: around.environment,
                language: peeked.language,
                out,
            };
            session.heed(&line.global);
            let ended = session.perform(line.command).await;
            out = session.out;
            ended
        }
    };
    match ended {
        Ok(()) | Err(Stop::Unread) => 0,
        Err(Stop::Failed(error)) => {
            out.error(&error);
            error.code.exit_code()
        }
    }
}

/// One command and all that it works with.
struct Session<'r, R> {
    runtime: &'r R,
    home: PathBuf,
    passphrase: PassphraseSource,
    stdin: Box<dyn Read>,
    stdin_is_terminal: bool,
    environment: BTreeMap<String, String>,
    language: Option<String>,
    out: Out,
}

impl<R: Runtime> Session<'_, R> {
    fn heed(&mut self, global: &Global) {
        self.out.json |= global.json;
        self.out.quiet |= global.quiet;
        if global.no_color {
            (self.out.color, self.out.color_messages) = (false, false);
        }
        self.passphrase = match &global.passphrase_file {
            Some(path) => PassphraseSource::File(path.clone()),
            None if self.stdin_is_terminal => PassphraseSource::Prompt { prompt: self.out.texts.get("ask-passphrase") },
            None => PassphraseSource::Nobody,
        };
    }

    async fn perform(&mut self, command: Option<Command>) -> Result<(), Stop> {
        let Some(command) = command else { return help::print(&mut self.out, &[]) };
        match command {
            Command::Init(init) => node::init(self, init).await,
            Command::Words => node::words(self).await,
            Command::Backup { file } => backup::backup(self, file).await,
            Command::Restore(restore) => backup::restore(self, restore).await,
            Command::Profile { name } => node::profile(self, name).await,
            Command::Up(up) => node::up(self, up).await,
            Command::Down => node::down(self).await,
            Command::Status => node::status(self).await,
            Command::Id { picture } => people::id(self, picture).await,
            Command::Config { key, value } => node::config(self, key, value),
            Command::Demo { keep } => node::demo(self, keep).await,
            Command::Bench => node::bench(self).await,
            Command::Rpc { stdio: _ } => node::rpc(self).await,
            Command::Invite(invite) => people::invite(self, invite).await,
            Command::Add { link, name } => people::add(self, link, name).await,
            Command::Contacts => people::contacts(self).await,
            Command::Requests => people::requests(self).await,
            Command::Accept { who } => people::accept(self, who).await,
            Command::Decline { who } => people::decline(self, who).await,
            Command::Block { who } => people::block(self, who).await,
            Command::Unblock { who } => people::unblock(self, who).await,
            Command::Rename { who, name } => people::rename(self, who, name).await,
            Command::Remove { who } => people::remove(self, who).await,
            Command::Verify { who, matches } => people::verify(self, who, matches).await,
            Command::Send(send) => messages::send(self, send).await,
            Command::Log(log) => messages::log(self, log).await,
            Command::Chats => messages::chats(self).await,
            Command::Clear { chat } => messages::clear(self, chat).await,
            Command::Timer { chat, timer } => messages::timer(self, chat, timer).await,
            Command::Read { chat, up_to } => messages::read(self, chat, up_to).await,
            Command::Receipts { chat, choice } => messages::receipts(self, chat, choice.map(Into::into)).await,
            Command::Watch { after } => messages::watch(self, after).await,
            Command::Group(group) => groups::group(self, group).await,
            Command::Mailbox(mailbox) => mailboxes::mailbox(self, mailbox).await,
            Command::Outbox { command } => mailboxes::outbox(self, command).await,
            Command::Testnet(testnet) => testnet::testnet(self, testnet).await,
            Command::Gen(what) => generate::generate(&mut self.out, what),
            Command::Help { topic } => help::print(&mut self.out, &topic),
        }
    }

    /// Asks the home's node, or the home itself, for one thing.
    async fn ask<M: Method>(&mut self, params: M::Params) -> Result<M::Result, Stop> {
        Ok(self.connect().await?.call::<M>(params).await?)
    }

    async fn connect(&mut self) -> Result<R::Api, Stop> {
        let passphrase = &self.passphrase;
        Ok(self.runtime.connect(&self.home, &|| passphrase.read()).await?)
    }
}

/// What must be known before the line can be understood: how to say that it is not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Peeked {
    home: Option<PathBuf>,
    language: Option<String>,
    json: bool,
}

impl Peeked {
    fn at(args: &[OsString]) -> Self {
        let mut peeked = Self::default();
        let mut rest = args.iter().skip(1);
        while let Some(arg) = rest.next().filter(|arg| *arg != "--") {
            let Some(text) = arg.to_str() else { continue };
            match text.split_once('=') {
                Some(("--home", home)) => peeked.home = Some(home.into()),
                Some(("--lang", language)) => peeked.language = Some(language.to_owned()),
                Some(_) => {}
                None if text == "--home" => peeked.home = rest.next().map(PathBuf::from),
                None if text == "--lang" => {
                    peeked.language = rest.next().and_then(|next| next.to_str()).map(str::to_owned)
                }
                None => peeked.json |= text == "--json",
            }
        }
        peeked
    }
}

/// The flag, else the environment, else the configuration, else the system's locale.
fn texts(around: &Surroundings, peeked: &Peeked, home: Option<&Path>) -> Texts {
    let configured = home.and_then(|home| {
        let file = config_file(home);
        config::Config::read(&file, &read_or_empty(&file).ok()?, [], []).ok()
    });
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| around.variable(name));
    let wishes = [
        peeked.language.as_deref(),
        around.variable("MOIM_LANG"),
        configured.as_ref().and_then(config::Config::language),
        locale,
    ];
    Texts::choose(wishes.into_iter().flatten())
}

fn config_file(home: &Path) -> PathBuf {
    home.join("config.toml")
}

/// A file's text, or none where there is no file.
fn read_or_empty(path: &Path) -> Result<String, ApiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(ApiError::file(path, &error)),
    }
}

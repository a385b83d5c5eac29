//! The seam between the command line and what starts nodes. Views import no node and no testnet; `main.rs` implements
//! [`Runtime`] with them, and tests implement it with a script.

use crate::api::{
    Api, ApiError,
    config::Key,
    types::{
        BackupResult, BenchResult, DemoEnding, DemoStep, Identity, Ready, RestoreResult, TestnetResult, WordsResult,
    },
};
use std::{
    future::Future,
    path::{Path, PathBuf},
};
use toml::Value;
use zeroize::Zeroizing;

/// Gives the passphrase, when and only when it is needed. It may ask a person and take its time.
pub type AskPassphrase<'a> = dyn Fn() -> Result<Zeroizing<String>, ApiError> + Sync + 'a;

/// What only `main.rs` can do.
pub trait Runtime {
    /// A running node of the home, or the home opened on the spot.
    type Api: Api;

    /// Whether a home can be made there, to know before anything is asked for.
    ///
    /// # Errors
    /// `conflict` where there is one.
    fn may_make(&self, home: &Path) -> Result<(), ApiError>;

    /// Makes a home.
    ///
    /// # Errors
    /// `conflict` where there is one, `usage` for words that are none.
    fn init(&self, home: &Path, new: NewHome) -> impl Future<Output = Result<Identity, ApiError>>;

    /// The recovery words, which are in a slot that only the passphrase opens.
    ///
    /// # Errors
    /// `not_found` without a home, `auth`, `permission` on a device that does not hold them.
    fn words(&self, home: &Path, ask: &AskPassphrase<'_>) -> impl Future<Output = Result<WordsResult, ApiError>>;

    /// Writes a backup of the home into a new file.
    ///
    /// # Errors
    /// As [`words`](Self::words) and [`connect`](Self::connect); `conflict` where the file is there.
    fn backup(
        &self,
        home: &Path,
        file: &Path,
        ask: &AskPassphrase<'_>,
    ) -> impl Future<Output = Result<BackupResult, ApiError>>;

    /// Makes a home of a backup; the new home's name is in it.
    ///
    /// # Errors
    /// `conflict` where there is a home, `usage` for words that are none, `auth` where they do not open the file.
    fn restore(&self, home: &Path, file: &Path, new: NewHome) -> impl Future<Output = Result<RestoreResult, ApiError>>;

    /// The running node of the home through its socket, else the home itself without any network.
    ///
    /// # Errors
    /// `not_found` without a home, `locked`, `auth`.
    fn connect(&self, home: &Path, ask: &AskPassphrase<'_>) -> impl Future<Output = Result<Self::Api, ApiError>>;

    /// Runs a node until it is told to stop by a signal or `down`, and calls `ready` once.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and `conflict` where one runs already.
    fn up(
        &self,
        home: &Path,
        start: Start,
        ask: &AskPassphrase<'_>,
        ready: &mut dyn FnMut(Ready),
    ) -> impl Future<Output = Result<(), ApiError>>;

    /// JSON-RPC on stdin and stdout, line by line, until stdin ends.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    fn rpc_stdio(&self, home: &Path, ask: &AskPassphrase<'_>) -> impl Future<Output = Result<(), ApiError>>;

    /// Runs a testnet with its homes in `folder` until it is told to stop, and calls `ready` once.
    ///
    /// # Errors
    /// `conflict` where one is up.
    fn testnet_up(
        &self,
        folder: &Path,
        nodes: u32,
        seed: Option<u64>,
        ready: &mut dyn FnMut(TestnetResult),
    ) -> impl Future<Output = Result<(), ApiError>>;

    /// The nodes of the testnet that is up in `folder`.
    ///
    /// # Errors
    /// `not_found` where none is.
    fn testnet_list(&self, folder: &Path) -> impl Future<Output = Result<TestnetResult, ApiError>>;

    /// Stops the testnet and tells what it was.
    ///
    /// # Errors
    /// `not_found` where none is up.
    fn testnet_down(&self, folder: &Path) -> impl Future<Output = Result<TestnetResult, ApiError>>;

    /// Real nodes on this machine talk; each step is told as it has happened. Kept nodes stay until they are told to stop.
    ///
    /// # Errors
    /// Where a step did not happen.
    fn demo(&self, ending: DemoEnding, tell: &mut dyn FnMut(DemoStep)) -> impl Future<Output = Result<(), ApiError>>;

    /// Measures this machine, with homes that are made in `folder` and removed again: on the disk that homes are on.
    ///
    /// # Errors
    /// Where the measured nodes fail.
    fn bench(&self, folder: &Path) -> impl Future<Output = Result<BenchResult, ApiError>>;
}

/// A home to make.
pub struct NewHome {
    /// The account's name.
    pub name: String,
    /// What protects it; `None`: nothing.
    pub passphrase: Option<Zeroizing<String>>,
    /// The words of the account to restore; `None` makes a new one.
    pub words: Option<Zeroizing<String>>,
}

/// What the flags of `up` say; the rest is in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Where to listen; empty: as configured.
    pub listen: Vec<String>,
    /// Peers to begin with; empty: as configured.
    pub bootstrap: Vec<String>,
    /// Whether to look on the local network; `None`: as configured.
    pub mdns: Option<bool>,
    /// The configuration file that was read, for messages.
    pub config: PathBuf,
}

impl Start {
    /// The same as settings, which go before the file and the environment.
    pub fn flags(&self) -> Vec<(Key, Value)> {
        let list = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::String).collect());
        let lists = [(Key::Listen, &self.listen), (Key::Bootstrap, &self.bootstrap)];
        let given = lists.into_iter().filter(|(_, texts)| !texts.is_empty());
        let mdns = self.mdns.map(|mdns| (Key::Mdns, Value::Boolean(mdns)));
        given.map(|(key, texts)| (key, list(texts))).chain(mdns).collect()
    }
}

//! The seam between the command line and what starts nodes. Views import no node and no testnet; `main.rs` implements
//! [`Runtime`] with them, and tests implement it with a script.

use crate::api::{
    Api, ApiError,
    types::{BenchResult, DemoStep, Identity, Ready, TestnetResult, WordsResult},
};
use std::{
    future::Future,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Gives the passphrase, when and only when it is needed. It may ask a person and take its time.
pub type AskPassphrase<'a> = dyn Fn() -> Result<Zeroizing<String>, ApiError> + Sync + 'a;

/// What only `main.rs` can do.
pub trait Runtime {
    /// A running node of the home, or the home opened on the spot.
    type Api: Api;

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

    /// Runs a testnet until it is told to stop, and calls `ready` once.
    ///
    /// # Errors
    /// `conflict` where one is up.
    fn testnet_up(
        &self,
        nodes: u32,
        seed: Option<u64>,
        ready: &mut dyn FnMut(TestnetResult),
    ) -> impl Future<Output = Result<(), ApiError>>;

    /// The nodes of the testnet that is up.
    ///
    /// # Errors
    /// `not_found` where none is.
    fn testnet_list(&self) -> impl Future<Output = Result<TestnetResult, ApiError>>;

    /// Stops the testnet and tells what it was.
    ///
    /// # Errors
    /// `not_found` where none is up.
    fn testnet_down(&self) -> impl Future<Output = Result<TestnetResult, ApiError>>;

    /// Real nodes on this machine talk; each step is told as it has happened.
    ///
    /// # Errors
    /// Where a step did not happen.
    fn demo(&self, tell: &mut dyn FnMut(DemoStep)) -> impl Future<Output = Result<(), ApiError>>;

    /// Measures this machine.
    ///
    /// # Errors
    /// Where the measured nodes fail.
    fn bench(&self) -> impl Future<Output = Result<BenchResult, ApiError>>;
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

//! The program: joins the command line to the nodes that it starts. Everything else is in the library.

use futures::stream::BoxStream;
use moim::{
    api::{
        Api, ApiError, Method, Reason,
        types::{BenchResult, DemoStep, Identity, Ready, TestnetResult, WatchEvent, WordsResult},
    },
    cli::{self, AskPassphrase, NewHome, Runtime, Start, Surroundings},
};
use std::{path::Path, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Surroundings::of_process(), &Machine).await.into()
}

/// This machine. The one place that starts nodes and testnets.
struct Machine;

/// SEAM: the methods below are where the node, the testnet and the API's client are joined on. Until a part is there,
/// its commands say so.
fn missing(part: &str) -> ApiError {
    ApiError::new(Reason::NotInThisBuild).with("given", part)
}

impl Runtime for Machine {
    type Api = NoNode;

    async fn init(&self, _: &Path, _: NewHome) -> Result<Identity, ApiError> {
        Err(missing("store"))
    }

    async fn words(&self, _: &Path, _: &AskPassphrase<'_>) -> Result<WordsResult, ApiError> {
        Err(missing("store"))
    }

    async fn connect(&self, _: &Path, _: &AskPassphrase<'_>) -> Result<NoNode, ApiError> {
        Err(missing("node"))
    }

    async fn up(&self, _: &Path, _: Start, _: &AskPassphrase<'_>, _: &mut dyn FnMut(Ready)) -> Result<(), ApiError> {
        Err(missing("node"))
    }

    async fn rpc_stdio(&self, _: &Path, _: &AskPassphrase<'_>) -> Result<(), ApiError> {
        Err(missing("node"))
    }

    async fn testnet_up(&self, _: u32, _: Option<u64>, _: &mut dyn FnMut(TestnetResult)) -> Result<(), ApiError> {
        Err(missing("testnet"))
    }

    async fn testnet_list(&self) -> Result<TestnetResult, ApiError> {
        Err(missing("testnet"))
    }

    async fn testnet_down(&self) -> Result<TestnetResult, ApiError> {
        Err(missing("testnet"))
    }

    async fn demo(&self, _: &mut dyn FnMut(DemoStep)) -> Result<(), ApiError> {
        Err(missing("testnet"))
    }

    async fn bench(&self) -> Result<BenchResult, ApiError> {
        Err(missing("testnet"))
    }
}

/// An API that nobody can have: [`Machine::connect`] never gives one.
enum NoNode {}

impl Api for NoNode {
    async fn call<M: Method>(&mut self, _: M::Params) -> Result<M::Result, ApiError> {
        match *self {}
    }

    async fn watch(&mut self, _: Option<u64>) -> Result<BoxStream<'_, Result<WatchEvent, ApiError>>, ApiError> {
        match *self {}
    }
}

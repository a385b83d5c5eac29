//! The program: joins the command line to the nodes that it starts. Everything else is in the library.

#[path = "main/homes.rs"]
mod homes;
#[path = "main/reports.rs"]
mod reports;
#[path = "main/signals.rs"]
mod signals;

use moim::{
    api::{
        ApiError, Client, Reason, Served,
        config::{AutoJoin, Config},
        types::{
            BackupResult, BenchResult, DemoEnding, DemoStep, Identity, Ready, RestoreResult, TestnetResult, WordsResult,
        },
    },
    archive,
    cli::{self, AskPassphrase, NewHome, Runtime, Start, Surroundings},
    net::Mdns,
    node::NodeConfig,
    protocol::engine::Settings,
    testnet::{Testnet, TestnetConfig, bench, demo},
};
use signals::Signals;
use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    reports::panics();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("moim: the system gives no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(Surroundings::of_process(), &Machine));
    // What had to end in order has ended; a thread that still reads stdin must not keep the process.
    runtime.shutdown_background();
    code.into()
}

/// This machine. The one place that starts nodes and testnets.
struct Machine;

impl Runtime for Machine {
    type Api = Client;

    fn may_make(&self, home: &Path) -> Result<(), ApiError> {
        homes::may_make(home)
    }

    async fn init(&self, home: &Path, new: NewHome) -> Result<Identity, ApiError> {
        homes::init(home, new).await
    }

    async fn words(&self, home: &Path, ask: &AskPassphrase<'_>) -> Result<WordsResult, ApiError> {
        homes::words(home, ask).await
    }

    async fn backup(&self, home: &Path, file: &Path, ask: &AskPassphrase<'_>) -> Result<BackupResult, ApiError> {
        let words = homes::recovery_words(home, ask).await?;
        archive::back_up(&mut self.connect(home, ask).await?, &words, file).await
    }

    async fn restore(&self, home: &Path, file: &Path, new: NewHome) -> Result<RestoreResult, ApiError> {
        homes::restore(home, file, new).await
    }

    async fn connect(&self, home: &Path, ask: &AskPassphrase<'_>) -> Result<Client, ApiError> {
        let config = homes::config(home, &[])?;
        reports::logs(&config);
        Client::open(home, settings(&config), || homes::passphrase_to_open(home, ask)).await
    }

    async fn up(
        &self,
        home: &Path,
        start: Start,
        ask: &AskPassphrase<'_>,
        ready: &mut dyn FnMut(Ready),
    ) -> Result<(), ApiError> {
        let config = homes::config(home, &start.flags())?;
        reports::logs(&config);
        if homes::is_served(home).await? {
            return Err(ApiError::new(Reason::NodeRuns));
        }
        let passphrase = homes::passphrase_to_open(home, ask)?;
        // Not before the prompt: Ctrl+C ends that as it ends any other.
        let mut signals = Signals::listen()?;
        let starting = Served::start(NodeConfig {
            home: home.to_path_buf(),
            passphrase,
            listen: config.listen(),
            bootstrap: config.bootstrap(),
            mdns: if config.mdns() { Mdns::On } else { Mdns::Off },
            settings: settings(&config),
        });
        let node = tokio::select! {
            // Nothing was promised yet, so there is nothing to end in order.
            () = signals.next() => return Ok(()),
            node = starting => node?,
        };
        ready(node.ready().await?);
        let handle = node.handle();
        tokio::select! {
            () = signals.next() => {}
            () = handle.stopping() => {}
        }
        signals.end_at_the_next();
        node.stop().await
    }

    async fn rpc_stdio(&self, home: &Path, ask: &AskPassphrase<'_>) -> Result<(), ApiError> {
        let client = self.connect(home, ask).await?;
        client.serve_stdio().await.map_err(|error| ApiError::file(Path::new("stdin"), &error))
    }

    async fn testnet_up(
        &self,
        folder: &Path,
        nodes: u32,
        seed: Option<u64>,
        ready: &mut dyn FnMut(TestnetResult),
    ) -> Result<(), ApiError> {
        let mut signals = Signals::listen()?;
        reports::logs(&homes::config(folder, &[])?);
        let config = TestnetConfig::new(folder, nodes).with_seed(seed.unwrap_or_default());
        let testnet = tokio::select! {
            () = signals.next() => return Ok(()),
            testnet = Testnet::up(config) => testnet?,
        };
        ready(testnet.table().await?);
        tokio::select! {
            () = signals.next() => {}
            () = testnet.all_stopping() => {}
        }
        signals.end_at_the_next();
        testnet.down().await
    }

    async fn testnet_list(&self, folder: &Path) -> Result<TestnetResult, ApiError> {
        Testnet::list(folder).await
    }

    async fn testnet_down(&self, folder: &Path) -> Result<TestnetResult, ApiError> {
        Testnet::stop(folder).await
    }

    async fn demo(&self, ending: DemoEnding, tell: &mut dyn FnMut(DemoStep)) -> Result<(), ApiError> {
        let mut signals = Signals::listen()?;
        let demo = tokio::select! {
            () = signals.next() => return Err(ApiError::new(Reason::Interrupted)),
            demo = demo::run(ending, tell) => demo?,
        };
        let Some(kept) = demo else { return Ok(()) };
        tokio::select! {
            () = signals.next() => {}
            () = kept.all_stopping() => {}
        }
        signals.end_at_the_next();
        kept.down().await
    }

    async fn bench(&self, folder: &Path) -> Result<BenchResult, ApiError> {
        bench::run(folder).await
    }
}

/// What of the configuration the engine must know.
fn settings(config: &Config) -> Settings {
    Settings {
        read_receipts: config.receipts_read(),
        join_contacts_groups: config.groups_auto_join() == AutoJoin::Contacts,
    }
}

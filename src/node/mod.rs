//! The node: what joins engine, store and network, and the only place that starts and stops them.
//!
//! [`Node::start`] opens a home and its network; [`Node::open`] opens a home alone, for commands without a running node:
//! then no socket is ever opened. Either gives a [`Handle`] through which the api asks and reads. It promises that what
//! was answered is durable, and that [`Node::shutdown`] ends within two seconds and loses nothing. It knows no JSON and
//! no view: `main` starts nodes, the api serves them.

mod actor;
mod begin;
mod clock;
mod handle;
mod heart;
mod limits;
mod readers;
#[cfg(test)]
mod tests;
mod wire;

pub use actor::{Answer, CommandError, Surroundings};
pub use begin::{Account, Restored, create, new_words, restore};
pub use clock::now;
pub use handle::{Asked, Handle, Reach};

use crate::{
    net::{self, BadAddress, Mdns, Net, NetConfig, NetError},
    protocol::{
        engine::{
            Engine, Settings,
            backup::RestoreError,
            begin::BeginError,
            rows::{self, CounterRow, OwnRow},
        },
        identity::{DeviceKeys, profile::NameError},
        view::ViewError,
        wire as codec,
    },
    store::{Home, HomeError, Passphrase, SledStore, StoreError},
};
use actor::{Actor, Nowhere, Outside, Views};
use handle::Shelf;
use heart::Heart;
use limits::{COMMAND_QUEUE, ENGINE_STOP_WAIT, FIRST_ADDRESS_WAIT, NET_STOP_WAIT};
use readers::Readers;
use std::{path::PathBuf, sync::Arc, thread, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use wire::Wire;

/// The longest that [`Node::shutdown`] takes, whatever its disk and its peers do.
pub const STOP_WAIT: Duration = ENGINE_STOP_WAIT.saturating_add(NET_STOP_WAIT);

/// How a node is set up.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The folder of the home.
    pub home: PathBuf,
    /// What opens it, where it is closed with one.
    pub passphrase: Option<Passphrase>,
    /// Where to listen, as multiaddr texts; none: every interface, TCP and QUIC. Port 0 means the port of last time
    /// where it is free, else a new one.
    pub listen: Vec<String>,
    /// Addresses where others may be found at the start.
    pub bootstrap: Vec<String>,
    /// Whether devices of the same local network are looked for.
    pub mdns: Mdns,
    /// What the owner chose.
    pub settings: Settings,
}

impl NodeConfig {
    /// A node of this home as `moim up` starts it where nothing is configured: on every interface, seen on the local
    /// network, without a passphrase.
    pub fn at(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            passphrase: None,
            listen: Vec::new(),
            bootstrap: Vec::new(),
            mdns: Mdns::On,
            settings: Settings::default(),
        }
    }
}

/// A node could not start or end.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The home could not be opened or made.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Its store could not be opened or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its store could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Making the home was interrupted before it had an account.
    #[error("the home in {} has no account yet: remove the folder and run `moim init` again", .0.display())]
    NoAccount(PathBuf),
    /// The name of a new account is not usable.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The first rows of a new account could not be made.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// A backup is of another account, or none.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// An address to listen at is none.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// The network did not start.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The system gave no random bytes.
    #[error("the system gives no randomness: {0}")]
    NoRandomness(getrandom::Error),
    /// The engine's thread did not start or failed.
    #[error("the engine's thread: {0}")]
    Thread(std::io::Error),
    /// It did not end in time; what was answered is durable all the same.
    #[error("the node did not stop within {} ms", STOP_WAIT.as_millis())]
    StillBusy,
}

/// A running node, or an open home.
#[derive(Debug)]
pub struct Node {
    handle: Handle,
    net: Option<Net>,
    ended: oneshot::Receiver<std::io::Result<()>>,
}

/// An opened home with what is needed of its own row.
struct Opened {
    /// One of them opened the store: what sled needed for that while it did is free for its reads.
    readers: Readers,
    store: SledStore,
    own: OwnRow,
    keys: DeviceKeys,
    last_cursor: u64,
}

impl Node {
    /// Opens the home and joins the network. Returns when the node listens.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let opened = Opened::open(config.home.clone(), config.passphrase).await?;
        let listen = net::with_memory(&config.listen, &opened.own.addresses)?;
        let net_config = NetConfig { listen, mdns: config.mdns, ..NetConfig::default() };
        let (net, events) = net::start(opened.keys.transport.seed(), net_config)?;
        if !config.bootstrap.is_empty() {
            // A network that has stopped already says so by its events.
            let _ = net.tell(net::Command::Probe { addresses: config.bootstrap }).await;
        }
        let wire = Wire::new(net.clone(), events);
        let node = Self::run(config.home, opened, config.settings, wire, Reach::Network, Some(net))?;
        let listens = node.handle.surroundings_are(|around| !around.listening.is_empty());
        // A machine without any network still has a node.
        let _ = tokio::time::timeout(FIRST_ADDRESS_WAIT, listens).await;
        Ok(node)
    }

    /// Opens the home alone: commands are carried out here, and sent when a node runs.
    pub async fn open(home: PathBuf, passphrase: Option<Passphrase>, settings: Settings) -> Result<Self, NodeError> {
        let opened = Opened::open(home.clone(), passphrase).await?;
        Self::run(home, opened, settings, Nowhere, Reach::LocalOnly, None)
    }

    fn run(
        home: PathBuf,
        opened: Opened,
        settings: Settings,
        outside: impl Outside + 'static,
        reach: Reach,
        net: Option<Net>,
    ) -> Result<Self, NodeError> {
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let (feed_out, feed) = watch::channel(opened.last_cursor);
        let (surroundings_out, surroundings) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let rows = Shelf::new(opened.store.reader());
        let peer = net::peer_name(&opened.own.transport);
        let views = Views { feed: feed_out, surroundings: surroundings_out };
        let rng = clock::randomness().map_err(NodeError::NoRandomness)?;
        let heart = Heart::new(opened.store, rng, move || Engine::new(settings));
        let actor = Actor::new(heart, outside, queue, views, clock::now, stop.clone());
        let (ending, ended) = oneshot::channel();
        let last_word = stop.clone();
        let body = move || {
            // However it ends, the node ends with it: one without its engine would only seem to work.
            let _ends_the_node = last_word.drop_guard();
            // Whoever waits for the end may have gone.
            let _ = ending.send(actor.run());
        };
        thread::Builder::new().name("moim-engine".into()).spawn(body).map_err(NodeError::Thread)?;
        let handle =
            Handle::new(handle::Ends { commands, rows, feed, surroundings, reach, home, peer, stop }, opened.readers);
        Ok(Self { handle, net, ended })
    }

    /// The door for the api.
    pub fn client(&self) -> Handle {
        self.handle.clone()
    }

    /// Answers what was asked, then stops. Handles that are left refuse from here on.
    pub async fn shutdown(mut self) -> Result<(), NodeError> {
        self.handle.stop();
        let ended = tokio::time::timeout(ENGINE_STOP_WAIT, &mut self.ended).await;
        if let Some(net) = &self.net {
            let _ = tokio::time::timeout(NET_STOP_WAIT, net.shutdown()).await;
        }
        self.handle.close();
        match ended {
            Err(_) => Err(NodeError::StillBusy),
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(failed))) => Err(NodeError::Thread(failed)),
            Ok(Err(_)) => Err(NodeError::Thread(std::io::Error::other("it died"))),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.stop();
        self.handle.close();
    }
}

impl Opened {
    /// Reads the disk and stretches the passphrase: on a thread that may block.
    async fn open(dir: PathBuf, passphrase: Option<Passphrase>) -> Result<Self, NodeError> {
        let readers = Readers::default();
        let opening = readers.run(move || {
            let home = Home::open(&dir, passphrase.as_ref())?;
            let store = home.store()?;
            let own: OwnRow = rows::read(&store, &OwnRow::key())?.ok_or(NodeError::NoAccount(dir))?;
            let damaged = |_| ViewError::Damaged(crate::protocol::view::Table::Own);
            let keys = codec::decode::<DeviceKeys>(&own.keys, "device keys").map_err(damaged)?;
            let counters: CounterRow = rows::read(&store, &CounterRow::key())?.unwrap_or_default();
            Ok((store, own, keys, counters.feed))
        });
        let opened = opening.await.unwrap_or_else(|| Err(NodeError::Thread(std::io::Error::other("it died"))));
        opened.map(|(store, own, keys, last_cursor)| Self { readers, store, own, keys, last_cursor })
    }
}

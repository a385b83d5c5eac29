//! The network: a libp2p swarm that carries bytes between devices and knows no plaintext.
//!
//! It promises that each connected peer is told once, and before and after its frames; that frames of a connected peer
//! arrive in order, and either arrive or end in [`NetEvent::Disconnected`] or [`NetEvent::Overflow`]; that gossip is
//! forwarded only as the topic's [`Gate`] judged, and no topic is told to a peer outside of [`Command::Circle`]; and that no peer makes it hold more than [`limits`] and
//! [`crate::protocol::wire::limits`] say. It does not promise delivery: receipts and the outbox above it do.
//!
//! It does not know accounts, sessions, groups or the store. The node calls it: [`start`] gives a cheap handle for
//! [`Command`]s and one channel of [`NetEvent`]s, and everything runs in tasks that [`Net::shutdown`] joins.

mod address;
mod circle;
mod direct;
mod door;
mod driver;
mod framing;
mod gossip;
pub mod limits;
mod link;
mod multiplex;
mod offences;
mod ports;
mod reach;
mod swarm;
#[cfg(test)]
mod tests;

pub use address::peer_name;
pub use gossip::{Gate, GossipError, Topic, Verdict};
pub use libp2p::Multiaddr;
pub use ports::{BadAddress, with_memory};

use crate::{
    net::{
        driver::Driver,
        limits::{DoorLimits, MAX_COMMANDS, MAX_EVENTS, MAX_QUEUED_BYTES, MAX_QUEUED_FRAMES, STOP_TIMEOUT},
    },
    protocol::{crypto::secret::Secret, ids::TransportKey},
};
use libp2p::{identity::Keypair, swarm::DialError};
use std::{fmt, io};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How the network is set up.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// Where to listen; port 0 lets the system choose. TCP and QUIC over IPv4 and IPv6.
    pub listen: Vec<Multiaddr>,
    /// Whether devices of the same local network are looked for.
    pub mdns: Mdns,
    /// What may wait for one peer.
    pub queue: QueueLimits,
    /// How many strangers may come in.
    pub door: DoorLimits,
    /// How many events may wait for the node.
    pub events: usize,
}

/// Whether devices of the same local network are looked for, which tells them the own PeerId and addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mdns {
    /// Looked for, and answered.
    On,
    /// Neither.
    Off,
}

/// What may wait for one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Frames.
    pub frames: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// What the node asks of the network.
pub enum Command {
    /// Frames for a connected peer, in this order. Where it is not connected they are dropped: the node knows.
    Send {
        /// The peer.
        to: TransportKey,
        /// Each 1 to [`MAX_FRAME`](crate::protocol::wire::limits::MAX_FRAME) bytes.
        frames: Vec<Vec<u8>>,
    },
    /// A frame for the topic's subscribers. What gossip loses, sync repairs.
    Publish {
        /// The topic, which need not be subscribed.
        topic: Topic,
        /// At most [`MAX_GOSSIP_FRAME`](crate::protocol::wire::limits::MAX_GOSSIP_FRAME) bytes.
        frame: Vec<u8>,
    },
    /// Takes part in a topic, with its judge; a second time, with another judge.
    Subscribe {
        /// The topic.
        topic: Topic,
        /// Its judge.
        gate: Gate,
    },
    /// Those that take part in gossip: peers that share a topic with this node. Nobody else learns one. It replaces what
    /// was said before.
    Circle {
        /// At most [`limits::MAX_REACHED`].
        peers: Vec<TransportKey>,
    },
    /// Leaves a topic.
    Unsubscribe {
        /// The topic.
        topic: Topic,
    },
    /// Keeps a connection to a peer: dials now, and with pauses of 1 s to 5 min. Addresses join those known and are tried
    /// at once; one that cannot be dialled is passed over.
    Reach {
        /// The peer.
        peer: TransportKey,
        /// As text, at most [`limits::MAX_PEER_ADDRESSES`].
        addresses: Vec<String>,
    },
    /// No longer keeps a connection to a peer; one that is open stays.
    Forget {
        /// The peer.
        peer: TransportKey,
    },
    /// Closes the connection of a peer, if there is one.
    Disconnect {
        /// The peer.
        peer: TransportKey,
    },
    /// Connects to whoever answers at these addresses (a ticket's hints), tried for [`limits::PROBE_LIFE`].
    Probe {
        /// As text.
        addresses: Vec<String>,
    },
    /// Dials everyone who is wanted and not connected, now.
    TryNow,
}

/// What the network tells the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetEvent {
    /// The addresses where this node can be reached, whenever they change; loopback only where there is nothing else.
    Listening {
        /// As text, sorted.
        addresses: Vec<String>,
    },
    /// A peer is connected: frames pass both ways.
    Connected {
        /// The peer.
        peer: TransportKey,
        /// The address that led there, where this node dialled.
        address: Option<String>,
    },
    /// A peer is connected no longer. Frames that were sent and not answered may be lost.
    Disconnected {
        /// The peer.
        peer: TransportKey,
    },
    /// A frame of a connected peer, in its order.
    Frame {
        /// The peer.
        from: TransportKey,
        /// 1 to [`MAX_FRAME`](crate::protocol::wire::limits::MAX_FRAME) bytes.
        bytes: Vec<u8>,
    },
    /// What a gate made of a gossip frame.
    Gossip {
        /// The topic.
        topic: Topic,
        /// The gate's payload.
        payload: Vec<u8>,
        /// Whether it was accepted, and so forwarded.
        forwarded: bool,
    },
    /// A dial failed; told of each one.
    Unreachable {
        /// The peer.
        peer: TransportKey,
        /// Why.
        why: Unreached,
    },
    /// The queue of a peer is full and frames are dropped. Told once until it is empty again.
    Overflow {
        /// The peer.
        peer: TransportKey,
    },
    /// The queue of a peer overflowed and is empty now: a good time to send again.
    Drained {
        /// The peer.
        peer: TransportKey,
    },
    /// A peer was seen on the local network. Nobody vouches for it.
    Discovered {
        /// The peer.
        peer: TransportKey,
        /// As text.
        addresses: Vec<String>,
    },
}

/// Why a peer was not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// No address is known that may be dialled.
    #[error("no address is known")]
    NoAddress,
    /// Nobody answered at any address.
    #[error("nobody answers there")]
    Silent,
    /// Another peer answered.
    #[error("somebody else answers there")]
    SomebodyElse,
    /// This node's own limits, or a connection that is there already.
    #[error("the connection was refused here")]
    Refused,
    /// What answered does not speak the protocol.
    #[error("what answers there is not moim")]
    NotMoim,
}

/// Why the network did not start.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A transport could not be made.
    #[error("the network could not be set up: {0}")]
    Transport(String),
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the system says.
        why: String,
        /// The kind of that, where it is the system's.
        kind: Option<io::ErrorKind>,
    },
    /// Gossip could not be set up.
    #[error(transparent)]
    Gossip(#[from] GossipError),
}

/// The network has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network has stopped")]
pub struct Stopped;

/// The handle of a running network; clones are the same network. It stops when all are dropped, or at
/// [`Net::shutdown`].
#[derive(Debug, Clone)]
pub struct Net {
    me: TransportKey,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
    stopped: CancellationToken,
}

/// Starts the network of a device within the current tokio runtime. `seed` is the Ed25519 seed of its transport key.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn start(seed: &Secret, config: NetConfig) -> Result<(Net, mpsc::Receiver<NetEvent>), NetError> {
    let key = Keypair::ed25519_from_bytes(*seed.expose()).map_err(NetError::transport)?;
    let tasks = TaskTracker::new();
    let mut swarm = swarm::build(&key, config.mdns, config.door, &tasks)?;
    let me = address::transport_key(swarm.local_peer_id()).ok_or_else(|| NetError::transport("not an Ed25519 key"))?;
    // All before any: one that is listened on already would be in the way of the next.
    for address in &config.listen {
        ports::check_free(address)?;
    }
    for address in config.listen {
        let listening = swarm.listen_on(address.clone());
        listening.map_err(|error| NetError::Listen { address, why: error.to_string(), kind: None })?;
    }
    let (commands, to_do) = mpsc::channel(MAX_COMMANDS);
    let (telling, events) = mpsc::channel(config.events.max(1));
    let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
    let driver = Driver::new(swarm, to_do, telling, config.queue, config.door.silence);
    tokio::spawn({
        let (stop, stopped) = (stop.clone(), stopped.clone().drop_guard());
        async move {
            driver.run(stop).await;
            // The swarm is gone, and its connections end by that.
            tasks.close();
            if timeout(STOP_TIMEOUT, tasks.wait()).await.is_err() {
                tracing::debug!("a connection did not end in time");
            }
            drop(stopped);
        }
    });
    Ok((Net { me, commands, stop, stopped }, events))
}

impl Net {
    /// The own transport key.
    pub fn transport_key(&self) -> TransportKey {
        self.me
    }

    /// Hands over a command; waits where [`limits::MAX_COMMANDS`] wait already.
    pub async fn tell(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }

    /// Stops the network and returns when every task and socket of it is gone, or has been given up after
    /// [`limits::STOP_TIMEOUT`].
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            mdns: Mdns::Off,
            queue: QueueLimits::default(),
            door: DoorLimits::default(),
            events: MAX_EVENTS,
        }
    }
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { frames: MAX_QUEUED_FRAMES, bytes: MAX_QUEUED_BYTES }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Send { .. } => "Send",
            Self::Publish { .. } => "Publish",
            Self::Subscribe { .. } => "Subscribe",
            Self::Circle { .. } => "Circle",
            Self::Unsubscribe { .. } => "Unsubscribe",
            Self::Reach { .. } => "Reach",
            Self::Forget { .. } => "Forget",
            Self::Disconnect { .. } => "Disconnect",
            Self::Probe { .. } => "Probe",
            Self::TryNow => "TryNow",
        };
        f.write_str(name)
    }
}

impl NetError {
    fn transport(error: impl fmt::Display) -> Self {
        Self::Transport(error.to_string())
    }
}

impl From<&DialError> for Unreached {
    fn from(error: &DialError) -> Self {
        match error {
            DialError::NoAddresses => Self::NoAddress,
            DialError::WrongPeerId { .. } | DialError::LocalPeerId { .. } => Self::SomebodyElse,
            DialError::Denied { .. } | DialError::DialPeerConditionFalse(_) => Self::Refused,
            DialError::Aborted | DialError::Transport(_) => Self::Silent,
        }
    }
}

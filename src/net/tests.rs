//! The network as the node sees it: real sockets on loopback, several nodes in one process, and peers that misbehave.

mod gossip;
mod hostile;
mod pairs;

use super::*;
use crate::protocol::{crypto::secret::Secret, ids::TransportKey};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running node and what it was told.
struct Node {
    net: Net,
    events: mpsc::Receiver<NetEvent>,
    key: TransportKey,
    addresses: Vec<String>,
}

impl Node {
    async fn start(seed: u8) -> Self {
        Self::start_with(seed, NetConfig { listen: vec![tcp(0)], ..NetConfig::default() }).await
    }

    async fn start_with(seed: u8, config: NetConfig) -> Self {
        let (net, mut events) = start(&Secret::from([seed; 32]), config).unwrap();
        let addresses = match timeout(PATIENCE, events.recv()).await.unwrap() {
            Some(NetEvent::Listening { addresses }) => addresses,
            other => panic!("{other:?}"),
        };
        Self { key: net.transport_key(), net, events, addresses }
    }

    async fn tell(&self, command: Command) {
        self.net.tell(command).await.unwrap();
    }

    async fn reach(&self, other: &Node) {
        self.tell(Command::Reach { peer: other.key, addresses: other.addresses.clone() }).await;
    }

    /// Shares gossip with these alone.
    async fn circle(&self, others: &[TransportKey]) {
        self.tell(Command::Circle { peers: others.to_vec() }).await;
    }

    async fn send(&self, to: &Node, frames: Vec<Vec<u8>>) {
        self.tell(Command::Send { to: to.key, frames }).await;
    }

    async fn next(&mut self) -> NetEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("a running network")
    }

    /// The first event for which `pick` gives something; others are passed over.
    async fn wait<T>(&mut self, mut pick: impl FnMut(NetEvent) -> Option<T>) -> T {
        loop {
            if let Some(picked) = pick(self.next().await) {
                return picked;
            }
        }
    }

    async fn connected(&mut self, other: TransportKey) -> Option<String> {
        self.wait(|event| match event {
            NetEvent::Connected { peer, address } if peer == other => Some(address),
            _ => None,
        })
        .await
    }

    async fn disconnected(&mut self, other: TransportKey) {
        self.wait(|event| (event == NetEvent::Disconnected { peer: other }).then_some(())).await;
    }

    /// The next `count` frames of `other`; nothing else may come between.
    async fn frames(&mut self, other: TransportKey, count: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while frames.len() < count {
            match self.next().await {
                NetEvent::Frame { from, bytes } if from == other => frames.push(bytes),
                NetEvent::Overflow { .. } | NetEvent::Drained { .. } => {}
                other => panic!("{other:?} after {} frames", frames.len()),
            }
        }
        frames
    }
}

/// Two connected nodes, the first having dialled.
async fn pair(a: u8, b: u8) -> (Node, Node) {
    let (mut a, mut b) = (Node::start(a).await, Node::start(b).await);
    connect(&mut a, &mut b).await;
    (a, b)
}

async fn connect(a: &mut Node, b: &mut Node) {
    a.reach(b).await;
    a.connected(b.key).await;
    b.connected(a.key).await;
}

fn tcp(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
}

fn numbered(range: std::ops::Range<u32>, size: usize) -> Vec<Vec<u8>> {
    range.map(|n| [&n.to_be_bytes()[..], &vec![0; size - 4]].concat()).collect()
}

//! Between the actor and the network: events become inputs, effects become commands.
//!
//! The engine speaks of gates and frame contents, the network of closures and bytes: only this file knows both.

use super::{
    actor::{Arrival, Outside},
    heart::Outgoing,
};
use crate::{
    net::{self, Net, NetEvent},
    protocol::{
        engine::Input,
        group::gossip::{FrameContent, Gate, Topic, Verdict},
        ids::TransportKey,
    },
};
use libp2p::identity::{PublicKey, ed25519};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A running network.
pub(super) struct Wire {
    net: Net,
    events: mpsc::Receiver<NetEvent>,
    begun: bool,
}

impl Wire {
    pub(super) fn new(net: Net, events: mpsc::Receiver<NetEvent>) -> Self {
        Self { net, events, begun: false }
    }

    /// The first thing that comes, before any event.
    fn begin(&mut self) -> Option<Arrival> {
        (!std::mem::replace(&mut self.begun, true)).then_some(Arrival::Input(Input::Online))
    }
}

impl Outside for Wire {
    async fn next(&mut self) -> Option<Arrival> {
        if let Some(first) = self.begin() {
            return Some(first);
        }
        loop {
            let event = self.events.recv().await?;
            if let Some(arrival) = arrival(event) {
                return Some(arrival);
            }
        }
    }

    fn try_next(&mut self) -> Option<Arrival> {
        if let Some(first) = self.begin() {
            return Some(first);
        }
        loop {
            let event = self.events.try_recv().ok()?;
            if let Some(arrival) = arrival(event) {
                return Some(arrival);
            }
        }
    }

    fn carry(&mut self, outgoing: Outgoing) {
        for command in commands(outgoing) {
            // The network takes commands while its events wait, so this ends. One that has stopped needs nothing.
            if futures::executor::block_on(self.net.tell(command)).is_err() {
                return;
            }
        }
    }
}

/// What an event is to the actor; `None` for those that nobody acts on.
fn arrival(event: NetEvent) -> Option<Arrival> {
    let input = match event {
        NetEvent::Listening { addresses } => Input::Listening(addresses),
        NetEvent::Connected { peer, address } => Input::Connected { peer, address },
        NetEvent::Disconnected { peer } => Input::Disconnected(peer),
        NetEvent::Frame { from, bytes } => Input::Frame(from, bytes),
        // Sending again makes sense once there is room again.
        NetEvent::Drained { peer } => Input::Overflow(peer),
        NetEvent::Overflow { peer } => {
            tracing::debug!(?peer, "its queue is full");
            return None;
        }
        NetEvent::Unreachable { peer, why } => {
            tracing::debug!(?peer, %why, "not reached");
            return None;
        }
        NetEvent::Gossip { topic, payload, .. } => Input::Gossip(Topic(topic.0), from_payload(&payload)?),
        NetEvent::Discovered { peer, addresses } => return Some(Arrival::Seen(peer, addresses)),
    };
    Some(Arrival::Input(input))
}

fn commands(outgoing: Outgoing) -> Vec<net::Command> {
    match outgoing {
        Outgoing::Send(to, frames) => vec![net::Command::Send { to, frames }],
        Outgoing::Publish(topic, frame) => vec![net::Command::Publish { topic: net::Topic(topic.0), frame }],
        Outgoing::Subscribe(topic, gate) => {
            vec![net::Command::Subscribe { topic: net::Topic(topic.0), gate: closure(gate) }]
        }
        Outgoing::Unsubscribe(topic) => vec![net::Command::Unsubscribe { topic: net::Topic(topic.0) }],
        Outgoing::Reach(peer, addresses) => vec![net::Command::Reach { peer, addresses }],
        Outgoing::Forget(peer) => vec![net::Command::Forget { peer }, net::Command::Disconnect { peer }],
        Outgoing::HangUp(peer) => vec![net::Command::Disconnect { peer }],
    }
}

/// The gate as the network asks it.
fn closure(gate: Gate) -> net::Gate {
    Arc::new(move |frame| match gate.check(frame) {
        Verdict::Accept(content) => net::Verdict::Accept(to_payload(&content)),
        Verdict::Ignore(content) => net::Verdict::Ignore(content.as_ref().map(to_payload)),
        Verdict::Reject => net::Verdict::Reject,
    })
}

const EVENT: u8 = 1;
const OP: u8 = 2;
const BUNDLE: u8 = 3;

/// What a frame carries, as the bytes that the network hands through. They never leave this process.
fn to_payload(content: &FrameContent) -> Vec<u8> {
    let (kind, bytes): (u8, &[u8]) = match content {
        FrameContent::Event(bytes) => (EVENT, bytes),
        FrameContent::Op(bytes) => (OP, bytes),
        FrameContent::Bundle(bytes) => (BUNDLE, bytes),
        FrameContent::Unheard => (0, &[]),
    };
    [&[kind], bytes].concat()
}

fn from_payload(payload: &[u8]) -> Option<FrameContent> {
    let (kind, bytes) = payload.split_first()?;
    match *kind {
        EVENT => Some(FrameContent::Event(bytes.to_vec())),
        OP => Some(FrameContent::Op(bytes.to_vec())),
        BUNDLE => Some(FrameContent::Bundle(bytes.to_vec())),
        _ => None,
    }
}

/// A device's name on the network, as text.
pub(super) fn peer_id(key: &TransportKey) -> String {
    match ed25519::PublicKey::try_from_bytes(key.as_bytes()) {
        Ok(key) => PublicKey::from(key).to_peer_id().to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gate_opened_reaches_the_engine_unchanged() {
        for content in [FrameContent::Event(vec![1, 2]), FrameContent::Op(vec![]), FrameContent::Bundle(vec![9])] {
            assert_eq!(from_payload(&to_payload(&content)), Some(content));
        }
        assert_eq!(from_payload(&to_payload(&FrameContent::Unheard)), None);
        assert_eq!(from_payload(&[]), None);
    }
}

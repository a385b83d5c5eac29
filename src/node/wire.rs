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
        group::{
            GroupEvent,
            gossip::{FrameContent, Gate, Topic, Verdict},
        },
        ids::EventId,
    },
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc;

/// A running network.
pub(super) struct Wire {
    net: Net,
    events: mpsc::Receiver<NetEvent>,
    begun: bool,
    seen: HashMap<Topic, Arc<Mutex<Seen>>>,
}

/// Events of a topic that were forwarded lately. A member may seal a known event anew under as many nonces as it likes;
/// the network would take each for a new frame.
#[derive(Default)]
struct Seen {
    known: HashSet<EventId>,
    order: VecDeque<EventId>,
}

/// How many events of a topic are remembered: what a busy group says in the minute in which copies still travel.
const SEEN_EVENTS: usize = 4_096;

impl Seen {
    /// Notes an event. Whether it is new.
    fn insert(&mut self, id: EventId) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > SEEN_EVENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

impl Wire {
    pub(super) fn new(net: Net, events: mpsc::Receiver<NetEvent>) -> Self {
        Self { net, events, begun: false, seen: HashMap::new() }
    }

    fn commands(&mut self, outgoing: Outgoing) -> Vec<net::Command> {
        match outgoing {
            Outgoing::Send(to, frames) => vec![net::Command::Send { to, frames }],
            Outgoing::Publish(topic, frame) => vec![net::Command::Publish { topic: net::Topic(topic.0), frame }],
            Outgoing::Subscribe(topic, gate) => {
                let seen = self.seen.entry(topic).or_default().clone();
                vec![net::Command::Subscribe { topic: net::Topic(topic.0), gate: closure(gate, seen) }]
            }
            Outgoing::Unsubscribe(topic) => {
                self.seen.remove(&topic);
                vec![net::Command::Unsubscribe { topic: net::Topic(topic.0) }]
            }
            Outgoing::Reach(peer, addresses) => vec![net::Command::Reach { peer, addresses }],
            Outgoing::Forget(peer) => vec![net::Command::Forget { peer }, net::Command::Disconnect { peer }],
            Outgoing::Circle(peers) => vec![net::Command::Circle { peers }],
            Outgoing::Probe(addresses) => vec![net::Command::Probe { addresses }],
            Outgoing::HangUp(peer) => vec![net::Command::Disconnect { peer }],
        }
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
        for command in self.commands(outgoing) {
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
        NetEvent::Overflow { .. } => {
            tracing::debug!("the queue of a peer is full");
            return None;
        }
        NetEvent::Unreachable { why, .. } => {
            tracing::debug!(%why, "a peer was not reached");
            return None;
        }
        NetEvent::Gossip { topic, payload, .. } => Input::Gossip(Topic(topic.0), from_payload(&payload)?),
        NetEvent::Discovered { peer, addresses } => return Some(Arrival::Seen(peer, addresses)),
    };
    Some(Arrival::Input(input))
}

/// The gate as the network asks it.
fn closure(gate: Gate, seen: Arc<Mutex<Seen>>) -> net::Gate {
    Arc::new(move |frame| match gate.check(frame) {
        Verdict::Accept(FrameContent::Event(bytes)) if !is_new(&bytes, &seen) => net::Verdict::Ignore(None),
        Verdict::Accept(content) => net::Verdict::Accept(to_payload(&content)),
        Verdict::Ignore(content) => net::Verdict::Ignore(content.as_ref().map(to_payload)),
        Verdict::Reject => net::Verdict::Reject,
    })
}

/// Whether an event has not passed here lately, by its id: its bytes could be written in more than one way.
fn is_new(event: &[u8], seen: &Mutex<Seen>) -> bool {
    let Ok(event) = GroupEvent::parse(event) else { return true };
    // A thread that died while it held this left a set that is whole.
    seen.lock().unwrap_or_else(PoisonError::into_inner).insert(event.id())
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
        FrameContent::Name(..) | FrameContent::Mail(..) | FrameContent::Unheard => (0, &[]),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_new_once_and_memory_is_bounded() {
        let mut seen = Seen::default();
        let id = |n: u64| EventId(crate::protocol::crypto::kdf::hash(&[&n.to_be_bytes()]));
        assert!(seen.insert(id(0)) && !seen.insert(id(0)));
        assert!((1..=SEEN_EVENTS as u64).all(|n| seen.insert(id(n))));
        assert_eq!((seen.known.len(), seen.order.len()), (SEEN_EVENTS, SEEN_EVENTS));
        assert!(seen.insert(id(0)), "the oldest was let go");
    }

    #[test]
    fn what_a_gate_opened_reaches_the_engine_unchanged() {
        for content in [FrameContent::Event(vec![1, 2]), FrameContent::Op(vec![]), FrameContent::Bundle(vec![9])] {
            assert_eq!(from_payload(&to_payload(&content)), Some(content));
        }
        assert_eq!(from_payload(&to_payload(&FrameContent::Unheard)), None);
        assert_eq!(from_payload(&[]), None);
    }
}

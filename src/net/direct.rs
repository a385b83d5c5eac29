//! One live connection a peer, and on it one direct stream a direction.
//!
//! The behaviour keeps the rule "one connection a peer" for the whole swarm: it stands before gossipsub, which shares
//! one queue among a peer's connections and tells its topics on the first alone, so a second one may swallow messages.
//! A second connection is therefore refused. Where it shows that the first is dead, because the peer would not have
//! dialled otherwise, the first is closed too, and the next dial finds the way free. Where both sides dialled at once
//! it is refused and nothing else; should each refuse the other's, the one with the lesser PeerId dials again first.
//!
//! The handler opens a stream of its own, takes the other side's, and hands both up together: only then is the peer
//! connected. It knows no frames.

use crate::net::{
    address::transport_key,
    limits::{SETTLE_TIMEOUT, SIMULTANEOUS},
};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};
use tokio::time::Sleep;

/// The name of the protocol.
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/moim/direct/1");

/// What the behaviour tells the driver.
#[derive(Debug)]
pub(super) enum Event {
    /// Both streams are open: the peer is connected.
    Settled {
        peer: PeerId,
        connection: ConnectionId,
        /// The address that led there, where this side dialled.
        dialled: Option<Multiaddr>,
        outbound: Stream,
        inbound: Stream,
    },
    /// The peer does not speak the protocol; its connection is being closed.
    Unsettled { peer: PeerId },
}

/// See the module.
#[derive(Default)]
pub(super) struct Behaviour {
    current: HashMap<PeerId, Current>,
    actions: VecDeque<ToSwarm<Event, Infallible>>,
}

struct Current {
    connection: ConnectionId,
    dialled: Option<Multiaddr>,
    since: Instant,
}

/// Why a second connection is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("connected already")]
    Second,
    #[error("not an Ed25519 key")]
    Key,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

impl Behaviour {
    /// Whether a new connection of `peer` may live; see the module for the rule.
    fn judge(&mut self, peer: PeerId, new: Direction) -> Result<Handler, ConnectionDenied> {
        if transport_key(&peer).is_none() {
            return Err(ConnectionDenied::new(Refused::Key));
        }
        let Some(current) = self.current.get(&peer) else {
            return Ok(Handler::new());
        };
        let simultaneous = current.dialled.is_some() && current.since.elapsed() < SIMULTANEOUS;
        if new == Direction::In && !simultaneous {
            let connection = CloseConnection::One(current.connection);
            self.actions.push_back(ToSwarm::CloseConnection { peer_id: peer, connection });
        }
        Err(ConnectionDenied::new(Refused::Second))
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(peer, Direction::In)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(peer, Direction::Out)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                let dialled = new.endpoint.is_dialer().then(|| new.endpoint.get_remote_address().clone());
                let current = Current { connection: new.connection_id, dialled, since: Instant::now() };
                self.current.insert(new.peer_id, current);
            }
            FromSwarm::ConnectionClosed(old) if old.remaining_established == 0 => {
                self.current.remove(&old.peer_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, out: THandlerOutEvent<Self>) {
        match out {
            Out::Settled { outbound, inbound } => {
                let dialled = self.current.get(&peer).and_then(|current| current.dialled.clone());
                let event = Event::Settled { peer, connection, dialled, outbound, inbound };
                self.actions.push_back(ToSwarm::GenerateEvent(event));
            }
            Out::Unsettled => {
                self.actions.push_back(ToSwarm::GenerateEvent(Event::Unsettled { peer }));
                let connection = CloseConnection::One(connection);
                self.actions.push_back(ToSwarm::CloseConnection { peer_id: peer, connection });
            }
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        self.actions.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// What a connection tells its behaviour, once.
#[derive(Debug)]
pub(super) enum Out {
    Settled { outbound: Stream, inbound: Stream },
    Unsettled,
}

/// Opens the stream of one direction and waits for the other.
pub(super) struct Handler {
    asked: bool,
    outbound: Option<Stream>,
    inbound: Option<Stream>,
    failed: bool,
    /// Runs until both streams are there.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Handler {
    fn new() -> Self {
        let patience = Some(Box::pin(tokio::time::sleep(SETTLE_TIMEOUT)));
        Self { asked: false, outbound: None, inbound: None, failed: false, patience }
    }

    fn settled(&mut self) -> Option<Out> {
        if self.outbound.is_none() {
            return None;
        }
        let (inbound, outbound) = (self.inbound.take()?, self.outbound.take()?);
        Some(Out::Settled { outbound, inbound })
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Out;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    /// A connection with a peer of ours is never idle: whoever made it wants it kept.
    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if !self.asked {
            self.asked = true;
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ()).with_timeout(SETTLE_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        let Some(patience) = &mut self.patience else {
            return Poll::Pending;
        };
        let exhausted = patience.as_mut().poll(cx).is_ready();
        let out = match self.settled() {
            Some(settled) => settled,
            None if self.failed || exhausted => Out::Unsettled,
            None => return Poll::Pending,
        };
        self.patience = None;
        Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(out))
    }

    fn on_behaviour_event(&mut self, never: Infallible) {
        match never {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            // A peer opens one. A second is dropped, which its writer sees as a broken stream.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. })
                if self.patience.is_some() && self.inbound.is_none() =>
            {
                self.inbound = Some(stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, .. }) => {
                self.outbound = Some(stream);
            }
            ConnectionEvent::DialUpgradeError(_) => self.failed = true,
            _ => {}
        }
    }
}

//! One live connection a peer, and on it one direct stream a direction.
//!
//! The behaviour keeps the rule "one connection a peer" for the whole swarm: it stands before gossipsub, which shares
//! one queue among a peer's connections and tells its topics on the first alone, so a second one may swallow messages.
//! A second connection is therefore refused. A peer seldom makes one that has a first: it restarted, or lost the network,
//! and the first is dead although nothing here says so. So the first is put to the question, whether it still opens a
//! stream, and closed where it does not answer in time; the next dial finds the way free. Where both sides dialled at
//! once the first answers and lives. Should each refuse the other's, the one with the lesser PeerId dials again first.
//!
//! The handler opens a stream of its own, takes the other side's, and hands both up together: only then is the peer
//! connected. It knows no frames.

use crate::net::{
    address::transport_key,
    limits::{ANSWER_TIMEOUT, SETTLE_TIMEOUT},
};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    multiaddr::Protocol,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    task::{Context, Poll},
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
    actions: VecDeque<ToSwarm<Event, Question>>,
}

struct Current {
    connection: ConnectionId,
    dialled: Option<Multiaddr>,
}

/// Why a second connection is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("connected already")]
    Second,
    #[error("not an Ed25519 key")]
    Key,
}

impl Behaviour {
    /// Whether a new connection of `peer` may live; see the module for the rule.
    fn judge(&mut self, peer: PeerId) -> Result<Handler, ConnectionDenied> {
        if transport_key(&peer).is_none() {
            return Err(ConnectionDenied::new(Refused::Key));
        }
        let Some(current) = self.current.get(&peer) else {
            return Ok(Handler::new());
        };
        let handler = NotifyHandler::One(current.connection);
        self.actions.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event: Question });
        Err(ConnectionDenied::new(Refused::Second))
    }

    fn close(&mut self, peer_id: PeerId, connection: ConnectionId) {
        let connection = CloseConnection::One(connection);
        self.actions.push_back(ToSwarm::CloseConnection { peer_id, connection });
    }
}

/// An address without the PeerId that the swarm adds to it: with it, it would be remembered as another one.
fn plain(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
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
        self.judge(peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(peer)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                let dialled = new.endpoint.is_dialer().then(|| plain(new.endpoint.get_remote_address()));
                let current = Current { connection: new.connection_id, dialled };
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
                self.close(peer, connection);
            }
            Out::Dead => self.close(peer, connection),
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        self.actions.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// "Are you alive?", to a connection.
#[derive(Debug)]
pub(super) struct Question;

/// What a connection tells its behaviour.
#[derive(Debug)]
pub(super) enum Out {
    /// Both streams are open.
    Settled { outbound: Stream, inbound: Stream },
    /// They were not open in time, or the remote does not know the protocol.
    Unsettled,
    /// The question was not answered in time.
    Dead,
}

/// What a stream is opened for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Frames,
    /// To see whether the remote answers; it drops the stream, and so do we.
    Question,
}

/// Opens the stream of one direction and waits for the other.
pub(super) struct Handler {
    to_open: VecDeque<Purpose>,
    outbound: Option<Stream>,
    inbound: Option<Stream>,
    /// Runs until both streams are there.
    patience: Option<Pin<Box<Sleep>>>,
    failed: bool,
    questioned: bool,
    dead: bool,
}

impl Handler {
    fn new() -> Self {
        Self {
            to_open: [Purpose::Frames].into(),
            outbound: None,
            inbound: None,
            patience: Some(Box::pin(tokio::time::sleep(SETTLE_TIMEOUT))),
            failed: false,
            questioned: false,
            dead: false,
        }
    }

    fn settled(&mut self) -> Option<Out> {
        self.outbound.as_ref()?;
        let (inbound, outbound) = (self.inbound.take()?, self.outbound.take()?);
        Some(Out::Settled { outbound, inbound })
    }

    fn poll_settling(&mut self, cx: &mut Context<'_>) -> Poll<Out> {
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
        Poll::Ready(out)
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Question;
    type ToBehaviour = Out;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Purpose;

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
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Purpose, Self::ToBehaviour>> {
        if let Some(purpose) = self.to_open.pop_front() {
            let patience = match purpose {
                Purpose::Frames => SETTLE_TIMEOUT,
                Purpose::Question => ANSWER_TIMEOUT,
            };
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), purpose).with_timeout(patience);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        if std::mem::take(&mut self.dead) {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Out::Dead));
        }
        self.poll_settling(cx).map(ConnectionHandlerEvent::NotifyBehaviour)
    }

    fn on_behaviour_event(&mut self, _: Question) {
        // Before it settled a connection has to prove itself anyway, and the remote could take the question's stream for
        // that of the frames.
        if self.patience.is_none() && !std::mem::replace(&mut self.questioned, true) {
            self.to_open.push_back(Purpose::Question);
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Purpose>,
    ) {
        match event {
            // A peer opens one for frames, the first. Any other asks whether we live: dropped, it is answered.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. })
                if self.patience.is_some() && self.inbound.is_none() =>
            {
                self.inbound = Some(stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info }) => {
                match info {
                    Purpose::Frames => self.outbound = Some(stream),
                    Purpose::Question => self.questioned = false,
                }
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, .. }) => match info {
                Purpose::Frames => self.failed = true,
                Purpose::Question => self.dead = true,
            },
            _ => {}
        }
    }
}

//! Gossip within a circle: peers outside of it learn no topic, and cannot even tell that there are any.
//!
//! gossipsub tells every connected peer its topics, and takes part with whoever speaks its protocol. So it never hears
//! of a peer outside of the circle, and on such a connection the protocol is not spoken. The circle may change at any
//! time. A peer that comes in stays connected: gossipsub is told of the connection as if it were made at that moment, and
//! the connection is given its handler. One that goes out is disconnected, so that both sides begin anew.
//!
//! Two peers seldom take each other in at the same moment. The first opens its stream and is refused; it holds the
//! request back until the other opens one, which says that it now speaks the protocol too. Without this gossipsub would
//! give up on the connection for good.

use crate::net::gossip;
use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse, upgrade::DeniedUpgrade},
    gossipsub,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        behaviour::{ConnectionClosed, ConnectionEstablished},
        derive_prelude::Either,
        handler::{ConnectionEvent, DialUpgradeError},
    },
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    task::{Context, Poll},
};

type Inner = <gossip::Behaviour as NetworkBehaviour>::ConnectionHandler;
type ToInner = <Inner as ConnectionHandler>::FromBehaviour;
type FromInner = <Inner as ConnectionHandler>::ToBehaviour;
type Inbound = <Inner as ConnectionHandler>::InboundProtocol;
type Outbound = <Inner as ConnectionHandler>::OutboundProtocol;

/// See the module.
pub(super) struct Behaviour {
    gossip: gossip::Behaviour,
    circle: HashSet<PeerId>,
    /// The connection of each connected peer, in the circle or not.
    connections: HashMap<PeerId, (ConnectionId, ConnectedPoint)>,
    /// Those that gossipsub knows.
    open: HashSet<PeerId>,
    words: VecDeque<ToSwarm<gossipsub::Event, Word>>,
    /// Nobody is in reach and nothing is to be done: gossipsub's heart need not beat.
    resting: bool,
}

impl Behaviour {
    pub(super) fn new(gossip: gossip::Behaviour) -> Self {
        Self {
            gossip,
            circle: HashSet::new(),
            connections: HashMap::new(),
            open: HashSet::new(),
            words: VecDeque::new(),
            resting: false,
        }
    }

    /// gossipsub itself, for topics and messages.
    pub(super) fn gossip(&mut self) -> &mut gossip::Behaviour {
        self.resting = false;
        &mut self.gossip
    }

    /// These peers, and no others, are in the circle.
    pub(super) fn draw(&mut self, circle: HashSet<PeerId>) {
        let gone: Vec<PeerId> = self.open.difference(&circle).copied().collect();
        self.circle = circle;
        for peer_id in gone {
            self.close(peer_id);
            self.words.push_back(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::All });
        }
        let new: Vec<PeerId> = self.circle.difference(&self.open).copied().collect();
        new.into_iter().for_each(|peer| self.open(peer));
    }

    /// Tells gossipsub of a connected peer.
    fn open(&mut self, peer: PeerId) {
        let Some((connection_id, endpoint)) = self.connections.get(&peer) else { return };
        let handler = match endpoint {
            ConnectedPoint::Listener { local_addr, send_back_addr } => {
                self.gossip.handle_established_inbound_connection(*connection_id, peer, local_addr, send_back_addr)
            }
            ConnectedPoint::Dialer { address, role_override, port_use } => self
                .gossip
                .handle_established_outbound_connection(*connection_id, peer, address, *role_override, *port_use),
        };
        // It never refuses one.
        let Ok(handler) = handler else { return };
        self.gossip.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: *connection_id,
            endpoint,
            failed_addresses: &[],
            other_established: 0,
        }));
        let word = Word::Open(Box::new(handler));
        let handler = NotifyHandler::One(*connection_id);
        self.words.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event: word });
        self.open.insert(peer);
        self.resting = false;
    }

    /// Tells gossipsub that a peer is gone.
    fn close(&mut self, peer: PeerId) {
        if !self.open.remove(&peer) {
            return;
        }
        let Some((connection_id, endpoint)) = self.connections.get(&peer) else { return };
        self.gossip.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer,
            connection_id: *connection_id,
            endpoint,
            cause: None,
            remaining_established: 0,
        }));
        self.resting = false;
    }

    fn is_current(&self, peer: &PeerId, connection: ConnectionId) -> bool {
        self.connections.get(peer).is_some_and(|(current, _)| *current == connection)
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = gossipsub::Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            // One connection a peer is the rule elsewhere; should there be two, gossip stays with the first.
            FromSwarm::ConnectionEstablished(new) if !self.connections.contains_key(&new.peer_id) => {
                self.connections.insert(new.peer_id, (new.connection_id, new.endpoint.clone()));
                if self.circle.contains(&new.peer_id) {
                    self.open(new.peer_id);
                }
            }
            FromSwarm::ConnectionClosed(old) if self.is_current(&old.peer_id, old.connection_id) => {
                self.close(old.peer_id);
                self.connections.remove(&old.peer_id);
            }
            FromSwarm::AddressChange(change) if self.is_current(&change.peer_id, change.connection_id) => {
                self.connections.insert(change.peer_id, (change.connection_id, change.new.clone()));
                if self.open.contains(&change.peer_id) {
                    self.gossip.on_swarm_event(event);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, out: THandlerOutEvent<Self>) {
        // What was on its way when the peer left the circle is not heard.
        if self.open.contains(&peer) && self.is_current(&peer, connection) {
            self.gossip.on_connection_handler_event(peer, connection, out);
            self.resting = false;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<gossipsub::Event, THandlerInEvent<Self>>> {
        if let Some(word) = self.words.pop_front() {
            return Poll::Ready(word);
        }
        if self.resting {
            return Poll::Pending;
        }
        match self.gossip.poll(cx) {
            Poll::Ready(out) => Poll::Ready(out.map_in(Word::Pass)),
            Poll::Pending => {
                self.resting = self.open.is_empty();
                Poll::Pending
            }
        }
    }
}

/// What a connection is told.
pub(super) enum Word {
    /// The peer is in the circle. Once a connection.
    Open(Box<Inner>),
    /// For gossipsub's own handler.
    Pass(ToInner),
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open(_) => "Open",
            Self::Pass(_) => "Pass",
        })
    }
}

/// gossipsub's handler once the peer is in the circle, and nothing before.
#[derive(Default)]
pub(super) struct Handler {
    inner: Option<Box<Inner>>,
    request: Request<Outbound>,
}

/// The outgoing stream that the inner handler has asked for.
#[derive(Default)]
enum Request<P> {
    /// None, or it is open.
    #[default]
    None,
    /// It is being opened. `invited`: the remote has opened one meanwhile, so a refusal is out of date.
    Opening { protocol: P, invited: bool },
    /// The remote does not speak the protocol yet.
    Refused(P),
    /// To be opened again.
    Again(P),
}

impl<P> Request<P> {
    fn invite(self) -> Self {
        match self {
            Self::Opening { protocol, .. } => Self::Opening { protocol, invited: true },
            Self::Refused(protocol) => Self::Again(protocol),
            other => other,
        }
    }

    fn refuse(self) -> Self {
        match self {
            Self::Opening { protocol, invited: true } => Self::Again(protocol),
            Self::Opening { protocol, invited: false } => Self::Refused(protocol),
            other => other,
        }
    }
}

impl Handler {
    fn ask(&mut self, protocol: Outbound) -> SubstreamProtocol<Outbound> {
        self.request = Request::Opening { protocol: protocol.clone(), invited: false };
        SubstreamProtocol::new(protocol, ())
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Word;
    type ToBehaviour = FromInner;
    type InboundProtocol = Inbound;
    type OutboundProtocol = Outbound;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Inbound> {
        match &self.inner {
            Some(inner) => inner.listen_protocol(),
            None => SubstreamProtocol::new(Either::Right(DeniedUpgrade), ()),
        }
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.connection_keep_alive())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Outbound, (), FromInner>> {
        if let Request::Again(protocol) = &self.request {
            let protocol = protocol.clone();
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol: self.ask(protocol) });
        }
        let Some(inner) = &mut self.inner else { return Poll::Pending };
        match inner.poll(cx) {
            Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol }) => {
                let (protocol, ()) = protocol.into_upgrade();
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol: self.ask(protocol) })
            }
            other => other,
        }
    }

    fn on_behaviour_event(&mut self, word: Word) {
        match word {
            Word::Open(inner) => self.inner = Some(inner),
            Word::Pass(event) => {
                if let Some(inner) = &mut self.inner {
                    inner.on_behaviour_event(event);
                }
            }
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Inbound, Outbound>) {
        let Some(inner) = &mut self.inner else { return };
        match &event {
            ConnectionEvent::FullyNegotiatedInbound(_) => self.request = std::mem::take(&mut self.request).invite(),
            ConnectionEvent::DialUpgradeError(DialUpgradeError {
                error: StreamUpgradeError::NegotiationFailed,
                ..
            }) => {
                // gossipsub would never ask again.
                self.request = std::mem::take(&mut self.request).refuse();
                return;
            }
            ConnectionEvent::FullyNegotiatedOutbound(_) | ConnectionEvent::DialUpgradeError(_) => {
                self.request = Request::None;
            }
            _ => {}
        }
        inner.on_connection_event(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_stream_is_asked_for_again_once_the_other_side_opens_one() {
        let opening = || Request::Opening { protocol: (), invited: false };
        assert!(matches!(opening().refuse(), Request::Refused(())), "it waits");
        assert!(matches!(opening().refuse().invite(), Request::Again(())));
        assert!(matches!(opening().invite().refuse(), Request::Again(())), "the two crossed on their way");
        assert!(matches!(Request::<()>::None.invite(), Request::None), "nothing was asked for");
    }
}

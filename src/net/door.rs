//! Who may come in: handshakes under way and connections of strangers are counted, in all and by where they come from.
//!
//! A peer that this node wants to reach is never counted and never refused: strangers cannot take its place. Where all
//! places of strangers are taken, the one that has been here longest leaves, if it has had its turn; so somebody who
//! holds them all with made-up names keeps nobody out for longer than that. What comes from this machine is counted in
//! all alone: every process of it has the same address.
//!
//! It does not know who is silent (a peer's link does), nor that a peer has one connection (`direct` does).

use crate::net::limits::DoorLimits;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    task::{Context, Poll},
    time::Instant,
};

/// See the module.
pub(super) struct Behaviour {
    limits: DoorLimits,
    resident: fn() -> Option<u64>,
    wanted: HashSet<PeerId>,
    pending: HashMap<ConnectionId, Place>,
    guests: HashMap<ConnectionId, Guest>,
    to_close: VecDeque<(PeerId, ConnectionId)>,
}

/// Somebody whose connection came from outside.
struct Guest {
    peer: PeerId,
    place: Place,
    since: Instant,
}

/// Where a connection comes from, as far as one owner may be behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// This machine.
    Here,
    V4(Ipv4Addr),
    /// The network of an IPv6 address: one customer has at least all of it.
    V6([u16; 4]),
    /// Not to be told apart.
    Unknown,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("too many handshakes are under way")]
    Pending,
    #[error("too many handshakes are under way from there")]
    PendingFromThere,
    #[error("too many strangers are connected")]
    Strangers,
    #[error("too many strangers are connected from there")]
    StrangersFromThere,
    #[error("this process holds too much memory to let strangers in")]
    Memory,
}

/// The bytes of memory that this process holds, where the system says so.
fn resident() -> Option<u64> {
    /// Of memory, on every system that has this file in common use; where pages are larger the limit is too.
    const PAGE: u64 = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE)
}

impl Behaviour {
    pub(super) fn new(limits: DoorLimits) -> Self {
        Self {
            limits,
            resident,
            wanted: HashSet::new(),
            pending: HashMap::new(),
            guests: HashMap::new(),
            to_close: VecDeque::new(),
        }
    }

    /// This peer is always let in.
    pub(super) fn welcome(&mut self, peer: PeerId) {
        self.wanted.insert(peer);
    }

    /// This peer is a stranger again.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.wanted.remove(peer);
    }

    fn knock(&mut self, connection: ConnectionId, place: Place) -> Result<(), Refused> {
        if self.pending.len() >= self.limits.pending {
            return Err(Refused::Pending);
        }
        let from_there = self.pending.values().filter(|other| **other == place).count();
        if place.is_told_apart() && from_there >= self.limits.pending_from_one_place {
            return Err(Refused::PendingFromThere);
        }
        self.pending.insert(connection, place);
        Ok(())
    }

    fn admit(&mut self, connection: ConnectionId, peer: PeerId, place: Place, now: Instant) -> Result<(), Refused> {
        self.pending.remove(&connection);
        if self.wanted.contains(&peer) {
            return Ok(());
        }
        if (self.resident)().is_some_and(|resident| resident > self.limits.memory) {
            return Err(Refused::Memory);
        }
        if place.is_told_apart() {
            let from_there = |guest: &Guest| guest.place == place;
            self.make_room(self.limits.strangers_from_one_place, now, from_there)
                .map_err(|()| Refused::StrangersFromThere)?;
        }
        self.make_room(self.limits.strangers, now, |_| true).map_err(|()| Refused::Strangers)
    }

    /// Whether one more of those that `count` is let in; where they are at their `most`, one of them has to leave.
    fn make_room(&mut self, most: usize, now: Instant, count: impl Fn(&Guest) -> bool) -> Result<(), ()> {
        let strangers = self.guests.iter().filter(|(_, guest)| !self.wanted.contains(&guest.peer) && count(guest));
        let (mut number, mut oldest) = (0, None::<(Instant, ConnectionId)>);
        for (connection, guest) in strangers {
            number += 1;
            if oldest.is_none_or(|(since, _)| guest.since < since) {
                oldest = Some((guest.since, *connection));
            }
        }
        if number < most {
            return Ok(());
        }
        let (since, connection) = oldest.ok_or(())?;
        if now.saturating_duration_since(since) < self.limits.turn {
            return Err(());
        }
        let guest = self.guests.remove(&connection).ok_or(())?;
        self.to_close.push_back((guest.peer, connection));
        Ok(())
    }
}

impl Place {
    fn of(address: &Multiaddr) -> Self {
        let ip = address.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
            Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
            _ => None,
        });
        match ip {
            Some(ip) if ip.is_loopback() => Self::Here,
            Some(IpAddr::V4(ip)) => Self::V4(ip),
            Some(IpAddr::V6(ip)) => {
                let [a, b, c, d, ..] = ip.segments();
                Self::V6([a, b, c, d])
            }
            None => Self::Unknown,
        }
    }

    fn is_told_apart(self) -> bool {
        self != Self::Here
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.knock(connection, Place::of(remote)).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(connection, peer, Place::of(remote), Instant::now()).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(new) if new.endpoint.is_listener() => {
                let place = Place::of(new.endpoint.get_remote_address());
                let guest = Guest { peer: new.peer_id, place, since: Instant::now() };
                self.guests.insert(new.connection_id, guest);
            }
            FromSwarm::ConnectionClosed(old) => {
                self.guests.remove(&old.connection_id);
            }
            FromSwarm::ListenFailure(failure) => {
                self.pending.remove(&failure.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        let Some((peer_id, connection)) = self.to_close.pop_front() else { return Poll::Pending };
        Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(connection) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: DoorLimits = DoorLimits {
        pending: 5,
        pending_from_one_place: 2,
        strangers: 5,
        strangers_from_one_place: 2,
        turn: Duration::from_secs(10),
        silence: Duration::from_secs(60),
        memory: 1 << 40,
    };

    fn place(text: &str) -> Place {
        Place::of(&text.parse().unwrap())
    }

    fn id(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    /// Lets somebody in and notes it, as the swarm does.
    fn enter(door: &mut Behaviour, n: usize, peer: PeerId, place: Place, now: Instant) -> Result<(), Refused> {
        door.admit(id(n), peer, place, now)?;
        door.guests.insert(id(n), Guest { peer, place, since: now });
        Ok(())
    }

    #[test]
    fn one_owner_is_one_place() {
        assert_eq!(place("/ip4/10.0.0.1/tcp/1"), place("/ip4/10.0.0.1/udp/2/quic-v1"));
        assert_ne!(place("/ip4/10.0.0.1/tcp/1"), place("/ip4/10.0.0.2/tcp/1"));
        assert_eq!(place("/ip6/2001:db8:1:2::1/tcp/1"), place("/ip6/2001:db8:1:2:ffff::9/tcp/1"));
        assert_ne!(place("/ip6/2001:db8:1:2::1/tcp/1"), place("/ip6/2001:db8:1:3::1/tcp/1"));
        assert_eq!(place("/ip6/::ffff:10.0.0.1/tcp/1"), place("/ip4/10.0.0.1/tcp/1"));
        for here in ["/ip4/127.0.0.1/tcp/1", "/ip4/127.9.9.9/tcp/1", "/ip6/::1/tcp/1", "/ip6/::ffff:127.0.0.1/tcp/1"] {
            assert_eq!(place(here), Place::Here, "{here}");
        }
    }

    #[test]
    fn handshakes_are_bounded_in_all_and_by_place_and_end_with_their_outcome() {
        let mut door = Behaviour::new(LIMITS);
        let (there, elsewhere) = (place("/ip4/10.0.0.1/tcp/1"), place("/ip4/10.0.0.2/tcp/1"));
        assert!(door.knock(id(1), there).is_ok() && door.knock(id(2), there).is_ok());
        assert!(matches!(door.knock(id(3), there), Err(Refused::PendingFromThere)));
        assert!(door.knock(id(4), elsewhere).is_ok());
        for n in [5, 6] {
            assert!(door.knock(id(n), Place::Here).is_ok());
        }
        assert!(matches!(door.knock(id(7), Place::Here), Err(Refused::Pending)), "also from this machine");
        door.admit(id(1), PeerId::random(), there, Instant::now()).unwrap();
        assert!(door.knock(id(8), there).is_ok());
    }

    #[test]
    fn strangers_are_bounded_in_all_and_by_place_and_the_wanted_come_on_top() {
        let (mut door, now) = (Behaviour::new(LIMITS), Instant::now());
        let there = place("/ip4/10.0.0.1/tcp/1");
        let stranger = |door: &mut Behaviour, n, place| enter(door, n, PeerId::random(), place, now);
        assert!(stranger(&mut door, 1, there).is_ok() && stranger(&mut door, 2, there).is_ok());
        assert!(matches!(stranger(&mut door, 3, there), Err(Refused::StrangersFromThere)));
        for n in 4..7 {
            assert!(stranger(&mut door, n, Place::Here).is_ok(), "one machine may have many nodes");
        }
        assert!(matches!(stranger(&mut door, 7, Place::Here), Err(Refused::Strangers)), "but not without end");
        let wanted = PeerId::random();
        door.welcome(wanted);
        assert!(enter(&mut door, 8, wanted, there, now).is_ok());
        door.forget(&wanted);
        assert!(matches!(enter(&mut door, 9, wanted, there, now), Err(Refused::StrangersFromThere)));
    }

    #[test]
    fn a_stranger_that_has_had_its_turn_makes_room_and_a_wanted_peer_never_does() {
        let (mut door, now) = (Behaviour::new(LIMITS), Instant::now());
        let (wanted, first) = (PeerId::random(), PeerId::random());
        enter(&mut door, 0, wanted, Place::Here, now).unwrap();
        enter(&mut door, 1, first, Place::Here, now + Duration::from_secs(1)).unwrap();
        for n in 2..6 {
            // Whoever becomes wanted leaves its place to a stranger.
            door.welcome(wanted);
            enter(&mut door, n, PeerId::random(), Place::Here, now + Duration::from_secs(2)).unwrap();
        }
        let later = now + LIMITS.turn + Duration::from_millis(500);
        assert!(enter(&mut door, 6, PeerId::random(), Place::Here, later).is_err(), "nobody has had its turn");
        enter(&mut door, 7, PeerId::random(), Place::Here, later + Duration::from_secs(1)).unwrap();
        assert_eq!(door.to_close, [(first, id(1))]);
    }

    #[test]
    fn where_memory_is_short_no_stranger_is_let_in_and_the_wanted_are() {
        let (mut door, now, wanted) = (Behaviour::new(LIMITS), Instant::now(), PeerId::random());
        door.welcome(wanted);
        door.resident = || Some(LIMITS.memory + 1);
        assert!(matches!(enter(&mut door, 1, PeerId::random(), Place::Here, now), Err(Refused::Memory)));
        assert!(enter(&mut door, 2, wanted, Place::Here, now).is_ok());
        door.resident = || None;
        assert!(enter(&mut door, 3, PeerId::random(), Place::Here, now).is_ok(), "a system that does not say");
        if cfg!(target_os = "linux") {
            assert!(resident().is_some_and(|bytes| bytes > 1024 * 1024), "{:?}", resident());
        }
    }
}

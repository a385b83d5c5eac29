//! Whom to dial, where, and when: pure, with the time given from outside.
//!
//! A wanted peer is dialled at once, and then with pauses that double from 1 s to 5 min. New addresses, or a word from
//! the node, try at once. After a connection is lost the side with the lesser PeerId dials first: two nodes that dial
//! each other at the same moment may refuse each other's connection, and must not do so for ever.

use crate::net::limits::{
    BACK_OFF_FIRST, BACK_OFF_LAST, MAX_PEER_ADDRESSES, MAX_PROBES, MAX_REACHED, PROBE_LIFE, STABLE_AFTER,
};
use libp2p::{Multiaddr, PeerId};
use std::{collections::BTreeMap, time::Duration, time::Instant};

/// The plan of dials.
pub(super) struct Reach {
    me: PeerId,
    targets: BTreeMap<PeerId, Target>,
    probes: BTreeMap<Multiaddr, Probe>,
}

/// A dial to make now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dial {
    /// A peer, at these addresses.
    Peer(PeerId, Vec<Multiaddr>),
    /// Whoever answers there.
    Address(Multiaddr),
}

struct Target {
    /// The most promising first.
    addresses: Vec<Multiaddr>,
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { due: Instant },
    Dialling,
    Connected { since: Instant },
}

struct Probe {
    failures: u32,
    until: Instant,
    /// `None` while it is being dialled.
    due: Option<Instant>,
}

impl Reach {
    pub(super) fn new(me: PeerId) -> Self {
        Self { me, targets: BTreeMap::new(), probes: BTreeMap::new() }
    }

    /// Wants a connection with `peer` kept; the addresses join those known, before them. `false` where there are too
    /// many peers already.
    pub(super) fn want(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) -> bool {
        if peer == self.me || (self.targets.len() >= MAX_REACHED && !self.targets.contains_key(&peer)) {
            return false;
        }
        let fresh = || Target { addresses: Vec::new(), failures: 0, state: State::Waiting { due: now } };
        let target = self.targets.entry(peer).or_insert_with(fresh);
        let news = addresses.iter().any(|address| !target.addresses.contains(address));
        addresses.into_iter().rev().for_each(|address| target.prefer(address));
        if let State::Waiting { due } = &mut target.state
            && news
        {
            *due = now;
        }
        true
    }

    /// Ends the wish.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.targets.remove(peer);
    }

    /// Tries what answers at these addresses, for a while. Known ones begin anew.
    pub(super) fn probe(&mut self, addresses: Vec<Multiaddr>, now: Instant) {
        for address in addresses {
            if self.probes.len() < MAX_PROBES || self.probes.contains_key(&address) {
                self.probes.insert(address, Probe { failures: 0, until: now + PROBE_LIFE, due: Some(now) });
            }
        }
    }

    /// Everyone not connected is due now, and pauses begin anew: the network came back, or a person asks.
    pub(super) fn try_now(&mut self, now: Instant) {
        for target in self.targets.values_mut() {
            if let State::Waiting { due } = &mut target.state {
                *due = now;
                target.failures = 0;
            }
        }
        for probe in self.probes.values_mut() {
            probe.due = probe.due.map(|_| now);
        }
    }

    /// Up to `most` dials that are due; each counts as under way until its outcome is told.
    pub(super) fn due(&mut self, most: usize, now: Instant) -> Vec<Dial> {
        self.probes.retain(|_, probe| probe.until > now);
        let probes = self.probes.iter_mut().filter(|(_, probe)| probe.due.is_some_and(|due| due <= now));
        let probes = probes.map(|(address, probe)| {
            probe.due = None;
            Dial::Address(address.clone())
        });
        let targets = self.targets.iter_mut().filter(|(_, target)| target.due().is_some_and(|due| due <= now));
        let targets = targets.map(|(peer, target)| {
            target.state = State::Dialling;
            Dial::Peer(*peer, target.addresses.clone())
        });
        probes.chain(targets).take(most).collect()
    }

    /// When the next dial is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let targets = self.targets.values().filter_map(Target::due);
        targets.chain(self.probes.values().filter_map(|probe| probe.due)).min()
    }

    /// The peer is connected, through `address` where this side dialled.
    pub(super) fn connected(&mut self, peer: &PeerId, address: Option<&Multiaddr>, now: Instant) {
        let Some(target) = self.targets.get_mut(peer) else { return };
        target.state = State::Connected { since: now };
        if let Some(address) = address {
            target.prefer(address.clone());
        }
    }

    /// A dial failed, or a connection ended; a connection that had lived for a while forgives what was before.
    pub(super) fn lost(&mut self, peer: &PeerId, now: Instant) {
        let Some(target) = self.targets.get_mut(peer) else { return };
        let stable =
            matches!(target.state, State::Connected { since } if now.saturating_duration_since(since) >= STABLE_AFTER);
        target.failures = if stable { 0 } else { target.failures.saturating_add(1) };
        target.state = State::Waiting { due: now + pause(target.failures, self.me < *peer) };
    }

    /// Somebody answered at a probed address.
    pub(super) fn answered(&mut self, address: &Multiaddr) {
        self.probes.remove(address);
    }

    /// Nobody answered there.
    pub(super) fn silent(&mut self, address: &Multiaddr, now: Instant) {
        if let Some(probe) = self.probes.get_mut(address) {
            probe.failures = probe.failures.saturating_add(1);
            probe.due = Some(now + pause(probe.failures, false));
        }
    }
}

impl Target {
    fn due(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { due } if !self.addresses.is_empty() => Some(due),
            _ => None,
        }
    }

    fn prefer(&mut self, address: Multiaddr) {
        self.addresses.retain(|known| *known != address);
        self.addresses.insert(0, address);
        self.addresses.truncate(MAX_PEER_ADDRESSES);
    }
}

/// The pause after so many failures in a row, with jitter of a quarter; the first is short for the side that leads.
fn pause(failures: u32, leads: bool) -> Duration {
    let base = match failures {
        0 | 1 if leads => BACK_OFF_FIRST / 5,
        0 | 1 => BACK_OFF_FIRST,
        more => BACK_OFF_FIRST.saturating_mul(1 << (more - 1).min(16)).min(BACK_OFF_LAST),
    };
    let quarter = base / 4;
    // Without randomness there is no jitter, which costs nothing but some crowding.
    base + quarter.mul_f32(getrandom::u32().unwrap_or(0) as f32 / u32::MAX as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    fn peer() -> PeerId {
        Keypair::generate_ed25519().public().to_peer_id()
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn a_wanted_peer_is_dialled_at_once_and_then_with_growing_pauses() {
        let (mut reach, bob, mut now) = (Reach::new(peer()), peer(), Instant::now());
        assert!(reach.want(bob, vec![address(1)], now));
        let mut pauses = Vec::new();
        for _ in 0..14 {
            assert_eq!(reach.due(9, now), [Dial::Peer(bob, vec![address(1)])]);
            assert_eq!((reach.due(9, now), reach.next_due()), (vec![], None), "one dial at a time");
            reach.lost(&bob, now);
            let due = reach.next_due().unwrap();
            pauses.push(due - now);
            now = due;
        }
        assert!(pauses[0] <= BACK_OFF_FIRST * 5 / 4);
        assert!(pauses[1..8].windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= BACK_OFF_LAST * 5 / 4));
        assert!(pauses[13] >= BACK_OFF_LAST);
        reach.forget(&bob);
        assert_eq!(reach.next_due(), None);
    }

    #[test]
    fn a_new_address_or_a_word_tries_at_once() {
        let (mut reach, bob, now) = (Reach::new(peer()), peer(), Instant::now());
        reach.want(bob, vec![address(1)], now);
        reach.due(9, now);
        (0..5).for_each(|_| reach.lost(&bob, now));
        assert_eq!(reach.due(9, now), []);
        reach.want(bob, vec![address(1)], now);
        assert_eq!(reach.due(9, now), [], "nothing new");
        reach.want(bob, vec![address(2)], now);
        assert_eq!(reach.due(9, now), [Dial::Peer(bob, vec![address(2), address(1)])]);
        reach.lost(&bob, now);
        reach.try_now(now);
        assert_eq!(reach.due(9, now).len(), 1);
        reach.connected(&bob, Some(&address(1)), now);
        reach.try_now(now);
        assert_eq!(reach.due(9, now), [], "connected");
        reach.lost(&bob, now + STABLE_AFTER);
        assert!(reach.next_due().unwrap() - now <= STABLE_AFTER + BACK_OFF_FIRST * 5 / 4, "pauses begin anew");
    }

    #[test]
    fn of_two_that_lost_each_other_one_dials_first() {
        let (a, b, now) = (peer(), peer(), Instant::now());
        let next = |me, other| {
            let mut reach = Reach::new(me);
            reach.want(other, vec![address(1)], now);
            reach.due(9, now);
            reach.lost(&other, now);
            reach.next_due().unwrap()
        };
        assert!(next(a.min(b), a.max(b)) + BACK_OFF_FIRST / 2 < next(a.max(b), a.min(b)));
    }

    #[test]
    fn peers_addresses_and_probes_are_bounded() {
        let (mut reach, bob, now) = (Reach::new(peer()), peer(), Instant::now());
        reach.want(bob, (1..100).map(address).collect(), now);
        assert!(matches!(&reach.due(9, now)[..], [Dial::Peer(_, addresses)]
            if *addresses == (1..=MAX_PEER_ADDRESSES as u16).map(address).collect::<Vec<_>>()));
        reach.probe((1..1000).map(address).collect(), now);
        assert_eq!(reach.due(5, now).len(), 5);
        assert_eq!(reach.due(9999, now).len(), MAX_PROBES - 5);
        reach.silent(&address(1), now);
        reach.answered(&address(2));
        assert!(reach.due(9, now + BACK_OFF_FIRST * 2).len() == 1);
        reach.silent(&address(1), now);
        assert_eq!(reach.due(9, now + PROBE_LIFE), [], "not tried for ever");
        assert!(!reach.want(reach.me, vec![address(1)], now), "never oneself");
    }
}

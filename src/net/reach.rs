//! Whom to dial, where, and when: pure, with the time given from outside.
//!
//! A wanted peer is dialled at once, and then with pauses that double from 1 s to 5 min. New addresses, a peer that
//! appears, or a word from the node, try at once. Whoever waits longest is dialled first, so that however many there are
//! and however few dials may be under way, each has its turn. After a connection is lost the side with the lesser PeerId
//! dials first: two nodes that dial each other at the same moment may refuse each other's connection, and must not do so
//! for ever.

use crate::net::limits::{
    BACK_OFF_FIRST, BACK_OFF_LAST, MAX_PEER_ADDRESSES, MAX_PROBES, MAX_REACHED, PROBE_LIFE, STABLE_AFTER,
};
use libp2p::{Multiaddr, PeerId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
    time::Instant,
};

/// The plan of dials.
pub(super) struct Reach {
    me: PeerId,
    targets: BTreeMap<PeerId, Target>,
    /// Targets that wait and can be dialled, by when they are due. The one place that says so.
    waiting: BTreeSet<(Instant, PeerId)>,
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
        Self { me, targets: BTreeMap::new(), waiting: BTreeSet::new(), probes: BTreeMap::new() }
    }

    /// Wants a connection with `peer` kept; the addresses join those known, before them. `false` where there are too
    /// many peers already.
    pub(super) fn want(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) -> bool {
        if peer == self.me || (self.targets.len() >= MAX_REACHED && !self.wants(&peer)) {
            return false;
        }
        let fresh = || Target { addresses: Vec::new(), failures: 0, state: State::Waiting { due: now } };
        self.targets.entry(peer).or_insert_with(fresh);
        self.change(&peer, |target| {
            let news = addresses.iter().any(|address| !target.addresses.contains(address));
            addresses.into_iter().rev().for_each(|address| target.prefer(address));
            if news {
                target.hurry(now);
            }
        });
        true
    }

    /// Whether a connection with `peer` is wanted.
    pub(super) fn wants(&self, peer: &PeerId) -> bool {
        self.targets.contains_key(peer)
    }

    /// Ends the wish.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        if let Some(due) = self.targets.remove(peer).and_then(|target| target.due()) {
            self.waiting.remove(&(due, *peer));
        }
    }

    /// Tries what answers at these addresses, for a while. Known ones begin anew.
    pub(super) fn probe(&mut self, addresses: Vec<Multiaddr>, now: Instant) {
        for address in addresses {
            if self.probes.len() < MAX_PROBES || self.probes.contains_key(&address) {
                self.probes.insert(address, Probe { failures: 0, until: now + PROBE_LIFE, due: Some(now) });
            }
        }
    }

    /// Somebody who is wanted shows itself: a good moment to try, also where the last failed.
    pub(super) fn appeared(&mut self, peer: &PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        self.change(peer, |target| {
            addresses.into_iter().rev().for_each(|address| target.prefer(address));
            target.hurry(now);
        });
    }

    /// Everyone not connected is due now, and pauses begin anew: the network came back, or a person asks.
    pub(super) fn try_now(&mut self, now: Instant) {
        let everybody: Vec<PeerId> = self.targets.keys().copied().collect();
        for peer in everybody {
            self.change(&peer, |target| {
                target.hurry(now);
                target.failures = 0;
            });
        }
        for probe in self.probes.values_mut() {
            probe.due = probe.due.map(|due| due.min(now));
        }
    }

    /// Up to `most` dials that are due; each counts as under way until its outcome is told.
    pub(super) fn due(&mut self, most: usize, now: Instant) -> Vec<Dial> {
        self.probes.retain(|_, probe| probe.until > now);
        let targets = self.waiting.iter().take_while(|(due, _)| *due <= now).take(most);
        let mut due: Vec<_> = targets.map(|(due, peer)| (*due, Dial::Peer(*peer, Vec::new()))).collect();
        let probes = self.probes.iter().filter_map(|(address, probe)| Some((probe.due?, address)));
        due.extend(probes.filter(|(at, _)| *at <= now).map(|(at, address)| (at, Dial::Address(address.clone()))));
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().take(most).map(|(_, dial)| self.begin(dial)).collect()
    }

    /// When the next dial is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let target = self.waiting.first().map(|(due, _)| *due);
        target.into_iter().chain(self.probes.values().filter_map(|probe| probe.due)).min()
    }

    /// The peer is connected, through `address` where this side dialled.
    pub(super) fn connected(&mut self, peer: &PeerId, address: Option<&Multiaddr>, now: Instant) {
        self.change(peer, |target| {
            target.state = State::Connected { since: now };
            if let Some(address) = address {
                target.prefer(address.clone());
            }
        });
    }

    /// A dial failed, or a connection ended; a connection that had lived for a while forgives what was before.
    pub(super) fn lost(&mut self, peer: &PeerId, now: Instant) {
        let leads = self.me < *peer;
        self.change(peer, |target| {
            let stable =
                matches!(target.state, State::Connected { since } if now.saturating_duration_since(since) >= STABLE_AFTER);
            target.failures = if stable { 0 } else { target.failures.saturating_add(1) };
            target.state = State::Waiting { due: now + pause(target.failures, leads) };
        });
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

    /// Notes a dial as under way, and completes it.
    fn begin(&mut self, dial: Dial) -> Dial {
        match &dial {
            Dial::Peer(peer, _) => {
                let mut addresses = Vec::new();
                self.change(peer, |target| {
                    target.state = State::Dialling;
                    addresses.clone_from(&target.addresses);
                });
                Dial::Peer(*peer, addresses)
            }
            Dial::Address(address) => {
                if let Some(probe) = self.probes.get_mut(address) {
                    probe.due = None;
                }
                dial
            }
        }
    }

    /// Changes a target and its place among those that wait.
    fn change(&mut self, peer: &PeerId, change: impl FnOnce(&mut Target)) {
        let Some(target) = self.targets.get_mut(peer) else { return };
        if let Some(due) = target.due() {
            self.waiting.remove(&(due, *peer));
        }
        change(target);
        if let Some(due) = target.due() {
            self.waiting.insert((due, *peer));
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

    /// Due now; one that is overdue keeps its place before the others.
    fn hurry(&mut self, now: Instant) {
        if let State::Waiting { due } = &mut self.state {
            *due = now.min(*due);
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
    fn whoever_waits_longest_is_dialled_first_and_each_has_its_turn() {
        let (mut reach, mut now) = (Reach::new(peer()), Instant::now());
        let peers: Vec<_> = (0..40).map(|_| peer()).collect();
        for peer in &peers {
            now += Duration::from_millis(1);
            reach.want(*peer, vec![address(1)], now);
        }
        reach.probe(vec![address(9)], now);
        let mut order = Vec::new();
        // Three dials at a time, which all fail, and somebody who is impatient all the while.
        for _ in 0..20 {
            reach.try_now(now);
            for dial in reach.due(3, now) {
                match dial {
                    Dial::Peer(peer, _) => {
                        order.push(peer);
                        reach.lost(&peer, now);
                    }
                    Dial::Address(address) => reach.silent(&address, now),
                }
            }
            now += Duration::from_millis(1);
        }
        assert_eq!(order[..40], peers[..], "in the order in which they came, whatever they are called");
    }

    #[test]
    fn who_appears_is_tried_at_once_also_at_an_address_that_failed() {
        let (mut reach, bob, now) = (Reach::new(peer()), peer(), Instant::now());
        reach.want(bob, vec![address(1)], now);
        reach.due(9, now);
        (0..9).for_each(|_| reach.lost(&bob, now));
        assert!(reach.next_due().unwrap() > now + BACK_OFF_FIRST);
        reach.appeared(&bob, vec![address(1)], now);
        assert_eq!(reach.due(9, now), [Dial::Peer(bob, vec![address(1)])]);
        reach.appeared(&peer(), vec![address(1)], now);
        assert_eq!(reach.next_due(), None, "nobody is wanted for having appeared");
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

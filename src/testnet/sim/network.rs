//! The simulated network: streams that keep their order and break, gossip that loses, doubles and reorders.

use super::world::{Happening, World};
use crate::protocol::{
    engine::Input,
    group::{Gate, Topic, Verdict, gossip::message_id},
    ids::TransportKey,
};

/// How often somebody looks again at an address where nobody answered.
const PROBES: u32 = 10;

impl World {
    pub(super) fn index_of(&self, peer: TransportKey) -> Option<usize> {
        self.by_transport.get(&peer).copied()
    }

    /// A device wants a connection kept.
    pub(super) fn reach(&mut self, from: usize, peer: TransportKey, addresses: Vec<String>) {
        let Some(to) = self.index_of(peer).filter(|to| *to != from) else { return };
        let Some(run) = &mut self.devices[from].run else { return };
        run.reach.entry(to).or_default().extend(addresses);
        self.dial_soon(from, to, 200);
    }

    pub(super) fn forget(&mut self, from: usize, peer: TransportKey) {
        let Some(to) = self.index_of(peer) else { return };
        if let Some(run) = &mut self.devices[from].run {
            run.reach.remove(&to);
        }
        self.hang_up(from, to);
    }

    /// A device looks who answers at some addresses.
    pub(super) fn probe(&mut self, from: usize, addresses: &[String]) {
        let life = self.devices[from].life;
        let there: Vec<usize> = self
            .devices
            .iter()
            .filter(|device| addresses.contains(&device.address))
            .map(|device| device.index)
            .collect();
        for to in there.into_iter().filter(|to| *to != from) {
            let at = self.now + self.chance.about(200);
            self.at(at, Happening::Probe { from, life, to, tries: PROBES });
        }
    }

    pub(super) fn dial_unknown(&mut self, from: usize, life: u32, to: usize, tries: u32) {
        let runs = self.devices[to].run.is_some();
        let device = &self.devices[from];
        let over = device.life != life || device.run.as_ref().is_none_or(|run| run.connected.contains_key(&to));
        if over || self.connections.contains_key(&pair(from, to)) {
            return;
        }
        if !runs || self.weather.parts(self.now, from, to) {
            if tries > 0 {
                let at = self.now + self.chance.about(5_000);
                self.at(at, Happening::Probe { from, life, to, tries: tries - 1 });
            }
            return;
        }
        self.connect(from, to);
    }

    fn dial_soon(&mut self, from: usize, to: usize, wait: u64) {
        let at = self.now + self.chance.about(wait);
        let device = &mut self.devices[from];
        let life = device.life;
        let Some(run) = &mut device.run else { return };
        if !run.connected.contains_key(&to) && run.dialling.insert(to) {
            self.at(at, Happening::Dial { from, life, to });
        }
    }

    pub(super) fn dial(&mut self, from: usize, life: u32, to: usize) {
        let address = self.devices[to].address.clone();
        let runs = self.devices[to].run.is_some();
        let device = &mut self.devices[from];
        if device.life != life {
            return;
        }
        let Some(run) = &mut device.run else { return };
        run.dialling.remove(&to);
        let Some(known) = run.reach.get(&to) else { return };
        if run.connected.contains_key(&to) || self.connections.contains_key(&pair(from, to)) {
            return;
        }
        let is_there = runs && known.contains(&address);
        let is_cut = self.weather.parts(self.now, from, to)
            || self.weather.swallows(self.now, from, to)
            || self.weather.swallows(self.now, to, from);
        if !is_there || is_cut {
            return self.dial_soon(from, to, 1_500);
        }
        self.connect(from, to);
    }

    fn connect(&mut self, from: usize, to: usize) {
        let address = self.devices[to].address.clone();
        self.last_connection += 1;
        let number = self.last_connection;
        self.connections.insert(pair(from, to), number);
        let at = self.delivery(from, to);
        self.at(at, Happening::Up { to: from, peer: to, number, address: Some(address) });
        let at = self.delivery(to, from);
        self.at(at, Happening::Up { to, peer: from, number, address: None });
    }

    /// When something sent now on the stream to the one from the other arrives.
    fn delivery(&mut self, to: usize, from: usize) -> u64 {
        let slow = self.is_stormy() && self.chance.permille(self.weather.slow);
        let takes = if slow { self.chance.about(3_000) } else { self.chance.between(2, 60) };
        let last = self.streams.entry((to, from)).or_default();
        *last = (self.now + takes).max(*last);
        *last
    }

    pub(super) fn up(&mut self, to: usize, peer: usize, number: u64, address: Option<String>) {
        let current = self.connections.get(&pair(to, peer)) == Some(&number);
        let Some(run) = &mut self.devices[to].run else { return };
        if !current {
            if run.reach.contains_key(&peer) {
                self.dial_soon(to, peer, 1_000);
            }
            return;
        }
        run.connected.insert(peer, number);
        let transport = self.transport(peer);
        self.hand(to, Input::Connected { peer: transport, address });
    }

    pub(super) fn down(&mut self, to: usize, peer: usize, number: u64) {
        let Some(run) = &mut self.devices[to].run else { return };
        if run.connected.get(&peer) == Some(&number) {
            run.connected.remove(&peer);
            let transport = self.transport(peer);
            self.hand(to, Input::Disconnected(transport));
        }
        self.redial(to, peer);
    }

    fn redial(&mut self, from: usize, to: usize) {
        if self.devices[from].run.as_ref().is_some_and(|run| run.reach.contains_key(&to)) {
            self.dial_soon(from, to, 1_000);
        }
    }

    /// Ends the connection of two devices. What is on its way is lost; each end hears of it in its own time.
    pub(super) fn hang_up(&mut self, a: usize, b: usize) {
        let Some(number) = self.connections.remove(&pair(a, b)) else { return };
        for (to, peer) in [(a, b), (b, a)] {
            let at = self.delivery(to, peer);
            self.at(at, Happening::Down { to, peer, number });
        }
    }

    /// A connection breaks by itself.
    pub(super) fn break_one(&mut self) {
        if !self.is_stormy() {
            return;
        }
        let open: Vec<(usize, usize)> = self.connections.keys().copied().collect();
        if !open.is_empty() {
            let (a, b) = open[self.chance.index(open.len())];
            let other = self.devices[b].name;
            self.note(a, format_args!("loses its connection to {other}"));
            self.hang_up(a, b);
        }
        let next = self.now + self.chance.about(self.weather.break_every);
        self.at(next, Happening::Break);
    }

    /// A partition begins or heals.
    pub(super) fn split(&mut self) {
        // A stream that lost something is broken, and found to be so at the latest when more could come.
        let lost = |a: usize, b: usize| {
            let pair = [(a, b), (b, a)];
            self.weather.one_way.iter().any(|(_, end, from, to)| *end == self.now && pair.contains(&(*from, *to)))
        };
        let cut = |(a, b): &(usize, usize)| self.weather.parts(self.now, *a, *b) || lost(*a, *b);
        let parted: Vec<(usize, usize)> = self.connections.keys().copied().filter(cut).collect();
        for (a, b) in parted {
            let other = self.devices[b].name;
            self.note(a, format_args!("is parted from {other}"));
            self.hang_up(a, b);
        }
    }

    /// Puts frames on a stream. Where the queue is full some are dropped, and the sender is told.
    pub(super) fn send(&mut self, from: usize, peer: TransportKey, frames: Vec<Vec<u8>>) {
        let Some(to) = self.index_of(peer) else { return };
        let Some(run) = &self.devices[from].run else { return };
        let Some(number) = run.connected.get(&to).copied() else { return };
        if self.connections.get(&pair(from, to)) != Some(&number) {
            return;
        }
        let frames = self.bend(from, frames);
        let name = self.devices[to].name;
        self.note(from, format_args!("sends {} frames to {name}", frames.len()));
        for bytes in frames {
            self.observe(to, &bytes);
            if self.weather.swallows(self.now, from, to) {
                continue;
            }
            if self.is_stormy() && self.chance.permille(self.weather.overflow) {
                let life = self.devices[from].life;
                let at = self.now + self.chance.between(1, 20);
                self.note(from, format_args!("has no room for a frame to {}", char::from(b'A' + to as u8)));
                return self.at(at, Happening::Overflow { to: from, life, peer: to });
            }
            let at = self.delivery(to, from);
            if self.is_stormy() && self.chance.permille(self.weather.replay) {
                let again = at + self.chance.about(10_000);
                self.at(again, Happening::Frame { to, from, number, bytes: bytes.clone() });
            }
            self.at(at, Happening::Frame { to, from, number, bytes });
        }
    }

    pub(super) fn arrive(&mut self, to: usize, from: usize, number: u64, bytes: Vec<u8>) {
        let device = &self.devices[to];
        let connected = device.run.as_ref().is_some_and(|run| run.connected.get(&from) == Some(&number));
        if !connected || self.connections.get(&pair(to, from)) != Some(&number) {
            return;
        }
        self.observe(to, &bytes);
        let transport = self.transport(from);
        self.hand(to, Input::Frame(transport, bytes));
    }

    pub(super) fn subscribe(&mut self, who: usize, topic: Topic, gate: Gate) {
        if let Some(run) = &mut self.devices[who].run {
            run.gates.insert(topic, gate);
        }
    }

    pub(super) fn unsubscribe(&mut self, who: usize, topic: Topic) {
        if let Some(run) = &mut self.devices[who].run {
            run.gates.remove(&topic);
        }
    }

    pub(super) fn publish(&mut self, from: usize, topic: Topic, bytes: &[u8]) {
        let id = message_id(&topic.to_string(), bytes);
        if let Some(run) = &mut self.devices[from].run {
            run.seen.insert(id);
        }
        self.spread(from, None, topic, bytes);
    }

    /// Passes a gossip frame on to all that are connected.
    fn spread(&mut self, from: usize, but: Option<usize>, topic: Topic, bytes: &[u8]) {
        let Some(run) = &self.devices[from].run else { return };
        let peers: Vec<(usize, u64)> = run.connected.iter().map(|(peer, number)| (*peer, *number)).collect();
        for (to, number) in peers.into_iter().filter(|(to, _)| Some(*to) != but) {
            let stormy = self.is_stormy();
            let is_lost = stormy && self.chance.permille(self.weather.loss);
            if is_lost || self.weather.swallows(self.now, from, to) {
                continue;
            }
            let late = stormy && self.chance.permille(self.weather.slow);
            let at = self.now + if late { self.chance.about(4_000) } else { self.chance.between(2, 90) };
            let frame = |copy| Happening::Gossip { to, from, number, topic, bytes: bytes.to_vec(), copy };
            self.at(at, frame(false));
            if stormy && self.chance.permille(self.weather.twice) {
                let again = at + self.chance.about(6_000);
                self.at(again, frame(true));
            }
        }
    }

    /// A gossip frame comes by: the gate says at once what becomes of it.
    pub(super) fn hear_gossip(&mut self, to: usize, from: usize, number: u64, topic: Topic, bytes: &[u8], copy: bool) {
        let connected = self.connections.get(&pair(to, from)) == Some(&number);
        let Some(run) = &mut self.devices[to].run else { return };
        let Some(gate) = run.gates.get(&topic).cloned() else { return };
        let new = connected && run.seen.insert(message_id(&topic.to_string(), bytes));
        if !new && !copy {
            return;
        }
        match gate.check(bytes) {
            Verdict::Accept(content) => {
                self.watch_gossip(&content);
                self.spread(to, Some(from), topic, bytes);
                self.hand(to, Input::Gossip(topic, content));
            }
            Verdict::Ignore(Some(content)) => self.hand(to, Input::Gossip(topic, content)),
            Verdict::Ignore(None) => {}
            Verdict::Reject => {
                let (to, from) = (self.devices[to].name, self.devices[from].name);
                self.fail(format!("{to} rejects an honest gossip frame that {from} passed on"));
            }
        }
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

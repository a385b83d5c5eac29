//! One drain of one device: as the node's actor does it, and with everything that can end it in between.

use super::{
    Handling,
    device::{Flaky, Run},
    world::{Happening, Outcome, World},
};
use crate::{
    protocol::{
        engine::{Effect, Input, Token},
        view::{Table, View, ViewError, Write},
        wire::frame::Frame,
    },
    store::Store,
};
use std::{cell::Cell, collections::BTreeSet};

/// The pause after a failed drain before the network is listened to again.
const REST: u64 = 500;

/// How a drain ends.
enum Fate {
    Whole,
    /// The commit fails, and the process goes on.
    CommitFails,
    /// Killed during the commit, which may have come through.
    KilledInCommit {
        landed: bool,
    },
    /// Killed after so many effects.
    KilledAfter(usize),
}

/// A drain so far.
#[derive(Default)]
struct Gathered {
    network: Vec<Effect>,
    replies: Vec<Effect>,
    feed: Vec<Effect>,
    heard: BTreeSet<usize>,
    tokens: BTreeSet<Token>,
}

impl World {
    pub(super) fn wake(&mut self, who: usize, life: u32) {
        let device = &mut self.devices[who];
        if device.life != life {
            return;
        }
        if let Some(run) = &mut device.run {
            run.wake_at = None;
            if !run.draining {
                self.drain(who, life);
            }
        }
    }

    pub(super) fn drain(&mut self, who: usize, life: u32) {
        let most = self.chance.between(1, 12) as usize;
        let soon = self.now + self.chance.between(0, 5);
        let device = &mut self.devices[who];
        if device.life != life {
            return;
        }
        let clock = device.clock(self.now);
        let Some(run) = &mut device.run else { return };
        run.draining = false;
        let mut inputs = Vec::new();
        if !run.resting && run.engine.next_wake().is_some_and(|at| at <= clock) {
            inputs.push(Input::Tick);
        }
        inputs.extend(take_inputs(run, most));
        let more = run.inbox.iter().any(|input| !run.resting || matches!(input, Input::Command(..)));
        if more {
            run.draining = true;
            self.at(soon, Happening::Drain(who, life));
        }
        if !inputs.is_empty() {
            self.drain_of(who, inputs);
        }
        self.set_alarm(who);
    }

    /// Tells a new engine, after a failed drain, what the network knows.
    pub(super) fn bring_back(&mut self, who: usize, life: u32) {
        let device = &mut self.devices[who];
        if device.life != life {
            return;
        }
        let address = device.address.clone();
        let Some(run) = &mut device.run else { return };
        run.resting = false;
        let mut inputs = vec![Input::Online, Input::Listening(vec![address])];
        // Who connected since is still in the inbox.
        let waiting: Vec<_> = run
            .inbox
            .iter()
            .filter_map(|input| match input {
                Input::Connected { peer, .. } => Some(*peer),
                _ => None,
            })
            .collect();
        let peers: Vec<usize> = run.connected.keys().copied().collect();
        for peer in peers {
            let peer = self.transport(peer);
            if !waiting.contains(&peer) {
                inputs.push(Input::Connected { peer, address: None });
            }
        }
        self.drain_of(who, inputs);
        let soon = self.now + 1;
        if let Some(run) = &mut self.devices[who].run
            && !run.inbox.is_empty()
            && !std::mem::replace(&mut run.draining, true)
        {
            let life = self.devices[who].life;
            self.at(soon, Happening::Drain(who, life));
        }
        self.set_alarm(who);
    }

    fn set_alarm(&mut self, who: usize) {
        let now = self.now;
        let device = &mut self.devices[who];
        let Some(run) = &device.run else { return };
        let Some(at) = run.engine.next_wake().filter(|_| !run.resting) else { return };
        let at = device.true_time(at, now);
        let life = device.life;
        if let Some(run) = &mut device.run
            && run.wake_at.is_none_or(|set| at < set)
        {
            run.wake_at = Some(at);
            self.at(at, Happening::Wake(who, life));
        }
    }

    /// Handles, stages, commits and tells, until something ends it.
    fn drain_of(&mut self, who: usize, inputs: Vec<Input>) {
        let mut gathered = Gathered::default();
        let rolled_back = self.devices[who].store.rolled_back().then_some(Input::RolledBack);
        let mut inputs = rolled_back.into_iter().chain(inputs).chain([Input::DrainEnd]);
        while let Some(input) = inputs.next() {
            self.remember(who, &input, &mut gathered);
            match self.handle(who, input) {
                Ok(effects) => {
                    if let Err(why) = self.stage(who, effects, &mut gathered) {
                        return self.fail(why);
                    }
                }
                Err(error) => {
                    self.note(who, format_args!("cannot read: {error}"));
                    self.put_back(who, inputs.collect());
                    return self.recover(who, gathered);
                }
            }
        }
        let Gathered { network, replies, feed, .. } = &mut gathered;
        let told: Vec<Effect> = network.drain(..).chain(replies.drain(..)).chain(feed.drain(..)).collect();
        let is_mailbox = who >= self.mailboxes.people;
        match self.handling {
            Handling::TellsBeforeDurable => return self.tell_then_commit(who, told),
            Handling::MailboxesAnswerFirst if is_mailbox => return self.tell_then_commit(who, told),
            _ => {}
        }
        match self.fate(told.len()) {
            Fate::Whole => {
                self.commit(who, &told);
                self.tell(who, told);
            }
            Fate::KilledAfter(count) => {
                self.commit(who, &told);
                self.tell(who, told.into_iter().take(count).collect());
                self.crash(who);
            }
            Fate::KilledInCommit { landed } => {
                if landed {
                    self.commit(who, &told);
                }
                self.crash(who);
            }
            Fate::CommitFails => {
                self.note(who, format_args!("cannot commit"));
                self.recover(who, gathered);
            }
        }
    }

    /// What the actor had not taken from its queues when the drain failed stays there.
    fn put_back(&mut self, who: usize, untaken: Vec<Input>) {
        let Some(run) = &mut self.devices[who].run else { return };
        for input in untaken.into_iter().rev() {
            if !matches!(input, Input::DrainEnd | Input::Tick | Input::Online | Input::Listening(_)) {
                run.inbox.push_front(input);
            }
        }
    }

    /// The wrong order, to see that it is noticed.
    fn tell_then_commit(&mut self, who: usize, told: Vec<Effect>) {
        let fate = self.fate(told.len());
        self.tell(who, told);
        match fate {
            Fate::Whole | Fate::CommitFails => self.commit(who, &[]),
            Fate::KilledAfter(_) | Fate::KilledInCommit { .. } => self.crash(who),
        }
    }

    fn fate(&mut self, effects: usize) -> Fate {
        if !self.is_stormy() {
            return Fate::Whole;
        }
        if self.chance.permille(self.weather.crash) {
            return match self.chance.between(0, effects as u64 + 1) {
                0 => Fate::KilledInCommit { landed: false },
                1 => Fate::KilledInCommit { landed: true },
                count => Fate::KilledAfter(count as usize - 1),
            };
        }
        if self.chance.permille(self.weather.full_disk) { Fate::CommitFails } else { Fate::Whole }
    }

    fn remember(&mut self, who: usize, input: &Input, gathered: &mut Gathered) {
        match input {
            Input::Command(token, command) => {
                gathered.tokens.insert(*token);
                self.note(who, format_args!("wants {command:?}"));
                self.before_command(who, *token, command);
            }
            Input::Frame(peer, bytes) => {
                let from = self.index_of(*peer).unwrap_or(usize::MAX);
                gathered.heard.extend(self.index_of(*peer));
                let name = self.devices.get(from).map_or('?', |device| device.name);
                let frame = match Frame::parse(bytes) {
                    Ok(Frame::Envelope(wire)) => format!("an envelope of {} bytes", wire.len()),
                    Ok(other) => format!("{:.60}", format!("{other:?}")),
                    Err(error) => error.to_string(),
                };
                self.trace.mix(bytes);
                self.note(who, format_args!("hears {frame} from {name}"));
            }
            Input::Connected { peer, .. } => {
                let other = self.index_of(*peer).map_or('?', |index| self.devices[index].name);
                self.note(who, format_args!("is connected to {other}"));
            }
            Input::Disconnected(peer) => {
                let other = self.index_of(*peer).map_or('?', |index| self.devices[index].name);
                self.note(who, format_args!("is no longer connected to {other}"));
            }
            Input::Gossip(topic, content) => {
                self.note(who, format_args!("hears {:.40} on {topic:?}", format!("{content:?}")))
            }
            Input::DrainEnd => {}
            other => self.note(who, format_args!("is told {other:?}")),
        }
    }

    fn handle(&mut self, who: usize, input: Input) -> Result<Vec<Effect>, ViewError> {
        let fails = self.is_stormy() && self.chance.permille(self.weather.bad_read);
        let reads_left = if fails { self.chance.between(0, 20) as u32 } else { u32::MAX };
        let device = &mut self.devices[who];
        let clock = device.clock(self.now);
        let Some(run) = &mut device.run else { return Ok(Vec::new()) };
        let flaky = Flaky { store: &device.store, reads_left: Cell::new(reads_left) };
        let view: &dyn View = if fails { &flaky } else { &device.store };
        run.engine.handle(input, clock, &mut device.rng, view)
    }

    /// Stages what is to persist and gathers the rest.
    fn stage(&mut self, who: usize, effects: Vec<Effect>, gathered: &mut Gathered) -> Result<(), String> {
        let mut writes: Vec<Write> = Vec::new();
        for effect in effects {
            match effect {
                Effect::Persist(staged) => {
                    let store = &self.devices[who].store;
                    // An outbox entry that is only sealed anew was judged when it was put there.
                    let news = staged.iter().filter(|write| match write {
                        Write::Put(key, _) if key.table == Table::Outbox => {
                            !store.row(key).is_ok_and(|row| row.is_some())
                        }
                        _ => true,
                    });
                    writes = news.cloned().collect();
                    self.devices[who].store.stage(staged).map_err(|error| error.to_string())?;
                }
                Effect::Reply(..) => gathered.replies.push(effect),
                Effect::Feed(_) => gathered.feed.push(effect),
                other => gathered.network.push(other),
            }
        }
        self.watch_writes(who, &writes)?;
        Ok(())
    }

    fn commit(&mut self, who: usize, told: &[Effect]) {
        if let Err(error) = self.devices[who].store.commit() {
            return self.fail(error.to_string());
        }
        for effect in told {
            if let Effect::Reply(token, answer) = effect {
                self.ledger.enter(who, *token, answer, self.now);
            }
        }
    }

    fn tell(&mut self, who: usize, told: Vec<Effect>) {
        for effect in told {
            match effect {
                Effect::Send(peer, frames) => self.send(who, peer, frames),
                Effect::Publish(topic, frame) => {
                    self.trace.mix(&frame);
                    self.note(who, format_args!("publishes {} bytes on {topic:?}", frame.len()));
                    self.publish(who, topic, &frame);
                }
                Effect::Subscribe(topic, gate) => self.subscribe(who, topic, gate),
                Effect::Unsubscribe(topic) => self.unsubscribe(who, topic),
                Effect::Reach(peer, addresses) => self.reach(who, peer, addresses),
                Effect::Forget(peer) => self.forget(who, peer),
                Effect::Probe(addresses) => self.probe(who, &addresses),
                Effect::Notice(_, notice) => self.note(who, format_args!("notices {notice:?}")),
                Effect::Reply(token, answer) => {
                    self.note(who, format_args!("is answered {answer:?}"));
                    self.acknowledge(&answer);
                    self.asked.remove(&token);
                    self.outcomes.insert(token, Outcome::Answered(answer));
                }
                Effect::Feed(cursor) => self.note(who, format_args!("has a feed up to {cursor}")),
                Effect::Shunned(peer, offence) => {
                    let other = self.index_of(peer).map_or('?', |index| self.devices[index].name);
                    self.note(who, format_args!("compares with {other} no more: {offence:?}"));
                }
                Effect::Persist(_) | Effect::Damaged(_) => {}
            }
        }
    }

    /// As the actor does after a failure: the drain leaves no trace, a new engine hears of the network after a rest.
    fn recover(&mut self, who: usize, gathered: Gathered) {
        self.accidents += 1;
        for token in gathered.tokens {
            self.asked.remove(&token);
            self.outcomes.insert(token, Outcome::Unknown);
        }
        let keeps = self.handling == Handling::KeepsEngineAfterFailure;
        let device = &mut self.devices[who];
        device.store.discard();
        let (life, settings) = (device.life, device.settings);
        if let Some(run) = &mut device.run
            && !keeps
        {
            run.engine = crate::protocol::engine::Engine::new(settings);
            run.resting = true;
            run.wake_at = None;
        }
        for peer in gathered.heard {
            self.hang_up(who, peer);
        }
        if !keeps {
            self.at(self.now + REST, Happening::BringBack(who, life));
        }
    }
}

/// What the next drain takes: all in its turn, or commands alone while the device rests.
fn take_inputs(run: &mut Run, most: usize) -> Vec<Input> {
    if !run.resting {
        let count = most.min(run.inbox.len());
        return run.inbox.drain(..count).collect();
    }
    let (commands, rest): (Vec<Input>, Vec<Input>) =
        run.inbox.drain(..).partition(|input| matches!(input, Input::Command(..)));
    run.inbox = rest.into();
    commands
}

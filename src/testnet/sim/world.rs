//! The world: devices, what is to happen when, and the loop that lets it happen.

use super::{
    Climate, Failure, Handling, Kind, Millis, Report,
    chance::Chance,
    device::{Device, Run, address},
    loss::Losses,
    mailbox::{Mailboxes, Manner},
    roles::{self, Rights},
    rules::Truth,
    scenario::{self, Goal},
    settle::Ledger,
    trace::Trace,
    watch::Watch,
    weather::Weather,
};
use crate::protocol::{
    engine::{Input, Refusal, Reply, Settings, Token},
    group::Topic,
    ids::{OpId, TransportKey},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long after the end of the weather everything must have arrived, in milliseconds of virtual time.
const PATIENCE: u64 = 20 * 60 * 1000;
/// Where both ends of a chat that goes by mail alone lose their secrets: a bundle is left again an hour later at the earliest.
const ANSWERED_AGAIN: u64 = 60 * 60 * 1000;
/// What a mailbox that is not honest swallowed, where it was the only one that was known, is left again after a week.
const LEFT_AGAIN: u64 = 8 * 24 * 60 * 60 * 1000;
/// How often people look at what they want.
const LOOK_EVERY: u64 = 400;
/// The same while a long partition lasts.
const LOOK_SELDOM: u64 = 5_000;
/// How often it is looked whether all is done.
const SETTLE_EVERY: u64 = 2_000;
/// How soon after a partition everybody shows the same.
const HEALED_IN: u64 = 30_000;
/// How often a liar says something that is not true.
const LIE_EVERY: u64 = 4_000;

/// What is to happen. Numbers of lives keep what was meant for an earlier run of a process from a later one.
#[derive(Debug)]
pub(super) enum Happening {
    Drain(usize, u32),
    Wake(usize, u32),
    Start(usize),
    BringBack(usize, u32),
    Dial { from: usize, life: u32, to: usize },
    Probe { from: usize, life: u32, to: usize, tries: u32 },
    Up { to: usize, peer: usize, number: u64, address: Option<String> },
    Down { to: usize, peer: usize, number: u64 },
    Frame { to: usize, from: usize, number: u64, bytes: Vec<u8> },
    Gossip { to: usize, from: usize, number: u64, topic: Topic, bytes: Vec<u8>, copy: bool },
    Overflow { to: usize, life: u32, peer: usize },
    Die(usize),
    Fall(usize),
    Break,
    Split,
    Jump { who: usize, skew: i64 },
    Lie,
    Healed,
    Look,
}

/// What came of a command.
#[derive(Debug)]
pub(super) enum Outcome {
    Answered(Result<Reply, Refusal>),
    /// A crash or failed commit; it may have been carried out.
    Unknown,
}

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) climate: Climate,
    pub(super) handling: Handling,
    pub(super) now: u64,
    pub(super) devices: Vec<Device>,
    pub(super) by_transport: BTreeMap<TransportKey, usize>,
    pub(super) weather: Weather,
    pub(super) mailboxes: Mailboxes,
    pub(super) chance: Chance,
    pub(super) trace: Trace,
    /// Connections by their two ends, the lesser first, and their numbers.
    pub(super) connections: BTreeMap<(usize, usize), u64>,
    pub(super) last_connection: u64,
    /// When the last thing on its way to the one from the other arrives: streams keep their order.
    pub(super) streams: BTreeMap<(usize, usize), u64>,
    pub(super) goals: Vec<Goal>,
    pub(super) group: Option<OpId>,
    pub(super) left: BTreeSet<usize>,
    /// Links of mailboxes.
    pub(super) links: BTreeMap<usize, String>,
    pub(super) asked: BTreeMap<Token, usize>,
    pub(super) outcomes: BTreeMap<Token, Outcome>,
    pub(super) last_token: Token,
    pub(super) watch: Watch,
    pub(super) ledger: Ledger,
    pub(super) losses: Losses,
    pub(super) rights: Rights,
    /// What the ops of the group say, all together.
    pub(super) truth: Option<Truth>,
    pub(super) accidents: u64,
    pub(super) broken: Option<String>,
    queue: BTreeMap<(u64, u64), Happening>,
    queued: u64,
}

impl World {
    pub(super) fn draw(seed: u64, handling: Handling, lines_kept: usize) -> Result<Self, Failure> {
        Self::draw_in(Climate::Mixed, seed, handling, lines_kept)
    }

    pub(super) fn draw_in(climate: Climate, seed: u64, handling: Handling, lines_kept: usize) -> Result<Self, Failure> {
        let mut chance = Chance::new(seed, climate as u8);
        let count = match chance.between(0, 9) {
            0..=2 => 2,
            3..=5 => 3,
            6..=7 => 4,
            8 => 5,
            _ => chance.between(5, 7) as usize,
        };
        let count = if climate == Climate::Parted { count.clamp(3, 5) } else { count };
        let weather = match climate {
            Climate::Mixed => Weather::draw(&mut chance, count),
            Climate::Parted => Weather::draw_parted(&mut chance, count),
        };
        let mut devices = Vec::new();
        let no_device = |error: super::device::NoDevice| Failure {
            seed,
            kind: kind(climate, handling),
            why: error.to_string(),
            trace: vec![],
        };
        for index in 0..count {
            let settings = Settings { join_contacts_groups: chance.permille(800), ..Settings::default() };
            let skew = weather.skews.get(index).copied().unwrap_or(0);
            devices.push(Device::begin(seed, index, skew, settings).map_err(no_device)?);
        }
        let goals = match climate {
            Climate::Mixed => scenario::draw(&mut chance, count),
            Climate::Parted => scenario::draw_parted(&mut chance, count, weather.until),
        };
        // Links of mailboxes last a month by the mailbox's clock.
        let mailboxes = climate == Climate::Mixed && !weather.is_of_days() && Mailboxes::are_drawn(seed);
        let goals = if mailboxes { scenario::without_group(seed, goals) } else { goals };
        let mailboxes = match mailboxes {
            true => Mailboxes::draw(seed, count, scenario::has_group(&goals)),
            false => Mailboxes::none(count),
        };
        for index in count..count + mailboxes.manners.len() {
            devices.push(Device::begin(seed, index, 0, Settings::default()).map_err(no_device)?);
        }
        let losses = match handling {
            Handling::LosesHome => Losses::of(seed, count),
            _ => Losses::none(),
        };
        let mut weather = weather;
        if handling == Handling::LosesHome {
            // Where the others are is all that a restored device knows of them.
            weather.moves = None;
        }
        let mut mailboxes = mailboxes;
        if handling == Handling::LosesHome && mailboxes.keep_the_log {
            // What a group said meanwhile comes to a restored device from a member that it meets.
            mailboxes.strangers = None;
        }
        let kind = kind(climate, handling);
        let talks = matches!(kind, Kind::Mixed | Kind::Governed);
        let mut goals = if talks { scenario::with_talk(seed, count, goals) } else { goals };
        let rights = match kind {
            Kind::Governed => roles::draw(seed, count, &mut goals, &mut weather),
            _ => Rights::default(),
        };
        let goals: Vec<Goal> = goals.into_iter().chain(scenario::of_mailboxes(&mailboxes)).collect();
        Ok(Self {
            seed,
            climate,
            handling,
            now: 0,
            by_transport: devices.iter().map(|device| (device.transport, device.index)).collect(),
            devices,
            weather,
            mailboxes,
            chance,
            trace: Trace::keeping(lines_kept),
            connections: BTreeMap::new(),
            last_connection: 0,
            streams: BTreeMap::new(),
            goals,
            group: None,
            left: BTreeSet::new(),
            links: BTreeMap::new(),
            asked: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            last_token: 0,
            watch: Watch::default(),
            ledger: Ledger::default(),
            losses,
            rights,
            truth: None,
            accidents: 0,
            broken: None,
            queue: BTreeMap::new(),
            queued: 0,
        })
    }

    /// Lets everything happen, to the end.
    pub(super) fn live(mut self) -> Result<Report, Failure> {
        for index in 0..self.devices.len() {
            let at = self.chance.between(0, 2_000);
            self.at(at, Happening::Start(index));
        }
        for who in self.mailboxes.people..self.devices.len() {
            if let Some(Manner::Dies(at)) = self.mailboxes.manner(who) {
                self.at(at, Happening::Die(who));
            }
        }
        for (from, to, _) in self.weather.splits.clone() {
            self.at(from, Happening::Split);
            self.at(to, Happening::Split);
        }
        if self.weather.break_every > 0 {
            self.at(self.weather.break_every, Happening::Break);
        }
        for (at, who, skew) in self.weather.jumps.clone() {
            self.at(at, Happening::Jump { who, skew });
        }
        for (_, to, ..) in self.weather.one_way.clone() {
            self.at(to, Happening::Split);
        }
        if self.weather.liar.is_some() {
            self.at(LIE_EVERY, Happening::Lie);
        }
        if self.climate == Climate::Parted {
            self.at(self.weather.until + HEALED_IN, Happening::Healed);
        }
        self.at(0, Happening::Look);
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            self.now = at;
            let done = matches!(happening, Happening::Look) && self.look();
            if !done {
                self.happen(happening);
            }
            if let Some(why) = self.broken.take() {
                let kind = kind(self.climate, self.handling);
                return Err(Failure { seed: self.seed, kind, why, trace: self.trace.last() });
            }
            if done {
                break;
            }
        }
        Ok(Report {
            seed: self.seed,
            devices: self.devices.len(),
            trace: self.trace.hash(),
            events: self.trace.lines(),
            messages: self.ledger.acknowledged.len(),
            accidents: self.accidents,
            losses: self.losses.count(),
            lasted: Duration::from_millis(self.now),
        })
    }

    /// Puts something on the queue. What is put first for one time happens first.
    pub(super) fn at(&mut self, at: u64, happening: Happening) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), happening);
    }

    /// A promise is broken: the run ends here. The first reason counts.
    pub(super) fn fail(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    pub(super) fn note(&mut self, who: usize, what: std::fmt::Arguments<'_>) {
        let name = self.devices.get(who).map_or('-', |device| device.name);
        self.trace.note(Millis(self.now), name, what);
    }

    pub(super) fn is_stormy(&self) -> bool {
        self.now < self.weather.until
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Drain(who, life) => self.drain(who, life),
            Happening::Wake(who, life) => self.wake(who, life),
            Happening::Start(who) => self.start(who),
            Happening::BringBack(who, life) => self.bring_back(who, life),
            Happening::Dial { from, life, to } => self.dial(from, life, to),
            Happening::Probe { from, life, to, tries } => self.dial_unknown(from, life, to, tries),
            Happening::Up { to, peer, number, address } => self.up(to, peer, number, address),
            Happening::Down { to, peer, number } => self.down(to, peer, number),
            Happening::Frame { to, from, number, bytes } => self.arrive(to, from, number, bytes),
            Happening::Gossip { to, from, number, topic, bytes, copy } => {
                self.hear_gossip(to, from, number, topic, &bytes, copy);
            }
            Happening::Overflow { to, life, peer } => {
                let transport = self.transport(peer);
                if self.devices[to].life == life {
                    self.hand(to, Input::Overflow(transport));
                }
            }
            Happening::Die(who) => self.die(who),
            Happening::Fall(who) => self.fall(who),
            Happening::Break => self.break_one(),
            Happening::Split => self.split(),
            Happening::Jump { who, skew } => self.jump(who, skew),
            Happening::Lie => {
                self.lie();
                if self.is_stormy() {
                    self.at(self.now + LIE_EVERY, Happening::Lie);
                }
            }
            Happening::Healed => {
                if let Err(why) = self.healed() {
                    self.fail(format!("not the same everywhere {} s after healing: {why}", HEALED_IN / 1000));
                }
            }
            Happening::Look => {}
        }
    }

    /// People look at what they want; once all is done and the weather over, whether all has arrived. `true`: it has.
    fn look(&mut self) -> bool {
        self.part_strangers();
        self.pursue();
        self.tempt_fate();
        let open = self.goals.iter().filter(|goal| !goal.done).count();
        let waits = open > 0 || self.is_stormy();
        let seldom =
            self.climate == Climate::Parted && self.now > 60_000 && self.now + LOOK_SELDOM < self.weather.until;
        let next = match waits {
            true if seldom => LOOK_SELDOM,
            true => LOOK_EVERY,
            false => SETTLE_EVERY,
        };
        self.at(self.now + next, Happening::Look);
        let patience = match self.handling {
            Handling::LosesSecrets => PATIENCE + ANSWERED_AGAIN,
            Handling::LosesHome if !self.mailboxes.are_honest() => PATIENCE + LEFT_AGAIN,
            _ => PATIENCE,
        };
        let late = self.now > self.weather.until + patience;
        if waits {
            if late {
                let open: Vec<String> =
                    self.goals.iter().filter(|goal| !goal.done).map(|goal| format!("{:?}", goal.wish)).collect();
                self.fail(format!("never came to be: {}", open.join(", ")));
            }
            return false;
        }
        self.learn_truth();
        match self.settled() {
            Ok(()) => {
                if let Err(why) = self.judge() {
                    self.fail(why);
                }
                true
            }
            Err(why) => {
                if late {
                    self.fail(format!("never settled: {why}"));
                }
                false
            }
        }
    }

    /// A clock is set anew.
    fn jump(&mut self, who: usize, skew: i64) {
        self.note(who, format_args!("has its clock set to {skew} ms from true time"));
        let device = &mut self.devices[who];
        device.skew = skew;
        if let Some(run) = &mut device.run {
            run.wake_at = None;
        }
        let (life, soon) = (self.devices[who].life, self.now + 1_000);
        self.at(soon, Happening::Wake(who, life));
    }

    /// A process begins.
    fn start(&mut self, who: usize) {
        if self.is_dead(who) {
            return;
        }
        let device = &mut self.devices[who];
        let mut run = Run::new(device.settings);
        if self.handling == Handling::NeverCompares {
            run.engine.never_compare();
        }
        device.run = Some(run);
        let address = device.address.clone();
        self.note(who, format_args!("starts at {address}"));
        self.hand(who, Input::Online);
        self.hand(who, Input::Listening(vec![address]));
    }

    /// A process is killed. Its store keeps what was committed; it starts again after a while.
    pub(super) fn crash(&mut self, who: usize) {
        self.accidents += 1;
        // Who is still to be found by a link stays where the link says.
        let met = self.goals.iter().all(|goal| goal.done || !matches!(goal.wish, super::scenario::Wish::Meet { .. }));
        let moves = met && self.weather.moves == Some(who);
        let device = &mut self.devices[who];
        device.run = None;
        device.life += 1;
        crate::store::MemoryStore::crash(&mut device.store);
        if moves {
            device.address = address(who, device.life);
        }
        self.note(who, format_args!("is killed"));
        if self.handling == Handling::LosesSecrets {
            if self.chance.permille(250) {
                self.put_store_back(who);
            }
            self.copy_store(who);
        }
        let lost: Vec<Token> = self.asked.iter().filter(|(_, asked)| **asked == who).map(|(token, _)| *token).collect();
        for token in lost {
            self.asked.remove(&token);
            self.outcomes.insert(token, Outcome::Unknown);
        }
        for other in 0..self.devices.len() {
            self.hang_up(who, other);
        }
        let away = if self.chance.permille(200) { 15_000 } else { 1_500 };
        let back = self.now + self.chance.about(away);
        self.at(back, Happening::Start(who));
    }

    /// Puts something before a device, to be taken in its next drain.
    pub(super) fn hand(&mut self, who: usize, input: Input) {
        let soon = self.now + self.chance.between(0, 8);
        let device = &mut self.devices[who];
        let Some(run) = &mut device.run else { return };
        run.inbox.push_back(input);
        if !std::mem::replace(&mut run.draining, true) {
            let life = device.life;
            self.at(soon, Happening::Drain(who, life));
        }
    }

    pub(super) fn transport(&self, who: usize) -> TransportKey {
        self.devices[who].transport
    }
}

fn kind(climate: Climate, handling: Handling) -> Kind {
    match (climate, handling) {
        (Climate::Parted, _) => Kind::Parted,
        (Climate::Mixed, Handling::LosesSecrets) => Kind::RolledBack,
        (Climate::Mixed, Handling::LosesHome) => Kind::Lost,
        (Climate::Mixed, Handling::UsesRights) => Kind::Governed,
        (Climate::Mixed, _) => Kind::Mixed,
    }
}

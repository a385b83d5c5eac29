//! Mailboxes in a world: how many, how they behave, and whom only they connect.

use super::{chance::Chance, device::Run, world::World};
use crate::protocol::{
    engine::rows::{
        self, BoxRight, BoxRow, ContactState, DeviceRow, MailRow, MailboxRow, MailboxState, OwedRow, OwnRow, Row,
    },
    identity::SignedBundle,
    view::{Direction, View},
    wire::{frame::Frame, mailbox::Say},
};

/// Blobs that a lying mailbox remembers, to give them again.
const REMEMBERED: usize = 64;

/// How a mailbox behaves. The first of a world is honest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It keeps what it says it keeps.
    Honest,
    /// It is gone for ever from this time on.
    Dies(u64),
    /// It takes mail and never gives it.
    Withholds,
    /// It gives garbage, old mail and others' mail, and some of what it should.
    Lies,
}

/// The mailboxes of a world, and who needs them.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    /// How many people there are; the devices behind them are mailboxes.
    pub(super) people: usize,
    pub(super) manners: Vec<Manner>,
    /// A pair that is never connected, from the beginning or once each knows a box of the other.
    pub(super) strangers: Option<(usize, usize)>,
    pub(super) from_the_start: bool,
    /// Whether the honest one keeps the group's log.
    pub(super) keep_the_log: bool,
    seen: Vec<Vec<u8>>,
}

impl Mailboxes {
    /// Whether a seed has mailboxes, if its clocks allow it.
    pub(super) fn are_drawn(seed: u64) -> bool {
        Chance::new(seed, 6).permille(500)
    }

    pub(super) fn are_honest(&self) -> bool {
        self.manners.iter().all(|manner| *manner == Manner::Honest)
    }

    /// The mailboxes of a seed, drawn apart from all else.
    pub(super) fn draw(seed: u64, people: usize, grouped: bool) -> Self {
        let mut chance = Chance::new(seed, 7);
        if !Self::are_drawn(seed) {
            return Self::none(people);
        }
        let mut manners = vec![Manner::Honest];
        if chance.permille(600) {
            manners.push(match chance.between(0, 3) {
                0 => Manner::Honest,
                1 => Manner::Dies(chance.between(5_000, 60_000)),
                2 => Manner::Withholds,
                _ => Manner::Lies,
            });
        }
        let part = chance.permille(900);
        let strangers = part.then(|| (0, chance.between(1, people as u64 - 1) as usize));
        let from_the_start = chance.permille(300);
        Self { people, manners, strangers, from_the_start, keep_the_log: grouped, seen: Vec::new() }
    }

    /// A world without mailboxes.
    pub(super) fn none(people: usize) -> Self {
        Self { people, ..Self::default() }
    }

    pub(super) fn manner(&self, who: usize) -> Option<Manner> {
        self.manners.get(who.checked_sub(self.people)?).copied()
    }

    /// Whether two are the pair that never meets from the start.
    pub(super) fn never_met(&self, a: usize, b: usize) -> bool {
        self.from_the_start && self.strangers == Some((a.min(b), a.max(b)))
    }
}

impl World {
    /// Parts the pair for good, once it can do without being connected.
    pub(super) fn part_strangers(&mut self) {
        let Some((a, b)) = self.mailboxes.strangers.filter(|_| self.weather.parted.is_none()) else { return };
        let ready = self.mailboxes.from_the_start || (self.knows_a_box(a, b) && self.knows_a_box(b, a));
        if ready {
            self.weather.parted = Some((a, b));
            let other = self.devices[b].name;
            self.note(a, format_args!("will never be connected to {other} again"));
            self.hang_up(a, b);
        }
    }

    /// Whether the pair has gone apart, each with a box of the other.
    pub(super) fn has_parted(&self) -> bool {
        let reaches = |who, other| self.knows_a_box(who, other) && self.knows_the_prekey(who, other);
        let knows = |(a, b)| reaches(a, b) && reaches(b, a);
        self.weather.parted.is_some() && self.mailboxes.strangers.is_some_and(knows)
    }

    /// Whether one knows the other's present prekey, and not just that of a link.
    fn knows_the_prekey(&self, who: usize, other: usize) -> bool {
        let row: Option<DeviceRow> =
            rows::read(&self.devices[who].store, &DeviceRow::key(self.devices[other].device)).ok().flatten();
        let own: Option<OwnRow> = rows::read(&self.devices[other].store, &OwnRow::key()).ok().flatten();
        let known = row.and_then(|row| SignedBundle::parse(&row.bundle).ok()).and_then(|signed| signed.verify().ok());
        known.zip(own).is_some_and(|(bundle, own)| bundle.prekey.id == own.prekey)
    }

    /// Whether one is connected as a contact and knows the other's box at the honest mailbox.
    fn knows_a_box(&self, who: usize, other: usize) -> bool {
        let honest = self.devices[self.mailboxes.people].transport;
        let row: Option<DeviceRow> =
            rows::read(&self.devices[who].store, &DeviceRow::key(self.devices[other].device)).ok().flatten();
        let contact = self.contact(who, other).is_some_and(|row| row.state == ContactState::Connected);
        contact && row.is_some_and(|row| row.boxes().iter().any(|mailbox| mailbox.node == honest))
    }

    /// Whether a device has a box at every mailbox that lives.
    pub(super) fn has_boxes(&self, who: usize) -> bool {
        let own: Vec<MailboxRow> = rows::all(&self.devices[who].store, MailboxRow::SCOPE).unwrap_or_default();
        let honest = self.devices[self.mailboxes.people].transport;
        own.iter().any(|row| row.node == honest && row.state == MailboxState::Active)
    }

    pub(super) fn is_dead(&self, who: usize) -> bool {
        matches!(self.mailboxes.manner(who), Some(Manner::Dies(at)) if at <= self.now)
    }

    /// A mailbox goes and does not come back.
    pub(super) fn die(&mut self, who: usize) {
        let device = &mut self.devices[who];
        device.run = None::<Run>;
        device.life += 1;
        self.note(who, format_args!("is gone for ever"));
        for other in 0..self.devices.len() {
            self.hang_up(who, other);
        }
    }

    /// What a mailbox really sends, by its manner.
    pub(super) fn bend(&mut self, from: usize, frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        match self.mailboxes.manner(from) {
            Some(Manner::Withholds) => frames.into_iter().filter_map(|frame| withheld(&frame)).collect(),
            Some(Manner::Lies) => frames.into_iter().flat_map(|frame| self.lie_about(frame)).collect(),
            _ => frames,
        }
    }

    fn lie_about(&mut self, frame: Vec<u8>) -> Vec<Vec<u8>> {
        let Ok(Frame::Say(Say::Mail(id, place, blob, sender))) = Frame::parse(&frame) else { return vec![frame] };
        let mut lies = Vec::new();
        let mut give = |blob: Vec<u8>| lies.push(Frame::Say(Say::Mail(id, place, blob, sender)).to_bytes());
        match self.chance.between(0, 3) {
            0 => give(blob.clone()),
            1 => give(blob.iter().map(|byte| byte ^ 0x55).collect()),
            2 => {
                let old = self.chance.index(self.mailboxes.seen.len());
                self.mailboxes.seen.get(old).cloned().into_iter().for_each(give);
            }
            _ => {}
        }
        self.mailboxes.seen.push(blob);
        if self.mailboxes.seen.len() > REMEMBERED {
            self.mailboxes.seen.remove(0);
        }
        lies
    }

    /// Nobody owes anything by mail, and the honest mailbox keeps nothing.
    pub(super) fn settled_mail(&self) -> Result<(), String> {
        for device in &self.devices {
            let owed: Vec<OwedRow> = rows::all(&device.store, b"").map_err(|error| error.to_string())?;
            // What answers an old start again may wait.
            if let Some(owed) = owed.iter().find(|owed| !owed.is_deferred(device.clock(self.now))) {
                let to = self.devices.iter().find(|other| other.device == owed.device).map_or('?', |other| other.name);
                return Err(format!("{} still owes {to} something by mail", device.name));
            }
        }
        let Some(honest) = self.devices.get(self.mailboxes.people) else { return Ok(()) };
        let boxes: Vec<BoxRow> = rows::all(&honest.store, b"").map_err(|error| error.to_string())?;
        // What was left for a device that is lost stays until its time is over.
        for row in boxes.into_iter().filter(|row| self.index_of(row.owner).is_some()) {
            if row.right == BoxRight::Log {
                continue;
            }
            let held = honest.store.scan(MailRow::TABLE, &row.id.0, None, Direction::Forward, 100);
            let held = held.map_err(|error| error.to_string())?.len();
            if held > 0 || row.kept.blobs != held as u64 {
                let owner = self.index_of(row.owner).map_or('?', |index| self.devices[index].name);
                return Err(format!("{} keeps {held} things ({} counted) for {owner}", honest.name, row.kept.blobs));
            }
        }
        Ok(())
    }
}

/// Mail is dropped, and nobody learns that there is more.
fn withheld(frame: &[u8]) -> Option<Vec<u8>> {
    match Frame::parse(frame) {
        Ok(Frame::Say(Say::Mail(..) | Say::Waiting(_))) => None,
        Ok(Frame::Say(Say::End(id, _, verdict))) => Some(Frame::Say(Say::End(id, false, verdict)).to_bytes()),
        _ => Some(frame.to_vec()),
    }
}

//! What is checked at every step: wires, receipts, and to whom keys are given.

use super::world::World;
use crate::protocol::{
    crypto::{
        envelope::{open_outer, peek},
        kdf::hash,
    },
    delivery::Numbers,
    engine::{
        record::Record,
        rows::{self, AuthorRow, MemberRow, OutboxRow, Parcel, ReceiptRow, TagRow},
    },
    group::{ChainId, FrameContent, GroupEvent},
    ids::{ChatId, DeviceId, EventId, OpId},
    view::{Key, Table, Write},
    wire::{decode, frame::Frame, mailbox::Say},
};
use std::collections::BTreeMap;

/// What was seen so far of things that must never be two.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What was sent at (session, epoch, index).
    positions: BTreeMap<([u8; 16], u32, u32), [u8; 32]>,
    /// What was said at a place of a sender chain.
    places: BTreeMap<(DeviceId, ChainId, u32), EventId>,
}

impl World {
    /// Looks at a frame on the wire. The receiver's own rows tell where an envelope belongs.
    pub(super) fn observe(&mut self, to: usize, bytes: &[u8]) {
        let wire = match Frame::parse(bytes) {
            Ok(Frame::Envelope(wire) | Frame::Say(Say::Mail(_, _, wire, _))) => wire,
            _ => return,
        };
        let Ok(tag) = peek(&wire) else { return };
        let Ok(Some(row)) = rows::read::<TagRow>(&self.devices[to].store, &TagRow::key(tag)) else { return };
        let Some(outer) = row.key.and_then(|key| open_outer(&wire, &key).ok()) else { return };
        if outer.offer().is_some() {
            return;
        }
        let position = (outer.sid().0, outer.epoch(), outer.index());
        let seen = hash(&[&wire]);
        if self.watch.positions.insert(position, seen).is_some_and(|before| before != seen) {
            let (epoch, index) = (outer.epoch(), outer.index());
            self.fail(format!("two things were sealed at {:?}, epoch {epoch}, index {index}", outer.sid()));
        }
    }

    pub(super) fn watch_gossip(&mut self, content: &FrameContent) {
        let FrameContent::Event(bytes) = content else { return };
        if let Err(why) = self.watch_group_event(bytes) {
            self.fail(why);
        }
    }

    /// A place of a chain holds one event.
    pub(super) fn watch_group_event(&mut self, bytes: &[u8]) -> Result<(), String> {
        let event = GroupEvent::parse(bytes).map_err(|error| error.to_string())?;
        let place = (event.device, event.chain, event.i);
        match self.watch.places.insert(place, event.id()) {
            Some(before) if before != event.id() => {
                Err(format!("two events at place {} of a chain of {:?}", event.i, event.device))
            }
            _ => Ok(()),
        }
    }

    /// What a device is about to keep must be true of the others now.
    pub(super) fn watch_writes(&mut self, who: usize, writes: &[Write]) -> Result<(), String> {
        for write in writes {
            let Write::Put(key, value) = write else { continue };
            match key.table {
                Table::Receipt => self.watch_receipt(who, key, value)?,
                Table::Outbox => self.watch_parcel(who, key, value)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A receipt from another never runs ahead of what the other durably holds and has read.
    fn watch_receipt(&self, who: usize, key: &Key, value: &[u8]) -> Result<(), String> {
        let (chat, author) = match key.scope.split_first_chunk::<32>() {
            Some((chat, [0])) => (chat, self.devices[who].device),
            Some((chat, [2, former @ ..])) => match <[u8; 32]>::try_from(former) {
                Ok(former) => (chat, DeviceId(former)),
                Err(_) => return Ok(()),
            },
            _ => return Ok(()),
        };
        let chat = ChatId(*chat);
        let row: ReceiptRow = decode(value, "receipt").map_err(|error| error.to_string())?;
        let Some(other) = self.devices.iter().find(|device| device.device == row.device) else { return Ok(()) };
        // What was told may have gone since, with a store that an older one took the place of.
        let before = rows::read::<ReceiptRow>(&self.devices[who].store, key).ok().flatten();
        let before = before.filter(|_| self.losses.has_lost(other.index));
        let held_before = before.as_ref().and_then(|row| row.numbers().ok());
        let seen_before = before.as_ref().and_then(|row| row.seen(row.read).ok());
        let news = |now: &Numbers, before: &Option<Numbers>| match before {
            Some(before) => now.news_over(before),
            None => now.news_over(&Numbers::from_base(1)),
        };
        let numbers = |ranges: Vec<(u64, u64)>| ranges.into_iter().flat_map(|(first, last)| first..=last);
        for no in numbers(news(&row.numbers().map_err(|error| error.to_string())?, &held_before)) {
            let held = rows::read::<AuthorRow>(&other.store, &AuthorRow::key(chat, author, no));
            if !held.is_ok_and(|held| held.is_some()) {
                let (own, other) = (self.devices[who].name, other.name);
                return Err(format!("{own} believes that {other} holds its event {no}, which it does not"));
            }
        }
        let theirs = rows::read::<ReceiptRow>(&other.store, &ReceiptRow::key(chat, rows::Side::Ours, author));
        let theirs = theirs.ok().flatten();
        let seen = theirs.as_ref().and_then(|row| row.seen(row.told.unwrap_or(row.read)).ok());
        for no in numbers(news(&row.seen(row.read).map_err(|error| error.to_string())?, &seen_before)) {
            if !seen.as_ref().is_some_and(|seen| seen.contains(no)) {
                let (own, other) = (self.devices[who].name, other.name);
                return Err(format!("{own} believes that {other} read its event {no}, which it did not"));
            }
        }
        let read = theirs.map_or(0, |row| row.read);
        if row.read > read.max(before.map_or(0, |row| row.read)) {
            let (own, other) = (self.devices[who].name, other.name);
            return Err(format!("{own} believes that {other} read up to {}, and it read up to {read}", row.read));
        }
        Ok(())
    }

    /// Chains and gossip secrets are given to current members alone.
    fn watch_parcel(&self, who: usize, key: &Key, value: &[u8]) -> Result<(), String> {
        let row: OutboxRow = decode(value, "outbox").map_err(|error| error.to_string())?;
        let Parcel::Control(_, bytes) = &row.what else { return Ok(()) };
        let (group, what) = match Record::parse(bytes) {
            Some(Record::Chain(group, _)) => (group, "chain"),
            Some(Record::GossipSecret(group, ..)) => (group, "gossip secret"),
            _ => return Ok(()),
        };
        let to = self.devices.iter().find(|device| key.scope == device.device.0);
        // Who left may know of a restored device before the group does.
        let restored = to.filter(|device| !device.formers.is_empty()).map(|device| device.account);
        let is_its = |row: &MemberRow| key.scope == row_device(row) || Some(row.account) == restored;
        if self.members(who, group).iter().any(|row| row.current && is_its(row)) {
            return Ok(());
        }
        let to = to.map_or('?', |device| device.name);
        Err(format!("{} gives a {what} to {to}, who is no member", self.devices[who].name))
    }

    /// The members of a group as a device knows them, former ones too.
    pub(super) fn members(&self, who: usize, group: OpId) -> Vec<MemberRow> {
        rows::all::<MemberRow>(&self.devices[who].store, group).unwrap_or_default()
    }
}

fn row_device(row: &MemberRow) -> &[u8] {
    row.devices.first().map_or(&[], |device| device.as_ref())
}

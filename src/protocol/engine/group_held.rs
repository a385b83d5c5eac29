//! Group events that cannot be placed yet, and what each waits for.
//!
//! The rows are in the store; over them is an index in memory, made anew from them. Nothing here judges an event: that is
//! [`group_sync`](super::group_sync), which holds one here and is handed it back when what it waits for may have come.

use super::{
    record::Record,
    rows::{DeviceRow, GroupRow, HeldRow, Waits, all},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::sign::Verified,
    group::GroupEvent,
    ids::{DeviceId, EventId, OpId},
    time::Millis,
    view::{Table, ViewError},
    wire::limits::{HELD_KEPT, MAX_HELD_BYTES_PER_DEVICE, MAX_HELD_EVENTS, MAX_HELD_PER_DEVICE},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::Duration,
};

/// Events whose keys are asked for at one time.
const KEYS_ASKED_AT_ONCE: usize = 256;

/// What is held of one group.
#[derive(Debug, Default)]
pub(super) struct HeldIndex {
    notes: BTreeMap<EventId, Note>,
    /// The last event whose key was asked for: the next question goes on behind it.
    asked: Option<EventId>,
}

#[derive(Debug)]
struct Note {
    waits: Waits,
    /// On whose account it is held: its author's device, or for all devices that no op names none.
    holder: Option<DeviceId>,
    bytes: usize,
    since: Millis,
}

impl HeldIndex {
    fn has_room(&self, holder: Option<DeviceId>, bytes: usize) -> bool {
        let same = self.notes.values().filter(|note| note.holder == holder);
        let (count, held) = same.fold((0, 0), |(count, held), note| (count + 1, held + note.bytes));
        self.notes.len() < MAX_HELD_EVENTS && count < MAX_HELD_PER_DEVICE && held + bytes <= MAX_HELD_BYTES_PER_DEVICE
    }
}

impl Turn<'_> {
    /// Keeps an event until what it waits for comes. Whether it was not kept before; what finds no room is dropped, and
    /// asked for again, since its number counts as missing.
    pub(super) fn hold(&mut self, event: &GroupEvent, waits: Waits) -> Step<bool> {
        let (group, id, now) = (event.group, event.id(), self.now);
        if waits != Waits::Follower {
            self.ask_missing(group, None);
        }
        let bytes = event.to_bytes();
        let holder = self.holder(group, event.device)?;
        let index = self.held(group)?;
        let before = index.notes.get(&id).map(|note| (note.waits, note.since));
        let is_new = before.is_none();
        if before.is_some_and(|(for_this, _)| for_this == waits) {
            return Ok(false);
        }
        if is_new && !index.has_room(holder, bytes.len()) {
            self.no_room = true;
            return Ok(false);
        }
        let since = before.map_or(now, |(_, since)| since);
        index.notes.insert(id, Note { waits, holder, bytes: bytes.len(), since });
        self.put(HeldRow::key(group, id), &HeldRow { id, bytes, since, waits });
        self.count_held(group)?;
        Ok(is_new)
    }

    /// Holds an event no more.
    pub(super) fn unhold(&mut self, group: OpId, id: EventId) -> Step {
        if self.held(group)?.notes.remove(&id).is_none() {
            return Ok(());
        }
        self.delete(HeldRow::key(group, id));
        self.count_held(group)
    }

    /// What this event waits for, if it is held.
    pub(super) fn waits(&mut self, group: OpId, id: EventId) -> Step<Option<Waits>> {
        Ok(self.held(group)?.notes.get(&id).map(|note| note.waits))
    }

    /// A held event; `None` where it is not held any more.
    pub(super) fn held_event(&mut self, group: OpId, id: EventId) -> Step<Option<Verified<GroupEvent>>> {
        let Some(row) = self.read::<HeldRow>(&HeldRow::key(group, id))? else { return Ok(None) };
        match GroupEvent::parse(&row.bytes).ok().and_then(|event| event.verify().ok()) {
            Some(event) => Ok(Some(event)),
            None => Err(ViewError::Damaged(Table::Held)),
        }
    }

    /// The held events that wait for such a thing, the longest held first.
    pub(super) fn held_for(&mut self, group: OpId, such: impl Fn(&Waits) -> bool) -> Step<Vec<EventId>> {
        let notes = self.held(group)?.notes.iter().filter(|(_, note)| such(&note.waits));
        let mut ids: Vec<(Millis, EventId)> = notes.map(|(id, note)| (note.since, *id)).collect();
        ids.sort_unstable();
        Ok(ids.into_iter().map(|(_, id)| id).collect())
    }

    /// The next held events whose keys are to be asked for: all in turn.
    pub(super) fn keys_to_ask(&mut self, group: OpId) -> Step<Vec<EventId>> {
        let index = self.held(group)?;
        let from = index.asked.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = index.notes.range((from, Bound::Unbounded));
        let before = index.notes.iter().take_while(|(id, _)| index.asked.is_some_and(|asked| **id <= asked));
        let lacking = behind.chain(before).filter(|(_, note)| matches!(note.waits, Waits::Chain(..)));
        let ids: Vec<EventId> = lacking.map(|(id, _)| *id).take(KEYS_ASKED_AT_ONCE).collect();
        index.asked = ids.last().copied();
        Ok(ids)
    }

    /// Asks a device that is or was a member's for the keys of its own events that wait for its chain: it gave that to this
    /// one, and nobody else may have read them. Whether there are any.
    pub(super) fn ask_author_for_keys(&mut self, group: OpId, device: DeviceId) -> Step<bool> {
        let is_held = self.read::<GroupRow>(&GroupRow::key(group))?.is_some_and(|row| row.held > 0);
        if !is_held || !self.is_or_was_member_device(group, device)? {
            return Ok(false);
        }
        // And of those of devices whose place it took.
        let replaced = self.read::<DeviceRow>(&DeviceRow::key(device))?.map(|row| row.replaced).unwrap_or_default();
        let is_its = |author: &DeviceId| *author == device || replaced.contains(author);
        let lacking = self.lacking_keys(group, is_its)?;
        if lacking.is_empty() {
            return Ok(false);
        }
        self.whisper(device, &Record::KeysWanted(group, lacking))?;
        Ok(true)
    }

    /// Whose events have waited for such a thing at least so long, of devices that are or were members'.
    pub(super) fn authors_of_held(
        &mut self,
        group: OpId,
        at_least: Duration,
        such: impl Fn(&Waits) -> bool,
    ) -> Step<BTreeSet<DeviceId>> {
        let now = self.now;
        let long = self.held(group)?.notes.values().filter(|note| now.since(note.since) >= at_least);
        Ok(long.filter(|note| such(&note.waits)).filter_map(|note| note.holder).collect())
    }

    /// Held events that wait for keys of such devices, as many as are asked for at one time.
    pub(super) fn lacking_keys(&mut self, group: OpId, of: impl Fn(&DeviceId) -> bool) -> Step<Vec<EventId>> {
        let mut lacking = self.held_for(group, |waits| matches!(waits, Waits::Chain(author, _) if of(author)))?;
        lacking.truncate(KEYS_ASKED_AT_ONCE);
        Ok(lacking)
    }

    /// Lets go of what was held long enough.
    pub(super) fn expire_held(&mut self, group: OpId) -> Step {
        let now = self.now;
        let old = self.held(group)?.notes.iter().filter(|(_, note)| now.since(note.since) >= HELD_KEPT);
        for id in old.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Some(event) = self.held_event(group, id)? {
                self.drop_skipped_key(&event);
            }
            self.unhold(group, id)?;
        }
        Ok(())
    }

    fn held(&mut self, group: OpId) -> Step<&mut HeldIndex> {
        if !self.mem.held.contains_key(&group) {
            let mut index = HeldIndex::default();
            for row in all::<HeldRow>(self, group)? {
                let event = GroupEvent::parse(&row.bytes).map_err(|_| ViewError::Damaged(Table::Held))?;
                let holder = self.holder(group, event.device)?;
                let note = Note { waits: row.waits, holder, bytes: row.bytes.len(), since: row.since };
                index.notes.insert(row.id, note);
            }
            self.mem.held.insert(group, index);
        }
        Ok(self.mem.held.entry(group).or_default())
    }

    fn holder(&mut self, group: OpId, device: DeviceId) -> Step<Option<DeviceId>> {
        let memory = self.group(group)?;
        let known = memory.membership.owner(&device).is_some() || memory.membership.former.contains(&device);
        Ok(known.then_some(device))
    }

    fn count_held(&mut self, group: OpId) -> Step {
        let held = self.held(group)?.notes.len() as u64;
        if let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))? {
            row.held = held;
            self.put(GroupRow::key(group), &row);
        }
        Ok(())
    }
}

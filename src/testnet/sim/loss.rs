//! One device of a world is lost, now and then, and another is made of its last backup.
//!
//! What was written or confirmed after the backup by the one that is lost went with it: nobody owes it to the new one. All
//! else must hold as ever. The backup is made once the device has met everybody it wants to meet.

use super::{
    chance::{Chance, generator},
    device::Device,
    scenario::Wish,
    world::World,
};
use crate::{
    protocol::{
        engine::{
            backup::{Cursor, Kept, Page, RestoreError, Restoring, page},
            rows::{self, ContactRow, GroupState, OwnRow},
        },
        identity::AccountKey,
        ids::EventId,
        wire::{decode, encode},
    },
    store::{MemoryStore, Store},
};
use std::collections::BTreeSet;

/// Losses of a world at the most.
const MOST: u32 = 2;

/// Who is lost, and what went.
#[derive(Debug)]
pub(super) struct Losses {
    /// The one that may be lost.
    who: Option<usize>,
    chance: Chance,
    backup: Option<Vec<Kept>>,
    count: u32,
    /// Messages that a lost device wrote and no backup knew of.
    pub(super) unkept: BTreeSet<EventId>,
    /// Messages that a lost device held and no backup knew of: nobody gives them again, but for those of a group.
    pub(super) held: BTreeSet<EventId>,
    /// Who lost the device it left a group with: that was who members asked for the keys of what was said there before.
    pub(super) silent: BTreeSet<usize>,
    /// Whose store an older one took the place of.
    put_back: BTreeSet<usize>,
}

impl Losses {
    pub(super) fn of(seed: u64, people: usize) -> Self {
        let mut chance = Chance::new(seed, 10);
        let who = Some(chance.index(people));
        Self { who, chance, ..Self::none() }
    }

    /// A world in which nobody is lost.
    pub(super) fn none() -> Self {
        let (unkept, held, silent, put_back) = Default::default();
        Self { who: None, chance: Chance::new(0, 10), backup: None, count: 0, unkept, held, silent, put_back }
    }

    /// How often it came to that.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Whether a device took another's place, or an older store the place of a later one.
    pub(super) fn has_lost(&self, who: usize) -> bool {
        (self.count > 0 && self.who == Some(who)) || self.put_back.contains(&who)
    }

    /// An older store took the place of a device's.
    pub(super) fn note_put_back(&mut self, who: usize) {
        self.put_back.insert(who);
    }
}

impl World {
    /// Perhaps somebody makes a backup, and perhaps a device is lost.
    pub(super) fn tempt_fate(&mut self) {
        let Some(who) = self.losses.who.filter(|_| self.is_stormy() && self.losses.count < MOST) else { return };
        if self.losses.chance.permille(80) && self.may_back_up(who) {
            self.losses.backup = Some(self.back_up(who));
            self.note(who, format_args!("is backed up"));
        }
        if self.losses.chance.permille(25) && self.losses.backup.is_some() && self.devices[who].run.is_some() {
            self.lose(who);
        }
    }

    /// Whether a device has met everybody: whom it met later would have to be met again.
    fn may_back_up(&self, who: usize) -> bool {
        let open = self.goals.iter().filter(|goal| !goal.done);
        let mut meets = open.filter(|goal| match goal.wish {
            Wish::Meet { maker, adder, .. } => [maker, adder].contains(&who),
            Wish::Found { .. } => true,
            Wish::Use { who: by, .. } => by == who,
            _ => false,
        });
        if meets.next().is_some() {
            return false;
        }
        let contacts: Vec<ContactRow> = rows::all(&self.devices[who].store, b"").unwrap_or_default();
        let joined = self.group.is_none_or(|group| {
            self.group_row(who, group).is_some_and(|row| row.state == GroupState::Joined) || self.left.contains(&who)
        });
        let by_mail = self.mailboxes.strangers.filter(|(a, b)| [*a, *b].contains(&who));
        joined && by_mail.is_none_or(|_| self.has_parted()) && !contacts.iter().any(|row| row.blocked)
    }

    fn back_up(&self, who: usize) -> Vec<Kept> {
        let device = &self.devices[who];
        let (mut items, mut next) = (Vec::new(), Some(Cursor::START));
        while let Some(from) = next.take() {
            let Ok(Page { items: more, next: then, .. }) = page(&device.store, from, device.clock(self.now)) else {
                break;
            };
            items.extend(more.iter().filter_map(|item| decode(&encode(item), "item").ok()));
            next = then;
        }
        items
    }

    /// A device is gone with its home; another takes its place.
    fn lose(&mut self, who: usize) {
        let Some(items) = self.losses.backup.take() else { return };
        self.crash(who);
        self.losses.count += 1;
        if self.left.contains(&who) {
            self.losses.silent.insert(who);
        }
        let old = &self.devices[who];
        let (seed, clock, life) = (self.seed, old.clock(self.now), old.life);
        let mut rng = generator(seed, 150 + life as u8);
        let restored = match restored(&AccountKey::from_words(&old.words), items, clock, &mut rng) {
            Ok(restored) => restored,
            Err(error) => return self.fail(format!("a backup cannot be restored: {error}")),
        };
        let had = std::mem::replace(&mut self.devices[who].store, restored);
        self.note_what_went(who, &had);
        let Some(own): Option<OwnRow> = rows::read(&self.devices[who].store, &OwnRow::key()).ok().flatten() else {
            return self.fail("a restored device has no account".into());
        };
        let device = &mut self.devices[who];
        self.by_transport.remove(&device.transport);
        device.formers.push(device.device);
        (device.device, device.transport, device.rng) = (own.device, own.transport, rng);
        self.by_transport.insert(own.transport, who);
        // Nobody dials a key that nobody has.
        for other in &mut self.devices {
            if let Some(run) = &mut other.run {
                run.reach.remove(&who);
                run.dialling.remove(&who);
            }
        }
        self.note(who, format_args!("is lost, and restored as another device"));
    }

    /// Whether a message is nobody's duty any more for this one.
    pub(super) fn went_with_a_device(&self, id: EventId, to: usize) -> bool {
        let written = self.ledger.written.get(&id);
        let is_of_group = written.is_some_and(|written| self.group_chat(written.chat));
        let by_gone = written.is_some_and(|written| self.left.contains(&written.from));
        let by_silent = written.is_some_and(|written| self.losses.silent.contains(&written.from));
        // Who left a group before it heard of the new device gives it no keys; and 1-on-1 nobody gives again what was had.
        let went = if is_of_group { by_gone } else { self.losses.held.contains(&id) };
        self.losses.unkept.contains(&id) || (is_of_group && by_silent) || (self.losses.has_lost(to) && went)
    }
}

fn restored(
    account: &AccountKey,
    items: Vec<Kept>,
    now: super::Millis,
    rng: &mut rand_chacha::ChaCha20Rng,
) -> Result<MemoryStore, RestoreError> {
    let mut store = MemoryStore::new();
    let write = |store: &mut MemoryStore, writes| {
        // A store in memory refuses rows that are too long alone, and these were in one.
        let _ = store.stage(writes).and_then(|()| store.commit());
    };
    let mut items = items.into_iter();
    let first = items.next().ok_or(RestoreError::NoBeginning)?;
    let (mut restoring, rows) = Restoring::begin(account, first, now, rng)?;
    write(&mut store, rows);
    let rest: Vec<Kept> = items.collect();
    for some in rest.chunks(7) {
        let writes = restoring.take(some.to_vec(), rng, &store)?;
        write(&mut store, writes);
    }
    while let Some(writes) = restoring.come_back(rng, &store)? {
        write(&mut store, writes);
    }
    Ok(store)
}

impl Device {
    /// Every device of this account that there was, the present one first.
    pub(super) fn ever(&self) -> impl Iterator<Item = crate::protocol::ids::DeviceId> {
        std::iter::once(self.device).chain(self.formers.iter().copied())
    }
}

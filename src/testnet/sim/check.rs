//! What must hold of the histories in the end: once each, in one order, and nobody reads what was not for them.

use super::world::World;
use crate::protocol::{
    engine::{
        feed::FeedEntry,
        rows::{self, AuthorRow, EventRow, RawRow, TimelineRow},
    },
    ids::{ChatId, DeviceId, EventId, OpId},
    view::{Direction, Table, View},
};
use std::collections::{BTreeMap, BTreeSet};

impl World {
    /// Looks at every history.
    pub(super) fn judge(&mut self) -> Result<(), String> {
        for who in 0..self.devices.len() {
            self.judge_feed(who)?;
            self.judge_places(who)?;
        }
        self.judge_orders()?;
        self.judge_scope()
    }

    /// Everybody honest shows the same in the same order.
    pub(super) fn judge_orders(&self) -> Result<(), String> {
        let honest: Vec<usize> = (0..self.devices.len()).filter(|who| !self.lies(*who)).collect();
        for (at, a) in honest.iter().enumerate() {
            for b in honest.iter().skip(at + 1) {
                self.judge_direct(*a, *b)?;
                self.judge_group(*a, *b)?;
            }
        }
        Ok(())
    }

    /// A chat's history on a device: each message once.
    fn history(&self, who: usize, chat: ChatId) -> Result<Vec<EventId>, String> {
        let device = &self.devices[who];
        let found = device.store.scan(Table::Timeline, chat.as_ref(), None, Direction::Forward, usize::MAX);
        let mut ids = Vec::new();
        for (place, bytes) in found.map_err(|error| error.to_string())? {
            let TimelineRow(id) = rows::parse(&bytes).map_err(|error| error.to_string())?;
            if ids.contains(&id) {
                return Err(format!("{} shows {id:?} twice", device.name));
            }
            if self.event(who, id).is_none_or(|event| event.place != place) {
                return Err(format!("{} shows {id:?} at another place than its own", device.name));
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// Every message of every chat is in the feed once.
    fn judge_feed(&self, who: usize) -> Result<(), String> {
        let device = &self.devices[who];
        let entries = rows::all::<FeedEntry>(&device.store, b"").map_err(|error| error.to_string())?;
        let mut told: BTreeMap<ChatId, BTreeSet<EventId>> = BTreeMap::new();
        for entry in entries {
            if let FeedEntry::Message { chat, id } = entry
                && !told.entry(chat).or_default().insert(id)
            {
                return Err(format!("{} is told of {id:?} twice", device.name));
            }
        }
        let mut chats: BTreeSet<ChatId> = self.ledger.written.values().map(|written| written.chat).collect();
        chats.extend(told.keys());
        for chat in chats {
            let shown: BTreeSet<EventId> = self.history(who, chat)?.into_iter().collect();
            let told = told.remove(&chat).unwrap_or_default();
            // Of what was in its backup a restored device does not tell.
            let is_part = self.losses.has_lost(who) && told.is_subset(&shown);
            if told != shown && !is_part {
                return Err(format!("the feed of {} is not what its chat shows", device.name));
            }
        }
        Ok(())
    }

    /// No place of a chain holds two events, as all devices together know them.
    fn judge_places(&mut self, who: usize) -> Result<(), String> {
        let raw = self.devices[who].store.scan(Table::Held, b"raw", None, Direction::Forward, usize::MAX);
        for (_, bytes) in raw.map_err(|error| error.to_string())? {
            let RawRow(bytes) = rows::parse(&bytes).map_err(|error| error.to_string())?;
            if crate::protocol::event::DirectEvent::parse(&bytes).is_err() {
                self.watch_group_event(&bytes)?;
            }
        }
        Ok(())
    }

    fn judge_direct(&self, a: usize, b: usize) -> Result<(), String> {
        let chat = ChatId::direct(self.devices[a].account, self.devices[b].account);
        let (here, there) = (self.history(a, chat)?, self.history(b, chat)?);
        let (here, there) = match self.losses.has_lost(a) || self.losses.has_lost(b) {
            true => (self.without_what_went(&here, &there), self.without_what_went(&there, &here)),
            false => (here, there),
        };
        if here == there {
            return Ok(());
        }
        Err(format!(
            "{} and {} show their chat differently: {here:?}, {there:?}",
            self.devices[a].name, self.devices[b].name
        ))
    }

    /// A history less what one of the two has not since it went with a lost device; in no order where clocks decide on it,
    /// since what is lacking moves what follows it.
    fn without_what_went(&self, here: &[EventId], there: &[EventId]) -> Vec<EventId> {
        let went = |id: &EventId| self.losses.unkept.contains(id) || self.losses.held.contains(id);
        let mut kept: Vec<EventId> = here.iter().copied().filter(|id| there.contains(id) || !went(id)).collect();
        if self.weather.has_wide_skews() {
            kept.sort();
        }
        kept
    }

    /// What two members both have, they show in one order. Who joined late lacks what the order of others rests on where
    /// clocks are far apart; such a one is compared only where nothing was said before it came.
    fn judge_group(&self, a: usize, b: usize) -> Result<(), String> {
        let Some(group) = self.group else { return Ok(()) };
        if self.weather.has_wide_skews() && self.saw_other_beginnings(a, b, group) {
            return Ok(());
        }
        let chat = ChatId::from(group);
        let (here, there) = (self.history(a, chat)?, self.history(b, chat)?);
        let common = |of: &[EventId], other: &[EventId]| -> Vec<EventId> {
            of.iter().copied().filter(|id| other.contains(id)).collect()
        };
        let (left, right) = (common(&here, &there), common(&there, &here));
        if left == right {
            return Ok(());
        }
        let (a, b) = (self.devices[a].name, self.devices[b].name);
        Err(format!("{a} and {b} show the group differently: {left:?}, {right:?}"))
    }

    /// Whether one of two members has events of the group that were not for the other.
    fn saw_other_beginnings(&self, a: usize, b: usize, group: OpId) -> bool {
        let numbers = |who: usize| -> BTreeSet<(DeviceId, u64)> {
            let mut held = BTreeSet::new();
            for author in self.devices.iter().flat_map(|device| device.ever()) {
                let scope = AuthorRow::scope(ChatId::from(group), author);
                let found = self.devices[who].store.scan(Table::Author, &scope, None, Direction::Forward, usize::MAX);
                for (no, _) in found.unwrap_or_default() {
                    held.extend(no.try_into().map(|no| (author, u64::from_be_bytes(no))));
                }
            }
            held
        };
        numbers(a) != numbers(b)
    }

    /// Nobody holds a group message that its author did not mean for them.
    fn judge_scope(&self) -> Result<(), String> {
        for (id, written) in &self.ledger.written {
            for device in &self.devices {
                let event: Option<EventRow> = self.event(device.index, *id);
                let meant = match self.truth.as_ref().filter(|_| self.group_chat(written.chat)) {
                    Some(truth) => self.may_read(truth, device.index, *id, written),
                    None => written.to.contains(&device.index),
                };
                let meant = meant || device.index == written.from;
                if event.is_some() && !meant {
                    return Err(format!("{} reads {id:?}, which was not for it", device.name));
                }
            }
        }
        Ok(())
    }
}

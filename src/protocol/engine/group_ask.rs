//! What is asked for by mail, of one who is never met: keys of events, and ops that others rest on.
//!
//! Who is connected is asked at once ([`group_sync`](super::group_sync)). But an event or an op may come by mail alone, and
//! its key, or what it rests on, may have been told under a secret that this device lost, or in a log whose time is over.

use super::{
    record::Record,
    rows::{DeviceRow, GroupRow, GroupState, Waits},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    ids::{DeviceId, OpId},
    time::minutes,
    wire::limits::{MAX_BYTES_PER_ANSWER, MAX_HEADS_TOLD},
};
use std::{collections::BTreeSet, time::Duration};

/// How long what is missing is waited for before it is asked for by mail: members who meet have mostly given it by then.
const ASKED_AFTER: Duration = minutes(5);
/// The wait doubles up to this one while nothing comes.
const LONGEST_WAIT: Duration = minutes(12 * 60);

/// Records of ops that may wait for a device which asks for more: who confirms nothing must not fill this disk.
const MOST_WAITING: usize = 16;

impl Turn<'_> {
    /// Asks authors who are away for keys, once nobody else gave them for a while.
    pub(super) fn ask_by_mail_for_keys(&mut self, group: OpId) -> Step {
        let now = self.now;
        let lacks_key = |waits: &Waits| matches!(waits, Waits::Chain(..));
        for author in self.authors_of_held(group, ASKED_AFTER, lacks_key)? {
            let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(author))? else { continue };
            let wait = match self.mem.keys_asked.get(&(group, author)) {
                Some((next, _)) if *next > now => continue,
                Some((_, wait)) => longer(*wait),
                None => ASKED_AFTER,
            };
            let may_answer = self.is_member_device(group, author)? || self.has_left_lately(group, author)?;
            if self.mem.peers.contains_key(&row.transport) || !may_answer {
                continue;
            }
            self.mem.keys_asked.insert((group, author), (now.plus(wait), wait));
            let lacking = self.lacking_keys(group, |device| *device == author)?;
            self.say_by_any_way(group, &row, &Record::KeysWanted(group, lacking))?;
        }
        Ok(())
    }

    /// Asks the members who told ops that lack their past, or events that name ops which are not here, and who are away.
    pub(super) fn ask_by_mail_for_ops(&mut self, group: OpId) -> Step {
        let mut tellers = self.authors_of_held(group, Duration::ZERO, |waits| matches!(waits, Waits::Heads))?;
        tellers.extend(self.mem.ops_aside.get(&group).into_iter().flatten().map(|(from, _)| *from));
        let mut members = BTreeSet::new();
        for teller in tellers {
            if self.is_member_device(group, teller)? {
                members.insert(teller);
            }
        }
        self.ask_away_for_ops(group, members)
    }

    /// Asks these, as far as they are away, for what is behind the ops that are known, once nobody else gave it for a while.
    pub(super) fn ask_away_for_ops(&mut self, group: OpId, tellers: BTreeSet<DeviceId>) -> Step {
        self.mem.ops_asked.retain(|(of, teller), _| *of != group || tellers.contains(teller));
        for teller in tellers {
            let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(teller))? else { continue };
            if self.mem.peers.contains_key(&row.transport) {
                continue;
            }
            let first = (self.now.plus(ASKED_AFTER), ASKED_AFTER);
            let (due, wait) = *self.mem.ops_asked.entry((group, teller)).or_insert(first);
            if due > self.now {
                continue;
            }
            let next = longer(wait);
            self.mem.ops_asked.insert((group, teller), (self.now.plus(next), next));
            let heads = if self.has_graph(group)? { self.group(group)?.graph.heads_to_tell() } else { Vec::new() };
            self.say_by_any_way(group, &row, &Record::OpsWanted(group, heads))?;
        }
        Ok(())
    }

    /// A member that is never met lacks the past of ops that came to it by mail: it is given what is behind its heads.
    pub(super) fn ops_wanted(&mut self, heard: &Heard, group: OpId, heads: &[OpId]) -> Step {
        let device = &heard.device;
        let state = self.read::<GroupRow>(&GroupRow::key(group))?.map(|row| row.state);
        if state != Some(GroupState::Joined) || !self.is_member_device(group, device.device)? {
            return Ok(());
        }
        let Some(left) = self.begin_answer(group, device.device) else { return Ok(()) };
        // Those that wait may be the very ones that it cannot take without what it asks for.
        let parcels = self.group_parcels(group, device.device)?;
        if parcels.iter().filter(|(.., owed)| matches!(owed, Record::Ops(..))).count() >= MOST_WAITING {
            self.end_answer(group, device.device, left);
            return Ok(());
        }
        let memory = self.group(group)?;
        let heads = &heads[..heads.len().min(MAX_HEADS_TOLD)];
        let (records, size) = memory.ops_behind(group, heads, MAX_BYTES_PER_ANSWER.min(left));
        for record in records {
            self.post(device.device, &record)?;
        }
        self.end_answer(group, device.device, left - size);
        Ok(())
    }

    /// Says a record of a group to a device that is there, or leaves it at its mailboxes if it has any. One such at a time:
    /// who confirms nothing must not fill this disk with what it asks for.
    pub(super) fn say_by_any_way(&mut self, group: OpId, device: &DeviceRow, record: &Record) -> Step {
        if self.mem.peers.contains_key(&device.transport) {
            return self.whisper(device.device, record);
        }
        let is_such = |other: &Record| std::mem::discriminant(other) == std::mem::discriminant(record);
        let waits = self.group_parcels(group, device.device)?.iter().any(|(.., other)| is_such(other));
        if waits || device.boxes().is_empty() { Ok(()) } else { self.post(device.device, record) }
    }
}

fn longer(wait: Duration) -> Duration {
    (wait * 2).min(LONGEST_WAIT)
}

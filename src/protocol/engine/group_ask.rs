//! Ops whose past is missing, of one who is never met: what is missing is asked for by mail.
//!
//! Who is connected is asked at once ([`group_sync`](super::group_sync)). But an op may come by mail alone, and what it rests
//! on may have been told under a secret that this device lost, or in a log whose time is over.

use super::{
    record::Record,
    rows::{DeviceRow, GroupRow, GroupState},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    ids::{DeviceId, OpId},
    time::minutes,
    wire::limits::{MAX_BYTES_PER_ANSWER, MAX_HEADS_TOLD},
};
use std::{collections::BTreeSet, time::Duration};

/// How long what is missing is waited for before it is asked for by mail.
const ASKED_AFTER: Duration = minutes(5);
/// The wait doubles up to this one while nothing comes.
const LONGEST_WAIT: Duration = minutes(12 * 60);

impl Turn<'_> {
    /// Asks the members who told ops that lack their past, and who are away.
    pub(super) fn ask_by_mail_for_ops(&mut self, group: OpId) -> Step {
        let Some(aside) = self.mem.ops_aside.get(&group) else {
            self.mem.ops_asked.retain(|(of, _), _| *of != group);
            return Ok(());
        };
        let tellers: BTreeSet<DeviceId> = aside.iter().map(|(from, _)| *from).collect();
        for teller in tellers {
            let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(teller))? else { continue };
            if self.mem.peers.contains_key(&row.transport) || !self.is_member_device(group, teller)? {
                continue;
            }
            let first = (self.now.plus(ASKED_AFTER), ASKED_AFTER);
            let (due, wait) = *self.mem.ops_asked.entry((group, teller)).or_insert(first);
            if due > self.now {
                continue;
            }
            let next = (wait * 2).min(LONGEST_WAIT);
            self.mem.ops_asked.insert((group, teller), (self.now.plus(next), next));
            let heads = self.group(group)?.graph.heads_to_tell();
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
        let waits = self.group_parcels(group, device.device)?.iter().any(|(.., owed)| matches!(owed, Record::Ops(..)));
        let Some(left) = self.begin_answer(group, device.device).filter(|_| !waits) else { return Ok(()) };
        let memory = self.group(group)?;
        let heads = &heads[..heads.len().min(MAX_HEADS_TOLD)];
        let (records, size) = memory.ops_behind(group, heads, MAX_BYTES_PER_ANSWER.min(left));
        for record in records {
            self.post(device.device, &record)?;
        }
        self.end_answer(group, device.device, left - size);
        Ok(())
    }
}

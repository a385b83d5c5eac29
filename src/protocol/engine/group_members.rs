//! The members of a group as views read them: a copy of what the ops say, and from which own event on each is meant.

use super::{
    GroupMemory,
    rows::{AuthorRow, MemberRow, RawRow, all},
    turn::{Step, Turn},
};
use crate::protocol::{
    group::{GroupEvent, Member},
    ids::{ChatId, DeviceId, OpId},
};
use std::collections::{BTreeMap, BTreeSet};

impl Turn<'_> {
    /// Copies the members into rows. Rows of former ones stay for the names in the history.
    pub(super) fn copy_members(&mut self, group: OpId, memory: &GroupMemory) -> Step {
        let members = &memory.membership.members;
        let this = self.own()?;
        let own = this.account;
        let rows: BTreeMap<_, _> = all::<MemberRow>(self, group)?.into_iter().map(|row| (row.account, row)).collect();
        for (account, row) in &rows {
            if row.current && !members.contains_key(account) {
                let former = MemberRow { current: false, devices: Vec::new(), heads: Vec::new(), ..row.clone() };
                self.put(MemberRow::key(group, *account), &former);
            }
        }
        // What was said before the own joining was not meant for this account, names among it.
        let came_anew = rows.get(&own).and_then(|row| row.joined) != members.get(&own).map(|own| own.joined);
        for (account, member) in members {
            let held = rows.get(account);
            let same = held.filter(|row| row.current && row.joined == Some(member.joined));
            // Another that let it in may have come since.
            let (from_no, from_before) = match same.filter(|_| member.admissions.len() == 1) {
                Some(row) => (row.from_no, row.from_before.clone()),
                None => {
                    let first = |author| self.first_meant_for(group, memory, member, author);
                    let of_former = this.former.iter().map(|author| Ok((*author, first(*author)?)));
                    (first(this.device)?, of_former.collect::<Step<Vec<_>>>()?)
                }
            };
            let row = MemberRow {
                account: *account,
                role: member.role,
                name: held.and_then(|row| row.name.clone()),
                current: true,
                devices: member.devices.iter().copied().collect(),
                named_by: held.map_or(0, |row| row.named_by),
                from_no,
                joined: Some(member.joined),
                name_sure: !came_anew
                    && held.is_some_and(|row| row.name_sure && is_named_by_one_of(row, &member.devices)),
                named_on: held.and_then(|row| row.named_on),
                from_before,
                heads: held.map(|row| heads_of(row, &member.devices)).unwrap_or_default(),
            };
            if held != Some(&row) {
                self.put(MemberRow::key(group, *account), &row);
            }
        }
        Ok(())
    }

    /// The number of the first event of an own device that knows of this joining, or of the next one. Heads only grow along an
    /// author's events, so those that know of it are all behind those that do not.
    fn first_meant_for(&self, group: OpId, memory: &GroupMemory, member: &Member, author: DeviceId) -> Step<u64> {
        let written = self.last_written(ChatId::from(group), author)?;
        let (mut least, mut most) = (1, written.saturating_add(1));
        while least < most {
            let no = least + (most - least) / 2;
            if self.knows_joining(group, memory, member, (author, no))? { most = no } else { least = no + 1 }
        }
        Ok(least)
    }

    fn knows_joining(
        &self,
        group: OpId,
        memory: &GroupMemory,
        member: &Member,
        (author, no): (DeviceId, u64),
    ) -> Step<bool> {
        let Some(AuthorRow(id)) = self.read(&AuthorRow::key(ChatId::from(group), author, no))? else {
            return Ok(false);
        };
        let Some(RawRow(bytes)) = self.read(&RawRow::key(id))? else { return Ok(false) };
        Ok(GroupEvent::parse(&bytes).is_ok_and(|event| memory.graph.knows(member, &event.heads)))
    }
}

/// What those of its devices named that it still has.
fn heads_of(row: &MemberRow, devices: &BTreeSet<DeviceId>) -> Vec<(DeviceId, Vec<OpId>)> {
    row.heads.iter().filter(|(device, _)| devices.contains(device)).cloned().collect()
}

/// Whether who said a member's name is still one of its devices: the one that took its place may say another.
fn is_named_by_one_of(row: &MemberRow, devices: &BTreeSet<DeviceId>) -> bool {
    row.named_on.is_none_or(|device| devices.contains(&device))
}

//! The members of a group as views read them: a copy of what the ops say.

use super::{
    GroupMemory,
    feed::{FeedEntry, Progress},
    rows::{MemberRow, OwnRow, ReceiptRow, all},
    turn::{Step, Turn},
};
use crate::protocol::{
    group::GroupEvent,
    ids::{ChatId, DeviceId, OpId},
    wire::limits::MAX_REPLACED,
};
use std::collections::{BTreeMap, BTreeSet};

impl Turn<'_> {
    /// Copies the members into rows. Rows of former ones stay for the names in the history.
    pub(super) fn copy_members(&mut self, group: OpId, memory: &GroupMemory) -> Step {
        let members = &memory.membership.members;
        let this = self.learn_of_former(memory)?;
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
            let meant = match same.filter(|row| member.admissions.len() == 1 && !row.meant.is_empty()) {
                Some(row) => row.meant.clone(),
                None => self.meant_for(group, memory, member)?,
            };
            let meant_then = match held {
                Some(row) if row.joined == Some(member.joined) => row.meant_then,
                held => held.and_then(|row| row.first_ever_meant(this.device)),
            };
            let row = MemberRow {
                meant,
                meant_then,
                account: *account,
                role: member.role,
                name: held.and_then(|row| row.name.clone()),
                current: true,
                devices: member.devices.iter().copied().collect(),
                named_by: held.map_or(0, |row| row.named_by),
                joined: Some(member.joined),
                name_sure: !came_anew
                    && held.is_some_and(|row| row.name_sure && is_named_by_one_of(row, &member.devices)),
                named_on: held.and_then(|row| row.named_on),
                heads: held.map(|row| heads_of(row, &member.devices)).unwrap_or_default(),
            };
            if held != Some(&row) {
                self.put(MemberRow::key(group, *account), &row);
            }
        }
        Ok(())
    }

    /// A device that was made of a backup learns of one that was made of the same backup before it: what that one said in the
    /// groups is told of as own too.
    fn learn_of_former(&mut self, memory: &GroupMemory) -> Step<OwnRow> {
        let mut own = self.own()?;
        if own.former.is_empty() || own.former.len() >= MAX_REPLACED {
            return Ok(own);
        }
        let by_own = memory.graph.ops().filter(|op| op.account == own.account).map(|op| op.device);
        let by_former: BTreeSet<DeviceId> = by_own.filter(|device| memory.membership.former.contains(device)).collect();
        let unknown: Vec<DeviceId> = by_former.into_iter().filter(|device| own.side_of(*device).is_none()).collect();
        if unknown.is_empty() {
            return Ok(own);
        }
        own.former.splice(0..0, unknown);
        own.former.truncate(MAX_REPLACED);
        self.put(OwnRow::key(), &own);
        Ok(own)
    }

    /// What others confirmed of it was known before it was here.
    pub(super) fn tell_known_receipts(&mut self, event: &GroupEvent) -> Step {
        let (chat, id) = (ChatId::from(event.group), event.id());
        let Some(side) = self.own()?.side_of(event.device) else { return Ok(()) };
        for row in all::<ReceiptRow>(self, ReceiptRow::scope(chat, side))? {
            if !row.numbers()?.contains(event.no) {
                continue;
            }
            self.tell(&FeedEntry::Receipt { chat, by: row.account, state: Progress::Delivered, ids: vec![id] })?;
            if row.seen(row.read)?.contains(event.no) {
                self.tell(&FeedEntry::Receipt { chat, by: row.account, state: Progress::Read, ids: vec![id] })?;
            }
        }
        Ok(())
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

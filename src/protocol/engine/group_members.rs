//! The members of a group as views read them: a copy of what the ops say, and from which own event on each is meant.

use super::{
    GroupMemory,
    feed::{FeedEntry, Progress},
    rows::{AuthorRow, MemberRow, OwnRow, RawRow, ReceiptRow, all},
    turn::{Step, Turn},
};
use crate::protocol::{
    group::{GroupEvent, Member},
    ids::{ChatId, DeviceId, EventId, OpId},
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
            let (from_no, from_before) = match same.filter(|_| member.admissions.len() == 1) {
                Some(row) => (row.from_no, row.from_before.clone()),
                None => {
                    let mut from_before = Vec::new();
                    for author in &this.former {
                        let first = self.first_meant_of_former(group, memory, member, *author)?;
                        from_before.extend(first.map(|no| (*author, no)));
                    }
                    (self.first_meant_for(group, memory, member, this.device)?, from_before)
                }
            };
            let from_no_then = match held {
                Some(row) if row.joined == Some(member.joined) => row.from_no_then,
                held => held.filter(|row| row.joined.is_some()).map(MemberRow::first_ever_meant),
            };
            let row = MemberRow {
                from_no_then,
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

    /// An event of a device that this one replaced came back: from its number on members are meant of whose joining it knows.
    pub(super) fn note_meant(&mut self, event: &GroupEvent) -> Step {
        let group = event.group;
        let memory = self.group(group)?;
        for (account, member) in &memory.membership.members {
            let Some(mut row) = self.read::<MemberRow>(&MemberRow::key(group, *account))? else { continue };
            if event.no >= row.first_meant_of(event.device) || !memory.graph.knows(member, &event.heads) {
                continue;
            }
            row.from_before.retain(|(author, _)| *author != event.device);
            row.from_before.push((event.device, event.no));
            self.put(MemberRow::key(group, *account), &row);
        }
        Ok(())
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

    /// The number of the first event here of a device that was replaced that knows of this joining.
    fn first_meant_of_former(
        &self,
        group: OpId,
        memory: &GroupMemory,
        member: &Member,
        author: DeviceId,
    ) -> Step<Option<u64>> {
        let written = self.written_by(ChatId::from(group), author)?;
        let (mut least, mut most) = (0, written.len());
        while least < most {
            let at = least + (most - least) / 2;
            if self.knows_joining(memory, member, written[at].1)? { most = at } else { least = at + 1 }
        }
        Ok(written.get(least).map(|(no, _)| *no))
    }

    /// The number of the first event of this device that knows of this joining, or of the next one. Heads only grow along an
    /// author's events, so those that know of it are all behind those that do not.
    fn first_meant_for(&self, group: OpId, memory: &GroupMemory, member: &Member, author: DeviceId) -> Step<u64> {
        let chat = ChatId::from(group);
        let written = self.chat(chat)?.map_or(0, |chat| chat.written).max(self.last_written(chat, author)?);
        let (mut least, mut most) = (1, written.saturating_add(1));
        while least < most {
            let middle = least + (most - least) / 2;
            // Numbers were left out where an older store was put back: the nearest below that was not.
            let found = AuthorRow::within(self, (chat, author), (least, middle), 1)?;
            let Some((no, id)) = found.first().copied() else {
                least = middle + 1;
                continue;
            };
            if self.knows_joining(memory, member, id)? { most = no } else { least = middle + 1 }
        }
        Ok(least)
    }

    fn knows_joining(&self, memory: &GroupMemory, member: &Member, id: EventId) -> Step<bool> {
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

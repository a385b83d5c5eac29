//! Which members an own message of a group is meant for: those whose joining it knows.
//!
//! The heads that a device names only grow along its events, so of one run of its numbers those that know of a joining are
//! all behind those that do not. An older store that is put back knows of less, and begins another run: it skips at least
//! [`LEAST_SKIP`] numbers.

use super::{
    GroupMemory,
    anew::LEAST_SKIP,
    rows::{AuthorRow, Meant, MemberRow, RawRow, Row},
    turn::{Step, Turn},
};
use crate::protocol::{
    group::{GroupEvent, Member},
    ids::{ChatId, DeviceId, EventId, OpId},
    view::{Direction, View},
    wire::limits::MAX_NO,
};

impl Turn<'_> {
    /// What is here of own devices that is meant for a member, and all that this device will write.
    pub(super) fn meant_for(&self, group: OpId, memory: &GroupMemory, member: &Member) -> Step<Meant> {
        let (chat, own) = (ChatId::from(group), self.own()?);
        let mut meant = Meant::default();
        for author in own.authors() {
            for (first, last) in self.runs(chat, author)? {
                let from =
                    self.first_meant((chat, author), (first, last), |id| self.knows_joining(memory, member, id))?;
                if from <= last {
                    meant.add(author, (from, last));
                }
            }
        }
        let next = self.chat(chat)?.map_or(0, |chat| chat.written).max(self.last_written(chat, own.device)?) + 1;
        meant.add(own.device, (next, MAX_NO));
        Ok(meant)
    }

    /// An event of this device, or of one that it replaced, came back: it is meant for those whose joining it knows.
    pub(super) fn note_meant(&mut self, event: &GroupEvent) -> Step {
        let (group, device, no) = (event.group, event.device, event.no);
        let memory = self.group(group)?;
        for (account, member) in &memory.membership.members {
            let Some(mut row) = self.read::<MemberRow>(&MemberRow::key(group, *account))? else { continue };
            let is_meant = memory.graph.knows(member, &event.heads);
            if is_meant == row.meant.has(device, no) {
                continue;
            }
            if is_meant {
                row.meant.add(device, (no, no))
            } else {
                row.meant.remove(device, no)
            }
            self.put(MemberRow::key(group, *account), &row);
        }
        Ok(())
    }

    /// The numbers of a device that are here, by the runs that they were written in: the first and the last of each.
    fn runs(&self, chat: ChatId, author: DeviceId) -> Step<Vec<(u64, u64)>> {
        let (mut runs, mut first) = (Vec::new(), self.next_written(chat, author, 1)?);
        while let Some(no) = first {
            let mut last = no;
            while let Some((no, _)) = AuthorRow::within(self, (chat, author), (last + 1, last + LEAST_SKIP), 1)?.first()
            {
                last = *no;
            }
            runs.push((no, last));
            first = self.next_written(chat, author, last + 1)?;
        }
        Ok(runs)
    }

    /// The least number of a device's events here from `no` on.
    fn next_written(&self, chat: ChatId, author: DeviceId, no: u64) -> Step<Option<u64>> {
        let scope = AuthorRow::scope(chat, author);
        let rows = self.scan(AuthorRow::TABLE, &scope, Some(&no.to_be_bytes()), Direction::Forward, 1)?;
        rows.first().map(|(place, _)| AuthorRow::number(place)).transpose()
    }

    /// The first number in a run that is meant, or the one after its last.
    fn first_meant(
        &self,
        of: (ChatId, DeviceId),
        (first, last): (u64, u64),
        is_meant: impl Fn(EventId) -> Step<bool>,
    ) -> Step<u64> {
        let (mut least, mut most) = (first, last + 1);
        while least < most {
            let middle = least + (most - least) / 2;
            // What was written under some went with an older store, and may not have come back.
            let found = AuthorRow::within(self, of, (least, middle), 1)?;
            let Some((no, id)) = found.first().copied() else {
                least = middle + 1;
                continue;
            };
            if is_meant(id)? { most = no } else { least = middle + 1 }
        }
        Ok(least)
    }

    fn knows_joining(&self, memory: &GroupMemory, member: &Member, id: EventId) -> Step<bool> {
        let Some(RawRow(bytes)) = self.read(&RawRow::key(id))? else { return Ok(false) };
        Ok(GroupEvent::parse(&bytes).is_ok_and(|event| memory.graph.knows(member, &event.heads)))
    }
}

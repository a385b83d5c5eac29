//! What a member of a group is given that lacks it: ops, events in its scope, and their keys.

use super::{
    GroupMemory,
    record::{ChatReceipt, Have, Record},
    rows::{AuthorRow, EventRow, GroupRow, GroupState, RawRow, ReceiptRow, Side, all},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    delivery::Numbers,
    group::GroupEvent,
    ids::{ChatId, DeviceId, EventId, OpId},
    time::Millis,
    wire::{
        decode,
        limits::{MAX_ANSWERS_PER_SECOND, MAX_BYTES_PER_ANSWER, MAX_BYTES_PER_SECOND, MAX_KEYS_PER_RECORD},
    },
};
use minicbor::bytes::ByteVec;
use std::time::Duration;

/// Events given in answer to one question; who wants more asks again.
const EVENTS_PER_ANSWER: usize = 256;
/// Of those, events of one author.
const EVENTS_PER_AUTHOR: usize = 128;
/// The time in which answers are counted together.
const ANSWERS_COUNTED: Duration = Duration::from_secs(1);
/// Bytes of events in one record.
const EVENTS_PER_RECORD: usize = 48 * 1024;

/// What one device was given of one group lately.
#[derive(Debug)]
pub(super) struct Given {
    since: Millis,
    answers: u32,
    bytes: usize,
}

impl Turn<'_> {
    /// "This is what I have": give what it lacks, and say in turn what is here.
    pub(super) fn have_came(&mut self, heard: &Heard, have: Have) -> Step {
        let device = heard.device.device;
        let group = have.group;
        let state = self.read::<GroupRow>(&GroupRow::key(group))?.map(|row| row.state);
        if state == Some(GroupState::Joining) && !have.answer {
            // It seems to count us in: its ops, which prove themselves, will say.
            self.ask_missing(group, Some(device));
        }
        if !matches!(state, Some(GroupState::Joined | GroupState::Left)) || !self.is_member_device(group, device)? {
            return Ok(());
        }
        if state == Some(GroupState::Left) {
            return self.give_last_ops(&have, device);
        }
        // What it says it has of ours is a receipt: one that was lost comes again with the next comparison.
        let own = self.own()?.device;
        if let Some((_, held)) = have.events.iter().find(|(author, _)| *author == own) {
            let receipt = ChatReceipt { chat: ChatId::from(group), author: own, held: held.to_vec(), read: None };
            self.chat_receipt(&heard.device, &receipt)?;
        }
        let Some(mut left) = self.begin_answer(group, device) else { return Ok(()) };
        let memory = self.group(group)?;
        left -= self.give_ops(&memory, &have, device, left)?;
        if let Some(held) = self.secret_in_force(&memory)
            && !have.secrets.iter().any(|op| op.as_slice() == held.op.0)
        {
            self.hand_secret_again(group, device, held.op)?;
        }
        left -= self.give_events(&memory, heard, &have, MAX_BYTES_PER_ANSWER.min(left))?;
        self.end_answer(group, device, left);
        if have.answer { Ok(()) } else { self.tell_have(group, device, true) }
    }

    /// One who left answers with ops alone: perhaps nobody else has its last ones, and without them those whom it added are
    /// strangers to the others.
    fn give_last_ops(&mut self, have: &Have, device: DeviceId) -> Step {
        let Some(left) = self.begin_answer(have.group, device) else { return Ok(()) };
        let memory = self.group(have.group)?;
        let given = self.give_ops(&memory, have, device, left)?;
        self.end_answer(have.group, device, left - given);
        Ok(())
    }

    /// Gives the ops that a member lacks, up to so many bytes. How many it gave.
    fn give_ops(&mut self, memory: &GroupMemory, have: &Have, device: DeviceId, most: usize) -> Step<usize> {
        // Of a Have in parts only the first names the heads.
        if have.partial && have.heads.is_empty() {
            return Ok(0);
        }
        let lacking = memory.graph.beyond(&have.heads);
        let given = within(lacking, MAX_BYTES_PER_ANSWER.min(most), |op| op.to_bytes().len());
        let size = given.iter().map(|op| op.to_bytes().len()).sum();
        for record in super::group_ops::ops_records(have.group, given.into_iter()) {
            self.whisper(device, &record)?;
        }
        Ok(size)
    }

    /// How many bytes this device may still be given in this second; `None` where it has asked too often.
    fn begin_answer(&mut self, group: OpId, device: DeviceId) -> Option<usize> {
        let now = self.now;
        self.mem.given.retain(|_, given| now.since(given.since) < ANSWERS_COUNTED);
        let given = self.mem.given.entry((group, device)).or_insert(Given { since: now, answers: 0, bytes: 0 });
        if given.answers >= MAX_ANSWERS_PER_SECOND {
            return None;
        }
        given.answers += 1;
        Some(MAX_BYTES_PER_SECOND.saturating_sub(given.bytes))
    }

    fn end_answer(&mut self, group: OpId, device: DeviceId, left: usize) {
        if let Some(given) = self.mem.given.get_mut(&(group, device)) {
            given.bytes = MAX_BYTES_PER_SECOND.saturating_sub(left);
        }
    }

    /// Gives the events that are in a member's scope and that it lacks, the newest of each author first, up to so many
    /// bytes. How many it gave.
    fn give_events(&mut self, memory: &GroupMemory, heard: &Heard, have: &Have, most: usize) -> Step<usize> {
        let (group, to) = (have.group, heard.device.device);
        let Some(joined) = memory.membership.members.get(&heard.device.account).map(|member| member.joined) else {
            return Ok(0);
        };
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut size = 0;
        for (author, numbers) in self.events_here(ChatId::from(group))?.into_iter().filter(|(author, _)| *author != to)
        {
            let told = have.events.iter().find(|(device, _)| *device == author);
            if told.is_none() && have.partial {
                continue;
            }
            let theirs = told.and_then(|(_, bytes)| decode::<Numbers>(bytes, "numbers").ok());
            let theirs = theirs.unwrap_or_else(|| Numbers::from_base(1));
            let full = found.len() + EVENTS_PER_AUTHOR;
            for no in numbers.descending().filter(|no| !theirs.contains(*no)) {
                if found.len() >= full.min(EVENTS_PER_ANSWER) {
                    break;
                }
                let Some(AuthorRow(id)) = self.read(&AuthorRow::key(ChatId::from(group), author, no))? else {
                    continue;
                };
                let Some(RawRow(bytes)) = self.read(&RawRow::key(id))? else { continue };
                let Ok(event) = GroupEvent::parse(&bytes) else { continue };
                // Heads only grow along an author's events: before the first that knows the newcomer, none does.
                if !memory.graph.within(&joined, &event.heads) || size + bytes.len() > most {
                    break;
                }
                size += bytes.len();
                let place = self.event(id)?.map(|row| row.place).unwrap_or_default();
                found.push((place, bytes));
            }
        }
        found.sort();
        for page in pages(found.into_iter().map(|(_, bytes)| bytes)) {
            self.whisper(to, &Record::Events(group, page))?;
        }
        Ok(size)
    }

    /// The numbers of each author's events that are here. Who comes first is drawn anew, so that one author's many
    /// events do not for ever take the room of another's.
    fn events_here(&mut self, chat: ChatId) -> Step<Vec<(DeviceId, Numbers)>> {
        let mut here = vec![(self.own()?.device, self.written_here(chat)?)];
        for row in all::<ReceiptRow>(self, ReceiptRow::scope(chat, Side::Ours))? {
            here.push((row.device, row.numbers()?));
        }
        let first = self.rng.next_u64() % here.len() as u64;
        here.rotate_left(first as usize);
        Ok(here)
    }

    /// What this device said in a group for a member's device that has not confirmed it.
    pub(super) fn unconfirmed_events(&mut self, group: OpId, device: DeviceId) -> Step<Vec<Record>> {
        let memory = self.group(group)?;
        let Some(member) = memory.membership.members.values().find(|member| member.devices.contains(&device)) else {
            return Ok(Vec::new());
        };
        let chat = ChatId::from(group);
        let own = self.own()?.device;
        let mut events = Vec::new();
        for no in self.written_here(chat)?.descending() {
            if self.was_delivered(chat, device, no)? {
                continue;
            }
            let Some(AuthorRow(id)) = self.read(&AuthorRow::key(chat, own, no))? else { continue };
            let Some(RawRow(bytes)) = self.read(&RawRow::key(id))? else { continue };
            if GroupEvent::parse(&bytes).is_ok_and(|event| memory.graph.within(&member.joined, &event.heads)) {
                events.push(bytes);
            }
        }
        events.reverse();
        Ok(pages(events.into_iter()).into_iter().map(|page| Record::Events(group, page)).collect())
    }

    /// A member holds events whose keys it lacks: keys of what is in its scope are given.
    pub(super) fn keys_wanted(&mut self, heard: &Heard, group: OpId, ids: &[EventId]) -> Step {
        if !self.is_member_device(group, heard.device.device)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        let Some(joined) = memory.membership.members.get(&heard.device.account).map(|member| member.joined) else {
            return Ok(());
        };
        let mut keys = Vec::new();
        for id in ids.iter().take(MAX_KEYS_PER_RECORD) {
            let Some(EventRow { key: Some(key), chat, .. }) = self.event(*id)? else { continue };
            let Some(RawRow(bytes)) = self.read(&RawRow::key(*id))? else { continue };
            let in_scope = GroupEvent::parse(&bytes).is_ok_and(|event| memory.graph.within(&joined, &event.heads));
            if chat == ChatId::from(group) && in_scope {
                keys.push((*id, key));
            }
        }
        if keys.is_empty() { Ok(()) } else { self.whisper(heard.device.device, &Record::Keys(group, keys)) }
    }
}

/// The first of these that together are no larger than `most`.
fn within<T>(all: Vec<T>, most: usize, size: impl Fn(&T) -> usize) -> Vec<T> {
    let mut left = Some(most);
    let fits = |item: &T| {
        left = left.and_then(|left| left.checked_sub(size(item)));
        left.is_some()
    };
    all.into_iter().take_while(fits).collect()
}

/// Events in pages that each fit a record.
fn pages(events: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<ByteVec>> {
    let (mut pages, mut page, mut size) = (Vec::new(), Vec::new(), 0);
    for bytes in events {
        if size + bytes.len() > EVENTS_PER_RECORD && !page.is_empty() {
            pages.push(std::mem::take(&mut page));
            size = 0;
        }
        size += bytes.len();
        page.push(ByteVec::from(bytes));
    }
    if !page.is_empty() {
        pages.push(page);
    }
    pages
}

//! What a member of a group is given that says what it has: ops, the gossip secret, and keys of events. Events themselves
//! are compared ([`talks`](super::talks)).

use super::{
    GroupMemory,
    group_ops::ops_records,
    record::{ChatReceipt, Have, Record},
    rows::{DeviceRow, EventRow, GroupRow, GroupState, RawRow},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::sign::Verified,
    group::{Action, GroupEvent, SignedOp},
    ids::{AccountId, ChatId, DeviceId, EventId, OpId},
    time::Millis,
    wire::limits::{MAX_ANSWERS_PER_SECOND, MAX_BYTES_PER_ANSWER, MAX_BYTES_PER_SECOND, MAX_KEYS_PER_RECORD},
};
use std::{collections::BTreeSet, time::Duration};

/// The time in which answers are counted together.
const ANSWERS_COUNTED: Duration = Duration::from_secs(1);

/// What one device was given of one group lately.
#[derive(Debug)]
pub(super) struct Answers {
    since: Millis,
    answers: u32,
    bytes: usize,
}

impl GroupMemory {
    /// The ops that who has these heads lacks, no more of them than so many bytes, and how many those are.
    pub(super) fn ops_behind(&self, group: OpId, heads: &[OpId], most: usize) -> (Vec<Record>, usize) {
        let given = within(self.graph.beyond(heads), most, |op| op.to_bytes().len());
        let size = given.iter().map(|op| op.to_bytes().len()).sum();
        (ops_records(group, given.into_iter()), size)
    }

    /// What ended an account's membership: each Remove of it, its Leaves; and of what would have let it in again and is void,
    /// that by which it is, and where this is void too, that by which this is.
    fn ends_of(&self, account: AccountId) -> Vec<OpId> {
        let is_end = |op: &&Verified<SignedOp>| match op.action {
            Action::Remove(of) => of == account,
            Action::Leave(_) => op.account == account,
            _ => false,
        };
        let lets_in = |op: &&Verified<SignedOp>| match &op.action {
            Action::Add(join) => join.account == account,
            Action::HandOver(to) => *to == account,
            _ => false,
        };
        let void_by = |op: OpId| self.membership.void.get(&op).map(|void| void.by);
        let ends = self.graph.ops().filter(is_end).map(|op| op.id());
        let mut ends: Vec<OpId> = ends.filter(|end| void_by(*end).is_none()).collect();
        let mut next: Vec<OpId> = self.graph.ops().filter(lets_in).map(|op| op.id()).collect();
        while let Some(op) = next.pop() {
            if let Some(Some(by)) = void_by(op)
                && !ends.contains(&by)
            {
                ends.push(by);
                next.push(by);
            }
        }
        ends
    }
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
        if state == Some(GroupState::Removed) && self.is_or_was_member_device(group, device)? {
            // Who removed this account may have lost that with its store, and nobody else may know it.
            self.give_last_ops(&have, device)?;
            // And the removal may be void where more is known.
            return if have.answer { Ok(()) } else { self.tell_have(group, device, true) };
        }
        if state.is_none() && !have.answer {
            return self.tell_outside(heard, group);
        }
        if !matches!(state, Some(GroupState::Joined | GroupState::Left)) {
            return Ok(());
        }
        if !self.is_member_device(group, device)? {
            let may_be_former_s = state == Some(GroupState::Left) && !self.own()?.former.is_empty();
            if (state == Some(GroupState::Joined) || may_be_former_s) && !have.answer {
                self.ask_unlisted(&have, &heard.device)?;
            }
            let is_instead = state == Some(GroupState::Left) && self.is_of_member(group, &heard.device)?;
            return match is_instead {
                true => self.give_last_ops(&have, device),
                false => self.tell_its_end(&have, &heard.device),
            };
        }
        if state == Some(GroupState::Left) {
            self.give_last_ops(&have, device)?;
            return if have.answer { Ok(()) } else { self.tell_outside(heard, group) };
        }
        // What it says it has of ours is a receipt: one that was lost comes again with the next comparison.
        let own = self.own()?.device;
        if let Some(held) = &have.held {
            let (chat, held) = (ChatId::from(group), held.to_vec());
            let receipt = ChatReceipt { chat, author: own, held, read: None, seen: None, void: None };
            self.chat_receipt(&heard.device, &receipt)?;
        }
        self.note_inside(group, heard.device.account)?;
        let Some(mut left) = self.begin_answer(group, device) else { return Ok(()) };
        self.heads_named(group, heard.device.account, device, &have.heads)?;
        let memory = self.group(group)?;
        left -= self.give_ops(&memory, &have, device, left)?;
        if let Some(held) = self.secret_in_force(&memory)
            && !have.secrets.iter().any(|op| op.as_slice() == held.op.0)
        {
            self.hand_secret_again(group, device, held.op)?;
        }
        self.end_answer(group, device, left);
        if !have.answer {
            return self.tell_have(group, device, true);
        }
        if self.mem.compare_after.remove(&(group, device)) {
            return self.compare(ChatId::from(group), device);
        }
        Ok(())
    }

    /// A device that is no member's here takes itself for one: it may have taken another's place, by an op that is not here;
    /// or somebody added it beside its own end, which nobody else can tell it; or this one has taken another's place, and
    /// does not know whom the one that is gone had added.
    fn ask_unlisted(&mut self, have: &Have, device: &DeviceRow) -> Step {
        let group = have.group;
        if self.is_of_member(group, device)? {
            self.ask_missing(group, Some(device.device));
            return Ok(());
        }
        let memory = self.group(group)?;
        let is_news = have.heads.iter().any(|head| !memory.graph.contains(head));
        if is_news || !self.own()?.former.is_empty() { self.ask_all(group, device.device) } else { Ok(()) }
    }

    /// Whether a device is a member account's now, whatever the ops here say.
    fn is_of_member(&mut self, group: OpId, device: &DeviceRow) -> Step<bool> {
        Ok(self.group(group)?.membership.members.contains_key(&device.account) && self.is_listed(device)?)
    }

    /// A device of an account that is no member any more takes itself for one, as one that was made of an old backup does: it
    /// is given the ops that ended that, with their past, and nothing that came after.
    fn tell_its_end(&mut self, have: &Have, device: &DeviceRow) -> Step {
        let memory = self.group(have.group)?;
        let account = device.account;
        if memory.membership.members.contains_key(&account) || !memory.graph.has_admitted(&account) {
            return Ok(());
        }
        let Some(left) = self.begin_answer(have.group, device.device) else { return Ok(()) };
        let ends = memory.ends_of(account);
        let lacking = memory.graph.beyond(&have.heads).into_iter().filter(|op| memory.graph.within(&op.id(), &ends));
        let given = within(lacking.collect(), MAX_BYTES_PER_ANSWER.min(left), |op| op.to_bytes().len());
        let size: usize = given.iter().map(|op| op.to_bytes().len()).sum();
        for record in ops_records(have.group, given.into_iter()) {
            self.whisper(device.device, &record)?;
        }
        self.end_answer(have.group, device.device, left - size);
        Ok(())
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
        let (records, size) = memory.ops_behind(have.group, &have.heads, MAX_BYTES_PER_ANSWER.min(most));
        for record in records {
            self.whisper(device, &record)?;
        }
        Ok(size)
    }

    /// How many bytes this device may still be given in this second; `None` where it has asked too often.
    pub(super) fn begin_answer(&mut self, group: OpId, device: DeviceId) -> Option<usize> {
        let now = self.now;
        self.mem.given.retain(|_, given| now.since(given.since) < ANSWERS_COUNTED);
        let given = self.mem.given.entry((group, device)).or_insert(Answers { since: now, answers: 0, bytes: 0 });
        if given.answers >= MAX_ANSWERS_PER_SECOND {
            return None;
        }
        given.answers += 1;
        Some(MAX_BYTES_PER_SECOND.saturating_sub(given.bytes))
    }

    pub(super) fn end_answer(&mut self, group: OpId, device: DeviceId, left: usize) {
        if let Some(given) = self.mem.given.get_mut(&(group, device)) {
            given.bytes = MAX_BYTES_PER_SECOND.saturating_sub(left);
        }
    }

    /// A member holds events whose keys it lacks: keys of what is in its scope are given.
    pub(super) fn keys_wanted(&mut self, heard: &Heard, group: OpId, ids: &[EventId]) -> Step {
        if !self.is_member_device(group, heard.device.device)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        let Some(member) = memory.membership.members.get(&heard.device.account) else { return Ok(()) };
        let own = self.own()?.device;
        let (mut keys, mut is_own, mut looked_at) = (Vec::new(), false, 0);
        let ids: BTreeSet<EventId> = ids.iter().take(MAX_KEYS_PER_RECORD).copied().collect();
        for id in &ids {
            // What is left is asked for again.
            if looked_at > MAX_BYTES_PER_ANSWER {
                break;
            }
            let Some(EventRow { key: Some(key), chat, device, .. }) = self.event(*id)? else { continue };
            let Some(RawRow(bytes)) = self.read(&RawRow::key(*id))? else { continue };
            looked_at += bytes.len();
            let in_scope = GroupEvent::parse(&bytes).is_ok_and(|event| memory.graph.knows(member, &event.heads));
            if chat == ChatId::from(group) && in_scope {
                keys.push((*id, key));
                is_own |= device == own;
            }
        }
        if is_own {
            self.give_chain_again(group, heard.device.device)?;
        }
        if keys.is_empty() { Ok(()) } else { self.say_by_any_way(group, &heard.device, &Record::Keys(group, keys)) }
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

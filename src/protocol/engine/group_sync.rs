//! Events of a group: taken in from gossip or from members, held while keys or ops are missing, asked for when lost.
//!
//! Gossip is the fast path only. Members who meet tell each other what they have ([`Have`]) and give what the other
//! lacks; so they do every while, and as soon as something is seen to be missing.

use super::{
    Timer,
    chats::NewEvent,
    group_keys::follows,
    groups::member_devices,
    record::{Have, Record},
    rows::{AuthorRow, DeviceRow, EventRow, GroupRow, GroupState, HeldRow, MemberRow, RawRow, ReceiptRow, Side, all},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{secret::Secret, sign::Verified},
    delivery::Numbers,
    event::Content,
    group::{FrameContent, GroupEvent, SignedOp, Topic},
    ids::{AccountId, ChatId, DeviceId, EventId, OpId},
    wire::{
        decode, encode,
        limits::{MAX_HELD_EVENTS, MAX_KEYS_PER_RECORD},
    },
};
use minicbor::bytes::ByteVec;
use std::time::Duration;

/// How often members compare what they have, about.
pub(super) const REPAIR_EVERY: Duration = Duration::from_secs(60);
/// The wait before asking for what is seen to be missing: gossip is often only late.
const ASK_AFTER: Duration = Duration::from_millis(700);
/// Events given in answer to one question; who wants more asks again.
const EVENTS_PER_ANSWER: usize = 256;
/// Bytes of events in one record.
const EVENTS_PER_RECORD: usize = 48 * 1024;
/// Members asked at one time.
const ASKED_AT_ONCE: usize = 3;

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// It has just come.
    New,
    /// It was held here.
    Before,
}

impl Turn<'_> {
    /// A gossip frame that the gate opened.
    pub(super) fn gossip_came(&mut self, topic: &Topic, content: FrameContent) -> Step {
        let Some(group) = super::group_keys::topic_group(self, topic) else { return Ok(()) };
        match content {
            FrameContent::Event(bytes) => self.group_event_came(group, &bytes),
            FrameContent::Op(bytes) => self.gossiped_op(group, &bytes),
            FrameContent::Bundle(bytes) => self.bundle_told(&bytes),
            FrameContent::Unheard => Ok(()),
        }
    }

    fn gossiped_op(&mut self, group: OpId, bytes: &[u8]) -> Step {
        let Some(op) = SignedOp::parse(bytes).ok().filter(|op| op.group() == group) else { return Ok(()) };
        let Ok(op) = op.verify(&super::groups::Bundles) else { return Ok(()) };
        let device = op.device;
        self.take_op(group, op)?;
        if self.mem.ops_aside.get(&group).is_some_and(|aside| !aside.is_empty()) {
            self.ask_missing(group, Some(device));
        }
        Ok(())
    }

    /// A group event's bytes, by gossip or from a member.
    pub(super) fn group_event_came(&mut self, group: OpId, bytes: &[u8]) -> Step {
        let Some(event) = GroupEvent::parse(bytes).ok().filter(|event| event.group == group) else { return Ok(()) };
        if self.event(event.id())?.is_some() {
            return self.confirm_again(&event);
        }
        let Ok(event) = event.verify() else { return Ok(()) };
        self.take_group_event(event, Held::New)
    }

    /// It was here: its author may not know.
    fn confirm_again(&mut self, event: &GroupEvent) -> Step {
        if event.device != self.own()?.device {
            self.owe_group(event.device, ChatId::from(event.group));
        }
        Ok(())
    }

    /// Places an event whose author was a member and whose key is here; else holds it.
    pub(super) fn take_group_event(&mut self, event: Verified<GroupEvent>, held: Held) -> Step {
        let (group, id, device) = (event.group, event.id(), event.device);
        let joined = self.read::<GroupRow>(&GroupRow::key(group))?.is_some_and(|row| row.state == GroupState::Joined);
        if !joined || device == self.own()?.device {
            return Ok(());
        }
        let memory = self.group(group)?;
        let author = match memory.member_at(&event.heads, device) {
            Ok(Some(author)) => author,
            Ok(None) => return self.unhold(group, id),
            Err(_) => return self.hold(&event, held),
        };
        let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return self.hold(&event, held) };
        let Some(key) = self.event_key(&event)? else { return self.hold(&event, held) };
        let content = event.open(&key);
        self.drop_skipped_key(&event);
        self.unhold(group, id)?;
        // What its author sealed so that nobody can read it is not a message; its number counts, so nothing waits for it.
        if let Ok(content) = content {
            self.place_group_event(&event, author, content, key)?;
        }
        self.note_held(ChatId::from(group), &row, event.no)?;
        self.owe_group(device, ChatId::from(group));
        Ok(())
    }

    fn place_group_event(
        &mut self,
        event: &Verified<GroupEvent>,
        author: AccountId,
        content: Content,
        key: Secret,
    ) -> Step {
        let group = event.group;
        let follows = follows(event);
        let mut gap = false;
        for followed in &follows {
            gap |= self.event(*followed)?.is_none();
        }
        if gap {
            self.ask_missing(group, None);
        }
        self.take_profile(group, author, &content)?;
        self.place(NewEvent {
            chat: ChatId::from(group),
            id: event.id(),
            author,
            device: event.device,
            no: event.no,
            clock: event.clock,
            follows,
            content,
            key: Some(key),
            raw: event.to_bytes(),
        })
    }

    /// A member says its name.
    pub(super) fn take_profile(&mut self, group: OpId, author: AccountId, content: &Content) -> Step {
        let Content::Profile(name) = content else { return Ok(()) };
        let key = MemberRow::key(group, author);
        let Some(mut row) = self.read::<MemberRow>(&key)? else { return Ok(()) };
        if row.name.as_deref() == Some(name.as_str()) {
            return Ok(());
        }
        row.name = Some(name.to_string());
        self.put(key, &row);
        self.tell(&super::feed::FeedEntry::Group { group })
    }

    fn hold(&mut self, event: &GroupEvent, held: Held) -> Step {
        self.ask_missing(event.group, None);
        if held == Held::Before {
            return Ok(());
        }
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(event.group))? else { return Ok(()) };
        let key = HeldRow::key(event.group, event.id());
        if row.held >= MAX_HELD_EVENTS as u64 || self.read::<HeldRow>(&key)?.is_some() {
            return Ok(());
        }
        row.held += 1;
        self.put(GroupRow::key(event.group), &row);
        self.put(key, &HeldRow { id: event.id(), bytes: event.to_bytes(), since: self.now });
        Ok(())
    }

    pub(super) fn unhold(&mut self, group: OpId, id: EventId) -> Step {
        let key = HeldRow::key(group, id);
        if self.read::<HeldRow>(&key)?.is_none() {
            return Ok(());
        }
        self.delete(key);
        if let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))? {
            row.held = row.held.saturating_sub(1);
            self.put(GroupRow::key(group), &row);
        }
        Ok(())
    }

    /// Something of this group is missing: soon, unless it comes by itself, members are asked.
    pub(super) fn ask_missing(&mut self, group: OpId, first: Option<DeviceId>) {
        if let Some(device) = first {
            self.mem.ask_first.insert(group, device);
        }
        if self.mem.asking.insert(group) {
            self.mem.timers.insert((self.now.plus(ASK_AFTER), Timer::Ask(group)));
        }
    }

    /// Asks members now.
    pub(super) fn ask_now(&mut self, group: OpId) -> Step {
        self.mem.asking.remove(&group);
        let first = self.mem.ask_first.remove(&group);
        self.ask_members(group, first)
    }

    /// The regular comparison with other members.
    pub(super) fn repair(&mut self, group: OpId) -> Step {
        let joined = self.read::<GroupRow>(&GroupRow::key(group))?.is_some_and(|row| row.state == GroupState::Joined);
        if !joined {
            return Ok(());
        }
        let next = REPAIR_EVERY / 2 + self.jitter(REPAIR_EVERY);
        self.mem.timers.insert((self.now.plus(next), Timer::Repair(group)));
        self.ask_members(group, None)
    }

    fn ask_members(&mut self, group: OpId, first: Option<DeviceId>) -> Step {
        if !self.has_graph(group)? {
            let Some(device) = first else { return Ok(()) };
            let have = Have { group, heads: Vec::new(), events: Vec::new(), secrets: Vec::new(), answer: false };
            return self.whisper(device, &Record::Have(have));
        }
        let memory = self.group(group)?;
        let connected: Vec<DeviceId> = self.mem.peers.values().flatten().copied().collect();
        let mut there: Vec<DeviceId> =
            member_devices(&memory.membership).filter(|device| connected.contains(device)).collect();
        let mut asked: Vec<DeviceId> = first.into_iter().filter(|device| there.contains(device)).collect();
        while asked.len() < ASKED_AT_ONCE && !there.is_empty() {
            let mut bytes = [0; 8];
            self.rng.fill_bytes(&mut bytes);
            let device = there.swap_remove((u64::from_le_bytes(bytes) % there.len() as u64) as usize);
            if !asked.contains(&device) {
                asked.push(device);
            }
        }
        for device in asked {
            self.tell_have(group, device, false)?;
        }
        Ok(())
    }

    fn tell_have(&mut self, group: OpId, device: DeviceId, answer: bool) -> Step {
        let memory = self.group(group)?;
        let chat = ChatId::from(group);
        let own = self.own()?.device;
        let mut events: Vec<(DeviceId, ByteVec)> = all::<ReceiptRow>(self, ReceiptRow::scope(chat, Side::Ours))?
            .into_iter()
            .map(|row| (row.device, row.held.into()))
            .collect();
        events.push((own, encode(&self.written_here(chat)?).into()));
        let secrets = self.secret_in_force(&memory).map(|held| ByteVec::from(held.op.0.to_vec())).into_iter().collect();
        let have = Have { group, heads: memory.graph.heads(), events, secrets, answer };
        self.whisper(device, &Record::Have(have))?;
        let lacking: Vec<EventId> = all::<HeldRow>(self, group)?.into_iter().map(|row| row.id).take(256).collect();
        if lacking.is_empty() { Ok(()) } else { self.whisper(device, &Record::KeysWanted(group, lacking)) }
    }

    fn written_here(&self, chat: ChatId) -> Step<Numbers> {
        let mut numbers = Numbers::from_base(1);
        numbers.fill_through(self.chat(chat)?.map_or(0, |chat| chat.written));
        Ok(numbers)
    }

    /// A member's device is connected: compare at once.
    pub(super) fn groups_meet(&mut self, device: &DeviceRow) -> Step {
        for group in device.groups.clone() {
            let joined =
                self.read::<GroupRow>(&GroupRow::key(group))?.is_some_and(|row| row.state == GroupState::Joined);
            if joined {
                self.tell_have(group, device.device, false)?;
            }
        }
        Ok(())
    }

    /// "This is what I have": give what it lacks, and say in turn what is here.
    pub(super) fn have_came(&mut self, heard: &Heard, have: Have) -> Step {
        let device = heard.device.device;
        let group = have.group;
        if !self.is_member_device(group, device)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        for record in super::groups::ops_records(group, memory.graph.beyond(&have.heads).into_iter()) {
            self.whisper(device, &record)?;
        }
        if let Some(held) = self.secret_in_force(&memory)
            && !have.secrets.iter().any(|op| op.as_slice() == held.op.0)
            && self.mem.secrets_handed.insert((group, device, held.op))
        {
            self.hand_secret(group, &memory, device)?;
        }
        self.give_events(&memory, heard, &have)?;
        if have.answer { Ok(()) } else { self.tell_have(group, device, true) }
    }

    /// Gives the events that are in a member's scope and that it lacks, the newest of each author first.
    fn give_events(&mut self, memory: &super::GroupMemory, heard: &Heard, have: &Have) -> Step {
        let group = have.group;
        let chat = ChatId::from(group);
        let Some(joined) = memory.membership.members.get(&heard.device.account).map(|member| member.joined) else {
            return Ok(());
        };
        let mut ours: Vec<(DeviceId, Numbers)> = Vec::new();
        for row in all::<ReceiptRow>(self, ReceiptRow::scope(chat, Side::Ours))? {
            let numbers = row.numbers()?;
            ours.push((row.device, numbers));
        }
        ours.push((self.own()?.device, self.written_here(chat)?));
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (author, numbers) in ours.into_iter().filter(|(author, _)| *author != heard.device.device) {
            let told = have.events.iter().find(|(device, _)| *device == author);
            let theirs = told.and_then(|(_, bytes)| decode::<Numbers>(bytes, "numbers").ok());
            let theirs = theirs.unwrap_or_else(|| Numbers::from_base(1));
            for no in numbers.descending().filter(|no| !theirs.contains(*no)) {
                if found.len() >= EVENTS_PER_ANSWER {
                    break;
                }
                let Some(AuthorRow(id)) = self.read(&AuthorRow::key(chat, author, no))? else { continue };
                let Some(RawRow(bytes)) = self.read(&RawRow::key(id))? else { continue };
                let Ok(event) = GroupEvent::parse(&bytes) else { continue };
                // Heads only grow along an author's events: before the first that knows the newcomer, none does.
                if !memory.graph.within(&joined, &event.heads) {
                    break;
                }
                let place = self.event(id)?.map(|row| row.place).unwrap_or_default();
                found.push((place, bytes));
            }
        }
        found.sort();
        let (mut page, mut size) = (Vec::new(), 0);
        for (_, bytes) in found {
            if size + bytes.len() > EVENTS_PER_RECORD && !page.is_empty() {
                self.whisper(heard.device.device, &Record::Events(group, std::mem::take(&mut page)))?;
                size = 0;
            }
            size += bytes.len();
            page.push(ByteVec::from(bytes));
        }
        if page.is_empty() { Ok(()) } else { self.whisper(heard.device.device, &Record::Events(group, page)) }
    }

    /// Events given by a member. Where an answer was full there is more to ask for.
    pub(super) fn events_came(&mut self, heard: &Heard, group: OpId, events: &[ByteVec]) -> Step {
        if !self.is_member_device(group, heard.device.device)? {
            return Ok(());
        }
        for bytes in events {
            self.group_event_came(group, bytes)?;
        }
        if events.len() > 1 {
            self.ask_missing(group, Some(heard.device.device));
        }
        Ok(())
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

    /// Keys of single events, from any member: each event itself proves its key.
    pub(super) fn keys_came(&mut self, heard: &Heard, group: OpId, keys: Vec<(EventId, Secret)>) -> Step {
        if !self.is_member_device(group, heard.device.device)? {
            return Ok(());
        }
        for (id, key) in keys.into_iter().take(MAX_KEYS_PER_RECORD) {
            let Some(row) = self.read::<HeldRow>(&HeldRow::key(group, id))? else { continue };
            let Some(event) = GroupEvent::parse(&row.bytes).ok().and_then(|event| event.verify().ok()) else {
                continue;
            };
            if event.open(&key).is_err() {
                continue;
            }
            self.put(
                super::group_keys::skipped_key(event.device, event.chain, event.i),
                &super::rows::SkippedRow { key, at: self.now },
            );
            self.take_group_event(event, Held::Before)?;
        }
        Ok(())
    }
}

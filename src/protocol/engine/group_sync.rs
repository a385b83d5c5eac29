//! Events of a group: taken in from gossip or from members, held while keys or ops are missing, asked for when lost.
//!
//! Gossip is the fast path only. Members who meet tell each other which ops they have ([`Have`]), give what the other
//! lacks, and then compare events ([`talks`](super::talks)); so they do every while, and as soon as something is seen to
//! be missing. A single event that another follows is asked for by its id.

use super::{
    Timer,
    chats::NewEvent,
    group_keys::follows,
    group_ops::member_devices,
    record::{Have, Record},
    rows::{DeviceRow, GroupRow, GroupState, ReceiptRow, Side, SkippedRow, VoucherRow, Waits},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{secret::Secret, sign::Verified},
    event::{Content, Timeline},
    group::{FrameContent, GroupEvent, GroupHeader, SignedOp, Topic},
    ids::{AccountId, ChatId, DeviceId, EventId, OpId},
    wire::limits::MAX_KEYS_PER_RECORD,
};
use minicbor::bytes::ByteVec;
use std::{collections::BTreeSet, time::Duration};

/// How often members compare what they have, about.
pub(super) const REPAIR_EVERY: Duration = Duration::from_secs(60);
/// The wait before asking for what is seen to be missing: gossip is often only late.
const ASK_AFTER: Duration = Duration::from_millis(700);
/// How often held events and kept keys of a group are looked over.
const LOOK_OVER_EVERY: Duration = Duration::from_secs(3600);
/// Members asked at one time.
const ASKED_AT_ONCE: usize = 3;

/// Whether an event may stand in its group's conversation.
pub(super) enum Standing {
    /// It may, as said by this account.
    Says(AccountId),
    /// It cannot be judged yet.
    Waits(Waits),
    /// It may not: its author was no member, or it was not for this account.
    Outside,
    /// This device is no member.
    NotHere,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    /// It stands in the conversation now.
    Placed,
    /// It is held now and was not before.
    Held,
    /// Nothing is new.
    Nothing,
}

impl Turn<'_> {
    /// A gossip frame that the gate opened.
    pub(super) fn gossip_came(&mut self, topic: &Topic, content: FrameContent) -> Step {
        let Some(group) = super::group_keys::topic_group(self, topic) else { return Ok(()) };
        match content {
            FrameContent::Event(bytes) => self.group_event_came(group, &bytes).map(|_| ()),
            FrameContent::Op(bytes) => self.gossiped_op(group, &bytes),
            FrameContent::Bundle(bytes) => self.bundle_told(&bytes),
            FrameContent::Name(..) | FrameContent::Mail(..) | FrameContent::Unheard => Ok(()),
        }
    }

    pub(super) fn gossiped_op(&mut self, group: OpId, bytes: &[u8]) -> Step {
        let Some(op) = SignedOp::parse(bytes).ok().filter(|op| op.group() == group) else { return Ok(()) };
        let Ok(op) = op.verify(&super::group_ops::Bundles) else { return Ok(()) };
        let device = op.device;
        self.take_ops(group, device, vec![op])?;
        if self.mem.ops_aside.get(&group).is_some_and(|aside| !aside.is_empty()) {
            self.ask_missing(group, Some(device));
        }
        Ok(())
    }

    /// A group event's bytes, by gossip or from a member. Whether it was not here.
    pub(super) fn group_event_came(&mut self, group: OpId, bytes: &[u8]) -> Step<bool> {
        let Some(event) = GroupEvent::parse(bytes).ok().filter(|event| event.group == group) else { return Ok(false) };
        if self.is_here(event.id())? {
            self.confirm_again(&event)?;
            return Ok(false);
        }
        let Ok(event) = event.verify() else { return Ok(false) };
        self.take_group_event(event)
    }

    /// It was here: its author may not know, and its number may have found no room before.
    fn confirm_again(&mut self, event: &GroupEvent) -> Step {
        if event.device == self.own()?.device {
            return Ok(());
        }
        let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(event.device))? else { return Ok(()) };
        self.note_held(ChatId::from(event.group), row.account, row.device, event.no)?;
        self.owe_author(event.group, row.account, row.device)
    }

    /// An event is held: its author's device is told, or the one that took its place.
    pub(super) fn owe_author(&mut self, group: OpId, author: AccountId, device: DeviceId) -> Step {
        let chat = ChatId::from(group);
        let memory = self.group(group)?;
        match memory.membership.members.get(&author) {
            Some(member) if !member.devices.contains(&device) => {
                member.devices.iter().for_each(|instead| self.owe_chat_of(*instead, chat, device));
            }
            _ => self.owe_group(device, chat)?,
        }
        Ok(())
    }

    /// Places an event whose author was a member and whose key is here, and then those that waited for an event that
    /// follows them; else holds it. Whether anything is new.
    pub(super) fn take_group_event(&mut self, event: Verified<GroupEvent>) -> Step<bool> {
        let (mut next, mut news) = (vec![event], false);
        while let Some(event) = next.pop() {
            let judged = self.judge(&event)?;
            news |= judged != Judged::Nothing;
            if judged == Judged::Placed {
                next.extend(self.held_for_followers(event.group, &follows(&event))?);
            }
        }
        Ok(news)
    }

    /// Of these, those that were held until something follows them.
    pub(super) fn held_for_followers(&mut self, group: OpId, followed: &[EventId]) -> Step<Vec<Verified<GroupEvent>>> {
        let mut held = Vec::new();
        for id in followed {
            if self.waits(group, *id)? == Some(Waits::Follower) {
                held.extend(self.held_event(group, *id)?);
            }
        }
        Ok(held)
    }

    fn judge(&mut self, event: &Verified<GroupEvent>) -> Step<Judged> {
        let (group, id, device) = (event.group, event.id(), event.device);
        if self.is_here(id)? {
            return Ok(Judged::Nothing);
        }
        let author = match self.standing(id, event)? {
            Standing::Says(author) => author,
            Standing::Waits(waits) => return self.hold_as(event, waits),
            Standing::Outside => {
                self.unhold(group, id)?;
                return Ok(Judged::Nothing);
            }
            Standing::NotHere => return Ok(Judged::Nothing),
        };
        self.heads_named(group, author, device, &event.heads)?;
        let Some(key) = self.event_key(event)? else {
            return self.hold_as(event, Waits::Chain(device, event.chain));
        };
        let content = event.open(&key);
        self.drop_skipped_key(event);
        self.unhold(group, id)?;
        self.look_no_more(ChatId::from(group), id)?;
        // What its author sealed so that nobody can read it is not a message; its number counts, so nothing waits for it.
        let placed = content.is_ok();
        if let Ok(content) = content {
            self.place_group_event(event, author, content, key)?;
        }
        // What this device wrote and lost with its store, or one that it replaced, is owed to nobody.
        let own = self.own()?;
        if author == own.account {
            self.note_meant(event)?;
            self.tell_known_receipts(event)?;
        } else {
            self.note_held(ChatId::from(group), author, device, event.no)?;
            self.owe_author(group, author, device)?;
        }
        Ok(if placed { Judged::Placed } else { Judged::Nothing })
    }

    /// Whether an event, of which this is signed, may stand in its group's conversation.
    pub(super) fn standing(&mut self, id: EventId, header: &GroupHeader) -> Step<Standing> {
        let (group, device) = (header.group, header.device);
        if !self.is_joined(group)? {
            return Ok(Standing::NotHere);
        }
        let memory = self.group(group)?;
        let Ok(author) = memory.member_at(&header.heads, device) else { return Ok(Standing::Waits(Waits::Heads)) };
        let Some(author) = author else { return Ok(Standing::Outside) };
        // Said by one who did not know us as a member: not meant for us, and nobody will give its key.
        let own = self.own()?.account;
        let own = memory.membership.members.get(&own);
        if !own.is_some_and(|own| memory.graph.knows(own, &header.heads)) {
            return Ok(Standing::Outside);
        }
        // Who was removed could go on under old heads for ever: only what a member took note of counts, or its own leaving.
        let is_former = memory.membership.owner(&device).is_none();
        if !is_former || memory.is_last_word(author, id, device) || self.is_followed(group, id)? {
            return Ok(Standing::Says(author));
        }
        // A device whose place another took may have said it before, where it waits for its key alone or lay in a log: it is
        // followed from here.
        let is_replaced = memory.membership.members.contains_key(&author);
        let lacks_key = matches!(self.waits(group, id)?, Some(Waits::Chain(..)));
        if is_replaced && (lacks_key || self.is_read_late(group, author)?) {
            self.follow_former_soon(group);
            return Ok(Standing::Says(author));
        }
        Ok(Standing::Waits(Waits::Follower))
    }

    fn hold_as(&mut self, event: &GroupEvent, waits: Waits) -> Step<Judged> {
        Ok(if self.hold(event, waits)? { Judged::Held } else { Judged::Nothing })
    }

    /// Whether an event that stands in this group's conversation follows this one. What stands there was a member's when
    /// it came, or is itself followed by such; and its hash proves that what it follows was there before it.
    fn is_followed(&self, group: OpId, id: EventId) -> Step<bool> {
        for follower in self.dependents(&id)? {
            if self.event(follower)?.is_some_and(|event| event.chat == ChatId::from(group)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Events that waited for such a thing are judged again.
    pub(super) fn release_held(&mut self, group: OpId, such: impl Fn(&Waits) -> bool) -> Step {
        for id in self.held_for(group, such)? {
            if let Some(event) = self.held_event(group, id)? {
                self.take_group_event(event)?;
            }
        }
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
        self.seek(group, &follows)?;
        let voucher = VoucherRow { event: event.to_bytes(), key: key.clone() };
        self.take_profile(group, author, (event.device, event.no), &content, voucher)?;
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
            heads: event.heads.clone(),
        })
    }

    /// Something of this group is missing: soon, unless it comes by itself, members are asked.
    pub(super) fn ask_missing(&mut self, group: OpId, first: Option<DeviceId>) {
        if let Some(device) = first {
            self.mem.ask_first.insert(group, device);
        }
        self.mem.ask_all.insert(group);
        self.ask_soon(group);
    }

    /// Members are asked in a moment, for whatever is missing then.
    pub(super) fn ask_soon(&mut self, group: OpId) {
        if self.mem.asking.insert(group) {
            self.mem.timers.insert((self.now.plus(ASK_AFTER), Timer::Ask(group)));
        }
    }

    /// Asks members now: for single events that others follow by id, for what else is missing by comparing.
    pub(super) fn ask_now(&mut self, group: OpId) -> Step {
        self.mem.asking.remove(&group);
        if self.is_joined(group)? && self.has_graph(group)? {
            let there = self.members_there(group)?;
            self.ask_for_sought(group, &there)?;
        }
        if !self.mem.ask_all.remove(&group) {
            return Ok(());
        }
        let first = self.mem.ask_first.remove(&group);
        self.ask_members(group, first)
    }

    /// Members' devices that are connected.
    fn members_there(&mut self, group: OpId) -> Step<Vec<DeviceId>> {
        let memory = self.group(group)?;
        let connected: BTreeSet<DeviceId> = self.mem.peers.values().flatten().copied().collect();
        Ok(member_devices(&memory.membership).filter(|device| connected.contains(device)).collect())
    }

    /// Compares with members every while from now on, as long as the group is joined or being joined.
    pub(super) fn start_repair(&mut self, group: OpId) {
        if self.mem.online && self.mem.repairing.insert(group) {
            let first = self.jitter(REPAIR_EVERY);
            self.mem.timers.insert((self.now.plus(first), Timer::Repair(group)));
        }
    }

    /// The regular comparison with other members.
    pub(super) fn repair(&mut self, group: OpId) -> Step {
        let row = self.read::<GroupRow>(&GroupRow::key(group))?;
        let Some(row) = row.filter(|row| matches!(row.state, GroupState::Joining | GroupState::Joined)) else {
            self.mem.repairing.remove(&group);
            return Ok(());
        };
        let next = REPAIR_EVERY / 2 + self.jitter(REPAIR_EVERY);
        self.mem.timers.insert((self.now.plus(next), Timer::Repair(group)));
        if row.state == GroupState::Joining {
            return self.ask_inviter(&row);
        }
        let looked_over = self.mem.looked_over.get(&group).copied();
        if looked_over.is_none_or(|at| self.now.since(at) >= LOOK_OVER_EVERY) {
            self.mem.looked_over.insert(group, self.now);
            self.let_leavers_go(group)?;
            self.expire_held(group)?;
            self.expire_group_keys(group)?;
        }
        self.attempt(|turn| turn.follow_former(group))?;
        self.list_restored(group)?;
        self.ask_leavers_for_keys(group)?;
        self.ask_by_mail_for_keys(group)?;
        self.ask_by_mail_for_ops(group)?;
        self.ask_members(group, None)
    }

    /// Whose invitation was accepted may have added us: what came of it and was lost here is asked for.
    pub(super) fn ask_inviter(&mut self, row: &GroupRow) -> Step {
        let Some(inviter) = row.inviter else { return Ok(()) };
        let devices = self.contact(inviter)?.map(|contact| contact.devices).unwrap_or_default();
        for device in &devices {
            self.ask_all(row.group, *device)?;
        }
        self.ask_away_for_ops(row.group, devices.into_iter().collect())
    }

    /// "I have nothing of this group."
    pub(super) fn ask_all(&mut self, group: OpId, device: DeviceId) -> Step {
        let have = Have { group, heads: vec![], held: None, secrets: vec![], answer: false };
        self.whisper(device, &Record::Have(have))
    }

    fn ask_members(&mut self, group: OpId, first: Option<DeviceId>) -> Step {
        if !self.has_graph(group)? {
            return first.map_or(Ok(()), |device| self.ask_all(group, device));
        }
        let mut there = self.members_there(group)?;
        let mut asked: Vec<DeviceId> = first.into_iter().filter(|device| there.contains(device)).collect();
        if let Some(device) = first.filter(|_| asked.is_empty()) {
            self.ask_newcome(group, device)?;
        }
        while asked.len() < ASKED_AT_ONCE && !there.is_empty() {
            let mut bytes = [0; 8];
            self.rng.fill_bytes(&mut bytes);
            let device = there.swap_remove((u64::from_le_bytes(bytes) % there.len() as u64) as usize);
            if !asked.contains(&device) {
                asked.push(device);
            }
        }
        for device in asked {
            self.ask_and_compare(group, device)?;
        }
        Ok(())
    }

    /// A device that a member's account has in place of another says so by an op whose past may be known to it alone.
    fn ask_newcome(&mut self, group: OpId, device: DeviceId) -> Step {
        let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        let memory = self.group(group)?;
        let is_there = self.mem.peers.contains_key(&row.transport);
        if !is_there || !memory.membership.members.contains_key(&row.account) || !self.is_listed(&row)? {
            return Ok(());
        }
        self.tell_have(group, device, false)
    }

    /// Says what is here, so that the other gives the ops that are missing and says the same; then events are compared.
    fn ask_and_compare(&mut self, group: OpId, device: DeviceId) -> Step {
        self.mem.compare_after.insert((group, device));
        self.tell_have(group, device, false)
    }

    pub(super) fn tell_have(&mut self, group: OpId, device: DeviceId, answer: bool) -> Step {
        let memory = self.group(group)?;
        let key = ReceiptRow::key(ChatId::from(group), Side::Ours, device);
        let held = self.read::<ReceiptRow>(&key)?.map(|row| row.held.into());
        let secrets = self.secret_in_force(&memory).map(|held| ByteVec::from(held.op.0.to_vec())).into_iter().collect();
        let have = Have { group, heads: memory.graph.heads_to_tell(), held, secrets, answer };
        self.whisper(device, &Record::Have(have))?;
        let lacking = self.keys_to_ask(group)?;
        if !lacking.is_empty() {
            self.whisper(device, &Record::KeysWanted(group, lacking))?;
        }
        self.ask_names(group, device)
    }

    /// A member's or an inviter's device is connected: compare at once.
    pub(super) fn groups_meet(&mut self, device: &DeviceRow) -> Step {
        let own = self.own()?.device;
        for group in device.groups.clone() {
            self.attempt(|turn| match turn.read::<GroupRow>(&GroupRow::key(group))?.map(|row| row.state) {
                // Both say what they have; one of them compares.
                Some(GroupState::Joined) if own < device.device => turn.ask_and_compare(group, device.device),
                Some(GroupState::Joined) => turn.tell_have(group, device.device, false),
                Some(GroupState::Left | GroupState::Removed) => turn.part_from(group, device.device),
                _ => Ok(()),
            })?;
        }
        for row in self.sound::<GroupRow>(b"")? {
            match row.state {
                GroupState::Joining if row.inviter == Some(device.account) => self.ask_all(row.group, device.device)?,
                GroupState::Joined => self.ask_author_for_keys(row.group, device.device).map(drop)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Events that a member says without being asked: its last words, or what there is no gossip for.
    pub(super) fn events_came(&mut self, heard: &Heard, group: OpId, events: &[ByteVec]) -> Step {
        // A device that took the place of a member's brings what that one wrote.
        let is_known = self.is_or_was_member_device(group, heard.device.device)?
            || self.is_or_was_member(group, &heard.device.account)?;
        if !is_known {
            // One that came and left at once, before its coming is known here: it is to say them again.
            self.in_memory |= self.hears_of_members(group)?;
            return Ok(());
        }
        self.no_room = false;
        events.iter().try_for_each(|bytes| self.group_event_came(group, bytes).map(|_| ()))?;
        // Its author may be asked by nobody: what found no room, or came before this device is a member, is to come again.
        self.in_memory |= self.no_room || (!self.is_joined(group)? && self.hears_of_members(group)?);
        self.ask_author_for_keys(group, heard.device.device).map(drop)
    }

    /// Keys of single events, from any member: each event itself proves its key.
    pub(super) fn keys_came(&mut self, heard: &Heard, group: OpId, keys: Vec<(EventId, Secret)>) -> Step {
        if !self.is_or_was_member_device(group, heard.device.device)? {
            return Ok(());
        }
        self.mem.keys_asked.remove(&(group, heard.device.device));
        for (id, key) in keys.into_iter().take(MAX_KEYS_PER_RECORD) {
            let Some(event) = self.held_event(group, id)? else { continue };
            if !matches!(self.waits(group, id)?, Some(Waits::Chain(..))) || event.open(&key).is_err() {
                continue;
            }
            self.put(
                super::group_keys::skipped_key(event.device, event.chain, event.i),
                &SkippedRow { key, at: self.now },
            );
            self.take_group_event(event)?;
        }
        Ok(())
    }
}

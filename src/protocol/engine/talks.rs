//! Comparing a conversation with another's device, and having from it what is missing here.
//!
//! One talk a conversation and device. Both sides do the same: a message of a comparison says what is held here and names
//! what the other lacks; what it names that is not here is asked for by id, a page at a time, and only when all of that has
//! come is the next message answered. So a talk goes as fast as its slower side, and holds little. Nothing of a talk is
//! kept: what breaks off begins anew, and finds what came meanwhile settled.
//!
//! Who may talk about what is judged here, for every message anew. How much a device may ask, and what becomes of one that
//! asks too much or offers what it does not have, is in [`conduct`](super::conduct); what it is given, in
//! [`gives`](super::gives).

use super::{
    Timer,
    conduct::Offence,
    order::Scoped,
    record::{Given, Record},
    rows::{ChatKind, ContactState, DeviceRow, GroupRow, GroupState},
    sessions::Heard,
    stubs::Stubbed,
    turn::{Step, Turn},
};
use crate::protocol::{
    group::{GroupEvent, Stub},
    ids::{ChatId, DeviceId, EventId, OpId},
    sync::{Ranges, answer, opening},
    time::Millis,
    wire::limits::{MAX_IDS_TOLD, MAX_STUBS_TOLD, MAX_WISHES_TOLD},
};
use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

/// Ids that wait to be asked for in one talk: those of two messages.
pub(super) const MAX_WISHES: usize = 2 * MAX_IDS_TOLD;
/// Events asked for at one time.
const WISHES_AT_ONCE: usize = 256;
/// How often talks are looked over.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the other is waited for before something is said again; it grows with each time.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often something is said again before the talk is given up.
const MAX_TRIES: u32 = 4;
/// Messages in a row that bring nothing: prints of parts of parts come to an end far earlier.
const MAX_BARREN: u32 = 40;
/// Messages of one talk: with every one full they tell of twenty million events.
const MAX_ROUNDS: u16 = 16_384;
/// Talks at one time. Who comes later compares at the next occasion.
const MAX_TALKS: usize = 256;
/// Events that others follow and that are looked for by id, of one group.
const MAX_SOUGHT: usize = 256;
/// Members asked for such an event before it is taken as out of reach.
const MAX_ASKED_FOR: u8 = 3;
/// Events known to be out of reach, of one group.
const MAX_GIVEN_UP: usize = 4_096;
/// How long after they met two contacts compare: what is in their outboxes comes first.
const DIRECT_AFTER: Duration = Duration::from_secs(4);

/// A comparison under way.
#[derive(Debug)]
pub(super) struct Talk {
    /// When the other was heard last, or was last said something again.
    heard: Millis,
    /// How many messages there were.
    round: u16,
    /// A message that is to be answered when all that was asked for has come.
    message: Option<Ranges>,
    /// Whether the other owes an answer to a message.
    awaits: bool,
    /// What the other holds and this device lacks, the newest first.
    wishes: VecDeque<EventId>,
    /// What it was asked for and has not answered.
    asked: BTreeSet<EventId>,
    tries: u32,
    barren: u32,
    /// Whether it brought anything.
    brought: bool,
}

impl Talk {
    fn new(now: Millis) -> Self {
        let (wishes, asked) = (VecDeque::new(), BTreeSet::new());
        Self { heard: now, round: 0, message: None, awaits: false, wishes, asked, tries: 0, barren: 0, brought: false }
    }

    fn is_idle(&self) -> bool {
        self.wishes.is_empty() && self.asked.is_empty()
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.heard = self.heard.minus(by);
    }

    fn wait(&self) -> Duration {
        PATIENCE * (self.tries + 1)
    }
}

/// An event that something here follows.
#[derive(Debug, Default)]
pub(super) struct Sought {
    asked: u8,
}

impl Turn<'_> {
    /// Begins to compare a conversation with a device, unless that is under way.
    pub(super) fn compare(&mut self, chat: ChatId, device: DeviceId) -> Step {
        let Some(row) = self.partner(device)? else { return Ok(()) };
        if self.mem.talks.contains_key(&(device, chat)) || self.mem.talks.len() >= MAX_TALKS {
            return Ok(());
        }
        let Some(classes) = self.scoped(chat, &row)? else { return Ok(()) };
        let message = opening(&Scoped::new(self, chat, classes))?;
        let wishes = self.bodies_to_ask(chat, &row)?;
        let talk = Talk { awaits: true, wishes, ..Talk::new(self.now) };
        self.mem.talks.insert((device, chat), talk);
        self.watch_talks();
        self.whisper(device, &Record::Compare(chat, 0, message.to_bytes()))?;
        self.ask_for_wishes(chat, device)
    }

    /// A message of a comparison.
    pub(super) fn compare_came(&mut self, heard: &Heard, chat: ChatId, round: u16, bytes: &[u8]) -> Step {
        let device = heard.device.device;
        if self.partner(device)?.is_none() || !self.may_compare(chat, &heard.device)? {
            return Ok(());
        }
        let Ok(ranges) = Ranges::parse(bytes) else { return self.note_offence(device, Offence::Malformed) };
        if !self.may_ask(device, ranges.ids())? || round >= MAX_ROUNDS {
            return Ok(());
        }
        let at = (device, chat);
        if !self.mem.talks.contains_key(&at) && self.mem.talks.len() >= MAX_TALKS {
            return Ok(());
        }
        let wishes = match self.mem.talks.contains_key(&at) {
            true => VecDeque::new(),
            false => self.bodies_to_ask(chat, &heard.device)?,
        };
        let talk = self.mem.talks.entry(at).or_insert_with(|| Talk { wishes, ..Talk::new(self.now) });
        (talk.heard, talk.round, talk.tries, talk.awaits) = (self.now, round, 0, false);
        talk.message = Some(ranges);
        self.watch_talks();
        self.go_on(chat, device)
    }

    /// The next step of a talk: ask for more, or answer what was said, or end.
    fn go_on(&mut self, chat: ChatId, device: DeviceId) -> Step {
        self.ask_for_wishes(chat, device)?;
        let Some(talk) = self.mem.talks.get_mut(&(device, chat)) else { return Ok(()) };
        if !talk.is_idle() {
            return Ok(());
        }
        match talk.message.take() {
            Some(message) if !message.is_empty() => {
                self.answer_message(chat, device, &message)?;
                self.ask_for_wishes(chat, device)?;
            }
            _ => {}
        }
        let ended = |talk: &Talk| talk.is_idle() && talk.message.is_none() && !talk.awaits;
        if self.mem.talks.get(&(device, chat)).is_some_and(ended) {
            self.end_talk(chat, device);
        }
        Ok(())
    }

    fn answer_message(&mut self, chat: ChatId, device: DeviceId, message: &Ranges) -> Step {
        let Some(row) = self.partner(device)? else { return Ok(()) };
        let Some(classes) = self.scoped(chat, &row)? else { return Ok(()) };
        let outcome = answer(&Scoped::new(self, chat, classes), message)?;
        let mut wishes = VecDeque::new();
        for id in outcome.theirs {
            if self.lacks(chat, id)? && wishes.len() < MAX_WISHES {
                wishes.push_back(id);
            }
        }
        let Some(talk) = self.mem.talks.get_mut(&(device, chat)) else { return Ok(()) };
        talk.barren = if wishes.is_empty() { talk.barren + 1 } else { 0 };
        talk.wishes.extend(wishes);
        talk.round = talk.round.saturating_add(1);
        talk.awaits = !outcome.reply.is_empty();
        let round = talk.round;
        if talk.barren > MAX_BARREN {
            self.end_talk(chat, device);
            return self.note_offence(device, Offence::Endless);
        }
        self.whisper(device, &Record::Compare(chat, round, outcome.reply.to_bytes()))
    }

    /// What was given shows that the talk goes somewhere.
    pub(super) fn talk_was_of_use(&mut self, chat: ChatId, device: DeviceId) {
        if let Some(talk) = self.mem.talks.get_mut(&(device, chat)) {
            (talk.barren, talk.heard, talk.tries) = (0, self.now, 0);
        }
    }

    /// Whether an event is neither here nor held, and nobody who should have it lacked it.
    fn lacks(&mut self, chat: ChatId, id: EventId) -> Step<bool> {
        if self.event(id)?.is_some() {
            return Ok(false);
        }
        Ok(match self.group_of(chat)? {
            Some(group) => self.waits(group, id)?.is_none(),
            None => true,
        })
    }

    /// Asks for the next page, if nothing is under way.
    fn ask_for_wishes(&mut self, chat: ChatId, device: DeviceId) -> Step {
        let at = (device, chat);
        let mut page = Vec::new();
        while page.len() < WISHES_AT_ONCE {
            let Some(talk) = self.mem.talks.get_mut(&at).filter(|talk| talk.asked.is_empty()) else { return Ok(()) };
            let Some(id) = talk.wishes.pop_front() else { break };
            // What another was asked for comes from there, or is found missing once more.
            if !self.mem.wanted.contains(&id) && (self.lacks(chat, id)? || self.looks_for(chat, id)?) {
                page.push(id);
            }
        }
        if page.is_empty() {
            return Ok(());
        }
        self.mem.wanted.extend(&page);
        if let Some(talk) = self.mem.talks.get_mut(&at) {
            talk.asked.extend(&page);
        }
        self.whisper(device, &Record::Wanted(chat, page))
    }

    /// A part of the answer to what was asked for.
    pub(super) fn given_came(&mut self, heard: &Heard, given: Given) -> Step {
        let (chat, device) = (given.chat, heard.device.device);
        if given.stubs.len() > MAX_STUBS_TOLD {
            return self.note_offence(device, Offence::Malformed);
        }
        let mut false_offers = 0;
        if let Some(group) = self.group_of(chat)? {
            if !self.is_or_was_member_device(group, device)? {
                return Ok(());
            }
            for bytes in &given.events {
                let Ok(event) = GroupEvent::parse(bytes) else { continue };
                self.no_more_asked(chat, device, event.id());
                let sought = self.was_sought(chat, event.id());
                if self.group_event_came(group, bytes)?
                    && !sought
                    && let Some(talk) = self.mem.talks.get_mut(&(device, chat))
                {
                    talk.brought = true;
                }
            }
            for bytes in &given.stubs {
                // Only what it was asked for: a stub says of a message that others may hold that it is gone.
                let Some(stub) = Stub::parse(bytes).ok().filter(|stub| self.no_more_asked(chat, device, stub.id()))
                else {
                    continue;
                };
                match self.stub_came(group, &heard.device, stub)? {
                    Stubbed::Placed => {
                        if let Some(talk) = self.mem.talks.get_mut(&(device, chat)) {
                            talk.brought = true;
                        }
                    }
                    Stubbed::Nothing => {}
                    Stubbed::Forged => false_offers += 1,
                }
            }
        }
        for id in given.lacking.iter().take(MAX_WISHES_TOLD) {
            if !self.no_more_asked(chat, device, *id) {
                continue;
            }
            let was_offered = !self.looks_for(chat, *id)? && !self.was_sought(chat, *id);
            false_offers += u32::from(was_offered);
            self.body_is_not_at(chat, *id, &heard.device)?;
        }
        if let Some(talk) = self.mem.talks.get_mut(&(device, chat)) {
            talk.heard = self.now;
            if !given.events.is_empty() || !given.lacking.is_empty() || !given.stubs.is_empty() {
                talk.tries = 0;
            }
            if given.last {
                self.take_rest(chat, device)?;
            }
        }
        if false_offers > 0 && self.group_of(chat)?.is_some() {
            self.note_offence(device, Offence::FalseOffers(false_offers))?;
        }
        Ok(())
    }

    /// An answer is at its end. What it did not hold is asked for again: at once where it held something.
    fn take_rest(&mut self, chat: ChatId, device: DeviceId) -> Step {
        let is_group = self.group_of(chat)?.is_some();
        let Some(talk) = self.mem.talks.get_mut(&(device, chat)) else { return Ok(()) };
        let rest = std::mem::take(&mut talk.asked);
        let stays_out = talk.tries > 0 && !rest.is_empty();
        rest.iter().for_each(|id| {
            self.mem.wanted.remove(id);
        });
        // In a 1-on-1 chat it comes by itself, in envelopes of its own.
        if is_group {
            rest.into_iter().rev().for_each(|id| talk.wishes.push_front(id));
        }
        if stays_out { Ok(()) } else { self.go_on(chat, device) }
    }

    /// Whether it was asked of this device.
    fn no_more_asked(&mut self, chat: ChatId, device: DeviceId, id: EventId) -> bool {
        let Some(talk) = self.mem.talks.get_mut(&(device, chat)) else { return false };
        talk.asked.remove(&id) && self.mem.wanted.remove(&id)
    }

    /// The regular look at what is under way: what was not answered is said again, or given up.
    pub(super) fn look_over_talks(&mut self) -> Step {
        self.mem.talks_watched = false;
        let late = self.mem.talks.iter().filter(|(_, talk)| self.now.since(talk.heard) >= talk.wait());
        for (device, chat) in late.map(|(at, _)| *at).collect::<Vec<_>>() {
            self.say_again(chat, device)?;
        }
        self.watch_talks();
        Ok(())
    }

    fn say_again(&mut self, chat: ChatId, device: DeviceId) -> Step {
        let Some(talk) = self.mem.talks.get_mut(&(device, chat)) else { return Ok(()) };
        (talk.tries, talk.heard) = (talk.tries + 1, self.now);
        let asked = std::mem::take(&mut talk.asked);
        asked.iter().for_each(|id| {
            self.mem.wanted.remove(id);
        });
        if talk.tries > MAX_TRIES {
            self.end_talk(chat, device);
            return if asked.is_empty() { Ok(()) } else { self.note_offence(device, Offence::Silent) };
        }
        asked.into_iter().rev().for_each(|id| talk.wishes.push_front(id));
        if talk.is_idle() && talk.message.is_none() {
            // The message or its answer was lost: from the beginning, which costs little where most is settled.
            let tries = talk.tries;
            self.end_talk(chat, device);
            self.compare(chat, device)?;
            if let Some(talk) = self.mem.talks.get_mut(&(device, chat)) {
                talk.tries = tries;
            }
            return Ok(());
        }
        self.go_on(chat, device)
    }

    fn end_talk(&mut self, chat: ChatId, device: DeviceId) {
        let Some(talk) = self.mem.talks.remove(&(device, chat)) else { return };
        for id in talk.asked {
            self.mem.wanted.remove(&id);
        }
        // What one lacked others may lack, who are connected to this device alone.
        if talk.brought {
            self.ask_missing(OpId(chat.0), None);
        }
    }

    /// A device is gone, and its talks with it.
    pub(super) fn end_talks(&mut self, device: DeviceId) {
        let of_device: Vec<ChatId> = self
            .mem
            .talks
            .range((device, ChatId([0; 32]))..=(device, ChatId([255; 32])))
            .map(|((_, chat), _)| *chat)
            .collect();
        for chat in of_device {
            self.end_talk(chat, device);
        }
        self.mem.compare_after.retain(|(_, with)| *with != device);
    }

    fn watch_talks(&mut self) {
        if !self.mem.talks.is_empty() && !std::mem::replace(&mut self.mem.talks_watched, true) {
            self.mem.timers.insert((self.now.plus(LOOK_EVERY), Timer::Talks));
        }
    }

    /// A device that is connected and behaves.
    fn partner(&mut self, device: DeviceId) -> Step<Option<DeviceRow>> {
        #[cfg(any(test, feature = "sim"))]
        if self.mem.never_compares {
            return Ok(None);
        }
        let row = self.read::<DeviceRow>(&DeviceRow::key(device))?;
        let is_there = |row: &DeviceRow| self.mem.peers.contains_key(&row.transport);
        Ok(row.filter(is_there).filter(|_| !self.is_shunned(device)))
    }

    /// Whether a conversation is compared with a device: a connected contact's, or a current member's.
    pub(super) fn may_compare(&mut self, chat: ChatId, device: &DeviceRow) -> Step<bool> {
        match self.chat(chat)?.map(|row| row.kind) {
            Some(ChatKind::Direct(account)) => Ok(account == device.account
                && self.contact(account)?.is_some_and(|contact| {
                    contact.state == ContactState::Connected
                        && !contact.blocked
                        && contact.devices.contains(&device.device)
                })),
            Some(ChatKind::Group(group)) => {
                let joined = self.read::<GroupRow>(&GroupRow::key(group))?.map(|row| row.state);
                Ok(joined == Some(GroupState::Joined) && self.is_member_device(group, device.device)?)
            }
            Some(ChatKind::Own) | None => Ok(false),
        }
    }

    /// The group whose conversation this is.
    pub(super) fn group_of(&self, chat: ChatId) -> Step<Option<OpId>> {
        Ok(match self.chat(chat)?.map(|row| row.kind) {
            Some(ChatKind::Group(group)) => Some(group),
            _ => None,
        })
    }

    /// Something here follows these, which are not here: members are asked for them by id, unless they come by themselves.
    pub(super) fn seek(&mut self, group: OpId, ids: &[EventId]) -> Step {
        for id in ids {
            let given_up = self.mem.given_up.get(&group).is_some_and(|given_up| given_up.contains(id));
            if given_up || !self.lacks(ChatId::from(group), *id)? {
                continue;
            }
            let sought = self.mem.sought.entry(group).or_default();
            if sought.len() < MAX_SOUGHT {
                sought.entry(*id).or_default();
                self.ask_soon(group);
            }
        }
        Ok(())
    }

    fn was_sought(&self, chat: ChatId, id: EventId) -> bool {
        self.mem.sought.get(&OpId(chat.0)).is_some_and(|sought| sought.contains_key(&id))
    }

    /// Asks a member for what is still sought. Who is asked is drawn anew each time.
    pub(super) fn ask_for_sought(&mut self, group: OpId, there: &[DeviceId]) -> Step {
        let chat = ChatId::from(group);
        let mut sought = self.mem.sought.remove(&group).unwrap_or_default();
        let mut ids = Vec::new();
        for id in sought.keys().copied().collect::<Vec<_>>() {
            if self.lacks(chat, id)? { ids.push(id) } else { sought.remove(&id).map_or((), drop) }
        }
        let Some(device) = there.get(self.rng.next_u64() as usize % there.len().max(1)).copied() else { return Ok(()) };
        for id in &ids {
            let Some(of) = sought.get_mut(id) else { continue };
            of.asked += 1;
            if of.asked > MAX_ASKED_FOR {
                sought.remove(id);
                let given_up = self.mem.given_up.entry(group).or_default();
                if given_up.len() >= MAX_GIVEN_UP {
                    given_up.pop_first();
                }
                given_up.insert(*id);
            }
        }
        let wishes: Vec<EventId> = sought.keys().copied().collect();
        if wishes.is_empty() {
            return Ok(());
        }
        self.mem.sought.insert(group, sought);
        self.ask_soon(group);
        if self.partner(device)?.is_none() {
            return Ok(());
        }
        let talk = self.mem.talks.entry((device, chat)).or_insert_with(|| Talk::new(self.now));
        if talk.is_idle() {
            talk.wishes.extend(wishes);
            self.watch_talks();
            self.ask_for_wishes(chat, device)?;
        }
        Ok(())
    }

    /// A contact's device is connected: after a while the chat is compared, by the one whose device is the lesser.
    pub(super) fn meet_contact(&mut self, device: &DeviceRow) -> Step {
        let own = self.own()?;
        let chat = ChatId::direct(own.account, device.account);
        if own.device < device.device && self.may_compare(chat, device)? {
            let at = self.now.plus(DIRECT_AFTER + self.jitter(DIRECT_AFTER));
            self.mem.timers.insert((at, Timer::CompareDirect(device.device)));
        }
        Ok(())
    }

    /// The time has come, unless something still waits in the outbox.
    pub(super) fn compare_direct(&mut self, device: DeviceId) -> Step {
        let Some(row) = self.partner(device)? else { return Ok(()) };
        if self.has_parcels(device)? {
            return self.meet_contact(&row);
        }
        let own = self.own()?.account;
        self.compare(ChatId::direct(own, row.account), device)
    }
}

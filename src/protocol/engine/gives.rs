//! What a device is given that asks for events by id: of a group the original bytes, of a 1-on-1 chat a place in its
//! outbox.

use super::{
    record::{Given, Record},
    rows::{AuthorRow, DeviceRow, EventRow, OutboxRow, RawRow, ReceiptRow, Row, parse},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    group::{GroupEvent, Stub},
    ids::{ChatId, DeviceId, EventId, OpId},
    view::{Direction, View},
    wire::{
        encode,
        limits::{MAX_BYTES_PER_ANSWER, MAX_STUBS_TOLD, MAX_WISHES_TOLD},
    },
};
use minicbor::bytes::ByteVec;

/// Bytes of events in one record.
const EVENTS_PER_RECORD: usize = 50 * 1024;

impl Turn<'_> {
    /// A device asks for events by id.
    pub(super) fn wanted_came(&mut self, heard: &Heard, chat: ChatId, ids: &[EventId]) -> Step {
        let device = &heard.device;
        if self.is_shunned(device.device) || !self.may_compare(chat, device)? {
            return Ok(());
        }
        if ids.len() > MAX_WISHES_TOLD || !self.may_ask(device.device, ids.len())? {
            return Ok(());
        }
        match self.group_of(chat)? {
            Some(group) => self.give_group_events(group, device, ids),
            None => self.say_again_what_is_lost(chat, device, ids),
        }
    }

    fn give_group_events(&mut self, group: OpId, device: &DeviceRow, ids: &[EventId]) -> Step {
        let chat = ChatId::from(group);
        let most = self.bytes_left(device.device).min(MAX_BYTES_PER_ANSWER);
        let (mut events, mut lacking, mut size) = (Vec::new(), Vec::new(), 0);
        for id in ids {
            match self.event_for(group, device, *id)? {
                // More than may be given now: it is asked for again.
                Some((_, had)) if size + had.bytes().len() > most => break,
                Some((place, had)) => {
                    size += had.bytes().len();
                    events.push((place, had));
                }
                None => lacking.push(*id),
            }
        }
        self.take_bytes(device.device, size);
        if size > 0 {
            self.talk_was_of_use(chat, device.device);
        }
        // In their order, so that little has to move where they arrive.
        events.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut pages = given_pages(chat, events.into_iter().map(|(_, had)| had));
        let rest = pages.pop().unwrap_or_else(|| Given::nothing(chat));
        for given in pages {
            self.whisper(device.device, &Record::Given(given))?;
        }
        // Of a full page and of many ids each fits a record, both might not.
        if rest.size() + 34 * lacking.len() > EVENTS_PER_RECORD {
            self.whisper(device.device, &Record::Given(rest))?;
            let end = Given { lacking, last: true, ..Given::nothing(chat) };
            return self.whisper(device.device, &Record::Given(end));
        }
        self.whisper(device.device, &Record::Given(Given { lacking, last: true, ..rest }))
    }

    /// Place and bytes of what is here of an event of a group that is in a member's scope.
    fn event_for(&mut self, group: OpId, device: &DeviceRow, id: EventId) -> Step<Option<(Vec<u8>, Had)>> {
        let memory = self.group(group)?;
        let Some(member) = memory.membership.members.get(&device.account) else { return Ok(None) };
        let Some(event) = self.event(id)?.filter(|event| event.chat == ChatId::from(group)) else { return Ok(None) };
        let had = match event.stub() {
            Some(stub) => Had::Stub(stub.to_vec()),
            None => match self.read(&RawRow::key(id))? {
                Some(RawRow(bytes)) => Had::Event(bytes),
                None => return Ok(None),
            },
        };
        if !had.heads().is_some_and(|heads| memory.graph.knows(member, &heads)) {
            return Ok(None);
        }
        if event.unsent {
            self.note_sent(event.id)?;
        }
        Ok(Some((event.place, had)))
    }

    /// Own events of a 1-on-1 chat that the other confirmed once and has no more: they go back into its outbox, and are
    /// not delivered any more until it confirms them again. What it never confirmed is there already, or was not for it.
    fn say_again_what_is_lost(&mut self, chat: ChatId, device: &DeviceRow, ids: &[EventId]) -> Step {
        let own = self.own()?;
        for author in own.authors() {
            let Some(side) = own.side_of(author) else { continue };
            let key = ReceiptRow::key(chat, side, device.device);
            let Some(mut row) = self.read::<ReceiptRow>(&key)? else { continue };
            let mut held = row.numbers()?;
            for id in ids {
                let Some(mut event) = self.event(*id)?.filter(|event| event.chat == chat && event.device == author)
                else {
                    continue;
                };
                let waits = event.outbox.iter().any(|(to, _)| *to == device.device);
                if event.is_erased() || waits || !held.remove(event.no) {
                    continue;
                }
                let place = self.post_event(device.device, chat, *id)?;
                event.outbox.push((device.device, place));
                self.put(EventRow::key(*id), &event);
            }
            row.held = encode(&held);
            row.read = row.read.min(held.through());
            self.put(key, &row);
        }
        self.whisper(device.device, &Record::Given(Given { last: true, ..Given::nothing(chat) }))?;
        self.pump(device.device)
    }

    /// The numbers and ids of what a device wrote in a conversation, as far as it is here.
    pub(super) fn written_by(&self, chat: ChatId, author: DeviceId) -> Step<Vec<(u64, EventId)>> {
        let rows =
            self.scan(AuthorRow::TABLE, &AuthorRow::scope(chat, author), None, Direction::Forward, usize::MAX)?;
        rows.iter().map(|(place, bytes)| Ok((AuthorRow::number(place)?, parse::<AuthorRow>(bytes)?.0))).collect()
    }

    /// Whether anything waits in a device's outbox.
    pub(super) fn has_parcels(&self, device: DeviceId) -> Step<bool> {
        Ok(!self.scan(OutboxRow::TABLE, device.as_ref(), None, Direction::Forward, 1)?.is_empty())
    }

    /// What this device said in a group for a member's device that has not confirmed it.
    pub(super) fn unconfirmed_events(
        &mut self,
        group: OpId,
        device: DeviceId,
        which: impl Fn(&GroupEvent) -> bool,
    ) -> Step<Vec<Record>> {
        let memory = self.group(group)?;
        let Some(member) = memory.membership.members.values().find(|member| member.devices.contains(&device)) else {
            return Ok(Vec::new());
        };
        let chat = ChatId::from(group);
        let mut events = Vec::new();
        for author in self.own()?.authors() {
            for (no, id) in self.written_by(chat, author)? {
                if self.was_delivered(chat, device, (author, no))? {
                    continue;
                }
                let Some(RawRow(bytes)) = self.read(&RawRow::key(id))? else { continue };
                let is_meant = |event: &GroupEvent| memory.graph.knows(member, &event.heads) && which(event);
                if GroupEvent::parse(&bytes).is_ok_and(|event| is_meant(&event)) {
                    self.note_sent(id)?;
                    events.push(bytes);
                }
            }
        }
        Ok(pages(events.into_iter()).into_iter().map(|page| Record::Events(group, page)).collect())
    }
}

/// What is here of an event.
enum Had {
    /// Its original bytes.
    Event(Vec<u8>),
    /// What is signed of it.
    Stub(Vec<u8>),
}

impl Had {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Event(bytes) | Self::Stub(bytes) => bytes,
        }
    }

    /// The membership heads that it names.
    fn heads(&self) -> Option<Vec<OpId>> {
        match self {
            Self::Event(bytes) => GroupEvent::parse(bytes).ok().map(|event| event.heads.clone()),
            Self::Stub(bytes) => Stub::parse(bytes).ok().map(|stub| stub.header().heads.clone()),
        }
    }
}

impl Given {
    /// An answer, or a part of one, that gives nothing.
    pub(super) fn nothing(chat: ChatId) -> Self {
        Self { chat, events: vec![], lacking: vec![], last: false, stubs: vec![] }
    }

    /// Bytes of events and stubs in it.
    fn size(&self) -> usize {
        self.events.iter().chain(&self.stubs).map(|bytes| bytes.len()).sum()
    }
}

/// Events and stubs in pages that each fit a record.
fn given_pages(chat: ChatId, had: impl Iterator<Item = Had>) -> Vec<Given> {
    let mut pages: Vec<Given> = Vec::new();
    for had in had {
        let fits =
            |page: &Given| page.size() + had.bytes().len() <= EVENTS_PER_RECORD && page.stubs.len() < MAX_STUBS_TOLD;
        if !pages.last().is_some_and(fits) {
            pages.push(Given::nothing(chat));
        }
        let Some(page) = pages.last_mut() else { continue };
        match had {
            Had::Event(bytes) => page.events.push(bytes.into()),
            Had::Stub(bytes) => page.stubs.push(bytes.into()),
        }
    }
    pages
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

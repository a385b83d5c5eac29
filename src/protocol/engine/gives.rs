//! What a device is given that asks for events by id: of a group the original bytes, of a 1-on-1 chat a place in its
//! outbox.

use super::{
    record::{Given, Record},
    rows::{AuthorRow, DeviceRow, EventRow, OutboxRow, RawRow, ReceiptRow, Row, Side, parse},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    group::GroupEvent,
    ids::{ChatId, DeviceId, EventId, OpId},
    view::{Direction, View, ViewError},
    wire::{
        encode,
        limits::{MAX_BYTES_PER_ANSWER, MAX_WISHES_TOLD},
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
                Some((_, bytes)) if size + bytes.len() > most => break,
                Some((place, bytes)) => {
                    size += bytes.len();
                    events.push((place, bytes));
                }
                None => lacking.push(*id),
            }
        }
        self.take_bytes(device.device, size);
        if size > 0 {
            self.talk_was_of_use(chat, device.device);
        }
        // In their order, so that little has to move where they arrive.
        events.sort();
        let mut pages = pages(events.into_iter().map(|(_, bytes)| bytes));
        let rest = pages.pop().unwrap_or_default();
        for events in pages {
            let given = Given { chat, events, lacking: Vec::new(), last: false };
            self.whisper(device.device, &Record::Given(given))?;
        }
        // Of a full page and of many ids each fits a record, both might not.
        let rest_size: usize = rest.iter().map(|bytes| bytes.len()).sum();
        if rest_size + 34 * lacking.len() > EVENTS_PER_RECORD {
            let given = Given { chat, events: rest, lacking: Vec::new(), last: false };
            self.whisper(device.device, &Record::Given(given))?;
            return self.whisper(device.device, &Record::Given(Given { chat, events: vec![], lacking, last: true }));
        }
        self.whisper(device.device, &Record::Given(Given { chat, events: rest, lacking, last: true }))
    }

    /// Place and bytes of an event of a group that is in a member's scope.
    fn event_for(&mut self, group: OpId, device: &DeviceRow, id: EventId) -> Step<Option<(Vec<u8>, Vec<u8>)>> {
        let memory = self.group(group)?;
        let Some(member) = memory.membership.members.get(&device.account) else { return Ok(None) };
        let Some(EventRow { chat, place, .. }) = self.event(id)? else { return Ok(None) };
        let Some(RawRow(bytes)) = self.read(&RawRow::key(id))? else { return Ok(None) };
        let in_scope = chat == ChatId::from(group)
            && GroupEvent::parse(&bytes).is_ok_and(|event| memory.graph.within(&member.joined, &event.heads));
        Ok(in_scope.then_some((place, bytes)))
    }

    /// Own events of a 1-on-1 chat that the other confirmed once and has no more: they go back into its outbox, and are
    /// not delivered any more until it confirms them again. What it never confirmed is there already, or was not for it.
    fn say_again_what_is_lost(&mut self, chat: ChatId, device: &DeviceRow, ids: &[EventId]) -> Step {
        let own = self.own()?.device;
        let key = ReceiptRow::key(chat, Side::Theirs, device.device);
        let Some(mut row) = self.read::<ReceiptRow>(&key)? else { return Ok(()) };
        let mut held = row.numbers()?;
        for id in ids {
            let Some(event) = self.event(*id)?.filter(|event| event.chat == chat && event.device == own) else {
                continue;
            };
            if event.is_erased() {
                continue;
            }
            let waits = event.outbox.iter().any(|(to, _)| *to == device.device);
            if waits || !held.remove(event.no) {
                continue;
            }
            let place = self.post_event(device.device, chat, *id)?;
            let mut event = event;
            event.outbox.push((device.device, place));
            self.put(EventRow::key(*id), &event);
        }
        row.held = encode(&held);
        row.read = row.read.min(held.through());
        self.put(key, &row);
        self.whisper(device.device, &Record::Given(Given { chat, events: vec![], lacking: vec![], last: true }))?;
        self.pump(device.device)
    }

    /// The numbers and ids of what a device wrote in a conversation, as far as it is here.
    pub(super) fn written_by(&self, chat: ChatId, author: DeviceId) -> Step<Vec<(u64, EventId)>> {
        let rows =
            self.scan(AuthorRow::TABLE, &AuthorRow::scope(chat, author), None, Direction::Forward, usize::MAX)?;
        let number = |place: Vec<u8>| place.try_into().map(u64::from_be_bytes);
        let damaged = ViewError::Damaged(AuthorRow::TABLE);
        rows.into_iter()
            .map(|(place, bytes)| Ok((number(place).map_err(|_| damaged.clone())?, parse::<AuthorRow>(&bytes)?.0)))
            .collect()
    }

    /// Whether anything waits in a device's outbox.
    pub(super) fn has_parcels(&self, device: DeviceId) -> Step<bool> {
        Ok(!self.scan(OutboxRow::TABLE, device.as_ref(), None, Direction::Forward, 1)?.is_empty())
    }

    /// What this device said in a group for a member's device that has not confirmed it.
    pub(super) fn unconfirmed_events(&mut self, group: OpId, device: DeviceId) -> Step<Vec<Record>> {
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
                if GroupEvent::parse(&bytes).is_ok_and(|event| memory.graph.within(&member.joined, &event.heads)) {
                    events.push(bytes);
                }
            }
        }
        Ok(pages(events.into_iter()).into_iter().map(|page| Record::Events(group, page)).collect())
    }
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

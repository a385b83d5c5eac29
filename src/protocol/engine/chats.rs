//! Conversations: saying something, taking in what others said, reading.

use super::{
    command::{ReadReceipts, Refusal, Reply},
    feed::FeedEntry,
    rows::{
        AuthorRow, ChatKind, ChatRow, Class, ContactState, DeviceRow, EventRow, FollowerRow, RawRow, ReceiptRow, Row,
        Side, TimelineRow, all,
    },
    sessions::Heard,
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    crypto::secret::Secret,
    event::{
        Content, ContentError, DirectEvent, DirectFields, Heads, Place, Timeline, signed_clock,
        timeline::{self, Known},
    },
    ids::{AccountId, ChatId, DeviceId, EventId, OpId},
    sync::Spot,
    time::Millis,
    view::{Direction, View, ViewError},
    wire::{decode, encode},
};

/// Lines that are counted through for a number of unread messages: some ten milliseconds.
const COUNTED: usize = 2_048;

/// An event that is to stand in a conversation.
pub(super) struct NewEvent {
    pub(super) chat: ChatId,
    pub(super) id: EventId,
    pub(super) author: AccountId,
    pub(super) device: DeviceId,
    pub(super) no: u64,
    pub(super) clock: Millis,
    pub(super) follows: Vec<EventId>,
    pub(super) content: Content,
    pub(super) key: Option<Secret>,
    pub(super) raw: Vec<u8>,
    /// Of a group's event, the membership heads that it names.
    pub(super) heads: Vec<OpId>,
}

/// Where the next own event of a conversation stands.
pub(super) struct NextEvent {
    pub(super) no: u64,
    pub(super) previous: Option<EventId>,
    pub(super) deps: Vec<EventId>,
    pub(super) clock: Millis,
}

impl Turn<'_> {
    pub(super) fn say(&mut self, chat: ChatId, text: &str, reply_to: Option<EventId>) -> Answer {
        let content = Content::passing_text(text, reply_to, self.timer_of(chat)?).map_err(|error| match error {
            ContentError::Empty => Refusal::EmptyText,
            ContentError::TooLong(bytes) => {
                Refusal::TextTooLong { bytes, max: crate::protocol::wire::limits::MAX_TEXT }
            }
        })?;
        let row = self.chat(chat)?.ok_or(Refusal::NoSuchChat)?;
        if let Some(answered) = reply_to
            && self.event(answered)?.is_none_or(|event| event.chat != chat)
        {
            return Err(Refusal::NoSuchMessage.into());
        }
        let id = match row.kind {
            ChatKind::Own => self.say_direct(chat, content, &[])?,
            ChatKind::Direct(account) => {
                let contact = self.contact(account)?.ok_or(Refusal::NoSuchContact)?;
                if contact.blocked {
                    return Err(Refusal::Blocked { account }.into());
                }
                match contact.state {
                    ContactState::Connected => self.say_direct(chat, content, &contact.devices)?,
                    // Saved now; it goes out when the other accepts.
                    ContactState::Pending | ContactState::Requested => self.say_direct(chat, content, &[])?,
                    ContactState::Incoming => return Err(Refusal::NotConnected { account }.into()),
                    ContactState::Removed | ContactState::Stranger => {
                        return Err(Refusal::ContactEnded { account }.into());
                    }
                }
            }
            ChatKind::Group(group) => self.say_in_group(group, content)?,
        };
        Ok(Reply::Sent { id, chat })
    }

    fn say_direct(&mut self, chat: ChatId, content: Content, to: &[DeviceId]) -> Step<EventId> {
        let own = self.own()?;
        let NextEvent { no, previous, deps, clock } = self.next_event(chat)?;
        let fields = DirectFields {
            chat,
            account: own.account,
            device: own.device,
            no,
            previous,
            deps,
            clock,
            content: content.clone(),
        };
        let event = DirectEvent::new(fields).map_err(|_| ViewError::Damaged(ChatRow::TABLE))?;
        let id = event.id();
        self.place(NewEvent {
            chat,
            id,
            author: own.account,
            device: own.device,
            no,
            clock,
            follows: event.follows(),
            content,
            key: None,
            raw: event.bytes().to_vec(),
            heads: Vec::new(),
        })?;
        for device in to {
            let place = self.post_event(*device, chat, id)?;
            if let Some(mut row) = self.event(id)? {
                row.outbox.push((*device, place));
                self.put(EventRow::key(id), &row);
            }
            self.pump(*device)?;
        }
        Ok(id)
    }

    /// Where the next own event of a conversation stands, counting it as written.
    pub(super) fn next_event(&mut self, chat: ChatId) -> Step<NextEvent> {
        let mut row = self.chat(chat)?.ok_or(ViewError::Damaged(ChatRow::TABLE))?;
        let deps = row.parsed_heads()?.choose(self)?;
        let mut clocks = Vec::new();
        for dep in &deps {
            clocks.extend(self.event(*dep)?.map(|event| event.clock));
        }
        row.written += 1;
        self.put(ChatRow::key(chat), &row);
        Ok(NextEvent { no: row.written, previous: row.previous, deps, clock: signed_clock(self.now, clocks) })
    }

    /// "This was said": an event of a 1-on-1 chat.
    pub(super) fn event_came(&mut self, heard: &Heard, bytes: &[u8]) -> Step {
        let Ok(event) = DirectEvent::parse(bytes) else { return Ok(()) };
        let own = self.own()?;
        let (account, device) = (heard.device.account, heard.device.device);
        if event.account != account || event.chat != ChatId::direct(own.account, account) {
            return Ok(());
        }
        let is_late = self.is_late(heard)?;
        let may_speak = is_late || self.speaking_contact(heard)?.is_some();
        if !may_speak || !self.speaks_for(&heard.device, event.device)? {
            return Ok(());
        }
        if self.event(event.id())?.is_none() && !self.is_told_otherwise(device, &event)? {
            self.place(NewEvent {
                chat: event.chat,
                id: event.id(),
                author: account,
                device: event.device,
                no: event.no,
                clock: event.clock,
                follows: event.follows(),
                content: event.content.clone(),
                key: None,
                raw: Vec::new(),
                heads: Vec::new(),
            })?;
        }
        self.note_held(event.chat, account, event.device, event.no)?;
        if self.event(event.id())?.is_some() {
            self.note_void(&event)?;
        }
        self.owe_contact(event.chat, account, event.device)
    }

    /// Whether a device brings what another of its account wrote, of which another event is here under the same number. What
    /// its author said itself stays.
    fn is_told_otherwise(&self, by: DeviceId, event: &DirectEvent) -> Step<bool> {
        let held = self.read::<AuthorRow>(&AuthorRow::key(event.chat, event.device, event.no))?;
        Ok(event.device != by && held.is_some())
    }

    /// Puts a new event into its conversation, where the order says, and moves what the order moves.
    pub(super) fn place(&mut self, new: NewEvent) -> Step {
        let own = self.own()?.account == new.author;
        let author = new.heads.is_empty().then_some(new.device);
        let spot = Spot { clock: new.clock, id: new.id };
        let mut was_here = false;
        let place = match self.event(new.id)? {
            Some(row) if row.is_unseen() => row.place,
            Some(_) => return Ok(()),
            None => {
                // What could not be read any more, and comes again, was counted before.
                let held: Option<AuthorRow> = self.read(&AuthorRow::key(new.chat, new.device, new.no))?;
                was_here = held.is_some_and(|AuthorRow(id)| id == new.id);
                self.take_place(new.chat, spot, &new.follows, Class { author, heads: new.heads })?
            }
        };
        let shown = new.content.is_shown() && (own || !self.is_blocked(new.author)?);
        let mut chat = self.chat(new.chat)?.ok_or(ViewError::Damaged(ChatRow::TABLE))?;
        let row = EventRow {
            chat: new.chat,
            id: new.id,
            author: new.author,
            device: new.device,
            no: new.no,
            clock: new.clock,
            arrived: self.now,
            deps: new.follows.clone(),
            place: place.clone(),
            content: new.content.to_bytes(),
            own,
            outbox: Vec::new(),
            key: new.key,
            ends: self.ends_of(&new.content, own),
            kept: None,
            unsent: false,
        };
        self.put(EventRow::key(new.id), &row);
        self.note_end(&row);
        if !new.raw.is_empty() {
            self.put_in(row.cell(), RawRow::key(new.id), &RawRow(new.raw));
        }
        self.number(&row)?;
        if row.device == self.own()?.device {
            chat.previous = Some(new.id);
            // It came back, and this store is older than it.
            if new.no > chat.written {
                chat.written = self.beyond(new.no);
            }
        }
        if shown {
            self.spare(&row)?;
            self.put(TimelineRow::key(new.chat, &place), &TimelineRow(new.id));
            chat.unread += u64::from(!own && !was_here);
            if chat.last.as_ref().is_none_or(|last| last.as_slice() < place.as_slice()) {
                chat.last = Some(place.into());
            }
        }
        self.put(ChatRow::key(new.chat), &chat);
        if shown {
            self.index_place(new.chat, &row.place)?;
        }
        self.push_followers(new.chat, &row.place)?;
        if shown { self.tell(&FeedEntry::Message { chat: new.chat, id: new.id }) } else { Ok(()) }
    }

    /// Takes an event that is new into the order of its conversation: its place. Its row is not put here; once it is, what
    /// follows it is to be pushed.
    pub(super) fn take_place(&mut self, chat: ChatId, spot: Spot, follows: &[EventId], class: Class) -> Step<Vec<u8>> {
        let damaged = ViewError::Damaged(EventRow::TABLE);
        let place = timeline::arrive(self, spot.id, spot.clock, follows)?.ok_or(damaged)?;
        let mut row = self.chat(chat)?.ok_or(ViewError::Damaged(ChatRow::TABLE))?;
        let mut heads = row.parsed_heads()?;
        heads.arrive(self, spot.id, follows)?;
        row.heads = encode(&heads);
        self.put(ChatRow::key(chat), &row);
        self.order_event(chat, spot, class)?;
        for followed in follows {
            self.put(FollowerRow::key(*followed, spot.id), &FollowerRow(spot.id));
        }
        Ok(place.to_key().to_vec())
    }

    /// Remembers which event stands under its author's number: the first that came.
    pub(super) fn number(&mut self, event: &EventRow) -> Step {
        let key = AuthorRow::key(event.chat, event.device, event.no);
        if self.read::<AuthorRow>(&key)?.is_none() {
            self.put(key, &AuthorRow(event.id));
        }
        Ok(())
    }

    pub(super) fn mark_read(&mut self, chat: ChatId, up_to: Option<EventId>) -> Answer {
        let mut row = self.chat(chat)?.ok_or(Refusal::NoSuchChat)?;
        let to = match up_to {
            Some(id) => {
                let event = self.event(id)?.filter(|event| event.chat == chat).ok_or(Refusal::NoSuchMessage)?;
                Some(event.place)
            }
            None => row.last.as_ref().map(|last| last.to_vec()),
        };
        let Some(to) = to else { return Ok(Reply::Done) };
        let before = row.read.as_ref().map(|read| read.to_vec());
        let is_behind = before.as_ref().is_some_and(|read| *read > to);
        if row.unread == 0 && before.as_ref().is_some_and(|read| *read >= to) {
            return Ok(Reply::Done);
        }
        // What came late stands before what was read: how much of it is behind this place is not counted.
        if !is_behind {
            row.unread = self.unread_after(&row, &to)?;
            row.read = Some(to.clone().into());
        }
        self.put(ChatRow::key(chat), &row);
        self.begin_to_end(chat, &to)?;
        self.tell_read(&row, &to)?;
        Ok(Reply::Done)
    }

    /// Lets authors know how far they were read, where all up to a place was.
    fn tell_read(&mut self, row: &ChatRow, to: &[u8]) -> Step {
        // While events are on their way no place tells what stands before it; but all that is here is all.
        let is_moving = self.is_being_pushed(row.chat)?;
        if is_moving && row.last.as_ref().is_some_and(|last| last.as_slice() > to) {
            return Ok(());
        }
        for receipts in all::<ReceiptRow>(self, ReceiptRow::scope(row.chat, Side::Ours))? {
            let highest = match is_moving {
                true => receipts.numbers()?.greatest(),
                false => self.last_up_to(row.chat, receipts.device, to)?,
            };
            if let Some(highest) = highest {
                self.note_read(row, receipts.device, highest)?;
            }
        }
        Ok(())
    }

    /// From now on others learn what is read in this chat, or do not. What they know already they go on knowing.
    pub(super) fn read_receipts(&mut self, chat: ChatId, set: Option<ReadReceipts>) -> Answer {
        let mut row = self.chat(chat)?.ok_or(Refusal::NoSuchChat)?;
        if let Some(set) = set {
            row.tells_read = match set {
                ReadReceipts::On => Some(true),
                ReadReceipts::Off => Some(false),
                ReadReceipts::Default => None,
            };
            self.put(ChatRow::key(chat), &row);
        }
        let chosen = match row.tells_read {
            Some(true) => ReadReceipts::On,
            Some(false) => ReadReceipts::Off,
            None => ReadReceipts::Default,
        };
        Ok(Reply::ReadReceipts { chosen, told: row.tells_read.unwrap_or(self.settings.read_receipts) })
    }

    /// The last number of a device that stands up to a place. Numbers of a device stand in their order, so halving finds it.
    fn last_up_to(&self, chat: ChatId, device: DeviceId, to: &[u8]) -> Step<Option<u64>> {
        let (mut last, mut low, mut high) = (None, 0, u64::MAX);
        let mut middle = high;
        while low < high {
            match self.last_through(chat, device, middle)? {
                Some((no, place)) if place.as_slice() > to => high = no.min(middle),
                found => {
                    last = found.map(|(no, _)| no).or(last);
                    low = middle;
                }
            }
            if high - low.min(high) <= 1 {
                break;
            }
            middle = low + (high - low) / 2;
        }
        Ok(last)
    }

    /// The greatest number of a device's events that are here.
    pub(super) fn last_written(&self, chat: ChatId, device: DeviceId) -> Step<u64> {
        let rows = self.scan(AuthorRow::TABLE, &AuthorRow::scope(chat, device), None, Direction::Backward, 1)?;
        rows.first().map_or(Ok(0), |(no, _)| AuthorRow::number(no))
    }

    /// The greatest number of a device's events here up to `no`, and where that event stands. Those that cannot be read any
    /// more stand nowhere.
    fn last_through(&self, chat: ChatId, device: DeviceId, no: u64) -> Step<Option<(u64, Vec<u8>)>> {
        let mut last = no;
        while let Some((no, id)) = AuthorRow::within(self, (chat, device), (1, last), 1)?.first().copied() {
            if let Some(event) = self.event(id)? {
                return Ok(Some((no, event.place)));
            }
            last = no - 1;
        }
        Ok(None)
    }

    /// Messages of others that are unread once everything up to a place is read. Counted where that is little work; where
    /// very many are on both sides of the place it is what was counted before, less those counted up to it: never too few.
    fn unread_after(&self, row: &ChatRow, to: &[u8]) -> Step<u64> {
        let (after, ended) = self.others_between(row.chat, Some(to), None)?;
        if ended {
            return Ok(after);
        }
        let from = row.read.as_ref().map(|read| read.as_slice());
        let (upto, _) = self.others_between(row.chat, from, Some(to))?;
        Ok(row.unread.saturating_sub(upto).max(after))
    }

    /// How many messages of others stand after one place and up to another, and whether that was all of them.
    fn others_between(&self, chat: ChatId, after: Option<&[u8]>, up_to: Option<&[u8]>) -> Step<(u64, bool)> {
        let lines = self.places(TimelineRow::TABLE, chat.as_ref(), after, Direction::Forward, COUNTED)?;
        let (mut count, ended) = (0, lines.len() < COUNTED);
        for place in lines {
            if up_to.is_some_and(|end| place.as_slice() > end) {
                return Ok((count, true));
            }
            let Some(at) = Place::from_key(&place).filter(|_| after != Some(place.as_slice())) else { continue };
            count += match self.event(at.id) {
                Ok(event) => u64::from(event.is_some_and(|event| !event.own)),
                // What nobody can read nobody has to.
                Err(ViewError::Damaged(_)) => 0,
                Err(error) => return Err(error),
            };
        }
        Ok((count, ended))
    }

    fn note_read(&mut self, chat: &ChatRow, device: DeviceId, highest: u64) -> Step {
        let key = ReceiptRow::key(chat.chat, Side::Ours, device);
        let Some(mut row) = self.read::<ReceiptRow>(&key)? else { return Ok(()) };
        let told = self.told_of(&row).unwrap_or(0);
        let seen_before = row.seen(told)?;
        let tells = chat.tells_read.unwrap_or(self.settings.read_receipts);
        let mut seen = seen_before.clone();
        if tells {
            seen.merge(&row.numbers()?.up_to(highest));
        }
        if seen == seen_before && row.read >= highest {
            return Ok(());
        }
        row.read = row.read.max(highest);
        row.told = Some(if tells { told.max(highest) } else { row.told.unwrap_or(0) });
        row.seen = Some(encode(&seen).into());
        self.put(key, &row);
        if !tells {
            return Ok(());
        }
        match chat.kind {
            ChatKind::Group(group) => self.owe_author(group, row.account, device),
            _ => self.owe_contact(chat.chat, row.account, device),
        }
    }

    /// Whether a device confirmed an event of an own device.
    pub(super) fn was_delivered(&self, chat: ChatId, device: DeviceId, (author, no): (DeviceId, u64)) -> Step<bool> {
        let Some(side) = self.own()?.side_of(author) else { return Ok(false) };
        let row = self.read::<ReceiptRow>(&ReceiptRow::key(chat, side, device))?;
        Ok(row.map(|row| row.numbers()).transpose()?.is_some_and(|held| held.contains(no)))
    }

    /// Takes a chat's events, and what is left of a contact's control records, out of a device's outbox.
    pub(super) fn empty_outbox(&mut self, device: &DeviceRow, chat: ChatId) -> Step {
        self.unpost_events(device.device, chat)?;
        let is_in_common_group = !device.groups.is_empty();
        self.drop_controls(device.device, &|record| !(is_in_common_group && record.is_owed_to_members()))
    }

    pub(super) fn chat(&self, chat: ChatId) -> Step<Option<ChatRow>> {
        self.read(&ChatRow::key(chat))
    }

    pub(super) fn event(&self, id: EventId) -> Step<Option<EventRow>> {
        self.read(&EventRow::key(id))
    }

    /// Whether an event is here, or was: not where only its stub ever came.
    pub(super) fn is_here(&self, id: EventId) -> Step<bool> {
        Ok(self.event(id)?.is_some_and(|event| !event.is_unseen()))
    }
}

impl Timeline for Turn<'_> {
    type Error = ViewError;

    fn known(&self, id: &EventId) -> Result<Option<Known>, ViewError> {
        let Some(event) = self.event(*id)? else { return Ok(None) };
        Ok(Some(Known { effective: parsed_place(&event.place)?.effective, follows: event.deps }))
    }

    fn dependents(&self, id: &EventId) -> Result<Vec<EventId>, ViewError> {
        Ok(all::<FollowerRow>(self, id)?.into_iter().map(|row| row.0).collect())
    }
}

/// The place with this key, as a row holds it.
pub(super) fn parsed_place(key: &[u8]) -> Step<Place> {
    Place::from_key(key).ok_or(ViewError::Damaged(EventRow::TABLE))
}

impl ChatRow {
    pub(super) fn parsed_heads(&self) -> Step<Heads> {
        decode(&self.heads, "heads").map_err(|_| ViewError::Damaged(Self::TABLE))
    }
}

//! Messages that do not last: the timer of a conversation, when it begins to run, and what is left when it is over.
//!
//! A message carries its timer, so that it ends for everybody. It runs from sending for who wrote it and from reading for
//! who reads it. Until it runs the message is in the conversation's cell of what waits to be read, then in the cell of the
//! hour in which it ends. What is left is a stub: its place among what was said, without what was said.

use super::{
    Timer,
    command::{Refusal, Reply},
    rows::{
        ChatKind, ChatRow, Ends, EventRow, ExpiryRow, HOUR, RawRow, Row, TimelineRow, TimerRow, UNREAD_HOUR, all,
        hour_of, parse,
    },
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    event::Content,
    group::GroupEvent,
    ids::ChatId,
    time::{Millis, days},
    view::{Cell, Direction, Table, View, ViewError},
    wire::limits::{MAX_TIMER, MIN_TIMER},
};
use std::time::Duration;

/// Messages ended in one turn.
const ENDS_PER_TURN: usize = 64;
/// A message of one's own that is over but has not reached everybody is looked at again after this…
const UNDELIVERED_AGAIN: Duration = Duration::from_secs(3600);
/// …for no longer than a device can be away and still read what was sealed for it.
const UNDELIVERED_KEPT: Duration = days(28);
/// Others of one hour that are looked at to see whether a cell has become empty.
const LOOK_AT: usize = 1_024;

impl Turn<'_> {
    /// Sets how long messages last that are written here in a conversation; what was written stays as it is.
    pub(super) fn set_timer_of(&mut self, chat: ChatId, timer: Option<Duration>) -> Answer {
        self.chat(chat)?.ok_or(Refusal::NoSuchChat)?;
        let Some(timer) = timer else {
            self.delete(TimerRow::key(chat));
            return Ok(Reply::Done);
        };
        if !(MIN_TIMER..=MAX_TIMER).contains(&timer) {
            return Err(Refusal::BadTimer { least: MIN_TIMER, most: MAX_TIMER }.into());
        }
        self.put(TimerRow::key(chat), &TimerRow(timer.as_secs().try_into().unwrap_or(u32::MAX)));
        Ok(Reply::Done)
    }

    /// How long what is written here now lasts.
    pub(super) fn timer_of(&self, chat: ChatId) -> Step<Option<Duration>> {
        let row = self.read::<TimerRow>(&TimerRow::key(chat))?;
        Ok(row.map(|TimerRow(seconds)| Duration::from_secs(seconds.into())))
    }

    /// When a new event ends.
    pub(super) fn ends_of(&self, content: &Content, own: bool) -> Option<Ends> {
        let Content::Text(text) = content else { return None };
        let timer = text.timer()?;
        Some(if own {
            Ends::At(self.now.plus(timer))
        } else {
            Ends::AfterReading(timer.as_secs().try_into().unwrap_or(u32::MAX))
        })
    }

    /// Remembers when an event ends that has a time, and that one waits to be read.
    pub(super) fn note_end(&mut self, event: &EventRow) {
        let row = ExpiryRow { chat: event.chat, id: event.id };
        match event.ends {
            Some(Ends::At(at) | Ends::Over(at)) => {
                self.put(ExpiryRow::key(at, event.id), &row);
                self.wake_for_end(at);
            }
            Some(Ends::AfterReading(_)) => self.put(ExpiryRow::unread_key(event.chat, event.id), &row),
            Some(Ends::Erased(_) | Ends::Unseen(_)) | None => {}
        }
    }

    /// An event does not end in its time any more.
    pub(super) fn drop_end(&mut self, event: &EventRow) {
        match event.ends {
            Some(Ends::At(at) | Ends::Over(at)) => self.delete(ExpiryRow::key(at, event.id)),
            Some(Ends::AfterReading(_)) => self.delete(ExpiryRow::unread_key(event.chat, event.id)),
            Some(Ends::Erased(_) | Ends::Unseen(_)) | None => {}
        }
    }

    /// All up to this place is read now: timers run.
    pub(super) fn begin_to_end(&mut self, chat: ChatId, to: &[u8]) -> Step {
        let mut waiting = Vec::new();
        for row in all::<ExpiryRow>(self, chat)? {
            waiting.extend(self.event(row.id)?);
        }
        let (read, unread): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|event| event.place.as_slice() <= to);
        if read.is_empty() {
            return Ok(());
        }
        for event in read {
            let Some(Ends::AfterReading(seconds)) = event.ends else { continue };
            self.delete(ExpiryRow::unread_key(chat, event.id));
            let ends = Some(Ends::At(self.now.plus(Duration::from_secs(seconds.into()))));
            self.put_again(EventRow { ends, ..event })?;
        }
        // The key they were under until now goes, and those that wait on come under a new one.
        self.erase_cell(Cell::until(chat, UNREAD_HOUR));
        unread.into_iter().try_for_each(|event| self.put_again(event))
    }

    /// Puts an event and its original bytes into the cell they belong in now.
    pub(super) fn put_again(&mut self, event: EventRow) -> Step {
        if let Some(raw) = self.read::<RawRow>(&RawRow::key(event.id))? {
            self.put_in(event.cell(), RawRow::key(event.id), &raw);
        }
        self.put(EventRow::key(event.id), &event);
        self.note_end(&event);
        Ok(())
    }

    /// At the first input: when does the next message end?
    pub(super) fn look_for_ends(&mut self) -> Step {
        if !std::mem::replace(&mut self.mem.ends_known, true)
            && let Some(at) = self.next_end()?
        {
            self.wake_for_end(at);
        }
        Ok(())
    }

    fn next_end(&self) -> Step<Option<Millis>> {
        let first = self.scan(Table::Expiry, b"", None, Direction::Forward, 1)?;
        Ok(first.first().and_then(|(place, _)| ExpiryRow::time(place)))
    }

    fn wake_for_end(&mut self, at: Millis) {
        if self.mem.next_end.is_none_or(|next| next > at) {
            self.mem.next_end = Some(at);
            self.mem.timers.insert((at, Timer::End));
        }
    }

    /// The timer: what is over is erased.
    pub(super) fn end_due(&mut self) -> Step {
        self.mem.next_end = None;
        let due = self.scan(Table::Expiry, b"", None, Direction::Forward, ENDS_PER_TURN)?;
        for (place, bytes) in due {
            let Some(at) = ExpiryRow::time(&place).filter(|at| *at <= self.now) else { break };
            let row: ExpiryRow = parse(&bytes)?;
            self.delete(ExpiryRow::key(at, row.id));
            if let Some(event) = self.event(row.id)? {
                self.end_event(event, at)?;
            }
        }
        if let Some(at) = self.next_end()? {
            self.wake_for_end(at.max(self.now));
        }
        Ok(())
    }

    fn end_event(&mut self, event: EventRow, at: Millis) -> Step {
        let (chat, hour) = (event.chat, hour_of(at));
        if self.is_owed(&event)? && self.now.since(event.arrived) < UNDELIVERED_KEPT {
            let again = self.now.plus(UNDELIVERED_AGAIN);
            self.put_again(EventRow { ends: Some(Ends::Over(again)), ..event })?;
        } else {
            self.leave_stub(event)?;
        }
        // Whatever is kept is in another cell now.
        if !self.is_any_left(chat, at)? {
            self.erase_cell(Cell::until(chat, hour));
        }
        Ok(())
    }

    /// One that is over was confirmed: this device's duty may have ended.
    pub(super) fn end_if_over(&mut self, event: &EventRow) -> Step {
        let Some(Ends::Over(at)) = event.ends else { return Ok(()) };
        self.delete(ExpiryRow::key(at, event.id));
        self.put_again(EventRow { ends: Some(Ends::Over(self.now)), ..event.clone() })
    }

    /// Whether somebody is still to get an event from this device, which wrote it.
    pub(super) fn is_owed(&mut self, event: &EventRow) -> Step<bool> {
        if !event.outbox.is_empty() {
            return Ok(true);
        }
        let Some(ChatKind::Group(group)) = self.chat(event.chat)?.map(|row| row.kind) else { return Ok(false) };
        if !event.own || !self.is_joined(group)? {
            return Ok(false);
        }
        let Some(RawRow(bytes)) = self.read(&RawRow::key(event.id))? else { return Ok(false) };
        let memory = self.group(group)?;
        self.somebody_lacks(&memory, event, &bytes)
    }

    /// Whether other messages of a conversation end in the same hour.
    fn is_any_left(&self, chat: ChatId, at: Millis) -> Step<bool> {
        let from = ExpiryRow::place(Millis(hour_of(at).saturating_mul(HOUR)), &[0; 32]);
        let others = self.scan(Table::Expiry, b"", Some(&from), Direction::Forward, LOOK_AT)?;
        let full = others.len() == LOOK_AT;
        for (place, bytes) in others {
            if ExpiryRow::time(&place).is_none_or(|other| hour_of(other) != hour_of(at)) {
                return Ok(false);
            }
            if parse::<ExpiryRow>(&bytes)?.chat == chat {
                return Ok(true);
            }
        }
        Ok(full)
    }

    /// Takes what was said out of an event, and the event out of its conversation's lines.
    pub(super) fn leave_stub(&mut self, event: EventRow) -> Step {
        let raw = self.read::<RawRow>(&RawRow::key(event.id))?;
        let stub = raw.and_then(|RawRow(bytes)| GroupEvent::parse(&bytes).ok()).map(|event| event.stub().to_bytes());
        let (chat, place) = (event.chat, event.place.clone());
        self.delete(RawRow::key(event.id));
        self.delete(TimelineRow::key(chat, &place));
        let ends = Some(Ends::Erased(stub.map(Into::into)));
        self.put(EventRow::key(event.id), &EventRow { content: Vec::new(), key: None, ends, ..event });
        let mut row = self.chat(chat)?.ok_or(ViewError::Damaged(ChatRow::TABLE))?;
        if row.last.as_ref().is_some_and(|last| last.as_slice() == place) {
            let last = self.places(Table::Timeline, chat.as_ref(), None, Direction::Backward, 1)?;
            row.last = last.into_iter().next().map(Into::into);
            self.put(ChatRow::key(chat), &row);
        }
        Ok(())
    }
}

//! Taking what was said in a chat off this device: beyond reach here, and untouched at the others.
//!
//! A long history is cleared in pages, newest first, so that everything else has its turn; how far it is, is durable, and a
//! restart goes on. What is left of each message is a stub, as of one that ended: nobody brings it back by comparing. What
//! somebody is still to get from this device is hidden at once, and erased when they have it.

use super::{
    Timer,
    command::{Refusal, Reply},
    rows::{ChatRow, ClearRow, Ends, EventRow, Row, SparedRow, TimelineRow, all},
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    event::Place,
    ids::ChatId,
    view::{Cell, Direction, View, ViewError},
};
use std::time::Duration;

/// Messages cleared in one turn.
const PAGE: usize = 64;
/// Between two pages everything else has its turn.
const PAUSE: Duration = Duration::from_millis(1);

impl Turn<'_> {
    /// Clears all that is in a chat now. Asked again it goes on. [`Reply::Cleared`] tells whether that was all.
    pub(super) fn clear(&mut self, chat: ChatId) -> Answer {
        let mut row = self.chat(chat)?.ok_or(Refusal::NoSuchChat)?;
        let last = match self.read::<ClearRow>(&ClearRow::key(chat))? {
            Some(clear) => row.last.clone().filter(|last| *last > clear.upto),
            None => row.last.clone(),
        };
        if let Some(last) = last {
            self.put(ClearRow::key(chat), &ClearRow { chat, upto: last.clone(), next: last });
            row.unread = 0;
            self.put(ChatRow::key(chat), &row);
        }
        let ended = self.clear_page(chat)?;
        Ok(Reply::Cleared { ended })
    }

    /// The timer: another page.
    pub(super) fn clear_due(&mut self, chat: ChatId) -> Step {
        self.clear_page(chat).map(|_| ())
    }

    /// At the first input: what was begun in an earlier run goes on.
    pub(super) fn look_for_clearing(&mut self) -> Step {
        if std::mem::replace(&mut self.mem.clearing_known, true) {
            return Ok(());
        }
        for clear in all::<ClearRow>(self, ClearRow::SCOPE)? {
            self.clear_soon(clear.chat);
        }
        Ok(())
    }

    /// Whether a chat is being cleared.
    pub(super) fn is_being_cleared(&self, chat: ChatId) -> Step<bool> {
        Ok(self.read::<ClearRow>(&ClearRow::key(chat))?.is_some())
    }

    /// Keeps an event that comes while its chat is being cleared.
    pub(super) fn spare(&mut self, event: &EventRow) -> Step {
        let clear = self.read::<ClearRow>(&ClearRow::key(event.chat))?;
        if clear.is_some_and(|clear| event.place.as_slice() <= clear.upto.as_slice()) {
            self.put(SparedRow::key(event.chat, event.id), &SparedRow(event.id));
        }
        Ok(())
    }

    fn clear_soon(&mut self, chat: ChatId) {
        self.mem.timers.insert((self.now.plus(PAUSE), Timer::Clear(chat)));
    }

    /// Whether that was all.
    fn clear_page(&mut self, chat: ChatId) -> Step<bool> {
        let Some(mut clear) = self.read::<ClearRow>(&ClearRow::key(chat))? else { return Ok(true) };
        // The index first: what it knows of a text would outlast it.
        if !self.drop_of_index(chat)? {
            self.clear_soon(chat);
            return Ok(false);
        }
        // Places alone: a damaged line goes like the others.
        let lines = self.places(TimelineRow::TABLE, chat.as_ref(), Some(&clear.next), Direction::Backward, PAGE)?;
        let ended = lines.len() < PAGE;
        for place in lines {
            self.clear_place(&clear, &place)?;
            clear.next = place.into();
        }
        if ended {
            self.delete(ClearRow::key(chat));
            for SparedRow(id) in all::<SparedRow>(self, SparedRow::scope(chat))? {
                self.delete(SparedRow::key(chat, id));
            }
            self.renew_cell(Some(Cell::lasting(chat)));
            if self.is_being_pushed(chat)? {
                self.push_soon(chat);
            }
        } else {
            self.put(ClearRow::key(chat), &clear);
            self.clear_soon(chat);
        }
        Ok(ended)
    }

    fn clear_place(&mut self, clear: &ClearRow, place: &[u8]) -> Step {
        let event = match Place::from_key(place).map(|at| self.event(at.id)) {
            Some(Ok(Some(event))) => event,
            // What is damaged is not there, and keeps nothing from being cleared.
            None | Some(Ok(None) | Err(ViewError::Damaged(_))) => {
                self.delete(TimelineRow::key(clear.chat, place));
                return Ok(());
            }
            Some(Err(error)) => return Err(error),
        };
        if !clear.takes(&event, self)? {
            return Ok(());
        }
        self.drop_end(&event);
        self.renew_cell(event.cell());
        if self.is_owed(&event)? {
            return self.put_again(EventRow { ends: Some(Ends::Over(self.now)), ..event });
        }
        self.leave_stub(event)
    }
}

//! Moving what a late event pushes: all that follows it and does not stand after it yet, and what follows that.
//!
//! That may be a whole history: somebody can keep an event with a clock of the far future back until a year was said after
//! it. So it is done in pages, and everything else has its turn; what is still to be pushed is durable, and a restart goes
//! on. Meanwhile the order is one in between. Whatever comes or is pushed then, the last page leaves the order that
//! [`timeline`](crate::protocol::event::timeline) tells of.

use super::{
    Timer,
    chats::parsed_place,
    rows::{self, ChatRow, EventRow, FollowerRow, PushRow, PushingRow, Row, TimelineRow, all, parse},
    turn::{Step, Turn},
};
use crate::protocol::{
    event::{
        Place, Timeline,
        timeline::{Known, Pushes},
    },
    ids::{ChatId, EventId},
    time::Millis,
    view::{Direction, View, ViewError},
};
use std::{collections::BTreeSet, time::Duration};

/// Events moved in one turn: some rows each.
pub(super) const PAGE: usize = 1_024;
/// What may wait in memory before a page ends early: events may have many followers.
const WAITING: usize = 2 * PAGE;
/// Between two pages everything else has its turn.
const PAUSE: Duration = Duration::from_millis(1);

impl Turn<'_> {
    /// An event that is new stands at a place: what follows it is pushed, as far as this turn has room.
    pub(super) fn push_followers(&mut self, chat: ChatId, place: &[u8]) -> Step {
        let mut pushes = Pushes::default();
        pushes.followers(&Sound(self), parsed_place(place)?)?;
        if pushes.is_empty() { Ok(()) } else { self.push_page(chat, pushes) }
    }

    /// An event was put where it stood elsewhere: what does not fit together there is pushed later. It is enough that each
    /// of a conversation was once put like this.
    pub(super) fn push_kept(&mut self, event: &EventRow) -> Step {
        let place = parsed_place(&event.place)?;
        let mut pushes = Pushes::default();
        pushes.follower(&Sound(self), place, &event.deps)?;
        pushes.followers(&Sound(self), place)?;
        if pushes.is_empty() { Ok(()) } else { self.keep_pushes(event.chat, &pushes) }
    }

    /// The timer: another page.
    pub(super) fn push_due(&mut self, chat: ChatId) -> Step {
        self.push_page(chat, Pushes::default())
    }

    /// At the first input: what was begun in an earlier run goes on.
    pub(super) fn look_for_pushes(&mut self) -> Step {
        if std::mem::replace(&mut self.mem.pushes_known, true) {
            return Ok(());
        }
        for pushing in all::<PushingRow>(self, PushingRow::SCOPE)? {
            self.push_soon(pushing.0);
        }
        Ok(())
    }

    /// Whether events of a chat stand where they will not stay.
    pub(super) fn is_being_pushed(&self, chat: ChatId) -> Step<bool> {
        Ok(self.read::<PushingRow>(&PushingRow::key(chat))?.is_some())
    }

    pub(super) fn push_soon(&mut self, chat: ChatId) {
        self.mem.timers.insert((self.now.plus(PAUSE), Timer::Push(chat)));
    }

    /// Pushes these and what was left of earlier pages, the lowest first, so that each moves about once.
    fn push_page(&mut self, chat: ChatId, mut pushes: Pushes) -> Step {
        // Clearing walks through the places of a chat: nothing may pass it by.
        if self.is_being_cleared(chat)? {
            return self.keep_pushes(chat, &pushes);
        }
        let (mut kept, are_more_kept) = self.kept_pushes(chat, &mut pushes)?;
        while self.pushed < PAGE && pushes.len() < WAITING {
            let Some((at, least)) = pushes.pop() else { break };
            self.pushed += 1;
            self.push_one(&mut pushes, at.id, least)?;
        }
        kept.retain(|at| !pushes.holds(at));
        for at in &kept {
            self.delete(PushRow::key(chat, at));
        }
        if are_more_kept || !pushes.is_empty() {
            self.keep_pushes(chat, &pushes)?;
            self.push_soon(chat);
            return Ok(());
        }
        if self.is_being_pushed(chat)? {
            self.delete(PushingRow::key(chat));
        }
        Ok(())
    }

    /// Adds a page of what was left. Where those stand, and whether there may be more.
    fn kept_pushes(&self, chat: ChatId, pushes: &mut Pushes) -> Step<(BTreeSet<Place>, bool)> {
        let rows = self.scan_each(PushRow::TABLE, &PushRow::scope(chat), None, Direction::Forward, PAGE)?;
        let (mut kept, are_more) = (BTreeSet::new(), rows.len() >= PAGE);
        for (place, bytes) in rows {
            let at = parsed_place(&place)?;
            kept.insert(at);
            if let Some(PushRow(least)) = bytes.and_then(|bytes| parse(&bytes).ok()) {
                pushes.push(at, least);
                continue;
            }
            // What a damaged row said is known from what the event follows.
            match self.event(at.id) {
                Ok(Some(event)) => pushes.follower(&Sound(self), parsed_place(&event.place)?, &event.deps)?,
                Ok(None) | Err(ViewError::Damaged(_)) => continue,
                Err(error) => return Err(error),
            };
        }
        Ok((kept, are_more))
    }

    /// Moves an event, if it does not stand so late yet, and adds what follows it.
    fn push_one(&mut self, pushes: &mut Pushes, id: EventId, least: Millis) -> Step {
        let event = match self.event(id) {
            Ok(Some(event)) => event,
            // It was withdrawn meanwhile; and what is damaged stays where it is, and keeps no other from its place.
            Ok(None) | Err(ViewError::Damaged(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let from = parsed_place(&event.place)?;
        let to = Place { effective: from.effective.max(least), id };
        if to != from {
            self.move_event(event, to)?;
        }
        pushes.followers(&Sound(self), to)
    }

    fn keep_pushes(&mut self, chat: ChatId, pushes: &Pushes) -> Step {
        for (at, least) in pushes.iter() {
            let key = PushRow::key(chat, &at);
            if self.read::<PushRow>(&key)?.is_none_or(|PushRow(kept)| kept < least) {
                self.put(key, &PushRow(least));
            }
        }
        if !self.is_being_pushed(chat)? {
            self.put(PushingRow::key(chat), &PushingRow(chat));
        }
        Ok(())
    }

    fn move_event(&mut self, event: EventRow, to: Place) -> Step {
        let chat = event.chat;
        let old = TimelineRow::key(chat, &event.place);
        let event = EventRow { place: to.to_key().to_vec(), ..event };
        self.put(EventRow::key(event.id), &event);
        match self.read::<TimelineRow>(&old) {
            Ok(None) => return Ok(()),
            // One that is damaged was there.
            Ok(Some(_)) | Err(ViewError::Damaged(_)) => self.delete(old),
            Err(error) => return Err(error),
        }
        self.put(TimelineRow::key(chat, &event.place), &TimelineRow(to.id));
        self.index_place(chat, &event.place)?;
        let mut row = self.chat(chat)?.ok_or(ViewError::Damaged(ChatRow::TABLE))?;
        if row.last.as_ref().is_none_or(|last| last.as_slice() < event.place.as_slice()) {
            row.last = Some(event.place.into());
            self.put(ChatRow::key(chat), &row);
        }
        Ok(())
    }
}

/// What can be read of a conversation: a damaged event is not there, and keeps no other from its place.
struct Sound<'t, 'a>(&'t Turn<'a>);

impl Timeline for Sound<'_, '_> {
    type Error = ViewError;

    fn known(&self, id: &EventId) -> Result<Option<Known>, ViewError> {
        match self.0.known(id) {
            Err(ViewError::Damaged(_)) => Ok(None),
            known => known,
        }
    }

    fn dependents(&self, id: &EventId) -> Result<Vec<EventId>, ViewError> {
        let (rows, _) = rows::sound::<FollowerRow>(self.0, id)?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }
}

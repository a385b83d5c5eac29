//! Events of a group whose bodies are gone where they were asked for: what is signed of them takes their place.
//!
//! A member that was away finds that others hold only stubs of what ended meanwhile, or of what they deleted for themselves.
//! A stub proves who wrote an event and where it stands, not that its body is gone everywhere: one member must not be able
//! to make a message disappear for another. So the body is looked for at other members, and taken whoever has it. And the
//! author is told that the event is here only when its own device has said that it has no more of it either.

use super::{
    group_sync::Standing,
    rows::{Class, DeviceRow, Ends, EventRow, Row, UnseenRow, parse},
    talks::MAX_WISHES,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::sign::Verified,
    group::Stub,
    ids::{AccountId, ChatId, DeviceId, EventId, OpId},
    sync::Spot,
    view::{Direction, View},
    wire::limits::MAX_ASKED_FOR_BODY,
};
use std::collections::{BTreeSet, VecDeque};

/// What came of a stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stubbed {
    /// It took its place.
    Placed,
    /// Nothing is new, or it cannot be judged yet.
    Nothing,
    /// Its author never signed it, or not for this group.
    Forged,
}

impl Turn<'_> {
    /// A member gave a stub of an event that it was asked for.
    pub(super) fn stub_came(&mut self, group: OpId, from: &DeviceRow, stub: Stub) -> Step<Stubbed> {
        let (chat, id) = (ChatId::from(group), stub.id());
        if stub.header().group != group {
            return Ok(Stubbed::Forged);
        }
        let Ok(stub) = stub.verify() else { return Ok(Stubbed::Forged) };
        // What was here and ended stays as it is, and what is held has its body.
        if self.is_here(id)? || self.waits(group, id)?.is_some() {
            return Ok(Stubbed::Nothing);
        }
        let is_new = self.event(id)?.is_none();
        if is_new {
            match self.standing(id, stub.header())? {
                Standing::Says(author) => self.place_stub(&stub, author)?,
                Standing::Waits(_) => {
                    self.ask_missing(group, Some(from.device));
                    return Ok(Stubbed::Nothing);
                }
                Standing::Outside | Standing::NotHere => return Ok(Stubbed::Nothing),
            }
        }
        self.body_is_not_at(chat, id, from)?;
        Ok(if is_new { Stubbed::Placed } else { Stubbed::Nothing })
    }

    fn place_stub(&mut self, stub: &Verified<Stub>, author: AccountId) -> Step {
        let (header, id) = (stub.header(), stub.id());
        let (group, chat, follows) = (header.group, ChatId::from(header.group), header.follows());
        self.seek(group, &follows)?;
        let spot = Spot { clock: header.clock, id };
        let class = Class { author: None, heads: header.heads.clone() };
        let place = self.take_place(chat, spot, &follows, class)?;
        let row = EventRow {
            chat,
            id,
            author,
            device: header.device,
            no: header.no,
            clock: header.clock,
            arrived: self.now,
            deps: follows.clone(),
            place,
            content: Vec::new(),
            own: author == self.own()?.account,
            outbox: Vec::new(),
            key: None,
            ends: Some(Ends::Unseen(stub.to_bytes().into())),
            kept: None,
            unsent: false,
        };
        self.put(EventRow::key(id), &row);
        self.put(UnseenRow::key(chat, id), &UnseenRow { id, asked: Vec::new() });
        self.push_followers(chat, &row.place)?;
        for followed in self.held_for_followers(group, &follows)? {
            self.take_group_event(followed)?;
        }
        Ok(())
    }

    /// Whether the body of an event is looked for whose stub stands here.
    pub(super) fn looks_for(&mut self, chat: ChatId, id: EventId) -> Step<bool> {
        let is_unseen = self.read::<UnseenRow>(&UnseenRow::key(chat, id))?.is_some();
        Ok(is_unseen && self.waits(OpId(chat.0), id)?.is_none())
    }

    /// The body of an event is here, or will not be looked for any more.
    pub(super) fn look_no_more(&mut self, chat: ChatId, id: EventId) -> Step {
        let key = UnseenRow::key(chat, id);
        if self.read::<UnseenRow>(&key)?.is_some() {
            self.delete(key);
        }
        Ok(())
    }

    /// A member's device was asked for a body that is looked for, and has it no more.
    pub(super) fn body_is_not_at(&mut self, chat: ChatId, id: EventId, from: &DeviceRow) -> Step {
        let key = UnseenRow::key(chat, id);
        let Some(mut row) = self.read::<UnseenRow>(&key)? else { return Ok(()) };
        let Some(event) = self.event(id)? else { return Ok(()) };
        if !row.asked.contains(&from.device) {
            row.asked.push(from.device);
        }
        if from.device == event.device {
            // Nothing that its author still has counts as delivered by this.
            self.number(&event)?;
            self.note_held(chat, from.account, from.device, event.no)?;
            self.owe_group(event.device, chat)?;
        }
        if self.is_asked_enough(&row, &event)? {
            return self.look_no_more(chat, id);
        }
        self.put(key, &row);
        Ok(())
    }

    /// Whether nobody is to be asked any more: the author's device was, or is no member's now, and enough others were.
    fn is_asked_enough(&mut self, row: &UnseenRow, event: &EventRow) -> Step<bool> {
        let memory = self.group(OpId(event.chat.0))?;
        let others = memory.membership.members.len().saturating_sub(1);
        let author = row.asked.contains(&event.device) || memory.membership.owner(&event.device).is_none();
        Ok(author && self.owners(row, event)?.len() >= others.min(MAX_ASKED_FOR_BODY))
    }

    /// The members that were asked.
    fn owners(&mut self, row: &UnseenRow, event: &EventRow) -> Step<BTreeSet<AccountId>> {
        let memory = self.group(OpId(event.chat.0))?;
        Ok(row.asked.iter().filter_map(|device| memory.membership.owner(device)).collect())
    }

    /// Bodies that this member's device is to be asked for now: from anywhere among them, so that all have their turn.
    pub(super) fn bodies_to_ask(&mut self, chat: ChatId, device: &DeviceRow) -> Step<VecDeque<EventId>> {
        let scope = UnseenRow::scope(chat);
        if self.scan(UnseenRow::TABLE, &scope, None, Direction::Forward, 1)?.is_empty() {
            return Ok(VecDeque::new());
        }
        let mut from = [0; 32];
        self.rng.fill_bytes(&mut from);
        let mut rows = self.scan(UnseenRow::TABLE, &scope, Some(&from), Direction::Forward, MAX_WISHES)?;
        if rows.len() < MAX_WISHES {
            rows.extend(self.scan(
                UnseenRow::TABLE,
                &scope,
                Some(&from),
                Direction::Backward,
                MAX_WISHES - rows.len(),
            )?);
        }
        let mut bodies = VecDeque::new();
        for (_, bytes) in rows {
            let row: UnseenRow = parse(&bytes)?;
            if self.is_to_be_asked(&row, device.device)? {
                bodies.push_back(row.id);
            }
        }
        Ok(bodies)
    }

    fn is_to_be_asked(&mut self, row: &UnseenRow, device: DeviceId) -> Step<bool> {
        let Some(event) = self.event(row.id)?.filter(|_| !row.asked.contains(&device)) else { return Ok(false) };
        Ok(device == event.device || self.owners(row, &event)?.len() < MAX_ASKED_FOR_BODY)
    }
}

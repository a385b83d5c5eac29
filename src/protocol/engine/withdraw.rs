//! Taking back a message that nobody has: its place in the count stays, what was said does not.
//!
//! Counts of a device's events have no gaps, so a withdrawn event is replaced by one at the same place that says nothing. Of
//! an event of a group the signed stub is left, which says no more. What lies in a mailbox or was delivered stays as it is,
//! and whoever asks is told so.

use super::{
    chats::NewEvent,
    command::{Refusal, Reply},
    rows::{
        AuthorRow, ChatKind, ChatRow, DeviceRow, EventRow, FollowerRow, GroupRow, GroupState, OutboxRow, Parcel,
        RawRow, Row, Side, TimelineRow,
    },
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    event::{Content, DirectEvent, DirectFields},
    ids::{ChatId, DeviceId, EventId, OpId},
    sync::Spot,
    view::{Direction, View, ViewError},
    wire::{decode, encode},
};

impl Turn<'_> {
    /// Withdraws an own message that no device has and no mailbox holds.
    pub(super) fn withdraw(&mut self, id: EventId) -> Answer {
        let event = self.event(id)?.filter(|event| event.own && !event.is_erased()).ok_or(Refusal::NoSuchMessage)?;
        match self.chat(event.chat)?.map(|row| row.kind) {
            Some(ChatKind::Direct(_)) => self.withdraw_from_person(&event),
            Some(ChatKind::Group(group)) => self.withdraw_from_group(group, event),
            Some(ChatKind::Own) | None => Err(Refusal::NotWithdrawable.into()),
        }
    }

    /// Waits no more for an own message that cannot be read. Where somebody has it and gives it back, it is here again.
    pub(super) fn give_up(&mut self, chat: ChatId, author: DeviceId, no: u64) -> Answer {
        let key = AuthorRow::key(chat, author, no);
        let is_own = self.own()?.authors().any(|own| own == author);
        let AuthorRow(id) = self.read(&key)?.filter(|_| is_own).ok_or(Refusal::NoSuchMessage)?;
        match self.event(id) {
            Ok(None) | Err(ViewError::Damaged(_)) => self.delete(key),
            Ok(Some(_)) => return Err(Refusal::NoSuchMessage.into()),
            Err(other) => return Err(other.into()),
        }
        Ok(Reply::Withdrawn { withdrawn: 1, under_way: 1, mailbox: 0, delivered: 0 })
    }

    fn withdraw_from_person(&mut self, event: &EventRow) -> Answer {
        let delivered = self.confirmations(event)?;
        let (mut mailbox, mut under_way) = (0, 0);
        for (device, place) in &event.outbox {
            let Some(row) = self.read::<OutboxRow>(&OutboxRow::key(*device, *place))? else { continue };
            mailbox += u32::from(row.may_be_read());
            under_way += u32::from(row.sealed.is_some() && !row.may_be_read());
        }
        if delivered + mailbox > 0 {
            return Ok(Reply::Withdrawn { withdrawn: 0, under_way: 0, mailbox, delivered });
        }
        let withdrawn = u32::try_from(event.outbox.len().max(1)).unwrap_or(u32::MAX);
        if self.may_have_gone_on(event)? {
            under_way = withdrawn;
        }
        self.replace_by_nothing(event)?;
        Ok(Reply::Withdrawn { withdrawn, under_way, mailbox, delivered })
    }

    /// What was said in a group goes to all its members who are there: somebody may have it unless nobody was.
    fn withdraw_from_group(&mut self, group: OpId, event: EventRow) -> Answer {
        let state = self.read::<GroupRow>(&GroupRow::key(group))?.map(|row| row.state);
        if !matches!(state, Some(GroupState::Joined | GroupState::Removed)) {
            // What one said last before leaving is in everybody's outbox already.
            return Err(Refusal::NotWithdrawable.into());
        }
        let delivered = self.confirmations(&event)?;
        let mailbox = u32::from(event.kept.is_some());
        if delivered + mailbox > 0 {
            return Ok(Reply::Withdrawn { withdrawn: 0, under_way: 0, mailbox, delivered });
        }
        let others = match self.has_graph(group)? {
            true => self.group(group)?.membership.members.len().saturating_sub(1).max(1),
            false => 1,
        };
        let withdrawn = u32::try_from(others).unwrap_or(u32::MAX);
        let is_here_alone = event.unsent && !self.may_have_gone_on(&event)?;
        let under_way = if is_here_alone { 0 } else { withdrawn };
        self.renew_cell(event.cell());
        self.unindex(&event)?;
        self.drop_end(&event);
        self.leave_stub(event)?;
        Ok(Reply::Withdrawn { withdrawn, under_way, mailbox, delivered })
    }

    /// Whether an older store was put back since this was written, or a device wrote it that is gone: what became of it
    /// meanwhile is not known.
    pub(super) fn may_have_gone_on(&self, event: &EventRow) -> Step<bool> {
        let own = self.own()?;
        Ok(event.device != own.device || own.rolled_back.is_some_and(|at| event.arrived <= at))
    }

    /// Whether somebody is connected who may hear what is said in a group: a member's device, or one that is not known yet.
    pub(super) fn may_be_heard(&self, group: OpId) -> Step<bool> {
        for device in self.mem.peers.values() {
            let Some(device) = device else { return Ok(true) };
            if self.read::<DeviceRow>(&DeviceRow::key(*device))?.is_none_or(|row| row.groups.contains(&group)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was just said in a group could be heard by nobody.
    pub(super) fn note_unsent(&mut self, id: EventId) -> Step {
        if let Some(event) = self.event(id)? {
            self.put(EventRow::key(id), &EventRow { unsent: true, ..event });
        }
        Ok(())
    }

    /// An event leaves this device.
    pub(super) fn note_sent(&mut self, id: EventId) -> Step {
        if let Some(event) = self.event(id)?.filter(|event| event.unsent) {
            self.put(EventRow::key(id), &EventRow { unsent: false, ..event });
        }
        Ok(())
    }

    /// How many devices have an own event. Those that are gone had it too.
    fn confirmations(&self, event: &EventRow) -> Step<u32> {
        let side = self.own()?.side_of(event.device).unwrap_or(Side::Theirs);
        let confirmed = self.confirmed_by_any(event.chat, side)?;
        let devices = confirmed.iter().filter(|held| held.contains(event.no)).count();
        Ok(u32::try_from(devices).unwrap_or(u32::MAX))
    }

    fn replace_by_nothing(&mut self, event: &EventRow) -> Step {
        let damaged = || ViewError::Damaged(RawRow::TABLE);
        let RawRow(raw) = self.read(&RawRow::key(event.id))?.ok_or_else(damaged)?;
        let said = DirectEvent::parse(&raw).map_err(|_| damaged())?;
        let content = Content::Withdrawn;
        let fields = DirectFields {
            chat: said.chat,
            account: said.account,
            device: said.device,
            no: said.no,
            previous: said.previous,
            deps: said.deps.clone(),
            clock: said.clock,
            content: content.clone(),
        };
        let nothing = DirectEvent::new(fields).map_err(|_| damaged())?;
        let previous = self.chat(event.chat)?.and_then(|chat| chat.previous);
        let was_last = previous == Some(event.id);
        self.erase_event(event)?;
        self.put(AuthorRow::key(event.chat, event.device, event.no), &AuthorRow(nothing.id()));
        self.place(NewEvent {
            chat: event.chat,
            id: nothing.id(),
            author: event.author,
            device: event.device,
            no: event.no,
            clock: event.clock,
            follows: nothing.follows(),
            content,
            key: None,
            raw: nothing.bytes().to_vec(),
            heads: Vec::new(),
        })?;
        if let (Some(mut chat), false) = (self.chat(event.chat)?, was_last) {
            chat.previous = previous;
            self.put(ChatRow::key(event.chat), &chat);
        }
        for (device, place) in &event.outbox {
            let key = OutboxRow::key(*device, *place);
            let Some(mut row) = self.read::<OutboxRow>(&key)? else { continue };
            row.what = Parcel::Nothing(event.chat, nothing.id());
            row.unseal();
            self.put(key, &row);
            if let Some(to) = self.read::<DeviceRow>(&DeviceRow::key(*device))? {
                self.rewind_lane(to.device);
                self.rewind_mail(to.device);
                self.pump(to.device)?;
            }
        }
        if let Some(mut row) = self.event(nothing.id())? {
            row.outbox.clone_from(&event.outbox);
            self.put(EventRow::key(row.id), &row);
        }
        Ok(())
    }

    /// Takes an event out of its conversation, and what was said off the disk.
    fn erase_event(&mut self, event: &EventRow) -> Step {
        self.renew_cell(event.cell());
        self.unindex(event)?;
        self.delete(EventRow::key(event.id));
        self.delete(RawRow::key(event.id));
        self.delete(TimelineRow::key(event.chat, &event.place));
        self.unorder_event(event.chat, Spot { clock: event.clock, id: event.id })?;
        for followed in &event.deps {
            self.delete(FollowerRow::key(*followed, event.id));
        }
        let mut chat = self.chat(event.chat)?.ok_or(ViewError::Damaged(ChatRow::TABLE))?;
        let mut heads: crate::protocol::event::Heads =
            decode(&chat.heads, "heads").map_err(|_| ViewError::Damaged(ChatRow::TABLE))?;
        heads.forget(&event.id);
        chat.heads = encode(&heads);
        let last = self.places(TimelineRow::TABLE, event.chat.as_ref(), None, Direction::Backward, 1)?;
        chat.last = last.into_iter().next().map(Into::into);
        self.put(ChatRow::key(event.chat), &chat);
        Ok(())
    }
}

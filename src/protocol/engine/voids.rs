//! Numbers under which nothing is said: the author withdrew a message, and what says so came in its place.
//!
//! A device that was made of a backup, or whose older store was put back, may have the message again that was withdrawn
//! since. Receipts go by numbers, and the other has that number. So a receipt names those that are void where it comes from:
//! what stands here under one of them is not sent, nor said to be delivered. Nothing is taken away on the word of another:
//! whether it goes is for its owner. Who calls: what takes in events and receipts of 1-on-1 chats.

use super::{
    record::ChatReceipt,
    rows::{AuthorRow, ChatKind, DeviceRow, EventRow, OutboxRow, ReceiptRow, Side},
    turn::{Step, Turn},
};
use crate::protocol::{
    delivery::{Noted, Numbers},
    event::{Content, DirectEvent},
    wire::{decode, encode},
};

/// Own events that are looked at for one receipt that names void numbers: the newest.
const LOOKED_AT: usize = 1_024;

/// What a device tells of the numbers that it holds.
pub(super) struct Counted {
    /// Under which it has what stands here: of those that are void there, what was withdrawn here too.
    pub(super) confirmed: Numbers,
    /// Under which it has that what stands here was withdrawn, which may be so.
    pub(super) void: Numbers,
}

impl Turn<'_> {
    /// An event of a contact is here. A number is void where what withdrew it came first, until the author says it all the
    /// same.
    pub(super) fn note_void(&mut self, event: &DirectEvent) -> Step {
        let key = ReceiptRow::key(event.chat, Side::Ours, event.device);
        let withdraws = event.content == Content::Withdrawn;
        let Some(row) = self.read::<ReceiptRow>(&key)?.filter(|row| withdraws || row.void.is_some()) else {
            return Ok(());
        };
        let first: Option<AuthorRow> = self.read(&AuthorRow::key(event.chat, event.device, event.no))?;
        let mut void = row.void()?;
        let changed = match withdraws {
            true => first.is_some_and(|AuthorRow(id)| id == event.id()) && void.insert(event.no) == Noted::New,
            false => void.remove(event.no),
        };
        if changed {
            self.put(key, &ReceiptRow { void: Some(encode(&void).into()), ..row });
        }
        Ok(())
    }

    /// What counts of what a device tells of the numbers that it holds. What is void waits for that device no more.
    pub(super) fn counted(&mut self, device: &DeviceRow, told: &ChatReceipt, held: Numbers) -> Step<Counted> {
        let is_direct = matches!(self.chat(told.chat)?.map(|row| row.kind), Some(ChatKind::Direct(_)));
        let Some(claimed) = told.void().filter(|_| is_direct) else {
            return Ok(Counted { confirmed: held, void: Numbers::from_base(1) });
        };
        let mut counted = Counted { confirmed: held.without(&claimed), void: Numbers::from_base(1) };
        let (mut under, chat) = (Vec::new(), (told.chat, told.author));
        for range in held.without(&counted.confirmed).ranges().rev() {
            under.extend(AuthorRow::within(self, chat, range, LOOKED_AT - under.len())?);
        }
        for (no, id) in under {
            let Some(event) = self.event(id)? else { continue };
            if event.withdraws() {
                counted.confirmed.insert(no);
            } else if self.may_have_gone_on(&event)? {
                counted.void.insert(no);
                self.wait_no_more(device, event)?;
            }
            // Else nobody can have withdrawn it: it goes on being sent.
        }
        Ok(counted)
    }

    /// Takes an event out of a device's outbox, unconfirmed.
    fn wait_no_more(&mut self, device: &DeviceRow, mut event: EventRow) -> Step {
        let Some(at) = event.outbox.iter().position(|(to, _)| *to == device.device) else { return Ok(()) };
        let (to, place) = event.outbox.remove(at);
        self.put(EventRow::key(event.id), &event);
        match self.read::<OutboxRow>(&OutboxRow::key(to, place))? {
            Some(row) => self.drop_parcel(to, place, &row),
            None => Ok(()),
        }
    }
}

impl ChatReceipt {
    /// The numbers that are void where it comes from, if any are.
    fn void(&self) -> Option<Numbers> {
        self.void.as_ref().and_then(|void| decode(void, "receipt").ok())
    }
}

impl EventRow {
    /// Whether it says that a message was withdrawn.
    fn withdraws(&self) -> bool {
        Content::parse(&self.content).is_ok_and(|content| content == Content::Withdrawn)
    }
}

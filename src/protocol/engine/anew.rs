//! After a rollback: an older store was put back under newer keys, or older keys under a newer store, and every secret that
//! only the keys of then opened is gone. Sessions begin anew, visibly; what waits is sealed in them.
//!
//! What is kept in lasting rows (contacts with their intro secrets, links, groups, the history) is enough to begin again
//! with everybody. What others said meanwhile comes by their outboxes and by sync.

use super::{
    feed::{ContactNotice, FeedEntry},
    record::Record,
    rows::{
        self, BoxRow, ChatKind, ChatRow, ContactRow, ContactState, ControlRow, DeviceRow, EventRow, GroupRow,
        GroupState, Intro, MemberRow, OutboxRow, OwnChainRow, Parcel, ReceiptRow, Row, SessionRow, Side, TagRow,
        TicketRow, TicketState, all,
    },
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::start::intro_tag,
    delivery::{Noted, Numbers},
    ids::{ChatId, DeviceId, OpId},
    time::Millis,
    view::{Direction, Key, View},
    wire::{encode, limits::MAX_NO},
};

/// Of the numbers that are left, one in so many is skipped at the most, so that they never come to an end.
const SKIPPED_OF_ROOM: u64 = 256;
/// As many numbers are skipped at the least: what is farther apart was written before and after.
pub(super) const LEAST_SKIP: u64 = 1 << 20;

impl Turn<'_> {
    /// Begins anew with everybody whose rows can be read. Harmless where it is done twice.
    pub(super) fn start_anew(&mut self) -> Step {
        self.forget_lost();
        self.drop_sessions()?;
        self.empty_outboxes()?;
        let own = self.own()?;
        // The prekey is gone: a bundle with a new one says so.
        self.renew_bundle(rows::OwnRow {
            prekey_made: Millis(0),
            rolled_back: Some(self.now),
            late: Vec::new(),
            ..own
        })?;
        self.tell(&FeedEntry::RolledBack)?;
        for ticket in self.sound::<TicketRow>(b"")? {
            self.attempt(|turn| turn.open_ticket_anew(ticket))?;
        }
        self.skip_numbers()?;
        for chat in self.sound::<ChatRow>(b"")? {
            self.attempt(|turn| turn.miss_what_is_gone(chat.chat))?;
        }
        for contact in self.sound::<ContactRow>(b"")? {
            self.attempt(|turn| turn.meet_anew(&contact))?;
        }
        for group in self.sound::<GroupRow>(b"")? {
            // Where it can be read it is as old as the rest.
            self.delete(OwnChainRow::key(group.group));
            self.attempt(|turn| turn.join_anew(group))?;
        }
        // What lies at mailboxes cannot be read if it was not yet: receipts are said once, and may be among it.
        for device in self.sound::<DeviceRow>(b"")? {
            self.attempt(|turn| turn.owe_all(&device))?;
        }
        Ok(())
    }

    /// An older store does not know what was written after it. A number that was given out then, or a place at a mailbox,
    /// may be confirmed, and what it is given to again would count as confirmed with it.
    fn skip_numbers(&mut self) -> Step {
        for chat in self.sound::<ChatRow>(b"")? {
            let written = self.beyond(chat.written);
            self.put(ChatRow::key(chat.chat), &ChatRow { written, ..chat });
        }
        for kept in self.sound::<BoxRow>(b"")? {
            let last = kept.last.max(self.now.0);
            self.put(BoxRow::key(kept.id), &BoxRow { last, ..kept });
        }
        Ok(())
    }

    /// Where something was erased since the copy, the keys of all that was in its cells are gone too. Others have most of it:
    /// it is compared and confirmed as what is not here. Its lines stay, and are whole again with what comes, or with the
    /// right keys.
    fn miss_what_is_gone(&mut self, chat: ChatId) -> Step {
        let mut is_gone = false;
        for author in self.own()?.authors() {
            is_gone |= self.numbers_here(chat, author)?.is_some();
        }
        for row in all::<ReceiptRow>(self, ReceiptRow::scope(chat, Side::Ours))? {
            let Some(here) = self.numbers_here(chat, row.device)? else { continue };
            is_gone = true;
            let (mut held, mut full) = (Numbers::from_base(row.numbers()?.base()), row.full);
            for no in here {
                full = if held.insert(no) == Noted::NoRoom { Some(true) } else { full };
            }
            let key = ReceiptRow::key(chat, Side::Ours, row.device);
            self.put(key, &ReceiptRow { held: encode(&held), full, ..row });
        }
        if is_gone { self.make_order_anew(chat) } else { Ok(()) }
    }

    /// The numbers of a device's events that can be read, where some cannot.
    fn numbers_here(&self, chat: ChatId, device: DeviceId) -> Step<Option<Vec<u64>>> {
        let written = self.written_by(chat, device)?;
        let mut here = Vec::new();
        for (no, id) in &written {
            if self.event(*id)?.is_some() {
                here.push(*no);
            }
        }
        Ok((here.len() < written.len()).then_some(here))
    }

    /// More was confirmed than was ever written, as this store knows it: it may be an old copy of the whole home. In a group
    /// anybody could say so, and only an own event that comes back proves it.
    pub(super) fn skip_numbers_in(&mut self, chat: ChatId) -> Step {
        let Some(row) = self.chat(chat)?.filter(|row| matches!(row.kind, ChatKind::Direct(_))) else { return Ok(()) };
        let written = self.beyond(row.written);
        self.put(ChatRow::key(chat), &ChatRow { written, ..row });
        Ok(())
    }

    /// A number far beyond one, where no other is that was given out from there on: drawn at random, since the clock may be
    /// set back and one copy may be put back twice.
    pub(super) fn beyond(&mut self, no: u64) -> u64 {
        let room = MAX_NO.saturating_sub(no) / SKIPPED_OF_ROOM;
        no + (LEAST_SKIP + self.rng.next_u64() % room.max(1)).min(room)
    }

    /// Those that can be read too: they are as old as the others.
    fn drop_sessions(&mut self) -> Step {
        for row in self.sound::<SessionRow>(b"")? {
            self.drop_session(super::sessions::load(&row)?.sid())?;
        }
        for mut device in self.sound::<DeviceRow>(b"")? {
            device.sending = None;
            device.sessions.clear();
            self.put(DeviceRow::key(device.device), &device);
        }
        Ok(())
    }

    fn empty_outboxes(&mut self) -> Step {
        for device in self.sound::<DeviceRow>(b"")? {
            let scope = device.device;
            for (place, bytes) in self.scan(OutboxRow::TABLE, scope.as_ref(), None, Direction::Forward, usize::MAX)? {
                let row: OutboxRow = rows::parse(&bytes)?;
                if let Parcel::Control(id, _) = row.what {
                    self.delete(ControlRow::key(scope, &id));
                }
                self.delete(Key::at(OutboxRow::TABLE, scope, place));
            }
        }
        self.mem.lanes.clear();
        Ok(())
    }

    /// An open link gets a new prekey; one that is closed tells so again.
    fn open_ticket_anew(&mut self, ticket: TicketRow) -> Step {
        let intro = ticket.inv.intro();
        if ticket.state == TicketState::Open {
            let ticket_box = ticket.inv.ticket_box();
            let (prekey, bundle) = self.ticket_bundle(&ticket.inv)?;
            self.put(TicketRow::key(ticket_box), &TicketRow { prekey, bundle, ..ticket });
            return self.open_intro(&intro, Intro::Ticket(ticket_box));
        }
        let (tag, key) = intro_tag(&intro);
        let mut row = self.read::<TagRow>(&TagRow::key(tag))?.unwrap_or_default();
        (row.key, row.intro) = (Some(key), Some(Intro::Closed));
        self.put(TagRow::key(tag), &row);
        Ok(())
    }

    /// Lets a contact in again, says again what it may not have heard, and puts what it has not confirmed into its outbox.
    fn meet_anew(&mut self, contact: &ContactRow) -> Step {
        self.call_on(contact)?;
        match contact.state {
            ContactState::Connected => self.tell_contact_notice(contact.account, ContactNotice::SessionRestarted),
            _ => Ok(()),
        }
    }

    /// The same, untold.
    pub(super) fn call_on(&mut self, contact: &ContactRow) -> Step {
        for secret in &contact.intros {
            self.open_intro(secret, Intro::Again(contact.account))?;
        }
        let own = self.own()?;
        let chat = ChatId::direct(own.account, contact.account);
        self.unlist_outbox(chat)?;
        match contact.state {
            ContactState::Connected => {
                for device in contact.devices.clone() {
                    // Heard as the acceptance it is where that was lost, and as nothing elsewhere.
                    self.post(device, &Record::Accepted(own.name.clone(), own.name_chosen))?;
                    self.post_unsent(device, chat)?;
                    self.tell_boxes(device)?;
                    self.owe_receipt_by_mail(device, chat)?;
                    self.pump(device)?;
                }
                Ok(())
            }
            ContactState::Pending | ContactState::Requested => {
                for device in contact.devices.clone() {
                    self.post(device, &Record::Request(own.name.clone(), own.name_chosen))?;
                }
                Ok(())
            }
            ContactState::Incoming | ContactState::Removed | ContactState::Stranger => Ok(()),
        }
    }

    /// The places that own events remember in outboxes are no more.
    fn unlist_outbox(&mut self, chat: ChatId) -> Step {
        for author in self.own()?.authors() {
            for (_, id) in self.written_by(chat, author)? {
                let Some(mut event) = self.read::<EventRow>(&EventRow::key(id))? else { continue };
                if !event.outbox.is_empty() {
                    event.outbox.clear();
                    self.put(EventRow::key(id), &event);
                }
            }
        }
        Ok(())
    }

    /// The own chain is made anew with the next event; secrets and chains of others are asked for as they are missed.
    pub(super) fn join_anew(&mut self, row: GroupRow) -> Step {
        let has_chat = self.read::<ChatRow>(&ChatRow::key(ChatId::from(row.group)))?;
        if has_chat.is_some_and(|chat| matches!(chat.kind, ChatKind::Group(_))) {
            self.open_group_intro(row.group)?;
        }
        match row.state {
            GroupState::Joining => self.answer_invite(row),
            GroupState::Joined => {
                self.tell_own_ops_again(row.group)?;
                self.doubt_names(row.group)?;
                self.invite_anew(&row)
            }
            GroupState::Left => self.part_again(row.group),
            _ => Ok(()),
        }
    }

    /// Members may have said other names since, and say a name once: they are asked when they are met.
    fn doubt_names(&mut self, group: OpId) -> Step {
        for row in all::<MemberRow>(self, group)?.into_iter().filter(|row| row.name_sure) {
            self.put(MemberRow::key(group, row.account), &MemberRow { name_sure: false, ..row });
        }
        Ok(())
    }

    /// Invitations that were on their way.
    fn invite_anew(&mut self, row: &GroupRow) -> Step {
        for account in &row.invited {
            let contact = self.contact(*account)?.filter(|contact| contact.state == ContactState::Connected);
            let devices: Vec<DeviceId> = contact.map(|contact| contact.devices).unwrap_or_default();
            for device in devices {
                self.post(device, &Record::Invite(row.group, row.name.clone(), self.now))?;
            }
        }
        Ok(())
    }
}

//! The link of somebody who is a contact here already: perhaps this account is none there any more.
//!
//! It is asked anew under the link, in a session of its own beside the one that is in use. Who did not remove us says so
//! by accepting, and nothing else has changed. Whose device does not know the session in use any more is asked like
//! somebody new; what it had not confirmed waits until it accepts.

use super::{
    command::Reply,
    feed::ContactNotice,
    record::Record,
    rows::{ContactRow, ContactState, DeviceRow, SessionRow},
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    crypto::start::intro_tag,
    identity::Ticket,
    ids::{ChatId, DeviceId},
};

impl ContactRow {
    /// Whether a connected contact is being asked once more, by a link of it.
    pub(super) fn is_asked_anew(&self) -> bool {
        self.state == ContactState::Connected && self.ticket.is_some()
    }
}

impl Turn<'_> {
    pub(super) fn ask_anew(&mut self, mut contact: ContactRow, ticket: &Ticket) -> Answer {
        let account = contact.account;
        for device in &contact.devices {
            self.drop_controls(*device, &|record| matches!(record, Record::Request(..)))?;
        }
        contact.ticket = Some(ticket.inv().clone());
        contact.ticket_ends = ticket.expires();
        contact.ticket_transport = Some(ticket.transport());
        self.put(ContactRow::key(account), &contact);
        self.mem.bundles_wanted.remove(&ticket.transport());
        self.look_for_ticket_maker(ticket)?;
        Ok(Reply::Contact(account))
    }

    /// The bundle of the link's maker is here: ask under the link, and see in passing whether it knows the session in use.
    pub(super) fn ask_beside(&mut self, contact: &ContactRow, device: DeviceId) -> Step {
        let Some(inv) = &contact.ticket else { return Ok(()) };
        let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        let own = self.own()?;
        let request = Record::Request(own.name, own.name_chosen);
        if self.is_posted(device, &request)? {
            return Ok(());
        }
        let in_use = row.sending;
        let Some(sealed) = self.seal_in_new_session(&mut row, &inv.intro(), &request.to_bytes())? else {
            return Ok(());
        };
        if in_use.is_some_and(|sid| row.sessions.contains(&sid)) {
            row.sending = in_use;
            self.put(DeviceRow::key(device), &row);
        }
        self.post_sealed(&mut row, &request, sealed)?;
        match in_use {
            Some(_) => self.whisper(device, &Record::Bundle(own.bundle)),
            None => self.begin_anew(contact.clone()),
        }
    }

    /// The contact whose device this is, if it was asked anew in a session under its link.
    pub(super) fn asked_under_link(&self, device: &DeviceRow) -> Step<Option<ContactRow>> {
        let Some(contact) = self.contact(device.account)?.filter(ContactRow::is_asked_anew) else { return Ok(None) };
        let Some(tag) = contact.ticket.as_ref().map(|inv| intro_tag(&inv.intro()).0) else { return Ok(None) };
        for sid in &device.sessions {
            let session = self.read::<SessionRow>(&SessionRow::key(*sid))?;
            if session.is_some_and(|session| session.intro_tag == tag) {
                return Ok(Some(contact));
            }
        }
        Ok(None)
    }

    /// Its device knows the session in use no more, and a link of it is at hand: it is asked like somebody new.
    pub(super) fn begin_anew(&mut self, mut contact: ContactRow) -> Step {
        contact.state = ContactState::Pending;
        self.put(ContactRow::key(contact.account), &contact);
        let chat = ChatId::direct(self.own()?.account, contact.account);
        for device in &contact.devices {
            self.unpost_events(*device, chat)?;
        }
        self.tell_contact(contact.account)?;
        match contact.ticket_transport {
            Some(peer) if self.mem.peers.contains_key(&peer) => self.ask_ticket_bundle(contact.account, peer),
            _ => Ok(()),
        }
    }

    /// The link comes to nothing: it was used by another, or its time is over. The contact stays what it is here.
    pub(super) fn end_asking_anew(&mut self, mut contact: ContactRow, notice: ContactNotice) -> Step {
        let account = contact.account;
        contact.ticket = None;
        let transport = contact.ticket_transport.take();
        self.put(ContactRow::key(account), &contact);
        for device in &contact.devices {
            self.drop_controls(*device, &|record| matches!(record, Record::Request(..)))?;
        }
        if let Some(transport) = transport {
            self.forget_unneeded(transport)?;
        }
        self.tell_contact_notice(account, notice)
    }
}

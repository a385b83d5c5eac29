//! Links: made, used by whoever saw them, closed. A link is good for one contact.

use super::{
    command::{Acceptance, Refusal, Reply},
    rows::{self, ContactRow, ContactState, Intro, PrekeyRow, TagRow, TicketRow, TicketState},
    sessions::device_keys,
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    crypto::start::intro_tag,
    identity::{
        SignedBundle, SignedCert, SignedList, Ticket,
        bundle::{Address, BoxId, MailboxBox, Reach},
        ticket::{Inv, Purpose},
    },
    ids::{AccountId, DeviceId},
    view::{Table, ViewError},
    wire::{
        decode, encode,
        limits::{MAX_ADDRESSES, MAX_DEVICES, MAX_PENDING_PER_TICKET, MAX_TICKETS},
    },
};
use std::time::Duration;

impl Turn<'_> {
    pub(super) fn create_ticket(&mut self, life: Duration, accept: Acceptance) -> Answer {
        if rows::all::<TicketRow>(self, b"")?.len() >= MAX_TICKETS {
            return Err(Refusal::TooManyLinks { max: MAX_TICKETS }.into());
        }
        let own = self.own()?;
        let inv = Inv::random(self.rng);
        let (prekey, bundle) = self.ticket_bundle(&inv)?;
        let boxes = self.ticket_boxes(inv.ticket_box())?;
        let addresses: Vec<_> = own.addresses.iter().filter_map(|text| text.parse().ok()).take(MAX_ADDRESSES).collect();
        let hints = with_mailboxes(&addresses, &boxes);
        let expires = self.now.plus(life);
        let ticket = Ticket::new(own.account, own.transport, inv.clone(), expires, Purpose::Contact, &hints);
        let row = TicketRow {
            inv: inv.clone(),
            link: ticket.link().to_string(),
            expires: ticket.expires(),
            auto_accept: accept == Acceptance::AtOnce,
            bundle,
            prekey,
            pending: Vec::new(),
            state: TicketState::Open,
            made: self.now,
        };
        self.put(TicketRow::key(inv.ticket_box()), &row);
        self.open_intro(&inv.intro(), Intro::Ticket(inv.ticket_box()))?;
        self.pin_ticket(&row)?;
        Ok(Reply::Ticket { link: row.link, expires: row.expires, reachable: !ticket.hints().is_empty() })
    }

    /// A new prekey of a link, kept, and the bundle that carries it.
    pub(super) fn ticket_bundle(&mut self, inv: &Inv) -> Step<([u8; 8], Vec<u8>)> {
        let own = self.own()?;
        let (prekey, record) = super::begin::new_prekey(own.bundle_seq, Some(inv.ticket_box()), self.now, self.rng);
        let damaged = || ViewError::Damaged(Table::Own);
        let list: SignedList = decode(&own.list, "device list").map_err(|_| damaged())?;
        let cert: SignedCert = decode(&own.cert, "certificate").map_err(|_| damaged())?;
        let addresses = own.addresses.iter().filter_map(|text| text.parse().ok()).take(MAX_ADDRESSES).collect();
        let reach = Reach { boxes: self.ticket_boxes(inv.ticket_box())?, addresses };
        // Older than the weekly bundle, so that the contact follows the weekly one once it comes.
        let seq = own.bundle_seq.saturating_sub(1);
        let bundle = SignedBundle::issue(&device_keys(&own)?, list, cert, record, reach, seq).map_err(|_| damaged())?;
        self.put(PrekeyRow::key(&prekey.id), &prekey);
        Ok((prekey.id, encode(&bundle)))
    }

    pub(super) fn revoke_ticket(&mut self, link: &str) -> Answer {
        let wanted: String = link.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        let open = rows::all::<TicketRow>(self, b"")?
            .into_iter()
            .find(|ticket| ticket.state == TicketState::Open && ticket.link.to_ascii_lowercase() == wanted);
        let mut ticket = open.ok_or(Refusal::NoSuchLink)?;
        ticket.pending.clear();
        self.close_ticket(ticket.clone(), TicketState::Revoked)?;
        self.unpin_ticket(&ticket)?;
        Ok(Reply::Done)
    }

    /// Whether a request under this link may be made by `account`; its secret if so.
    pub(super) fn admit_request(
        &mut self,
        ticket_box: BoxId,
        account: AccountId,
        device: DeviceId,
    ) -> Step<Option<Inv>> {
        let Some(mut ticket) = self.read::<TicketRow>(&TicketRow::key(ticket_box))? else { return Ok(None) };
        let known = ticket.pending.contains(&account);
        let room = ticket.pending.len() < MAX_PENDING_PER_TICKET;
        let devices = self.contact(account)?.map(|contact| contact.devices).unwrap_or_default();
        let crowded = !devices.contains(&device) && devices.len() >= MAX_DEVICES;
        if ticket.state != TicketState::Open || ticket.expires <= self.now || !(known || room) || crowded {
            return Ok(None);
        }
        if !known {
            ticket.pending.push(account);
            self.put(TicketRow::key(ticket_box), &ticket);
        }
        self.note_request(account, device, &ticket)?;
        Ok(Some(ticket.inv))
    }

    /// Somebody was accepted by this link: nobody else will be. Its boxes stay while that one knows of no others.
    pub(super) fn use_ticket(&mut self, inv: &Inv, accepted: AccountId) -> Step {
        let Some(mut ticket) = self.read::<TicketRow>(&TicketRow::key(inv.ticket_box()))? else { return Ok(()) };
        let mut others = std::mem::replace(&mut ticket.pending, vec![accepted]);
        others.retain(|other| *other != accepted);
        self.close_ticket(ticket, TicketState::Used)?;
        let (tag, _) = intro_tag(&inv.intro());
        for other in others {
            self.turn_away(other, tag)?;
        }
        Ok(())
    }

    /// Ends a link: its prekey is erased, and who comes with it later is told.
    fn close_ticket(&mut self, mut ticket: TicketRow, state: TicketState) -> Step {
        ticket.state = state;
        self.put(TicketRow::key(ticket.inv.ticket_box()), &ticket);
        self.erase_prekey(&ticket.prekey)?;
        let (tag, _) = intro_tag(&ticket.inv.intro());
        let Some(mut row) = self.read::<TagRow>(&TagRow::key(tag))? else { return Ok(()) };
        row.intro = Some(Intro::Closed);
        row.secret = None;
        self.put(TagRow::key(tag), &row);
        Ok(())
    }

    /// Who was accepted by a link knows other boxes of this device: those of the link are needed no more.
    pub(super) fn leave_ticket_boxes(&mut self, account: AccountId) -> Step {
        for mut ticket in self.sound::<TicketRow>(b"")? {
            if ticket.state == TicketState::Used && ticket.pending.contains(&account) {
                ticket.pending.clear();
                self.put(TicketRow::key(ticket.inv.ticket_box()), &ticket);
                self.unpin_ticket(&ticket)?;
            }
        }
        Ok(())
    }

    /// Removes links whose time is over, and gives up requests whose link ended before its maker was reached.
    pub(super) fn end_tickets(&mut self) -> Step {
        for ticket in self.sound::<TicketRow>(b"")? {
            if ticket.expires > self.now {
                continue;
            }
            let (tag, _) = intro_tag(&ticket.inv.intro());
            self.erase_prekey(&ticket.prekey)?;
            if let Some(mut row) = self.read::<TagRow>(&TagRow::key(tag))? {
                row.intro = None;
                row.secret = None;
                self.put_tag(tag, &row);
            }
            self.delete(TicketRow::key(ticket.inv.ticket_box()));
        }
        for contact in self.sound::<ContactRow>(b"")? {
            let over = contact.state == ContactState::Pending && contact.problem.is_none();
            if contact.is_asked_anew() && contact.ticket_ends <= self.now {
                self.end_asking_anew(contact, super::feed::ContactNotice::LinkExpired)?;
                continue;
            }
            if over && contact.ticket_ends <= self.now {
                self.fail_request(contact, rows::ContactProblem::LinkExpired, super::feed::ContactNotice::LinkExpired)?;
            }
        }
        Ok(())
    }
}

/// Where a link leads: the best address of this node, then its mailboxes', then the rest, so that a link has room for both.
fn with_mailboxes(own: &[Address], mailboxes: &[MailboxBox]) -> Vec<Address> {
    let (first, rest) = own.split_at(own.len().min(1));
    let of_mailboxes = mailboxes.iter().filter_map(|mailbox| mailbox.addresses.first());
    first.iter().chain(of_mailboxes).chain(rest).cloned().collect()
}

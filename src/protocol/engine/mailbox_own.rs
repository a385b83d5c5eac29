//! The mailboxes of this device: added, asked to keep its boxes, named in its bundle, left.

use super::{
    Timer,
    bundles::verified,
    command::{MailboxAt, Refusal, Reply},
    mailbox_mail::{Fetch, Taken},
    mailbox_send::{Left, Outgoing, Sought},
    mailbox_serve::Asked,
    record::{Position, Record},
    rows::{ContactState, DeviceRow, MailboxRow, MailboxState, OwnRow, TicketRow, TicketState, all},
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    crypto::envelope::Tag,
    identity::{
        SignedBundle, Ticket,
        bundle::{Address, BoxId, MailboxBox, seal_bundle},
        ticket::Purpose,
    },
    ids::{AccountId, DeviceId, TransportKey},
    time::{Millis, minutes},
    view::{Table, ViewError},
    wire::{
        frame::Frame,
        limits::{MAX_MAILBOX_ADDRESSES, MAX_MAILBOXES},
        mailbox::{Ask, BlobId, Opening, Verdict},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// How often mailboxes are asked for mail, though they tell of it: what they say may be lost.
const ASK_EVERY: Duration = minutes(5);
/// A mailbox that this device met just now, and that did not let it, is asked again after this time.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Boxes of open links at one mailbox: those of the newest.
const TICKET_BOXES: usize = 32;
/// Closed boxes that are remembered to be closed: those of the links of 32 mailboxes.
const CLOSED_KEPT: usize = 32 * TICKET_BOXES;

/// What the engine remembers of mailboxes. All of it may be lost.
#[derive(Debug, Default)]
pub(super) struct MailMemory {
    // As a mailbox
    /// What peers asked for lately.
    pub(super) asked: BTreeMap<TransportKey, Asked>,
    /// Boxes whose owner was told that there is mail and has not asked since.
    pub(super) told: BTreeSet<BoxId>,
    /// Who read a log and was not told since that there is more.
    pub(super) readers: BTreeMap<BoxId, BTreeSet<TransportKey>>,
    /// This node's own key on the network, once it is up.
    pub(super) own: Option<TransportKey>,
    // As an owner
    /// Boxes that a mailbox was asked to keep.
    pub(super) opening: BTreeSet<(TransportKey, BoxId)>,
    /// Fetches under way.
    pub(super) fetches: BTreeMap<(TransportKey, BoxId), Fetch>,
    /// Boxes that are closed, with their ends, once what is in them was read.
    pub(super) closing: BTreeMap<(TransportKey, BoxId), Millis>,
    /// Boxes of closed links that their mailboxes keep no more, as far as was heard in this run.
    pub(super) closed: BTreeSet<(TransportKey, BoxId)>,
    /// What is durable here with this drain and may be deleted there.
    pub(super) took: BTreeMap<(TransportKey, BoxId), Vec<u64>>,
    /// What each mailbox gave in this hour out of a box, or without being asked.
    pub(super) taken: BTreeMap<(TransportKey, Option<BoxId>), Taken>,
    /// What came by mail in this run, when, and in which order.
    pub(super) seen: BTreeMap<BlobId, Millis>,
    pub(super) seen_order: VecDeque<BlobId>,
    /// Mailboxes whose mail was not read since this node came up, and when it did.
    pub(super) unread: BTreeSet<TransportKey>,
    pub(super) up_since: Option<Millis>,
    /// Places of mail that stays there, since what it said is in memory alone, and since when.
    pub(super) unsettled: BTreeMap<(TransportKey, BoxId, u64), Millis>,
    /// The seq of the last bundle that a contact's device left outside sessions, and the intros it left it under.
    pub(super) offers: BTreeMap<DeviceId, (u64, Vec<Tag>)>,
    /// Where connected peers were reached.
    pub(super) reached: BTreeMap<TransportKey, String>,
    // As a sender
    /// Devices that are away and have something coming.
    pub(super) outgoing: BTreeMap<DeviceId, Outgoing>,
    /// Deposits that are not answered.
    pub(super) under_way: BTreeMap<TransportKey, BTreeMap<BlobId, Left>>,
    /// Boxes whose mailbox refused or did not answer, and until when they are left alone.
    pub(super) resting: BTreeMap<(TransportKey, BoxId), Millis>,
    /// Mailboxes that were dialled only to leave mail there.
    pub(super) sought: BTreeMap<TransportKey, Sought>,
    /// When devices were told what they are owed, on a connection that may have broken.
    pub(super) told_lately: BTreeMap<DeviceId, Told>,
    /// Devices of which a row says that they are told something on their connection.
    pub(super) telling: BTreeSet<DeviceId>,
    /// When all that lies at a device's mailboxes was left there again.
    pub(super) left_again: BTreeMap<DeviceId, Millis>,
    /// Mailboxes that said lately that they lost something, and when.
    pub(super) put_back_heard: BTreeMap<TransportKey, Millis>,
    /// What devices were told by mail that it is durable here, the newest last: they may know that session no more.
    pub(super) told_by_mail: BTreeMap<DeviceId, VecDeque<Position>>,
    /// Since when devices are not connected.
    pub(super) gone: BTreeMap<TransportKey, Millis>,
}

/// What a connected device was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// When last.
    pub(super) at: Millis,
    /// The positions of its control records; those of its events follow from what is here.
    pub(super) positions: BTreeSet<Position>,
    pub(super) lost: BTreeSet<Position>,
}

impl Turn<'_> {
    /// Asks a node to keep mail for this device.
    pub(super) fn add_mailbox(&mut self, at: &MailboxAt) -> Answer {
        let (node, account, addresses, pass) = match at {
            MailboxAt::Link(link) => self.mailbox_of_link(link)?,
            MailboxAt::Contact(account) => self.mailbox_of_contact(*account)?,
        };
        let known = self.mailbox(node)?;
        if known.is_none() && self.mailboxes()?.len() >= MAX_MAILBOXES {
            return Err(Refusal::TooManyMailboxes { max: MAX_MAILBOXES }.into());
        }
        let id = match &known {
            Some(row) => row.id,
            None => self.random_box(),
        };
        let active = known.as_ref().is_some_and(|row| row.state == MailboxState::Active);
        let state = if active { MailboxState::Active } else { MailboxState::Asked };
        let row = MailboxRow { node, account, id, addresses, pass, state, since: self.now, guest: None };
        self.put(MailboxRow::key(node), &row);
        self.set_mailbox_timer();
        self.reach_mailbox(&row)?;
        if self.mem.peers.contains_key(&node) {
            self.meet_own_mailbox(node)?;
        }
        Ok(Reply::Mailbox(account))
    }

    fn mailbox_of_link(&self, link: &str) -> Answer<(TransportKey, AccountId, Vec<Address>, Option<BoxId>)> {
        let ticket = Ticket::parse(link).map_err(super::contacts::link_refusal)?;
        if ticket.account() == self.own()?.account {
            return Err(Refusal::OwnLink.into());
        }
        if ticket.purpose() != Purpose::Mailbox {
            return Err(Refusal::NotAMailboxLink.into());
        }
        if ticket.expires() <= self.now {
            return Err(Refusal::LinkExpired { ended: ticket.expires() }.into());
        }
        let addresses = ticket.hints().iter().map(|hint| hint.address()).take(MAX_MAILBOX_ADDRESSES).collect();
        Ok((ticket.transport(), ticket.account(), addresses, Some(ticket.inv().mailbox_pass())))
    }

    fn mailbox_of_contact(&self, account: AccountId) -> Answer<(TransportKey, AccountId, Vec<Address>, Option<BoxId>)> {
        let contact = self.contact(account)?.ok_or(Refusal::NoSuchContact)?;
        if contact.state != ContactState::Connected || contact.blocked {
            return Err(Refusal::NotConnected { account }.into());
        }
        for device in &contact.devices {
            if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(*device))? {
                return Ok((row.transport, account, mailbox_addresses(&row.addresses), None));
            }
        }
        Err(Refusal::NotConnected { account }.into())
    }

    /// The mailboxes of this device, guests' boxes not counted, and not those that it leaves.
    pub(super) fn mailboxes(&self) -> Step<Vec<MailboxRow>> {
        let mut rows = all::<MailboxRow>(self, MailboxRow::SCOPE)?;
        rows.retain(|row| row.state != MailboxState::Leaving);
        rows.sort_by_key(|row| (row.since, row.node));
        Ok(rows)
    }

    pub(super) fn mailbox(&self, node: TransportKey) -> Step<Option<MailboxRow>> {
        self.read(&MailboxRow::key(node))
    }

    /// Every box of this device at a mailbox, a guest's too.
    pub(super) fn all_mailboxes(&self) -> Step<Vec<MailboxRow>> {
        let mut rows = all::<MailboxRow>(self, MailboxRow::SCOPE)?;
        rows.extend(all::<MailboxRow>(self, MailboxRow::GUESTS)?);
        Ok(rows)
    }

    /// The boxes of this device at one mailbox.
    pub(super) fn boxes_at(&self, node: TransportKey) -> Step<Vec<MailboxRow>> {
        let guest = self.read::<MailboxRow>(&MailboxRow::guest_key(node))?;
        Ok(self.mailbox(node)?.into_iter().chain(guest).collect())
    }

    /// The boxes that this device's bundle names.
    pub(super) fn named_boxes(&self) -> Step<Vec<MailboxBox>> {
        let active = self.mailboxes()?.into_iter().filter(|row| row.state == MailboxState::Active);
        Ok(active.map(|row| MailboxBox { node: row.node, id: row.id, addresses: row.addresses }).collect())
    }

    /// The boxes of a new link: one at each mailbox.
    pub(super) fn ticket_boxes(&self, ticket: BoxId) -> Step<Vec<MailboxBox>> {
        let mut boxes = self.named_boxes()?;
        boxes.iter_mut().for_each(|mailbox| mailbox.id = ticket);
        Ok(boxes)
    }

    pub(super) fn random_box(&mut self) -> BoxId {
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        BoxId(id)
    }

    /// The network is up: mailboxes are dialled, and asked now and then.
    pub(super) fn mailboxes_online(&mut self) -> Step {
        self.mem.mail.up_since = Some(self.now);
        self.mem.mail.own = Some(self.own()?.transport);
        for row in self.all_mailboxes()? {
            self.mem.mail.unread.insert(row.node);
            self.reach_mailbox(&row)?;
            self.set_mailbox_timer();
        }
        Ok(())
    }

    /// Whether mail may still come that was sealed to old prekeys.
    pub(super) fn awaits_old_mail(&self) -> bool {
        let fresh = self.mem.mail.up_since.is_some_and(|since| self.now.since(since) < ASK_EVERY * 2);
        fresh && !self.mem.mail.unread.is_empty()
    }

    pub(super) fn set_mailbox_timer(&mut self) {
        if !self.mem.timers.iter().any(|(_, timer)| *timer == Timer::Mailboxes) {
            self.mem.timers.insert((self.now.plus(ASK_EVERY), Timer::Mailboxes));
        }
    }

    /// Now and then: what a mailbox should have told is asked for, and who is not needed any more is let go.
    pub(super) fn mailboxes_due(&mut self) -> Step {
        let rows = self.all_mailboxes()?;
        for row in &rows {
            if row.guest.is_some_and(|(_, until)| until <= self.now) || self.is_left_long_ago(row) {
                self.drop_mailbox(row)?;
            } else if self.mem.peers.contains_key(&row.node) {
                self.meet_own_mailbox(row.node)?;
            }
        }
        self.look_into_all_logs()?;
        self.seek_by_links()?;
        self.leave_sought()?;
        if !rows.is_empty() || self.has_logs() || !self.mem.mail.sought.is_empty() || self.has_links_to_follow()? {
            self.set_mailbox_timer();
        }
        Ok(())
    }

    /// Asks every mailbox that is there for what is in this device's boxes, also for what was left in them before.
    pub(super) fn look_into_boxes(&mut self) -> Step {
        for row in self.all_mailboxes()? {
            if self.mem.peers.contains_key(&row.node) {
                self.meet_own_mailbox(row.node)?;
            }
        }
        Ok(())
    }

    pub(super) fn reach_mailbox(&mut self, row: &MailboxRow) -> Step {
        let mut addresses: Vec<String> = row.addresses.iter().map(ToString::to_string).collect();
        if let Some(device) = self.device_of(row.node)? {
            addresses.extend(device.addresses);
        }
        self.reach(row.node, addresses);
        Ok(())
    }

    /// A peer is connected: if it is a mailbox of ours it is asked to keep our boxes, and for what is in them.
    pub(super) fn meet_mailbox(&mut self, peer: TransportKey, address: Option<&str>) -> Step {
        let worked = address.and_then(|text| text.parse::<Address>().ok());
        for mut row in self.boxes_at(peer)? {
            let Some(worked) = worked.clone().filter(|worked| !row.addresses.contains(worked)) else { continue };
            row.addresses.insert(0, worked);
            row.addresses.truncate(MAX_MAILBOX_ADDRESSES);
            self.put(row.own_key(), &row);
            if row.state == MailboxState::Active && row.guest.is_none() {
                self.boxes_changed()?;
            }
        }
        self.meet_own_mailbox(peer)?;
        self.look_into_logs(peer)
    }

    fn meet_own_mailbox(&mut self, peer: TransportKey) -> Step {
        for row in self.boxes_at(peer)? {
            if row.state == MailboxState::Leaving {
                self.part_from_mailbox(&row)?;
                continue;
            }
            let guest_of = row.guest.map(|(ticket, _)| ticket);
            self.ask_to_open(peer, row.id, Opening { link: row.pass, guest_of, ..Opening::default() });
            if row.guest.is_none() {
                for ticket in self.tickets_with_boxes()? {
                    self.open_ticket_box(&row, &ticket)?;
                }
                self.close_ticket_boxes(&row)?;
            }
        }
        Ok(())
    }

    pub(super) fn ask_to_open(&mut self, peer: TransportKey, id: BoxId, opening: Opening) {
        self.mem.mail.opening.insert((peer, id));
        self.send(peer, &Frame::Ask(Ask::Open(id, opening)));
    }

    fn open_ticket_box(&mut self, row: &MailboxRow, ticket: &TicketRow) -> Step {
        let bundle = SignedBundle::parse(&ticket.bundle).map_err(|_| ViewError::Damaged(Table::Ticket))?;
        let sealed = seal_bundle(&ticket.inv.intro(), &bundle, self.rng);
        let opening =
            Opening { link: row.pass, until: Some(ticket.expires), pinned: Some(sealed), ..Opening::default() };
        self.ask_to_open(row.node, ticket.inv.ticket_box(), opening);
        Ok(())
    }

    /// A link was made: its box is kept at the mailboxes too.
    pub(super) fn pin_ticket(&mut self, ticket: &TicketRow) -> Step {
        for row in self.mailboxes()? {
            if row.state == MailboxState::Active && self.mem.peers.contains_key(&row.node) {
                self.open_ticket_box(&row, ticket)?;
            }
        }
        Ok(())
    }

    /// A link is closed: whoever asks a mailbox for it is told so. What lies in its box is read first: it counts as left
    /// where it was left. A mailbox that is not connected is told when it is.
    pub(super) fn unpin_ticket(&mut self, ticket: &TicketRow) -> Step {
        for row in self.mailboxes()? {
            if self.mem.peers.contains_key(&row.node) {
                self.close_ticket_box(row.node, ticket)?;
            }
        }
        Ok(())
    }

    /// What a mailbox was told of closed links may be lost: it is told until it says so itself.
    fn close_ticket_boxes(&mut self, row: &MailboxRow) -> Step {
        for ticket in self.tickets(|ticket| !is_awaited(ticket))? {
            if !self.mem.mail.closed.contains(&(row.node, ticket.inv.ticket_box())) {
                self.close_ticket_box(row.node, &ticket)?;
            }
        }
        Ok(())
    }

    pub(super) fn close_ticket_box(&mut self, node: TransportKey, ticket: &TicketRow) -> Step {
        let id = ticket.inv.ticket_box();
        self.mem.mail.closing.insert((node, id), ticket.expires);
        self.fetch(node, id)
    }

    /// A box that was to be closed is none any more.
    pub(super) fn note_closed(&mut self, node: TransportKey, id: BoxId) {
        if self.mem.mail.closing.remove(&(node, id)).is_some() && self.mem.mail.closed.len() < CLOSED_KEPT {
            self.mem.mail.closed.insert((node, id));
        }
    }

    pub(super) fn tickets_with_boxes(&self) -> Step<Vec<TicketRow>> {
        self.tickets(is_awaited)
    }

    /// Links of this kind whose time is not over, the newest first, as many as have boxes.
    fn tickets(&self, such: impl Fn(&TicketRow) -> bool) -> Step<Vec<TicketRow>> {
        let mut tickets = all::<TicketRow>(self, b"")?;
        tickets.retain(|ticket| such(ticket) && ticket.expires > self.now);
        tickets.sort_by_key(|ticket| std::cmp::Reverse((ticket.made, ticket.inv.ticket_box())));
        tickets.truncate(TICKET_BOXES);
        Ok(tickets)
    }

    /// Whether a box is one of ours at this mailbox.
    pub(super) fn is_own_box(&self, peer: TransportKey, id: BoxId) -> Step<bool> {
        let rows = self.boxes_at(peer)?;
        if rows.iter().any(|row| row.id == id) {
            return Ok(true);
        }
        let added = rows.iter().any(|row| row.guest.is_none());
        Ok(added && self.read::<TicketRow>(&TicketRow::key(id))?.is_some())
    }

    /// A mailbox answers whether it keeps a box.
    pub(super) fn opened(&mut self, peer: TransportKey, id: BoxId, verdict: Verdict) -> Step {
        if !self.mem.mail.opening.remove(&(peer, id)) {
            // It tells that this is otherwise now: it is asked, once until it answers, however often it says so.
            let is_news = |row: &MailboxRow| (row.state == MailboxState::Active) != (verdict == Verdict::Done);
            let told = self.boxes_at(peer)?.into_iter().find(|row| row.id == id && is_news(row));
            let is_asked = told.as_ref().is_some_and(|row| self.mem.mail.opening.contains(&(peer, row.id)));
            return if told.is_some() && !is_asked { self.meet_own_mailbox(peer) } else { Ok(()) };
        }
        if verdict == Verdict::Busy {
            return Ok(());
        }
        let state = if verdict == Verdict::Done { MailboxState::Active } else { MailboxState::Refused(verdict) };
        let row = self.boxes_at(peer)?.into_iter().find(|row| row.id == id && row.state != state);
        if let Some(mut row) = row {
            let was_active = row.state == MailboxState::Active;
            row.state = state;
            self.put(row.own_key(), &row);
            if row.guest.is_some() {
                self.follow_guest_box(&row)?;
            } else if was_active || state == MailboxState::Active {
                self.boxes_changed()?;
            }
        }
        if verdict != Verdict::Done {
            let is_fresh = self.mem.mail.up_since.is_some_and(|since| self.now.since(since) < ASK_EVERY);
            if verdict == Verdict::NotAllowed && is_fresh {
                // It may not know yet that this device took the place of one that it knew.
                self.mem.timers.insert((self.now.plus(ASK_AGAIN_AFTER), Timer::Mailboxes));
            }
            return Ok(());
        }
        self.log_opened(peer, id)?;
        self.fetch(peer, id)
    }

    /// The bundle names other boxes now: everybody is told, those who are away at their own mailboxes.
    pub(super) fn boxes_changed(&mut self) -> Step {
        let own: OwnRow = self.own()?;
        self.renew_bundle(own)?;
        self.tell_bundle()?;
        for device in self.sound::<DeviceRow>(b"")? {
            let here = self.mem.peers.contains_key(&device.transport);
            let knows = self.may_know_bundle(&device)?;
            // Who was asked by a start has a bundle of this device without these boxes.
            let asked = !knows && device.sending.is_some() && self.is_asked(device.account)?;
            if (knows || asked) && self.is_contacts_device(device.account, device.device)? {
                self.post_boxes(device.device)?;
                continue;
            }
            if !here && knows {
                self.owe_bundle(&device)?;
            }
        }
        Ok(())
    }

    /// Tells a new contact's device where mail may be left for this one: not in the box of the link, which closes now.
    pub(super) fn tell_boxes(&mut self, device: DeviceId) -> Step {
        if self.named_boxes()?.is_empty() { self.give_bundle(device) } else { self.post_boxes(device) }
    }

    /// Puts the newest bundle into a device's outbox, in place of an older one.
    fn post_boxes(&mut self, device: DeviceId) -> Step {
        let bundle = self.own()?.bundle;
        self.drop_controls(device, &|record| matches!(record, Record::Boxes(older) if *older != bundle))?;
        self.post(device, &Record::Boxes(bundle))
    }

    /// A device confirmed that it knows these boxes.
    pub(super) fn boxes_confirmed(&mut self, account: AccountId, bytes: &[u8]) -> Step {
        let Some((_, told)) = verified(bytes) else { return Ok(()) };
        if told.boxes == self.named_boxes()? { self.leave_ticket_boxes(account) } else { Ok(()) }
    }

    fn is_asked(&self, account: AccountId) -> Step<bool> {
        let contact = self.contact(account)?;
        let waits = |state| matches!(state, ContactState::Pending | ContactState::Requested);
        Ok(contact.is_some_and(|contact| waits(contact.state) && !contact.blocked))
    }

    /// Tells a device this one's newest bundle, now or by mail.
    pub(super) fn give_bundle(&mut self, device: DeviceId) -> Step {
        let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        if self.mem.peers.contains_key(&row.transport) {
            let bundle = self.own()?.bundle;
            return self.whisper(device, &Record::Bundle(bundle));
        }
        self.owe_bundle(&row)
    }

    /// Ends the connection to a mailbox, unless it is wanted for something else.
    pub(super) fn forget_mailbox(&mut self, node: TransportKey) -> Step {
        if !self.boxes_at(node)?.is_empty() || self.keeps_logs(node) || self.mem.mail.sought.contains_key(&node) {
            return Ok(());
        }
        if let Some(device) = self.device_of(node)? {
            let contact = self.contact(device.account)?;
            let wanted = contact.is_some_and(|contact| contact.wants_to_hear() && !contact.blocked);
            if wanted || !device.groups.is_empty() {
                return Ok(());
            }
        }
        self.forget(node);
        Ok(())
    }
}

/// Whether somebody may still come by a link.
fn is_awaited(ticket: &TicketRow) -> bool {
    ticket.state == TicketState::Open || !ticket.pending.is_empty()
}

/// Those of a device's addresses that a bundle names of a mailbox.
fn mailbox_addresses(addresses: &[String]) -> Vec<Address> {
    addresses.iter().filter_map(|text| text.parse().ok()).take(MAX_MAILBOX_ADDRESSES).collect()
}

//! First contact while the maker of a link is away: its bundle is pinned at a mailbox of its own, to which the link leads.
//!
//! Whoever answers at one of the link's addresses is asked for what is pinned in the ticket's box. The bundle proves itself:
//! it opens under the link's secret and is signed by the account that the link names. The request then goes into that box,
//! and the answer into the asker's own, or into a guest's box at the same mailbox.

use super::{
    Effect,
    bundles::opened,
    rows::{ContactRow, ContactState, DeviceRow, MailboxRow, MailboxState, OwnRow, PeerRow, all},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{sign::Verified, start::intro_tag},
    identity::{
        Bundle, SignedBundle,
        bundle::{Address, BoxId, MailboxBox},
        hint::Hint,
        ticket::Inv,
    },
    ids::{AccountId, TransportKey},
    wire::{
        frame::Frame,
        limits::{GUEST_BOX_KEPT, MAX_MAILBOX_ADDRESSES},
        mailbox::{Ask, Opening, Verdict},
    },
};
use std::time::Duration;

impl Turn<'_> {
    /// Tries whoever answers at the addresses of links whose makers were not reached.
    pub(super) fn seek_by_links(&mut self) -> Step {
        for contact in self.sound::<ContactRow>(b"")? {
            self.seek_by_link(&contact)?;
        }
        Ok(())
    }

    /// The same for one: who is connected already is asked at once.
    pub(super) fn seek_by_link(&mut self, contact: &ContactRow) -> Step {
        let Some(maker) = self.unreached_maker(contact)? else { return self.ask_for_pinned_again(contact) };
        let peers: Vec<TransportKey> = self.mem.peers.keys().copied().collect();
        for peer in peers {
            let mut known: Vec<String> = self.mem.mail.reached.get(&peer).cloned().into_iter().collect();
            for row in self.boxes_at(peer)? {
                known.extend(row.addresses.iter().map(ToString::to_string));
            }
            known.extend(self.device_of(peer)?.map(|device| device.addresses).unwrap_or_default());
            for address in known {
                self.ask_for_pinned_of(peer, &address, contact, &maker);
            }
        }
        self.probe(maker.addresses);
        Ok(())
    }

    pub(super) fn has_links_to_follow(&mut self) -> Step<bool> {
        for contact in self.sound::<ContactRow>(b"")? {
            if self.unreached_maker(&contact)?.is_some() || self.asked_by_mail(&contact)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The maker of the link by which a contact is being added, while its bundle is not here.
    fn unreached_maker(&self, contact: &ContactRow) -> Step<Option<PeerRow>> {
        let Some(transport) = self.absent_maker(contact) else { return Ok(None) };
        let Some(peer) = self.read::<PeerRow>(&PeerRow::key(transport))? else { return Ok(None) };
        let met = peer.device.is_some_and(|device| contact.devices.contains(&device));
        Ok((!met).then_some(peer))
    }

    /// The device that was asked by mail to be a contact, while it has not confirmed that and is away.
    fn asked_by_mail(&self, contact: &ContactRow) -> Step<Option<DeviceRow>> {
        match self.absent_maker(contact) {
            Some(transport) => self.device_of(transport),
            None => Ok(None),
        }
    }

    /// Where the maker of the link is by which a contact is being added, while that is not confirmed and the maker is away.
    fn absent_maker(&self, contact: &ContactRow) -> Option<TransportKey> {
        let waits = contact.state == ContactState::Pending && contact.problem.is_none() && contact.ticket.is_some();
        contact.ticket_transport.filter(|transport| waits && !self.mem.peers.contains_key(transport))
    }

    /// The link's maker may have pinned another bundle since: the prekey of the one that was used may be gone.
    fn ask_for_pinned_again(&mut self, contact: &ContactRow) -> Step {
        let (Some(device), Some(inv)) = (self.asked_by_mail(contact)?, &contact.ticket) else { return Ok(()) };
        for mailbox in device.boxes() {
            if self.mem.peers.contains_key(&mailbox.node) {
                self.send(mailbox.node, &Frame::Ask(Ask::Pinned(inv.ticket_box())));
            }
        }
        Ok(())
    }

    /// Asks anew by what is pinned now, where that is newer: an old one that a mailbox brings again changes nothing.
    fn pinned_came_again(&mut self, peer: TransportKey, contact: &ContactRow, inv: &Inv, sealed: &[u8]) -> Step {
        let Some(held) = self.asked_by_mail(contact)? else { return Ok(()) };
        let Some((signed, bundle)) = pinned_bundle(contact, inv, sealed) else { return Ok(()) };
        // The box may have been refused before its owner opened it there.
        if self.mem.mail.resting.remove(&(peer, inv.ticket_box())).is_some() {
            self.rewind_mail(held.device);
            self.leave_mail_soon(&held, Duration::ZERO);
        }
        let known = SignedBundle::parse(&held.bundle).ok().and_then(|held| held.claimed());
        if known.is_some_and(|(device, seq)| device != bundle.cert.device || seq >= bundle.seq) {
            return Ok(());
        }
        let Some(device) = self.learn_pinned(&signed, &bundle)? else { return Ok(()) };
        let (tag, _) = intro_tag(&inv.intro());
        let device = self.leave_start_with_other_prekey(device, &bundle.prekey.id, |row| row.intro_tag == tag)?;
        self.rewind_mail(device.device);
        self.pump(device.device)
    }

    /// Keeps what is pinned: for a start under a link its own bundle counts, though a newer weekly one may be known.
    fn learn_pinned(&mut self, signed: &SignedBundle, bundle: &Verified<Bundle>) -> Step<Option<DeviceRow>> {
        let Some(device) = self.learn_bundle(bundle, signed)? else { return Ok(None) };
        Ok(Some(self.keep_bundle(DeviceRow { boxes: Some(bundle.boxes.clone()), ..device }, signed)))
    }

    /// Looks at an address where somebody should be, whoever it is.
    pub(super) fn probe(&mut self, addresses: Vec<String>) {
        if self.mem.online && !addresses.is_empty() {
            self.notice(Effect::Probe(addresses));
            self.set_mailbox_timer();
        }
    }

    /// Somebody answered at `address`: it may be the mailbox of one whose link was added.
    pub(super) fn ask_for_pinned(&mut self, peer: TransportKey, address: &str) -> Step {
        self.mem.mail.reached.insert(peer, address.to_owned());
        for contact in self.sound::<ContactRow>(b"")? {
            if let Some(maker) = self.unreached_maker(&contact)? {
                self.ask_for_pinned_of(peer, address, &contact, &maker);
            }
        }
        Ok(())
    }

    fn ask_for_pinned_of(&mut self, peer: TransportKey, address: &str, contact: &ContactRow, maker: &PeerRow) {
        let Ok(reached) = address.parse::<Hint>() else { return };
        let is_there = maker.addresses.iter().any(|text| text.parse::<Hint>() == Ok(reached));
        if let (Some(inv), true) = (&contact.ticket, is_there && maker.transport != peer) {
            self.send(peer, &Frame::Ask(Ask::Pinned(inv.ticket_box())));
        }
    }

    /// A mailbox shows what is pinned in a link's box. Only what proves itself counts; "closed" is not believed, since the
    /// link's maker itself will say so.
    pub(super) fn pinned_came(&mut self, peer: TransportKey, id: BoxId, verdict: Verdict, sealed: &[u8]) -> Step {
        if verdict != Verdict::Done {
            return Ok(());
        }
        for contact in self.sound::<ContactRow>(b"")? {
            let Some(inv) = contact.ticket.clone().filter(|inv| inv.ticket_box() == id) else { continue };
            if self.unreached_maker(&contact)?.is_none() {
                self.pinned_came_again(peer, &contact, &inv, sealed)?;
                continue;
            }
            let Some((signed, bundle)) = pinned_bundle(&contact, &inv, sealed) else { return Ok(()) };
            let Some(device) = self.learn_pinned(&signed, &bundle)? else { return Ok(()) };
            return self.ask_by_mail(peer, id, contact.account, &device);
        }
        Ok(())
    }

    /// Asks for a box for the answer where this device has none, then to be a contact.
    fn ask_by_mail(&mut self, peer: TransportKey, id: BoxId, account: AccountId, device: &DeviceRow) -> Step {
        let has_box = !self.named_boxes()?.is_empty() || !self.boxes_at(peer)?.is_empty();
        let Some(at) = device.boxes().iter().find(|mailbox| mailbox.node == peer).filter(|_| !has_box) else {
            return self.request_of(account, device);
        };
        let mut addresses: Vec<Address> = at.addresses.clone();
        addresses.truncate(MAX_MAILBOX_ADDRESSES);
        let row = MailboxRow {
            node: peer,
            account,
            id: self.random_box(),
            addresses,
            pass: None,
            state: MailboxState::Asked,
            since: self.now,
            guest: Some((id, self.now.plus(GUEST_BOX_KEPT))),
        };
        self.put(row.own_key(), &row);
        self.reach_mailbox(&row)?;
        self.ask_to_open(peer, row.id, Opening { guest_of: Some(id), ..Opening::default() });
        Ok(())
    }

    /// The mailbox answered for the guest's box: the request goes out, with the box if there is one.
    pub(super) fn follow_guest_box(&mut self, row: &MailboxRow) -> Step {
        let Some((ticket, _)) = row.guest else { return Ok(()) };
        for contact in self.sound::<ContactRow>(b"")? {
            let asks = contact.state == ContactState::Pending
                && contact.ticket.as_ref().is_some_and(|inv| inv.ticket_box() == ticket);
            let Some(transport) = contact.ticket_transport.filter(|_| asks) else { continue };
            if let Some(device) = self.device_of(transport)? {
                self.request_of(contact.account, &device)?;
            }
        }
        Ok(())
    }

    /// The bundle that a start carries: where this device has no mailbox of its own and asks by a link, one that names the
    /// guest's box for the answer. Nobody else learns of that box.
    pub(super) fn bundle_for_start(&mut self, own: &OwnRow, to: &DeviceRow) -> Step<Vec<u8>> {
        let asks = self.contact(to.account)?.is_some_and(|contact| contact.state == ContactState::Pending);
        if !asks || !self.named_boxes()?.is_empty() {
            return Ok(own.bundle.clone());
        }
        let mut guests = all::<MailboxRow>(self, MailboxRow::GUESTS)?;
        guests.retain(|row| row.guest.is_some_and(|(_, until)| until > self.now) && row.state == MailboxState::Active);
        let boxes: Vec<MailboxBox> = guests
            .into_iter()
            .filter(|row| to.boxes().iter().any(|mailbox| mailbox.node == row.node))
            .map(|row| MailboxBox { node: row.node, id: row.id, addresses: row.addresses })
            .collect();
        if boxes.is_empty() { Ok(own.bundle.clone()) } else { self.bundle_with_boxes(own, boxes) }
    }
}

/// What is pinned, if it proves itself: it opens under the link's secret and is signed by the account and the key that the
/// link names.
fn pinned_bundle(contact: &ContactRow, inv: &Inv, sealed: &[u8]) -> Option<(SignedBundle, Verified<Bundle>)> {
    opened(&inv.intro(), sealed, contact.account)
        .filter(|(_, bundle)| Some(bundle.cert.transport) == contact.ticket_transport)
}

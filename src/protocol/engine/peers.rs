//! Who is connected, where everybody is, and what is said outside envelopes.

use super::{
    Timer,
    bundles::{opened, verified},
    feed::{ContactNotice, FeedEntry, Presence},
    record::Record,
    rows::{
        self, ContactProblem, ContactRow, ContactState, DeviceRow, Intro, OwnRow, PeerRow, PrekeyRow, SeenRow, TagRow,
    },
    sessions::{Heard, Hearing, device_keys},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{envelope::Tag, start::intro_tag},
    identity::{
        Bundle, SignedBundle, SignedCert, SignedList,
        bundle::{MailboxBox, Reach},
        certificate::next_seq,
    },
    ids::{AccountId, DeviceId, OpId, TransportKey},
    time::Millis,
    view::{Direction, Table, View, ViewError},
    wire::{
        decode, encode,
        frame::Frame,
        limits::{MAX_ADDRESSES, PREKEY_EVERY, PREKEY_KEPT},
    },
};
use std::time::Duration;

/// The first wait for a bundle that was asked for; it doubles up to 64 times that.
const BUNDLE_WAIT: Duration = Duration::from_secs(5);
/// How often a contact is asked for the bundle of a link that it may have accepted us by: then it does not answer.
const ASKS_ANEW: u32 = 5;
/// How often prekeys and open links are looked over.
const UPKEEP_EVERY: Duration = Duration::from_secs(3600);

/// A bundle that a connected peer was asked for.
#[derive(Debug, Default)]
pub(super) struct WantedBundle {
    /// How often.
    asked: u32,
    /// When it is asked for again.
    next: Option<Millis>,
}

impl Turn<'_> {
    /// The network is up: take part in what this account takes part in, and look for everybody.
    pub(super) fn come_online(&mut self) -> Step {
        self.mem.online = true;
        self.mailboxes_online()?;
        self.upkeep()?;
        for contact in self.sound::<ContactRow>(b"")? {
            self.attempt(|turn| turn.reach_contact(&contact))?;
        }
        self.reach_awaited()?;
        self.owe_what_was_told()?;
        self.seek_by_links()?;
        self.groups_online()
    }

    /// Dials whoever something waits for: of a group that was left, the members who do not know yet.
    fn reach_awaited(&mut self) -> Step {
        for device in self.sound::<DeviceRow>(b"")? {
            self.attempt(|turn| turn.reach_if_awaited(device))?;
        }
        Ok(())
    }

    fn reach_if_awaited(&mut self, device: DeviceRow) -> Step {
        if device.groups.is_empty() && self.is_blocked(device.account)? {
            return Ok(());
        }
        let waiting = self.scan(Table::Outbox, device.device.as_ref(), None, Direction::Forward, 1)?;
        if !waiting.is_empty() {
            self.reach(device.transport, device.addresses);
        }
        Ok(())
    }

    /// Dials the devices of a contact that one wants to hear from.
    pub(super) fn reach_contact(&mut self, contact: &ContactRow) -> Step {
        let wanted = matches!(contact.state, ContactState::Pending | ContactState::Requested | ContactState::Connected);
        if contact.blocked || !wanted {
            return Ok(());
        }
        for device in contact.devices.clone() {
            if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? {
                self.reach(row.transport, row.addresses);
            }
        }
        if let Some(transport) = contact.ticket_transport
            && let Some(peer) = self.read::<PeerRow>(&PeerRow::key(transport))?
        {
            // Who is known from a group already says itself where it is.
            let known = self.device_of(transport)?.map(|row| row.addresses).unwrap_or_default();
            self.reach(transport, freshest(&known, &peer.addresses));
        }
        Ok(())
    }

    /// Own addresses changed: a new bundle says so to everybody connected, and later to who connects.
    pub(super) fn listening(&mut self, addresses: Vec<String>) -> Step {
        let own = self.own()?;
        if own.addresses == addresses {
            return Ok(());
        }
        let own = OwnRow { addresses, ..own };
        self.renew_bundle(own)?;
        self.tell_bundle()
    }

    /// Signs a bundle of the present prekey and addresses and keeps it.
    pub(super) fn renew_bundle(&mut self, mut own: OwnRow) -> Step {
        let damaged = |_| ViewError::Damaged(Table::Own);
        let Some((_, held)) = verified(&own.bundle) else { return Err(ViewError::Damaged(Table::Own)) };
        let keys = device_keys(&own)?;
        let seq = next_seq(own.bundle_seq, self.now);
        // One made in a future that the clock came back from would stay for years.
        let fresh = self.now.since(own.prekey_made) < PREKEY_EVERY && own.prekey_made <= self.now;
        let record = if fresh {
            encode(&held.prekey)
        } else {
            let (row, record) = super::begin::new_prekey(seq, None, self.now, self.rng);
            own.prekey = row.id;
            own.prekey_made = self.now;
            self.put(PrekeyRow::key(&row.id), &row);
            record
        };
        let list: SignedList = decode(&own.list, "device list").map_err(damaged)?;
        let cert: SignedCert = decode(&own.cert, "certificate").map_err(damaged)?;
        let addresses = own.addresses.iter().filter_map(|text| text.parse().ok()).take(MAX_ADDRESSES).collect();
        let reach = Reach { boxes: self.named_boxes()?, addresses };
        let bundle =
            SignedBundle::issue(&keys, list, cert, record, reach, seq).map_err(|_| ViewError::Damaged(Table::Own))?;
        own.bundle = encode(&bundle);
        own.bundle_seq = seq;
        self.put(OwnRow::key(), &own);
        Ok(())
    }

    /// The newest prekey in a bundle that says nothing else, and that takes no other's place.
    pub(super) fn bare_bundle(&self, own: &OwnRow) -> Step<Vec<u8>> {
        self.bundle_anew(own, 0, |_| Reach::default())
    }

    /// The newest bundle with other boxes in it, for one listener.
    pub(super) fn bundle_with_boxes(&self, own: &OwnRow, boxes: Vec<MailboxBox>) -> Step<Vec<u8>> {
        self.bundle_anew(own, own.bundle_seq, |held| Reach { boxes, addresses: held.addresses.clone() })
    }

    /// The newest bundle's prekey under another number, saying something else of where this device is.
    fn bundle_anew(&self, own: &OwnRow, seq: u64, reach: impl FnOnce(&Bundle) -> Reach) -> Step<Vec<u8>> {
        let damaged = |_| ViewError::Damaged(Table::Own);
        let Some((_, held)) = verified(&own.bundle) else { return Err(ViewError::Damaged(Table::Own)) };
        let list: SignedList = decode(&own.list, "device list").map_err(damaged)?;
        let cert: SignedCert = decode(&own.cert, "certificate").map_err(damaged)?;
        let prekey = encode(&held.prekey);
        let signed = SignedBundle::issue(&device_keys(own)?, list, cert, prekey, reach(&held), seq)
            .map_err(|_| ViewError::Damaged(Table::Own))?;
        Ok(encode(&signed))
    }

    pub(super) fn tell_bundle(&mut self) -> Step {
        let bundle = self.own()?.bundle;
        let devices: Vec<DeviceId> = self.mem.peers.values().flatten().copied().collect();
        for device in devices {
            if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))?
                && self.may_know_bundle(&row)?
            {
                self.whisper(device, &Record::Bundle(bundle.clone()))?;
            }
        }
        Ok(())
    }

    /// Whether a device is told where this one is: a connected contact's, or a member's.
    pub(super) fn may_know_bundle(&self, device: &DeviceRow) -> Step<bool> {
        let contact = self.contact(device.account)?;
        let connected = contact.as_ref().is_some_and(|c| c.state == ContactState::Connected && !c.blocked);
        let contacts = connected && contact.is_some_and(|contact| contact.devices.contains(&device.device));
        Ok(contacts || !device.groups.is_empty())
    }

    /// A peer's first connection is up.
    pub(super) fn connected(&mut self, peer: TransportKey, address: Option<String>) -> Step {
        self.mem.peers.insert(peer, None);
        self.tell_waiting(peer)?;
        self.tell_what_was_lost(peer)?;
        self.meet_mailbox(peer, address.as_deref())?;
        self.mailbox_came(peer)?;
        if let Some(address) = &address {
            self.ask_for_pinned(peer, address)?;
        }
        let Some(mut known) = self.read::<PeerRow>(&PeerRow::key(peer))? else { return Ok(()) };
        let Some(device) = known.device else {
            known.addresses = freshest(&address.into_iter().collect::<Vec<_>>(), &known.addresses);
            self.put(PeerRow::key(peer), &known);
            return self.ask_ticket_bundle(known.account, peer);
        };
        self.mem.peers.insert(peer, Some(device));
        let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        if let Some(address) = address {
            row.addresses = freshest(&[address], &row.addresses);
            self.put(DeviceRow::key(device), &row);
        }
        self.mem.lanes.remove(&device);
        let row = self.leave_stale_start(row)?;
        self.end_mail_to(&row)?;
        self.tell_presence(&row, Presence::Online)?;
        self.tell_replaced(&row)?;
        self.greet(&row)?;
        self.ask_ticket_bundle(row.account, peer)?;
        self.pump(device)?;
        if row.sending.is_none() {
            // What waited has begun a session.
            self.greet_anew(device)?;
        }
        self.meet_contact(&row)?;
        self.groups_meet(&row)
    }

    /// Tells a device that is there where this one is, and what it may have missed of receipts.
    pub(super) fn greet(&mut self, device: &DeviceRow) -> Step {
        let is_there = self.mem.peers.contains_key(&device.transport);
        if !is_there || device.sending.is_none() || !self.may_know_bundle(device)? {
            return Ok(());
        }
        let bundle = self.own()?.bundle;
        self.whisper(device.device, &Record::Bundle(bundle))?;
        self.owe_all(device)
    }

    fn greet_anew(&mut self, device: DeviceId) -> Step {
        match self.read::<DeviceRow>(&DeviceRow::key(device))? {
            Some(row) => self.greet(&row),
            None => Ok(()),
        }
    }

    /// A device speaks that was connected before it was known.
    fn meet_known(&mut self, device: DeviceId) -> Step {
        self.greet_anew(device)?;
        match self.read::<DeviceRow>(&DeviceRow::key(device))? {
            Some(row) => self.meet_contact(&row),
            None => Ok(()),
        }
    }

    /// A peer's last connection is gone.
    pub(super) fn disconnected(&mut self, peer: TransportKey) -> Step {
        self.mem.bundles_wanted.remove(&peer);
        self.mailbox_went(peer)?;
        let Some(Some(device)) = self.mem.peers.remove(&peer) else { return Ok(()) };
        self.mem.lanes.remove(&device);
        self.end_talks(device);
        let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        self.begin_mail_to(&row)?;
        self.tell_presence(&row, Presence::Offline)
    }

    fn tell_presence(&mut self, device: &DeviceRow, presence: Presence) -> Step {
        let account = device.account;
        let Some(contact) = self.contact(account)? else { return Ok(()) };
        let is_its = contact.devices.contains(&device.device);
        if contact.state != ContactState::Connected || contact.blocked || !is_its {
            return Ok(());
        }
        self.tell(&FeedEntry::Peer { account, presence })
    }

    /// A frame from a connected peer. Whatever is in it, at worst nothing comes of it.
    pub(super) fn frame(&mut self, peer: TransportKey, bytes: &[u8]) -> Step {
        match Frame::parse(bytes) {
            Ok(Frame::Envelope(wire)) => self.envelope(peer, &wire),
            Ok(Frame::Unknown(tag)) => self.unknown(peer, tag),
            Ok(Frame::BundleWanted(tag)) => self.bundle_wanted(peer, tag),
            Ok(Frame::Bundle(tag, sealed)) => self.bundle_came(peer, tag, &sealed),
            Ok(Frame::TicketUsed(tag)) => self.ticket_used(peer, tag),
            Ok(Frame::List(list)) => self.list_told(&list),
            Ok(Frame::Ask(ask)) => self.ask_came(peer, ask),
            Ok(Frame::Say(say)) => self.mailbox_said(peer, say),
            Ok(Frame::Unheard(_)) | Err(_) => Ok(()),
        }
    }

    fn envelope(&mut self, peer: TransportKey, wire: &[u8]) -> Step {
        match self.hear(Some(peer), wire)? {
            Hearing::Heard(heard) => {
                let device = heard.device.device;
                let is_met = self.bind_peer(peer, device)?;
                self.settle(heard)?;
                if is_met { self.meet_known(device) } else { Ok(()) }
            }
            Hearing::Again(device, at) => self.settle_again(device, at),
            Hearing::Lost(device, at) => {
                self.owe_lost(device, at);
                Ok(())
            }
            Hearing::Told
            | Hearing::Outdated(_)
            | Hearing::Spent
            | Hearing::Early
            | Hearing::Shut
            | Hearing::Nothing => Ok(()),
        }
    }

    /// Acts on what was heard, and confirms it unless what came of it is in memory alone. Whether that is durable.
    pub(super) fn settle(&mut self, heard: Heard) -> Step<bool> {
        // Who is there no more is told nothing.
        let wants = wants_receipt(&heard.record) && !self.is_late(&heard)?;
        let (device, at) = (heard.device.device, heard.at);
        let outer = std::mem::replace(&mut self.in_memory, false);
        self.record(heard)?;
        let in_memory = std::mem::replace(&mut self.in_memory, outer);
        match (wants, in_memory) {
            (true, true) => self.note_unsettled(device, at)?,
            (true, false) => self.owe_position(device, at),
            (false, _) => {}
        }
        Ok(!(wants && in_memory))
    }

    /// The members of a group are others now: starts that came too early are heard again.
    pub(super) fn hear_early_starts(&mut self, group: OpId) -> Step {
        for (peer, wire) in self.mem.early_starts.remove(&group).unwrap_or_default() {
            self.envelope(peer, &wire)?;
        }
        Ok(())
    }

    /// A device speaks over a connection that its key owns: now it is known to be there. Whether it was not before.
    fn bind_peer(&mut self, peer: TransportKey, device: DeviceId) -> Step<bool> {
        if self.mem.peers.get(&peer) != Some(&None) {
            return Ok(false);
        }
        let row = self.read::<DeviceRow>(&DeviceRow::key(device))?;
        let is_its = row.is_some_and(|row| row.transport == peer);
        if is_its {
            self.mem.peers.insert(peer, Some(device));
        }
        Ok(is_its)
    }

    fn bundle_wanted(&mut self, peer: TransportKey, tag: Tag) -> Step {
        let row = self.read::<TagRow>(&TagRow::key(tag))?;
        match row.map(|row| (row.intro, row.secret)) {
            Some((Some(Intro::Closed), _)) => self.ticket_is_used(peer, tag).map(drop)?,
            Some((Some(intro), Some(secret))) => self.offer_bundle(peer, tag, &intro, &secret)?,
            _ => self.send(peer, &Frame::Unknown(tag)),
        }
        Ok(())
    }

    /// Tells who comes with a link that it is used; but not the one who was accepted by it, whose answer is on its way.
    /// Whether it was told.
    pub(super) fn ticket_is_used(&mut self, peer: TransportKey, tag: Tag) -> Step<bool> {
        let account = self.device_of(peer)?.map(|device| device.account);
        let contact = account.map(|account| self.contact(account)).transpose()?.flatten();
        if contact.is_some_and(|contact| contact.state == ContactState::Connected) {
            return Ok(false);
        }
        self.send(peer, &Frame::TicketUsed(tag));
        Ok(true)
    }

    /// The answer to a bundle that was asked for, or to a start under a prekey that is gone.
    fn bundle_came(&mut self, peer: TransportKey, tag: Tag, sealed: &[u8]) -> Step {
        let Some((account, intro)) = self.intro_by_tag(peer, tag)? else {
            // Of a link that is of no use here any more: a start under it is lost, and made under what both still share.
            return self.unknown(peer, tag);
        };
        let Some((signed, bundle)) = opened(&intro, sealed, account) else { return Ok(()) };
        if bundle.cert.transport != peer {
            return Ok(());
        }
        let Some(device) = self.learn_bundle(&bundle, &signed)? else { return Ok(()) };
        let device = self.keep_bundle(device, &signed);
        self.mem.peers.insert(peer, Some(device.device));
        let device = self.leave_start_with_other_prekey(device, &bundle.prekey.id, |row| row.intro_tag == tag)?;
        self.request_of(account, &device)?;
        self.pump(device.device)
    }

    /// The link was used by another, or closed: the owner must know.
    fn ticket_used(&mut self, peer: TransportKey, tag: Tag) -> Step {
        let Some(PeerRow { account, .. }) = self.read(&PeerRow::key(peer))? else { return Ok(()) };
        let Some(contact) = self.contact(account)? else { return Ok(()) };
        let waits = matches!(contact.state, ContactState::Pending | ContactState::Requested);
        let by_this_link = contact.ticket.as_ref().is_some_and(|inv| intro_tag(&inv.intro()).0 == tag);
        let anew = contact.is_asked_anew();
        if !(waits || anew) || !by_this_link || contact.ticket_transport != Some(peer) {
            return Ok(());
        }
        if anew {
            return self.end_asking_anew(contact, ContactNotice::LinkUsed);
        }
        self.fail_request(contact, ContactProblem::LinkUsed, ContactNotice::LinkUsed)
    }

    /// Asks the maker of the link by which a contact is being added for its bundle.
    pub(super) fn ask_ticket_bundle(&mut self, account: AccountId, peer: TransportKey) -> Step {
        let Some(contact) = self.contact(account)? else { return Ok(()) };
        let asks = contact.state == ContactState::Pending || contact.is_asked_anew();
        if !asks || contact.ticket_transport != Some(peer) || contact.problem.is_some() {
            return Ok(());
        }
        let asked = self.mem.bundles_wanted.get(&peer).map_or(0, |wanted| wanted.asked);
        if contact.is_asked_anew() && asked >= ASKS_ANEW {
            return self.end_asking_anew(contact, ContactNotice::Changed);
        }
        let Some(inv) = contact.ticket else { return Ok(()) };
        let (tag, _) = intro_tag(&inv.intro());
        self.want_bundle(peer, tag);
        Ok(())
    }

    /// Asks for the bundle behind an intro, and again after a while: question or answer may have been dropped.
    pub(super) fn want_bundle(&mut self, peer: TransportKey, tag: Tag) {
        self.send(peer, &Frame::BundleWanted(tag));
        let wanted = self.mem.bundles_wanted.entry(peer).or_default();
        if wanted.next.is_some() {
            return;
        }
        let next = self.now.plus(BUNDLE_WAIT.saturating_mul(1 << wanted.asked.min(6)));
        *wanted = WantedBundle { asked: wanted.asked.saturating_add(1), next: Some(next) };
        self.mem.timers.insert((next, Timer::AskBundle(peer)));
    }

    /// The bundle that a peer was asked for has not come.
    pub(super) fn ask_bundle_again(&mut self, peer: TransportKey) -> Step {
        let now = self.now;
        if let Some(wanted) = self.mem.bundles_wanted.get_mut(&peer) {
            wanted.next = wanted.next.filter(|next| *next > now);
        }
        match self.read::<PeerRow>(&PeerRow::key(peer))? {
            Some(known) if self.mem.peers.contains_key(&peer) => {
                self.ask_ticket_bundle(known.account, peer)?;
                known.device.map_or(Ok(()), |device| self.pump(device))
            }
            _ => Ok(()),
        }
    }

    /// Another device's newest bundle, by session or gossip: it proves itself.
    pub(super) fn bundle_told(&mut self, bytes: &[u8]) -> Step {
        // Most are known already, and five signatures cost more than all else here.
        let Ok(signed) = SignedBundle::parse(bytes) else { return Ok(()) };
        let Some((device, seq)) = signed.claimed() else { return Ok(()) };
        let known = self.read::<DeviceRow>(&DeviceRow::key(device))?;
        if known.is_none_or(|known| known.bundle_seq >= seq) {
            return Ok(());
        }
        let Ok(bundle) = signed.verify() else { return Ok(()) };
        let Some(device) = self.learn_bundle(&bundle, &signed)? else { return Ok(()) };
        if !self.mem.peers.contains_key(&device.transport) {
            self.reach(device.transport, device.addresses);
        }
        Ok(())
    }

    /// Which device a peer is.
    pub(super) fn device_of(&self, peer: TransportKey) -> Step<Option<DeviceRow>> {
        let Some(device) = self.read::<PeerRow>(&PeerRow::key(peer))?.and_then(|row| row.device) else {
            return Ok(None);
        };
        self.read(&DeviceRow::key(device))
    }

    /// Remembers which device has a network key.
    pub(super) fn note_peer(&mut self, device: &DeviceRow) -> Step {
        let row = PeerRow {
            device: Some(device.device),
            account: device.account,
            transport: device.transport,
            addresses: Vec::new(),
        };
        self.put(PeerRow::key(device.transport), &row);
        Ok(())
    }

    /// Prekeys are renewed weekly and erased when they are too old; links end.
    pub(super) fn upkeep(&mut self) -> Step {
        self.mem.timers.insert((self.now.plus(UPKEEP_EVERY), Timer::Upkeep));
        let own = self.own()?;
        if self.now.since(own.prekey_made) >= PREKEY_EVERY {
            self.renew_bundle(own)?;
            self.tell_bundle()?;
        }
        let present = self.own()?.prekey;
        for prekey in self.sound::<PrekeyRow>(b"")? {
            let old = self.now.since(prekey.made) >= PREKEY_KEPT;
            if prekey.ticket.is_none() && prekey.id != present && old && !self.awaits_old_mail() {
                self.erase_prekey(&prekey.id)?;
            }
        }
        self.end_tickets()?;
        self.expire_mail()?;
        self.look_for_mail_to_leave()?;
        self.expire_sessions()
    }

    /// Erases a prekey and what was remembered of starts made with it.
    pub(super) fn erase_prekey(&mut self, id: &[u8; 8]) -> Step {
        self.delete(PrekeyRow::key(id));
        for seen in rows::all::<SeenRow>(self, id)? {
            self.delete(SeenRow::key(id, &seen.start));
        }
        Ok(())
    }

    fn expire_sessions(&mut self) -> Step {
        for row in self.sound::<rows::SessionRow>(b"")? {
            self.attempt(|turn| turn.expire_session(row))?;
        }
        Ok(())
    }
}

/// Whether a record is one that its sender keeps until it is confirmed. What this version does not know may be.
pub(super) fn wants_receipt(record: &[u8]) -> bool {
    Record::parse(record).is_none_or(|record| record.is_kept())
}

/// The addresses to try first, in front of those known before; no more than a bundle may name.
pub(super) fn freshest(first: &[String], then: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(MAX_ADDRESSES);
    for address in first.iter().chain(then) {
        if !all.contains(address) && all.len() < MAX_ADDRESSES {
            all.push(address.clone());
        }
    }
    all
}

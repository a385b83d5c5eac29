//! This device's bundle for a contact that can start no session with it: the prekey that it knows is gone here, since both
//! lost their secrets, or since it is a device made of an old backup. A connected one is answered by a frame
//! (`bundles.rs`); for one that is away the bundle lies in its boxes, sealed under the intros that both share.
//!
//! It is left in answer to a start that cannot be read, and with a start of this device that nobody has answered, which
//! perhaps cannot be read there. What is to be left is a row ([`OwedRow`]), written with what it answers.

use super::{
    bundles::opened,
    rows::{ContactRow, ContactState, DeviceRow, Intro, Offered, Origin, OwedRow, OwedWire, SessionRow, TagRow},
    sessions::{Hearing, load},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{
        envelope::{Tag, seal_offer},
        kdf::hash,
        start::intro_tag,
    },
    identity::{
        SignedBundle,
        bundle::{MailboxBox, seal_bundle},
    },
    ids::{AccountId, DeviceId, TransportKey},
    time::{Millis, days, minutes},
    view::{Table, ViewError},
};
use std::time::Duration;

/// How often the same is left for a device at the most: old starts that are brought again cost no more than that…
const ANSWERED_AGAIN: Duration = minutes(60);
/// …and how often while it answers no start of this device.
const OFFERED_AGAIN: Duration = days(1);
/// What is to be left waits so long for more.
const GATHER: Duration = Duration::from_secs(2);

impl ContactRow {
    fn intro_tags(&self) -> Vec<Tag> {
        self.intros.iter().map(|intro| intro_tag(intro).0).collect()
    }
}

impl Turn<'_> {
    /// A contact's start cannot be read. Which of its devices left it is not known.
    pub(super) fn answer_outdated(&mut self, account: AccountId) -> Step {
        for device in self.contact(account)?.map(|contact| contact.devices).unwrap_or_default() {
            self.answer_by_offer(device)?;
        }
        Ok(())
    }

    /// A start that nobody answered may be under an intro that the other does not have, and this is one that it has: the next
    /// is made under this. The answer can still be read, should it come.
    fn set_aside_start_under_other_intro(&mut self, mut device: DeviceRow) -> Step<DeviceRow> {
        let Some(sid) = device.sending else { return Ok(device) };
        let Some(row) = self.read::<SessionRow>(&SessionRow::key(sid))? else { return Ok(device) };
        let session = load(&row)?;
        let is_start = row.prekey.is_some() && row.origin == Origin::Contact && !session.answered();
        let known = self.mem.mail.offers.get(&device.device).map(|(_, tags)| tags.as_slice()).unwrap_or_default();
        if !is_start || known.contains(&row.intro_tag) {
            return Ok(device);
        }
        device.sending = None;
        self.put(DeviceRow::key(device.device), &device);
        self.mem.lanes.remove(&device.device);
        self.unseal(device.device, sid)?;
        // Receipts are said once, and may have been said in it.
        self.owe_all(&device)?;
        self.owe_told_by_mail(device.device);
        Ok(device)
    }

    /// A start by a link cannot be read. If it is of one with whom there is more by now, that is what is to be used.
    pub(super) fn answer_spent(&mut self, sender: TransportKey) -> Step {
        let Some(device) = self.device_of(sender)? else { return Ok(()) };
        let contact = self.contact(device.account)?;
        let is_heard = contact.is_some_and(|contact| contact.wants_to_hear());
        if is_heard { self.answer_by_offer(device.device) } else { Ok(()) }
    }

    fn answer_by_offer(&mut self, device: DeviceId) -> Step {
        let Some(device) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        let due = self.offered_again_at(&device, ANSWERED_AGAIN)?;
        self.owe_offer(&device, due)
    }

    /// When what this device's bundle says may be left for a device again.
    fn offered_again_at(&self, device: &DeviceRow, every: Duration) -> Step<Millis> {
        let Some(offered) = &device.offered else { return Ok(self.now) };
        // After a clock that was set back nobody waits for the time of then.
        if offered.of != self.to_offer()? || offered.at > self.now {
            return Ok(self.now);
        }
        Ok(offered.at.plus(every).max(self.now))
    }

    /// What another needs of this device's bundle: its prekey and its boxes.
    fn to_offer(&self) -> Step<[u8; 32]> {
        let prekey = self.own()?.prekey;
        let boxes: Vec<[u8; 16]> = self.named_boxes()?.iter().map(|mailbox| mailbox.id.0).collect();
        Ok(hash(&[&prekey, boxes.as_flattened()]))
    }

    fn owe_offer(&mut self, device: &DeviceRow, due: Millis) -> Step {
        if device.boxes().is_empty() || self.mem.peers.contains_key(&device.transport) {
            return Ok(());
        }
        let mut row = self.owed_row(device.device)?;
        row.offer = Some(row.offer.map_or(due, |before| before.min(due)));
        self.put(OwedRow::key(device.device), &row);
        self.leave_mail_soon(device, GATHER);
        Ok(())
    }

    /// Seals and leaves the bundle for a device that is to have it. Whether it is not durable at a mailbox yet.
    pub(super) fn leave_offers(&mut self, device: &DeviceRow, mailboxes: &[MailboxBox]) -> Step<bool> {
        if self.is_unanswered(device)? && self.offered_again_at(device, OFFERED_AGAIN)? <= self.now {
            self.owe_offer(device, self.now)?;
        }
        let Some(mut row) = self.read::<OwedRow>(&OwedRow::key(device.device))? else { return Ok(false) };
        if let Some(due) = row.offer.filter(|due| *due > self.now) {
            self.set_mail_timer(device.device, due);
        } else if row.offer.is_some() && mailboxes.iter().any(|mailbox| self.mem.peers.contains_key(&mailbox.node)) {
            row.offer = None;
            row.offers = self.sealed_offers(device)?;
            let offered = Some(Offered { of: self.to_offer()?, at: self.now });
            self.put(DeviceRow::key(device.device), &DeviceRow { offered, ..device.clone() });
        }
        let row = self.finish_owed(device, row)?;
        let is_due = row.offer.is_some_and(|due| due <= self.now);
        if !is_due && row.offers.is_empty() {
            return Ok(false);
        }
        self.leave_wires(device.device, mailboxes, &row.offers);
        Ok(true)
    }

    /// Whether a session that this device began with a contact's was answered by nothing yet.
    fn is_unanswered(&self, device: &DeviceRow) -> Step<bool> {
        let session = device.sending.map(|sid| self.read::<SessionRow>(&SessionRow::key(sid))).transpose()?.flatten();
        let Some(session) = session.filter(|row| row.origin == Origin::Contact && row.prekey.is_some()) else {
            return Ok(false);
        };
        let tags = self.contact(device.account)?.map(|contact| contact.intro_tags()).unwrap_or_default();
        Ok(tags.contains(&session.intro_tag) && !load(&session)?.answered())
    }

    /// Under each intro: which of them the other still has is not known.
    fn sealed_offers(&mut self, device: &DeviceRow) -> Step<Vec<OwedWire>> {
        let contact = self.contact(device.account)?;
        let contact = contact.filter(|contact| !contact.blocked && contact.devices.contains(&device.device));
        let bundle = SignedBundle::parse(&self.own()?.bundle).map_err(|_| ViewError::Damaged(Table::Own))?;
        let mut offers = Vec::new();
        for intro in contact.into_iter().flat_map(|contact| contact.intros).rev() {
            let sealed = seal_bundle(&intro, &bundle, self.rng);
            let Ok(wire) = seal_offer(&intro, &sealed, self.rng) else { continue };
            offers.push(OwedWire { wire, left: Vec::new(), since: self.now });
        }
        Ok(offers)
    }

    /// A contact's bundle outside sessions. What proves itself and is not older than what is known counts: starts of this
    /// device that nobody answered are made anew with its prekey, and a new device is the contact's.
    pub(super) fn hear_offer(&mut self, row: TagRow, sealed: &[u8]) -> Step<Hearing> {
        let (Some(Intro::Again(account)), Some(secret)) = (row.intro, row.secret) else { return Ok(Hearing::Nothing) };
        let Some(contact) = self.contact(account)? else { return Ok(Hearing::Nothing) };
        if contact.blocked {
            return Ok(Hearing::Shut);
        }
        let Some((signed, bundle)) = opened(&secret, sealed, account) else { return Ok(Hearing::Nothing) };
        let id = bundle.cert.device;
        let known = self.read::<DeviceRow>(&DeviceRow::key(id))?.map_or(0, |device| device.bundle_seq);
        if known > bundle.seq || !self.is_believed(&bundle)? {
            return Ok(Hearing::Nothing);
        }
        let is_new = contact.state == ContactState::Connected && !contact.devices.contains(&id);
        if !self.admit_device(contact, id)? {
            return Ok(Hearing::Nothing);
        }
        let Some(device) = self.learn_bundle(&bundle, &signed)? else { return Ok(Hearing::Nothing) };
        self.request_confirmed(account)?;
        let tag = intro_tag(&secret).0;
        // Under which intros this was offered: what a mailbox brings again changes nothing.
        let (seq, heard) = self.mem.mail.offers.entry(id).or_default();
        if *seq != bundle.seq {
            (*seq, *heard) = (bundle.seq, Vec::new());
        }
        let is_news = !heard.contains(&tag);
        if is_news {
            heard.push(tag);
            self.prefer_intro(account, &secret)?;
        }
        // What is known may be a link's, whose prekey is gone: whoever shares this secret is asked by it no more.
        let device = self.keep_bundle(device, &signed);
        // Under a link too: who shares this secret has heard what was asked by that, and takes no more by it.
        let of_contacts = |row: &SessionRow| row.origin == Origin::Contact;
        let device = self.leave_start_with_other_prekey(device, &bundle.prekey.id, of_contacts)?;
        let device = if is_news { self.set_aside_start_under_other_intro(device)? } else { device };
        if is_new {
            self.meet_new_device(&device)?;
            // It may know no prekey of this one.
            self.answer_by_offer(id)?;
        }
        self.pump(id)?;
        Ok(Hearing::Told)
    }
}

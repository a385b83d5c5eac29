//! Mail that was left under what is over: by a device that another took the place of, or in a session that its other side
//! lost. Who left it was told that it will arrive, so it is read until every own mailbox was emptied once.
//!
//! A thief of the old device could leave more until then, as he could until this device heard of the new one. A mailbox
//! that is never reached keeps the door open no longer than it keeps mail.

use super::{
    rows::{ContactState, DeviceRow, Intro, Late, MailboxRow, Origin, OwnRow, PeerRow},
    sessions::Heard,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::envelope::Sid,
    identity::{Bundle, bundle::BoxId},
    ids::{DeviceId, TransportKey},
    wire::limits::{MAIL_KEPT, MAX_LATE},
};

impl Turn<'_> {
    /// Keeps a session that is over, or those of a device that is, while own mailboxes may have mail under it. Whether there
    /// are any.
    pub(super) fn keep_for_mail(&mut self, device: DeviceId, session: Option<Sid>) -> Step<bool> {
        let boxes = self.all_mailboxes()?;
        if boxes.is_empty() {
            return Ok(false);
        }
        for MailboxRow { node, id, .. } in &boxes {
            if self.mem.peers.contains_key(node) {
                self.fetch(*node, *id)?;
            }
        }
        let unfetched = boxes.into_iter().map(|row| row.id).collect();
        let mut own = self.own()?;
        own.late.push(Late { device, session, since: self.now, unfetched });
        let now = self.now;
        let is_old = |late: &Late| now.since(late.since) >= MAIL_KEPT;
        let too_many = own.late.len().saturating_sub(MAX_LATE);
        let old = own.late.iter().take_while(|late| is_old(late)).count();
        let over: Vec<Late> = own.late.drain(..too_many.max(old)).collect();
        self.put(OwnRow::key(), &own);
        over.iter().try_for_each(|late| self.let_go(late))?;
        Ok(true)
    }

    /// An own box was emptied.
    pub(super) fn note_emptied(&mut self, id: BoxId) -> Step {
        let mut own = self.own()?;
        if own.late.is_empty() {
            return Ok(());
        }
        let boxes: Vec<BoxId> = self.all_mailboxes()?.into_iter().map(|row| row.id).collect();
        for late in &mut own.late {
            late.unfetched.retain(|other| *other != id && boxes.contains(other));
        }
        let over: Vec<Late> = own.late.extract_if(.., |late| late.unfetched.is_empty()).collect();
        self.put(OwnRow::key(), &own);
        over.iter().try_for_each(|late| self.let_go(late))
    }

    /// Whether a device of a contact left this, and another had taken its place before it was read. What such a device says
    /// itself, connected, is not heard.
    pub(super) fn is_late(&self, heard: &Heard) -> Step<bool> {
        let device = &heard.device;
        let contact = self.contact(device.account)?;
        let is_heard = contact.is_some_and(|contact| contact.state == ContactState::Connected);
        Ok(is_heard && self.is_kept_for_mail(device.device)?)
    }

    /// The device whose start came by mail, if another took its place and what it left is still read. One that was never met
    /// may have been in between: its account's key vouches for it, and it is heard as long as the one before it.
    pub(super) fn late_device(&mut self, peer: Option<TransportKey>, bundle: &Bundle) -> Step<Option<DeviceRow>> {
        let cert = &bundle.cert;
        if peer.is_some() {
            return Ok(None);
        }
        if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(cert.device))? {
            let same = (row.account, row.transport, row.noise) == (cert.account, cert.transport, cert.noise);
            return Ok(if same && self.is_kept_for_mail(row.device)? { Some(row) } else { None });
        }
        let known = self.read::<PeerRow>(&PeerRow::key(cert.transport))?;
        if known.is_some_and(|known| known.device.is_some()) {
            return Ok(None);
        }
        let mut own = self.own()?;
        let before = own.late.iter().filter(|late| late.session.is_none() && self.now.since(late.since) < MAIL_KEPT);
        let mut of_account = None;
        for late in before {
            let row = self.read::<DeviceRow>(&DeviceRow::key(late.device))?;
            if row.is_some_and(|row| row.account == cert.account) {
                of_account = Some(Late { device: cert.device, ..late.clone() });
            }
        }
        let Some(late) = of_account.filter(|_| own.late.len() < MAX_LATE) else { return Ok(None) };
        own.late.push(late);
        self.put(OwnRow::key(), &own);
        let row = DeviceRow::new(cert);
        self.put(DeviceRow::key(row.device), &row);
        self.note_peer(&row)?;
        Ok(Some(row))
    }

    /// What may be said in a session that such a device began: it is let in nowhere, and heard where its account is known.
    pub(super) fn admit_late(&mut self, intro: &Intro, bundle: &Bundle) -> Step<Option<Origin>> {
        let account = bundle.cert.account;
        Ok(match intro {
            Intro::Again(known) if *known == account && !self.is_blocked(account)? => Some(Origin::Contact),
            Intro::Group(group) if self.is_or_was_member(*group, &account)? => Some(Origin::Group),
            _ => None,
        })
    }

    /// Whether the sessions of a device that is its account's no more are kept.
    pub(super) fn is_kept_for_mail(&self, device: DeviceId) -> Step<bool> {
        let (own, now) = (self.own()?, self.now);
        let is_fresh = |late: &Late| now.since(late.since) < MAIL_KEPT;
        Ok(own.late.iter().any(|late| late.device == device && late.session.is_none() && is_fresh(late)))
    }

    fn let_go(&mut self, late: &Late) -> Step {
        if let Some(sid) = late.session {
            return self.drop_session(sid);
        }
        let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(late.device))? else { return Ok(()) };
        // It may have come back since.
        if !row.groups.is_empty() || self.is_contacts_device(row.account, row.device)? {
            return Ok(());
        }
        for sid in std::mem::take(&mut row.sessions) {
            self.drop_session(sid)?;
        }
        self.put(DeviceRow::key(late.device), &row);
        Ok(())
    }
}

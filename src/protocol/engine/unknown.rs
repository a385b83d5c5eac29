//! Envelopes that the other side cannot open: what was sealed in a session that is gone there, or here, is sealed anew.

use super::{
    feed::ContactNotice,
    record::Record,
    rows::{self, DeviceRow, Origin, OutboxRow, Row, SessionRow},
    sessions::load,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::envelope::{Sid, Tag, peek},
    ids::{DeviceId, TransportKey},
    view::{Direction, Key, View},
};
use std::collections::BTreeSet;

/// What a peer's `unknown` cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// No session.
    Nothing,
    /// A start that was never answered.
    Unanswered,
    /// A session that had been in use.
    Live,
}

impl Turn<'_> {
    /// The peer holds no session for an envelope of ours: seal anew what was sealed under that tag.
    pub(super) fn unknown(&mut self, peer: TransportKey, tag: Tag) -> Step {
        let Some(device) = self.device_of(peer)? else { return Ok(()) };
        let id = device.device;
        let tags = [tag].into();
        self.unseal_under(id, &self.under_way_to_device(id), &tags)?;
        let lost_now = self.session_lost(device, &tags)?;
        if lost_now == Lost::Unanswered {
            // The other may not be ready for a start yet, or never will be: no hurry.
            self.pause_longer(id);
            return Ok(());
        }
        if let (Lost::Live, Some(row)) = (lost_now, self.read::<DeviceRow>(&DeviceRow::key(id))?) {
            // Receipts are said once, and may have been under that tag.
            self.owe_all(&row)?;
        }
        self.rewind_lane(id);
        self.pump(id)?;
        match self.read::<DeviceRow>(&DeviceRow::key(id))? {
            Some(row) if lost_now == Lost::Live => self.begin_again(&row),
            _ => Ok(()),
        }
    }

    /// A session that was in use is gone. If nothing waits that would begin another, this does; and what else went with the
    /// other's store shows where both compare.
    fn begin_again(&mut self, device: &DeviceRow) -> Step {
        if device.sending.is_none() && self.may_know_bundle(device)? {
            let bundle = self.own()?.bundle;
            self.whisper(device.device, &Record::Bundle(bundle))?;
        }
        self.meet_contact(device)
    }

    /// A device says, inside a session, that it knows none for what was left at its mailbox under these tags.
    pub(super) fn unknown_by_mail(&mut self, device: DeviceId, tags: &BTreeSet<Tag>) -> Step {
        let page = self.scan(OutboxRow::TABLE, device.as_ref(), None, Direction::Forward, usize::MAX)?;
        let places: Vec<u64> =
            page.into_iter().filter_map(|(place, _)| place.try_into().ok()).map(u64::from_be_bytes).collect();
        self.unseal_under(device, &places, tags)?;
        if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? {
            self.session_lost(row.clone(), tags)?;
            // What was said once may have been under those tags too.
            self.owe_all(&row)?;
            self.owe_told_by_mail(device);
        }
        self.rewind_mail(device);
        Ok(())
    }

    fn unseal_under(&mut self, device: DeviceId, places: &[u64], tags: &BTreeSet<Tag>) -> Step {
        for place in places {
            let key = OutboxRow::key(device, *place);
            let Some(mut row) = self.read::<OutboxRow>(&key)? else { continue };
            if row.sealed.as_ref().is_some_and(|sealed| peek(&sealed.wire).is_ok_and(|tag| tags.contains(&tag))) {
                row.unseal();
                self.put(key, &row);
            }
        }
        Ok(())
    }

    /// The peer lost a session. An older epoch of it may well be gone there; only where it lost the epoch that is written
    /// now is the session given up, and the owner told if it had ever been answered.
    fn session_lost(&mut self, device: DeviceRow, tags: &BTreeSet<Tag>) -> Step<Lost> {
        let Some(sid) = device.sending else { return Ok(Lost::Nothing) };
        let Some(row) = self.read::<SessionRow>(&SessionRow::key(sid))? else { return Ok(Lost::Nothing) };
        let session = load(&row)?;
        if !session.own_tag().is_some_and(|tag| tags.contains(&tag)) {
            return Ok(Lost::Nothing);
        }
        let account = device.account;
        let device = match session.answered() && self.keep_for_mail(device.device, Some(sid))? {
            true => self.retire_session(device, sid)?,
            false => self.leave_session(device, sid)?,
        };
        match self.asked_under_link(&device)? {
            // A start as members that comes too early says nothing of what is between contacts.
            Some(contact) if row.origin == Origin::Contact => self.begin_anew(contact)?,
            _ if session.answered() => self.tell_contact_notice(account, ContactNotice::SessionRestarted)?,
            _ => self.try_other_intro(account)?,
        }
        Ok(if session.answered() { Lost::Live } else { Lost::Unanswered })
    }

    /// Forgets the envelopes of a session that is gone: they are sealed anew.
    pub(super) fn unseal(&mut self, device: DeviceId, sid: Sid) -> Step {
        let page = self.scan(OutboxRow::TABLE, device.as_ref(), None, Direction::Forward, usize::MAX)?;
        for (place, bytes) in page {
            let mut row: OutboxRow = rows::parse(&bytes)?;
            if row.sealed.as_ref().is_some_and(|sealed| sealed.at.sid == sid.0) {
                row.unseal();
                self.put(Key::at(OutboxRow::TABLE, device, place), &row);
            }
        }
        self.rewind_mail(device);
        Ok(())
    }
}

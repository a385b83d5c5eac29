//! Starts of sessions that nobody answered: made with a prekey that is another now, crossed by one of the other side, or old.

use super::{
    rows::{DeviceRow, Origin, SessionRow},
    sessions::load,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{envelope::Sid, start::intro_tag},
    wire::limits::START_ANEW_AFTER,
};

impl Turn<'_> {
    /// A contact began a session. What waits in one that this device began meanwhile with another prekey, which may be gone
    /// there, is sealed anew; the answer can still be read, should it come. What is asked under a link is asked there alone,
    /// and with the link's own prekey.
    pub(super) fn seal_on_for(&mut self, mut device: DeviceRow, begun: Sid, prekey: &[u8; 8]) -> Step<DeviceRow> {
        let link = self.contact(device.account)?.and_then(|contact| contact.ticket);
        let is_asking = |row: &SessionRow| link.as_ref().is_some_and(|inv| intro_tag(&inv.intro()).0 == row.intro_tag);
        let which = |row: &SessionRow| row.origin == Origin::Contact && !is_asking(row);
        for sid in self.starts_with_other_prekey(&device, prekey, which)? {
            if device.sending == Some(sid) {
                device.sending = Some(begun);
                self.put(DeviceRow::key(device.device), &device);
            }
            self.unseal(device.device, sid)?;
            // Receipts are said once, and may have been said in it.
            self.owe_all(&device)?;
            self.owe_told_by_mail(device.device);
        }
        Ok(device)
    }

    /// A start that nobody answered and that was made with another prekey than the one now named is made anew, if it is such
    /// as is meant.
    pub(super) fn leave_start_with_other_prekey(
        &mut self,
        mut device: DeviceRow,
        prekey: &[u8; 8],
        is_meant: impl Fn(&SessionRow) -> bool,
    ) -> Step<DeviceRow> {
        for sid in self.starts_with_other_prekey(&device, prekey, is_meant)? {
            device = self.leave_session(device, sid)?;
            self.mem.lanes.remove(&device.device);
            // Receipts are said once, and may have been said in it.
            self.owe_all(&device)?;
            self.owe_told_by_mail(device.device);
        }
        Ok(device)
    }

    /// Ends a start that nobody answered for too long, so that the next record starts anew.
    pub(super) fn leave_stale_start(&mut self, device: DeviceRow) -> Step<DeviceRow> {
        let Some(sid) = device.sending else { return Ok(device) };
        let Some(row) = self.read::<SessionRow>(&SessionRow::key(sid))? else { return Ok(device) };
        let session = load(&row)?;
        if session.answered() || self.now.since(session.started()) < START_ANEW_AFTER {
            return Ok(device);
        }
        self.leave_session(device, sid)
    }

    /// Starts that nobody answered and that were made with another prekey than this, of those that are meant. Not only the
    /// one that is sent on: an entry of the outbox may wait under an older one.
    fn starts_with_other_prekey(
        &self,
        device: &DeviceRow,
        prekey: &[u8; 8],
        is_meant: impl Fn(&SessionRow) -> bool,
    ) -> Step<Vec<Sid>> {
        let mut starts = Vec::new();
        for sid in &device.sessions {
            let Some(row) = self.read::<SessionRow>(&SessionRow::key(*sid))? else { continue };
            let is_other = row.prekey.as_ref().is_some_and(|held| held.as_slice() != prekey);
            if is_other && is_meant(&row) && !load(&row)?.answered() {
                starts.push(*sid);
            }
        }
        Ok(starts)
    }
}

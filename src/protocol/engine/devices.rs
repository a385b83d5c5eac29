//! Which devices a contact has: those on its account's newest list.
//!
//! Whoever has an account's 24 words can sign a list with a device of their own. So a device that was not known before is
//! told loudly, and it is given only what no device of the account has confirmed.

use super::{
    bundles::verified,
    feed::ContactNotice,
    rows::{self, ChatKind, ContactRow, ContactState, DeviceRow, EventRow, ReceiptRow, Side},
    turn::{Step, Turn},
};
use crate::protocol::{
    delivery::Numbers,
    identity::certificate::DeviceList,
    ids::{AccountId, ChatId, DeviceId},
    wire::limits::MAX_REPLACED,
};

impl Turn<'_> {
    /// An account has another list now. Devices of a contact that are not on it are out: nothing waits for them any more,
    /// and what they say is not heard. What waited goes to the account's next device.
    pub(super) fn devices_changed(&mut self, before: &DeviceList, now: &DeviceList) -> Step {
        let Some(mut contact) = self.contact(now.account)? else { return Ok(()) };
        let mut out = Vec::new();
        for device in &contact.devices {
            if !self.is_on(*device, now)? {
                out.push(*device);
            }
        }
        contact.devices.retain(|device| !out.contains(device));
        let is_new = now.certs.iter().any(|cert| !before.certs.contains(cert));
        if is_new {
            // The number that was compared is the account's, which says nothing of who holds its words now.
            contact.new_device = Some(self.now);
            contact.verified = false;
        }
        self.put(ContactRow::key(contact.account), &contact);
        let chat = ChatId::direct(self.own()?.account, contact.account);
        for device in out {
            self.keep_for_mail(device, None)?;
            self.forget_device(device, chat)?;
        }
        self.tell_contact_notice(
            contact.account,
            if is_new { ContactNotice::NewDevice } else { ContactNotice::Changed },
        )
    }

    /// Whether a known device is on a list of its account; of one that is not known yet, its own bundle says so.
    fn is_on(&self, device: DeviceId, list: &DeviceList) -> Step<bool> {
        let row = self.read::<DeviceRow>(&DeviceRow::key(device))?;
        let bundle = row.and_then(|row| verified(&row.bundle));
        Ok(bundle.is_none_or(|(_, bundle)| list.holds(&bundle.cert)))
    }

    /// Whether this is a device of a contact, by the newest list.
    pub(super) fn is_contacts_device(&self, account: AccountId, device: DeviceId) -> Step<bool> {
        Ok(self.contact(account)?.is_some_and(|contact| contact.devices.contains(&device)))
    }

    /// A contact has another device: it is owed what no other device of its account took, and may know less of this one than
    /// they did.
    pub(super) fn meet_new_device(&mut self, device: &DeviceRow) -> Step {
        let own = self.own()?;
        self.tell_of_self(device.device)?;
        self.post_unsent(device.device, ChatId::direct(own.account, device.account))?;
        self.owe_all(device)
    }

    /// A group says that a contact has another device, and none of those that were known: a session with it begins as one
    /// with the contact, under a secret that only the contact and who has its backup knows.
    pub(super) fn meet_instead(&mut self, device: &DeviceRow) -> Step {
        let Some(mut contact) = self.contact(device.account)? else { return Ok(()) };
        let is_met = contact.state == ContactState::Connected && !contact.blocked;
        if !is_met || !contact.devices.is_empty() || contact.intros.is_empty() || !self.is_listed(device)? {
            return Ok(());
        }
        contact.devices.push(device.device);
        self.put(ContactRow::key(contact.account), &contact);
        self.meet_new_device(device)
    }

    /// Puts into a device's outbox what was written to its account and what none of the account's devices has confirmed.
    pub(super) fn post_unsent(&mut self, device: DeviceId, chat: ChatId) -> Step {
        let own = self.own()?;
        for author in own.authors() {
            let settled = self.settled_by_any(chat, own.side_of(author).unwrap_or(Side::Theirs))?;
            for (no, id) in self.written_by(chat, author)? {
                if settled.iter().any(|numbers| numbers.contains(no)) {
                    continue;
                }
                let Some(mut event) = self.read::<EventRow>(&EventRow::key(id))? else { continue };
                if event.is_erased() || event.outbox.iter().any(|(to, _)| *to == device) {
                    continue;
                }
                let place = self.post_event(device, chat, id)?;
                event.outbox.push((device, place));
                self.put(EventRow::key(id), &event);
            }
        }
        Ok(())
    }

    /// What each device confirmed of a conversation's events of one side, those that are gone included.
    pub(super) fn confirmed_by_any(&self, chat: ChatId, side: Side) -> Step<Vec<Numbers>> {
        let rows = rows::all::<ReceiptRow>(self, ReceiptRow::scope(chat, side))?;
        rows.iter().map(ReceiptRow::numbers).collect()
    }

    /// The same, and what is void there: that is not for anybody.
    fn settled_by_any(&self, chat: ChatId, side: Side) -> Step<Vec<Numbers>> {
        let mut settled = self.confirmed_by_any(chat, side)?;
        for row in rows::all::<ReceiptRow>(self, ReceiptRow::scope(chat, side))? {
            settled.extend(row.void.is_some().then(|| row.void()).transpose()?);
        }
        Ok(settled)
    }

    /// Whether a device of a contact may bring what this one wrote: itself, or a device of its account that is gone.
    pub(super) fn speaks_for(&mut self, device: &DeviceRow, author: DeviceId) -> Step<bool> {
        if author == device.device || device.replaced.contains(&author) {
            return Ok(true);
        }
        let known = self.read::<DeviceRow>(&DeviceRow::key(author))?;
        let is_foreign = known.is_some_and(|known| known.account != device.account);
        if is_foreign || self.is_contacts_device(device.account, author)? || device.replaced.len() >= MAX_REPLACED {
            return Ok(false);
        }
        let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(device.device))? else { return Ok(false) };
        row.replaced.push(author);
        self.put(DeviceRow::key(row.device), &row);
        Ok(true)
    }

    /// The devices of an account that are known here and are not on its list any more.
    pub(super) fn devices_that_went(&self, list: &DeviceList) -> Step<Vec<DeviceId>> {
        let known = rows::sound::<DeviceRow>(self, b"")?.0.into_iter().filter(|row| row.account == list.account);
        let is_on = |row: &DeviceRow| verified(&row.bundle).is_some_and(|(_, bundle)| list.holds(&bundle.cert));
        Ok(known.filter(|row| !is_on(row)).map(|row| row.device).take(MAX_REPLACED).collect())
    }

    /// Whether a device's receipts for this chat count: it is the contact's, or a member's.
    pub(super) fn may_confirm(&mut self, device: &DeviceRow, chat: ChatId) -> Step<bool> {
        match self.chat(chat)?.map(|row| row.kind) {
            Some(ChatKind::Direct(account)) if account == device.account => {
                self.is_contacts_device(account, device.device)
            }
            // Of a group that was left its members have the last words, and may say so late.
            Some(ChatKind::Group(group)) => {
                Ok(device.groups.contains(&group) || self.is_member_device(group, device.device)?)
            }
            Some(ChatKind::Direct(_) | ChatKind::Own) | None => Ok(false),
        }
    }
}

//! Blocks: nothing of a blocked account is shown, and it is not told.
//!
//! In a common group what it says still takes its place in the order, is passed on and confirmed as held, since others rest
//! on it; but it is neither shown nor counted as unread, and stays so after the block. What it writes 1-on-1 meanwhile is
//! neither read nor confirmed, so it comes after the block.

use super::{
    command::{Refusal, Reply},
    contacts::provisional_name,
    rows::{ContactRow, ContactState, DeviceRow, GroupRow, MemberRow, sound},
    turn::{Answer, Step, Turn},
};
use crate::protocol::ids::AccountId;

impl Turn<'_> {
    pub(super) fn block(&mut self, account: AccountId) -> Answer {
        let mut contact = match self.contact(account)? {
            Some(contact) => contact,
            None => self.as_stranger(account)?.ok_or(Refusal::NoSuchContact)?,
        };
        contact.blocked = true;
        self.put(ContactRow::key(account), &contact);
        for device in &contact.devices {
            if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(*device))?
                && row.groups.is_empty()
            {
                self.forget(row.transport);
            }
        }
        self.tell_contact(account)?;
        Ok(Reply::Contact(account))
    }

    pub(super) fn unblock(&mut self, account: AccountId) -> Answer {
        let mut contact = self.contact(account)?.ok_or(Refusal::NoSuchContact)?;
        if !contact.blocked {
            return Err(Refusal::NotBlocked { account }.into());
        }
        contact.blocked = false;
        self.put(ContactRow::key(account), &contact);
        // Nothing was heard of it meanwhile: when both connect anew they tell each other what was said once.
        for device in &contact.devices {
            let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(*device))? else { continue };
            if self.may_know_bundle(&row)? && self.is_contacts_device(account, *device)? {
                // It was not told of mailboxes that came since.
                self.tell_boxes(*device)?;
            }
            if self.mem.peers.contains_key(&row.transport) {
                self.forget(row.transport);
            }
        }
        self.reach_contact(&contact)?;
        self.look_into_boxes()?;
        self.tell_contact(account)?;
        Ok(Reply::Contact(account))
    }

    pub(super) fn is_blocked(&self, account: AccountId) -> Step<bool> {
        Ok(self.contact(account)?.is_some_and(|contact| contact.blocked))
    }

    /// A member of a group that is no contact, under the name it has there.
    fn as_stranger(&self, account: AccountId) -> Step<Option<ContactRow>> {
        if account == self.own()?.account {
            return Ok(None);
        }
        for group in sound::<GroupRow>(self, b"")?.0 {
            let Some(member) = self.read::<MemberRow>(&MemberRow::key(group.group, account))? else { continue };
            let name = member.name.unwrap_or_else(|| provisional_name(account));
            let name = self.free_name(&name, account)?;
            return Ok(Some(ContactRow { name, ..self.new_contact(account, ContactState::Stranger) }));
        }
        Ok(None)
    }
}

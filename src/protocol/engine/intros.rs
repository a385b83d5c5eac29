//! Intro secrets: which are shared with whom, by which a session is started next, and whom an own one lets in.

use super::{
    rows::{self, ContactRow, ContactState, DeviceRow, GroupRow, Intro, Origin, PeerRow, SessionRow, TagRow},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::{envelope::Tag, kdf::kdf, labels, secret::Secret, start::intro_tag},
    ids::{AccountId, DeviceId, OpId, TransportKey},
    wire::limits::MAX_INTROS,
};
use std::mem::take;

impl Turn<'_> {
    /// The intro secret by which a session with this device is started next.
    ///
    /// A link is used only once its own bundle is here, so that its maker does not hear two starts of us under it.
    pub(super) fn intro_to(&self, device: &DeviceRow) -> Step<Option<(Secret, Origin)>> {
        let met = self.contact(device.account)?.is_some_and(|contact| contact.devices.contains(&device.device));
        let mut intros = self.intros_to(device.account, Some(device))?.into_iter();
        Ok(intros.find(|(_, origin)| met || *origin == Origin::Group))
    }

    /// Every intro secret this account shares with another, the one to use first in front.
    fn intros_to(&self, account: AccountId, device: Option<&DeviceRow>) -> Step<Vec<(Secret, Origin)>> {
        let mut intros = Vec::new();
        if let Some(contact) = self.contact(account)? {
            let again = contact.intros.iter().rev().cloned().map(|intro| (intro, Origin::Contact));
            let ticket = contact.ticket.as_ref().map(|inv| (inv.intro(), Origin::Contact));
            match contact.state {
                ContactState::Pending => intros.extend(ticket),
                ContactState::Requested => intros.extend(again.chain(ticket)),
                // A link of it, where it is asked anew, is used by whoever asks for it.
                ContactState::Connected => intros.extend(again.chain(ticket)),
                ContactState::Incoming | ContactState::Removed | ContactState::Stranger => {}
            }
        }
        let groups = device.into_iter().flat_map(|row| row.groups.iter().map(|group| (*group, row.device)));
        intros.extend(groups.map(|(group, device)| (group_intro(group, device), Origin::Group)));
        Ok(intros)
    }

    /// The intro secret with this tag that is shared with the one behind a network key.
    pub(super) fn intro_by_tag(&self, peer: TransportKey, tag: Tag) -> Step<Option<(AccountId, Secret)>> {
        let Some(known) = self.read::<PeerRow>(&PeerRow::key(peer))? else { return Ok(None) };
        let device = self.device_of(peer)?;
        let intros = self.intros_to(known.account, device.as_ref())?.into_iter().map(|(intro, _)| intro);
        // Who left a group still owes its last words, and is owed their receipt.
        let groups = device.map(|device| self.group_intros_of(device.device)).transpose()?.unwrap_or_default();
        let found = intros.chain(groups).find(|intro| intro_tag(intro).0 == tag);
        Ok(found.map(|intro| (known.account, intro)))
    }

    /// The intro secrets of a device in all groups that are known here, whether it is a member or not.
    fn group_intros_of(&self, device: DeviceId) -> Step<Vec<Secret>> {
        let groups = rows::sound::<GroupRow>(self, b"")?.0;
        Ok(groups.into_iter().map(|row| group_intro(row.group, device)).collect())
    }

    /// Remembers the intro secret of a session that began under a link, for later starts with that contact.
    pub(super) fn keep_intro(&mut self, device: &DeviceRow, row: &SessionRow, secret: Secret) -> Step {
        let Some(mut contact) = self.contact(device.account)? else { return Ok(()) };
        let asked_anew = contact.is_asked_anew()
            && contact.ticket.as_ref().is_some_and(|inv| intro_tag(&inv.intro()).0 == row.intro_tag);
        let by_link = row.ticket.is_some() || contact.state == ContactState::Pending || asked_anew;
        if row.origin == Origin::Group || !by_link {
            return Ok(());
        }
        self.open_intro(&secret, Intro::Again(contact.account))?;
        contact.intros.push(secret);
        if contact.intros.len() > MAX_INTROS {
            let oldest = contact.intros.remove(0);
            self.close_intro(&oldest)?;
        }
        self.put(ContactRow::key(contact.account), &contact);
        Ok(())
    }

    /// A start under the intro in use came to nothing: another is tried next.
    pub(super) fn try_other_intro(&mut self, account: AccountId) -> Step {
        let Some(mut contact) = self.contact(account)? else { return Ok(()) };
        if contact.intros.len() > 1 {
            contact.intros.rotate_right(1);
            self.put(ContactRow::key(account), &contact);
        }
        Ok(())
    }

    /// The other knows this secret: starts are made under it from now on.
    pub(super) fn prefer_intro(&mut self, account: AccountId, secret: &Secret) -> Step {
        let Some(mut contact) = self.contact(account)? else { return Ok(()) };
        let Some(at) = contact.intros.iter().position(|held| held == secret) else { return Ok(()) };
        if at + 1 < contact.intros.len() {
            let preferred = contact.intros.remove(at);
            contact.intros.push(preferred);
            self.put(ContactRow::key(account), &contact);
        }
        Ok(())
    }

    /// Lets in whoever starts under this secret.
    pub(super) fn open_intro(&mut self, secret: &Secret, intro: Intro) -> Step {
        let (tag, key) = intro_tag(secret);
        let mut row = self.read::<TagRow>(&TagRow::key(tag))?.unwrap_or_default();
        row.key = Some(key);
        row.intro = Some(intro);
        row.secret = Some(secret.clone());
        self.put(TagRow::key(tag), &row);
        Ok(())
    }

    /// Lets nobody in under this secret any more; sessions that began under it go on.
    pub(super) fn close_intro(&mut self, secret: &Secret) -> Step {
        let (tag, _) = intro_tag(secret);
        let Some(mut row) = self.read::<TagRow>(&TagRow::key(tag))? else { return Ok(()) };
        row.intro = None;
        row.secret = None;
        self.put_tag(tag, &row);
        Ok(())
    }

    /// Lets nobody in by what is shared with a contact that is none any more.
    pub(super) fn close_intros(&mut self, contact: &mut ContactRow) -> Step {
        for intro in &contact.intros {
            self.close_intro(intro)?;
        }
        contact.former_intros = newest(take(&mut contact.former_intros), take(&mut contact.intros));
        Ok(())
    }

    /// It is a contact again. An older copy of it, or a device made of a backup, may know no other secrets than those of
    /// before.
    pub(super) fn reopen_intros(&mut self, contact: &mut ContactRow) -> Step {
        contact.intros = newest(take(&mut contact.former_intros), take(&mut contact.intros));
        for intro in &contact.intros {
            self.open_intro(intro, Intro::Again(contact.account))?;
        }
        Ok(())
    }

    pub(super) fn put_tag(&mut self, tag: Tag, row: &TagRow) {
        if row.intro.is_none() && row.sessions.is_empty() {
            self.delete(TagRow::key(tag));
        } else {
            self.put(TagRow::key(tag), row);
        }
    }
}

/// The intro secret between members of a group, for this recipient.
pub(super) fn group_intro(group: OpId, recipient: DeviceId) -> Secret {
    kdf(group.as_bytes(), labels::INTRO_GROUP, &[recipient.as_bytes()])
}

/// As many intro secrets as are kept, the one to try next last.
fn newest(mut older: Vec<Secret>, newer: Vec<Secret>) -> Vec<Secret> {
    older.extend(newer);
    older.split_off(older.len().saturating_sub(MAX_INTROS))
}

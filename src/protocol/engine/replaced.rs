//! A device that another took the place of is told so by whoever knows the account's newer list: else its owner would write
//! to contacts who seem to be there and do not listen. The list proves itself, since the account's key signed it; so it is
//! told outside sessions, to who is connected, and believed from anybody.

use super::{
    Command, Effect, Notice, Refusal,
    bundles::{counts, verified},
    feed::FeedEntry,
    rows::{DeviceRow, ListRow, OwnRow, Replaced},
    turn::{Step, Turn},
};
use crate::protocol::{
    identity::{SignedCert, SignedList, certificate::DeviceCert},
    ids::{AccountId, ChatId},
    view::{Table, ViewError},
    wire::{decode, encode, frame::Frame},
};

impl Turn<'_> {
    /// Tells a device that its account has a newer list without it, if it has and the device is connected.
    pub(super) fn tell_replaced(&mut self, device: &DeviceRow) -> Step {
        let Some((_, bundle)) = verified(&device.bundle) else { return Ok(()) };
        self.tell_if_out(&bundle.cert)
    }

    /// The same of a certificate that proved itself.
    pub(super) fn tell_if_out(&mut self, cert: &DeviceCert) -> Step {
        if !self.mem.peers.contains_key(&cert.transport) || self.is_blocked(cert.account)? {
            return Ok(());
        }
        let Some(row) = self.read::<ListRow>(&ListRow::key(cert.account))? else { return Ok(()) };
        if row.0.verify().is_ok_and(|list| !list.holds(cert)) {
            self.send(cert.transport, &Frame::List(encode(&row.0)));
        }
        Ok(())
    }

    /// An account's list is another now: those of its devices that are connected and not on it are told.
    pub(super) fn tell_those_replaced(&mut self, account: AccountId) -> Step {
        for device in self.mem.peers.values().flatten().copied().collect::<Vec<_>>() {
            if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))?
                && row.account == account
            {
                self.tell_replaced(&row)?;
            }
        }
        Ok(())
    }

    /// A peer's frame with a list.
    pub(super) fn list_told(&mut self, bytes: &[u8]) -> Step {
        match decode::<SignedList>(bytes, "device list") {
            Ok(list) => self.own_list_seen(&list),
            Err(_) => Ok(()),
        }
    }

    /// Somebody shows a list that may be of this account: if it is newer than the own one and this device is not on it,
    /// another took its place.
    pub(super) fn own_list_seen(&mut self, signed: &SignedList) -> Step {
        let own = self.own()?;
        let damaged = |_| ViewError::Damaged(Table::Own);
        let newest = own.replaced.as_ref().map_or(&own.list, |replaced| &replaced.list);
        let held: SignedList = decode(newest, "device list").map_err(damaged)?;
        // Anybody may say this: signatures are looked at last, the one that proves it first.
        let may_count = |(account, seq)| account == own.account && held.claimed().is_some_and(|(_, held)| seq >= held);
        if held == *signed || !signed.claimed().is_some_and(may_count) {
            return Ok(());
        }
        let Ok(list) = signed.verify() else { return Ok(()) };
        let cert: SignedCert = decode(&own.cert, "certificate").map_err(damaged)?;
        let (Ok(held), Ok(cert)) = (held.verify(), cert.verify()) else { return Ok(()) };
        if !counts(Some(&held), &list) || list.holds(&cert) {
            return Ok(());
        }
        let is_news = own.replaced.is_none();
        let since = own.replaced.as_ref().map_or(self.now, |replaced| replaced.since);
        let own = OwnRow { replaced: Some(Replaced { list: encode(signed), since }), ..own };
        self.put(OwnRow::key(), &own);
        if !is_news {
            return Ok(());
        }
        let peer = self.own()?.transport;
        self.notice(Effect::Notice(peer, Notice::Replaced));
        self.tell(&FeedEntry::Replaced)
    }

    /// Why a wish is not granted on a device that was replaced: nobody would hear what it says.
    pub(super) fn refusal_of_replaced(&self, wish: &Command) -> Step<Option<Refusal>> {
        let own = self.own()?;
        let notes = ChatId::direct(own.account, own.account);
        let refusal = own.replaced.map(|replaced| Refusal::Replaced { since: replaced.since });
        Ok(refusal.filter(|_| is_said(wish, notes)))
    }
}

/// Whether a wish says something to others.
fn is_said(wish: &Command, notes: ChatId) -> bool {
    match wish {
        Command::Send { chat, .. } | Command::SetTimer(chat, _) => *chat != notes,
        Command::SetName(_)
        | Command::CreateTicket { .. }
        | Command::AddContact { .. }
        | Command::Accept(_)
        | Command::NewGroup(_)
        | Command::InviteToGroup(..)
        | Command::AcceptGroup(_)
        | Command::RenameGroup(..)
        | Command::NameGroupMailbox(..)
        | Command::DropGroupMailbox(..)
        | Command::RemoveMember(..)
        | Command::SetRole(..)
        | Command::HandOver(..)
        | Command::LeaveGroup(_)
        | Command::AddMailbox(_) => true,
        Command::RevokeTicket(_)
        | Command::Decline(_)
        | Command::Block(_)
        | Command::Unblock(_)
        | Command::Rename(..)
        | Command::Remove(_)
        | Command::MarkVerified(_)
        | Command::MarkRead { .. }
        | Command::Index(_)
        | Command::ReadReceipts { .. }
        | Command::Clear(_)
        | Command::DeclineGroup(_)
        | Command::ServeMailbox(_)
        | Command::MakeMailboxLink
        | Command::RemoveMailbox(_)
        | Command::Withdraw(_)
        | Command::GiveUp { .. } => false,
    }
}

//! Receipts (and a new bundle) for devices that are away, left at their mailboxes.
//!
//! They are gathered a little, sealed once, and kept in a row ([`OwedRow`]) until enough mailboxes have them. A device that
//! could not read its mail is told again what it was told lately.

use super::{
    mailbox_send::LeftWhat,
    receipts::Owed,
    record::{Position, Receipt, Record},
    rows::{DeviceRow, OutboxRow, OwedRow, OwedWire, ReceiptRow, Row, Side, ToldRow, parse},
    turn::{Step, Turn},
};
use crate::protocol::{
    identity::bundle::MailboxBox,
    ids::{ChatId, DeviceId, TransportKey},
    time::minutes,
    view::{Direction, View},
    wire::{
        limits::{DEPOSIT_AGAIN_AFTER, MAIL_COPIES, MAX_ENVELOPE, MAX_UNKNOWN_TAGS},
        mailbox::{BlobId, blob_id},
    },
};
use std::{collections::BTreeSet, time::Duration};

/// Receipts for a device that is away are gathered so long.
const GATHER: Duration = Duration::from_secs(2);
/// Receipts that lie at one mailbox wait so long for a second one.
const SECOND_COPY_WAIT: Duration = minutes(5);
/// How often all that lies at a device's mailboxes is left there again at the most…
const LEFT_AGAIN_EVERY: Duration = minutes(60);
/// …and how much of it: what one sender may have in a box.
const MOST_LEFT_AGAIN: usize = 2_048;
/// Positions in one receipt, as in one that is told.
const MAX_POSITIONS: usize = 1_000;
/// Conversations in one receipt, as in one that is told.
const MAX_CHATS: usize = 64;
/// Positions owed to one device, the lost among them: the mail of two full boxes.
const MAX_OWED: usize = 8_192;
/// Conversations whose receipt is owed to one device.
const MAX_OWED_CHATS: usize = 1_024;
/// Wires that lie nowhere are no more than so many at a time…
const MAX_SEALED: usize = 16;
/// …and no longer together: with all that is owed they fit into one row of the store. The rest is sealed as they go.
const MAX_SEALED_BYTES: usize = 2 * MAX_ENVELOPE;

impl OwedRow {
    /// Whether one more wire, however long, may be kept.
    fn has_room(&self) -> bool {
        let bytes: usize = self.sealed.iter().map(|owed| owed.wire.len()).sum();
        self.sealed.len() < MAX_SEALED && bytes + MAX_ENVELOPE <= MAX_SEALED_BYTES
    }

    fn without_unsealed(self) -> Self {
        Self { sealed: self.sealed, offer: self.offer, offers: self.offers, ..Self::new(self.device) }
    }
}

impl Turn<'_> {
    /// Keeps what a device that is away is owed.
    pub(super) fn owe_by_mail(&mut self, device: &DeviceRow, owed: Owed) -> Step {
        let is_shared_with = !device.groups.is_empty() || self.is_contacts_device(device.account, device.device)?;
        if !is_shared_with && !self.is_listed(device)? {
            // Another took its place.
            return Ok(());
        }
        self.note_told_by_mail(device.device, owed.positions.iter().copied());
        // Without a mailbox it is told once it is here, or says where mail for it may be left. What it left as mail comes no
        // second time for days, so that this is not forgotten meanwhile.
        let came_by_mail = owed.positions.len() + owed.lost.len() + owed.unknown.len() > 0;
        if device.boxes().is_empty() && !came_by_mail {
            return Ok(());
        }
        let mut row = self.owed_row(device.device)?;
        row.positions = merged(row.positions, owed.positions, MAX_OWED);
        row.lost = merged(row.lost, owed.lost, MAX_OWED - row.positions.len());
        let of_replaced = owed.of_replaced.into_iter().map(|(chat, _)| chat);
        row.chats = merged(row.chats, owed.chats.into_iter().chain(of_replaced).collect(), MAX_OWED_CHATS);
        row.unknown = merged(row.unknown, owed.unknown, MAX_UNKNOWN_TAGS);
        self.put(OwedRow::key(device.device), &row);
        self.leave_mail_soon(device, GATHER);
        Ok(())
    }

    /// The same of one conversation, if anything of the device is held there.
    pub(super) fn owe_receipt_by_mail(&mut self, device: DeviceId, chat: ChatId) -> Step {
        let held = self.read::<ReceiptRow>(&ReceiptRow::key(chat, Side::Ours, device))?;
        match self.read::<DeviceRow>(&DeviceRow::key(device))?.filter(|_| held.is_some()) {
            Some(row) => self.owe_by_mail(&row, Owed { chats: [chat].into(), ..Owed::default() }),
            None => Ok(()),
        }
    }

    /// The same for this device's bundle.
    pub(super) fn owe_bundle(&mut self, device: &DeviceRow) -> Step {
        if device.boxes().is_empty() {
            return Ok(());
        }
        let mut row = self.owed_row(device.device)?;
        row.bundle = true;
        self.put(OwedRow::key(device.device), &row);
        self.leave_mail_soon(device, GATHER);
        Ok(())
    }

    pub(super) fn owed_row(&self, device: DeviceId) -> Step<OwedRow> {
        Ok(self.read(&OwedRow::key(device))?.unwrap_or_else(|| OwedRow::new(device)))
    }

    /// A device is told receipts on its connection: remembered until that ends, since the process may end before.
    pub(super) fn note_telling(&mut self, device: &DeviceRow) {
        if !device.boxes().is_empty() && self.mem.mail.telling.insert(device.device) {
            self.put(ToldRow::key(device.device), &ToldRow::new(device.device));
        }
    }

    /// Its connection ended, and what may be lost with that is owed.
    pub(super) fn end_telling(&mut self, device: DeviceId) {
        if self.mem.mail.telling.remove(&device) {
            self.delete(ToldRow::key(device));
        }
    }

    /// The process ended while these devices were told something, and so did their connections.
    pub(super) fn owe_what_was_told(&mut self) -> Step {
        for told in self.sound::<ToldRow>(ToldRow::SCOPE)? {
            self.delete(ToldRow::key(told.device));
            if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(told.device))? {
                self.owe_all(&row)?;
                self.owe_again(told.device, told.positions, told.lost);
            }
        }
        Ok(())
    }

    /// What a device was told of its control records may not have reached it.
    pub(super) fn owe_again(
        &mut self,
        device: DeviceId,
        positions: impl IntoIterator<Item = Position>,
        lost: impl IntoIterator<Item = Position>,
    ) {
        positions.into_iter().for_each(|at| self.owe_position(device, at));
        lost.into_iter().for_each(|at| self.owe_lost(device, at));
    }

    /// Seals and leaves what a device is owed. Whether any of it is not durable at a mailbox yet.
    pub(super) fn leave_owed(&mut self, device: &mut DeviceRow, mailboxes: &[MailboxBox]) -> Step<bool> {
        let Some(mut row) = self.read::<OwedRow>(&OwedRow::key(device.device))? else { return Ok(false) };
        if !row.is_unsealed() && row.sealed.is_empty() {
            return Ok(false);
        }
        if row.is_unsealed() && mailboxes.iter().any(|mailbox| self.mem.peers.contains_key(&mailbox.node)) {
            if !row.has_room() {
                // A second copy matters less than a first one.
                row.sealed.retain(|owed| owed.left.is_empty());
            }
            while row.has_room()
                && let Some(record) = self.next_owed(&mut row)?
            {
                match self.seal_for(device, &record.to_bytes())? {
                    Some(sealed) => {
                        row.sealed.push(OwedWire { wire: sealed.wire, left: Vec::new(), since: self.now });
                    }
                    None if self.is_within_reach(device)? => return Ok(true),
                    // Told again should it come, or leave its mail once more.
                    None => row = row.without_unsealed(),
                }
            }
            self.put(OwedRow::key(device.device), &row);
        }
        let row = self.finish_owed(device, row)?;
        if row.sealed.is_empty() && !row.is_unsealed() {
            return Ok(false);
        }
        self.leave_wires(device.device, mailboxes, &row.sealed);
        Ok(true)
    }

    /// Whether anything can be sealed for a device, now or once its bundle is here: there is nothing to say it under to one
    /// with whom this device shares neither a contact nor a group any more.
    fn is_within_reach(&self, device: &DeviceRow) -> Step<bool> {
        Ok(device.sending.is_some() || self.intro_to(device)?.is_some())
    }

    /// Leaves what is sealed for a device where it does not lie yet, at so many mailboxes as a thing is left at.
    pub(super) fn leave_wires(&mut self, device: DeviceId, mailboxes: &[MailboxBox], wires: &[OwedWire]) {
        for mailbox in mailboxes.iter().take(MAIL_COPIES) {
            if !self.mem.peers.contains_key(&mailbox.node) {
                self.seek_mailbox(mailbox);
                continue;
            }
            for owed in wires.iter().filter(|owed| !owed.left.contains(&mailbox.node)) {
                let under_way = self.mem.mail.under_way.get(&mailbox.node);
                if !under_way.is_some_and(|all| all.contains_key(&blob_id(&owed.wire))) {
                    self.leave(mailbox, LeftWhat::Owed(device), owed.wire.clone());
                }
            }
        }
    }

    /// Lets go of what lies at enough mailboxes, or at one for long enough. What is left.
    pub(super) fn finish_owed(&mut self, device: &DeviceRow, mut row: OwedRow) -> Step<OwedRow> {
        let own = self.own()?.transport;
        let wanted = MAIL_COPIES.min(device.boxes().iter().filter(|mailbox| mailbox.node != own).count());
        let now = self.now;
        let is_needed = |owed: &OwedWire| {
            let late = now.since(owed.since) >= SECOND_COPY_WAIT && !owed.left.is_empty();
            owed.left.len() < wanted && !late
        };
        row.sealed.retain(is_needed);
        row.offers.retain(is_needed);
        if row.is_empty() {
            self.delete(OwedRow::key(device.device));
        } else {
            self.put(OwedRow::key(device.device), &row);
        }
        Ok(row)
    }

    /// The next of what is owed as a record, taken out of the row.
    fn next_owed(&self, row: &mut OwedRow) -> Step<Option<Record>> {
        if !row.is_unsealed() {
            return Ok(None);
        }
        let positions = taken(&mut row.positions, MAX_POSITIONS);
        let lost = taken(&mut row.lost, MAX_POSITIONS - positions.len());
        let owed_chats = taken(&mut row.chats, MAX_CHATS);
        let unknown = Some(std::mem::take(&mut row.unknown)).filter(|tags| !tags.is_empty());
        if positions.is_empty() && lost.is_empty() && owed_chats.is_empty() && unknown.is_none() {
            row.bundle = false;
            return Ok(Some(Record::Bundle(self.own()?.bundle)));
        }
        let replaced = self.read::<DeviceRow>(&DeviceRow::key(row.device))?.map(|to| to.replaced).unwrap_or_default();
        let mut chats = Vec::new();
        for chat in owed_chats {
            chats.extend(self.chat_receipt_for(row.device, chat)?);
            for author in &replaced {
                chats.extend(self.chat_receipt_for(*author, chat)?);
            }
        }
        Ok(Some(Record::Receipt(Receipt { chats, positions, lost, unknown })))
    }

    pub(super) fn note_owed_left(&mut self, device: DeviceId, node: TransportKey, name: BlobId) -> Step {
        let Some(mut row) = self.read::<OwedRow>(&OwedRow::key(device))? else { return Ok(()) };
        let Some(to) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        let wires = row.sealed.iter_mut().chain(&mut row.offers);
        for owed in wires.filter(|owed| blob_id(&owed.wire) == name && !owed.left.contains(&node)) {
            owed.left.push(node);
        }
        self.finish_owed(&to, row).map(drop)
    }

    /// What a device left for this one could not be read, and its receipts may have been among that: whatever lies at its
    /// mailboxes is left there again, so that it confirms it again. Once in a while, since anybody may make up mail.
    pub(super) fn leave_all_again(&mut self, device: &DeviceRow) -> Step {
        let last = self.mem.mail.left_again.get(&device.device);
        if last.is_some_and(|last| self.now.since(*last) < LEFT_AGAIN_EVERY) {
            return Ok(());
        }
        self.mem.mail.left_again.insert(device.device, self.now);
        let scope = device.device;
        for (place, bytes) in self.scan(OutboxRow::TABLE, scope.as_ref(), None, Direction::Forward, MOST_LEFT_AGAIN)? {
            let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
            let mut row: OutboxRow = parse(&bytes)?;
            // The copies may well lie there or have been read: they are no more than old.
            let old = self.now.minus(DEPOSIT_AGAIN_AFTER);
            let mut any = false;
            for left in row.left.iter_mut().flatten().filter(|left| left.at > old) {
                (left.at, any) = (old, true);
            }
            if any {
                self.put(OutboxRow::key(scope, place), &row);
            }
        }
        self.rewind_mail(scope);
        self.leave_mail_soon(device, GATHER);
        Ok(())
    }

    /// Remembers a while which positions a device was told, or would be had it a mailbox.
    pub(super) fn note_told_by_mail(&mut self, device: DeviceId, positions: impl IntoIterator<Item = Position>) {
        let told = self.mem.mail.told_by_mail.entry(device).or_default();
        told.extend(positions);
        told.drain(..told.len().saturating_sub(MAX_POSITIONS));
    }

    /// A device could not read some of its mail: what it was told there is told again.
    pub(super) fn owe_told_by_mail(&mut self, device: DeviceId) {
        for at in self.mem.mail.told_by_mail.remove(&device).unwrap_or_default() {
            self.owe_position(device, at);
        }
    }
}

/// Both together, no more than so many; what finds no room is owed again when its sender asks.
fn merged<T: Ord>(old: Vec<T>, new: BTreeSet<T>, most: usize) -> Vec<T> {
    let mut all: BTreeSet<T> = old.into_iter().collect();
    all.extend(new);
    all.into_iter().take(most).collect()
}

/// The first of these, no more than so many.
fn taken<T>(from: &mut Vec<T>, most: usize) -> Vec<T> {
    from.drain(..most.min(from.len())).collect()
}

//! Receipts out: what is durable here is told to the devices that wrote it, once a drain to each.

use super::{
    Timer,
    mailbox_send::MAY_BE_LOST,
    record::{ChatReceipt, Position, Receipt, Record},
    rows::{AuthorRow, DeviceRow, GroupRow, GroupState, ReceiptRow, Row, Side, ToldRow, UnsettledRow},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::envelope::Tag,
    delivery::{Noted, Numbers},
    ids::{AccountId, ChatId, DeviceId, OpId},
    view::{Direction, Table, View},
    wire::{encode, limits::MAX_UNKNOWN_TAGS},
};
use std::{collections::BTreeSet, time::Duration};

/// How long receipts of group events are gathered before they are told to their author.
const GROUP_RECEIPTS_WAIT: Duration = Duration::from_millis(150);
/// In a large group they are gathered longer, by so much a member, drawn anew: else all members answer an author at once.
const GROUP_RECEIPTS_SPREAD: Duration = Duration::from_millis(4);
/// Numbers looked up at one time when a gap closes.
const NOTED_AT_ONCE: usize = 1_024;
/// Positions in one receipt: what one drain can bring, and small enough for one envelope.
const MAX_POSITIONS: usize = 1_000;
/// Positions told to a connected device that are remembered for a while: those of some full receipts.
const MAX_TOLD: usize = 4 * MAX_POSITIONS;
/// Records of one device that wait to be said again; what is more is confirmed, and asked for by comparison.
const MAX_UNSETTLED: usize = 256;
/// Conversations in one receipt.
const MAX_CHATS: usize = 64;

/// What a device is to be told at the end of the drain.
#[derive(Debug, Default)]
pub(super) struct Owed {
    pub(super) chats: BTreeSet<ChatId>,
    /// Conversations with events of devices that it replaced.
    pub(super) of_replaced: BTreeSet<(ChatId, DeviceId)>,
    pub(super) positions: BTreeSet<Position>,
    pub(super) lost: BTreeSet<Position>,
    pub(super) unknown: BTreeSet<Tag>,
}

impl Turn<'_> {
    /// A record of this device is durable here (with this drain).
    pub(super) fn owe_position(&mut self, device: DeviceId, at: Position) {
        self.mem.owed.entry(device).or_default().positions.insert(at);
    }

    /// A record of this device was heard, and what came of it is in memory alone: it is not confirmed.
    pub(super) fn note_unsettled(&mut self, device: DeviceId, at: Position) -> Step {
        let held = self.scan(Table::Unsettled, device.as_ref(), None, Direction::Forward, MAX_UNSETTLED)?;
        if held.len() < MAX_UNSETTLED {
            self.put(UnsettledRow::key(device, at), &UnsettledRow(self.now));
        } else {
            self.owe_position(device, at);
        }
        Ok(())
    }

    /// How long what was heard at this position has been in memory alone; `None` where it is not.
    pub(super) fn unsettled_for(&self, device: DeviceId, at: Position) -> Step<Option<Duration>> {
        let row = self.read::<UnsettledRow>(&UnsettledRow::key(device, at))?;
        Ok(row.map(|row| self.now.since(row.0)))
    }

    /// It came again at the same position, where it cannot be read twice: what was in memory alone is to be sealed anew. Of
    /// all else the receipt may be lost.
    pub(super) fn settle_again(&mut self, device: DeviceId, at: Position) -> Step {
        let key = UnsettledRow::key(device, at);
        match self.read::<UnsettledRow>(&key)? {
            Some(_) => {
                self.delete(key);
                self.owe_lost(device, at);
            }
            None => self.owe_position(device, at),
        }
        match self.read::<DeviceRow>(&DeviceRow::key(device))? {
            Some(row) => self.owe_all(&row),
            None => Ok(()),
        }
    }

    /// A record of this device cannot be opened any more.
    pub(super) fn owe_lost(&mut self, device: DeviceId, at: Position) {
        self.mem.owed.entry(device).or_default().lost.insert(at);
    }

    /// No session is known for an envelope that this device left at a mailbox.
    pub(super) fn owe_unknown(&mut self, device: DeviceId, tag: Tag) {
        self.mem.owed.entry(device).or_default().unknown.insert(tag);
    }

    /// Events of this device in this chat are durable here, or were read.
    pub(super) fn owe_chat(&mut self, device: DeviceId, chat: ChatId) {
        self.mem.owed.entry(device).or_default().chats.insert(chat);
    }

    /// The same of events that a device wrote which this one replaced.
    pub(super) fn owe_chat_of(&mut self, device: DeviceId, chat: ChatId, author: DeviceId) {
        self.mem.owed.entry(device).or_default().of_replaced.insert((chat, author));
    }

    /// The same of events that a device of a contact wrote: it is told, or who took its place.
    pub(super) fn owe_contact(&mut self, chat: ChatId, account: AccountId, author: DeviceId) -> Step {
        let devices = self.contact(account)?.map(|contact| contact.devices).unwrap_or_default();
        if devices.is_empty() || devices.contains(&author) {
            self.owe_chat(author, chat);
        } else {
            devices.into_iter().for_each(|instead| self.owe_chat_of(instead, chat, author));
        }
        Ok(())
    }

    /// The same, told a little later, together with others, where a device is connected.
    pub(super) fn owe_group(&mut self, device: DeviceId, chat: ChatId) -> Step {
        match self.read::<DeviceRow>(&DeviceRow::key(device))? {
            Some(row) if self.mem.peers.contains_key(&row.transport) => self.note_telling(&row),
            Some(row) if !row.boxes().is_empty() => {
                self.owe_chat(device, chat);
                return Ok(());
            }
            _ => {}
        }
        if self.mem.owed_later.is_empty() {
            let members = self.mem.groups.get(&OpId(chat.0)).map_or(0, |group| group.membership.members.len());
            let spread = GROUP_RECEIPTS_SPREAD * u32::try_from(members).unwrap_or(u32::MAX);
            let wait = GROUP_RECEIPTS_WAIT + self.jitter(spread);
            self.mem.timers.insert((self.now.plus(wait), Timer::GroupReceipts));
        }
        self.mem.owed_later.insert((device, chat));
        Ok(())
    }

    /// What was gathered for groups is due.
    pub(super) fn group_receipts_due(&mut self) -> Step {
        for (device, chat) in std::mem::take(&mut self.mem.owed_later) {
            self.owe_chat(device, chat);
            // By now it may have more of what those wrote whose place it took.
            let row = self.read::<DeviceRow>(&DeviceRow::key(device))?;
            for author in row.map(|row| row.replaced).unwrap_or_default() {
                self.owe_chat_of(device, chat, author);
            }
        }
        Ok(())
    }

    /// Tells every device what it is owed, one that is away by mail. Who has no mailbox asks again by sending again.
    pub(super) fn tell_receipts(&mut self) -> Step {
        for (device, owed) in std::mem::take(&mut self.mem.owed) {
            self.attempt(|turn| turn.tell_owed(device, owed))?;
        }
        self.tell_taken();
        Ok(())
    }

    fn tell_owed(&mut self, device: DeviceId, owed: Owed) -> Step {
        if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? {
            if !self.mem.peers.contains_key(&row.transport) {
                return self.owe_by_mail(&row, owed);
            }
            self.note_telling(&row);
        }
        let mut chats = Vec::new();
        for chat in owed.chats.into_iter().take(MAX_CHATS) {
            chats.extend(self.chat_receipt_for(device, chat)?);
        }
        for (chat, author) in owed.of_replaced.into_iter().take(MAX_CHATS) {
            chats.extend(self.chat_receipt_for(author, chat)?);
        }
        let positions: Vec<Position> = owed.positions.into_iter().take(MAX_POSITIONS).collect();
        let lost: Vec<Position> = owed.lost.into_iter().take(MAX_POSITIONS).collect();
        let unknown: Vec<Tag> = owed.unknown.into_iter().take(MAX_UNKNOWN_TAGS).collect();
        self.note_told(device, &positions, &lost);
        let unknown = (!unknown.is_empty()).then_some(unknown);
        self.whisper(device, &Record::Receipt(Receipt { chats, positions, lost, unknown }))
    }

    /// Remembers what may be lost with the connection, and durably where the process may be lost with it: what came by mail is
    /// not sent again for days.
    fn note_told(&mut self, device: DeviceId, positions: &[Position], lost: &[Position]) {
        let told = self.mem.mail.told_lately.entry(device).or_default();
        if self.now.since(told.at) >= MAY_BE_LOST || told.positions.len() + told.lost.len() > MAX_TOLD {
            (told.positions, told.lost) = Default::default();
        }
        told.at = self.now;
        told.positions.extend(positions);
        told.lost.extend(lost);
        if positions.len() + lost.len() > 0 && self.mem.mail.telling.contains(&device) {
            let positions = told.positions.iter().copied().collect();
            let lost = told.lost.iter().copied().collect();
            self.put(ToldRow::key(device), &ToldRow { device, positions, lost });
        }
    }

    pub(super) fn chat_receipt_for(&self, author: DeviceId, chat: ChatId) -> Step<Option<ChatReceipt>> {
        let Some(row) = self.read::<ReceiptRow>(&ReceiptRow::key(chat, Side::Ours, author))? else { return Ok(None) };
        let read = self.told_of(&row);
        let seen = row.seen(read.unwrap_or(0))?;
        let has_gaps = read.is_some() && seen != row.numbers()?.up_to(read.unwrap_or(0));
        let seen = has_gaps.then(|| encode(&seen).into());
        Ok(Some(ChatReceipt { chat, author, held: row.held, read, seen, void: row.void }))
    }

    /// The highest number that its author may know as read. A row from before there was a choice for each chat told what the
    /// settings said.
    pub(super) fn told_of(&self, row: &ReceiptRow) -> Option<u64> {
        row.told.or(self.settings.read_receipts.then_some(row.read))
    }

    /// A device has just connected: what it may have missed of receipts is told once, in one record.
    pub(super) fn owe_all(&mut self, device: &DeviceRow) -> Step {
        let own = self.own()?.account;
        let mut groups = device.groups.clone();
        // Who left learns still that its last words are here.
        for row in self.sound::<GroupRow>(b"")?.into_iter().filter(|row| row.state == GroupState::Joined) {
            if !groups.contains(&row.group) && self.has_left_lately(row.group, device.device)? {
                groups.push(row.group);
            }
        }
        let chats = std::iter::once(ChatId::direct(own, device.account))
            .chain(groups.into_iter().map(ChatId::from))
            .take(MAX_CHATS);
        for chat in chats {
            if self.read::<ReceiptRow>(&ReceiptRow::key(chat, Side::Ours, device.device))?.is_some() {
                self.owe_chat(device.device, chat);
            }
            for author in &device.replaced {
                if self.read::<ReceiptRow>(&ReceiptRow::key(chat, Side::Ours, *author))?.is_some() {
                    self.owe_chat_of(device.device, chat, *author);
                }
            }
        }
        Ok(())
    }

    /// Notes that an event of a device of others is here.
    pub(super) fn note_held(&mut self, chat: ChatId, account: AccountId, device: DeviceId, no: u64) -> Step {
        let key = ReceiptRow::key(chat, Side::Ours, device);
        let mut row = self.read::<ReceiptRow>(&key)?.unwrap_or_else(|| ReceiptRow::new(device, account));
        // What comes now is not read, wherever it stands.
        row.seen = Some(encode(&row.seen(self.told_of(&row).unwrap_or(0))?).into());
        let mut held = row.numbers()?;
        let before = held.through();
        let noted = held.insert(no);
        if row.full == Some(true) && held.through() > before {
            row.full = Some(self.note_more(chat, device, &mut held)?);
        }
        if noted == Noted::NoRoom {
            row.full = Some(true);
        }
        row.held = encode(&held);
        self.put(key, &row);
        Ok(())
    }

    /// A gap closed: what came while there was no room for its number is noted now. Whether there is still no room for all.
    fn note_more(&self, chat: ChatId, device: DeviceId, held: &mut Numbers) -> Step<bool> {
        let scope = AuthorRow::scope(chat, device);
        let mut from = held.through().saturating_add(1).to_be_bytes();
        loop {
            let page = self.scan(AuthorRow::TABLE, &scope, Some(&from), Direction::Forward, NOTED_AT_ONCE)?;
            let is_last = page.len() < NOTED_AT_ONCE;
            for (no, _) in page {
                let Ok(no) = no.try_into().map(u64::from_be_bytes) else { continue };
                if held.insert(no) == Noted::NoRoom {
                    return Ok(true);
                }
                from = no.saturating_add(1).to_be_bytes();
            }
            if is_last {
                return Ok(false);
            }
        }
    }
}

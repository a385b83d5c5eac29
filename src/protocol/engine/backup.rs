//! What a backup holds, read page by page from the rows of a running account, and the rows of a new device made of it.
//!
//! Contacts with their intro secrets, groups with their ops, conversations with every event. No private key of a device,
//! no session, chain, gossip secret or prekey: a restored device is a new one, which replaces the one that wrote the
//! backup on the account's device list. Called by the API ([`page`]) and by whoever restores ([`Restoring`]).

use super::{
    begin::{self, BeginError, NewDevice},
    intros::group_intro,
    rows::{
        self, AuthorRow, ChatRow, ContactRow, ContactState, CounterRow, DeviceRow, EventRow, FollowerRow, GroupRow,
        GroupState, Intro, ListRow, MemberRow, OpRow, OutboxRow, OwnRow, Parcel, PeerRow, RawRow, ReceiptRow, Row,
        Side, TagRow, TimelineRow,
    },
};
use crate::protocol::{
    crypto::{secret::Secret, start::intro_tag},
    event::Content,
    identity::{AccountKey, Name, SignedList, profile::NameError},
    ids::{AccountId, ChatId, DeviceId, OpId},
    time::Millis,
    view::{Direction, Key, Table, View, ViewError, Write},
    wire::{decode, encode},
};
use minicbor::{Decode, Encode, bytes::ByteVec};
use rand_core::CryptoRng;
use std::collections::BTreeSet;

/// Bytes after which a page ends; the last item may go beyond it by its own length.
const PAGE: usize = 256 * 1024;
/// Events read at a time.
const EVENTS_AT_ONCE: usize = 128;

/// One thing that a backup holds.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(flat)]
pub enum Kept {
    /// Whose backup it is; the first item of every backup.
    #[n(0)]
    Own(#[n(0)] KeptOwn),
    /// A contact, or a member one knows of.
    #[n(1)]
    Contact(#[n(0)] ContactRow),
    /// A device of another account; its sessions are not meant.
    #[n(2)]
    Device(#[n(0)] DeviceRow),
    /// The newest device list seen of an account.
    #[n(3)]
    List(#[n(0)] AccountId, #[n(1)] ListRow),
    /// Where the maker of a link is that was not reached yet.
    #[n(4)]
    Peer(#[n(0)] PeerRow),
    /// A group.
    #[n(5)]
    Group(#[n(0)] GroupRow),
    /// An op of a group, by its place.
    #[n(6)]
    Op(#[n(0)] OpId, #[n(1)] u64, #[n(2)] OpRow),
    /// A member of a group.
    #[n(7)]
    Member(#[n(0)] OpId, #[n(1)] MemberRow),
    /// A conversation.
    #[n(8)]
    Chat(#[n(0)] ChatRow),
    /// What is held of another device's events, or (with one's own device that wrote them) what another confirmed.
    #[n(9)]
    Receipt(#[n(0)] ChatId, #[n(1)] Option<DeviceId>, #[n(2)] ReceiptRow),
    /// An event, and its original bytes.
    #[n(10)]
    Event(#[n(0)] EventRow, #[n(1)] Option<ByteVec>),
}

/// Whose backup it is.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct KeptOwn {
    /// The account.
    #[n(0)]
    pub account: AccountId,
    /// The device that wrote the backup, and those it had replaced.
    #[n(1)]
    pub devices: Vec<DeviceId>,
    /// The account's newest device list.
    #[n(2)]
    pub list: SignedList,
    /// The display name.
    #[n(3)]
    pub name: String,
    /// When it was chosen.
    #[n(4)]
    pub name_chosen: Millis,
    /// When the backup was begun.
    #[n(5)]
    pub made: Millis,
}

/// Where a page begins: a section, and the last thing of it that was read.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Cursor {
    #[n(0)]
    section: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    after: Vec<u8>,
}

impl Cursor {
    /// Where a backup begins.
    pub const START: Self = Self { section: 0, after: Vec::new() };
}

/// The next items of a backup and where to go on; `None` at its end. What changes while pages are read is in or not,
/// each item whole.
pub fn page(view: &dyn View, from: Cursor, now: Millis) -> Result<(Vec<Kept>, Option<Cursor>), ViewError> {
    let own: OwnRow = rows::read(view, &OwnRow::key())?.ok_or(ViewError::Damaged(Table::Own))?;
    let reading = Pages { view, own, now };
    let (mut kept, mut size, mut cursor) = (Vec::new(), 0, from);
    while let Some(items) = reading.section(cursor.section, &cursor.after)? {
        let is_over = cursor.section != EVENTS || items.is_empty();
        for (place, item) in items {
            size += encode(&item).len();
            kept.push(item);
            cursor.after = place;
            if size >= PAGE {
                return Ok((kept, Some(cursor)));
            }
        }
        if is_over {
            cursor = Cursor { section: cursor.section + 1, after: Vec::new() };
        }
    }
    Ok((kept, None))
}

/// Items behind a place, each with its own.
type Placed = Vec<(Vec<u8>, Kept)>;

struct Pages<'v> {
    view: &'v dyn View,
    own: OwnRow,
    now: Millis,
}

/// The section that is read in parts, since it grows without end; the last.
const EVENTS: u8 = 10;

impl Pages<'_> {
    /// What is in a section behind a place, in the order in which it is restored; `None` past the last section.
    fn section(&self, number: u8, after: &[u8]) -> Result<Option<Placed>, ViewError> {
        Ok(Some(match number {
            0 => self.own(after)?,
            1 => self.contacts(after)?,
            2 => self.devices(after)?,
            3 => self.lists(after)?,
            4 => self.peers(after)?,
            5 => self.groups(after)?,
            6 => self.ops(after)?,
            7 => self.members(after)?,
            8 => self.chats(after)?,
            9 => self.receipts(after)?,
            EVENTS => self.events(after)?,
            _ => return Ok(None),
        }))
    }

    fn own(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let list = decode(&self.own.list, "device list").map_err(|_| ViewError::Damaged(Table::Own))?;
        let devices = std::iter::once(self.own.device).chain(self.own.former.iter().copied()).collect();
        let own = KeptOwn {
            account: self.own.account,
            devices,
            list,
            name: self.own.name.clone(),
            name_chosen: self.own.name_chosen,
            made: self.now,
        };
        Ok(behind(after, vec![(vec![1], Kept::Own(own))]))
    }

    fn contacts(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let rows = rows::all::<ContactRow>(self.view, b"")?;
        Ok(behind(after, rows.into_iter().map(|row| (row.account.0.to_vec(), Kept::Contact(row)))))
    }

    fn devices(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let rows = rows::all::<DeviceRow>(self.view, b"")?;
        Ok(behind(after, rows.into_iter().map(|row| (row.device.0.to_vec(), Kept::Device(row)))))
    }

    fn lists(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let mut lists = Vec::new();
        for contact in rows::all::<ContactRow>(self.view, b"")? {
            let row = rows::read::<ListRow>(self.view, &ListRow::key(contact.account))?;
            lists.extend(row.map(|row| (contact.account.0.to_vec(), Kept::List(contact.account, row))));
        }
        for device in rows::all::<DeviceRow>(self.view, b"")? {
            let row = rows::read::<ListRow>(self.view, &ListRow::key(device.account))?;
            lists.extend(row.map(|row| (device.account.0.to_vec(), Kept::List(device.account, row))));
        }
        Ok(behind(after, lists))
    }

    fn peers(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let rows = rows::all::<PeerRow>(self.view, b"")?.into_iter().filter(|row| row.device.is_none());
        Ok(behind(after, rows.map(|row| (row.transport.0.to_vec(), Kept::Peer(row)))))
    }

    fn groups(&self, after: &[u8]) -> Result<Placed, ViewError> {
        Ok(behind(after, self.every_group()?.into_iter().map(|row| (row.group.0.to_vec(), Kept::Group(row)))))
    }

    fn ops(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let mut ops = Vec::new();
        for group in self.every_group()? {
            let rows = rows::all::<OpRow>(self.view, group.group)?;
            ops.extend((0u64..).zip(rows).map(|(place, row)| {
                ([&group.group.0[..], &place.to_be_bytes()].concat(), Kept::Op(group.group, place, row))
            }));
        }
        Ok(behind(after, ops))
    }

    fn members(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let mut members = Vec::new();
        for group in self.every_group()? {
            let rows = rows::all::<MemberRow>(self.view, group.group)?;
            members.extend(
                rows.into_iter()
                    .map(|row| ([&group.group.0[..], &row.account.0[..]].concat(), Kept::Member(group.group, row))),
            );
        }
        Ok(behind(after, members))
    }

    fn chats(&self, after: &[u8]) -> Result<Placed, ViewError> {
        Ok(behind(after, self.every_chat()?.into_iter().map(|row| (row.chat.0.to_vec(), Kept::Chat(row)))))
    }

    fn receipts(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let mut receipts = Vec::new();
        for chat in self.every_chat()? {
            let of_own = self.own_devices().map(|device| (Some(device), self.theirs(chat.chat, device)));
            let of_others = std::iter::once((None, ReceiptRow::scope(chat.chat, Side::Ours)));
            for (author, scope) in of_others.chain(of_own) {
                for row in rows::all::<ReceiptRow>(self.view, scope)? {
                    let place = [&chat.chat.0[..], &author.map_or([0; 32], |author| author.0), &row.device.0[..]];
                    receipts.push((place.concat(), Kept::Receipt(chat.chat, author, row)));
                }
            }
        }
        Ok(behind(after, receipts))
    }

    /// Some events behind this place: of one device in one conversation, by number.
    fn events(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let mut found = Placed::new();
        for (chat, device) in self.authors(after)? {
            let scope = AuthorRow::scope(chat, device);
            let from = after.strip_prefix(scope.as_slice()).map(<[u8]>::to_vec);
            let room = EVENTS_AT_ONCE - found.len() + 1;
            for (no, bytes) in self.view.scan(AuthorRow::TABLE, &scope, from.as_deref(), Direction::Forward, room)? {
                if from.as_ref() == Some(&no) {
                    continue;
                }
                let AuthorRow(id) = rows::parse(&bytes)?;
                let Some(event) = rows::read::<EventRow>(self.view, &EventRow::key(id))? else { continue };
                let raw = rows::read::<RawRow>(self.view, &RawRow::key(id))?.map(|raw| raw.0.into());
                found.push(([&scope[..], &no].concat(), Kept::Event(event, raw)));
            }
            if found.len() >= EVENTS_AT_ONCE {
                break;
            }
        }
        Ok(found)
    }

    /// Who wrote in which conversation, from the one that this place is of, in one order.
    fn authors(&self, after: &[u8]) -> Result<Vec<(ChatId, DeviceId)>, ViewError> {
        let mut authors = BTreeSet::new();
        for chat in self.every_chat()? {
            authors.extend(self.own_devices().map(|device| (chat.chat.0, device.0)));
            let held = rows::all::<ReceiptRow>(self.view, ReceiptRow::scope(chat.chat, Side::Ours))?;
            authors.extend(held.into_iter().map(|row| (chat.chat.0, row.device.0)));
        }
        let reached = |chat: &[u8; 32], device: &[u8; 32]| {
            [&chat[..], device].concat().as_slice() >= after.get(..64).unwrap_or_default()
        };
        let left = authors.into_iter().filter(|(chat, device)| reached(chat, device));
        Ok(left.map(|(chat, device)| (ChatId(chat), DeviceId(device))).collect())
    }

    fn every_group(&self) -> Result<Vec<GroupRow>, ViewError> {
        rows::all(self.view, b"")
    }

    fn every_chat(&self) -> Result<Vec<ChatRow>, ViewError> {
        rows::all(self.view, b"")
    }

    fn own_devices(&self) -> impl Iterator<Item = DeviceId> {
        std::iter::once(self.own.device).chain(self.own.former.iter().copied())
    }

    /// Where others' receipts of what this own device wrote are.
    fn theirs(&self, chat: ChatId, author: DeviceId) -> Vec<u8> {
        ReceiptRow::scope(chat, if author == self.own.device { Side::Theirs } else { Side::TheirsOf(author) })
    }
}

/// The items behind a place, in the order of their places.
fn behind(after: &[u8], items: impl IntoIterator<Item = (Vec<u8>, Kept)>) -> Placed {
    let mut left: Placed = items.into_iter().filter(|(place, _)| place.as_slice() > after).collect();
    left.sort_by(|(a, _), (b, _)| a.cmp(b));
    left.dedup_by(|(a, _), (b, _)| a == b);
    left
}

/// Why a backup cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The words are another account's.
    #[error("the backup is of another account than the words")]
    OtherAccount,
    /// It does not begin with the account it is of.
    #[error("the backup does not begin as one")]
    NoBeginning,
    /// The name in it is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The new device could not be made.
    #[error(transparent)]
    Begin(#[from] BeginError),
}

/// A new device being made of a backup. Gives the rows of each item; those that make it an account come last, so that
/// what was interrupted is no account yet.
#[derive(Debug)]
pub struct Restoring {
    first: Vec<Write>,
    device: DeviceId,
    counters: CounterRow,
    messages: u64,
}

impl Restoring {
    /// Begins with the first item of a backup and the account's key.
    pub fn begin(
        account: &AccountKey,
        first: Kept,
        now: Millis,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, RestoreError> {
        let Kept::Own(kept) = first else { return Err(RestoreError::NoBeginning) };
        if kept.account != account.id() {
            return Err(RestoreError::OtherAccount);
        }
        let list = kept.list.verify().map_err(|_| RestoreError::NoBeginning)?;
        let name: Name = kept.name.parse()?;
        let new = NewDevice { after: list.seq, former: kept.devices, name_chosen: kept.name_chosen };
        let (own, first) = begin::device_rows(account, &name, new, now, rng)?;
        Ok(Self { first, device: own.device, counters: CounterRow::default(), messages: 0 })
    }

    /// The rows of another item.
    pub fn take(&mut self, kept: Kept) -> Vec<Write> {
        match kept {
            Kept::Own(_) => Vec::new(),
            Kept::Contact(row) => contact(row),
            Kept::Device(row) => device(row),
            Kept::List(account, row) => vec![put(ListRow::key(account), &row)],
            Kept::Peer(row) => vec![put(PeerRow::key(row.transport), &row)],
            Kept::Group(row) => self.group(row),
            Kept::Op(group, place, row) => vec![put(OpRow::key(group, place), &row)],
            Kept::Member(group, row) => vec![put(MemberRow::key(group, row.account), &row)],
            Kept::Chat(row) => {
                let row = ChatRow { written: 0, previous: None, ..row };
                vec![put(ChatRow::key(row.chat), &row)]
            }
            Kept::Receipt(chat, author, row) => {
                let side = author.map_or(Side::Ours, Side::TheirsOf);
                vec![put(ReceiptRow::key(chat, side, row.device), &row)]
            }
            Kept::Event(event, raw) => self.event(event, raw),
        }
    }

    /// How many messages there were.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// The last rows.
    pub fn finish(mut self) -> Vec<Write> {
        self.first.push(put(CounterRow::key(), &self.counters));
        self.first
    }

    fn group(&self, row: GroupRow) -> Vec<Write> {
        let row = GroupRow { held: 0, ..row };
        let mut writes = vec![put(GroupRow::key(row.group), &row)];
        if row.state == GroupState::Joined {
            writes.push(open_intro(&group_intro(row.group, self.device), Intro::Group(row.group)));
        }
        writes
    }

    /// What nobody had confirmed waits again: sealed anew, by this device.
    fn event(&mut self, mut event: EventRow, raw: Option<ByteVec>) -> Vec<Write> {
        let mut writes = Vec::new();
        for (device, place) in &mut event.outbox {
            self.counters.outbox += 1;
            self.counters.waiting += 1;
            *place = self.counters.outbox;
            let row = OutboxRow { what: Parcel::Event(event.chat, event.id), since: event.arrived, sealed: None, left: None };
            writes.push(put(OutboxRow::key(*device, *place), &row));
        }
        writes.extend(raw.map(|raw| put(RawRow::key(event.id), &RawRow(raw.into()))));
        for followed in &event.deps {
            writes.push(put(FollowerRow::key(*followed, event.id), &FollowerRow(event.id)));
        }
        writes.push(put(AuthorRow::key(event.chat, event.device, event.no), &AuthorRow(event.id)));
        if Content::parse(&event.content).is_ok_and(|content| content.is_shown()) {
            self.messages += 1;
            writes.push(put(TimelineRow::key(event.chat, &event.place), &TimelineRow(event.id)));
        }
        writes.push(put(EventRow::key(event.id), &event));
        writes
    }
}

/// Who asked us asked the device that is gone, and asks again; all others stand as they stood.
fn contact(row: ContactRow) -> Vec<Write> {
    if row.state == ContactState::Incoming {
        return Vec::new();
    }
    let intros = row.intros.iter().map(|intro| open_intro(intro, Intro::Again(row.account)));
    let mut writes: Vec<Write> = intros.collect();
    writes.push(put(ContactRow::key(row.account), &row));
    writes
}

fn device(row: DeviceRow) -> Vec<Write> {
    let row = DeviceRow { sending: None, sessions: Vec::new(), ..row };
    let peer =
        PeerRow { device: Some(row.device), account: row.account, transport: row.transport, addresses: Vec::new() };
    vec![put(PeerRow::key(row.transport), &peer), put(DeviceRow::key(row.device), &row)]
}

fn open_intro(secret: &Secret, intro: Intro) -> Write {
    let (tag, key) = intro_tag(secret);
    let row = TagRow { key: Some(key), intro: Some(intro), sessions: Vec::new(), secret: Some(secret.clone()) };
    put(TagRow::key(tag), &row)
}

fn put<R: Row>(key: Key, row: &R) -> Write {
    Write::Put(key, encode(row))
}

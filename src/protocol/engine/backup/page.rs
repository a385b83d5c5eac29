//! Reading a backup, page by page, from the rows of an account that may be running.
//!
//! What is damaged is left out and counted. Receipts are read before events, so that nobody is told later of an event that
//! is not in the backup; what comes meanwhile is in it or not, each item whole.

use super::{Kept, KeptOwn};
use crate::protocol::{
    engine::rows::{
        self, AuthorRow, ChatRow, ClearRow, ContactRow, DeviceRow, Ends, EventRow, GroupRow, ListRow, MailboxRow,
        MailboxState, MemberRow, OpRow, OwnRow, PeerRow, RawRow, ReceiptRow, Row, Side, TimelineRow, TimerRow,
        VoucherRow,
    },
    group::GroupEvent,
    ids::{AccountId, ChatId, DeviceId},
    time::Millis,
    view::{Direction, Key, Rows, Table, View, ViewError},
    wire::{decode, encode},
};
use minicbor::{Decode, Encode};
use std::{cell::Cell, collections::BTreeSet};

/// Bytes after which a page ends; the last item may go beyond it by its own length.
const PAGE: usize = 256 * 1024;
/// Rows read at one time of what grows without end.
const AT_ONCE: usize = 256;

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

/// A part of a backup.
#[derive(Debug)]
pub struct Page {
    /// What is in it.
    pub items: Vec<Kept>,
    /// Where the next begins; `None` at the end.
    pub next: Option<Cursor>,
    /// Rows that are damaged, and not in it.
    pub damaged: u64,
}

/// The next items of a backup.
pub fn page(view: &dyn View, from: Cursor, now: Millis) -> Result<Page, ViewError> {
    let own: OwnRow = rows::read(view, &OwnRow::key())?.ok_or(ViewError::Damaged(Table::Own))?;
    let reading = Reading { view, own, now, damaged: Cell::new(0) };
    let (mut items, mut size, mut cursor) = (Vec::new(), 0, from);
    while let Some(placed) = reading.section(cursor.section, &cursor.after)? {
        if placed.is_empty() {
            cursor = Cursor { section: cursor.section + 1, after: Vec::new() };
        }
        for (place, item) in placed {
            size += item.as_ref().map_or(0, |item| encode(item).len());
            items.extend(item);
            cursor.after = place;
            if size >= PAGE {
                return Ok(Page { items, next: Some(cursor), damaged: reading.damaged.get() });
            }
        }
    }
    Ok(Page { items, next: None, damaged: reading.damaged.get() })
}

/// Items behind a place, each with its own; nothing in the place of a damaged one.
type Placed = Vec<(Vec<u8>, Option<Kept>)>;

struct Reading<'v> {
    view: &'v dyn View,
    own: OwnRow,
    now: Millis,
    damaged: Cell<u64>,
}

impl Reading<'_> {
    /// What is in a section behind a place, in the order in which it is restored: some of it, nothing at its end, and
    /// `None` past the last section.
    fn section(&self, number: u8, after: &[u8]) -> Result<Option<Placed>, ViewError> {
        Ok(Some(match number {
            0 => self.own(after)?,
            1 => self.contacts(after)?,
            2 => self.devices(after)?,
            3 => self.lists(after)?,
            4 => self.peers(after)?,
            5 => self.mailboxes(after)?,
            6 => self.groups(after)?,
            7 => self.ops(after)?,
            8 => self.members(after)?,
            9 => self.vouchers(after)?,
            10 => self.chats(after)?,
            11 => self.receipts(after)?,
            12 => self.events(after)?,
            _ => return Ok(None),
        }))
    }

    fn own(&self, after: &[u8]) -> Result<Placed, ViewError> {
        // One that was replaced, and is to take its place back, knows which list its own is to follow.
        let newest = self.own.replaced.as_ref().map_or(&self.own.list, |replaced| &replaced.list);
        let list = decode(newest, "device list").map_err(|_| ViewError::Damaged(Table::Own))?;
        let own = KeptOwn {
            account: self.own.account,
            devices: self.own.authors().collect(),
            list,
            name: self.own.name.clone(),
            name_chosen: self.own.name_chosen,
            made: self.now,
        };
        Ok(behind(after, [(vec![1], Kept::Own(own))]))
    }

    fn contacts(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let rows = self.all::<ContactRow>(b"")?;
        Ok(behind(after, rows.into_iter().map(|row| (row.account.0.to_vec(), Kept::Contact(row)))))
    }

    fn devices(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let rows = self.all::<DeviceRow>(b"")?.into_iter().filter(|row| row.account != self.own.account);
        let without_sessions = |row| DeviceRow { sending: None, sessions: Vec::new(), offered: None, ..row };
        Ok(behind(after, rows.map(|row| (row.device.0.to_vec(), Kept::Device(without_sessions(row))))))
    }

    fn lists(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let mut accounts: BTreeSet<AccountId> =
            self.all::<ContactRow>(b"")?.into_iter().map(|row| row.account).collect();
        accounts.extend(self.all::<DeviceRow>(b"")?.into_iter().map(|row| row.account));
        accounts.remove(&self.own.account);
        let mut lists = Vec::new();
        for account in accounts {
            let row = self.read::<ListRow>(&ListRow::key(account))?;
            lists.extend(row.map(|row| (account.0.to_vec(), Kept::List(account, row))));
        }
        Ok(behind(after, lists))
    }

    fn peers(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let rows = self.all::<PeerRow>(b"")?.into_iter().filter(|row| row.device.is_none());
        Ok(behind(after, rows.map(|row| (row.transport.0.to_vec(), Kept::Peer(row)))))
    }

    /// Those that were added. The boxes there are of a device that will be gone: a restored one asks for its own.
    fn mailboxes(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let rows = self.all::<MailboxRow>(MailboxRow::SCOPE)?.into_iter();
        let rows = rows.filter(|row| row.state != MailboxState::Leaving);
        let asked = |row| MailboxRow { state: MailboxState::Asked, ..row };
        Ok(behind(after, rows.map(|row| (row.node.0.to_vec(), Kept::Mailbox(asked(row))))))
    }

    fn groups(&self, after: &[u8]) -> Result<Placed, ViewError> {
        Ok(behind(after, self.every_group()?.into_iter().map(|row| (row.group.0.to_vec(), Kept::Group(row)))))
    }

    fn ops(&self, after: &[u8]) -> Result<Placed, ViewError> {
        for row in self.every_group()? {
            let scope = row.group.0.to_vec();
            if scope.as_slice() < after.get(..32).unwrap_or_default() {
                continue;
            }
            let found = self.some_behind(Table::Op, &scope, after)?;
            if !found.is_empty() {
                // Without an op those after it are of no use: damage among them ends the backup.
                let op = |(place, bytes): (Vec<u8>, Vec<u8>)| {
                    Ok(([&scope[..], &place].concat(), Some(Kept::Op(row.group, rows::parse::<OpRow>(&bytes)?))))
                };
                return found.into_iter().map(op).collect();
            }
        }
        Ok(Placed::new())
    }

    fn members(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let mut members = Vec::new();
        for group in self.every_group()? {
            for row in self.all::<MemberRow>(group.group)? {
                members.push(([group.group.0, row.account.0].concat(), Kept::Member(group.group, row)));
            }
        }
        Ok(behind(after, members))
    }

    fn vouchers(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let mut vouchers = Vec::new();
        for group in self.every_group()? {
            for MemberRow { account, .. } in self.all::<MemberRow>(group.group)? {
                let row = self.read::<VoucherRow>(&VoucherRow::key(group.group, account))?;
                let place = [group.group.0, account.0].concat();
                vouchers.extend(row.map(|row| (place, Kept::Voucher(group.group, account, row))));
            }
        }
        Ok(behind(after, vouchers))
    }

    fn chats(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let mut chats = Vec::new();
        for row in self.every_chat()? {
            let timer = self.read::<TimerRow>(&TimerRow::key(row.chat))?;
            chats.push((row.chat.0.to_vec(), Kept::Chat(row, timer)));
        }
        Ok(behind(after, chats))
    }

    fn receipts(&self, after: &[u8]) -> Result<Placed, ViewError> {
        let mut receipts = Vec::new();
        for ChatRow { chat, .. } in self.every_chat()? {
            let of_own = self.own.authors().map(|author| (Some(author), self.own.side_of(author)));
            for (author, side) in of_own.chain([(None, Some(Side::Ours))]) {
                for row in self.all::<ReceiptRow>(ReceiptRow::scope(chat, side.unwrap_or(Side::Ours)))? {
                    let place = [chat.0, author.map_or([0; 32], |author| author.0), row.device.0].concat();
                    receipts.push((place, Kept::Receipt(chat, author, row)));
                }
            }
        }
        Ok(behind(after, receipts))
    }

    /// Some events behind this place: of one device in one conversation, by number.
    fn events(&self, after: &[u8]) -> Result<Placed, ViewError> {
        for (chat, device) in self.authors(after)? {
            let scope = AuthorRow::scope(chat, device);
            let found = self.some_behind(Table::Author, &scope, after)?;
            if found.is_empty() {
                continue;
            }
            let mut events = Placed::new();
            for (no, bytes) in found {
                let event = self.event(&bytes)?;
                events.push(([&scope[..], &no].concat(), event));
            }
            return Ok(events);
        }
        Ok(Placed::new())
    }

    fn event(&self, author_row: &[u8]) -> Result<Option<Kept>, ViewError> {
        let Some(AuthorRow(id)) = self.sound(rows::parse(author_row).map(Some))? else { return Ok(None) };
        let Some(event) = self.read::<EventRow>(&EventRow::key(id))? else { return Ok(None) };
        let raw = self.read::<RawRow>(&RawRow::key(id))?.map(|RawRow(bytes)| bytes);
        let is_owed = event.own && (event.is_kept_unseen() || !event.outbox.is_empty());
        let event = EventRow { outbox: Vec::new(), ..event };
        let shown = self.read::<TimelineRow>(&TimelineRow::key(event.chat, &event.place))?.is_some();
        let goes = event.is_over(self.now) || (shown && self.is_being_cleared(&event)?);
        if goes && (!is_owed || event.is_erased()) {
            let stub = stub_of(&event, raw.as_deref());
            return Ok(Some(Kept::Event(stub, None, false)));
        }
        let event = if goes { event.kept_unseen(self.now) } else { event };
        Ok(Some(Kept::Event(event, raw.map(Into::into), shown && !goes)))
    }

    /// Whether its chat is being cleared, and it is only a matter of time until it goes.
    fn is_being_cleared(&self, event: &EventRow) -> Result<bool, ViewError> {
        let clear = self.read::<ClearRow>(&ClearRow::key(event.chat))?;
        clear.map_or(Ok(false), |clear| clear.takes(event, self.view))
    }

    /// Who wrote in which conversation, from the one that this place is of, in one order.
    fn authors(&self, after: &[u8]) -> Result<Vec<(ChatId, DeviceId)>, ViewError> {
        let mut authors = BTreeSet::new();
        for ChatRow { chat, .. } in self.every_chat()? {
            if chat.0.as_slice() < after.get(..32).unwrap_or_default() {
                continue;
            }
            authors.extend(self.own.authors().map(|device| (chat.0, device.0)));
            let held = self.all::<ReceiptRow>(ReceiptRow::scope(chat, Side::Ours))?;
            authors.extend(held.into_iter().map(|row| (chat.0, row.device.0)));
        }
        let reached = |(chat, device): &([u8; 32], [u8; 32])| {
            [*chat, *device].concat().as_slice() >= after.get(..64).unwrap_or_default()
        };
        let left = authors.into_iter().filter(reached);
        Ok(left.map(|(chat, device)| (ChatId(chat), DeviceId(device))).collect())
    }

    fn every_group(&self) -> Result<Vec<GroupRow>, ViewError> {
        let mut groups = self.all::<GroupRow>(b"")?;
        groups.sort_by_key(|row| row.group);
        Ok(groups)
    }

    fn every_chat(&self) -> Result<Vec<ChatRow>, ViewError> {
        let mut chats = self.all::<ChatRow>(b"")?;
        chats.sort_by_key(|row| row.chat);
        Ok(chats)
    }

    /// Some rows of a scope whose places behind the scope are past `after`.
    fn some_behind(&self, table: Table, scope: &[u8], after: &[u8]) -> Result<Rows, ViewError> {
        let from = after.strip_prefix(scope).filter(|from| !from.is_empty());
        let mut found = self.view.scan(table, scope, from, Direction::Forward, AT_ONCE)?;
        found.retain(|(place, _)| Some(place.as_slice()) != from);
        Ok(found)
    }

    /// All rows of a scope that are sound.
    fn all<R: Row>(&self, scope: impl AsRef<[u8]>) -> Result<Vec<R>, ViewError> {
        let (rows, damaged) = rows::sound(self.view, scope)?;
        self.damaged.set(self.damaged.get() + damaged as u64);
        Ok(rows)
    }

    /// A row, if it is there and sound.
    fn read<R: Row>(&self, key: &Key) -> Result<Option<R>, ViewError> {
        self.sound(rows::read(self.view, key))
    }

    fn sound<T>(&self, read: Result<Option<T>, ViewError>) -> Result<Option<T>, ViewError> {
        match read {
            Err(ViewError::Damaged(_)) => {
                self.damaged.set(self.damaged.get() + 1);
                Ok(None)
            }
            read => read,
        }
    }
}

/// What is left of an event that is over.
pub(super) fn stub_of(event: &EventRow, raw: Option<&[u8]>) -> EventRow {
    if event.is_erased() {
        return event.clone();
    }
    let signed = raw.and_then(|bytes| GroupEvent::parse(bytes).ok());
    let stub = signed.map(|event| event.stub().to_bytes().into());
    EventRow { content: Vec::new(), key: None, ends: Some(Ends::Erased(stub)), ..event.clone() }
}

/// The items behind a place, in the order of their places.
fn behind(after: &[u8], items: impl IntoIterator<Item = (Vec<u8>, Kept)>) -> Placed {
    let left = items.into_iter().filter(|(place, _)| place.as_slice() > after);
    let mut left: Placed = left.map(|(place, item)| (place, Some(item))).collect();
    left.sort_by(|(a, _), (b, _)| a.cmp(b));
    left
}

//! Making a new device of a backup's items: turns over the rows of before, as when things arrive, and then one for each
//! contact and group, by which the device comes back to them.

use super::{Kept, page::stub_of};
use crate::protocol::{
    engine::{
        Memory, Settings,
        begin::{self, BeginError, NewDevice},
        rows::{
            self, AuthorRow, ChatKind, ChatRow, ContactRow, DeviceRow, EventRow, FollowerRow, GroupRow, ListRow,
            MailboxRow, MemberRow, OpRow, PeerRow, RawRow, ReceiptRow, Row, Side, TimelineRow, TimerRow, UnseenRow,
            VoucherRow,
        },
        turn::{Step, Turn},
    },
    event::{Heads, Place},
    identity::{AccountKey, Name, profile::NameError},
    ids::{AccountId, ChatId, OpId},
    sync::Spot,
    time::Millis,
    view::{View, ViewError, Write},
    wire::{
        decode, encode,
        limits::{MAX_NO, MAX_REPLACED},
    },
};
use minicbor::bytes::ByteVec;
use rand_core::CryptoRng;
use std::{collections::VecDeque, time::Duration};

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
    /// An item comes after one that it should come before.
    #[error("the items of the backup are not in order")]
    OutOfOrder,
    /// An item is not sound, or the new store cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// A new device being made of a backup. The writes of each step are to be staged before the next one reads.
#[derive(Debug)]
pub struct Restoring {
    now: Millis,
    section: u8,
    messages: u64,
    left: Option<VecDeque<Call>>,
}

/// Somebody to come back to.
#[derive(Debug, Clone, Copy)]
enum Call {
    Contact(AccountId),
    Group(OpId),
}

impl Restoring {
    /// Begins with the first item of a backup and the account's key: the rows of the new device.
    pub fn begin(
        account: &AccountKey,
        first: Kept,
        now: Millis,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Vec<Write>), RestoreError> {
        let Kept::Own(kept) = first else { return Err(RestoreError::NoBeginning) };
        if kept.account != account.id() {
            return Err(RestoreError::OtherAccount);
        }
        let list = kept.list.verify().map_err(|_| RestoreError::NoBeginning)?;
        let name: Name = kept.name.parse()?;
        let mut former = kept.devices;
        former.truncate(MAX_REPLACED);
        // The name of the backup is said anew, lest others know a later one than its owner sees.
        let name_chosen = now.max(kept.name_chosen.plus(Duration::from_millis(1)));
        let new = NewDevice { after: list.seq, former, name_chosen };
        let (_, mut first) = begin::device_rows(account, &name, new, now, rng)?;
        let notes = ChatRow::new(ChatId::direct(account.id(), account.id()), ChatKind::Own, now);
        first.push(Write::Put(ChatRow::key(notes.chat), encode(&notes)));
        Ok((Self { now, section: 0, messages: 0, left: None }, first))
    }

    /// The rows of more items, over those of before.
    pub fn take(
        &mut self,
        items: Vec<Kept>,
        rng: &mut dyn CryptoRng,
        view: &dyn View,
    ) -> Result<Vec<Write>, RestoreError> {
        let mut memory = Memory::default();
        let mut turn = Turn::new(&mut memory, Settings::default(), self.now, rng, view);
        for item in items {
            if item.section() < self.section {
                return Err(RestoreError::OutOfOrder);
            }
            self.section = item.section();
            self.messages += u64::from(matches!(item, Kept::Event(_, _, true)));
            turn.take_kept(item)?;
        }
        Ok(turn.into_writes())
    }

    /// After the last item, again and again: comes back to the next contact or group. `None` when all is done.
    pub fn come_back(&mut self, rng: &mut dyn CryptoRng, view: &dyn View) -> Result<Option<Vec<Write>>, RestoreError> {
        let left = match &mut self.left {
            Some(left) => left,
            None => self.left.insert(everybody(view)?),
        };
        let Some(call) = left.pop_front() else { return Ok(None) };
        let mut memory = Memory::default();
        let mut turn = Turn::new(&mut memory, Settings::default(), self.now, rng, view);
        turn.attempt(|turn| match call {
            Call::Contact(account) => turn.contact(account)?.map_or(Ok(()), |row| turn.call_on(&row)),
            Call::Group(group) => turn.come_back_to(group),
        })?;
        Ok(Some(turn.into_writes()))
    }

    /// How many messages there were.
    pub fn messages(&self) -> u64 {
        self.messages
    }
}

fn everybody(view: &dyn View) -> Result<VecDeque<Call>, ViewError> {
    let contacts = rows::all::<ContactRow>(view, b"")?.into_iter().map(|row| Call::Contact(row.account));
    let groups = rows::all::<GroupRow>(view, b"")?.into_iter().map(|row| Call::Group(row.group));
    Ok(contacts.chain(groups).collect())
}

impl Turn<'_> {
    /// What is of a conversation or a group that is not here came to be while the backup was written, and is left out.
    fn take_kept(&mut self, kept: Kept) -> Step {
        match kept {
            Kept::Own(_) => {}
            Kept::Contact(row) => self.put(ContactRow::key(row.account), &row),
            Kept::Device(row) => {
                let row = DeviceRow { sending: None, sessions: Vec::new(), ..row };
                self.put(DeviceRow::key(row.device), &row);
                self.note_peer(&row)?;
            }
            Kept::List(account, row) => self.put(ListRow::key(account), &row),
            Kept::Peer(row) => self.put(PeerRow::key(row.transport), &row),
            Kept::Mailbox(row) => {
                let row = MailboxRow { id: self.random_box(), guest: None, ..row };
                self.put(MailboxRow::key(row.node), &row);
            }
            Kept::Group(row) => self.put(GroupRow::key(row.group), &GroupRow { ops: 0, held: 0, ..row }),
            Kept::Op(group, row) => self.take_kept_op(group, &row)?,
            Kept::Member(group, row) => self.take_kept_member(group, row)?,
            Kept::Voucher(group, account, row) => self.put(VoucherRow::key(group, account), &row),
            Kept::Chat(row, timer) => self.take_kept_chat(row, timer),
            Kept::Receipt(chat, ..) if self.chat(chat)?.is_none() => {}
            Kept::Receipt(chat, author, row) => {
                let side = author.map_or(Side::Ours, Side::TheirsOf);
                self.put(ReceiptRow::key(chat, side, row.device), &row);
            }
            Kept::Event(event, raw, shown) => self.take_kept_event(event, raw, shown)?,
        }
        Ok(())
    }

    fn take_kept_op(&mut self, group: OpId, op: &OpRow) -> Step {
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        self.put(OpRow::key(group, row.ops), op);
        row.ops += 1;
        self.put(GroupRow::key(group), &row);
        Ok(())
    }

    /// Which of the former device's events were meant for it is kept; all of this one's are.
    fn take_kept_member(&mut self, group: OpId, mut row: MemberRow) -> Step {
        row.meant.add(self.own()?.device, (1, MAX_NO));
        row.meant_then = None;
        self.put(MemberRow::key(group, row.account), &row);
        Ok(())
    }

    /// What its events make of it is made of them again.
    fn take_kept_chat(&mut self, row: ChatRow, timer: Option<TimerRow>) {
        let row = ChatRow { written: 0, previous: None, heads: encode(&Heads::default()), last: None, ..row };
        if let Some(timer) = timer {
            self.put(TimerRow::key(row.chat), &timer);
        }
        self.put(ChatRow::key(row.chat), &row);
    }

    fn take_kept_event(&mut self, event: EventRow, raw: Option<ByteVec>, shown: bool) -> Step {
        if self.event(event.id)?.is_some() {
            return Ok(());
        }
        let Some(mut chat) = self.chat(event.chat)? else { return Ok(()) };
        let damaged = ViewError::Damaged(EventRow::TABLE);
        Place::from_key(&event.place).filter(|place| place.id == event.id).ok_or(damaged)?;
        let is_over = event.is_over(self.now);
        // Others may still be to get what was said here: whether they are is looked at soon.
        let may_be_owed = event.own && !event.is_erased() && raw.is_some();
        let event = match (is_over, may_be_owed) {
            (false, _) => event,
            (true, true) => event.kept_unseen(self.now),
            (true, false) => stub_of(&event, raw.as_ref().map(|raw| raw.as_slice())),
        };
        let event = EventRow { outbox: Vec::new(), unsent: false, ..event };

        let mut heads: Heads = decode(&chat.heads, "heads").map_err(|_| ViewError::Damaged(ChatRow::TABLE))?;
        heads.arrive(self, event.id, &event.deps)?;
        chat.heads = encode(&heads);
        if let Some(raw) = raw.filter(|_| !is_over || may_be_owed) {
            self.put_in(event.cell(), RawRow::key(event.id), &RawRow(raw.into()));
        }
        self.put(EventRow::key(event.id), &event);
        self.note_end(&event);
        if event.is_unseen() {
            self.put(UnseenRow::key(event.chat, event.id), &UnseenRow { id: event.id, asked: Vec::new() });
        }
        let class = self.class_of(&event)?;
        self.order_event(event.chat, Spot { clock: event.clock, id: event.id }, class)?;
        for followed in &event.deps {
            self.put(FollowerRow::key(*followed, event.id), &FollowerRow(event.id));
        }
        self.put(AuthorRow::key(event.chat, event.device, event.no), &AuthorRow(event.id));
        if !event.own {
            self.note_held(event.chat, event.author, event.device, event.no)?;
        }
        if shown && !is_over {
            self.put(TimelineRow::key(event.chat, &event.place), &TimelineRow(event.id));
            if chat.last.as_ref().is_none_or(|last| last.as_slice() < event.place.as_slice()) {
                chat.last = Some(event.place.clone().into());
            }
        }
        self.put(ChatRow::key(event.chat), &chat);
        // Some were written down before they moved, and others after.
        self.push_kept(&event)
    }
}

//! How far a message got: never shown as more than what was proven.

use super::Reading;
use crate::{
    api::types::{MessageState, Waiting, WhyWaiting},
    node::Reach,
    protocol::{
        delivery::Numbers,
        engine::rows::{self, ChatKind, ContactRow, ContactState, EventRow, OutboxRow, ReceiptRow, Side},
        ids::{AccountId, ChatId},
        view::{Direction, Table, ViewError},
    },
};
use std::collections::BTreeMap;

/// What others confirmed of a conversation, read once for all its messages.
pub(super) struct Receipts {
    /// Whether the conversation is with oneself: whoever wrote has read.
    own: bool,
    /// Those messages are for, and from which number on.
    recipients: BTreeMap<AccountId, u64>,
    of_accounts: BTreeMap<AccountId, Vec<Confirmed>>,
}

/// What one device confirmed.
struct Confirmed {
    held: Numbers,
    read: u64,
}

/// How far one message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) state: MessageState,
    pub(super) delivered: u32,
    pub(super) read: u32,
    pub(super) of: u32,
}

impl Receipts {
    /// The receipts of a conversation. One that is damaged proves nothing.
    pub(super) fn of(reading: &Reading, chat: ChatId, kind: ChatKind) -> Result<Self, ViewError> {
        let mut of_accounts: BTreeMap<AccountId, Vec<Confirmed>> = BTreeMap::new();
        let scope = ReceiptRow::scope(chat, Side::Theirs);
        let rows = reading.view.scan_each(Table::Receipt, &scope, None, Direction::Forward, usize::MAX)?;
        for row in rows.into_iter().filter_map(|(_, bytes)| rows::parse::<ReceiptRow>(&bytes?).ok()) {
            let Ok(held) = row.numbers() else { continue };
            of_accounts.entry(row.account).or_default().push(Confirmed { held, read: row.read });
        }
        Ok(Self { of_accounts, ..Self::none(reading, kind)? })
    }

    /// As it is when a message has just been saved: nobody has confirmed anything.
    pub(super) fn none(reading: &Reading, kind: ChatKind) -> Result<Self, ViewError> {
        let recipients = match kind {
            ChatKind::Own => BTreeMap::new(),
            ChatKind::Direct(account) => BTreeMap::from([(account, 0)]),
            ChatKind::Group(group) => {
                let members = reading.members(group)?.into_iter().map(|member| (member.account, member.from_no));
                members.filter(|(account, _)| *account != reading.own.account).collect()
            }
        };
        Ok(Self { own: kind == ChatKind::Own, recipients, of_accounts: BTreeMap::new() })
    }

    /// How far an event of this conversation is.
    pub(super) fn progress(&self, reading: &Reading, event: &EventRow) -> Result<Progress, ViewError> {
        if !event.own {
            return Ok(Progress { state: MessageState::Received, delivered: 0, read: 0, of: 0 });
        }
        let meant = || self.recipients.iter().filter(|(_, from_no)| event.no >= **from_no).map(|(account, _)| account);
        let count = |got: fn(&Confirmed, u64) -> bool| {
            let has = |account: &&AccountId| {
                let devices = self.of_accounts.get(account).map(Vec::as_slice).unwrap_or_default();
                devices.iter().any(|confirmed| got(confirmed, event.no))
            };
            number(meant().filter(has).count())
        };
        let delivered = count(Confirmed::holds);
        let read = count(Confirmed::has_read);
        let of = number(meant().count());
        let state = match of {
            0 if self.own => MessageState::Read,
            0 => MessageState::Saved,
            _ if read == of => MessageState::Read,
            _ if delivered == of => MessageState::Delivered,
            _ if is_in_mailbox(reading, event)? => MessageState::Mailbox,
            _ => MessageState::Saved,
        };
        Ok(Progress { state, delivered, read, of })
    }

    /// Those it is for that have it on no device yet.
    pub(super) fn lacking(&self, event: &EventRow) -> Vec<AccountId> {
        let has = |account: &AccountId| {
            self.of_accounts.get(account).is_some_and(|devices| devices.iter().any(|device| device.holds(event.no)))
        };
        let meant = self.recipients.iter().filter(|(_, from_no)| event.no >= **from_no).map(|(account, _)| *account);
        meant.filter(|account| !has(account)).collect()
    }
}

/// Whether a message lies in a mailbox of a device it is for, or of its group.
fn is_in_mailbox(reading: &Reading, event: &EventRow) -> Result<bool, ViewError> {
    if event.kept.is_some() {
        return Ok(true);
    }
    for (device, place) in &event.outbox {
        let row: Option<OutboxRow> = rows::read(reading.view, &OutboxRow::key(*device, *place))?;
        if row.is_some_and(|row| row.left.is_some_and(|left| !left.is_empty())) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Confirmed {
    fn holds(&self, no: u64) -> bool {
        self.held.contains(no)
    }

    /// Nothing is read that is not there.
    fn has_read(&self, no: u64) -> bool {
        no <= self.read && self.holds(no)
    }
}

/// Why a message of one's own has not reached everybody, and since when; `None` where it has, or is on its way.
pub(super) fn waiting(
    reading: &Reading,
    kind: ChatKind,
    event: &EventRow,
    progress: Progress,
) -> Result<Option<Waiting>, ViewError> {
    if !event.own || progress.delivered >= progress.of {
        return Ok(None);
    }
    let why = match kind {
        _ if reading.reach == Reach::LocalOnly => WhyWaiting::NoNode,
        ChatKind::Own => return Ok(None),
        ChatKind::Group(_) if progress.state == MessageState::Mailbox => WhyWaiting::InMailbox,
        ChatKind::Group(_) => WhyWaiting::Away,
        ChatKind::Direct(account) => match reading.contact(account)? {
            Some(contact) if is_asked(&contact) => WhyWaiting::NotAccepted,
            _ if progress.state == MessageState::Mailbox => WhyWaiting::InMailbox,
            Some(contact) if reading.is_online(&contact)? => return Ok(None),
            _ => WhyWaiting::Away,
        },
    };
    let mut since = event.arrived;
    for (device, place) in &event.outbox {
        let row: Option<OutboxRow> = rows::read(reading.view, &OutboxRow::key(*device, *place))?;
        since = row.map_or(since, |row| row.since.min(since));
    }
    Ok(Some(Waiting { why, since: since.into() }))
}

fn is_asked(contact: &ContactRow) -> bool {
    matches!(contact.state, ContactState::Pending | ContactState::Requested)
}

fn number(count: usize) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

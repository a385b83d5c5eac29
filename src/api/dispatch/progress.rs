//! How far a message got: never shown as more than what was proven.

use super::{
    Reading,
    kept::{Keys, is_in_mailbox},
};
use crate::{
    api::types::{MessageState, Waiting, WhyWaiting},
    node::Reach,
    protocol::{
        delivery::Numbers,
        engine::rows::{
            self, ChatKind, ContactRow, ContactState, EventRow, GroupState, MemberRow, OutboxRow, ReceiptRow, Side,
        },
        ids::{AccountId, ChatId, DeviceId},
        view::{Direction, Table, ViewError},
        wire::limits::MAX_NO,
    },
};
use std::{cmp::Reverse, collections::BTreeMap};

/// What others confirmed of a conversation, read once for all its messages.
pub(super) struct Receipts {
    /// Whether the conversation is with oneself: whoever wrote has read.
    own: bool,
    /// By own device: this one, and those it replaced.
    of: BTreeMap<DeviceId, OfAuthor>,
    keys: Keys,
}

/// What others confirmed of what one own device wrote.
#[derive(Default)]
struct OfAuthor {
    /// Those its messages are for, and under which numbers: inclusive ranges.
    recipients: BTreeMap<AccountId, Vec<(u64, u64)>>,
    /// From which number on they were for all who ever were: a receipt for what was before it counts for nothing.
    ever: BTreeMap<AccountId, u64>,
    of_accounts: BTreeMap<AccountId, Vec<Confirmed>>,
}

/// What one device confirmed.
struct Confirmed {
    held: Numbers,
    seen: Numbers,
    /// Under which it holds that what stood there was withdrawn.
    void: Option<Numbers>,
}

/// How far one message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) state: MessageState,
    pub(super) delivered: u32,
    pub(super) read: u32,
    pub(super) of: u32,
    /// The other has that it was withdrawn, though it stands here (again).
    pub(super) is_void: bool,
}

impl Receipts {
    /// The receipts of a conversation. One that is damaged proves nothing.
    pub(super) fn of(reading: &Reading, chat: ChatId, kind: ChatKind) -> Result<Self, ViewError> {
        let mut receipts = Self::none(reading, kind)?;
        for (author, of) in &mut receipts.of {
            let scope = ReceiptRow::scope(chat, reading.own.side_of(*author).unwrap_or(Side::Theirs));
            let rows = reading.view.scan_each(Table::Receipt, &scope, None, Direction::Forward, usize::MAX)?;
            for row in rows.into_iter().filter_map(|(_, bytes)| rows::parse::<ReceiptRow>(&bytes?).ok()) {
                let (Ok(held), Ok(seen)) = (row.numbers(), row.seen(row.read)) else { continue };
                if row.account == reading.own.account {
                    continue;
                }
                let void = row.void.is_some().then(|| row.void().ok()).flatten();
                of.of_accounts.entry(row.account).or_default().push(Confirmed { held, seen, void });
            }
        }
        Ok(receipts)
    }

    /// As it is when a message has just been saved: nobody has confirmed anything.
    pub(super) fn none(reading: &Reading, kind: ChatKind) -> Result<Self, ViewError> {
        let members = match kind {
            ChatKind::Group(group) => rows::all::<MemberRow>(reading.view, group)?,
            ChatKind::Own | ChatKind::Direct(_) => Vec::new(),
        };
        let ever = || members.iter().filter(|member| member.account != reading.own.account);
        let others = || ever().filter(|member| member.current);
        let recipients = |author: DeviceId| match kind {
            ChatKind::Own => BTreeMap::new(),
            ChatKind::Direct(account) => BTreeMap::from([(account, vec![(1, MAX_NO)])]),
            ChatKind::Group(_) => others().map(|member| (member.account, member.meant.of(author).collect())).collect(),
        };
        let ever = |author: DeviceId| match kind {
            ChatKind::Group(_) if author == reading.own.device => {
                ever().map(|member| (member.account, member.first_ever_meant(author).unwrap_or(0))).collect()
            }
            ChatKind::Direct(account) => BTreeMap::from([(account, 0)]),
            // From which on of a device that is gone is not kept of who was a member twice.
            ChatKind::Group(_) => ever().map(|member| (member.account, 0)).collect(),
            ChatKind::Own => BTreeMap::new(),
        };
        let of_author = |author| {
            let (recipients, ever) = (recipients(author), ever(author));
            (author, OfAuthor { recipients, ever, of_accounts: BTreeMap::new() })
        };
        let of = reading.own.authors().map(of_author).collect();
        Ok(Self { own: kind == ChatKind::Own, of, keys: Keys::of(kind.group(), &members) })
    }

    /// How far an event of this conversation is.
    pub(super) fn progress(&self, reading: &Reading, event: &EventRow) -> Result<Progress, ViewError> {
        let confirmed = self.confirmed(event);
        if confirmed.state != MessageState::Saved || confirmed.of == 0 || !is_in_mailbox(reading.view, event)? {
            return Ok(confirmed);
        }
        for account in self.lacking(event.device, event.no) {
            if self.keys.are_missing_to(reading.view, account)? {
                return Ok(confirmed);
            }
        }
        Ok(Progress { state: MessageState::Mailbox, ..confirmed })
    }

    /// The same as far as it goes to one of those who lack it.
    pub(super) fn progress_to(
        &self,
        reading: &Reading,
        event: &EventRow,
        account: AccountId,
    ) -> Result<Progress, ViewError> {
        let confirmed = self.confirmed(event);
        let lies = is_in_mailbox(reading.view, event)? && !self.keys.are_missing_to(reading.view, account)?;
        Ok(if lies { Progress { state: MessageState::Mailbox, ..confirmed } } else { confirmed })
    }

    /// How far an event is by what others confirmed. Who left the conversation and has it counts; who left without it does
    /// not.
    pub(super) fn confirmed(&self, event: &EventRow) -> Progress {
        match event.own {
            true => self.confirmed_under(event.device, event.no),
            false => Progress::RECEIVED,
        }
    }

    /// The same of what an own device wrote under a number.
    pub(super) fn confirmed_under(&self, author: DeviceId, no: u64) -> Progress {
        let nothing = OfAuthor::default();
        let of_author = self.of.get(&author).unwrap_or(&nothing);
        let count = |got: fn(&Confirmed, u64) -> bool| {
            let may = |account: &AccountId| of_author.ever.get(account).is_some_and(|from| no >= *from);
            let did = |devices: &[Confirmed]| devices.iter().any(|one| got(one, no));
            number(of_author.of_accounts.iter().filter(|(account, devices)| may(account) && did(devices)).count())
        };
        let delivered = count(Confirmed::holds);
        let read = count(Confirmed::has_read);
        let of = delivered + number(self.lacking(author, no).len());
        let state = match of {
            0 if self.own => MessageState::Read,
            0 => MessageState::Saved,
            _ if read == of => MessageState::Read,
            _ if delivered == of => MessageState::Delivered,
            _ => MessageState::Saved,
        };
        let is_void = delivered == 0 && count(Confirmed::is_void) > 0;
        Progress { state, delivered, read, of, is_void }
    }

    /// The numbers of this own device that somebody its messages are for has on no device yet, whether anything was written
    /// under them or not: as inclusive ranges, the greatest first, none touching another.
    pub(super) fn lacked(&self, author: DeviceId) -> Vec<(u64, u64)> {
        let Some(of_author) = self.of.get(&author) else { return Vec::new() };
        let mut lacked = Vec::new();
        for (account, meant) in &of_author.recipients {
            let mut held = Numbers::from_base(1);
            of_author.confirmed(account).iter().for_each(|device| held.merge(&device.held));
            meant.iter().for_each(|(first, last)| lacked.extend(held.lacking(*first, *last)));
        }
        lacked.sort_unstable_by_key(|(first, last)| (Reverse(*last), *first));
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (first, last) in lacked {
            match joined.last_mut() {
                Some(above) if above.0 <= last.saturating_add(1) => above.0 = above.0.min(first),
                _ => joined.push((first, last)),
            }
        }
        joined
    }

    /// Those for whom it is what an own device wrote under a number, and who have it on no device yet.
    pub(super) fn lacking(&self, author: DeviceId, no: u64) -> Vec<AccountId> {
        let Some(of_author) = self.of.get(&author) else { return Vec::new() };
        let has = |account: &AccountId| of_author.confirmed(account).iter().any(|device| device.holds(no));
        of_author.meant(no).filter(|account| !has(account)).collect()
    }
}

impl Progress {
    /// Of what others wrote.
    pub(super) const RECEIVED: Self =
        Self { state: MessageState::Received, delivered: 0, read: 0, of: 0, is_void: false };
}

impl OfAuthor {
    /// Those who are meant by what has this number.
    fn meant(&self, no: u64) -> impl Iterator<Item = AccountId> {
        let has = move |(first, last): &(u64, u64)| (*first..=*last).contains(&no);
        self.recipients.iter().filter(move |(_, meant)| meant.iter().any(has)).map(|(account, _)| *account)
    }

    fn confirmed(&self, account: &AccountId) -> &[Confirmed] {
        self.of_accounts.get(account).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Confirmed {
    fn holds(&self, no: u64) -> bool {
        self.held.contains(no)
    }

    fn is_void(&self, no: u64) -> bool {
        self.void.as_ref().is_some_and(|void| void.contains(no))
    }

    /// Nothing is read that is not there.
    fn has_read(&self, no: u64) -> bool {
        self.seen.contains(no) && self.holds(no)
    }
}

/// Why a message of one's own that cannot be read here has not reached everybody: who has it gives it back, and to the others.
pub(super) fn why_unreadable(progress: Progress) -> WhyWaiting {
    if progress.delivered > 0 { WhyWaiting::Away } else { WhyWaiting::Lost }
}

/// Why a message of one's own has not reached these, who lack it, and since when; `None` where it has reached everybody, or
/// is on its way.
pub(super) fn waiting(
    reading: &Reading,
    kind: ChatKind,
    event: &EventRow,
    progress: Progress,
    lacking: impl FnOnce() -> Vec<AccountId>,
) -> Result<Option<Waiting>, ViewError> {
    if !event.own || progress.delivered >= progress.of {
        return Ok(None);
    }
    let why = match kind {
        _ if progress.is_void => WhyWaiting::Withdrawn,
        _ if reading.own.replaced.is_some() => WhyWaiting::Replaced,
        _ if reading.reach == Reach::LocalOnly => WhyWaiting::NoNode,
        ChatKind::Own => return Ok(None),
        ChatKind::Group(group) => match reading.group(group)? {
            Some(row) if row.state == GroupState::Removed => WhyWaiting::Removed,
            Some(row) if matches!(row.state, GroupState::Invited | GroupState::Joining) => WhyWaiting::NotJoined,
            Some(row) if lacking().iter().all(|account| row.asked_again.contains(account)) => WhyWaiting::NotAccepted,
            _ if progress.state == MessageState::Mailbox => WhyWaiting::InMailbox,
            _ => WhyWaiting::Away,
        },
        ChatKind::Direct(account) => match reading.contact(account)? {
            Some(contact) if contact.state == ContactState::Removed => WhyWaiting::NotAContact,
            Some(contact) if is_asked(&contact) && contact.problem.is_some() => WhyWaiting::DeadLink,
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

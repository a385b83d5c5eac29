//! The outbox: what has not arrived yet, and what may still be taken back.

use super::{
    Dispatcher, Reading, Serve,
    invites::unexpected,
    messages::last_ids,
    progress::{Receipts, waiting, why_unreadable},
    refusal,
};
use crate::{
    api::{ApiError, Reason, methods::*, names, types::*},
    protocol::{
        engine::{
            Command, Reply,
            rows::{self, AuthorRow, ChatKind, ChatRow, EventRow},
        },
        event::Content,
        ids::{ChatId, DeviceId, EventId},
        view::ViewError,
    },
};

/// Messages that are listed at the most.
const LONGEST: usize = 1_000;
/// Own messages of one conversation and author that somebody lacks and that are looked at, the newest.
const LOOKED_AT: usize = 2_000;
/// Lines of a conversation, the newest, among which those are that cannot be read.
const LINES_LOOKED_AT: usize = 10_000;

impl Serve for OutboxList {
    async fn serve(at: &Dispatcher, _: Nothing) -> Result<OutboxResult, ApiError> {
        at.read(|reading| Ok(OutboxResult { v: V1, waiting: all(reading)? })).await
    }
}

impl Serve for OutboxCancel {
    async fn serve(at: &Dispatcher, params: CancelParams) -> Result<CancelResult, ApiError> {
        let typed = params.id.clone();
        let cancelled = at.command(move |reading| {
            let id = called(reading, &params.id)?;
            let wish = match readable(reading, id)? {
                Some(_) => Command::Withdraw(id),
                None => give_up(reading, id)?.unwrap_or(Command::Withdraw(id)),
            };
            Ok((wish, id))
        });
        match cancelled.await.map_err(|error| refusal::about(error, &typed, &typed))? {
            (Reply::Withdrawn { withdrawn, under_way, mailbox, delivered }, id) => {
                Ok(CancelResult { v: V1, id, withdrawn, under_way, mailbox, delivered })
            }
            (other, _) => Err(unexpected(&other)),
        }
    }
}

/// How many messages of one's own have not reached everybody, as far as they are looked at.
pub(super) fn count(reading: &Reading) -> Result<u64, ViewError> {
    chats(reading)?.iter().map(|chat| count_of(reading, chat)).sum()
}

/// The same of one conversation.
pub(super) fn waiting_in(reading: &Reading, chat: ChatId) -> Result<u64, ViewError> {
    chats(reading)?.iter().filter(|row| row.chat == chat).map(|chat| count_of(reading, chat)).sum()
}

fn count_of(reading: &Reading, chat: &ChatRow) -> Result<u64, ViewError> {
    let receipts = Receipts::of(reading, chat.chat, chat.kind)?;
    let lacked = lacked(reading, chat, &receipts)?;
    Ok((lacked.here.len() + lacked.lost.len()) as u64)
}

/// The messages of one's own that have not reached everybody, the oldest first.
fn all(reading: &Reading) -> Result<Vec<Outgoing>, ViewError> {
    let mut found = Vec::new();
    for chat in chats(reading)? {
        let receipts = Receipts::of(reading, chat.chat, chat.kind)?;
        let (lacked, group) = (lacked(reading, &chat, &receipts)?, chat.kind.group());
        for event in lacked.here {
            let under_way = || Waiting { why: WhyWaiting::UnderWay, since: event.arrived.into() };
            for account in receipts.lacking(event.device, event.no) {
                let progress = receipts.progress_to(reading, &event, account)?;
                let why = waiting(reading, chat.kind, &event, progress, || vec![account])?.unwrap_or_else(under_way);
                let to = reading.person(account, group)?;
                let (state, id) = (progress.state, event.id);
                found.push(Outgoing { id, chat: chat.chat, to, state, why: why.why, since: why.since });
            }
        }
        let since = reading.own.rolled_back.unwrap_or_else(crate::node::now).into();
        for Lost { id, author, no } in lacked.lost {
            for account in receipts.lacking(author, no) {
                let (to, progress) = (reading.person(account, group)?, receipts.confirmed_under(author, no));
                let why = why_unreadable(progress);
                found.push(Outgoing { id, chat: chat.chat, to, state: progress.state, why, since });
            }
        }
    }
    found.sort_by_key(|waiting| (waiting.since, waiting.id));
    found.truncate(LONGEST);
    Ok(found)
}

/// The conversations in which something may wait. What waits for whom one removed goes out if they are a contact again.
fn chats(reading: &Reading) -> Result<Vec<ChatRow>, ViewError> {
    let mut chats = Vec::new();
    for chat in rows::all::<ChatRow>(reading.view, b"")? {
        let may_wait = match chat.kind {
            ChatKind::Own => false,
            ChatKind::Group(_) => true,
            ChatKind::Direct(account) => reading.contact(account)?.is_some(),
        };
        if may_wait {
            chats.push(chat);
        }
    }
    Ok(chats)
}

/// Own messages of a conversation that somebody they are for lacks.
#[derive(Default)]
struct Lacked {
    /// Without those that say nothing any more.
    here: Vec<EventRow>,
    lost: Vec<Lost>,
}

/// One that cannot be read here any more: it reaches nobody from here.
struct Lost {
    id: EventId,
    author: DeviceId,
    no: u64,
}

fn lacked(reading: &Reading, chat: &ChatRow, receipts: &Receipts) -> Result<Lacked, ViewError> {
    let mut found = Lacked::default();
    for author in reading.own.authors() {
        let mut lacked = Vec::new();
        for range in receipts.lacked(author) {
            let most = LOOKED_AT - lacked.len();
            lacked.extend(AuthorRow::within(reading.view, (chat.chat, author), range, most)?);
        }
        for (no, id) in lacked.into_iter().rev() {
            let shown = |event: &EventRow| Content::parse(&event.content).is_ok_and(|content| content.is_shown());
            match readable(reading, id)? {
                Some(event) => found.here.extend(Some(event).filter(shown)),
                None => found.lost.push(Lost { id, author, no }),
            }
        }
    }
    // What has no line was no message.
    if !found.lost.is_empty() {
        let lines = last_ids(reading, chat.chat, LINES_LOOKED_AT)?;
        found.lost.retain(|lost| lines.contains(&lost.id));
    }
    Ok(found)
}

/// The wish to wait no more for a message that is lost.
fn give_up(reading: &Reading, id: EventId) -> Result<Option<Command>, ViewError> {
    for row in chats(reading)? {
        let receipts = Receipts::of(reading, row.chat, row.kind)?;
        let lost = lacked(reading, &row, &receipts)?.lost.into_iter().find(|lost| lost.id == id);
        if let Some(Lost { author, no, .. }) = lost {
            return Ok(Some(Command::GiveUp { chat: row.chat, author, no }));
        }
    }
    Ok(None)
}

/// An event, where it can be read.
fn readable(reading: &Reading, id: EventId) -> Result<Option<EventRow>, ViewError> {
    match reading.event(id) {
        Err(ViewError::Damaged(_)) => Ok(None),
        event => event,
    }
}

/// The message that was typed, by its id or the beginning of it, among one's own.
fn called(reading: &Reading, typed: &str) -> Result<EventId, ApiError> {
    let missing = || ApiError::new(Reason::NotInOutbox).with("given", typed);
    if let Ok(id) = typed.parse::<EventId>() {
        let is_known = match readable(reading, id)? {
            Some(event) => event.own,
            None => give_up(reading, id)?.is_some(),
        };
        return is_known.then_some(id).ok_or_else(missing);
    }
    let (low, high) = names::id_range(typed).ok_or_else(|| ApiError::new(Reason::BadId).with("given", typed))?;
    let mut found: Vec<EventId> =
        all(reading)?.into_iter().map(|waiting| waiting.id).filter(|id| (low..=high).contains(&id.0)).collect();
    found.dedup();
    match found[..] {
        [] => Err(missing()),
        [id] => Ok(id),
        _ => {
            let list: Vec<String> = found.iter().map(ToString::to_string).collect();
            Err(ApiError::new(Reason::Ambiguous).with("given", typed).with("candidates", list.join(", ")))
        }
    }
}

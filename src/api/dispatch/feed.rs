//! The feed as a stream of events: read from its rows at the pace of whoever watches.
//!
//! At least once: an entry that makes several events gives its cursor to the last of them, and the one before to the
//! others, so that a client that goes on behind any cursor misses nothing. A slow client costs one page of memory.

use super::{
    Dispatcher, Reading,
    contacts::request,
    groups,
    messages::{Line, Shaped},
    reading::{group_name, is_request},
};
use crate::{
    api::{
        ApiError, Reason,
        types::{DeviceState, Event, MessageState, Notice, V1, WatchEvent, WatchResult},
    },
    protocol::{
        engine::{
            feed::{ContactNotice, FeedEntry, Presence, Progress},
            rows,
        },
        event::Content,
        ids::{ChatId, EventId, OpId},
        time::Millis,
        view::{Direction, Table, ViewError},
    },
};
use std::collections::VecDeque;
use tokio::sync::watch;

/// Entries read at once: a full page of them is at most this times `MAX_RECEIPT_IDS` events.
const PAGE: usize = 32;

/// A stream of events. Drop it to end it.
#[derive(Debug)]
pub struct Watcher {
    dispatcher: Dispatcher,
    /// Everything up to this one is in `ready` or was given out.
    cursor: u64,
    ready: VecDeque<WatchEvent>,
    news: watch::Receiver<u64>,
}

impl Watcher {
    /// A stream from behind `after`; from now on where nothing is said.
    pub(super) async fn start(dispatcher: &Dispatcher, after: Option<u64>) -> Result<(WatchResult, Self), ApiError> {
        let mut news = dispatcher.node.feed();
        let now = *news.borrow_and_update();
        let cursor = after.unwrap_or(now);
        // Nobody has seen what has not happened: behind such a cursor everything would be passed over until it has.
        if cursor > now {
            // What was given out was read from the rows, which are there before the news of them.
            let newest = dispatcher.read(|reading| Ok(newest(reading)?)).await?.max(now);
            if cursor > newest {
                return Err(ApiError::new(Reason::NoSuchCursor).with("given", cursor).with("newest", newest));
            }
        }
        let watcher = Self { dispatcher: dispatcher.clone(), cursor, ready: VecDeque::new(), news };
        Ok((WatchResult { v: V1, cursor }, watcher))
    }

    /// The next event; `None` when the node stops. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Option<Result<WatchEvent, ApiError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            // Before the rows are read: what is committed in between is news again.
            self.news.borrow_and_update();
            let after = self.cursor;
            match self.dispatcher.read(move |reading| page(reading, after)).await {
                Ok((cursor, events)) if cursor > after => {
                    self.cursor = cursor;
                    self.ready.extend(events);
                }
                Ok(_) => self.news.changed().await.ok()?,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The cursor of the last entry there is.
fn newest(reading: &Reading) -> Result<u64, ViewError> {
    let last = reading.view.scan_each(Table::Feed, b"", None, Direction::Backward, 1)?;
    let place = last.into_iter().next().map(|(place, _)| place.try_into().map_err(|_| ViewError::Damaged(Table::Feed)));
    Ok(place.transpose()?.map_or(0, u64::from_be_bytes))
}

/// The events behind a cursor, and the cursor they go up to.
fn page(reading: &Reading, after: u64) -> Result<(u64, Vec<WatchEvent>), ApiError> {
    let from = (after + 1).to_be_bytes();
    let rows = reading.view.scan_each(Table::Feed, b"", Some(&from), Direction::Forward, PAGE)?;
    let (mut cursor, mut events) = (after, Vec::new());
    for (place, bytes) in rows {
        let place = place.try_into().map_err(|_| ViewError::Damaged(Table::Feed))?;
        let before = std::mem::replace(&mut cursor, u64::from_be_bytes(place));
        let mut of_entry = match bytes.and_then(|bytes| rows::parse(&bytes).ok()) {
            Some(entry) => readable(shape(reading, entry))?,
            None => vec![Event::Damaged {}],
        };
        let last = of_entry.pop();
        events.extend(of_entry.into_iter().map(|event| WatchEvent { v: V1, cursor: before, event }));
        events.extend(last.map(|event| WatchEvent { v: V1, cursor, event }));
    }
    Ok((cursor, events))
}

/// A damaged row is said in the place of what it held: it ends no stream.
fn readable(shaped: Result<Vec<Event>, ApiError>) -> Result<Vec<Event>, ApiError> {
    match shaped {
        Err(error) if error.is(Reason::StoreDamaged) => Ok(vec![Event::Damaged {}]),
        other => other,
    }
}

/// What an entry says: of messages and receipts what happened then, of people and groups that they changed, and how they
/// are now. Nothing where what it names is gone, or is not for views any more.
fn shape(reading: &Reading, entry: FeedEntry) -> Result<Vec<Event>, ApiError> {
    let event = match entry {
        FeedEntry::Message { chat, id } => match Line::of(reading, id, Millis(0))? {
            Some(line) => Some(Event::Message { message: Shaped::as_saved(reading, chat)?.line(&line)? }),
            None => None,
        },
        FeedEntry::Receipt { chat, by, state, ids } => {
            let by = Shaped::as_saved(reading, chat)?.person(by)?;
            let state = match state {
                Progress::Mailbox => MessageState::Mailbox,
                Progress::Delivered => MessageState::Delivered,
                Progress::Read => MessageState::Read,
            };
            let mut events = Vec::new();
            for id in ids {
                if is_told(reading, id)? {
                    events.push(Event::Receipt { id, chat, by: by.clone(), state });
                }
            }
            return Ok(events);
        }
        FeedEntry::Contact { account, notice } => match reading.contact(account)? {
            Some(row) => {
                let notice = notice_of(notice);
                reading.as_contact(&row)?.map(|contact| Event::Contact { contact, notice })
            }
            None => None,
        },
        FeedEntry::Request { account } => match reading.contact(account)?.filter(is_request) {
            Some(row) => Some(Event::Request { request: request(reading, &row)? }),
            None => None,
        },
        FeedEntry::Group { group } => of_group(reading, group)?,
        FeedEntry::Replaced => Some(Event::Device { state: DeviceState::Replaced }),
        FeedEntry::RolledBack => Some(Event::Device { state: DeviceState::RolledBack }),
        FeedEntry::Peer { account, presence } => {
            Some(Event::Peer { contact: reading.person(account, None)?, online: presence == Presence::Online })
        }
    };
    Ok(event.into_iter().collect())
}

/// Whether watchers were told of what has this id: names, and what was taken back, have receipts too.
fn is_told(reading: &Reading, id: EventId) -> Result<bool, ViewError> {
    match reading.event(id) {
        Ok(Some(event)) => Ok(Content::parse(&event.content).map_or(true, |content| content.is_shown())),
        Ok(None) => Ok(false),
        Err(ViewError::Damaged(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

fn notice_of(notice: ContactNotice) -> Option<Notice> {
    match notice {
        ContactNotice::Changed => None,
        ContactNotice::LinkUsed => Some(Notice::LinkUsed),
        ContactNotice::LinkExpired => Some(Notice::LinkExpired),
        ContactNotice::SessionRestarted => Some(Notice::SessionRestarted),
        ContactNotice::NewDevice => Some(Notice::NewDevice),
    }
}

fn of_group(reading: &Reading, group: OpId) -> Result<Option<Event>, ApiError> {
    let Some(row) = reading.group(group)? else { return Ok(None) };
    Ok(Some(Event::Group {
        group: ChatId::from(group),
        name: group_name(&row),
        state: groups::state_of(row.state),
        members: reading.members(group)?.len() as u64,
    }))
}

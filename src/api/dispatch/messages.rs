//! Chats and what is said in them.

use super::{
    Dispatcher, Reading, Serve,
    invites::unexpected,
    progress::{Receipts, waiting},
    refusal,
};
use crate::{
    api::{
        ApiError,
        methods::*,
        time::Span,
        types::{self, *},
    },
    protocol::{
        engine::{
            Command, Reply,
            rows::{self, ChatKind, ChatRow, EventRow, TimelineRow},
        },
        event::Content,
        ids::{ChatId, EventId},
        view::{Direction, Key, Table, ViewError},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// Messages that `log` gives where nothing is said.
const PAGE: u32 = 50;
/// Messages in one answer at the most: what fits the client's longest line.
const LONGEST_PAGE: u32 = 1_000;
/// Lines read at once while looking for a text.
const SEARCH_STEP: usize = 256;
/// How long `send` waits where nothing is said.
const WAIT: Span = Span::seconds(30);

impl Serve for MessageSend {
    async fn serve(at: &Dispatcher, params: SendParams) -> Result<SendResult, ApiError> {
        let wanted = goal(params.wait.unwrap_or(Wait::Saved));
        if wanted > MessageState::Saved {
            at.need_network()?;
        }
        let timeout: Duration = params.timeout.unwrap_or(WAIT).into();
        let (text, reply, typed) = (params.text, params.reply_to, params.chat.clone());
        let sent = at.command(move |reading| {
            let chat = reading.chat_called(&typed)?;
            let reply_to = reply.map(|typed| reading.message_called(chat, &typed)).transpose()?.map(|event| event.id);
            Ok((Command::Send { chat, text, reply_to }, ()))
        });
        let (id, chat) = match sent.await.map_err(|error| refusal::about(error, &params.chat, &params.chat))? {
            (Reply::Sent { id, chat }, ()) => (id, chat),
            (other, ()) => return Err(unexpected(&other)),
        };
        // It is saved, whatever comes of looking how far it got: an error here would make people send it twice.
        let saved = SendResult { v: V1, id, chat, state: MessageState::Saved };
        Ok(until(at, id, wanted, timeout).await.unwrap_or(saved))
    }
}

/// The state of a message that is waited for. Until there are mailboxes, custody is the recipient's own.
fn goal(wait: Wait) -> MessageState {
    match wait {
        Wait::Saved => MessageState::Saved,
        Wait::Mailbox => MessageState::Mailbox,
        Wait::Delivered => MessageState::Delivered,
        Wait::Read => MessageState::Read,
    }
}

/// Looks at a message after each news until it is as far as wanted or the time is over. It stays saved in any case.
async fn until(at: &Dispatcher, id: EventId, wanted: MessageState, timeout: Duration) -> Result<SendResult, ApiError> {
    let mut news = at.node.feed();
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        // Seen before the rows are read: what comes in between is news again.
        news.borrow_and_update();
        let sent = at.read(move |reading| sent(reading, id)).await?;
        if sent.state >= wanted || tokio::time::Instant::now() >= deadline {
            return Ok(sent);
        }
        match tokio::time::timeout_at(deadline, news.changed()).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(_)) => return Ok(sent),
        }
    }
}

fn sent(reading: &Reading, id: EventId) -> Result<SendResult, ApiError> {
    let event = reading.event(id)?.ok_or_else(|| ApiError::internal("the message is gone"))?;
    let kind = kind_of(reading, event.chat)?;
    let state = Receipts::of(reading, event.chat, kind)?.progress(&event).state;
    // In a chat with nobody else there is nothing to wait for.
    let state = if kind == ChatKind::Own { MessageState::Read } else { state };
    Ok(SendResult { v: V1, id, chat: event.chat, state })
}

impl Serve for MessageLog {
    async fn serve(at: &Dispatcher, params: LogParams) -> Result<LogResult, ApiError> {
        at.read(move |reading| {
            let chat = reading.chat_called(&params.chat)?;
            let before = params.before.as_deref().map(|typed| reading.message_called(chat, typed)).transpose()?;
            let most = params.limit.unwrap_or(PAGE).min(LONGEST_PAGE) as usize;
            let search = params.search.map(|text| text.to_lowercase());
            let mut events = page(reading, chat, before, most, search.as_deref())?;
            events.reverse();
            let messages = Shaped::new(reading, chat)?;
            let messages = events.iter().map(|event| messages.message(event)).collect::<Result<_, _>>()?;
            Ok(LogResult { v: V1, messages })
        })
        .await
    }
}

/// Up to `most` events of a chat that come before another (or the newest), newest first.
fn page(
    reading: &Reading,
    chat: ChatId,
    before: Option<EventRow>,
    most: usize,
    search: Option<&str>,
) -> Result<Vec<EventRow>, ViewError> {
    let mut from = before.as_ref().map(|event| event.place.clone());
    let mut last = before.map(|event| event.place);
    let mut found = Vec::new();
    while found.len() < most {
        // One more than wanted, since the place to go on from is among them.
        let step = if search.is_some() { SEARCH_STEP } else { most - found.len() } + 1;
        let lines = reading.view.scan(Table::Timeline, &chat.0, from.as_deref(), Direction::Backward, step)?;
        let ended = lines.len() < step;
        for (place, bytes) in lines {
            if last.as_ref() == Some(&place) || found.len() == most {
                continue;
            }
            let TimelineRow(id) = rows::parse(&bytes)?;
            let event = reading.event(id)?.ok_or(ViewError::Damaged(Table::Event))?;
            if search.is_none_or(|search| holds(&event, search)) {
                found.push(event);
            }
            last = Some(place.clone());
            from = Some(place);
        }
        if ended {
            break;
        }
    }
    Ok(found)
}

fn holds(event: &EventRow, search: &str) -> bool {
    match Content::parse(&event.content) {
        Ok(Content::Text(text)) => text.as_str().to_lowercase().contains(search),
        _ => false,
    }
}

impl Serve for MessageRead {
    async fn serve(at: &Dispatcher, params: ReadParams) -> Result<ReadResult, ApiError> {
        let typed = params.chat.clone();
        let read = at.command(move |reading| {
            let chat = reading.chat_called(&params.chat)?;
            let up_to =
                params.up_to.map(|typed| reading.message_called(chat, &typed)).transpose()?.map(|event| event.id);
            let unread = reading.chat(chat)?.map_or(0, |row| row.unread);
            Ok((Command::MarkRead { chat, up_to }, (chat, unread)))
        });
        let (_, (chat, before)) = read.await.map_err(|error| refusal::about(error, &typed, &typed))?;
        let unread = at.read(move |reading| Ok(reading.chat(chat)?.map_or(0, |row| row.unread))).await?;
        Ok(ReadResult { v: V1, chat, read: before.saturating_sub(unread), unread })
    }
}

impl Serve for ChatList {
    async fn serve(at: &Dispatcher, _: Nothing) -> Result<ChatsResult, ApiError> {
        at.read(|reading| {
            let mut chats = Vec::new();
            for row in rows::all::<ChatRow>(reading.view, b"")? {
                let last = last_of(reading, &row)?;
                let latest = last.as_ref().map_or(row.since, |event| event.arrived);
                chats.push((latest, shaped(reading, &row, last)?));
            }
            chats.sort_by(|(a, one), (b, other)| b.cmp(a).then(one.id.cmp(&other.id)));
            Ok(ChatsResult { v: V1, chats: chats.into_iter().map(|(_, chat)| chat).collect() })
        })
        .await
    }
}

fn shaped(reading: &Reading, row: &ChatRow, last: Option<EventRow>) -> Result<Chat, ApiError> {
    let last = last.map(|event| Shaped::new(reading, row.chat)?.message(&event)).transpose()?;
    let kind = match row.kind {
        ChatKind::Direct(_) => types::ChatKind::Direct,
        ChatKind::Group(_) => types::ChatKind::Group,
        ChatKind::Own => types::ChatKind::Own,
    };
    Ok(Chat { id: row.chat, name: reading.name_of_chat(row.kind)?, kind, unread: row.unread, last })
}

fn last_of(reading: &Reading, row: &ChatRow) -> Result<Option<EventRow>, ViewError> {
    let Some(place) = &row.last else { return Ok(None) };
    let line: Option<TimelineRow> = rows::read(reading.view, &Key::at(Table::Timeline, row.chat, &place[..]))?;
    match line {
        Some(TimelineRow(id)) => reading.event(id),
        None => Ok(None),
    }
}

/// Makes messages of one chat of its events; what is the same for all is read once.
pub(super) struct Shaped<'r, 'v> {
    reading: &'r Reading<'v>,
    kind: ChatKind,
    receipts: Receipts,
    people: std::cell::RefCell<BTreeMap<crate::protocol::ids::AccountId, Person>>,
}

impl<'r, 'v> Shaped<'r, 'v> {
    pub(super) fn new(reading: &'r Reading<'v>, chat: ChatId) -> Result<Self, ViewError> {
        let kind = kind_of(reading, chat)?;
        let receipts = Receipts::of(reading, chat, kind)?;
        Ok(Self { reading, kind, receipts, people: Default::default() })
    }

    pub(super) fn receipts(&self) -> &Receipts {
        &self.receipts
    }

    pub(super) fn message(&self, event: &EventRow) -> Result<Message, ApiError> {
        let progress = self.receipts.progress(event);
        let (kind, text, reply_to) = match Content::parse(&event.content) {
            Ok(Content::Text(text)) => (MessageKind::Text, Some(text.as_str().to_owned()), text.reply_to()),
            Ok(Content::Profile(_) | Content::Unknown { .. }) => (MessageKind::Other, None, None),
            Err(_) => return Err(ViewError::Damaged(Table::Event).into()),
        };
        Ok(Message {
            id: event.id,
            chat: event.chat,
            from: self.author(event)?,
            at: event.shown_at().into(),
            kind,
            text,
            state: progress.state,
            delivered: progress.delivered,
            read: progress.read,
            of: progress.of,
            reply_to,
            waiting: waiting(self.reading, self.kind, event, progress)?,
        })
    }

    fn author(&self, event: &EventRow) -> Result<Person, ViewError> {
        if let Some(known) = self.people.borrow().get(&event.author) {
            return Ok(known.clone());
        }
        let group = match self.kind {
            ChatKind::Group(group) => Some(group),
            ChatKind::Direct(_) | ChatKind::Own => None,
        };
        let person = self.reading.person(event.author, group)?;
        self.people.borrow_mut().insert(event.author, person.clone());
        Ok(person)
    }
}

/// With whom a chat is. One that nothing was said in yet has no row.
fn kind_of(reading: &Reading, chat: ChatId) -> Result<ChatKind, ViewError> {
    if let Some(row) = reading.chat(chat)? {
        return Ok(row.kind);
    }
    if let Some(group) = reading.groups()?.into_iter().find(|row| ChatId::from(row.group) == chat) {
        return Ok(ChatKind::Group(group.group));
    }
    let of = |account| ChatId::direct(reading.own.account, account);
    let contact = reading.contacts()?.into_iter().find(|row| of(row.account) == chat);
    Ok(contact.map_or(ChatKind::Own, |row| ChatKind::Direct(row.account)))
}

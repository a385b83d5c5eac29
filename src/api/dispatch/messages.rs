//! Chats and what is said in them.

use super::{
    Dispatcher, Reading, Serve, groups,
    invites::unexpected,
    outbox,
    progress::{Progress, Receipts, waiting, why_unreadable},
    reading::{is_done_with, line_id},
    refusal,
};
use crate::{
    api::{
        ApiError, Reason,
        methods::*,
        time::Lasting,
        types::{self, *},
    },
    protocol::{
        engine::{
            Command, Reply, command,
            find::{Most, find, is_indexed},
            rows::{self, AuthorRow, ChatKind, ChatRow, ClearRow, EventRow, GroupRow, GroupState, TimerRow},
        },
        event::{Content, Place},
        ids::{AccountId, ChatId, DeviceId, EventId},
        search::Needle,
        time::Millis,
        view::{Direction, Key, Table, ViewError},
        wire::limits::MAX_NO,
    },
};
use std::{
    cell::{OnceCell, RefCell},
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Messages that `log` gives where nothing is said.
const PAGE: u32 = 50;
/// Messages, or chats, in one answer at the most.
const LONGEST_PAGE: u32 = 1_000;
/// Bytes of texts after which an answer ends, so that one is soon read and never fills a memory. One message always fits:
/// the longest is a twentieth of it. JSON may write a byte as six; the client's longest line has room for that.
const ANSWER_BYTES: usize = 1024 * 1024;
/// How long who clears a chat waits for the end; what is left goes on by itself.
const CLEARING_WAITED_FOR: Duration = Duration::from_secs(5);

impl Serve for MessageSend {
    async fn serve(at: &Dispatcher, params: SendParams) -> Result<SendResult, ApiError> {
        let wanted = goal(params.wait.unwrap_or(Wait::Saved));
        if wanted > MessageState::Saved {
            at.need_network()?;
        }
        let timeout = params.waits();
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
        let saved = SendResult { v: V1, id, chat, state: MessageState::Saved, of: None, delivered: None, read: None };
        Ok(until(at, id, wanted, timeout).await.unwrap_or(saved))
    }
}

/// The state of a message that is waited for.
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
        let is_for_nobody = sent.of == Some(0);
        if sent.state >= wanted || is_for_nobody || tokio::time::Instant::now() >= deadline {
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
    let Progress { state, delivered, read, of, .. } =
        Receipts::of(reading, event.chat, kind)?.progress(reading, &event)?;
    let (delivered, read, of) = (Some(delivered), Some(read), Some(of));
    Ok(SendResult { v: V1, id, chat: event.chat, state, of, delivered, read })
}

impl Serve for MessageLog {
    async fn serve(at: &Dispatcher, params: LogParams) -> Result<LogResult, ApiError> {
        let nothing = || ApiError::new(Reason::EmptySearch);
        let needle = params.search.as_deref().map(|typed| Needle::new(typed).ok_or_else(nothing)).transpose()?;
        if needle.is_some() {
            index(at, &params.chat).await?;
        }
        at.read(move |reading| {
            let chat = reading.chat_called(&params.chat)?;
            let before = params.before.as_deref().map(|typed| reading.place_called(chat, typed)).transpose()?;
            let asked = params.limit.unwrap_or(PAGE);
            let most = asked.min(LONGEST_PAGE) as usize;
            let mut page = match &needle {
                Some(needle) => found(reading, chat, before, most, needle)?,
                None => page(reading, chat, before, most)?,
            };
            page.lines.reverse();
            let more = page.is_cut || (asked > LONGEST_PAGE && page.lines.len() == LONGEST_PAGE as usize);
            let messages = Shaped::new(reading, chat)?;
            let messages = page.lines.iter().map(|line| messages.line(line)).collect::<Result<_, _>>()?;
            Ok(LogResult { v: V1, messages, more })
        })
        .await
    }
}

/// A place of a conversation and what is there.
pub(super) enum Line {
    Whole(EventRow),
    /// An event that is not what was written: only its place tells of it.
    Damaged(EventId, Millis),
}

impl Line {
    /// The event of an id; nothing where there is none.
    pub(super) fn of(reading: &Reading, id: EventId, at: Millis) -> Result<Option<Self>, ViewError> {
        match reading.event(id) {
            // What is over is not shown, though the node may not have come to erase it.
            Ok(event) => Ok(event.filter(|event| !event.is_over(crate::node::now())).map(Self::Whole)),
            Err(ViewError::Damaged(_)) => Ok(Some(Self::Damaged(id, at))),
            Err(error) => Err(error),
        }
    }

    /// When it came here.
    fn moment(&self) -> Millis {
        match self {
            Self::Whole(event) => event.arrived,
            Self::Damaged(_, at) => *at,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Whole(event) => event.content.len(),
            Self::Damaged(..) => 0,
        }
    }
}

/// Lines of a conversation, newest first.
struct Page {
    lines: Vec<Line>,
    /// Whether it ended before its time, since the texts were long.
    is_cut: bool,
}

/// Sees to it that a search of a chat will be quick: of an old history it is the first search that makes the index.
async fn index(at: &Dispatcher, typed: &str) -> Result<(), ApiError> {
    loop {
        let typed = typed.to_owned();
        let chat = at.read(move |reading| {
            let chat = reading.chat_called(&typed)?;
            Ok((!is_indexed(reading.view, chat)?).then_some(chat))
        });
        let Some(chat) = chat.await? else { return Ok(()) };
        // Where nothing can be written, it is looked through.
        if at.command(move |_| Ok((Command::Index(chat), ()))).await.is_err() {
            return Ok(());
        }
    }
}

/// Up to `most` messages of a chat that hold a text and come before a place (or the newest).
fn found(
    reading: &Reading,
    chat: ChatId,
    before: Option<Vec<u8>>,
    most: usize,
    needle: &Needle,
) -> Result<Page, ViewError> {
    let most = Most { messages: most, bytes: ANSWER_BYTES };
    let found = find(reading.view, chat, needle, before.as_deref(), most)?;
    let (now, cleared) = (crate::node::now(), cleared_up_to(reading, chat)?);
    let shown = |event: &EventRow| !event.is_over(now) && cleared.as_ref().is_none_or(|upto| event.place > *upto);
    let lines = found.messages.into_iter().filter(shown).map(Line::Whole).collect();
    Ok(Page { lines, is_cut: found.is_cut })
}

/// Up to `most` events of a chat that come before a place (or the newest).
fn page(reading: &Reading, chat: ChatId, before: Option<Vec<u8>>, most: usize) -> Result<Page, ViewError> {
    let (mut from, mut found, mut bytes) = (before, Vec::new(), 0);
    let cleared = cleared_up_to(reading, chat)?;
    while found.len() < most {
        // One more than wanted, since the place to go on from is among them.
        let step = most - found.len() + 1;
        let places = reading.view.scan_each(Table::Timeline, &chat.0, from.as_deref(), Direction::Backward, step)?;
        let ended = places.len() < step;
        for (place, row) in places {
            if cleared.as_ref().is_some_and(|upto| place <= *upto) {
                return Ok(Page { lines: found, is_cut: false });
            }
            if from.as_ref() == Some(&place) || found.len() == most {
                continue;
            }
            if let Some(line) = line_at(reading, chat, &place, row.as_deref())? {
                bytes += line.weight();
                if bytes > ANSWER_BYTES && !found.is_empty() {
                    return Ok(Page { lines: found, is_cut: true });
                }
                found.push(line);
            }
            from = Some(place);
        }
        if ended {
            break;
        }
    }
    Ok(Page { lines: found, is_cut: false })
}

/// The place up to which a chat is being cleared: nothing up to there is shown, though some of it is still on the disk.
fn cleared_up_to(reading: &Reading, chat: ChatId) -> Result<Option<Vec<u8>>, ViewError> {
    let clear: Option<ClearRow> = rows::read(reading.view, &ClearRow::key(chat))?;
    Ok(clear.map(|clear| clear.upto.into()))
}

/// What is at a place; nothing where it is over. A damaged row of the timeline hides nothing: the place names the event too.
fn line_at(reading: &Reading, chat: ChatId, place: &[u8], row: Option<&[u8]>) -> Result<Option<Line>, ViewError> {
    let Some(id) = line_id(place, row) else { return Ok(None) };
    let at = Place::from_key(place).map_or(Millis(0), |place| place.effective);
    if let Some(line) = Line::of(reading, id, at)? {
        return Ok(Some(line));
    }
    // It is over, or was taken away since its line was read; else its row is lost.
    let has_line = match reading.view.row(&Key::at(Table::Timeline, chat, place)) {
        Err(ViewError::Damaged(_)) => true,
        line => line?.is_some(),
    };
    Ok((has_line && reading.event(id)?.is_none()).then_some(Line::Damaged(id, at)))
}

/// The messages in the newest lines of a chat, no more than `most`, be they readable or not.
pub(super) fn last_ids(reading: &Reading, chat: ChatId, most: usize) -> Result<BTreeSet<EventId>, ViewError> {
    let lines = reading.view.scan_each(Table::Timeline, chat.as_ref(), None, Direction::Backward, most)?;
    Ok(lines.into_iter().filter_map(|(place, row)| line_id(&place, row.as_deref())).collect())
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

impl Serve for ChatReceipts {
    async fn serve(at: &Dispatcher, params: ReceiptsParams) -> Result<ReceiptsResult, ApiError> {
        let typed = params.chat.clone();
        let set = params.set.map(|choice| match choice {
            types::ReadReceipts::On => command::ReadReceipts::On,
            types::ReadReceipts::Off => command::ReadReceipts::Off,
            types::ReadReceipts::Default => command::ReadReceipts::Default,
        });
        let asked = at.command(move |reading| {
            let chat = reading.chat_called(&params.chat)?;
            Ok((Command::ReadReceipts { chat, set }, chat))
        });
        let (reply, chat) = asked.await.map_err(|error| refusal::about(error, &typed, &typed))?;
        let Reply::ReadReceipts { chosen, told } = reply else { return Err(unexpected(&reply)) };
        let receipts = match chosen {
            command::ReadReceipts::On => types::ReadReceipts::On,
            command::ReadReceipts::Off => types::ReadReceipts::Off,
            command::ReadReceipts::Default => types::ReadReceipts::Default,
        };
        Ok(ReceiptsResult { v: V1, chat, receipts, tells: told })
    }
}

impl Serve for ChatTimer {
    async fn serve(at: &Dispatcher, params: TimerParams) -> Result<TimerResult, ApiError> {
        let typed = params.chat;
        if let Some(timer) = params.timer {
            let timer = match timer {
                Lasting::Off => None,
                Lasting::For(span) => Some(span.into()),
            };
            let chat = typed.clone();
            let set = at.command(move |reading| Ok((Command::SetTimer(reading.chat_called(&chat)?, timer), ())));
            set.await.map_err(|error| refusal::about(error, &typed, &typed))?;
        }
        at.read(move |reading| {
            let chat = reading.chat_called(&typed)?;
            let row: Option<TimerRow> = rows::read(reading.view, &TimerRow::key(chat))?;
            let seconds = row.map(|TimerRow(seconds)| Duration::from_secs(seconds.into()));
            let timer = seconds.map_or(Lasting::Off, |timer| Lasting::For(timer.into()));
            Ok(TimerResult { v: V1, chat, timer })
        })
        .await
    }
}

impl Serve for ChatClear {
    async fn serve(at: &Dispatcher, params: ChatParams) -> Result<ClearResult, ApiError> {
        let waits_until = tokio::time::Instant::now() + CLEARING_WAITED_FOR;
        loop {
            let typed = params.chat.clone();
            let asked = at.command(move |reading| {
                let chat = reading.chat_called(&typed)?;
                Ok((Command::Clear(chat), chat))
            });
            let (reply, chat) = asked.await.map_err(|error| refusal::about(error, &params.chat, &params.chat))?;
            let Reply::Cleared { ended: cleared } = reply else { return Err(unexpected(&reply)) };
            if cleared || tokio::time::Instant::now() > waits_until {
                let waiting = at.read(move |reading| Ok(outbox::waiting_in(reading, chat)?)).await?;
                return Ok(ClearResult { v: V1, chat, cleared, waiting });
            }
        }
    }
}

impl Serve for ChatList {
    async fn serve(at: &Dispatcher, params: ChatsParams) -> Result<ChatsResult, ApiError> {
        at.read(move |reading| {
            let groups = reading.groups()?;
            let groups: BTreeMap<ChatId, &GroupRow> =
                groups.iter().map(|group| (ChatId::from(group.group), group)).collect();
            let mut order = Vec::new();
            for row in rows::all::<ChatRow>(reading.view, b"")? {
                let last = last_of(reading, &row)?;
                if groups.get(&row.chat).is_some_and(|group| is_out_of_mind(group, last.as_ref())) {
                    continue;
                }
                let latest = last.map_or(row.since, |line| line.moment());
                order.push((Reverse(latest), row.chat, row));
            }
            order.sort_by_key(|(latest, chat, _)| (*latest, *chat));
            let begin = match params.after {
                Some(after) => order.iter().position(|(_, chat, _)| *chat == after).map_or(0, |at| at + 1),
                None => 0,
            };
            let most = params.limit.unwrap_or(LONGEST_PAGE).min(LONGEST_PAGE) as usize;
            let (mut chats, mut bytes, mut more) = (Vec::new(), 0, false);
            for (_, _, row) in order.iter().skip(begin) {
                let last = last_of(reading, row)?;
                bytes += last.as_ref().map_or(0, Line::weight);
                more = chats.len() == most || (bytes > ANSWER_BYTES && !chats.is_empty());
                if more {
                    break;
                }
                chats.push(shaped(reading, row, last, groups.get(&row.chat).copied())?);
            }
            Ok(ChatsResult { v: V1, chats, more })
        })
        .await
    }
}

/// Whether a group is listed no more: the history of one that was left is found by its id. One that others removed this
/// account from says so for as long as something is in it: clearing it is how one has done with it.
fn is_out_of_mind(group: &GroupRow, last: Option<&Line>) -> bool {
    is_done_with(group) || (group.state == GroupState::Removed && last.is_none())
}

fn shaped(reading: &Reading, row: &ChatRow, last: Option<Line>, group: Option<&GroupRow>) -> Result<Chat, ApiError> {
    let last = last.map(|line| Shaped::new(reading, row.chat)?.line(&line)).transpose()?;
    let kind = match row.kind {
        ChatKind::Direct(_) => types::ChatKind::Direct,
        ChatKind::Group(_) => types::ChatKind::Group,
        ChatKind::Own => types::ChatKind::Own,
    };
    let standing = group.map(|group| groups::state_of(group.state)).filter(|state| *state != types::GroupState::Joined);
    Ok(Chat { id: row.chat, name: reading.name_of_chat(row.kind)?, kind, standing, unread: row.unread, last })
}

fn last_of(reading: &Reading, row: &ChatRow) -> Result<Option<Line>, ViewError> {
    let Some(place) = &row.last else { return Ok(None) };
    if cleared_up_to(reading, row.chat)?.is_some_and(|upto| place.as_slice() <= &upto[..]) {
        return Ok(None);
    }
    match reading.view.row(&Key::at(Table::Timeline, row.chat, &place[..])) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => line_at(reading, row.chat, place, Some(&bytes)),
        Err(ViewError::Damaged(_)) => line_at(reading, row.chat, place, None),
        Err(error) => Err(error),
    }
}

/// Makes messages of one chat of its events; what is the same for all is read once.
pub(super) struct Shaped<'r, 'v> {
    reading: &'r Reading<'v>,
    chat: ChatId,
    kind: ChatKind,
    receipts: Receipts,
    as_of: AsOf,
    people: RefCell<BTreeMap<AccountId, Person>>,
    own_numbers: OnceCell<BTreeMap<EventId, (DeviceId, u64)>>,
}

/// The moment that messages are shown as of.
enum AsOf {
    Now,
    Saving,
}

impl<'r, 'v> Shaped<'r, 'v> {
    /// As they are now.
    pub(super) fn new(reading: &'r Reading<'v>, chat: ChatId) -> Result<Self, ViewError> {
        let kind = kind_of(reading, chat)?;
        let receipts = Receipts::of(reading, chat, kind)?;
        Ok(Self {
            reading,
            chat,
            kind,
            receipts,
            as_of: AsOf::Now,
            people: Default::default(),
            own_numbers: Default::default(),
        })
    }

    /// As they were when they were saved: what became of them is told by later entries of the feed.
    pub(super) fn as_saved(reading: &'r Reading<'v>, chat: ChatId) -> Result<Self, ViewError> {
        let kind = kind_of(reading, chat)?;
        let receipts = Receipts::none(reading, kind)?;
        Ok(Self {
            reading,
            chat,
            kind,
            receipts,
            as_of: AsOf::Saving,
            people: Default::default(),
            own_numbers: Default::default(),
        })
    }

    pub(super) fn line(&self, line: &Line) -> Result<Message, ApiError> {
        match line {
            Line::Whole(event) => match self.message(event) {
                Err(error) if error.is(Reason::StoreDamaged) => self.damaged(event.id, event.shown_at()),
                shaped => shaped,
            },
            Line::Damaged(id, at) => self.damaged(*id, *at),
        }
    }

    /// A message that is there and cannot be read: nothing but its id and about when it was is known, and of one's own who
    /// has it.
    fn damaged(&self, id: EventId, at: Millis) -> Result<Message, ApiError> {
        let own = self.own_numbers()?.get(&id).copied();
        let unknown = || Person { id: AccountId([0; 32]), name: "?".to_owned() };
        let progress = own.map_or(Progress::RECEIVED, |(author, no)| self.receipts.confirmed_under(author, no));
        let since = self.reading.own.rolled_back.unwrap_or(at).into();
        Ok(Message {
            id,
            chat: self.chat,
            from: own.map_or_else(|| Ok(unknown()), |_| self.person(self.reading.own.account))?,
            at: at.into(),
            kind: MessageKind::Damaged,
            text: None,
            state: progress.state,
            delivered: progress.delivered,
            read: progress.read,
            of: progress.of,
            reply_to: None,
            waiting: match self.as_of {
                AsOf::Now if progress.delivered < progress.of => Some(Waiting { why: why_unreadable(progress), since }),
                AsOf::Now | AsOf::Saving => None,
            },
        })
    }

    /// Under which numbers own devices wrote what is in this chat; read when something is found that does not say so itself.
    fn own_numbers(&self) -> Result<&BTreeMap<EventId, (DeviceId, u64)>, ViewError> {
        if let Some(known) = self.own_numbers.get() {
            return Ok(known);
        }
        let mut numbers = BTreeMap::new();
        for author in self.reading.own.authors() {
            let written = AuthorRow::within(self.reading.view, (self.chat, author), (1, MAX_NO), usize::MAX)?;
            numbers.extend(written.into_iter().map(|(no, id)| (id, (author, no))));
        }
        Ok(self.own_numbers.get_or_init(|| numbers))
    }

    /// What somebody is called in this chat.
    pub(super) fn person(&self, account: AccountId) -> Result<Person, ViewError> {
        self.reading.person(account, self.kind.group())
    }

    fn message(&self, event: &EventRow) -> Result<Message, ApiError> {
        let progress = match self.as_of {
            AsOf::Now => self.receipts.progress(self.reading, event)?,
            AsOf::Saving => self.receipts.confirmed(event),
        };
        let (kind, text, reply_to) = match Content::parse(&event.content) {
            _ if event.is_over(crate::node::now()) => (MessageKind::Other, None, None),
            Ok(Content::Text(text)) => (MessageKind::Text, Some(text.as_str().to_owned()), text.reply_to()),
            Ok(Content::Profile(_) | Content::Withdrawn | Content::Unknown { .. }) => (MessageKind::Other, None, None),
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
            waiting: match self.as_of {
                AsOf::Now => {
                    let lacking = || self.receipts.lacking(event.device, event.no);
                    waiting(self.reading, self.kind, event, progress, lacking)?
                }
                AsOf::Saving => None,
            },
        })
    }

    fn author(&self, event: &EventRow) -> Result<Person, ViewError> {
        if let Some(known) = self.people.borrow().get(&event.author) {
            return Ok(known.clone());
        }
        let person = self.person(event.author)?;
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

//! Commands about chats and messages.

use super::{
    Runtime, Session,
    args::{Log, Send},
    node::state_word,
    out::{Out, Stop},
};
use crate::{
    api::{
        Api, ApiError, Reason, methods,
        time::{Lasting, Span},
        types::{
            Chat, ChatKind, ChatParams, ChatsParams, ChatsResult, DeviceState, Event, GroupState, LogParams, LogResult,
            MAX_TEXT, Message, MessageKind, MessageState, Notice, ReadParams, ReadReceipts, ReceiptsParams, SendParams,
            TimerParams, Wait, WatchEvent, WhyWaiting, parse_timer,
        },
    },
    protocol::wire::text::SafeText,
    ui::format::{moment, short},
};
use futures::StreamExt;

/// How long `send --wait` waits where nothing is said.
const WAIT: Span = Span::seconds(30);

/// Messages that `log` shows where nothing is said, as the API does.
const LINES: u32 = 50;

pub(super) async fn send<R: Runtime>(session: &mut Session<'_, R>, send: Send) -> Result<(), Stop> {
    let text = match send.text.as_str() {
        "-" => without_last_newline(session.read_all()?),
        _ => send.text,
    };
    if text.trim().is_empty() {
        return Err(ApiError::new(Reason::EmptyText).into());
    }
    // Asked here already: a text of any length would not fit the line to the node.
    if text.len() > MAX_TEXT {
        return Err(ApiError::new(Reason::TextTooLong).with("bytes", text.len()).with("max", MAX_TEXT).into());
    }
    let (wait, timeout) = (send.wait.map(Wait::from), send.timeout.unwrap_or(WAIT));
    let params = SendParams { chat: send.chat, text, reply_to: send.reply_to, wait, timeout: Some(timeout) };
    let result = session.ask::<methods::MessageSend>(params).await.map_err(saved_or_not)?;
    let counts = [result.delivered, result.read, result.of].map(Option::unwrap_or_default).into();
    session.out.result(&result, |out| {
        let state = custody(out, result.state, counts);
        out.tell("send-state", &[("id", short(&result.id).into()), ("state", state.into())])
    })?;
    let wanted = wait.map_or(MessageState::Saved, awaited);
    if result.state >= wanted {
        return Ok(());
    }
    let error = match result.state {
        _ if result.of == Some(0) => return Err(ApiError::new(Reason::NobodyThere).into()),
        MessageState::Delivered => ApiError::new(Reason::NotRead),
        reached => {
            let reached = custody(&session.out, reached, counts);
            let wanted = session.out.texts.get(state_word(wanted));
            ApiError::new(Reason::Waited).with("reached", reached).with("state", wanted)
        }
    };
    Err(error.with("after", timeout.to_string()).into())
}

/// A node that stopped may have saved the message before: who sends it again at once may say it twice.
fn saved_or_not(stop: Stop) -> Stop {
    match stop {
        Stop::Failed(error) if error.is(Reason::NodeGone) => ApiError::new(Reason::MaybeSaved).into(),
        other => other,
    }
}

fn without_last_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

fn awaited(wait: Wait) -> MessageState {
    match wait {
        Wait::Saved => MessageState::Saved,
        Wait::Mailbox => MessageState::Mailbox,
        Wait::Delivered => MessageState::Delivered,
        Wait::Read => MessageState::Read,
    }
}

pub(super) async fn log<R: Runtime>(session: &mut Session<'_, R>, log: Log) -> Result<(), Stop> {
    let result = whole_log(session, log).await?;
    session.out.result(&result, |out| {
        if result.messages.is_empty() {
            out.say("log-none", &[]);
        }
        result.messages.iter().try_for_each(|message| show_message(out, message))
    })
}

/// As many messages as were asked for, in as many answers as they take.
async fn whole_log<R: Runtime>(session: &mut Session<'_, R>, log: Log) -> Result<LogResult, Stop> {
    let wanted = log.limit.unwrap_or(LINES) as usize;
    let mut params = LogParams { chat: log.chat, limit: log.limit, before: log.before, search: log.search };
    let mut api = session.connect().await?;
    let mut result = api.call::<methods::MessageLog>(params.clone()).await?;
    while result.more && result.messages.len() < wanted {
        params.before = result.messages.first().map(|first| first.id.to_string());
        params.limit = (wanted - result.messages.len()).try_into().ok();
        let mut earlier = api.call::<methods::MessageLog>(params.clone()).await?;
        result.more = earlier.more && !earlier.messages.is_empty();
        earlier.messages.append(&mut result.messages);
        result.messages = earlier.messages;
    }
    result.more = false;
    Ok(result)
}

/// All chats, in as many answers as they take.
async fn all_chats<R: Runtime>(session: &mut Session<'_, R>) -> Result<ChatsResult, Stop> {
    let mut api = session.connect().await?;
    let mut result = api.call::<methods::ChatList>(ChatsParams::default()).await?;
    while std::mem::take(&mut result.more) {
        let after = result.chats.last().map(|chat| chat.id);
        let next = api.call::<methods::ChatList>(ChatsParams { limit: None, after }).await?;
        result.more = next.more && !next.chats.is_empty();
        // A chat that was spoken in meanwhile has moved up: it may be among those behind again.
        let known = |chat: &Chat| result.chats.iter().any(|known| known.id == chat.id);
        let new: Vec<Chat> = next.chats.into_iter().filter(|chat| !known(chat)).collect();
        result.chats.extend(new);
    }
    Ok(result)
}

/// A line of id, time, name and text, its further lines indented; below one's own, what became of it.
fn show_message(out: &mut Out, message: &Message) -> Result<(), Stop> {
    let head = format!("{}  {}  {}: ", short(&message.id), moment(message.at, &out.zone), message.from.name);
    let text = SafeText::lines(&body(out, message));
    let mut lines = text.lines();
    out.line(&format!("{head}{}", lines.next().unwrap_or_default()))?;
    lines.try_for_each(|line| out.line(&format!("    {line}")))?;
    if message.state == MessageState::Received {
        return Ok(());
    }
    let custody = custody(out, message.state, (message.delivered, message.read, message.of));
    let waiting = match &message.waiting {
        Some(waiting) => {
            let why = out.texts.get(why_word(waiting.why));
            let since = moment(waiting.since, &out.zone);
            out.texts
                .with("waiting-since", &[("why".to_owned(), why.into()), ("since".to_owned(), since.into())].into())
        }
        None => String::new(),
    };
    out.line(&format!("    · {custody}{waiting}"))
}

/// Why a message waits.
pub(super) fn why_word(why: WhyWaiting) -> &'static str {
    match why {
        WhyWaiting::NoNode => "waiting-no-node",
        WhyWaiting::NotAccepted => "waiting-not-accepted",
        WhyWaiting::NotJoined => "waiting-not-joined",
        WhyWaiting::Away => "waiting-away",
        WhyWaiting::InMailbox => "waiting-in-mailbox",
        WhyWaiting::Replaced => "waiting-replaced",
        WhyWaiting::Removed => "waiting-removed",
        WhyWaiting::NotAContact => "waiting-not-a-contact",
        WhyWaiting::DeadLink => "waiting-dead-link",
        WhyWaiting::UnderWay => "waiting-under-way",
        WhyWaiting::Lost => "waiting-lost",
        WhyWaiting::Withdrawn => "waiting-withdrawn",
        WhyWaiting::Other => "waiting-other",
    }
}

fn body(out: &Out, message: &Message) -> String {
    match message.kind {
        MessageKind::Text => message.text.clone().unwrap_or_default(),
        MessageKind::File => out.texts.get("kind-file"),
        MessageKind::Damaged => out.texts.get("kind-damaged"),
        MessageKind::Other => out.texts.get("kind-other"),
    }
}

/// How far a message is, and with how many where it is for several.
fn custody(out: &Out, state: MessageState, (delivered, read, of): (u32, u32, u32)) -> String {
    let word = out.texts.get(state_word(state));
    if of < 2 {
        return word;
    }
    let args = [
        ("state".to_owned(), word.into()),
        ("delivered".to_owned(), delivered.into()),
        ("read".to_owned(), read.into()),
        ("of".to_owned(), of.into()),
    ];
    out.texts.with("custody-counts", &args.into())
}

pub(super) async fn chats<R: Runtime>(session: &mut Session<'_, R>) -> Result<(), Stop> {
    let result = all_chats(session).await?;
    session.out.result(&result, |out| {
        let mut rows = Vec::new();
        for chat in &result.chats {
            let kind = match chat.kind {
                ChatKind::Direct => "chat-direct",
                ChatKind::Group => chat.standing.map_or("chat-group", standing_word),
                ChatKind::Own => "chat-self",
            };
            let unread = match chat.unread {
                0 => String::new(),
                count => out.texts.with("chats-unread", &[("count".to_owned(), count.into())].into()),
            };
            let last = chat.last.as_ref().map(|last| preview(out, last)).unwrap_or_default();
            rows.push(vec![chat.name.clone(), out.texts.get(kind), unread, short(&chat.id), last]);
        }
        if rows.is_empty() {
            out.say("chats-none", &[]);
            return Ok(());
        }
        out.table(&["name", "kind", "unread", "id", "last"], rows)
    })
}

/// What a group is called that one is no member of.
fn standing_word(standing: GroupState) -> &'static str {
    match standing {
        GroupState::Joined => "chat-group",
        GroupState::Invited => "chat-group-invited",
        GroupState::Pending => "chat-group-pending",
        GroupState::Declined | GroupState::Left => "chat-group-left",
        GroupState::Removed => "chat-group-removed",
    }
}

/// The first line of a message, at most 40 letters of it.
fn preview(out: &Out, message: &Message) -> String {
    let text = body(out, message);
    let first = text.lines().next().unwrap_or_default();
    let shown: String = first.chars().take(40).collect();
    let cut = if shown.len() < text.trim_end().len() { "…" } else { "" };
    format!("{}: {shown}{cut}", message.from.name)
}

pub(super) async fn read<R: Runtime>(
    session: &mut Session<'_, R>,
    chat: String,
    up_to: Option<String>,
) -> Result<(), Stop> {
    let result = session.ask::<methods::MessageRead>(ReadParams { chat, up_to }).await?;
    session.out.result(&result, |out| {
        out.tell("read-marked", &[("count", result.read.into())])?;
        if result.unread > 0 {
            out.tell("read-unread", &[("count", result.unread.into())])?;
        }
        Ok(())
    })
}

pub(super) async fn receipts<R: Runtime>(
    session: &mut Session<'_, R>,
    chat: String,
    set: Option<ReadReceipts>,
) -> Result<(), Stop> {
    let result = session.ask::<methods::ChatReceipts>(ReceiptsParams { chat, set }).await?;
    session.out.result(&result, |out| {
        let tells = if result.tells { "receipts-told" } else { "receipts-kept" };
        out.tell(tells, &[("own", (result.receipts != ReadReceipts::Default).to_string().into())])
    })
}

pub(super) async fn timer<R: Runtime>(
    session: &mut Session<'_, R>,
    chat: String,
    timer: Option<String>,
) -> Result<(), Stop> {
    // Not said to the parser of the line, which knows no range to tell of.
    let timer = timer.as_deref().map(parse_timer).transpose()?;
    let result = session.ask::<methods::ChatTimer>(TimerParams { chat, timer }).await?;
    session.out.result(&result, |out| match result.timer {
        Lasting::Off => out.tell("timer-off", &[]),
        Lasting::For(span) => out.tell("timer-is", &[("time", span.to_string().into())]),
    })
}

pub(super) async fn clear<R: Runtime>(session: &mut Session<'_, R>, chat: String) -> Result<(), Stop> {
    let result = session.ask::<methods::ChatClear>(ChatParams { chat }).await?;
    session.out.result(&result, |out| out.tell(if result.cleared { "clear-done" } else { "clear-goes-on" }, &[]))?;
    if result.waiting > 0 {
        session.out.say("clear-waiting", &[("count", result.waiting.into())]);
    }
    Ok(())
}

pub(super) async fn watch<R: Runtime>(session: &mut Session<'_, R>, after: Option<u64>) -> Result<(), Stop> {
    let mut api = session.connect().await?;
    let mut events = api.watch(after).await?;
    session.out.say("watch-begins", &[]);
    while let Some(event) = events.next().await {
        let event = event?;
        session.out.result(&event, |out| show_event(out, &event))?;
    }
    // Nobody ends a watch but the one who watches: a program must not take this for a good end.
    Err(ApiError::new(Reason::NodeGone).into())
}

fn show_event(out: &mut Out, event: &WatchEvent) -> Result<(), Stop> {
    match &event.event {
        Event::Message { message } => show_message(out, message),
        Event::Receipt { id, by, state, chat: _ } => {
            let state = out.texts.get(state_word(*state));
            let args = [("id", short(id).into()), ("name", by.name.as_str().into()), ("state", state.into())];
            out.tell("event-receipt", &args)
        }
        Event::Contact { contact, notice } => {
            let id = match notice {
                None | Some(Notice::Other) => "event-contact",
                Some(Notice::LinkUsed) => "event-link-used",
                Some(Notice::LinkExpired) => "event-link-expired",
                Some(Notice::SessionRestarted) => "event-session-restarted",
                Some(Notice::NewDevice) => "event-new-device",
            };
            out.tell(id, &[("name", contact.name.as_str().into())])
        }
        Event::Device { state: DeviceState::Replaced } => out.tell("event-replaced", &[]),
        Event::Device { state: DeviceState::RolledBack } => out.tell("event-rolled-back", &[]),
        Event::Device { state: DeviceState::Other } => out.tell("event-other", &[]),
        Event::Damaged {} => out.tell("event-damaged", &[]),
        Event::Request { request } => out.tell("event-request", &[("name", request.name.as_str().into())]),
        Event::Group { name, state, members, group: _ } => {
            let state = out.texts.get(group_word(*state));
            let args = [("name", name.as_str().into()), ("state", state.into()), ("count", (*members).into())];
            out.tell("event-group", &args)
        }
        Event::Peer { contact, online } => {
            let id = if *online { "event-came" } else { "event-went" };
            out.tell(id, &[("name", contact.name.as_str().into())])
        }
    }
}

/// The word for how one stands with a group.
pub(super) fn group_word(state: GroupState) -> &'static str {
    match state {
        GroupState::Invited => "group-invited",
        GroupState::Pending => "group-pending",
        GroupState::Joined => "group-joined",
        GroupState::Declined => "group-declined",
        GroupState::Left => "group-left",
        GroupState::Removed => "group-removed",
    }
}

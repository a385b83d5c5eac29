//! Shapes of chats and messages.

use super::*;
use crate::{
    api::{ApiError, Reason, time::Lasting},
    protocol::wire::limits::{MAX_TIMER, MIN_TIMER},
};

/// The longest text of one message, in bytes of UTF-8.
pub const MAX_TEXT: usize = crate::protocol::wire::limits::MAX_TEXT;

/// How long messages are to last, as a person typed it.
///
/// # Errors
/// `bad-timer`, as for a time that is too short or too long.
pub fn parse_timer(typed: &str) -> Result<Lasting, ApiError> {
    let range = [("least", MIN_TIMER), ("most", MAX_TIMER)];
    let fault = || {
        range
            .into_iter()
            .fold(ApiError::new(Reason::BadTimer), |error, (name, time)| error.with(name, Span::from(time).to_string()))
    };
    typed.parse().map_err(|_| fault())
}

shapes! {
    /// What to send where.
    #[serde(deny_unknown_fields)]
    pub struct SendParams {
        /// The chat.
        pub chat: String,
        /// The text, up to `MAX_TEXT` bytes.
        pub text: String,
        /// The message it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reply_to: Option<String>,
        /// What to wait for; `saved` where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub wait: Option<Wait>,
        /// For how long; 30 seconds where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub timeout: Option<Span>,
    }

    /// A message that is saved, and how far it is.
    pub struct SendResult {
        /// The version of the shape.
        pub v: V1,
        /// The message.
        pub id: EventId,
        /// The chat.
        pub chat: ChatId,
        /// How far it is: below what was waited for only if the time ran out, or if there is nobody who could get it.
        pub state: MessageState,
        /// How many others it is for, where that was looked at: none in a group where nobody else is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub of: Option<u32>,
        /// How many of these have it, where that was looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub delivered: Option<u32>,
        /// How many of these have read it, where that was looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub read: Option<u32>,
    }

    /// Which messages to list.
    #[serde(deny_unknown_fields)]
    pub struct LogParams {
        /// The chat.
        pub chat: String,
        /// How many at most; 50 where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub limit: Option<u32>,
        /// Only those before this message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub before: Option<String>,
        /// Only those that hold this text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub search: Option<String>,
    }

    /// Messages.
    pub struct LogResult {
        /// The version of the shape.
        pub v: V1,
        /// Oldest first.
        pub messages: Vec<Message>,
        /// Whether not all that was asked for fits one answer: ask again with `before` the first of these.
        #[serde(default, skip_serializing_if = "is_false")]
        pub more: bool,
    }

    /// A person as messages name them.
    pub struct Person {
        /// The account.
        pub id: AccountId,
        /// The local name, else the one it gives itself.
        pub name: String,
    }

    /// A message.
    pub struct Message {
        /// Its id.
        pub id: EventId,
        /// Its chat.
        pub chat: ChatId,
        /// Who wrote it.
        pub from: Person,
        /// When, by the writer's clock.
        pub at: Time,
        /// What it is.
        pub kind: MessageKind,
        /// Its text, byte for byte as it was written: whoever shows it makes it safe for its screen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub text: Option<String>,
        /// How far it is: the lowest of all other members.
        pub state: MessageState,
        /// How many have it on a device.
        pub delivered: u32,
        /// How many have read it, of those who say so.
        pub read: u32,
        /// How many it is for.
        pub of: u32,
        /// The message it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reply_to: Option<EventId>,
        /// Why it is still in the outbox.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub waiting: Option<Waiting>,
    }

    /// Why a message is still in the outbox.
    pub struct Waiting {
        /// The reason.
        pub why: WhyWaiting,
        /// Since when.
        pub since: Time,
    }

    /// Up to where a chat is read.
    #[serde(deny_unknown_fields)]
    pub struct ReadParams {
        /// The chat.
        pub chat: String,
        /// The last message read; all where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub up_to: Option<String>,
    }

    /// What is read now.
    pub struct ReadResult {
        /// The version of the shape.
        pub v: V1,
        /// The chat.
        pub chat: ChatId,
        /// Messages that this marked as read.
        pub read: u64,
        /// Messages that are still unread.
        pub unread: u64,
    }

    /// Which chat, and whether others in it learn what was read.
    #[serde(deny_unknown_fields)]
    pub struct ReceiptsParams {
        /// The chat.
        pub chat: String,
        /// The new choice; it is only shown where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub set: Option<ReadReceipts>,
    }

    /// Whether others in a chat learn what was read.
    pub struct ReceiptsResult {
        /// The version of the shape.
        pub v: V1,
        /// The chat.
        pub chat: ChatId,
        /// What was chosen for it.
        pub receipts: ReadReceipts,
        /// What holds: where nothing was chosen, what the settings say.
        pub tells: bool,
    }

    /// How long messages are to last.
    #[serde(deny_unknown_fields)]
    pub struct TimerParams {
        /// The chat.
        pub chat: String,
        /// A time, or `off`; what is set stays where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub timer: Option<Lasting>,
    }

    /// How long messages last that are written here from now on.
    pub struct TimerResult {
        /// The version of the shape.
        pub v: V1,
        /// The chat.
        pub chat: ChatId,
        /// From sending for the writer, from reading for a reader; `off` for ever.
        pub timer: Lasting,
    }

    /// A chat.
    #[serde(deny_unknown_fields)]
    pub struct ChatParams {
        /// Which.
        pub chat: String,
    }

    /// A chat whose messages are taken off this device.
    pub struct ClearResult {
        /// The version of the shape.
        pub v: V1,
        /// The chat.
        pub chat: ChatId,
        /// Whether all are gone; else the node goes on with it by itself.
        pub cleared: bool,
        /// How many of one's own still wait for somebody: they go out, and are kept unseen until then.
        #[serde(default)]
        pub waiting: u64,
    }

    /// Which chats to list.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    pub struct ChatsParams {
        /// How many at most; as many as fit one answer where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub limit: Option<u32>,
        /// Only those behind this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub after: Option<ChatId>,
    }

    /// Chats.
    pub struct ChatsResult {
        /// The version of the shape.
        pub v: V1,
        /// The one with the latest message first.
        pub chats: Vec<Chat>,
        /// Whether there are more: ask again with `after` the last of these.
        #[serde(default, skip_serializing_if = "is_false")]
        pub more: bool,
    }

    /// A chat.
    pub struct Chat {
        /// Its id.
        pub id: ChatId,
        /// Its name: the contact's, the group's.
        pub name: String,
        /// What it is.
        pub kind: ChatKind,
        /// How one stands with a group that one is no member of; absent where one is, and of other chats.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub standing: Option<GroupState>,
        /// Unread messages.
        pub unread: u64,
        /// The last message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub last: Option<Message>,
    }
}

impl SendParams {
    /// How long `send` waits where nothing is said.
    const WAIT: Span = Span::seconds(30);

    /// How long the answer may be waited for: not at all for a message that only has to be saved.
    pub fn waits(&self) -> std::time::Duration {
        match self.wait.unwrap_or(Wait::Saved) {
            Wait::Saved => std::time::Duration::ZERO,
            _ => self.timeout.unwrap_or(Self::WAIT).into(),
        }
    }
}

words! {
    /// What `send` waits for.
    pub enum Wait {
        /// Durable here.
        Saved,
        /// Durable at a mailbox.
        Mailbox,
        /// Durable on a device of the recipient.
        Delivered,
        /// Read, if the recipient says so.
        Read,
    }

    /// How far a message is. A received one is `received`.
    pub enum MessageState {
        /// Came from another.
        Received,
        /// Durable here.
        Saved,
        /// Durable at a mailbox.
        Mailbox,
        /// Durable on a device of the recipient.
        Delivered,
        /// Read.
        Read,
    }

    /// What a message is.
    pub enum MessageKind {
        /// Text.
        Text,
        /// A file.
        File,
        /// One that cannot be read from the disk any more. Only its id and about when it was are known.
        Damaged,
        /// Something a newer moim knows.
        #[serde(other)]
        Other,
    }

    /// Why a message waits.
    pub enum WhyWaiting {
        /// No node of this home runs.
        NoNode,
        /// Another device took the place of this one, and nobody listens to it.
        Replaced,
        /// This account was removed from the group before the others said that they have it: they take it no more.
        Removed,
        /// The recipient has not accepted yet.
        NotAccepted,
        /// The recipient was removed from the contacts: it goes out if they become one again.
        NotAContact,
        /// The recipient was asked by a link that does not work any more: it goes out under a new one.
        DeadLink,
        /// This account is invited to the group, in which it had said this before, and has not joined again.
        NotJoined,
        /// The recipient cannot be reached.
        Away,
        /// It lies in a mailbox of the recipient, who has not come for it.
        InMailbox,
        /// The recipient is connected and has not confirmed it yet.
        UnderWay,
        /// It cannot be read on this device any more: it reaches nobody from here.
        Lost,
        /// It was cancelled after the backup or copy was made that this device goes on from, and the recipient knows that.
        Withdrawn,
        /// Something a newer moim knows.
        #[serde(other)]
        Other,
    }

    /// Whether others in a chat learn what was read.
    pub enum ReadReceipts {
        /// They do.
        On,
        /// They do not.
        Off,
        /// As the settings say.
        Default,
    }

    /// What a chat is.
    pub enum ChatKind {
        /// With one contact.
        Direct,
        /// A group.
        Group,
        /// Notes to self. (`self` on the wire.)
        #[serde(rename = "self")]
        Own,
    }
}

//! The shapes of questions and answers: exactly what `--json` prints and JSON-RPC carries.
//!
//! People, chats, groups and messages are asked for by the text a person typed; the node resolves it by the rules of
//! [`names`](crate::api::names). Answers carry whole ids. Every answer has `"v":1`; new fields may be added to a shape,
//! none is ever renamed or removed within a version.

use crate::api::{
    config::{Key, Origin},
    time::{Span, Time},
};
use crate::protocol::ids::{AccountId, ChatId, EventId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The version of the shapes: the number 1 and nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct V1;

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(1)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u8::deserialize(from)? {
            1 => Ok(Self),
            other => Err(D::Error::custom(format!("version {other} of the API is not understood, 1 is"))),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Gives each of these shapes the derives they share.
macro_rules! shapes {
    ($($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* })*) => {
        $($(#[$meta])* #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)] pub struct $name { $($body)* })*
    };
}

/// As [`shapes!`], for words of a fixed set, written in lower case.
macro_rules! words {
    ($($(#[$meta:meta])* pub enum $name:ident { $($body:tt)* })*) => {
        $($(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($body)* })*
    };
}

// Who is asked about

shapes! {
    /// No parameters.
    #[derive(Default, Copy)]
    pub struct Nothing {}

    /// A person: name, id or prefix of an id, as typed.
    pub struct Who {
        /// What was typed.
        pub who: String,
    }

    /// A group: name, id or prefix of an id, as typed.
    pub struct Group {
        /// What was typed.
        pub group: String,
    }
}

// The account and its node

shapes! {
    /// The own account.
    pub struct Identity {
        /// The version of the shape.
        pub v: V1,
        /// Its id.
        pub account: AccountId,
        /// Its name, as others see it.
        pub name: String,
        /// The own half of every safety number: 30 digits.
        pub fingerprint: String,
    }

    /// The recovery words.
    pub struct WordsResult {
        /// The version of the shape.
        pub v: V1,
        /// 24 words, separated by spaces.
        pub words: String,
    }

    /// A new name for the account, or none to see the present one.
    #[derive(Default)]
    pub struct ProfileParams {
        /// The name, up to `MAX_NAME` bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
    }

    /// The one line that a node prints on stdout once it can be used.
    pub struct Ready {
        /// The version of the shape.
        pub v: V1,
        /// Always `ready`.
        pub event: ReadyEvent,
        /// The account.
        pub account: AccountId,
        /// The node's PeerId.
        pub peer: String,
        /// Where it listens, each with `/p2p/PEER`.
        pub addrs: Vec<String>,
        /// The path of its socket.
        pub socket: String,
    }

    /// How the node and its store are.
    pub struct StatusResult {
        /// The version of the shape.
        pub v: V1,
        /// Whether a node of this home runs.
        pub running: bool,
        /// The account.
        pub account: AccountId,
        /// The node's PeerId.
        pub peer: String,
        /// Where it listens; empty when it does not run.
        pub addrs: Vec<String>,
        /// Connected peers.
        pub peers: u64,
        /// Messages that have not reached everyone yet.
        pub outbox: u64,
        /// Chats.
        pub chats: u64,
        /// What the store takes on the disk, in bytes.
        pub store_bytes: u64,
        /// The version of moim.
        pub version: String,
    }

    /// The node stops.
    pub struct DownResult {
        /// The version of the shape.
        pub v: V1,
        /// Always true: it stops once this is written.
        pub stopping: bool,
    }

    /// Which setting to show or change; none shows all.
    #[derive(Default)]
    pub struct ConfigParams {
        /// The setting.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub key: Option<String>,
        /// Its new value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub value: Option<String>,
    }

    /// Settings.
    pub struct ConfigResult {
        /// The version of the shape.
        pub v: V1,
        /// Those asked for.
        pub settings: Vec<Setting>,
    }

    /// One setting.
    pub struct Setting {
        /// Its name.
        pub key: Key,
        /// Its value.
        pub value: serde_json::Value,
        /// Where the value comes from.
        pub origin: Origin,
    }
}

words! {
    /// The event of [`Ready`].
    pub enum ReadyEvent {
        /// The node can be used.
        Ready,
    }
}

// Invitations and contacts

shapes! {
    /// What kind of invitation to make.
    #[derive(Default)]
    pub struct InviteParams {
        /// How long it is good; 7 days where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub expires: Option<Span>,
        /// Whether the first to use it is accepted without asking.
        #[serde(default, skip_serializing_if = "is_false")]
        pub auto_accept: bool,
    }

    /// An invitation.
    pub struct InviteResult {
        /// The version of the shape.
        pub v: V1,
        /// The link, `moim:1:…`. It is a secret between those who see it.
        pub link: String,
        /// When it ends.
        pub expires: Time,
        /// Whether no address is known to put into it, so that it works on the same local network only.
        #[serde(default, skip_serializing_if = "is_false")]
        pub without_address: bool,
    }

    /// Open invitations.
    pub struct InvitesResult {
        /// The version of the shape.
        pub v: V1,
        /// The next to end first.
        pub invites: Vec<Invite>,
    }

    /// An open invitation, without its secret.
    pub struct Invite {
        /// What `invite revoke` takes.
        pub id: String,
        /// When it was made.
        pub created: Time,
        /// When it ends.
        pub expires: Time,
        /// Whether the first to use it is accepted without asking.
        pub auto_accept: bool,
        /// Requests that came by it and wait.
        pub pending: u64,
    }

    /// Which invitation to close.
    pub struct RevokeParams {
        /// Its id, a prefix of it, or the link itself.
        pub invite: String,
    }

    /// A closed invitation.
    pub struct RevokeResult {
        /// The version of the shape.
        pub v: V1,
        /// Its id.
        pub id: String,
    }

    /// Whose link to follow.
    pub struct AddParams {
        /// The link.
        pub link: String,
        /// The local name; the other's own where nothing is said.
        #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
    }

    /// How things stand with a contact.
    pub struct ContactResult {
        /// The version of the shape.
        pub v: V1,
        /// The contact's account.
        pub contact: AccountId,
        /// Its local name.
        pub name: String,
        /// How far the acquaintance is.
        pub state: ContactState,
    }

    /// A contact or request that is no more.
    pub struct GoneResult {
        /// The version of the shape.
        pub v: V1,
        /// The account.
        pub contact: AccountId,
        /// The name it had.
        pub name: String,
    }

    /// All contacts.
    pub struct ContactsResult {
        /// The version of the shape.
        pub v: V1,
        /// By name.
        pub contacts: Vec<Contact>,
    }

    /// A contact.
    pub struct Contact {
        /// Its account.
        pub id: AccountId,
        /// Its local name.
        pub name: String,
        /// How far the acquaintance is.
        pub state: ContactState,
        /// Whether the safety number was compared.
        pub verified: bool,
        /// Whether a device of it is connected now.
        pub online: bool,
    }

    /// Who and what waits for an answer.
    pub struct RequestsResult {
        /// The version of the shape.
        pub v: V1,
        /// People, the oldest first.
        pub requests: Vec<Request>,
        /// Invitations to groups, the oldest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub groups: Vec<GroupRequest>,
    }

    /// Someone who wants to become a contact.
    pub struct Request {
        /// Its account.
        pub id: AccountId,
        /// The name it gives itself.
        pub name: String,
        /// Its half of the safety number: 30 digits.
        pub fingerprint: String,
        /// When it came.
        pub since: Time,
    }

    /// An invitation to a group.
    pub struct GroupRequest {
        /// The group.
        pub id: ChatId,
        /// Its name.
        pub name: String,
        /// Who invites.
        pub from: Person,
        /// When it came.
        pub since: Time,
    }

    /// A contact and its new local name.
    pub struct RenameParams {
        /// The contact.
        pub who: String,
        /// The name.
        pub name: String,
    }

    /// A contact, and the number that the other side reads out.
    pub struct VerifyParams {
        /// The contact.
        pub who: String,
        /// 60 digits, spaces allowed; none only shows the number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub matches: Option<String>,
    }

    /// A safety number.
    pub struct VerifyResult {
        /// The version of the shape.
        pub v: V1,
        /// The contact.
        pub contact: AccountId,
        /// 60 digits, the same on both sides.
        pub safety_number: String,
        /// Whether it was compared.
        pub verified: bool,
    }
}

words! {
    /// How far an acquaintance is.
    pub enum ContactState {
        /// Asked, not reached yet.
        Pending,
        /// Reached, not accepted yet.
        Requested,
        /// Accepted: messages flow.
        Connected,
        /// Nothing is taken from it.
        Blocked,
    }
}

// Chats and messages

shapes! {
    /// What to send where.
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
        /// How far it is: below what was waited for only if the time ran out.
        pub state: MessageState,
    }

    /// Which messages to list.
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
        /// Its text.
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

    /// All chats.
    pub struct ChatsResult {
        /// The version of the shape.
        pub v: V1,
        /// The one with the latest message first.
        pub chats: Vec<Chat>,
    }

    /// A chat.
    pub struct Chat {
        /// Its id.
        pub id: ChatId,
        /// Its name: the contact's, the group's.
        pub name: String,
        /// What it is.
        pub kind: ChatKind,
        /// Unread messages.
        pub unread: u64,
        /// The last message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub last: Option<Message>,
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
        /// Something a newer moim knows.
        #[serde(other)]
        Other,
    }

    /// Why a message waits.
    pub enum WhyWaiting {
        /// No node of this home runs.
        NoNode,
        /// The recipient has not accepted yet.
        NotAccepted,
        /// The recipient cannot be reached.
        Away,
        /// Something a newer moim knows.
        #[serde(other)]
        Other,
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

// Groups

shapes! {
    /// A new group.
    pub struct GroupNewParams {
        /// Its name.
        pub name: String,
    }

    /// A group.
    pub struct GroupResult {
        /// The version of the shape.
        pub v: V1,
        /// Its id.
        pub group: ChatId,
        /// Its name.
        pub name: String,
    }

    /// Whom to invite.
    pub struct GroupInviteParams {
        /// The group.
        pub group: String,
        /// The contacts.
        pub who: Vec<String>,
    }

    /// How one stands, or those invited stand, with a group.
    pub struct GroupStateResult {
        /// The version of the shape.
        pub v: V1,
        /// The group.
        pub group: ChatId,
        /// How far it is.
        pub state: GroupState,
    }

    /// A new name for a group.
    pub struct GroupRenameParams {
        /// The group.
        pub group: String,
        /// The name.
        pub name: String,
    }

    /// Who is in a group.
    pub struct MembersResult {
        /// The version of the shape.
        pub v: V1,
        /// The founder first, then by name.
        pub members: Vec<Member>,
    }

    /// A member of a group.
    pub struct Member {
        /// Its account.
        pub id: AccountId,
        /// Its name.
        pub name: String,
        /// What it may do.
        pub role: Role,
    }
}

words! {
    /// How far a membership is.
    pub enum GroupState {
        /// Invited; they have not joined yet.
        Invited,
        /// Joining; the others do not know yet.
        Pending,
        /// A member.
        Joined,
        /// Declined.
        Declined,
        /// Left.
        Left,
    }

    /// What a member may do.
    pub enum Role {
        /// Everything; made the group.
        Founder,
        /// Invite and remove.
        Admin,
        /// Read and write.
        Member,
    }
}

// Events

shapes! {
    /// From where to watch.
    #[derive(Default)]
    pub struct WatchParams {
        /// Events behind this cursor; none starts now, 0 at the beginning.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub after: Option<u64>,
    }

    /// The stream has begun; its events follow as notifications of the method `event`.
    pub struct WatchResult {
        /// The version of the shape.
        pub v: V1,
        /// The cursor it starts behind.
        pub cursor: u64,
    }

    /// Something that happened.
    pub struct WatchEvent {
        /// The version of the shape.
        pub v: V1,
        /// Its place: give it to `--after` to go on behind it.
        pub cursor: u64,
        /// What it is.
        #[serde(flatten)]
        pub event: Event,
    }
}

/// What happened. `event` on the wire names the kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A message was written here or came in.
    Message {
        /// The message.
        message: Message,
    },
    /// A message got further.
    Receipt {
        /// The message.
        id: EventId,
        /// Its chat.
        chat: ChatId,
        /// How far it is now.
        state: MessageState,
        /// How many have it on a device.
        delivered: u32,
        /// How many have read it.
        read: u32,
        /// How many it is for.
        of: u32,
    },
    /// A contact is new or changed.
    Contact {
        /// The contact.
        contact: Contact,
    },
    /// Someone wants to become a contact.
    Request {
        /// Who.
        request: Request,
    },
    /// A group's name, members or own standing changed.
    Group {
        /// The group.
        group: ChatId,
        /// Its name.
        name: String,
        /// How one stands with it oneself.
        state: GroupState,
        /// How many members it has.
        members: u64,
    },
    /// A contact's device came or went.
    Peer {
        /// The contact.
        contact: Person,
        /// Whether one is connected now.
        online: bool,
    },
}

// Testnets and measurements

shapes! {
    /// The nodes of a testnet.
    pub struct TestnetResult {
        /// The version of the shape.
        pub v: V1,
        /// By number.
        pub nodes: Vec<TestnetNode>,
    }

    /// A node of a testnet.
    pub struct TestnetNode {
        /// Its number, from 1.
        pub n: u32,
        /// Its account's name.
        pub name: String,
        /// Its account.
        pub account: AccountId,
        /// Its PeerId.
        pub peer: String,
        /// Where it listens.
        pub addrs: Vec<String>,
        /// Its home.
        pub home: String,
        /// Its socket.
        pub socket: String,
    }

    /// What was measured.
    pub struct BenchResult {
        /// The version of the shape.
        pub v: V1,
        /// One row a load.
        pub loads: Vec<Load>,
    }

    /// A load and how it went. Durations are in microseconds.
    pub struct Load {
        /// What was done.
        pub name: String,
        /// How often.
        pub count: u64,
        /// How often in a second.
        pub per_second: u64,
        /// Half took no longer.
        pub p50_us: u64,
        /// 99 of 100 took no longer.
        pub p99_us: u64,
    }
}

/// What becomes of the nodes of the demonstration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoEnding {
    /// They end with it, and their homes with them.
    Removed,
    /// They stay up until they are told to stop.
    Kept,
}

/// A node of the demonstration that stays up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoHome {
    /// Whose it is.
    pub name: String,
    /// What `--home` takes.
    pub home: String,
}

/// What the demonstration does, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum DemoStep {
    /// The nodes are up.
    Nodes {
        /// Their names.
        names: Vec<String>,
    },
    /// Two have become contacts.
    Met {
        /// Who made the link.
        inviter: String,
        /// Who followed it.
        guest: String,
    },
    /// A group is made and joined.
    Group {
        /// Its name.
        name: String,
        /// How many are in it.
        members: u64,
    },
    /// A message was sent and is this far.
    Said {
        /// Who wrote.
        from: String,
        /// To whom, or to which group.
        to: String,
        /// What.
        text: String,
        /// How far it is.
        state: MessageState,
    },
    /// A node was stopped.
    Away {
        /// Whose.
        name: String,
    },
    /// It runs again and has what it missed.
    Back {
        /// Whose.
        name: String,
        /// Messages it got.
        received: u64,
    },
    /// Two nodes were timed; every acknowledgement was durable.
    Figures {
        /// Messages that were timed one after the other, and as many as there was room for at once.
        messages: u64,
        /// How many got through in a second.
        per_second: u64,
        /// From asking to the proof of delivery: half took no longer, in microseconds.
        p50_us: u64,
        /// 99 of 100 took no longer, in microseconds.
        p99_us: u64,
    },
    /// The nodes stay up.
    Kept {
        /// Each with its home.
        homes: Vec<DemoHome>,
    },
    /// All went well.
    Done {
        /// Messages in all.
        messages: u64,
        /// How long it took, in milliseconds.
        millis: u64,
    },
}

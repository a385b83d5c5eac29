//! What people and programs ask of the engine, and what it answers. Reading is not here: views read rows themselves.

use crate::protocol::{
    group::Role,
    identity::profile::NameError,
    ids::{AccountId, ChatId, DeviceId, EventId, OpId},
    time::Millis,
};
use std::time::Duration;

/// One wish. Names were resolved to ids before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Change the own display name, told to contacts and groups.
    SetName(String),
    /// Make a link for one new contact.
    CreateTicket {
        /// How long it is good.
        life: Duration,
        /// Who accepts the first request.
        accept: Acceptance,
    },
    /// Close a link by its text.
    RevokeTicket(String),
    /// Ask the maker of a link to be a contact.
    AddContact {
        /// The link as it was pasted.
        link: String,
        /// The local name; the other's own where none is given.
        alias: Option<String>,
    },
    /// Accept a request.
    Accept(AccountId),
    /// Drop a request without telling the other.
    Decline(AccountId),
    /// Take nothing from this account until unblocked. It is not told.
    Block(AccountId),
    /// End a block.
    Unblock(AccountId),
    /// Change a contact's local name.
    Rename(AccountId, String),
    /// Forget a contact with its sessions; the history stays.
    Remove(AccountId),
    /// Remember that the safety number was compared.
    MarkVerified(AccountId),
    /// Say something in a chat.
    Send {
        /// Where.
        chat: ChatId,
        /// The text.
        text: String,
        /// The message it answers.
        reply_to: Option<EventId>,
    },
    /// Mark as read up to this message, or everything.
    MarkRead {
        /// Where.
        chat: ChatId,
        /// The last message read; `None` for all.
        up_to: Option<EventId>,
    },
    /// Take more of an old history into the index for searching: some at once, the rest in the background.
    Index(ChatId),
    /// Show or choose whether others in a chat learn what was read there.
    ReadReceipts {
        /// Where.
        chat: ChatId,
        /// The new choice; `None` only shows.
        set: Option<ReadReceipts>,
    },
    /// Choose how long messages last that are written here in a chat; `None` for ever.
    SetTimer(ChatId, Option<Duration>),
    /// Take what was said in a chat off this device.
    Clear(ChatId),
    /// Found a group.
    NewGroup(String),
    /// Invite a contact to a group.
    InviteToGroup(OpId, AccountId),
    /// Accept an invitation.
    AcceptGroup(OpId),
    /// Drop an invitation.
    DeclineGroup(OpId),
    /// Change a group's name for all.
    RenameGroup(OpId, String),
    /// Have a group's log kept by the mailbox of this account, or by this node itself.
    NameGroupMailbox(OpId, AccountId),
    /// Have it kept there no more.
    DropGroupMailbox(OpId, AccountId),
    /// End another's membership of a group.
    RemoveMember(OpId, AccountId),
    /// Give a member another role.
    SetRole(OpId, AccountId, Role),
    /// Make a member the founder, and the founder the first admin.
    HandOver(OpId, AccountId),
    /// Leave a group.
    LeaveGroup(OpId),
    /// Begin or end keeping mail for others.
    ServeMailbox(Serving),
    /// Make a link by which others may have a box here.
    MakeMailboxLink,
    /// Ask a node to keep mail for this device.
    AddMailbox(MailboxAt),
    /// Leave the mailbox of this account.
    RemoveMailbox(AccountId),
    /// Take back an own message that nobody has yet.
    Withdraw(EventId),
    /// An own message of which no more than its number is known is not to be waited for any more.
    GiveUp {
        /// Its chat.
        chat: ChatId,
        /// The own device that wrote it.
        author: DeviceId,
        /// Its number.
        no: u64,
    },
}

/// Whether this node keeps mail for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// It does.
    On,
    /// It takes nothing new; what is here can be fetched.
    Off,
}

/// Which node is asked to keep mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxAt {
    /// The one that made this link.
    Link(String),
    /// A contact's.
    Contact(AccountId),
}

/// Whether others in a chat learn what was read there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadReceipts {
    /// They do.
    On,
    /// They do not.
    Off,
    /// As the settings say.
    Default,
}

/// Who accepts the first request that comes with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// The owner, by hand.
    ByHand,
    /// The node, at once.
    AtOnce,
}

/// What came of a wish that was granted. Durable before it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing to add.
    Done,
    /// Whether others in a chat learn what is read: what was chosen, and what holds.
    ReadReceipts {
        /// What was chosen for this chat.
        chosen: ReadReceipts,
        /// Whether they learn it.
        told: bool,
    },
    /// A chat is being cleared.
    Cleared {
        /// Whether that was all; else it goes on by itself.
        ended: bool,
    },
    /// A link and when it ends. `reachable` tells whether it carries any address.
    Ticket {
        /// The text `moim:1:…`.
        link: String,
        /// Its end.
        expires: Millis,
        /// Whether any address is in it.
        reachable: bool,
    },
    /// A contact as it stands now.
    Contact(AccountId),
    /// A message was saved.
    Sent {
        /// Its id.
        id: EventId,
        /// Where.
        chat: ChatId,
    },
    /// A group and how far one got with it.
    Group(OpId),
    /// The mailbox of this account as it stands now.
    Mailbox(AccountId),
    /// What came of taking a message back, by devices it was for.
    Withdrawn {
        /// It will not reach them, unless it was under way.
        withdrawn: u32,
        /// Of these, those to which it had been sent without an answer: it may have arrived.
        under_way: u32,
        /// It lies in a mailbox and will reach them; nothing was changed.
        mailbox: u32,
        /// They have it; nothing was changed.
        delivered: u32,
    },
}

/// Why a wish was not granted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says what it means")]
pub enum Refusal {
    #[error("this is not a moim link")]
    NotALink,
    #[error("the link is cut short")]
    LinkTruncated,
    #[error("the link has a typing mistake")]
    LinkMistyped,
    #[error("the link is of a newer version")]
    LinkTooNew,
    #[error("the link is for something else than a contact")]
    LinkOfOtherKind,
    #[error("this is your own link")]
    OwnLink,
    #[error("the link ended")]
    LinkExpired { ended: Millis },
    #[error("no open link is like that")]
    NoSuchLink,
    #[error("too many open links: {max} at the most")]
    TooManyLinks { max: usize },
    #[error("this account is a contact already")]
    AlreadyContact { account: AccountId },
    #[error("this account is blocked")]
    Blocked { account: AccountId },
    #[error("this account is not blocked")]
    NotBlocked { account: AccountId },
    #[error("no contact is like that")]
    NoSuchContact,
    #[error("no request is like that")]
    NoSuchRequest,
    #[error("the contact is not connected yet")]
    NotConnected { account: AccountId },
    #[error("the contact removed you or was removed; a new link is needed")]
    ContactEnded { account: AccountId },
    #[error("another contact has this name")]
    NameTaken,
    #[error("the name is not usable: {0}")]
    BadName(NameError),
    #[error("the text is empty")]
    EmptyText,
    #[error("the text has {bytes} bytes; {max} fit one message")]
    TextTooLong { bytes: usize, max: usize },
    #[error("a timer is between {least:?} and {most:?}")]
    BadTimer { least: Duration, most: Duration },
    #[error("no chat is like that")]
    NoSuchChat,
    #[error("no message is like that")]
    NoSuchMessage,
    #[error("no group is like that")]
    NoSuchGroup,
    #[error("no invitation to such a group")]
    NoSuchInvitation,
    #[error("this account is a member already")]
    AlreadyMember { account: AccountId },
    #[error("you are not a member of this group")]
    NotAMember,
    #[error("you are invited to this group and have not joined")]
    NotJoined,
    #[error("your role does not allow this")]
    NotAllowed,
    #[error("no member is like that")]
    NoSuchMember,
    #[error("this member is not below you in rank")]
    Outranked { account: AccountId },
    #[error("only the founder hands a group over")]
    NotFounder,
    #[error("nobody removes, promotes or demotes themselves")]
    OneSelf,
    #[error("this member has that role already")]
    HasRole { account: AccountId },
    #[error("the group is full: {max} members")]
    GroupFull { max: usize },
    #[error("too many groups: {max} at the most")]
    TooManyGroups { max: usize },
    #[error("another device took the place of this one; nobody listens to it")]
    Replaced { since: Millis },
    #[error("a message of a group cannot be withdrawn")]
    NotWithdrawable,
    #[error("the link is not of a mailbox")]
    NotAMailboxLink,
    #[error("this node is no mailbox")]
    NotServing,
    #[error("no mailbox is like that")]
    NoSuchMailbox,
    #[error("too many mailboxes: {max} at the most")]
    TooManyMailboxes { max: usize },
    #[error("the mailbox has not agreed to keep anything")]
    MailboxNotActive { account: AccountId },
    #[error("too many mailboxes of one group: {max} at the most")]
    TooManyGroupMailboxes { max: usize },
}

//! Shapes of mailboxes and of the outbox.

use super::*;

shapes! {
    /// Whether to keep mail for others.
    #[derive(Copy)]
    #[serde(deny_unknown_fields)]
    pub struct MailboxServeParams {
        /// Whether it is kept.
        pub serve: bool,
    }

    /// Whose mailbox to use.
    #[serde(deny_unknown_fields)]
    pub struct MailboxAddParams {
        /// A link made by `mailbox link`, or a contact as typed.
        pub at: String,
    }

    /// How things stand with a mailbox.
    pub struct MailboxResult {
        /// The version of the shape.
        pub v: V1,
        /// The account whose node it is.
        pub mailbox: AccountId,
        /// Its name.
        pub name: String,
        /// How far it is.
        pub state: MailboxState,
    }

    /// The mailboxes of this account, and whether it is one.
    pub struct MailboxesResult {
        /// The version of the shape.
        pub v: V1,
        /// Whether this node keeps mail for others.
        pub serving: bool,
        /// What it keeps for others, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub keeps: Option<Keeps>,
        /// Those that keep mail for this account, the first added first.
        pub mailboxes: Vec<Mailbox>,
    }

    /// What a mailbox keeps for others.
    #[derive(Copy)]
    pub struct Keeps {
        /// Boxes.
        pub boxes: u64,
        /// Sealed messages in them.
        pub messages: u64,
        /// Their bytes.
        pub bytes: u64,
    }

    /// A mailbox.
    pub struct Mailbox {
        /// The account whose node it is.
        pub id: AccountId,
        /// Its name.
        pub name: String,
        /// How far it is.
        pub state: MailboxState,
        /// Whether it is connected now.
        pub online: bool,
    }

    /// What has not arrived yet.
    pub struct OutboxResult {
        /// The version of the shape.
        pub v: V1,
        /// The oldest first.
        pub waiting: Vec<Outgoing>,
    }

    /// A message that has not reached somebody yet.
    pub struct Outgoing {
        /// The message.
        pub id: EventId,
        /// Its chat.
        pub chat: ChatId,
        /// Whom it is for.
        pub to: Person,
        /// How far it is.
        pub state: MessageState,
        /// Why it waits.
        pub why: WhyWaiting,
        /// Since when.
        pub since: Time,
    }

    /// Which message to take back.
    #[serde(deny_unknown_fields)]
    pub struct CancelParams {
        /// Its id, or the beginning of it.
        pub id: String,
    }

    /// What came of taking a message back, by devices it was for.
    pub struct CancelResult {
        /// The version of the shape.
        pub v: V1,
        /// The message.
        pub id: EventId,
        /// It will not reach these.
        pub withdrawn: u32,
        /// Of those, it had been sent to these without an answer: it may have arrived.
        pub under_way: u32,
        /// For these it lies in a mailbox, and stays.
        pub mailbox: u32,
        /// These have it.
        pub delivered: u32,
    }
}

words! {
    /// How far it is with a mailbox.
    pub enum MailboxState {
        /// Asked, not answered yet.
        Pending,
        /// It keeps mail.
        Active,
        /// It does not.
        Refused,
        /// It was left.
        Gone,
        /// Something a newer moim knows.
        #[serde(other)]
        Other,
    }
}

//! Shapes of what `watch` gives.

use super::*;

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

//! Shapes of what `watch` gives.

use super::*;

shapes! {
    /// From where to watch.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
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
    /// A message was written here or came in. It is told as it was then; how it fared is told by receipts.
    Message {
        /// The message.
        message: Message,
    },
    /// A message got further with one of those it is for.
    Receipt {
        /// The message.
        id: EventId,
        /// Its chat.
        chat: ChatId,
        /// Who has it, or, of a mailbox, for whom it lies there; in a group it lies there for all, and this is who keeps it.
        by: Person,
        /// How far it got with them: `mailbox`, `delivered` or `read`.
        state: MessageState,
    },
    /// A contact is new or changed. It is told as it is now.
    Contact {
        /// The contact.
        contact: Contact,
        /// What happened to it, where that is more than a change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notice: Option<Notice>,
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
    /// Something happened to this device itself.
    Device {
        /// What.
        state: DeviceState,
    },
    /// Something happened that cannot be read from the disk any more. What comes behind it can.
    Damaged {},
}

words! {
    /// What happened to this device.
    pub enum DeviceState {
        /// Another device took its place in the account: nobody listens to it any more.
        Replaced,
        /// An older copy of its store, or of its keys, was put back: every session begins anew.
        RolledBack,
        /// Something a newer moim knows.
        #[serde(other)]
        Other,
    }

    /// What happened to a contact.
    pub enum Notice {
        /// The link it was added by had been used by another.
        LinkUsed,
        /// The link it was added by ended before its maker was reached.
        LinkExpired,
        /// Its device, or this one, lost what they shared, and they began anew.
        SessionRestarted,
        /// It has a device that it did not have: whoever has its 24 words made it.
        NewDevice,
        /// Something a newer moim knows.
        #[serde(other)]
        Other,
    }
}

//! The feed: what happened, in the order it became durable, for every view. `watch` reads it from a cursor.
//!
//! Entries name things by id; a view looks up names and texts when it shows them.

use crate::protocol::ids::{AccountId, ChatId, EventId, OpId};
use minicbor::{Decode, Encode};

/// One entry. Its cursor is its place in [`crate::protocol::view::Table::Feed`], counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum FeedEntry {
    /// A message was sent or received.
    #[n(0)]
    Message {
        /// Where.
        #[n(0)]
        chat: ChatId,
        /// Which.
        #[n(1)]
        id: EventId,
    },
    /// Messages of this device got further.
    #[n(1)]
    Receipt {
        /// Where.
        #[n(0)]
        chat: ChatId,
        /// Whose receipt.
        #[n(1)]
        by: AccountId,
        /// How far they got with that account.
        #[n(2)]
        state: Progress,
        /// Which messages, in their order; at most [`MAX_RECEIPT_IDS`].
        #[n(3)]
        ids: Vec<EventId>,
    },
    /// A contact is new, or its state, name or a notice about it changed.
    #[n(2)]
    Contact {
        /// Who.
        #[n(0)]
        account: AccountId,
        /// What is worth telling.
        #[n(1)]
        notice: ContactNotice,
    },
    /// Somebody asks to be a contact.
    #[n(3)]
    Request {
        /// Who.
        #[n(0)]
        account: AccountId,
    },
    /// A group is new, or its members, name or the own place in it changed.
    #[n(4)]
    Group {
        /// Which.
        #[n(0)]
        group: OpId,
    },
    /// A contact's or member's device came or went.
    #[n(5)]
    Peer {
        /// Who.
        #[n(0)]
        account: AccountId,
        /// Whether it is there now.
        #[n(1)]
        presence: Presence,
    },
    /// Another device took the place of this one: nobody listens to it any more.
    #[n(6)]
    Replaced,
    /// The store was found to be an older one than its keys, or the other way round: everything began anew.
    #[n(7)]
    RolledBack,
}

/// Message ids in one receipt entry; a longer range makes several entries.
pub const MAX_RECEIPT_IDS: usize = 256;

/// How far a message got with one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Progress {
    /// Durable at a mailbox of one of its devices.
    #[n(2)]
    Mailbox,
    /// Durable on one of its devices.
    #[n(0)]
    Delivered,
    /// Read there.
    #[n(1)]
    Read,
}

/// What is worth telling about a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ContactNotice {
    /// Its state or name changed.
    #[n(0)]
    Changed,
    /// The link it was added by had been used by another.
    #[n(1)]
    LinkUsed,
    /// The link it was added by ended before its maker was reached.
    #[n(2)]
    LinkExpired,
    /// The session with it was started anew: its device lost its state, or this one did.
    #[n(3)]
    SessionRestarted,
    /// It has a device that it did not have: whoever has its 24 words made it.
    #[n(4)]
    NewDevice,
}

/// Whether a peer is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Presence {
    /// It is.
    #[n(0)]
    Online,
    /// It is not.
    #[n(1)]
    Offline,
}

//! What a backup holds: contacts with their intro secrets, groups with their ops, conversations with every event, and
//! where mail was kept.
//!
//! No private key of a device, no session, chain, gossip secret or prekey: a restored device is a new one, which replaces
//! the one that wrote the backup on the account's device list. [`page`] reads a backup from the rows of a running account;
//! [`Restoring`] makes the rows of the new device. The API calls the one, whoever restores the other.

mod page;
mod restore;

pub use page::{Cursor, Page, page};
pub use restore::{RestoreError, Restoring};

use super::rows::{
    ChatRow, ContactRow, DeviceRow, EventRow, GroupRow, ListRow, MailboxRow, MemberRow, OpRow, PeerRow, ReceiptRow,
    TimerRow, VoucherRow,
};
use crate::protocol::{
    identity::SignedList,
    ids::{AccountId, ChatId, DeviceId, OpId},
    time::Millis,
};
use minicbor::{Decode, Encode, bytes::ByteVec};

/// One thing that a backup holds. They come in the order of their numbers, those of the last kind on one another.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(flat)]
pub enum Kept {
    /// Whose backup it is; the first item of every backup.
    #[n(0)]
    Own(#[n(0)] KeptOwn),
    /// Another account one knows of.
    #[n(1)]
    Contact(#[n(0)] ContactRow),
    /// A device of another account, without its sessions.
    #[n(2)]
    Device(#[n(0)] DeviceRow),
    /// The newest device list seen of an account.
    #[n(3)]
    List(#[n(0)] AccountId, #[n(1)] ListRow),
    /// Where the maker of a link is that was not reached yet.
    #[n(4)]
    Peer(#[n(0)] PeerRow),
    /// A node that keeps mail.
    #[n(5)]
    Mailbox(#[n(0)] MailboxRow),
    /// A group.
    #[n(6)]
    Group(#[n(0)] GroupRow),
    /// An op of a group; each after all of its past.
    #[n(7)]
    Op(#[n(0)] OpId, #[n(1)] OpRow),
    /// A member of a group, or one that was.
    #[n(8)]
    Member(#[n(0)] OpId, #[n(1)] MemberRow),
    /// The event in which a member said its name.
    #[n(9)]
    Voucher(#[n(0)] OpId, #[n(1)] AccountId, #[n(2)] VoucherRow),
    /// A conversation, and how long messages last in it.
    #[n(10)]
    Chat(#[n(0)] ChatRow, #[n(1)] Option<TimerRow>),
    /// What is held of another device's events, or (with one's own device that wrote them) what another confirmed.
    #[n(11)]
    Receipt(#[n(0)] ChatId, #[n(1)] Option<DeviceId>, #[n(2)] ReceiptRow),
    /// An event, its original bytes, and whether it is shown.
    #[n(12)]
    Event(#[n(0)] EventRow, #[n(1)] Option<ByteVec>, #[n(2)] bool),
}

impl Kept {
    /// Its number among the kinds.
    fn section(&self) -> u8 {
        match self {
            Self::Own(..) => 0,
            Self::Contact(..) => 1,
            Self::Device(..) => 2,
            Self::List(..) => 3,
            Self::Peer(..) => 4,
            Self::Mailbox(..) => 5,
            Self::Group(..) => 6,
            Self::Op(..) => 7,
            Self::Member(..) => 8,
            Self::Voucher(..) => 9,
            Self::Chat(..) => 10,
            Self::Receipt(..) => 11,
            Self::Event(..) => 12,
        }
    }
}

/// Whose backup it is.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct KeptOwn {
    /// The account.
    #[n(0)]
    pub account: AccountId,
    /// The device that wrote the backup, and those it had replaced.
    #[n(1)]
    pub devices: Vec<DeviceId>,
    /// The account's newest device list.
    #[n(2)]
    pub list: SignedList,
    /// The display name.
    #[n(3)]
    pub name: String,
    /// When it was chosen.
    #[n(4)]
    pub name_chosen: Millis,
    /// When the backup was begun.
    #[n(5)]
    pub made: Millis,
}

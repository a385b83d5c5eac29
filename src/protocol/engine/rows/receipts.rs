//! What devices confirmed of a conversation.

use super::Row;
use crate::protocol::{
    delivery::Numbers,
    ids::{AccountId, ChatId, DeviceId},
    view::{Key, Table, ViewError},
    wire,
};
use minicbor::{Decode, Encode, bytes::ByteVec};

/// What a device holds of mine, or I of a device's, in one conversation.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ReceiptRow {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// Its account.
    #[n(1)]
    pub account: AccountId,
    /// Durable there (for [`Side::Theirs`]) or here: encoded `Vector`.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub held: Vec<u8>,
    /// The highest number that was read.
    #[n(3)]
    pub read: u64,
    /// Of one's own reading, the highest number that its author may know of: what was told once stays told.
    #[n(4)]
    pub told: Option<u64>,
    /// Whether more is here than the numbers have room for.
    #[n(5)]
    pub full: Option<bool>,
    /// Encoded `Numbers` of what is known to the author as read; in a row from before there was this, all held up to
    /// the highest. What comes late stands below that number and is not among these until it is read.
    #[n(6)]
    pub seen: Option<ByteVec>,
    /// Encoded `Numbers` of those that are void there or here, where there are any: see `voids.rs`.
    #[n(7)]
    pub void: Option<ByteVec>,
}

/// Whose knowledge a receipt row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What another's device confirmed of this device's events.
    Theirs,
    /// What another's device confirmed of the events of a device of the own account that this one replaced.
    TheirsOf(DeviceId),
    /// What is here of another device's events.
    Ours,
}

impl Row for ReceiptRow {
    const TABLE: Table = Table::Receipt;
}

impl ReceiptRow {
    /// Of a device of which nothing is held or confirmed.
    pub fn new(device: DeviceId, account: AccountId) -> Self {
        let held = wire::encode(&Numbers::from_base(1));
        Self { device, account, held, read: 0, told: None, full: None, seen: None, void: None }
    }

    /// The numbers, parsed.
    pub fn numbers(&self) -> Result<Numbers, ViewError> {
        wire::decode(&self.held, "numbers").map_err(|_| ViewError::Damaged(Self::TABLE))
    }

    /// Those that are void.
    pub fn void(&self) -> Result<Numbers, ViewError> {
        let Some(void) = &self.void else { return Ok(Numbers::from_base(1)) };
        wire::decode(void, "numbers").map_err(|_| ViewError::Damaged(Self::TABLE))
    }

    /// What its author knows as read, where `told` is the highest number that a row from before this was kept tells of.
    pub fn seen(&self, told: u64) -> Result<Numbers, ViewError> {
        match &self.seen {
            Some(seen) => wire::decode(seen, "numbers").map_err(|_| ViewError::Damaged(Self::TABLE)),
            None => Ok(self.numbers()?.up_to(told)),
        }
    }

    /// By chat, side and device.
    pub fn key(chat: ChatId, side: Side, device: DeviceId) -> Key {
        Key::named(Self::TABLE, Self::scope(chat, side), device)
    }

    /// All of one side in a chat.
    pub fn scope(chat: ChatId, side: Side) -> Vec<u8> {
        match side {
            Side::Theirs => [&chat.0[..], &[0]].concat(),
            Side::Ours => [&chat.0[..], &[1]].concat(),
            Side::TheirsOf(former) => [&chat.0[..], &[2], &former.0].concat(),
        }
    }
}

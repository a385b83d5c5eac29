//! The events of a conversation in the order in which they are compared, and their sums by blocks, so that a comparison
//! reads few of them.

use super::Row;
use crate::protocol::{
    ids::{ChatId, DeviceId, OpId},
    sync::{Tally, ranges::Bound},
    view::{Key, Table},
};
use minicbor::{Decode, Encode, bytes::ByteArray};

/// Which devices have an event in their scope is the same for all events of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct ClassId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// What decides whose scope an event is in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Class {
    /// In a 1-on-1 chat: the device that wrote it.
    #[n(0)]
    pub author: Option<DeviceId>,
    /// In a group: the membership heads that it names.
    #[n(1)]
    pub heads: Vec<OpId>,
}

/// A class of events that a conversation has.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ClassRow {
    /// Its name.
    #[n(0)]
    pub id: ClassId,
    /// What it is.
    #[n(1)]
    pub class: Class,
}

impl Row for ClassRow {
    const TABLE: Table = Table::Order;
}

impl ClassRow {
    /// By chat and class.
    pub fn key(chat: ChatId, id: ClassId) -> Key {
        Key::named(Self::TABLE, Self::scope(chat), id.0)
    }

    /// All of a chat.
    pub fn scope(chat: ChatId) -> Vec<u8> {
        [&chat.0[..], b"class"].concat()
    }
}

/// An event in the order of signed clock and id, which are its key.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct OrderRow(#[n(0)] pub ClassId);

impl Row for OrderRow {
    const TABLE: Table = Table::Order;
}

impl OrderRow {
    /// By chat and place in the order.
    pub fn key(chat: ChatId, at: &Bound) -> Key {
        Key::at(Self::TABLE, Self::scope(chat), at)
    }

    /// All of a chat.
    pub fn scope(chat: ChatId) -> Vec<u8> {
        [&chat.0[..], b"event"].concat()
    }
}

/// The sums of the events from one place in the order, which is its key, up to the next block.
#[derive(Debug, Clone, Default, Encode, Decode)]
#[cbor(map)]
pub struct SumRow {
    /// Events and the sum of their ids, by class.
    #[n(0)]
    pub tallies: Vec<(ClassId, u64, ByteArray<32>)>,
}

impl Row for SumRow {
    const TABLE: Table = Table::Order;
}

impl SumRow {
    /// By chat and beginning.
    pub fn key(chat: ChatId, from: &Bound) -> Key {
        Key::at(Self::TABLE, Self::scope(chat), from)
    }

    /// All of a chat.
    pub fn scope(chat: ChatId) -> Vec<u8> {
        [&chat.0[..], b"block"].concat()
    }

    /// Events in it.
    pub fn count(&self) -> u64 {
        self.tallies.iter().fold(0, |sum, (_, count, _)| sum.saturating_add(*count))
    }

    /// The sums of the classes that are wanted.
    pub fn tally(&self, wanted: impl Fn(&ClassId) -> bool) -> Tally {
        let mut tally = Tally::default();
        for (_, count, sum) in self.tallies.iter().filter(|(class, ..)| wanted(class)) {
            tally.join(&Tally { count: *count, sum: **sum });
        }
        tally
    }

    /// Takes events of one class in.
    pub fn join(&mut self, class: ClassId, more: &Tally) {
        let at = self.tallies.iter().position(|(held, ..)| *held == class);
        let mut tally = *more;
        if let Some((_, count, sum)) = at.map(|at| self.tallies.swap_remove(at)) {
            tally.join(&Tally { count, sum: *sum });
        }
        self.tallies.push((class, tally.count, tally.sum.into()));
    }
}

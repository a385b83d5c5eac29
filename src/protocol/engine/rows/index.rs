//! The index of a chat's texts: what is in it, and its parts.
//!
//! A message stands behind the index (its place is after [`IndexRow::upto`]), or it is a stray (it came or moved to a place
//! before that), or a segment names its place. A segment may name places where nothing stands any more.

use super::Row;
use crate::protocol::{
    ids::{ChatId, EventId},
    view::{Key, Table},
};
use minicbor::{Decode, Encode, bytes::ByteVec};

/// How far the index of a chat is.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct IndexRow {
    /// What the grams of this chat are hashed under.
    #[n(0)]
    pub secret: u64,
    /// Every message up to this place is a stray or in a segment.
    #[n(1)]
    pub upto: Option<ByteVec>,
    /// How many strays there are.
    #[n(2)]
    pub strays: u64,
    /// The number of the next segment.
    #[n(3)]
    pub next: u64,
    /// How many segments are blocks.
    #[n(4)]
    pub blocks: u64,
    /// How far the oldest blocks have become one large segment.
    #[n(5)]
    pub merging: Option<Merging>,
}

/// Blocks on their way into a large segment.
#[derive(Debug, Clone, Copy, Encode, Decode)]
#[cbor(map)]
pub struct Merging {
    /// The number of the large segment.
    #[n(0)]
    pub into: u64,
    /// The next bucket of the blocks.
    #[n(1)]
    pub bucket: u16,
}

impl Row for IndexRow {
    const TABLE: Table = Table::Segment;
}

impl IndexRow {
    /// By chat.
    pub fn key(chat: ChatId) -> Key {
        Key::named(Self::TABLE, b"", chat)
    }

    /// Whether a place is behind the index.
    pub fn is_behind(&self, place: &[u8]) -> bool {
        self.upto.as_ref().is_none_or(|upto| place > upto.as_slice())
    }
}

/// One segment: some messages of a chat and who of them has which gram.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct SegmentRow {
    /// Its number in the chat.
    #[n(0)]
    pub no: u64,
    /// What it is.
    #[n(1)]
    pub size: SegmentSize,
    /// The least effective clock in it.
    #[n(2)]
    pub from: u64,
    /// The greatest.
    #[n(3)]
    pub to: u64,
}

/// What a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum SegmentSize {
    /// Up to 256 messages.
    #[n(0)]
    Block,
    /// 64 blocks.
    #[n(1)]
    Large,
}

impl Row for SegmentRow {
    const TABLE: Table = Table::Segment;
}

impl SegmentRow {
    /// By chat, its latest message and its number.
    pub fn key(&self, chat: ChatId) -> Key {
        Key::at(Self::TABLE, chat, [self.to.to_be_bytes(), self.no.to_be_bytes()].concat())
    }
}

/// A message that stands before the end of the index and is in no segment.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct StrayRow(#[n(0)] pub EventId);

impl Row for StrayRow {
    const TABLE: Table = Table::Segment;
}

impl StrayRow {
    /// By chat and place.
    pub fn key(chat: ChatId, place: &[u8]) -> Key {
        Key::at(Self::TABLE, Self::scope(chat), place)
    }

    /// All of a chat.
    pub fn scope(chat: ChatId) -> Vec<u8> {
        [&chat.0[..], b"stray"].concat()
    }
}

/// A bucket of postings, or the beginnings of places that the numbers of a block stand for.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(transparent)]
pub struct IndexPart(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

impl Row for IndexPart {
    const TABLE: Table = Table::Postings;
}

impl IndexPart {
    /// A bucket of a segment.
    pub fn bucket(chat: ChatId, segment: u64, bucket: u16) -> Key {
        Self::part(chat, segment, 0, bucket)
    }

    /// The places of a block of a segment; a block has only the first.
    pub fn places(chat: ChatId, segment: u64, block: u16) -> Key {
        Self::part(chat, segment, 1, block)
    }

    fn part(chat: ChatId, segment: u64, kind: u8, number: u16) -> Key {
        let scope = [&chat.0[..], &segment.to_be_bytes()].concat();
        Key::at(Self::TABLE, scope, [&[kind][..], &number.to_be_bytes()].concat())
    }
}

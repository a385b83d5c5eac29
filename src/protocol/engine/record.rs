//! What is said inside a session: the records that envelopes carry.
//!
//! A record speaks only for the device of its session. Kinds from newer versions decode to nothing and are passed over.

use crate::protocol::{
    crypto::{envelope::Tag, kdf::hash, secret::Secret},
    ids::{AccountId, ChatId, DeviceId, EventId, OpId},
    time::Millis,
    wire::{decode, encode},
};
use minicbor::{Decode, Encode, bytes::ByteVec};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Record {
    /// "May I be your contact?", the first thing said under a ticket; with the own name and when it was chosen.
    #[n(0)]
    Request(#[n(0)] String, #[n(1)] Millis),
    /// "You are my contact now." With the same.
    #[n(1)]
    Accepted(#[n(0)] String, #[n(1)] Millis),
    /// "My name is now this", and when it was chosen: what was lost on the way comes later than what was said after it.
    #[n(2)]
    Profile(#[n(0)] String, #[n(1)] Millis),
    /// An event of the 1-on-1 chat.
    #[n(3)]
    Event(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// What is durable here, and what was read.
    #[n(4)]
    Receipt(#[n(0)] Receipt),
    /// This device's newest bundle.
    #[n(5)]
    Bundle(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// "Come into this group": its id, name, and when it was said (so that a second invitation is another one).
    #[n(6)]
    Invite(#[n(0)] OpId, #[n(1)] String, #[n(2)] Millis),
    /// The answer: a signed Join.
    #[n(7)]
    Join(#[n(0)] OpId, #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>),
    /// Membership ops of a group, past before future.
    #[n(8)]
    Ops(#[n(0)] OpId, #[n(1)] Vec<ByteVec>),
    /// A gossip secret of a group, and the signed op that made it.
    #[n(9)]
    GossipSecret(#[n(0)] OpId, #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>, #[n(2)] Secret),
    /// A sender chain of the speaking device, encoded `ChainKey`.
    #[n(10)]
    Chain(#[n(0)] OpId, #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>),
    /// "This is what I have of the group; give me the rest."
    #[n(11)]
    Have(#[n(0)] Have),
    /// Original bytes of group events.
    #[n(12)]
    Events(#[n(0)] OpId, #[n(1)] Vec<ByteVec>),
    /// "I hold these events but not their keys": ids.
    #[n(13)]
    KeysWanted(#[n(0)] OpId, #[n(1)] Vec<EventId>),
    /// The keys of single events.
    #[n(14)]
    Keys(#[n(0)] OpId, #[n(1)] Vec<(EventId, Secret)>),
    /// "My boxes are these now": this device's newest bundle, kept until it is confirmed, since who does not know them can
    /// leave no mail.
    #[n(15)]
    Boxes(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// "I hold ops whose past I lack": the newest ops that are known.
    #[n(16)]
    OpsWanted(#[n(0)] OpId, #[n(1)] Vec<OpId>),
    /// "I am in no such group": to a contact that takes this account for a member.
    #[n(17)]
    Outside(#[n(0)] OpId),
    /// "What are these members called?"
    #[n(48)]
    NamesWanted(#[n(0)] OpId, #[n(1)] Vec<AccountId>),
    /// Events in which members said their names, and the keys that open them.
    #[n(49)]
    Names(#[n(0)] OpId, #[n(1)] Vec<(ByteVec, Secret)>),
    /// One message of a comparison of a conversation's events: how many were before it, and encoded `Ranges`.
    #[n(40)]
    Compare(#[n(0)] ChatId, #[n(1)] u16, #[cbor(n(2), with = "minicbor::bytes")] Vec<u8>),
    /// "Give me these events."
    #[n(41)]
    Wanted(#[n(0)] ChatId, #[n(1)] Vec<EventId>),
    /// A part of the answer.
    #[n(42)]
    Given(#[n(0)] Given),
}

/// Events that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Given {
    /// Of which conversation.
    #[n(0)]
    pub chat: ChatId,
    /// Original bytes. In a 1-on-1 chat there are none: what is given is said again in envelopes of its own.
    #[n(1)]
    pub events: Vec<ByteVec>,
    /// Those that are not here, or not for who asks.
    #[n(2)]
    pub lacking: Vec<EventId>,
    /// Whether this ends the answer. What was asked for and is not in it may be asked for again.
    #[n(3)]
    pub last: bool,
    /// What is signed of events whose bodies are not here any more, encoded `Stub`; at most
    /// [`MAX_STUBS_TOLD`](crate::protocol::wire::limits::MAX_STUBS_TOLD).
    #[n(4)]
    #[cbor(default)]
    pub stubs: Vec<ByteVec>,
}

/// What is durable here of the other's (or, in a group, of the author's) events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Receipt {
    /// For each conversation: the numbers that are here and the highest that was read.
    #[n(0)]
    pub chats: Vec<ChatReceipt>,
    /// Positions of sessions whose records are durable or were judged for good: (sid, epoch, index).
    #[n(1)]
    pub positions: Vec<Position>,
    /// Positions that cannot be opened any more: seal anew.
    #[n(2)]
    pub lost: Vec<Position>,
    /// Tags of envelopes, left at a mailbox by the other, for which no session is known here: seal anew.
    #[n(3)]
    pub unknown: Option<Vec<Tag>>,
}

/// The receipt of one conversation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ChatReceipt {
    /// Which.
    #[n(0)]
    pub chat: ChatId,
    /// Whose events: the device that the receipt goes to.
    #[n(1)]
    pub author: DeviceId,
    /// Encoded `Vector` of the numbers that are durable here.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub held: Vec<u8>,
    /// The highest number read here, if the reader tells.
    #[n(3)]
    pub read: Option<u64>,
    /// Encoded `Numbers` of what was read, where that is not all of `held` up to `read`.
    #[n(4)]
    pub seen: Option<ByteVec>,
    /// Encoded `Numbers` of those of `held` under which only that a message was withdrawn is held, where there are any.
    #[n(5)]
    pub void: Option<ByteVec>,
}

/// A position of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Position {
    /// The session.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub sid: [u8; 16],
    /// The epoch.
    #[n(1)]
    pub epoch: u32,
    /// The place in it.
    #[n(2)]
    pub index: u32,
}

/// What a member has of a group.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Have {
    /// The group.
    #[n(0)]
    pub group: OpId,
    /// The newest ops it knows.
    #[n(1)]
    pub heads: Vec<OpId>,
    /// The numbers of the other's events that are durable here, encoded `Numbers`: a receipt. None where there are none.
    #[n(2)]
    pub held: Option<ByteVec>,
    /// H of the gossip secrets it holds that it would use.
    #[n(3)]
    pub secrets: Vec<ByteVec>,
    /// Whether this answers another's `Have`, so that two of them end the exchange.
    #[n(4)]
    pub answer: bool,
}

impl Record {
    /// The record in the bytes of an envelope; `None` for what this version does not know.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        decode(bytes, "record").ok()
    }

    /// Whether it may be said between members who are no contacts.
    pub fn is_of_a_group(&self) -> bool {
        !matches!(
            self,
            Self::Request(..)
                | Self::Accepted(..)
                | Self::Profile(..)
                | Self::Event(_)
                | Self::Invite(..)
                | Self::Outside(_)
        )
    }

    /// Whether it is taken from a blocked account too: what the members of a common group owe each other, so that the
    /// group's order stays whole. Nothing of this is shown.
    pub fn passes_a_block(&self) -> bool {
        self.is_of_a_group() && !matches!(self, Self::Join(..))
    }

    /// Whether it is kept for a device as that of a member, whatever else it is.
    pub fn is_owed_to_members(&self) -> bool {
        matches!(
            self,
            Self::Ops(..)
                | Self::GossipSecret(..)
                | Self::Chain(..)
                | Self::Events(..)
                | Self::KeysWanted(..)
                | Self::OpsWanted(..)
                | Self::Keys(..)
        )
    }

    /// Whether its sender may keep it in an outbox until it is confirmed. The others are said once, and a receipt of a
    /// receipt would never end.
    pub fn is_kept(&self) -> bool {
        !matches!(
            self,
            Self::Receipt(_)
                | Self::Bundle(_)
                | Self::Have(_)
                | Self::Outside(_)
                | Self::NamesWanted(..)
                | Self::Names(..)
                | Self::Compare(..)
                | Self::Wanted(..)
                | Self::Given(_)
        )
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

/// By what a control record is found in an outbox: the same content twice is one.
pub fn control_id(record: &[u8]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&hash(&[record])[..16]);
    id
}

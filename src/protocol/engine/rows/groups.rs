//! Groups: ops, keys, held events and members.

use super::Row;
use crate::protocol::{
    crypto::secret::Secret,
    group::{ChainId, GroupMailbox, ReceiverChain, SenderChain},
    identity::bundle::BoxId,
    ids::{AccountId, DeviceId, EventId, OpId, TransportKey},
    time::Millis,
    view::{Key, Table},
};
use minicbor::{Decode, Encode};

/// A group, as this account stands in it.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct GroupRow {
    /// Its id: that of its Create op.
    #[n(0)]
    pub group: OpId,
    /// The name as last known.
    #[n(1)]
    pub name: String,
    /// The own place in it.
    #[n(2)]
    pub state: GroupState,
    /// Who invited.
    #[n(3)]
    pub inviter: Option<AccountId>,
    /// How many ops are kept.
    #[n(4)]
    pub ops: u64,
    /// When it came here.
    #[n(6)]
    pub since: Millis,
    /// How many events are held without their keys.
    #[n(8)]
    pub held: u64,
    /// Whom this device invited and has not added yet.
    #[n(9)]
    pub invited: Vec<AccountId>,
    /// The mailboxes that keep its log, as the ops say now; a copy for views.
    #[n(10)]
    #[cbor(default)]
    pub mailboxes: Vec<GroupMailbox>,
    /// Members whose older store knows nothing of that: whom this device asked in again and who did not answer yet.
    #[cbor(n(11), default)]
    pub asked_again: Vec<AccountId>,
    /// Members of whose devices another took the place: what those left in logs is heard until these were read once.
    #[cbor(n(12), default)]
    pub late: Vec<LateInLogs>,
}

/// A member with another device now.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LateInLogs {
    /// The account. Between the device that was known and the one of now there may have been others.
    #[n(0)]
    pub account: AccountId,
    /// Since when this is known here.
    #[n(1)]
    pub since: Millis,
    /// Logs that were not read to their end since.
    #[n(2)]
    pub unread: Vec<(TransportKey, BoxId)>,
}

/// The own place in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum GroupState {
    /// Invited; not answered.
    #[n(0)]
    Invited,
    /// Accepted; the inviter has not added us yet.
    #[n(1)]
    Joining,
    /// A member.
    #[n(2)]
    Joined,
    /// Left by oneself.
    #[n(3)]
    Left,
    /// Removed by another.
    #[n(4)]
    Removed,
    /// The invitation was declined.
    #[n(5)]
    Declined,
}

impl Row for GroupRow {
    const TABLE: Table = Table::Group;
}

impl GroupRow {
    /// By group.
    pub fn key(group: OpId) -> Key {
        Key::named(Self::TABLE, b"", group)
    }
}

/// A membership op, in the order of arrival.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct OpRow {
    /// The signed bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// When it came here.
    #[n(1)]
    pub arrived: Millis,
}

impl Row for OpRow {
    const TABLE: Table = Table::Op;
}

impl OpRow {
    /// By group and place.
    pub fn key(group: OpId, place: u64) -> Key {
        Key::at(Self::TABLE, group, place.to_be_bytes())
    }
}

/// A gossip secret of a group.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct GossipSecretRow {
    /// The op that made it.
    #[n(0)]
    pub op: OpId,
    /// The secret.
    #[n(1)]
    pub secret: Secret,
    /// When it came here.
    #[n(2)]
    pub arrived: Millis,
}

impl Row for GossipSecretRow {
    const TABLE: Table = Table::GroupSecret;
}

impl GossipSecretRow {
    /// By group and op.
    pub fn key(group: OpId, op: OpId) -> Key {
        Key::named(Self::TABLE, group, op)
    }
}

/// The own sender chain of a group.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct OwnChainRow {
    /// The chain.
    #[n(0)]
    pub chain: SenderChain,
    /// The devices it was given to.
    #[n(1)]
    pub given: Vec<DeviceId>,
}

impl Row for OwnChainRow {
    const TABLE: Table = Table::Chain;
}

impl OwnChainRow {
    /// By group.
    pub fn key(group: OpId) -> Key {
        Key::named(Self::TABLE, group, b"own")
    }
}

/// Another device's sender chain.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct ChainRow {
    /// The chain.
    #[n(0)]
    pub chain: ReceiverChain,
    /// When it came here.
    #[n(1)]
    pub arrived: Millis,
}

impl Row for ChainRow {
    const TABLE: Table = Table::Chain;
}

impl ChainRow {
    /// By group, device and chain.
    pub fn key(group: OpId, device: DeviceId, chain: ChainId) -> Key {
        Key::named(Self::TABLE, Self::scope(group, device), chain.0)
    }

    /// All of a device in a group.
    pub fn scope(group: OpId, device: DeviceId) -> Vec<u8> {
        [&group.0[..], b"in", &device.0].concat()
    }

    /// The scope of its skipped keys.
    pub fn skipped_scope(device: DeviceId, chain: ChainId) -> Vec<u8> {
        [&device.0[..], &chain.0].concat()
    }
}

/// What a group event waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(flat)]
pub enum Waits {
    /// Ops that it names, or its author's bundle.
    #[n(0)]
    Heads,
    /// This chain of this device, or the event's own key.
    #[n(1)]
    Chain(#[n(0)] DeviceId, #[n(1)] ChainId),
    /// An event of a member that follows it: its author's device is no member's now.
    #[n(2)]
    Follower,
}

/// A group event that cannot be placed yet.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct HeldRow {
    /// Its id.
    #[n(0)]
    pub id: EventId,
    /// Its bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// When it came.
    #[n(2)]
    pub since: Millis,
    /// What it waits for.
    #[n(3)]
    pub waits: Waits,
}

impl Row for HeldRow {
    const TABLE: Table = Table::Held;
}

impl HeldRow {
    /// By group and event.
    pub fn key(group: OpId, id: EventId) -> Key {
        Key::named(Self::TABLE, group, id)
    }
}

/// The event in which a member said the name it has here, and the key that opens it: its owner's word, to pass on.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct VoucherRow {
    /// The signed event.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub event: Vec<u8>,
    /// Its key.
    #[n(1)]
    pub key: Secret,
}

impl Row for VoucherRow {
    const TABLE: Table = Table::Voucher;
}

impl VoucherRow {
    /// By group and account.
    pub fn key(group: OpId, account: AccountId) -> Key {
        Key::named(Self::TABLE, group, account)
    }
}

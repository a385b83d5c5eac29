//! Groups: ops, keys, held events and members.

use super::Row;
use crate::protocol::{
    crypto::secret::Secret,
    group::{ChainId, GroupMailbox, ReceiverChain, Role, SenderChain},
    ids::{AccountId, DeviceId, EventId, OpId},
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

/// A member of a group, as the ops say now; a copy for views.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MemberRow {
    /// Who.
    #[n(0)]
    pub account: AccountId,
    /// Its role; the last one for a former member.
    #[n(1)]
    pub role: Role,
    /// The name it gave itself in this group.
    #[n(2)]
    pub name: Option<String>,
    /// Whether it is a member now (rows of former ones stay for the names in the history).
    #[n(3)]
    pub current: bool,
    /// Its devices now.
    #[n(4)]
    pub devices: Vec<DeviceId>,
    /// The number of its event that said the name; 0 where none did.
    #[n(5)]
    pub named_by: u64,
    /// The first of this device's events that is meant for it: what was written before it came is not.
    #[n(6)]
    #[cbor(default)]
    pub from_no: u64,
    /// The op that made it a member; `from_no` is by this one.
    #[n(7)]
    pub joined: Option<OpId>,
    /// Whether its own device said the name to this account, and so says any later one. Else others said it, and there may
    /// be a newer one that was not meant for this account.
    #[n(8)]
    #[cbor(default)]
    pub name_sure: bool,
    /// The device that said the name.
    #[n(9)]
    pub named_on: Option<DeviceId>,
    /// The same as `from_no` for the devices that this one replaced. Who is not named here came after them.
    #[cbor(n(10), default)]
    pub from_before: Vec<(DeviceId, u64)>,
    /// The newest ops that its devices named in events, or when they compared, up to
    /// [`MAX_HEADS`](crate::protocol::wire::limits::MAX_HEADS) of each: these, and what they were made after, they have.
    #[cbor(n(11), default)]
    pub heads: Vec<(DeviceId, Vec<OpId>)>,
    /// Of who was a member before: the first of this device's events that was meant for it then.
    #[n(12)]
    pub from_no_then: Option<u64>,
}

impl Row for MemberRow {
    const TABLE: Table = Table::Bundle;
}

impl MemberRow {
    /// The first event of an own device that is meant for it.
    pub fn first_meant(&self, own: DeviceId, author: DeviceId) -> u64 {
        if author == own { self.from_no } else { self.first_meant_of(author) }
    }

    /// The first event of this device that was ever meant for it.
    pub fn first_ever_meant(&self) -> u64 {
        self.from_no_then.map_or(self.from_no, |then| then.min(self.from_no))
    }

    /// The same as `first_meant` of a device that this one replaced.
    pub fn first_meant_of(&self, former: DeviceId) -> u64 {
        self.from_before.iter().find(|(device, _)| *device == former).map_or(u64::MAX, |(_, no)| *no)
    }

    /// By group and account.
    pub fn key(group: OpId, account: AccountId) -> Key {
        Key::named(Self::TABLE, group, account)
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

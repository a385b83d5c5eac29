//! Membership ops: who made which change to a group, after which others, signed by a device.
//!
//! A device is named by its key DK, so an op's signature needs nothing else to be checked. That the device belongs to the
//! account is a matter of certificates signed by the account key; they travel as bundles inside Create, Add and Devices
//! ops, opaque here, and [`Certificates`] reads them. [`SignedOp::verify`] proves signatures and certificates; whether an
//! op *counts* is for [`resolve`](super::resolve) to say.

use crate::protocol::{
    crypto::{
        kdf::hash,
        sign::{BadSignature, Signature, SigningKey, Verified},
    },
    event::ascends,
    identity::{
        bundle::Address,
        record::{JOIN, OP},
    },
    ids::{AccountId, DeviceId, EventId, OpId, TransportKey},
    time::Millis,
    wire::{
        Malformed, decode, encode,
        limits::{MAX_DEVICES, MAX_GROUP_MAILBOXES, MAX_HEADS, MAX_MAILBOX_ADDRESSES, MAX_NAME, MAX_OP},
    },
};
use minicbor::{Decode, Encode};

const WHAT: &str = "membership op";

/// What an op says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// The group: the id of its Create; none in Create itself.
    pub group: Option<OpId>,
    /// The heads it was made at: up to [`MAX_HEADS`], ascending; none in Create.
    pub prev: Vec<OpId>,
    /// Who made it.
    pub account: AccountId,
    /// On which device, whose key signs it.
    pub device: DeviceId,
    /// The author's clock, for showing only.
    pub time: Millis,
    /// What it changes.
    pub action: Action,
}

/// A change to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The group begins; the author is its founder.
    Create {
        /// Its name and policy.
        meta: Meta,
        /// The founder's bundles.
        bundles: Vec<u8>,
    },
    /// A newcomer comes in, with consent and keys.
    Add(SignedJoin),
    /// A member goes.
    Remove(AccountId),
    /// A member becomes an admin or an admin a member.
    SetRole(AccountId, Role),
    /// Another becomes the founder, and the author first of the admins.
    HandOver(AccountId),
    /// Another name or policy.
    Meta(Meta),
    /// An account's present device list with the bundles of all its devices. Any member may pass one on.
    Devices(Vec<u8>),
    /// A new gossip secret; its hash is given, the secret goes by sessions.
    RotateGossipSecret([u8; 32]),
    /// The author goes. It names the last event of its device in this group, if there is one: what leads there was said
    /// before it went, whenever it comes.
    Leave(Option<EventId>),
    /// An action from a newer version: kept, without effect.
    Unknown {
        /// Its number.
        kind: u16,
        /// Its bytes, as they came.
        body: Vec<u8>,
    },
}

/// What SetRole gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Speaks and reads.
    #[n(0)]
    Member,
    /// Adds and removes as well.
    #[n(1)]
    Admin,
    /// The one who made the group, or to whom it was handed over. Never given by SetRole.
    #[n(2)]
    Founder,
}

/// A group's name and policy.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Meta {
    /// Its name, 1 to [`MAX_NAME`] bytes. Make it safe before showing it.
    #[n(0)]
    pub name: String,
    /// How much of what was said before a newcomer reads.
    #[n(1)]
    pub history: History,
    /// The mailboxes that keep its log, at most [`MAX_GROUP_MAILBOXES`].
    #[cbor(n(2), default, skip_if = "Vec::is_empty")]
    pub mailboxes: Vec<GroupMailbox>,
}

/// A mailbox that keeps a group's log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GroupMailbox {
    /// Its key on the network.
    #[n(0)]
    pub node: TransportKey,
    /// Whose node it is, as who named it knows.
    #[n(1)]
    pub account: AccountId,
    /// Where it may be reached, at most [`MAX_MAILBOX_ADDRESSES`].
    #[n(2)]
    pub addresses: Vec<Address>,
}

/// How many days of history a newcomer reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct History(#[n(0)] pub u32);

impl History {
    /// Newcomers read from their joining.
    pub const NOTHING: Self = Self(0);
    /// Newcomers read everything.
    pub const ALL: Self = Self(u32::MAX);
}

/// A newcomer's consent: to this group, by this inviter, with these keys. `time` makes each consent a new one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Join {
    /// The group.
    #[n(0)]
    pub group: OpId,
    /// The member whose Add may carry it.
    #[n(1)]
    pub inviter: AccountId,
    /// The newcomer.
    #[n(2)]
    pub account: AccountId,
    /// Its device that signs this.
    #[n(3)]
    pub device: DeviceId,
    /// When it was signed.
    #[n(4)]
    pub time: Millis,
    /// The bundles of the newcomer's devices.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub bundles: Vec<u8>,
}

/// A Join as signed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedJoin {
    join: Join,
    bytes: Vec<u8>,
    signature: Signature,
}

/// An op as signed bytes, well formed; nothing of it is proven yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedOp {
    id: OpId,
    op: Op,
    bytes: Vec<u8>,
    signature: Signature,
    devices: Option<Devices>,
}

/// An account's devices as its own key says them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    /// The account.
    pub account: AccountId,
    /// The list's number: the highest counts.
    pub list_seq: u64,
    /// The list's hash: of two with one number the lower counts.
    pub list_hash: [u8; 32],
    /// Every device on the list whose certificate the bundles prove. What is not among them is dropped.
    pub devices: Vec<DeviceId>,
}

/// Reads bundles: identity does.
pub trait Certificates {
    /// The devices that these bundles prove, all signatures checked; `None` where one does not hold, where they speak of
    /// several accounts, or of none.
    fn devices(&self, bundles: &[u8]) -> Option<Devices>;
}

/// Why an op is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// A signature does not hold.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// Bundles do not prove what the op claims of devices.
    #[error("an op's bundles do not prove its devices")]
    Certificates,
    /// The Join is for another group, inviter or newcomer.
    #[error("an Add carries a Join that was signed for something else")]
    Join,
    /// The op cannot be written.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl SignedOp {
    /// Signs an op with its device's key.
    pub fn sign(op: &Op, key: &SigningKey) -> Result<Self, Malformed> {
        let bytes = op.to_bytes();
        let signature = key.sign(OP, &[&bytes]);
        Self::parse(&encode(&Wire { bytes, signature }))
    }

    /// The op in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_OP {
            return Err(Malformed(WHAT));
        }
        let Wire { bytes, signature } = decode(bytes, WHAT)?;
        let op = Op::parse(&bytes)?;
        Ok(Self { id: OpId(hash(&[&bytes, &signature.0])), op, bytes, signature, devices: None })
    }

    /// As it travels and rests.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&Wire { bytes: self.bytes.clone(), signature: self.signature })
    }

    /// Its id: the hash of bytes and signature.
    pub fn id(&self) -> OpId {
        self.id
    }

    /// The group it speaks of: for Create its own id.
    pub fn group(&self) -> OpId {
        self.op.group.unwrap_or(self.id)
    }

    /// The devices it proves; known only of a verified op.
    pub fn devices(&self) -> Option<&Devices> {
        self.devices.as_ref()
    }

    /// Whether the device it names signed it. Enough to pass it on, not to take it in.
    pub fn signature_holds(&self) -> Result<(), BadSignature> {
        self.signature.verify(&self.op.device.0, OP, &[&self.bytes])
    }

    /// Checks the op's signature, its Join's, and the certificates it carries.
    pub fn verify(mut self, certificates: &impl Certificates) -> Result<Verified<Self>, OpError> {
        self.signature_holds()?;
        self.devices = match &self.op.action {
            Action::Create { bundles, .. } => {
                let devices = proven(certificates, bundles)?;
                if devices.account != self.op.account || !devices.devices.contains(&self.op.device) {
                    return Err(OpError::Certificates);
                }
                Some(devices)
            }
            Action::Add(join) => {
                if Some(join.group) != self.op.group || join.inviter != self.op.account {
                    return Err(OpError::Join);
                }
                Some(join.verify(certificates)?)
            }
            Action::Devices(bundles) => Some(proven(certificates, bundles)?),
            _ => None,
        };
        Ok(Verified::vouch(self))
    }
}

impl std::ops::Deref for SignedOp {
    type Target = Op;
    fn deref(&self) -> &Op {
        &self.op
    }
}

impl SignedJoin {
    /// Signs a Join with the key of the device it names.
    pub fn sign(join: Join, key: &SigningKey) -> Self {
        let bytes = encode(&join);
        let signature = key.sign(JOIN, &[&bytes]);
        Self { join, bytes, signature }
    }

    /// The Join in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_OP {
            return Err(Malformed("join"));
        }
        let Wire { bytes, signature } = decode(bytes, "join")?;
        let join: Join = decode(&bytes, "join")?;
        if join.time > Millis::MAX {
            return Err(Malformed("join"));
        }
        Ok(Self { join, bytes, signature })
    }

    /// As it travels.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&Wire { bytes: self.bytes.clone(), signature: self.signature })
    }

    /// Checks that one of the newcomer's own devices signed it; gives those devices.
    pub fn verify(&self, certificates: &impl Certificates) -> Result<Devices, OpError> {
        self.signature.verify(&self.join.device.0, JOIN, &[&self.bytes])?;
        let devices = proven(certificates, &self.join.bundles)?;
        if devices.account != self.join.account || !devices.devices.contains(&self.join.device) {
            return Err(OpError::Join);
        }
        Ok(devices)
    }
}

impl std::ops::Deref for SignedJoin {
    type Target = Join;
    fn deref(&self) -> &Join {
        &self.join
    }
}

impl Meta {
    /// A name of 1 to [`MAX_NAME`] bytes, and how much newcomers read.
    pub fn new(name: impl Into<String>, history: History) -> Result<Self, Malformed> {
        Self { name: name.into(), history, mailboxes: Vec::new() }.checked()
    }

    fn checked(self) -> Result<Self, Malformed> {
        if self.name.trim().is_empty() || self.name.len() > MAX_NAME {
            return Err(Malformed("group name"));
        }
        let far = |mailbox: &GroupMailbox| mailbox.addresses.len() > MAX_MAILBOX_ADDRESSES;
        if self.mailboxes.len() > MAX_GROUP_MAILBOXES || self.mailboxes.iter().any(far) {
            return Err(Malformed("group mailboxes"));
        }
        Ok(self)
    }
}

impl Op {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let wire: OpWire = decode(bytes, WHAT)?;
        let action = Action::parse(wire.kind, wire.body)?;
        let creates = matches!(action, Action::Create { .. });
        if wire.prev.len() > MAX_HEADS
            || !ascends(&wire.prev)
            || wire.time > Millis::MAX
            || creates != wire.group.is_none()
            || creates != wire.prev.is_empty()
        {
            return Err(Malformed(WHAT));
        }
        let OpWire { group, prev, account, device, time, .. } = wire;
        Ok(Self { group, prev, account, device, time, action })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let (kind, body) = self.action.to_wire();
        encode(&OpWire {
            group: self.group,
            prev: self.prev.clone(),
            account: self.account,
            device: self.device,
            time: self.time,
            kind,
            body,
        })
    }
}

const CREATE: u16 = 1;
const ADD: u16 = 2;
const REMOVE: u16 = 3;
const SET_ROLE: u16 = 4;
const HAND_OVER: u16 = 5;
const META: u16 = 6;
const DEVICES: u16 = 7;
const ROTATE: u16 = 8;
const LEAVE: u16 = 9;

impl Action {
    fn parse(kind: u16, body: Vec<u8>) -> Result<Self, Malformed> {
        Ok(match kind {
            CREATE => {
                let CreateWire { meta, bundles } = decode(&body, WHAT)?;
                Self::Create { meta: meta.checked()?, bundles }
            }
            ADD => Self::Add(SignedJoin::parse(&body)?),
            REMOVE => Self::Remove(decode(&body, WHAT)?),
            SET_ROLE => match decode(&body, WHAT)? {
                (_, Role::Founder) => return Err(Malformed(WHAT)),
                (account, role) => Self::SetRole(account, role),
            },
            HAND_OVER => Self::HandOver(decode(&body, WHAT)?),
            META => Self::Meta(decode::<Meta>(&body, WHAT)?.checked()?),
            DEVICES => Self::Devices(body),
            ROTATE => Self::RotateGossipSecret(body.try_into().map_err(|_| Malformed(WHAT))?),
            LEAVE if body.is_empty() => Self::Leave(None),
            LEAVE => Self::Leave(Some(EventId(body.try_into().map_err(|_| Malformed(WHAT))?))),
            kind => Self::Unknown { kind, body },
        })
    }

    fn to_wire(&self) -> (u16, Vec<u8>) {
        match self {
            Self::Create { meta, bundles } => {
                (CREATE, encode(&CreateWire { meta: meta.clone(), bundles: bundles.clone() }))
            }
            Self::Add(join) => (ADD, join.to_bytes()),
            Self::Remove(account) => (REMOVE, encode(account)),
            Self::SetRole(account, role) => (SET_ROLE, encode(&(account, role))),
            Self::HandOver(account) => (HAND_OVER, encode(account)),
            Self::Meta(meta) => (META, encode(meta)),
            Self::Devices(bundles) => (DEVICES, bundles.clone()),
            Self::RotateGossipSecret(hash) => (ROTATE, hash.to_vec()),
            Self::Leave(last) => (LEAVE, last.map(|last| last.0.to_vec()).unwrap_or_default()),
            Self::Unknown { kind, body } => (*kind, body.clone()),
        }
    }
}

fn proven(certificates: &impl Certificates, bundles: &[u8]) -> Result<Devices, OpError> {
    let devices = certificates.devices(bundles).ok_or(OpError::Certificates)?;
    if devices.devices.is_empty() || devices.devices.len() > MAX_DEVICES {
        return Err(OpError::Certificates);
    }
    Ok(devices)
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[cbor(n(0), with = "minicbor::bytes")]
    bytes: Vec<u8>,
    #[n(1)]
    signature: Signature,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct OpWire {
    #[n(0)]
    group: Option<OpId>,
    #[n(1)]
    prev: Vec<OpId>,
    #[n(2)]
    account: AccountId,
    #[n(3)]
    device: DeviceId,
    #[n(4)]
    time: Millis,
    #[n(5)]
    kind: u16,
    #[cbor(n(6), with = "minicbor::bytes")]
    body: Vec<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct CreateWire {
    #[n(0)]
    meta: Meta,
    #[cbor(n(1), with = "minicbor::bytes")]
    bundles: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::group::testing::{Fake, World, person};
    use proptest::prelude::*;

    #[test]
    fn an_op_comes_back_and_unknown_actions_are_kept() {
        let (founder, newcomer) = (person(0), person(1));
        let mut world = World::new(&founder);
        world.add(&founder, &newcomer);
        let actions = [
            Action::Remove(newcomer.account),
            Action::SetRole(newcomer.account, Role::Admin),
            Action::HandOver(newcomer.account),
            Action::Meta(Meta::new("others", History::ALL).unwrap()),
            Action::Devices(newcomer.bundles(3, &[0])),
            Action::RotateGossipSecret([7; 32]),
            Action::Leave(None),
            Action::Leave(Some(EventId([8; 32]))),
            Action::Unknown { kind: 4_000, body: vec![0xff] },
        ];
        for action in actions {
            world.op(&founder, action);
        }
        for op in world.graph.ops() {
            let back = SignedOp::parse(&op.to_bytes()).unwrap();
            assert_eq!((back.id(), &*back), (op.id(), &***op));
            assert!(back.verify(&Fake).is_ok());
        }
    }

    #[test]
    fn an_op_changed_in_any_byte_is_not_that_op() {
        let founder = person(0);
        let mut world = World::new(&founder);
        let id = world.op(&founder, Action::Remove(person(1).account));
        let bytes = world.graph.op(&id).unwrap().to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(SignedOp::parse(&changed).map_or(true, |op| op.verify(&Fake).is_err()), "byte {at}");
        }
    }

    #[test]
    fn a_consent_to_one_group_or_inviter_serves_no_other() {
        let (founder, other, newcomer) = (person(0), person(1), person(2));
        let (mut here, mut there) = (World::new(&founder), World::new(&other));
        let join = there.join(&other, &newcomer);
        let add = |join: SignedJoin, author: &crate::protocol::group::testing::Person| Op {
            group: Some(here.graph.group()),
            prev: here.graph.heads(),
            account: author.account,
            device: author.device(0),
            time: Millis(1),
            action: Action::Add(join),
        };
        let replayed = SignedOp::sign(&add(join, &founder), &founder.keys[0]).unwrap();
        assert_eq!(replayed.verify(&Fake).err(), Some(OpError::Join));
        let mut forged = here.clone().join(&founder, &newcomer);
        forged.signature = Signature([0; 64]);
        let forged = SignedOp::sign(&add(forged, &founder), &founder.keys[0]).unwrap();
        assert_eq!(forged.verify(&Fake).err(), Some(OpError::Signature(BadSignature)));
        let join = here.clone().join(&founder, &newcomer);
        let stolen = SignedOp::sign(&add(join, &other), &other.keys[0]).unwrap();
        assert_eq!(stolen.verify(&Fake).err(), Some(OpError::Join));
        here.add(&founder, &newcomer);
    }

    #[test]
    fn a_create_must_prove_its_own_device() {
        let (founder, other) = (person(0), person(1));
        let meta = Meta::new("friends", History::NOTHING).unwrap();
        let action = Action::Create { meta, bundles: other.bundles(1, &[0]) };
        let (account, device) = (founder.account, founder.device(0));
        let op = Op { group: None, prev: vec![], account, device, time: Millis(0), action };
        let signed = SignedOp::sign(&op, &founder.keys[0]).unwrap();
        assert_eq!(signed.verify(&Fake).err(), Some(OpError::Certificates));
    }

    proptest! {
        #[test]
        fn no_bytes_make_an_op_or_join_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = SignedOp::parse(&bytes);
            let _ = SignedJoin::parse(&bytes);
            let _ = SignedOp::parse(&encode(&Wire { bytes, signature: Signature([0; 64]) }));
        }
    }
}

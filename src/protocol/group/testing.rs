//! People and groups for this module's tests.

use super::op::Join;
use super::*;
use crate::protocol::{
    crypto::{secret::Secret, sign::SigningKey, sign::Verified},
    ids::{AccountId, DeviceId, OpId},
    time::Millis,
    wire::{decode, encode},
};

/// An account with one device or more.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) account: AccountId,
    pub(super) keys: Vec<SigningKey>,
}

pub(super) fn person(n: u16) -> Person {
    let seed =
        |k: u8| SigningKey::from_seed(Secret::from(crate::protocol::crypto::kdf::hash(&[&n.to_be_bytes(), &[k]])));
    Person { account: AccountId(seed(255).public()), keys: (0..2).map(seed).collect() }
}

impl Person {
    pub(super) fn device(&self, k: usize) -> DeviceId {
        DeviceId(self.keys[k].public())
    }

    /// Bundles that prove these devices.
    pub(super) fn bundles(&self, seq: u64, devices: &[usize]) -> Vec<u8> {
        let devices: Vec<DeviceId> = devices.iter().map(|k| self.device(*k)).collect();
        encode(&(self.account, seq, devices))
    }
}

/// Reads the bundles above.
pub(super) struct Fake;

impl Certificates for Fake {
    fn devices(&self, bundles: &[u8]) -> Option<Devices> {
        let (account, list_seq, devices) = decode(bundles, "bundles").ok()?;
        Some(Devices { account, list_seq, list_hash: crate::protocol::crypto::kdf::hash(&[bundles]), devices })
    }
}

/// A group being made.
#[derive(Clone)]
pub(super) struct World {
    pub(super) graph: Graph,
    time: u64,
}

impl World {
    pub(super) fn new(founder: &Person) -> Self {
        let meta = Meta::new("friends", History::NOTHING).unwrap();
        let action = Action::Create { meta, bundles: founder.bundles(1, &[0, 1]) };
        let op = Op {
            group: None,
            prev: vec![],
            account: founder.account,
            device: founder.device(0),
            time: Millis(0),
            action,
        };
        Self { graph: Graph::new(sign(&op, &founder.keys[0])).unwrap(), time: 0 }
    }

    /// An op at these heads by the author's first device.
    pub(super) fn at(&mut self, prev: &[OpId], author: &Person, action: Action) -> OpId {
        self.by(prev, author, 0, action)
    }

    /// An op at these heads by one of the author's devices.
    pub(super) fn by(&mut self, prev: &[OpId], author: &Person, k: usize, action: Action) -> OpId {
        self.attempt(prev, author, k, action).expect("an author that its past knows")
    }

    /// The same; `None` where it is refused since its past does not know the author.
    pub(super) fn attempt(&mut self, prev: &[OpId], author: &Person, k: usize, action: Action) -> Option<OpId> {
        self.time += 1;
        let mut prev = prev.to_vec();
        prev.sort();
        prev.dedup();
        prev.truncate(8);
        let (account, device, time) = (author.account, author.device(k), Millis(self.time));
        let op = sign(&Op { group: Some(self.graph.group()), prev, account, device, time, action }, &author.keys[k]);
        let id = op.id();
        match self.graph.insert(op) {
            Err(GraphError::Unproven) => None,
            taken => {
                assert_eq!(taken, Ok(Inserted::New));
                Some(id)
            }
        }
    }

    /// An op at the present heads.
    pub(super) fn op(&mut self, author: &Person, action: Action) -> OpId {
        let heads = self.graph.heads();
        self.at(&heads, author, action)
    }

    pub(super) fn add(&mut self, author: &Person, newcomer: &Person) -> OpId {
        let join = self.join(author, newcomer);
        self.op(author, Action::Add(join))
    }

    pub(super) fn admin(&mut self, author: &Person, target: &Person) -> OpId {
        self.op(author, Action::SetRole(target.account, Role::Admin))
    }

    pub(super) fn join(&mut self, inviter: &Person, newcomer: &Person) -> SignedJoin {
        self.time += 1;
        let join = Join {
            group: self.graph.group(),
            inviter: inviter.account,
            account: newcomer.account,
            device: newcomer.device(0),
            time: Millis(self.time),
            bundles: newcomer.bundles(1, &[0, 1]),
        };
        SignedJoin::sign(join, &newcomer.keys[0])
    }

    pub(super) fn members(&self) -> Vec<AccountId> {
        self.graph.membership().members.into_keys().collect()
    }

    pub(super) fn has(&self, person: &Person) -> bool {
        self.members().contains(&person.account)
    }
}

pub(super) fn sign(op: &Op, key: &SigningKey) -> Verified<SignedOp> {
    SignedOp::sign(op, key).unwrap().verify(&Fake).unwrap()
}

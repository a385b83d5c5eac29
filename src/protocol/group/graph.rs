//! The set of a group's membership ops, closed under the past: an op is in only when all that it was made after is in.
//!
//! Who calls: the engine, which keeps ops whose past is missing and asks for it. All answers are functions of the set
//! alone, never of the order of arrival.

use super::{
    bits::Bits,
    op::{Action, SignedOp},
    resolve::{Member, Membership, resolve},
};
use crate::protocol::{
    crypto::sign::Verified,
    ids::{AccountId, DeviceId, OpId},
    wire::limits::{MAX_HEADS, MAX_HEADS_TOLD, MAX_OPS},
};
use std::collections::{BTreeMap, BTreeSet};

/// A group's ops.
#[derive(Debug, Clone)]
pub struct Graph {
    group: OpId,
    /// Each after all of its past.
    nodes: Vec<Node>,
    index: BTreeMap<OpId, usize>,
    heads: BTreeSet<OpId>,
    /// The Create and Adds that let an account in, counting or not.
    admitted: BTreeMap<AccountId, Vec<usize>>,
    /// The ops whose bundles prove a device of an account.
    proven: BTreeMap<(AccountId, DeviceId), Vec<usize>>,
    /// How many ops each device made.
    authored: BTreeMap<DeviceId, usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) op: Verified<SignedOp>,
    /// 1 + the greatest depth in prev; 0 for Create.
    pub(super) depth: u32,
    /// Its past with itself.
    pub(super) past: Bits,
}

/// What became of an op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is in now.
    New,
    /// It was in before.
    Known,
    /// It is not in: these, which it was made after, are not here. Keep it, and insert it again after them.
    Missing(Vec<OpId>),
}

/// Why an op can never be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A graph begins with a Create.
    #[error("a group begins with a Create op")]
    NotCreate,
    /// The op is of another group.
    #[error("an op of another group")]
    OtherGroup,
    /// The group has had [`MAX_OPS`] changes.
    #[error("the group has had {MAX_OPS} changes, which is all it can hold; start a new one")]
    Full,
    /// Nothing in the op's past lets its author in and proves the device: it can never count.
    #[error("the op's past knows neither its author nor the device")]
    Unproven,
}

/// These ops are named but not here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} membership ops are not here yet", .0.len())]
pub struct Missing(pub Vec<OpId>);

impl Graph {
    /// A group of one op.
    pub fn new(create: Verified<SignedOp>) -> Result<Self, GraphError> {
        if !matches!(create.action, Action::Create { .. }) {
            return Err(GraphError::NotCreate);
        }
        let group = create.id();
        let mut graph = Self {
            group,
            nodes: Vec::new(),
            index: BTreeMap::new(),
            heads: BTreeSet::new(),
            admitted: BTreeMap::new(),
            proven: BTreeMap::new(),
            authored: BTreeMap::new(),
        };
        graph.push(create, 0, Bits::default());
        Ok(graph)
    }

    /// Takes an op in, if its past is in.
    pub fn insert(&mut self, op: Verified<SignedOp>) -> Result<Inserted, GraphError> {
        if op.group() != self.group {
            return Err(GraphError::OtherGroup);
        }
        if self.contains(&op.id()) {
            return Ok(Inserted::Known);
        }
        let (past, depth) = match self.gather(&op.prev) {
            Ok(gathered) => gathered,
            Err(Missing(missing)) => return Ok(Inserted::Missing(missing)),
        };
        if !self.is_proven(&op, &past) {
            return Err(GraphError::Unproven);
        }
        if self.nodes.len() >= MAX_OPS {
            return Err(GraphError::Full);
        }
        for prev in &op.prev {
            self.heads.remove(prev);
        }
        self.push(op, depth + 1, past);
        Ok(Inserted::New)
    }

    /// Whether an op here lets this account in, be it a member now or not.
    pub fn has_admitted(&self, account: &AccountId) -> bool {
        self.admitted.contains_key(account)
    }

    /// How many ops here this device made.
    pub fn authored(&self, device: &DeviceId) -> usize {
        self.authored.get(device).copied().unwrap_or_default()
    }

    /// The group's id.
    pub fn group(&self) -> OpId {
        self.group
    }

    /// How many ops are in.
    #[allow(clippy::len_without_is_empty, reason = "a graph holds at least its Create")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Ops that none here was made after. Ascending.
    pub fn heads(&self) -> Vec<OpId> {
        self.heads.iter().copied().collect()
    }

    /// The heads, or the deepest [`MAX_HEADS_TOLD`] of them: what a member names to say which ops it has.
    pub fn heads_to_tell(&self) -> Vec<OpId> {
        let mut nodes: Vec<&Node> = self.heads.iter().filter_map(|id| self.node_of(id)).collect();
        nodes.sort_by_key(|node| std::cmp::Reverse(node.depth));
        nodes.iter().take(MAX_HEADS_TOLD).map(|node| node.op.id()).collect()
    }

    /// The heads that a new op, chain or event names: all, or [`MAX_HEADS`] of them, ascending. First those that bring
    /// cuts into its past, so that a key made there is usable ([`keys`](super::keys)), then the deepest.
    pub fn heads_to_name(&self, membership: &Membership) -> Vec<OpId> {
        if self.heads.len() <= MAX_HEADS {
            return self.heads();
        }
        let heads = self.heads.iter().filter_map(|id| self.node_of(id));
        self.telling(heads.collect(), membership).into_iter().collect()
    }

    /// Of these ops those that none of the others was made after, chosen as [`Self::heads_to_name`] does. Those that are
    /// not here are passed over.
    pub fn newest(&self, ops: impl IntoIterator<Item = OpId>, membership: &Membership) -> Vec<OpId> {
        let places: BTreeSet<usize> = ops.into_iter().filter_map(|id| self.place(&id)).collect();
        let is_newest = |at: &&usize| !places.iter().any(|other| other != *at && self.node(*other).past.contains(**at));
        let newest: Vec<&Node> = places.iter().filter(is_newest).map(|at| self.node(*at)).collect();
        if newest.len() <= MAX_HEADS {
            return newest.iter().map(|node| node.op.id()).collect::<BTreeSet<_>>().into_iter().collect();
        }
        self.telling(newest, membership).into_iter().collect()
    }

    /// Of these nodes [`MAX_HEADS`]: first those that bring cuts into a past, then the deepest.
    fn telling(&self, mut left: Vec<&Node>, membership: &Membership) -> BTreeSet<OpId> {
        let mut cuts: Vec<usize> = membership.cuts.iter().filter_map(|id| self.index.get(id).copied()).collect();
        let mut named = BTreeSet::new();
        while named.len() < MAX_HEADS {
            let worth = |node: &Node| cuts.iter().filter(|cut| node.past.contains(**cut)).count();
            let best =
                (0..left.len()).max_by_key(|at| left.get(*at).map(|node| (worth(node), node.depth, node.op.id())));
            let Some(best) = best.map(|at| left.swap_remove(at)) else { break };
            cuts.retain(|cut| !best.past.contains(*cut));
            named.insert(best.op.id());
        }
        named
    }

    /// Whether this op is in.
    pub fn contains(&self, id: &OpId) -> bool {
        self.index.contains_key(id)
    }

    /// An op that is in.
    pub fn op(&self, id: &OpId) -> Option<&Verified<SignedOp>> {
        self.node_of(id).map(|node| &node.op)
    }

    /// All ops, each after all of its past.
    pub fn ops(&self) -> impl Iterator<Item = &Verified<SignedOp>> {
        self.nodes.iter().map(|node| &node.op)
    }

    /// 0 for Create, else 1 + the greatest depth it was made after.
    pub fn depth(&self, id: &OpId) -> Option<u32> {
        self.node_of(id).map(|node| node.depth)
    }

    /// Whether `earlier` is in the past of these heads (or one of them). False where it, or a head, is not here.
    pub fn within(&self, earlier: &OpId, heads: &[OpId]) -> bool {
        let Some(earlier) = self.index.get(earlier) else { return false };
        heads.iter().filter_map(|head| self.node_of(head)).any(|head| head.past.contains(*earlier))
    }

    /// Whether who stands at these heads knows that account as a member: what is said there is for it.
    pub fn knows(&self, member: &Member, heads: &[OpId]) -> bool {
        member.admissions.iter().any(|joined| self.within(joined, heads))
    }

    /// The past of these heads, themselves included, each op after all of its own past.
    pub fn past(&self, heads: &[OpId]) -> Result<Vec<OpId>, Missing> {
        let (past, _) = self.gather(heads)?;
        Ok(self.nodes.iter().enumerate().filter(|(at, _)| past.contains(*at)).map(|(_, node)| node.op.id()).collect())
    }

    /// What someone at these heads lacks, each op after all of its past. Heads that are not here are passed over.
    pub fn beyond(&self, heads: &[OpId]) -> Vec<&Verified<SignedOp>> {
        let mut known = Bits::default();
        heads.iter().filter_map(|head| self.node_of(head)).for_each(|head| known.union(&head.past));
        self.nodes.iter().enumerate().filter(|(at, _)| !known.contains(*at)).map(|(_, node)| &node.op).collect()
    }

    /// Who is in the group now.
    pub fn membership(&self) -> Membership {
        let mut all = Bits::default();
        (0..self.nodes.len()).for_each(|at| all.insert(at));
        resolve(self, &all)
    }

    /// Who was in the group as seen from these heads.
    pub fn membership_at(&self, heads: &[OpId]) -> Result<Membership, Missing> {
        let (past, _) = self.gather(heads)?;
        Ok(resolve(self, &past))
    }

    /// A node by its place. Places are handed out by this graph and nothing is ever taken out of it.
    pub(super) fn node(&self, at: usize) -> &Node {
        match self.nodes.get(at) {
            Some(node) => node,
            None => unreachable!("a place of this graph"),
        }
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The place of an op that is in.
    pub(super) fn place(&self, id: &OpId) -> Option<usize> {
        self.index.get(id).copied()
    }

    fn node_of(&self, id: &OpId) -> Option<&Node> {
        self.index.get(id).and_then(|at| self.nodes.get(*at))
    }

    fn gather(&self, heads: &[OpId]) -> Result<(Bits, u32), Missing> {
        let missing: Vec<OpId> = heads.iter().filter(|id| !self.contains(id)).copied().collect();
        if !missing.is_empty() {
            return Err(Missing(missing));
        }
        let (mut past, mut depth) = (Bits::default(), 0);
        for node in heads.iter().filter_map(|id| self.node_of(id)) {
            past.union(&node.past);
            depth = depth.max(node.depth);
        }
        Ok((past, depth))
    }

    /// Whether the past lets the author in and it, or the op itself, proves the device. Says nothing of rights: this only
    /// keeps out what no other op could ever make count, whoever sends it.
    fn is_proven(&self, op: &SignedOp, past: &Bits) -> bool {
        let within = |places: Option<&Vec<usize>>| places.is_some_and(|at| at.iter().any(|at| past.contains(*at)));
        let proves_itself =
            op.devices().is_some_and(|list| list.account == op.account && list.devices.contains(&op.device));
        within(self.admitted.get(&op.account)) && (proves_itself || within(self.proven.get(&(op.account, op.device))))
    }

    fn push(&mut self, op: Verified<SignedOp>, depth: u32, mut past: Bits) {
        let (at, id) = (self.nodes.len(), op.id());
        match &op.action {
            Action::Create { .. } => self.admitted.entry(op.account).or_default().push(at),
            Action::Add(join) => self.admitted.entry(join.account).or_default().push(at),
            _ => {}
        }
        if let Some(list) = op.devices() {
            for device in &list.devices {
                self.proven.entry((list.account, *device)).or_default().push(at);
            }
        }
        *self.authored.entry(op.device).or_default() += 1;
        past.insert(at);
        self.heads.insert(id);
        self.index.insert(id, at);
        self.nodes.push(Node { op, depth, past });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::group::testing::{World, person};

    #[test]
    fn an_op_waits_for_its_past_and_says_what_is_missing() {
        let founder = person(0);
        let mut world = World::new(&founder);
        let mut behind = world.graph.clone();
        let first = world.add(&founder, &person(1));
        let second = world.add(&founder, &person(2));
        let op = |id| world.graph.op(id).unwrap().clone();
        assert_eq!(behind.insert(op(&second)), Ok(Inserted::Missing(vec![first])));
        assert!(!behind.contains(&second));
        assert_eq!(behind.insert(op(&first)), Ok(Inserted::New));
        assert_eq!(behind.insert(op(&second)), Ok(Inserted::New));
        assert_eq!(behind.insert(op(&second)), Ok(Inserted::Known));
        assert_eq!((behind.heads(), behind.depth(&second)), (vec![second], Some(2)));
        assert_eq!(behind.past(&[first]), Ok(vec![world.graph.group(), first]));
        assert_eq!(behind.beyond(&[first]).iter().map(|op| op.id()).collect::<Vec<_>>(), [second]);
        assert_eq!(behind.membership_at(&[first]).unwrap().members.len(), 2);
        assert_eq!(behind.past(&[OpId([9; 32])]), Err(Missing(vec![OpId([9; 32])])));
    }

    #[test]
    fn an_op_of_another_group_is_refused() {
        let (mut here, mut there) = (World::new(&person(0)), World::new(&person(1)));
        let foreign = there.op(&person(1), Action::Leave(None));
        let foreign = there.graph.op(&foreign).unwrap().clone();
        assert_eq!(here.graph.insert(foreign.clone()), Err(GraphError::OtherGroup));
        assert_eq!(Graph::new(foreign).err(), Some(GraphError::NotCreate));
    }

    #[test]
    fn an_op_of_a_stranger_or_an_unknown_device_is_refused() {
        let (founder, member, stranger) = (person(0), person(1), person(2));
        let mut world = World::new(&founder);
        let add = world.add(&founder, &member);
        let group = world.graph.group();
        let mut attempt = |prev: OpId, author: &crate::protocol::group::testing::Person, action| {
            let op = crate::protocol::group::Op {
                group: Some(group),
                prev: vec![prev],
                account: author.account,
                device: author.device(0),
                time: crate::protocol::time::Millis(9),
                action,
            };
            world.graph.insert(crate::protocol::group::testing::sign(&op, &author.keys[0]))
        };
        let own = Action::Devices(stranger.bundles(1, &[0]));
        assert_eq!(attempt(add, &stranger, own), Err(GraphError::Unproven), "its own list lets nobody in");
        assert_eq!(attempt(add, &stranger, Action::Leave(None)), Err(GraphError::Unproven));
        assert_eq!(attempt(group, &member, Action::Leave(None)), Err(GraphError::Unproven), "beside its own Add");
        let mut posing = member.clone();
        posing.keys[0] = stranger.keys[0].clone();
        assert_eq!(attempt(add, &posing, Action::Leave(None)), Err(GraphError::Unproven), "a device of somebody else");
        assert_eq!(attempt(add, &member, Action::Leave(None)), Ok(Inserted::New));
    }

    #[test]
    fn of_many_heads_those_with_cuts_are_named_first() {
        let founder = person(0);
        let mut world = World::new(&founder);
        let member = person(1);
        world.add(&founder, &member);
        let start = world.graph.heads();
        let mut deep = world.at(&start, &founder, Action::RotateGossipSecret([0; 32]));
        for n in 1..12 {
            world.at(&[deep], &founder, Action::RotateGossipSecret([n; 32]));
        }
        deep = world.at(&start, &founder, Action::Remove(member.account));
        let named = world.graph.heads_to_name(&world.graph.membership());
        assert_eq!(named.len(), MAX_HEADS);
        assert!(named.contains(&deep) && named.is_sorted());
    }
}

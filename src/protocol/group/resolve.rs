//! Who is in a group: a pure function of the set of its ops.
//!
//! Two passes. **Devices** first, since they rest on account keys and on nobody's role: an op is void unless its device is
//! on the newest list of its account that its past (or a Devices op itself) holds, and a newer list of the account's own
//! voids what a dropped device says beside it, unless a new device comes in by that list. Then **roles**, in rank order. What is settled is a *tenure*: one account's
//! time in one role, begun by one op. The founder's comes first, then those of founders who handed over, then admins' by
//! (depth, id) of the SetRole that began them, then everyone else's ops. An op counts only against targets of lower rank,
//! so all that could void a tenure's ops is settled before it: there are no cycles, and of two who remove each other the
//! higher stands.
//!
//! Each op that is void has a reason, and where another op made it so, that one (`causes`): of several always the same,
//! whatever came first.
//!
//! Who calls: [`Graph::membership`] and [`Graph::membership_at`]. About linear in ops, with one bit test a question.

mod causes;
pub(super) mod lists;

use super::{
    bits::Bits,
    graph::Graph,
    op::{Action, Devices, Meta, Role, SignedOp},
};
use crate::protocol::ids::{AccountId, DeviceId, OpId};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// A group as its ops make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Who is in.
    pub members: BTreeMap<AccountId, Member>,
    /// Devices that were somebody's and are no member's now.
    pub former: BTreeSet<DeviceId>,
    /// Name and policy.
    pub meta: Meta,
    /// Ops without effect, and why. They are kept: a later op may revive them.
    pub void: BTreeMap<OpId, Voided>,
    /// Rotations that count, the one to prefer first: the deepest, then the lowest id.
    pub rotations: Vec<Rotation>,
    /// Removes, Leaves and device drops that count: keys made beside or before one of them are used no more.
    pub cuts: BTreeSet<OpId>,
    /// Devices that signed two ops neither of which knows the other.
    pub equivocating: BTreeSet<DeviceId>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its role.
    pub role: Role,
    /// Its rank; the lesser is the higher.
    pub rank: Rank,
    /// Its devices.
    pub devices: BTreeSet<DeviceId>,
    /// The op that let it in: Create, an Add, or a HandOver. Of several, the first by rank.
    pub joined: OpId,
    /// All that let it in and that nothing has ended, by rank: two may have added it, neither knowing of the other.
    pub admissions: Vec<OpId>,
}

/// A place in the order of a group's accounts; the lesser is the higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    class: Class,
    depth: u32,
    op: OpId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Founder,
    Former,
    Admin,
    Member,
}

/// A rotation of the gossip secret that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The op.
    pub op: OpId,
    /// The hash of the secret.
    pub hash: [u8; 32],
    /// The op's depth.
    pub depth: u32,
}

/// An op without effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voided {
    /// The rule.
    pub reason: VoidReason,
    /// The op by which the rule holds: what overruled it, what had ended or never begun its author's place or role, what
    /// gives its target a higher one, what dropped its device, what came first. None where the rule rests on no other op.
    pub by: Option<OpId>,
}

/// Why an op has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum VoidReason {
    /// Its device was not on the author's newest list in its past.
    #[error("the device was not the author's")]
    NotItsDevice,
    /// The author dropped the device beside it.
    #[error("the author had dropped the device")]
    DeviceDropped,
    /// The author was no member.
    #[error("the author was no member then")]
    NotAMember,
    /// Who is to have another role was no member.
    #[error("whom it is about was no member then")]
    TargetNotAMember,
    /// The author's role does not allow it.
    #[error("the author had no right to it")]
    NotAllowed,
    /// The author was removed or demoted beside it.
    #[error("the author was removed or demoted")]
    Overruled,
    /// The target is not lower in rank.
    #[error("the target is not lower in rank")]
    Outranked,
    /// Remove and SetRole are for others.
    #[error("nobody removes or promotes themselves")]
    OneSelf,
    /// The newcomer's consent was used before.
    #[error("the newcomer agreed once, and that was used")]
    JoinUsed,
    /// Another HandOver came first.
    #[error("the group was handed over to somebody else")]
    HandedOver,
}

impl Membership {
    /// Whether what this account does now, knowing all this, would count; where not, why not. Stricter than what was done
    /// beside it is judged: nobody acts on who is no member, or hands the group to one.
    pub fn may(&self, author: AccountId, action: &Action) -> Result<(), VoidReason> {
        let own = self.members.get(&author).ok_or(VoidReason::NotAMember)?;
        if needs_a_role(action) && own.role == Role::Member {
            return Err(VoidReason::NotAllowed);
        }
        let (Action::Remove(target) | Action::SetRole(target, _) | Action::HandOver(target)) = action else {
            return Ok(());
        };
        if *target == author {
            return Err(VoidReason::OneSelf);
        }
        let theirs = self.members.get(target).ok_or(VoidReason::TargetNotAMember)?;
        match action {
            Action::HandOver(_) if own.role != Role::Founder => Err(VoidReason::NotAllowed),
            Action::HandOver(_) => Ok(()),
            _ if theirs.rank <= own.rank => Err(VoidReason::Outranked),
            _ => Ok(()),
        }
    }

    /// The member whose device this is.
    pub fn owner(&self, device: &DeviceId) -> Option<AccountId> {
        self.members.iter().find(|(_, member)| member.devices.contains(device)).map(|(account, _)| *account)
    }
}

/// The membership that the ops in `scope` make. `scope` is closed under the past.
pub(super) fn resolve(graph: &Graph, scope: &Bits) -> Membership {
    let mut resolver = Resolver::new(graph, scope);
    resolver.settle_devices();
    resolver.settle_roles();
    resolver.settle_rest();
    resolver.finish()
}

type Verdict = Result<(), Cause>;

/// A reason, and the place of the op by which it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cause {
    reason: VoidReason,
    by: Option<usize>,
}

impl VoidReason {
    fn by(self, by: Option<usize>) -> Cause {
        Cause { reason: self, by }
    }
}

impl From<VoidReason> for Cause {
    fn from(reason: VoidReason) -> Self {
        reason.by(None)
    }
}

struct Resolver<'a> {
    graph: &'a Graph,
    scope: &'a Bits,
    /// By place; `None` is not settled yet.
    verdicts: Vec<Option<Verdict>>,
    accounts: BTreeMap<AccountId, Record>,
    /// Tenures whose beginning counts and whose ops are to be settled, the highest rank first.
    waiting: BTreeSet<(Rank, usize, AccountId)>,
}

/// What is settled of an account. All numbers are places of ops.
#[derive(Default)]
struct Record {
    authored: Vec<usize>,
    /// Ops by honest devices that carry a device list of this account.
    lists: Vec<usize>,
    admissions: Vec<usize>,
    removals: Vec<usize>,
    /// Ops that would make it an admin, counting or not.
    promotions: Vec<usize>,
    demotions: Vec<usize>,
    leaves: Vec<usize>,
    tenures: Vec<Tenure>,
}

#[derive(Clone, Copy)]
struct Tenure {
    rank: Rank,
    start: usize,
    /// A founder's counting HandOver.
    handed_over: Option<usize>,
}

impl<'a> Resolver<'a> {
    fn new(graph: &'a Graph, scope: &'a Bits) -> Self {
        let verdicts = vec![None; graph.nodes().len()];
        let mut resolver = Self { graph, scope, verdicts, accounts: BTreeMap::new(), waiting: BTreeSet::new() };
        for at in resolver.places() {
            let op = resolver.op(at);
            resolver.record(op.account).authored.push(at);
            if let Action::SetRole(target, Role::Admin) = op.action {
                resolver.record(target).promotions.push(at);
            }
        }
        resolver
    }

    // Roles

    fn settle_roles(&mut self) {
        let create = self.graph.node(0);
        let founder = create.op.account;
        self.settle(0, Ok(()));
        self.record(founder).admissions.push(0);
        self.waiting.insert((Rank { class: Class::Founder, depth: 0, op: create.op.id() }, 0, founder));
        while let Some((rank, start, account)) = self.waiting.pop_first() {
            let tenure = Tenure { rank, start, handed_over: None };
            let past = &self.graph.node(start).past;
            if rank.class == Class::Admin && !self.is_member(&account, past) {
                let by = self.end_of_membership(&account, start);
                self.settle(start, Err(VoidReason::TargetNotAMember.by(by)));
                continue;
            }
            self.settle_tenure(account, tenure);
        }
    }

    fn settle_tenure(&mut self, account: AccountId, mut tenure: Tenure) {
        let mut open = self.record(account).authored.clone();
        open.retain(|at| self.verdict(*at).is_none());
        open.retain(|at| {
            let past = &self.graph.node(*at).past;
            // A Leave takes no role: it is settled with the rest.
            let acts = !matches!(self.op(*at).action, Action::Leave(_));
            acts && past.contains(tenure.start) && !self.ended(&account, &tenure, past)
        });
        if tenure.rank.class == Class::Founder {
            tenure.handed_over = self.hand_over(account, &open);
        }
        let tenures = &mut self.record(account).tenures;
        tenures.retain(|known| known.rank != tenure.rank);
        tenures.push(tenure);
        for at in open {
            if self.verdict(at).is_some() || (tenure.handed_over.is_some_and(|over| self.precedes(over, at))) {
                continue;
            }
            let verdict = self.judge(account, &tenure, at);
            self.settle(at, verdict);
            if verdict.is_ok() {
                self.carry_out(at);
            }
        }
    }

    /// Of a founder's HandOvers the one that counts. The new founder's tenure is known before any op of the old one is
    /// judged, so that not even the old founder removes the new one beside it.
    fn hand_over(&mut self, account: AccountId, open: &[usize]) -> Option<usize> {
        let to = |at: usize| match self.op(at).action {
            Action::HandOver(to) if to != account => Some(to),
            _ => None,
        };
        let eligible = open.iter().copied().filter_map(|at| Some((self.rank(Class::Founder, at), at, to(at)?)));
        let (rank, at, to) = eligible.filter(|(_, at, to)| self.has_consented(to, &self.graph.node(*at).past)).min()?;
        self.settle(at, Ok(()));
        self.record(to).admissions.push(at);
        self.record(to).tenures.push(Tenure { rank, start: at, handed_over: None });
        self.waiting.insert((rank, at, to));
        self.waiting.insert((Rank { class: Class::Former, ..rank }, at, account));
        Some(at)
    }

    /// Whether an Add of this account is in that past and it has not left since. Not whether the Add counts: that hangs
    /// on lower ranks, and the founder's word stands above them.
    fn has_consented(&self, account: &AccountId, past: &Bits) -> bool {
        let Some(record) = self.accounts.get(account) else { return false };
        let joins = record
            .lists
            .iter()
            .filter(|at| past.contains(**at))
            .filter(|at| matches!(self.op(**at).action, Action::Add(_) | Action::Create { .. }));
        joins.copied().any(|join| !record.leaves.iter().any(|at| past.contains(*at) && !self.precedes(*at, join)))
    }

    fn judge(&self, account: AccountId, tenure: &Tenure, at: usize) -> Verdict {
        if let Some(end) = self.end_beside(&account, at) {
            return Err(VoidReason::Overruled.by(Some(end)));
        }
        match &self.op(at).action {
            Action::Add(join) => self.judge_join(account, &join.account, at),
            Action::Remove(target) | Action::SetRole(target, _) if *target == account => {
                Err(VoidReason::OneSelf.into())
            }
            Action::Remove(target) | Action::SetRole(target, _) => match self.outranks(target, tenure, at) {
                Some(theirs) => Err(VoidReason::Outranked.by(Some(theirs.start))),
                None => Ok(()),
            },
            Action::HandOver(target) if tenure.rank.class == Class::Founder => Err(match tenure.handed_over {
                Some(over) => VoidReason::HandedOver.by(Some(over)),
                None if *target == account => VoidReason::OneSelf.into(),
                None => VoidReason::TargetNotAMember.by(self.end_of_membership(target, at)),
            }),
            Action::HandOver(_) if tenure.rank.class == Class::Former => {
                Err(VoidReason::NotAllowed.by(Some(tenure.start)))
            }
            Action::HandOver(_) | Action::Create { .. } => Err(VoidReason::NotAllowed.into()),
            _ => Ok(()),
        }
    }

    /// A Join serves one Add: who left does not come back without agreeing anew.
    fn judge_join(&self, account: AccountId, newcomer: &AccountId, at: usize) -> Verdict {
        let join = |at: usize| match &self.op(at).action {
            Action::Add(join) => Some(join),
            _ => None,
        };
        let lists = self.accounts.get(newcomer).map_or(&[][..], |record| &record.lists);
        let used = lists.iter().copied().filter(|earlier| {
            *earlier != at
                && self.precedes(*earlier, at)
                && self.op(*earlier).account == account
                && join(*earlier) == join(at)
        });
        match self.first(used) {
            Some(earlier) => Err(VoidReason::JoinUsed.by(Some(earlier))),
            None => Ok(()),
        }
    }

    /// The highest tenure of the target that is not lower than this one: over neither before the op nor begun after it.
    fn outranks(&self, target: &AccountId, tenure: &Tenure, at: usize) -> Option<Tenure> {
        let past = &self.graph.node(at).past;
        let theirs = self.accounts.get(target)?.tenures.iter().copied().filter(|theirs| {
            (theirs.rank.class == Class::Founder || theirs.rank < tenure.rank)
                && !self.ended(target, theirs, past)
                && !self.precedes(at, theirs.start)
        });
        theirs.min_by_key(|theirs| theirs.rank)
    }

    fn carry_out(&mut self, at: usize) {
        match &self.op(at).action {
            Action::Add(join) => self.record(join.account).admissions.push(at),
            Action::Remove(target) => self.record(*target).removals.push(at),
            Action::SetRole(target, Role::Admin) => {
                self.waiting.insert((self.rank(Class::Admin, at), at, *target));
            }
            Action::SetRole(target, _) => self.record(*target).demotions.push(at),
            _ => {}
        }
    }

    fn settle_rest(&mut self) {
        for at in self.places().collect::<Vec<_>>() {
            if self.verdict(at).is_some() {
                continue;
            }
            let op = self.op(at);
            let past = &self.graph.node(at).past;
            let removals = self.accounts.get(&op.account).map_or(&[][..], |record| &record.removals);
            let beside = self.first(removals.iter().copied().filter(|end| self.concurrent(*end, at)));
            let verdict = if !self.is_member(&op.account, past) && !self.leaves(at) {
                Err(VoidReason::NotAMember.by(self.end_of_membership(&op.account, at)))
            } else if beside.is_some() {
                Err(VoidReason::Overruled.by(beside))
            } else if needs_a_role(&op.action) {
                Err(VoidReason::NotAllowed.by(self.lack_of_role(&op.account, past)))
            } else {
                Ok(())
            };
            self.settle(at, verdict);
        }
    }

    fn leaves(&self, at: usize) -> bool {
        let op = self.op(at);
        let past = &self.graph.node(at).past;
        matches!(op.action, Action::Leave(_))
            && self.accounts.get(&op.account).is_some_and(|record| {
                record.admissions.iter().any(|join| past.contains(*join) && !self.gone(record, *join, past, Some(at)))
            })
    }

    // State at a set of ops

    fn is_member(&self, account: &AccountId, past: &Bits) -> bool {
        self.accounts.get(account).is_some_and(|record| self.admissions(record, past).next().is_some())
    }

    /// The admissions in that set which no removal or leave in it ends. One beside them ends them too. In no order: that
    /// of places is the order of arrival.
    fn admissions<'s>(&'s self, record: &'s Record, past: &'s Bits) -> impl Iterator<Item = usize> + 's {
        let standing = record.admissions.iter().copied();
        standing.filter(|join| past.contains(*join) && !self.gone(record, *join, past, None))
    }

    fn gone(&self, record: &Record, join: usize, past: &Bits, but: Option<usize>) -> bool {
        let ends = record.removals.iter().chain(&record.leaves).copied().filter(|end| Some(*end) != but);
        ends.into_iter().any(|end| past.contains(end) && !self.precedes(end, join))
    }

    fn ended(&self, account: &AccountId, tenure: &Tenure, past: &Bits) -> bool {
        let ends = |list: &[usize]| list.iter().any(|end| past.contains(*end) && !self.precedes(*end, tenure.start));
        let Some(record) = self.accounts.get(account) else { return true };
        let done = match tenure.rank.class {
            Class::Founder => tenure.handed_over.is_some_and(|over| past.contains(over)),
            _ => ends(&record.removals) || ends(&record.demotions),
        };
        done || ends(&record.leaves)
    }

    fn verdict(&self, at: usize) -> Option<Verdict> {
        self.verdicts.get(at).copied().flatten()
    }

    fn settle(&mut self, at: usize, verdict: Verdict) {
        if let Some(slot) = self.verdicts.get_mut(at) {
            *slot = Some(verdict);
        }
    }

    fn precedes(&self, earlier: usize, later: usize) -> bool {
        self.graph.node(later).past.contains(earlier)
    }

    fn concurrent(&self, a: usize, b: usize) -> bool {
        !self.precedes(a, b) && !self.precedes(b, a)
    }

    fn rank(&self, class: Class, at: usize) -> Rank {
        let node = self.graph.node(at);
        Rank { class, depth: node.depth, op: node.op.id() }
    }

    fn op(&self, at: usize) -> &'a SignedOp {
        &self.graph.node(at).op
    }

    fn list(&self, at: usize) -> Option<&'a Devices> {
        self.op(at).devices()
    }

    fn record(&mut self, account: AccountId) -> &mut Record {
        self.accounts.entry(account).or_default()
    }

    fn places(&self) -> impl Iterator<Item = usize> + use<'a> {
        let scope = self.scope;
        (0..self.graph.nodes().len()).filter(|at| scope.contains(*at))
    }

    // The result

    fn finish(self) -> Membership {
        let mut members = BTreeMap::new();
        for (account, record) in &self.accounts {
            let mut admissions: Vec<usize> = self.admissions(record, self.scope).collect();
            admissions.sort_by_key(|at| self.rank(Class::Member, *at));
            let Some(joined) = admissions.first().copied() else { continue };
            let standing = record.tenures.iter().filter(|tenure| !self.ended(account, tenure, self.scope));
            let rank = standing.map(|tenure| tenure.rank).min().unwrap_or(self.rank(Class::Member, joined));
            let admissions: Vec<OpId> = admissions.into_iter().map(|at| self.op(at).id()).collect();
            let role = match rank.class {
                Class::Founder => Role::Founder,
                Class::Former | Class::Admin => Role::Admin,
                Class::Member => Role::Member,
            };
            let list = self.newest_list(account, self.scope);
            let devices = list.map(|list| list.devices.iter().copied().collect()).unwrap_or_default();
            members.insert(*account, Member { role, rank, devices, joined: self.op(joined).id(), admissions });
        }
        Membership {
            former: self.former(&members),
            meta: self.meta(),
            void: self.places().filter_map(|at| self.voided(at)).collect(),
            rotations: self.rotations(),
            cuts: self.cuts(),
            equivocating: self.equivocating(),
            members,
        }
    }

    fn former(&self, members: &BTreeMap<AccountId, Member>) -> BTreeSet<DeviceId> {
        let lists = self.accounts.values().flat_map(|record| &record.lists).filter_map(|at| self.list(*at));
        let mut ever: BTreeSet<DeviceId> = lists.flat_map(|list| list.devices.iter().copied()).collect();
        for device in members.values().flat_map(|member| &member.devices) {
            ever.remove(device);
        }
        ever
    }

    fn meta(&self) -> Meta {
        let metas = self.places().filter(|at| self.counts(*at)).filter_map(|at| match &self.op(at).action {
            Action::Create { meta, .. } | Action::Meta(meta) => Some((self.rank(Class::Member, at), meta)),
            _ => None,
        });
        match metas.max_by_key(|(rank, _)| *rank) {
            Some((_, meta)) => meta.clone(),
            None => unreachable!("Create counts and carries one"),
        }
    }

    fn rotations(&self) -> Vec<Rotation> {
        let counting = self.places().filter(|at| self.counts(*at));
        let mut rotations: Vec<Rotation> = counting
            .filter_map(|at| match self.op(at).action {
                Action::RotateGossipSecret(hash) => {
                    Some(Rotation { op: self.op(at).id(), hash, depth: self.graph.node(at).depth })
                }
                _ => None,
            })
            .collect();
        rotations.sort_by_key(|rotation| (Reverse(rotation.depth), rotation.op));
        rotations
    }

    fn cuts(&self) -> BTreeSet<OpId> {
        let ended = self
            .places()
            .filter(|at| self.counts(*at) && matches!(self.op(*at).action, Action::Remove(_) | Action::Leave(_)));
        let dropped = self.accounts.values().filter(|record| record.lists.len() > 1).flat_map(|record| {
            let last_listed = self.last_listed(record);
            let lists: Vec<(usize, &Devices)> =
                record.lists.iter().filter_map(|at| Some((*at, self.list(*at)?))).collect();
            lists.clone().into_iter().filter(move |(at, list)| self.drops(*at, list, &lists, &last_listed)).map(|c| c.0)
        });
        ended.chain(dropped).map(|at| self.op(at).id()).collect()
    }

    fn equivocating(&self) -> BTreeSet<DeviceId> {
        let mut by_device: BTreeMap<DeviceId, Vec<usize>> = BTreeMap::new();
        self.places().for_each(|at| by_device.entry(self.op(at).device).or_default().push(at));
        let forked = |ops: &[usize]| ops.iter().zip(ops.iter().skip(1)).any(|(a, b)| !self.precedes(*a, *b));
        by_device.into_iter().filter(|(_, ops)| forked(ops)).map(|(device, _)| device).collect()
    }

    fn counts(&self, at: usize) -> bool {
        self.verdict(at) == Some(Ok(()))
    }
}

fn needs_a_role(action: &Action) -> bool {
    matches!(
        action,
        Action::Add(_)
            | Action::Remove(_)
            | Action::SetRole(..)
            | Action::HandOver(_)
            | Action::Meta(_)
            | Action::Create { .. }
    )
}

#[cfg(test)]
mod tests;

//! What must hold where members remove others and take their roles: it is judged by all ops of the group together, that
//! anybody holds.
//!
//! The rules (`protocol.md`, Groups) say who is in, and so all members show those, in those roles. What they say of a
//! message of the group, by its author:
//!
//! - A member, that let in by what the message knows: it stands. Every member for whom it is has it, and the author knows.
//! - One who left, once and undisputed: it stands likewise, and nobody tells the author.
//! - Anybody else: one who was removed, whose Add rests on nothing, or who came back and said it before. It stands if a
//!   member had it in time. So all members for whom it is have it, or none has.
//!
//! It is for those whose Add, one that nothing ended, is in the past of its heads: also for who seemed to be removed
//! then, and was not. Whoever holds it, a key, or a gossip secret was in at its heads, or turned out to have been.

use super::{settle::Written, world::World};
use crate::protocol::{
    crypto::sign::Verified,
    engine::{
        Bundles,
        rows::{
            self, ChainRow, ChatRow, ContactState, EventRow, GossipSecretRow, GroupState, HeldRow, MemberRow, OpRow,
            RawRow,
        },
    },
    group::{Action, Graph, GroupEvent, Member, Membership, Role, SignedOp},
    ids::{AccountId, ChatId, EventId, OpId},
};
use std::collections::{BTreeMap, BTreeSet};

/// All ops of the group that anybody holds, and what they make.
#[derive(Debug)]
pub(super) struct Truth {
    graph: Graph,
    membership: Membership,
    known: BTreeSet<Vec<u8>>,
}

impl Truth {
    /// What a Create makes.
    fn begin(create: &[u8]) -> Option<Self> {
        let graph = Graph::new(verified(create)?).ok()?;
        let membership = graph.membership();
        Some(Self { graph, membership, known: BTreeSet::from([create.to_vec()]) })
    }

    fn take(&mut self, ops: impl Iterator<Item = Vec<u8>>) {
        let before = self.known.len();
        for bytes in ops {
            if !self.known.contains(&bytes)
                && let Some(op) = verified(&bytes)
                && self.graph.insert(op).is_ok()
            {
                self.known.insert(bytes);
            }
        }
        if self.known.len() > before {
            self.membership = self.graph.membership();
        }
    }

    fn member(&self, account: AccountId) -> Option<&Member> {
        self.membership.members.get(&account)
    }

    pub(super) fn is_member(&self, account: AccountId) -> bool {
        self.member(account).is_some()
    }

    /// Whether what was said at these heads is for that account, as the rules say now.
    fn is_for(&self, account: AccountId, heads: &[OpId]) -> bool {
        self.member(account).is_some_and(|member| self.graph.knows(member, heads))
    }

    /// Whether what was said at these heads may be in the hands of an account: it was a member as seen from there, or is
    /// seen to have been one since what ended that turned out void.
    fn may_read(&self, account: AccountId, heads: &[OpId]) -> bool {
        let then = self.graph.membership_at(heads);
        let is_in = then.is_ok_and(|then| then.members.contains_key(&account));
        is_in || self.let_in(account, heads).any(|add| self.graph.within(&add, heads))
    }

    /// The same of a key that was made at these heads. Who comes later is handed it too: so whatever let it in may lie
    /// beside them.
    fn may_hold(&self, account: AccountId, heads: &[OpId]) -> bool {
        let mut joins = self.graph.ops().filter(|op| admits(op, account)).map(|op| op.id());
        let is_in = |join: OpId| {
            let then = self.graph.membership_at(&[heads, &[join]].concat());
            then.is_ok_and(|then| then.members.contains_key(&account))
        };
        self.let_in(account, heads).next().is_some() || joins.any(is_in)
    }

    /// What let an account in, counts, and is ended by nothing in the past of these heads.
    fn let_in(&self, account: AccountId, heads: &[OpId]) -> impl Iterator<Item = OpId> {
        let ends: Vec<OpId> = self.ends(account).filter(|end| self.graph.within(end, heads)).collect();
        let joins = self.counting().filter(move |op| admits(op, account)).map(|op| op.id());
        joins.filter(move |join| ends.iter().all(|end| self.graph.within(end, &[*join])))
    }

    /// The Removes and Leaves of this account that count.
    fn ends(&self, account: AccountId) -> impl Iterator<Item = OpId> {
        self.counting().filter(move |op| removes(op, account) || leaves(op, account)).map(|op| op.id())
    }

    fn counting(&self) -> impl Iterator<Item = &Verified<SignedOp>> {
        self.graph.ops().filter(|op| !self.membership.void.contains_key(&op.id()))
    }

    /// Whether an account came once and left once, and nobody removed it.
    fn has_just_left(&self, account: AccountId) -> bool {
        let count = |such: fn(&SignedOp, AccountId) -> bool| self.graph.ops().filter(|op| such(op, account)).count();
        let has_left = self.counting().any(|op| leaves(op, account));
        has_left && count(admits) == 1 && count(leaves) == 1 && count(removes) == 0
    }

    /// Whoever can have lost its place by no rule: the first founder added it, whom nobody touches, and nobody it.
    fn is_untouched(&self, account: AccountId) -> bool {
        let Some(founder) = self.graph.op(&self.graph.group()).map(|op| op.account) else { return false };
        let touches = |op: &SignedOp, account| removes(op, account) || leaves(op, account);
        let demotes = |op: &SignedOp| op.action == Action::SetRole(founder, Role::Member);
        let is_touched = self.graph.ops().any(|op| touches(op, account) || touches(op, founder) || demotes(op));
        !is_touched && self.graph.ops().any(|op| op.account == founder && admits(op, account))
    }
}

fn verified(bytes: &[u8]) -> Option<Verified<SignedOp>> {
    SignedOp::parse(bytes).ok()?.verify(&Bundles).ok()
}

fn admits(op: &SignedOp, account: AccountId) -> bool {
    match &op.action {
        Action::Create { .. } => op.account == account,
        Action::Add(join) => join.account == account,
        Action::HandOver(to) => *to == account,
        _ => false,
    }
}

fn removes(op: &SignedOp, account: AccountId) -> bool {
    op.action == Action::Remove(account)
}

fn leaves(op: &SignedOp, account: AccountId) -> bool {
    op.account == account && matches!(op.action, Action::Leave(_))
}

impl World {
    /// Gathers the ops that anybody holds, where members have rights that they use.
    pub(super) fn learn_truth(&mut self) {
        let Some(group) = self.group.filter(|_| self.rights.are_used()) else { return };
        let rows = (0..self.mailboxes.people).map(|who| self.ops(who, group));
        let held: Vec<Vec<Vec<u8>>> = rows.collect();
        if self.truth.is_none() {
            self.truth = held.iter().find_map(|ops| Truth::begin(ops.first()?));
        }
        if let Some(truth) = &mut self.truth {
            held.into_iter().for_each(|ops| truth.take(ops.into_iter()));
        }
    }

    fn ops(&self, who: usize, group: OpId) -> Vec<Vec<u8>> {
        let rows: Vec<OpRow> = rows::all(&self.devices[who].store, group).unwrap_or_default();
        rows.into_iter().map(|row| row.bytes).collect()
    }

    /// Everybody stands where the rules say, knows the others so, and holds nothing that is not for it.
    pub(super) fn settled_rights(&self, truth: &Truth, group: OpId) -> Result<(), String> {
        for who in 0..self.mailboxes.people {
            let (name, account) = (self.devices[who].name, self.devices[who].account);
            let state = self.state_in_group(who);
            match (truth.is_member(account), state) {
                (true, Some(GroupState::Joined)) => self.settled_member(truth, who, group)?,
                (true, state) => return Err(format!("{name} is a member, and is {state:?} for itself")),
                (false, Some(GroupState::Joined)) => return Err(format!("{name} takes itself for a member")),
                (false, state) if truth.is_untouched(account) => {
                    return Err(format!("{name} is no member, and nobody touched its place ({state:?})"));
                }
                (false, _) => self.settled_out(truth, who, group)?,
            }
            self.settled_keys(truth, who, group)?;
        }
        Ok(())
    }

    /// A member knows the members, their roles and the name, and holds the gossip secret in force.
    fn settled_member(&self, truth: &Truth, who: usize, group: OpId) -> Result<(), String> {
        let name = self.devices[who].name;
        let known: BTreeMap<AccountId, Role> = self
            .members(who, group)
            .into_iter()
            .filter(|row: &MemberRow| row.current)
            .map(|row| (row.account, row.role))
            .collect();
        let are: BTreeMap<AccountId, Role> =
            truth.membership.members.iter().map(|(account, member)| (*account, member.role)).collect();
        if known != are {
            let shown = |members: &BTreeMap<AccountId, Role>| self.shown(members);
            return Err(format!("{name} knows the members {}, which are {}", shown(&known), shown(&are)));
        }
        if self.group_row(who, group).is_some_and(|row| row.name != truth.membership.meta.name) {
            return Err(format!("{name} calls the group otherwise than {:?}", truth.membership.meta.name));
        }
        let usable = |op: &OpId| truth.membership.cuts.iter().all(|cut| truth.graph.within(cut, &[*op]));
        let Some(in_force) = truth.membership.rotations.iter().map(|rotation| rotation.op).find(usable) else {
            return Err("no gossip secret is in force".into());
        };
        let held: Vec<GossipSecretRow> = rows::all(&self.devices[who].store, group).unwrap_or_default();
        if !held.iter().any(|row| row.op == in_force) {
            return Err(format!("{name} does not hold the gossip secret in force"));
        }
        Ok(())
    }

    fn shown(&self, members: &BTreeMap<AccountId, Role>) -> String {
        let name = |account| self.devices.iter().find(|device| device.account == account).map_or('?', |it| it.name);
        members.iter().map(|(account, role)| format!("{} {role:?}", name(*account))).collect::<Vec<_>>().join(", ")
    }

    /// Who was in and is not has that said of itself, and listens to nothing of the group.
    fn settled_out(&self, truth: &Truth, who: usize, group: OpId) -> Result<(), String> {
        let device = &self.devices[who];
        let chat: Option<ChatRow> = rows::read(&device.store, &ChatRow::key(ChatId::from(group))).ok().flatten();
        let state = self.state_in_group(who);
        let asked_back = matches!(state, Some(GroupState::Invited | GroupState::Joining)) && chat.is_some();
        let out = matches!(state, Some(GroupState::Removed | GroupState::Left)) || asked_back;
        if truth.graph.has_admitted(&device.account) && chat.is_some() && !out {
            return Err(format!("{} was a member, and is {state:?} for itself", device.name));
        }
        if device.run.as_ref().is_some_and(|run| !run.gates.is_empty()) {
            return Err(format!("{} is no member, and listens to the group's gossip", device.name));
        }
        Ok(())
    }

    /// The gossip secrets and chains that somebody holds were for it.
    fn settled_keys(&self, truth: &Truth, who: usize, group: OpId) -> Result<(), String> {
        let device = &self.devices[who];
        let secrets: Vec<GossipSecretRow> = rows::all(&device.store, group).unwrap_or_default();
        if let Some(row) = secrets.iter().find(|row| !truth.may_hold(device.account, &[row.op])) {
            return Err(format!("{} holds the gossip secret of {:?}, made when it was out", device.name, row.op));
        }
        for author in &self.devices {
            let scope = ChainRow::scope(group, author.device);
            let chains: Vec<ChainRow> = rows::all(&device.store, scope).unwrap_or_default();
            if chains.iter().any(|row| !truth.may_hold(device.account, &row.chain.share().heads)) {
                return Err(format!("{} holds a chain of {}, made when it was out", device.name, author.name));
            }
        }
        Ok(())
    }

    /// Whether something may be owed for long: one of both is out, the other's door is closed to it, and they are no contacts.
    pub(super) fn is_beyond_reach(&self, who: usize, to: usize) -> bool {
        let is_member = |truth: &Truth, who: usize| truth.is_member(self.devices[who].account);
        let is_out = self.truth.as_ref().is_some_and(|truth| !is_member(truth, to) || !is_member(truth, who));
        is_out && self.contact(who, to).is_none_or(|row| row.state != ContactState::Connected)
    }

    /// A message of the group is where the rules say.
    pub(super) fn settled_by_rules(&self, truth: &Truth, id: EventId, written: &Written) -> Result<(), String> {
        let author = &self.devices[written.from];
        let own = self.event(written.from, id).ok_or_else(|| format!("{} lost its own {id:?}", author.name))?;
        if !written.by_member {
            return Err(format!("{} wrote {id:?}, and was no member by its own word", author.name));
        }
        let heads = self.heads_of(written.from, id).ok_or_else(|| format!("{id:?} of {} is no event", author.name))?;
        let is_for = |who: &usize| *who != written.from && truth.is_for(self.devices[*who].account, &heads);
        let meant: Vec<usize> = (0..self.mailboxes.people).filter(is_for).collect();
        let has_it = |who: &usize| self.event(*who, id).is_some();
        let is_members = truth.is_for(author.account, &heads);
        let stands =
            is_members || (truth.has_just_left(author.account) && meant.iter().any(|who| written.to.contains(who)));
        // Two who never meet give each other nothing of a third who is gone.
        let is_given = |to: &usize| meant.iter().any(|who| has_it(who) && !self.weather.parts(self.now, *who, *to));
        if let Some(lacks) = meant.iter().find(|who| !has_it(who) && (stands || is_given(who))) {
            let (lacks, held) = (self.devices[*lacks].name, self.held_of(*lacks, written.chat, id));
            let others: String = meant.iter().filter(|who| has_it(who)).map(|who| self.devices[*who].name).collect();
            let why = if stands { "stands" } else { "is at others" };
            return Err(format!(
                "{lacks} has not {id:?} ({}) of {}{held}, which {why} ({others})",
                own.no, author.name
            ));
        }
        if !is_members {
            return Ok(());
        }
        if let Some(who) = meant.iter().find(|who| !self.knows_of(&own, written, **who)) {
            return Err(format!("{} does not know that {} has {id:?}", author.name, self.devices[*who].name));
        }
        self.settled_count(&own, written, &meant)
    }

    /// Of the members now, a message counts those that it is for.
    fn settled_count(&self, event: &EventRow, written: &Written, meant: &[usize]) -> Result<(), String> {
        let Some(group) = self.group else { return Ok(()) };
        for row in self.members(written.from, group).into_iter().filter(|row| row.current) {
            let Some(other) = self.devices.iter().find(|device| device.account == row.account) else { continue };
            let counts = row.meant.has(event.device, event.no);
            if other.index != written.from && counts != meant.contains(&other.index) {
                let (own, other) = (self.devices[written.from].name, other.name);
                return Err(format!("{own} counts {other} for its message {}: {counts}, wrongly", event.no));
            }
        }
        Ok(())
    }

    fn heads_of(&self, who: usize, id: EventId) -> Option<Vec<OpId>> {
        let RawRow(bytes) = rows::read(&self.devices[who].store, &RawRow::key(id)).ok().flatten()?;
        GroupEvent::parse(&bytes).ok().map(|event| event.heads.clone())
    }

    /// Whether somebody who has a message of the group might have it.
    pub(super) fn may_read(&self, truth: &Truth, who: usize, id: EventId, written: &Written) -> bool {
        let heads = self.heads_of(written.from, id).unwrap_or_default();
        written.to.contains(&who) || truth.may_read(self.devices[who].account, &heads)
    }

    /// Whether all that is held may be held for ever: it is of those who are members no more.
    pub(super) fn holds_words_of_members(&self, truth: &Truth, who: usize, group: OpId) -> bool {
        let held: Vec<HeldRow> = rows::all(&self.devices[who].store, group).unwrap_or_default();
        let of_member = |row: &HeldRow| {
            GroupEvent::parse(&row.bytes).is_ok_and(|event| {
                let author = self.devices.iter().find(|device| device.device == event.device);
                author.is_some_and(|author| truth.is_for(author.account, &event.heads))
            })
        };
        held.iter().any(of_member)
    }
}

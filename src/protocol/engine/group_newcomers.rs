//! What each member sees to for one who is new to the group, since the two may never meet.
//!
//! Who adds somebody gives the ops that it knows, and what is said from then on is meant for the newcomer. What others did
//! beside that, before they knew of it, the newcomer has from each of them.

use super::{
    group_ops::ops_records,
    group_part::NEWEST_OPS,
    rows::{GroupRow, GroupState},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::sign::Verified,
    group::{Action, Member, Membership, SignedOp},
    ids::{DeviceId, OpId},
};
use std::collections::BTreeSet;

impl Turn<'_> {
    /// Membership changed: whoever joined is told what this device said and did beside that.
    pub(super) fn newcomers_came(&mut self, group: OpId, before: Option<&Membership>) -> Step {
        let memory = self.group(group)?;
        let own = self.own()?.account;
        let joined = |account| before.and_then(|before| before.members.get(account)).map(|member| member.joined);
        let members = memory.membership.members.iter();
        let new = members.filter(|(account, member)| **account != own && joined(account) != Some(member.joined));
        let new: Vec<&Member> = new.map(|(_, member)| member).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.post_name(group)?;
        for member in new {
            self.give_ops_beside(group, member)?;
            self.give_secret_beside(group, member)?;
        }
        Ok(())
    }

    /// Somebody left, and did not know of a member that this device had added: it tells that one nothing. So this one does.
    pub(super) fn pass_on_leaves(&mut self, group: OpId, taken: &[Verified<SignedOp>]) -> Step {
        let leaves = taken.iter().filter(|op| matches!(op.action, Action::Leave(_)));
        for leave in leaves.map(|op| op.id()) {
            let memory = self.group(group)?;
            let own = self.own()?.device;
            let is_own = |op: &OpId| memory.graph.op(op).is_some_and(|op| op.device == own);
            let is_unknown =
                |member: &&Member| member.admissions.iter().any(is_own) && !memory.graph.knows(member, &[leave]);
            for member in memory.membership.members.values().filter(is_unknown) {
                let mut beside = memory.graph.beyond(&[member.joined]);
                beside.retain(|op| memory.graph.within(&op.id(), &[leave]));
                self.post_newest(group, &member.devices, beside)?;
            }
        }
        Ok(())
    }

    /// This device left before it learnt whom the one that it took the place of had added: nobody else makes those known to
    /// each other.
    pub(super) fn pass_on_of_former(&mut self, group: OpId, taken: &[Verified<SignedOp>]) -> Step {
        let own = self.own()?.account;
        let has_left = self.read::<GroupRow>(&GroupRow::key(group))?.is_some_and(|row| row.state == GroupState::Left);
        if !has_left || !taken.iter().any(|op| op.account == own && matches!(op.action, Action::Add(_))) {
            return Ok(());
        }
        let memory = self.group(group)?;
        for member in memory.membership.members.values() {
            let mut beside = memory.graph.beyond(&[member.joined]);
            beside.retain(|op| op.account == own);
            self.post_newest(group, &member.devices, beside)?;
        }
        Ok(())
    }

    /// What was on its way to members is lost: the newest own ops are told to each again, since one that this device never
    /// meets has them from it alone.
    pub(super) fn tell_own_ops_again(&mut self, group: OpId) -> Step {
        if !self.has_graph(group)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        let own = self.own()?;
        let ops: Vec<_> = memory.graph.ops().filter(|op| op.device == own.device).collect();
        let others = memory.membership.members.iter().filter(|(account, _)| **account != own.account);
        for (_, member) in others {
            self.post_newest(group, &member.devices, ops.clone())?;
        }
        Ok(())
    }

    /// The newest own ops that whoever added a member did not know. Told of under the secret of their time, which it may not
    /// hold; and among them may be the one that names the group's mailboxes.
    fn give_ops_beside(&mut self, group: OpId, member: &Member) -> Step {
        let memory = self.group(group)?;
        let own = self.own()?.device;
        let mut beside = memory.graph.beyond(&[member.joined]);
        beside.retain(|op| op.device == own);
        self.post_newest(group, &member.devices, beside)
    }

    fn post_newest(&mut self, group: OpId, devices: &BTreeSet<DeviceId>, ops: Vec<&Verified<SignedOp>>) -> Step {
        let newest = ops.len().saturating_sub(NEWEST_OPS);
        for record in ops_records(group, ops.into_iter().skip(newest)) {
            for device in devices {
                self.post(*device, &record)?;
            }
        }
        Ok(())
    }

    /// The gossip secret in force, if it is of this device and whoever added a member could not hand it on.
    fn give_secret_beside(&mut self, group: OpId, member: &Member) -> Step {
        let memory = self.group(group)?;
        let own = self.own()?.device;
        let Some(held) = self.secret_in_force(&memory) else { return Ok(()) };
        let is_own = memory.graph.op(&held.op).is_some_and(|op| op.device == own);
        if !is_own || memory.graph.within(&held.op, &[member.joined]) {
            return Ok(());
        }
        member.devices.iter().try_for_each(|device| self.hand_secret(group, *device))
    }
}

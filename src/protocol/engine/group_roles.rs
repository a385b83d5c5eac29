//! What members with the right do about others: they remove them, give and take their role, hand the group over.

use super::{
    GroupMemory,
    command::{Refusal, Reply},
    group_ops::ops_records,
    record::Record,
    rows::DeviceRow,
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    group::{Action, Member, Role, VoidReason},
    ids::{AccountId, OpId},
};
use std::sync::Arc;

impl Turn<'_> {
    /// Ends a membership. Everybody has a new gossip secret with it, but for the one who goes.
    pub(super) fn remove_member(&mut self, group: OpId, account: AccountId) -> Answer {
        let action = Action::Remove(account);
        let memory = self.may_act(group, account, &action)?;
        let op = self.make_op(Some(group), &self.named_heads(&memory), action)?;
        let ending = ops_records(group, memory.newest_ops().chain([&op]));
        if let Some(member) = memory.membership.members.get(&account) {
            self.tell_who_goes(member, &ending)?;
        }
        drop(memory);
        self.issue(group, op)?;
        self.rotate(group)?;
        Ok(Reply::Group(group))
    }

    /// Makes an admin of a member, or a member of an admin.
    pub(super) fn set_role(&mut self, group: OpId, account: AccountId, role: Role) -> Answer {
        let action = Action::SetRole(account, role);
        let memory = self.may_act(group, account, &action)?;
        if memory.membership.members.get(&account).is_some_and(|member| member.role == role) {
            return Err(Refusal::HasRole { account }.into());
        }
        self.act(group, &memory, action)
    }

    /// Makes a member the founder, and the founder the first of the admins.
    pub(super) fn hand_over(&mut self, group: OpId, account: AccountId) -> Answer {
        let action = Action::HandOver(account);
        let memory = self.may_act(group, account, &action)?;
        self.act(group, &memory, action)
    }

    fn act(&mut self, group: OpId, memory: &GroupMemory, action: Action) -> Answer {
        let op = self.make_op(Some(group), &self.named_heads(memory), action)?;
        self.issue(group, op)?;
        Ok(Reply::Group(group))
    }

    /// Refuses before anything is made: an op that is known to be void helps nobody.
    fn may_act(&mut self, group: OpId, account: AccountId, action: &Action) -> Answer<Arc<GroupMemory>> {
        self.joined(group)?;
        let memory = self.group(group)?;
        let own = self.own()?.account;
        match memory.membership.may(own, action) {
            Ok(()) => Ok(memory),
            Err(VoidReason::OneSelf) => Err(Refusal::OneSelf.into()),
            Err(VoidReason::Outranked) => Err(Refusal::Outranked { account }.into()),
            Err(VoidReason::NotAMember | VoidReason::TargetNotAMember) => Err(Refusal::NoSuchMember.into()),
            Err(_) if matches!(action, Action::HandOver(_)) => Err(Refusal::NotFounder.into()),
            Err(_) => Err(Refusal::NotAllowed.into()),
        }
    }

    /// Nobody compares with who was removed, so it learns it from here. Sealed now: what lets a session begin with it goes
    /// with its membership.
    fn tell_who_goes(&mut self, member: &Member, records: &[Record]) -> Step {
        for device in &member.devices {
            for record in records {
                let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(*device))? else { continue };
                match self.seal_for(&mut row, &record.to_bytes())? {
                    Some(sealed) => self.post_sealed(&mut row, record, sealed)?,
                    None => self.post(*device, record)?,
                }
            }
        }
        Ok(())
    }
}

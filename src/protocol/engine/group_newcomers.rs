//! What each member sees to for one who is new to the group, since the two may never meet.
//!
//! Who adds somebody gives the ops that it knows, and what is said from then on is meant for the newcomer. What others did
//! beside that, before they knew of it, the newcomer has from each of them.

use super::{
    group_ops::ops_records,
    groups::PARTING_OPS,
    turn::{Step, Turn},
};
use crate::protocol::{
    group::{Member, Membership},
    ids::OpId,
};

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

    /// The newest own ops that whoever added a member did not know. Told of under the secret of their time, which it may not
    /// hold; and among them may be the one that names the group's mailboxes.
    fn give_ops_beside(&mut self, group: OpId, member: &Member) -> Step {
        let memory = self.group(group)?;
        let own = self.own()?.device;
        let mut beside = memory.graph.beyond(&[member.joined]);
        beside.retain(|op| op.device == own);
        let newest = beside.len().saturating_sub(PARTING_OPS);
        for record in ops_records(group, beside.into_iter().skip(newest)) {
            for device in &member.devices {
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

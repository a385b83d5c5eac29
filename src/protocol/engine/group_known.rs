//! Which of a group's ops each member's devices are known to have: what they name themselves, signed or in their session.
//!
//! Who names an op has it with all that it was made after. Of each device the newest named ops are kept with its account's
//! row, so that a restart forgets none. An event that names what its author named before costs one look into memory. Who
//! takes in what ends a membership says so to who did it; all others learn it as members speak and compare.

use super::{
    Timer,
    rows::MemberRow,
    turn::{Step, Turn},
};
use crate::protocol::{
    group::Membership,
    ids::{AccountId, DeviceId, OpId},
    wire::limits::{MAX_HEADS, MAX_HEADS_TOLD},
};
use std::time::Duration;

/// The wait before it is said that an end was taken in: the secret that comes with it is not asked for again.
const SAID_AFTER: Duration = Duration::from_secs(2);

impl Turn<'_> {
    /// A device of this account named ops as those it has.
    pub(super) fn heads_named(&mut self, group: OpId, account: AccountId, device: DeviceId, heads: &[OpId]) -> Step {
        if self.mem.named.get(&(group, device)).is_some_and(|last| last == heads) {
            return Ok(());
        }
        let memory = self.group(group)?;
        if !memory.membership.members.get(&account).is_some_and(|member| member.devices.contains(&device)) {
            return Ok(());
        }
        let key = MemberRow::key(group, account);
        let Some(mut row) = self.read::<MemberRow>(&key)? else { return Ok(()) };
        let at = row.heads.iter().position(|(of, _)| *of == device);
        let before = at.map(|at| row.heads.swap_remove(at).1).unwrap_or_default();
        let named = heads.iter().take(MAX_HEADS_TOLD).copied();
        let newest = memory.graph.newest(named.chain(before.iter().copied()), &memory.membership);
        if newest != before {
            row.heads.push((device, newest));
            self.put(key, &row);
        }
        // What is not here yet may be when the same is named again.
        if heads.len() <= MAX_HEADS && heads.iter().all(|head| memory.graph.contains(head)) {
            self.mem.named.insert((group, device), heads.to_vec());
        }
        Ok(())
    }

    /// The ops of a group changed, and perhaps whose device is whose: what was named last says nothing any more.
    pub(super) fn forget_named(&mut self, group: OpId) {
        self.mem.named.retain(|(of, _), _| *of != group);
    }

    /// Memberships ended: in a moment those who ended them are told that this is known here.
    pub(super) fn ends_came(&mut self, group: OpId, before: Option<&Membership>) -> Step {
        let Some(before) = before else { return Ok(()) };
        let memory = self.group(group)?;
        let own = self.own()?.device;
        let new = memory.membership.cuts.difference(&before.cuts).filter_map(|cut| memory.graph.op(cut));
        let by: Vec<DeviceId> = new.map(|op| op.device).filter(|device| *device != own).collect();
        if !by.is_empty() {
            self.mem.ends_to_say.entry(group).or_default().extend(by);
            self.mem.timers.insert((self.now.plus(SAID_AFTER), Timer::Ends(group)));
        }
        Ok(())
    }

    /// The timer for that.
    pub(super) fn say_ends(&mut self, group: OpId) -> Step {
        for device in self.mem.ends_to_say.remove(&group).unwrap_or_default() {
            if self.is_joined(group)? && self.is_member_device(group, device)? {
                self.tell_have(group, device, true)?;
            }
        }
        Ok(())
    }
}

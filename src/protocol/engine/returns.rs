//! A device that was made of a backup comes back to its account's groups.
//!
//! It lists itself, in place of the device that is gone, by an op that proves itself: the account's key signed the list in
//! it. The op goes into every member's outbox, and whoever starts a session as a device of a member's account is let in to
//! hand it over. What the device that is gone did last and the backup does not know is not undone by that op.

use super::{
    Timer,
    group_ops::{member_devices, ops_records},
    record::Record,
    rows::{DeviceRow, GroupRow, GroupState},
    turn::{Step, Turn},
};
use crate::protocol::{
    group::Action,
    ids::{ChatId, DeviceId, OpId},
};
use std::time::Duration;

/// How long members wait before they follow what a device said last whose place another took…
const FOLLOW_AFTER: Duration = Duration::from_secs(1);
/// …and how much longer at the most…
const FOLLOW_SPREAD: Duration = Duration::from_secs(4);
/// …with so much more for each member: else many of a large group do it at once.
const FOLLOW_SPREAD_EACH: Duration = Duration::from_millis(40);

impl Turn<'_> {
    /// Takes its own place in a group again, as it stood when the backup was made.
    pub(super) fn come_back_to(&mut self, group: OpId) -> Step {
        let Some(row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        if row.state == GroupState::Joined {
            self.list_itself(group)?;
        }
        self.join_anew(row)
    }

    fn list_itself(&mut self, group: OpId) -> Step {
        let own = self.own()?;
        if !self.has_graph(group)? || self.is_member_device(group, own.device)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        if !memory.membership.members.contains_key(&own.account) {
            return Ok(());
        }
        let bundles = self.own_bundles()?;
        let op = self.make_op(Some(group), &self.named_heads(&memory), Action::Devices(bundles))?;
        let records = ops_records(group, memory.newest_ops().chain([&op]));
        self.take_ops(group, own.device, vec![op.clone()])?;
        self.tell_members(group, &records)?;
        // What it says follows all that is here, what the former device said last too: so others know that to stand.
        self.tell_name_to(group)
    }

    /// What a device said last that is no member's now is held by who was not there until a member's event follows it: so it
    /// is followed from here, and all show the same.
    pub(super) fn follow_former(&mut self, group: OpId) -> Step {
        let Some(chat) = self.chat(ChatId::from(group))? else { return Ok(()) };
        let memory = self.group(group)?;
        let own = self.own()?.device;
        // Nobody follows a device that is out itself.
        if memory.membership.owner(&own).is_none() {
            return Ok(());
        }
        for id in chat.parsed_heads()?.iter() {
            let Some(event) = self.event(id)? else { continue };
            let is_former = memory.membership.former.contains(&event.device);
            if is_former && !memory.is_last_word(event.author, event.id, event.device) {
                return self.tell_name_to(group);
            }
        }
        Ok(())
    }

    /// The same, in a moment that is each member's own: the first spares the others the work.
    pub(super) fn follow_former_soon(&mut self, group: OpId) {
        let members = self.mem.groups.get(&group).map_or(0, |group| group.membership.members.len());
        let spread = FOLLOW_SPREAD + FOLLOW_SPREAD_EACH * u32::try_from(members).unwrap_or(u32::MAX);
        let due = self.now.plus(FOLLOW_AFTER + self.jitter(spread));
        self.mem.timers.insert((due, Timer::FollowFormer(group)));
    }

    /// A device that is there and took the place of a member's does not know of this member, which was added by the one that
    /// is gone: so it is listed from here.
    pub(super) fn list_restored(&mut self, group: OpId) -> Step {
        let memory = self.group(group)?;
        let own = self.own()?.account;
        for device in self.mem.peers.values().flatten().copied().collect::<Vec<_>>() {
            let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { continue };
            let member = memory.membership.members.get(&row.account).filter(|_| row.account != own);
            let is_instead = member.is_some_and(|member| !member.devices.contains(&device));
            if is_instead && self.is_listed(&row)? {
                self.list_device(group, &row)?;
            }
        }
        Ok(())
    }

    pub(super) fn tell_members(&mut self, group: OpId, records: &[Record]) -> Step {
        let own = self.own()?.device;
        let memory = self.group(group)?;
        for device in member_devices(&memory.membership).filter(|device| *device != own).collect::<Vec<_>>() {
            for record in records {
                self.post(device, record)?;
            }
        }
        Ok(())
    }

    /// Who had not heard of the leaving is told again, and given what it may not have of the last words. Their keys went with
    /// the outbox: it asks for them.
    pub(super) fn part_again(&mut self, group: OpId) -> Step {
        if !self.has_graph(group)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        let own = self.own()?.account;
        let leave = memory.graph.ops().filter(|op| op.account == own && matches!(op.action, Action::Leave(_))).last();
        let Some(leave) = leave else { return Ok(()) };
        let known = ops_records(group, memory.newest_ops().filter(|op| op.id() != leave.id()));
        let leaving = ops_records(group, [leave].into_iter());
        let devices: Vec<DeviceId> = member_devices(&memory.membership).collect();
        for device in devices {
            let row = self.read::<DeviceRow>(&DeviceRow::key(device))?;
            if !row.is_some_and(|row| row.groups.contains(&group)) {
                continue;
            }
            let said = self.unconfirmed_events(group, device, |_| true)?;
            for record in known.iter().chain(&said).chain(&leaving) {
                self.post(device, record)?;
            }
        }
        Ok(())
    }
}

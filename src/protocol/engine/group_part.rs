//! Parting from groups and from members who went: what is still owed them, and what they are to have no more.

use super::{
    GroupMemory, Timer,
    group_ops::member_devices,
    intros::group_intro,
    record::Record,
    rows::{ContactState, DeviceRow, GroupRow, GroupState, OutboxRow, Parcel, Row, parse},
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::sign::Verified,
    group::{Action, Membership, SignedOp},
    ids::{AccountId, DeviceId, EventId, OpId},
    time::days,
    view::{Direction, View},
};
use std::time::Duration;

/// How often it is looked whether members have heard of the own leaving.
const PART_EVERY: Duration = Duration::from_secs(60);
/// Whoever has not heard of it by then learns it from others.
const PARTING_KEPT: Duration = days(14);
/// What is told of the ops before one that others must take in.
pub(super) const NEWEST_OPS: usize = 16;

impl GroupMemory {
    /// The newest ops, to be told with the own leaving, coming back, or naming of a mailbox: nobody else may have those that
    /// were made just before.
    pub(super) fn newest_ops(&self) -> impl Iterator<Item = &Verified<SignedOp>> {
        self.graph.ops().skip(self.graph.len().saturating_sub(NEWEST_OPS))
    }

    /// Whether a Leave that counts names this event as the last of its author. Nobody has two last words, and none who was
    /// removed beside it: it could make up as many as it likes.
    pub(super) fn is_last_word(&self, author: AccountId, id: EventId, device: DeviceId) -> bool {
        let knows = |a: &OpId, b: OpId| self.graph.within(a, &[b]);
        let is_leave = |op: &&Verified<SignedOp>| op.account == author && matches!(op.action, Action::Leave(_));
        let leaves: Vec<&Verified<SignedOp>> = self.graph.ops().filter(is_leave).collect();
        let is_named = |op: &&&Verified<SignedOp>| op.device == device && op.action == Action::Leave(Some(id));
        let Some(leave) = leaves.iter().find(is_named).map(|op| op.id()) else { return false };
        let is_beside = |op: OpId| !knows(&op, leave) && !knows(&leave, op);
        let removes = |cut: &OpId| self.graph.op(cut).is_some_and(|op| op.action == Action::Remove(author));
        let is_removed_beside = self.membership.cuts.iter().any(|cut| removes(cut) && is_beside(*cut));
        let is_only = leaves.iter().all(|other| other.id() == leave || !is_beside(other.id()));
        self.membership.cuts.contains(&leave) && is_only && !is_removed_beside
    }
}

impl Turn<'_> {
    /// The account was removed: its members are members of a common group no more.
    pub(super) fn close_group(&mut self, group: OpId, before: Option<&Membership>) -> Step {
        let own = self.own()?.device;
        self.close_intro(&group_intro(group, own))?;
        self.leave_topics(group)?;
        let now = self.group(group)?;
        let account = self.own()?.account;
        let has_left = self.has_left(group, &account)?;
        let were = before.into_iter().chain([&now.membership]).flat_map(member_devices);
        for device in were.filter(|device| *device != own).collect::<Vec<_>>() {
            // What a device that is gone did before: it told of its leaving itself.
            match has_left {
                true => self.drop_group_parcels(group, device)?,
                false => self.drop_group_keys(group, device)?,
            }
            self.forget_member(group, device)?;
        }
        Ok(())
    }

    /// After leaving: whoever has confirmed the last ops is forgotten, the others are looked for and told. The group's door
    /// stays open here for a while: others who leave tell this one too, and who lacks the last ops asks for them.
    pub(super) fn part(&mut self, group: OpId) -> Step {
        let left = self.read::<GroupRow>(&GroupRow::key(group))?.is_some_and(|row| row.state == GroupState::Left);
        if !left || !self.has_graph(group)? {
            return Ok(());
        }
        for device in self.sound::<DeviceRow>(b"")? {
            self.part_from(group, device.device)?;
        }
        let memory = self.group(group)?;
        let own = self.own()?.device;
        let account = self.own()?.account;
        let is_own = |op: &Verified<SignedOp>| op.account == account && matches!(op.action, Action::Leave(_));
        let is_own_leave = |op: &OpId| memory.graph.op(op).is_some_and(is_own);
        let leaves = memory.arrived.iter().filter(|(op, _)| is_own_leave(op));
        let left = leaves.map(|(_, at)| *at).max().unwrap_or_default();
        if self.now.since(left) >= PARTING_KEPT {
            return self.close_intro(&group_intro(group, own));
        }
        if self.mem.online {
            self.mem.timers.insert((self.now.plus(PART_EVERY), Timer::Part(group)));
        }
        Ok(())
    }

    /// The same with one device, which has just connected.
    pub(super) fn part_from(&mut self, group: OpId, device: DeviceId) -> Step {
        let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        if !row.groups.contains(&group) {
            return Ok(());
        }
        let mut owed = false;
        for (place, parcel, record) in self.group_parcels(group, device)? {
            let is_of_now = matches!(record, Record::GossipSecret(..) | Record::KeysWanted(..) | Record::OpsWanted(..));
            let is_last = !is_of_now && self.now.since(parcel.since) < PARTING_KEPT;
            owed |= is_last;
            if !is_last {
                self.drop_parcel(device, place, &parcel)?;
            }
        }
        if !owed {
            return self.forget_member(group, device);
        }
        self.reach(row.transport, row.addresses);
        Ok(())
    }

    /// A device took the place of one that is gone: what that one is still owed of groups that were left here is owed to it.
    pub(super) fn hand_on_parting(&mut self, gone: DeviceId, device: DeviceId) -> Step {
        let groups = self.read::<DeviceRow>(&DeviceRow::key(gone))?.map(|row| row.groups).unwrap_or_default();
        for group in groups {
            let state = self.read::<GroupRow>(&GroupRow::key(group))?.map(|row| row.state);
            let Some(mut row) =
                self.read::<DeviceRow>(&DeviceRow::key(device))?.filter(|_| state == Some(GroupState::Left))
            else {
                continue;
            };
            row.groups.push(group);
            self.put(DeviceRow::key(device), &row);
            for (_, _, record) in self.group_parcels(group, gone)? {
                self.post(device, &record)?;
            }
            self.drop_group_parcels(group, gone)?;
            self.forget_mail_to(gone);
            self.forget_member(group, gone)?;
        }
        Ok(())
    }

    /// Takes keys of a group out of the outbox of a device that is to have them no more.
    pub(super) fn drop_group_keys(&mut self, group: OpId, device: DeviceId) -> Step {
        for (place, parcel, record) in self.group_parcels(group, device)? {
            if !matches!(record, Record::Ops(..)) {
                self.drop_parcel(device, place, &parcel)?;
            }
        }
        Ok(())
    }

    /// Takes all that is of a group out of the outbox of a device that is gone.
    pub(super) fn drop_group_parcels(&mut self, group: OpId, device: DeviceId) -> Step {
        for (place, parcel, _) in self.group_parcels(group, device)? {
            self.drop_parcel(device, place, &parcel)?;
        }
        Ok(())
    }

    /// A device is in no common group of this id any more.
    pub(super) fn forget_member(&mut self, group: OpId, device: DeviceId) -> Step {
        let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { return Ok(()) };
        if !row.groups.contains(&group) {
            return Ok(());
        }
        row.groups.retain(|held| *held != group);
        self.put(DeviceRow::key(device), &row);
        self.forget_unshared(group, &row)
    }

    /// Where nothing is shared with a device of a former member any more, and nothing is owed it, no connection is kept. Who
    /// was removed is owed word of it, and may be asked to be a contact.
    fn forget_unshared(&mut self, group: OpId, row: &DeviceRow) -> Step {
        let state = self.contact(row.account)?.map(|contact| contact.state);
        let contact = state.is_some_and(|state| !matches!(state, ContactState::Removed | ContactState::Stranger));
        let waiting = self.scan(OutboxRow::TABLE, row.device.as_ref(), None, Direction::Forward, 1)?;
        let is_needed = contact || !waiting.is_empty() || self.leavers(group).contains(&row.device);
        if row.groups.is_empty() && !is_needed { self.forget_mailbox(row.transport) } else { Ok(()) }
    }

    /// Looks for those who left a group not long ago: they may owe last words, and cannot learn where this one has moved.
    pub(super) fn reach_leavers(&mut self, group: OpId) -> Step {
        for device in self.leavers(group) {
            let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { continue };
            if self.contact(row.account)?.is_none_or(|contact| !contact.blocked) {
                self.reach(row.transport, row.addresses);
            }
        }
        Ok(())
    }

    /// Those who left and of whom something is held without its key are asked for that, or looked for.
    pub(super) fn ask_leavers_for_keys(&mut self, group: OpId) -> Step {
        for device in self.leavers(group) {
            if self.ask_author_for_keys(group, device)?
                && let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))?
                && !self.is_blocked(row.account)?
            {
                self.reach(row.transport, row.addresses);
            }
        }
        Ok(())
    }

    /// Those who went long ago owe nothing any more, and are owed nothing.
    pub(super) fn let_leavers_go(&mut self, group: OpId) -> Step {
        let recent = self.leavers(group);
        let memory = self.group(group)?;
        for device in &memory.membership.former {
            for (place, parcel, _) in self.group_parcels(group, *device)? {
                if self.now.since(parcel.since) >= PARTING_KEPT {
                    self.drop_parcel(*device, place, &parcel)?;
                }
            }
        }
        for device in memory.membership.former.iter().filter(|device| !recent.contains(device)) {
            if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(*device))? {
                self.forget_unshared(group, &row)?;
            }
        }
        Ok(())
    }

    /// Whether a device left this group less than [`PARTING_KEPT`] ago.
    pub(super) fn has_left_lately(&mut self, group: OpId, device: DeviceId) -> Step<bool> {
        if !self.has_graph(group)? {
            return Ok(false);
        }
        self.group(group)?;
        Ok(self.leavers(group).contains(&device))
    }

    /// Devices that left this group less than [`PARTING_KEPT`] ago, as far as its ops are in memory.
    fn leavers(&self, group: OpId) -> Vec<DeviceId> {
        let Some(memory) = self.mem.groups.get(&group) else { return Vec::new() };
        let is_recent = |op: &OpId| memory.arrived.get(op).is_some_and(|at| self.now.since(*at) < PARTING_KEPT);
        // Who was removed does not make itself one who left.
        let cuts = memory.membership.cuts.iter().filter(|cut| is_recent(cut));
        let leaves = cuts.filter_map(|cut| memory.graph.op(cut)).filter(|op| matches!(op.action, Action::Leave(_)));
        let devices = leaves.map(|op| op.device);
        devices.filter(|device| memory.membership.former.contains(device)).collect()
    }

    /// What waits in a device's outbox and speaks of this group's ops, secrets, chains and keys.
    pub(super) fn group_parcels(&self, group: OpId, device: DeviceId) -> Step<Vec<(u64, OutboxRow, Record)>> {
        let mut parcels = Vec::new();
        for (place, bytes) in self.scan(OutboxRow::TABLE, device.as_ref(), None, Direction::Forward, usize::MAX)? {
            let Ok(place) = place.try_into().map(u64::from_be_bytes) else { continue };
            let row: OutboxRow = parse(&bytes)?;
            let Parcel::Control(_, record) = &row.what else { continue };
            let Some(record) = Record::parse(record) else { continue };
            if let Record::Ops(of, _)
            | Record::GossipSecret(of, ..)
            | Record::Chain(of, _)
            | Record::Events(of, _)
            | Record::KeysWanted(of, _)
            | Record::OpsWanted(of, _)
            | Record::Keys(of, _) = &record
                && *of == group
            {
                parcels.push((place, row, record));
            }
        }
        Ok(parcels)
    }
}

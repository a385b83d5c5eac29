//! Groups: founded, invited to, joined, named, left. What the ops say is copied into rows that views read.

use super::{
    GroupMemory, Timer,
    command::{Refusal, Reply},
    feed::FeedEntry,
    record::Record,
    rows::{
        ChatKind, ChatRow, ContactState, DeviceRow, GossipSecretRow, GroupRow, GroupState, Intro, MemberRow, OpRow, all,
    },
    sessions::{Heard, device_keys, group_intro, verified},
    turn::{Answer, Step, Stop, Turn},
};
use crate::protocol::{
    crypto::sign::Verified,
    event::Content,
    group::{
        Action, Certificates, Devices, FrameContent, Graph, History, Inserted, Membership, Meta, Op, Role, SignedJoin,
        SignedOp, keys::HeldSecret, op::Join,
    },
    identity::Name,
    ids::{AccountId, ChatId, DeviceId, OpId},
    view::{Table, ViewError},
    wire::{
        decode, encode,
        limits::{MAX_DEVICES, MAX_GROUPS, MAX_MEMBERS},
    },
};
use minicbor::bytes::ByteVec;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Ops kept aside until their past is here, in one group.
const MAX_OPS_ASIDE: usize = 256;
/// Bytes of ops in one record.
const OPS_PER_RECORD: usize = 40 * 1024;

/// Reads the bundles inside ops: a CBOR list of signed bundles, one for each device.
pub(super) struct Bundles;

impl Certificates for Bundles {
    fn devices(&self, bundles: &[u8]) -> Option<Devices> {
        let parsed = parse_bundles(bundles)?;
        let (_, first) = parsed.first()?;
        let newest = parsed.iter().map(|(_, bundle)| &bundle.list).max_by_key(|list| list.seq)?;
        let same_account = parsed.iter().all(|(_, bundle)| bundle.cert.account == first.cert.account);
        same_account.then(|| Devices {
            account: first.cert.account,
            list_seq: newest.seq,
            list_hash: *newest.hash(),
            devices: parsed
                .iter()
                .filter(|(_, bundle)| newest.holds(&bundle.cert))
                .map(|(_, bundle)| bundle.cert.device)
                .collect(),
        })
    }
}

type VerifiedBundle = (crate::protocol::identity::SignedBundle, Verified<crate::protocol::identity::Bundle>);

fn parse_bundles(bytes: &[u8]) -> Option<Vec<VerifiedBundle>> {
    let list: Vec<ByteVec> = decode(bytes, "bundles").ok()?;
    if list.len() > MAX_DEVICES {
        return None;
    }
    list.iter().map(|bytes| verified(bytes)).collect()
}

impl Turn<'_> {
    pub(super) fn new_group(&mut self, name: &str) -> Answer {
        let meta = parse_meta(name)?;
        if all::<GroupRow>(self, b"")?.iter().filter(|group| group.state == GroupState::Joined).count() >= MAX_GROUPS {
            return Err(Refusal::TooManyGroups { max: MAX_GROUPS }.into());
        }
        let create = self.make_op(None, &[], Action::Create { meta, bundles: self.own_bundles()? })?;
        let group = create.id();
        let row = self.new_group_row(group, name.to_owned(), GroupState::Joined, None);
        self.put(GroupRow::key(group), &row);
        self.begin_graph(group, create)?;
        self.rotate(group)?;
        self.tell_name_to(group)?;
        Ok(Reply::Group(group))
    }

    fn new_group_row(&self, group: OpId, name: String, state: GroupState, inviter: Option<AccountId>) -> GroupRow {
        GroupRow { group, name, state, inviter, ops: 0, since: self.now, held: 0, invited: Vec::new() }
    }

    pub(super) fn invite_to_group(&mut self, group: OpId, account: AccountId) -> Answer {
        let mut row = self.joined(group)?;
        let memory = self.group(group)?;
        let own = self.own()?.account;
        if !memory.membership.members.get(&own).is_some_and(|member| is_admin(member.role)) {
            return Err(Refusal::NotAllowed.into());
        }
        if memory.membership.members.contains_key(&account) {
            return Err(Refusal::AlreadyMember { account }.into());
        }
        if memory.membership.members.len() >= MAX_MEMBERS {
            return Err(Refusal::GroupFull { max: MAX_MEMBERS }.into());
        }
        let contact = self.contact(account)?.ok_or(Refusal::NoSuchContact)?;
        if contact.state != ContactState::Connected {
            return Err(Refusal::NotConnected { account }.into());
        }
        if !row.invited.contains(&account) {
            row.invited.push(account);
            self.put(GroupRow::key(group), &row);
        }
        for device in contact.devices {
            self.post(device, &Record::Invite(group, memory.membership.meta.name.clone(), self.now))?;
        }
        Ok(Reply::Group(group))
    }

    /// "Come into this group."
    pub(super) fn invite_came(&mut self, heard: &Heard, group: OpId, name: &str) -> Step {
        let inviter = heard.device.account;
        let known = self.contact(inviter)?.is_some_and(|contact| contact.state == ContactState::Connected);
        let Ok(name) = name.parse::<Name>() else { return Ok(()) };
        let row = self.read::<GroupRow>(&GroupRow::key(group))?;
        let (fresh, open) = match row.as_ref().map(|row| row.state) {
            Some(GroupState::Joined) => return Ok(()),
            // Accepted before, and perhaps the answer was lost with the inviter's session: answer again.
            Some(GroupState::Joining) => (false, true),
            Some(_) => (false, false),
            None => (true, false),
        };
        if !known {
            return Ok(());
        }
        let mut row = row.unwrap_or_else(|| self.new_group_row(group, name.to_string(), GroupState::Invited, None));
        row.inviter = Some(inviter);
        row.state = GroupState::Invited;
        self.put(GroupRow::key(group), &row);
        self.tell(&FeedEntry::Group { group })?;
        // Who left or declined before is asked, not pulled in again.
        if open || (fresh && self.settings.join_contacts_groups) { self.answer_invite(row) } else { Ok(()) }
    }

    pub(super) fn accept_group(&mut self, group: OpId) -> Answer {
        let row = self.read::<GroupRow>(&GroupRow::key(group))?;
        let row = row.filter(|row| row.state == GroupState::Invited).ok_or(Refusal::NoSuchInvitation)?;
        self.answer_invite(row)?;
        Ok(Reply::Group(group))
    }

    /// Consents: a signed Join goes to the inviter, which adds us.
    fn answer_invite(&mut self, mut row: GroupRow) -> Step {
        let Some(inviter) = row.inviter else { return Ok(()) };
        let own = self.own()?;
        let join = Join {
            group: row.group,
            inviter,
            account: own.account,
            device: own.device,
            time: self.now,
            bundles: self.own_bundles()?,
        };
        let signed = SignedJoin::sign(join, &device_keys(&own)?.device);
        row.state = GroupState::Joining;
        self.put(GroupRow::key(row.group), &row);
        let Some(contact) = self.contact(inviter)? else { return Ok(()) };
        for device in contact.devices {
            self.post(device, &Record::Join(row.group, signed.to_bytes()))?;
        }
        self.tell(&FeedEntry::Group { group: row.group })
    }

    pub(super) fn decline_group(&mut self, group: OpId) -> Answer {
        let row = self.read::<GroupRow>(&GroupRow::key(group))?;
        let mut row = row.filter(|row| row.state == GroupState::Invited).ok_or(Refusal::NoSuchInvitation)?;
        row.state = GroupState::Declined;
        self.put(GroupRow::key(group), &row);
        self.tell(&FeedEntry::Group { group })?;
        Ok(Reply::Group(group))
    }

    /// A newcomer consented: add it, and give it what a member has.
    pub(super) fn join_came(&mut self, heard: &Heard, group: OpId, bytes: &[u8]) -> Step {
        let account = heard.device.account;
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        if row.state != GroupState::Joined {
            return Ok(());
        }
        let memory = self.group(group)?;
        if memory.membership.members.contains_key(&account) {
            return self.welcome(group, heard.device.device);
        }
        let Ok(join) = SignedJoin::parse(bytes) else { return Ok(()) };
        let expected = row.invited.contains(&account) && join.account == account && join.group == group;
        if !expected || join.inviter != self.own()?.account || join.verify(&Bundles).is_err() {
            return Ok(());
        }
        if memory.membership.members.len() >= MAX_MEMBERS {
            return Ok(());
        }
        row.invited.retain(|invited| *invited != account);
        self.put(GroupRow::key(group), &row);
        let op = self.make_op(Some(group), &self.named_heads(&memory), Action::Add(join))?;
        self.issue(group, op)?;
        self.welcome(group, heard.device.device)
    }

    /// Gives a member's device all ops, then the gossip secret in force.
    fn welcome(&mut self, group: OpId, device: DeviceId) -> Step {
        let memory = self.group(group)?;
        for record in ops_records(group, memory.graph.ops()) {
            self.post(device, &record)?;
        }
        self.hand_secret(group, &memory, device)
    }

    pub(super) fn rename_group(&mut self, group: OpId, name: &str) -> Answer {
        let meta = parse_meta(name)?;
        self.joined(group)?;
        let memory = self.group(group)?;
        let own = self.own()?.account;
        if !memory.membership.members.get(&own).is_some_and(|member| is_admin(member.role)) {
            return Err(Refusal::NotAllowed.into());
        }
        let meta = Meta { history: memory.membership.meta.history, ..meta };
        let op = self.make_op(Some(group), &self.named_heads(&memory), Action::Meta(meta))?;
        self.issue(group, op)?;
        Ok(Reply::Group(group))
    }

    /// Goes. A founder first hands the group over to the member of the highest rank.
    pub(super) fn leave_group(&mut self, group: OpId) -> Answer {
        let row = self.joined(group)?;
        let own = self.own()?;
        let memory = self.group(group)?;
        let others = memory.membership.members.iter().filter(|(account, _)| **account != own.account);
        let heir = others.min_by_key(|(_, member)| member.rank).map(|(account, _)| *account);
        let founder = memory.membership.members.get(&own.account).is_some_and(|member| member.role == Role::Founder);
        if let (true, Some(heir)) = (founder, heir) {
            let op = self.make_op(Some(group), &self.named_heads(&memory), Action::HandOver(heir))?;
            self.issue(group, op)?;
        }
        let memory = self.group(group)?;
        let op = self.make_op(Some(group), &self.named_heads(&memory), Action::Leave)?;
        // Published before it takes effect here, under the secret that it ends; and to every member's outbox, since
        // nobody may be there to hear it now.
        let parting = ops_records(group, memory.graph.ops().skip(memory.graph.len().saturating_sub(1)).chain([&op]));
        for device in member_devices(&memory.membership).filter(|device| *device != own.device) {
            for record in &parting {
                self.post(device, record)?;
            }
        }
        self.publish_op(group, &op)?;
        self.take_op(group, op)?;
        let row = GroupRow { state: GroupState::Left, ..self.read(&GroupRow::key(group))?.unwrap_or(row) };
        self.put(GroupRow::key(group), &row);
        self.close_group(group)?;
        self.tell(&FeedEntry::Group { group })?;
        Ok(Reply::Group(group))
    }

    /// Membership ops from another's device. They prove themselves; what lacks its past is kept aside a while.
    pub(super) fn ops_came(&mut self, from: DeviceId, group: OpId, ops: &[ByteVec]) -> Step {
        let Some(row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        if !matches!(row.state, GroupState::Joining | GroupState::Joined) {
            return Ok(());
        }
        for bytes in ops {
            let Some(op) = SignedOp::parse(bytes).ok().filter(|op| op.group() == group) else { continue };
            let known = self.mem.groups.get(&group).is_some_and(|memory| memory.graph.contains(&op.id()));
            if known {
                continue;
            }
            let Ok(op) = op.verify(&Bundles) else { continue };
            self.take_op(group, op)?;
        }
        if !self.mem.ops_aside.get(&group).is_none_or(BTreeMap::is_empty) {
            self.ask_missing(group, Some(from));
        }
        Ok(())
    }

    /// Takes a verified op into the graph, and then whatever waited for it.
    pub(super) fn take_op(&mut self, group: OpId, op: Verified<SignedOp>) -> Step {
        let mut next = vec![op];
        while let Some(op) = next.pop() {
            if self.take_one_op(group, op)? {
                next.extend(self.mem.ops_aside.remove(&group).into_iter().flat_map(BTreeMap::into_values));
            }
        }
        Ok(())
    }

    /// Whether the op is in now and was not before.
    fn take_one_op(&mut self, group: OpId, op: Verified<SignedOp>) -> Step<bool> {
        if !self.has_graph(group)? {
            if op.id() == group {
                self.begin_graph(group, op)?;
                return Ok(true);
            }
            self.lay_aside(group, op);
            return Ok(false);
        }
        let memory = self.group(group)?;
        let mut graph = memory.graph.clone();
        match graph.insert(op.clone()) {
            Ok(Inserted::New) => {}
            Ok(Inserted::Missing(_)) => {
                self.lay_aside(group, op);
                return Ok(false);
            }
            Ok(Inserted::Known) | Err(_) => return Ok(false),
        }
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(false) };
        self.put(OpRow::key(group, row.ops), &OpRow { bytes: op.to_bytes(), arrived: self.now });
        row.ops += 1;
        self.put(GroupRow::key(group), &row);
        let mut arrived = memory.arrived.clone();
        arrived.insert(op.id(), self.now);
        let membership = graph.membership();
        let before = memory.membership.clone();
        let secrets = memory.secrets.clone();
        self.mem.groups.insert(group, Arc::new(GroupMemory { graph, membership, arrived, secrets }));
        self.learn_op_bundles(&op)?;
        self.membership_changed(group, Some(&before))?;
        Ok(true)
    }

    fn lay_aside(&mut self, group: OpId, op: Verified<SignedOp>) {
        let aside = self.mem.ops_aside.entry(group).or_default();
        if aside.len() < MAX_OPS_ASIDE {
            aside.insert(op.id(), op);
        }
    }

    fn begin_graph(&mut self, group: OpId, create: Verified<SignedOp>) -> Step {
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        let Ok(graph) = Graph::new(create.clone()) else { return Ok(()) };
        self.put(OpRow::key(group, 0), &OpRow { bytes: create.to_bytes(), arrived: self.now });
        row.ops = 1;
        self.put(GroupRow::key(group), &row);
        let membership = graph.membership();
        let arrived = BTreeMap::from([(create.id(), self.now)]);
        let secrets = self.held_secrets(group)?;
        self.mem.groups.insert(group, Arc::new(GroupMemory { graph, membership, arrived, secrets }));
        self.learn_op_bundles(&create)?;
        self.membership_changed(group, None)
    }

    /// Bundles inside ops are how members who never met know each other's devices.
    fn learn_op_bundles(&mut self, op: &SignedOp) -> Step {
        let bytes = match &op.action {
            Action::Create { bundles, .. } | Action::Devices(bundles) => bundles,
            Action::Add(join) => &join.bundles,
            _ => return Ok(()),
        };
        let own = self.own()?.device;
        for (signed, bundle) in parse_bundles(bytes).unwrap_or_default() {
            if bundle.cert.device != own {
                self.learn_bundle(&bundle, &signed)?;
            }
        }
        Ok(())
    }

    /// Copies what the ops say now into rows, and acts on it.
    fn membership_changed(&mut self, group: OpId, before: Option<&Membership>) -> Step {
        let memory = self.group(group)?;
        let own = self.own()?;
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        row.name = memory.membership.meta.name.clone();
        let is_in = memory.membership.members.contains_key(&own.account);
        let joined_now = is_in && row.state == GroupState::Joining;
        let removed_now = !is_in && row.state == GroupState::Joined;
        if joined_now {
            row.state = GroupState::Joined;
        }
        if removed_now {
            row.state = GroupState::Removed;
        }
        self.put(GroupRow::key(group), &row);
        self.copy_members(group, &memory.membership)?;
        if row.state == GroupState::Joined && !self.has_chat(group)? {
            self.open_group(group)?;
        }
        if removed_now {
            self.close_group(group)?;
        }
        if row.state == GroupState::Joined {
            self.meet_members(group, before, &memory.membership)?;
            self.refresh_gossip(group)?;
            self.release_held(group)?;
        }
        if joined_now {
            self.tell_name_to(group)?;
        }
        if before != Some(&memory.membership) { self.tell(&FeedEntry::Group { group }) } else { Ok(()) }
    }

    fn copy_members(&mut self, group: OpId, membership: &Membership) -> Step {
        for mut row in all::<MemberRow>(self, group)? {
            if row.current && !membership.members.contains_key(&row.account) {
                row.current = false;
                row.devices.clear();
                self.put(MemberRow::key(group, row.account), &row);
            }
        }
        for (account, member) in &membership.members {
            let key = MemberRow::key(group, *account);
            let name = self.read::<MemberRow>(&key)?.and_then(|row| row.name);
            let role = match member.role {
                Role::Founder => 0,
                Role::Admin => 1,
                Role::Member => 2,
            };
            let devices = member.devices.iter().copied().collect();
            self.put(key, &MemberRow { account: *account, role, name, current: true, devices });
        }
        Ok(())
    }

    /// Notes which devices are in the group now, and looks for those that are new.
    fn meet_members(&mut self, group: OpId, before: Option<&Membership>, now: &Membership) -> Step {
        let own = self.own()?.device;
        let were: BTreeSet<DeviceId> = before.map(|before| member_devices(before).collect()).unwrap_or_default();
        let are: BTreeSet<DeviceId> = member_devices(now).filter(|device| *device != own).collect();
        for device in were.difference(&are) {
            if let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(*device))? {
                row.groups.retain(|held| *held != group);
                self.put(DeviceRow::key(*device), &row);
            }
        }
        for device in are {
            let Some(mut row) = self.read::<DeviceRow>(&DeviceRow::key(device))? else { continue };
            if !row.groups.contains(&group) {
                row.groups.push(group);
                self.put(DeviceRow::key(device), &row);
                self.reach(row.transport, row.addresses.clone());
                self.adopt_connected(&row)?;
            }
        }
        Ok(())
    }

    /// A member's device that happened to be connected before it was known is met now.
    fn adopt_connected(&mut self, row: &DeviceRow) -> Step {
        if self.mem.peers.get(&row.transport) == Some(&None) {
            self.mem.peers.insert(row.transport, Some(row.device));
        }
        if self.mem.peers.contains_key(&row.transport) {
            self.pump(row.device)?;
            self.groups_meet(row)?;
        }
        Ok(())
    }

    fn open_group(&mut self, group: OpId) -> Step {
        self.ensure_chat(ChatId::from(group), ChatKind::Group(group))?;
        let own = self.own()?.device;
        self.open_intro(&group_intro(group, own), Intro::Group(group))
    }

    fn has_chat(&self, group: OpId) -> Step<bool> {
        Ok(self.read::<ChatRow>(&ChatRow::key(ChatId::from(group)))?.is_some())
    }

    fn close_group(&mut self, group: OpId) -> Step {
        let own = self.own()?.device;
        self.close_intro(&group_intro(group, own))?;
        self.leave_topics(group)
    }

    /// Issues an own op: into the graph, and to everybody.
    pub(super) fn issue(&mut self, group: OpId, op: Verified<SignedOp>) -> Step {
        self.publish_op(group, &op)?;
        self.take_op(group, op)
    }

    fn publish_op(&mut self, group: OpId, op: &SignedOp) -> Step {
        self.gossip(group, &FrameContent::Op(op.to_bytes()))?;
        Ok(())
    }

    pub(super) fn make_op(&mut self, group: Option<OpId>, prev: &[OpId], action: Action) -> Step<Verified<SignedOp>> {
        let own = self.own()?;
        let op = Op { group, prev: prev.to_vec(), account: own.account, device: own.device, time: self.now, action };
        let damaged = || ViewError::Damaged(Table::Own);
        let signed = SignedOp::sign(&op, &device_keys(&own)?.device).map_err(|_| damaged())?;
        signed.verify(&Bundles).map_err(|_| damaged())
    }

    fn own_bundles(&self) -> Step<Vec<u8>> {
        Ok(encode(&vec![ByteVec::from(self.own()?.bundle)]))
    }

    pub(super) fn named_heads(&self, memory: &GroupMemory) -> Vec<OpId> {
        memory.graph.heads_to_name(&memory.membership)
    }

    /// A group this account is in.
    pub(super) fn joined(&self, group: OpId) -> Answer<GroupRow> {
        let row = self.read::<GroupRow>(&GroupRow::key(group))?.ok_or(Stop::Refused(Refusal::NoSuchGroup))?;
        match row.state {
            GroupState::Joined => Ok(row),
            GroupState::Invited | GroupState::Declined => Err(Refusal::NoSuchGroup.into()),
            GroupState::Joining | GroupState::Left | GroupState::Removed => Err(Refusal::NotAMember.into()),
        }
    }

    /// Whether ops of this group are here; loads them into memory.
    pub(super) fn has_graph(&mut self, group: OpId) -> Step<bool> {
        if self.mem.groups.contains_key(&group) {
            return Ok(true);
        }
        let mut graph: Option<Graph> = None;
        let mut arrived = BTreeMap::new();
        for row in all::<OpRow>(self, group)? {
            let damaged = || ViewError::Damaged(Table::Op);
            let op = SignedOp::parse(&row.bytes).map_err(|_| damaged())?.verify(&Bundles).map_err(|_| damaged())?;
            arrived.insert(op.id(), row.arrived);
            match &mut graph {
                Some(graph) => {
                    graph.insert(op).map_err(|_| damaged())?;
                }
                None => graph = Some(Graph::new(op).map_err(|_| damaged())?),
            }
        }
        let Some(graph) = graph else { return Ok(false) };
        let membership = graph.membership();
        let secrets = self.held_secrets(group)?;
        self.mem.groups.insert(group, Arc::new(GroupMemory { graph, membership, arrived, secrets }));
        Ok(true)
    }

    /// The ops of a group that is here.
    pub(super) fn group(&mut self, group: OpId) -> Step<Arc<GroupMemory>> {
        self.has_graph(group)?;
        self.mem.groups.get(&group).cloned().ok_or(ViewError::Damaged(Table::Op))
    }

    fn held_secrets(&self, group: OpId) -> Step<Vec<HeldSecret>> {
        let rows = all::<GossipSecretRow>(self, group)?;
        Ok(rows.into_iter().map(|row| HeldSecret { op: row.op, secret: row.secret }).collect())
    }

    pub(super) fn is_member_device(&mut self, group: OpId, device: DeviceId) -> Step<bool> {
        if !self.has_graph(group)? {
            return Ok(false);
        }
        let memory = self.group(group)?;
        Ok(member_devices(&memory.membership).any(|member| member == device))
    }

    /// Takes part in all groups again after a start.
    pub(super) fn groups_online(&mut self) -> Step {
        for row in all::<GroupRow>(self, b"")? {
            if row.state != GroupState::Joined || !self.has_graph(row.group)? {
                continue;
            }
            let memory = self.group(row.group)?;
            let own = self.own()?.device;
            for device in member_devices(&memory.membership).filter(|device| *device != own) {
                if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? {
                    self.reach(row.transport, row.addresses);
                }
            }
            self.refresh_gossip(row.group)?;
            let first = self.jitter(super::group_sync::REPAIR_EVERY);
            self.mem.timers.insert((self.now.plus(first), Timer::Repair(row.group)));
        }
        Ok(())
    }

    /// The own name changed: groups learn it by an event.
    pub(super) fn tell_name_to_groups(&mut self) -> Step {
        for row in all::<GroupRow>(self, b"")? {
            if row.state == GroupState::Joined {
                self.tell_name_to(row.group)?;
            }
        }
        Ok(())
    }

    fn tell_name_to(&mut self, group: OpId) -> Step {
        let name = self.own()?.name;
        let Ok(name) = name.parse::<Name>() else { return Ok(()) };
        match self.say_in_group(group, Content::Profile(name)) {
            Ok(_) | Err(Stop::Refused(_)) => Ok(()),
            Err(Stop::View(error)) => Err(error),
        }
    }
}

fn is_admin(role: Role) -> bool {
    matches!(role, Role::Admin | Role::Founder)
}

/// Every device of every member.
pub(super) fn member_devices(membership: &Membership) -> impl Iterator<Item = DeviceId> {
    membership.members.values().flat_map(|member| member.devices.iter().copied())
}

/// Ops in records of a size that one envelope takes.
pub(super) fn ops_records<'o>(group: OpId, ops: impl Iterator<Item = &'o Verified<SignedOp>>) -> Vec<Record> {
    let (mut records, mut page, mut size) = (Vec::new(), Vec::new(), 0);
    for op in ops {
        let bytes = op.to_bytes();
        if size + bytes.len() > OPS_PER_RECORD && !page.is_empty() {
            records.push(Record::Ops(group, std::mem::take(&mut page)));
            size = 0;
        }
        size += bytes.len();
        page.push(bytes.into());
    }
    if !page.is_empty() {
        records.push(Record::Ops(group, page));
    }
    records
}

fn parse_meta(name: &str) -> Result<Meta, Refusal> {
    let name: Name = name
        .parse()
        .map_err(|error: crate::protocol::identity::profile::NameError| Refusal::BadName(error.to_string()))?;
    Meta::new(name.as_str(), History::NOTHING).map_err(|_| Refusal::BadName(name.to_string()))
}

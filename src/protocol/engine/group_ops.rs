//! The ops of a group: taken in, resolved, kept in memory, and copied into rows that views read.

use super::{
    GroupMemory,
    bundles::verified,
    feed::FeedEntry,
    intros::group_intro,
    record::Record,
    rows::{
        ChatKind, ChatRow, DeviceRow, GossipSecretRow, GroupRow, GroupState, Intro, OpRow, Posted, ReceiptRow, Side,
        Waits, all,
    },
    sessions::device_keys,
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::sign::Verified,
    group::{
        Action, Certificates, Devices, FrameContent, Graph, GraphError, Inserted, Membership, Op, SignedOp,
        keys::HeldSecret,
    },
    ids::{AccountId, ChatId, DeviceId, OpId},
    time::Millis,
    view::{Table, View, ViewError},
    wire::{
        decode, encode,
        limits::{MAX_DEVICES, MAX_OPS_ASIDE, MAX_OPS_ASIDE_PER_DEVICE, MAX_OPS_OF_FORMER},
    },
};
use minicbor::bytes::ByteVec;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Bytes of ops in one record.
const OPS_PER_RECORD: usize = 40 * 1024;

/// Ops that cannot be taken in yet and the devices that sent them, in the order they came.
pub(super) type OpsAside = VecDeque<(DeviceId, Verified<SignedOp>)>;

/// Reads the bundles inside ops: a CBOR list of signed bundles, one for each device.
pub struct Bundles;

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
    /// Membership ops from another's device. They prove themselves; what lacks its past is kept aside a while.
    pub(super) fn ops_came(&mut self, from: DeviceId, group: OpId, ops: &[ByteVec]) -> Step {
        let Some(row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        // Who was removed learns also that this does not count, and who left, whom the device had added that it replaced.
        let is_learning = row.state == GroupState::Left && !self.own()?.former.is_empty();
        if !is_learning && !matches!(row.state, GroupState::Joining | GroupState::Joined | GroupState::Removed) {
            return Ok(());
        }
        let is_here = self.has_graph(group)?;
        let mut fresh = Vec::with_capacity(ops.len());
        for bytes in ops {
            let Some(op) = SignedOp::parse(bytes).ok().filter(|op| op.group() == group) else { continue };
            if is_here && self.group(group)?.graph.contains(&op.id()) {
                continue;
            }
            fresh.extend(op.verify(&Bundles));
        }
        let ids: Vec<OpId> = fresh.iter().map(|op| op.id()).collect();
        self.take_ops(group, from, fresh)?;
        let aside = self.mem.ops_aside.get(&group);
        self.in_memory |= aside.is_some_and(|aside| aside.iter().any(|(_, op)| ids.contains(&op.id())));
        if self.mem.ops_aside.get(&group).is_some_and(|aside| !aside.is_empty()) {
            self.ask_missing(group, Some(from));
        }
        self.ask_author_for_keys(group, from).map(drop)
    }

    /// Takes ops into the graph with whatever waited for them, and then acts on what they change, once.
    pub(super) fn take_ops(&mut self, group: OpId, from: DeviceId, ops: Vec<Verified<SignedOp>>) -> Step {
        let mut waiting = self.mem.ops_aside.remove(&group).unwrap_or_default();
        for op in ops {
            if !waiting.iter().any(|(_, held)| held.id() == op.id()) {
                waiting.push_back((from, op));
            }
        }
        let mut before = None;
        if self.has_graph(group)? {
            before = Some(self.group(group)?.membership.clone());
        } else if let Some(at) = waiting.iter().position(|(_, op)| op.id() == group)
            && let Some((_, create)) = waiting.remove(at)
        {
            self.begin_graph(group, create)?;
        }
        let taken = match self.mem.groups.remove(&group) {
            Some(mut memory) => {
                let taken = insert_ready(Arc::make_mut(&mut memory), &mut waiting);
                self.mem.groups.insert(group, memory);
                taken
            }
            None => Vec::new(),
        };
        trim(&mut waiting);
        if !waiting.is_empty() {
            self.mem.ops_aside.insert(group, waiting);
        }
        self.keep_ops(group, &taken)?;
        self.pass_on_leaves(group, &taken)?;
        self.pass_on_of_former(group, &taken)?;
        let begun = before.is_none() && self.mem.groups.contains_key(&group);
        if begun || !taken.is_empty() { self.membership_changed(group, before.as_ref()) } else { Ok(()) }
    }

    fn keep_ops(&mut self, group: OpId, taken: &[Verified<SignedOp>]) -> Step {
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        for op in taken {
            self.put(OpRow::key(group, row.ops), &OpRow { bytes: op.to_bytes(), arrived: self.now });
            row.ops += 1;
            self.learn_op_bundles(op)?;
        }
        if !taken.is_empty() {
            self.put(GroupRow::key(group), &row);
        }
        let now = self.now;
        if let (Some(memory), false) = (self.mem.groups.get_mut(&group), taken.is_empty()) {
            let memory = Arc::make_mut(memory);
            memory.arrived.extend(taken.iter().map(|op| (op.id(), now)));
            memory.membership = memory.graph.membership();
        }
        Ok(())
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
        self.learn_op_bundles(&create)
    }

    /// Bundles inside ops are how members who never met know each other's devices.
    fn learn_op_bundles(&mut self, op: &SignedOp) -> Step {
        let bytes = match &op.action {
            Action::Create { bundles, .. } | Action::Devices(bundles) => bundles,
            Action::Add(join) => &join.bundles,
            _ => return Ok(()),
        };
        let own = self.own()?;
        for (signed, bundle) in parse_bundles(bytes).unwrap_or_default() {
            if bundle.cert.account == own.account {
                self.own_list_seen(&bundle.signed_list)?;
            }
            if bundle.cert.device == own.device {
                continue;
            }
            match self.learn_bundle(&bundle, &signed)? {
                Some(device) => self.meet_instead(&device)?,
                None => self.note_gone(&bundle.cert)?,
            }
        }
        Ok(())
    }

    /// Copies what the ops say now into rows, and acts on it.
    fn membership_changed(&mut self, group: OpId, before: Option<&Membership>) -> Step {
        let memory = self.group(group)?;
        let own = self.own()?;
        self.forget_named(group);
        let Some(mut row) = self.read::<GroupRow>(&GroupRow::key(group))? else { return Ok(()) };
        row.name = memory.membership.meta.name.clone();
        row.mailboxes = memory.membership.meta.mailboxes.clone();
        let is_in = memory.membership.members.contains_key(&own.account);
        let joined_now = is_in && matches!(row.state, GroupState::Joining | GroupState::Removed);
        let removed_now = !is_in && row.state == GroupState::Joined;
        if joined_now {
            row.state = GroupState::Joined;
        }
        let members = &memory.membership.members;
        row.invited.retain(|account| !members.contains_key(account));
        row.asked_again.retain(|account| members.contains_key(account));
        if removed_now {
            let has_left = self.has_left(group, &own.account)?;
            row.state = if has_left { GroupState::Left } else { GroupState::Removed };
        }
        self.put(GroupRow::key(group), &row);
        self.copy_members(group, &memory)?;
        // Who comes back has the conversation still, and its intro was closed.
        if joined_now || (row.state == GroupState::Joined && !self.has_chat(group)?) {
            self.open_group(group)?;
        }
        if removed_now {
            self.close_group(group, before)?;
        }
        if row.state == GroupState::Joined {
            self.meet_members(group, before, &memory.membership)?;
            self.settle_chains(group)?;
            self.settle_secrets(group)?;
            self.refresh_gossip(group)?;
            self.newcomers_came(group, before)?;
            self.ends_came(group, before)?;
            self.post_to_named(group, before)?;
            // Of what was said before this account came back nobody gives it the key.
            let admissions = |of: &Membership| of.members.get(&own.account).map(|own| own.admissions.clone());
            let is_back = before.and_then(admissions) != admissions(&memory.membership);
            self.release_held(group, |waits| is_back || !matches!(waits, Waits::Chain(..)))?;
            // It may not have known that it was out, and gone on.
            if is_back {
                self.say_unconfirmed(group)?;
            }
            self.read_logs_again(group);
        }
        if joined_now {
            self.tell_name_to(group)?;
            self.tell_what_was_read(group)?;
            // What the others are called was said before.
            self.ask_missing(group, None);
        }
        self.hear_early_starts(group)?;
        if before != Some(&memory.membership) { self.tell(&FeedEntry::Group { group }) } else { Ok(()) }
    }

    /// What was read while this account was out of the group was told to nobody.
    fn tell_what_was_read(&mut self, group: OpId) -> Step {
        let chat = ChatId::from(group);
        for row in all::<ReceiptRow>(self, ReceiptRow::scope(chat, Side::Ours))? {
            if self.is_member_device(group, row.device)? {
                self.owe_group(row.device, chat)?;
            }
        }
        Ok(())
    }

    /// Notes which devices are in the group now, looks for those that are new, and lets go of those that went.
    fn meet_members(&mut self, group: OpId, before: Option<&Membership>, now: &Membership) -> Step {
        let own = self.own()?.device;
        let were: BTreeSet<DeviceId> = before.map(|before| member_devices(before).collect()).unwrap_or_default();
        let are: BTreeSet<DeviceId> = member_devices(now).filter(|device| *device != own).collect();
        for device in were.difference(&are).filter(|device| **device != own) {
            match self.read::<DeviceRow>(&DeviceRow::key(*device))? {
                // Its account has another in its place.
                Some(row) if now.members.contains_key(&row.account) => {
                    self.read_logs_for(group, row.account)?;
                    self.drop_group_parcels(group, *device)?;
                    self.forget_mail_to(*device);
                    self.follow_former_soon(group);
                }
                // It needs nothing more, but for the receipt of what it said last.
                Some(row) if self.has_left(group, &row.account)? => self.drop_group_parcels(group, *device)?,
                _ => self.drop_group_keys(group, *device)?,
            }
            self.forget_member(group, *device)?;
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
        // Who joined and left again while this one was away may still have something for it.
        if before != Some(now) { self.reach_leavers(group) } else { Ok(()) }
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
        self.open_group_intro(group)
    }

    /// Lets members in.
    pub(super) fn open_group_intro(&mut self, group: OpId) -> Step {
        let own = self.own()?.device;
        self.open_intro(&group_intro(group, own), Intro::Group(group))
    }

    fn has_chat(&self, group: OpId) -> Step<bool> {
        Ok(self.read::<ChatRow>(&ChatRow::key(ChatId::from(group)))?.is_some())
    }

    /// Issues an own op: into the graph, and to everybody.
    pub(super) fn issue(&mut self, group: OpId, op: Verified<SignedOp>) -> Step {
        self.publish_op(group, &op)?;
        let own = op.device;
        self.take_ops(group, own, vec![op])
    }

    pub(super) fn publish_op(&mut self, group: OpId, op: &Verified<SignedOp>) -> Step {
        self.gossip(group, &FrameContent::Op(op.to_bytes()))?;
        if !self.has_graph(group)? {
            return Ok(());
        }
        let memory = self.group(group)?;
        let under: Vec<OpId> = self.told_under(&memory, &op.action).into_iter().map(|held| held.op).collect();
        if under.is_empty() {
            // There is no secret that members alone have: the op goes to each by itself.
            return self.tell_members(group, &ops_records(group, [op].into_iter()));
        }
        self.post_to_group(group, Posted::Op(op.id()), under)
    }

    pub(super) fn make_op(&mut self, group: Option<OpId>, prev: &[OpId], action: Action) -> Step<Verified<SignedOp>> {
        let own = self.own()?;
        let op = Op { group, prev: prev.to_vec(), account: own.account, device: own.device, time: self.now, action };
        let damaged = || ViewError::Damaged(Table::Own);
        let signed = SignedOp::sign(&op, &device_keys(&own)?.device).map_err(|_| damaged())?;
        signed.verify(&Bundles).map_err(|_| damaged())
    }

    pub(super) fn own_bundles(&self) -> Step<Vec<u8>> {
        Ok(encode(&vec![ByteVec::from(self.own()?.bundle)]))
    }

    pub(super) fn named_heads(&self, memory: &GroupMemory) -> Vec<OpId> {
        memory.graph.heads_to_name(&memory.membership)
    }

    /// Whether ops of this group are here; loads them into memory.
    pub(super) fn has_graph(&mut self, group: OpId) -> Step<bool> {
        if self.mem.groups.contains_key(&group) {
            return Ok(true);
        }
        let Some((graph, arrived)) = kept_graph(self, group)? else { return Ok(false) };
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

    pub(super) fn held_secrets(&self, group: OpId) -> Step<Vec<HeldSecret>> {
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

    /// Whether this is a member's device, or was one: such a device still owes what it said before it went.
    pub(super) fn is_or_was_member_device(&mut self, group: OpId, device: DeviceId) -> Step<bool> {
        if self.is_member_device(group, device)? {
            return Ok(true);
        }
        Ok(self.has_graph(group)? && self.group(group)?.membership.former.contains(&device))
    }

    /// Whether this account is or was a member.
    pub(super) fn is_or_was_member(&mut self, group: OpId, account: &AccountId) -> Step<bool> {
        Ok(self.has_graph(group)? && self.group(group)?.graph.has_admitted(account))
    }

    /// Whether this account's last membership ended by its own leaving alone.
    pub(super) fn has_left(&mut self, group: OpId, account: &AccountId) -> Step<bool> {
        let memory = self.group(group)?;
        let membership = &memory.membership;
        let counts = |op: &&Verified<SignedOp>| !membership.void.contains_key(&op.id());
        let adds = memory
            .graph
            .ops()
            .filter(counts)
            .filter(|op| matches!(&op.action, Action::Add(join) if join.account == *account));
        let adds: Vec<OpId> = adds.map(|op| op.id()).collect();
        let came_back = |end: &OpId| adds.iter().any(|add| memory.graph.within(end, &[*add]));
        let ends = membership.cuts.iter().filter(|end| !came_back(end)).filter_map(|end| memory.graph.op(end));
        let mut has_left = false;
        for end in ends {
            match &end.action {
                Action::Remove(removed) if removed == account => return Ok(false),
                Action::Leave(_) => has_left |= end.account == *account,
                _ => {}
            }
        }
        Ok(has_left)
    }

    pub(super) fn is_joined(&self, group: OpId) -> Step<bool> {
        Ok(self.read::<GroupRow>(&GroupRow::key(group))?.is_some_and(|row| row.state == GroupState::Joined))
    }
}

/// The ops of a group that a store holds, and when each came.
pub(super) fn kept_graph(view: &dyn View, group: OpId) -> Step<Option<(Graph, BTreeMap<OpId, Millis>)>> {
    let mut graph: Option<Graph> = None;
    let mut arrived = BTreeMap::new();
    for row in all::<OpRow>(view, group)? {
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
    Ok(graph.map(|graph| (graph, arrived)))
}

/// Inserts what can be inserted, each op after its past; what cannot be yet stays. Gives those that are in now.
///
/// A device that is no member's now could go on for ever making ops that do not count; past [`MAX_OPS_OF_FORMER`] they are
/// taken only as the past of a member's op, without which that op could not be in.
fn insert_ready(memory: &mut GroupMemory, waiting: &mut OpsAside) -> Vec<Verified<SignedOp>> {
    let is_members = |op: &SignedOp| memory.membership.owner(&op.device).is_some();
    let wanted = wanted(waiting, is_members);
    let mut taken = Vec::new();
    loop {
        let before = taken.len();
        let mut left = OpsAside::new();
        for (from, op) in waiting.drain(..) {
            let many = !is_members(&op) && memory.graph.authored(&op.device) >= MAX_OPS_OF_FORMER;
            if (many && !wanted.contains(&op.id())) || !op.prev.iter().all(|prev| memory.graph.contains(prev)) {
                left.push_back((from, op));
                continue;
            }
            match memory.graph.insert(op.clone()) {
                Ok(Inserted::New) => taken.push(op),
                Ok(Inserted::Missing(_)) => left.push_back((from, op)),
                Ok(Inserted::Known) | Err(GraphError::Full | GraphError::Unproven) => {}
                Err(GraphError::NotCreate | GraphError::OtherGroup) => {}
            }
        }
        *waiting = left;
        if taken.len() == before {
            return taken;
        }
    }
}

/// The waiting ops that ops of members were made after.
fn wanted(waiting: &OpsAside, is_members: impl Fn(&SignedOp) -> bool) -> BTreeSet<OpId> {
    let by_id: BTreeMap<OpId, &SignedOp> = waiting.iter().map(|(_, op)| (op.id(), &**op)).collect();
    let mut next: Vec<OpId> = by_id.values().filter(|op| is_members(op)).flat_map(|op| op.prev.clone()).collect();
    let mut wanted = BTreeSet::new();
    while let Some(id) = next.pop() {
        if let Some(op) = by_id.get(&id)
            && wanted.insert(id)
        {
            next.extend(&op.prev);
        }
    }
    wanted
}

/// Lets go of the oldest of what one device sent too much of, and of all that is too much.
fn trim(waiting: &mut OpsAside) {
    let mut kept: BTreeMap<DeviceId, usize> = BTreeMap::new();
    let mut fits = OpsAside::new();
    for (from, op) in std::mem::take(waiting).into_iter().rev().take(MAX_OPS_ASIDE) {
        let count = kept.entry(from).or_default();
        *count += 1;
        if *count <= MAX_OPS_ASIDE_PER_DEVICE {
            fits.push_front((from, op));
        }
    }
    *waiting = fits;
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

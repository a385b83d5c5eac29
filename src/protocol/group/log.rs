//! What the ops of a group say, for people: who did what, in one order for all members, and whether it counts.
//!
//! An op's moment is its time, or just after the latest moment before it where its clock was behind: so the order is that
//! of cause and effect, and a function of the set of ops. What an op of [`Meta`] or devices changed is told against what
//! was there before it. Who calls: the engine, for views.

use super::{
    graph::{Graph, Node},
    op::{Action, Devices, Meta, Role},
    resolve::{Membership, VoidReason, Voided, lists::order},
};
use crate::protocol::{
    ids::{AccountId, DeviceId, OpId},
    time::Millis,
};
use std::collections::{BTreeMap, BTreeSet};

/// An op, told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The op.
    pub op: OpId,
    /// What it says; mostly one thing, and never nothing.
    pub deeds: Vec<Deed>,
    /// Why it is without effect, if it is.
    pub void: Option<Voided>,
}

/// One thing that somebody did in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Made the group, under this name.
    Founded(String),
    /// Let a newcomer in.
    Added(AccountId),
    /// Ended another's membership.
    Removed(AccountId),
    /// Went.
    Left,
    /// Made a member an admin.
    Promoted(AccountId),
    /// Made an admin a member.
    Demoted(AccountId),
    /// Made another the founder.
    HandedOver(AccountId),
    /// Gave the group another name.
    Renamed(String),
    /// Had the log kept by this account's node.
    MailboxNamed(AccountId),
    /// Had it kept there no more.
    MailboxDropped(AccountId),
    /// Changed something else about the group, or said again what held.
    Settings,
    /// Passed on that devices of an account are now others.
    DevicesReplaced(AccountId),
    /// Passed on that an account has a device more.
    DeviceAdded(AccountId),
    /// Passed on that an account has a device less.
    DeviceDropped(AccountId),
    /// Passed on what was known of an account's devices.
    DevicesListed(AccountId),
    /// Changed the group's secret.
    SecretChanged,
    /// Did what a newer version knows.
    Other,
}

impl Graph {
    /// Every op as this membership of the whole graph judges it, the latest last.
    pub fn log(&self, membership: &Membership) -> Vec<Entry> {
        let before = Before::new(self, membership);
        let mut order: Vec<(Millis, OpId, usize)> = Vec::with_capacity(self.len());
        let mut moments: BTreeMap<OpId, Millis> = BTreeMap::new();
        for (at, node) in self.nodes().iter().enumerate() {
            let latest = node.op.prev.iter().filter_map(|prev| moments.get(prev)).max();
            let moment = latest.map_or(node.op.time, |latest| node.op.time.max(Millis(latest.0.saturating_add(1))));
            moments.insert(node.op.id(), moment);
            order.push((moment, node.op.id(), at));
        }
        order.sort_unstable();
        let entry = |(_, op, at): (Millis, OpId, usize)| Entry {
            op,
            deeds: before.deeds(self.node(at)),
            void: membership.void.get(&op).copied().filter(|void| !holds_though_void(&self.node(at).op.action, void)),
        };
        order.into_iter().map(entry).collect()
    }
}

/// Whether an op has its effect all the same: a device list is signed by its account, so that it holds whoever passes it on,
/// but for a device that was nobody's.
fn holds_though_void(action: &Action, void: &Voided) -> bool {
    matches!(action, Action::Devices(_)) && void.reason != VoidReason::NotItsDevice
}

/// What ops are told against. All numbers are places of ops.
struct Before<'g> {
    graph: &'g Graph,
    /// Counting ops that carry a name and policy.
    metas: Vec<(usize, &'g Meta)>,
    /// Ops that carry a device list, of each account.
    lists: BTreeMap<AccountId, Vec<(usize, &'g Devices)>>,
}

impl<'g> Before<'g> {
    fn new(graph: &'g Graph, membership: &Membership) -> Self {
        let mut before = Self { graph, metas: Vec::new(), lists: BTreeMap::new() };
        for (at, node) in graph.nodes().iter().enumerate() {
            if let Action::Create { meta, .. } | Action::Meta(meta) = &node.op.action
                && !membership.void.contains_key(&node.op.id())
            {
                before.metas.push((at, meta));
            }
            if let Some(list) = node.op.devices() {
                before.lists.entry(list.account).or_default().push((at, list));
            }
        }
        before
    }

    fn deeds(&self, node: &Node) -> Vec<Deed> {
        match &node.op.action {
            Action::Create { meta, .. } => {
                let named = meta.mailboxes.iter().map(|mailbox| Deed::MailboxNamed(mailbox.account));
                std::iter::once(Deed::Founded(meta.name.clone())).chain(named).collect()
            }
            Action::Meta(meta) => self.changes(node, meta),
            Action::Devices(_) => vec![self.devices(node)],
            Action::Add(join) => vec![Deed::Added(join.account)],
            Action::Remove(account) => vec![Deed::Removed(*account)],
            Action::SetRole(account, Role::Admin) => vec![Deed::Promoted(*account)],
            Action::SetRole(account, _) => vec![Deed::Demoted(*account)],
            Action::HandOver(account) => vec![Deed::HandedOver(*account)],
            Action::RotateGossipSecret(_) => vec![Deed::SecretChanged],
            Action::Leave(_) => vec![Deed::Left],
            Action::Unknown { .. } => vec![Deed::Other],
        }
    }

    fn changes(&self, node: &Node, meta: &Meta) -> Vec<Deed> {
        let earlier = self.metas.iter().filter(|(at, _)| self.is_before(*at, node));
        let Some((_, held)) = earlier.max_by_key(|(at, _)| (self.graph.node(*at).depth, self.graph.node(*at).op.id()))
        else {
            return vec![Deed::Settings];
        };
        let mut deeds = Vec::new();
        if held.name != meta.name {
            deeds.push(Deed::Renamed(meta.name.clone()));
        }
        let new = meta.mailboxes.iter().filter(|mailbox| !held.mailboxes.iter().any(|old| old.node == mailbox.node));
        deeds.extend(new.map(|mailbox| Deed::MailboxNamed(mailbox.account)));
        let gone = held.mailboxes.iter().filter(|old| !meta.mailboxes.iter().any(|new| new.node == old.node));
        deeds.extend(gone.map(|mailbox| Deed::MailboxDropped(mailbox.account)));
        if deeds.is_empty() || held.history != meta.history {
            deeds.push(Deed::Settings);
        }
        deeds
    }

    fn devices(&self, node: &Node) -> Deed {
        let Some(list) = node.op.devices() else { return Deed::Other };
        let lists = self.lists.get(&list.account).map_or(&[][..], |lists| lists);
        let earlier = lists.iter().filter(|(at, _)| self.is_before(*at, node)).map(|(_, list)| list);
        let Some(held) = earlier.max_by_key(|held| order(held)).filter(|held| order(held) < order(list)) else {
            return Deed::DevicesListed(list.account);
        };
        let of = |list: &Devices| -> BTreeSet<DeviceId> { list.devices.iter().copied().collect() };
        let (old, new) = (of(held), of(list));
        match (new.difference(&old).next().is_some(), old.difference(&new).next().is_some()) {
            (true, true) => Deed::DevicesReplaced(list.account),
            (true, false) => Deed::DeviceAdded(list.account),
            (false, true) => Deed::DeviceDropped(list.account),
            (false, false) => Deed::DevicesListed(list.account),
        }
    }

    fn is_before(&self, at: usize, node: &Node) -> bool {
        node.past.contains(at) && self.graph.node(at).op.id() != node.op.id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        group::{
            History, Inserted,
            op::GroupMailbox,
            testing::{Person, World, person},
        },
        ids::TransportKey,
    };

    fn told(world: &World) -> Vec<Entry> {
        world.graph.log(&world.graph.membership())
    }

    fn deeds(world: &World) -> Vec<Deed> {
        told(world).into_iter().flat_map(|entry| entry.deeds).collect()
    }

    fn mailbox_of(person: &Person, key: u8) -> GroupMailbox {
        GroupMailbox { node: TransportKey([key; 32]), account: person.account, addresses: Vec::new() }
    }

    #[test]
    fn everything_that_was_done_is_told_in_the_order_it_was_done() {
        let (founder, mina, juno) = (person(0), person(1), person(2));
        let mut world = World::new(&founder);
        world.add(&founder, &mina);
        world.add(&founder, &juno);
        world.admin(&founder, &mina);
        let meta = |name: &str, mailboxes| Meta { mailboxes, ..Meta::new(name, History::NOTHING).unwrap() };
        world.op(&mina, Action::Meta(meta("hikers", vec![])));
        world.op(&mina, Action::Meta(meta("hikers", vec![mailbox_of(&juno, 1), mailbox_of(&mina, 2)])));
        world.op(&mina, Action::Meta(meta("climbers", vec![mailbox_of(&mina, 2)])));
        world.op(&mina, Action::Meta(meta("climbers", vec![mailbox_of(&mina, 2)])));
        world.op(&founder, Action::SetRole(mina.account, Role::Member));
        world.op(&juno, Action::RotateGossipSecret([1; 32]));
        world.op(&founder, Action::HandOver(juno.account));
        world.op(&juno, Action::Remove(mina.account));
        world.op(&founder, Action::Unknown { kind: 99, body: vec![] });
        world.op(&founder, Action::Leave(None));
        let mina = mina.account;
        let expected = [
            Deed::Founded("friends".into()),
            Deed::Added(mina),
            Deed::Added(juno.account),
            Deed::Promoted(mina),
            Deed::Renamed("hikers".into()),
            Deed::MailboxNamed(juno.account),
            Deed::MailboxNamed(mina),
            Deed::Renamed("climbers".into()),
            Deed::MailboxDropped(juno.account),
            Deed::Settings,
            Deed::Demoted(mina),
            Deed::SecretChanged,
            Deed::HandedOver(juno.account),
            Deed::Removed(mina),
            Deed::Other,
            Deed::Left,
        ];
        assert_eq!(deeds(&world), expected);
        assert!(told(&world).iter().all(|entry| entry.void.is_none()));
    }

    #[test]
    fn what_is_told_of_devices_is_what_is_new_of_them() {
        let (founder, mina) = (person(0), person(1));
        let mut world = World::new(&founder);
        world.add(&founder, &mina);
        world.op(&founder, Action::Devices(mina.bundles(2, &[0])));
        world.op(&founder, Action::Devices(mina.bundles(2, &[0])));
        world.op(&founder, Action::Devices(mina.bundles(3, &[1])));
        world.op(&founder, Action::Devices(mina.bundles(4, &[0, 1])));
        world.op(&founder, Action::Devices(mina.bundles(1, &[0])));
        let mina = mina.account;
        let expected = [
            Deed::DeviceDropped(mina),
            Deed::DevicesListed(mina),
            Deed::DevicesReplaced(mina),
            Deed::DeviceAdded(mina),
            Deed::DevicesListed(mina),
        ];
        assert_eq!(deeds(&world)[2..], expected);
    }

    #[test]
    fn a_device_list_holds_whoever_passes_it_on() {
        let (founder, mina) = (person(0), person(1));
        let mut world = World::new(&founder);
        world.add(&founder, &mina);
        let remove = world.op(&founder, Action::Remove(mina.account));
        let list = world.op(&mina, Action::Devices(founder.bundles(2, &[0])));
        assert!(world.graph.membership().void.contains_key(&list));
        assert_eq!(world.graph.membership().members[&founder.account].devices.len(), 1);
        let log = told(&world);
        assert_eq!((log[2].op, log[3].void), (remove, None));
        assert_eq!(log[3].deeds, [Deed::DeviceDropped(founder.account)]);
    }

    #[test]
    fn a_name_is_told_against_the_one_that_counted_before_it() {
        let (founder, mina) = (person(0), person(1));
        let mut world = World::new(&founder);
        world.add(&founder, &mina);
        let meta = |name| Action::Meta(Meta::new(name, History::NOTHING).unwrap());
        let void = world.op(&mina, meta("mine"));
        world.op(&founder, meta("mine"));
        let log = told(&world);
        assert_eq!(log[2].op, void);
        assert_eq!(log[2].void.map(|void| void.reason), Some(VoidReason::NotAllowed));
        assert_eq!(log[2].deeds, [Deed::Renamed("mine".into())]);
        assert_eq!(log[3].deeds, [Deed::Renamed("mine".into())]);
    }

    #[test]
    fn the_order_is_one_for_all_and_no_clock_turns_cause_and_effect_around() {
        let (founder, mina) = (person(0), person(1));
        let mut world = World::new(&founder);
        world.add(&founder, &mina);
        let heads = world.graph.heads();
        let beside: Vec<OpId> = (0..6)
            .map(|n| world.at(&heads, [&founder, &mina][n % 2], Action::RotateGossipSecret([n as u8; 32])))
            .collect();
        // Of a clock that stands still.
        let late = crate::protocol::group::Op {
            group: Some(world.graph.group()),
            prev: vec![beside[5]],
            account: founder.account,
            device: founder.device(0),
            time: Millis(0),
            action: Action::RotateGossipSecret([9; 32]),
        };
        let late = crate::protocol::group::testing::sign(&late, &founder.keys[0]);
        assert_eq!(world.graph.insert(late.clone()), Ok(Inserted::New));
        let log = told(&world);
        let place = |id: OpId| log.iter().position(|entry| entry.op == id).unwrap();
        assert!(place(late.id()) > place(beside[5]));
        for entry in &log {
            let op = world.graph.op(&entry.op).unwrap();
            assert!(op.prev.iter().all(|prev| place(*prev) < place(entry.op)));
        }
        let mut ops: Vec<_> = world.graph.ops().cloned().collect();
        ops[2..8].reverse();
        let mut other_way = Graph::new(ops.remove(0)).unwrap();
        for op in ops {
            assert_eq!(other_way.insert(op), Ok(Inserted::New));
        }
        assert_eq!(other_way.log(&other_way.membership()), log);
    }
}

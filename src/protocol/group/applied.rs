//! Which members are known to have taken in an op.
//!
//! An op or event names heads of the graph as its author's device had it, and is signed; so does a member that compares,
//! inside its session. Who names an op, or one that was made after it, has it. What is counted here is never more than
//! that: a member that says nothing counts as one who does not know.

use super::{
    bits::Bits,
    graph::Graph,
    resolve::{Member, Membership},
};
use crate::protocol::ids::{DeviceId, OpId};
use std::collections::BTreeMap;

/// Heads that devices were heard to name.
pub type Named = BTreeMap<DeviceId, Vec<OpId>>;

/// What each member of now is known to have of a graph.
#[derive(Debug)]
pub struct Applied<'g> {
    graph: &'g Graph,
    by_member: Vec<Bits>,
}

impl<'g> Applied<'g> {
    /// What is proven by ops of members' devices and by the heads these named; the `own` device has all that is here.
    pub fn new(graph: &'g Graph, membership: &Membership, own: DeviceId, named: &Named) -> Self {
        let mut by_device: BTreeMap<DeviceId, Bits> = BTreeMap::new();
        for (at, node) in graph.nodes().iter().enumerate() {
            by_device.entry(node.op.device).or_default().union(&node.past);
            by_device.entry(own).or_default().insert(at);
        }
        for (device, heads) in named {
            let known = by_device.entry(*device).or_default();
            heads.iter().filter_map(|head| graph.place(head)).for_each(|at| known.union(&graph.node(at).past));
        }
        let of_member = |member: &Member| {
            let mut known = Bits::default();
            let by_devices = member.devices.iter().filter_map(|device| by_device.get(device));
            by_devices.for_each(|of_device| known.union(of_device));
            known
        };
        Self { graph, by_member: membership.members.values().map(of_member).collect() }
    }

    /// How many members are known to have this op.
    pub fn count(&self, op: &OpId) -> usize {
        let Some(at) = self.graph.place(op) else { return 0 };
        self.by_member.iter().filter(|known| known.contains(at)).count()
    }

    /// How many members there are.
    pub fn of(&self) -> usize {
        self.by_member.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::group::{
        Action,
        testing::{World, person},
    };
    use proptest::prelude::*;

    #[test]
    fn a_member_counts_once_it_named_the_op_or_one_made_after_it() {
        let (founder, mina, juno, sora) = (person(0), person(1), person(2), person(3));
        let mut world = World::new(&founder);
        for newcomer in [&mina, &juno, &sora] {
            world.add(&founder, newcomer);
        }
        let before = world.graph.heads();
        let remove = world.op(&founder, Action::Remove(sora.account));
        let after = world.op(&founder, Action::RotateGossipSecret([1; 32]));
        let beside = world.at(&before, &mina, Action::RotateGossipSecret([2; 32]));
        let count = |world: &World, named: &[(DeviceId, OpId)]| {
            let named: Named = named.iter().map(|(device, head)| (*device, vec![*head])).collect();
            let applied = Applied::new(&world.graph, &world.graph.membership(), founder.device(0), &named);
            (applied.count(&remove), applied.of())
        };
        assert_eq!(count(&world, &[]), (1, 3), "the founder, who made it");
        assert_eq!(count(&world, &[(mina.device(0), beside)]), (1, 3), "beside it is not after it");
        assert_eq!(count(&world, &[(mina.device(0), remove)]), (2, 3));
        assert_eq!(count(&world, &[(mina.device(1), after), (juno.device(0), after)]), (3, 3));
        assert_eq!(count(&world, &[(mina.device(0), remove), (mina.device(1), remove)]), (2, 3), "one member once");
        assert_eq!(count(&world, &[(sora.device(0), remove)]), (1, 3), "no member");
        assert_eq!(count(&world, &[(mina.device(0), OpId([9; 32]))]), (1, 3), "what is not here says nothing");
        world.at(&[after], &juno, Action::RotateGossipSecret([3; 32]));
        assert_eq!(count(&world, &[]), (2, 3), "an op proves what its author had");
    }

    #[test]
    fn a_device_that_was_a_members_proves_nothing_of_the_one_in_its_place() {
        let (founder, mina) = (person(0), person(1));
        let mut world = World::new(&founder);
        world.add(&founder, &mina);
        let op = world.op(&mina, Action::RotateGossipSecret([1; 32]));
        world.op(&founder, Action::Devices(mina.bundles(2, &[1])));
        let named = Named::from([(mina.device(0), vec![op])]);
        let applied = Applied::new(&world.graph, &world.graph.membership(), founder.device(0), &named);
        assert_eq!(applied.count(&op), 1);
    }

    proptest! {
        #[test]
        fn the_newest_heads_prove_no_more_than_all_that_was_named_and_lose_nothing_that_ends_a_membership(
            forks in proptest::collection::vec(any::<(u8, u8)>(), 1..24),
            named in proptest::collection::vec(any::<u8>(), 1..40),
        ) {
            let (founder, mina) = (person(0), person(1));
            let mut world = World::new(&founder);
            world.add(&founder, &mina);
            let mut ids = world.graph.heads();
            for (n, (at, what)) in forks.into_iter().enumerate() {
                let action = match what % 5 {
                    0 => Action::Remove(person(50 + u16::from(what)).account),
                    _ => Action::RotateGossipSecret([n as u8; 32]),
                };
                let prev = ids[at as usize % ids.len()];
                ids.push(world.at(&[prev], &founder, action));
            }
            let membership = world.graph.membership();
            let named: Vec<OpId> = named.into_iter().map(|at| ids[at as usize % ids.len()]).collect();
            let newest = world.graph.newest(named.iter().copied(), &membership);
            prop_assert!(newest.len() <= crate::protocol::wire::limits::MAX_HEADS);
            prop_assert!(newest.iter().all(|id| named.contains(id)));
            for cut in &membership.cuts {
                let is_known = world.graph.within(cut, &named);
                prop_assert!(is_known || !world.graph.within(cut, &newest));
                if newest.len() < crate::protocol::wire::limits::MAX_HEADS {
                    prop_assert_eq!(is_known, world.graph.within(cut, &newest));
                }
            }
            // One by one, as they are heard, gives the same.
            if newest.len() < crate::protocol::wire::limits::MAX_HEADS {
                let mut kept = Vec::new();
                for id in &named {
                    kept = world.graph.newest(kept.into_iter().chain([*id]), &membership);
                }
                prop_assert_eq!(kept, newest);
            }
        }
    }
}

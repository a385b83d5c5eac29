//! How much one member may add to what a group is made of, so that nobody fills it for all others.
//!
//! Past its share an op is taken only as the past of one that has room: without that, who took it and who did not would
//! never agree again. Shares go by the roles of now, so who is in the way is removed by somebody who has room to do it.

use super::{
    graph::{Graph, GraphError, Inserted},
    op::{Action, Role, SignedOp},
    resolve::Membership,
};
use crate::protocol::{
    crypto::sign::Verified,
    ids::{AccountId, DeviceId, OpId},
    wire::limits::{
        MAX_OPS, MAX_OPS_OF_ADMIN, MAX_OPS_OF_FORMER, MAX_OPS_OF_MEMBER, OPS_LEFT_FOR_ADMINS, OPS_LEFT_FOR_FOUNDER,
        OPS_LEFT_FOR_LEAVING,
    },
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Ops that cannot be taken in yet and the devices that sent them, in the order they came.
pub type OpsAside = VecDeque<(DeviceId, Verified<SignedOp>)>;

/// Whether what a device would do to a group is taken for its own sake. Who is no member now could go on for ever making ops
/// that do not count.
pub fn has_room(
    graph: &Graph,
    membership: &Membership,
    (account, device): (AccountId, DeviceId),
    action: &Action,
) -> bool {
    let member = membership.members.get(&account).filter(|member| member.devices.contains(&device));
    let is_leaving = matches!(action, Action::Leave(_));
    let (made, share, left) = match member.map(|member| member.role) {
        None => (graph.authored(&device), MAX_OPS_OF_FORMER, OPS_LEFT_FOR_ADMINS),
        Some(_) if is_leaving => (0, MAX_OPS, 0),
        Some(Role::Founder) => (0, MAX_OPS, OPS_LEFT_FOR_LEAVING),
        Some(Role::Admin) => (graph.authored_by(&account), MAX_OPS_OF_ADMIN, OPS_LEFT_FOR_FOUNDER),
        Some(Role::Member) => (graph.authored_by(&account), MAX_OPS_OF_MEMBER, OPS_LEFT_FOR_ADMINS),
    };
    made < share && graph.len() + left < MAX_OPS
}

/// Inserts what can be inserted, each op after its past; what cannot be yet stays. Gives those that are in now.
pub fn insert_ready(graph: &mut Graph, membership: &Membership, waiting: &mut OpsAside) -> Vec<Verified<SignedOp>> {
    let room = |graph: &Graph, op: &SignedOp| has_room(graph, membership, (op.account, op.device), &op.action);
    let mut taken = Vec::new();
    loop {
        let before = taken.len();
        insert(graph, waiting, &mut taken, room);
        if taken.len() == before {
            let wanted = wanted(waiting, |op| room(graph, op));
            insert(graph, waiting, &mut taken, |_, op| wanted.contains(&op.id()));
        }
        if taken.len() == before {
            return taken;
        }
    }
}

/// Inserts those of which this is so and whose past is in.
fn insert(
    graph: &mut Graph,
    waiting: &mut OpsAside,
    taken: &mut Vec<Verified<SignedOp>>,
    such: impl Fn(&Graph, &SignedOp) -> bool,
) {
    for (from, op) in std::mem::take(waiting) {
        if !such(graph, &op) || !op.prev.iter().all(|prev| graph.contains(prev)) {
            waiting.push_back((from, op));
            continue;
        }
        match graph.insert(op.clone()) {
            Ok(Inserted::New) => taken.push(op),
            Ok(Inserted::Missing(_)) => waiting.push_back((from, op)),
            Ok(Inserted::Known) => {}
            Err(GraphError::Full | GraphError::Unproven | GraphError::NotCreate | GraphError::OtherGroup) => {}
        }
    }
}

/// The waiting ops that others were made after which have room.
fn wanted(waiting: &OpsAside, has_room: impl Fn(&SignedOp) -> bool) -> BTreeSet<OpId> {
    let by_id: BTreeMap<OpId, &SignedOp> = waiting.iter().map(|(_, op)| (op.id(), &**op)).collect();
    let mut next: Vec<OpId> = by_id.values().filter(|op| has_room(op)).flat_map(|op| op.prev.clone()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::group::testing::{Person, World, person};

    /// What a group is given by one who made so many secrets, one after another, on top of this history.
    fn flood(world: &mut World, by: &Person, count: usize) -> OpsAside {
        let before = world.graph.len();
        for n in 0..count {
            world.op(by, Action::RotateGossipSecret(crate::protocol::crypto::kdf::hash(&[&n.to_be_bytes()])));
        }
        world.graph.ops().skip(before).map(|op| (by.device(0), op.clone())).collect()
    }

    fn take(graph: &mut Graph, mut waiting: OpsAside) -> (usize, usize) {
        let membership = graph.membership();
        (insert_ready(graph, &membership, &mut waiting).len(), waiting.len())
    }

    #[test]
    fn past_its_share_an_op_is_taken_only_as_the_past_of_one_that_has_room() {
        let (founder, member) = (person(0), person(1));
        let mut world = World::new(&founder);
        world.add(&founder, &member);
        let mut graph = world.graph.clone();
        let told = flood(&mut world, &member, MAX_OPS_OF_MEMBER + 9);
        assert_eq!(take(&mut graph, told.clone()), (MAX_OPS_OF_MEMBER, 9));
        // A founder who took them follows them, and so does everybody else.
        world.op(&founder, Action::Remove(member.account));
        let removal = world.graph.ops().last().cloned().unwrap();
        assert_eq!(take(&mut graph, told.into_iter().chain([(founder.device(0), removal)]).collect()), (10, 0));
        assert_eq!(graph.membership(), world.graph.membership());
        assert_eq!(graph.membership().members.len(), 1);
    }

    #[test]
    fn shares_are_by_role_and_whoever_stays_may_leave() {
        let (founder, admin, member) = (person(0), person(1), person(2));
        let mut world = World::new(&founder);
        for person in [&admin, &member] {
            world.add(&founder, person);
        }
        world.admin(&founder, &admin);
        let membership = world.graph.membership();
        let rotate = Action::RotateGossipSecret([0; 32]);
        let may = |world: &World, who: &Person, action| {
            has_room(&world.graph, &membership, (who.account, who.device(0)), action)
        };
        flood(&mut world, &member, MAX_OPS_OF_MEMBER);
        assert!(!may(&world, &member, &rotate) && may(&world, &admin, &rotate));
        assert!(may(&world, &member, &Action::Leave(None)));
        flood(&mut world, &admin, MAX_OPS_OF_ADMIN);
        assert!(!may(&world, &admin, &rotate) && may(&world, &founder, &rotate));
    }
}

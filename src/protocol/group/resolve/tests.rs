use super::*;
use crate::protocol::group::{
    graph::{Graph, Inserted},
    testing::{Person, World, person},
};
use proptest::prelude::*;

/// A founder, two admins (the first the higher), one member.
fn world() -> (World, [Person; 4]) {
    let people = [person(0), person(1), person(2), person(3)];
    let mut world = World::new(&people[0]);
    for newcomer in &people[1..] {
        world.add(&people[0], newcomer);
    }
    world.admin(&people[0], &people[1]);
    world.admin(&people[0], &people[2]);
    (world, people)
}

fn why(world: &World, op: OpId) -> Option<VoidReason> {
    world.graph.membership().void.get(&op).map(|voided| voided.reason)
}

fn by(world: &World, op: OpId) -> Option<OpId> {
    world.graph.membership().void.get(&op).and_then(|voided| voided.by)
}

#[test]
fn of_two_admins_who_remove_each_other_the_higher_stands() {
    let (mut world, [_, high, low, _]) = world();
    let heads = world.graph.heads();
    world.at(&heads, &high, Action::Remove(low.account));
    let void = world.at(&heads, &low, Action::Remove(high.account));
    assert!(world.has(&high) && !world.has(&low));
    assert!(why(&world, void).is_some());
}

#[test]
fn what_a_removed_admin_did_beside_its_removal_is_void() {
    let (mut world, [founder, admin, _, member]) = world();
    let newcomer = person(9);
    let heads = world.graph.heads();
    world.at(&heads, &founder, Action::Remove(admin.account));
    let join = world.join(&admin, &newcomer);
    let add = world.at(&heads, &admin, Action::Add(join));
    let promote = world.at(&[add], &admin, Action::SetRole(newcomer.account, Role::Admin));
    let by_newcomer = world.at(&[promote], &newcomer, Action::Remove(member.account));
    assert_eq!(why(&world, add), Some(VoidReason::Overruled));
    assert!(why(&world, promote).is_some() && why(&world, by_newcomer).is_some());
    assert!(!world.has(&newcomer) && world.has(&member));
}

#[test]
fn what_is_void_names_the_op_that_made_it_so() {
    let (mut world, [founder, admin, low, member]) = world();
    let newcomer = person(9);
    let heads = world.graph.heads();
    let cause = |world: &World, op| world.graph.membership().void.get(&op).copied().map(|void| (void.reason, void.by));
    // Beside: of two removals the first by depth and id.
    let removes = [(&founder, 0), (&founder, 1)].map(|(who, k)| world.by(&heads, who, k, Action::Remove(low.account)));
    let beside = world.at(&heads, &low, Action::Remove(member.account));
    assert_eq!(cause(&world, beside), Some((VoidReason::Overruled, removes.into_iter().min())));
    // After: what had ended it.
    let after = world.at(&removes[..1], &low, Action::Remove(member.account));
    assert_eq!(cause(&world, after), Some((VoidReason::NotAMember, Some(removes[0]))));
    let promoted = world.at(&removes[..1], &founder, Action::SetRole(low.account, Role::Admin));
    assert_eq!(cause(&world, promoted), Some((VoidReason::TargetNotAMember, Some(removes[0]))));
    // Nobody let it in: the Add that does not count.
    let join = world.join(&low, &newcomer);
    let add = world.at(&heads, &low, Action::Add(join));
    let said = world.at(&[add], &newcomer, Action::RotateGossipSecret([1; 32]));
    assert_eq!(cause(&world, said), Some((VoidReason::NotAMember, Some(add))));
    // A role that was taken, or that an op gives which does not count.
    let demote = world.op(&founder, Action::SetRole(admin.account, Role::Member));
    let without = world.op(&admin, Action::Remove(member.account));
    assert_eq!(cause(&world, without), Some((VoidReason::NotAllowed, Some(demote))));
    let upwards = world.op(&member, Action::SetRole(member.account, Role::Admin));
    let so = world.op(&member, Action::Remove(admin.account));
    assert_eq!(cause(&world, so), Some((VoidReason::NotAllowed, Some(upwards))));
    // What gives the other its rank.
    let of_founder = world.at(&heads, &admin, Action::Remove(founder.account));
    assert_eq!(by(&world, of_founder), Some(demote), "the admin was demoted beside it");
    let (mut world, [_, high, low, _]) = self::world();
    let role = world.graph.membership().members[&high.account].rank.op;
    let upwards = world.op(&low, Action::Remove(high.account));
    assert_eq!(cause(&world, upwards), Some((VoidReason::Outranked, Some(role))));
}

#[test]
fn a_group_is_not_handed_to_who_is_no_member_and_that_is_the_reason_told() {
    let (mut world, [founder, _, _, member]) = world();
    let leave = world.op(&member, Action::Leave(None));
    let to_former = world.op(&founder, Action::HandOver(member.account));
    let to_nobody = world.op(&founder, Action::HandOver(person(9).account));
    let to_oneself = world.op(&founder, Action::HandOver(founder.account));
    assert_eq!((why(&world, to_nobody), by(&world, to_nobody)), (Some(VoidReason::TargetNotAMember), None));
    assert_eq!((why(&world, to_former), by(&world, to_former)), (Some(VoidReason::TargetNotAMember), Some(leave)));
    assert_eq!(why(&world, to_oneself), Some(VoidReason::OneSelf));
}

#[test]
fn what_an_admin_did_before_its_removal_stands() {
    let (mut world, [founder, admin, _, _]) = world();
    let newcomer = person(9);
    world.add(&admin, &newcomer);
    world.op(&founder, Action::Remove(admin.account));
    assert!(world.has(&newcomer) && !world.has(&admin));
}

#[test]
fn a_member_changes_nothing_and_nobody_removes_the_founder() {
    let (mut world, [founder, admin, low, member]) = world();
    let by_member = world.op(&member, Action::Remove(low.account));
    let of_founder = world.op(&admin, Action::Remove(founder.account));
    let upwards = world.op(&low, Action::Remove(admin.account));
    let oneself = world.op(&admin, Action::Remove(admin.account));
    assert_eq!(why(&world, by_member), Some(VoidReason::NotAllowed));
    assert_eq!(why(&world, of_founder), Some(VoidReason::Outranked));
    assert_eq!(why(&world, upwards), Some(VoidReason::Outranked));
    assert_eq!(why(&world, oneself), Some(VoidReason::OneSelf));
    assert_eq!(world.members().len(), 4);
}

#[test]
fn a_remove_beside_an_add_wins_and_a_later_add_is_a_new_incarnation() {
    let (mut world, [founder, admin, _, member]) = world();
    let heads = world.graph.heads();
    world.at(&heads, &founder, Action::Remove(member.account));
    let join = world.join(&admin, &member);
    world.at(&heads, &admin, Action::Add(join));
    assert!(!world.has(&member));
    let again = world.add(&admin, &member);
    assert_eq!(world.graph.membership().members[&member.account].joined, again);
    assert_eq!(world.graph.membership().members[&member.account].role, Role::Member);
}

#[test]
fn who_was_added_twice_is_known_to_whoever_knows_of_either() {
    let (mut world, [founder, admin, ..]) = world();
    let newcomer = person(9);
    let heads = world.graph.heads();
    let (by_founder, by_admin) = (world.join(&founder, &newcomer), world.join(&admin, &newcomer));
    let one = world.at(&heads, &founder, Action::Add(by_founder));
    let other = world.at(&heads, &admin, Action::Add(by_admin.clone()));
    let third = world.by(&heads, &admin, 1, Action::Add(by_admin));
    let membership = world.graph.membership();
    let member = &membership.members[&newcomer.account];
    assert_eq!(member.joined, member.admissions[0]);
    for add in [one, other, third] {
        assert!(world.graph.knows(member, &[add]));
    }
    assert!(!world.graph.knows(member, &heads));
    let mut ops: Vec<_> = world.graph.ops().cloned().collect();
    let last = ops.len() - 1;
    ops.swap(last - 1, last);
    let mut other_way = Graph::new(ops.remove(0)).unwrap();
    for op in ops {
        other_way.insert(op).unwrap();
    }
    assert_eq!(other_way.membership(), membership, "whichever came first");
    // One that was ended by a removal is none any more.
    world.op(&founder, Action::Remove(newcomer.account));
    let again = world.add(&admin, &newcomer);
    assert_eq!(world.graph.membership().members[&newcomer.account].admissions, [again]);
}

#[test]
fn a_consent_serves_one_add() {
    let (mut world, [_, admin, _, _]) = world();
    let newcomer = person(9);
    let join = world.join(&admin, &newcomer);
    world.op(&admin, Action::Add(join.clone()));
    world.op(&newcomer, Action::Leave(None));
    assert!(!world.has(&newcomer));
    let replayed = world.op(&admin, Action::Add(join));
    assert_eq!(why(&world, replayed), Some(VoidReason::JoinUsed));
    assert!(!world.has(&newcomer));
}

#[test]
fn a_group_is_handed_over_once_and_the_old_founder_is_first_admin() {
    let (mut world, [founder, admin, low, member]) = world();
    let heads = world.graph.heads();
    let a = world.by(&heads, &founder, 0, Action::HandOver(member.account));
    let b = world.by(&heads, &founder, 1, Action::HandOver(low.account));
    let after = world.graph.membership();
    let (won, lost, new) = if a < b { (a, b, &member) } else { (b, a, &low) };
    assert_eq!(after.void.get(&lost), Some(&Voided { reason: VoidReason::HandedOver, by: Some(won) }));
    assert_eq!(after.members[&new.account].role, Role::Founder);
    assert!(after.members[&founder.account].rank < after.members[&admin.account].rank);
    let too_late = world.at(&[won], &founder, Action::HandOver(admin.account));
    assert_eq!(why(&world, too_late), Some(VoidReason::NotAllowed));
    let beside = world.at(&heads, &founder, Action::Remove(new.account));
    assert_eq!(why(&world, beside), Some(VoidReason::Outranked));
    world.at(&[won], new, Action::Remove(founder.account));
    assert!(!world.has(&founder) && world.has(new));
}

#[test]
fn a_founder_may_hand_over_again_down_the_line() {
    let (mut world, [founder, admin, low, _]) = world();
    world.op(&founder, Action::HandOver(admin.account));
    world.op(&admin, Action::HandOver(low.account));
    let after = world.graph.membership();
    assert_eq!(after.members[&low.account].role, Role::Founder);
    assert_eq!(after.members[&admin.account].role, Role::Admin);
    assert_eq!(after.members.values().filter(|member| member.role == Role::Founder).count(), 1);
}

#[test]
fn a_dropped_device_says_nothing_beside_its_drop_or_after() {
    let (mut world, [founder, admin, _, member]) = world();
    let heads = world.graph.heads();
    let drop = world.by(&heads, &admin, 0, Action::Devices(admin.bundles(2, &[0])));
    let beside = world.by(&heads, &admin, 1, Action::Remove(member.account));
    let later = world.by(&[drop], &admin, 1, Action::Remove(member.account));
    assert_eq!(why(&world, beside), Some(VoidReason::DeviceDropped));
    assert_eq!(why(&world, later), Some(VoidReason::NotItsDevice));
    let after = world.graph.membership();
    assert!(after.members[&member.account].devices.len() == 2 && after.former.contains(&admin.device(1)));
    assert_eq!(after.members[&admin.account].devices.len(), 1);
    assert_eq!((after.owner(&admin.device(0)), after.owner(&admin.device(1))), (Some(admin.account), None));
    assert!(after.cuts.contains(&drop));
    let stale = world.op(&founder, Action::Devices(admin.bundles(1, &[0, 1])));
    let after = world.graph.membership();
    assert!(after.members[&admin.account].devices.len() == 1 && !after.cuts.contains(&stale));
    let repeated = world.op(&founder, Action::Devices(admin.bundles(2, &[0])));
    assert!(!world.graph.membership().cuts.contains(&repeated), "news once is no news again");
}

#[test]
fn a_drop_that_another_member_passes_on_voids_nothing_beside_it() {
    let (mut world, [_, admin, low, member]) = world();
    let heads = world.graph.heads();
    world.at(&heads, &low, Action::Devices(admin.bundles(2, &[0])));
    world.by(&heads, &admin, 1, Action::Remove(member.account));
    assert!(!world.has(&member));
    assert_eq!(world.graph.membership().members[&admin.account].devices.len(), 1);
}

#[test]
fn two_ops_of_one_device_that_do_not_know_each_other_are_shown() {
    let (mut world, [founder, admin, _, member]) = world();
    assert!(world.graph.membership().equivocating.is_empty());
    let heads = world.graph.heads();
    world.at(&heads, &admin, Action::Remove(member.account));
    world.at(&heads, &admin, Action::RotateGossipSecret([1; 32]));
    assert_eq!(world.graph.membership().equivocating, BTreeSet::from([admin.device(0)]));
    world.op(&founder, Action::RotateGossipSecret([2; 32]));
}

#[test]
fn an_action_from_a_newer_version_is_kept_without_effect() {
    let (mut world, [_, _, _, member]) = world();
    let before = world.graph.membership().members;
    world.op(&member, Action::Unknown { kind: 999, body: vec![1, 2, 3] });
    assert_eq!(world.graph.membership().members, before);
}

#[test]
fn a_demoted_admin_is_a_member_whose_acts_beside_it_are_void() {
    let (mut world, [founder, admin, _, member]) = world();
    let heads = world.graph.heads();
    world.at(&heads, &founder, Action::SetRole(admin.account, Role::Member));
    let beside = world.at(&heads, &admin, Action::Remove(member.account));
    assert_eq!(why(&world, beside), Some(VoidReason::Overruled));
    let after = world.op(&admin, Action::Remove(member.account));
    assert_eq!(why(&world, after), Some(VoidReason::NotAllowed));
    assert_eq!(world.graph.membership().members[&admin.account].role, Role::Member);
}

/// Random acts at random heads: stale, concurrent, by anybody, against anybody.
fn random(acts: &[(u8, u8, u8, u8, u8)]) -> (World, Vec<Person>) {
    let (mut world, people) = world();
    let people: Vec<Person> = people.into_iter().chain([person(7)]).collect();
    let mut ids: Vec<OpId> = world.graph.ops().map(|op| op.id()).collect();
    for (who, whom, what, at, also) in acts {
        let (author, target) = (&people[*who as usize % 5], &people[*whom as usize % 5]);
        let k = usize::from(*what) / 128;
        let action = match what % 8 {
            0 | 1 => Action::Remove(target.account),
            2 => Action::SetRole(target.account, Role::Admin),
            3 => Action::SetRole(target.account, Role::Member),
            4 => Action::Add(world.join(author, target)),
            5 => Action::HandOver(target.account),
            6 => Action::Devices(target.bundles(u64::from(*also % 4), if *at % 2 == 0 { &[0] } else { &[0, 1] })),
            _ => Action::Leave(None),
        };
        let recent = ids.len() - ids.len().min(8);
        let prev = [ids[recent + *at as usize % (ids.len() - recent)], ids[*also as usize % ids.len()]];
        ids.extend(world.attempt(&prev, author, k, action));
    }
    (world, people)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_order_of_arrival_gives_the_same_members(
        acts in proptest::collection::vec(any::<(u8, u8, u8, u8, u8)>(), 1..30),
        keys in proptest::collection::vec(any::<u64>(), 40),
    ) {
        let (world, _) = random(&acts);
        let ops: Vec<_> = world.graph.ops().cloned().collect();
        let mut rest: Vec<_> = ops.iter().skip(1).cloned().zip(keys).collect();
        rest.sort_by_key(|(_, key)| *key);
        let mut graph = Graph::new(ops[0].clone()).unwrap();
        let mut held: Vec<_> = rest.into_iter().map(|(op, _)| op).collect();
        while !held.is_empty() {
            held.retain(|op| matches!(graph.insert(op.clone()), Ok(Inserted::Missing(_))));
        }
        prop_assert_eq!(graph.heads(), world.graph.heads());
        prop_assert_eq!(graph.membership(), world.graph.membership());
        let heads = [ops[ops.len() - 1].id()];
        prop_assert_eq!(graph.membership_at(&heads), world.graph.membership_at(&heads));
    }

    #[test]
    fn exactly_what_is_void_has_a_reason_and_its_cause_fits_it(
        acts in proptest::collection::vec(any::<(u8, u8, u8, u8, u8)>(), 1..30),
    ) {
        let (world, _) = random(&acts);
        let membership = world.graph.membership();
        let told: Vec<_> = world.graph.log(&membership).into_iter().map(|entry| (entry.op, entry.void)).collect();
        prop_assert_eq!(told.len(), world.graph.len());
        for (op, void) in told {
            let is_list = matches!(world.graph.op(&op).map(|op| &op.action), Some(Action::Devices(_)));
            prop_assert!(is_list || void == membership.void.get(&op).copied());
            prop_assert!(is_list || void.is_none() || !membership.cuts.contains(&op));
            let Some(Voided { reason, by }) = void else { continue };
            let is_before = |by: OpId| world.graph.within(&by, &[op]) && by != op;
            let is_beside = |by: OpId| !world.graph.within(&by, &[op]) && !world.graph.within(&op, &[by]);
            let counts = |by: OpId| !membership.void.contains_key(&by);
            let fits = match reason {
                VoidReason::Overruled => by.is_some_and(|by| is_beside(by) && counts(by)),
                // A list holds whoever passes it on.
                VoidReason::DeviceDropped => by.is_some_and(is_beside),
                // What is after it is not even judged by its founder's place any more.
                VoidReason::HandedOver => by.is_some_and(|by| !is_before(by) && counts(by)),
                VoidReason::JoinUsed => by.is_some_and(is_before),
                VoidReason::Outranked => by.is_some_and(|by| by != op && counts(by)),
                VoidReason::NotItsDevice | VoidReason::NotAMember | VoidReason::TargetNotAMember
                | VoidReason::NotAllowed => by.is_none_or(is_before),
                VoidReason::OneSelf => by.is_none(),
            };
            prop_assert!(fits, "{:?} by {:?}", reason, by);
        }
    }

    #[test]
    fn what_may_be_done_now_counts_when_it_is_done(
        acts in proptest::collection::vec(any::<(u8, u8, u8, u8, u8)>(), 1..20),
        (who, whom, what) in any::<(u8, u8, u8)>(),
    ) {
        let (mut world, people) = random(&acts);
        let (author, target) = (&people[who as usize % 5], people[whom as usize % 5].account);
        let action = match what % 4 {
            0 => Action::Remove(target),
            1 => Action::SetRole(target, Role::Admin),
            2 => Action::SetRole(target, Role::Member),
            _ => Action::HandOver(target),
        };
        let membership = world.graph.membership();
        let has_device = membership.members.get(&author.account).is_some_and(|own| own.devices.contains(&author.device(0)));
        prop_assume!(has_device);
        let may = membership.may(author.account, &action);
        let heads = world.graph.heads_to_name(&membership);
        let Some(op) = world.attempt(&heads, author, 0, action.clone()) else { return Ok(()) };
        let after = world.graph.membership();
        if may.is_ok() {
            prop_assert_eq!(after.void.get(&op), None);
            let now = after.members.get(&target).map(|member| member.role);
            match action {
                Action::Remove(_) => prop_assert_eq!(now, None),
                Action::SetRole(_, role) => prop_assert_eq!(now, Some(role)),
                _ => prop_assert_eq!(now, Some(Role::Founder)),
            }
        } else if membership.members.contains_key(&target) {
            prop_assert!(after.void.contains_key(&op), "{:?}", may);
        }
    }

    #[test]
    fn what_counts_had_the_right_to_and_there_is_at_most_one_founder(
        acts in proptest::collection::vec(any::<(u8, u8, u8, u8, u8)>(), 1..30),
    ) {
        let (world, _) = random(&acts);
        let membership = world.graph.membership();
        let founders = membership.members.values().filter(|member| member.role == Role::Founder).count();
        prop_assert!(founders <= 1);
        for op in world.graph.ops().filter(|op| !membership.void.contains_key(&op.id())) {
            if let Action::Remove(target) = &op.action {
                let back = membership.members.get(target);
                prop_assert!(back.is_none_or(|member| world.graph.within(&op.id(), &[member.joined])), "removed stays out");
            }
        }
    }
}

#[test]
fn a_thousand_members_and_thousands_of_ops_are_resolved() {
    let founder = person(0);
    let mut world = World::new(&founder);
    let admins: Vec<Person> = (1..20).map(person).collect();
    for admin in &admins {
        world.add(&founder, admin);
        world.admin(&founder, admin);
    }
    for n in 0..980 {
        world.add(&admins[n as usize % admins.len()], &person(100 + n));
    }
    for n in 0..2_000 {
        let prev = world.graph.heads();
        let person = person(100 + n % 980);
        world.at(&prev, &person, Action::RotateGossipSecret([n as u8; 32]));
    }
    let membership = world.graph.membership();
    assert_eq!(membership.members.len(), 1_000);
    assert_eq!(membership.rotations.len(), 2_000);
}

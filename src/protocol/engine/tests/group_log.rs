//! The log of a group: what it tells, and how many members are known to have taken in an end.

use super::*;
use crate::protocol::{
    engine::group_log::GroupLog,
    group::{Deed, Role, VoidReason},
};

/// Less than until members compare again.
const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(200);

impl World {
    fn log(&self, at: usize, group: OpId) -> GroupLog {
        GroupLog::of(&self.nodes[at].shelf, group).unwrap()
    }

    fn remove_of(&mut self, at: usize, group: OpId, member: usize) -> Result<Reply, Refusal> {
        let account = self.account(member);
        self.command(at, Command::RemoveMember(group, account))
    }

    /// Of how many members one knows that they have the last end, and how many there are. Never of more than have it.
    fn applied(&self, at: usize, group: OpId) -> (usize, usize) {
        let log = self.log(at, group);
        let (op, applied) = log.entries.iter().rev().find_map(|entry| Some((entry.op, entry.applied?))).unwrap();
        let has_it = |other: &usize| self.log(*other, group).entries.iter().any(|entry| entry.op == op);
        let is_in = |other: &usize| self.member(at, group, *other).current;
        let others = (0..self.nodes.len()).filter(|other| self.state(*other, group).is_some());
        let truly = others.filter(has_it).filter(is_in).count();
        assert!(applied <= truly, "{applied} are said to have what {truly} have");
        (applied, log.members)
    }
}

#[test]
fn a_removal_is_counted_for_those_who_proved_to_have_it_and_for_nobody_before() {
    let mut world = World::new(5);
    let group = world.group();
    world.pass(LATER);
    world.part_all(2);
    world.remove_of(0, group, 4).unwrap();
    let (mut counts, mut last) = (Vec::new(), 0);
    for _ in 0..6 {
        let (applied, of) = world.applied(0, group);
        assert!(of == 4 && applied >= last);
        last = applied;
        counts.push(applied);
        world.pass(Duration::from_secs(1));
    }
    assert_eq!((counts[0], last), (1, 3), "who took it in says so to who did it: {counts:?}");
    world.pass(LATER);
    assert_eq!(world.applied(0, group), (3, 4), "one is away");
    world.restart_alone(0);
    assert_eq!(world.applied(0, group), (3, 4), "a restart forgets none");
    for other in [0, 1, 3] {
        world.connect(2, other);
        world.connect(0, other);
    }
    world.pass(LATER);
    assert_eq!(world.applied(0, group), (4, 4));
    world.command(0, Command::RenameGroup(group, "others".into())).unwrap();
    assert_eq!(world.applied(0, group), (4, 4), "nor does a change of the group");
}

#[test]
fn what_a_member_says_proves_what_it_has_and_what_it_said_before_does_not() {
    let mut world = World::new(4);
    let group = world.group();
    world.say(1, group, "before");
    world.pass(LATER);
    // The two never compare; what one says comes to the other by way of the third.
    world.part(1, 2);
    world.remove_of(0, group, 3).unwrap();
    world.pass(LATER);
    assert_eq!(world.texts(2, group), ["before"]);
    assert_eq!(world.applied(2, group), (2, 3), "itself, and who did it");
    world.say(1, group, "after");
    world.pass(LATER);
    assert_eq!(world.texts(2, group), ["before", "after"]);
    assert_eq!(world.applied(2, group), (3, 3));
}

#[test]
fn who_says_the_same_heads_again_costs_no_row() {
    let mut world = World::new(2);
    let group = world.group();
    world.pass(LATER);
    world.say(1, group, "once");
    let mut row = world.member(0, group, 1);
    assert_eq!(row.heads.len(), 1);
    row.heads.clear();
    let key = rows::MemberRow::key(group, row.account);
    world.nodes[0].shelf.take(Write::Put(key.clone(), crate::protocol::wire::encode(&row)));
    world.say(1, group, "twice");
    assert_eq!(world.texts(0, group), ["once", "twice"]);
    assert!(world.member(0, group, 1).heads.is_empty(), "the row was looked at");
    world.command(0, Command::RenameGroup(group, "others".into())).unwrap();
    world.say(1, group, "thrice");
    assert_eq!(world.member(0, group, 1).heads.len(), 1, "other heads are noted");
}

#[test]
fn a_leave_is_counted_and_a_group_that_is_over_can_still_be_read() {
    let mut world = World::new(4);
    let group = world.group();
    world.pass(LATER);
    world.remove_of(0, group, 3).unwrap();
    world.pass(LATER);
    world.command(2, Command::LeaveGroup(group)).unwrap();
    world.pass(LATER);
    let told = |at| world.log(at, group).entries.last().map(|entry| (entry.by, entry.deeds.clone(), entry.void));
    let account = |at| world.account(at);
    assert_eq!(told(2), Some((account(2), vec![Deed::Left], None)));
    let log = world.log(0, group);
    let left = log.entries.iter().find(|entry| entry.deeds == [Deed::Left]).unwrap();
    assert_eq!((left.applied, log.members), (Some(2), 2));
    let removed = world.log(3, group);
    let end = removed.entries.iter().find(|entry| entry.deeds == [Deed::Removed(account(3))]).unwrap();
    assert_eq!((end.by, end.void), (account(0), None));
    assert!(removed.entries.iter().all(|entry| entry.deeds != [Deed::Left]), "nothing after it is for who was removed");
}

#[test]
fn a_void_removal_is_told_with_what_made_it_so_and_is_no_end() {
    let mut world = World::new(4);
    let group = world.group();
    let mina = world.account(1);
    world.command(0, Command::SetRole(group, mina, Role::Admin)).unwrap();
    world.pass(LATER);
    for (a, b) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
        world.part(a, b);
    }
    world.remove_of(1, group, 3).unwrap();
    world.remove_of(0, group, 1).unwrap();
    world.pass(SOON);
    for (a, b) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
        world.connect(a, b);
    }
    world.pass(LATER);
    for at in [0, 2, 3] {
        let log = world.log(at, group);
        let of = |account| log.entries.iter().find(|entry| entry.deeds == [Deed::Removed(account)]).unwrap();
        let (void, end) = (of(world.account(3)), of(mina));
        assert_eq!(void.void.map(|void| (void.reason, void.by)), Some((VoidReason::Overruled, Some(end.op))));
        assert_eq!((void.applied, void.by, end.by), (None, mina, world.account(0)));
        assert!(end.applied.is_some() && log.members == 3);
    }
    let ops = |at| world.log(at, group).entries.iter().map(|entry| entry.op).collect::<Vec<_>>();
    assert!(ops(0) == ops(2) && ops(0) == ops(3), "one order for all");
}

//! What members with the right do about others.

use super::*;
use crate::protocol::group::Role;

const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(200);

impl World {
    fn act(&mut self, at: usize, command: impl FnOnce(AccountId) -> Command, on: usize) -> Result<Reply, Refusal> {
        let account = self.account(on);
        self.command(at, command(account))
    }

    fn remove(&mut self, at: usize, group: OpId, member: usize) -> Result<Reply, Refusal> {
        self.act(at, |account| Command::RemoveMember(group, account), member)
    }

    fn promote(&mut self, at: usize, group: OpId, member: usize) -> Result<Reply, Refusal> {
        self.act(at, |account| Command::SetRole(group, account, Role::Admin), member)
    }

    fn role(&self, at: usize, group: OpId, member: usize) -> Role {
        self.member(at, group, member).role
    }
}

#[test]
fn who_was_removed_reads_and_says_nothing_after() {
    let mut world = World::new(4);
    let group = world.group();
    world.say(3, group, "before");
    world.pass(LATER);
    let known = world.topics(3);
    assert!(world.remove(0, group, 3).is_ok());
    for n in 0..20 {
        world.say(n % 3, group, &format!("{n}"));
    }
    world.pass(LATER);
    assert_eq!(world.state(3, group), Some(GroupState::Removed));
    assert!(world.write(3, ChatId::from(group), "still here").is_err());
    assert_eq!(world.texts(3, group), ["before"]);
    assert!(world.topics(3).is_empty() && world.topics(0).difference(&known).next().is_some());
    for at in 0..3 {
        assert_eq!(world.texts(at, group).len(), 21);
        assert_eq!(world.texts(at, group), world.texts(0, group));
        assert_eq!(world.topics(at), world.topics(0));
    }
}

#[test]
fn a_removal_reaches_who_was_away_and_what_it_says_meanwhile_nobody_takes() {
    let mut world = World::new(3);
    let group = world.group();
    world.pass(LATER);
    world.part_all(2);
    world.remove(0, group, 2).unwrap();
    world.pass(SOON);
    world.say(2, group, "nobody told me");
    world.pass(LATER);
    world.connect(0, 2);
    world.connect(1, 2);
    world.pass(LATER);
    assert_eq!(world.state(2, group), Some(GroupState::Removed));
    assert!(world.texts(0, group).is_empty() && world.texts(1, group).is_empty());
    assert_eq!(world.outbox(0, 2), 0, "it was confirmed");
}

#[test]
fn what_one_member_alone_had_of_who_was_removed_all_have() {
    let mut world = World::new(3);
    let group = world.group();
    world.pass(LATER);
    world.part_all(1);
    world.say(2, group, "of one who goes");
    world.pass(SOON);
    world.part(0, 2);
    world.remove(0, group, 2).unwrap();
    world.connect(0, 1);
    world.pass(LATER);
    for at in 0..2 {
        assert_eq!(world.texts(at, group), ["of one who goes"]);
    }
}

#[test]
fn nobody_acts_on_who_is_not_below_in_rank_and_nothing_is_made_of_the_try() {
    let mut world = World::new(4);
    let group = world.group();
    for admin in [1, 2] {
        world.promote(0, group, admin).unwrap();
        world.pass(SOON);
    }
    let ops = |world: &World| world.row::<GroupRow>(2, &GroupRow::key(group)).unwrap().ops;
    let before = ops(&world);
    let accounts: Vec<AccountId> = (0..4).map(|at| world.account(at)).collect();
    assert_eq!(world.remove(2, group, 1), Err(Refusal::Outranked { account: accounts[1] }));
    assert_eq!(world.remove(2, group, 0), Err(Refusal::Outranked { account: accounts[0] }));
    assert_eq!(world.remove(2, group, 2), Err(Refusal::OneSelf));
    assert_eq!(world.promote(2, group, 1), Err(Refusal::Outranked { account: accounts[1] }));
    assert_eq!(world.act(2, |to| Command::HandOver(group, to), 3), Err(Refusal::NotFounder));
    assert_eq!(world.command(2, Command::RemoveMember(group, AccountId([9; 32]))), Err(Refusal::NoSuchMember));
    assert_eq!(ops(&world), before);
    assert_eq!(world.remove(3, group, 2), Err(Refusal::NotAllowed));
    assert_eq!(world.promote(0, group, 1), Err(Refusal::HasRole { account: accounts[1] }));
    assert!(world.remove(1, group, 2).is_ok(), "the one who was made admin first is above the other");
}

#[test]
fn a_group_is_handed_over_and_a_new_admin_invites() {
    let mut world = World::new(4);
    let group = world.group_with(&[1, 2]);
    world.act(0, |to| Command::HandOver(group, to), 1).unwrap();
    world.pass(SOON);
    for at in 0..3 {
        assert_eq!((world.role(at, group, 1), world.role(at, group, 0)), (Role::Founder, Role::Admin));
    }
    world.promote(1, group, 2).unwrap();
    world.pass(SOON);
    world.act(2, |who| Command::InviteToGroup(group, who), 3).unwrap();
    world.pass(LATER);
    world.say(3, group, "thanks");
    world.pass(SOON);
    for at in 0..4 {
        assert_eq!(world.texts(at, group), ["thanks"]);
    }
    world.act(1, |who| Command::SetRole(group, who, Role::Member), 2).unwrap();
    world.pass(SOON);
    assert_eq!(world.role(2, group, 2), Role::Member);
    assert_eq!(world.remove(2, group, 3), Err(Refusal::NotAllowed));
}

#[test]
fn who_was_removed_after_leaving_and_coming_back_was_removed() {
    let mut world = World::new(3);
    let group = world.group();
    world.command(2, Command::LeaveGroup(group)).unwrap();
    world.pass(LATER);
    world.act(0, |who| Command::InviteToGroup(group, who), 2).unwrap();
    world.pass(SOON);
    world.command(2, Command::AcceptGroup(group)).unwrap();
    world.pass(LATER);
    assert_eq!(world.state(2, group), Some(GroupState::Joined));
    world.part_all(2);
    world.remove(0, group, 2).unwrap();
    world.pass(SOON);
    world.connect(0, 2);
    world.pass(LATER);
    assert_eq!(world.state(2, group), Some(GroupState::Removed));
}

#[test]
fn who_was_removed_and_is_invited_again_is_asked_and_comes_back_when_it_accepts() {
    let mut world = World::new(2);
    let group = world.group();
    world.say(0, group, "before");
    world.pass(LATER);
    world.remove(0, group, 1).unwrap();
    world.pass(LATER);
    let since = |world: &World| world.row::<GroupRow>(1, &GroupRow::key(group)).unwrap().since;
    let first = since(&world);
    world.act(0, |who| Command::InviteToGroup(group, who), 1).unwrap();
    world.pass(LATER);
    assert_eq!(world.state(1, group), Some(GroupState::Invited));
    assert!(since(&world) > first, "it waits since it was asked again");
    assert_eq!(world.write(1, ChatId::from(group), "hello"), Err(Refusal::NotJoined));
    world.command(1, Command::AcceptGroup(group)).unwrap();
    world.pass(LATER);
    world.say(1, group, "thanks");
    world.pass(LATER);
    for at in 0..2 {
        assert_eq!(world.texts(at, group), ["before", "thanks"]);
    }
}

#[test]
fn an_invitation_of_another_admin_lets_nobody_back_in() {
    let mut world = World::new(4);
    let group = world.group_with(&[1, 2]);
    world.promote(0, group, 1).unwrap();
    world.pass(SOON);
    // Two invite; one adds, and removes again.
    world.apart.insert((1, 3));
    world.act(1, |who| Command::InviteToGroup(group, who), 3).unwrap();
    world.apart.remove(&(1, 3));
    world.act(0, |who| Command::InviteToGroup(group, who), 3).unwrap();
    world.pass(LATER);
    assert_eq!(world.state(3, group), Some(GroupState::Joined));
    world.remove(0, group, 3).unwrap();
    world.restart(1);
    world.pass(LATER);
    assert_eq!(world.state(3, group), Some(GroupState::Removed));
    assert!(world.row::<GroupRow>(1, &GroupRow::key(group)).unwrap().invited.is_empty());
}

#[test]
fn a_removal_that_is_void_where_more_is_known_gives_the_place_back() {
    let mut world = World::new(4);
    let group = world.group();
    world.promote(0, group, 1).unwrap();
    world.pass(LATER);
    // The founder and one more are apart from the other two.
    for (a, b) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
        world.part(a, b);
    }
    world.remove(1, group, 3).unwrap();
    world.act(0, |who| Command::SetRole(group, who, Role::Member), 1).unwrap();
    world.pass(SOON);
    assert_eq!(world.state(3, group), Some(GroupState::Removed));
    for (a, b) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
        world.connect(a, b);
    }
    world.pass(LATER);
    assert_eq!(world.state(3, group), Some(GroupState::Joined));
    world.say(3, group, "I am back");
    world.pass(LATER);
    for at in 0..4 {
        assert_eq!(world.texts(at, group), ["I am back"]);
    }
}

#[test]
fn who_was_removed_is_looked_for_until_it_knows_it_though_it_is_no_contact() {
    let (mut world, group) = super::backup::group_with_strangers();
    world.promote(0, group, 1).unwrap();
    world.pass(LATER);
    world.part(1, 2);
    world.part(0, 2);
    world.remove(1, group, 2).unwrap();
    world.pass(LATER);
    assert!(world.outbox(1, 2) > 0 && world.seeks(1, 2));
    world.connect(1, 2);
    world.pass(SOON);
    assert_eq!((world.state(2, group), world.outbox(1, 2)), (Some(GroupState::Removed), 0));
    world.pass(Duration::from_secs(2 * 3600));
    assert!(!world.seeks(1, 2), "nothing is shared with it any more");
}

#[test]
fn who_was_added_by_one_who_was_removed_beside_it_learns_that_it_is_out() {
    let mut world = World::new(4);
    let group = world.group_with(&[1, 2]);
    world.promote(0, group, 1).unwrap();
    world.pass(LATER);
    for (a, b) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
        world.part(a, b);
    }
    world.act(1, |who| Command::InviteToGroup(group, who), 3).unwrap();
    world.pass(SOON);
    world.remove(0, group, 1).unwrap();
    world.pass(SOON);
    assert_eq!(world.state(3, group), Some(GroupState::Joined));
    // Whoever added it is never met again.
    world.part(1, 3);
    world.connect(0, 3);
    world.pass(LATER);
    assert_eq!(world.state(3, group), Some(GroupState::Removed));
}

use super::*;

const SOON: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(300);

#[test]
fn what_is_said_in_a_group_reaches_every_member_in_one_order() {
    let mut world = World::new(3);
    let group = world.group();
    for at in 0..3 {
        world.say(at, group, &format!("from {at}"));
    }
    world.pass(LATER);
    assert_eq!(world.texts(0, group).len(), 3);
    assert_eq!(world.texts(0, group), world.texts(1, group));
    assert_eq!(world.texts(0, group), world.texts(2, group));
}

#[test]
fn after_somebody_leaves_a_new_gossip_secret_comes_soon() {
    let mut world = World::new(3);
    let group = world.group();
    let before = world.topics(0);
    world.command(2, Command::LeaveGroup(group)).unwrap();
    world.pass(Duration::from_secs(60));
    assert!(world.topics(0).difference(&before).next().is_some(), "a rotation within the jitter, not in 30 days");
    assert_eq!(world.topics(0), world.topics(1));
    world.say(0, group, "without the third");
    world.pass(SOON);
    assert_eq!(world.texts(1, group), ["without the third"]);
    assert!(world.texts(2, group).is_empty() && world.topics(2).is_empty());
}

#[test]
fn what_was_said_while_a_member_was_away_comes_when_it_is_back() {
    let mut world = World::new(3);
    let group = world.group();
    world.part(0, 2);
    world.part(1, 2);
    for n in 0..300 {
        world.say(n % 2, group, &format!("{n}"));
    }
    world.connect(1, 2);
    world.pass(LATER);
    assert_eq!(world.texts(2, group).len(), 300);
    assert_eq!(world.texts(2, group), world.texts(0, group));
}

#[test]
fn a_member_that_crashes_goes_on() {
    let mut world = World::new(3);
    let group = world.group();
    world.restart(1);
    world.pass(LATER);
    world.say(0, group, "still there?");
    world.say(1, group, "yes");
    world.pass(LATER);
    assert_eq!(world.texts(1, group), ["still there?", "yes"]);
    assert_eq!(world.texts(2, group).len(), 2);
}

#[test]
fn a_leaving_reaches_who_was_away_and_who_left_can_come_back() {
    let mut world = World::new(3);
    let group = world.group();
    world.part(0, 2);
    world.part(1, 2);
    world.command(2, Command::LeaveGroup(group)).unwrap();
    assert_eq!(world.state(2, group), Some(GroupState::Left));
    world.restart(2);
    world.pass(LATER);
    let account = world.account(2);
    assert!(world.command(0, Command::InviteToGroup(group, account)).is_ok(), "it is no member any more");
    world.pass(SOON);
    world.command(2, Command::AcceptGroup(group)).unwrap();
    world.pass(LATER);
    assert_eq!(world.state(2, group), Some(GroupState::Joined));
    world.say(0, group, "welcome back");
    world.pass(LATER);
    assert_eq!(world.texts(2, group), ["welcome back"]);
}

#[test]
fn who_leaves_after_a_long_speech_and_a_new_name_is_heard_out() {
    for (texts, length) in [(300, 10), (90, 50_000)] {
        let mut world = World::new(2);
        let group = world.group();
        world.pass(LATER);
        world.part(0, 1);
        world.command(0, Command::RenameGroup(group, "last words".into())).unwrap();
        for n in 0..texts {
            world.say(0, group, &format!("{n} {}", "a".repeat(length)));
        }
        world.command(0, Command::LeaveGroup(group)).unwrap();
        world.pass(SOON);
        world.connect(0, 1);
        world.pass(Duration::from_secs(3_600));
        assert_eq!(world.texts(1, group).len(), texts);
    }
}

#[test]
fn a_newcomer_counts_for_what_was_written_after_it_came() {
    let mut world = World::new(4);
    let group = world.group_with(&[1, 3]);
    world.say(0, group, "before");
    world.say(1, group, "before");
    world.pass(SOON);
    let written = |world: &World, at: usize| {
        let chat: rows::ChatRow = world.row(at, &rows::ChatRow::key(ChatId::from(group))).unwrap();
        chat.written
    };
    let (first, second) = (written(&world, 0), written(&world, 1));
    world.invite(group, 2);
    world.pass(LATER);
    world.say(0, group, "after");
    world.pass(SOON);
    assert_eq!(world.texts(2, group), ["after"]);
    assert_eq!(world.first_meant(0, group, 2), first + 1);
    assert_eq!(world.first_meant(1, group, 2), second + 1);
    assert_eq!(world.first_meant(0, group, 1), 2, "the founder said its name before anybody came");
}

#[test]
fn who_comes_back_counts_anew() {
    let mut world = World::new(3);
    let group = world.group();
    world.command(2, Command::LeaveGroup(group)).unwrap();
    world.pass(LATER);
    world.say(0, group, "without the third");
    world.invite(group, 2);
    world.pass(SOON);
    world.command(2, Command::AcceptGroup(group)).unwrap();
    world.pass(LATER);
    let said: rows::ChatRow = world.row(0, &rows::ChatRow::key(ChatId::from(group))).unwrap();
    let (again, always) = (world.first_meant(0, group, 2), world.first_meant(0, group, 1));
    assert!(again > always && again <= said.written + 1, "{again}, {always}");
}

#[test]
fn a_newcomer_learns_what_the_others_are_called_from_their_own_words() {
    let mut world = World::new(4);
    let group = world.group_with(&[1, 2]);
    world.command(2, Command::SetName("two".into())).unwrap();
    world.pass(SOON);
    // The one whose name it is is away: others hand on what it said.
    (0..2).for_each(|at| world.part(at, 2));
    world.part(2, 3);
    world.invite(group, 3);
    world.pass(SOON);
    let called = |world: &World, member: usize| world.member(3, group, member).name;
    assert_eq!(called(&world, 0).as_deref(), Some("p0"));
    assert_eq!(called(&world, 1).as_deref(), Some("p1"));
    assert_eq!(called(&world, 2).as_deref(), Some("two"));
    assert_eq!(world.member(0, group, 3).name.as_deref(), Some("p3"));
    assert!(world.texts(3, group).is_empty(), "nothing else of the past comes with it");
}

#[test]
fn a_name_that_is_handed_on_out_of_date_is_mended_by_its_owner() {
    let mut world = World::new(4);
    let group = world.group_with(&[1, 2]);
    (0..2).for_each(|at| world.part(at, 2));
    world.part(2, 3);
    world.command(2, Command::SetName("newer".into())).unwrap();
    world.invite(group, 3);
    world.pass(SOON);
    assert_eq!(world.member(3, group, 2).name.as_deref(), Some("p2"), "all that the others know");
    world.connect(2, 3);
    world.connect(0, 2);
    world.pass(LATER);
    assert_eq!(world.member(3, group, 2).name.as_deref(), Some("newer"));
    world.command(2, Command::SetName("newest".into())).unwrap();
    world.pass(SOON);
    assert_eq!(world.member(3, group, 2).name.as_deref(), Some("newest"));
}

#[test]
fn a_key_that_came_before_its_owner_was_known_survives_a_crash() {
    let mut world = World::new(4);
    let group = world.group_with(&[1, 2]);
    (0..2).for_each(|at| world.part(at, 2));
    world.part(1, 3);
    world.invite(group, 3);
    world.pass(SOON);
    world.part(0, 3);
    // Only the one who does not know the newcomer hears it, and forgets what was in memory alone.
    world.say(3, group, "last words");
    world.pass(Duration::from_secs(1));
    world.restart_alone(2);
    world.connect(2, 3);
    world.command(3, Command::LeaveGroup(group)).unwrap();
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.texts(2, group), ["last words"]);
    assert_eq!(world.outbox(3, 2), 0);
}

#[test]
fn one_who_comes_says_something_and_leaves_is_heard_by_who_did_not_know_it() {
    let mut world = World::new(3);
    let group = world.group_with(&[1]);
    world.part(0, 1);
    world.part(1, 2);
    world.invite(group, 2);
    world.pass(Duration::from_secs(60));
    world.say(2, group, "hello and good-bye");
    world.command(2, Command::LeaveGroup(group)).unwrap();
    world.connect(1, 2);
    world.pass(Duration::from_secs(300));
    assert_eq!(world.texts(1, group), ["hello and good-bye"]);
    assert_eq!(world.outbox(2, 1), 0);
}

#[test]
fn who_left_learns_that_its_last_words_are_there() {
    let mut world = World::new(3);
    let group = world.group();
    world.say(0, group, "hello");
    world.pass(SOON);
    world.restart_alone(0);
    world.restart_alone(1);
    let Ok(Reply::Sent { id, .. }) = world.write(2, ChatId::from(group), "last words") else { panic!("not said") };
    let no = world.row::<rows::EventRow>(2, &rows::EventRow::key(id)).unwrap().no;
    world.command(2, Command::LeaveGroup(group)).unwrap();
    for at in [0, 1] {
        // Before it is said that they are there.
        world.connect(at, 2);
        world.part(at, 2);
        world.pass(SOON);
        world.connect(at, 2);
        world.pass(SOON);
        assert_eq!(world.texts(at, group), ["hello", "last words"]);
    }
    let held = |by: usize| {
        let key = rows::ReceiptRow::key(ChatId::from(group), rows::Side::Theirs, world.device(by));
        world.row::<rows::ReceiptRow>(2, &key).is_some_and(|row| row.numbers().unwrap().contains(no))
    };
    assert_eq!([held(0), held(1)], [true, true]);
}

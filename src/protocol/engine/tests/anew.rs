//! A store whose secrets are gone, as after a rollback.

use super::*;
use crate::protocol::engine::feed::{ContactNotice, FeedEntry};

/// The device starts over what lasts; nothing was said since.
fn lose_secrets(world: &mut World, at: usize) {
    lose_secrets_alone(world, at);
    for other in (0..world.nodes.len()).filter(|other| *other != at) {
        world.connect(at, other);
    }
}

/// The same, connected to nobody.
pub(super) fn lose_secrets_alone(world: &mut World, at: usize) {
    start_anew(world, at);
}

/// A process that finds secrets that no key of now opens starts, connected to nobody.
pub(super) fn start_anew(world: &mut World, at: usize) {
    for other in (0..world.nodes.len()).filter(|other| *other != at) {
        world.part(at, other);
    }
    let node = &mut world.nodes[at];
    node.shelf.0.retain(|key, _| !Table::SECRETS.contains(&key.table));
    node.engine = Engine::new(Settings::default());
    node.gates.clear();
    world.input(at, Input::RolledBack);
    world.input(at, Input::Online);
}

fn notices(world: &World, at: usize) -> usize {
    let feed = rows::all::<FeedEntry>(&world.nodes[at].shelf, b"").unwrap();
    let restarted =
        |entry: &&FeedEntry| matches!(entry, FeedEntry::Contact { notice: ContactNotice::SessionRestarted, .. });
    feed.iter().filter(restarted).count()
}

#[test]
fn sessions_begin_anew_visibly_and_what_waited_arrives() {
    let mut world = World::new(2);
    let chat = ChatId::direct(world.account(0), world.account(1));
    let say = |world: &mut World, at: usize, text: &str| {
        world.command(at, Command::Send { chat, text: text.into(), reply_to: None }).unwrap();
    };
    say(&mut world, 0, "before");
    world.part(0, 1);
    say(&mut world, 0, "waits here");
    say(&mut world, 1, "waits there");
    lose_secrets(&mut world, 0);
    world.pass(Duration::from_secs(600));
    say(&mut world, 0, "after");
    say(&mut world, 1, "heard");
    world.pass(Duration::from_secs(60));
    assert_eq!(world.texts_of(0, chat).len(), 5);
    assert_eq!(world.texts_of(0, chat), world.texts_of(1, chat));
    assert!(notices(&world, 0) >= 1, "the owner is told");
    assert_eq!((world.outbox(0, 1), world.outbox(1, 0)), (0, 0));
}

#[test]
fn a_link_that_was_given_out_still_works() {
    let mut world = World::new(3);
    let link =
        world.command(0, Command::CreateTicket { life: Duration::from_secs(99_999), accept: Acceptance::AtOnce });
    let Ok(Reply::Ticket { link, .. }) = link else { panic!("{link:?}") };
    world.command(2, Command::Remove(world.account(0))).unwrap();
    lose_secrets(&mut world, 0);
    world.command(2, Command::AddContact { link, alias: None }).unwrap();
    world.connect(0, 2);
    world.pass(Duration::from_secs(120));
    let there: rows::ContactRow =
        rows::read(&world.nodes[2].shelf, &rows::ContactRow::key(world.account(0))).unwrap().unwrap();
    assert_eq!(there.state, rows::ContactState::Connected);
}

#[test]
fn a_member_goes_on_in_its_group() {
    let mut world = World::new(3);
    let group = world.group();
    world.say(1, group, "before");
    world.pass(Duration::from_secs(60));
    lose_secrets(&mut world, 1);
    world.say(0, group, "while it was lost");
    world.pass(Duration::from_secs(900));
    world.say(1, group, "back");
    world.say(2, group, "good");
    world.pass(Duration::from_secs(900));
    for at in 0..3 {
        assert_eq!(world.texts(at, group).len(), 4, "{at}: {:?}", world.texts(at, group));
        assert_eq!(world.texts(at, group), world.texts(0, group));
    }
}

const SOON: Duration = Duration::from_secs(60);

/// Three members; the last says something and leaves, while it is connected to nobody.
fn one_left_alone() -> (World, crate::protocol::ids::OpId) {
    let mut world = World::new(3);
    let group = world.group();
    world.say(2, group, "first");
    world.pass(SOON);
    world.part(2, 0);
    world.part(2, 1);
    world.say(2, group, "last");
    world.command(2, Command::LeaveGroup(group)).unwrap();
    (world, group)
}

#[test]
fn the_last_words_of_one_who_left_are_read_by_who_lost_their_keys() {
    let (mut world, group) = one_left_alone();
    lose_secrets_alone(&mut world, 1);
    world.connect(1, 2);
    world.pass(Duration::from_secs(300));
    assert_eq!(world.texts(1, group), ["first", "last"]);
    assert_eq!(world.outbox(2, 1), 0);
}

#[test]
fn who_left_and_lost_its_secrets_tells_its_leaving_and_last_words_again() {
    let (mut world, group) = one_left_alone();
    lose_secrets_alone(&mut world, 2);
    world.connect(1, 2);
    world.pass(Duration::from_secs(300));
    assert_eq!(world.texts(1, group), ["first", "last"]);
    assert!(!world.member(1, group, 2).current);
}

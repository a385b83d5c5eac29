//! Mail that was left before its sender's device, or the session that it was sealed in, was over.

use super::{World, anew::start_anew, group_mailbox, mailbox, rows};
use crate::protocol::ids::ChatId;
use mailbox::{MAILBOX, READER, SENDER, seconds};

/// The reader is away while the sender writes this, which comes to the mailbox.
fn left_at_the_mailbox(world: &mut World, text: &str) -> ChatId {
    world.part(READER, MAILBOX);
    world.tell(SENDER, READER, text);
    world.pass(seconds(120));
    world.direct(SENDER, READER)
}

fn late(world: &World) -> usize {
    world.row::<rows::OwnRow>(READER, &rows::OwnRow::key()).unwrap().late.len()
}

#[test]
fn what_a_lost_device_left_at_a_mailbox_is_read_after_its_successor_was_met() {
    let mut world = mailbox::world();
    let items = world.back_up(SENDER);
    let chat = left_at_the_mailbox(&mut world, "left");
    world.part(SENDER, MAILBOX);
    let new = world.return_by(SENDER, &items);
    world.connect(READER, new);
    world.pass(seconds(120));
    assert_eq!(world.contact(READER, SENDER).devices, [world.device(new)]);
    // A thief of the old device is heard no more.
    world.connect(READER, SENDER);
    world.ignore_its_replacement(SENDER);
    world.tell(SENDER, READER, "by a thief");
    world.pass(seconds(120));
    assert_eq!((world.texts_of(READER, chat).len(), late(&world)), (0, 1));
    world.part(READER, SENDER);
    world.connect(READER, MAILBOX);
    world.pass(seconds(120));
    assert_eq!(world.texts_of(READER, chat), ["left"]);
    // Nor by mail, once all was fetched that may be of before.
    assert_eq!(late(&world), 0);
    world.connect(SENDER, MAILBOX);
    world.ignore_its_replacement(SENDER);
    world.tell(SENDER, READER, "by a thief too");
    world.pass(seconds(600));
    assert_eq!(world.texts_of(READER, chat), ["left"]);
    world.tell(new, READER, "new");
    world.pass(seconds(120));
    assert_eq!(world.texts_of(READER, chat), ["left", "new"]);
}

#[test]
fn what_a_lost_device_left_in_a_session_that_it_began_is_read_too() {
    let mut world = mailbox::world();
    let items = world.back_up(SENDER);
    start_anew(&mut world, SENDER);
    world.connect(SENDER, MAILBOX);
    let chat = left_at_the_mailbox(&mut world, "left");
    world.part(SENDER, MAILBOX);
    let new = world.return_by(SENDER, &items);
    world.connect(READER, new);
    world.pass(seconds(120));
    assert_eq!(world.contact(READER, SENDER).devices, [world.device(new)]);
    world.connect(READER, MAILBOX);
    world.pass(seconds(120));
    assert_eq!(world.texts_of(READER, chat), ["left"]);
    assert_eq!(world.contact(READER, SENDER).devices, [world.device(new)], "the old one is let in nowhere");
    assert_eq!(late(&world), 0);
}

#[test]
fn what_one_left_that_was_lost_before_it_was_ever_met_is_read_too() {
    let mut world = mailbox::world();
    let items = world.back_up(SENDER);
    world.part(READER, MAILBOX);
    let between = world.return_by(SENDER, &items);
    world.connect(between, MAILBOX);
    world.pass(seconds(120));
    world.tell(between, READER, "left in between");
    world.pass(seconds(120));
    world.part(between, MAILBOX);
    let last = world.return_by(SENDER, &items);
    world.connect(READER, last);
    world.pass(seconds(120));
    world.connect(READER, MAILBOX);
    world.pass(seconds(120));
    assert_eq!(world.texts_of(READER, world.direct(SENDER, READER)), ["left in between"]);
    assert_eq!(world.contact(READER, SENDER).devices, [world.device(last)]);
    assert_eq!(late(&world), 0);
}

#[test]
fn what_one_that_was_never_met_left_in_a_log_is_read_too() {
    let (mut world, group) = group_mailbox::world();
    world.say(SENDER, group, "before");
    world.pass(seconds(120));
    let items = world.back_up(SENDER);
    world.part(READER, MAILBOX);
    let between = world.return_by(SENDER, &items);
    world.connect(between, MAILBOX);
    world.pass(seconds(60));
    world.say(between, group, "left in between");
    world.pass(seconds(120));
    world.part(between, MAILBOX);
    let last = world.return_by(SENDER, &items);
    world.connect(READER, last);
    world.pass(seconds(120));
    for at in [READER, last] {
        world.connect(at, MAILBOX);
    }
    world.pass(seconds(600));
    for at in [READER, last] {
        assert_eq!(world.texts(at, group), ["before", "left in between"]);
    }
}

#[test]
fn what_was_left_in_a_session_that_its_sender_lost_is_read_after_another_began() {
    let mut world = mailbox::world();
    let copy = world.nodes[SENDER].shelf.clone();
    let chat = left_at_the_mailbox(&mut world, "left");
    world.part(SENDER, MAILBOX);
    world.nodes[SENDER].shelf = copy;
    start_anew(&mut world, SENDER);
    world.tell(READER, SENDER, "are you there?");
    world.connect(READER, SENDER);
    world.pass(seconds(120));
    world.tell(SENDER, READER, "yes");
    world.pass(seconds(120));
    assert_eq!(world.texts_of(READER, chat), ["are you there?", "yes"]);
    world.connect(READER, MAILBOX);
    world.pass(seconds(120));
    assert!(world.texts_of(READER, chat).contains(&"left".to_owned()));
    assert_eq!(late(&world), 0);
    let sessions = rows::all::<rows::SessionRow>(&world.nodes[READER].shelf, b"").unwrap();
    let of_sender = sessions.iter().filter(|row| row.device == world.device(SENDER)).count();
    let listed: rows::DeviceRow = world.row(READER, &rows::DeviceRow::key(world.device(SENDER))).unwrap();
    assert_eq!(of_sender, listed.sessions.len(), "none is kept longer");
}

#[test]
fn what_a_lost_device_left_in_a_log_is_read_after_its_successor_was_met() {
    let (mut world, group) = group_mailbox::world();
    world.say(SENDER, group, "before");
    world.pass(seconds(120));
    let items = world.back_up(SENDER);
    world.part(SENDER, READER);
    world.part(READER, MAILBOX);
    world.say(SENDER, group, "left");
    world.pass(seconds(120));
    let new = world.return_by(SENDER, &items);
    world.connect(READER, new);
    world.pass(seconds(120));
    assert!(world.is_listed(READER, group, new));
    for at in [READER, new] {
        world.connect(at, MAILBOX);
    }
    world.pass(seconds(120));
    for at in [READER, new] {
        assert_eq!(world.texts(at, group), ["before", "left"]);
    }
    let row: rows::GroupRow = world.row(READER, &rows::GroupRow::key(group)).unwrap();
    assert!(row.late.is_empty(), "its logs were read");
}

//! Where mail lies, as its sender knows it: what is shown of it.

use super::World;
use crate::protocol::{
    engine::{
        Command, Reply,
        command::{MailboxAt, Serving},
        feed::{FeedEntry, Progress},
        rows::{EventRow, OutboxRow},
    },
    ids::EventId,
    time::days,
};
use std::time::Duration;

const SENDER: usize = 0;
const READER: usize = 1;
const MAILBOX: usize = 2;

/// Three contacts; the last keeps mail for the first two, of whom the second is away.
fn world() -> World {
    let mut world = World::new(3);
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    for at in [SENDER, READER] {
        let mailbox = world.account(MAILBOX);
        world.command(at, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    }
    world.pass(seconds(90));
    world.part(SENDER, READER);
    world.part(READER, MAILBOX);
    world
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Says something that is then left for the reader.
fn left(world: &mut World) -> EventId {
    let chat = world.direct(SENDER, READER);
    let Ok(Reply::Sent { id, .. }) = world.write(SENDER, chat, "for the reader") else { panic!("not sent") };
    world.pass(seconds(30));
    assert!(waiting(world, id).is_in_mailbox(world.now));
    id
}

fn waiting(world: &World, id: EventId) -> OutboxRow {
    let event: EventRow = world.row(SENDER, &EventRow::key(id)).unwrap();
    let (device, place) = event.outbox[0];
    world.row(SENDER, &OutboxRow::key(device, place)).unwrap()
}

/// How often the sender's views were told that this lies in a mailbox.
fn times_told(world: &World, id: EventId) -> usize {
    let is_of =
        |entry: &&FeedEntry| matches!(entry, FeedEntry::Receipt { state: Progress::Mailbox, ids, .. } if *ids == [id]);
    world.feed(SENDER).iter().filter(is_of).count()
}

#[test]
fn what_no_mailbox_keeps_any_more_is_told_when_it_is_left_anew() {
    let mut world = world();
    let id = left(&mut world);
    world.part(SENDER, MAILBOX);
    world.pass(days(15));
    assert!(!waiting(&world, id).is_in_mailbox(world.now));
    assert_eq!(times_told(&world, id), 1);
    world.connect(SENDER, MAILBOX);
    world.pass(seconds(3600));
    assert!(waiting(&world, id).is_in_mailbox(world.now));
    assert_eq!(times_told(&world, id), 2);
}

//! Where mail lies, as its sender knows it: what is shown, and what can be taken back.

use super::{
    Shelf, World,
    mailbox::{self, MAILBOX, READER, SENDER, seconds},
};
use crate::protocol::{
    crypto::envelope::{Tag, peek},
    engine::{
        Command, Reply, Settings,
        feed::{FeedEntry, Progress},
        record::Receipt,
        rows::{ContactRow, DeviceRow, EventRow, OutboxRow},
        turn::{Step, Turn},
    },
    ids::EventId,
    time::days,
    view::{Direction, Key, Rows, Table, View, ViewError},
    wire::{encode, limits::MAX_UNKNOWN_TAGS},
};
use std::cell::Cell;

/// As the others of mail, and the reader is away.
fn world() -> World {
    let mut world = mailbox::world();
    world.part(READER, MAILBOX);
    world
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

/// Withdraws a message; for how many it was taken back, of how many it lies in a mailbox, and how many have it.
fn withdraw(world: &mut World, id: EventId) -> (u32, u32, u32) {
    match world.command(SENDER, Command::Withdraw(id)).unwrap() {
        Reply::Withdrawn { withdrawn, mailbox, delivered, .. } => (withdrawn, mailbox, delivered),
        other => panic!("{other:?}"),
    }
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

/// Counts how often the outbox is looked over.
struct Counting<'a>(&'a Shelf, Cell<usize>);

impl View for Counting<'_> {
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError> {
        self.0.row(key)
    }

    fn scan(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Rows, ViewError> {
        self.1.set(self.1.get() + usize::from(table == Table::Outbox));
        self.0.scan(table, scope, from, direction, limit)
    }
}

/// What the sender's engine does on its own, and how often it looked over the outbox.
fn turn(world: &mut World, does: impl FnOnce(&mut Turn) -> Step) -> usize {
    let node = &mut world.nodes[SENDER];
    let view = Counting(&node.shelf, Cell::new(0));
    let mut turn = Turn::new(&mut node.engine.mem, Settings::default(), world.now, &mut node.rng, &view);
    does(&mut turn).unwrap();
    let writes = turn.into_writes();
    let looks = view.1.get();
    writes.into_iter().for_each(|write| node.shelf.take(write));
    looks
}

#[test]
fn what_is_to_be_left_again_lies_there_all_the_same() {
    let mut world = world();
    let id = left(&mut world);
    let before = waiting(&world, id).left.unwrap();
    let reader: DeviceRow = world.row(SENDER, &DeviceRow::key(world.device(READER))).unwrap();
    // Mail of the reader's could not be read.
    turn(&mut world, |turn| turn.leave_all_again(&reader));
    assert!(waiting(&world, id).is_in_mailbox(world.now));
    assert_eq!(withdraw(&mut world, id), (0, 1, 0));
    world.pass(seconds(30));
    assert!(waiting(&world, id).left.unwrap()[0].at > before[0].at, "and is left again");
}

#[test]
fn what_was_left_is_not_taken_back_while_it_is_sealed_anew() {
    let mut world = world();
    let id = left(&mut world);
    let tag = peek(&waiting(&world, id).sealed.unwrap().wire).unwrap();
    let reader = world.device(READER);
    // The reader's word that it knows no session for it; an earlier copy under another tag it may know.
    turn(&mut world, |turn| turn.unknown_by_mail(reader, &[tag].into()));
    assert!(waiting(&world, id).sealed.is_none());
    assert_eq!(withdraw(&mut world, id), (0, 1, 0));
    assert!(!waiting(&world, id).is_in_mailbox(world.now), "no mailbox has the envelope that is to be made");
}

#[test]
fn many_unknown_tags_cost_one_look_at_what_waits() {
    let mut world = world();
    let id = left(&mut world);
    let tag = peek(&waiting(&world, id).sealed.unwrap().wire).unwrap();
    let reader: DeviceRow = world.row(SENDER, &DeviceRow::key(world.device(READER))).unwrap();
    let unknown = (0..MAX_UNKNOWN_TAGS - 1).map(|n| Tag([n as u8; 16])).chain([tag]).collect();
    let looks =
        turn(&mut world, |turn| turn.receipt(&reader, Receipt { unknown: Some(unknown), ..Receipt::default() }));
    assert!(waiting(&world, id).sealed.is_none(), "it is sealed anew");
    assert!(looks < 8, "looked {looks} times");
}

#[test]
fn what_a_device_had_that_is_gone_is_not_taken_back() {
    let mut world = World::new(2);
    let chat = world.direct(SENDER, READER);
    let Ok(Reply::Sent { id, .. }) = world.write(SENDER, chat, "for the reader") else { panic!("not sent") };
    world.pass(seconds(5));
    let contact = ContactRow { devices: Vec::new(), ..world.contact(SENDER, READER) };
    world.nodes[SENDER].shelf.0.insert(ContactRow::key(contact.account), encode(&contact));
    assert_eq!(withdraw(&mut world, id), (0, 0, 1));
}

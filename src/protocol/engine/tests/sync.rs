//! Comparing: what is missing comes, whoever lies.

use super::*;
use crate::protocol::{
    engine::{
        command::ReadReceipts,
        record::{Given, Record},
        rows::{AuthorRow, ChatRow, EventRow, OrderRow, ReceiptRow, Side},
    },
    ids::EventId,
    sync::{Range, Ranges, Told},
    wire::limits::MAX_QUESTIONS_AT_ONCE,
};

const SOON: Duration = Duration::from_secs(30);
/// Longer than anything is put off.
const LATER: Duration = Duration::from_secs(400);

impl World {
    /// Says a record that may be a lie.
    pub(super) fn lie(&mut self, at: usize, to: usize, record: &Record) {
        self.lie_at_once(at, to, std::slice::from_ref(record));
    }

    /// The same with several, before an answer to the first can come.
    pub(super) fn lie_at_once(&mut self, at: usize, to: usize, records: &[Record]) {
        let to = self.device(to);
        for record in records {
            let node = &mut self.nodes[at];
            let effects = node.engine.say_anything(to, record, self.now, &mut node.rng, &node.shelf).unwrap();
            for effect in effects {
                self.carry_out(at, effect);
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some((at, input)) = self.inputs.pop_front() {
            self.handle(at, input);
            self.handle(at, Input::DrainEnd);
        }
    }

    /// What of its events in a chat the other confirmed and read.
    pub(super) fn confirmed(&self, at: usize, by: usize, chat: ChatId) -> (u64, u64) {
        let key = ReceiptRow::key(chat, Side::Theirs, self.device(by));
        let row = rows::read::<ReceiptRow>(&self.nodes[at].shelf, &key).unwrap();
        row.map_or((0, 0), |row| (row.numbers().unwrap().descending().count() as u64, row.read))
    }

    pub(super) fn part_all(&mut self, at: usize) {
        (0..self.nodes.len()).filter(|other| *other != at).for_each(|other| self.part(at, other));
    }
}

fn ids(n: usize, of: u8) -> Vec<EventId> {
    (0..n).map(|n| EventId(std::array::from_fn(|at| if at < 8 { (n >> (8 * (at % 4))) as u8 } else { of }))).collect()
}

#[test]
fn both_sides_of_a_partition_have_everything_after_one_meeting() {
    let mut world = World::new(4);
    let group = world.group();
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        world.part(a, b);
    }
    for n in 0..300 {
        world.say(n % 4, group, &format!("{n}"));
        world.now = world.now.plus(Duration::from_millis(20));
    }
    world.pass(LATER);
    assert_eq!((world.texts(0, group).len(), world.texts(2, group).len()), (150, 150));
    world.connect(1, 2);
    world.pass(SOON);
    for at in 0..4 {
        assert_eq!(world.texts(at, group).len(), 300, "{at}");
        assert_eq!(world.texts(at, group), world.texts(0, group));
    }
    assert!(world.confirmed(1, 2, group.into()).0 >= 75, "and perhaps the name");
    assert_eq!(world.shunned, []);
}

#[test]
fn two_who_hold_the_same_say_little_when_they_meet() {
    let mut world = World::new(2);
    let group = world.group();
    for n in 0..300 {
        world.say(n % 2, group, &format!("{n}"));
    }
    world.pass(LATER);
    world.part(0, 1);
    world.sent.fill(0);
    world.connect(0, 1);
    world.pass(Duration::from_secs(20));
    assert!(world.sent.iter().sum::<usize>() < 40 * 1024, "{:?}", world.sent);
    assert_eq!(world.texts(0, group), world.texts(1, group));
}

#[test]
fn who_offers_what_it_does_not_have_is_shunned_and_the_others_go_on() {
    let mut world = World::new(3);
    let group = world.group();
    world.part_all(2);
    for n in 0..100 {
        world.say(0, group, &format!("{n}"));
    }
    world.connect(1, 2);
    for n in 0..12 {
        let news = Range { lower: [1; 40], told: Told::News(ids(400, n)) };
        let ranges = Ranges::made_up(vec![news]).to_bytes();
        world.lie(1, 2, &Record::Compare(group.into(), 1, ranges));
    }
    let liar = world.nodes[1].transport;
    assert!(world.shunned.iter().any(|(by, whom, _)| *by == 2 && *whom == liar), "{:?}", world.shunned);
    world.connect(0, 2);
    world.pass(LATER);
    assert_eq!(world.texts(2, group).len(), 100);
    assert_eq!(world.texts(2, group), world.texts(0, group));
}

#[test]
fn who_asks_without_end_is_answered_within_bounds_and_then_not_at_all() {
    let mut world = World::new(3);
    let group = world.group();
    for n in 0..30 {
        world.say(0, group, &format!("{n}"));
    }
    let held: Vec<EventId> = {
        let rows =
            rows::all::<AuthorRow>(&world.nodes[0].shelf, AuthorRow::scope(group.into(), world.device(0))).unwrap();
        rows.into_iter().map(|row| row.0).collect()
    };
    world.sent.fill(0);
    for _ in 0..1_600 {
        world.lie(1, 0, &Record::Wanted(group.into(), held.iter().copied().take(20).collect()));
    }
    let most = MAX_QUESTIONS_AT_ONCE as usize * 68 * 1024;
    assert!(world.sent[0] < most, "{} bytes for 1,600 questions", world.sent[0]);
    assert!(
        world.shunned.iter().any(|(by, _, offence)| *by == 0 && *offence == Offence::TooMuch),
        "{:?}",
        world.shunned
    );
    world.say(2, group, "still here");
    world.pass(SOON);
    assert!(world.texts(0, group).contains(&"still here".to_owned()));
}

#[test]
fn nonsense_in_comparisons_does_no_harm() {
    let mut world = World::new(2);
    let group = world.group();
    let chat = ChatId::from(group);
    world.say(0, group, "one");
    let prints = |n: u8| Range { lower: [255 - n; 40], told: Told::Print([n; 16]) };
    for record in [
        Record::Compare(chat, 0, vec![0xff; 9_000]),
        Record::Compare(chat, u16::MAX, Ranges::made_up(vec![prints(1)]).to_bytes()),
        Record::Compare(chat, 4, Ranges::made_up((0..200).map(prints).collect()).to_bytes()),
        Record::Compare(
            chat,
            4,
            Ranges::made_up(vec![Range { lower: [0; 40], told: Told::All(ids(900, 1)) }]).to_bytes(),
        ),
        Record::Compare(ChatId([9; 32]), 0, Ranges::made_up(vec![prints(1)]).to_bytes()),
        Record::Wanted(chat, ids(1_500, 3)),
        Record::Given(Given {
            chat,
            events: vec![vec![1, 2, 3].into()],
            lacking: ids(600, 4),
            last: false,
            stubs: vec![],
        }),
        Record::Given(Given { last: true, ..Given::nothing(ChatId([9; 32])) }),
    ] {
        world.lie(1, 0, &record);
        world.lie(0, 1, &record);
    }
    world.pass(LATER);
    world.say(1, group, "two");
    world.pass(LATER);
    assert_eq!(world.texts(0, group), ["one", "two"]);
    assert_eq!(world.texts(1, group), ["one", "two"]);
}

#[test]
fn who_left_is_told_nothing_of_what_came_after() {
    let mut world = World::new(3);
    let group = world.group();
    world.command(2, Command::LeaveGroup(group)).unwrap();
    world.pass(LATER);
    world.say(0, group, "among us");
    world.pass(SOON);
    let secret: Vec<EventId> =
        rows::all::<AuthorRow>(&world.nodes[0].shelf, AuthorRow::scope(group.into(), world.device(0)))
            .unwrap()
            .into_iter()
            .map(|row| row.0)
            .collect();
    world.sent.fill(0);
    world.lie(2, 0, &Record::Wanted(group.into(), secret));
    let all = Range { lower: [0; 40], told: Told::All(vec![]) };
    world.lie(2, 0, &Record::Compare(group.into(), 1, Ranges::made_up(vec![all]).to_bytes()));
    assert!(world.sent[0] < 8 * 1024, "{}: receipts at most", world.sent[0]);
    assert!(world.texts(2, group).is_empty());
}

#[test]
fn what_a_contact_lost_is_said_again() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    for n in 0..40 {
        world.command(0, Command::Send { chat, text: format!("{n}"), reply_to: None }).unwrap();
    }
    world.pass(SOON);
    assert_eq!(world.confirmed(0, 1, chat).0, 40);
    world.part(0, 1);
    forget(&mut world.nodes[1].shelf, chat);
    world.restart(1);
    world.pass(LATER);
    let lines = world.nodes[1].shelf.scan(Table::Timeline, chat.as_ref(), None, Direction::Forward, 999).unwrap();
    assert_eq!(lines.len(), 40);
    assert_eq!(world.confirmed(0, 1, chat).0, 40);
    let waits =
        world.nodes[0].shelf.scan(Table::Outbox, world.device(1).as_ref(), None, Direction::Forward, 9).unwrap();
    assert!(waits.is_empty(), "confirmed once more");
}

/// A home that lost a whole conversation, as one that was set back to an older copy.
fn forget(shelf: &mut Shelf, chat: ChatId) {
    let of_chat = |key: &Key, bytes: &[u8]| {
        key.scope.starts_with(&chat.0)
            || rows::parse::<EventRow>(bytes).is_ok_and(|row| key.table == Table::Event && row.chat == chat)
    };
    shelf.0.retain(|key, bytes| !of_chat(key, bytes));
    let row: ChatRow = rows::read(shelf, &ChatRow::key(chat)).unwrap().unwrap();
    shelf.0.insert(ChatRow::key(chat), crate::protocol::wire::encode(&ChatRow::new(chat, row.kind, row.since)));
}

#[test]
fn a_home_from_before_there_was_an_index_makes_it_when_it_is_needed() {
    let mut world = World::new(2);
    let group = world.group();
    for n in 0..20 {
        world.say(n % 2, group, &format!("{n}"));
    }
    world.pass(SOON);
    let indexed = |world: &World| {
        let scope = OrderRow::scope(group.into());
        world.nodes[1].shelf.scan(Table::Order, &scope, None, Direction::Forward, 999).unwrap().len()
    };
    let before = indexed(&world);
    world.part(0, 1);
    world.nodes[1].shelf.0.retain(|key, _| key.table != Table::Order);
    world.say(0, group, "later");
    world.restart(1);
    world.pass(LATER);
    assert_eq!(world.texts(1, group).len(), 21);
    assert_eq!(indexed(&world), before + 1);
    assert_eq!(world.shunned, []);
}

#[test]
fn a_clock_set_back_by_years_stops_nothing() {
    let mut world = World::new(2);
    let group = world.group();
    world.say(0, group, "before");
    world.pass(SOON);
    world.part(0, 1);
    world.now = world.now.minus(Duration::from_secs(10 * 365 * 24 * 3600));
    world.say(0, group, "in the past");
    world.connect(0, 1);
    world.pass(LATER);
    world.say(1, group, "after");
    world.pass(LATER);
    assert_eq!(world.texts(0, group).len(), 3);
    assert_eq!(world.texts(0, group), world.texts(1, group));
}

#[test]
fn others_learn_what_was_read_only_where_that_is_wanted_and_never_unlearn_it() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    let say = |world: &mut World| {
        world.command(0, Command::Send { chat, text: "hello".into(), reply_to: None }).unwrap();
        world.pass(SOON);
    };
    let read = |world: &mut World| {
        world.command(1, Command::MarkRead { chat, up_to: None }).unwrap();
        world.pass(SOON);
    };
    let choose = |world: &mut World, set| world.command(1, Command::ReadReceipts { chat, set }).unwrap();
    say(&mut world);
    read(&mut world);
    assert_eq!(world.confirmed(0, 1, chat), (1, 1), "as the settings say");
    let answer = choose(&mut world, Some(ReadReceipts::Off));
    assert_eq!(answer, Reply::ReadReceipts { chosen: ReadReceipts::Off, told: false });
    say(&mut world);
    read(&mut world);
    say(&mut world);
    assert_eq!(world.confirmed(0, 1, chat), (3, 1), "delivered, and what was told before stays told");
    let answer = choose(&mut world, Some(ReadReceipts::Default));
    assert_eq!(answer, Reply::ReadReceipts { chosen: ReadReceipts::Default, told: true });
    say(&mut world);
    assert_eq!(world.confirmed(0, 1, chat), (4, 1), "what was read while it was off is not told later by itself");
    read(&mut world);
    assert_eq!(world.confirmed(0, 1, chat), (4, 4));
}

#[test]
fn what_comes_late_is_unread_until_it_is_read() {
    let mut world = World::new(2);
    let group = world.group();
    let chat = ChatId::from(group);
    world.say(0, group, "hello");
    world.pass(LATER);
    // Lost on the way, as gossip may be.
    world.apart.insert((0, 1));
    world.say(0, group, "first");
    world.apart.remove(&(0, 1));
    world.say(0, group, "second");
    let read = |world: &mut World| {
        world.command(1, Command::MarkRead { chat, up_to: None }).unwrap();
        world.pass(Duration::from_millis(300));
    };
    let known_as_read = |world: &World| {
        let key = ReceiptRow::key(chat, Side::Theirs, world.device(1));
        let Some(row) = world.row::<ReceiptRow>(0, &key) else { return 0 };
        let (held, seen) = (row.numbers().unwrap(), row.seen(row.read).unwrap());
        seen.descending().filter(|no| held.contains(*no)).count()
    };
    let unread = |world: &World| world.row::<ChatRow>(1, &ChatRow::key(chat)).unwrap().unread;
    world.pass(Duration::from_millis(300));
    let before = known_as_read(&world);
    read(&mut world);
    assert_eq!((world.texts(1, group), unread(&world)), (vec!["hello".into(), "second".into()], 0));
    let then = known_as_read(&world);
    assert!(then > before, "the second was read");
    world.pass(LATER);
    assert_eq!(world.texts(1, group), ["hello", "first", "second"]);
    assert_eq!(
        (unread(&world), known_as_read(&world)),
        (1, then),
        "it stands before what was read, and nobody read it"
    );
    world.restart(1);
    world.pass(SOON);
    assert_eq!(known_as_read(&world), then);
    read(&mut world);
    assert_eq!((unread(&world), known_as_read(&world)), (0, then + 1));
}

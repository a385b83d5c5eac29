//! Messages that do not last.

use super::*;
use crate::protocol::{
    engine::record::{Given, Record},
    group::{GroupEvent, SenderChain, Stub, chain::Draft},
    identity::DeviceKeys,
    ids::EventId,
    sync::{Range, Ranges, Told},
    wire::limits::MAX_STUBS_TOLD,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn say(world: &mut World, at: usize, chat: ChatId, text: &str) {
    world.command(at, Command::Send { chat, text: text.into(), reply_to: None }).unwrap();
}

fn read(world: &mut World, at: usize, chat: ChatId, up_to: Option<EventId>) {
    world.command(at, Command::MarkRead { chat, up_to }).unwrap();
}

/// Whether any row of a device holds these bytes.
pub(super) fn holds(world: &World, at: usize, text: &str) -> bool {
    let has = |value: &Vec<u8>| value.windows(text.len()).any(|part| part == text.as_bytes());
    world.nodes[at].shelf.0.values().any(has)
}

/// The hours of cells that have rows, those that last left out.
fn passing_cells(world: &World, at: usize) -> BTreeSet<u64> {
    let shelf = &world.nodes[at].shelf;
    let present = shelf.1.iter().filter(|(key, _)| shelf.0.contains_key(*key));
    present.map(|(_, cell)| cell.hour).filter(|hour| *hour != 0).collect()
}

#[test]
fn a_message_ends_from_sending_for_the_writer_and_from_reading_for_the_reader() {
    let mut world = World::new(2);
    let chat = ChatId::direct(world.account(0), world.account(1));
    say(&mut world, 0, chat, "this lasts");
    world.command(0, Command::SetTimer(chat, Some(HOUR))).unwrap();
    say(&mut world, 0, chat, "planted words");
    world.pass(MINUTE);
    assert!(holds(&world, 0, "planted") && holds(&world, 1, "planted"), "the probe finds what is there");
    assert_eq!(passing_cells(&world, 1), [rows::UNREAD_HOUR].into());

    world.pass(HOUR);
    assert_eq!(world.texts_of(0, chat), ["this lasts"]);
    assert!(!holds(&world, 0, "planted") && passing_cells(&world, 0).is_empty());
    assert_eq!(world.texts_of(1, chat).len(), 2, "not read yet");

    read(&mut world, 1, chat, None);
    assert!(!passing_cells(&world, 1).contains(&rows::UNREAD_HOUR));
    world.restart(1);
    world.pass(59 * MINUTE);
    assert_eq!(world.texts_of(1, chat).len(), 2);
    world.pass(2 * MINUTE);
    assert_eq!(world.texts_of(1, chat), ["this lasts"]);
    assert!(!holds(&world, 1, "planted") && passing_cells(&world, 1).is_empty());

    world.command(0, Command::SetTimer(chat, None)).unwrap();
    say(&mut world, 0, chat, "this lasts too");
    world.pass(48 * HOUR);
    for at in 0..2 {
        assert_eq!(world.texts_of(at, chat), ["this lasts", "this lasts too"]);
    }
}

#[test]
fn what_is_not_read_waits_on_when_what_came_before_it_ends() {
    let mut world = World::new(2);
    let chat = ChatId::direct(world.account(0), world.account(1));
    world.command(0, Command::SetTimer(chat, Some(10 * MINUTE))).unwrap();
    say(&mut world, 0, chat, "first");
    world.pass(MINUTE);
    let first = world.nodes[1].shelf.scan(Table::Timeline, chat.as_ref(), None, Direction::Forward, 1).unwrap();
    let TimelineRow(first) = rows::parse(&first[0].1).unwrap();
    say(&mut world, 0, chat, "second");
    world.pass(MINUTE);
    read(&mut world, 1, chat, Some(first));
    world.pass(30 * MINUTE);
    assert_eq!(world.texts_of(1, chat), ["second"]);
    read(&mut world, 1, chat, None);
    world.pass(30 * MINUTE);
    assert_eq!(world.texts_of(1, chat), [""; 0]);
    assert!(passing_cells(&world, 1).is_empty());
}

#[test]
fn what_crossed_what_was_read_waits_to_be_read_itself() {
    let mut world = World::new(2);
    let chat = ChatId::direct(world.account(0), world.account(1));
    world.command(0, Command::SetTimer(chat, Some(MINUTE))).unwrap();
    world.part(0, 1);
    say(&mut world, 0, chat, "planted");
    world.pass(10 * MINUTE);
    say(&mut world, 1, chat, "hi");
    read(&mut world, 1, chat, None);
    world.connect(0, 1);
    world.pass(HOUR);
    assert_eq!(world.texts_of(1, chat), ["planted", "hi"]);
    read(&mut world, 1, chat, None);
    world.pass(2 * MINUTE);
    assert_eq!(world.texts_of(1, chat), ["hi"]);
    assert!(!holds(&world, 1, "planted"));
}

#[test]
fn a_message_that_is_over_before_it_was_delivered_is_delivered_first() {
    let mut world = World::new(2);
    let chat = ChatId::direct(world.account(0), world.account(1));
    world.command(0, Command::SetTimer(chat, Some(10 * MINUTE))).unwrap();
    world.part(0, 1);
    say(&mut world, 0, chat, "planted late");
    for _ in 0..20 {
        world.pass(15 * MINUTE);
        let events = rows::all::<rows::EventRow>(&world.nodes[0].shelf, b"").unwrap();
        assert!(events.iter().filter(|event| event.own).all(|event| event.is_over(world.now)), "nothing is shown");
    }
    world.connect(0, 1);
    world.pass(MINUTE);
    assert_eq!(world.texts_of(1, chat), ["planted late"]);
    assert!(!holds(&world, 0, "planted"));
}

#[test]
fn a_group_s_messages_end_and_leave_what_is_signed() {
    let mut world = World::new(3);
    let group = world.group();
    let chat = ChatId::from(group);
    world.command(0, Command::SetTimer(chat, Some(HOUR))).unwrap();
    world.say(1, group, "before");
    world.say(0, group, "passes");
    world.pass(MINUTE);
    for at in 1..3 {
        assert_eq!(world.texts(at, group).len(), 2);
        read(&mut world, at, chat, None);
    }
    world.pass(2 * HOUR);
    world.say(2, group, "after");
    world.pass(HOUR);
    for at in 0..3 {
        assert_eq!(world.texts(at, group), ["before", "after"], "{at}");
        let events = rows::all::<rows::EventRow>(&world.nodes[at].shelf, b"").unwrap();
        let erased: Vec<_> = events.iter().filter(|event| event.content.is_empty()).collect();
        let [event] = &erased[..] else { panic!("{} are erased", erased.len()) };
        assert!(event.key.is_none() && matches!(event.ends, Some(rows::Ends::Erased(Some(_)))));
        assert!(rows::read::<rows::RawRow>(&world.nodes[at].shelf, &rows::RawRow::key(event.id)).unwrap().is_none());
    }
}

/// A group of three, of whom the last went before the first began to write what lasts an hour.
fn away_from_what_ends() -> (World, OpId, ChatId) {
    let mut world = World::new(3);
    let group = world.group();
    let chat = ChatId::from(group);
    world.say(0, group, "before");
    world.pass(MINUTE);
    world.part_all(2);
    world.command(0, Command::SetTimer(chat, Some(HOUR))).unwrap();
    (world, group, chat)
}

#[test]
fn who_was_away_while_messages_ended_has_their_places_and_nobody_is_shunned() {
    let (mut world, group, chat) = away_from_what_ends();
    for n in 0..60 {
        world.say(0, group, &format!("{n} passes"));
        world.pass(Duration::from_secs(1));
    }
    read(&mut world, 1, chat, None);
    world.pass(2 * HOUR);
    world.command(0, Command::SetTimer(chat, None)).unwrap();
    world.say(1, group, "after");
    world.say(0, group, "after all");
    world.say(2, group, "alone");
    world.pass(MINUTE);

    world.connect(1, 2);
    world.pass(3 * HOUR);
    assert_eq!(world.shunned, [], "the reader did nothing wrong");
    for at in 1..3 {
        assert_eq!(world.texts(at, group).len(), 4, "{at}");
        assert_eq!(world.texts(at, group), world.texts(1, group));
    }
    // Its author has kept them for who had none of them, hidden: they come, and end once they are read.
    assert!(holds(&world, 0, "59 passes"));
    world.connect(0, 2);
    world.pass(HOUR);
    assert_eq!(world.shunned, []);
    assert_eq!(world.texts(2, group).len(), 64);
    let unread = world.row::<rows::ChatRow>(2, &rows::ChatRow::key(chat)).unwrap().unread;
    assert_eq!(unread, 63, "all but its own");
    for other in 1..3 {
        assert_eq!(world.confirmed(0, other, chat).0, 62, "{other} has every number that was meant for it");
    }
    assert_eq!(unseen(&world, 2, chat), 0, "all came");
    read(&mut world, 2, chat, None);
    world.say(0, group, "in the end");
    world.pass(3 * HOUR);
    let shown = world.texts(0, group);
    assert!(shown.len() == 5 && !shown.iter().any(|text| text.ends_with("passes")), "{shown:?}");
    for at in 0..3 {
        assert_eq!(world.texts(at, group), shown, "{at}");
        assert!(!holds(&world, at, "passes"));
    }
}

#[test]
fn of_what_nobody_has_any_more_the_places_are_taken_and_told() {
    let (mut world, group, chat) = away_from_what_ends();
    (0..3).for_each(|n| world.say(0, group, &format!("{n} passes")));
    world.command(0, Command::SetTimer(chat, None)).unwrap();
    world.pass(MINUTE);
    read(&mut world, 1, chat, None);
    world.part(0, 1);
    world.pass(30 * 24 * HOUR);
    world.connect(0, 1);
    assert!(!holds(&world, 0, "passes"), "nobody is waited for so long");
    world.say(1, group, "after");
    world.pass(MINUTE);
    world.connect(1, 2);
    world.pass(HOUR);
    assert!(unseen(&world, 2, chat) > 0, "the author is still to be asked");
    world.connect(0, 2);
    world.pass(3 * HOUR);
    assert_eq!(unseen(&world, 2, chat), 0, "all were asked who can be");
    assert_eq!(world.shunned, []);
    for at in 0..3 {
        assert_eq!(world.texts(at, group), ["before", "after"], "{at}");
    }
    assert_eq!(world.confirmed(0, 2, chat).0, 4, "it waits for none of them");
    let unread = world.row::<rows::ChatRow>(2, &rows::ChatRow::key(chat)).unwrap().unread;
    assert_eq!(unread, 2, "what ended is not counted");
}

/// How many bodies a node looks for.
fn unseen(world: &World, at: usize, chat: ChatId) -> usize {
    let scope = rows::UnseenRow::scope(chat);
    world.nodes[at].shelf.scan(Table::Waiting, &scope, None, Direction::Forward, 999).unwrap().len()
}

/// The last thing that one said in a group, as it travels.
fn last_event(world: &World, at: usize, chat: ChatId) -> GroupEvent {
    let row: rows::ChatRow = world.row(at, &rows::ChatRow::key(chat)).unwrap();
    let rows::RawRow(bytes) = world.row(at, &rows::RawRow::key(row.previous.unwrap())).unwrap();
    GroupEvent::parse(&bytes).unwrap()
}

/// One offers an event to another and then gives a stub in its place.
fn give_stub(world: &mut World, from: usize, to: usize, chat: ChatId, stub: &Stub) {
    let news = Range { lower: [1; 40], told: Told::News(vec![stub.id()]) };
    let offer = Record::Compare(chat, 1, Ranges::made_up(vec![news]).to_bytes());
    let given = Given { stubs: vec![stub.to_bytes().into()], last: true, ..Given::nothing(chat) };
    world.lie_at_once(from, to, &[offer, Record::Given(given)]);
}

#[test]
fn no_member_makes_a_message_of_another_disappear_by_its_stub() {
    let mut world = World::new(4);
    let group = world.group();
    let chat = ChatId::from(group);
    world.pass(MINUTE);
    world.part_all(0);
    world.say(0, group, "it lasts");
    let stub = last_event(&world, 0, chat).stub().clone();
    let before = world.confirmed(0, 3, chat);
    give_stub(&mut world, 1, 3, chat, &stub);
    let row: rows::EventRow = world.row(3, &rows::EventRow::key(stub.id())).expect("it has its place");
    assert!(row.is_unseen() && world.texts(3, group).is_empty());
    // Who has it gives it, and it is shown once, where it stands for the others.
    world.say(3, group, "after");
    world.pass(MINUTE);
    world.part_all(3);
    world.connect(0, 3);
    assert_eq!(world.confirmed(0, 3, chat), before, "not delivered by the word of another");
    world.pass(5 * MINUTE);
    assert_eq!(world.texts(3, group), ["it lasts", "after"]);
    assert_eq!((unseen(&world, 3, chat), world.shunned.len()), (0, 0));
    assert_eq!(world.confirmed(0, 3, chat).0, before.0 + 1);
    let unread = world.row::<rows::ChatRow>(3, &rows::ChatRow::key(chat)).unwrap().unread;
    assert_eq!(unread, 1);
    assert_eq!(world.texts(0, group), world.texts(3, group));
}

#[test]
fn a_stub_that_is_forged_or_not_for_this_member_takes_no_place() {
    let mut world = World::new(4);
    let group = world.group_with(&[1]);
    let chat = ChatId::from(group);
    world.say(0, group, "before the newcomer");
    let not_for_it = last_event(&world, 0, chat).stub().clone();
    world.invite(group, 2);
    world.pass(MINUTE);
    let other = world.group_with(&[2]);
    world.part_all(2);
    world.say(0, other, "elsewhere");
    let of_other = last_event(&world, 0, other.into()).stub().clone();
    world.say(0, group, "here");
    let here = last_event(&world, 0, chat);
    world.connect(1, 2);
    let mut bytes = here.stub().to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let unsigned = Stub::parse(&bytes).unwrap();
    // By one who is no member, under the group's own heads.
    let own: rows::OwnRow = world.row(3, &rows::OwnRow::key()).unwrap();
    let keys: DeviceKeys = crate::protocol::wire::decode(&own.keys, "keys").unwrap();
    let draft = Draft { group, heads: here.heads.clone(), no: 1, previous: None, deps: vec![], clock: here.clock };
    let mut chain = SenderChain::new(here.heads.clone(), world.now, &mut ChaCha20Rng::seed_from_u64(9));
    let content = Content::text("let me in", None).unwrap();
    let by_stranger = chain.seal(draft, &content, &keys.device).unwrap().stub().clone();

    for stub in [&not_for_it, &of_other, &unsigned, &by_stranger] {
        give_stub(&mut world, 1, 2, chat, stub);
        assert!(world.row::<rows::EventRow>(2, &rows::EventRow::key(stub.id())).is_none(), "{stub:?}");
    }
    // Not asked for, and too many.
    let given = Given { stubs: vec![here.stub().to_bytes().into()], last: true, ..Given::nothing(chat) };
    world.lie(1, 2, &Record::Given(given.clone()));
    let many = Given { stubs: vec![given.stubs[0].clone(); MAX_STUBS_TOLD + 1], ..given };
    let news = Range { lower: [1; 40], told: Told::News(vec![here.id()]) };
    let offer = Record::Compare(chat, 1, Ranges::made_up(vec![news]).to_bytes());
    world.lie_at_once(1, 2, &[offer, Record::Given(many)]);
    assert!(world.row::<rows::EventRow>(2, &rows::EventRow::key(here.id())).is_none());
    assert_eq!(unseen(&world, 2, chat), 0);
    // The same in its right form is one.
    world.pass(MINUTE);
    give_stub(&mut world, 1, 2, chat, here.stub());
    assert!(world.row::<rows::EventRow>(2, &rows::EventRow::key(here.id())).is_some());
}

#[test]
fn a_timer_out_of_range_is_refused() {
    let mut world = World::new(2);
    let chat = ChatId::direct(world.account(0), world.account(1));
    for timer in [Duration::ZERO, Duration::from_secs(4), Duration::from_secs(400 * 86_400)] {
        assert!(matches!(world.command(0, Command::SetTimer(chat, Some(timer))), Err(Refusal::BadTimer { .. })));
    }
    assert_eq!(world.command(0, Command::SetTimer(ChatId([7; 32]), None)), Err(Refusal::NoSuchChat));
}

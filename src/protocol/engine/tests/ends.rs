//! Messages that do not last.

use super::*;
use crate::protocol::ids::EventId;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn say(world: &mut World, at: usize, chat: ChatId, text: &str) {
    world.command(at, Command::Send { chat, text: text.into(), reply_to: None }).unwrap();
}

fn read(world: &mut World, at: usize, chat: ChatId, up_to: Option<EventId>) {
    world.command(at, Command::MarkRead { chat, up_to }).unwrap();
}

/// Whether any row of a device holds these bytes.
fn holds(world: &World, at: usize, text: &str) -> bool {
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
fn a_message_that_is_over_before_it_was_delivered_is_delivered_first() {
    let mut world = World::new(2);
    let chat = ChatId::direct(world.account(0), world.account(1));
    world.command(0, Command::SetTimer(chat, Some(10 * MINUTE))).unwrap();
    world.part(0, 1);
    say(&mut world, 0, chat, "planted late");
    world.pass(5 * HOUR);
    world.connect(0, 1);
    world.pass(2 * HOUR);
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

#[test]
fn a_timer_out_of_range_is_refused() {
    let mut world = World::new(2);
    let chat = ChatId::direct(world.account(0), world.account(1));
    for timer in [Duration::ZERO, Duration::from_secs(4), Duration::from_secs(400 * 86_400)] {
        assert!(matches!(world.command(0, Command::SetTimer(chat, Some(timer))), Err(Refusal::BadTimer { .. })));
    }
    assert_eq!(world.command(0, Command::SetTimer(ChatId([7; 32]), None)), Err(Refusal::NoSuchChat));
}

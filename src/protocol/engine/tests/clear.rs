//! Chats whose messages are taken off a device.

use super::{ends::holds, *};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn clear(world: &mut World, at: usize, chat: ChatId) -> bool {
    match world.command(at, Command::Clear(chat)) {
        Ok(Reply::Cleared { ended }) => ended,
        other => panic!("{other:?}"),
    }
}

fn events(world: &World, at: usize, chat: ChatId) -> Vec<rows::EventRow> {
    let events: Vec<rows::EventRow> = rows::all(&world.nodes[at].shelf, b"").unwrap();
    events.into_iter().filter(|event| event.chat == chat).collect()
}

fn index_rows(world: &World, at: usize) -> usize {
    let tables = [Table::Segment, Table::Postings];
    world.nodes[at].shelf.0.keys().filter(|key| tables.contains(&key.table)).count()
}

fn unread(world: &World, at: usize, chat: ChatId) -> u64 {
    world.row::<rows::ChatRow>(at, &rows::ChatRow::key(chat)).unwrap().unread
}

#[test]
fn what_is_cleared_is_gone_here_stays_there_and_does_not_come_back() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.tell(0, 1, "planted by the first");
    world.tell(1, 0, "planted by the second");
    world.command(0, Command::SetTimer(chat, Some(HOUR))).unwrap();
    world.tell(0, 1, "planted for an hour");
    world.command(0, Command::SetTimer(chat, None)).unwrap();
    world.pass(MINUTE);
    assert_eq!((world.texts_of(1, chat).len(), unread(&world, 1, chat)), (3, 2));
    assert!(holds(&world, 1, "planted"), "the probe finds what is there");

    assert!(clear(&mut world, 1, chat));
    assert_eq!(world.texts_of(1, chat), [""; 0]);
    assert_eq!(unread(&world, 1, chat), 0);
    assert!(!holds(&world, 1, "planted"));
    assert!(events(&world, 1, chat).iter().all(rows::EventRow::is_erased));
    // They meet anew, and compare: nothing comes back, and nothing was told of as read.
    world.part(0, 1);
    world.connect(0, 1);
    world.pass(HOUR);
    world.restart(1);
    world.pass(HOUR);
    assert_eq!(world.texts_of(1, chat), [""; 0]);
    assert_eq!(world.texts_of(0, chat).len(), 2, "what has no timer stays there");
    assert_eq!(world.confirmed(0, 1, chat).1, 0);
    world.tell(0, 1, "new");
    world.tell(1, 0, "and back");
    world.pass(MINUTE);
    assert_eq!(world.texts_of(1, chat), ["new", "and back"]);
    assert_eq!(world.texts_of(0, chat)[2..], ["new", "and back"]);
    assert_eq!(unread(&world, 1, chat), 1);
    assert!(world.shunned.is_empty());
}

#[test]
fn a_damaged_line_goes_with_the_others() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    for n in 0..100 {
        world.tell(0, 1, &format!("planted {n}"));
    }
    world.pass(MINUTE);
    let place = events(&world, 1, chat)[50].place.clone();
    world.damage(1, rows::TimelineRow::key(chat, &place));
    assert_eq!(unread(&world, 1, chat), 100);
    world.command(1, Command::MarkRead { chat, up_to: None }).unwrap();
    assert_eq!(unread(&world, 1, chat), 0);
    clear(&mut world, 1, chat);
    world.pass(MINUTE);
    assert!(world.row::<rows::ClearRow>(1, &rows::ClearRow::key(chat)).is_none(), "it came to its end");
    assert_eq!((world.texts_of(1, chat), holds(&world, 1, "planted")), (vec![], false));
}

#[test]
fn what_comes_late_while_a_chat_is_cleared_stays() {
    let mut world = World::new(3);
    let group = world.group();
    let chat = ChatId::from(group);
    world.pass(MINUTE);
    world.part_all(2);
    world.say(2, group, "said alone, early");
    world.pass(HOUR);
    for n in 0..200 {
        world.say(0, group, &format!("planted {n}"));
    }
    world.pass(MINUTE);
    // Neither the clock nor the place tells what was meant: it was set back after the last of these came.
    world.now = Millis(world.now.0 - 1_000);
    assert!(!clear(&mut world, 1, chat), "it is too long for one page");
    world.connect(1, 2);
    assert!(world.row::<rows::ClearRow>(1, &rows::ClearRow::key(chat)).is_some());
    world.pass(MINUTE);
    assert_eq!(world.texts(1, group), ["said alone, early"]);
    assert_eq!((unread(&world, 1, chat), holds(&world, 1, "planted")), (1, false));
    assert!(rows::all::<rows::SparedRow>(&world.nodes[1].shelf, rows::SparedRow::scope(chat)).unwrap().is_empty());
}

#[test]
fn a_long_chat_is_cleared_page_by_page_through_restarts_and_is_searched_as_before() {
    const SAID: usize = 300;
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    for n in 0..SAID {
        world.tell(0, 1, &format!("planted {n}"));
    }
    world.pass(MINUTE);
    world.command(1, Command::Index(chat)).unwrap();
    world.pass(MINUTE);
    assert!(index_rows(&world, 1) > 0);

    assert!(!clear(&mut world, 1, chat), "it is too long for one page");
    world.restart_alone(1);
    world.connect(0, 1);
    world.tell(0, 1, "said meanwhile");
    world.pass(MINUTE);
    assert_eq!(world.texts_of(1, chat), ["said meanwhile"]);
    assert!(!holds(&world, 1, "planted"));
    assert_eq!(index_rows(&world, 1), 0, "the index knows nothing of it");
    assert!(clear(&mut world, 1, chat), "again is no error");
    assert_eq!(world.texts_of(1, chat), [""; 0]);
    for n in 0..20 {
        world.tell(0, 1, &format!("needle {n}"));
    }
    world.command(1, Command::Index(chat)).unwrap();
    world.pass(MINUTE);
    let needle = crate::protocol::search::Needle::new("needle 7").unwrap();
    let most = crate::protocol::engine::find::Most { messages: 9, bytes: 9_999 };
    let found = crate::protocol::engine::find::find(&world.nodes[1].shelf, chat, &needle, None, most).unwrap();
    assert_eq!(found.messages.len(), 1);
    assert_eq!(world.texts_of(0, chat).len(), SAID + 21);
}

#[test]
fn what_nobody_has_yet_is_hidden_and_goes_out_and_is_erased_after_that() {
    let mut world = World::new(3);
    let group = world.group();
    let chats = [world.direct(0, 1), ChatId::from(group)];
    world.pass(MINUTE);
    world.part(0, 1);
    world.part(0, 2);
    world.part(1, 2);
    world.tell(0, 1, "planted for one");
    world.say(0, group, "planted for all");
    for chat in chats {
        clear(&mut world, 0, chat);
    }
    let is_hidden = |world: &World| {
        let all = chats.iter().flat_map(|chat| events(world, 0, *chat)).collect::<Vec<_>>();
        let has = |event: &rows::EventRow| event.content.windows(7).any(|part| part == b"planted");
        !all.iter().filter(|event| !event.is_over(world.now)).any(has)
    };
    assert!(is_hidden(&world), "at once");
    assert!(holds(&world, 0, "planted"), "they are still to go out");
    for _ in 0..8 {
        world.pass(15 * MINUTE);
        assert!(is_hidden(&world), "and for as long as they wait");
    }
    world.restart_alone(0);
    world.connect(0, 1);
    world.pass(MINUTE);
    assert_eq!(world.texts_of(1, chats[0]), ["planted for one"]);
    assert!(!holds(&world, 0, "planted for one"), "erased once it is there");
    assert_eq!(world.texts(1, group), ["planted for all"]);
    assert!(holds(&world, 0, "planted for all"), "one member is still to have it");
    world.part(0, 1);
    world.connect(0, 2);
    world.pass(3 * HOUR);
    assert_eq!(world.texts(2, group), ["planted for all"]);
    assert!(!holds(&world, 0, "planted"));
    assert!(world.shunned.is_empty());
}

//! An older copy of a store, put back under the keys of now: what was said since is in others' hands alone.

use super::{Shelf, World, anew::start_anew, group_mailbox, mailbox};
use crate::protocol::{
    crypto::start::intro_tag,
    engine::{
        Command, Input, Refusal, Reply,
        rows::{
            self, AuthorRow, ChatRow, ContactRow, ContactState, EventRow, GroupRow, Meant, MemberRow, RawRow,
            ReceiptRow, Row, SessionRow, Side, TagRow,
        },
    },
    group::GroupEvent,
    ids::{ChatId, DeviceId, EventId, OpId},
    view::{Direction, Table, View, Write},
    wire::encode,
};
use mailbox::{MAILBOX, READER, SENDER, seconds};

/// The device goes on with what it had then, without what only the keys of then opened.
fn put_back(world: &mut World, at: usize, copy: Shelf) {
    world.nodes[at].shelf = copy;
    start_anew(world, at);
}

/// The device goes on with what it had then, keys and all.
fn copied_home(world: &mut World, at: usize, copy: Shelf) {
    world.nodes[at].shelf = copy;
    world.restart_alone(at);
}

/// What somebody's own messages in a chat are numbered, the oldest first.
fn numbers(world: &World, at: usize, chat: ChatId) -> Vec<u64> {
    let scope = AuthorRow::scope(chat, world.device(at));
    let rows = world.nodes[at].shelf.scan(AuthorRow::TABLE, &scope, None, Direction::Forward, 999).unwrap();
    rows.iter().map(|(place, _)| AuthorRow::number(place).unwrap()).collect()
}

/// Whether one believes that another has what it said.
fn is_confirmed(world: &World, at: usize, by: usize, id: EventId) -> bool {
    let event: EventRow = world.row(at, &EventRow::key(id)).unwrap();
    let receipt: Option<ReceiptRow> = world.row(at, &ReceiptRow::key(event.chat, Side::Theirs, world.device(by)));
    receipt.is_some_and(|row| row.numbers().unwrap().contains(event.no))
}

fn has(world: &World, at: usize, id: EventId) -> bool {
    world.row::<EventRow>(at, &EventRow::key(id)).is_some()
}

fn last_of(world: &World, at: usize, chat: ChatId) -> EventId {
    AuthorRow::within(&world.nodes[at].shelf, (chat, world.device(at)), (1, u64::MAX), 1).unwrap()[0].1
}

/// A world in which the sender said five messages, made a copy of its store, and said two more; all were confirmed.
fn seven_said() -> (World, ChatId, Shelf) {
    let mut world = mailbox::world();
    let chat = world.direct(SENDER, READER);
    (1..=5).for_each(|no| world.tell(SENDER, READER, &format!("old {no}")));
    world.pass(seconds(120));
    let copy = world.nodes[SENDER].shelf.clone();
    (6..=7).for_each(|no| world.tell(SENDER, READER, &format!("old {no}")));
    world.pass(seconds(120));
    assert_eq!(world.texts_of(READER, chat).len(), 7);
    assert!(is_confirmed(&world, SENDER, READER, last_of(&world, SENDER, chat)));
    (world, chat, copy)
}

#[test]
fn what_is_said_after_it_is_not_confirmed_by_receipts_for_what_was_said_before() {
    let (mut world, chat, copy) = seven_said();
    world.part(READER, MAILBOX);
    put_back(&mut world, SENDER, copy);
    // A session begins by mail, and all that was confirmed in the one before is told in it.
    for _ in 0..2 {
        world.connect(SENDER, MAILBOX);
        world.pass(seconds(120));
        world.part(SENDER, MAILBOX);
        world.connect(READER, MAILBOX);
        world.command(READER, Command::MarkRead { chat, up_to: None }).unwrap();
        world.pass(seconds(600));
        world.part(READER, MAILBOX);
    }
    world.tell(SENDER, READER, "new");
    let new = last_of(&world, SENDER, chat);
    world.connect(SENDER, MAILBOX);
    world.pass(seconds(600));
    assert!(!is_confirmed(&world, SENDER, READER, new), "nobody has it yet");
    world.part(SENDER, MAILBOX);
    world.connect(READER, MAILBOX);
    world.pass(seconds(600));
    assert!(has(&world, READER, new));
    assert_eq!(world.texts_of(READER, chat).len(), 8);
    world.part(READER, MAILBOX);
    world.connect(SENDER, MAILBOX);
    world.pass(seconds(600));
    assert!(is_confirmed(&world, SENDER, READER, new) && world.outbox(SENDER, READER) == 0);
}

#[test]
fn the_copy_may_be_put_back_again_and_again() {
    let (mut world, chat, copy) = seven_said();
    let mut given = Vec::new();
    for round in 0..3 {
        put_back(&mut world, SENDER, copy.clone());
        world.tell(SENDER, READER, &format!("new {round}"));
        given.extend(numbers(&world, SENDER, chat).into_iter().filter(|no| *no > 5));
    }
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 3);
    assert!(given[0] > 7, "{given:?}");
}

#[test]
fn a_contact_that_came_after_the_copy_is_not_told_old_numbers_either() {
    let mut world = World::strangers(2);
    world.connect(0, 1);
    let copy = world.nodes[0].shelf.clone();
    world.meet(0, 1);
    world.tell(0, 1, "one");
    let chat = world.direct(0, 1);
    put_back(&mut world, 0, copy);
    world.connect(0, 1);
    world.meet(1, 0);
    world.pass(seconds(1));
    world.tell(0, 1, "two");
    assert!(numbers(&world, 0, chat)[0] > 1);
    world.pass(seconds(120));
    assert_eq!(world.texts_of(1, chat), ["one", "two"]);
    assert!(is_confirmed(&world, 0, 1, last_of(&world, 0, chat)));
}

#[test]
fn a_member_goes_on_past_what_it_said_before() {
    let mut world = World::new(3);
    let group = world.group();
    let chat = ChatId::from(group);
    (1..=5).for_each(|no| world.say(1, group, &format!("old {no}")));
    world.pass(seconds(120));
    let copy = world.nodes[1].shelf.clone();
    (6..=7).for_each(|no| world.say(1, group, &format!("old {no}")));
    world.pass(seconds(120));
    put_back(&mut world, 1, copy);
    world.say(1, group, "new");
    let new = last_of(&world, 1, chat);
    // Of whom it meets it learns what was said before, and of whom it does not meet no less than is so.
    world.connect(1, 0);
    world.pass(seconds(600));
    for other in [0, 2] {
        assert!(!is_confirmed(&world, 1, other, new) || has(&world, other, new), "{other}");
    }
    world.connect(1, 2);
    world.pass(seconds(900));
    for at in 0..3 {
        assert_eq!(world.texts(at, group).len(), 8, "{at}: {:?}", world.texts(at, group));
        assert_eq!(world.texts(at, group), world.texts(0, group));
    }
    assert!([0, 2].into_iter().all(|other| is_confirmed(&world, 1, other, new)));
}

#[test]
fn who_joins_then_is_meant_by_what_is_said_from_then_on() {
    let mut world = World::new(4);
    let group = world.group_with(&[1, 2]);
    let chat = ChatId::from(group);
    (1..=3).for_each(|no| world.say(1, group, &format!("old {no}")));
    world.pass(seconds(120));
    let copy = world.nodes[1].shelf.clone();
    world.say(1, group, "old 4");
    world.pass(seconds(120));
    put_back(&mut world, 1, copy);
    world.say(1, group, "alone");
    let alone = last_of(&world, 1, chat);
    world.invite(group, 3);
    world.pass(seconds(120));
    (0..4).filter(|at| *at != 1).for_each(|at| world.connect(1, at));
    world.pass(seconds(900));
    world.say(1, group, "for all");
    world.pass(seconds(600));
    let number = |id| world.row::<EventRow>(1, &EventRow::key(id)).unwrap().no;
    let newcomer = world.member(1, group, 3);
    let is_meant = |id| newcomer.meant.has(world.device(1), number(id));
    assert!(!is_meant(alone) && is_meant(last_of(&world, 1, chat)));
    assert_eq!(numbers(&world, 1, chat).len(), 7, "its name and what it said, with what came back");
}

#[test]
fn an_old_copy_of_the_whole_home_goes_on_past_what_others_confirm() {
    let (mut world, chat, copy) = seven_said();
    copied_home(&mut world, SENDER, copy);
    world.connect(SENDER, READER);
    world.pass(seconds(600));
    world.tell(SENDER, READER, "new");
    assert!(numbers(&world, SENDER, chat).last() > Some(&7));
    world.pass(seconds(120));
    assert_eq!(world.texts_of(READER, chat).len(), 8);
}

#[test]
fn a_copy_of_the_whole_home_that_is_noticed_seals_nothing_under_keys_of_then() {
    let mut world = World::new(2);
    let group = world.group();
    world.say(1, group, "one");
    world.tell(1, 0, "one");
    world.pass(seconds(60));
    let copy = world.nodes[1].shelf.clone();
    world.say(1, group, "two");
    world.tell(1, 0, "two");
    world.pass(seconds(60));
    let sessions = |world: &World| rows::all::<SessionRow>(&world.nodes[1].shelf, b"").unwrap().len();
    assert!(sessions(&world) > 0);
    world.nodes[1].shelf = copy;
    world.restart_alone(1);
    world.input(1, Input::RolledBack);
    assert_eq!(sessions(&world), 0);
    world.say(1, group, "three");
    world.connect(0, 1);
    world.pass(seconds(120));
    let said = AuthorRow::within(&world.nodes[0].shelf, (group.into(), world.device(1)), (1, u64::MAX), 9).unwrap();
    let chain = |(_, id): &(u64, EventId)| {
        let RawRow(bytes) = world.row(0, &RawRow::key(*id)).unwrap();
        GroupEvent::parse(&bytes).unwrap().chain
    };
    let (new, old) = said.split_first().unwrap();
    assert!(old.len() >= 2 && old.iter().all(|said| chain(said) != chain(new)));
    for at in [0, 1] {
        assert_eq!(world.texts(at, group), ["one", "two", "three"]);
    }
}

#[test]
fn who_joins_is_not_meant_by_what_was_said_before_the_copy_was_put_back() {
    let mut world = World::new(4);
    let group = world.group_with(&[1, 2]);
    let chat = ChatId::from(group);
    world.pass(seconds(120));
    let copy = world.nodes[1].shelf.clone();
    world.say(1, group, "old");
    let old = last_of(&world, 1, chat);
    world.pass(seconds(120));
    put_back(&mut world, 1, copy);
    world.invite(group, 3);
    world.pass(seconds(120));
    (0..4).filter(|at| *at != 1).for_each(|at| world.connect(1, at));
    world.pass(seconds(900));
    let old: EventRow = world.row(1, &EventRow::key(old)).unwrap();
    assert!(!world.member(1, group, 3).meant.has(world.device(1), old.no));
}

#[test]
fn an_old_copy_of_the_whole_home_goes_on_past_what_comes_back_to_a_group() {
    let mut world = World::new(2);
    let group = world.group();
    let chat = ChatId::from(group);
    world.say(1, group, "old 1");
    world.pass(seconds(120));
    let copy = world.nodes[1].shelf.clone();
    (2..=4).for_each(|no| world.say(1, group, &format!("old {no}")));
    world.pass(seconds(120));
    let before = numbers(&world, 1, chat);
    copied_home(&mut world, 1, copy);
    world.connect(1, 0);
    world.pass(seconds(900));
    world.say(1, group, "new");
    world.pass(seconds(300));
    let now = numbers(&world, 1, chat);
    assert!(now.len() == before.len() + 1 && now.last() > before.last(), "{before:?}, {now:?}");
    assert_eq!(world.texts(1, group), ["old 1", "old 2", "old 3", "old 4", "new"]);
    assert_eq!(world.texts(0, group), world.texts(1, group));
}

#[test]
fn the_log_of_a_mailbox_that_was_put_back_is_read_on() {
    [put_back, copied_home].into_iter().for_each(read_on_after);
}

fn read_on_after(put_back: fn(&mut World, usize, Shelf)) {
    let (mut world, group) = group_mailbox::world();
    let (author, reader) = (0, 1);
    world.part(author, reader);
    world.say(author, group, "one");
    world.pass(seconds(60));
    let copy = world.nodes[MAILBOX].shelf.clone();
    ["two", "three"].iter().for_each(|text| world.say(author, group, text));
    world.pass(seconds(60));
    assert_eq!(world.texts(reader, group), ["one", "two", "three"]);
    put_back(&mut world, MAILBOX, copy);
    world.connect(author, MAILBOX);
    world.say(author, group, "four");
    world.pass(seconds(120));
    world.part(author, MAILBOX);
    world.connect(reader, MAILBOX);
    world.pass(seconds(60));
    assert_eq!(world.texts(reader, group), ["one", "two", "three", "four"]);
}

#[test]
fn what_a_device_wrote_is_found_between_numbers_that_were_left_out() {
    let mut world = World::strangers(1);
    let (chat, device) = (ChatId([1; 32]), DeviceId([2; 32]));
    let far = 1 << 40;
    let written: Vec<u64> = (1..=300).chain(far..far + 400).collect();
    for no in &written {
        let key = AuthorRow::key(chat, device, *no);
        world.nodes[0].shelf.take(Write::Put(key, encode(&AuthorRow(EventId([0; 32])))));
    }
    let found = |range: (u64, u64), most| -> Vec<u64> {
        let found = AuthorRow::within(&world.nodes[0].shelf, (chat, device), range, most).unwrap();
        found.into_iter().map(|(no, _)| no).rev().collect()
    };
    assert_eq!(found((1, u64::MAX), usize::MAX), written);
    assert_eq!(found((200, far + 5), 40), [(267..=300).collect::<Vec<_>>(), (far..=far + 5).collect()].concat());
    assert!(found((301, far - 1), usize::MAX).is_empty());
    assert_eq!(found((1, 3), usize::MAX), [1, 2, 3]);
    assert_eq!(found((far + 399, u64::MAX), 1), [far + 399]);
    assert!(found((5, 4), usize::MAX).is_empty());
}

/// What is left of a copy where something was erased since: the keys of its cells are gone.
fn without_cells(mut copy: Shelf) -> Shelf {
    copy.0.retain(|key, _| !Table::IN_CELLS.contains(&key.table));
    copy
}

#[test]
fn what_cannot_be_read_in_the_copy_comes_again_from_those_who_have_it() {
    let mut world = World::new(2);
    let group = world.group();
    let chat = world.direct(0, 1);
    for no in 1..=3 {
        world.tell(1, 0, &format!("to it {no}"));
        world.tell(0, 1, &format!("from it {no}"));
        world.say(0, group, &format!("own {no}"));
        world.say(1, group, &format!("others' {no}"));
    }
    world.pass(seconds(120));
    let said = world.texts(1, group);
    let copy = without_cells(world.nodes[0].shelf.clone());
    put_back(&mut world, 0, copy);
    world.connect(0, 1);
    world.pass(seconds(900));
    assert_eq!(world.texts(0, group), said);
    let unread = |world: &World, chat| world.row::<ChatRow>(0, &ChatRow::key(chat)).unwrap().unread;
    assert_eq!((unread(&world, ChatId::from(group)), unread(&world, chat)), (3, 3), "counted once");
    let received: Vec<String> = (1..=3).map(|no| format!("to it {no}")).collect();
    assert_eq!(world.texts_of(0, chat), received, "its own of a chat of two nobody can give");
    let (author, ours) = (world.device(0), numbers(&world, 0, chat));
    let given_up = world.command(0, Command::GiveUp { chat, author, no: ours[0] });
    assert!(matches!(given_up, Ok(Reply::Withdrawn { withdrawn: 1, under_way: 1, .. })));
    assert_eq!(numbers(&world, 0, chat), ours[1..]);
    let here = numbers(&world, 0, ChatId::from(group))[1];
    let refused = world.command(0, Command::GiveUp { chat: ChatId::from(group), author, no: here });
    assert!(matches!(refused, Err(Refusal::NoSuchMessage)), "it can be read");
    world.tell(0, 1, "new");
    world.tell(1, 0, "and new");
    world.pass(seconds(120));
    assert_eq!(world.texts_of(1, chat).len(), 8);
    assert_eq!(world.texts_of(0, chat).len(), 5);
    assert_eq!((world.outbox(0, 1), world.outbox(1, 0)), (0, 0));
}

#[test]
fn what_comes_back_is_meant_for_those_whom_it_knows() {
    let mut world = World::new(5);
    let group = world.group_with(&[1, 2]);
    let chat = ChatId::from(group);
    world.pass(seconds(120));
    let copy = world.nodes[1].shelf.clone();
    let say = |world: &mut World, text: &str| {
        world.say(1, group, text);
        world.pass(seconds(120));
        last_of(world, 1, chat)
    };
    let before = say(&mut world, "before");
    world.invite(group, 3);
    world.pass(seconds(120));
    let after = [say(&mut world, "after"), say(&mut world, "after that")];
    put_back(&mut world, 1, copy);
    let alone = say(&mut world, "alone");
    (0..4).filter(|at| *at != 1).for_each(|at| world.connect(1, at));
    world.pass(seconds(900));
    let late = say(&mut world, "for all");
    let are_meant = |world: &World| {
        [before, after[0], after[1], alone, late].map(|id| {
            let row: EventRow = world.row(1, &EventRow::key(id)).expect("it came back");
            world.member(1, group, 3).meant.has(world.device(1), row.no)
        })
    };
    assert_eq!(are_meant(&world), [false, true, true, false, true]);
    // The same where all is looked at anew.
    let newcomer = MemberRow { meant: Meant::default(), ..world.member(1, group, 3) };
    world.nodes[1].shelf.take(Write::Put(MemberRow::key(group, newcomer.account), encode(&newcomer)));
    world.command(0, Command::RenameGroup(group, "anew".into())).unwrap();
    world.pass(seconds(120));
    assert_eq!(are_meant(&world), [false, true, true, false, true]);
    assert!([after[0], after[1], late].iter().all(|id| has(&world, 3, *id) && is_confirmed(&world, 1, 3, *id)));
}

/// A member that left and came back, and whose store was put back to before, or after, it left: it says something at once.
fn put_back_over_a_leave(has_left: bool) -> (World, OpId) {
    let mut world = World::new(3);
    let group = world.group();
    world.say(2, group, "before");
    world.pass(seconds(120));
    let mut copy = world.nodes[2].shelf.clone();
    world.command(2, Command::LeaveGroup(group)).unwrap();
    world.pass(seconds(120));
    if has_left {
        copy = world.nodes[2].shelf.clone();
    }
    world.invite(group, 2);
    world.command(2, Command::AcceptGroup(group)).unwrap();
    world.pass(seconds(120));
    world.say(2, group, "again");
    world.pass(seconds(120));
    put_back(&mut world, 2, copy);
    (world, group)
}

#[test]
fn who_is_put_back_to_before_it_left_and_came_back_is_heard() {
    let (mut world, group) = put_back_over_a_leave(false);
    world.say(2, group, "at once");
    [0, 1].into_iter().for_each(|at| world.connect(2, at));
    world.pass(seconds(900));
    for at in [0, 1] {
        assert_eq!(world.texts(at, group).iter().filter(|text| *text == "at once").count(), 1);
    }
    assert!(world.texts(2, group).contains(&"again".into()));
}

#[test]
fn who_is_put_back_to_when_it_was_no_member_is_asked_in_again() {
    let (mut world, group) = put_back_over_a_leave(true);
    let asked = |world: &World| {
        let row = |at| world.row::<GroupRow>(at, &GroupRow::key(group)).unwrap();
        [0, 1].map(|at| row(at).asked_again).concat()
    };
    [0, 1].into_iter().for_each(|at| world.connect(2, at));
    world.pass(seconds(900));
    assert_eq!(asked(&world), [world.account(2)], "by the first who met it");
    world.command(2, Command::AcceptGroup(group)).unwrap();
    world.pass(seconds(900));
    world.say(0, group, "later");
    world.pass(seconds(120));
    assert_eq!(world.texts(2, group), ["before", "again", "later"]);
    assert_eq!(asked(&world), []);
}

#[test]
fn what_cannot_be_read_is_marked_as_read_all_the_same() {
    let mut world = World::new(2);
    let group = world.group();
    world.say(1, group, "unread");
    world.pass(seconds(120));
    let copy = without_cells(world.nodes[0].shelf.clone());
    put_back(&mut world, 0, copy);
    let marked = world.command(0, Command::MarkRead { chat: ChatId::from(group), up_to: None });
    assert!(marked.is_ok(), "{marked:?}");
    world.connect(0, 1);
    world.pass(seconds(900));
    assert_eq!(world.texts(0, group), ["unread"]);
}

#[test]
fn who_is_put_back_to_before_a_contact_came_back_as_another_device_hears_that_one() {
    // Whichever of the two devices is the lesser, which compares.
    for (count, restored, other) in [(2, 0, 1), (4, 1, 0)] {
        let mut world = World::new(count);
        let chat = world.direct(restored, other);
        world.tell(restored, other, "before");
        world.pass(seconds(120));
        let (copy, items) = (world.nodes[other].shelf.clone(), world.back_up(restored));
        let new = world.return_by(restored, &items);
        world.connect(new, other);
        world.tell(new, other, "here again");
        world.pass(seconds(120));
        copied_home(&mut world, other, copy);
        world.connect(new, other);
        world.pass(seconds(300));
        assert_eq!(world.texts_of(other, chat), ["before", "here again"]);
        world.tell(other, new, "are you there?");
        world.pass(seconds(300));
        for at in [other, new] {
            assert_eq!(world.texts_of(at, chat), ["before", "here again", "are you there?"]);
        }
    }
}

#[test]
fn who_was_removed_says_so_to_who_lost_that_it_did_it() {
    let mut world = World::new(2);
    let group = world.group();
    let copy = world.nodes[0].shelf.clone();
    let removed = world.account(1);
    world.command(0, Command::RemoveMember(group, removed)).unwrap();
    world.pass(seconds(120));
    assert!(!world.member(0, group, 1).current);
    put_back(&mut world, 0, copy);
    assert!(world.member(0, group, 1).current);
    world.connect(0, 1);
    world.pass(seconds(300));
    assert!(!world.member(0, group, 1).current);
}

#[test]
fn what_a_contact_lost_that_a_lost_device_had_said_is_said_again() {
    // The contact is put back to before that device was lost, or to after; whichever of the two is the lesser, which
    // compares.
    for (count, restored, other) in [(2, 0, 1), (4, 1, 0)] {
        for knows_new in [false, true] {
            let mut world = World::new(count);
            let chat = world.direct(restored, other);
            let mut copy = world.nodes[other].shelf.clone();
            (1..=5).for_each(|no| world.tell(restored, other, &format!("{no}")));
            world.pass(seconds(120));
            let items = world.back_up(restored);
            let new = world.return_by(restored, &items);
            if knows_new {
                // It had lost them before, and learnt of the new device.
                put_back(&mut world, other, copy);
                world.connect(new, other);
                world.pass(seconds(2));
                copy = world.nodes[other].shelf.clone();
            }
            world.connect(new, other);
            world.pass(seconds(300));
            copied_home(&mut world, other, copy);
            assert!(world.texts_of(other, chat).is_empty());
            world.connect(new, other);
            world.pass(seconds(300));
            assert_eq!(world.texts_of(other, chat), ["1", "2", "3", "4", "5"], "{count} {knows_new}");
            assert_eq!(world.outbox(new, other), 0);
        }
    }
}

/// One that was removed and came back by a link, with its store and its backup of before.
fn removed_and_added_again(removed: usize, other: usize) -> (World, Shelf, Vec<Vec<u8>>) {
    let mut world = World::new(2);
    world.tell(removed, other, "before");
    world.pass(seconds(120));
    let (copy, items) = (world.nodes[removed].shelf.clone(), world.back_up(removed));
    world.command(other, Command::Remove(world.account(removed))).unwrap();
    world.pass(seconds(10));
    world.meet(other, removed);
    world.pass(seconds(300));
    world.tell(other, removed, "again");
    world.pass(seconds(120));
    assert_eq!(world.texts_of(removed, world.direct(removed, other)), ["before", "again"]);
    (world, copy, items)
}

/// Both say something; what the one of then has in the end, the other having all.
fn both_go_on(world: &mut World, of_then: usize, other: usize) -> Vec<String> {
    let chat = world.direct(of_then, other);
    world.tell(of_then, other, "from then");
    world.pass(seconds(1));
    world.tell(other, of_then, "to then");
    world.connect(of_then, other);
    world.pass(seconds(600));
    assert_eq!(world.texts_of(other, chat), ["before", "again", "from then", "to then"]);
    assert_eq!((world.outbox(of_then, other), world.outbox(other, of_then)), (0, 0));
    world.texts_of(of_then, chat)
}

#[test]
fn who_is_put_back_to_before_it_was_removed_and_added_again_is_heard() {
    // Whichever of the two devices is the lesser, which compares.
    for (removed, other) in [(0, 1), (1, 0)] {
        for go_back in [put_back, copied_home] {
            let (mut world, copy, _) = removed_and_added_again(removed, other);
            go_back(&mut world, removed, copy);
            assert_eq!(both_go_on(&mut world, removed, other), ["before", "again", "from then", "to then"]);
        }
        let (mut world, _, items) = removed_and_added_again(removed, other);
        let new = world.return_by(removed, &items);
        // What the lost device had confirmed is for no other.
        assert_eq!(both_go_on(&mut world, new, other), ["before", "from then", "to then"]);
        assert!(world.contact(other, removed).new_device.is_some(), "it is told as any new device");
    }
}

#[test]
fn who_was_removed_stays_out_of_a_store_that_was_put_back() {
    let mut world = World::new(2);
    let intros = world.contact(0, 1).intros;
    world.command(0, Command::Remove(world.account(1))).unwrap();
    let copy = world.nodes[0].shelf.clone();
    put_back(&mut world, 0, copy);
    let contact = world.contact(0, 1);
    assert!(contact.state == ContactState::Removed && contact.intros.is_empty());
    for intro in &intros {
        let row: Option<TagRow> = world.row(0, &TagRow::key(intro_tag(intro).0));
        assert!(row.is_none_or(|row| row.intro.is_none()));
    }
    world.tell(1, 0, "to one who removed me");
    world.connect(0, 1);
    world.pass(seconds(600));
    assert!(world.texts_of(0, world.direct(0, 1)).is_empty() && world.outbox(1, 0) > 0);
}

#[test]
fn a_link_mends_at_once_what_nothing_is_shared_for() {
    for (maker, adder) in [(0, 1), (1, 0)] {
        let mut world = World::new(2);
        let chat = world.direct(0, 1);
        for (at, unknown) in [(0, [8; 32]), (1, [9; 32])] {
            let lost = ContactRow { intros: vec![unknown.into()], ..world.contact(at, 1 - at) };
            world.nodes[at].shelf.take(Write::Put(ContactRow::key(lost.account), encode(&lost)));
            let copy = world.nodes[at].shelf.clone();
            put_back(&mut world, at, copy);
        }
        world.tell(0, 1, "from the one");
        world.tell(1, 0, "from the other");
        world.connect(0, 1);
        world.pass(seconds(3600));
        assert!(world.outbox(0, 1) > 0 && world.outbox(1, 0) > 0, "no session begins");
        let link = world.link(maker);
        world.command(adder, Command::AddContact { link, alias: None }).unwrap();
        world.pass(seconds(30));
        assert_eq!(world.texts_of(0, chat).len(), 2);
        assert_eq!(world.texts_of(1, chat), world.texts_of(0, chat));
        assert_eq!((world.outbox(0, 1), world.outbox(1, 0)), (0, 0));
    }
}

#[test]
fn what_lay_at_a_mailbox_that_was_put_back_is_left_there_again() {
    let mut world = mailbox::world();
    let chat = world.direct(SENDER, READER);
    world.part(READER, MAILBOX);
    let copy = world.nodes[MAILBOX].shelf.clone();
    world.tell(SENDER, READER, "by mail");
    world.pass(seconds(120));
    let is_left = |world: &World| {
        let rows: Vec<rows::OutboxRow> = rows::all(&world.nodes[SENDER].shelf, world.device(READER)).unwrap();
        rows.iter().any(|row| row.is_in_mailbox(world.now))
    };
    assert!(is_left(&world));
    put_back(&mut world, MAILBOX, copy);
    world.connect(SENDER, MAILBOX);
    assert!(!is_left(&world), "it is not said to be there");
    world.pass(seconds(120));
    assert!(is_left(&world));
    world.part(SENDER, MAILBOX);
    world.connect(READER, MAILBOX);
    world.pass(seconds(60));
    assert_eq!(world.texts_of(READER, chat), ["by mail"]);
}

#[test]
fn what_lay_in_the_log_of_a_mailbox_that_was_put_back_is_left_there_again() {
    let (mut world, group) = group_mailbox::world();
    let (author, reader) = (0, 1);
    world.say(author, group, "with its key");
    world.pass(seconds(60));
    world.part(author, reader);
    world.part(reader, MAILBOX);
    let copy = world.nodes[MAILBOX].shelf.clone();
    world.say(author, group, "by the log");
    world.pass(seconds(120));
    put_back(&mut world, MAILBOX, copy);
    world.connect(author, MAILBOX);
    world.pass(seconds(120));
    world.part(author, MAILBOX);
    world.connect(reader, MAILBOX);
    world.pass(seconds(60));
    assert_eq!(world.texts(reader, group), ["with its key", "by the log"]);
}

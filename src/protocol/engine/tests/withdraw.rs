//! Messages that are taken back.

use super::*;
use crate::protocol::{
    delivery::Numbers,
    engine::{
        find::{Most, find},
        record::{ChatReceipt, Receipt, Record},
        rows::{AuthorRow, EventRow, IndexPart, IndexRow, ReceiptRow, Row, SegmentRow, Side},
    },
    ids::EventId,
    search::{
        Needle, grams, normalise,
        postings::{Having, having},
    },
    wire::encode,
};

const MINUTE: Duration = Duration::from_secs(60);
const REGRETTED: &str = "후회";
const PASSING: &str = "잠깐";

/// Whether the index of a chat knows of a message that has a gram of this text.
fn index_knows(world: &World, chat: ChatId, text: &str) -> bool {
    let shelf = &world.nodes[0].shelf;
    let index: IndexRow = world.row(0, &IndexRow::key(chat)).expect("there is an index");
    let mut buckets = Vec::new();
    for (key, value) in shelf.0.iter().filter(|(key, _)| key.table == IndexPart::TABLE) {
        // Buckets alone, also those of a segment that is not whole.
        if let Item::At(place) = &key.item
            && let [0, high, low] = place[..]
        {
            let IndexPart(bytes) = rows::parse(value).unwrap();
            buckets.push((u16::from_be_bytes([high, low]), bytes));
        }
    }
    grams(index.secret, &normalise(text)).into_iter().any(|gram| {
        let numbers = [(gram >> 24) as u16, (gram >> 18) as u16];
        let mut of_gram = buckets.iter().filter(|(number, _)| numbers.contains(number));
        of_gram.any(|(_, bytes)| having(bytes, gram) != Ok(Having::These(Vec::new())))
    })
}

fn found(world: &World, chat: ChatId, typed: &str) -> usize {
    let most = Most { messages: 999, bytes: usize::MAX };
    find(&world.nodes[0].shelf, chat, &Needle::new(typed).unwrap(), None, most).unwrap().messages.len()
}

#[test]
fn what_is_taken_back_or_ends_is_not_known_for_searching() {
    const SAID: usize = 70;
    // In the end there are large segments; before that blocks, and a large one that is not whole.
    for (after, is_merging) in [(2, false), (12, true), (60_000, false)] {
        let mut world = World::new(2);
        let chat = world.direct(0, 1);
        world.pass(MINUTE);
        world.part(0, 1);
        let Ok(Reply::Sent { id, .. }) = world.write(0, chat, REGRETTED) else { panic!("it is said") };
        world.command(0, Command::SetTimer(chat, Some(MINUTE))).unwrap();
        world.tell(0, 1, PASSING);
        world.command(0, Command::SetTimer(chat, None)).unwrap();
        for n in 0..SAID {
            world.tell(0, 1, &format!("common {n}"));
        }
        world.pass(Duration::from_millis(after));
        let index: IndexRow = world.row(0, &IndexRow::key(chat)).unwrap();
        assert_eq!(index.merging.is_some(), is_merging, "after {after} ms");
        assert!(index_knows(&world, chat, REGRETTED), "the probe finds what is there");

        world.command(0, Command::Withdraw(id)).unwrap();
        assert!(!index_knows(&world, chat, REGRETTED), "after {after} ms");
        assert_eq!(found(&world, chat, "common"), SAID, "the others are found at once");
        world.pass(5 * MINUTE);
        for text in [REGRETTED, PASSING] {
            assert!(!index_knows(&world, chat, text), "after {after} ms");
            assert_eq!(found(&world, chat, text), 0);
        }
        assert_eq!((found(&world, chat, "common"), found(&world, chat, "common 69")), (SAID, 1));
        let segments = world.nodes[0].shelf.scan(SegmentRow::TABLE, chat.as_ref(), None, Direction::Forward, 99);
        assert!(segments.unwrap().len() > 2 && index_knows(&world, chat, "common"));
    }
}

#[test]
fn what_nobody_in_a_group_has_is_taken_back_for_good() {
    let mut world = World::new(3);
    let group = world.group();
    let chat = ChatId::from(group);
    world.say(1, group, "for all");
    world.pass(MINUTE);
    world.part_all(2);
    world.command(2, Command::SetTimer(chat, Some(MINUTE * 60))).unwrap();
    let Ok(Reply::Sent { id, .. }) = world.write(2, chat, REGRETTED) else { panic!("it is said") };
    world.say(2, group, "after it");
    world.pass(MINUTE);
    let withdraw = |world: &mut World, at: usize, id| world.command(at, Command::Withdraw(id)).unwrap();
    // Nobody was there when it was said.
    let taken_back = Reply::Withdrawn { withdrawn: 2, under_way: 0, mailbox: 0, delivered: 0 };
    assert_eq!(withdraw(&mut world, 2, id), taken_back);
    assert_eq!(world.command(2, Command::Withdraw(id)), Err(Refusal::NoSuchMessage));
    world.restart(2);
    world.pass(MINUTE * 3);
    for at in 0..3 {
        assert_eq!(world.texts(at, group), ["for all", "after it"], "{at}");
        assert_eq!(found(&world, chat, REGRETTED), 0);
        let event: rows::EventRow = world.row(at, &rows::EventRow::key(id)).expect("its number is not missing");
        assert!(event.content.is_empty() && event.key.is_none());
    }
    let is_told = |entry: &FeedEntry| matches!(entry, FeedEntry::Receipt { ids, .. } if ids.contains(&id));
    assert!(!world.feed(2).iter().any(is_told), "nothing was delivered");
    let first: AuthorRow = world.row(1, &AuthorRow::key(chat, world.device(1), 2)).expect("after its name");
    let has_it = Reply::Withdrawn { withdrawn: 0, under_way: 0, mailbox: 0, delivered: 2 };
    assert_eq!(withdraw(&mut world, 1, first.0), has_it);
}

#[test]
fn what_a_member_may_have_heard_is_said_to_be_under_way() {
    let under_way = |reply: Reply| match reply {
        Reply::Withdrawn { withdrawn: 2, under_way, mailbox: 0, delivered: 0 } => under_way,
        other => panic!("{other:?}"),
    };
    for (meets, is_older) in [(false, false), (true, false), (false, true)] {
        let mut world = World::new(3);
        let group = world.group();
        let chat = ChatId::from(group);
        world.part_all(2);
        let Ok(Reply::Sent { id, .. }) = world.write(2, chat, REGRETTED) else { panic!("it is said") };
        if meets {
            // It is asked for and given, and the connection ends before it is confirmed.
            world.connect(1, 2);
            world.part(1, 2);
            assert_eq!(world.texts(1, group), [REGRETTED]);
        }
        if is_older {
            // The store is an older one: what became of it meanwhile nobody knows.
            let own: rows::OwnRow = world.row(2, &rows::OwnRow::key()).unwrap();
            let own = rows::OwnRow { rolled_back: Some(world.now), ..own };
            world.nodes[2].shelf.take(Write::Put(rows::OwnRow::key(), encode(&own)));
        }
        let reply = world.command(2, Command::Withdraw(id)).unwrap();
        assert_eq!(under_way(reply), if meets || is_older { 2 } else { 0 }, "{meets} {is_older}");
    }
}

/// A message that was taken back while the other was away, and everything as it was before that.
struct Since {
    world: World,
    chat: ChatId,
    id: EventId,
    copy: Shelf,
    items: backup::Items,
    of_other: Shelf,
}

fn taken_back_since() -> Since {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.tell(0, 1, "stays");
    world.pass(MINUTE);
    world.part(0, 1);
    let Ok(Reply::Sent { id, .. }) = world.write(0, chat, REGRETTED) else { panic!("it is said") };
    let (copy, items, of_other) = (world.nodes[0].shelf.clone(), world.back_up(0), world.nodes[1].shelf.clone());
    world.command(0, Command::Withdraw(id)).unwrap();
    world.connect(0, 1);
    world.pass(MINUTE);
    assert_eq!((world.texts_of(1, chat), world.outbox(0, 1)), (vec!["stays".to_owned()], 0));
    Since { world, chat, id, copy, items, of_other }
}

/// It is here again, and neither goes to the other nor counts as delivered. It can be taken back once more.
fn is_void_until_taken_back_again(world: &mut World, at: usize, chat: ChatId, id: EventId) {
    let event: EventRow = world.row(at, &EventRow::key(id)).expect("it is back");
    let own: rows::OwnRow = world.row(at, &rows::OwnRow::key()).unwrap();
    let key = ReceiptRow::key(chat, own.side_of(event.device).unwrap(), world.device(1));
    let row: ReceiptRow = world.row(at, &key).unwrap();
    assert!(row.void().unwrap().contains(event.no) && !row.numbers().unwrap().contains(event.no));
    assert_eq!((world.outbox(at, 1), event.outbox), (0, vec![]));

    let taken = world.command(at, Command::Withdraw(id)).unwrap();
    assert!(matches!(taken, Reply::Withdrawn { withdrawn: 1, mailbox: 0, delivered: 0, .. }), "{taken:?}");
    world.tell(at, 1, "after");
    world.restart(1);
    world.pass(5 * MINUTE);
    for at in [at, 1] {
        assert_eq!(world.texts_of(at, chat), ["stays", "after"]);
    }
    assert_eq!(world.outbox(at, 1), 0);
}

#[test]
fn what_was_taken_back_after_the_backup_is_not_called_delivered() {
    let Since { mut world, chat, id, items, .. } = taken_back_since();
    let new = world.return_by(0, &items);
    world.connect(1, new);
    world.pass(5 * MINUTE);
    is_void_until_taken_back_again(&mut world, new, chat, id);
}

#[test]
fn what_was_taken_back_does_not_go_to_who_lost_that_it_was() {
    let Since { mut world, chat, items, of_other, .. } = taken_back_since();
    let new = world.return_by(0, &items);
    world.connect(1, new);
    world.pass(5 * MINUTE);
    // An older copy is put back there, and here all that is not confirmed is said again.
    world.nodes[1].shelf = of_other;
    anew::start_anew(&mut world, 1);
    anew::start_anew(&mut world, new);
    world.connect(1, new);
    world.pass(5 * MINUTE);
    assert_eq!(world.texts_of(1, chat), ["stays"]);
    world.tell(new, 1, "after");
    world.pass(MINUTE);
    assert_eq!((world.texts_of(1, chat), world.outbox(new, 1)), (vec!["stays".to_owned(), "after".to_owned()], 0));
}

#[test]
fn what_was_taken_back_after_the_copy_is_not_called_delivered_unless_it_is() {
    let Since { mut world, chat, id, copy, .. } = taken_back_since();
    world.nodes[0].shelf = copy;
    anew::start_anew(&mut world, 0);
    world.connect(0, 1);
    world.pass(5 * MINUTE);
    let there = world.texts_of(1, chat).contains(&REGRETTED.to_owned());
    let event: EventRow = world.row(0, &EventRow::key(id)).unwrap();
    let row: ReceiptRow = world.row(0, &ReceiptRow::key(chat, Side::Theirs, world.device(1))).unwrap();
    assert_eq!(row.numbers().unwrap().contains(event.no), there);
    assert_eq!(world.outbox(0, 1), 0);
}

#[test]
fn nobody_can_say_that_was_taken_back_what_nobody_took_back() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    // For a moment nothing goes from one to the other, who lies meanwhile.
    world.input(0, Input::Overflow(world.nodes[1].transport));
    world.tell(0, 1, "stands");
    let mut numbers = Numbers::from_base(1);
    numbers.fill_through(1);
    let (held, author) = (encode(&numbers), world.device(0));
    let void = Some(held.clone().into());
    let lie = ChatReceipt { chat, author, held, read: None, seen: None, void };
    let lie = Receipt { chats: vec![lie], positions: vec![], lost: vec![], unknown: None };
    world.lie(1, 0, &Record::Receipt(lie));
    assert_eq!((world.texts_of(1, chat), world.outbox(0, 1)), (vec![], 1));
    world.pass(MINUTE);
    assert_eq!((world.texts_of(1, chat), world.outbox(0, 1)), (vec!["stands".to_owned()], 0));
    let row: ReceiptRow = world.row(0, &ReceiptRow::key(chat, Side::Theirs, world.device(1))).unwrap();
    assert!(row.void.is_none() && row.numbers().unwrap().contains(1));
}

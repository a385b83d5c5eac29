//! Mail between people who are never connected at the same time.

use super::{World, anew::lose_secrets_alone, rows};
use crate::protocol::{
    engine::{
        Command, Input,
        command::{MailboxAt, Serving},
        record::Position,
        rows::{
            BoxRight, BoxRow, ContactRow, ContactState, EventRow, MailRow, MailboxRow, MailboxState, OutboxRow, Row,
        },
    },
    identity::bundle::BoxId,
    ids::{ChatId, EventId, TransportKey},
    view::{Direction, View},
    wire::{
        frame::Frame,
        mailbox::{Ask, Opening, Say, Verdict},
    },
};
use std::time::Duration;

pub(super) const SENDER: usize = 0;
pub(super) const READER: usize = 1;
pub(super) const MAILBOX: usize = 2;
const OTHER: usize = 3;

/// Three contacts; the last keeps mail for the first two, who are parted for good.
pub(super) fn world() -> World {
    let mut world = World::new(3);
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    for at in [SENDER, READER] {
        let mailbox = world.account(MAILBOX);
        world.command(at, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    }
    // What was told in the last minute would be told again by mail.
    world.pass(seconds(90));
    world.part(SENDER, READER);
    world
}

fn chat(world: &World) -> ChatId {
    ChatId::direct(world.account(SENDER), world.account(READER))
}

fn write(world: &mut World, text: &str) -> EventId {
    let chat = chat(world);
    match world.command(SENDER, Command::Send { chat, text: text.into(), reply_to: None }).unwrap() {
        super::Reply::Sent { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

fn waiting(world: &World, id: EventId) -> Vec<OutboxRow> {
    let shelf = &world.nodes[SENDER].shelf;
    let event: EventRow = rows::read(shelf, &EventRow::key(id)).unwrap().unwrap();
    let rows = event.outbox.iter().map(|(device, place)| rows::read(shelf, &OutboxRow::key(*device, *place)).unwrap());
    rows.flatten().collect()
}

fn boxes(world: &World) -> Vec<BoxRow> {
    rows::all(&world.nodes[MAILBOX].shelf, b"").unwrap()
}

fn mail(world: &World) -> usize {
    let shelf = &world.nodes[MAILBOX].shelf;
    let of = |row: &BoxRow| shelf.scan(MailRow::TABLE, &row.id.0, None, Direction::Forward, 9_999).unwrap().len();
    boxes(world).iter().map(of).sum()
}

impl World {
    fn contact_state(&self, at: usize, other: usize) -> Option<ContactState> {
        let key = ContactRow::key(self.account(other));
        rows::read::<ContactRow>(&self.nodes[at].shelf, &key).unwrap().map(|row| row.state)
    }
}

pub(super) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn what_is_sent_to_one_who_is_away_is_read_after_the_sender_has_gone() {
    let mut world = world();
    world.part(READER, MAILBOX);
    let ids: Vec<EventId> = ["one", "two", "three"].iter().map(|text| write(&mut world, text)).collect();
    assert!(ids.iter().all(|id| waiting(&world, *id).iter().all(|row| row.left.is_none())));
    world.pass(seconds(30));
    for id in &ids {
        let rows = waiting(&world, *id);
        assert!(rows.len() == 1 && rows[0].left.as_ref().is_some_and(|left| left.len() == 1), "custody is noted");
    }
    world.part(SENDER, MAILBOX);
    world.connect(READER, MAILBOX);
    assert_eq!(world.texts_of(READER, chat(&world)), ["one", "two", "three"]);
    assert_eq!(mail(&world), 0, "what is durable at its reader is deleted");
    world.pass(seconds(30));
    assert!(mail(&world) > 0, "the receipt waits for the sender");
    world.part(READER, MAILBOX);
    world.connect(SENDER, MAILBOX);
    assert!(ids.iter().all(|id| waiting(&world, *id).is_empty()), "the sender's duty ends with the receipt");
    assert_eq!(mail(&world), 0);
    // Nobody answers an answer.
    world.connect(READER, MAILBOX);
    world.pass(seconds(3600));
    assert_eq!(mail(&world), 0);
    assert!(boxes(&world).iter().all(|row| row.kept.blobs == 0 && row.kept.bytes == 0));
}

#[test]
fn what_came_by_mail_is_confirmed_once_its_sender_names_a_mailbox_though_this_one_restarted() {
    let mut world = World::new(3);
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    let mailbox = world.account(MAILBOX);
    world.command(READER, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    world.pass(seconds(90));
    world.part(SENDER, READER);
    world.command(SENDER, Command::SetName("Moon".into())).unwrap();
    world.pass(seconds(120));
    assert_eq!(world.contact(READER, SENDER).own_name.as_deref(), Some("Moon"));
    assert_eq!(world.outbox(SENDER, READER), 1);
    world.restart_alone(READER);
    world.connect(READER, MAILBOX);
    world.command(SENDER, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    world.pass(seconds(600));
    assert_eq!(world.outbox(SENDER, READER), 0);
}

#[test]
fn what_may_be_lost_with_a_connection_is_told_again_by_mail() {
    let mut world = World::new(3);
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    let mailbox = world.account(MAILBOX);
    for at in [READER, SENDER] {
        world.command(at, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
        world.pass(seconds(90));
    }
    let owed = |world: &World| {
        world.row::<rows::OwedRow>(READER, &rows::OwedRow::key(world.device(SENDER))).map(|row| row.positions.len())
    };
    world.part(SENDER, READER);
    assert_eq!(owed(&world), None, "all was told long ago");
    world.connect(SENDER, READER);
    // The sender tells of another box; that it is known is said on a connection that breaks.
    world.command(SENDER, Command::RemoveMailbox(mailbox)).unwrap();
    world.command(SENDER, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    world.part(SENDER, READER);
    assert!(owed(&world).is_some_and(|positions| positions > 0));
}

#[test]
fn much_that_is_owed_goes_out_in_rows_that_a_store_takes() {
    let mut world = world();
    let sender = world.device(SENDER);
    world.part(READER, MAILBOX);
    world.part(SENDER, MAILBOX);
    let at = |index| Position { sid: [u8::MAX; 16], epoch: u32::MAX, index: u32::MAX - index };
    world.nodes[READER].engine.mem.owed.entry(sender).or_default().positions = (0..8_000).map(at).collect();
    world.input(READER, Input::Tick);
    world.pass(seconds(30));
    let owed = |world: &World| world.row::<rows::OwedRow>(READER, &rows::OwedRow::key(sender));
    assert_eq!(owed(&world).map(|row| row.positions.len()), Some(8_000));
    world.connect(READER, MAILBOX);
    world.pass(seconds(30));
    assert!(owed(&world).is_none());
    assert_eq!(mail(&world), 8);
}

#[test]
fn what_a_silent_mailbox_does_not_take_is_not_sealed_without_end() {
    let mut world = world();
    let sender = world.device(SENDER);
    world.part(SENDER, MAILBOX);
    world.apart.insert((READER, MAILBOX));
    for round in 0..120 {
        let at = |index| Position { sid: [u8::MAX; 16], epoch: round, index: u32::MAX - index };
        world.nodes[READER].engine.mem.owed.entry(sender).or_default().positions = (0..100).map(at).collect();
        world.input(READER, Input::Tick);
        world.pass(seconds(70));
    }
    let row: rows::OwedRow = world.row(READER, &rows::OwedRow::key(sender)).unwrap();
    assert!(!row.sealed.is_empty() && row.sealed.len() <= 16 && row.positions.len() == 8_192, "{}", row.sealed.len());
}

#[test]
fn a_link_works_while_its_maker_is_away_where_it_has_a_mailbox() {
    let mut world = World::strangers(3);
    world.connect(SENDER, MAILBOX);
    world.meet(SENDER, MAILBOX);
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    let mailbox = world.account(MAILBOX);
    world.command(SENDER, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    let link = world.link(SENDER);
    world.part(SENDER, MAILBOX);

    // Whoever answers at the link's address is the mailbox, which knows nothing of the one who asks.
    world.command(READER, Command::AddContact { link, alias: None }).unwrap();
    world.connect(READER, MAILBOX);
    world.pass(seconds(30));
    world.part(READER, MAILBOX);
    assert_eq!(world.contact_state(READER, SENDER), Some(ContactState::Pending));
    assert_eq!(mail(&world), 1, "the request lies in the link's box");

    world.connect(SENDER, MAILBOX);
    world.pass(seconds(30));
    assert_eq!(world.contact_state(SENDER, READER), Some(ContactState::Connected));
    world.part(SENDER, MAILBOX);
    assert!(mail(&world) > 0, "the answer lies in the guest's box");
    world.connect(READER, MAILBOX);
    world.pass(seconds(30));
    assert_eq!(world.contact_state(READER, SENDER), Some(ContactState::Connected));

    // And so it goes on, both ways, though the two never meet.
    let chat = chat(&world);
    world.command(READER, Command::Send { chat, text: "hello".into(), reply_to: None }).unwrap();
    world.pass(seconds(30));
    world.part(READER, MAILBOX);
    world.connect(SENDER, MAILBOX);
    let id = write(&mut world, "welcome");
    world.pass(seconds(30));
    world.part(SENDER, MAILBOX);
    world.connect(READER, MAILBOX);
    world.pass(seconds(30));
    world.part(READER, MAILBOX);
    world.connect(SENDER, MAILBOX);
    assert_eq!(world.texts_of(READER, chat), ["hello", "welcome"]);
    assert_eq!(world.texts_of(SENDER, chat), ["hello", "welcome"]);
    assert!(waiting(&world, id).is_empty());
}

#[test]
fn one_that_was_accepted_by_mail_and_lost_what_it_asked_with_is_a_contact_all_the_same() {
    let mut world = World::strangers(3);
    for at in [SENDER, READER] {
        world.connect(at, MAILBOX);
        world.meet(at, MAILBOX);
    }
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    for at in [SENDER, READER] {
        let mailbox = world.account(MAILBOX);
        world.command(at, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    }
    let link = world.link(SENDER);
    world.part(SENDER, MAILBOX);
    world.command(READER, Command::AddContact { link, alias: None }).unwrap();
    world.pass(seconds(30));
    lose_secrets_alone(&mut world, READER);
    world.connect(SENDER, MAILBOX);
    world.pass(seconds(30));
    assert_eq!(world.contact_state(SENDER, READER), Some(ContactState::Connected), "the link is used");
    world.connect(READER, MAILBOX);
    world.pass(seconds(7_200));
    assert_eq!(world.contact_state(READER, SENDER), Some(ContactState::Connected));
    let id = write(&mut world, "welcome");
    world.pass(seconds(300));
    assert!(waiting(&world, id).is_empty());
}

#[test]
fn a_request_goes_to_a_box_that_is_opened_after_it_was_refused_there() {
    let mut world = World::strangers(4);
    for mailbox in [MAILBOX, OTHER] {
        world.connect(SENDER, mailbox);
        world.meet(SENDER, mailbox);
        world.command(mailbox, Command::ServeMailbox(Serving::On)).unwrap();
        let account = world.account(mailbox);
        world.command(SENDER, Command::AddMailbox(MailboxAt::Contact(account))).unwrap();
    }
    world.part(SENDER, OTHER);
    let link = world.link(SENDER);
    world.part(SENDER, MAILBOX);
    world.command(READER, Command::AddContact { link, alias: None }).unwrap();
    world.connect(READER, OTHER);
    world.connect(READER, MAILBOX);
    world.pass(seconds(30));
    assert_eq!(mail(&world), 1, "one mailbox has no box for it yet");

    // The one that had it goes for ever; the link's maker opens the box at the other.
    world.part(READER, MAILBOX);
    world.connect(SENDER, OTHER);
    world.pass(seconds(600));
    assert_eq!(world.contact_state(SENDER, READER), Some(ContactState::Connected));
}

#[test]
fn mailboxes_that_changed_during_a_block_are_told_after_it() {
    let mut world = World::new(4);
    for mailbox in [MAILBOX, OTHER] {
        world.command(mailbox, Command::ServeMailbox(Serving::On)).unwrap();
    }
    let [first, second, sender] = [MAILBOX, OTHER, SENDER].map(|at| world.account(at));
    for at in [SENDER, READER] {
        world.command(at, Command::AddMailbox(MailboxAt::Contact(first))).unwrap();
    }
    world.pass(seconds(90));
    world.part(SENDER, READER);
    world.command(READER, Command::Block(sender)).unwrap();
    world.command(READER, Command::RemoveMailbox(first)).unwrap();
    world.command(READER, Command::AddMailbox(MailboxAt::Contact(second))).unwrap();
    world.pass(seconds(30));
    world.command(READER, Command::Unblock(sender)).unwrap();
    world.pass(seconds(30));
    write(&mut world, "still here");
    world.pass(seconds(30));
    assert_eq!(world.texts_of(READER, chat(&world)), ["still here"]);
}

#[test]
fn a_mailbox_refuses_strangers_and_gives_to_the_owner_alone() {
    let mut world = world();
    world.part(READER, MAILBOX);
    write(&mut world, "for the reader alone");
    world.pass(seconds(30));
    let of_reader = boxes(&world).into_iter().find(|row| row.owner == world.nodes[READER].transport).unwrap();
    assert_eq!(of_reader.kept.blobs, 1);
    let stranger = TransportKey([9; 32]);
    let mut ask = |ask: Ask| {
        world.to_strangers.clear();
        world.input(MAILBOX, Input::Frame(stranger, Frame::Ask(ask).to_bytes()));
        world.to_strangers.clone()
    };
    let unknown = BoxId([7; 16]);
    let opened = ask(Ask::Open(unknown, Opening::default()));
    assert_eq!(opened, [Frame::Say(Say::Opened(unknown, Verdict::NotAllowed))]);
    let taken = ask(Ask::Open(of_reader.id, Opening::default()));
    assert_eq!(taken, [Frame::Say(Say::Opened(of_reader.id, Verdict::NotAllowed))]);
    assert!(matches!(
        ask(Ask::Deposit(unknown, vec![1; 600]))[..],
        [Frame::Say(Say::Deposited(_, _, Verdict::NotRegistered))]
    ));
    assert_eq!(ask(Ask::Fetch(of_reader.id, 0)), [Frame::Say(Say::End(of_reader.id, false, Verdict::NotRegistered))]);
    ask(Ask::Took(of_reader.id, vec![1]));
    ask(Ask::Close(of_reader.id, crate::protocol::time::Millis(0)));
    let pinned = ask(Ask::Pinned(of_reader.id));
    assert_eq!(pinned, [Frame::Say(Say::Pinned(of_reader.id, Verdict::Closed, vec![]))]);
    world.connect(READER, MAILBOX);
    assert_eq!(world.texts_of(READER, chat(&world)), ["for the reader alone"]);
}

#[test]
fn who_is_full_says_so_and_what_is_fetched_makes_room() {
    let mut world = world();
    world.part(READER, MAILBOX);
    let of_reader = boxes(&world).into_iter().find(|row| row.owner == world.nodes[READER].transport).unwrap();
    let stranger = TransportKey([9; 32]);
    let mut refused = None;
    for n in 0..crate::protocol::wire::limits::MAX_SENDER_BLOBS + 1 {
        if n % 500 == 0 {
            world.pass(seconds(2));
        }
        world.to_strangers.clear();
        let blob = [&n.to_be_bytes()[..], &[0; 561]].concat();
        world.input(MAILBOX, Input::Frame(stranger, Frame::Ask(Ask::Deposit(of_reader.id, blob)).to_bytes()));
        let [Frame::Say(Say::Deposited(_, _, verdict))] = world.to_strangers[..] else { panic!("one answer") };
        if verdict != Verdict::Done {
            refused = Some((n, verdict));
            break;
        }
    }
    assert_eq!(refused, Some((crate::protocol::wire::limits::MAX_SENDER_BLOBS, Verdict::Full)));
    // The reader drops it all by one look-up each, and what others left comes through.
    write(&mut world, "still here");
    world.pass(seconds(30));
    world.connect(READER, MAILBOX);
    world.pass(seconds(10));
    assert_eq!(world.texts_of(READER, chat(&world)), ["still here"]);
    assert_eq!(boxes(&world).iter().find(|row| row.id == of_reader.id).map(|row| row.kept.blobs), Some(0));
}

/// What a mailbox says to a stranger who asks it something.
fn ask(world: &mut World, stranger: u8, ask: Ask) -> Vec<Frame> {
    world.to_strangers.clear();
    world.input(MAILBOX, Input::Frame(TransportKey([stranger; 32]), Frame::Ask(ask).to_bytes()));
    world.to_strangers.clone()
}

#[test]
fn what_lies_there_stays_where_one_with_no_room_leaves_it_again() {
    let mut world = world();
    world.part(READER, MAILBOX);
    let of_reader = boxes(&world).into_iter().find(|row| row.owner == world.nodes[READER].transport).unwrap().id;
    let deposit = |world: &mut World, stranger: u8, blob: &[u8]| {
        let said = ask(world, stranger, Ask::Deposit(of_reader, blob.to_vec()));
        let [Frame::Say(Say::Deposited(_, _, verdict))] = said[..] else { panic!("one answer") };
        verdict
    };
    let copied = vec![1; 600];
    assert_eq!(deposit(&mut world, 8, &copied), Verdict::Done);
    world.pass(seconds(25 * 3600));
    let mut n = 0u64;
    let refused = loop {
        n += 1;
        if n.is_multiple_of(500) {
            world.pass(seconds(2));
        }
        match deposit(&mut world, 9, &[&n.to_be_bytes()[..], &[0; 561]].concat()) {
            Verdict::Done => {}
            refused => break refused,
        }
    };
    assert_eq!(refused, Verdict::Full);
    assert_eq!(deposit(&mut world, 9, &copied), Verdict::Full);
    let shelf = &world.nodes[MAILBOX].shelf;
    let first = shelf.scan(MailRow::TABLE, &of_reader.0, None, Direction::Forward, 1).unwrap();
    assert_eq!(rows::parse::<MailRow>(&first[0].1).unwrap().blob, copied, "it can still be fetched");
    // Whose it is may leave it again, though the box is fuller than it was.
    assert_eq!(deposit(&mut world, 8, &copied), Verdict::Done);
    assert_eq!(mail(&world) as u64, n, "each once");
}

#[test]
fn guests_that_close_their_boxes_make_room_for_others() {
    let mut world = world();
    world.link(SENDER);
    let ticket = boxes(&world).into_iter().find(|row| row.is_small()).expect("a link has a box").id;
    for n in 0..300u16 {
        let [low, high] = n.to_be_bytes();
        let id = BoxId([[low, high]; 8].concat().try_into().unwrap());
        let peer = TransportKey([[low, high]; 16].concat().try_into().unwrap());
        let opening = Opening { guest_of: Some(ticket), ..Opening::default() };
        world.input(MAILBOX, Input::Frame(peer, Frame::Ask(Ask::Open(id, opening)).to_bytes()));
        let until = world.now.plus(seconds(3600));
        world.input(MAILBOX, Input::Frame(peer, Frame::Ask(Ask::Close(id, until)).to_bytes()));
    }
    world.pass(seconds(2 * 3600));
    // A new link, since the first is over.
    world.link(SENDER);
    let ticket = boxes(&world).into_iter().find(|row| row.is_small()).expect("a link has a box").id;
    let opening = Opening { guest_of: Some(ticket), ..Opening::default() };
    let id = BoxId([250; 16]);
    assert_eq!(ask(&mut world, 9, Ask::Open(id, opening)), [Frame::Say(Say::Opened(id, Verdict::Done))]);
}

#[test]
fn of_boxes_that_are_gone_nothing_is_remembered() {
    let mut world = world();
    let peer = world.nodes[READER].transport;
    let told = world.nodes[MAILBOX].engine.mem.mail.told.len();
    for n in 0..1_000u16 {
        let [low, high] = n.to_be_bytes();
        let id = BoxId([[low, high]; 8].concat().try_into().unwrap());
        for ask in [
            Ask::Open(id, Opening::default()),
            Ask::Deposit(id, vec![1; 600]),
            Ask::Close(id, crate::protocol::time::Millis(0)),
        ] {
            world.input(MAILBOX, Input::Frame(peer, Frame::Ask(ask).to_bytes()));
        }
        if n % 100 == 0 {
            world.pass(seconds(2));
        }
    }
    assert_eq!(world.nodes[MAILBOX].engine.mem.mail.told.len(), told);
}

#[test]
fn a_mailbox_that_invents_mail_is_left_alone_and_changes_nothing() {
    let mut world = world();
    world.apart.insert((READER, MAILBOX));
    let mailbox = world.nodes[MAILBOX].transport;
    let of_reader = boxes(&world).into_iter().find(|row| row.owner == world.nodes[READER].transport).unwrap().id;
    let before = world.nodes[READER].shelf.0.clone();
    let say = |world: &mut World, say: Say| world.input(READER, Input::Frame(mailbox, Frame::Say(say).to_bytes()));
    let mut place = 0;
    for _ in 0..300 {
        say(&mut world, Say::Waiting(of_reader));
        for _ in 0..100 {
            place += 1;
            let blob = [&[1], &[place as u8; 568][..]].concat();
            say(&mut world, Say::Mail(of_reader, place, blob, TransportKey([8; 32])));
        }
        say(&mut world, Say::End(of_reader, true, Verdict::Done));
    }
    let asked = &world.nodes[READER].engine.mem.mail.fetches;
    assert!(!asked.contains_key(&(mailbox, of_reader)), "it is not asked any more");
    assert_eq!(world.nodes[READER].shelf.0, before, "nothing of it is kept");
    // After an hour it may try again.
    world.apart.remove(&(READER, MAILBOX));
    write(&mut world, "after all");
    world.pass(seconds(3700));
    assert_eq!(world.texts_of(READER, chat(&world)), ["after all"]);
}

#[test]
fn mail_is_kept_fourteen_days_and_left_again_before() {
    let mut world = world();
    world.part(READER, MAILBOX);
    let id = write(&mut world, "a long holiday");
    for _ in 0..20 {
        world.pass(seconds(24 * 3600));
    }
    assert_eq!(mail(&world), 1);
    world.part(SENDER, MAILBOX);
    world.pass(seconds(13 * 24 * 3600 - 7 * 24 * 3600));
    world.connect(READER, MAILBOX);
    assert_eq!(world.texts_of(READER, chat(&world)), ["a long holiday"]);
    assert_eq!(waiting(&world, id).len(), 1);
    world.pass(seconds(60));
    world.part(READER, MAILBOX);
    assert_eq!(mail(&world), 1);
    // Nobody comes for the receipt: it is gone after its time, and the sender, who had no answer, leaves it all again.
    for _ in 0..16 {
        world.pass(seconds(24 * 3600));
    }
    assert_eq!(mail(&world), 0);
    world.connect(SENDER, MAILBOX);
    world.pass(seconds(60));
    world.connect(READER, MAILBOX);
    world.pass(seconds(60));
    assert!(waiting(&world, id).is_empty());
    assert_eq!(world.texts_of(READER, chat(&world)), ["a long holiday"]);
}

#[test]
fn what_the_reader_knows_no_session_for_is_sealed_anew() {
    let mut world = world();
    world.part(READER, MAILBOX);
    let chat = chat(&world);
    let id = write(&mut world, "one");
    world.pass(seconds(30));
    // Its copy reaches the reader late, when the epoch it was sealed in is over there: taken by hand, given back later.
    let wire = waiting(&world, id)[0].sealed.clone().unwrap().wire;
    world.connect(READER, MAILBOX);
    world.command(READER, Command::Send { chat, text: "two".into(), reply_to: None }).unwrap();
    world.pass(seconds(30));
    write(&mut world, "three");
    world.pass(seconds(30));
    let of_reader = boxes(&world).into_iter().find(|row| row.owner == world.nodes[READER].transport).unwrap().id;
    let sender = world.nodes[SENDER].transport;
    world.input(MAILBOX, Input::Frame(sender, Frame::Ask(Ask::Deposit(of_reader, wire)).to_bytes()));
    world.pass(seconds(3600));
    assert_eq!(world.texts_of(READER, chat), ["one", "two", "three"]);
    assert_eq!(world.texts_of(SENDER, chat), ["one", "two", "three"]);
    assert_eq!(mail(&world), 0, "and nobody answers an answer");
}

#[test]
fn a_mailbox_that_is_left_while_it_cannot_be_reached_is_read_before() {
    let mut world = world();
    world.part(READER, MAILBOX);
    write(&mut world, "in the box");
    world.pass(seconds(120));
    world.part(SENDER, MAILBOX);
    let (mailbox, node) = (world.account(MAILBOX), world.nodes[MAILBOX].transport);
    let own: MailboxRow = world.row(READER, &MailboxRow::key(node)).unwrap();
    world.command(READER, Command::RemoveMailbox(mailbox)).unwrap();
    assert_eq!(world.command(READER, Command::RemoveMailbox(mailbox)), Err(super::Refusal::NoSuchMailbox));
    world.restart_alone(READER);
    world.connect(READER, MAILBOX);
    world.pass(seconds(60));
    assert_eq!(world.texts_of(READER, chat(&world)), ["in the box"]);
    assert!(world.row::<MailboxRow>(READER, &MailboxRow::key(node)).is_none(), "nothing is left to do there");
    assert!(boxes(&world).iter().all(|row| row.id != own.id || row.right == BoxRight::Closed), "and the box is closed");
}

#[test]
fn who_has_a_box_learns_at_once_that_it_is_kept_no_more_and_that_it_is_again() {
    let mut world = world();
    let state = |world: &World| {
        let key = MailboxRow::key(world.nodes[MAILBOX].transport);
        world.row::<MailboxRow>(READER, &key).map(|row| row.state)
    };
    assert_eq!(state(&world), Some(MailboxState::Active));
    world.command(MAILBOX, Command::ServeMailbox(Serving::Off)).unwrap();
    world.pass(seconds(2));
    assert_eq!(state(&world), Some(MailboxState::Refused(Verdict::NotServing)));
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    world.pass(seconds(2));
    assert_eq!(state(&world), Some(MailboxState::Active));
}

#[test]
fn a_restored_device_has_its_mailbox_as_soon_as_that_knows_it() {
    let mut world = world();
    let items = world.back_up(READER);
    let new = world.return_by(READER, &items);
    world.connect(new, MAILBOX);
    world.pass(seconds(20));
    let row = world.row::<MailboxRow>(new, &MailboxRow::key(world.nodes[MAILBOX].transport)).unwrap();
    assert_eq!(row.state, MailboxState::Active);
}

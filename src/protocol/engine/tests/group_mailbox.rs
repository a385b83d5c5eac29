//! What is said in a group, kept by a mailbox for members who never meet its author again.

use super::{World, rows};
use crate::protocol::{
    engine::{
        Command, Input, Refusal,
        command::{MailboxAt, Serving},
        rows::{BoxRight, BoxRow, EventRow, MailRow, PostRow, Row, TimelineRow},
    },
    group::GossipKeys,
    identity::bundle::BoxId,
    ids::{AccountId, ChatId, OpId, TransportKey},
    view::{Direction, View},
    wire::{
        frame::Frame,
        mailbox::{Ask, Say, Verdict},
    },
};
use std::time::Duration;

const AUTHOR: usize = 0;
const READER: usize = 1;
const MAILBOX: usize = 2;
const LEAVER: usize = 3;

/// Three contacts of whom the first two are in a group, and the last keeps mail for them and is no member.
pub(super) fn world() -> (World, OpId) {
    let mut world = World::new(3);
    let group = world.group_with(&[READER]);
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    for at in [AUTHOR, READER] {
        let mailbox = world.account(MAILBOX);
        world.command(at, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    }
    let mailbox = world.account(MAILBOX);
    world.command(AUTHOR, Command::NameGroupMailbox(group, mailbox)).unwrap();
    world.pass(seconds(60));
    (world, group)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn logs(world: &World) -> Vec<BoxRow> {
    let boxes: Vec<BoxRow> = rows::all(&world.nodes[MAILBOX].shelf, b"").unwrap();
    boxes.into_iter().filter(|row| row.right == BoxRight::Log).collect()
}

fn frames(world: &World) -> Vec<Vec<u8>> {
    let shelf = &world.nodes[MAILBOX].shelf;
    let of = |row: &BoxRow| shelf.scan(MailRow::TABLE, &row.id.0, None, Direction::Forward, 99_999).unwrap();
    let rows = logs(world).iter().flat_map(of).collect::<Vec<_>>();
    rows.iter().map(|(_, bytes)| rows::parse::<MailRow>(bytes).unwrap().blob).collect()
}

fn posts(world: &World, at: usize, group: OpId) -> usize {
    world.nodes[at].shelf.scan(PostRow::TABLE, group.as_ref(), None, Direction::Forward, 99_999).unwrap().len()
}

/// The own events of a node in a group that a mailbox was said to have.
fn kept(world: &World, at: usize, group: OpId) -> usize {
    let shelf = &world.nodes[at].shelf;
    let lines = shelf.scan(TimelineRow::TABLE, group.as_ref(), None, Direction::Forward, 99_999).unwrap();
    let ids = lines.iter().map(|(_, bytes)| rows::parse::<TimelineRow>(bytes).unwrap().0);
    let events = ids.filter_map(|id| rows::read::<EventRow>(shelf, &EventRow::key(id)).unwrap());
    events.filter(|event| event.kept.is_some()).count()
}

#[test]
fn a_log_full_of_what_nobody_can_open_keeps_no_mail_away() {
    let (mut world, _) = world();
    let chat = world.direct(AUTHOR, READER);
    let (mailbox, log) = (world.nodes[MAILBOX].transport, logs(&world)[0].id);
    let say = |world: &mut World, say: Say| world.input(READER, Input::Frame(mailbox, Frame::Say(say).to_bytes()));
    let mut place = world.now.0 * 2;
    let asks = |world: &World| world.nodes[READER].engine.mem.mail.fetches.contains_key(&(mailbox, log));
    world.apart.insert((READER, MAILBOX));
    say(&mut world, Say::Waiting(log));
    for _ in 0..1_000 {
        if !asks(&world) {
            break;
        }
        for _ in 0..64 {
            place += 1;
            say(&mut world, Say::Mail(log, place, vec![7; 100], TransportKey([8; 32])));
        }
        say(&mut world, Say::End(log, true, Verdict::Done));
    }
    assert!(!asks(&world), "it is not asked for more of that");
    world.apart.remove(&(READER, MAILBOX));
    world.part(AUTHOR, READER);
    world.tell(AUTHOR, READER, "by mail");
    world.pass(seconds(60));
    assert_eq!(world.texts_of(READER, chat), ["by mail"]);
}

#[test]
fn a_member_who_was_away_for_300_messages_has_all_with_their_author_gone() {
    let (mut world, group) = world();
    world.part(AUTHOR, READER);
    world.part(READER, MAILBOX);
    for n in 0..300 {
        world.say(AUTHOR, group, &format!("{n}"));
    }
    world.pass(seconds(60));
    assert_eq!(kept(&world, AUTHOR, group), 300, "the mailbox has each");
    assert_eq!(posts(&world, AUTHOR, group), 0, "and nothing waits to be left");
    world.part(AUTHOR, MAILBOX);
    world.connect(READER, MAILBOX);
    world.pass(seconds(60));
    let said: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    assert_eq!(world.texts(READER, group), said);
    assert_eq!(world.texts(READER, group), world.texts(AUTHOR, group));

    // The receipt goes by mail, and ends at its author.
    world.pass(seconds(60));
    world.part(READER, MAILBOX);
    world.connect(AUTHOR, MAILBOX);
    world.pass(seconds(60));
    let row: rows::ReceiptRow = world
        .row(AUTHOR, &rows::ReceiptRow::key(ChatId::from(group), rows::Side::Theirs, world.device(READER)))
        .unwrap();
    let written: rows::ChatRow = world.row(AUTHOR, &rows::ChatRow::key(ChatId::from(group))).unwrap();
    let held = row.numbers().unwrap();
    // The first said the founder's name, before anybody came.
    assert!((2..=written.written).all(|no| held.contains(no)), "all are delivered");

    // Nothing is read twice, by a restart neither, and the log stays for others until its time.
    world.connect(READER, MAILBOX);
    world.restart(READER);
    world.pass(seconds(600));
    assert_eq!(world.texts(READER, group), said);
    assert!(frames(&world).len() >= 300);
    world.part(READER, MAILBOX);
    world.part(AUTHOR, MAILBOX);
    for _ in 0..16 {
        world.pass(seconds(24 * 3600));
    }
    assert_eq!(frames(&world).len(), 0);
    let left: u64 = logs(&world).iter().map(|row| row.kept.blobs + row.kept.bytes).sum();
    assert_eq!(left, 0);
}

#[test]
fn where_everybody_has_it_nothing_is_left_at_a_mailbox() {
    let (mut world, group) = world();
    let before = frames(&world).len();
    world.say(AUTHOR, group, "here");
    world.say(READER, group, "there");
    world.pass(seconds(60));
    assert_eq!(frames(&world).len(), before);
    assert_eq!((posts(&world, AUTHOR, group), posts(&world, READER, group)), (0, 0));
}

#[test]
fn a_rotation_and_what_is_said_after_it_reach_who_was_away() {
    let (mut world, group) = world();
    world.part(AUTHOR, READER);
    world.part(READER, MAILBOX);
    for day in 0..40 {
        world.say(AUTHOR, group, &format!("{day}"));
        world.pass(seconds(24 * 3600));
    }
    assert!(logs(&world).len() >= 2, "a log for each secret");
    world.part(AUTHOR, MAILBOX);
    world.connect(READER, MAILBOX);
    world.pass(seconds(900));
    // Of forty days the mailbox keeps fourteen.
    let said: Vec<String> = (27..40).map(|n| n.to_string()).collect();
    let shown = world.texts(READER, group);
    assert!(shown.ends_with(&said), "{shown:?}");
}

/// The same with a third member, and the reader away.
fn world_of_three() -> (World, OpId) {
    let mut world = World::new(4);
    let group = world.group_with(&[READER, LEAVER]);
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    let mailbox = world.account(MAILBOX);
    for at in [AUTHOR, READER, LEAVER] {
        world.command(at, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    }
    world.command(AUTHOR, Command::NameGroupMailbox(group, mailbox)).unwrap();
    world.pass(seconds(60));
    world.part_all(READER);
    (world, group)
}

/// The reader comes to the mailbox with everybody else gone.
fn read_alone(world: &mut World) {
    world.part(AUTHOR, MAILBOX);
    world.connect(READER, MAILBOX);
    world.pass(seconds(60));
}

#[test]
fn a_leaving_is_left_by_who_goes_on_where_the_leaver_is_gone() {
    let (mut world, group) = world_of_three();
    world.part(LEAVER, MAILBOX);
    world.command(LEAVER, Command::LeaveGroup(group)).unwrap();
    world.part(LEAVER, AUTHOR);
    world.pass(seconds(10));
    world.say(AUTHOR, group, "after the leaving");
    world.pass(seconds(60));
    assert_eq!(kept(&world, AUTHOR, group), 1);
    read_alone(&mut world);
    assert_eq!(world.texts(READER, group), ["after the leaving"]);
    assert!(!world.member(READER, group, LEAVER).current);
}

#[test]
fn what_a_mailbox_has_of_a_member_can_be_read_with_what_it_has() {
    let (mut world, group) = world_of_three();
    let leaver = world.account(LEAVER);
    world.command(AUTHOR, Command::RemoveMember(group, leaver)).unwrap();
    world.say(AUTHOR, group, "after the removal");
    for _ in 0..600 {
        world.pass(Duration::from_millis(100));
        if kept(&world, AUTHOR, group) == 1 {
            break;
        }
    }
    read_alone(&mut world);
    assert_eq!(world.texts(READER, group), ["after the removal"]);
}

#[test]
fn whoever_runs_the_mailbox_may_be_a_member() {
    let mut world = World::new(3);
    let group = world.group();
    world.command(AUTHOR, Command::ServeMailbox(Serving::On)).unwrap();
    let own = world.account(AUTHOR);
    world.command(AUTHOR, Command::NameGroupMailbox(group, own)).unwrap();
    world.pass(seconds(60));
    // The two others never meet: what one says the other has from the first's log.
    world.part(1, 2);
    world.part(AUTHOR, 2);
    world.say(1, group, "from the second");
    world.say(AUTHOR, group, "from the first");
    world.pass(seconds(60));
    world.part(AUTHOR, 1);
    world.nodes[AUTHOR].engine.mem.never_compares = true;
    world.connect(AUTHOR, 2);
    world.pass(seconds(60));
    assert_eq!(world.texts(2, group), world.texts(AUTHOR, group));
    assert_eq!(world.texts(2, group).len(), 2);
}

#[test]
fn a_log_is_of_whoever_knows_its_id_and_nobody_empties_it() {
    let (mut world, group) = world();
    world.part(AUTHOR, READER);
    world.part(READER, MAILBOX);
    world.say(AUTHOR, group, "kept");
    world.pass(seconds(60));
    let log = logs(&world).into_iter().find(|row| row.kept.blobs > 0).unwrap();
    let count = frames(&world).len();
    let stranger = TransportKey([9; 32]);
    let opener = world.nodes[AUTHOR].transport;
    let mut ask = |from: TransportKey, ask: Ask| {
        world.to_strangers.clear();
        world.input(MAILBOX, Input::Frame(from, Frame::Ask(ask).to_bytes()));
        world.to_strangers.clone()
    };
    let unknown = BoxId([7; 16]);
    assert_eq!(ask(stranger, Ask::Keep(unknown)), [Frame::Say(Say::Opened(unknown, Verdict::NotAllowed))]);
    ask(opener, Ask::Took(log.id, vec![log.last]));
    ask(opener, Ask::Close(log.id, crate::protocol::time::Millis(0)));
    let again = ask(stranger, Ask::Deposit(log.id, vec![1; 600]));
    assert!(
        matches!(again[..], [Frame::Say(Say::Deposited(_, _, Verdict::Done))]),
        "who knows the id may leave things"
    );
    let garbage = frames(&world).len();
    assert_eq!(garbage, count + 1, "and nothing is gone");
    world.part(AUTHOR, MAILBOX);
    world.connect(READER, MAILBOX);
    world.pass(seconds(60));
    assert_eq!(world.texts(READER, group), ["kept"], "garbage is passed over");
}

#[test]
fn a_mailbox_that_lost_its_store_is_read_on() {
    let (mut world, group) = world();
    world.part(AUTHOR, READER);
    world.say(AUTHOR, group, "one");
    world.pass(seconds(60));
    assert_eq!(world.texts(READER, group), ["one"]);
    let log = logs(&world).into_iter().find(|row| row.kept.blobs > 0).unwrap();
    world.nodes[MAILBOX].shelf.0.retain(|key, _| key.table != MailRow::TABLE && *key != BoxRow::key(log.id));
    world.part(READER, MAILBOX);
    world.say(AUTHOR, group, "two");
    world.pass(seconds(120));
    world.part(AUTHOR, MAILBOX);
    world.connect(READER, MAILBOX);
    world.pass(seconds(60));
    assert_eq!(world.texts(READER, group), ["one", "two"]);
}

#[test]
fn frames_of_a_log_are_sealed_alike_so_that_it_holds_each_once() {
    let (mut world, group) = world();
    world.part(AUTHOR, READER);
    world.part(READER, MAILBOX);
    world.say(AUTHOR, group, "once");
    world.pass(seconds(60));
    let before = frames(&world).len();
    // The answer is lost with the connection, and it is left again.
    let row = PostRow { what: last_event(&world, group), under: vec![], left: vec![] };
    world.nodes[AUTHOR].shelf.0.insert(PostRow::key(group, 9_999), crate::protocol::wire::encode(&row));
    world.restart(AUTHOR);
    world.pass(seconds(120));
    assert_eq!(posts(&world, AUTHOR, group), 0);
    assert_eq!(frames(&world).len(), before);
    let memory = &world.nodes[AUTHOR].engine.mem.groups[&group];
    let keys: Vec<GossipKeys> = memory.secrets.iter().map(|held| GossipKeys::derive(&held.secret)).collect();
    assert!(frames(&world).iter().all(|frame| keys.iter().any(|keys| keys.open(frame).is_some())));
}

fn last_event(world: &World, group: OpId) -> rows::Posted {
    let shelf = &world.nodes[AUTHOR].shelf;
    let lines = shelf.scan(TimelineRow::TABLE, group.as_ref(), None, Direction::Backward, 1).unwrap();
    rows::Posted::Event(rows::parse::<TimelineRow>(&lines[0].1).unwrap().0)
}

#[test]
fn who_may_name_mailboxes_and_which() {
    let (mut world, group) = world();
    let mailbox = world.account(MAILBOX);
    let own = world.account(AUTHOR);
    let named = |world: &World, at: usize| {
        let row: rows::GroupRow = world.row(at, &rows::GroupRow::key(group)).unwrap();
        row.mailboxes.iter().map(|mailbox| mailbox.account).collect::<Vec<_>>()
    };
    assert_eq!((named(&world, AUTHOR), named(&world, READER)), (vec![mailbox], vec![mailbox]));
    let refused = |world: &mut World, at, command| world.command(at, command).unwrap_err();
    assert_eq!(refused(&mut world, READER, Command::NameGroupMailbox(group, mailbox)), Refusal::NotAllowed);
    assert_eq!(refused(&mut world, AUTHOR, Command::NameGroupMailbox(group, own)), Refusal::NotServing);
    let nobody = AccountId([5; 32]);
    assert_eq!(refused(&mut world, AUTHOR, Command::NameGroupMailbox(group, nobody)), Refusal::NoSuchMailbox);
    assert_eq!(refused(&mut world, AUTHOR, Command::DropGroupMailbox(group, nobody)), Refusal::NoSuchMailbox);
    world.command(AUTHOR, Command::RenameGroup(group, "walks".into())).unwrap();
    world.pass(seconds(10));
    assert_eq!(named(&world, READER), [mailbox], "another name leaves them");
    world.command(AUTHOR, Command::DropGroupMailbox(group, mailbox)).unwrap();
    world.pass(seconds(10));
    assert!(named(&world, READER).is_empty());
    // A group that is founded names those of its founder.
    let group = world.group_with(&[READER]);
    let row: rows::GroupRow = world.row(READER, &rows::GroupRow::key(group)).unwrap();
    assert_eq!(row.mailboxes.len(), 1);
}

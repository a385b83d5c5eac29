//! Members of a group who are never connected with each other: a mailbox is all that they share.

use super::{Engine, Settings, World, anew::lose_secrets_alone, rows};
use crate::protocol::{
    engine::{
        Command, Input,
        command::{MailboxAt, Serving},
        rows::{CursorRow, GossipSecretRow, OpRow, Row},
    },
    group::{Action, FrameContent, GossipKeys, SignedOp},
    ids::{ChatId, DeviceId, OpId},
    view::{Direction, Table, View},
    wire::{frame::Frame, mailbox::Ask},
};
use std::time::Duration;

const FOUNDER: usize = 0;
const FIRST: usize = 1;
const SECOND: usize = 2;
const MAILBOX: usize = 3;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Four contacts, of whom the last keeps mail for the others.
fn world() -> World {
    let mut world = World::new(4);
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    let mailbox = world.account(MAILBOX);
    for at in [FOUNDER, FIRST, SECOND] {
        world.command(at, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    }
    world.pass(seconds(90));
    world
}

/// From now on each is connected with the mailbox alone.
fn part_all(world: &mut World) {
    for (a, b) in [(FOUNDER, FIRST), (FOUNDER, SECOND), (FIRST, SECOND)] {
        world.part(a, b);
    }
}

/// What is durable begins anew, and its connections do not hear of it.
fn end_process(world: &mut World, at: usize) {
    world.nodes[at].engine = Engine::new(Settings::default());
    world.nodes[at].gates.clear();
    world.input(at, Input::Online);
}

fn names(world: &World, at: usize, group: OpId) -> Vec<Option<String>> {
    [FOUNDER, FIRST, SECOND].map(|member| world.member(at, group, member).name).to_vec()
}

/// Whether a node knows that another's device has all that it said since that joined.
fn is_delivered(world: &World, at: usize, group: OpId, to: usize) -> bool {
    let chat = ChatId::from(group);
    let key = rows::ReceiptRow::key(chat, rows::Side::Theirs, world.device(to));
    let Some(held) = world.row::<rows::ReceiptRow>(at, &key) else { return false };
    let written: rows::ChatRow = world.row(at, &rows::ChatRow::key(chat)).unwrap();
    let from = world.first_meant(at, group, to);
    (from..=written.written).all(|no| held.numbers().unwrap().contains(no))
}

fn rotations_by(world: &World, at: usize, group: OpId, device: DeviceId) -> usize {
    let ops = rows::all::<OpRow>(&world.nodes[at].shelf, group).unwrap();
    let ops = ops.iter().map(|row| SignedOp::parse(&row.bytes).unwrap());
    ops.filter(|op| op.device == device && matches!(op.action, Action::RotateGossipSecret(_))).count()
}

#[test]
fn members_who_are_never_connected_have_all_and_know_each_other_by_name() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    part_all(&mut world);
    world.invite(group, SECOND);
    world.pass(seconds(300));
    let all = ["p0", "p1", "p2"].map(|name| Some(name.to_owned()));
    for at in [FOUNDER, FIRST, SECOND] {
        assert_eq!(names(&world, at, group), all, "at {at}");
    }
    for at in [FOUNDER, FIRST, SECOND] {
        world.say(at, group, &format!("from {at}"));
        world.pass(seconds(1));
    }
    world.pass(seconds(300));
    for at in [FOUNDER, FIRST, SECOND] {
        assert_eq!(world.texts(at, group), ["from 0", "from 1", "from 2"], "at {at}");
        for to in [FOUNDER, FIRST, SECOND] {
            assert!(at == to || is_delivered(&world, at, group, to), "{at} knows that {to} has all");
        }
    }

    // Another name is said anew to who is there, and handed to who comes after that.
    world.command(FIRST, Command::SetName("other".into())).unwrap();
    world.pass(seconds(300));
    assert_eq!(names(&world, SECOND, group)[FIRST].as_deref(), Some("other"));
}

#[test]
fn a_name_that_another_left_in_a_log_is_not_taken_for_its_own() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    part_all(&mut world);
    world.invite(group, SECOND);
    world.pass(seconds(300));
    let voucher = |of: usize| {
        let account = world.account(of);
        world.row::<rows::VoucherRow>(SECOND, &rows::VoucherRow::key(group, account)).unwrap()
    };
    let (of_founder, of_first) = (voucher(FOUNDER), voucher(FIRST));
    // Its event with another's key, a bit of it, of it changed, and what is none at all.
    let changed = |at: usize| {
        let mut event = of_founder.event.clone();
        event[at] ^= 1;
        event
    };
    let last = of_founder.event.len() - 1;
    let mut lies = vec![
        FrameContent::Name(of_founder.event.clone(), of_first.key.clone()),
        FrameContent::Name(of_founder.event[..last].to_vec(), of_founder.key.clone()),
        FrameContent::Name(Vec::new(), of_founder.key.clone()),
    ];
    lies.extend([0, last / 2, last].map(|at| FrameContent::Name(changed(at), of_founder.key.clone())));
    let secrets = rows::all::<GossipSecretRow>(&world.nodes[SECOND].shelf, group).unwrap();
    let keys = GossipKeys::derive(&secrets[0].secret);
    let (liar, node) = (world.nodes[FIRST].transport, world.nodes[MAILBOX].transport);
    let cursor = |world: &World| world.row::<CursorRow>(SECOND, &CursorRow::key(node, keys.mailbox())).unwrap().0;
    for lie in &lies {
        let ask = Ask::Deposit(keys.mailbox(), keys.seal_for_log(lie).unwrap());
        world.input(MAILBOX, Input::Frame(liar, Frame::Ask(ask).to_bytes()));
    }
    world.pass(seconds(60));
    let all = ["p0", "p1", "p2"].map(|name| Some(name.to_owned()));
    assert_eq!(names(&world, SECOND, group), all);
    let log: rows::BoxRow = world.row(MAILBOX, &rows::BoxRow::key(keys.mailbox())).unwrap();
    assert_eq!(cursor(&world), log.last, "all were read and passed");
}

#[test]
fn what_was_said_before_a_mailbox_kept_the_log_reaches_who_is_never_met() {
    let mut world = World::new(4);
    let group = world.group_with(&[FIRST]);
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    let mailbox = world.account(MAILBOX);
    for at in [FOUNDER, FIRST] {
        world.command(at, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    }
    world.pass(seconds(90));
    world.part(FOUNDER, FIRST);
    world.say(FOUNDER, group, "one");
    world.pass(seconds(1));
    world.say(FIRST, group, "two");
    world.pass(seconds(60));
    world.command(FOUNDER, Command::NameGroupMailbox(group, mailbox)).unwrap();
    world.pass(seconds(300));
    for (at, to) in [(FOUNDER, FIRST), (FIRST, FOUNDER)] {
        assert_eq!(world.texts(at, group), ["one", "two"]);
        assert!(is_delivered(&world, at, group, to));
    }
    let posts = |at: usize| {
        let shelf = &world.nodes[at].shelf;
        shelf.scan(rows::PostRow::TABLE, group.as_ref(), None, Direction::Forward, 9).unwrap().len()
    };
    assert_eq!((posts(FOUNDER), posts(FIRST)), (0, 0), "nothing waits to be left");
}

#[test]
fn what_a_member_did_beside_an_invitation_reaches_who_came_by_that() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    part_all(&mut world);
    world.part(FIRST, MAILBOX);
    // Both turn the gossip secret, and the newcomer is given that of who invited it.
    world.pass(Duration::from_secs(31 * 24 * 3600));
    let first = world.device(FIRST);
    world.invite(group, SECOND);
    world.pass(seconds(300));
    assert_eq!((rotations_by(&world, FIRST, group, first), rotations_by(&world, SECOND, group, first)), (1, 0));
    world.say(FIRST, group, "alone");
    world.connect(FIRST, MAILBOX);
    world.pass(seconds(900));
    world.say(FIRST, group, "hello");
    world.pass(seconds(1));
    world.say(SECOND, group, "welcome back");
    world.pass(seconds(900));
    assert_eq!(rotations_by(&world, SECOND, group, first), 1);
    assert_eq!(world.texts(SECOND, group), ["hello", "welcome back"]);
    assert_eq!(world.texts(FIRST, group), ["alone", "hello", "welcome back"]);
    assert_eq!(names(&world, SECOND, group), ["p0", "p1", "p2"].map(|name| Some(name.to_owned())));
}

#[test]
fn a_receipt_that_was_lost_with_its_connection_and_process_is_told_by_mail() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    world.pass(seconds(90));
    world.say(FOUNDER, group, "there");
    assert_eq!(world.texts(FIRST, group), ["there"]);
    // Its receipt is still gathered, and what is sent goes nowhere from here on.
    world.apart.insert((FOUNDER, FIRST));
    world.pass(seconds(5));
    assert!(!is_delivered(&world, FOUNDER, group, FIRST));
    end_process(&mut world, FIRST);
    world.part(FOUNDER, FIRST);
    world.connect(FIRST, MAILBOX);
    world.pass(seconds(120));
    assert!(is_delivered(&world, FOUNDER, group, FIRST));
}

#[test]
fn that_control_records_came_by_mail_is_told_again_by_mail_after_a_kill() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    part_all(&mut world);
    world.part(FIRST, MAILBOX);
    world.part(SECOND, MAILBOX);
    world.invite(group, SECOND);
    world.pass(seconds(120));
    // They are connected, but nothing goes over that; what was left by mail comes.
    for (at, other) in [(FOUNDER, SECOND), (SECOND, FOUNDER)] {
        let peer = world.nodes[other].transport;
        world.input(at, Input::Connected { peer, address: None });
    }
    world.connect(SECOND, MAILBOX);
    world.pass(seconds(2));
    assert!(world.outbox(FOUNDER, SECOND) > 0);
    end_process(&mut world, SECOND);
    world.part(FOUNDER, SECOND);
    world.connect(SECOND, MAILBOX);
    world.pass(seconds(120));
    assert_eq!(world.outbox(FOUNDER, SECOND), 0);
}

#[test]
fn ops_whose_past_went_with_its_log_are_asked_for_by_mail() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    world.pass(seconds(90));
    part_all(&mut world);
    world.part(FIRST, MAILBOX);
    world.command(FOUNDER, Command::RenameGroup(group, "first".into())).unwrap();
    world.pass(seconds(120));
    world.nodes[MAILBOX].shelf.0.retain(|key, _| key.table != Table::Mail);
    world.command(FOUNDER, Command::RenameGroup(group, "second".into())).unwrap();
    world.pass(seconds(120));
    world.connect(FIRST, MAILBOX);
    world.pass(seconds(1_800));
    let name = rows::read::<rows::GroupRow>(&world.nodes[FIRST].shelf, &rows::GroupRow::key(group)).unwrap();
    assert_eq!(name.unwrap().name, "second");
}

#[test]
fn who_left_beside_an_invitation_has_left_for_the_newcomer_too() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    part_all(&mut world);
    world.part(FIRST, MAILBOX);
    world.invite(group, SECOND);
    world.pass(seconds(300));
    assert!(world.member(SECOND, group, FIRST).current);
    // It never knew of the newcomer, so it tells it nothing.
    world.command(FIRST, Command::LeaveGroup(group)).unwrap();
    world.connect(FOUNDER, FIRST);
    world.pass(seconds(300));
    for at in [FOUNDER, SECOND] {
        assert!(!world.member(at, group, FIRST).current, "at {at}");
    }
    assert_eq!(world.outbox(FOUNDER, SECOND), 0);
}

#[test]
fn what_is_in_memory_alone_is_not_confirmed_by_mail_either() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    part_all(&mut world);
    world.part(FIRST, MAILBOX);
    world.part(FOUNDER, MAILBOX);
    world.connect(FOUNDER, SECOND);
    world.invite(group, SECOND);
    world.pass(seconds(60));
    world.part(FOUNDER, SECOND);
    // Its chain comes to one that does not know it as a member yet, and is forgotten there with the process.
    world.say(SECOND, group, "from one unheard of");
    world.pass(seconds(60));
    world.connect(FIRST, MAILBOX);
    world.pass(seconds(30));
    world.part(FIRST, MAILBOX);
    world.pass(seconds(30));
    assert!(world.outbox(SECOND, FIRST) > 0, "what is not durable there is kept here");
    world.restart_alone(FIRST);
    world.connect(FIRST, FOUNDER);
    world.pass(seconds(30));
    world.part(FIRST, FOUNDER);
    world.connect(FIRST, MAILBOX);
    world.pass(seconds(1_200));
    assert_eq!(world.texts(FIRST, group), ["from one unheard of"]);
    assert_eq!(world.outbox(SECOND, FIRST), 0);
}

#[test]
fn one_who_lost_the_key_of_a_member_it_never_meets_asks_for_it_by_mail() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    part_all(&mut world);
    world.say(FIRST, group, "one");
    world.pass(seconds(300));
    assert_eq!(world.texts(FOUNDER, group), ["one"]);
    lose_secrets_alone(&mut world, FOUNDER);
    world.say(FIRST, group, "two");
    world.pass(seconds(60));
    world.connect(FOUNDER, MAILBOX);
    world.pass(seconds(3_600));
    assert_eq!(world.texts(FOUNDER, group), ["one", "two"]);
    assert!(is_delivered(&world, FIRST, group, FOUNDER));
}

#[test]
fn what_was_on_its_way_when_secrets_were_lost_is_told_again() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    part_all(&mut world);
    world.part(FOUNDER, MAILBOX);
    world.connect(FOUNDER, SECOND);
    world.invite(group, SECOND);
    world.pass(seconds(60));
    lose_secrets_alone(&mut world, FOUNDER);
    world.connect(FOUNDER, MAILBOX);
    world.pass(seconds(900));
    assert!(world.member(FIRST, group, SECOND).current);
}

#[test]
fn who_lost_what_it_takes_to_hear_of_an_op_asks_the_author_of_what_rests_on_it_by_mail() {
    let mut world = world();
    let group = world.group_with(&[FIRST]);
    part_all(&mut world);
    lose_secrets_alone(&mut world, FIRST);
    world.command(FOUNDER, Command::RenameGroup(group, "renamed".into())).unwrap();
    world.say(FOUNDER, group, "after it");
    world.pass(seconds(60));
    world.connect(FIRST, MAILBOX);
    world.pass(seconds(3_600));
    assert_eq!(world.texts(FIRST, group), ["after it"]);
}

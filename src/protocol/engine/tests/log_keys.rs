//! Keys for members who name no mailbox, by the log of their group.

use super::{World, anew::start_anew};
use crate::protocol::{
    engine::{
        Command,
        command::{MailboxAt, Serving},
        rows::{self, OutboxRow},
    },
    ids::OpId,
};
use std::time::Duration;

const FOUNDER: usize = 0;
const AWAY: usize = 1;
const OTHER: usize = 2;
const MAILBOX: usize = 3;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Three members of whom the founder alone has a mailbox, which keeps the group's log and is no member.
fn world() -> (World, OpId) {
    let mut world = World::new(4);
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    let mailbox = world.account(MAILBOX);
    world.command(FOUNDER, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    world.pass(seconds(60));
    let group = world.group_with(&[AWAY, OTHER]);
    world.command(FOUNDER, Command::NameGroupMailbox(group, mailbox)).unwrap();
    for at in [FOUNDER, AWAY, OTHER] {
        world.say(at, group, &format!("here {at}"));
    }
    world.pass(seconds(120));
    (world, group)
}

/// Whether a key waits for one that lies nowhere.
fn lacks_a_key(world: &World, at: usize, group: OpId, to: usize) -> bool {
    let rows: Vec<OutboxRow> = rows::all(&world.nodes[at].shelf, world.device(to)).unwrap();
    rows.iter().any(|row| row.is_key_of(group) && !row.is_in_mailbox(world.now))
}

#[test]
fn what_is_said_after_a_removal_is_read_out_of_the_log_by_who_has_no_mailbox() {
    let (mut world, group) = world();
    world.part_all(AWAY);
    world.pass(seconds(60));
    let removed = world.account(OTHER);
    world.command(FOUNDER, Command::RemoveMember(group, removed)).unwrap();
    world.say(FOUNDER, group, "after it");
    world.pass(seconds(120));
    assert!(!lacks_a_key(&world, FOUNDER, group, AWAY));
    world.part_all(FOUNDER);
    world.part_all(OTHER);
    world.connect(AWAY, MAILBOX);
    world.pass(seconds(120));
    assert!(world.texts(AWAY, group).contains(&"after it".to_owned()), "{:?}", world.texts(AWAY, group));
    // Who was removed reads the same log of before, and nothing of it.
    world.connect(OTHER, MAILBOX);
    world.pass(seconds(120));
    assert!(!world.texts(OTHER, group).contains(&"after it".to_owned()));
    // When they meet it is confirmed, and nothing comes twice.
    world.connect(FOUNDER, AWAY);
    world.pass(seconds(60));
    assert_eq!(world.texts(AWAY, group).iter().filter(|text| *text == "after it").count(), 1);
    assert_eq!(world.outbox(FOUNDER, AWAY), 0);
}

#[test]
fn a_key_that_a_mailbox_lost_by_an_older_store_is_left_there_again() {
    let (mut world, group) = world();
    world.part_all(AWAY);
    world.pass(seconds(60));
    let copy = world.nodes[MAILBOX].shelf.clone();
    let removed = world.account(OTHER);
    world.command(FOUNDER, Command::RemoveMember(group, removed)).unwrap();
    world.say(FOUNDER, group, "after it");
    world.pass(seconds(120));
    assert!(!lacks_a_key(&world, FOUNDER, group, AWAY));
    world.nodes[MAILBOX].shelf = copy;
    start_anew(&mut world, MAILBOX);
    world.connect(FOUNDER, MAILBOX);
    assert!(lacks_a_key(&world, FOUNDER, group, AWAY), "it is not said to be there");
    world.pass(seconds(120));
    assert!(!lacks_a_key(&world, FOUNDER, group, AWAY));
}

#[test]
fn a_newcomer_and_a_member_who_never_met_read_each_other_out_of_the_log() {
    let mut world = World::strangers(4);
    for (a, b) in [(FOUNDER, AWAY), (FOUNDER, OTHER), (FOUNDER, MAILBOX)] {
        world.connect(a, b);
        world.meet(a, b);
    }
    world.command(MAILBOX, Command::ServeMailbox(Serving::On)).unwrap();
    let mailbox = world.account(MAILBOX);
    world.command(FOUNDER, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    world.pass(seconds(60));
    world.part_all(OTHER);
    let group = world.group_with(&[AWAY]);
    world.command(FOUNDER, Command::NameGroupMailbox(group, mailbox)).unwrap();
    world.pass(seconds(60));
    world.part_all(AWAY);
    world.connect(FOUNDER, OTHER);
    world.connect(FOUNDER, MAILBOX);
    world.pass(seconds(60));
    world.invite(group, OTHER);
    world.pass(seconds(120));
    world.part_all(OTHER);
    world.part_all(FOUNDER);

    // Each is up in its turn with the mailbox alone.
    world.connect(AWAY, MAILBOX);
    world.pass(seconds(120));
    world.say(AWAY, group, "to the newcomer");
    world.pass(seconds(120));
    world.part_all(AWAY);
    world.connect(OTHER, MAILBOX);
    world.pass(seconds(120));
    assert!(world.texts(OTHER, group).contains(&"to the newcomer".to_owned()), "{:?}", world.texts(OTHER, group));
    world.say(OTHER, group, "to who was there");
    world.pass(seconds(120));
    world.part_all(OTHER);
    world.connect(AWAY, MAILBOX);
    world.pass(seconds(120));
    assert!(world.texts(AWAY, group).contains(&"to who was there".to_owned()));
}

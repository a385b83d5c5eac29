//! Devices made of a backup that come back by mail alone, to who was away, or while the one of before lives on.

use super::{
    backup::{HOUR, Items, LATER, SOON},
    *,
};
use crate::protocol::engine::{
    command::{MailboxAt, Serving},
    feed::Progress,
};

/// Three contacts; the last keeps mail for the first two, who are parted for good.
pub(super) fn parted_with_a_mailbox() -> World {
    let mut world = World::new(3);
    world.command(2, Command::ServeMailbox(Serving::On)).unwrap();
    for at in [0, 1] {
        let mailbox = world.account(2);
        world.command(at, Command::AddMailbox(MailboxAt::Contact(mailbox))).unwrap();
    }
    world
}

/// Three contacts in a group, something said by the first to the second, and the first one's backup of then.
fn backed_up() -> (World, OpId, ChatId, Items) {
    let mut world = World::new(3);
    let group = world.group();
    let chat = world.direct(0, 1);
    world.tell(0, 1, "before");
    world.pass(LATER);
    let items = world.back_up(0);
    (world, group, chat, items)
}

impl World {
    /// Where a device was made of a backup it is known that another holds what a device of before said.
    fn knows_held(&self, at: usize, (author, event): (DeviceId, &rows::EventRow), by: usize) {
        let key = rows::ReceiptRow::key(event.chat, rows::Side::TheirsOf(author), self.device(by));
        let row: rows::ReceiptRow = self.row(at, &key).expect("it was told");
        assert!(row.numbers().unwrap().contains(event.no), "{by}");
    }

    /// So many times each of these comes to the mailbox in turn, while the others are away.
    pub(super) fn take_turns(&mut self, among: [usize; 2], mailbox: usize, rounds: usize) {
        for _ in 0..rounds {
            for at in among {
                self.connect(at, mailbox);
                self.pass(LATER);
                self.part(at, mailbox);
            }
        }
    }
}

#[test]
fn a_restored_device_goes_on_by_mail_alone() {
    let mut world = parted_with_a_mailbox();
    let chat = world.direct(0, 1);
    world.tell(0, 1, "before");
    world.pass(SOON);
    world.part(0, 1);
    let items = world.back_up(0);
    world.part(1, 2);
    world.tell(0, 1, "left by the lost one");
    world.pass(SOON);
    world.part(0, 2);
    world.connect(1, 2);
    world.tell(1, 0, "left for the lost one");
    world.pass(SOON);
    world.part(1, 2);

    let new = world.return_by(0, &items);
    world.tell(new, 1, "from the new one");
    world.take_turns([new, 1], 2, 3);
    world.tell(1, new, "to the new one");
    world.take_turns([1, new], 2, 3);
    assert_eq!(
        world.texts_of(1, chat),
        ["before", "left by the lost one", "left for the lost one", "from the new one", "to the new one"]
    );
    assert_eq!(world.texts_of(new, chat), ["before", "left for the lost one", "from the new one", "to the new one"]);
    assert_eq!((world.outbox(new, 1), world.outbox(1, new), world.outbox(1, 0)), (0, 0, 0));
    assert_eq!(world.contact(1, 0).devices, [world.device(new)]);
}

#[test]
fn a_restored_member_is_back_in_its_group_by_mail_alone() {
    let mut world = parted_with_a_mailbox();
    let group = world.group_with(&[1]);
    let mailbox = world.account(2);
    world.command(0, Command::NameGroupMailbox(group, mailbox)).unwrap();
    world.say(0, group, "before");
    world.pass(LATER);
    let items = world.back_up(1);
    world.part(0, 1);
    world.part(0, 2);
    world.say(1, group, "by the lost one, which only the mailbox has");
    world.pass(LATER);
    world.part(1, 2);
    world.say(0, group, "while it is lost");

    let new = world.return_by(1, &items);
    world.say(new, group, "back");
    world.take_turns([0, new], 2, 4);
    world.say(0, group, "welcome");
    world.take_turns([0, new], 2, 4);
    let all = ["before", "by the lost one, which only the mailbox has", "while it is lost", "back", "welcome"];
    assert_eq!(sorted(world.texts(0, group)), sorted(all.map(str::to_owned).to_vec()));
    // What the lost one said after the backup any member gives that is met; what the others said meanwhile they leave again.
    let here: Vec<String> = world.texts(0, group).into_iter().filter(|text| text != all[1]).collect();
    assert_eq!(world.texts(new, group), here);
    assert!(world.is_listed(0, group, new) && world.is_listed(new, group, new));
    assert_eq!((world.outbox(new, 0), world.outbox(0, new), world.outbox(0, 1)), (0, 0, 0));
    world.connect(0, new);
    world.pass(LATER);
    assert_eq!(world.texts(0, group), world.texts(new, group));
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[test]
fn who_was_away_when_a_device_was_lost_finds_the_new_one_later() {
    let (mut world, group, chat, items) = backed_up();
    world.restart_alone(1);
    world.tell(1, 0, "written while away");
    world.say(1, group, "said while away");
    let new = world.return_by(0, &items);
    world.connect(2, new);
    world.tell(new, 1, "for when you come");
    world.say(new, group, "to all");
    world.pass(24 * HOUR);
    // What the lost one would have had by now: nothing new.
    assert_eq!(world.outbox(2, 0), 0);
    world.connect(1, new);
    world.connect(1, 2);
    world.pass(LATER);
    for at in [1, new] {
        assert_eq!(world.texts_of(at, chat), ["before", "written while away", "for when you come"], "{at}");
        assert_eq!(world.texts(at, group), ["said while away", "to all"], "{at}");
    }
    assert_eq!(world.texts(2, group), world.texts(new, group));
    assert_eq!((world.outbox(1, 0), world.outbox(1, new), world.outbox(new, 1)), (0, 0, 0));
}

#[test]
fn what_is_handed_back_of_the_lost_ones_words_is_known_to_be_there() {
    let (mut world, group, _, items) = backed_up();
    let (lost, chat) = (world.device(0), ChatId::from(group));
    let Ok(Reply::Sent { id, .. }) = world.write(0, chat, "after the backup") else { panic!("it is said") };
    world.pass(LATER);
    let new = world.return_to_all(0, &items);
    // Nobody else speaks.
    world.pass(SOON);
    assert_eq!(world.texts(new, group), ["after the backup"]);
    let event: rows::EventRow = world.row(new, &rows::EventRow::key(id)).unwrap();
    for by in [1, 2] {
        world.knows_held(new, (lost, &event), by);
    }
}

#[test]
fn who_comes_back_twice_by_one_backup_knows_of_the_words_in_between() {
    let (mut world, group, _, items) = backed_up();
    let chat = ChatId::from(group);
    let first = world.return_to_all(0, &items);
    let between = world.device(first);
    let Ok(Reply::Sent { id, .. }) = world.write(first, chat, "in between") else { panic!("it is said") };
    world.pass(LATER);
    let second = world.return_to_all(first, &items);
    world.pass(LATER);
    assert_eq!(world.texts(second, group), ["in between"]);
    let event: rows::EventRow = world.row(second, &rows::EventRow::key(id)).unwrap();
    for by in [1, 2] {
        world.knows_held(second, (between, &event), by);
        let (account, told) = (world.account(by), world.feed(second));
        let is_told = told.iter().any(|entry| match entry {
            FeedEntry::Receipt { by, state: Progress::Delivered, ids, .. } => *by == account && *ids == [id],
            _ => false,
        });
        assert!(is_told, "watchers are told of {by}");
        let member = world.member(second, group, by);
        assert!(member.meant.has(between, event.no), "{by}");
    }
}

#[test]
fn the_old_device_is_out_and_gets_nothing_new() {
    let (mut world, group, chat, items) = backed_up();
    let new = world.return_to_all(0, &items);
    world.pass(LATER);
    // It was stolen rather than lost, and goes on as if nothing had been.
    for other in [1, 2] {
        world.connect(0, other);
    }
    world.restart(1);
    world.apart.insert((0, new));
    world.tell(1, new, "for the new one");
    world.say(2, group, "to all");
    world.ignore_its_replacement(0);
    world.write(0, chat, "by the thief").unwrap();
    let _ = world.write(0, ChatId::from(group), "by the thief to all");
    world.pass(HOUR);
    assert_eq!(
        (world.texts_of(0, chat), world.texts(0, group).len()),
        (vec!["before".into(), "by the thief".into()], 1)
    );
    for at in [1, new] {
        assert_eq!(world.texts_of(at, chat), ["before", "for the new one"], "{at}");
    }
    for at in [1, 2, new] {
        assert_eq!(world.texts(at, group), ["to all"], "{at}");
        assert!(world.is_listed(at, group, new), "{at}");
    }
    assert!(!world.topics(2).is_subset(&world.topics(0)), "it hears no gossip of now");
}

#[test]
fn those_whom_the_lost_device_and_its_successor_had_added_become_known_to_each_other() {
    let mut world = World::strangers(3);
    for at in [1, 2] {
        world.connect(0, at);
        world.meet(0, at);
    }
    let group = world.group_with(&[]);
    let items = world.back_up(0);
    world.part(0, 2);
    world.invite(group, 1);
    world.pass(SOON);
    let new = world.return_by(0, &items);
    world.connect(new, 2);
    let other = world.account(2);
    world.command(new, Command::InviteToGroup(group, other)).unwrap();
    world.pass(SOON);
    world.command(new, Command::LeaveGroup(group)).unwrap();
    world.pass(LATER);
    world.connect(new, 1);
    world.pass(LATER);
    world.connect(1, 2);
    world.pass(LATER);
    assert!(world.is_listed(1, group, 2) && world.is_listed(2, group, 1));
    world.say(1, group, "you too");
    world.pass(LATER);
    assert_eq!(world.texts(2, group), ["you too"]);
    assert_eq!((world.outbox(1, 2), world.outbox(2, 1)), (0, 0));
}

//! A device that another took the place of learns it, from whoever knows, and from nobody who lies.

use super::{
    backup::{HOUR, LATER, SOON, group_with_strangers},
    *,
};
use crate::protocol::{
    identity::{SignedCert, SignedList},
    wire::{decode, encode},
};

impl World {
    /// A device that does not want to know it: how a thief's would go on.
    pub(super) fn ignore_its_replacement(&mut self, at: usize) {
        let own = rows::OwnRow { replaced: None, ..self.own(at) };
        self.nodes[at].shelf.take(Write::Put(rows::OwnRow::key(), encode(&own)));
    }

    fn own(&self, at: usize) -> rows::OwnRow {
        self.row(at, &rows::OwnRow::key()).unwrap()
    }

    fn is_replaced(&self, at: usize) -> bool {
        let told = self.feed(at).iter().filter(|entry| **entry == FeedEntry::Replaced).count();
        let is_replaced = self.own(at).replaced.is_some();
        assert_eq!(told, usize::from(is_replaced), "it is told once");
        is_replaced
    }

    fn try_to_tell(&mut self, at: usize, to: usize) -> Result<Reply, Refusal> {
        self.write(at, self.direct(at, to), "does anybody hear me?")
    }
}

#[test]
fn the_old_device_that_is_switched_on_again_learns_that_it_is_out_and_says_so() {
    let mut world = World::new(3);
    let group = world.group();
    world.tell(0, 1, "before");
    world.pass(SOON);
    let items = world.back_up(0);
    let new = world.return_to_all(0, &items);
    world.pass(LATER);
    assert!(!world.is_replaced(0), "it was away");

    world.connect(0, 1);
    world.connect(0, 2);
    assert!(world.is_replaced(0) && !world.is_replaced(new));
    let since = world.own(0).replaced.unwrap().since;
    assert_eq!(world.try_to_tell(0, 1), Err(Refusal::Replaced { since }));
    assert_eq!(world.write(0, ChatId::from(group), "you?"), Err(Refusal::Replaced { since }));
    assert_eq!(world.command(0, Command::SetName("other".into())), Err(Refusal::Replaced { since }));
    world.restart(0);
    assert!(world.is_replaced(0));

    // What is its owner's alone goes on.
    let notes = ChatId::direct(world.account(0), world.account(0));
    assert!(world.write(0, notes, "a note").is_ok());
    assert_eq!(world.texts_of(0, world.direct(0, 1)), ["before"]);
    assert!(world.command(0, Command::MarkRead { chat: notes, up_to: None }).is_ok());
    world.tell(new, 1, "I am here");
    world.pass(SOON);
    assert_eq!(world.texts_of(1, world.direct(0, 1)), ["before", "I am here"]);
}

#[test]
fn a_device_that_is_connected_learns_it_at_once() {
    let mut world = World::new(2);
    let items = world.back_up(0);
    let new = world.return_by(0, &items);
    world.connect(0, 1);
    world.pass(SOON);
    assert!(!world.is_replaced(0), "nobody knows the new one");
    world.connect(new, 1);
    assert!(world.is_replaced(0));
}

#[test]
fn of_two_made_of_one_backup_the_earlier_learns_it_from_one_that_never_met_it() {
    let mut world = World::new(2);
    let items = world.back_up(0);
    let earlier = world.return_by(0, &items);
    world.pass(SOON);
    let later = world.return_by(0, &items);
    world.connect(later, 1);
    world.pass(SOON);
    // It calls on its contacts as soon as it meets them.
    world.connect(earlier, 1);
    assert!(world.is_replaced(earlier) && !world.is_replaced(later));
    assert_eq!(world.texts_of(1, world.direct(0, 1)), Vec::<String>::new());
    assert!(world.try_to_tell(earlier, 1).is_err());
}

#[test]
fn one_who_shares_only_a_group_tells_it_too() {
    let (mut world, group) = group_with_strangers();
    world.say(1, group, "hello");
    world.pass(LATER);
    let items = world.back_up(1);
    let new = world.return_by(1, &items);
    world.connect(new, 2);
    world.pass(LATER);
    world.connect(1, 2);
    world.pass(SOON);
    assert!(world.is_replaced(1) && !world.is_replaced(new));
}

#[test]
fn one_that_was_replaced_takes_its_place_back_by_a_backup() {
    let mut world = World::new(2);
    let items = world.back_up(0);
    let until_then = world.now;
    // The other device's clock was two hours ahead when it was made.
    world.now = world.now.plus(HOUR * 2);
    let new = world.return_by(0, &items);
    world.now = until_then;
    world.connect(new, 1);
    world.pass(SOON);
    world.connect(0, 1);
    assert!(world.is_replaced(0));
    let items = world.back_up(0);
    let back = world.return_to_all(0, &items);
    world.pass(SOON);
    world.tell(back, 1, "here again");
    world.pass(SOON);
    assert!(world.is_replaced(new) && !world.is_replaced(back) && world.is_replaced(0));
    assert_eq!(world.texts_of(1, world.direct(0, 1)), ["here again"]);
}

#[test]
fn nobody_is_put_out_by_a_list_that_proves_nothing() {
    let mut world = World::new(2);
    let own = world.own(0);
    let held: SignedList = decode(&own.list, "list").unwrap();
    let held = held.verify().unwrap();
    let cert: SignedCert = decode(&own.cert, "certificate").unwrap();
    let cert = cert.verify().unwrap();
    let account = AccountKey::from_words(&world.nodes[0].words);
    let other = AccountKey::from_words(&world.nodes[1].words);
    let list = |key: &AccountKey, seq, certs: &[_]| encode(&SignedList::issue(key, seq, certs.to_vec()).unwrap());
    let mut forged = list(&account, held.seq + 9, &[]);
    *forged.last_mut().unwrap() ^= 1;
    let lies = [
        own.list.clone(),
        list(&account, held.seq - 1, &[]),
        list(&account, held.seq + 9, &[cert.hash()]),
        list(&other, held.seq + 9, &[]),
        forged,
        Vec::new(),
        vec![0xff; 1024],
    ];
    let peer = world.nodes[1].transport;
    for lie in lies {
        world.input(0, Input::Frame(peer, Frame::List(lie).to_bytes()));
        assert!(!world.is_replaced(0));
    }
    assert!(world.try_to_tell(0, 1).is_ok());
    // Of the same account, newer, and without it: that is the proof.
    let proof = list(&account, held.seq + 9, &[]);
    world.input(0, Input::Frame(peer, Frame::List(proof).to_bytes()));
    assert!(world.is_replaced(0));
}

//! Bundles by mail: contacts that reach each other by mail alone and know no prekey of each other that is still held.

use super::{
    anew::lose_secrets_alone,
    backup::{HOUR, LATER, SOON},
    returns::parted_with_a_mailbox,
    *,
};
use crate::protocol::{
    crypto::envelope::{open_outer, seal_offer},
    engine::rows::{BoxRow, DeviceRow, MailRow, OwnRow, Row, TagRow},
    identity::{SignedBundle, bundle::seal_bundle},
    wire::mailbox::Say,
};

const MAILBOX: usize = 2;

impl World {
    /// What lies at the mailbox for a node.
    fn mail_for(&self, at: usize) -> Vec<Vec<u8>> {
        let shelf = &self.nodes[MAILBOX].shelf;
        let boxes: Vec<BoxRow> = rows::all(shelf, b"").unwrap();
        let of_node = boxes.iter().filter(|row| row.owner == self.nodes[at].transport);
        let scan = |row: &BoxRow| shelf.scan(MailRow::TABLE, &row.id.0, None, Direction::Forward, 9_999).unwrap();
        of_node.flat_map(scan).map(|(_, bytes)| rows::parse::<MailRow>(&bytes).unwrap().blob).collect()
    }

    /// The same, what of it are bundles.
    fn offers_for(&self, at: usize) -> Vec<Vec<u8>> {
        let mut mail = self.mail_for(at);
        mail.retain(|blob| {
            let tag = crate::protocol::crypto::envelope::peek(blob).unwrap();
            let key = self.row::<TagRow>(at, &TagRow::key(tag)).and_then(|row| row.key);
            key.is_some_and(|key| open_outer(blob, &key).is_ok_and(|outer| outer.offer().is_some()))
        });
        mail
    }

    /// The mailbox brings a node something, as if out of its box.
    fn bring(&mut self, at: usize, blob: &[u8]) {
        let boxes: Vec<BoxRow> = rows::all(&self.nodes[MAILBOX].shelf, b"").unwrap();
        let id = boxes.iter().find(|row| row.owner == self.nodes[at].transport).unwrap().id;
        let mailbox = self.nodes[MAILBOX].transport;
        let say = |say: Say| Input::Frame(mailbox, Frame::Say(say).to_bytes());
        self.apart.insert((at, MAILBOX));
        self.input(at, say(Say::Waiting(id)));
        self.input(at, say(Say::Mail(id, u64::MAX, blob.to_vec(), TransportKey([8; 32]))));
        self.input(at, say(Say::End(id, false, crate::protocol::wire::mailbox::Verdict::Done)));
        self.apart.remove(&(at, MAILBOX));
    }
}

/// Two that only share a mailbox, and both lost their secrets.
fn both_without_secrets() -> World {
    let mut world = parted_with_a_mailbox();
    world.tell(0, 1, "before");
    world.pass(LATER);
    world.part(0, 1);
    for at in [0, 1] {
        lose_secrets_alone(&mut world, at);
    }
    world
}

#[test]
fn two_that_both_lost_their_secrets_go_on_by_mail_alone() {
    let mut world = both_without_secrets();
    let chat = world.direct(0, 1);
    world.tell(0, 1, "a1");
    world.tell(1, 0, "b1");
    world.take_turns([0, 1], MAILBOX, 3);
    world.tell(0, 1, "a2");
    world.tell(1, 0, "b2");
    world.take_turns([0, 1], MAILBOX, 2);
    assert_eq!(sorted(world.texts_of(0, chat)), ["a1", "a2", "b1", "b2", "before"]);
    assert_eq!(world.texts_of(0, chat), world.texts_of(1, chat));
    assert_eq!((world.outbox(0, 1), world.outbox(1, 0)), (0, 0));
    assert_eq!((world.mail_for(0).len(), world.mail_for(1).len()), (0, 0));
}

#[test]
fn one_that_lost_its_secrets_and_knows_an_erased_prekey_is_answered_by_mail() {
    let mut world = parted_with_a_mailbox();
    let chat = world.direct(0, 1);
    world.tell(0, 1, "before");
    world.pass(LATER);
    world.part(0, 1);
    world.part(0, MAILBOX);
    for _ in 0..36 {
        world.pass(24 * HOUR);
    }
    world.part(1, MAILBOX);
    lose_secrets_alone(&mut world, 0);
    world.tell(0, 1, "from the one that knows no prekey");
    world.tell(1, 0, "in the session of before");
    world.take_turns([0, 1], MAILBOX, 4);
    let all = ["before", "from the one that knows no prekey", "in the session of before"];
    assert_eq!(sorted(world.texts_of(0, chat)), all);
    assert_eq!(sorted(world.texts_of(1, chat)), all);
    assert_eq!((world.outbox(0, 1), world.outbox(1, 0)), (0, 0));
}

#[test]
fn a_device_of_a_backup_older_than_any_prekey_comes_back_by_mail_alone() {
    let mut world = parted_with_a_mailbox();
    let chat = world.direct(0, 1);
    world.tell(0, 1, "before");
    world.pass(LATER);
    world.part(0, 1);
    let items = world.back_up(0);
    world.part(0, MAILBOX);
    world.tell(1, 0, "for the lost one");
    for _ in 0..36 {
        world.pass(24 * HOUR);
    }
    world.part(1, MAILBOX);
    let new = world.return_by(0, &items);
    world.tell(new, 1, "from the new one");
    world.take_turns([new, 1], MAILBOX, 4);
    world.tell(1, new, "to the new one");
    world.take_turns([1, new], MAILBOX, 3);
    let all = ["before", "for the lost one", "from the new one", "to the new one"];
    assert_eq!(
        (world.texts_of(1, chat), world.texts_of(new, chat)),
        (all.map(str::to_owned).to_vec(), all.map(str::to_owned).to_vec())
    );
    assert_eq!((world.outbox(new, 1), world.outbox(1, new), world.outbox(1, 0)), (0, 0, 0));
    assert_eq!(world.contact(1, 0).devices, [world.device(new)]);
}

#[test]
fn a_bundle_that_is_brought_again_or_forged_changes_nothing() {
    let mut world = both_without_secrets();
    world.connect(0, MAILBOX);
    world.pass(LATER);
    world.part(0, MAILBOX);
    let old = world.offers_for(1);
    assert_eq!(old.len(), 1);
    world.take_turns([1, 0], MAILBOX, 3);
    // The one whose bundle that was has another prekey by now.
    world.connect(0, MAILBOX);
    world.connect(1, MAILBOX);
    world.pass(8 * 24 * HOUR);
    world.tell(0, 1, "in a session that lasts");
    world.pass(HOUR);
    let seq = |world: &World| world.row::<DeviceRow>(1, &DeviceRow::key(world.device(0))).unwrap().bundle_seq;
    let known = seq(&world);
    world.connect(0, 1);
    world.pass(HOUR);
    world.part(0, 1);
    world.pass(HOUR);
    assert!(seq(&world) > known);
    let held = |world: &World| world.row::<DeviceRow>(1, &DeviceRow::key(world.device(0))).unwrap();
    let intro = world.contact(1, 0).intros.last().unwrap().clone();
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut offer = |bundle: &[u8]| {
        let sealed = seal_bundle(&intro, &SignedBundle::parse(bundle).unwrap(), &mut rng);
        seal_offer(&intro, &sealed, &mut rng).unwrap()
    };
    let own = |world: &World, at: usize| world.row::<OwnRow>(at, &OwnRow::key()).unwrap().bundle;
    let of_another = offer(&own(&world, MAILBOX));
    let of_itself = offer(&own(&world, 1));
    let mut tampered = offer(&own(&world, 0));
    *tampered.last_mut().unwrap() ^= 1;
    let no_bundle = seal_offer(&intro, &[9; 900], &mut ChaCha20Rng::seed_from_u64(8)).unwrap();
    let before = (world.nodes[1].shelf.0.clone(), held(&world).sending);
    for blob in old.iter().chain([&of_another, &of_itself, &tampered, &no_bundle]) {
        world.bring(1, blob);
        world.pass(SOON);
        assert!(world.nodes[1].shelf.0 == before.0, "nothing is kept of it");
    }
    // One that is known already changes nothing either.
    let known = offer(&held(&world).bundle);
    world.bring(1, &known);
    world.pass(LATER);
    assert!(world.nodes[1].shelf.0 == before.0 && held(&world).sending == before.1);
}

#[test]
fn a_start_that_is_brought_again_and_again_is_answered_once_an_hour() {
    let mut world = both_without_secrets();
    world.connect(0, MAILBOX);
    world.pass(LATER);
    world.part(0, MAILBOX);
    let unread = world.mail_for(1);
    let offers = world.offers_for(1);
    let starts: Vec<&Vec<u8>> = unread.iter().filter(|blob| !offers.contains(blob)).collect();
    assert!(!starts.is_empty());
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        world.restart_alone(1);
        world.connect(1, MAILBOX);
        world.bring(1, starts[0]);
        world.pass(LATER / 2);
        seen.extend(world.offers_for(0));
    }
    assert!((1..=2).contains(&seen.len()), "{}", seen.len());
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

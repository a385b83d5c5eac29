//! Devices that are lost, and others made of a backup.

use super::*;
use crate::protocol::{
    engine::{
        backup::{Cursor, Kept, Page, RestoreError, Restoring, page},
        feed::ContactNotice,
    },
    wire::{decode, encode},
};

pub(super) const SOON: Duration = Duration::from_secs(10);
pub(super) const LATER: Duration = Duration::from_secs(300);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The items of a backup, as their bytes.
pub(super) type Items = Vec<Vec<u8>>;

impl World {
    pub(super) fn back_up(&self, at: usize) -> Items {
        self.back_up_at(at, self.now)
    }

    /// The same at another time, the node being stopped.
    fn back_up_at(&self, at: usize, now: Millis) -> Items {
        let (mut items, mut next) = (Items::new(), Some(Cursor::START));
        while let Some(from) = next {
            let page: Page = page(&self.nodes[at].shelf, from, now).unwrap();
            assert_eq!(page.damaged, 0);
            items.extend(page.items.iter().map(encode));
            next = page.next;
        }
        items
    }

    /// A new device of the account of a node, made of a backup; a node of its own, connected to nobody. The old one is gone.
    pub(super) fn return_by(&mut self, at: usize, items: &Items) -> usize {
        let new = self.nodes.len();
        for other in (0..new).filter(|other| *other != at) {
            self.part(at, other);
        }
        let seed = 2_000 + new as u64;
        let restored = restored(&self.nodes[at].words, items, seed, self.now).unwrap();
        self.nodes.push(restored);
        self.sent.push(0);
        for other in 0..new {
            self.apart.insert((other, new));
        }
        self.input(new, Input::Online);
        self.input(new, Input::Listening(vec![address(new)]));
        new
    }

    /// The same, connected to all but the lost one.
    pub(super) fn return_to_all(&mut self, at: usize, items: &Items) -> usize {
        let new = self.return_by(at, items);
        for other in (0..new).filter(|other| *other != at) {
            self.connect(other, new);
        }
        new
    }

    /// What another is known to hold of what a device wrote in a chat, and to have read.
    fn confirmed_of(&self, at: usize, chat: ChatId, author: usize, by: usize) -> (Vec<u64>, u64) {
        let own: rows::OwnRow = self.row(at, &rows::OwnRow::key()).unwrap();
        let side = own.side_of(self.device(author)).expect("an own device");
        let row: Option<rows::ReceiptRow> = self.row(at, &rows::ReceiptRow::key(chat, side, self.device(by)));
        row.map_or((vec![], 0), |row| {
            let mut held: Vec<u64> = row.numbers().unwrap().descending().collect();
            held.reverse();
            (held, row.read)
        })
    }

    pub(super) fn is_listed(&self, at: usize, group: OpId, member: usize) -> bool {
        self.member(at, group, member).devices == [self.device(member)]
    }
}

pub(super) fn restored(words: &Words, items: &Items, seed: u64, now: Millis) -> Result<Node, RestoreError> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut items = items.iter().map(|bytes| decode::<Kept>(bytes, "item").unwrap());
    let first = items.next().ok_or(RestoreError::NoBeginning)?;
    let account = AccountKey::from_words(words);
    let (mut restoring, rows) = Restoring::begin(&account, first, now, &mut rng)?;
    let mut shelf = Shelf::default();
    rows.into_iter().for_each(|write| shelf.take(write));
    for item in items {
        for write in restoring.take(vec![item], &mut rng, &shelf)? {
            shelf.take(write);
        }
    }
    while let Some(writes) = restoring.come_back(&mut rng, &shelf)? {
        writes.into_iter().for_each(|write| shelf.take(write));
    }
    let own: rows::OwnRow = rows::read(&shelf, &rows::OwnRow::key()).unwrap().unwrap();
    Ok(Node {
        words: words.clone(),
        engine: Engine::new(Settings::default()),
        shelf,
        rng,
        account: own.account,
        transport: own.transport,
        gates: BTreeMap::new(),
    })
}

#[test]
fn a_restored_device_goes_on_in_both_directions_and_nothing_is_doubled() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.command(1, Command::MarkVerified(world.account(0))).unwrap();
    world.tell(0, 1, "a1");
    world.tell(1, 0, "b1");
    world.pass(SOON);
    world.command(1, Command::MarkRead { chat, up_to: None }).unwrap();
    world.part(0, 1);
    world.tell(0, 1, "a2, in the backup and not sent yet");
    let items = world.back_up(0);
    world.connect(0, 1);
    world.tell(0, 1, "a3, after the backup");
    world.tell(1, 0, "b2, after the backup");
    world.pass(SOON);
    world.part(0, 1);
    world.tell(1, 0, "b3, to the one that is lost");

    let new = world.return_to_all(0, &items);
    world.pass(SOON);
    world.tell(new, 1, "a4, from the new one");
    world.tell(1, new, "b4, to the new one");
    world.pass(LATER);
    world.restart(new);
    world.pass(LATER);

    let there = [
        "a1",
        "b1",
        "a2, in the backup and not sent yet",
        "a3, after the backup",
        "b2, after the backup",
        "b3, to the one that is lost",
        "a4, from the new one",
        "b4, to the new one",
    ];
    assert_eq!(world.texts_of(1, chat), there);
    // What the lost one confirmed after the backup went with it.
    let here: Vec<&str> = there.into_iter().filter(|text| !text.ends_with("after the backup")).collect();
    assert_eq!(world.texts_of(new, chat), here);
    assert_eq!((world.outbox(new, 1), world.outbox(1, new)), (0, 0));
    assert_eq!((world.outbox(new, 1), world.outbox(1, new), world.outbox(1, 0)), (0, 0, 0));
    assert_eq!(world.contact(1, 0).devices, [world.device(new)]);
    let contact = world.contact(1, 0);
    assert!(!contact.verified && contact.new_device.is_some(), "a new device is said to be one");
    assert!(
        world.feed(1).contains(&FeedEntry::Contact { account: world.account(0), notice: ContactNotice::NewDevice })
    );
    // Of what the lost one wrote, all is known to be there and read as far as it was, what no backup has included; of the
    // new one's too.
    assert_eq!(world.confirmed_of(new, chat, 0, 1), (vec![1, 2, 3], 1));
    assert_eq!(world.confirmed_of(new, chat, new, 1).0, [1]);
    // b2 was confirmed by the lost one alone: the new one says truly that it is not there.
    assert_eq!(world.confirmed_of(1, chat, 1, new).0, [1, 3, 4]);
}

#[test]
fn what_is_read_of_a_lost_device_is_told_to_the_one_in_its_place() {
    let mut world = World::new(2);
    let (direct, group) = (world.direct(0, 1), world.group());
    world.tell(0, 1, "to one");
    world.say(0, group, "to all");
    world.pass(LATER);
    let items = world.back_up(0);
    let new = world.return_to_all(0, &items);
    world.pass(LATER);
    for chat in [direct, group.into()] {
        let (held, read) = world.confirmed_of(new, chat, 0, 1);
        assert!(!held.is_empty() && read == 0, "{held:?} {read}");
        world.command(1, Command::MarkRead { chat, up_to: None }).unwrap();
        world.pass(SOON);
        assert_eq!(world.confirmed_of(new, chat, 0, 1).1, *held.last().unwrap());
    }
}

#[test]
fn who_was_lost_before_it_was_backed_up_again_comes_back_twice() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.tell(0, 1, "by the first");
    world.pass(SOON);
    let items = world.back_up(0);
    let second = world.return_to_all(0, &items);
    world.pass(SOON);
    world.part(second, 1);
    world.tell(second, 1, "by the second, never sent by it");
    let items = world.back_up(second);
    let third = world.return_by(second, &items);
    world.connect(1, third);
    world.tell(third, 1, "by the third");
    world.tell(1, third, "to the third");
    world.pass(LATER);
    let all = ["by the first", "by the second, never sent by it", "by the third", "to the third"];
    assert_eq!(world.texts_of(1, chat), all);
    assert_eq!(world.texts_of(third, chat), all);
    assert_eq!((world.outbox(third, 1), world.outbox(1, third)), (0, 0));
}

/// A group of three, of whom two know each other by it alone.
pub(super) fn group_with_strangers() -> (World, OpId) {
    let mut world = World::strangers(3);
    world.connect(0, 1);
    world.connect(0, 2);
    world.meet(0, 1);
    world.meet(0, 2);
    let group = world.group();
    world.connect(1, 2);
    (world, group)
}

#[test]
fn a_restored_member_is_back_in_its_group_without_help() {
    let (mut world, group) = group_with_strangers();
    world.say(1, group, "from the one that will be lost");
    world.say(2, group, "from a stranger");
    world.pass(LATER);
    let items = world.back_up(1);
    world.say(1, group, "after the backup");
    world.pass(SOON);
    for other in [0, 2] {
        world.part(1, other);
    }
    world.say(0, group, "while it is lost");
    world.say(2, group, "this too");
    world.pass(SOON);

    let new = world.return_by(1, &items);
    // Only the member that is no contact is there.
    world.connect(2, new);
    world.pass(SOON);
    world.say(new, group, "back");
    world.pass(LATER);
    world.connect(0, new);
    world.say(0, group, "welcome");
    world.pass(LATER);
    let all = [
        "from the one that will be lost",
        "from a stranger",
        "after the backup",
        "while it is lost",
        "this too",
        "back",
        "welcome",
    ];
    for at in [0, 2, new] {
        assert_eq!(world.texts(at, group), all, "{at}");
        assert!(world.is_listed(at, group, new));
        assert_eq!(world.row::<GroupRow>(at, &GroupRow::key(group)).unwrap().held, 0);
    }
    assert!(!world.topics(new).is_empty() && world.topics(new).is_subset(&world.topics(0)));
    // Nobody holds the lost one's gossip secret or chain, and none is for it.
    assert_eq!((world.outbox(0, 1), world.outbox(2, 1)), (0, 0));
    let chat = ChatId::from(group);
    for other in [0, 2] {
        let written = world.row::<rows::ChatRow>(new, &rows::ChatRow::key(chat)).unwrap().written;
        assert_eq!(world.confirmed_of(new, chat, new, other).0, (1..=written).collect::<Vec<_>>());
        // Of the lost one's events the first, its name, was said before the third came.
        let first = if other == 0 { 1 } else { 2 };
        assert!(world.confirmed_of(new, chat, 1, other).0.starts_with(&(first..=2).collect::<Vec<_>>()));
    }
}

#[test]
fn a_restored_founder_leads_its_group_and_undoes_nothing() {
    let mut world = World::new(3);
    let group = world.group_with(&[1]);
    let items = world.back_up(0);
    // The backup does not know of the third member, nor of the name.
    world.invite(group, 2);
    world.command(0, Command::RenameGroup(group, "renamed since".into())).unwrap();
    world.pass(LATER);
    assert_eq!(world.state(2, group), Some(GroupState::Joined));
    let new = world.return_to_all(0, &items);
    world.pass(LATER);
    world.say(new, group, "back");
    world.say(2, group, "still here");
    world.pass(LATER);
    for at in [1, 2, new] {
        assert_eq!(world.state(at, group), Some(GroupState::Joined));
        let name = world.row::<GroupRow>(at, &GroupRow::key(group)).unwrap().name;
        assert_eq!(name, "renamed since");
        assert!(world.member(at, group, 2).current, "{at}: whom the lost device added stays");
        assert_eq!(world.texts(at, group), ["back", "still here"], "{at}");
        assert_eq!(world.member(at, group, new).role, crate::protocol::group::Role::Founder);
    }
    world.command(new, Command::RenameGroup(group, "renamed by the new".into())).unwrap();
    world.pass(LATER);
    for at in [1, 2, new] {
        assert_eq!(world.row::<GroupRow>(at, &GroupRow::key(group)).unwrap().name, "renamed by the new");
    }
}

#[test]
fn the_name_of_the_backup_is_what_others_see() {
    let mut world = World::new(2);
    let group = world.group();
    let items = world.back_up(0);
    world.command(0, Command::SetName("later".into())).unwrap();
    world.pass(LATER);
    assert_eq!(world.contact(1, 0).own_name.as_deref(), Some("later"));
    let new = world.return_to_all(0, &items);
    world.pass(LATER);
    assert_eq!(world.contact(1, 0).own_name.as_deref(), Some("p0"));
    assert_eq!(world.member(1, group, new).name.as_deref(), Some("p0"));
    world.command(new, Command::SetName("anew".into())).unwrap();
    world.pass(LATER);
    assert_eq!(world.member(1, group, new).name.as_deref(), Some("anew"));
}

#[test]
fn one_who_left_after_the_backup_learns_that_it_left() {
    let mut world = World::new(3);
    let group = world.group();
    let items = world.back_up(2);
    world.command(2, Command::LeaveGroup(group)).unwrap();
    world.pass(LATER);
    let new = world.return_to_all(2, &items);
    world.pass(LATER);
    assert_eq!(world.state(new, group), Some(GroupState::Left));
    for at in [0, 1] {
        assert!(!world.member(at, group, 2).current);
    }
}

#[test]
fn one_who_is_lost_before_it_was_added_joins_all_the_same() {
    let mut world = World::new(2);
    world.part(0, 1);
    let Ok(Reply::Group(group)) = world.command(0, Command::NewGroup("friends".into())) else { panic!() };
    world.invite(group, 1);
    world.connect(0, 1);
    // Its answer is on its way when it is backed up, and arrives.
    let joining = world.back_up(1);
    world.pass(SOON);
    let new = world.return_to_all(1, &joining);
    world.pass(LATER);
    world.say(0, group, "here?");
    world.say(new, group, "here");
    world.pass(LATER);
    for at in [0, new] {
        assert_eq!(world.texts(at, group), ["here?", "here"], "{at}");
    }
}

#[test]
fn requests_that_wait_are_not_lost() {
    let mut world = World::strangers(4);
    world.add(1, 0, Acceptance::ByHand).unwrap();
    world.add(0, 2, Acceptance::ByHand).unwrap();
    // The fourth is not there: its link was added, and it was not reached.
    let link = world.link(3);
    world.command(0, Command::AddContact { link, alias: Some("fourth".into()) }).unwrap();
    world.pass(SOON);
    let chat = world.direct(0, 1);
    world.write(0, chat, "for when you accept").unwrap();
    let states = |world: &World, at: usize| [1, 2, 3].map(|other| world.contact(at, other).state);
    let before = states(&world, 0);
    assert_eq!(before, [rows::ContactState::Requested, rows::ContactState::Incoming, rows::ContactState::Pending]);
    let items = world.back_up(0);
    let new = world.return_to_all(0, &items);
    world.pass(LATER);
    world.command(new, Command::Accept(world.account(2))).unwrap();
    world.command(1, Command::Accept(world.account(0))).unwrap();
    world.pass(LATER);
    assert_eq!(states(&world, new), [rows::ContactState::Connected; 3]);
    for other in [1, 2, 3] {
        assert_eq!(world.contact(other, new).state, rows::ContactState::Connected, "{other}");
        world.tell(other, new, "hello");
        world.tell(new, other, "hello too");
    }
    world.pass(LATER);
    assert_eq!(world.texts_of(1, chat).len(), 3);
    for other in [1, 2, 3] {
        let chat = world.direct(new, other);
        assert_eq!(world.texts_of(other, chat), world.texts_of(new, chat));
    }
}

#[test]
fn what_was_to_end_ends_and_what_ended_does_not_come_back() {
    let mut world = World::new(2);
    let group = world.group();
    let chat = world.direct(0, 1);
    for timed in [chat, ChatId::from(group)] {
        world.command(1, Command::SetTimer(timed, Some(HOUR))).unwrap();
        world.write(1, timed, "gone before the backup").unwrap();
    }
    world.pass(SOON);
    for timed in [chat, ChatId::from(group)] {
        world.command(0, Command::MarkRead { chat: timed, up_to: None }).unwrap();
    }
    world.pass(2 * HOUR);
    for timed in [chat, ChatId::from(group)] {
        world.write(1, timed, "read before the backup").unwrap();
    }
    world.pass(SOON);
    for timed in [chat, ChatId::from(group)] {
        world.command(0, Command::MarkRead { chat: timed, up_to: None }).unwrap();
        world.write(1, timed, "not read").unwrap();
        world.write(0, timed, "lasts").unwrap();
    }
    world.command(0, Command::SetTimer(chat, Some(HOUR))).unwrap();
    world.pass(HOUR / 2);
    let items = world.back_up(0);
    let holds = |text: &str| items.iter().any(|item| item.windows(text.len()).any(|part| part == text.as_bytes()));
    assert!(holds("read before the backup") && !holds("gone before the backup"));
    // What is over is not written, though nobody has erased it yet.
    let later = world.back_up_at(0, world.now.plus(2 * HOUR)).concat();
    let holds_later = |text: &str| later.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!holds_later("read before the backup") && holds_later("not read"));

    let early = world.return_to_all(0, &items);
    world.pass(Duration::from_secs(600));
    for timed in [chat, ChatId::from(group)] {
        assert_eq!(world.texts_of(early, timed), ["read before the backup", "not read", "lasts"]);
    }
    assert_eq!(world.row::<rows::TimerRow>(early, &rows::TimerRow::key(chat)).map(|row| row.0), Some(3600));
    world.pass(HOUR);
    for timed in [chat, ChatId::from(group)] {
        assert_eq!(world.texts_of(early, timed), ["not read", "lasts"]);
        world.command(early, Command::MarkRead { chat: timed, up_to: None }).unwrap();
    }
    world.pass(2 * HOUR);
    // Another restored from the same file much later: what is over by then is not there, and nobody brings it back.
    let late = world.return_to_all(early, &items);
    world.pass(HOUR);
    for timed in [chat, ChatId::from(group)] {
        assert_eq!(world.texts_of(late, timed), ["not read", "lasts"]);
    }
    let shelf = &world.nodes[late].shelf;
    let is_content = |key: &Key| key.table == Table::Event || (key.table == Table::Held && key.scope == b"raw");
    let is_left = |key: &Key, row: &[u8]| {
        key.table != Table::Event || rows::parse::<rows::EventRow>(row).is_ok_and(|event| !event.is_erased())
    };
    let content = shelf.0.iter().filter(|(key, row)| is_content(key) && is_left(key, row));
    let content: Vec<&Key> = content.map(|(key, _)| key).collect();
    assert!(content.len() > 4 && content.iter().all(|key| shelf.1.contains_key(*key)), "all is erased with its key");
}

#[test]
fn what_is_gone_here_and_still_to_go_is_in_a_backup_out_of_sight() {
    let mut world = World::new(2);
    let (direct, group) = (world.direct(0, 1), world.group());
    world.pass(LATER);
    world.part(0, 1);
    world.command(0, Command::SetTimer(direct, Some(HOUR))).unwrap();
    world.tell(0, 1, "ends");
    world.command(0, Command::SetTimer(direct, None)).unwrap();
    let ends_later = world.back_up(0);
    world.pass(2 * HOUR);
    world.tell(0, 1, "cleared");
    world.say(0, group, "cleared by all");
    for chat in [direct, group.into()] {
        world.command(0, Command::Clear(chat)).unwrap();
    }
    world.pass(SOON);
    let items = world.back_up(0);
    // Another that is made of a backup in which it had not ended yet.
    let late = world.return_by(0, &ends_later);
    assert!(world.texts_of(late, direct).is_empty() && world.outbox(late, 1) > 0);

    let new = world.return_to_all(late, &items);
    world.pass(LATER);
    assert_eq!(world.texts_of(1, direct), ["ends", "cleared"]);
    assert_eq!(world.texts(1, group), ["cleared by all"]);
    world.pass(48 * HOUR);
    for chat in [direct, group.into()] {
        assert!(world.texts_of(new, chat).is_empty());
    }
    let events = rows::all::<rows::EventRow>(&world.nodes[new].shelf, b"").unwrap();
    assert!(!events.iter().any(rows::EventRow::is_kept_unseen), "all is erased once it arrived");
    assert_eq!(world.outbox(new, 1), 0);
}

#[test]
fn what_is_being_cleared_is_not_in_a_backup() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    for n in 0..100 {
        world.tell(1, 0, &format!("planted {n}"));
    }
    world.pass(SOON);
    assert!(matches!(world.command(0, Command::Clear(chat)), Ok(Reply::Cleared { ended: false })));
    let items = world.back_up(0);
    assert!(!items.iter().any(|item| item.windows(7).any(|part| part == b"planted")));
    let new = world.return_to_all(0, &items);
    world.tell(1, new, "after");
    world.pass(SOON);
    assert_eq!(world.texts_of(new, chat), ["after"]);
}

#[test]
fn a_backup_holds_no_secret_that_a_session_could_go_on_from() {
    let mut world = World::new(3);
    let group = world.group();
    world.tell(0, 1, "something");
    world.say(0, group, "something");
    world.pass(LATER);
    let items = world.back_up(0).concat();
    let shelf = &world.nodes[0].shelf;
    let own: rows::OwnRow = rows::read(shelf, &rows::OwnRow::key()).unwrap().unwrap();
    let keys: crate::protocol::identity::DeviceKeys = decode(&own.keys, "keys").unwrap();
    let mut secrets: Vec<Vec<u8>> = vec![encode(&keys)];
    for table in Table::SECRETS {
        secrets.extend(shelf.0.iter().filter(|(key, _)| key.table == *table).map(|(_, value)| value.clone()));
    }
    assert!(secrets.len() > 10, "{}", secrets.len());
    let held = |part: &[u8]| items.windows(part.len()).any(|other| other == part);
    assert!(held(b"something"), "the probe finds what is there");
    // Any 32 bytes of a secret row that a row of another kind does not share.
    let open: Vec<u8> = shelf
        .0
        .iter()
        .filter(|(key, _)| !Table::SECRETS.contains(&key.table) && key.table != Table::Own)
        .fold(own.bundle.clone(), |mut all, (_, value)| {
            all.extend(value);
            all
        });
    for secret in secrets {
        for part in secret.windows(32) {
            let is_open = open.windows(32).any(|other| other == part);
            assert!(is_open || !held(part), "32 bytes of a secret are in the backup");
        }
    }
}

#[test]
fn words_of_another_and_items_out_of_order_are_refused() {
    let mut world = World::new(2);
    world.tell(0, 1, "something");
    world.pass(SOON);
    let items = world.back_up(0);
    let now = world.now;
    let other = restored(&world.nodes[1].words, &items, 1, now);
    assert!(matches!(other.err(), Some(RestoreError::OtherAccount)));
    let words = world.nodes[0].words.clone();
    assert!(matches!(restored(&words, &vec![], 1, now).err(), Some(RestoreError::NoBeginning)));
    assert!(matches!(restored(&words, &items[1..].to_vec(), 1, now).err(), Some(RestoreError::NoBeginning)));
    let mut turned = items.clone();
    turned[1..].reverse();
    let view = restored(&words, &turned, 1, now).err();
    assert!(matches!(view, Some(RestoreError::OutOfOrder)), "{view:?}");
}

#[test]
fn a_page_is_bounded_and_the_pages_are_the_whole() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    let long = "x".repeat(40_000);
    for n in 0..40 {
        world.write(0, chat, &format!("{n} {long}")).unwrap();
    }
    world.pass(LATER);
    let (mut next, mut pages, mut events) = (Some(Cursor::START), 0, 0);
    while let Some(from) = next {
        let page = page(&world.nodes[0].shelf, from, world.now).unwrap();
        let size: usize = page.items.iter().map(|item| encode(item).len()).sum();
        assert!(size < 400 * 1024, "{size}");
        events += page.items.iter().filter(|item| matches!(item, Kept::Event(..))).count();
        (pages, next) = (pages + 1, page.next);
    }
    assert!(pages > 5 && events == 40, "{pages} {events}");
    let items = world.back_up(0);
    let new = world.return_to_all(0, &items);
    assert_eq!(world.texts_of(new, chat), world.texts_of(0, chat));
}

#[test]
fn a_damaged_message_is_left_out_and_counted() {
    let mut world = World::new(2);
    let chat = world.direct(0, 1);
    world.tell(0, 1, "sound");
    let Ok(Reply::Sent { id, .. }) = world.write(0, chat, "damaged") else { panic!() };
    world.pass(SOON);
    world.damage(0, rows::EventRow::key(id));
    let mut next = Some(Cursor::START);
    let (mut damaged, mut items) = (0, Items::new());
    while let Some(from) = next {
        let page = page(&world.nodes[0].shelf, from, world.now).unwrap();
        damaged += page.damaged;
        items.extend(page.items.iter().map(encode));
        next = page.next;
    }
    assert_eq!(damaged, 1);
    let new = world.return_to_all(0, &items);
    assert_eq!(world.texts_of(new, chat), ["sound"]);
}

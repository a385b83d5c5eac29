//! What is deleted is gone: from the store at once, and from whoever has the disk of before and the keys of now soon after.

use super::{commit, new_home, open};
use crate::protocol::{
    crypto::secret::Secret,
    engine::rows::{EventRow, RawRow},
    event::{Content, DirectEvent, DirectFields},
    ids::{AccountId, ChatId, DeviceId, EventId},
    time::Millis,
    view::{Cell, Direction, Key, Table, View, Write},
    wire::encode,
};
use crate::store::{
    Cost, Home, SledStore, Store,
    contract::copy_folder,
    disk::Disk,
    keys::Keys,
    keyslots::{Keyslots, Purpose},
    leaves::Batch,
    rings::Ring,
    row::{self, LASTING, SealedUnder},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{fs, path::Path, time::Duration};

/// Rows of three pieces, long ones among them.
const ROWS: u32 = 600;

fn session(n: u32) -> Key {
    Key::named(Table::Session, b"", n.to_be_bytes())
}

fn event(n: u32) -> Key {
    Key::named(Table::Event, b"", n.to_be_bytes())
}

fn value(n: u32) -> Vec<u8> {
    n.to_be_bytes().repeat(if n.is_multiple_of(50) { 3_000 } else { 20 })
}

fn secrets() -> Vec<Write> {
    (0..ROWS).map(|n| Write::Put(session(n), value(n))).collect()
}

fn said(cell: &Cell) -> Vec<Write> {
    (0..ROWS).map(|n| Write::PutIn(cell.clone(), event(n), value(n))).collect()
}

/// The rows that are there are whole; which are.
fn found(store: &SledStore, key: fn(u32) -> Key) -> Vec<u32> {
    let there = |n: &u32| match store.row(&key(*n)).unwrap() {
        Some(found) => {
            assert!(found == value(*n), "row {n}");
            true
        }
        None => false,
    };
    (0..ROWS).filter(there).collect()
}

fn all() -> Vec<u32> {
    (0..ROWS).collect()
}

/// Lets the store do all that it wants to do within a day.
fn rest(store: &mut SledStore) {
    for now in 0..400u64 {
        store.do_chore(Millis(1 + now * 240_000)).unwrap();
    }
    assert!(store.next_chore(Millis(1 + 400 * 240_000)).is_none(), "it comes to an end");
}

fn rings(dir: &Path) -> (Ring, Ring) {
    let slots = Keyslots::load(&dir.join("keyslots")).unwrap().unwrap();
    let root = slots.secret(Purpose::Root, None).unwrap().unwrap();
    let ring = |purpose| slots.ring(purpose, &root).unwrap().unwrap();
    (ring(Purpose::State), ring(Purpose::Cells))
}

/// The store as a thief has it who copied the disk of before and came by the keys of now.
fn with_disk_of(before: &Path, now: &Path) -> (tempfile::TempDir, SledStore) {
    let dir = tempfile::tempdir().unwrap();
    copy_folder(&before.join("store"), &dir.path().join("store"));
    fs::copy(now.join("keyslots"), dir.path().join("keyslots")).unwrap();
    let store = open(dir.path());
    (dir, store)
}

fn copy_of(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(dir, copy.path());
    copy
}

#[test]
fn a_turn_that_stops_at_any_step_loses_nothing_and_ends_at_the_next_start() {
    for stop in 0..6 {
        let (dir, mut store) = new_home();
        commit(&mut store, secrets());
        let before = copy_of(dir.path());
        if stop > 0 {
            store.turn(Purpose::State).unwrap();
        }
        for _ in 1..stop {
            store.piece().unwrap();
        }
        assert_eq!(found(&store, session), all(), "stop {stop}");
        drop(store);

        let mut store = open(dir.path());
        assert_eq!(found(&store, session), all(), "stop {stop}, opened again");
        assert!(!store.rolled_back());
        commit(&mut store, vec![Write::Put(session(7), value(7)), Write::Delete(session(8))]);
        rest(&mut store);
        let left: Vec<u32> = all().into_iter().filter(|n| *n != 8).collect();
        assert_eq!(found(&store, session), left, "stop {stop}, after the turn");
        assert!(rings(dir.path()).0.previous.is_none());
        drop(store);
        assert_eq!(found(&open(dir.path()), session), left);

        let (_there, thief) = with_disk_of(before.path(), dir.path());
        assert_eq!(found(&thief, session), [0; 0], "stop {stop}: what was written before is gone");
        assert!(thief.rolled_back());
    }
}

#[test]
fn a_turn_that_stops_between_its_last_row_and_its_end_loses_nothing() {
    let (dir, mut store) = new_home();
    commit(&mut store, secrets());
    store.turn(Purpose::State).unwrap();
    while store.go_on_alone().unwrap() {}
    drop(store);
    assert!(rings(dir.path()).0.previous.is_some());
    let mut store = open(dir.path());
    assert_eq!(found(&store, session), all());
    rest(&mut store);
    assert!(rings(dir.path()).0.previous.is_none());
    assert_eq!(found(&store, session), all());
}

#[test]
fn secrets_are_turned_hourly_where_one_changed_and_at_the_end() {
    let (dir, mut store) = new_home();
    let hour = |n: u64| Millis(1_000_000 + n * 3_600_000);
    let turn = |store: &mut SledStore, now: Millis| {
        for _ in 0..9 {
            store.do_chore(now).unwrap();
        }
        rings(dir.path()).0.current.id
    };
    let first = turn(&mut store, hour(0));
    commit(&mut store, vec![Write::Put(session(1), value(1))]);
    assert_eq!(turn(&mut store, Millis(hour(1).0 - 1)), first, "not within the hour");
    let second = turn(&mut store, hour(1));
    assert_ne!(second, first);
    assert_eq!(turn(&mut store, hour(2)), second, "nothing changed");
    commit(&mut store, vec![Write::Put(event(1), value(1))]);
    assert_eq!(turn(&mut store, hour(3)), second, "an event is no secret");
    commit(&mut store, vec![Write::Delete(session(1))]);
    store.finish(Duration::from_secs(9)).unwrap();
    assert_ne!(rings(dir.path()).0.current.id, second);
    let last = rings(dir.path()).0.current.id;
    drop(store);
    let mut store = open(dir.path());
    store.finish(Duration::from_secs(9)).unwrap();
    assert_eq!(rings(dir.path()).0.current.id, last, "who only read changes nothing");
}

#[test]
fn an_erased_cell_cannot_be_read_on_the_disk_of_before_with_the_keys_of_now() {
    let (dir, mut store) = new_home();
    let (gone, stays) = (Cell::until(b"chat", 7), Cell::lasting(b"chat"));
    commit(&mut store, said(&gone));
    commit(&mut store, vec![Write::PutIn(stays.clone(), event(3), value(3))]);
    let before = copy_of(dir.path());
    commit(&mut store, vec![Write::EraseCell(gone)]);
    assert_eq!(found(&store, event), [3]);
    let (_there, thief) = with_disk_of(before.path(), dir.path());
    assert_eq!(found(&thief, event).len(), ROWS as usize, "the probe finds what is not erased yet");
    drop(store);

    // The process ended before it came to it.
    let mut store = open(dir.path());
    rest(&mut store);
    assert_eq!(found(&store, event), [3]);
    let (_there, thief) = with_disk_of(before.path(), dir.path());
    assert_eq!(found(&thief, event), [0; 0]);
    assert!(thief.rolled_back());
    drop(store);
    assert_eq!(found(&open(dir.path()), event), [3]);
}

#[test]
fn a_cell_erased_during_a_turn_that_did_not_end_cannot_be_read_either() {
    let (dir, mut store) = new_home();
    let (first, second) = (Cell::until(b"chat", 7), Cell::until(b"chat", 8));
    commit(&mut store, said(&second));
    commit(&mut store, vec![Write::PutIn(first.clone(), event(0), value(0))]);
    commit(&mut store, vec![Write::EraseCell(first)]);
    store.turn(Purpose::Cells).unwrap();
    // Its key lies under the new key of the ring now.
    while store.go_on_alone().unwrap() {}
    let before = copy_of(dir.path());
    commit(&mut store, vec![Write::EraseCell(second)]);
    // As after a kill.
    drop(store);

    let mut store = open(dir.path());
    rest(&mut store);
    let (_there, thief) = with_disk_of(before.path(), dir.path());
    assert_eq!(found(&thief, event), [0; 0]);
}

/// Lets the store do what it asks for, as the node does, until a second by its clock has passed without.
fn as_the_node_does(store: &mut SledStore, mut now: Millis) {
    let end = now.plus(Duration::from_secs(60));
    while now < end {
        if store.next_chore(now).is_some_and(|at| at <= now) {
            store.do_chore(now).unwrap();
        }
        now = now.plus(Duration::from_millis(100));
    }
}

#[test]
fn an_erasure_does_not_wait_for_the_turn_of_the_hour() {
    let (dir, mut store) = new_home();
    let cell = Cell::until(b"chat", 7);
    commit(&mut store, said(&cell));
    commit(&mut store, secrets());
    as_the_node_does(&mut store, Millis(1_000_000));
    assert!(store.next_chore(Millis(1_060_000)).is_some_and(|at| at > Millis(4_000_000)));
    let before = copy_of(dir.path());
    commit(&mut store, vec![Write::EraseCell(cell)]);
    as_the_node_does(&mut store, Millis(1_060_000));
    let (_there, thief) = with_disk_of(before.path(), dir.path());
    assert_eq!(found(&thief, event), [0; 0]);
}

#[test]
fn a_clock_that_is_set_back_puts_no_erasure_off() {
    const YEAR: u64 = 365 * 24 * 3_600_000;
    let (dir, mut store) = new_home();
    let cell = Cell::until(b"chat", 7);
    commit(&mut store, said(&cell));
    commit(&mut store, secrets());
    as_the_node_does(&mut store, Millis(70 * YEAR));
    assert!(store.next_chore(Millis(70 * YEAR)).is_some(), "the turn of the hour is planned");
    let before = copy_of(dir.path());
    commit(&mut store, vec![Write::EraseCell(cell)]);
    as_the_node_does(&mut store, Millis(56 * YEAR));
    let (_there, thief) = with_disk_of(before.path(), dir.path());
    assert_eq!(found(&thief, event), [0; 0]);
}

#[test]
fn a_cell_that_moves_loses_nothing_wherever_it_stops_and_leaves_what_was_deleted_behind() {
    for stop in 0..8 {
        let (dir, mut store) = new_home();
        let cell = Cell::lasting(b"chat");
        commit(&mut store, said(&cell));
        let before = copy_of(dir.path());
        commit(&mut store, vec![Write::Delete(event(5)), Write::RenewCell(cell.clone())]);
        for _ in 0..stop {
            store.do_chore(Millis(1_000_000 + stop * 60_000)).unwrap();
            store.do_chore(Millis(1_600_000 + stop * 60_000)).unwrap();
        }
        let left: Vec<u32> = all().into_iter().filter(|n| *n != 5).collect();
        assert_eq!(found(&store, event), left, "stop {stop}");
        drop(store);
        let mut store = open(dir.path());
        assert_eq!(found(&store, event), left, "stop {stop}, opened again");
        rest(&mut store);
        assert_eq!(found(&store, event), left);
        let (_there, thief) = with_disk_of(before.path(), dir.path());
        assert_eq!(found(&thief, event), [0; 0], "stop {stop}");
        commit(&mut store, vec![Write::EraseCell(cell)]);
        assert_eq!(found(&store, event), [0; 0], "the rest is in one cell of the same name");
    }
}

/// A home as moim made it before there were rings and cells: schema 1, every row under a key derived from the root.
fn old_home(rows: &[(Key, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = Secret::from([5; 32]);
    let mut slots = Keyslots::new().unwrap();
    slots.set(Purpose::Root, &root, None, Cost::FOR_TESTS).unwrap();
    slots.save(&dir.path().join("keyslots")).unwrap();
    let keys = Keys::new(&root, Ring::new().unwrap(), Ring::new().unwrap());
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut disk = Disk::open(&dir.path().join("store")).unwrap();
    let mut batch = Batch::default();
    let schema = (b"\0schema".to_vec(), 1u16.to_be_bytes().to_vec());
    let rows = rows.iter().map(|(key, value)| (keys.blinder.key(key), value.clone()));
    for (at, value) in rows.chain([schema]) {
        let under = SealedUnder { generation: LASTING, key: keys.lasting(at[0]) };
        for (number, part) in (0u8..).zip(row::seal(under, &at, 1, &value, &mut rng)) {
            batch.insert(if number == 0 { at.clone() } else { row::part_key(&at, number) }, part);
        }
    }
    disk.apply(batch).unwrap();
    dir
}

#[test]
fn a_home_of_before_opens_and_loses_nothing_and_is_kept_as_others_are() {
    let chat = ChatId([4; 32]);
    let fields = DirectFields {
        chat,
        account: AccountId([1; 32]),
        device: DeviceId([2; 32]),
        no: 1,
        previous: None,
        deps: Vec::new(),
        clock: Millis(9),
        content: Content::text("once said", None).unwrap(),
    };
    let raw = DirectEvent::new(fields).unwrap();
    let said = EventRow {
        chat,
        id: raw.id(),
        author: AccountId([1; 32]),
        device: DeviceId([2; 32]),
        no: 1,
        clock: Millis(9),
        arrived: Millis(9),
        deps: Vec::new(),
        place: vec![7; 40],
        content: b"once said".to_vec(),
        own: true,
        outbox: Vec::new(),
        key: None,
        ends: None,
        kept: None,
        unsent: false,
    };
    let mut rows: Vec<(Key, Vec<u8>)> = (0..ROWS).map(|n| (session(n), value(n))).collect();
    rows.push((EventRow::key(said.id), encode(&said)));
    rows.push((RawRow::key(said.id), encode(&RawRow(raw.bytes().to_vec()))));
    rows.push((EventRow::key(EventId([8; 32])), b"does not decode".to_vec()));
    rows.push((Key::named(Table::Contact, b"", b"mina"), vec![1; 9_000]));
    rows.push((Key::at(Table::Timeline, chat, [7; 40]), b"line".to_vec()));
    let dir = old_home(&rows);

    for round in 0..3 {
        let mut store = open(dir.path());
        assert!(!store.rolled_back());
        for (key, value) in &rows {
            assert!(store.row(key).unwrap().as_ref() == Some(value), "round {round}: {key:?}");
        }
        assert_eq!(store.scan(Table::Session, b"", None, Direction::Forward, 9_999).unwrap().len(), ROWS as usize);
        if round == 1 {
            rest(&mut store);
        }
    }
    let before = copy_of(dir.path());
    let mut store = open(dir.path());
    commit(&mut store, vec![Write::EraseCell(Cell::lasting(chat)), Write::Delete(session(1))]);
    assert_eq!(store.row(&EventRow::key(said.id)).unwrap(), None);
    assert_eq!(store.row(&RawRow::key(said.id)).unwrap(), None);
    store.finish(Duration::from_secs(9)).unwrap();
    let (_there, thief) = with_disk_of(before.path(), dir.path());
    assert_eq!(thief.row(&EventRow::key(said.id)).unwrap(), None);
    assert_eq!(found(&thief, session), [0; 0]);
}

#[test]
fn an_older_store_under_the_same_keys_is_noticed_and_its_secrets_are_never_used_again() {
    let (dir, mut store) = new_home();
    commit(&mut store, secrets());
    commit(&mut store, vec![Write::Put(event(1), value(1))]);
    let before = copy_of(dir.path());
    commit(&mut store, vec![Write::Put(session(1), value(2)), Write::Put(event(2), value(2))]);
    // As after a kill: no key is turned.
    drop(store);
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    copy_folder(&before.path().join("store"), &dir.path().join("store"));

    let mut store = open(dir.path());
    assert!(store.rolled_back());
    assert_eq!((found(&store, session), found(&store, event)), (vec![], vec![1]));
    drop(store);
    store = open(dir.path());
    assert!(store.rolled_back(), "until it was told");
    commit(&mut store, vec![Write::ForgetLost, Write::Put(session(3), value(3))]);
    drop(store);
    let store = open(dir.path());
    assert!(!store.rolled_back(), "told once");
    assert_eq!(found(&store, session), [3]);
}

#[test]
fn older_keys_under_a_newer_store_are_noticed_too_and_put_right_lose_nothing_but_sessions() {
    let (dir, mut store) = new_home();
    commit(&mut store, secrets());
    commit(&mut store, vec![Write::PutIn(Cell::lasting(b"chat"), event(1), value(1))]);
    let keys = fs::read(dir.path().join("keyslots")).unwrap();
    commit(&mut store, vec![Write::EraseCell(Cell::until(b"chat", 1))]);
    commit(&mut store, vec![Write::PutIn(Cell::until(b"chat", 1), event(2), value(2))]);
    commit(&mut store, vec![Write::EraseCell(Cell::until(b"chat", 1))]);
    store.finish(Duration::from_secs(9)).unwrap();
    drop(store);
    let newer = fs::read(dir.path().join("keyslots")).unwrap();
    fs::write(dir.path().join("keyslots"), keys).unwrap();
    let mut store = open(dir.path());
    assert!(store.rolled_back());
    assert_eq!((found(&store, session), found(&store, event)), (vec![], vec![]));
    commit(&mut store, vec![Write::ForgetLost]);
    drop(store);
    assert!(!open(dir.path()).rolled_back(), "told once");

    fs::write(dir.path().join("keyslots"), newer).unwrap();
    let store = open(dir.path());
    assert_eq!(found(&store, event), [1], "the right keys open what was said");
    let _ = Home::open(dir.path(), None).unwrap_err();
}

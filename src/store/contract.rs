//! The contract of a store, run on the one on disk and on its twin in memory.

use crate::protocol::{
    time::Millis,
    view::{Cell, Direction, Key, Table, View, ViewError, Write},
};
use crate::store::{Cost, Home, MAX_ROW, MemoryStore, SledStore, Store, StoreError};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

/// A store under test and what "the process ended, another one starts" means for it.
trait Fixture: Sized {
    type Store: Store;
    fn new() -> Self;
    fn store(&mut self) -> &mut Self::Store;
    fn restart(self) -> Self;
    /// As [`Fixture::restart`], after a good end; somebody copies the store in between.
    fn copy(self) -> Self;
    /// Puts the copy back in place of the store, under the keys of now.
    fn put_copy_back(self) -> Self;
}

struct InMemory(MemoryStore, MemoryStore);

impl Fixture for InMemory {
    type Store = MemoryStore;
    fn new() -> Self {
        Self(MemoryStore::new(), MemoryStore::new())
    }
    fn store(&mut self) -> &mut MemoryStore {
        &mut self.0
    }
    fn restart(mut self) -> Self {
        self.0.crash();
        self
    }
    fn copy(mut self) -> Self {
        self.1 = self.0.clone();
        self
    }
    fn put_copy_back(mut self) -> Self {
        self.0.roll_back(&self.1);
        self
    }
}

struct OnDisk {
    store: Option<SledStore>,
    dir: tempfile::TempDir,
}

impl Fixture for OnDisk {
    type Store = SledStore;
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path(), None, Cost::FOR_TESTS).unwrap();
        Self { store: Some(home.store().unwrap()), dir }
    }
    fn store(&mut self) -> &mut SledStore {
        self.store.as_mut().unwrap()
    }
    fn restart(mut self) -> Self {
        self.store = None;
        self.store = Some(Home::open(self.dir.path(), None).unwrap().store().unwrap());
        self
    }
    fn copy(mut self) -> Self {
        self.store().finish(Duration::from_secs(60)).unwrap();
        self.store = None;
        copy_folder(&self.dir.path().join("store"), &self.dir.path().join("copy"));
        self.restart()
    }
    fn put_copy_back(mut self) -> Self {
        self.store().finish(Duration::from_secs(60)).unwrap();
        self.store = None;
        let store = self.dir.path().join("store");
        fs::remove_dir_all(&store).unwrap();
        copy_folder(&self.dir.path().join("copy"), &store);
        self.restart()
    }
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &copy);
        } else {
            fs::copy(entry.path(), copy).unwrap();
        }
    }
}

macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $promise() { super::$promise::<super::InMemory>() })*
        }
        mod disk {
            $(#[test] fn $promise() { super::$promise::<super::OnDisk>() })*
        }
    };
}

contract!(
    a_scan_keeps_the_order_of_places_both_ways,
    a_scope_does_not_bleed_into_another,
    named_rows_are_scanned_and_their_names_are_not_shown,
    staged_rows_are_seen_at_once_and_lie_over_committed_ones,
    discarded_and_uncommitted_rows_are_gone,
    a_row_over_the_limit_refuses_its_whole_batch,
    a_row_at_the_limit_comes_back_and_shrinks,
    an_erased_cell_takes_its_rows_and_no_others,
    a_row_is_in_the_cell_it_was_put_into_last,
    a_renewed_cell_keeps_its_rows,
    an_older_copy_is_noticed_and_has_no_secrets,
    any_writes_give_what_a_map_would_give,
);

fn at(scope: &[u8], place: u32) -> Key {
    Key::at(Table::Timeline, scope, place.to_be_bytes())
}

fn put(key: Key, value: impl AsRef<[u8]>) -> Write {
    Write::Put(key, value.as_ref().to_vec())
}

fn places(store: &impl View, scope: &[u8], from: Option<u32>, direction: Direction, limit: usize) -> Vec<u32> {
    let from = from.map(u32::to_be_bytes);
    let rows = store.scan(Table::Timeline, scope, from.as_ref().map(|from| &from[..]), direction, limit).unwrap();
    rows.into_iter()
        .map(|(place, value)| {
            assert_eq!(place, value, "each row carries its own place");
            u32::from_be_bytes(place.try_into().unwrap())
        })
        .collect()
}

fn a_scan_keeps_the_order_of_places_both_ways<F: Fixture>() {
    let mut fixture = F::new();
    let write = |place: u32| put(at(b"chat", place), place.to_be_bytes());
    fixture.store().stage([5, 1, 300, 70_000].map(write).to_vec()).unwrap();
    fixture.store().commit().unwrap();
    fixture.store().stage([2, 301].map(write).to_vec()).unwrap();
    for _ in 0..2 {
        let store = fixture.store();
        let scan = |from, direction, limit| places(store, b"chat", from, direction, limit);
        assert_eq!(scan(None, Direction::Forward, 99), [1, 2, 5, 300, 301, 70_000]);
        assert_eq!(scan(None, Direction::Backward, 99), [70_000, 301, 300, 5, 2, 1]);
        assert_eq!(scan(Some(5), Direction::Forward, 3), [5, 300, 301]);
        assert_eq!(scan(Some(6), Direction::Forward, 1), [300]);
        assert_eq!(scan(Some(300), Direction::Backward, 2), [300, 5]);
        assert_eq!(scan(Some(299), Direction::Backward, 2), [5, 2]);
        assert_eq!(scan(Some(0), Direction::Backward, 9), [0; 0]);
        assert_eq!(scan(Some(u32::MAX), Direction::Forward, 9), [0; 0]);
        assert_eq!(scan(None, Direction::Forward, 0), [0; 0]);
        fixture.store().commit().unwrap();
        fixture = fixture.restart();
    }
}

fn a_scope_does_not_bleed_into_another<F: Fixture>() {
    let mut fixture = F::new();
    let store = fixture.store();
    for (scope, place) in [(&b""[..], 1u32), (b"a", 2), (b"ab", 3), (b"b", 4)] {
        store.stage(vec![put(at(scope, place), place.to_be_bytes())]).unwrap();
    }
    store.stage(vec![put(Key::at(Table::Event, b"a", 9u32.to_be_bytes()), 9u32.to_be_bytes())]).unwrap();
    for _ in 0..2 {
        for (scope, place) in [(&b""[..], 1), (b"a", 2), (b"ab", 3), (b"b", 4)] {
            assert_eq!(places(store, scope, None, Direction::Forward, 9), [place]);
            assert_eq!(places(store, scope, Some(9), Direction::Backward, 9), [place]);
        }
        assert_eq!(places(store, b"c", None, Direction::Forward, 9), [0; 0]);
        store.commit().unwrap();
    }
}

fn named_rows_are_scanned_and_their_names_are_not_shown<F: Fixture>() {
    let mut fixture = F::new();
    let store = fixture.store();
    let names: Vec<Vec<u8>> = (0..20u8).map(|n| vec![n; 3]).collect();
    let writes = names.iter().map(|name| put(Key::named(Table::Contact, b"", name), name)).collect();
    store.stage(writes).unwrap();
    store.commit().unwrap();
    for direction in [Direction::Forward, Direction::Backward] {
        let rows = store.scan(Table::Contact, b"", None, direction, 99).unwrap();
        assert!(rows.iter().all(|(shown, name)| !shown.windows(3).any(|part| part == name)));
        let mut values: Vec<_> = rows.into_iter().map(|(_, value)| value).collect();
        values.sort();
        assert_eq!(values, names);
    }
    assert_eq!(store.scan(Table::Contact, b"", None, Direction::Forward, 7).unwrap().len(), 7);
    assert_eq!(store.row(&Key::named(Table::Contact, b"", [3; 3])).unwrap(), Some(vec![3; 3]));
    assert_eq!(store.row(&Key::at(Table::Contact, b"", [3; 3])).unwrap(), None, "a place is not a name");
    assert_eq!(store.row(&Key::named(Table::Device, b"", [3; 3])).unwrap(), None);
}

fn staged_rows_are_seen_at_once_and_lie_over_committed_ones<F: Fixture>() {
    let mut fixture = F::new();
    let store = fixture.store();
    store.stage((1..=4u32).map(|n| put(at(b"s", n), n.to_be_bytes())).collect()).unwrap();
    store.commit().unwrap();
    store.stage(vec![Write::Delete(at(b"s", 2)), Write::Delete(at(b"s", 99)), put(at(b"s", 3), b"x")]).unwrap();
    store.stage(vec![put(at(b"s", 3), 3u32.to_be_bytes()), put(at(b"s", 0), 0u32.to_be_bytes())]).unwrap();
    for _ in 0..2 {
        assert_eq!(places(store, b"s", None, Direction::Forward, 9), [0, 1, 3, 4]);
        assert_eq!(places(store, b"s", Some(3), Direction::Backward, 9), [3, 1, 0]);
        assert_eq!(store.row(&at(b"s", 2)).unwrap(), None);
        assert_eq!(store.row(&at(b"s", 3)).unwrap(), Some(vec![0, 0, 0, 3]));
        store.commit().unwrap();
    }
}

fn discarded_and_uncommitted_rows_are_gone<F: Fixture>() {
    let mut fixture = F::new();
    let store = fixture.store();
    store.stage(vec![put(at(b"s", 1), b"kept")]).unwrap();
    store.commit().unwrap();
    store.stage(vec![Write::Delete(at(b"s", 1)), put(at(b"s", 2), b"lost")]).unwrap();
    store.discard();
    store.commit().unwrap();
    assert_eq!(store.row(&at(b"s", 1)).unwrap(), Some(b"kept".to_vec()));
    store.stage(vec![put(at(b"s", 1), b"lost"), put(at(b"s", 3), b"lost")]).unwrap();
    let mut fixture = fixture.restart();
    let store = fixture.store();
    assert_eq!(store.row(&at(b"s", 1)).unwrap(), Some(b"kept".to_vec()));
    assert_eq!(store.row(&at(b"s", 2)).unwrap(), None);
    assert_eq!(store.row(&at(b"s", 3)).unwrap(), None);
}

fn a_row_over_the_limit_refuses_its_whole_batch<F: Fixture>() {
    let mut fixture = F::new();
    let store = fixture.store();
    let refused = store.stage(vec![put(at(b"s", 1), b"small"), put(at(b"s", 2), vec![0; MAX_ROW + 1])]);
    assert!(matches!(refused, Err(StoreError::RowTooLarge { table: Table::Timeline, len }) if len == MAX_ROW + 1));
    store.commit().unwrap();
    assert_eq!(store.row(&at(b"s", 1)).unwrap(), None);
}

fn a_row_at_the_limit_comes_back_and_shrinks<F: Fixture>() {
    let mut fixture = F::new();
    for len in [MAX_ROW, 64 * 1024, 4096, 0] {
        let value: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        fixture.store().stage(vec![put(at(b"s", 1), &value)]).unwrap();
        fixture.store().commit().unwrap();
        fixture = fixture.restart();
        assert!(fixture.store().row(&at(b"s", 1)).unwrap().unwrap() == value, "{len} bytes");
        assert_eq!(fixture.store().scan(Table::Timeline, b"s", None, Direction::Forward, 9).unwrap().len(), 1);
    }
}

fn cell(name: u8, hour: u64) -> Cell {
    Cell { scope: vec![name], hour }
}

fn put_in(cell: Cell, n: u32) -> Write {
    Write::PutIn(cell, Key::at(Table::Event, b"s", n.to_be_bytes()), n.to_be_bytes().to_vec())
}

fn events(store: &impl View) -> Vec<u32> {
    let rows = store.scan(Table::Event, b"s", None, Direction::Forward, 99).unwrap();
    let events: Vec<u32> = rows.into_iter().map(|(_, value)| u32::from_be_bytes(value.try_into().unwrap())).collect();
    for n in 0..20u32 {
        let row = store.row(&Key::at(Table::Event, b"s", n.to_be_bytes())).unwrap();
        assert_eq!(row.is_some(), events.contains(&n), "a scan shows what a look shows");
    }
    events
}

fn an_erased_cell_takes_its_rows_and_no_others<F: Fixture>() {
    let mut fixture = F::new();
    let store = fixture.store();
    store.stage(vec![put_in(cell(1, 0), 1), put_in(cell(1, 7), 2), put_in(cell(2, 7), 3)]).unwrap();
    store.stage(vec![put(Key::at(Table::Event, b"s", 4u32.to_be_bytes()), 4u32.to_be_bytes())]).unwrap();
    store.commit().unwrap();
    store.stage(vec![put_in(cell(1, 7), 5), Write::EraseCell(cell(1, 7)), put_in(cell(1, 7), 6)]).unwrap();
    assert_eq!(events(store), [1, 3, 4, 6], "seen at once");
    assert_eq!(
        store.scan(Table::Event, b"s", None, Direction::Forward, 2).unwrap().len(),
        2,
        "a limit counts what is left"
    );
    store.discard();
    assert_eq!(events(store), [1, 2, 3, 4]);
    store.stage(vec![put_in(cell(1, 7), 5), Write::EraseCell(cell(1, 7)), put_in(cell(1, 7), 6)]).unwrap();
    store.commit().unwrap();
    assert_eq!(events(store), [1, 3, 4, 6]);
    let mut fixture = fixture.restart();
    let store = fixture.store();
    assert_eq!(events(store), [1, 3, 4, 6]);
    store.stage(vec![put_in(cell(1, 7), 2), Write::EraseCell(cell(9, 9))]).unwrap();
    store.commit().unwrap();
    assert_eq!(events(store), [1, 2, 3, 4, 6], "a new row of an erased name");
}

fn a_row_is_in_the_cell_it_was_put_into_last<F: Fixture>() {
    let mut fixture = F::new();
    let store = fixture.store();
    store.stage((1..=4).map(|n| put_in(cell(1, 1), n)).collect()).unwrap();
    store.commit().unwrap();
    let lasting = put(Key::at(Table::Event, b"s", 1u32.to_be_bytes()), 1u32.to_be_bytes());
    store
        .stage(vec![lasting, put_in(cell(1, 2), 2), Write::Delete(Key::at(Table::Event, b"s", 3u32.to_be_bytes()))])
        .unwrap();
    store.commit().unwrap();
    store.stage(vec![Write::EraseCell(cell(1, 1))]).unwrap();
    assert_eq!(events(store), [1, 2]);
    store.commit().unwrap();
    store.stage(vec![Write::EraseCell(cell(1, 2))]).unwrap();
    store.commit().unwrap();
    assert_eq!(events(fixture.restart().store()), [1]);
}

fn a_renewed_cell_keeps_its_rows<F: Fixture>() {
    let mut fixture = F::new();
    fixture.store().stage((1..=5).map(|n| put_in(cell(1, 0), n)).collect()).unwrap();
    fixture.store().commit().unwrap();
    let gone = Write::Delete(Key::at(Table::Event, b"s", 3u32.to_be_bytes()));
    fixture.store().stage(vec![gone, Write::RenewCell(cell(1, 0)), put_in(cell(1, 0), 6)]).unwrap();
    fixture.store().commit().unwrap();
    for now in 0..8u64 {
        assert_eq!(events(fixture.store()), [1, 2, 4, 5, 6]);
        fixture.store().do_chore(Millis(now * 60_000)).unwrap();
        if now % 3 == 2 {
            fixture = fixture.restart();
        }
    }
    fixture.store().stage(vec![Write::EraseCell(cell(1, 0))]).unwrap();
    fixture.store().commit().unwrap();
    assert_eq!(events(fixture.store()), [0; 0]);
}

fn an_older_copy_is_noticed_and_has_no_secrets<F: Fixture>() {
    let secret = |n: u8| put(Key::named(Table::Session, b"", [n]), [n]);
    let known = |store: &F::Store| {
        let rows = store.scan(Table::Session, b"", None, Direction::Forward, 99).unwrap();
        rows.into_iter().map(|(_, value)| value[0]).collect::<Vec<_>>()
    };
    let mut fixture = F::new();
    fixture.store().stage(vec![secret(1), put(at(b"s", 1), 1u32.to_be_bytes()), put_in(cell(1, 0), 1)]).unwrap();
    fixture.store().commit().unwrap();
    fixture = fixture.copy();
    assert!(!fixture.store().rolled_back());
    fixture.store().stage(vec![secret(1), secret(2)]).unwrap();
    fixture.store().commit().unwrap();
    fixture = fixture.put_copy_back();
    for _ in 0..2 {
        let store = fixture.store();
        assert!(store.rolled_back());
        assert_eq!(known(store), [0; 0]);
        assert_eq!(store.row(&Key::named(Table::Session, b"", [1])).unwrap(), None);
        assert_eq!(places(store, b"s", None, Direction::Forward, 9), [1], "what lasts is there");
        assert_eq!(events(store), [1]);
        store.stage(vec![Write::ForgetLost, secret(3)]).unwrap();
        store.discard();
    }
    fixture.store().stage(vec![Write::ForgetLost, secret(3)]).unwrap();
    fixture.store().commit().unwrap();
    assert!(!fixture.store().rolled_back());
    fixture = fixture.restart();
    assert!(!fixture.store().rolled_back());
    assert_eq!(known(fixture.store()), [3]);
}

/// Random batches, erasures, commits, discards, chores and restarts against a plain map.
fn any_writes_give_what_a_map_would_give<F: Fixture>() {
    let change = (0..3u8, 0..8u8, proptest::option::weighted(0.7, 0..9_000usize), 0..6u8);
    let steps = proptest::collection::vec((proptest::collection::vec(change, 0..6), 0..7u8), 1..12);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 16, ..ProptestConfig::default() });
    runner.run(&steps, |steps| check_against_map::<F>(steps)).unwrap();
}

type Batch = Vec<(u8, u8, Option<usize>, u8)>;
type Map = BTreeMap<(u8, u8), (Vec<u8>, Option<u8>)>;

/// Cells 0 and 1 hold rows, 2 and 3 are such an erasure or renewal of them, others are no cell.
fn change(map: &mut Map, (scope, place, len, of): (u8, u8, Option<usize>, u8)) -> Write {
    let key = Key::at(Table::Held, [scope], [place]);
    match (len.map(|len| vec![place; len]), of) {
        (Some(value), 0 | 1) => {
            map.insert((scope, place), (value.clone(), Some(of)));
            Write::PutIn(cell(of, 3), key, value)
        }
        (Some(value), _) => {
            map.insert((scope, place), (value.clone(), None));
            Write::Put(key, value)
        }
        (None, 2) => {
            map.retain(|_, (_, held)| *held != Some(place % 2));
            Write::EraseCell(cell(place % 2, 3))
        }
        (None, 3) => Write::RenewCell(cell(place % 2, 3)),
        (None, _) => {
            map.remove(&(scope, place));
            Write::Delete(key)
        }
    }
}

fn check_against_map<F: Fixture>(steps: Vec<(Batch, u8)>) -> Result<(), TestCaseError> {
    let mut fixture = F::new();
    let (mut committed, mut seen) = (Map::new(), Map::new());
    for (now, (batch, then)) in (0u64..).zip(steps) {
        let writes = batch.into_iter().map(|one| change(&mut seen, one)).collect();
        fixture.store().stage(writes).unwrap();
        match then {
            0 => {
                fixture.store().discard();
                seen = committed.clone();
            }
            1 => {
                fixture = fixture.restart();
                seen = committed.clone();
            }
            2..=4 => {
                fixture.store().commit().unwrap();
                committed = seen.clone();
            }
            5 => fixture.store().do_chore(Millis(now * 3_600_000)).unwrap(),
            _ => {}
        }
        for scope in 0..3u8 {
            let wanted: Vec<_> = seen
                .range((scope, 0)..=(scope, 255))
                .map(|((_, place), (value, _))| (vec![*place], value.clone()))
                .collect();
            let found = fixture.store().scan(Table::Held, &[scope], None, Direction::Forward, 99);
            prop_assert!(found == Ok::<_, ViewError>(wanted), "scope {}", scope);
        }
    }
    Ok(())
}

//! What a store on disk promises against thieves, damage, kills and full disks.

use crate::protocol::{
    crypto::secret::Secret,
    view::{Direction, Key, Table, View, ViewError, Write},
};
use crate::store::{
    Cost, Home, Passphrase, SledStore, Store, StoreError,
    disk::Disk,
    keyslots::Keyslots,
    leaves::Batch,
    migrate::{Schema, Step},
    rings::SlotFile,
    sled_store::Vault,
};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

mod erasing;

fn new_home() -> (tempfile::TempDir, SledStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = Home::create(dir.path(), None, Cost::FOR_TESTS).unwrap().store().unwrap();
    (dir, store)
}

fn open(dir: &Path) -> SledStore {
    Home::open(dir, None).unwrap().store().unwrap()
}

fn event(n: u32) -> Key {
    Key::at(Table::Event, b"chat", n.to_be_bytes())
}

fn commit(store: &mut SledStore, writes: Vec<Write>) {
    store.stage(writes).unwrap();
    store.commit().unwrap();
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

fn contains(dir: &Path, needle: &[u8]) -> bool {
    let holds = |path: &PathBuf| fs::read(path).unwrap().windows(needle.len()).any(|part| part == needle);
    files_in(dir).iter().any(holds)
}

#[test]
fn a_copy_of_a_whole_home_is_noticed_until_all_began_anew() {
    let (dir, mut store) = new_home();
    commit(&mut store, vec![Write::Put(event(1), b"kept".to_vec())]);
    drop(store);
    assert!(!open(dir.path()).rolled_back(), "it was opened again");
    let copy = tempfile::tempdir().unwrap();
    for path in files_in(dir.path()) {
        let target = copy.path().join(path.strip_prefix(dir.path()).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, target).unwrap();
    }
    if fs::metadata(copy.path()).and_then(|metadata| metadata.created()).is_err() {
        eprintln!("skipped: this file system does not say when a file was made");
        return;
    }
    for _ in 0..2 {
        assert!(open(copy.path()).rolled_back(), "not before it is durable that all began anew");
    }
    let mut store = open(copy.path());
    commit(&mut store, vec![Write::ForgetLost]);
    assert_eq!(store.row(&event(1)).unwrap().as_deref(), Some(&b"kept"[..]));
    assert!(!store.rolled_back());
    drop(store);
    assert!(!open(copy.path()).rolled_back() && !open(dir.path()).rolled_back());
}

#[test]
fn nothing_written_can_be_found_in_any_file_of_the_home() {
    let dir = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::new("planted-passphrase");
    let mut home = Home::create(dir.path(), passphrase.as_ref(), Cost::FOR_TESTS).unwrap();
    let entropy = Secret::from(*b"planted-entropy-of-the-account-k");
    home.keep_account_secret(&entropy, passphrase.as_ref(), Cost::FOR_TESTS).unwrap();
    let mut store = home.store().unwrap();
    let key = Key::named(Table::Contact, b"planted-scope", b"planted-name");
    commit(&mut store, vec![Write::Put(key.clone(), b"planted-value".repeat(1000))]);
    commit(&mut store, vec![Write::Put(key, b"planted-value".to_vec())]);
    drop(store);
    fs::write(dir.path().join("config.toml"), b"probe").unwrap();
    assert!(contains(dir.path(), b"probe"), "the search finds what is there");
    assert!(!contains(dir.path(), b"planted"));
}

#[test]
fn rows_put_in_each_others_place_are_refused() {
    let (dir, mut store) = new_home();
    commit(&mut store, vec![Write::Put(event(1), b"one".to_vec()), Write::Put(event(2), b"two".to_vec())]);
    drop(store);
    let mut disk = Disk::open(&dir.path().join("store")).unwrap();
    let span = (Bound::Included(vec![Table::Event as u8]), Bound::Excluded(vec![Table::Event as u8 + 1]));
    let rows: Vec<_> = disk.range(span, Direction::Forward).map(Result::unwrap).collect();
    let [(first_key, first), (second_key, second)] = &rows[..] else { panic!("two rows") };
    let mut swap = Batch::default();
    swap.insert(first_key.clone(), second.clone());
    swap.insert(second_key.clone(), first.clone());
    disk.apply(swap).unwrap();
    drop((disk, rows));
    let store = open(dir.path());
    assert_eq!(store.row(&event(1)), Err(ViewError::Damaged(Table::Event)));
    assert_eq!(store.row(&event(2)), Err(ViewError::Damaged(Table::Event)));
    assert_eq!(store.scan(Table::Event, b"chat", None, Direction::Forward, 9), Err(ViewError::Damaged(Table::Event)));
}

#[test]
fn a_damaged_row_does_not_hide_the_others_from_those_who_go_on() {
    let (dir, mut store) = new_home();
    let place = |n: u8| Key::at(Table::Timeline, b"chat", [n]);
    commit(&mut store, (1..=3).map(|n| Write::Put(place(n), vec![n])).collect());
    drop(store);
    let mut disk = Disk::open(&dir.path().join("store")).unwrap();
    let span = (Bound::Included(vec![Table::Timeline as u8]), Bound::Excluded(vec![Table::Timeline as u8 + 1]));
    let rows: Vec<_> = disk.range(span, Direction::Forward).map(Result::unwrap).collect();
    let mut swap = Batch::default();
    swap.insert(rows[1].0.clone(), rows[0].1.clone());
    disk.apply(swap).unwrap();
    drop((disk, rows));
    let reader = open(dir.path()).reader();
    let each = reader.scan_each(Table::Timeline, b"chat", None, Direction::Backward, 9).unwrap();
    assert_eq!(each, [(vec![3], Some(vec![3])), (vec![2], None), (vec![1], Some(vec![1]))]);
    let first = reader.scan_each(Table::Timeline, b"chat", Some(&[2]), Direction::Forward, 1).unwrap();
    assert_eq!(first, [(vec![2], None)]);
}

#[test]
fn flipped_bytes_never_panic_and_never_give_wrong_plaintext() {
    let (dir, mut store) = new_home();
    let value = |n: u32| vec![n as u8; 300 + 700 * (n as usize % 9)];
    commit(&mut store, vec![Write::Put(Key::named(Table::Session, b"", b"one"), vec![1; 100])]);
    for n in 0..40 {
        commit(&mut store, vec![Write::Put(event(n), value(n))]);
    }
    drop(store);
    let db = dir.path().join("store/db");
    let good = fs::read(&db).unwrap();
    let written = good.iter().rposition(|byte| *byte != 0).unwrap();
    let beside = ["keyslots", "tally"].map(|name| dir.path().join(name)).map(|path| (fs::read(&path).unwrap(), path));
    let (mut refused, mut noticed) = (0, 0);
    for round in 0..25usize {
        beside.iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
        let mut bent = good.clone();
        let at = (round * 7919 * 13) % written;
        bent[at] ^= 1 << (round % 8);
        fs::write(&db, &bent).unwrap();
        for path in files_in(&dir.path().join("store")) {
            if path.file_name().unwrap().to_string_lossy().starts_with("snap.") {
                fs::remove_file(path).unwrap();
            }
        }
        let store = match Home::open(dir.path(), None).unwrap().store() {
            Ok(store) => store,
            Err(StoreError::Damaged { .. } | StoreError::Io(_)) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("flip at {at}: {error}"),
        };
        let mut missing = 0;
        for n in 0..40 {
            match store.row(&event(n)) {
                Ok(Some(found)) => assert!(found == value(n), "flip at {at}: wrong plaintext"),
                Ok(None) => missing += 1,
                Err(_) => refused += 1,
            }
        }
        if missing > 0 && store.scan(Table::Session, b"", None, Direction::Forward, 1).is_ok() {
            noticed += 1;
            assert!(store.rolled_back(), "flip at {at}: {missing} rows are missing, and nothing is said");
        }
    }
    assert!(refused > 0 && noticed > 0, "the flips hit something: {refused}, {noticed}");
}

#[test]
fn a_snapshot_that_a_crash_left_half_written_is_no_damage() {
    let (dir, mut store) = new_home();
    commit(&mut store, vec![Write::Put(event(1), b"one".to_vec())]);
    drop(store);
    let whole = files_in(&dir.path().join("store"));
    let whole = whole.iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap."));
    let bytes = whole.map_or_else(|| vec![7; 60], |path| fs::read(path).unwrap());
    let half = dir.path().join("store/snap.00000000000FFFFF.generating");
    for written in [0, 1, bytes.len() / 2, bytes.len()] {
        fs::write(&half, &bytes[..written]).unwrap();
        assert_eq!(open(dir.path()).row(&event(1)).unwrap(), Some(b"one".to_vec()), "{written} bytes");
        assert!(!half.exists());
    }
}

#[test]
fn a_reader_sees_committed_rows_only() {
    let (_dir, mut store) = new_home();
    let reader = store.reader();
    store.stage(vec![Write::Put(event(1), b"one".to_vec())]).unwrap();
    assert_eq!(reader.row(&event(1)).unwrap(), None);
    assert_eq!(reader.scan(Table::Event, b"chat", None, Direction::Forward, 9).unwrap(), []);
    store.commit().unwrap();
    let read = std::thread::spawn(move || reader.row(&event(1)).unwrap());
    assert_eq!(read.join().unwrap(), Some(b"one".to_vec()));
}

#[test]
fn no_row_leaves_the_log_for_a_file_of_its_own() {
    let (dir, mut store) = new_home();
    for round in 0..4u32 {
        let large = (0..8).map(|n| Write::Put(event(round * 8 + n), vec![7; 64 * 1024])).collect();
        commit(&mut store, large);
        let exact = (0..60).map(|n| Write::Put(Key::at(Table::Op, b"g", [n]), vec![round as u8; 4000])).collect();
        commit(&mut store, exact);
    }
    assert_eq!(fs::read_dir(dir.path().join("store/blobs")).unwrap().count(), 0);
}

#[test]
fn a_store_whose_rows_were_entries_of_sled_is_brought_into_leaves() {
    let (dir, mut store) = new_home();
    commit(&mut store, (0..50).map(|n| Write::Put(event(n), vec![n as u8; 200 * n as usize])).collect());
    drop(store);
    fs::remove_file(dir.path().join("tally")).unwrap();
    let path = dir.path().join("store");
    let disk = Disk::open(&path).unwrap();
    let all: Vec<_> =
        disk.range((Bound::Unbounded, Bound::Unbounded), Direction::Forward).map(Result::unwrap).collect();
    disk.close();
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let first = sled::open(&path).unwrap();
    all.iter().for_each(|(key, value)| drop(first.insert(key, &value[..]).unwrap()));
    first.flush().unwrap();
    drop(first);
    for _ in 0..2 {
        let store = open(dir.path());
        for n in 0..50 {
            assert_eq!(store.row(&event(n)).unwrap(), Some(vec![n as u8; 200 * n as usize]));
        }
    }
}

#[test]
fn a_long_row_that_shrinks_or_goes_leaves_no_parts_behind() {
    let (dir, mut store) = new_home();
    commit(&mut store, (0..3).map(|n| Write::Put(event(n), vec![7; 64 * 1024])).collect());
    commit(
        &mut store,
        vec![Write::Put(event(0), vec![1; 9000]), Write::Put(event(1), vec![]), Write::Delete(event(2))],
    );
    assert_eq!(store.row(&event(0)).unwrap(), Some(vec![1; 9000]));
    drop(store);
    let disk = Disk::open(&dir.path().join("store")).unwrap();
    let parts = disk.range((Bound::Included(vec![0x80]), Bound::Unbounded), Direction::Forward).count();
    assert_eq!(parts, 2, "9,000 bytes and the seal are three parts, one of them the row itself");
}

const OLD: Schema = Schema { number: 3, steps: &[] };
const NEW: Schema = Schema { number: 5, steps: &[step(3, mark), step(4, prune)] };
const DIES: Schema = Schema { number: 5, steps: &[step(3, die), step(4, prune)] };
const NO_WAY: Schema = Schema { number: 5, steps: &[step(4, prune)] };

const fn step(from: u16, rewrite: fn(u8, Vec<u8>) -> Option<Vec<u8>>) -> Step {
    Step { from, rewrite, cell: |_, _| None }
}

fn mark(table: u8, value: Vec<u8>) -> Option<Vec<u8>> {
    Some(if table == Table::Event as u8 { [value, b"!".to_vec()].concat() } else { value })
}

fn prune(table: u8, value: Vec<u8>) -> Option<Vec<u8>> {
    (table != Table::Address as u8).then_some(value)
}

fn die(table: u8, value: Vec<u8>) -> Option<Vec<u8>> {
    assert!(!value.starts_with(b"long"), "the power goes out");
    mark(table, value)
}

#[test]
fn an_older_store_is_brought_up_step_by_step_and_a_newer_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Arc::new(File::create(dir.path().join("lock")).unwrap());
    let vault = |root| {
        let slots = Keyslots::load(&dir.path().join("keyslots")).unwrap().unwrap_or(Keyslots::new().unwrap());
        Vault { slots: Arc::new(SlotFile::new(dir.path().join("keyslots"), slots)), root: Secret::from([root; 32]) }
    };
    let open = |schema| SledStore::open_with(dir.path(), vault(3), Arc::clone(&lock), schema);
    let (contact, address) = (Key::named(Table::Contact, b"", b"c"), Key::named(Table::Address, b"", b"a"));
    let mut store = open(OLD).unwrap();
    let mut rows: Vec<_> = (0..600).map(|n| Write::Put(event(n), b"text".to_vec())).collect();
    rows.push(Write::Put(event(600), b"long".repeat(3000)));
    rows.push(Write::Put(contact.clone(), b"same".to_vec()));
    rows.push(Write::Put(address.clone(), b"gone".repeat(3000)));
    commit(&mut store, rows);
    drop(store);
    assert!(matches!(open(NO_WAY), Err(StoreError::TooOld { found: 3, known: 5 })));
    assert!(catch_unwind(AssertUnwindSafe(|| open(DIES))).is_err(), "dies after some batches");
    for _ in 0..2 {
        let store = open(NEW).unwrap();
        for n in 0..600 {
            assert_eq!(store.row(&event(n)).unwrap().unwrap(), b"text!", "rewritten once");
        }
        assert_eq!(store.row(&event(600)).unwrap(), Some([b"long".repeat(3000), b"!".to_vec()].concat()));
        assert_eq!(store.row(&contact).unwrap(), Some(b"same".to_vec()));
        assert_eq!(store.row(&address).unwrap(), None);
    }
    assert!(matches!(open(OLD), Err(StoreError::Newer { found: 5, known: 3 })));
    let stranger = SledStore::open_with(dir.path(), vault(4), Arc::clone(&lock), NEW);
    assert!(matches!(stranger, Err(StoreError::Damaged { .. })));
}

const KILLED_HOME: &str = "MOIM_TEST_KILLED_HOME";

#[test]
#[ignore = "not a test: the process that the next one kills"]
fn a_process_that_is_killed() {
    let Some(dir) = std::env::var_os(KILLED_HOME) else { return };
    let mut store = open(Path::new(&dir));
    let start = store.scan(Table::Event, b"chat", None, Direction::Backward, 1).unwrap();
    let start = start.first().map_or(0, |(place, _)| u32::from_be_bytes(place[..].try_into().unwrap()) + 1);
    for n in start.. {
        let other = Key::named(Table::Outbox, b"", n.to_be_bytes());
        commit(&mut store, vec![Write::Put(event(n), vec![n as u8; 700]), Write::Put(other, vec![n as u8; 5000])]);
        println!("durable {n}");
    }
}

#[test]
fn an_acknowledged_row_survives_kill_9() {
    let (dir, store) = new_home();
    drop(store);
    let mut acknowledged = 0;
    for round in 0..10 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::tests::a_process_that_is_killed", "--exact", "--nocapture", "--include-ignored"])
            .env(KILLED_HOME, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let numbers = lines.filter_map(|line| line.split_once("durable ").map(|(_, n)| n.parse::<u32>().unwrap()));
        let mut seen = numbers.inspect(|n| acknowledged = *n);
        seen.nth(3 + round * 5 % 17).expect("the child writes");
        child.kill().unwrap();
        seen.for_each(drop);
        child.wait().unwrap();
        let store = open(dir.path());
        for n in 0..=acknowledged {
            assert_eq!(store.row(&event(n)).unwrap(), Some(vec![n as u8; 700]), "round {round}");
        }
        let rows = store.scan(Table::Event, b"chat", None, Direction::Forward, usize::MAX).unwrap().len();
        let others = store.scan(Table::Outbox, b"", None, Direction::Forward, usize::MAX).unwrap().len();
        assert_eq!(rows, others, "a batch is there whole or not at all");
    }
}

/// A small disk of its own; `None` where this user may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "moim-test"]).arg(dir.path()).output();
        mount.is_ok_and(|done| done.status.success()).then(|| Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_acknowledged_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("16m") else {
        eprintln!("skipped: only root may mount a small disk");
        return;
    };
    let dir = disk.0.path().join("home");
    let filler = disk.0.path().join("filler");
    let mut store = Home::create(&dir, None, Cost::FOR_TESTS).unwrap().store().unwrap();
    let reader = store.reader();
    fs::write(&filler, vec![0; 5 << 20]).unwrap();
    let mut written = 0;
    let error = loop {
        store.stage(vec![Write::Put(event(written), vec![written as u8; 40_000])]).unwrap();
        match store.commit() {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "16 MiB are full by now");
    };
    assert!(matches!(error, StoreError::Full), "{error}");
    assert!(written > 5);
    for _ in 0..3 {
        assert!(matches!(store.commit(), Err(StoreError::Full)), "still no room");
    }
    assert_eq!(store.row(&event(written)).unwrap(), Some(vec![written as u8; 40_000]), "still staged");
    let intact = |view: &dyn View, upto| (0..upto).all(|n| view.row(&event(n)).unwrap() == Some(vec![n as u8; 40_000]));
    // Readers go on where sled found room to open again in that of the ballast; else they are told why not.
    match reader.row(&event(written)) {
        Err(ViewError::Io(why)) => assert!(why.contains("the disk is full"), "{why}"),
        row => {
            assert_eq!(row.unwrap(), None, "not shown as committed");
            assert!(intact(&reader, written));
        }
    }

    fs::remove_file(&filler).unwrap();
    store.commit().unwrap();
    assert!(intact(&reader, written + 1));
    drop((store, reader));
    assert!(intact(&open(&dir), written + 1));

    // Full to the last byte, it still opens, and says so on the first write.
    let mut rest = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut rest, &[1; 4096]).is_ok() {}
    let mut store = open(&dir);
    assert!(intact(&store, written + 1));
    store.stage((0..99).map(|n| Write::Put(event(9000 + n), vec![1; 60_000])).collect()).unwrap();
    assert!(matches!(store.commit(), Err(StoreError::Full)));
    fs::remove_file(&filler).unwrap();
}

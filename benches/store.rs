//! What appending costs: rows of a kilobyte in groups of 1, 16 and 256, durable and not, beside a bare file that takes the
//! same bytes with a write and an fdatasync a group, in the same run on the same disk. `cargo bench --bench store`

use moim::{
    protocol::view::{Key, Table, Write},
    store::{Cost, Home, SledStore, Store, StoreError},
};
use std::{
    fs::File,
    io::Write as _,
    time::{Duration, Instant},
};

const ROW: usize = 1024;
/// Each measurement takes this long.
const LONG: Duration = Duration::from_millis(1500);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir_in(".")?;
    let mut store = Home::create(&dir.path().join("home"), None, Cost::FOR_TESTS)?.store()?;
    println!("rows/s of {ROW} bytes; ratio to the bare file");
    println!("{:>6} {:>12} {:>12} {:>7} {:>12} {:>7}", "group", "bare file", "durable", "ratio", "undurable", "ratio");
    let mut next = 0u64;
    for group in [1, 16, 256] {
        let mut file = File::create(dir.path().join("bare"))?;
        let bare = rate(group, || {
            for _ in 0..group {
                file.write_all(&[7; ROW])?;
            }
            Ok(file.sync_data()?)
        })?;
        let durable = rate(group, || append(&mut store, &mut next, group, SledStore::commit))?;
        let undurable = rate(group, || append(&mut store, &mut next, group, SledStore::commit_undurably))?;
        println!(
            "{group:>6} {bare:>12.0} {durable:>12.0} {:>7.2} {undurable:>12.0} {:>7.2}",
            durable / bare,
            undurable / bare
        );
    }
    Ok(())
}

fn append(
    store: &mut SledStore,
    next: &mut u64,
    group: usize,
    commit: fn(&mut SledStore) -> Result<(), StoreError>,
) -> Result<(), Box<dyn std::error::Error>> {
    for _ in 0..group {
        *next += 1;
        let key = Key::at(Table::Event, b"chat", next.to_be_bytes());
        store.stage(vec![Write::Put(key, vec![7; ROW])])?;
    }
    Ok(commit(store)?)
}

fn rate(
    group: usize,
    mut step: impl FnMut() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut rows = 0;
    while start.elapsed() < LONG {
        step()?;
        rows += group;
    }
    Ok(rows as f64 / start.elapsed().as_secs_f64())
}

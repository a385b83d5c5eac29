//! sled 0.34, kept at arm's length: every call is guarded, because sled may panic on a damaged file, and what it calls
//! flushed is made durable, because its flush on Linux is `sync_file_range` alone.
//!
//! Everything is in one tree, as leaves of many rows: sled's `apply_batch` is atomic for one tree only. No thread of sled's own writes: its
//! background flusher stops for good at its first error, and segments are cleaned as pages are written. Once a write has
//! failed, what sled holds in memory is no longer what is on disk: drop the `Disk` and open it anew.

use crate::protocol::view::Direction;
use crate::store::{
    StoreError,
    blind::Span,
    cache::Cache,
    files,
    flushes::Flushes,
    leaves::{self, Batch},
    tally::Tally,
};
use std::{
    cell::Cell,
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// sled's page cache, in bytes; its default is 1 GiB. The system caches too: with four times as much no page and no search of a
/// million messages was quicker. See [`Cache`] for what sled makes of it.
const CACHE: u64 = 8 * 1024 * 1024;
/// Bytes written after which sled should be opened anew: opening reads all that was written since it was opened last, some
/// hundred megabytes a second, and only then is it noted how far that went.
const WORN: u64 = 512 * 1024 * 1024;
/// The tree of leaves. In the first stores each row was an entry of sled's own tree.
const LEAVES: &str = "leaves";
/// Where it is counted how many batches were applied. Table 0 is nobody's.
const COUNT: &[u8] = b"\0count";
/// The tree whose one entry is written only so that sled cleans; see [`Disk::sweep`].
const BROOM: &str = "broom";
/// Bytes given to sled for which the broom is moved once. Measured with 50,000 messages, 128 a commit, on an idle machine: 114 MB
/// with 250 bytes, 236 MB with 500, 312 MB with 1,000, 489 MB without, at the same speed within the noise. A busy machine cleans
/// less (367 MB once), and so do small commits (7 to 8 KB a message).
const SWEPT: u64 = 256;
/// Bytes of a store from which on its cache is worth steering.
const LARGE: u64 = 64 * 1024 * 1024;
/// Rows of a range that are about a page of sled's.
const ROWS_OF_A_PAGE: usize = 32;
/// Rows of a first store that become leaves in one batch.
const MOVED: usize = 1024;
/// How long a `Disk` of this process that was just dropped may still hold sled's file lock. Between processes the lock
/// of the home decides.
const LET_GO_WITHIN: Duration = Duration::from_secs(5);
const LOOKED_EVERY: Duration = Duration::from_millis(5);

/// An open sled tree and what makes it durable.
pub(super) struct Disk {
    dir: PathBuf,
    flushes: Flushes,
    db: sled::Db,
    tree: sled::Tree,
    broom: sled::Tree,
    cache: Cache,
    /// Bytes of the store when it was opened.
    size: u64,
    /// Bytes written that no stroke of the broom has followed yet.
    unswept: u64,
    /// Bytes given to sled since it was opened.
    written: u64,
    /// A second handle of sled's log: sled does not lend its own.
    log: File,
    /// Files of sled's for large pages that are durable already. Rows are cut so that there are none; should one appear
    /// all the same, an acknowledgement waits for it.
    large: BTreeSet<OsString>,
    /// Batches that were ever applied.
    count: u64,
    missing: u64,
    tally: Tally,
}

impl Disk {
    /// Opens or makes the tree in `dir`, and makes durable what sled wrote in opening.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        files::private_dir(dir).map_err(io_error)?;
        clear_half_written_snapshots(dir).map_err(io_error)?;
        let db = open_when_let_go(dir)?;
        files::settle(dir).map_err(io_error)?;
        let log = File::options().read(true).write(true).open(dir.join("db")).map_err(io_error)?;
        let tree = guarded(dir, || db.open_tree(LEAVES))?;
        let broom = guarded(dir, || db.open_tree(BROOM))?;
        let cache = guarded(dir, || Cache::of(&db))?;
        let size = log.metadata().map_err(io_error)?.len();
        let count = guarded(dir, || leaves::get(&tree, COUNT))?.and_then(|bytes| bytes.try_into().ok());
        let count = count.map_or(0, u64::from_be_bytes);
        let tally = Tally::at(&dir.with_file_name("tally")).map_err(io_error)?;
        let missing = tally.noted().map_or(0, |noted| noted.saturating_sub(count));
        let (dir, large) = (dir.to_path_buf(), BTreeSet::new());
        let flushes = Flushes::of(&db);
        let mut disk = Self {
            dir,
            flushes,
            db,
            tree,
            broom,
            cache,
            size,
            unswept: 0,
            written: 0,
            log,
            large,
            count,
            missing,
            tally,
        };
        if count == 0 && missing > 0 {
            return Err(disk.damaged("nothing is left of what was written"));
        }
        disk.move_first_rows()?;
        Ok(disk)
    }

    /// How many durable batches were not here any more when it was opened: somebody put back an older store, or it is damaged
    /// in its middle.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// From now on nothing is missing. Until then the tally is left as it is.
    pub(super) fn forget_missing(&mut self) {
        self.missing = 0;
        self.tally.note(self.count);
    }

    /// Makes leaves of the rows of a first store. Killed on its way, it begins again.
    fn move_first_rows(&mut self) -> Result<(), StoreError> {
        if guarded(&self.dir, || Ok(self.db.is_empty()))? {
            return Ok(());
        }
        let rows = self.db.iter();
        let mut rows = rows.peekable();
        while guarded(&self.dir, || Ok(rows.peek().is_some()))? {
            let mut batch = Batch::default();
            for row in rows.by_ref().take(MOVED) {
                let (key, value) = guarded(&self.dir, || row)?;
                batch.insert(key.to_vec(), value.to_vec());
            }
            self.apply(batch)?;
        }
        guarded(&self.dir, || self.db.clear())?;
        self.apply(Batch::default())
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.cache.used(1);
        guarded(&self.dir, || leaves::get(&self.tree, key))
    }

    /// Whether it is time to open it anew.
    pub(super) fn is_worn(&self) -> bool {
        self.written >= WORN
    }

    /// Keys and values of a range, in the direction asked for. After an error it ends.
    pub(super) fn range(
        &self,
        span: Span,
        direction: Direction,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> {
        let mut rows = None;
        let mut failed = false;
        let mut count = 0;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            self.cache.used(usize::from(count % ROWS_OF_A_PAGE == 0));
            count += 1;
            let next = guarded(&self.dir, || {
                rows.get_or_insert_with(|| leaves::range(&self.tree, span.clone(), direction)).next().transpose()
            });
            let next = next.transpose()?;
            failed = next.is_err();
            Some(next)
        })
    }

    /// Applies a batch whole and returns when it is durable.
    pub(super) fn apply(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.apply_undurably(batch)?;
        guarded(&self.dir, || self.flushes.watched(|| self.db.flush()))?;
        self.log.sync_data().and_then(|()| self.sync_large_pages()).map_err(unsynced)?;
        if self.missing == 0 {
            self.tally.note(self.count);
        }
        Ok(())
    }

    /// Applies a batch whole; nothing is promised of a crash. For measuring what durability costs.
    pub(super) fn apply_undurably(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        batch.insert(COUNT, (self.count + 1).to_be_bytes().to_vec());
        // Many rows are changed side by side.
        self.cache.used(batch.len() / 4);
        let (leaves, bytes) = guarded(&self.dir, || leaves::fold(&self.tree, batch))?;
        self.written += bytes;
        guarded(&self.dir, || self.tree.apply_batch(leaves))?;
        self.count += 1;
        if !self.cache.is_filled() && self.size + self.written >= LARGE {
            guarded(&self.dir, || self.cache.fill())?;
        }
        self.sweep(bytes)
    }

    /// Has sled give back room in proportion to what was written. sled moves one page out of a segment that is mostly dead
    /// each time it writes a page whole, which it does at the tenth change: far too seldom for the segments that die
    /// meanwhile. Without this a long history took four times the room.
    fn sweep(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.unswept += bytes;
        while self.unswept >= SWEPT {
            self.unswept -= SWEPT;
            guarded(&self.dir, || self.broom.insert([], &[]))?;
        }
        Ok(())
    }

    /// The folder it is in.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The error for something found on disk that this program did not write.
    pub(super) fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged { dir: self.dir.clone(), why: why.to_owned() }
    }

    /// Lets go of sled, and waits until its threads have too: what they still write would take the room in which it is to be
    /// opened anew. Whatever sled has to say is too late.
    pub(super) fn close(self) {
        let log = self.log.try_clone();
        let _ = caught(move || drop(self));
        let Ok(log) = log else { return };
        let deadline = Instant::now() + LET_GO_WITHIN;
        while log.try_lock().is_err() && Instant::now() < deadline {
            thread::sleep(LOOKED_EVERY);
        }
    }

    /// How many batches were ever applied, and are here.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn sync_large_pages(&mut self) -> io::Result<()> {
        let dir = self.dir.join("blobs");
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if !self.large.contains(&entry.file_name()) {
                match File::open(entry.path()) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    opened => opened?.sync_all()?,
                }
            }
            found.insert(entry.file_name());
        }
        if found != self.large {
            files::sync_dir(&dir)?;
            self.large = found;
        }
        Ok(())
    }
}

/// Removes snapshots that a crash left half written: sled takes them for whole ones, and the store for damaged. Whole ones
/// have lost this ending, and sled does without any.
fn clear_half_written_snapshots(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn open_when_let_go(dir: &Path) -> Result<sled::Db, StoreError> {
    let deadline = Instant::now() + LET_GO_WITHIN;
    loop {
        let config =
            sled::Config::new().path(dir).cache_capacity(CACHE).mode(sled::Mode::HighThroughput).flush_every_ms(None);
        match guarded(dir, || config.open()) {
            Err(StoreError::Io(why)) if why.contains("could not acquire lock") && Instant::now() < deadline => {
                thread::sleep(LOOKED_EVERY);
            }
            opened => return opened,
        }
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread, now, is sled's about a damaged store and will be turned into an error. A panic hook
/// that ends the process must let it pass.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// Calls what may panic about what it finds on the disk.
pub(super) fn caught<T>(call: impl FnOnce() -> T) -> thread::Result<T> {
    let before = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    outcome
}

/// Calls sled and turns its errors and its panics into ours.
fn guarded<T>(dir: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    let damaged = |why: String| StoreError::Damaged { dir: dir.to_path_buf(), why };
    match caught(call) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => damaged(error.to_string()),
            _ => io_error(error),
        }),
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("sled gave up on it".to_owned())),
    }
}

/// A sync that failed is never tried again: the kernel may have dropped the pages and call the next one a success. Hence
/// even "no room" is not the [`StoreError::Full`] that goes on by itself.
fn unsynced(error: io::Error) -> StoreError {
    StoreError::Io(format!("the disk did not take what was written ({error})"))
}

pub(super) fn io_error(error: io::Error) -> StoreError {
    if files::is_full(&error) { StoreError::Full } else { StoreError::Io(error.to_string()) }
}

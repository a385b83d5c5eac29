//! The store on disk: one writer with its staged rows, any number of readers of committed ones.
//!
//! A commit holds readers off until it is durable, so that nobody is ever shown a row that a power loss could take back.
//! When the disk is full, sled's memory and disk have parted: sled is dropped and opened anew from what is durable, the
//! staged rows stay, and nothing more is written until there is room for the [`Ballast`] again.

use crate::protocol::{
    crypto::{kdf::kdf, labels, seal::DoesNotOpen, secret::Secret},
    view::{self, Direction, Key, Table, View, ViewError, Write},
};
use crate::store::{
    Store, StoreError,
    ballast::Ballast,
    blind::{self, Blinder},
    disk::{Disk, io_error},
    leaves::Batch,
    migrate::{SCHEMA, Schema, migrate},
    overlay::Overlay,
    row::{Row, RowKeys, part_key, parts_of},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{
    collections::BTreeSet,
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// The one writer of a home's store.
pub struct SledStore {
    shared: Arc<Shared>,
    staged: Overlay,
    ballast: Ballast,
    schema: Schema,
}

/// Reads committed rows, from any thread. A read may wait for a commit under way. While a `Reader` lives, the home stays
/// locked.
#[derive(Clone)]
pub struct Reader(Arc<Shared>);

struct Shared {
    disk: RwLock<State>,
    dir: PathBuf,
    blinder: Blinder,
    rows: Rows,
    _lock: Arc<File>,
}

enum State {
    Open(Disk),
    /// The disk was full; the next commit opens it again.
    Full,
    /// A write failed in a way that leaves unknown what the disk holds. Only a new start reads it anew.
    Failed(String),
}

/// Opens and seals rows.
pub(super) struct Rows(RowKeys);

impl SledStore {
    /// Opens or makes the store of a home under its root key; `lock` is kept while anything reads or writes.
    pub(super) fn open(home: &Path, root: &Secret, lock: Arc<File>) -> Result<Self, StoreError> {
        Self::open_with(home, root, lock, SCHEMA)
    }

    pub(super) fn open_with(home: &Path, root: &Secret, lock: Arc<File>, schema: Schema) -> Result<Self, StoreError> {
        let dir = home.join("store");
        let rows = Rows(RowKeys::new(root));
        let mut ballast = Ballast::at(home.join("ballast")).map_err(io_error)?;
        let disk = match ready(&dir, &rows, schema) {
            Err(StoreError::Full) => {
                ballast.release().map_err(io_error)?;
                ready(&dir, &rows, schema)?
            }
            opened => opened?,
        };
        let blinder = Blinder::new(&kdf(root.expose(), labels::STORE_INDEX, &[]));
        let shared = Shared { disk: RwLock::new(State::Open(disk)), dir, blinder, rows, _lock: lock };
        Ok(Self { shared: Arc::new(shared), staged: Overlay::default(), ballast, schema })
    }

    /// A handle for reads from other threads.
    pub fn reader(&self) -> Reader {
        Reader(Arc::clone(&self.shared))
    }

    /// Applies what is staged without waiting for the disk: for the bench, which weighs durability against it.
    #[doc(hidden)]
    pub fn commit_undurably(&mut self) -> Result<(), StoreError> {
        self.commit_by(Disk::apply_undurably)
    }

    fn commit_by(&mut self, apply: fn(&mut Disk, Batch) -> Result<(), StoreError>) -> Result<(), StoreError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let mut state = self.shared.exclusively();
        // Opening may need the room that the ballast has given up: the ballast is taken after it.
        if matches!(*state, State::Full) {
            *state = State::Open(ready(&self.shared.dir, &self.shared.rows, self.schema)?);
        }
        if !self.ballast.take().map_err(io_error)? {
            return Err(StoreError::Full);
        }
        let disk = match &mut *state {
            State::Open(disk) => disk,
            State::Full => return Err(StoreError::Full),
            State::Failed(why) => return Err(StoreError::Io(why.clone())),
        };
        let batch = self.shared.rows.batch(disk, &self.staged, self.schema)?;
        let Err(error) = apply(disk, batch) else {
            self.staged.clear();
            if disk.is_worn() {
                // What is committed stays so whatever comes of this: should it fail, the next drain tries again.
                state.give_up(State::Full);
                if let Ok(disk) = ready(&self.shared.dir, &self.shared.rows, self.schema) {
                    *state = State::Open(disk);
                }
            }
            return Ok(());
        };
        if !matches!(error, StoreError::Full) {
            state.give_up(State::Failed(format!("{error}; check the disk, then start moim again")));
            return Err(error);
        }
        state.give_up(State::Full);
        self.ballast.release().map_err(io_error)?;
        // Readers go on with what is durable. Should even this fail, the next commit tries again.
        if let Ok(disk) = ready(&self.shared.dir, &self.shared.rows, self.schema) {
            *state = State::Open(disk);
        }
        Err(StoreError::Full)
    }
}

impl State {
    fn disk(&self) -> Result<&Disk, ViewError> {
        match self {
            Self::Open(disk) => Ok(disk),
            Self::Full => Err(below(StoreError::Full)),
            Self::Failed(why) => Err(ViewError::Io(why.clone())),
        }
    }

    fn give_up(&mut self, next: Self) {
        if let Self::Open(disk) = std::mem::replace(self, next) {
            disk.close();
        }
    }
}

impl Store for SledStore {
    fn stage(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.staged.stage(&self.shared.blinder, writes)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.commit_by(Disk::apply)
    }

    fn discard(&mut self) {
        self.staged.clear();
    }

    fn revive(&mut self) -> Result<(), StoreError> {
        if !matches!(*self.shared.shared(), State::Full) {
            return Ok(());
        }
        let mut state = self.shared.exclusively();
        if matches!(*state, State::Full) {
            *state = State::Open(ready(&self.shared.dir, &self.shared.rows, self.schema)?);
        }
        Ok(())
    }
}

impl View for SledStore {
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError> {
        let on_disk = self.shared.blinder.key(key);
        match self.staged.row(&on_disk) {
            Some(staged) => Ok(staged.cloned()),
            None => self.shared.row(key.table, &on_disk),
        }
    }

    fn scan(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<view::Rows, ViewError> {
        self.shared.scan(&self.staged, table, scope, from, direction, limit)
    }

    fn scan_each(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<view::EachRow, ViewError> {
        let state = self.shared.shared();
        let disk = state.disk()?;
        let span = self.shared.blinder.span(table, scope, from, direction);
        let committed = disk.range(span.clone(), direction).map(|pair| pair.map_err(below));
        let mut damaged = BTreeSet::new();
        let rows = self.staged.scan(span, direction, limit, committed, |key, first| {
            let value = self.shared.rows.value(disk, table, key, &first);
            if let Err(ViewError::Damaged(_)) = value {
                damaged.insert(blind::item(key));
                return Ok(Vec::new());
            }
            value
        })?;
        let each = rows.into_iter().map(|(item, value)| {
            let sound = !damaged.contains(&item);
            (item, sound.then_some(value))
        });
        Ok(each.collect())
    }
}

impl View for Reader {
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError> {
        self.0.row(key.table, &self.0.blinder.key(key))
    }

    fn scan(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<view::Rows, ViewError> {
        self.0.scan(&Overlay::default(), table, scope, from, direction, limit)
    }

    fn scan_each(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<view::EachRow, ViewError> {
        let state = self.0.shared();
        let disk = state.disk()?;
        let span = self.0.blinder.span(table, scope, from, direction);
        let rows = disk.range(span, direction).take(limit).map(|pair| {
            let (key, first) = pair.map_err(below)?;
            match self.0.rows.value(disk, table, &key, &first) {
                Ok(value) => Ok((blind::item(&key), Some(value))),
                Err(ViewError::Damaged(_)) => Ok((blind::item(&key), None)),
                Err(error) => Err(error),
            }
        });
        rows.collect()
    }

    fn places(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, ViewError> {
        let state = self.0.shared();
        let span = self.0.blinder.span(table, scope, from, direction);
        let rows = state.disk()?.range(span, direction).take(limit);
        rows.map(|row| row.map(|(key, _)| blind::item(&key)).map_err(below)).collect()
    }
}

impl Shared {
    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        let state = self.shared();
        let disk = state.disk()?;
        let Some(first) = disk.get(key).map_err(below)? else {
            return Ok(None);
        };
        self.rows.value(disk, table, key, &first).map(Some)
    }

    fn scan(
        &self,
        staged: &Overlay,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<view::Rows, ViewError> {
        let state = self.shared();
        let disk = state.disk()?;
        let span = self.blinder.span(table, scope, from, direction);
        let committed = disk.range(span.clone(), direction).map(|pair| pair.map_err(below));
        staged.scan(span, direction, limit, committed, |key, first| self.rows.value(disk, table, key, &first))
    }

    // A thread that panicked while holding the lock was reading, or was inside a guarded call: the state is whole.
    fn shared(&self) -> RwLockReadGuard<'_, State> {
        self.disk.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusively(&self) -> RwLockWriteGuard<'_, State> {
        self.disk.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// A row found on disk, for those who ask by key on disk.
    pub(super) fn open(&self, disk: &Disk, key: &[u8], first: &[u8]) -> Result<Row, StoreError> {
        self.read(disk, key, first).map_err(|error| match error {
            ReadError::Below(error) => error,
            ReadError::DoesNotOpen => disk.damaged("a row does not open under the key of this home"),
        })
    }

    fn value(&self, disk: &Disk, table: Table, key: &[u8], first: &[u8]) -> Result<Vec<u8>, ViewError> {
        match self.read(disk, key, first) {
            Ok(row) => Ok(row.value),
            Err(ReadError::DoesNotOpen) => Err(ViewError::Damaged(table)),
            Err(ReadError::Below(error)) => Err(below(error)),
        }
    }

    fn read(&self, disk: &Disk, key: &[u8], first: &[u8]) -> Result<Row, ReadError> {
        self.0.open(key, first, |number| {
            Ok(disk.get(&part_key(key, number)).map_err(ReadError::Below)?.map(|part| part.to_vec()))
        })
    }

    fn batch(&self, disk: &Disk, staged: &Overlay, schema: Schema) -> Result<Batch, StoreError> {
        let mut batch = Batch::default();
        let mut rng = fresh_rng()?;
        for (key, change) in staged.changes() {
            self.put(disk, &mut batch, &mut rng, key, change.map(Vec::as_slice), schema.number)?;
        }
        Ok(batch)
    }

    /// Adds to a batch what sets or removes one row, and what clears away the parts a longer row had there.
    fn put(
        &self,
        disk: &Disk,
        batch: &mut Batch,
        rng: &mut ChaCha20Rng,
        key: &[u8],
        value: Option<&[u8]>,
        schema: u16,
    ) -> Result<(), StoreError> {
        let old_parts = disk.get(key)?.map_or(1, |first| parts_of(&first));
        let parts = value.map(|value| self.0.seal(key, schema, value, rng)).unwrap_or_default();
        let new_parts = parts.len().max(1) as u64;
        for number in 1..old_parts {
            if u64::from(number) >= new_parts {
                batch.remove(part_key(key, number));
            }
        }
        if parts.is_empty() {
            batch.remove(key);
        }
        for (number, part) in (0u8..).zip(parts) {
            match number {
                0 => batch.insert(key, part),
                _ => batch.insert(part_key(key, number), part),
            }
        }
        Ok(())
    }
}

/// One change by key on disk, for the migration.
pub(super) fn put(
    disk: &Disk,
    rows: &Rows,
    batch: &mut Batch,
    key: &[u8],
    value: Option<&[u8]>,
    schema: u16,
) -> Result<(), StoreError> {
    rows.put(disk, batch, &mut fresh_rng()?, key, value, schema)
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.disk.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.give_up(State::Failed("the store is closed".to_owned()));
    }
}

enum ReadError {
    DoesNotOpen,
    Below(StoreError),
}

impl From<DoesNotOpen> for ReadError {
    fn from(_: DoesNotOpen) -> Self {
        Self::DoesNotOpen
    }
}

/// sled open and at our schema.
fn ready(dir: &Path, rows: &Rows, schema: Schema) -> Result<Disk, StoreError> {
    let mut disk = Disk::open(dir)?;
    match migrate(&mut disk, rows, schema) {
        Ok(()) => Ok(disk),
        Err(error) => {
            disk.close();
            Err(error)
        }
    }
}

/// Seeded anew for each batch: a virtual machine that is copied while running does not repeat nonces past one batch.
fn fresh_rng() -> Result<ChaCha20Rng, StoreError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|error| StoreError::Io(format!("no randomness: {error}")))?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

fn below(error: StoreError) -> ViewError {
    ViewError::Io(error.to_string())
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SledStore({})", self.shared.dir.display())
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({})", self.0.dir.display())
    }
}

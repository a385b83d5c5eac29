//! The store on disk: one writer with its staged rows, any number of readers of committed ones.
//!
//! A commit holds readers off until it is durable, so that nobody is ever shown a row that a power loss could take back.
//! When the disk is full, sled's memory and disk have parted: sled is dropped and opened anew from what is durable, the
//! staged rows stay, and nothing more is written until there is room for the [`Ballast`] again. What the store does by
//! itself, to make erasures certain, is in [`super::chores`].

use crate::protocol::{
    crypto::secret::Secret,
    time::Millis,
    view::{self, Direction, Key, Table, View, ViewError, Write},
};
use crate::store::{
    Store, StoreError,
    ballast::Ballast,
    blind::{self, Blinder},
    chores::Chores,
    disk::{Disk, io_error},
    draft::{After, Draft, is_owed, is_rolled_back},
    keys::{Cells, Keys, ReadError},
    keyslots::Purpose,
    leaves::Batch,
    mark,
    migrate::{SCHEMA, Schema, migrate},
    overlay::Overlay,
    rings::{Ring, SlotFile, as_store_error},
};
use std::{
    collections::BTreeSet,
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

/// The one writer of a home's store.
pub struct SledStore {
    pub(super) shared: Arc<Shared>,
    staged: Overlay,
    ballast: Ballast,
    pub(super) schema: Schema,
    pub(super) vault: Vault,
    pub(super) chores: Chores,
    rolled_back: bool,
}

/// Reads committed rows, from any thread. A read may wait for a commit under way. While a `Reader` lives, the home stays
/// locked.
#[derive(Clone)]
pub struct Reader(Arc<Shared>);

/// What writer and readers share.
pub(super) struct Shared {
    inner: RwLock<Inner>,
    pub(super) dir: PathBuf,
    blinder: Blinder,
    _lock: Arc<File>,
}

/// The disk and the keys to what is on it, which change together.
pub(super) struct Inner {
    state: State,
    pub(super) keys: Keys,
}

/// Where the rings are kept.
pub(super) struct Vault {
    pub(super) slots: Arc<SlotFile>,
    pub(super) root: Secret,
}

enum State {
    Open(Disk),
    /// The disk was full; the next commit opens it again.
    Full,
    /// A write failed in a way that leaves unknown what the disk holds. Only a new start reads it anew.
    Failed(String),
}

impl SledStore {
    /// Opens or makes the store of a home under its root key; `lock` is kept while anything reads or writes.
    pub(super) fn open(home: &Path, root: &Secret, slots: Arc<SlotFile>, lock: Arc<File>) -> Result<Self, StoreError> {
        Self::open_with(home, Vault { slots, root: root.clone() }, lock, SCHEMA)
    }

    pub(super) fn open_with(home: &Path, vault: Vault, lock: Arc<File>, schema: Schema) -> Result<Self, StoreError> {
        let dir = home.join("store");
        let ring = |purpose| vault.slots.ring(purpose, &vault.root).map_err(|error| as_store_error(home, error));
        let mut keys = Keys::new(&vault.root, ring(Purpose::State)?, ring(Purpose::Cells)?);
        let mut ballast = Ballast::at(home.join("ballast")).map_err(io_error)?;
        let mut disk = match ready(&dir, &mut keys, schema) {
            Err(StoreError::Full) => {
                ballast.release().map_err(io_error)?;
                ready(&dir, &mut keys, schema)?
            }
            opened => opened?,
        };
        let is_older = disk.missing() > 0;
        if is_older {
            forsake_secrets(home, &mut disk, &mut keys, &vault)?;
        }
        let rolled_back = is_older || is_rolled_back(&disk, &keys)? || mark::is_copied(home);
        if !rolled_back {
            mark::mark(home);
        }
        let chores = Chores::new(is_owed(&disk)?);
        let blinder = keys.blinder.clone();
        let inner = RwLock::new(Inner { state: State::Open(disk), keys });
        let shared = Arc::new(Shared { inner, dir, blinder, _lock: lock });
        Ok(Self { shared, staged: Overlay::default(), ballast, schema, vault, chores, rolled_back })
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
        let after = self.write(apply, |draft, staged| draft.take(staged))?;
        self.staged.clear();
        if self.rolled_back && after.forgot_lost {
            self.rolled_back = false;
            self.shared.dir.parent().into_iter().for_each(mark::mark);
        }
        self.chores.note(&after);
        Ok(())
    }

    /// Fills a batch and applies it. Gives what is true now that was not before.
    pub(super) fn write(
        &mut self,
        apply: fn(&mut Disk, Batch) -> Result<(), StoreError>,
        fill: impl FnOnce(&mut Draft<'_>, &Overlay) -> Result<(), StoreError>,
    ) -> Result<After, StoreError> {
        let mut inner = self.shared.exclusively();
        let Inner { state, keys } = &mut *inner;
        // Opening may need the room that the ballast has given up: the ballast is taken after it.
        if matches!(*state, State::Full) {
            *state = State::Open(ready(&self.shared.dir, keys, self.schema)?);
        }
        if !self.ballast.take().map_err(io_error)? {
            return Err(StoreError::Full);
        }
        let disk = match state {
            State::Open(disk) => disk,
            State::Full => return Err(StoreError::Full),
            State::Failed(why) => return Err(StoreError::Io(why.clone())),
        };
        let attempted = disk.count() + 1;
        let mut draft = Draft::new(disk, keys, self.schema.number)?;
        fill(&mut draft, &self.staged)?;
        let (batch, mut after) = draft.done();
        let Err(error) = apply(disk, batch) else {
            after.apply(keys);
            if disk.is_worn() {
                // What is committed stays so whatever comes of this: should it fail, the next drain tries again.
                state.give_up(State::Full);
                if let Ok(disk) = ready(&self.shared.dir, keys, self.schema) {
                    *state = State::Open(disk);
                }
            }
            return Ok(after);
        };
        if !matches!(error, StoreError::Full) {
            state.give_up(State::Failed(format!("{error}; check the disk, then start moim again")));
            return Err(error);
        }
        state.give_up(State::Full);
        self.ballast.release().map_err(io_error)?;
        // Readers go on with what is durable. Should even this fail, the next commit tries again.
        let Ok(disk) = ready(&self.shared.dir, keys, self.schema) else { return Err(StoreError::Full) };
        let is_there = disk.count() == attempted;
        *state = State::Open(disk);
        // The batch may have fitted all the same, and only something behind it did not.
        if is_there {
            after.apply(keys);
            return Ok(after);
        }
        Err(StoreError::Full)
    }
}

impl Inner {
    pub(super) fn disk(&self) -> Result<&Disk, ViewError> {
        match &self.state {
            State::Open(disk) => Ok(disk),
            State::Full => Err(below(StoreError::Full)),
            State::Failed(why) => Err(ViewError::Io(why.clone())),
        }
    }

    /// Whether there is a disk to write to.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    fn value(
        &self,
        disk: &Disk,
        table: Table,
        at: &[u8],
        first: &[u8],
        erased: &BTreeSet<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, ViewError> {
        match self.keys.read(disk, at, first, erased) {
            Ok(row) => Ok(row.map(|row| row.value)),
            Err(ReadError::DoesNotOpen) => Err(ViewError::Damaged(table)),
            Err(ReadError::Below(error)) => Err(below(error)),
        }
    }
}

impl State {
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
        if !matches!(self.shared.shared().state, State::Full) {
            return Ok(());
        }
        let mut inner = self.shared.exclusively();
        let Inner { state, keys } = &mut *inner;
        if matches!(*state, State::Full) {
            *state = State::Open(ready(&self.shared.dir, keys, self.schema)?);
        }
        Ok(())
    }

    fn rolled_back(&self) -> bool {
        self.rolled_back
    }

    fn next_chore(&self, now: Millis) -> Option<Millis> {
        self.chores.next(now)
    }

    fn do_chore(&mut self, now: Millis) -> Result<(), StoreError> {
        self.chore(now)
    }

    fn finish(&mut self, within: Duration) -> Result<(), StoreError> {
        self.finish_chores(within)
    }
}

impl View for SledStore {
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError> {
        let on_disk = self.shared.blinder.key(key);
        match self.staged.row(&on_disk) {
            Some(staged) => Ok(staged.cloned()),
            None => self.shared.row(key.table, &on_disk, &self.staged.erased),
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
        self.shared.scan_each(&self.staged, table, scope, from, direction, limit)
    }
}

impl View for Reader {
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError> {
        self.0.row(key.table, &self.0.blinder.key(key), &BTreeSet::new())
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
        self.0.scan_each(&Overlay::default(), table, scope, from, direction, limit)
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
    fn row(&self, table: Table, at: &[u8], erased: &BTreeSet<Vec<u8>>) -> Result<Option<Vec<u8>>, ViewError> {
        let inner = self.shared();
        let disk = inner.disk()?;
        match disk.get(at).map_err(below)? {
            Some(first) => inner.value(disk, table, at, &first, erased),
            None => Ok(None),
        }
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
        let inner = self.shared();
        let disk = inner.disk()?;
        let span = self.blinder.span(table, scope, from, direction);
        let committed = disk.range(span.clone(), direction).map(|pair| pair.map_err(below));
        let open = |at: &[u8], first: Vec<u8>| inner.value(disk, table, at, &first, &staged.erased);
        staged.scan(span, direction, limit, committed, open)
    }

    fn scan_each(
        &self,
        staged: &Overlay,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<view::EachRow, ViewError> {
        let inner = self.shared();
        let disk = inner.disk()?;
        let span = self.blinder.span(table, scope, from, direction);
        let committed = disk.range(span.clone(), direction).map(|pair| pair.map_err(below));
        let mut damaged = BTreeSet::new();
        let rows = staged.scan(span, direction, limit, committed, |at, first| {
            match inner.value(disk, table, at, &first, &staged.erased) {
                Err(ViewError::Damaged(_)) => {
                    damaged.insert(blind::item(at));
                    Ok(Some(Vec::new()))
                }
                value => value,
            }
        })?;
        let each = rows.into_iter().map(|(item, value)| {
            let sound = !damaged.contains(&item);
            (item, sound.then_some(value))
        });
        Ok(each.collect())
    }

    // A thread that panicked while holding the lock was reading, or was inside a guarded call: the state is whole.
    pub(super) fn shared(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn exclusively(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        inner.state.give_up(State::Failed("the store is closed".to_owned()));
    }
}

/// sled open, its cells known, and at our schema.
fn ready(dir: &Path, keys: &mut Keys, schema: Schema) -> Result<Disk, StoreError> {
    let mut disk = Disk::open(dir)?;
    let made_ready = Cells::load(&disk, keys).and_then(|cells| {
        keys.cells = cells;
        migrate(&mut disk, keys, schema)
    });
    match made_ready {
        Ok(()) => Ok(disk),
        Err(error) => {
            disk.close();
            Err(error)
        }
    }
}

/// The store is older than what was written: its secrets may have sealed something else since, and none is used again. They
/// are as good as gone without their key.
fn forsake_secrets(home: &Path, disk: &mut Disk, keys: &mut Keys, vault: &Vault) -> Result<(), StoreError> {
    tracing::error!(commits = disk.missing(), "the store is older than what was written; conversations begin anew");
    let kept = Ring::new().and_then(|ring| vault.slots.keep_ring(Purpose::State, &ring, &vault.root).map(|()| ring));
    keys.state = kept.map_err(|error| as_store_error(home, error))?;
    disk.forget_missing();
    Ok(())
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

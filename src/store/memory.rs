//! The store's twin on a `BTreeMap`, for the simulator and the tests of the engine: same names, same limits, same answers.
//!
//! Committed rows are shared between clones until one of them commits, so a clone is a cheap snapshot.

use crate::protocol::{
    crypto::secret::Secret,
    view::{Direction, Key, Rows, Table, View, ViewError, Write},
};
use crate::store::{
    Store, StoreError,
    blind::Blinder,
    overlay::{Overlay, Staged, in_direction},
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// A store that forgets everything when dropped.
#[derive(Clone)]
pub struct MemoryStore {
    blinder: Blinder,
    committed: Arc<BTreeMap<Vec<u8>, Staged>>,
    staged: Overlay,
    rolled_back: bool,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        // Nothing is hidden in memory: the fixed key is there so that names look as they do on disk.
        let blinder = Blinder::new(&Secret::from([0; 32]));
        Self { blinder, committed: Arc::default(), staged: Overlay::default(), rolled_back: false }
    }

    /// What a process killed at this moment leaves behind: the committed rows and nothing else.
    pub fn crash(&mut self) {
        self.staged.clear();
    }

    /// What is left where somebody puts an older copy of the store back under the present keys: the copy without its
    /// secrets, which only older keys opened.
    pub fn roll_back(&mut self, older: &Self) {
        let mut rows = older.committed.as_ref().clone();
        let is_secret = |key: &[u8]| Table::SECRETS.iter().any(|table| key.first() == Some(&(*table as u8)));
        rows.retain(|key, _| !is_secret(key));
        // A copy whose loss nobody has acted on yet is as lost as before.
        self.rolled_back = older.rolled_back || rows.len() < older.committed.len();
        self.committed = Arc::new(rows);
        self.staged.clear();
    }

    fn shown<'a>(&self, row: &'a Staged) -> Option<&'a Vec<u8>> {
        let erased = row.cell.as_ref().is_some_and(|cell| self.staged.erased.contains(cell));
        (!erased).then_some(&row.value)
    }

    /// Committed rows, for tests that weigh what is kept.
    pub fn committed_rows(&self) -> usize {
        self.committed.len()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStore({} rows)", self.committed.len())
    }
}

impl View for MemoryStore {
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError> {
        let key = self.blinder.key(key);
        if let Some(staged) = self.staged.row(&key) {
            return Ok(staged.cloned());
        }
        Ok(self.committed.get(&key).and_then(|row| self.shown(row)).cloned())
    }

    fn scan(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Rows, ViewError> {
        let span = self.blinder.span(table, scope, from, direction);
        let committed = in_direction(self.committed.range::<Vec<u8>, _>(span.clone()), direction)
            .map(|(key, value)| Ok((key.clone(), value)));
        let copy = |_: &[u8], row: &Staged| Ok(self.shown(row).cloned());
        self.staged.scan(span, direction, limit, committed, copy)
    }
}

impl Store for MemoryStore {
    fn stage(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.staged.stage(&self.blinder, writes)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let committed = Arc::make_mut(&mut self.committed);
        if !self.staged.erased.is_empty() {
            committed.retain(|_, row| row.cell.as_ref().is_none_or(|cell| !self.staged.erased.contains(cell)));
        }
        for (key, change) in self.staged.changes() {
            match change {
                Some(row) => committed.insert(key.clone(), row.clone()),
                None => committed.remove(key),
            };
        }
        self.rolled_back &= !self.staged.forgets_lost;
        self.staged.clear();
        Ok(())
    }

    fn discard(&mut self) {
        self.staged.clear();
    }

    fn rolled_back(&self) -> bool {
        self.rolled_back
    }
}

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
    overlay::{Overlay, in_direction},
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// A store that forgets everything when dropped.
#[derive(Clone)]
pub struct MemoryStore {
    blinder: Blinder,
    committed: Arc<BTreeMap<Vec<u8>, Vec<u8>>>,
    staged: Overlay,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        // Nothing is hidden in memory: the fixed key is there so that names look as they do on disk.
        Self { blinder: Blinder::new(&Secret::from([0; 32])), committed: Arc::default(), staged: Overlay::default() }
    }

    /// What a process killed at this moment leaves behind: the committed rows and nothing else.
    pub fn crash(&mut self) {
        self.staged.clear();
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
        Ok(self.committed.get(&key).cloned())
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
        let copy = |_: &[u8], value: &Vec<u8>| Ok(value.clone());
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
        for (key, change) in self.staged.changes() {
            match change {
                Some(value) => committed.insert(key.clone(), value.clone()),
                None => committed.remove(key),
            };
        }
        self.staged.clear();
        Ok(())
    }

    fn discard(&mut self) {
        self.staged.clear();
    }
}

//! What one drain has written and not yet committed, and how it lies over the committed rows.

use crate::protocol::view::{Direction, Rows, Table, ViewError, Write};
use crate::store::{
    MAX_ROW, StoreError,
    blind::{self, Blinder, Span},
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// What was staged and not committed.
#[derive(Clone, Default)]
pub(super) struct Overlay {
    /// By key on disk; `None` removes the row.
    rows: BTreeMap<Vec<u8>, Option<Staged>>,
    /// Cells whose committed rows are gone.
    pub(super) erased: BTreeSet<Vec<u8>>,
    /// Cells whose committed rows move to a new key.
    pub(super) renewed: BTreeSet<Vec<u8>>,
    /// What a rollback made unreadable goes.
    pub(super) forgets_lost: bool,
}

/// A row as it will be.
#[derive(Clone)]
pub(super) struct Staged {
    pub(super) value: Vec<u8>,
    pub(super) cell: Option<Vec<u8>>,
}

impl Overlay {
    /// Takes a whole batch or, where a row is too long, none of it.
    pub(super) fn stage(&mut self, blinder: &Blinder, writes: Vec<Write>) -> Result<(), StoreError> {
        for write in &writes {
            if let Some((key, value)) = write.row()
                && value.len() > MAX_ROW
            {
                return Err(StoreError::RowTooLarge { table: key.table, len: value.len() });
            }
        }
        for write in writes {
            self.take(blinder, write);
        }
        Ok(())
    }

    fn take(&mut self, blinder: &Blinder, write: Write) {
        match write {
            Write::Put(key, value) => {
                self.rows.insert(blinder.key(&key), Some(Staged { value, cell: None }));
            }
            Write::PutIn(cell, key, value) => {
                debug_assert!(Table::IN_CELLS.contains(&key.table), "{:?} has no cells", key.table);
                self.rows.insert(blinder.key(&key), Some(Staged { value, cell: Some(blinder.cell(&cell)) }));
            }
            Write::Delete(key) => {
                self.rows.insert(blinder.key(&key), None);
            }
            Write::EraseCell(cell) => {
                let name = blinder.cell(&cell);
                for row in self.rows.values_mut() {
                    row.take_if(|row| row.cell.as_ref() == Some(&name));
                }
                self.erased.insert(name);
            }
            Write::RenewCell(cell) => {
                self.renewed.insert(blinder.cell(&cell));
            }
            Write::ForgetLost => self.forgets_lost = true,
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.erased.is_empty() && self.renewed.is_empty() && !self.forgets_lost
    }

    /// `None`: says nothing of the row. `Some(None)`: the row is removed.
    pub(super) fn row(&self, key: &[u8]) -> Option<Option<&Vec<u8>>> {
        self.rows.get(key).map(|row| row.as_ref().map(|row| &row.value))
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = (&Vec<u8>, Option<&Staged>)> {
        self.rows.iter().map(|(key, change)| (key, change.as_ref()))
    }

    /// Committed rows with the staged ones over them, in the order of the scan. `open` turns a committed value into
    /// plain bytes, or says that it is gone; it is asked only for rows that are given out, so that a damaged row can be
    /// written over.
    pub(super) fn scan<V>(
        &self,
        span: Span,
        direction: Direction,
        limit: usize,
        committed: impl Iterator<Item = Result<(Vec<u8>, V), ViewError>>,
        mut open: impl FnMut(&[u8], V) -> Result<Option<Vec<u8>>, ViewError>,
    ) -> Result<Rows, ViewError> {
        let mut staged = in_direction(self.rows.range(span), direction).peekable();
        let mut committed = committed.peekable();
        let mut rows = Rows::new();
        while rows.len() < limit {
            let which = match (committed.peek(), staged.peek()) {
                (None, None) => break,
                (Some(Err(_)), _) | (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(Ok((committed, _))), Some((staged, _))) => match direction {
                    Direction::Forward => committed.as_slice().cmp(staged.as_slice()),
                    Direction::Backward => staged.as_slice().cmp(committed.as_slice()),
                },
            };
            if which == Ordering::Less {
                if let Some(row) = committed.next() {
                    let (key, value) = row?;
                    rows.extend(open(&key, value)?.map(|value| (blind::item(&key), value)));
                }
                continue;
            }
            if which == Ordering::Equal {
                committed.next();
            }
            if let Some((key, Some(row))) = staged.next() {
                rows.push((blind::item(key), row.value.clone()));
            }
        }
        Ok(rows)
    }
}

/// The same items, from the end the direction starts from.
pub(super) fn in_direction<'a, T: 'a>(
    items: impl DoubleEndedIterator<Item = T> + 'a,
    direction: Direction,
) -> Box<dyn Iterator<Item = T> + 'a> {
    match direction {
        Direction::Forward => Box::new(items),
        Direction::Backward => Box::new(items.rev()),
    }
}

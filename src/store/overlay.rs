//! What one drain has written and not yet committed, and how it lies over the committed rows in a scan.

use crate::protocol::view::{Direction, Rows, ViewError, Write};
use crate::store::{
    MAX_ROW, StoreError,
    blind::{self, Blinder, Span},
};
use std::{cmp::Ordering, collections::BTreeMap};

/// Staged changes by key on disk; `None` removes the row.
#[derive(Clone, Default)]
pub(super) struct Overlay(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Overlay {
    /// Takes a whole batch or, where a row is too long, none of it.
    pub(super) fn stage(&mut self, blinder: &Blinder, writes: Vec<Write>) -> Result<(), StoreError> {
        for write in &writes {
            if let Write::Put(key, value) = write
                && value.len() > MAX_ROW
            {
                return Err(StoreError::RowTooLarge { table: key.table, len: value.len() });
            }
        }
        for write in writes {
            match write {
                Write::Put(key, value) => self.0.insert(blinder.key(&key), Some(value)),
                Write::Delete(key) => self.0.insert(blinder.key(&key), None),
            };
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `None`: says nothing of the row. `Some(None)`: the row is removed.
    pub(super) fn row(&self, key: &[u8]) -> Option<Option<&Vec<u8>>> {
        self.0.get(key).map(Option::as_ref)
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = (&Vec<u8>, Option<&Vec<u8>>)> {
        self.0.iter().map(|(key, change)| (key, change.as_ref()))
    }

    /// Committed rows with the staged ones over them, in the order of the scan. `open` turns a committed value into
    /// plain bytes; it is asked only for rows that are given out, so that a damaged row can be written over.
    pub(super) fn scan<V>(
        &self,
        span: Span,
        direction: Direction,
        limit: usize,
        committed: impl Iterator<Item = Result<(Vec<u8>, V), ViewError>>,
        mut open: impl FnMut(&[u8], V) -> Result<Vec<u8>, ViewError>,
    ) -> Result<Rows, ViewError> {
        let mut staged = in_direction(self.0.range(span), direction).peekable();
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
                    rows.push((blind::item(&key), open(&key, value)?));
                }
                continue;
            }
            if which == Ordering::Equal {
                committed.next();
            }
            if let Some((key, Some(value))) = staged.next() {
                rows.push((blind::item(key), value.clone()));
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

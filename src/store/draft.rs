//! One batch for sled, while it is gathered: rows sealed under the keys they belong under, and what becomes of cells.
//!
//! Nothing is changed before the batch is durable: [`Draft::done`] gives the batch, and what to change in memory after it.

use crate::protocol::view::{Direction, Table};
use crate::store::{
    StoreError,
    blind::table_span,
    disk::Disk,
    keys::{Cell, CellKey, Keeping, Keys, cell_at, keeping},
    leaves::Batch,
    overlay::Overlay,
    rings::{Generation, as_store_error},
    row::{self, SealedUnder, part_key, parts_of, table_number},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

/// Where it is kept that a cell was erased since the ring CELLS was turned. Table 0 is nobody's.
pub(super) const OWED: &[u8] = b"\0owed";
/// Where it is kept which locked cells the engine was told of.
const TOLD: &[u8] = b"\0told";

/// A batch and what it changes.
pub(super) struct Draft<'a> {
    disk: &'a Disk,
    keys: &'a Keys,
    schema: u16,
    rng: ChaCha20Rng,
    batch: Batch,
    after: After,
    made_by_name: BTreeMap<Vec<u8>, u32>,
}

/// What is true once the batch is durable.
#[derive(Default)]
pub(super) struct After {
    cells: BTreeMap<u32, Option<Cell>>,
    /// A secret's row was written or removed.
    pub(super) secrets_changed: bool,
    /// The key of a cell was removed.
    pub(super) cells_erased: bool,
    /// A cell's rows are to move to a newer key.
    pub(super) cells_retired: bool,
    /// What a rollback made unreadable is gone.
    pub(super) forgot_lost: bool,
}

impl After {
    /// Lets the keys in memory know.
    pub(super) fn apply(&mut self, keys: &mut Keys) {
        for (number, cell) in std::mem::take(&mut self.cells) {
            match cell {
                Some(cell) => keys.cells.insert(number, cell),
                None => keys.cells.remove(number),
            }
        }
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(disk: &'a Disk, keys: &'a Keys, schema: u16) -> Result<Self, StoreError> {
        let (batch, after) = (Batch::default(), After::default());
        Ok(Self { disk, keys, schema, rng: fresh_rng()?, batch, after, made_by_name: BTreeMap::new() })
    }

    pub(super) fn done(self) -> (Batch, After) {
        (self.batch, self.after)
    }

    /// All that was staged.
    pub(super) fn take(&mut self, staged: &Overlay) -> Result<(), StoreError> {
        for name in &staged.erased {
            self.erase(name)?;
        }
        for name in staged.renewed.difference(&staged.erased) {
            self.retire(name)?;
        }
        if staged.forgets_lost {
            self.forget_lost()?;
        }
        for (at, change) in staged.changes() {
            match change {
                Some(row) => self.put(at, &row.value, row.cell.as_deref())?,
                None => self.remove(at)?,
            }
        }
        Ok(())
    }

    /// Sets one row, in a cell if one is named, and clears away the parts that a longer row had there.
    pub(super) fn put(&mut self, at: &[u8], value: &[u8], cell: Option<&[u8]>) -> Result<(), StoreError> {
        let (keys, schema) = (self.keys, self.schema);
        let parts = match cell {
            None => row::seal(keys.sealing(table_number(at)), at, schema, value, &mut self.rng),
            Some(name) => {
                let number = self.present_cell(name)?;
                let Some(key) = self.cell_key(number) else {
                    return Err(self.disk.damaged("a cell has no key"));
                };
                row::seal(SealedUnder { generation: number, key: &key }, at, schema, value, &mut self.rng)
            }
        };
        self.clear_parts(at, parts.len())?;
        for (number, part) in (0u8..).zip(parts) {
            match number {
                0 => self.batch.insert(at, part),
                _ => self.batch.insert(part_key(at, number), part),
            }
        }
        self.after.secrets_changed |= keeping(table_number(at)) == Keeping::Secret;
        Ok(())
    }

    /// Removes one row with all its parts.
    pub(super) fn remove(&mut self, at: &[u8]) -> Result<(), StoreError> {
        self.clear_parts(at, 1)?;
        self.batch.remove(at);
        self.after.secrets_changed |= keeping(table_number(at)) == Keeping::Secret;
        Ok(())
    }

    /// Removes keys of cells, by number.
    pub(super) fn drop_cells(&mut self, numbers: &BTreeSet<u32>) -> Result<(), StoreError> {
        for number in numbers {
            let Some(cell) = self.keys.cells.get(*number) else { continue };
            self.batch.remove(cell_at(&cell.name, *number));
            self.after.cells.insert(*number, None);
            self.after.cells_erased = true;
        }
        if self.after.cells_erased {
            self.put(OWED, b"", None)?;
        }
        Ok(())
    }

    fn clear_parts(&mut self, at: &[u8], kept: usize) -> Result<(), StoreError> {
        let old = self.disk.get(at)?.map_or(1, |first| parts_of(&first));
        for number in 1..old {
            if usize::from(number) >= kept {
                self.batch.remove(part_key(at, number));
            }
        }
        Ok(())
    }

    fn erase(&mut self, name: &[u8]) -> Result<(), StoreError> {
        let numbers: BTreeSet<u32> = self.keys.cells.numbers(name).iter().copied().collect();
        self.drop_cells(&numbers)
    }

    fn retire(&mut self, name: &[u8]) -> Result<(), StoreError> {
        let Some(number) = self.keys.cells.present(name) else { return Ok(()) };
        let Some(cell) = self.keys.cells.get(number) else { return Ok(()) };
        self.after.cells_retired = true;
        self.put_cell(number, Cell { retiring: true, ..cell.clone() })
    }

    /// The number of the cell that new rows of this name go into, made where there is none.
    fn present_cell(&mut self, name: &[u8]) -> Result<u32, StoreError> {
        let held = self.keys.cells.present(name).filter(|number| !self.after.cells.contains_key(number));
        if let Some(number) = self.made_by_name.get(name).copied().or(held) {
            return Ok(number);
        }
        let Generation { id, key } = loop {
            let new = Generation::new().map_err(|error| as_store_error(self.disk.dir(), error))?;
            if self.keys.cells.get(new.id).is_none() {
                break new;
            }
        };
        self.put_cell(id, Cell { name: name.to_vec(), key: CellKey::Open(key), retiring: false })?;
        self.made_by_name.insert(name.to_vec(), id);
        Ok(id)
    }

    fn put_cell(&mut self, number: u32, cell: Cell) -> Result<(), StoreError> {
        if let Some(row) = cell.to_row() {
            self.put(&cell_at(&cell.name, number), &row, None)?;
        }
        self.after.cells.insert(number, Some(cell));
        Ok(())
    }

    fn cell_key(&self, number: u32) -> Option<crate::protocol::crypto::secret::Secret> {
        let changed = self.after.cells.get(&number).map(Option::as_ref);
        match changed.unwrap_or_else(|| self.keys.cells.get(number)) {
            Some(Cell { key: CellKey::Open(key), .. }) => Some(key.clone()),
            _ => None,
        }
    }

    /// Removes the secrets that no key of this home opens, and remembers which cells are locked, so that neither is told
    /// of again. The cells stay: should the right keys be put back, they open.
    fn forget_lost(&mut self) -> Result<(), StoreError> {
        for table in Table::SECRETS {
            for found in self.disk.range(table_span(*table as u8), Direction::Forward) {
                let (at, first) = found?;
                if self.keys.is_lost(&first) {
                    self.remove(&at)?;
                }
            }
        }
        self.put(TOLD, &told_of(self.keys), None)?;
        self.after.forgot_lost = true;
        Ok(())
    }
}

/// Whether rows are there that only other keys than this home's open, and the engine has not been told.
pub(super) fn is_rolled_back(disk: &Disk, keys: &Keys) -> Result<bool, StoreError> {
    for table in Table::SECRETS {
        for found in disk.range(table_span(*table as u8), Direction::Forward) {
            if keys.is_lost(&found?.1) {
                return Ok(true);
            }
        }
    }
    let told = match disk.get(TOLD)? {
        Some(first) => keys.open(disk, TOLD, &first)?.map(|row| row.value).unwrap_or_default(),
        None => Vec::new(),
    };
    Ok(keys.cells.locked().any(|number| !told.chunks(4).any(|known| known == number.to_be_bytes())))
}

/// Whether a cell was erased since the ring CELLS was turned last.
pub(super) fn is_owed(disk: &Disk) -> Result<bool, StoreError> {
    Ok(disk.get(OWED)?.is_some())
}

fn told_of(keys: &Keys) -> Vec<u8> {
    keys.cells.locked().flat_map(u32::to_be_bytes).take(crate::store::MAX_ROW).collect()
}

/// Seeded anew for each batch: a virtual machine that is copied while running does not repeat nonces past one batch.
fn fresh_rng() -> Result<ChaCha20Rng, StoreError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|error| StoreError::Io(format!("no randomness: {error}")))?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

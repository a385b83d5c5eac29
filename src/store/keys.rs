//! Which key a row is under. The table decides the kind, the generation in the row's header decides the key:
//!
//! | tables | generation | key |
//! |---|---|---|
//! | secrets ([`Table::SECRETS`]) | id in the ring STATE | rotated: what was deleted or replaced is soon gone for good |
//! | conversations ([`Table::IN_CELLS`]) | number of a cell | the cell's own, erased with it |
//! | cells (this store's own) | id in the ring CELLS | rotated when a cell was erased |
//! | all others, and secrets of a store made before there were rings | 0 | derived from ROOT, lasts as long as the home |

use crate::protocol::{
    crypto::{kdf::kdf, labels, seal::DoesNotOpen, secret::Secret},
    view::{Direction, Table},
    wire::codec,
};
use crate::store::{
    StoreError,
    blind::{Blinder, CELL_NAME, table_span},
    disk::Disk,
    rings::{Generation, Ring},
    row::{self, FURTHER, LASTING, Row, SealedUnder, generation_of, part_key, table_number},
};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

/// The table of the store's own rows about cells.
pub(super) const CELL_TABLE: u8 = Table::Cell as u8;

/// What kind of key the rows of a table are under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    Lasting,
    Secret,
    InCells,
    Cell,
}

/// The kind of a table, by its number on disk.
pub(super) fn keeping(table: u8) -> Keeping {
    let among = |tables: &[Table]| tables.iter().any(|known| *known as u8 == table);
    match table {
        CELL_TABLE => Keeping::Cell,
        _ if among(Table::SECRETS) => Keeping::Secret,
        _ if among(Table::IN_CELLS) => Keeping::InCells,
        _ => Keeping::Lasting,
    }
}

/// All keys of an open store.
pub(super) struct Keys {
    pub(super) blinder: Blinder,
    lasting: Vec<Secret>,
    pub(super) state: Ring,
    pub(super) cells_ring: Ring,
    pub(super) cells: Cells,
}

/// What opens a row.
pub(super) enum Opener<'a> {
    Key(&'a Secret),
    /// Its key is not there any more: for whoever reads, neither is the row.
    Gone,
}

impl Keys {
    pub(super) fn new(root: &Secret, state: Ring, cells_ring: Ring) -> Self {
        let generation = LASTING.to_be_bytes();
        let of_table = |table: u8| kdf(root.expose(), labels::STORE_RECORD, &[&generation, &[table]]);
        Self {
            blinder: Blinder::new(&kdf(root.expose(), labels::STORE_INDEX, &[])),
            lasting: (0..FURTHER).map(of_table).collect(),
            state,
            cells_ring,
            cells: Cells::default(),
        }
    }

    /// What opens the row at `at`, if anything ever did. Cells in `erased` are as good as gone.
    fn opener(&self, at: &[u8], first: &[u8], erased: &BTreeSet<Vec<u8>>) -> Result<Opener<'_>, DoesNotOpen> {
        let generation = generation_of(first).ok_or(DoesNotOpen)?;
        let table = table_number(at);
        let of_ring = |ring: &'_ Ring| ring.key(generation).is_some();
        match keeping(table) {
            Keeping::Secret | Keeping::InCells | Keeping::Lasting if generation == LASTING => {
                Ok(Opener::Key(self.lasting(table)))
            }
            Keeping::Lasting => Err(DoesNotOpen),
            Keeping::Secret if of_ring(&self.state) => self.state.key(generation).map(Opener::Key).ok_or(DoesNotOpen),
            Keeping::Cell => self.cells_ring.key(generation).map_or(Ok(Opener::Gone), |key| Ok(Opener::Key(key))),
            Keeping::Secret => Ok(Opener::Gone),
            Keeping::InCells => match self.cells.by_number.get(&generation) {
                None => Ok(Opener::Gone),
                Some(cell) if erased.contains(&cell.name) => Ok(Opener::Gone),
                Some(Cell { key: CellKey::Open(key), .. }) => Ok(Opener::Key(key)),
                Some(Cell { key: CellKey::Locked, .. }) => Ok(Opener::Gone),
                Some(Cell { key: CellKey::Broken, .. }) => Err(DoesNotOpen),
            },
        }
    }

    /// The row at `at`; `None` where its key is gone.
    pub(super) fn read(
        &self,
        disk: &Disk,
        at: &[u8],
        first: &[u8],
        erased: &BTreeSet<Vec<u8>>,
    ) -> Result<Option<Row>, ReadError> {
        let Opener::Key(key) = self.opener(at, first, erased)? else { return Ok(None) };
        let part = |number| disk.get(&part_key(at, number)).map_err(ReadError::Below);
        row::open(key, at, first, part).map(Some)
    }

    /// A row that must open, for those who go over all rows.
    pub(super) fn open(&self, disk: &Disk, at: &[u8], first: &[u8]) -> Result<Option<Row>, StoreError> {
        self.read(disk, at, first, &BTreeSet::new()).map_err(|error| match error {
            ReadError::Below(error) => error,
            ReadError::DoesNotOpen => disk.damaged("a row does not open under the key of this home"),
        })
    }

    /// What a row that is not in a cell is sealed under from now on.
    pub(super) fn sealing(&self, table: u8) -> SealedUnder<'_> {
        match keeping(table) {
            Keeping::Secret => self.state.current.as_sealing(),
            Keeping::Cell => self.cells_ring.current.as_sealing(),
            Keeping::Lasting | Keeping::InCells => SealedUnder { generation: LASTING, key: self.lasting(table) },
        }
    }

    /// Whether a secret's row is under a key that this home does not have: the store or the keys were put back from a copy.
    pub(super) fn is_lost(&self, first: &[u8]) -> bool {
        generation_of(first).is_some_and(|id| id != LASTING && self.state.key(id).is_none())
    }

    pub(super) fn lasting(&self, table: u8) -> &Secret {
        match self.lasting.get(usize::from(table & !FURTHER)) {
            Some(key) => key,
            None => unreachable!("there is a key for each of the 128 tables"),
        }
    }
}

impl Generation {
    fn as_sealing(&self) -> SealedUnder<'_> {
        SealedUnder { generation: self.id, key: &self.key }
    }
}

/// The cells of a store, as its own rows say.
#[derive(Default)]
pub(super) struct Cells {
    by_number: BTreeMap<u32, Cell>,
    by_name: BTreeMap<Vec<u8>, Vec<u32>>,
}

/// One key and the name of the cell it is of.
#[derive(Clone)]
pub(super) struct Cell {
    pub(super) name: Vec<u8>,
    pub(super) key: CellKey,
    /// Its rows move to a newer key of the same name, and then it goes.
    pub(super) retiring: bool,
}

#[derive(Clone)]
pub(super) enum CellKey {
    Open(Secret),
    /// Under a key of the ring CELLS that this home does not have: put back from a copy.
    Locked,
    /// Not what was written.
    Broken,
}

/// The value of a cell's own row.
#[derive(Encode, Decode)]
#[cbor(map)]
struct CellRow {
    #[n(0)]
    key: Secret,
    #[n(1)]
    retiring: bool,
}

impl Cell {
    /// The value of its row; only an open one has one to write.
    pub(super) fn to_row(&self) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        let CellKey::Open(key) = &self.key else { return None };
        Some(zeroize::Zeroizing::new(codec::encode(&CellRow { key: key.clone(), retiring: self.retiring })))
    }
}

/// Where the row about a cell's key is kept.
pub(super) fn cell_at(name: &[u8], number: u32) -> Vec<u8> {
    [name, &number.to_be_bytes()].concat()
}

impl Cells {
    /// All that the disk knows of.
    pub(super) fn load(disk: &Disk, keys: &Keys) -> Result<Self, StoreError> {
        let mut cells = Self::default();
        for found in disk.range(table_span(CELL_TABLE), Direction::Forward) {
            let (at, first) = found?;
            let Some((name, number)) = at.split_at_checked(CELL_NAME) else { continue };
            let Ok(number) = number.try_into().map(u32::from_be_bytes) else { continue };
            let row = match keys.read(disk, &at, &first, &BTreeSet::new()) {
                Ok(row) => row.map(|row| codec::decode::<CellRow>(&row.value, "cell")),
                Err(ReadError::Below(error)) => return Err(error),
                Err(ReadError::DoesNotOpen) => Some(codec::decode(&[], "cell")),
            };
            let (key, retiring) = match row {
                Some(Ok(row)) => (CellKey::Open(row.key), row.retiring),
                Some(Err(_)) => (CellKey::Broken, false),
                None => (CellKey::Locked, false),
            };
            cells.insert(number, Cell { name: name.to_vec(), key, retiring });
        }
        Ok(cells)
    }

    pub(super) fn insert(&mut self, number: u32, cell: Cell) {
        let numbers = self.by_name.entry(cell.name.clone()).or_default();
        if !numbers.contains(&number) {
            numbers.push(number);
        }
        self.by_number.insert(number, cell);
    }

    pub(super) fn remove(&mut self, number: u32) {
        let Some(cell) = self.by_number.remove(&number) else { return };
        if let Some(numbers) = self.by_name.get_mut(&cell.name) {
            numbers.retain(|held| *held != number);
            if numbers.is_empty() {
                self.by_name.remove(&cell.name);
            }
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Cell> {
        self.by_number.get(&number)
    }

    /// Every number under a name.
    pub(super) fn numbers(&self, name: &[u8]) -> &[u32] {
        self.by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The one that new rows of a name are under.
    pub(super) fn present(&self, name: &[u8]) -> Option<u32> {
        let usable =
            |number: &u32| self.get(*number).is_some_and(|cell| !cell.retiring && matches!(cell.key, CellKey::Open(_)));
        self.numbers(name).iter().copied().find(usable)
    }

    pub(super) fn retiring(&self) -> BTreeSet<u32> {
        self.by_number.iter().filter(|(_, cell)| cell.retiring).map(|(number, _)| *number).collect()
    }

    pub(super) fn locked(&self) -> impl Iterator<Item = u32> {
        self.by_number.iter().filter(|(_, cell)| matches!(cell.key, CellKey::Locked)).map(|(number, _)| *number)
    }
}

/// A row could not be read.
pub(super) enum ReadError {
    DoesNotOpen,
    Below(StoreError),
}

impl From<DoesNotOpen> for ReadError {
    fn from(_: DoesNotOpen) -> Self {
        Self::DoesNotOpen
    }
}

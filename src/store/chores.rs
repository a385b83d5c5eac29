//! What the store does by itself so that erasures are certain, in small pieces between drains.
//!
//! sled keeps what was deleted and overwritten on the disk: throwing away a key is the only erasure. So a ring is
//! **turned**: keep both keys (durable) → move all rows to the new one (durable) → keep the new one alone. A process that
//! ends in between goes on where it was: a previous key in `keyslots` says that there are rows to move. STATE is turned
//! hourly where a secret changed, and at the end; CELLS is turned soon after the key of a cell was removed, which a row
//! remembers. A **move** takes the rows that are left in cells that retire to new ones, and removes what erased cells left.
//!
//! The writer's thread calls [`SledStore::chore`] by the node's timer and [`SledStore::finish_chores`] at the end.

use crate::protocol::{
    time::Millis,
    view::{Direction, Table},
};
use crate::store::{
    StoreError,
    disk::Disk,
    draft::{After, Draft, OWED},
    keys::{CELL_TABLE, Keys},
    keyslots::Purpose,
    rings::{Ring, as_store_error},
    row::{generation_of, table_number},
    sled_store::SledStore,
};
use std::{
    collections::{BTreeSet, VecDeque},
    ops::Bound,
    time::{Duration, Instant},
};

/// How long secrets that changed stay under one key.
const STATE_EVERY: Duration = Duration::from_secs(3600);
/// How long erasures are gathered before what they left is made unreadable: one turn serves them all.
const GATHER: Duration = Duration::from_secs(10);
/// The time one piece of work may take, its sync not counted: a drain that waits behind it is not felt.
const PIECE: Duration = Duration::from_millis(10);
/// Rows moved in one piece: the size of a batch that sled takes well.
const ROWS: usize = 256;
/// Between two pieces, so that the work of the node goes first.
const BREATH: Duration = Duration::from_millis(20);
/// After a failure, and on a full disk.
const LATER: Duration = Duration::from_secs(30);

/// What is to be done and what is being done.
pub(super) struct Chores {
    pass: Option<Pass>,
    /// A secret changed since STATE was turned last, perhaps in an earlier process.
    secrets_changed: bool,
    /// A secret changed in this process.
    changed_here: bool,
    /// From when the hour is counted.
    state_since: Option<Millis>,
    /// A cell's key was removed since CELLS was turned last.
    owed: bool,
    /// Another was, since the pass over the cells began.
    owed_again: bool,
    /// Cells may be retiring.
    moves: bool,
    /// From when erasures are gathered.
    gathered_since: Option<Millis>,
    next: Option<Millis>,
    /// By the clock of when that was planned.
    planned: Millis,
}

/// A walk over tables, and where it is.
struct Pass {
    what: What,
    tables: VecDeque<u8>,
    from: Bound<Vec<u8>>,
}

enum What {
    Turn(Purpose),
    /// Out of the cells with these numbers.
    Move(BTreeSet<u32>),
}

impl Pass {
    fn turn(purpose: Purpose) -> Self {
        let tables = match purpose {
            Purpose::Cells => VecDeque::from([CELL_TABLE]),
            _ => numbers(Table::SECRETS),
        };
        Self { what: What::Turn(purpose), tables, from: Bound::Unbounded }
    }

    fn moving(retiring: BTreeSet<u32>) -> Self {
        Self { what: What::Move(retiring), tables: numbers(Table::IN_CELLS), from: Bound::Unbounded }
    }
}

fn numbers(tables: &[Table]) -> VecDeque<u8> {
    tables.iter().map(|table| *table as u8).collect()
}

impl Chores {
    pub(super) fn new(owed: bool) -> Self {
        Self {
            pass: None,
            // What the last process left of a previous key, or did not come to turn, is unknown: look at once.
            secrets_changed: true,
            changed_here: false,
            state_since: None,
            owed,
            // A turn that did not end may have begun before what is owed was erased: only another one is sure to serve it.
            owed_again: owed,
            moves: true,
            gathered_since: None,
            next: Some(Millis(0)),
            planned: Millis(0),
        }
    }

    /// When the next call is wanted: at once where the clock was set back since that was planned, for it would have to come
    /// to a time of the clock before.
    pub(super) fn next(&self, now: Millis) -> Option<Millis> {
        self.next.map(|at| if now < self.planned { now } else { at })
    }

    /// Something was committed.
    pub(super) fn note(&mut self, after: &After) {
        self.secrets_changed |= after.secrets_changed;
        self.changed_here |= after.secrets_changed;
        self.owed |= after.cells_erased;
        self.owed_again |= after.cells_erased;
        self.moves |= after.cells_retired;
        if after.secrets_changed || after.cells_erased || after.cells_retired {
            // It is planned with the clock that the next call brings.
            self.next = self.next.or(Some(Millis(0)));
        }
        let begins_to_gather = self.pass.is_none() && self.gathered_since.is_none();
        if begins_to_gather && (after.cells_erased || after.cells_retired) {
            // The turn of the hour may be what is planned, and erasures do not wait for that.
            self.next = Some(Millis(0));
        }
    }

    /// When the next call is wanted, where nothing is under way.
    fn plan(&mut self, now: Millis) {
        let hourly = self.secrets_changed.then(|| self.state_since.unwrap_or(now).plus(STATE_EVERY));
        let soon = (self.owed || self.moves).then(|| self.gathered_since.unwrap_or(now).plus(GATHER));
        self.next = [hourly, soon].into_iter().flatten().min();
    }
}

impl SledStore {
    /// One piece of work, if any is due.
    pub(super) fn chore(&mut self, now: Millis) -> Result<(), StoreError> {
        self.chores.planned = now;
        self.chores.next = Some(now.plus(LATER));
        if !self.shared.shared().is_open() {
            return Ok(());
        }
        if self.chores.pass.is_none() {
            self.begin_due(now)?;
        }
        if self.chores.pass.is_some() {
            self.piece()?;
        }
        if self.chores.pass.is_some() {
            self.chores.next = Some(now.plus(BREATH));
        } else {
            self.chores.plan(now);
        }
        Ok(())
    }

    /// All that is under way or owed, and a turn of STATE where secrets changed in this process.
    pub(super) fn finish_chores(&mut self, within: Duration) -> Result<(), StoreError> {
        let end = Instant::now() + within;
        if !self.shared.shared().is_open() {
            return Ok(());
        }
        loop {
            if self.chores.pass.is_none() && !self.begin_last()? {
                return Ok(());
            }
            while self.chores.pass.is_some() {
                if Instant::now() >= end {
                    return Ok(());
                }
                self.piece()?;
            }
        }
    }

    /// Begins what is due now, if anything is.
    fn begin_due(&mut self, now: Millis) -> Result<(), StoreError> {
        let chores = &mut self.chores;
        // A clock that was set back must not put anything off for longer than it takes.
        let state_since = chores.state_since.unwrap_or(now).min(now);
        chores.state_since = Some(state_since);
        if chores.owed || chores.moves {
            chores.gathered_since = Some(chores.gathered_since.unwrap_or(now).min(now));
        }
        let gathered = chores.gathered_since.is_some_and(|since| now.since(since) >= GATHER);
        if self.resume() {
            return Ok(());
        }
        if gathered && self.begin_erasing()? {
            return Ok(());
        }
        if self.chores.secrets_changed && now.since(state_since) >= STATE_EVERY {
            self.chores.state_since = Some(now);
            self.turn(Purpose::State)?;
        }
        Ok(())
    }

    /// Begins what is to be done before the end; `false` where nothing is left.
    fn begin_last(&mut self) -> Result<bool, StoreError> {
        if self.resume() || self.begin_erasing()? {
            return Ok(true);
        }
        if self.chores.changed_here {
            self.turn(Purpose::State)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Goes on with a turn that did not end.
    fn resume(&mut self) -> bool {
        let inner = self.shared.shared();
        let unfinished = [(Purpose::State, &inner.keys.state), (Purpose::Cells, &inner.keys.cells_ring)];
        let found = unfinished.into_iter().find(|(_, ring)| ring.previous.is_some()).map(|(purpose, _)| purpose);
        self.chores.pass = found.map(Pass::turn);
        self.chores.pass.is_some()
    }

    /// Begins to move what is left in retiring cells, or to turn CELLS after erasures; `false` where neither is owed.
    fn begin_erasing(&mut self) -> Result<bool, StoreError> {
        if std::mem::take(&mut self.chores.moves) {
            let retiring = self.shared.shared().keys.cells.retiring();
            if !retiring.is_empty() {
                self.chores.pass = Some(Pass::moving(retiring));
                return Ok(true);
            }
        }
        self.chores.gathered_since = None;
        if self.chores.owed {
            self.turn(Purpose::Cells)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Keeps a new key beside the present one, and begins to move rows to it.
    pub(super) fn turn(&mut self, purpose: Purpose) -> Result<(), StoreError> {
        self.set_ring(purpose, |ring| ring.turned().map_err(|error| as_store_error(&self.shared.dir, error)))?;
        match purpose {
            Purpose::Cells => self.chores.owed_again = false,
            _ => (self.chores.secrets_changed, self.chores.changed_here) = (false, false),
        }
        self.chores.pass = Some(Pass::turn(purpose));
        Ok(())
    }

    /// Changes a ring: the file first, durably, then what is in memory.
    fn set_ring(
        &self,
        purpose: Purpose,
        change: impl FnOnce(&Ring) -> Result<Ring, StoreError>,
    ) -> Result<(), StoreError> {
        let new = change(ring_of(purpose, &self.shared.shared().keys))?;
        let kept = self.vault.slots.keep_ring(purpose, &new, &self.vault.root);
        kept.map_err(|error| as_store_error(&self.shared.dir, error))?;
        let keys = &mut self.shared.exclusively().keys;
        match purpose {
            Purpose::Cells => keys.cells_ring = new,
            _ => keys.state = new,
        }
        Ok(())
    }

    /// Moves some rows of the pass under way, and ends it where there are no more.
    pub(super) fn piece(&mut self) -> Result<(), StoreError> {
        let Some(mut pass) = self.chores.pass.take() else { return Ok(()) };
        match self.go_on(&mut pass) {
            Ok(true) => {
                self.chores.pass = Some(pass);
                return Ok(());
            }
            Ok(false) => {}
            // It may have looked past rows that it did not come to write: it begins anew.
            Err(error) => {
                self.chores.moves = true;
                return Err(error);
            }
        }
        match pass.what {
            What::Turn(purpose) => self.end_turn(purpose),
            What::Move(retired) => {
                let after = self.write(Disk::apply, |draft, _| draft.drop_cells(&retired))?;
                self.chores.note(&after);
                Ok(())
            }
        }
    }

    fn end_turn(&mut self, purpose: Purpose) -> Result<(), StoreError> {
        self.set_ring(purpose, |ring| Ok(ring.settled()))?;
        if matches!(purpose, Purpose::Cells) && !self.chores.owed_again {
            self.write(Disk::apply, |draft, _| draft.remove(OWED))?;
            self.chores.owed = false;
        }
        Ok(())
    }

    /// A piece without what follows the last: a test stops there.
    #[cfg(test)]
    pub(super) fn go_on_alone(&mut self) -> Result<bool, StoreError> {
        let Some(mut pass) = self.chores.pass.take() else { return Ok(false) };
        let more = self.go_on(&mut pass)?;
        self.chores.pass = Some(pass);
        Ok(more)
    }

    /// Whether rows of the pass are left after this piece.
    fn go_on(&mut self, pass: &mut Pass) -> Result<bool, StoreError> {
        let end = Instant::now() + PIECE;
        let found = {
            let inner = self.shared.shared();
            let disk = inner.disk().map_err(|error| StoreError::Io(error.to_string()))?;
            find(disk, &inner.keys, pass, end)?
        };
        if !found.is_empty() {
            self.write(Disk::apply, |draft, _| found.iter().try_for_each(|row| row.put(draft)))?;
        }
        Ok(!pass.tables.is_empty())
    }
}

/// A row on its way to another key.
enum Moved {
    To { at: Vec<u8>, value: zeroize::Zeroizing<Vec<u8>>, cell: Option<Vec<u8>> },
    Away(Vec<u8>),
}

impl Moved {
    fn put(&self, draft: &mut Draft<'_>) -> Result<(), StoreError> {
        match self {
            Self::To { at, value, cell } => draft.put(at, value, cell.as_deref()),
            Self::Away(at) => draft.remove(at),
        }
    }
}

/// The next rows of a pass that are to move; the pass goes on behind them.
fn find(disk: &Disk, keys: &Keys, pass: &mut Pass, end: Instant) -> Result<Vec<Moved>, StoreError> {
    let mut found = Vec::new();
    while let Some(table) = pass.tables.front().copied() {
        let from = std::mem::replace(&mut pass.from, Bound::Unbounded);
        let from = if matches!(from, Bound::Unbounded) { Bound::Included(vec![table]) } else { from };
        let span = (from, Bound::Excluded(vec![table + 1]));
        for row in disk.range(span, Direction::Forward) {
            let (at, first) = row?;
            found.extend(moved(disk, keys, &pass.what, &at, &first)?);
            if found.len() >= ROWS || Instant::now() >= end {
                pass.from = Bound::Excluded(at);
                return Ok(found);
            }
        }
        pass.tables.pop_front();
    }
    Ok(found)
}

/// What is to become of a row, if it does not stay as it is. What does not open stays: it is damaged for whoever reads it.
fn moved(disk: &Disk, keys: &Keys, what: &What, at: &[u8], first: &[u8]) -> Result<Option<Moved>, StoreError> {
    let Some(generation) = generation_of(first) else { return Ok(None) };
    let cell = match what {
        What::Turn(_) if generation == keys.sealing(table_number(at)).generation => return Ok(None),
        What::Turn(_) => None,
        What::Move(retiring) => match keys.cells.get(generation) {
            Some(cell) if retiring.contains(&generation) => Some(cell.name.clone()),
            None if generation != crate::store::row::LASTING => return Ok(Some(Moved::Away(at.to_vec()))),
            _ => return Ok(None),
        },
    };
    match keys.open(disk, at, first) {
        Ok(Some(row)) => Ok(Some(Moved::To { at: at.to_vec(), value: row.value.into(), cell })),
        Ok(None) | Err(StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn ring_of(purpose: Purpose, keys: &Keys) -> &Ring {
    match purpose {
        Purpose::Cells => &keys.cells_ring,
        _ => &keys.state,
    }
}

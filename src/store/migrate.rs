//! Schemas: what the rows of a store mean, as a number in the store and in each row.
//!
//! A step rewrites values from one schema to the next. Each row names the schema it was written under, so a migration
//! that was killed halfway goes on where it was; the number of the store is raised last. Names of rows are blinded and
//! stay as they are: a change of names would be a new table.

use crate::protocol::{
    engine::rows::cell_of,
    view::{Cell, Direction},
};
use crate::store::{
    StoreError,
    disk::Disk,
    draft::Draft,
    keys::{CELL_TABLE, Keys},
    row::{generation_of, table_number},
};
use std::ops::Bound;

/// From one schema to the next.
pub(super) struct Step {
    /// The schema it starts from; it leads to the next number.
    pub(super) from: u16,
    /// The new value of a row, given the number of its table and the old value; `None` drops the row.
    pub(super) rewrite: fn(table: u8, value: Vec<u8>) -> Option<Vec<u8>>,
    /// The cell that a row belongs in which is in none yet.
    pub(super) cell: fn(table: u8, value: &[u8]) -> Option<Cell>,
}

/// A schema and the way to it.
#[derive(Clone, Copy)]
pub(super) struct Schema {
    pub(super) number: u16,
    pub(super) steps: &'static [Step],
}

/// The schema this program writes. 1 → 2: secrets go under the ring STATE and conversations into cells; their values stay.
pub(super) const SCHEMA: Schema =
    Schema { number: 2, steps: &[Step { from: 1, rewrite: |_, value| Some(value), cell: cell_of }] };

/// Where the number of the store is kept: table 0 is nobody's.
const SCHEMA_KEY: &[u8] = b"\0schema";
/// The first key of a table, and the first key after all tables (further parts of rows follow).
const TABLES: (&[u8], &[u8]) = (&[1], &[0x80]);
/// Rows rewritten in one batch: some MiB at the most.
const BATCH: usize = 256;

/// Brings a store to the schema, or writes it into an empty one.
pub(super) fn migrate(disk: &mut Disk, keys: &mut Keys, schema: Schema) -> Result<(), StoreError> {
    let Some(found) = stored_schema(disk, keys)? else {
        return write_schema(disk, keys, schema);
    };
    if found > schema.number {
        return Err(StoreError::Newer { found, known: schema.number });
    }
    if found == schema.number {
        return Ok(());
    }
    if !(found..schema.number).all(|from| schema.steps.iter().any(|step| step.from == from)) {
        return Err(StoreError::TooOld { found, known: schema.number });
    }
    let mut from = Bound::Included(TABLES.0.to_vec());
    while let Some(last) = rewrite_batch(disk, keys, schema, from)? {
        from = Bound::Excluded(last);
    }
    write_schema(disk, keys, schema)
}

fn stored_schema(disk: &Disk, keys: &Keys) -> Result<Option<u16>, StoreError> {
    let Some(found) = disk.get(SCHEMA_KEY)? else {
        let all = (Bound::Unbounded, Bound::Unbounded);
        return match disk.range(all, Direction::Forward).next() {
            None => Ok(None),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) => Err(disk.damaged("it has rows but no schema")),
        };
    };
    let value = keys.open(disk, SCHEMA_KEY, &found)?.map(|row| row.value).unwrap_or_default();
    let number = value.try_into().map_err(|_| disk.damaged("its schema is no number"))?;
    Ok(Some(u16::from_be_bytes(number)))
}

fn write_schema(disk: &mut Disk, keys: &mut Keys, schema: Schema) -> Result<(), StoreError> {
    let mut draft = Draft::new(disk, keys, schema.number)?;
    draft.put(SCHEMA_KEY, &schema.number.to_be_bytes(), None)?;
    let (batch, mut after) = draft.done();
    disk.apply(batch)?;
    after.apply(keys);
    Ok(())
}

/// Rewrites the next rows after `from`; gives the last key it looked at, or none where there are no more.
fn rewrite_batch(
    disk: &mut Disk,
    keys: &mut Keys,
    schema: Schema,
    from: Bound<Vec<u8>>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let span = (from, Bound::Excluded(TABLES.1.to_vec()));
    let found: Vec<_> = disk.range(span, Direction::Forward).take(BATCH).collect::<Result<_, _>>()?;
    let mut draft = Draft::new(disk, keys, schema.number)?;
    for (at, first) in &found {
        if table_number(at) != CELL_TABLE {
            rewrite(disk, keys, schema, &mut draft, at, first)?;
        }
    }
    let (batch, mut after) = draft.done();
    disk.apply(batch)?;
    after.apply(keys);
    Ok(found.last().map(|(at, _)| at.clone()))
}

fn rewrite(
    disk: &Disk,
    keys: &Keys,
    schema: Schema,
    draft: &mut Draft<'_>,
    at: &[u8],
    first: &[u8],
) -> Result<(), StoreError> {
    // What no key opens any more is nobody's to rewrite.
    let Some(row) = keys.open(disk, at, first)?.filter(|row| row.schema < schema.number) else { return Ok(()) };
    let table = table_number(at);
    let mut cell = generation_of(first).and_then(|number| keys.cells.get(number)).map(|cell| cell.name.clone());
    let mut value = row.value;
    for from in row.schema..schema.number {
        let Some(step) = schema.steps.iter().find(|step| step.from == from) else { return draft.remove(at) };
        let Some(new) = (step.rewrite)(table, value) else { return draft.remove(at) };
        cell = cell.or_else(|| (step.cell)(table, &new).map(|cell| keys.blinder.cell(&cell)));
        value = new;
    }
    draft.put(at, &value, cell.as_deref())
}

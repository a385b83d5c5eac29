//! Schemas: what the rows of a store mean, as a number in the store and in each row.
//!
//! A step rewrites values from one schema to the next. Each row names the schema it was written under, so a migration
//! that was killed halfway goes on where it was; the number of the store is raised last. Names of rows are blinded and
//! stay as they are: a change of names would be a new table.

use crate::protocol::view::Direction;
use crate::store::{
    StoreError,
    disk::Disk,
    leaves::Batch,
    row::table_number,
    sled_store::{Rows, put},
};
use std::ops::Bound;

/// From one schema to the next.
pub(super) struct Step {
    /// The schema it starts from; it leads to the next number.
    pub(super) from: u16,
    /// The new value of a row, given the number of its table and the old value; `None` drops the row.
    pub(super) rewrite: fn(table: u8, value: Vec<u8>) -> Option<Vec<u8>>,
}

/// A schema and the way to it.
#[derive(Clone, Copy)]
pub(super) struct Schema {
    pub(super) number: u16,
    pub(super) steps: &'static [Step],
}

/// The schema this program writes.
pub(super) const SCHEMA: Schema = Schema { number: 1, steps: &[] };

/// Where the number of the store is kept: table 0 is nobody's.
const SCHEMA_KEY: &[u8] = b"\0schema";
/// The first key of a table, and the first key after all tables (further parts of rows follow).
const TABLES: (&[u8], &[u8]) = (&[1], &[0x80]);
/// Rows rewritten in one batch: some MiB at the most.
const BATCH: usize = 256;

/// Brings a store to the schema, or writes it into an empty one.
pub(super) fn migrate(disk: &mut Disk, rows: &Rows, schema: Schema) -> Result<(), StoreError> {
    let Some(found) = stored_schema(disk, rows)? else {
        return write_schema(disk, rows, schema);
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
    while let Some(last) = rewrite_batch(disk, rows, schema, from)? {
        from = Bound::Excluded(last);
    }
    write_schema(disk, rows, schema)
}

fn stored_schema(disk: &Disk, rows: &Rows) -> Result<Option<u16>, StoreError> {
    let Some(found) = disk.get(SCHEMA_KEY)? else {
        let all = (Bound::Unbounded, Bound::Unbounded);
        return match disk.range(all, Direction::Forward).next() {
            None => Ok(None),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) => Err(disk.damaged("it has rows but no schema")),
        };
    };
    let row = rows.open(disk, SCHEMA_KEY, &found)?;
    let number = row.value.try_into().map_err(|_| disk.damaged("its schema is no number"))?;
    Ok(Some(u16::from_be_bytes(number)))
}

fn write_schema(disk: &mut Disk, rows: &Rows, schema: Schema) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    put(disk, rows, &mut batch, SCHEMA_KEY, Some(&schema.number.to_be_bytes()), schema.number)?;
    disk.apply(batch)
}

/// Rewrites the next rows after `from`; gives the last key it looked at, or none where there are no more.
fn rewrite_batch(
    disk: &mut Disk,
    rows: &Rows,
    schema: Schema,
    from: Bound<Vec<u8>>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let span = (from, Bound::Excluded(TABLES.1.to_vec()));
    let found: Vec<_> = disk.range(span, Direction::Forward).take(BATCH).collect::<Result<_, _>>()?;
    let mut batch = Batch::default();
    for (key, first) in &found {
        let row = rows.open(disk, key, first)?;
        if row.schema >= schema.number {
            continue;
        }
        let value = (row.schema..schema.number).try_fold(row.value, |value, from| {
            let step = schema.steps.iter().find(|step| step.from == from)?;
            (step.rewrite)(table_number(key), value)
        });
        put(disk, rows, &mut batch, key, value.as_deref(), schema.number)?;
    }
    disk.apply(batch)?;
    Ok(found.last().map(|(key, _)| key.clone()))
}

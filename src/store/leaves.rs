//! Many rows in one entry of sled. sled cuts a page at 16 entries, whatever their size, and keeps a third of a kilobyte in
//! memory for each page: with a row an entry a long history would take hundreds of megabytes before anything is read. So
//! entries are leaves of our own: rows in order, up to a kilobyte, under the key of the first of them.
//!
//! A row belongs to the last leaf whose key is not after it. A leaf's key stays when its first row goes; a leaf without rows
//! goes. The caller has one writer and guards what sled may do; see `disk.rs`.

use crate::protocol::view::Direction;
use crate::store::{blind::Span, overlay::in_direction};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    ops::{Bound, RangeBounds},
};

/// Bytes of a leaf, but for one that has a single longer row. Each change of a row writes its leaf whole, so they are small;
/// 16 of them are a page of sled, whose third of a kilobyte of memory then stands for 16 KiB.
const LEAF: usize = 1024;
/// Bytes an entry takes beside what is left of its key and its value.
const ENTRY: usize = 2 + 2 + 4;

type Leaf = BTreeMap<Vec<u8>, Vec<u8>>;

/// Changes to rows, to be applied whole.
#[derive(Default)]
pub(super) struct Batch(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Batch {
    pub(super) fn insert(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.0.insert(key.into(), Some(value.into()));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.0.insert(key.into(), None);
    }
}

/// One row.
pub(super) fn get(tree: &sled::Tree, key: &[u8]) -> sled::Result<Option<Vec<u8>>> {
    let Some((_, leaf)) = leaf_of(tree, key)? else { return Ok(None) };
    let mut rows = Rows::of(&leaf);
    while let Some(value) = rows.next()? {
        if rows.key.as_slice() >= key {
            return Ok((rows.key.as_slice() == key).then(|| value.to_vec()));
        }
    }
    Ok(None)
}

/// Rows of a range, in the direction asked for.
pub(super) fn range(
    tree: &sled::Tree,
    span: Span,
    direction: Direction,
) -> impl Iterator<Item = sled::Result<(Vec<u8>, Vec<u8>)>> {
    let start = match &span.0 {
        Bound::Included(key) | Bound::Excluded(key) => leaf_of(tree, key),
        Bound::Unbounded => Ok(None),
    };
    let (failed, start) = match start {
        Ok(Some((key, _))) => (None, Bound::Included(key.to_vec())),
        Ok(None) => (None, span.0.clone()),
        Err(error) => (Some(error), span.0.clone()),
    };
    let leaves = in_direction(tree.range::<Vec<u8>, _>((start, span.1.clone())), direction);
    let mut leaves = failed.map(Err).into_iter().chain(leaves);
    let mut ready = VecDeque::new();
    std::iter::from_fn(move || {
        loop {
            if let Some(row) = ready.pop_front() {
                return Some(Ok(row));
            }
            match leaves.next()?.and_then(|(_, leaf)| decode(&leaf)) {
                Ok(rows) => {
                    ready.extend(in_direction(rows.into_iter().filter(|(key, _)| span.contains(key)), direction))
                }
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

/// What a batch changes in the tree: a batch of leaves, and how many bytes they are.
pub(super) fn fold(tree: &sled::Tree, batch: Batch) -> sled::Result<(sled::Batch, u64)> {
    let (mut leaves, mut bytes) = (sled::Batch::default(), 0);
    let mut changes = batch.0.into_iter().peekable();
    while let Some((key, _)) = changes.peek() {
        let held = leaf_of(tree, key)?;
        let after = match &held {
            Some((at, _)) => tree.range::<&[u8], _>((Bound::Excluded(&at[..]), Bound::Unbounded)).next(),
            None => tree.iter().next(),
        };
        let end = after.transpose()?.map(|(key, _)| key);
        let (at, mut rows) = match held {
            Some((at, leaf)) => (Some(at), decode(&leaf)?),
            None => (None, Leaf::new()),
        };
        let mut newest = None;
        while let Some((key, change)) = changes.next_if(|(key, _)| end.as_ref().is_none_or(|end| key[..] < end[..])) {
            match change {
                Some(value) => {
                    if rows.insert(key.clone(), value).is_none() {
                        newest = Some(key);
                    }
                }
                None => {
                    rows.remove(&key);
                }
            }
        }
        let grows_at_its_end = newest.is_some() && newest.as_ref() == rows.keys().next_back();
        if rows.is_empty()
            && let Some(at) = &at
        {
            leaves.remove(at);
        }
        for (number, piece) in cut(rows, grows_at_its_end).into_iter().enumerate() {
            let first = piece.first().map(|(key, _)| key.clone()).unwrap_or_default();
            let key = at.as_ref().filter(|_| number == 0).map_or(first, |at| at.to_vec());
            let leaf = encode(&piece);
            bytes += leaf.len() as u64;
            leaves.insert(key, leaf);
        }
    }
    Ok((leaves, bytes))
}

/// The last leaf whose key is not after this one.
fn leaf_of(tree: &sled::Tree, key: &[u8]) -> sled::Result<Option<(sled::IVec, sled::IVec)>> {
    tree.range::<&[u8], _>(..=key).next_back().transpose()
}

/// Cuts rows into leaves: full ones where rows come one after the other, else even ones, which have room for more.
fn cut(rows: Leaf, grows_at_its_end: bool) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let size = |(key, value): (&Vec<u8>, &Vec<u8>)| ENTRY + key.len() + value.len();
    let all: usize = rows.iter().map(size).sum();
    let full = if grows_at_its_end { LEAF } else { all.div_ceil(all.div_ceil(LEAF).max(1)) };
    let (mut pieces, mut room) = (Vec::<Vec<_>>::new(), 0);
    for (key, value) in rows {
        let size = size((&key, &value));
        match pieces.last_mut() {
            Some(last) if size <= room => {
                last.push((key, value));
                room -= size;
            }
            _ => {
                pieces.push(vec![(key, value)]);
                room = full.saturating_sub(size);
            }
        }
    }
    pieces
}

/// entry = bytes shared with the key before (2) ‖ length of the rest (2) ‖ length of the value (4) ‖ rest ‖ value
fn encode(rows: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut leaf = Vec::with_capacity(LEAF + ENTRY);
    let mut before: &[u8] = &[];
    for (key, value) in rows {
        let shared = key.iter().zip(before).take_while(|(a, b)| a == b).count().min(usize::from(u16::MAX));
        let rest = key.get(shared..).unwrap_or_default();
        leaf.extend((shared as u16).to_be_bytes());
        leaf.extend((rest.len() as u16).to_be_bytes());
        leaf.extend((value.len() as u32).to_be_bytes());
        leaf.extend(rest);
        leaf.extend(value);
        before = key;
    }
    leaf
}

fn decode(leaf: &[u8]) -> sled::Result<Leaf> {
    let mut rows = Rows::of(leaf);
    let mut decoded = Leaf::new();
    while let Some(value) = rows.next()? {
        decoded.insert(rows.key.clone(), value.to_vec());
    }
    Ok(decoded)
}

/// The rows of a leaf, one after the other.
struct Rows<'a> {
    rest: &'a [u8],
    key: Vec<u8>,
}

impl<'a> Rows<'a> {
    fn of(leaf: &'a [u8]) -> Self {
        Self { rest: leaf, key: Vec::new() }
    }

    /// The next value; its key is in `key`.
    fn next(&mut self) -> sled::Result<Option<&'a [u8]>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let parsed = self.parse();
        parsed.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a leaf is cut off").into())
    }

    fn parse(&mut self) -> Option<&'a [u8]> {
        let ([s0, s1, k0, k1, v0, v1, v2, v3], rest) = self.rest.split_first_chunk::<ENTRY>()?;
        let shared = usize::from(u16::from_be_bytes([*s0, *s1]));
        let (key, rest) = rest.split_at_checked(u16::from_be_bytes([*k0, *k1]).into())?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes([*v0, *v1, *v2, *v3]) as usize)?;
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend(key);
        self.rest = rest;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(0u8..4, 1..5),
            (0u16..500).prop_map(|n| [&[2], &n.to_be_bytes()[..]].concat())
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn leaves_hold_what_a_map_would_hold(
            batches in proptest::collection::vec(
                proptest::collection::vec((key(), proptest::option::weighted(0.7, 0usize..6_000)), 1..40), 1..14),
            from in key(), to in key(),
        ) {
            let db = sled::Config::new().temporary(true).open().unwrap();
            let mut map = BTreeMap::new();
            for changes in batches {
                let mut batch = Batch::default();
                for (key, change) in changes {
                    match change {
                        Some(len) => {
                            // Mostly short ones, so that leaves have several.
                            let value = vec![len as u8; if len % 7 == 0 { len } else { len % 300 }];
                            batch.insert(key.clone(), value.clone());
                            map.insert(key, value);
                        }
                        None => {
                            batch.remove(key.clone());
                            map.remove(&key);
                        }
                    }
                }
                let (leaves, _) = fold(&db, batch).unwrap();
                db.apply_batch(leaves).unwrap();
            }
            for (key, value) in &map {
                let found = get(&db, key).unwrap();
                prop_assert_eq!(found.as_ref(), Some(value));
            }
            let found = get(&db, &from).unwrap();
            prop_assert_eq!(found.as_ref(), map.get(&from));
            let (from, to) = (from.clone().min(to.clone()), from.max(to));
            for span in [(Bound::Included(from.clone()), Bound::Excluded(to.clone())),
                         (Bound::Excluded(from), Bound::Unbounded), (Bound::Unbounded, Bound::Included(to))] {
                let empty = matches!(&span, (Bound::Included(a), Bound::Excluded(b)) if a == b);
                let expected: Vec<_> = if empty { vec![] } else {
                    map.range(span.clone()).map(|(key, value)| (key.clone(), value.clone())).collect()
                };
                if empty { continue }
                let rows = |direction| range(&db, span.clone(), direction).collect::<Result<Vec<_>, _>>().unwrap();
                prop_assert_eq!(&rows(Direction::Forward), &expected);
                prop_assert_eq!(rows(Direction::Backward), expected.into_iter().rev().collect::<Vec<_>>());
            }
            for leaf in db.iter().values() {
                let leaf = leaf.unwrap();
                prop_assert!(leaf.len() <= LEAF || decode(&leaf).unwrap().len() == 1);
            }
        }

        #[test]
        fn no_bytes_make_a_leaf_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
        }
    }
}

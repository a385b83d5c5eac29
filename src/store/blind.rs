//! Names of rows as they are on disk: whoever reads them learns the table, which rows share a scope, and the places of
//! ordered rows (times and counts), but neither scopes nor names.
//!
//! key on disk = table ‖ HMAC(index key, 0 ‖ table ‖ scope)\[..16\] ‖ 0 ‖ HMAC(index key, 1 ‖ table ‖ scope ‖ name)\[..16\]
//! for named rows, and … ‖ 1 ‖ place for ordered ones. The memory twin uses the same names, so that an engine that leans
//! on the order or the bytes of names fails there as it would on disk.

use crate::protocol::{
    crypto::secret::Secret,
    view::{Cell, Direction, Item, Key, Table},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::ops::Bound;

/// Bytes kept of a blinded scope or name: collisions need 2^64 rows.
const BLIND: usize = 16;
const NAMED: u8 = 0;
const AT: u8 = 1;
const AFTER_ITEMS: u8 = 2;
/// Bytes before the item: table, scope, kind of item.
const ITEM_START: usize = 1 + BLIND + 1;
/// Bytes of what [`Blinder::cell`] gives.
#[cfg(feature = "node")]
pub(super) const CELL_NAME: usize = ITEM_START + 8;

/// A range of keys on disk.
pub(super) type Span = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Turns names of rows into keys on disk.
#[derive(Clone)]
pub(super) struct Blinder(Hmac<Sha256>);

impl Blinder {
    pub(super) fn new(index_key: &Secret) -> Self {
        match Hmac::new_from_slice(index_key.expose()) {
            Ok(mac) => Self(mac),
            Err(_) => unreachable!("HMAC takes keys of any length"),
        }
    }

    /// The key on disk of one row.
    pub(super) fn key(&self, key: &Key) -> Vec<u8> {
        match &key.item {
            Item::At(place) => [&self.scope(key.table, &key.scope)[..], &[AT], place].concat(),
            Item::Named(name) => {
                let scope_len = (key.scope.len() as u64).to_be_bytes();
                let name = self.blind(&[&[1, key.table as u8], &scope_len, &key.scope, name]);
                [&self.scope(key.table, &key.scope)[..], &[NAMED], &name].concat()
            }
        }
    }

    /// What the keys on disk of a cell's own rows begin with.
    pub(super) fn cell(&self, cell: &Cell) -> Vec<u8> {
        [&self.scope(Table::Cell, &cell.scope)[..], &[AT], &cell.hour.to_be_bytes()].concat()
    }

    /// The keys that a scan of a scope goes over.
    pub(super) fn span(&self, table: Table, scope: &[u8], from: Option<&[u8]>, direction: Direction) -> Span {
        let scope = self.scope(table, scope);
        let first = Bound::Included([&scope[..], &[NAMED]].concat());
        let last = Bound::Excluded([&scope[..], &[AFTER_ITEMS]].concat());
        let Some(from) = from.map(|place| Bound::Included([&scope[..], &[AT], place].concat())) else {
            return (first, last);
        };
        match direction {
            Direction::Forward => (from, last),
            Direction::Backward => (first, from),
        }
    }

    fn scope(&self, table: Table, scope: &[u8]) -> Vec<u8> {
        [&[table as u8][..], &self.blind(&[&[0, table as u8], scope])].concat()
    }

    fn blind(&self, parts: &[&[u8]]) -> [u8; BLIND] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut out = [0; BLIND];
        out.copy_from_slice(&full[..BLIND]);
        out
    }
}

/// The keys on disk of a whole table.
#[cfg(feature = "node")]
pub(super) fn table_span(table: u8) -> Span {
    (Bound::Included(vec![table]), Bound::Excluded(vec![table + 1]))
}

/// The item bytes of a key on disk, as a scan gives them.
pub(super) fn item(key: &[u8]) -> Vec<u8> {
    key.get(ITEM_START..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_scope_nor_name_is_in_a_key_and_neither_flows_into_the_other() {
        let blinder = Blinder::new(&Secret::from([7; 32]));
        let key = blinder.key(&Key::named(Table::Contact, b"the-scope", b"the-name"));
        assert_eq!(key.len(), ITEM_START + BLIND);
        assert!(!key.windows(4).any(|w| w == b"the-"));
        let tail = |scope: &[u8], name: &[u8]| item(&blinder.key(&Key::named(Table::Contact, scope, name)));
        assert_ne!(tail(b"ab", b"c"), tail(b"a", b"bc"));
        let other = Blinder::new(&Secret::from([8; 32]));
        assert_ne!(key, other.key(&Key::named(Table::Contact, b"the-scope", b"the-name")));
    }
}

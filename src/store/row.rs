//! Rows as they are on disk: sealed under the key of their table, bound to their name, cut into parts that sled keeps in
//! its log.
//!
//! row = format (1) ‖ schema (2) ‖ key generation (4) ‖ parts (1) ‖ nonce (24) ‖ XChaCha20-Poly1305, with
//! ad = key on disk (its first byte is the table) ‖ those 8 bytes. Generation 0 is derived from ROOT and lasts as long as
//! the home; rows whose erasure must be certain will name generations that are rotated.
//!
//! sled moves pages over 128 KiB to files of their own, which it neither syncs nor numbers safely. A leaf has some 20
//! rows, so a row is cut every 4 KiB: the first part at the key itself, the others beside the tables (table | 0x80).

use crate::protocol::crypto::{
    kdf::kdf,
    labels,
    seal::{self, DoesNotOpen},
    secret::Secret,
};
use rand_core::CryptoRng;

/// The longest value given to sled, less the header of the first part.
const PART: usize = 4 * 1024;
const FORMAT: u8 = 1;
const HEADER: usize = 8;
/// The generation of keys derived from ROOT alone.
const LASTING: u32 = 0;
/// Set in the first byte of keys that hold further parts of a row.
const FURTHER: u8 = 0x80;

/// The record keys of a home, one a table.
pub(super) struct RowKeys(Vec<Secret>);

/// A row with the schema it was written under.
pub(super) struct Row {
    pub(super) schema: u16,
    pub(super) value: Vec<u8>,
}

impl RowKeys {
    pub(super) fn new(root: &Secret) -> Self {
        let generation = LASTING.to_be_bytes();
        let of_table = |table: u8| kdf(root.expose(), labels::STORE_RECORD, &[&generation, &[table]]);
        Self((0..FURTHER).map(of_table).collect())
    }

    /// Seals a value. Gives what is kept at the key, then what is kept at [`part_key`] 1, 2, …
    pub(super) fn seal(&self, key: &[u8], schema: u16, value: &[u8], rng: &mut dyn CryptoRng) -> Vec<Vec<u8>> {
        let parts = (value.len() + seal::SEAL_OVERHEAD).div_ceil(PART);
        let Ok(parts) = u8::try_from(parts) else {
            unreachable!("MAX_ROW is checked on staging and is under 255 parts");
        };
        let header = header(schema, parts);
        let sealed = seal::seal(self.of(key), &[key, &header].concat(), value, rng);
        let mut cut = sealed.chunks(PART);
        let first = [&header[..], cut.next().unwrap_or_default()].concat();
        std::iter::once(first).chain(cut.map(<[u8]>::to_vec)).collect()
    }

    /// Opens what [`RowKeys::seal`] made; `part` gives the further parts by number.
    pub(super) fn open<E: From<DoesNotOpen>>(
        &self,
        key: &[u8],
        first: &[u8],
        part: impl Fn(u8) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Row, E> {
        let (header, body) = first.split_first_chunk::<HEADER>().ok_or(DoesNotOpen)?;
        let [format, s0, s1, g0, g1, g2, g3, parts] = *header;
        if format != FORMAT || u32::from_be_bytes([g0, g1, g2, g3]) != LASTING {
            return Err(DoesNotOpen.into());
        }
        let ad = [key, header].concat();
        let schema = u16::from_be_bytes([s0, s1]);
        if parts == 1 {
            return Ok(Row { schema, value: seal::open(self.of(key), &ad, body)? });
        }
        let mut sealed = body.to_vec();
        for number in 1..parts {
            sealed.extend(part(number)?.ok_or(DoesNotOpen)?);
        }
        Ok(Row { schema, value: seal::open(self.of(key), &ad, &sealed)? })
    }

    fn of(&self, key: &[u8]) -> &Secret {
        let table = usize::from(table_number(key) & !FURTHER);
        match self.0.get(table) {
            Some(key) => key,
            None => unreachable!("there is a key for each of the 128 tables"),
        }
    }
}

/// How many parts the row that begins with `first` has, as far as its unauthenticated header says: good only for
/// clearing away what an overwritten row leaves.
pub(super) fn parts_of(first: &[u8]) -> u8 {
    first.get(HEADER - 1).copied().unwrap_or(1)
}

/// Where part `number` (from 1) of the row at `key` is kept.
pub(super) fn part_key(key: &[u8], number: u8) -> Vec<u8> {
    let rest = key.get(1..).unwrap_or_default();
    [&[table_number(key) | FURTHER][..], rest, &[number]].concat()
}

/// The table a key on disk is of.
pub(super) fn table_number(key: &[u8]) -> u8 {
    key.first().copied().unwrap_or_default()
}

fn header(schema: u16, parts: u8) -> [u8; HEADER] {
    let [s0, s1] = schema.to_be_bytes();
    let [g0, g1, g2, g3] = LASTING.to_be_bytes();
    [FORMAT, s0, s1, g0, g1, g2, g3, parts]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    #[test]
    fn a_row_opens_at_its_own_key_and_table_only() {
        let keys = RowKeys::new(&Secret::from([1; 32]));
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let sealed = keys.seal(b"\x01key", 1, b"plain", &mut rng);
        let open = |key: &[u8], first: &[u8]| keys.open::<DoesNotOpen>(key, first, |_| Ok(None)).map(|row| row.value);
        assert_eq!(open(b"\x01key", &sealed[0]), Ok(b"plain".to_vec()));
        assert_eq!(open(b"\x01kez", &sealed[0]), Err(DoesNotOpen));
        assert_eq!(open(b"\x02key", &sealed[0]), Err(DoesNotOpen));
        for at in 0..sealed[0].len() {
            let mut bent = sealed[0].clone();
            bent[at] ^= 1;
            assert_eq!(open(b"\x01key", &bent), Err(DoesNotOpen), "byte {at}");
        }
    }

    #[test]
    fn a_long_row_is_cut_and_its_parts_cannot_be_mixed() {
        let keys = RowKeys::new(&Secret::from([1; 32]));
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let one = keys.seal(b"\x01key", 1, &[1; 3 * PART], &mut rng);
        let two = keys.seal(b"\x01key", 1, &[2; 3 * PART], &mut rng);
        assert_eq!((one.len(), parts_of(&one[0])), (4, 4));
        assert!(one.iter().all(|part| part.len() <= PART + HEADER));
        let open = |first: &[u8], rest: &[Vec<u8>]| {
            keys.open::<DoesNotOpen>(b"\x01key", first, |n| Ok(rest.get(usize::from(n)).cloned())).map(|row| row.value)
        };
        assert_eq!(open(&one[0], &one), Ok(vec![1; 3 * PART]));
        assert_eq!(open(&one[0], &two), Err(DoesNotOpen));
        assert_eq!(open(&one[0], &one[..2]), Err(DoesNotOpen));
    }
}

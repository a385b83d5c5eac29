//! Rows as they are on disk: sealed under a key that the row names, bound to their name, cut into parts that sled keeps in
//! its log.
//!
//! row = format (1) ‖ schema (2) ‖ key generation (4) ‖ parts (1) ‖ nonce (24) ‖ XChaCha20-Poly1305, with
//! ad = key on disk (its first byte is the table) ‖ those 8 bytes. What a generation means is for [`super::keys`] to say.
//!
//! sled moves pages over 128 KiB to files of their own, which it neither syncs nor numbers safely. A leaf has some 20
//! rows, so a row is cut every 4 KiB: the first part at the key itself, the others beside the tables (table | 0x80).

use crate::protocol::crypto::{
    seal::{self, DoesNotOpen},
    secret::Secret,
};
use rand_core::CryptoRng;

/// The longest value given to sled, less the header of the first part.
const PART: usize = 4 * 1024;
const FORMAT: u8 = 1;
const HEADER: usize = 8;
/// The generation of keys derived from ROOT alone, which last as long as the home.
pub(super) const LASTING: u32 = 0;
/// Set in the first byte of keys that hold further parts of a row.
pub(super) const FURTHER: u8 = 0x80;

/// A row with the schema it was written under.
pub(super) struct Row {
    pub(super) schema: u16,
    pub(super) value: Vec<u8>,
}

/// A key and the generation by which a row names it.
#[derive(Clone, Copy)]
pub(super) struct SealedUnder<'a> {
    pub(super) generation: u32,
    pub(super) key: &'a Secret,
}

/// Seals a value. Gives what is kept at the key on disk, then what is kept at [`part_key`] 1, 2, …
pub(super) fn seal(
    under: SealedUnder<'_>,
    at: &[u8],
    schema: u16,
    value: &[u8],
    rng: &mut dyn CryptoRng,
) -> Vec<Vec<u8>> {
    let parts = (value.len() + seal::SEAL_OVERHEAD).div_ceil(PART);
    let Ok(parts) = u8::try_from(parts) else {
        unreachable!("MAX_ROW is checked on staging and is under 255 parts");
    };
    let header = header(schema, under.generation, parts);
    let sealed = seal::seal(under.key, &[at, &header].concat(), value, rng);
    let mut cut = sealed.chunks(PART);
    let first = [&header[..], cut.next().unwrap_or_default()].concat();
    std::iter::once(first).chain(cut.map(<[u8]>::to_vec)).collect()
}

/// Opens what [`seal`] made; `part` gives the further parts by number.
pub(super) fn open<E: From<DoesNotOpen>>(
    key: &Secret,
    at: &[u8],
    first: &[u8],
    part: impl Fn(u8) -> Result<Option<Vec<u8>>, E>,
) -> Result<Row, E> {
    let (header, body) = first.split_first_chunk::<HEADER>().ok_or(DoesNotOpen)?;
    let [format, s0, s1, _, _, _, _, parts] = *header;
    if format != FORMAT {
        return Err(DoesNotOpen.into());
    }
    let ad = [at, header].concat();
    let schema = u16::from_be_bytes([s0, s1]);
    if parts == 1 {
        return Ok(Row { schema, value: seal::open(key, &ad, body)? });
    }
    let mut sealed = body.to_vec();
    for number in 1..parts {
        sealed.extend(part(number)?.ok_or(DoesNotOpen)?);
    }
    Ok(Row { schema, value: seal::open(key, &ad, &sealed)? })
}

/// The key generation that a row names; not authenticated before the row opens.
pub(super) fn generation_of(first: &[u8]) -> Option<u32> {
    let ([format, _, _, g0, g1, g2, g3, _], _) = first.split_first_chunk::<HEADER>()?;
    (*format == FORMAT).then(|| u32::from_be_bytes([*g0, *g1, *g2, *g3]))
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

fn header(schema: u16, generation: u32, parts: u8) -> [u8; HEADER] {
    let [s0, s1] = schema.to_be_bytes();
    let [g0, g1, g2, g3] = generation.to_be_bytes();
    [FORMAT, s0, s1, g0, g1, g2, g3, parts]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    #[test]
    fn a_row_opens_at_its_own_key_and_table_only() {
        let key = Secret::from([1; 32]);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let sealed = seal(SealedUnder { generation: 7, key: &key }, b"\x01key", 1, b"plain", &mut rng);
        let open = |at: &[u8], first: &[u8]| open::<DoesNotOpen>(&key, at, first, |_| Ok(None)).map(|row| row.value);
        assert_eq!(generation_of(&sealed[0]), Some(7));
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
        let key = Secret::from([1; 32]);
        let under = SealedUnder { generation: LASTING, key: &key };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let one = seal(under, b"\x01key", 1, &[1; 3 * PART], &mut rng);
        let two = seal(under, b"\x01key", 1, &[2; 3 * PART], &mut rng);
        assert_eq!((one.len(), parts_of(&one[0])), (4, 4));
        assert!(one.iter().all(|part| part.len() <= PART + HEADER));
        let open = |first: &[u8], rest: &[Vec<u8>]| {
            super::open::<DoesNotOpen>(&key, b"\x01key", first, |n| Ok(rest.get(usize::from(n)).cloned()))
                .map(|row| row.value)
        };
        assert_eq!(open(&one[0], &one), Ok(vec![1; 3 * PART]));
        assert_eq!(open(&one[0], &two), Err(DoesNotOpen));
        assert_eq!(open(&one[0], &one[..2]), Err(DoesNotOpen));
    }
}

//! Which messages of a segment have a gram, bucket by bucket: the exact numbers, as differences or as a bitmap, whichever
//! is shorter.
//!
//! ```text
//! bucket  = 0 ‖ entry*  |  1                       1: too full to keep, every message may have every gram of it
//! entry   = gram's low 24 bits (3) ‖ varint(bytes · 2 + form) ‖ bytes        ascending by gram
//! form 0  = varint of the first number, then of each difference to the one before
//! form 1  = bit n of the bitmap: message n has it
//! ```

use super::grams::{GRAM_BITS, Gram};
use std::collections::BTreeSet;

/// A gram and the number of a message that has it.
pub type Posting = (Gram, u16);

/// Bits of a gram that an entry says itself; the rest is the number of the bucket.
const ENTRY_BITS: u32 = 24;
/// Bytes of a bucket at most: more does not come about by chance.
const FULLEST: usize = 256 * 1024;
const KEPT: u8 = 0;
const TOO_FULL: u8 = 1;

/// Into how many buckets the grams of a segment are spread, so that one is a few kilobytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// 16: for a block.
    Small,
    /// 1,024: for a segment of 64 blocks. Each small bucket falls apart into 64 of them.
    Large,
}

impl Spread {
    /// How many buckets there are.
    pub fn buckets(self) -> u16 {
        match self {
            Self::Small => 16,
            Self::Large => 1024,
        }
    }

    /// The bucket of a gram.
    pub fn bucket(self, gram: Gram) -> u16 {
        let bits = self.buckets().trailing_zeros();
        (gram >> (GRAM_BITS - bits)) as u16
    }
}

/// What a bucket says of a gram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Having {
    /// Only these have it, ascending.
    These(Vec<u16>),
    /// Nothing is known: any may have it.
    Any,
}

/// The bytes are not what [`encode`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("postings are damaged")]
pub struct BadPostings;

/// Buckets by number, of postings in ascending order. Empty ones are left out.
pub fn encode(postings: &[Posting], spread: Spread) -> Vec<(u16, Vec<u8>)> {
    postings
        .chunk_by(|(a, _), (b, _)| spread.bucket(*a) == spread.bucket(*b))
        .filter_map(|of_bucket| Some((spread.bucket(of_bucket.first()?.0), encode_bucket(of_bucket))))
        .collect()
}

fn encode_bucket(postings: &[Posting]) -> Vec<u8> {
    let mut bucket = vec![KEPT];
    for of_gram in postings.chunk_by(|(a, _), (b, _)| a == b) {
        let Some((gram, _)) = of_gram.first() else { continue };
        let [_, entry @ ..] = gram.to_be_bytes();
        bucket.extend(entry);
        let (numbers, bitmap) = (as_numbers(of_gram), as_bitmap(of_gram));
        let (form, bytes) = if bitmap.len() < numbers.len() { (1, bitmap) } else { (0, numbers) };
        put_varint(&mut bucket, bytes.len() as u32 * 2 + form);
        bucket.extend(bytes);
        if bucket.len() > FULLEST {
            return vec![TOO_FULL];
        }
    }
    bucket
}

fn as_numbers(postings: &[Posting]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(postings.len() * 2);
    let mut before = 0;
    for (_, number) in postings {
        put_varint(&mut bytes, u32::from(number - before));
        before = *number;
    }
    bytes
}

fn as_bitmap(postings: &[Posting]) -> Vec<u8> {
    let last = postings.last().map_or(0, |(_, number)| usize::from(*number));
    let mut bitmap = vec![0u8; last / 8 + 1];
    for (_, number) in postings {
        if let Some(byte) = bitmap.get_mut(usize::from(number / 8)) {
            *byte |= 1 << (number % 8);
        }
    }
    bitmap
}

/// Which messages of a segment have a gram, by the bucket it falls into.
pub fn having(bucket: &[u8], gram: Gram) -> Result<Having, BadPostings> {
    let Some(mut entries) = Entries::of(bucket)? else { return Ok(Having::Any) };
    let wanted = gram & ((1 << ENTRY_BITS) - 1);
    while let Some(entry) = entries.next()? {
        if entry.gram == wanted {
            return Ok(Having::These(entry.numbers()?));
        }
        if entry.gram > wanted {
            break;
        }
    }
    Ok(Having::These(Vec::new()))
}

/// All postings of one small bucket, the numbers counted from `base`; `None` where it is too full.
pub fn decode(bucket: &[u8], number: u16, base: u16) -> Result<Option<Vec<Posting>>, BadPostings> {
    let Some(mut entries) = Entries::of(bucket)? else { return Ok(None) };
    let high = Gram::from(number) << ENTRY_BITS;
    let mut postings = Vec::with_capacity(bucket.len());
    while let Some(entry) = entries.next()? {
        for number in entry.numbers()? {
            postings.push((high | entry.gram, base.checked_add(number).ok_or(BadPostings)?));
        }
    }
    Ok(Some(postings))
}

/// A bucket in which these messages have nothing. Where it is too full it says nothing of them anyhow.
pub fn without(bucket: &[u8], numbers: &BTreeSet<u16>) -> Result<Vec<u8>, BadPostings> {
    let Some(mut postings) = decode(bucket, 0, 0)? else { return Ok(too_full()) };
    postings.retain(|(_, number)| !numbers.contains(number));
    Ok(encode_bucket(&postings))
}

/// A bucket of which nothing is known.
pub fn too_full() -> Vec<u8> {
    vec![TOO_FULL]
}

struct Entries<'a>(&'a [u8]);

struct Entry<'a> {
    gram: Gram,
    is_bitmap: bool,
    bytes: &'a [u8],
}

impl<'a> Entries<'a> {
    /// `None` where nothing is kept.
    fn of(bucket: &'a [u8]) -> Result<Option<Self>, BadPostings> {
        match bucket.split_first() {
            Some((&KEPT, rest)) => Ok(Some(Self(rest))),
            Some((&TOO_FULL, [])) => Ok(None),
            _ => Err(BadPostings),
        }
    }

    fn next(&mut self) -> Result<Option<Entry<'a>>, BadPostings> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let ([a, b, c], rest) = self.0.split_first_chunk::<3>().ok_or(BadPostings)?;
        self.0 = rest;
        let length = take_varint(&mut self.0)?;
        let (bytes, rest) = self.0.split_at_checked((length / 2) as usize).ok_or(BadPostings)?;
        self.0 = rest;
        Ok(Some(Entry { gram: u32::from_be_bytes([0, *a, *b, *c]), is_bitmap: length % 2 == 1, bytes }))
    }
}

impl Entry<'_> {
    fn numbers(&self) -> Result<Vec<u16>, BadPostings> {
        let mut numbers = Vec::new();
        if self.is_bitmap {
            for (at, byte) in self.bytes.iter().enumerate() {
                let at = u16::try_from(at * 8).map_err(|_| BadPostings)?;
                numbers.extend((0..8).filter(|bit| byte & (1 << bit) != 0).map(|bit| at + bit));
            }
            return Ok(numbers);
        }
        let (mut rest, mut number) = (self.bytes, 0u32);
        while !rest.is_empty() {
            number = number.checked_add(take_varint(&mut rest)?).ok_or(BadPostings)?;
            numbers.push(number.try_into().map_err(|_| BadPostings)?);
        }
        Ok(numbers)
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u32, BadPostings> {
    let mut value = 0u32;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = bytes.split_first().ok_or(BadPostings)?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f).checked_shl(shift).ok_or(BadPostings)?;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(BadPostings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn postings(of_small: u16) -> impl Strategy<Value = BTreeSet<Posting>> {
        let gram = prop_oneof![0u32..40, 0u32..1 << ENTRY_BITS];
        let high = Gram::from(of_small) << ENTRY_BITS;
        proptest::collection::btree_set((gram.prop_map(move |low| high | low), 0u16..256), 0..400)
    }

    proptest! {
        #[test]
        fn a_bucket_tells_exactly_who_has_a_gram_also_when_64_become_one(
            blocks in proptest::collection::vec(postings(5), 1..6), stranger: Gram,
        ) {
            let mut merged = Vec::new();
            for (at, block) in blocks.iter().enumerate() {
                let list: Vec<Posting> = block.iter().copied().collect();
                for (bucket, bytes) in encode(&list, Spread::Small) {
                    prop_assert_eq!(bucket, 5);
                    merged.extend(decode(&bytes, bucket, at as u16 * 256).unwrap().unwrap());
                }
            }
            merged.sort_unstable();
            let large = encode(&merged, Spread::Large);
            let tells = |gram: Gram| match large.iter().find(|(bucket, _)| *bucket == Spread::Large.bucket(gram)) {
                Some((_, bytes)) => having(bytes, gram).unwrap(),
                None => Having::These(vec![]),
            };
            let strangers = [stranger & ((1 << GRAM_BITS) - 1)];
            for gram in blocks.iter().flatten().map(|(gram, _)| *gram).chain(strangers) {
                let expected = blocks.iter().enumerate().flat_map(|(at, block)| {
                    block.iter().filter(move |(of, _)| *of == gram).map(move |(_, n)| at as u16 * 256 + n)
                });
                prop_assert_eq!(tells(gram), Having::These(expected.collect()));
            }
            let gone: BTreeSet<u16> = (0..u16::MAX).step_by(3).collect();
            for (bucket, bytes) in &large {
                let left = without(bytes, &gone).unwrap();
                for (gram, _) in merged.iter().filter(|(gram, _)| Spread::Large.bucket(*gram) == *bucket) {
                    let Having::These(mut numbers) = having(bytes, *gram).unwrap() else { panic!("it is not too full") };
                    numbers.retain(|number| !gone.contains(number));
                    prop_assert_eq!(having(&left, *gram), Ok(Having::These(numbers)));
                }
            }
        }

        #[test]
        fn no_bytes_make_postings_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), gram: Gram) {
            let bytes = [&[KEPT][..], &bytes].concat();
            let _ = (having(&bytes, gram), decode(&bytes, 15, 60_000));
        }
    }

    #[test]
    fn a_bucket_that_is_too_full_says_that_any_may_have_it() {
        let postings: Vec<Posting> = (0..200_000).map(|n| (n, (n % 9) as u16)).collect();
        let [(0, bucket)] = &encode(&postings, Spread::Small)[..] else { panic!("one bucket") };
        assert_eq!(*bucket, too_full());
        assert_eq!(having(bucket, 7), Ok(Having::Any));
    }
}

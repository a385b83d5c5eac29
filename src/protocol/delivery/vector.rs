//! Which events of a conversation are durable on one device: for each author device a set of its own counts.
//!
//! A set is kept as ranges: the gap-free one from its base, and up to [`MAX_RANGES`] beyond it. What finds no room is
//! reported, never forgotten in silence; a receipt then says less than is held, which costs a repetition and no message.
//! Who calls: the engine, for receipts (1-on-1 and group) and to see what is missing from an author.

use crate::protocol::{
    ids::DeviceId,
    wire::{
        Malformed, decode, encode,
        limits::{MAX_NO, MAX_RANGES},
    },
};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// For each author device the counts that are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Vector(#[n(0)] BTreeMap<DeviceId, Numbers>);

/// A set of one author device's counts, from a base on.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
#[cbor(map)]
pub struct Numbers {
    #[n(0)]
    base: u64,
    /// Inclusive, ascending, with gaps between; the first is the gap-free one where it starts at the base.
    #[n(1)]
    ranges: Vec<(u64, u64)>,
}

/// What came of noting a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It is in now.
    New,
    /// It was in before.
    Known,
    /// It is below the base, zero or past the greatest count there can be: never in.
    OutOfScope,
    /// There are [`MAX_RANGES`] ranges beyond the gap-free one already: not in until gaps close.
    NoRoom,
}

impl Vector {
    /// The vector in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        decode(bytes, "receipt vector")
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Notes an author device's count. A device not seen before starts at base 1; see [`Vector::start`].
    pub fn insert(&mut self, device: DeviceId, no: u64) -> Noted {
        self.0.entry(device).or_insert_with(|| Numbers::from_base(1)).insert(no)
    }

    /// Sets where an author device's counts begin to be in scope. Nothing where the device is there already.
    pub fn start(&mut self, device: DeviceId, base: u64) {
        self.0.entry(device).or_insert_with(|| Numbers::from_base(base));
    }

    /// Whether this count of this device is in.
    pub fn contains(&self, device: &DeviceId, no: u64) -> bool {
        self.0.get(device).is_some_and(|numbers| numbers.contains(no))
    }

    /// One device's counts.
    pub fn of(&self, device: &DeviceId) -> Option<&Numbers> {
        self.0.get(device)
    }

    /// All devices with their counts, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&DeviceId, &Numbers)> {
        self.0.iter()
    }

    /// Takes in all that `other` holds, as far as there is room.
    pub fn merge(&mut self, other: &Self) {
        for (device, numbers) in &other.0 {
            match self.0.get_mut(device) {
                Some(own) => own.merge(numbers),
                None => {
                    self.0.insert(*device, numbers.clone());
                }
            }
        }
    }
}

impl Numbers {
    /// The empty set of counts from `base` on: 1, or the first that is in a newcomer's scope.
    pub fn from_base(base: u64) -> Self {
        Self { base: base.clamp(1, MAX_NO), ranges: Vec::new() }
    }

    /// The set in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        decode(bytes, "receipt numbers")
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Where the set begins.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The greatest count up to which nothing is missing from the base on; base - 1 where the base itself is missing.
    pub fn through(&self) -> u64 {
        match self.ranges.first() {
            Some((first, last)) if *first == self.base => *last,
            _ => self.base - 1,
        }
    }

    /// Whether this count is in.
    pub fn contains(&self, no: u64) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= no);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|(_, last)| no <= *last)
    }

    /// The counts from `first` to `last` that are not in, as inclusive ranges, the greatest first.
    pub fn lacking(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let begins = self.ranges.iter().map(|(begin, _)| begin - 1).chain([u64::MAX]);
        let ends = [0].into_iter().chain(self.ranges.iter().map(|(_, end)| end + 1));
        let gaps = ends.zip(begins).map(|(from, to)| (from.max(first), to.min(last)));
        let mut gaps: Vec<(u64, u64)> = gaps.filter(|(from, to)| from <= to).collect();
        gaps.reverse();
        gaps
    }

    /// All counts that are in, the greatest first.
    pub fn descending(&self) -> impl Iterator<Item = u64> {
        self.ranges.iter().rev().flat_map(|(first, last)| (*first..=*last).rev())
    }

    /// The counts that are in here and not in `before`, as inclusive ranges. How many counts are in them is for whoever
    /// said so: up to [`MAX_NO`].
    pub fn news_over(&self, before: &Self) -> Vec<(u64, u64)> {
        self.ranges.iter().flat_map(|(first, last)| before.lacking(*first, *last)).collect()
    }

    /// The counts that are in here and not in `other`; where there is no room for all, the lowest.
    pub fn without(&self, other: &Self) -> Self {
        let mut ranges = self.news_over(other);
        ranges.sort_unstable();
        let mut left = Self { base: self.base, ranges };
        left.ranges.truncate(left.room());
        left
    }

    /// The counts that are in, as inclusive ranges, ascending.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        self.ranges.iter().copied()
    }

    /// The greatest count that is in.
    pub fn greatest(&self) -> Option<u64> {
        self.ranges.last().map(|(_, last)| *last)
    }

    /// Notes every count up to `last`, which were given out without a gap.
    pub fn fill_through(&mut self, last: u64) {
        let last = last.min(MAX_NO);
        if last >= self.base {
            self.ranges = self.joined((self.base, last));
        }
    }

    /// Notes a count.
    pub fn insert(&mut self, no: u64) -> Noted {
        if no < self.base || no > MAX_NO {
            return Noted::OutOfScope;
        }
        if self.contains(no) {
            return Noted::Known;
        }
        let joined = self.joined((no, no));
        if joined.len() > self.room() && joined.len() > self.ranges.len() && no != self.base {
            return Noted::NoRoom;
        }
        self.ranges = joined;
        Noted::New
    }

    /// Takes a count out; whether it was in. Where that would make a range too many nothing is taken out.
    pub fn remove(&mut self, no: u64) -> bool {
        let Some(at) = self.ranges.iter().position(|(first, last)| (*first..=*last).contains(&no)) else {
            return false;
        };
        let mut ranges = self.ranges.clone();
        let (first, last) = ranges.remove(at);
        if no < last {
            ranges.insert(at, (no + 1, last));
        }
        if first < no {
            ranges.insert(at, (first, no - 1));
        }
        let before = std::mem::replace(&mut self.ranges, ranges);
        if self.ranges.len() > self.room() {
            self.ranges = before;
            return false;
        }
        true
    }

    /// What is missing below the greatest count that is in, as inclusive ranges, ascending.
    pub fn gaps(&self) -> Vec<(u64, u64)> {
        let mut next = self.base;
        let mut gaps = Vec::new();
        for (first, last) in &self.ranges {
            if next < *first {
                gaps.push((next, first - 1));
            }
            next = last + 1;
        }
        gaps
    }

    /// Those up to `last`.
    pub fn up_to(&self, last: u64) -> Self {
        let cut = |(first, end): &(u64, u64)| (*first <= last).then_some((*first, last.min(*end)));
        Self { base: self.base, ranges: self.ranges.iter().filter_map(cut).collect() }
    }

    /// Takes in all that `other` holds; where there is no room for all, the lowest.
    pub fn merge(&mut self, other: &Self) {
        self.base = self.base.min(other.base);
        for range in &other.ranges {
            self.ranges = self.joined(*range);
        }
        self.ranges.truncate(self.room());
    }

    /// How many ranges there may be: one more where the first is the gap-free one.
    fn room(&self) -> usize {
        MAX_RANGES + usize::from(self.through() >= self.base)
    }

    /// The ranges with this one among them.
    fn joined(&self, (mut first, mut last): (u64, u64)) -> Vec<(u64, u64)> {
        let before = self.ranges.iter().filter(|range| range.1 + 1 < first).copied();
        let mut joined: Vec<(u64, u64)> = before.collect();
        let beyond: Vec<(u64, u64)> = self.ranges.iter().filter(|range| range.0 > last + 1).copied().collect();
        for touching in self.ranges.iter().skip(joined.len()).take(self.ranges.len() - joined.len() - beyond.len()) {
            first = first.min(touching.0);
            last = last.max(touching.1);
        }
        joined.push((first, last));
        joined.extend(beyond);
        joined
    }
}

impl<'b, C> Decode<'b, C> for Numbers {
    fn decode(d: &mut minicbor::Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        #[derive(Decode)]
        #[cbor(map)]
        struct Wire {
            #[n(0)]
            base: u64,
            #[n(1)]
            ranges: Vec<(u64, u64)>,
        }
        let Wire { base, ranges } = Wire::decode(d, ctx)?;
        let numbers = Self { base, ranges };
        let spread =
            numbers.ranges.iter().zip(numbers.ranges.iter().skip(1)).all(|(a, b)| a.1 < MAX_NO && a.1 + 1 < b.0);
        let whole = numbers.ranges.iter().all(|(first, last)| base <= *first && first <= last && *last <= MAX_NO);
        if base == 0 || base > MAX_NO || !spread || !whole || numbers.ranges.len() > numbers.room() {
            return Err(minicbor::decode::Error::message("not a set of counts"));
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const D: DeviceId = DeviceId([1; 32]);

    proptest! {
        #[test]
        fn a_vector_holds_what_was_noted_and_nothing_else(notes in proptest::collection::vec(1u64..40, 0..60)) {
            let mut vector = Vector::default();
            let mut truth = BTreeSet::new();
            for no in notes {
                prop_assert_eq!(vector.insert(D, no) == Noted::New, truth.insert(no));
            }
            for no in 0..45 {
                prop_assert_eq!(vector.contains(&D, no), truth.contains(&no));
            }
            let through = (1..).take_while(|no| truth.contains(no)).last().unwrap_or(0);
            prop_assert_eq!(vector.of(&D).map_or(0, Numbers::through), through);
            prop_assert_eq!(Vector::parse(&vector.to_bytes()), Ok(vector));
        }

        #[test]
        fn merging_is_union_in_either_direction(
            a in proptest::collection::vec(1u64..40, 0..30), b in proptest::collection::vec(1u64..40, 0..30),
        ) {
            let of = |notes: &[u64]| { let mut v = Vector::default(); notes.iter().for_each(|no| { v.insert(D, *no); }); v };
            let (mut left, mut right, both) = (of(&a), of(&b), of(&[a.clone(), b.clone()].concat()));
            left.merge(&of(&b));
            right.merge(&of(&a));
            prop_assert_eq!(&left, &both);
            prop_assert_eq!(&right, &both);
        }

        #[test]
        fn no_bytes_make_a_vector_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Vector::parse(&bytes);
        }
    }

    #[test]
    fn ranges_beyond_the_gap_are_bounded_and_said_so() {
        let mut numbers = Numbers::from_base(1);
        for n in 0..MAX_RANGES as u64 {
            assert_eq!(numbers.insert(3 + 2 * n), Noted::New);
        }
        assert_eq!(numbers.insert(9_999), Noted::NoRoom);
        assert_eq!(numbers.insert(4), Noted::New, "closing a gap needs no room");
        assert_eq!(numbers.insert(9_999), Noted::New);
        assert_eq!(numbers.insert(1), Noted::New, "the gap-free range has room of its own");
        assert_eq!(numbers.insert(2), Noted::New);
        assert_eq!(numbers.through(), 5);
        assert_eq!(numbers.gaps().first(), Some(&(6, 6)));
    }

    #[test]
    fn what_is_taken_out_or_cut_off_is_no_more_in() {
        let mut numbers = Numbers::from_base(1);
        numbers.fill_through(10);
        assert!(numbers.remove(10) && numbers.remove(1) && numbers.remove(5) && !numbers.remove(5));
        assert_eq!(numbers.descending().collect::<Vec<_>>(), [9, 8, 7, 6, 4, 3, 2]);
        assert_eq!(numbers.up_to(7).descending().collect::<Vec<_>>(), [7, 6, 4, 3, 2]);
        assert_eq!(numbers.lacking(1, 12), [(10, 12), (5, 5), (1, 1)]);
        assert_eq!(numbers.lacking(2, 5), [(5, 5)]);
        assert_eq!(numbers.lacking(6, 9), []);
        let mut all = Numbers::from_base(1);
        all.fill_through(MAX_NO);
        assert_eq!(all.news_over(&numbers), [(10, MAX_NO), (5, 5), (1, 1)]);
        assert_eq!(numbers.news_over(&all), []);
        assert_eq!(all.without(&numbers).ranges().collect::<Vec<_>>(), [(1, 1), (5, 5), (10, MAX_NO)]);
        assert_eq!(numbers.without(&all), Numbers::from_base(1));
        assert_eq!(Numbers::parse(&numbers.to_bytes()), Ok(numbers));
    }

    #[test]
    fn a_receipt_that_closes_gaps_is_taken_whole_however_many_there_were() {
        let (mut known, mut told) = (Numbers::from_base(1), Numbers::from_base(1));
        (0..MAX_RANGES as u64).for_each(|n| {
            known.insert(100 + 2 * n);
        });
        (50..=60).chain(100..=100 + 2 * MAX_RANGES as u64).for_each(|no| {
            told.insert(no);
        });
        known.merge(&told);
        assert_eq!(known, told);
    }

    #[test]
    fn a_newcomers_numbers_begin_at_its_base() {
        let mut vector = Vector::default();
        vector.start(D, 57);
        assert_eq!(vector.insert(D, 56), Noted::OutOfScope);
        assert_eq!(vector.insert(D, u64::MAX), Noted::OutOfScope);
        assert_eq!(vector.of(&D).unwrap().through(), 56);
        assert_eq!(vector.insert(D, 57), Noted::New);
        assert_eq!(vector.of(&D).unwrap().through(), 57);
    }

    #[test]
    fn overlapping_empty_and_endless_ranges_are_malformed() {
        for ranges in [vec![(5, 4)], vec![(1, 3), (4, 5)], vec![(3, 9), (5, 6)], vec![(1, u64::MAX)], vec![(0, 1)]] {
            let lie = Vector(BTreeMap::from([(D, Numbers { base: 1, ranges })]));
            assert!(Vector::parse(&lie.to_bytes()).is_err(), "{lie:?}");
        }
    }
}

//! Range-based set reconciliation: two sides that hold almost the same find what each lacks, the newest first.
//!
//! A side tells the print of a range. The other, whose own differs, parts the range and tells prints of the parts, or, of
//! a few events, all their ids. Who is told all ids knows what it lacks, and answers what the other lacks. Both sides do
//! the same and remember nothing between two messages; equal sets take one message and an empty answer.
//!
//! A message has a size. What does not fit is told as one print of everything older, so work, memory and bytes are
//! bounded a message, and who holds the set says when it has worked enough. The known crate for this, `negentropy`, was
//! read and not taken: it needs every event of a conversation in memory by index, hashes ranges anew at each meeting, has
//! no way to say that the store failed or to stop a costly question, begins with the oldest, and only one side learns.
//!
//! A print is a sum of ids, hashed. A member who writes tens of thousands of events for the purpose could make two sets
//! of their own with one sum: they would hide their own events from some. Events of others that follow those are asked
//! for by id all the same.

use super::ranges::{Bound, LEAST, Range, Ranges, Spot, Told};
use crate::protocol::{
    crypto::{kdf::hash, labels},
    ids::EventId,
    wire::limits::{MAX_IDS_TOLD, MAX_RANGES_TOLD},
};
use std::collections::BTreeSet;

/// Of no more events than this all ids are told: about as many bytes as prints of the parts, and a turn less.
const LISTED: u64 = 32;
/// Parts of a range whose prints differ.
pub const PARTS: usize = 16;
/// Bytes of one message; with what names it, it fits a record.
const MAX_MESSAGE: usize = 40 * 1024;
/// Bytes of a range beside its ids: bound, print and their heads.
const RANGE: usize = 64;

/// A half-open range of spots, up to the end of time where `to` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The least that is in it.
    pub from: Bound,
    /// The least that is above it.
    pub to: Option<Bound>,
}

impl Span {
    /// Everything.
    pub const ALL: Self = Self { from: LEAST, to: None };

    /// Whether this key is in it.
    pub fn holds(&self, key: &Bound) -> bool {
        *key >= self.from && self.to.is_none_or(|to| *key < to)
    }

    /// Whether all of another is in it.
    pub fn covers(&self, other: &Self) -> bool {
        let ends = match (self.to, other.to) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => other <= own,
        };
        self.from <= other.from && ends
    }
}

/// How many events there are, and the sum of their ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The sum of their ids as little-endian numbers, modulo 2^256.
    pub sum: [u8; 32],
}

impl Tally {
    /// Takes one event in.
    pub fn add(&mut self, id: &EventId) {
        self.join(&Self { count: 1, sum: id.0 });
    }

    /// Takes in all that another counts.
    pub fn join(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        let mut carry = 0;
        for (own, more) in self.sum.iter_mut().zip(other.sum) {
            let sum = u16::from(*own) + u16::from(more) + carry;
            *own = sum as u8;
            carry = sum >> 8;
        }
    }

    /// What is told of it.
    pub fn print(&self) -> [u8; 16] {
        let digest = hash(&[labels::SYNC.as_bytes(), &self.sum, &self.count.to_be_bytes()]);
        digest.first_chunk().copied().unwrap_or_default()
    }
}

/// The events that two devices compare, as one of them holds them.
pub trait Set {
    /// Why reading failed.
    type Error;
    /// All in a span, counted.
    fn tally(&self, span: &Span) -> Result<Tally, Self::Error>;
    /// The span in up to [`PARTS`] parts of about the same size, the newest first: where each begins, and what is in it.
    /// The last begins where the span does.
    fn parts(&self, span: &Span) -> Result<Vec<(Bound, Tally)>, Self::Error>;
    /// The newest in a span, no more than `most`, the newest first.
    fn newest(&self, span: &Span, most: usize) -> Result<Vec<Spot>, Self::Error>;
    /// Whether enough was done for one message.
    fn has_worked_enough(&self) -> bool;
}

/// What comes of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is said in turn; empty where nothing is open.
    pub reply: Ranges,
    /// What the other holds and names; some of it may be here.
    pub theirs: Vec<EventId>,
}

/// The first message of a comparison.
pub fn opening<S: Set>(set: &S) -> Result<Ranges, S::Error> {
    let print = set.tally(&Span::ALL)?.print();
    Ok(Ranges::new(vec![Range { lower: LEAST, told: Told::Print(print) }]))
}

/// The answer to a message.
pub fn answer<S: Set>(set: &S, message: &Ranges) -> Result<Outcome, S::Error> {
    let mut saying = Saying::default();
    let mut theirs = Vec::new();
    let mut to = None;
    let mut ranges = message.iter().peekable();
    while let Some(range) = ranges.next() {
        let span = Span { from: range.lower, to };
        let mut reached = range.lower;
        match &range.told {
            Told::Settled => saying.settle(range.lower),
            Told::Print(print) => {
                let own = set.tally(&span)?;
                if own.print() == *print {
                    saying.settle(range.lower);
                } else {
                    saying.part(set, &span, own.count)?;
                }
            }
            Told::News(ids) => {
                theirs.extend_from_slice(ids);
                saying.settle(range.lower);
            }
            Told::All(ids) => {
                theirs.extend_from_slice(ids);
                reached = saying.tell_news(set, &span, ids)?;
            }
        }
        to = Some(reached);
        let is_cut = reached != range.lower;
        if (is_cut || saying.is_full() || set.has_worked_enough()) && (is_cut || ranges.peek().is_some()) {
            let rest = Span { from: LEAST, to };
            saying.push(LEAST, Told::Print(set.tally(&rest)?.print()));
            break;
        }
    }
    Ok(Outcome { reply: saying.done(), theirs })
}

/// The shortest bound that is above `below` and not above `at`.
pub fn separator(below: &Bound, at: &Bound) -> Bound {
    let common = below.iter().zip(at).take_while(|(a, b)| a == b).count();
    std::array::from_fn(|i| at.get(i).copied().filter(|_| i <= common).unwrap_or(0))
}

/// A message in the making.
#[derive(Default)]
struct Saying {
    ranges: Vec<Range>,
    bytes: usize,
    ids: usize,
}

impl Saying {
    fn push(&mut self, lower: Bound, told: Told) {
        let ids = match &told {
            Told::All(ids) | Told::News(ids) => ids.len(),
            Told::Settled | Told::Print(_) => 0,
        };
        self.bytes += RANGE + 32 * ids;
        self.ids += ids;
        self.ranges.push(Range { lower, told });
    }

    fn settle(&mut self, lower: Bound) {
        match self.ranges.last_mut() {
            Some(last) if last.told == Told::Settled => last.lower = lower,
            _ => self.push(lower, Told::Settled),
        }
    }

    fn part<S: Set>(&mut self, set: &S, span: &Span, count: u64) -> Result<(), S::Error> {
        if count <= LISTED {
            let all = set.newest(span, LISTED as usize)?;
            self.push(span.from, Told::All(all.into_iter().map(|spot| spot.id).collect()));
            return Ok(());
        }
        for (lower, tally) in set.parts(span)? {
            self.push(lower, Told::Print(tally.print()));
        }
        Ok(())
    }

    /// Tells what is here and was not among `theirs`, the newest first, as far as there is room. Down to where it told.
    fn tell_news<S: Set>(&mut self, set: &S, span: &Span, theirs: &[EventId]) -> Result<Bound, S::Error> {
        let theirs: BTreeSet<&EventId> = theirs.iter().collect();
        let room =
            (MAX_MESSAGE.saturating_sub(self.bytes + 2 * RANGE) / 32).min(MAX_IDS_TOLD.saturating_sub(self.ids)).max(1);
        let own = set.newest(span, room + theirs.len() + 1)?;
        let mut news: Vec<Spot> = own.into_iter().filter(|spot| !theirs.contains(&spot.id)).collect();
        let is_cut = news.len() > room;
        news.truncate(room);
        let reached = match news.last() {
            Some(last) if is_cut => last.to_key(),
            _ => span.from,
        };
        if news.is_empty() {
            self.settle(reached);
        } else {
            self.push(reached, Told::News(news.into_iter().map(|spot| spot.id).collect()));
        }
        Ok(reached)
    }

    /// Whether no further range may fit: one may take as much as its parts or its ids.
    fn is_full(&self) -> bool {
        let most = (PARTS * RANGE).max(RANGE + 32 * LISTED as usize);
        self.bytes + most + RANGE > MAX_MESSAGE
            || self.ranges.len() + PARTS + 1 > MAX_RANGES_TOLD
            || self.ids + LISTED as usize > MAX_IDS_TOLD
    }

    fn done(mut self) -> Ranges {
        while self.ranges.last().is_some_and(|last| last.told == Told::Settled) {
            self.ranges.pop();
        }
        Ranges::new(self.ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::time::Millis;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, convert::Infallible};

    /// A set in memory.
    #[derive(Default)]
    struct Memory(BTreeMap<Bound, EventId>);

    impl Memory {
        fn of(spots: impl IntoIterator<Item = Spot>) -> Self {
            Self(spots.into_iter().map(|spot| (spot.to_key(), spot.id)).collect())
        }

        fn within(&self, span: &Span) -> Vec<Bound> {
            self.0.keys().filter(|key| span.holds(key)).copied().collect()
        }
    }

    impl Set for Memory {
        type Error = Infallible;

        fn tally(&self, span: &Span) -> Result<Tally, Infallible> {
            let mut tally = Tally::default();
            self.within(span).iter().for_each(|key| tally.add(&self.0[key]));
            Ok(tally)
        }

        fn parts(&self, span: &Span) -> Result<Vec<(Bound, Tally)>, Infallible> {
            let keys = self.within(span);
            let size = keys.len().div_ceil(PARTS);
            let mut parts = Vec::new();
            let mut to = span.to;
            for at in (0..keys.len()).step_by(size).rev() {
                let from = if at == 0 { span.from } else { separator(&keys[at - 1], &keys[at]) };
                parts.push((from, self.tally(&Span { from, to })?));
                to = Some(from);
            }
            Ok(parts)
        }

        fn newest(&self, span: &Span, most: usize) -> Result<Vec<Spot>, Infallible> {
            Ok(self.within(span).iter().rev().take(most).map(|key| Spot::from_key(key).unwrap()).collect())
        }

        fn has_worked_enough(&self) -> bool {
            false
        }
    }

    fn spot(n: u64) -> Spot {
        Spot { clock: Millis(1_000 + n / 3), id: EventId(hash(&[&n.to_be_bytes()])) }
    }

    /// Compares to the end. What each side lacks, messages, bytes, and the longest message.
    fn compare(here: &Memory, there: &Memory) -> (BTreeSet<EventId>, BTreeSet<EventId>, usize, usize, usize) {
        let (mut lacking_here, mut lacking_there) = (BTreeSet::new(), BTreeSet::new());
        let mut message = opening(here).unwrap();
        let (mut messages, mut bytes, mut longest) = (1, message.to_bytes().len(), 0);
        for turn in 0.. {
            assert!(turn < 10_000, "it ends");
            let (set, lacking) = if turn % 2 == 0 { (there, &mut lacking_there) } else { (here, &mut lacking_here) };
            let outcome = answer(set, &Ranges::parse(&message.to_bytes()).unwrap()).unwrap();
            lacking.extend(outcome.theirs.into_iter().filter(|id| !set.0.values().any(|held| held == id)));
            if outcome.reply.is_empty() {
                break;
            }
            message = outcome.reply;
            messages += 1;
            bytes += message.to_bytes().len();
            longest = longest.max(message.to_bytes().len());
        }
        (lacking_here, lacking_there, messages, bytes, longest)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn each_side_finds_exactly_what_it_lacks(
            here in proptest::collection::btree_set(0u64..900, 0..400),
            there in proptest::collection::btree_set(0u64..900, 0..400),
        ) {
            let of = |numbers: &BTreeSet<u64>| Memory::of(numbers.iter().map(|n| spot(*n)));
            let ids = |numbers: BTreeSet<&u64>| numbers.into_iter().map(|n| spot(*n).id).collect::<BTreeSet<_>>();
            let (lacking_here, lacking_there, ..) = compare(&of(&here), &of(&there));
            prop_assert_eq!(lacking_here, ids(there.difference(&here).collect()));
            prop_assert_eq!(lacking_there, ids(here.difference(&there).collect()));
        }

        #[test]
        fn no_message_makes_an_answer_panic_or_grow(
            lowers in proptest::collection::btree_set(any::<u16>(), 0..40), kinds in proptest::collection::vec(0u8..4, 40),
        ) {
            let set = Memory::of((0..200).map(spot));
            let told = |kind| match kind {
                0 => Told::Settled,
                1 => Told::Print([7; 16]),
                2 => Told::All(vec![EventId([9; 32]); 3]),
                _ => Told::News(vec![spot(3).id]),
            };
            let lower = |n: u16| {
                let mut key = spot(u64::from(n) % 700).to_key();
                key[10..12].copy_from_slice(&n.to_be_bytes());
                key
            };
            let lowers: BTreeSet<Bound> = lowers.into_iter().map(lower).collect();
            let ranges = lowers.into_iter().rev().zip(kinds).map(|(lower, kind)| Range { lower, told: told(kind) });
            let message = Ranges::new(ranges.collect());
            let outcome = answer(&set, &message).unwrap();
            prop_assert!(outcome.reply.to_bytes().len() <= MAX_MESSAGE);
            prop_assert!(Ranges::parse(&outcome.reply.to_bytes()).is_ok());
        }
    }

    #[test]
    fn equal_sets_of_any_size_take_one_short_message() {
        let set = Memory::of((0..5_000).map(spot));
        let (here, there, messages, bytes, _) = compare(&set, &set);
        assert!(here.is_empty() && there.is_empty());
        assert_eq!(messages, 1);
        assert!(bytes < 40, "{bytes}");
    }

    #[test]
    fn who_has_nothing_is_told_all_in_messages_of_one_size_the_newest_first() {
        let set = Memory::of((0..4_000).map(spot));
        let (lacking, _, messages, bytes, longest) = compare(&Memory::default(), &set);
        assert_eq!(lacking.len(), 4_000);
        assert!(longest <= MAX_MESSAGE && messages < 16, "{longest} {messages}");
        assert!(bytes < 4_000 * 33 + 4_000, "{bytes}");
        let empty = Memory::default();
        let first =
            answer(&set, &answer(&empty, &answer(&set, &opening(&empty).unwrap()).unwrap().reply).unwrap().reply);
        let newest: Vec<EventId> = first
            .unwrap()
            .reply
            .iter()
            .flat_map(|range| match &range.told {
                Told::News(ids) => ids.clone(),
                _ => vec![],
            })
            .collect();
        assert_eq!(newest.first(), set.0.values().last(), "the newest comes first");
    }

    #[test]
    fn two_halves_cost_little_more_than_an_id_for_each_event() {
        let here = Memory::of((0..4_000).filter(|n| n % 5 < 2 || n % 5 == 4).map(spot));
        let there = Memory::of((0..4_000).filter(|n| n % 5 > 1).map(spot));
        let (lacking_here, lacking_there, _, bytes, _) = compare(&here, &there);
        assert_eq!((lacking_here.len(), lacking_there.len()), (1_600, 1_600));
        assert!(bytes < 3_200 * 32 * 3 / 2, "{bytes}: no more than half as much again as the missing ids");
    }

    #[test]
    fn a_bound_is_as_short_as_it_can_be() {
        let (a, b) = (spot(10).to_key(), spot(40).to_key());
        let bound = separator(&a.min(b), &a.max(b));
        assert!(a.min(b) < bound && bound <= a.max(b));
        assert!(bound.iter().skip(8).all(|byte| *byte == 0), "clocks alone tell them apart");
    }
}

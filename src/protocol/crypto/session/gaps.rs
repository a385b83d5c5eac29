//! What became of the positions of one epoch that its reader has passed: read, still awaited, or let go.
//!
//! Only the last two are written down, as runs, so that a session's row stays small; a position below the chain's next
//! that no run holds was read.

use crate::protocol::time::Millis;
use minicbor::{Decode, Encode};

/// Runs of let-go positions kept of one epoch, newest first in importance: past it the oldest count as read, which costs
/// their sender the word that they cannot be opened, no more.
const MAX_GONE_RUNS: usize = 64;

/// Where a position stands that the chain has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Read before.
    Consumed,
    /// Its key is stored.
    Outstanding,
    /// Its key was let go unread.
    Gone,
}

/// The runs of one epoch, ascending, apart from each other.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(super) struct Gaps(#[n(0)] Vec<Run>);

#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Run {
    #[n(0)]
    first: u32,
    #[n(1)]
    count: u32,
    /// When its keys were stored; none once they were let go.
    #[n(2)]
    since: Option<Millis>,
}

impl Run {
    fn end(&self) -> u32 {
        self.first.saturating_add(self.count)
    }

    fn indexes(self) -> impl Iterator<Item = u32> {
        self.first..self.end()
    }
}

impl Gaps {
    /// Notes that the chain passed `first..end`, keeping the keys from `kept` on. All lie past every earlier run.
    pub(super) fn skip(&mut self, first: u32, kept: u32, end: u32, now: Millis) {
        self.push(first, kept, None);
        self.push(kept, end, Some(now));
        self.limit();
    }

    pub(super) fn find(&self, index: u32) -> Position {
        match self.0.iter().find(|run| run.first <= index && index < run.end()) {
            None => Position::Consumed,
            Some(Run { since: None, .. }) => Position::Gone,
            Some(_) => Position::Outstanding,
        }
    }

    /// Notes that the key of `index` was used.
    pub(super) fn consume(&mut self, index: u32) {
        let runs = std::mem::take(&mut self.0);
        for run in runs {
            if run.first <= index && index < run.end() {
                self.push(run.first, index, run.since);
                self.push(index + 1, run.end(), run.since);
            } else {
                self.0.push(run);
            }
        }
    }

    /// The positions whose keys are stored, ascending.
    pub(super) fn outstanding(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().filter(|run| run.since.is_some()).flat_map(|run| run.indexes())
    }

    /// How many keys are stored.
    pub(super) fn count(&self) -> usize {
        self.0.iter().filter(|run| run.since.is_some()).map(|run| run.count as usize).sum()
    }

    /// Lets go of keys stored at `until` or before.
    pub(super) fn expire(&mut self, until: Millis, mut forget: impl FnMut(u32)) {
        for run in self.0.iter_mut().filter(|run| run.since.is_some_and(|since| since <= until)) {
            run.indexes().for_each(&mut forget);
            run.since = None;
        }
        self.limit();
    }

    /// Lets go of up to `over` keys, lowest positions first, which were stored first; says how many.
    pub(super) fn drop_oldest(&mut self, over: usize, mut forget: impl FnMut(u32)) -> usize {
        let mut left = u32::try_from(over).unwrap_or(u32::MAX);
        let runs = std::mem::take(&mut self.0);
        for run in runs {
            let gone = if run.since.is_some() { run.count.min(left) } else { 0 };
            let cut = run.first + gone;
            (run.first..cut).for_each(&mut forget);
            left -= gone;
            self.push(run.first, cut, None);
            self.push(cut, run.end(), run.since);
        }
        self.limit();
        over.saturating_sub(left as usize)
    }

    /// Appends `first..end`, joined to the last run where that is its continuation.
    fn push(&mut self, first: u32, end: u32, since: Option<Millis>) {
        if first >= end {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.end() == first && last.since == since => last.count += end - first,
            _ => self.0.push(Run { first, count: end - first, since }),
        }
    }

    fn limit(&mut self) {
        let gone = self.0.iter().filter(|run| run.since.is_none()).count();
        let mut surplus = gone.saturating_sub(MAX_GONE_RUNS);
        self.0.retain(|run| {
            let drop = run.since.is_none() && surplus > 0;
            surplus -= usize::from(drop);
            !drop
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Against a plain map from each position to what became of it.
        #[test]
        fn runs_say_of_each_position_what_became_of_it(
            steps in proptest::collection::vec((0u8..4, 0u32..12, 0u32..12), 1..40),
        ) {
            let (mut gaps, mut model, mut next) = (Gaps::default(), BTreeMap::new(), 0u32);
            for (now, (kind, x, y)) in steps.into_iter().enumerate() {
                let now = Millis(now as u64);
                match kind {
                    0 | 1 => {
                        let (kept, end) = (next + x / 4, next + x / 4 + y);
                        gaps.skip(next, kept, end, now);
                        model.extend((next..kept).map(|index| (index, None)));
                        model.extend((kept..end).map(|index| (index, Some(now))));
                        next = end + 1;
                    }
                    2 => {
                        let index = x * 12 + y;
                        if gaps.find(index) == Position::Outstanding {
                            gaps.consume(index);
                            model.remove(&index);
                        }
                    }
                    _ => {
                        let mut forgotten = Vec::new();
                        let dropped = gaps.drop_oldest(x as usize / 4, |index| forgotten.push(index));
                        gaps.expire(now.minus(std::time::Duration::from_millis(30)), |index| forgotten.push(index));
                        prop_assert!(dropped <= forgotten.len());
                        for index in forgotten {
                            prop_assert!(model.insert(index, None).flatten().is_some());
                        }
                    }
                }
                for index in 0..=next {
                    let expected = match model.get(&index) {
                        None => Position::Consumed,
                        Some(None) => Position::Gone,
                        Some(Some(_)) => Position::Outstanding,
                    };
                    prop_assert_eq!(gaps.find(index), expected);
                }
                let outstanding: Vec<u32> =
                    model.iter().filter(|(_, since)| since.is_some()).map(|(index, _)| *index).collect();
                prop_assert_eq!(gaps.count(), outstanding.len());
                prop_assert_eq!(gaps.outstanding().collect::<Vec<_>>(), outstanding);
            }
        }
    }

    #[test]
    fn let_go_runs_are_bounded() {
        let mut gaps = Gaps::default();
        for i in 0..500 {
            gaps.skip(i * 3, i * 3 + 1, i * 3 + 1, Millis(0));
        }
        assert_eq!(gaps.0.len(), MAX_GONE_RUNS);
        assert_eq!((gaps.find(0), gaps.find(499 * 3)), (Position::Consumed, Position::Gone));
    }
}

//! The heads of a conversation: the events here that no other one here follows. The next event follows them.
//!
//! Who calls: the engine, once for each event it takes in. Of more than [`MAX_CHAT_HEADS`] heads, which only a flood of
//! events that follow nothing makes, the latest are kept. The next event names up to [`MAX_DEPS`], and takes all but one
//! of those off their number.

use crate::protocol::{
    event::Timeline,
    ids::EventId,
    time::Millis,
    wire::limits::{MAX_CHAT_HEADS, MAX_DEPS},
};
use minicbor::{Decode, Encode};
use std::collections::BTreeSet;

/// The heads of one conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Heads(#[n(0)] BTreeSet<EventId>);

impl Heads {
    /// Takes in an event that is new here: what it follows is a head no more, and it is one unless something here
    /// already follows it.
    pub fn arrive<T: Timeline>(&mut self, timeline: &T, id: EventId, follows: &[EventId]) -> Result<(), T::Error> {
        for dep in follows {
            self.0.remove(dep);
        }
        if timeline.dependents(&id)?.is_empty() {
            self.0.insert(id);
        }
        if self.0.len() <= MAX_CHAT_HEADS {
            return Ok(());
        }
        // The new one is not in the timeline yet, and stays.
        if let Some((_, oldest)) = self.by_age(timeline)?.pop() {
            self.0.remove(&oldest);
        }
        Ok(())
    }

    /// What the next event follows: all heads, or the latest [`MAX_DEPS`] of them. Ascending by id.
    pub fn choose<T: Timeline>(&self, timeline: &T) -> Result<Vec<EventId>, T::Error> {
        if self.0.len() <= MAX_DEPS {
            return Ok(self.iter().collect());
        }
        let chosen: BTreeSet<EventId> = self.by_age(timeline)?.into_iter().take(MAX_DEPS).map(|(_, id)| id).collect();
        Ok(chosen.into_iter().collect())
    }

    /// Those that are in the timeline, the latest first.
    fn by_age<T: Timeline>(&self, timeline: &T) -> Result<Vec<(Millis, EventId)>, T::Error> {
        let mut latest = Vec::with_capacity(self.0.len());
        for id in &self.0 {
            if let Some(known) = timeline.known(id)? {
                latest.push((known.effective, *id));
            }
        }
        latest.sort_unstable_by(|a, b| b.cmp(a));
        Ok(latest)
    }

    /// Takes out an event that was withdrawn.
    pub fn forget(&mut self, id: &EventId) {
        self.0.remove(id);
    }

    /// All of them, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = EventId> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        event::timeline::{Known, tests::Memory},
        time::Millis,
    };

    fn id(n: u8) -> EventId {
        EventId([n; 32])
    }

    fn take(memory: &mut Memory, heads: &mut Heads, n: u8, follows: &[EventId]) {
        heads.arrive(memory, id(n), follows).unwrap();
        memory.0.insert(id(n), Known { effective: Millis(u64::from(n)), follows: follows.to_vec() });
    }

    #[test]
    fn heads_are_the_same_in_any_order_of_arrival() {
        let events: [(u8, &[EventId]); 4] = [(1, &[]), (2, &[id(1)]), (3, &[id(1)]), (4, &[id(2)])];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let (mut memory, mut heads) = (Memory::default(), Heads::default());
            for n in order {
                take(&mut memory, &mut heads, events[n].0, events[n].1);
            }
            assert_eq!(heads.iter().collect::<Vec<_>>(), [id(3), id(4)]);
        }
    }

    #[test]
    fn of_many_heads_the_latest_are_followed_and_none_is_lost() {
        let (mut memory, mut heads) = (Memory::default(), Heads::default());
        for n in 1..=20 {
            take(&mut memory, &mut heads, n, &[]);
        }
        let chosen = heads.choose(&memory).unwrap();
        assert_eq!(chosen, (13..=20).map(id).collect::<Vec<_>>());
        take(&mut memory, &mut heads, 21, &chosen);
        assert_eq!(heads.iter().count(), 13);
    }

    #[test]
    fn a_flood_of_heads_leaves_the_latest() {
        let (mut memory, mut heads) = (Memory::default(), Heads::default());
        let wide = |n: u16| EventId(std::array::from_fn(|at| n.to_le_bytes()[at % 2]));
        for n in 0..MAX_CHAT_HEADS as u16 + 10 {
            heads.arrive(&memory, wide(n), &[]).unwrap();
            memory.0.insert(wide(n), Known { effective: Millis(u64::from(n)), follows: vec![] });
        }
        assert_eq!(heads.iter().count(), MAX_CHAT_HEADS);
        assert!(heads.iter().all(|id| id != wide(9)) && heads.iter().any(|id| id == wide(10)));
    }
}

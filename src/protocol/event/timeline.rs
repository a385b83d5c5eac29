//! The one order of a conversation: causal, the same everywhere, and O(1) a row.
//!
//! An event's **effective clock** is the greater of its signed clock and 1 + the greatest effective clock among the events
//! it follows that are known here. The order is by (effective clock, id): a pure function of the set of known events, in
//! which every event stands after all that it follows. An event is shown at once though something it follows is missing;
//! when that arrives and does not already stand before it, the event and what follows it are placed anew, in pieces where
//! that is much: [`Pushes`] tells what still stands too early. Clocks of the
//! past or far future thus move nothing but their own author's events and what was said after them.
//!
//! Who calls: the engine, with a [`Timeline`] over its rows. No decision that loses a message rests on a clock.

use crate::protocol::{ids::EventId, time::Millis, wire::limits::CLOCK_AHEAD};
use std::collections::BTreeMap;

/// Where an event stands in its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its effective clock.
    pub effective: Millis,
    /// Its id, which settles equal clocks.
    pub id: EventId,
}

impl Place {
    /// The width of a key, in bytes.
    pub const KEY: usize = 40;

    /// Forty bytes in the order of places: effective clock, big-endian, and id.
    pub fn to_key(&self) -> [u8; Self::KEY] {
        let mut key = [0; Self::KEY];
        let (clock, id) = key.split_at_mut(8);
        clock.copy_from_slice(&self.effective.0.to_be_bytes());
        id.copy_from_slice(&self.id.0);
        key
    }

    /// The place with this key; `None` where it is not 40 bytes.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (clock, id) = key.split_first_chunk::<8>()?;
        Some(Self { effective: Millis(u64::from_be_bytes(*clock)), id: EventId(id.try_into().ok()?) })
    }
}

/// What the order needs to know of an event that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its present effective clock.
    pub effective: Millis,
    /// What it follows, known here or not.
    pub follows: Vec<EventId>,
}

/// Reading one conversation.
pub trait Timeline {
    /// Why reading failed.
    type Error;
    /// An event, where it is here.
    fn known(&self, id: &EventId) -> Result<Option<Known>, Self::Error>;
    /// The events here that follow this one, which itself may not be here.
    fn dependents(&self, id: &EventId) -> Result<Vec<EventId>, Self::Error>;
}

/// Where an event that is not here yet stands. `None` where it is here already. Once it stands there, what follows it may
/// have to move: see [`Pushes`].
pub fn arrive<T: Timeline>(
    timeline: &T,
    id: EventId,
    clock: Millis,
    follows: &[EventId],
) -> Result<Option<Place>, T::Error> {
    if timeline.known(&id)?.is_some() {
        return Ok(None);
    }
    let mut effective = clock;
    for dep in follows {
        if let Some(known) = timeline.known(dep)? {
            effective = effective.max(after(known.effective));
        }
    }
    Ok(Some(Place { effective, id }))
}

/// What stands too early, on its way to where it belongs. Nothing is written here: the caller takes one after the other,
/// moves it, and adds its [`followers`](Self::followers).
///
/// Clocks only grow, up to the least ones that are right, and whatever is not right yet is in here. So the end is the same
/// in any order, in pieces, and with other events that come or are pushed meanwhile: the order of the set of known events.
/// Present places are an order in which each event comes after those it follows; the lowest first, each moves once, after
/// all that could push it.
#[derive(Debug, Default)]
pub struct Pushes(BTreeMap<Place, Millis>);

impl Pushes {
    /// Followers of one event that are added at once; it is looked at again for the others.
    const AT_ONCE: usize = 1_024;

    /// Adds an event by where it stands, or stood, and the least effective clock it is to have. Whether it is new here.
    pub fn push(&mut self, at: Place, least: Millis) -> bool {
        let before = self.0.get(&at).copied();
        self.0.insert(at, before.map_or(least, |before| before.max(least)));
        before.is_none()
    }

    /// Takes the lowest.
    pub fn pop(&mut self) -> Option<(Place, Millis)> {
        self.0.pop_first()
    }

    /// Adds what follows an event that stands here now, and does not stand after it.
    pub fn followers<T: Timeline>(&mut self, timeline: &T, by: Place) -> Result<(), T::Error> {
        let (least, mut added) = (after(by.effective), 0);
        for id in timeline.dependents(&by.id)? {
            let Some(known) = timeline.known(&id)? else { continue };
            if known.effective >= least {
                continue;
            }
            if added == Self::AT_ONCE {
                // After those that are to move before it is looked at again.
                self.push(Place { effective: least, id: by.id }, by.effective);
                break;
            }
            added += usize::from(self.push(Place { effective: known.effective, id }, least));
        }
        Ok(())
    }

    /// Adds an event that stands here now, unless it stands after all that it follows.
    pub fn follower<T: Timeline>(&mut self, timeline: &T, at: Place, follows: &[EventId]) -> Result<(), T::Error> {
        for dep in follows {
            if let Some(known) = timeline.known(dep)?
                && known.effective >= at.effective
            {
                self.push(at, after(known.effective));
            }
        }
        Ok(())
    }

    /// Whether one is to be pushed that stood here.
    pub fn holds(&self, at: &Place) -> bool {
        self.0.contains_key(at)
    }

    /// All of them, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (Place, Millis)> {
        self.0.iter().map(|(at, least)| (*at, *least))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether everything stands where it belongs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The clock that an author signs: now, or one past the greatest signed clock it follows where that is at most
/// [`CLOCK_AHEAD`] from now. A contact whose clock is years ahead thus cannot drag ours along.
pub fn signed_clock(now: Millis, followed: impl IntoIterator<Item = Millis>) -> Millis {
    let next = followed.into_iter().max().map(after).filter(|next| *next <= now.plus(CLOCK_AHEAD));
    next.map_or(now, |next| next.max(now)).min(Millis::MAX)
}

fn after(clock: Millis) -> Millis {
    Millis(clock.0.saturating_add(1))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::protocol::time::minutes;
    use proptest::prelude::*;
    use std::{collections::BTreeSet, convert::Infallible};

    /// A conversation in memory.
    #[derive(Default)]
    pub(crate) struct Memory(pub(crate) BTreeMap<EventId, Known>);

    impl Timeline for Memory {
        type Error = Infallible;
        fn known(&self, id: &EventId) -> Result<Option<Known>, Infallible> {
            Ok(self.0.get(id).cloned())
        }
        fn dependents(&self, id: &EventId) -> Result<Vec<EventId>, Infallible> {
            Ok(self.0.iter().filter(|(_, known)| known.follows.contains(id)).map(|(id, _)| *id).collect())
        }
    }

    impl Memory {
        fn take(&mut self, id: EventId, clock: Millis, follows: &[EventId]) {
            let mut pushes = Pushes::default();
            self.take_pushing(id, clock, follows, &mut pushes);
            // Nothing else comes meanwhile: each moves once.
            let mut moved = BTreeSet::new();
            while let Some(id) = self.push(&mut pushes) {
                assert!(moved.insert(id));
            }
        }

        fn take_pushing(&mut self, id: EventId, clock: Millis, follows: &[EventId], pushes: &mut Pushes) {
            let Some(place) = arrive(self, id, clock, follows).unwrap() else { return };
            self.0.insert(id, Known { effective: place.effective, follows: follows.to_vec() });
            pushes.followers(self, place).unwrap();
        }

        /// Pushes the next one.
        fn push(&mut self, pushes: &mut Pushes) -> Option<EventId> {
            let (Place { id, .. }, least) = pushes.pop()?;
            let known = self.0.get_mut(&id).unwrap();
            known.effective = known.effective.max(least);
            let to = Place { effective: known.effective, id };
            pushes.followers(self, to).unwrap();
            Some(id)
        }

        fn order(&self) -> Vec<EventId> {
            let mut places: Vec<Place> =
                self.0.iter().map(|(id, k)| Place { effective: k.effective, id: *id }).collect();
            places.sort();
            places.into_iter().map(|place| place.id).collect()
        }
    }

    fn id(n: usize) -> EventId {
        // Spread, so that the order of ids says nothing of the order of events.
        EventId(crate::protocol::crypto::kdf::hash(&[&n.to_be_bytes()]))
    }

    fn clocks() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), Just(1), 1_000u64..1_020, Just(Millis::MAX.0)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_member_shows_one_order_and_it_is_causal(
            events in proptest::collection::vec((clocks(), proptest::collection::vec(any::<u8>(), 0..4)), 1..24),
            swaps in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..60),
            pieces in proptest::collection::vec(0usize..4, 1..9),
        ) {
            let graph: Vec<(EventId, Millis, Vec<EventId>)> = events.iter().enumerate().map(|(n, (clock, deps))| {
                let mut deps: Vec<EventId> = deps.iter().filter(|_| n > 0).map(|d| id(*d as usize % n)).collect();
                deps.sort();
                deps.dedup();
                (id(n), Millis(*clock), deps)
            }).collect();
            let mut here = Memory::default();
            graph.iter().for_each(|(id, clock, deps)| here.take(*id, *clock, deps));
            let mut shuffled = graph.clone();
            for (a, b) in &swaps {
                let (a, b) = (*a as usize % graph.len(), *b as usize % graph.len());
                shuffled.swap(a, b);
            }
            shuffled.extend_from_within(..graph.len() / 2);
            let mut there = Memory::default();
            shuffled.iter().for_each(|(id, clock, deps)| there.take(*id, *clock, deps));
            prop_assert_eq!(here.order(), there.order());
            // As there, but what is pushed waits while others come.
            let (mut elsewhere, mut pushes) = (Memory::default(), Pushes::default());
            for ((id, clock, deps), piece) in shuffled.iter().zip(pieces.iter().cycle()) {
                elsewhere.take_pushing(*id, *clock, deps, &mut pushes);
                for _ in 0..*piece {
                    elsewhere.push(&mut pushes);
                }
            }
            while elsewhere.push(&mut pushes).is_some() {}
            prop_assert_eq!(elsewhere.order(), here.order());
            let order = there.order();
            let at = |id: &EventId| order.iter().position(|other| other == id);
            for (id, _, deps) in &graph {
                for dep in deps {
                    prop_assert!(at(dep) < at(id));
                }
            }
        }
    }

    #[test]
    fn of_very_many_followers_all_are_pushed_some_at_a_time() {
        let mut memory = Memory::default();
        let followers = 3 * Pushes::AT_ONCE;
        for n in 1..=followers {
            memory.0.insert(id(n), Known { effective: Millis(7), follows: vec![id(0)] });
        }
        let mut pushes = Pushes::default();
        memory.take_pushing(id(0), Millis(7), &[], &mut pushes);
        let mut pops = 0;
        loop {
            assert!(pushes.len() <= Pushes::AT_ONCE + 1);
            if memory.push(&mut pushes).is_none() {
                break;
            }
            pops += 1;
        }
        assert!(pops < followers + 9, "{pops}");
        assert!(memory.0.iter().all(|(at, known)| *at == id(0) || known.effective == Millis(8)));
    }

    #[test]
    fn keys_sort_as_places_do() {
        let place = |clock, n| Place { effective: Millis(clock), id: EventId([n; 32]) };
        let places = [place(1, 9), place(255, 1), place(256, 0), place(256, 1), place(u64::MAX, 0)];
        for pair in places.windows(2) {
            assert!(pair[0].to_key() < pair[1].to_key());
        }
        assert!(places.iter().all(|p| Place::from_key(&p.to_key()) == Some(*p)));
        assert_eq!(Place::from_key(&[0; 39]), None);
        assert_eq!(Place::from_key(&[0; 41]), None);
    }

    #[test]
    fn a_clock_follows_its_deps_but_not_into_the_far_future() {
        let now = Millis(1_000_000_000);
        assert_eq!(signed_clock(now, []), now);
        assert_eq!(signed_clock(now, [Millis(5)]), now);
        assert_eq!(signed_clock(now, [Millis(now.0 + 7)]), Millis(now.0 + 8));
        assert_eq!(signed_clock(now, [now.plus(minutes(11))]), now);
        assert_eq!(signed_clock(Millis(u64::MAX), [Millis::MAX]), Millis::MAX);
    }
}

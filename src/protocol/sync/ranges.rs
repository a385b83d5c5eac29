//! What one side of a comparison says: ranges of (clock, event id), the newest first, and what is known of each.
//!
//! On the wire a list of `[lower bound, what is told]`. A range ends where the one before it begins, the first at the end
//! of time; below the last nothing is open any more. A bound is the beginning of the 40 bytes of clock (big-endian) and
//! id, without zeros at its end. All of it is bounded before it is looked at.

use crate::protocol::{
    event::Place,
    ids::EventId,
    time::Millis,
    wire::{
        Malformed, decode, encode,
        limits::{MAX_IDS_TOLD, MAX_RANGES_TOLD},
    },
};
use minicbor::{Decode, Encode, bytes::ByteVec};

const WHAT: &str = "ranges";

/// Where an event stands among all that are compared: by its signed clock, then by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The clock that its author signed.
    pub clock: Millis,
    /// The event.
    pub id: EventId,
}

/// A bound between spots: the 40 bytes of one, or the beginning of one followed by zeros.
pub type Bound = [u8; Place::KEY];

/// Below every spot.
pub const LEAST: Bound = [0; Place::KEY];

impl Spot {
    /// Forty bytes in the order of spots.
    pub fn to_key(self) -> Bound {
        Place { effective: self.clock, id: self.id }.to_key()
    }

    /// The spot with this key; `None` where it is not 40 bytes.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        Place::from_key(key).map(|place| Self { clock: place.effective, id: place.id })
    }
}

/// What is told of one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing is open here.
    Settled,
    /// The print of all that is held here: where the other's differs there is something to say.
    Print([u8; 16]),
    /// All that is held here.
    All(Vec<EventId>),
    /// The other, who told all it holds, lacks these.
    News(Vec<EventId>),
}

/// A range from its lower bound up to the bound of the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The least that is in it.
    pub lower: Bound,
    /// What is told of it.
    pub told: Told,
}

/// One message of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range>);

impl Ranges {
    /// These ranges, their lower bounds descending.
    pub(super) fn new(ranges: Vec<Range>) -> Self {
        Self(ranges)
    }

    /// Ranges that were never checked: what a simulated liar says.
    #[cfg(any(test, feature = "sim"))]
    pub fn made_up(ranges: Vec<Range>) -> Self {
        Self(ranges)
    }

    /// The ranges in `bytes`: no more than [`MAX_RANGES_TOLD`], with no more than [`MAX_IDS_TOLD`] ids, in order.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let wire: Vec<Wire> = decode(bytes, WHAT)?;
        if wire.len() > MAX_RANGES_TOLD {
            return Err(Malformed(WHAT));
        }
        let (mut ranges, mut ids): (Vec<Range>, usize) = (Vec::with_capacity(wire.len()), 0);
        for Wire { lower, told } in wire {
            let range = Range { lower: bound(&lower)?, told: told.parse(&mut ids)? };
            if ranges.last().is_some_and(|before| before.lower <= range.lower) {
                return Err(Malformed(WHAT));
            }
            ranges.push(range);
        }
        Ok(Self(ranges))
    }

    /// Their bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let wire = |range: &Range| {
            let end = range.lower.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            Wire {
                lower: range.lower.iter().copied().take(end).collect::<Vec<u8>>().into(),
                told: (&range.told).into(),
            }
        };
        encode(&self.0.iter().map(wire).collect::<Vec<_>>())
    }

    /// Whether nothing is open any more.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Range> {
        self.0.iter()
    }

    /// How many ids they name.
    pub fn ids(&self) -> usize {
        let count = |range: &Range| match &range.told {
            Told::All(ids) | Told::News(ids) => ids.len(),
            Told::Settled | Told::Print(_) => 0,
        };
        self.0.iter().map(count).sum()
    }
}

#[derive(Encode, Decode)]
struct Wire {
    #[n(0)]
    lower: ByteVec,
    #[n(1)]
    told: WireTold,
}

#[derive(Encode, Decode)]
#[cbor(flat)]
enum WireTold {
    #[n(0)]
    Settled,
    #[n(1)]
    Print(#[n(0)] ByteVec),
    #[n(2)]
    All(#[n(0)] ByteVec),
    #[n(3)]
    News(#[n(0)] ByteVec),
}

impl WireTold {
    fn parse(self, ids: &mut usize) -> Result<Told, Malformed> {
        Ok(match self {
            Self::Settled => Told::Settled,
            Self::Print(print) => Told::Print(Vec::from(print).try_into().map_err(|_| Malformed(WHAT))?),
            Self::All(bytes) => Told::All(parse_ids(&bytes, ids)?),
            Self::News(bytes) => Told::News(parse_ids(&bytes, ids)?),
        })
    }
}

impl From<&Told> for WireTold {
    fn from(told: &Told) -> Self {
        let joined = |ids: &[EventId]| ByteVec::from(ids.iter().flat_map(|id| id.0).collect::<Vec<u8>>());
        match told {
            Told::Settled => Self::Settled,
            Told::Print(print) => Self::Print(print.to_vec().into()),
            Told::All(ids) => Self::All(joined(ids)),
            Told::News(ids) => Self::News(joined(ids)),
        }
    }
}

fn parse_ids(bytes: &[u8], so_far: &mut usize) -> Result<Vec<EventId>, Malformed> {
    let (ids, rest) = bytes.as_chunks::<32>();
    *so_far += ids.len();
    if !rest.is_empty() || *so_far > MAX_IDS_TOLD {
        return Err(Malformed(WHAT));
    }
    Ok(ids.iter().map(|id| EventId(*id)).collect())
}

fn bound(bytes: &[u8]) -> Result<Bound, Malformed> {
    let mut bound = LEAST;
    bound.get_mut(..bytes.len()).ok_or(Malformed(WHAT))?.copy_from_slice(bytes);
    if bytes.last() == Some(&0) { Err(Malformed(WHAT)) } else { Ok(bound) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(first: u8, told: Told) -> Range {
        Range { lower: std::array::from_fn(|at| if at == 0 { first } else { 0 }), told }
    }

    #[test]
    fn ranges_come_back_as_they_were() {
        let ids = |n: u8| vec![EventId([n; 32]), EventId([n + 1; 32])];
        let ranges = Ranges::new(vec![
            range(9, Told::All(ids(1))),
            range(7, Told::Settled),
            range(5, Told::News(ids(3))),
            range(0, Told::Print([8; 16])),
        ]);
        assert_eq!(Ranges::parse(&ranges.to_bytes()), Ok(ranges.clone()));
        assert_eq!(ranges.ids(), 4);
        assert_eq!(Ranges::default().to_bytes().len(), 1);
    }

    #[test]
    fn ranges_out_of_order_or_past_the_limits_are_refused() {
        let refused = |ranges: Vec<Range>| Ranges::parse(&Ranges::new(ranges).to_bytes()).is_err();
        assert!(refused(vec![range(5, Told::Settled), range(5, Told::Settled)]));
        assert!(refused(vec![range(5, Told::Settled), range(6, Told::Settled)]));
        assert!(refused(vec![range(5, Told::All(vec![EventId([1; 32]); MAX_IDS_TOLD + 1]))]));
        let many = (0..=MAX_RANGES_TOLD as u32).rev();
        let lower = |n: u32| std::array::from_fn(|at| n.to_be_bytes().get(at).copied().unwrap_or(1));
        assert!(refused(many.map(|n| Range { lower: lower(n), told: Told::Settled }).collect()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_ranges_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Ranges::parse(&bytes);
        }
    }
}

//! Comparing two sets of events without naming them all: what sync says, and how much of it one peer may ask for.
//!
//! Pure data and pure functions: a [`Set`] is read, never held. Which events are in the set of two devices,
//! what is done about those that one of them lacks, and when they compare at all is for the engine, the only caller.

pub mod budget;
pub mod compare;
pub mod ranges;

pub use budget::Budget;
pub use compare::{Outcome, Set, Span, Tally, answer, opening, separator};
pub use ranges::{Range, Ranges, Spot, Told};

//! Events: what was said in a conversation, who said it after what, and the one order that everybody shows.
//!
//! Pure data and pure functions. This module knows no store (it reads through [`timeline::Timeline`]), no session and no
//! network. The engine writes and reads events here; groups wrap [`Content`] in [`GroupEvent`](super::group::chain::GroupEvent).

pub mod content;
pub mod direct;
pub mod heads;
pub mod timeline;

pub use content::{Content, ContentError, Text};
pub use direct::{DirectEvent, DirectFields, EventError};
pub use heads::Heads;
pub use timeline::{Place, Timeline, signed_clock};

/// Whether a list is in strictly ascending order, hence without repeats: the one form that lists of ids have on the wire.
pub(in crate::protocol) fn ascends<T: Ord>(list: &[T]) -> bool {
    list.iter().zip(list.iter().skip(1)).all(|(a, b)| a < b)
}

//! Finding text in long histories: what a text is compared as, which grams it has, and how the messages that have a gram
//! are kept in few bytes.
//!
//! It promises that no message that holds the needle is ever passed over: whatever a text holds, its grams are among the
//! text's grams, and postings never lose one. The other way round it promises little: a candidate must be looked at with
//! [`Needle::is_in`]. It knows neither rows nor chats: `engine/index.rs` writes postings, `engine/find.rs` reads them.

pub mod grams;
pub mod postings;

pub use grams::{Gram, Needle, grams, normalise};

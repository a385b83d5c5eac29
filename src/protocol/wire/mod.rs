//! Bytes as they travel and rest: the codec, the frames of a direct stream, every limit, and text made safe to show.

pub mod codec;
pub mod frame;
pub mod limits;
pub mod mailbox;
pub mod text;

pub use codec::{Malformed, decode, encode};

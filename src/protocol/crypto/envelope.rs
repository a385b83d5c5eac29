//! The outer layer of the ratchet.

/// Sixteen bytes by which a receiver finds the session and epoch of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub [u8; 16]);

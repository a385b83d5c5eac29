//! Gossip frames (stand-in until the groups land).

/// A gossip topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub [u8; 20]);

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameContent {
    /// A group event's bytes.
    Event(Vec<u8>),
}

/// What the network asks about a frame.
#[derive(Debug, Clone)]
pub struct Gate;

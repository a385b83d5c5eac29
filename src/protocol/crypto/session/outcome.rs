//! What sealing and opening give: positions, results and errors.

use super::Session;
use crate::protocol::{
    crypto::{envelope::Sid, secret::Secret},
    wire::limits::{MAX_GAP, MAX_RECORD},
};
use std::fmt;

/// Names a skipped message key among those of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SkipId {
    /// The peer's epoch.
    pub epoch: u32,
    /// The index in it.
    pub index: u32,
}

/// An envelope, and the position it was sealed at. No position is used twice.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The session.
    pub sid: Sid,
    /// The epoch `n`.
    pub epoch: u32,
    /// The index `i` in it.
    pub index: u32,
    /// What travels, once the session it came from is durable.
    pub wire: Vec<u8>,
}

/// A record that opened, and everything that must be stored with it in one transaction.
#[derive(PartialEq, Eq)]
pub struct Opened {
    /// The session that replaces the one it was opened with.
    pub session: Session,
    /// The plaintext.
    pub record: Vec<u8>,
    /// Where it was.
    pub epoch: u32,
    /// Where in its epoch.
    pub index: u32,
    /// Message keys of positions stepped over, to be stored in rows of their own.
    pub keep: Vec<(SkipId, Secret)>,
    /// Message keys to be erased: used, or pushed out by a limit. Names of keys that are not stored may be among them.
    pub forget: Vec<SkipId>,
}

/// Why a record was not sealed. The session goes on as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Larger things are files.
    #[error("a record of {0} bytes is longer than {MAX_RECORD}")]
    TooLong(usize),
    /// So many messages without an answer: begin a new session.
    #[error("a flight holds {MAX_GAP} messages and this one is full")]
    FlightFull,
    /// Its row is not one that sealing and opening leave behind, or it has run through all 2³² epochs: begin a new one.
    #[error("the session cannot go on")]
    Damaged,
}

/// Why an envelope was not opened. The session is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its position was read before: answer with a receipt.
    #[error("the message at {epoch}, {index} was read before")]
    Replayed {
        /// The epoch.
        epoch: u32,
        /// The index in it.
        index: u32,
    },
    /// Its key was let go, or is of an epoch that was: tell the sender that it cannot be opened.
    #[error("the key of the message at {epoch}, {index} is gone")]
    KeyGone {
        /// The session.
        sid: Sid,
        /// The epoch.
        epoch: u32,
        /// The index in it.
        index: u32,
    },
    /// The handshake or the body does not authenticate.
    #[error("the message does not authenticate")]
    Tampered,
    /// Not of this session, or not laid out as the protocol says.
    #[error("malformed message")]
    Malformed,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({:?}, {}, {}, {} bytes)", self.sid, self.epoch, self.index, self.wire.len())
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({:?}, {}, {}, {} bytes)", self.session.sid(), self.epoch, self.index, self.record.len())
    }
}

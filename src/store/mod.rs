//! The store: rows on disk, encrypted under names that say nothing, and the folder they live in.
//!
//! It promises that a batch is applied whole or not at all, that what [`Store::commit`] returned `Ok` for survives
//! `kill -9` and power loss, that nobody without the home's key reads a row or moves one unnoticed, and that a damaged
//! disk gives an error, never a panic and never wrong bytes. What was deleted of the engine's secrets, and erased with its
//! cell, is soon beyond reach of whoever has the disk and its passphrase: the keys it was under are gone. It notices when
//! somebody puts back an older store or older keys, or when damage took what was written last, but not an older copy of the
//! whole home. It knows nothing of what rows mean: the engine reads through [`View`] and hands over [`Write`]s.
//!
//! The node's engine thread owns the one [`SledStore`]; API threads read committed rows through a [`Reader`]; the
//! simulator uses the twin, [`MemoryStore`]. Both pass the same contract suite.

mod blind;
mod memory;
mod overlay;

#[cfg(feature = "node")]
mod ballast;
#[cfg(feature = "node")]
mod cache;
#[cfg(feature = "node")]
mod chores;
#[cfg(feature = "node")]
mod disk;
#[cfg(feature = "node")]
mod draft;
#[cfg(feature = "node")]
mod files;
#[cfg(feature = "node")]
mod flushes;
#[cfg(feature = "node")]
mod home;
#[cfg(feature = "node")]
mod keys;
#[cfg(feature = "node")]
mod keyslots;
#[cfg(feature = "node")]
mod leaves;
#[cfg(feature = "node")]
mod mark;
#[cfg(feature = "node")]
mod migrate;
#[cfg(feature = "node")]
mod rings;
#[cfg(feature = "node")]
mod row;
#[cfg(feature = "node")]
mod sled_store;
#[cfg(feature = "node")]
mod tally;

#[cfg(all(test, feature = "node"))]
mod contract;
#[cfg(all(test, feature = "node"))]
mod tests;

pub use memory::MemoryStore;

#[cfg(feature = "node")]
pub use {
    disk::is_guarded,
    home::{Home, HomeError},
    keyslots::{Cost, Passphrase},
    sled_store::{Reader, SledStore},
};

pub use crate::protocol::view::MAX_ROW;
use crate::protocol::{
    time::Millis,
    view::{Table, View, Write},
};
use std::{path::PathBuf, time::Duration};

/// What the node and the simulator need of a store beside reading it.
pub trait Store: View {
    /// Takes a batch into the present drain: reads of this store see it at once, nobody else does, and nothing is
    /// durable before [`Store::commit`]. A row over [`MAX_ROW`] refuses the whole batch.
    fn stage(&mut self, writes: Vec<Write>) -> Result<(), StoreError>;

    /// Applies everything staged as one atomic batch and returns when it is durable. After an error everything is still
    /// staged: call again to retry, or [`Store::discard`]. A batch that failed is either wholly there or wholly not
    /// after a restart.
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Forgets everything staged.
    fn discard(&mut self);

    /// Opens again what a full disk closed, if it can be. Called before a drain reads; nothing to do for most.
    fn revive(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether rows are there that only other keys than this home's open: an older store or older keys were put back. Or the
    /// whole home is a copy, and another may have gone on since.
    /// Readers do not see those rows. True until [`Write::ForgetLost`] is durable.
    fn rolled_back(&self) -> bool {
        false
    }

    /// When [`Store::do_chore`] is wanted, if it is.
    fn next_chore(&self, _now: Millis) -> Option<Millis> {
        None
    }

    /// Does a bounded piece (some 10 ms and a sync) of what makes erasures certain: moving rows to newer keys and dropping
    /// the old ones. Nothing may be staged. After an error it is tried again later.
    fn do_chore(&mut self, _now: Millis) -> Result<(), StoreError> {
        Ok(())
    }

    /// The last chores before the end, as far as they fit the time; what is left is taken up at the next start.
    fn finish(&mut self, _within: Duration) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A store could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room. Nothing acknowledged is lost and nothing was written; the same commit succeeds once there is room.
    #[error("the disk is full: free some space and it goes on by itself")]
    Full,
    /// Reading or writing failed below.
    #[error("the store failed: {0}")]
    Io(String),
    /// This process has the store of this home open already.
    #[error("the store is open already: there is one writer")]
    InUse,
    /// What is on disk is not what was written. The folder is left as it is.
    #[error("the store in {} is damaged ({why}); nothing was changed: keep a copy, then restore a backup", dir.display())]
    Damaged {
        /// The folder of the store.
        dir: PathBuf,
        /// What was found.
        why: String,
    },
    /// A newer moim wrote it.
    #[error("the store has schema {found} and this moim knows up to {known}: use a newer moim")]
    Newer {
        /// The schema on disk.
        found: u16,
        /// The schema of this program.
        known: u16,
    },
    /// An older moim wrote it and this one has no step from there.
    #[error("the store has schema {found}, which this moim can no longer bring up to {known}: use a moim in between")]
    TooOld {
        /// The schema on disk.
        found: u16,
        /// The schema of this program.
        known: u16,
    },
    /// A value over [`MAX_ROW`]; the batch was not staged.
    #[error("a row of table {table:?} has {len} bytes; the limit is {MAX_ROW}")]
    RowTooLarge {
        /// Its table.
        table: Table,
        /// Its length in bytes.
        len: usize,
    },
}

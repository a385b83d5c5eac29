//! One epoch as its writer and its reader hold it.

use super::{Keys, OpenError, SkipId, gaps::Gaps};
use crate::protocol::{
    crypto::{
        envelope::{HeaderKey, Outer, Tag, outer_keys},
        kdf::kdf_pair,
        labels,
        secret::Secret,
    },
    wire::limits::MAX_SKIPPED_PER_GAP,
};
use minicbor::{Decode, Encode};

/// The outer layer of an epoch.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Row {
    #[n(0)]
    pub(super) epoch: u32,
    #[n(1)]
    pub(super) tag: Tag,
    #[n(2)]
    pub(super) key: HeaderKey,
}

impl Row {
    /// The row of `epoch` from the root before it (or the intro).
    pub(super) fn new(epoch: u32, root: &Secret) -> Self {
        let (tag, key) = outer_keys(root);
        Self { epoch, tag, key }
    }

    /// An envelope that names this epoch must have come under its tag.
    pub(super) fn check(&self, outer: &Outer) -> Result<(), OpenError> {
        if self.tag == outer.tag() { Ok(()) } else { Err(OpenError::Malformed) }
    }
}

/// A chain key and the index of the message key it gives next.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Chain {
    #[n(0)]
    key: Secret,
    #[n(1)]
    next: u32,
}

impl Chain {
    pub(super) fn new(key: Secret) -> Self {
        Self { key, next: 0 }
    }

    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// The next message key; the chain key before it is overwritten.
    pub(super) fn step(&mut self) -> Secret {
        let (key, message) = kdf_pair(self.key.expose(), labels::STEP, &[]);
        self.key = key;
        self.next += 1;
        message
    }
}

/// An epoch of ours.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Writing {
    #[n(0)]
    pub(super) row: Row,
    #[n(1)]
    pub(super) chain: Chain,
    /// Messages in our epoch before this one.
    #[n(2)]
    pub(super) previous: u32,
    /// `R_n`, or `hdr ‖ I`: the same in each message of the flight.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(super) handshake: Vec<u8>,
}

/// The newest epoch of the peer.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Reading {
    #[n(0)]
    pub(super) row: Row,
    #[n(1)]
    pub(super) chain: Chain,
    #[n(2)]
    pub(super) gaps: Gaps,
}

impl Reading {
    /// Steps over everything before `index`, keeping the newest keys; nothing where the chain is there or past it.
    pub(super) fn skip_to(&mut self, index: u32, keys: &mut Keys<'_>) {
        let first = self.chain.next;
        let kept = index.saturating_sub(u32::try_from(MAX_SKIPPED_PER_GAP).unwrap_or(u32::MAX)).max(first);
        while self.chain.next < index {
            let id = SkipId { epoch: self.row.epoch, index: self.chain.next };
            let key = self.chain.step();
            if id.index >= kept {
                keys.keep.push((id, key));
            }
        }
        self.gaps.skip(first, kept, index, keys.now);
    }
}

/// An earlier epoch of the peer: its chain key is gone, its skipped keys are in rows of their own.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Older {
    #[n(0)]
    pub(super) row: Row,
    #[n(1)]
    pub(super) gaps: Gaps,
}

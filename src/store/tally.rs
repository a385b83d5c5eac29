//! How many commits were durable, kept beside the store: one that has fewer is an older copy, or was damaged in its middle
//! and opened without what came behind.
//!
//! The file is written after each commit and never synced, which costs some microseconds. A process that is killed leaves
//! what it wrote; a power loss may leave less, and then less is noticed. It never says more than was durable.

use crate::store::files;
use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// Bytes of the count's check: a file that was damaged says nothing.
const CHECK: usize = 8;
const LEN: usize = 8 + CHECK;

/// The tally of one home.
pub(super) struct Tally {
    file: File,
}

impl Tally {
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { file: files::private_file(path)? })
    }

    /// What was noted last; `None` where nothing was, or it is damaged.
    pub(super) fn noted(&self) -> Option<u64> {
        let mut bytes = [0; LEN];
        self.file.read_exact_at(&mut bytes, 0).ok()?;
        let count = u64::from_be_bytes(bytes[..8].try_into().ok()?);
        (bytes == with_check(count)).then_some(count)
    }

    /// Notes that so many commits are durable. Where that fails less is noticed, and nothing is lost.
    pub(super) fn note(&self, count: u64) {
        if let Err(error) = self.file.write_all_at(&with_check(count), 0) {
            tracing::debug!(%error, "the tally of commits is not written");
        }
    }
}

fn with_check(count: u64) -> [u8; LEN] {
    let check = blake3::derive_key("moim tally of commits", &count.to_be_bytes());
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&count.to_be_bytes());
    bytes[8..].copy_from_slice(&check[..CHECK]);
    bytes
}

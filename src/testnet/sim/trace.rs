//! What happened, line by line: hashed whole, so that two runs can be compared, and kept in part, so that one can be read.

use super::Millis;
use std::{collections::VecDeque, fmt};

/// The lines of a run.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: blake3::Hasher,
    last: VecDeque<String>,
    kept: usize,
    lines: u64,
}

impl Trace {
    /// None yet; so many of the last lines are kept for reading.
    pub(super) fn keeping(kept: usize) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Notes that something happened to somebody.
    pub(super) fn note(&mut self, now: Millis, who: char, what: fmt::Arguments<'_>) {
        let line = format!("{:>5}.{:03} s  {who}  {what}", now.0 / 1000, now.0 % 1000);
        self.hash.update(line.as_bytes());
        self.lines += 1;
        self.last.push_back(line);
        if self.last.len() > self.kept {
            self.last.pop_front();
        }
    }

    /// Mixes in something too long to be read.
    pub(super) fn mix(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        self.hash.finalize().into()
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn last(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}

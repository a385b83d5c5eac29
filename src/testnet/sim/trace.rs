//! What happened, line by line: hashed whole, so that two runs can be compared, and kept in part, so that one can be read.

use super::Millis;
use std::{collections::VecDeque, fmt};

/// Lines kept for reading.
const KEPT: usize = 120;

/// The lines of a run.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: blake3::Hasher,
    last: VecDeque<String>,
    lines: u64,
}

impl Trace {
    /// Notes that something happened to somebody.
    pub(super) fn note(&mut self, now: Millis, who: char, what: fmt::Arguments<'_>) {
        let line = format!("{:>5}.{:03} s  {who}  {what}", now.0 / 1000, now.0 % 1000);
        if std::env::var_os("V").is_some() {
            eprintln!("{line}");
        }
        self.hash.update(line.as_bytes());
        self.lines += 1;
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
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

//! Keeps sled's page cache near its capacity. sled notes each use of a page in one of 256 queues, and looks whether pages have
//! to go only when 64 uses are in one (`Lru::accessed` in sled 0.34.7): some 16,000 pages that were used once, far more than
//! a hundred megabytes, may be beyond the capacity. So between uses of pages with rows a few of small ones are used that
//! are there for this alone: the queues fill while few large pages are in them.
//!
//! Measured with 1,000,000 messages, of which 200,000 were paged through: 196 to 260 MiB resident without, 149 MiB with it and
//! reads on few threads.

use super::disk::caught;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The tree of small pages.
const SMALL: &str = "small";
/// Its entries: some thousand pages, so that nearly every queue has some.
const ENTRIES: u16 = 8192;
/// About as many entries are in one page.
const OF_A_PAGE: usize = 8;
/// Uses of small pages for one of a page with rows.
const FOR_ONE: usize = 3;

/// sled's cache, as far as it can be steered.
#[derive(Debug)]
pub(super) struct Cache {
    small: sled::Tree,
    is_filled: bool,
    next: AtomicUsize,
}

impl Cache {
    pub(super) fn of(db: &sled::Db) -> sled::Result<Self> {
        let small = db.open_tree(SMALL)?;
        Ok(Self { is_filled: !small.is_empty(), small, next: AtomicUsize::new(0) })
    }

    pub(super) fn is_filled(&self) -> bool {
        self.is_filled
    }

    /// Makes the small pages, once for a store.
    pub(super) fn fill(&mut self) -> sled::Result<()> {
        let mut entries = sled::Batch::default();
        (0..ENTRIES).for_each(|n| entries.insert(&n.to_be_bytes(), &[]));
        self.small.apply_batch(entries)?;
        self.is_filled = true;
        Ok(())
    }

    /// So many pages with rows are used now. What goes wrong here says nothing about them.
    pub(super) fn used(&self, pages: usize) {
        if !self.is_filled {
            return;
        }
        for _ in 0..pages * FOR_ONE {
            let at = self.next.fetch_add(OF_A_PAGE, Ordering::Relaxed) % usize::from(ENTRIES);
            let _ = caught(|| self.small.get((at as u16).to_be_bytes()));
        }
    }
}

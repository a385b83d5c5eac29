//! Flushes of sled's that end. Who waits for a flush is told of a write that failed, but in sled 0.34.7 not where that write was
//! begun by the last to leave a full buffer (`Log::exit_reservation`): it would wait for ever. Another flush finds the error and
//! tells all who wait, so a thread begins one beside any that takes long.

use super::disk::caught;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A flush that takes longer than one to two of these has another beside it.
const LONG: Duration = Duration::from_secs(1);
/// In place of a count: the store is closed.
const CLOSED: u64 = u64::MAX;

/// Watches over the flushes of one store.
pub(super) struct Flushes {
    /// Odd while one is under way.
    count: Arc<AtomicU64>,
    watch: Option<JoinHandle<()>>,
}

impl Flushes {
    pub(super) fn of(db: &sled::Db) -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let (db, watched) = (db.clone(), count.clone());
        let watch = thread::Builder::new().name("flushes".into()).spawn(move || watch(&db, &watched)).ok();
        Self { count, watch }
    }

    /// Calls what flushes.
    pub(super) fn watched<T>(&self, flush: impl FnOnce() -> T) -> T {
        self.count.fetch_add(1, Ordering::Relaxed);
        let _under_way = UnderWay(&self.count);
        flush()
    }
}

impl Drop for Flushes {
    fn drop(&mut self) {
        self.count.store(CLOSED, Ordering::Relaxed);
        if let Some(watch) = self.watch.take() {
            watch.thread().unpark();
            let _ = watch.join();
        }
    }
}

/// Ends with the flush, also with one that panics.
struct UnderWay<'a>(&'a AtomicU64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn watch(db: &sled::Db, count: &AtomicU64) {
    let mut before = 0;
    loop {
        thread::park_timeout(LONG);
        let now = count.load(Ordering::Relaxed);
        if now == CLOSED {
            return;
        }
        if now % 2 == 1 && now == before {
            // What comes of it, the first is told too.
            let _ = caught(|| db.flush());
        }
        before = now;
    }
}

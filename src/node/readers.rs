//! Threads that read for the api, since reading blocks.
//!
//! They are few and stay. The system's allocator gives each thread a heap of its own, and pages of a long history that are
//! read and let go leave each in pieces: read on as many threads as a busy runtime starts, 1,000,000 messages took 128 to 226
//! MiB where these take 133 to 149.

use super::limits::READERS;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
    thread,
};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The threads, which start when first there is something to read, and end with the last that may ask.
#[derive(Default)]
pub(super) struct Readers(OnceLock<mpsc::Sender<Job>>);

impl Readers {
    /// What `read` gives; `None` where it did not end.
    pub(super) async fn run<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (answer, asked) = oneshot::channel();
        let job: Job = Box::new(move || drop(answer.send(read())));
        self.0.get_or_init(start).send(job).ok()?;
        asked.await.ok()
    }
}

fn start() -> mpsc::Sender<Job> {
    let (jobs, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..READERS {
        let queue = Arc::clone(&queue);
        // Where the system gives no more threads the others read. Without any, whoever asks is told that nothing came of it.
        let _ = thread::Builder::new().name("moim-reader".into()).spawn(move || work(&queue));
    }
    jobs
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // Where it panics its answer is dropped, and whoever asked is told.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

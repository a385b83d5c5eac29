//! How the api talks to a node in the same process: commands into its queue, reads past it, news from it.
//!
//! A handle may be cloned freely and outlives its node: commands then answer [`CommandError::Stopped`], reads go on.

use super::{
    actor::{Answer, Ask, CommandError, Surroundings},
    readers::Readers,
};
use crate::protocol::{
    engine::Command,
    view::{View, ViewError},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// A node's door for the api.
#[derive(Clone)]
pub struct Handle {
    ends: Ends,
    readers: Arc<Readers>,
}

/// Where a handle's things come from and go to.
#[derive(Clone)]
pub(super) struct Ends {
    pub(super) commands: mpsc::Sender<Ask>,
    pub(super) rows: Shelf,
    pub(super) feed: watch::Receiver<u64>,
    pub(super) surroundings: watch::Receiver<Arc<Surroundings>>,
    pub(super) reach: Reach,
    pub(super) home: PathBuf,
    pub(super) peer: String,
    pub(super) stop: CancellationToken,
}

/// The rows to read, until they are taken away: a forgotten handle must not hold a home open.
#[derive(Clone)]
pub(super) struct Shelf(Arc<RwLock<Option<Rows>>>);

type Rows = Arc<dyn View + Send + Sync>;

impl Shelf {
    pub(super) fn new(rows: impl View + Send + Sync + 'static) -> Self {
        Self(Arc::new(RwLock::new(Some(Arc::new(rows)))))
    }

    fn rows(&self) -> Result<Rows, ViewError> {
        let shelf = self.0.read().unwrap_or_else(PoisonError::into_inner);
        shelf.clone().ok_or_else(|| ViewError::Io("the node has stopped".into()))
    }

    fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether a handle leads to a node with a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The node runs.
    Network,
    /// Only the home is open: nothing is sent or received.
    LocalOnly,
}

/// A command that the engine's queue has taken.
#[derive(Debug)]
#[must_use = "the answer is in it"]
pub struct Asked(oneshot::Receiver<Answer>);

impl Asked {
    /// The engine's answer, durable where it is a good one.
    pub async fn answer(self) -> Answer {
        self.0.await.unwrap_or(Err(CommandError::Stopped))
    }
}

impl Handle {
    pub(super) fn new(ends: Ends, readers: Readers) -> Self {
        Self { ends, readers: Arc::new(readers) }
    }

    /// Puts a command into the queue, after all that were put there before. Waits while the queue is full.
    pub async fn ask(&self, command: Command) -> Result<Asked, CommandError> {
        let (answer, asked) = oneshot::channel();
        self.ends.commands.send(Ask { command, answer }).await.map_err(|_| CommandError::Stopped)?;
        Ok(Asked(asked))
    }

    /// Reads committed rows, on a thread that may block. Few read at once: the others wait.
    pub async fn read<T, E>(&self, reading: impl FnOnce(&dyn View) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<ViewError> + Send + 'static,
    {
        let rows = self.ends.rows.rows()?;
        let result = self.readers.run(move || reading(&*rows)).await;
        result.unwrap_or_else(|| Err(ViewError::Io("a read did not end".into()).into()))
    }

    /// The feed's last cursor, and a way to wait for the next.
    pub fn feed(&self) -> watch::Receiver<u64> {
        self.ends.feed.clone()
    }

    /// Who is connected and where the node listens, now.
    pub fn surroundings(&self) -> Arc<Surroundings> {
        self.ends.surroundings.borrow().clone()
    }

    /// Waits until the surroundings are as `wanted`; `false` if the node stopped before.
    pub async fn surroundings_are(&self, wanted: impl FnMut(&Arc<Surroundings>) -> bool) -> bool {
        self.ends.surroundings.clone().wait_for(wanted).await.is_ok()
    }

    /// Whether there is a network.
    pub fn reach(&self) -> Reach {
        self.ends.reach
    }

    /// The folder of the home.
    pub fn home(&self) -> &Path {
        &self.ends.home
    }

    /// The node's PeerId, as text.
    pub fn peer(&self) -> &str {
        &self.ends.peer
    }

    /// Asks the node to stop; whoever started it sees it by [`Handle::stopping`].
    pub fn stop(&self) {
        self.ends.stop.cancel();
    }

    /// Waits until somebody asked the node to stop.
    pub async fn stopping(&self) {
        self.ends.stop.cancelled().await;
    }

    /// Lets go of the rows: reads fail from here on, in every clone.
    pub(super) fn close(&self) {
        self.ends.rows.clear();
    }
}

impl Handle {
    /// A handle over rows, on which nobody listens for commands.
    #[cfg(test)]
    pub(crate) fn over(rows: impl View + Send + Sync + 'static, reach: Reach) -> Self {
        let ends = Ends {
            commands: mpsc::channel(1).0,
            rows: Shelf::new(rows),
            feed: watch::channel(0).1,
            surroundings: watch::channel(Arc::default()).1,
            reach,
            home: PathBuf::new(),
            peer: "12D3KooWTest".to_owned(),
            stop: CancellationToken::new(),
        };
        Self::new(ends, Readers::default())
    }

    /// The same with the feed at this cursor; nothing is ever told after.
    #[cfg(test)]
    pub(crate) fn fed(mut self, cursor: u64) -> Self {
        self.ends.feed = watch::channel(cursor).1;
        self
    }

    /// The same among these surroundings.
    #[cfg(test)]
    pub(crate) fn among(mut self, surroundings: Surroundings) -> Self {
        self.ends.surroundings = watch::channel(Arc::new(surroundings)).1;
        self
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("reach", &self.ends.reach).field("home", &self.ends.home).finish_non_exhaustive()
    }
}

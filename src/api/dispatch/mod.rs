//! What each method does: names are resolved, the engine is asked or rows are read, and the answer gets its shape.
//!
//! One file a subject; each implements `Serve` for its methods, and `Dispatcher::dispatch` is sure to miss none, since
//! it is made from the one table of methods. Called by the server's connections and by [`Local`](super::client::Local).

mod account;
mod backup;
mod contacts;
mod feed;
mod group_log;
mod groups;
mod invites;
mod kept;
mod mailboxes;
mod messages;
mod outbox;
mod progress;
mod reading;
mod refusal;
#[cfg(test)]
pub(super) mod tests;

pub use feed::Watcher;

use super::{
    ApiError, Method, Reason,
    methods::*,
    params,
    types::{WatchParams, WatchResult},
};
use crate::{
    node::{Handle, Reach},
    protocol::{
        engine::{Command, Reply},
        view::View,
    },
};
use reading::Reading;
use serde_json::Value;
use std::{future::Future, sync::Arc};
use tokio::sync::Mutex;

/// Answers methods over a node.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    node: Handle,
    /// Held from the reading of names until the command is in the engine's queue, so that what one client asks for is
    /// done in the order of asking while the answers are waited for side by side. The mutex is fair.
    turn: Arc<Mutex<()>>,
}

/// A method that a dispatcher answers.
trait Serve: Method {
    fn serve(at: &Dispatcher, params: Self::Params) -> impl Future<Output = Result<Self::Result, ApiError>> + Send;
}

impl Dispatcher {
    /// A dispatcher for one client.
    pub fn new(node: Handle) -> Self {
        Self { node, turn: Arc::default() }
    }

    /// The same for another client, whose order is its own.
    pub fn session(&self) -> Self {
        Self::new(self.node.clone())
    }

    /// Answers the method called `method`, but for `watch`, which is not one answer.
    ///
    /// # Errors
    /// `no-such-method`, `bad-params`, or the method's own.
    pub async fn dispatch(&self, method: &str, params: Value) -> Result<Value, ApiError> {
        macro_rules! answer {
            ($($known:ident,)*) => {
                match method {
                    $(<$known as Method>::NAME => self.answer::<$known>(params).await,)*
                    other => Err(ApiError::new(Reason::NoSuchMethod).with("given", other)),
                }
            };
        }
        for_each_method!(answer)
    }

    /// Starts a stream of events.
    ///
    /// # Errors
    /// `needs-node` where no node runs: nothing would ever happen. `no-such-cursor` where nothing ever had that cursor.
    pub async fn watch(&self, params: WatchParams) -> Result<(WatchResult, Watcher), ApiError> {
        self.need_network()?;
        Watcher::start(self, params.after).await
    }

    async fn answer<M: Serve>(&self, params: Value) -> Result<Value, ApiError> {
        serde_json::to_value(M::serve(self, params::read(params)?).await?).map_err(ApiError::internal)
    }

    /// Reads rows, with the own account and the surroundings at hand.
    async fn read<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&Reading) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (around, reach) = (self.node.surroundings(), self.node.reach());
        self.node.read(move |view: &dyn View| reading(&Reading::new(view, around, reach)?)).await
    }

    /// Reads what is needed for a command, asks for it, and gives back what else was read along with the reply.
    async fn command<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&Reading) -> Result<(Command, T), ApiError> + Send + 'static,
    ) -> Result<(Reply, T), ApiError> {
        let turn = self.turn.lock().await;
        let (command, along) = self.read(reading).await?;
        let asked = self.node.ask(command).await?;
        drop(turn);
        Ok((asked.answer().await?, along))
    }

    fn need_network(&self) -> Result<(), ApiError> {
        match self.node.reach() {
            Reach::Network => Ok(()),
            Reach::LocalOnly => Err(ApiError::new(Reason::NeedsNode)),
        }
    }
}

/// `watch` is not one answer: [`Dispatcher::watch`] starts it where there is a stream to carry it.
impl Serve for Watch {
    async fn serve(_: &Dispatcher, _: WatchParams) -> Result<WatchResult, ApiError> {
        Err(ApiError::new(Reason::BadParams).with("detail", "watch needs a connection of its own"))
    }
}

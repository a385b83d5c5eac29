//! What a node offers and every view asks for: methods, their parameters and results, errors, names, configuration.
//!
//! The types here are the contract of the JSON-RPC interface and of `--json`. This module knows nothing of how a node
//! keeps its promises; views (command line, terminal, web) know nothing but this module. Both sides meet in [`Api`].

pub mod client;
pub mod config;
pub mod config_file;
mod connection;
pub mod dispatch;
#[cfg(test)]
mod e2e;
pub mod error;
pub mod methods;
pub mod names;
mod params;
#[cfg(test)]
pub(crate) mod samples;
mod served;
pub mod server;
mod socket_path;
pub mod time;
pub mod types;

pub use client::Client;
pub use dispatch::Dispatcher;
pub use error::{ApiError, ErrorCode, Reason};
pub use methods::Method;
pub use served::Served;
pub use server::Server;

use futures::{future::Future, stream::BoxStream};
use types::WatchEvent;

/// Something that answers methods: a running node behind its socket, a home opened on the spot, or a test's script.
pub trait Api: Send {
    /// Asks for one thing and waits for the answer.
    ///
    /// # Errors
    /// Whatever the method's answer is other than a result; see [`ErrorCode`].
    fn call<M: Method>(&mut self, params: M::Params) -> impl Future<Output = Result<M::Result, ApiError>> + Send;

    /// What happens from now on, or from just behind the cursor `after` (0: everything there is). An event may come
    /// twice, never less than once; the stream ends when the node stops.
    ///
    /// # Errors
    /// `needs_node` where no node runs.
    fn watch(
        &mut self,
        after: Option<u64>,
    ) -> impl Future<Output = Result<BoxStream<'_, Result<WatchEvent, ApiError>>, ApiError>> + Send;
}

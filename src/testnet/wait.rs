//! Waiting for what nodes are about to do: by their news, with an end.

use crate::{
    api::{ApiError, Reason},
    node::Handle,
};
use std::{future::Future, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The longest time between two looks: what a look depends on may be more than one node's news.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Looks after each news of a node, until `look` finds what it looks for.
///
/// # Errors
/// `did-not-happen` after `within`, naming `what`; whatever `look` fails with.
pub async fn happens<T, F>(
    node: &Handle,
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T, ApiError>
where
    F: Future<Output = Result<Option<T>, ApiError>>,
{
    let end = Instant::now() + within;
    let mut news = node.feed();
    loop {
        // Seen before the look: what comes in between is news again.
        news.borrow_and_update();
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(ApiError::new(Reason::DidNotHappen).with("what", what));
        }
        // Either way there is another look.
        let _ = timeout_at(end.min(Instant::now() + LOOK_AGAIN), news.changed()).await;
    }
}

//! Timing real nodes: what is said here is counted when the one who waits for it has it, durably.

use super::nodes::TestNode;
use crate::{
    api::{
        Api, ApiError, Reason,
        types::{Event, MessageState, SendResult, Wait, WatchEvent},
    },
    protocol::ids::EventId,
};
use futures::{StreamExt, stream::FuturesUnordered};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How long what is under way may take once nothing more is said.
const LEFT_OVER: Duration = Duration::from_secs(10);

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figures {
    /// How many.
    pub(super) count: u64,
    /// How many in a second.
    pub(super) per_second: u64,
    /// Half took no longer, in microseconds.
    pub(super) p50_us: u64,
    /// 99 of 100 took no longer, in microseconds.
    pub(super) p99_us: u64,
}

impl Figures {
    /// Of durations that all lie within `whole`.
    pub(super) fn of(mut took: Vec<Duration>, whole: Duration) -> Self {
        took.sort_unstable();
        let at = |percent: usize| {
            let place = (took.len() * percent).div_ceil(100).saturating_sub(1);
            took.get(place).map_or(0, |took| took.as_micros().try_into().unwrap_or(u64::MAX))
        };
        let per_second = took.len() as f64 / whole.as_secs_f64().max(1e-9);
        Self { count: took.len() as u64, per_second: per_second.round() as u64, p50_us: at(50), p99_us: at(99) }
    }
}

/// How much to say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Messages under way at once.
    pub(super) at_once: usize,
    /// Messages in all, at the most.
    pub(super) most: usize,
    /// For how long at the most.
    pub(super) within: Duration,
}

/// Says as much as the load allows to one contact. Each message counts from the asking to the proof of delivery, which is
/// durable on both sides.
///
/// # Errors
/// Where a message does not get through.
pub(super) async fn one_to_one(from: &TestNode, to: &TestNode, load: Load) -> Result<Figures, ApiError> {
    let chat = to.spec().account().to_string();
    let mut client = from.client();
    let mut news = client.watch(None).await?;
    let began = Instant::now();
    let mut saying = FuturesUnordered::new();
    let (mut open, mut early) = (BTreeMap::new(), BTreeMap::new());
    let (mut said, mut took) = (0, Vec::new());
    loop {
        let more = said < load.most && began.elapsed() < load.within;
        while more && said < load.most && saying.len() + open.len() < load.at_once {
            saying.push(timed(from, &chat, format!("message {said}")));
            said += 1;
        }
        if saying.is_empty() && open.is_empty() {
            return Ok(Figures::of(took, began.elapsed()));
        }
        tokio::select! {
            Some(sent) = saying.next() => {
                let (id, asked) = sent?;
                match early.remove(&id) {
                    Some(done) => took.push(since(done, asked)),
                    None => drop(open.insert(id, asked)),
                }
            }
            event = news.next() => {
                let Some(id) = delivered(event)? else { continue };
                match open.remove(&id) {
                    Some(asked) => took.push(asked.elapsed()),
                    None => drop(early.insert(id, Instant::now())),
                }
            }
            () = tokio::time::sleep(LEFT_OVER) => return Err(lost(open.len())),
        }
    }
}

async fn timed(from: &TestNode, chat: &str, text: String) -> Result<(EventId, Instant), ApiError> {
    let asked = Instant::now();
    let SendResult { id, .. } = from.say(chat, &text, Wait::Saved).await?;
    Ok((id, asked))
}

/// The message that this news proves to be delivered.
fn delivered(event: Option<Result<WatchEvent, ApiError>>) -> Result<Option<EventId>, ApiError> {
    match event.ok_or_else(|| ApiError::new(Reason::NodeGone))??.event {
        Event::Receipt { id, state: MessageState::Delivered | MessageState::Read, .. } => Ok(Some(id)),
        _ => Ok(None),
    }
}

/// How a group is to be spoken to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// So many messages under way at once: one is under way until every other member has it.
    AtOnce(usize),
    /// So many messages a second, whatever becomes of them.
    PerSecond(u32),
}

/// Members take turns at saying `messages` in a group. Each delivery counts, from the asking to the event that a view of
/// the other member sees, which is durable there.
///
/// # Errors
/// Where a message does not get to everyone.
pub(super) async fn fan_out(nodes: &[TestNode], group: &str, messages: usize, pace: Pace) -> Result<Figures, ApiError> {
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let listeners = futures::future::join_all(nodes.iter().map(|node| listen(node, heard.clone()))).await;
    let _listeners = listeners.into_iter().collect::<Result<Vec<_>, _>>()?;
    let each = nodes.len().saturating_sub(1);
    let began = Instant::now();
    let mut ticks = tokio::time::interval(match pace {
        Pace::PerSecond(rate) => Duration::from_secs(1) / rate.max(1),
        Pace::AtOnce(_) => Duration::from_millis(1),
    });
    let mut saying = FuturesUnordered::new();
    let mut open: BTreeMap<EventId, (Instant, usize)> = BTreeMap::new();
    let mut early: BTreeMap<EventId, Vec<Instant>> = BTreeMap::new();
    let (mut said, mut took) = (0, Vec::with_capacity(messages * each));
    while took.len() < messages * each {
        let room = match pace {
            Pace::AtOnce(most) => saying.len() + open.len() < most,
            Pace::PerSecond(_) => true,
        };
        tokio::select! {
            _ = ticks.tick(), if room && said < messages => {
                let Some(node) = nodes.get(said % nodes.len()) else { break };
                saying.push(timed(node, group, format!("message {said}")));
                said += 1;
            }
            Some(sent) = saying.next() => {
                let (id, asked) = sent?;
                let before = early.remove(&id).unwrap_or_default();
                if before.len() < each {
                    open.insert(id, (asked, each - before.len()));
                }
                took.extend(before.into_iter().map(|at| since(at, asked)));
            }
            Some((id, at)) = hearing.recv() => match open.get_mut(&id) {
                Some((asked, left)) => {
                    took.push(since(at, *asked));
                    *left -= 1;
                    if *left == 0 {
                        open.remove(&id);
                    }
                }
                None => early.entry(id).or_default().push(at),
            },
            () = tokio::time::sleep(LEFT_OVER) => return Err(lost(messages * each - took.len())),
        }
    }
    Ok(Figures::of(took, began.elapsed()))
}

/// Tells of every message that a node receives, until it is dropped.
async fn listen(
    node: &TestNode,
    heard: mpsc::UnboundedSender<(EventId, Instant)>,
) -> Result<tokio_util::task::AbortOnDropHandle<()>, ApiError> {
    let mut client = node.client();
    // The stream is asked for before this returns: nothing that is said later is missed.
    let (ready, listening) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut news = match client.watch(None).await {
            Ok(news) => news,
            Err(error) => return drop(ready.send(Err(error))),
        };
        if ready.send(Ok(())).is_err() {
            return;
        }
        while let Some(Ok(event)) = news.next().await {
            if let Event::Message { message } = event.event
                && message.state == MessageState::Received
                && heard.send((message.id, Instant::now())).is_err()
            {
                return;
            }
        }
    });
    listening.await.map_err(ApiError::internal)??;
    Ok(tokio_util::task::AbortOnDropHandle::new(task))
}

fn since(later: Instant, earlier: Instant) -> Duration {
    later.saturating_duration_since(earlier)
}

fn lost(count: usize) -> ApiError {
    ApiError::new(Reason::DidNotHappen).with("what", format!("{count} messages get through"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_sorted_whole() {
        let took = (1..=200).rev().map(Duration::from_micros).collect();
        let figures = Figures::of(took, Duration::from_millis(100));
        assert_eq!(figures, Figures { count: 200, per_second: 2_000, p50_us: 100, p99_us: 198 });
        assert_eq!(Figures::of(Vec::new(), Duration::ZERO).p99_us, 0);
    }
}

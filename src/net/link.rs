//! A connected peer: one task that reads its frames, writes ours, and tells the node when it came and went.
//!
//! The task tells `Connected` first and `Disconnected` last, and waits for the peer's task before it, so a node hears of
//! each peer in order. What cannot be told yet is not read: a full channel to the node holds back this peer's stream
//! (channels serve waiting readers in turn, so a flooding peer has one turn as any other). What cannot be written yet
//! waits in a queue bounded in frames and bytes; past it a frame is refused, said once, and the outbox sends it again.

use crate::{
    net::{
        NetEvent, QueueLimits,
        framing::{FrameError, Frames, append},
        limits::{DRAIN_TIMEOUT, MAX_BATCH_BYTES, MAX_BATCH_FRAMES},
    },
    protocol::{
        ids::TransportKey,
        wire::limits::{FRAME_TIMEOUT, MAX_FRAME},
    },
};
use futures::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use libp2p::{PeerId, swarm::ConnectionId};
use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// The driver's end of a connected peer.
pub(super) struct Link {
    /// The connection it runs on.
    pub(super) connection: ConnectionId,
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    overflow: Arc<watch::Sender<bool>>,
    ended: oneshot::Receiver<Infallible>,
    closed: CancellationToken,
    standing: watch::Sender<Standing>,
}

/// Whether this node wants the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does; the peer may be silent for ever.
    Wanted,
    /// It does not; a silent one is sent away.
    Stranger,
}

/// Resolves when the task of an earlier link has told its last.
pub(super) type Before = Option<oneshot::Receiver<Infallible>>;

/// How a link's task ended.
pub(super) struct Ended {
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    pub(super) why: Why,
}

/// Why a link's task ended.
#[derive(Debug)]
pub(super) enum Why {
    /// The connection or a stream of it ended, or the node hears no more.
    Closed,
    /// The peer broke the rules of framing.
    Lied,
}

struct Queued {
    frame: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// What a link needs to run on.
pub(super) struct Ends<R, W> {
    pub(super) peer: PeerId,
    pub(super) key: TransportKey,
    pub(super) connection: ConnectionId,
    pub(super) address: Option<String>,
    pub(super) inbound: R,
    pub(super) outbound: W,
    pub(super) events: mpsc::Sender<NetEvent>,
    pub(super) queue: QueueLimits,
    /// How long a stranger may be silent.
    pub(super) silence: Duration,
}

/// What the parts of a link's task share with the driver.
struct Shared {
    queued: mpsc::Receiver<Queued>,
    overflow: Arc<watch::Sender<bool>>,
    closed: CancellationToken,
    standing: watch::Receiver<Standing>,
}

impl Link {
    /// A link and the task that must be run for it.
    pub(super) fn new<R, W>(
        ends: Ends<R, W>,
        standing: Standing,
        before: Before,
    ) -> (Self, impl Future<Output = Ended> + Send)
    where
        R: AsyncRead + Unpin + Send,
        W: AsyncWrite + Unpin + Send,
    {
        let (queue, queued) = mpsc::channel(ends.queue.frames.max(1));
        let room = Arc::new(Semaphore::new(ends.queue.bytes.clamp(MAX_FRAME, Semaphore::MAX_PERMITS)));
        let overflow = Arc::new(watch::Sender::new(false));
        let (telling_end, ended) = oneshot::channel();
        let closed = CancellationToken::new();
        let standing = watch::Sender::new(standing);
        let shared =
            Shared { queued, overflow: overflow.clone(), closed: closed.clone(), standing: standing.subscribe() };
        let link = Self { connection: ends.connection, queue, room, overflow, ended, closed, standing };
        let task = async move {
            let (peer, connection) = (ends.peer, ends.connection);
            let why = run(ends, before, shared).await;
            drop(telling_end);
            Ended { peer, connection, why }
        };
        (link, task)
    }

    /// Queues `frame`, or drops it where there is no room; the node is then told that the queue overflows.
    pub(super) fn send(&self, frame: Vec<u8>) {
        let size = frame.len();
        if size == 0 || size > MAX_FRAME {
            tracing::error!(size, "a frame of ours has a size that no peer takes; dropped");
            return;
        }
        let room = self.room.clone().try_acquire_many_owned(size as u32);
        let queued = room.is_ok_and(|room| self.queue.try_send(Queued { frame, _room: room }).is_ok());
        if !queued && !self.queue.is_closed() {
            self.overflow.send_replace(true);
        }
    }

    /// The peer is wanted from now on, or a stranger again.
    pub(super) fn standing(&self, standing: Standing) {
        self.standing.send_if_modified(|now| std::mem::replace(now, standing) != standing);
    }

    /// Its connection is gone: the task reads what has come in, tells the node, and ends.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Closes it; what it returns resolves when the node was told.
    pub(super) fn end(self) -> Before {
        self.close();
        Some(self.ended)
    }
}

async fn run<R, W>(ends: Ends<R, W>, before: Before, shared: Shared) -> Why
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Shared { queued, overflow, closed, standing } = shared;
    if let Some(before) = before {
        let _told = before.await;
    }
    let Ends { key, address, inbound, outbound, events, silence, .. } = ends;
    if closed.is_cancelled() || events.send(NetEvent::Connected { peer: key, address }).await.is_err() {
        return Why::Closed;
    }
    let pulse = Pulse::default();
    let why = {
        let read = read(key, inbound, &events, &pulse);
        tokio::pin!(read);
        tokio::select! {
            why = &mut read => why,
            _broken = write(outbound, queued, &overflow, &pulse) => Why::Closed,
            () = silent_stranger(standing, silence, &pulse) => Why::Closed,
            () = tell_overflow(key, overflow.subscribe(), &events) => Why::Closed,
            () = closed.cancelled() => timeout(DRAIN_TIMEOUT, read).await.unwrap_or(Why::Closed),
        }
    };
    let _heard = events.send(NetEvent::Disconnected { peer: key }).await;
    why
}

/// When a frame last passed, in either direction.
struct Pulse(Mutex<Instant>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Pulse {
    fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when the peer has been silent for so long while it is a stranger.
async fn silent_stranger(mut standing: watch::Receiver<Standing>, silence: Duration, pulse: &Pulse) {
    loop {
        if standing.wait_for(|now| *now == Standing::Stranger).await.is_err() {
            // The driver dropped the link, which ends the task.
            return std::future::pending().await;
        }
        let until = pulse.last() + silence;
        if until <= Instant::now() {
            tracing::debug!("a stranger is silent; sent away");
            return;
        }
        tokio::select! {
            () = sleep_until(until) => {}
            _wanted = standing.wait_for(|now| *now == Standing::Wanted) => {}
        }
    }
}

async fn read(from: TransportKey, io: impl AsyncRead + Unpin, events: &mpsc::Sender<NetEvent>, pulse: &Pulse) -> Why {
    let mut frames = Frames::new(io, FRAME_TIMEOUT);
    loop {
        let bytes = match frames.next().await {
            Ok(Some(bytes)) => bytes,
            Err(FrameError::Length(length)) => {
                tracing::debug!(length, "a peer lied about a frame's length");
                return Why::Lied;
            }
            Ok(None) | Err(FrameError::Slow | FrameError::Io(_)) => return Why::Closed,
        };
        pulse.beat();
        if events.send(NetEvent::Frame { from, bytes }).await.is_err() {
            return Why::Closed;
        }
    }
}

/// Writes what is queued, many frames in one go, until the stream breaks.
async fn write(
    mut io: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Queued>,
    overflow: &watch::Sender<bool>,
    pulse: &Pulse,
) -> io::Result<()> {
    let (mut waiting, mut batch) = (Vec::new(), Vec::new());
    loop {
        if queue.recv_many(&mut waiting, MAX_BATCH_FRAMES).await == 0 {
            // The driver dropped the link; reading what has come in ends the task.
            return std::future::pending().await;
        }
        for queued in waiting.drain(..) {
            append(&queued.frame, &mut batch);
            if batch.len() >= MAX_BATCH_BYTES {
                io.write_all(&batch).await?;
                batch.clear();
            }
        }
        io.write_all(&batch).await?;
        io.flush().await?;
        pulse.beat();
        batch.clear();
        // An idle peer keeps no buffer.
        if queue.is_empty() {
            batch = Vec::new();
            overflow.send_if_modified(std::mem::take);
        }
    }
}

/// Tells the node when the queue begins to overflow and when it is empty again.
async fn tell_overflow(peer: TransportKey, mut overflow: watch::Receiver<bool>, events: &mpsc::Sender<NetEvent>) {
    let mut told = false;
    while overflow.wait_for(|now| *now != told).await.is_ok() {
        told = !told;
        let event = if told { NetEvent::Overflow { peer } } else { NetEvent::Drained { peer } };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::compat::TokioAsyncReadCompatExt;

    const PEER: TransportKey = TransportKey([1; 32]);

    fn link(
        io: tokio::io::DuplexStream,
        events: &mpsc::Sender<NetEvent>,
        queue: QueueLimits,
    ) -> (Link, impl Future<Output = Ended> + Send + use<>) {
        link_with(io, events, queue, crate::net::limits::DOOR.silence)
    }

    fn link_with(
        io: tokio::io::DuplexStream,
        events: &mpsc::Sender<NetEvent>,
        queue: QueueLimits,
        silence: Duration,
    ) -> (Link, impl Future<Output = Ended> + Send + use<>) {
        let (inbound, outbound) = futures::AsyncReadExt::split(io.compat());
        let connection = ConnectionId::new_unchecked(1);
        let (peer, events) = (PeerId::random(), events.clone());
        let ends = Ends { peer, key: PEER, connection, address: None, inbound, outbound, events, queue, silence };
        Link::new(ends, Standing::Wanted, None)
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_newest_and_says_so_once_and_when_it_is_empty() {
        let (events, mut told) = mpsc::channel(64);
        let (theirs, ours) = tokio::io::duplex(16);
        let (link, task) = link(ours, &events, QueueLimits { frames: 4, bytes: 1 << 20 });
        let task = tokio::spawn(task);
        assert!(matches!(told.recv().await, Some(NetEvent::Connected { .. })));
        for n in 0..100u8 {
            link.send(vec![n; 32]);
        }
        assert!(matches!(told.recv().await, Some(NetEvent::Overflow { peer: PEER })));
        assert!(told.try_recv().is_err(), "once");
        let mut frames = Frames::new(theirs.compat(), FRAME_TIMEOUT);
        for n in 0..4 {
            assert_eq!(frames.next().await.unwrap(), Some(vec![n; 32]), "the oldest, in order");
        }
        assert!(matches!(told.recv().await, Some(NetEvent::Drained { peer: PEER })));
        link.close();
        drop(frames);
        assert!(matches!(told.recv().await, Some(NetEvent::Disconnected { peer: PEER })));
        task.await.unwrap();
    }

    #[tokio::test]
    async fn bytes_that_wait_are_bounded_as_frames_are() {
        let (events, mut told) = mpsc::channel(64);
        let (_theirs, ours) = tokio::io::duplex(16);
        let (link, task) = link(ours, &events, QueueLimits { frames: 4_096, bytes: 2 * MAX_FRAME });
        let _task = tokio::spawn(task);
        for _ in 0..3 {
            link.send(vec![7; MAX_FRAME]);
        }
        assert!(matches!(told.recv().await, Some(NetEvent::Connected { .. })));
        assert!(matches!(told.recv().await, Some(NetEvent::Overflow { peer: PEER })));
    }

    #[tokio::test]
    async fn a_node_that_does_not_listen_holds_back_the_stream() {
        let (events, mut told) = mpsc::channel(2);
        let (theirs, ours) = tokio::io::duplex(64);
        let (_link, task) = link(ours, &events, QueueLimits::default());
        let _task = tokio::spawn(task);
        let mut batch = Vec::new();
        (0..2_000u32).for_each(|n| append(&[&n.to_be_bytes()[..], &[0; 28]].concat(), &mut batch));
        let mut theirs = theirs.compat();
        let written = timeout(Duration::from_millis(300), theirs.write_all(&batch)).await;
        assert!(written.is_err(), "2,000 frames do not fit the channel, the buffer and the stream");
        assert!(matches!(told.recv().await, Some(NetEvent::Connected { .. })));
        assert!(matches!(told.recv().await, Some(NetEvent::Frame { bytes, .. }) if bytes[..4] == [0; 4]));
    }

    #[tokio::test]
    async fn a_silent_stranger_is_sent_away_and_a_wanted_peer_may_be_silent_for_ever() {
        const SILENCE: Duration = Duration::from_millis(400);
        let (events, mut told) = mpsc::channel(64);
        let (theirs, ours) = tokio::io::duplex(1024);
        let (link, task) = link_with(ours, &events, QueueLimits::default(), SILENCE);
        let task = tokio::spawn(task);
        assert!(matches!(told.recv().await, Some(NetEvent::Connected { .. })));
        timeout(SILENCE * 2, told.recv()).await.expect_err("it is wanted");
        let mut frame = Vec::new();
        append(&[2], &mut frame);
        let mut theirs = theirs.compat();
        theirs.write_all(&frame).await.unwrap();
        assert!(matches!(told.recv().await, Some(NetEvent::Frame { .. })));
        let began = Instant::now();
        link.standing(Standing::Stranger);
        assert!(matches!(told.recv().await, Some(NetEvent::Disconnected { .. })));
        assert!(began.elapsed() > SILENCE / 2, "{:?}", began.elapsed());
        task.await.unwrap();
    }
}

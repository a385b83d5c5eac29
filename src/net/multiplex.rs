//! Many streams on one TCP connection: yamux, with a bound on what a connection may hold unread.
//!
//! libp2p's own wrapping of yamux leaves that bound at 1 GiB a connection, and a peer that delays its answers makes yamux
//! widen its windows up to there. Nothing else is different here: the same protocol, the same behaviour.

use crate::net::limits::{CONNECTION_WINDOW, MAX_STREAMS, MAX_WAITING_STREAMS};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::{
    muxing::{StreamMuxer, StreamMuxerEvent},
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
};
use std::{
    collections::VecDeque,
    future::{Ready, ready},
    io, iter,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use yamux::{Connection, ConnectionError, Mode};

/// Agrees on yamux.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upgrade;

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_inbound(self, io: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(io, Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_outbound(self, io: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(io, Mode::Client)))
    }
}

/// One connection.
pub(super) struct Muxer<C> {
    connection: Connection<C>,
    /// yamux moves only while it is asked for incoming streams; those that nobody takes yet wait here.
    waiting: VecDeque<yamux::Stream>,
    taker: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn new(io: C, mode: Mode) -> Self {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(MAX_STREAMS);
        config.set_max_connection_receive_window(Some(CONNECTION_WINDOW));
        Self { connection: Connection::new(io, config, mode), waiting: VecDeque::new(), taker: None }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        self.connection.poll_next_inbound(cx).map(|next| next.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = yamux::Stream;
    type Error = ConnectionError;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        if let Some(stream) = self.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = self.next(cx);
        if next.is_pending() {
            self.taker = Some(cx.waker().clone());
        }
        next
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        self.connection.poll_new_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.connection.poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        let stream = ready!(self.next(cx))?;
        // One too many is dropped, which resets it.
        if self.waiting.len() < MAX_WAITING_STREAMS {
            self.waiting.push_back(stream);
            if let Some(taker) = self.taker.take() {
                taker.wake();
            }
        }
        // There may be more; others have their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{AsyncReadExt, AsyncWriteExt, future::poll_fn};
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };
    use tokio_util::compat::TokioAsyncReadCompatExt;

    /// Takes streams up and reads none of them.
    async fn hold<C: AsyncRead + AsyncWrite + Unpin>(mut muxer: Muxer<C>) -> ConnectionError {
        let mut held = Vec::new();
        loop {
            match poll_fn(|cx| Pin::new(&mut muxer).poll_inbound(cx)).await {
                Ok(stream) => held.push(stream),
                Err(error) => return error,
            }
        }
    }

    fn attacker(io: tokio::io::DuplexStream) -> Connection<tokio_util::compat::Compat<tokio::io::DuplexStream>> {
        let mut config = yamux::Config::default();
        config.set_max_connection_receive_window(None).set_max_num_streams(10_000);
        Connection::new(io.compat(), config, Mode::Client)
    }

    #[tokio::test]
    async fn a_peer_that_opens_streams_without_end_loses_the_connection_at_the_limit() {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let ours = tokio::spawn(hold(Muxer::new(ours.compat(), Mode::Server)));
        let mut theirs = attacker(theirs);
        let mut streams = Vec::new();
        let opened = poll_fn(|cx| {
            if matches!(theirs.poll_next_inbound(cx), Poll::Ready(Some(Err(_)) | None)) || streams.len() > 1_000 {
                return Poll::Ready(streams.len());
            }
            if let Poll::Ready(Ok(mut stream)) = theirs.poll_new_outbound(cx) {
                let _ = Pin::new(&mut stream).poll_write(cx, &[1]);
                streams.push(stream);
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        let opened = tokio::time::timeout(Duration::from_secs(30), opened).await.expect("an end");
        assert!(opened >= MAX_STREAMS, "{opened}");
        let ended = tokio::time::timeout(Duration::from_secs(30), ours).await.expect("closed").unwrap();
        println!("after {opened} streams: {ended}");
    }

    #[tokio::test]
    async fn a_peer_that_delays_its_answers_stretches_no_window_beyond_the_bound() {
        const READ: usize = 32 * 1024 * 1024;
        let (ours, theirs) = tokio::io::duplex(256 * 1024);
        let (taken, mut streams) = tokio::sync::mpsc::unbounded_channel();
        let mut muxer = Muxer::new(ours.compat(), Mode::Server);
        tokio::spawn(async move {
            while let Ok(stream) = poll_fn(|cx| Pin::new(&mut muxer).poll_inbound(cx)).await {
                let _ = taken.send(stream);
            }
        });
        // Meanwhile the ping by which the other side measures the way there and back goes unanswered.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut theirs = attacker(theirs);
        let mut stream = poll_fn(|cx| theirs.poll_new_outbound(cx)).await.unwrap();
        tokio::spawn(async move { while let Some(Ok(_)) = poll_fn(|cx| theirs.poll_next_inbound(cx)).await {} });
        let sent = Arc::new(AtomicUsize::new(0));
        let flood = tokio::spawn({
            let sent = sent.clone();
            async move {
                while let Ok(written) = stream.write(&[7; 16 * 1024]).await {
                    sent.fetch_add(written, Ordering::SeqCst);
                }
            }
        });
        let mut stream = streams.recv().await.unwrap();
        let (mut read, mut buffer) = (0, vec![0; 64 * 1024]);
        while read < READ {
            read += stream.read(&mut buffer).await.unwrap();
        }
        // Nothing is read any more: what still goes out fills the window.
        let mut before = 0;
        while before != sent.load(Ordering::SeqCst) {
            before = sent.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert!(before - read <= CONNECTION_WINDOW + 512 * 1024, "{} bytes wait unread", before - read);
        flood.abort();
    }
}

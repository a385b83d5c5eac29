//! Frames on a byte stream: a length (u32, big-endian, 1 to [`MAX_FRAME`]) and that many bytes.
//!
//! It runs on any `AsyncRead` and `AsyncWrite`. A length is believed only within the limit, and a frame that has begun
//! must be whole within a time; between frames a peer may be silent for ever.

use crate::{net::limits::READ_BUFFER, protocol::wire::limits::MAX_FRAME};
use futures::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use std::{io, time::Duration};

/// Why a stream of frames ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// A length of zero or beyond the limit: not a slip of the network but a lie.
    #[error("a frame of {0} bytes, where 1 to {MAX_FRAME} are allowed")]
    Length(u32),
    /// A frame was begun and not finished.
    #[error("a frame was begun and not finished in time")]
    Slow,
    /// The stream broke, perhaps within a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Adds `frame` with its length to `batch`. Frames beyond [`MAX_FRAME`] never get here.
pub(super) fn append(frame: &[u8], batch: &mut Vec<u8>) {
    batch.extend_from_slice(&(frame.len() as u32).to_be_bytes());
    batch.extend_from_slice(frame);
}

/// The frames of a stream, in order.
pub(super) struct Frames<R> {
    io: BufReader<R>,
    patience: Duration,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// `patience` is for a frame that has begun.
    pub(super) fn new(io: R, patience: Duration) -> Self {
        Self { io: BufReader::with_capacity(READ_BUFFER, io), patience }
    }

    /// The next frame; `None` when the other side ended the stream between two frames. Not to be called again after an
    /// error, nor after it was dropped half-way.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if self.io.fill_buf().await?.is_empty() {
            return Ok(None);
        }
        match tokio::time::timeout(self.patience, self.begun()).await {
            Ok(frame) => frame.map(Some),
            Err(_) => Err(FrameError::Slow),
        }
    }

    async fn begun(&mut self) -> Result<Vec<u8>, FrameError> {
        let mut length = [0; 4];
        self.io.read_exact(&mut length).await?;
        let length = u32::from_be_bytes(length);
        if length == 0 || length as usize > MAX_FRAME {
            return Err(FrameError::Length(length));
        }
        let mut frame = vec![0; length as usize];
        self.io.read_exact(&mut frame).await?;
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use proptest::prelude::*;
    use tokio::{io::AsyncWriteExt, time::Instant};
    use tokio_util::compat::TokioAsyncReadCompatExt;

    const PATIENCE: Duration = Duration::from_millis(100);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn frames_come_out_as_they_went_in(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..3000), 0..20)
        ) {
            let mut bytes = Vec::new();
            frames.iter().for_each(|frame| append(frame, &mut bytes));
            let read = block_on(async {
                let (mut io, mut read) = (Frames::new(Cursor::new(bytes), PATIENCE), Vec::new());
                while let Some(frame) = io.next().await.unwrap() {
                    read.push(frame);
                }
                read
            });
            prop_assert_eq!(read, frames);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            block_on(async {
                let mut io = Frames::new(Cursor::new(bytes), PATIENCE);
                while let Ok(Some(_)) = io.next().await {}
            });
        }
    }

    #[test]
    fn a_length_is_not_believed_beyond_the_limit() {
        for length in [0, MAX_FRAME as u32 + 1, u32::MAX] {
            let read = block_on(Frames::new(Cursor::new(length.to_be_bytes()), PATIENCE).next());
            assert!(matches!(read, Err(FrameError::Length(l)) if l == length), "{read:?}");
        }
        let mut longest = Vec::new();
        append(&vec![7; MAX_FRAME], &mut longest);
        assert_eq!(block_on(Frames::new(Cursor::new(longest), PATIENCE).next()).unwrap().unwrap().len(), MAX_FRAME);
    }

    #[test]
    fn a_frame_cut_short_is_no_frame() {
        let read = block_on(Frames::new(Cursor::new([0, 0, 0, 9, 1, 2]), PATIENCE).next());
        assert!(matches!(read, Err(FrameError::Io(_))), "{read:?}");
    }

    #[test]
    fn a_dripping_frame_ends_in_time_and_silence_between_frames_does_not() {
        block_on(async {
            let (mut theirs, ours) = tokio::io::duplex(64);
            let mut frames = Frames::new(ours.compat(), PATIENCE);
            tokio::time::timeout(PATIENCE * 3, frames.next()).await.expect_err("silence is no fault");
            let drip = async {
                theirs.write_all(&100u32.to_be_bytes()).await.unwrap();
                loop {
                    tokio::time::sleep(PATIENCE / 10).await;
                    if theirs.write_all(&[1]).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            let began = Instant::now();
            tokio::select! {
                read = frames.next() => assert!(matches!(read, Err(FrameError::Slow)), "{read:?}"),
                () = drip => {}
            }
            assert!((PATIENCE..PATIENCE * 10).contains(&began.elapsed()));
        });
    }
}

//! SIGINT and SIGTERM: the first asks to stop in order, one more stops at once.

use moim::api::{ApiError, Reason};
use std::process;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The two signals by which a process is asked to end.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn listen() -> Result<Self, ApiError> {
        let of = |kind| signal(kind).map_err(|error| ApiError::new(Reason::Internal).with("detail", error.to_string()));
        Ok(Self { interrupt: of(SignalKind::interrupt())?, terminate: of(SignalKind::terminate())? })
    }

    /// Waits for one of them.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The next one ends the process, whatever it is still doing.
    pub(crate) fn end_at_the_next(mut self) {
        tokio::spawn(async move {
            self.next().await;
            process::exit(1);
        });
    }
}

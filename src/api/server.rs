//! The local API: JSON-RPC 2.0 over the unix socket of a home, one JSON text a line.
//!
//! Only the owner of the home can open the socket (mode 0600 in a folder of mode 0700), so whoever speaks here is the
//! owner and is not asked for more. It promises bounded memory whatever is sent: bounded lines, requests, connections.
//! It knows neither the engine nor rows: [`Dispatcher`] does. `main` starts it beside a node.

use super::{
    connection::{self, TooMany},
    dispatch::Dispatcher,
    socket_path,
};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// Connections at once: a person's views and bots. One more is told so and closed.
pub const MAX_CONNECTIONS: usize = 64;
/// How long requests under way may take to be answered when the server stops.
const STOP_GRACE: Duration = Duration::from_millis(300);
/// How long accepting rests when the system refuses, out of file descriptors for example.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    home: PathBuf,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    /// Listens on the socket of this home. The home must be open in this process: its lock is what makes sure that a
    /// socket found there is a dead one, which is replaced.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub fn start(dispatcher: Dispatcher, home: &Path) -> io::Result<Self> {
        let path = socket_path::prepare(home)?;
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let stop = CancellationToken::new();
        let serving = tokio::spawn(accept(listener, dispatcher, stop.clone()));
        Ok(Self { path, home: home.to_path_buf(), stop, serving })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers what is under way, closes every connection and takes the socket away.
    pub async fn stop(self) {
        self.stop.cancel();
        // It ends by itself within the grace; should it have failed, nothing is left to close.
        let _ = self.serving.await;
        socket_path::remove(&self.home, &self.path);
    }
}

async fn accept(listener: UnixListener, dispatcher: Dispatcher, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection could be taken");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        match room.clone().try_acquire_owned() {
            Ok(place) => {
                let (dispatcher, stop) = (dispatcher.session(), stop.clone());
                connections.spawn(async move {
                    let (read, write) = stream.into_split();
                    connection::serve(dispatcher, read, write, stop).await;
                    drop(place);
                });
            }
            Err(_) => refuse(&stream),
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// Tells the one who came too late, without waiting for it to read.
fn refuse(stream: &UnixStream) {
    let line = TooMany { what: "connections", max: MAX_CONNECTIONS }.to_line();
    let _ = stream.try_write(line.as_bytes());
}

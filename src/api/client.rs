//! The two ways from a view to a home: the socket of its running node, or the home itself, opened in this process.
//!
//! Both are an [`Api`] and give the same answers through the same dispatcher; the second is local only and never opens a
//! network socket. Views need not know which one they have.

use super::{
    Api, ApiError, Method, Reason,
    connection::{self, EVENT, EVENT_ERROR, MAX_LINE, VERSION},
    dispatch::Dispatcher,
    error::RpcError,
    methods::Watch,
    socket_path,
    time::Span,
    types::{WatchEvent, WatchParams},
};
use crate::{
    net::{BadAddress, Multiaddr, NetError},
    node::{Handle, Node, NodeError},
    protocol::engine::Settings,
    store::{HomeError, Passphrase, StoreError},
};
use futures::{SinkExt, StreamExt, stream, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::net::{
    UnixStream,
    unix::{OwnedReadHalf, OwnedWriteHalf},
};
use tokio_util::{
    codec::{FramedRead, FramedWrite, LinesCodec},
    sync::CancellationToken,
};

/// The longest line of an answer, in bytes: a page of texts in which every byte is written as six, and their frame.
const MAX_ANSWER: usize = 16 * MAX_LINE;
/// How long a node may take to answer, beyond what it was asked to wait: longer than a busy disk takes. One that was
/// suspended never does.
const ANSWER_WAIT: Duration = Duration::from_secs(15);
/// How long another process that has the home is waited for: it may be a node that is coming up, or a command.
const HOME_WAIT: Duration = Duration::from_secs(10);
const LOOKED_EVERY: Duration = Duration::from_millis(50);

/// A way to a home.
#[derive(Debug)]
pub enum Client {
    /// Its running node.
    Socket(Socket),
    /// The home itself.
    Local(Local),
    /// A running node of this process.
    Own(Dispatcher),
}

impl Client {
    /// A client of a node that runs in this process.
    pub fn of(node: Handle) -> Self {
        Self::Own(Dispatcher::new(node))
    }

    /// The running node of this home, or else the home itself; `passphrase` is asked only in the second case. Who has the
    /// home without answering is waited for, 10 seconds at the most.
    ///
    /// # Errors
    /// Why the home cannot be opened; whatever `passphrase` gives.
    pub async fn open(
        home: &Path,
        settings: Settings,
        passphrase: impl Fn() -> Result<Option<Passphrase>, ApiError>,
    ) -> Result<Self, ApiError> {
        let give_up = Instant::now() + HOME_WAIT;
        loop {
            if let Some(socket) = Socket::connect(home).await? {
                return Ok(Self::Socket(socket));
            }
            let opened = match passphrase() {
                Ok(passphrase) => Local::open(home, settings, passphrase).await,
                Err(error) => Err(error),
            };
            match opened {
                Err(error) if error.is(Reason::HomeLocked) && Instant::now() < give_up => {
                    tokio::time::sleep(LOOKED_EVERY).await;
                }
                opened => return Ok(Self::Local(opened?)),
            }
        }
    }

    /// Lets go of the home. A home that was opened here is free for others when this returns.
    pub async fn close(self) {
        if let Self::Local(local) = self {
            local.close().await;
        }
    }

    /// Serves JSON-RPC on stdin and stdout until stdin ends: `moim rpc --stdio`.
    ///
    /// # Errors
    /// What the system says of a pipe that broke.
    pub async fn serve_stdio(self) -> io::Result<()> {
        let (mut stdin, mut stdout) = (tokio::io::stdin(), tokio::io::stdout());
        match self {
            Self::Local(local) => {
                connection::serve(local.dispatcher.session(), stdin, stdout, CancellationToken::new()).await;
                local.close().await;
            }
            Self::Own(dispatcher) => connection::serve(dispatcher, stdin, stdout, CancellationToken::new()).await,
            Self::Socket(socket) => {
                let (mut read, mut write) = (socket.read.into_inner(), socket.write.into_inner());
                let there = async {
                    tokio::io::copy(&mut stdin, &mut write).await?;
                    // Says that nothing more comes; what is under way is still answered.
                    drop(write);
                    Ok::<_, io::Error>(())
                };
                let back = tokio::io::copy(&mut read, &mut stdout);
                tokio::select! {
                    // The node is gone: nothing more will be answered, whatever stdin still says.
                    copied = back => copied.map(drop)?,
                    ended = async { there.await?; std::future::pending::<io::Result<()>>().await } => ended?,
                }
            }
        }
        Ok(())
    }
}

impl Api for Client {
    async fn call<M: Method>(&mut self, params: M::Params) -> Result<M::Result, ApiError> {
        match self {
            Self::Socket(socket) => socket.call::<M>(params).await,
            Self::Local(local) => ask::<M>(&local.dispatcher, params).await,
            Self::Own(dispatcher) => ask::<M>(dispatcher, params).await,
        }
    }

    async fn watch(&mut self, after: Option<u64>) -> Result<BoxStream<'_, Result<WatchEvent, ApiError>>, ApiError> {
        match self {
            Self::Socket(socket) => socket.watch(after).await,
            Self::Local(local) => local.watch(after).await,
            Self::Own(dispatcher) => {
                let (_, watcher) = dispatcher.watch(WatchParams { after }).await?;
                Ok(stream::unfold(watcher, |mut watcher| async { Some((watcher.next().await?, watcher)) }).boxed())
            }
        }
    }
}

/// A connection to a running node.
#[derive(Debug)]
pub struct Socket {
    read: FramedRead<OwnedReadHalf, LinesCodec>,
    write: FramedWrite<OwnedWriteHalf, LinesCodec>,
    path: PathBuf,
    last_id: u64,
    answer_wait: Duration,
}

/// A line from the node: an answer or a notification.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<RpcError>,
}

impl Socket {
    /// Connects to the node of this home; `None` where none runs.
    ///
    /// # Errors
    /// What the system says of a socket that is there and cannot be used.
    pub async fn connect(home: &Path) -> Result<Option<Self>, ApiError> {
        let Some(path) = socket_path::find(home) else { return Ok(None) };
        match UnixStream::connect(&path).await {
            Ok(stream) => {
                // In a folder that others may write to, somebody else could have put a socket in the node's place.
                let owner = std::fs::metadata(home).map_err(|error| ApiError::file(home, &error))?.uid();
                let peer = stream.peer_cred().map_err(|error| ApiError::file(&path, &error))?.uid();
                if peer != owner && peer != 0 {
                    return Err(ApiError::new(Reason::NotYourSocket).with("path", path.display().to_string()));
                }
                let (read, write) = stream.into_split();
                Ok(Some(Self {
                    read: FramedRead::new(read, LinesCodec::new_with_max_length(MAX_ANSWER)),
                    write: FramedWrite::new(write, LinesCodec::new()),
                    path,
                    last_id: 0,
                    answer_wait: ANSWER_WAIT,
                }))
            }
            Err(error) if is_nobody(error.kind()) => Ok(None),
            // So many wait to be let in that there is no room for one more: nobody lets them in.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(ApiError::new(Reason::NodeSilent).with("after", Span::seconds(0).to_string()))
            }
            Err(error) => Err(ApiError::file(&path, &error)),
        }
    }

    /// Where the node listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn ask<M: Method>(&mut self, params: &M::Params) -> Result<M::Result, ApiError> {
        let wait = self.answer_wait.saturating_add(M::waits(params));
        match tokio::time::timeout(wait, self.ask_and_wait::<M>(params)).await {
            Ok(answer) => answer,
            // Should it still answer, the answer has an id that nobody waits for.
            Err(_) => {
                let after = Span::seconds(wait.as_secs().try_into().unwrap_or(u32::MAX));
                Err(ApiError::new(Reason::NodeSilent).with("after", after.to_string()))
            }
        }
    }

    async fn ask_and_wait<M: Method>(&mut self, params: &M::Params) -> Result<M::Result, ApiError> {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": VERSION, "id": id, "method": M::NAME, "params": params});
        self.write.send(request.to_string()).await.map_err(|_| gone())?;
        loop {
            let line = next_line(&mut self.read).await.ok_or_else(gone)??;
            match line.error {
                // An error without an id is about the connection itself.
                Some(error) if line.id == json!(id) || line.id.is_null() => return Err(error.into()),
                None if line.id == json!(id) => return serde_json::from_value(line.result).map_err(ApiError::internal),
                // Events of an earlier watch.
                _ => {}
            }
        }
    }
}

impl Api for Socket {
    async fn call<M: Method>(&mut self, params: M::Params) -> Result<M::Result, ApiError> {
        self.ask::<M>(&params).await
    }

    async fn watch(&mut self, after: Option<u64>) -> Result<BoxStream<'_, Result<WatchEvent, ApiError>>, ApiError> {
        self.ask::<Watch>(&WatchParams { after }).await?;
        let events = stream::unfold(&mut self.read, |read| async move {
            loop {
                let line = match next_line(read).await? {
                    Ok(line) => line,
                    Err(error) => return Some((Err(error), read)),
                };
                match line.method.as_deref() {
                    Some(EVENT) => {
                        return Some((serde_json::from_value(line.params).map_err(ApiError::internal), read));
                    }
                    Some(EVENT_ERROR) => {
                        let error = serde_json::from_value::<RpcError>(line.params).map_err(ApiError::internal);
                        return Some((Err(error.map_or_else(|error| error, ApiError::from)), read));
                    }
                    _ => {}
                }
            }
        });
        Ok(events.boxed())
    }
}

/// Whether a connection failed since nobody listens. A node that ends while it is made resets it.
fn is_nobody(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// The next line; `None` when the node is gone.
async fn next_line(read: &mut FramedRead<OwnedReadHalf, LinesCodec>) -> Option<Result<Line, ApiError>> {
    let line = read.next().await?.ok()?;
    Some(serde_json::from_str(&line).map_err(|_| ApiError::internal("the node's answer is not understood")))
}

fn gone() -> ApiError {
    ApiError::new(Reason::NodeGone)
}

/// A home opened in this process.
#[derive(Debug)]
pub struct Local {
    dispatcher: Dispatcher,
    node: Node,
}

impl Local {
    /// Opens the home.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub async fn open(home: &Path, settings: Settings, passphrase: Option<Passphrase>) -> Result<Self, ApiError> {
        let node = Node::open(home.to_path_buf(), passphrase, settings).await?;
        Ok(Self { dispatcher: Dispatcher::new(node.client()), node })
    }

    /// Lets go of the home.
    pub async fn close(self) {
        if let Err(error) = self.node.shutdown().await {
            tracing::warn!(%error, "the home was not closed in order");
        }
    }
}

impl Api for Local {
    async fn call<M: Method>(&mut self, params: M::Params) -> Result<M::Result, ApiError> {
        ask::<M>(&self.dispatcher, params).await
    }

    async fn watch(&mut self, _: Option<u64>) -> Result<BoxStream<'_, Result<WatchEvent, ApiError>>, ApiError> {
        Err(ApiError::new(Reason::NeedsNode))
    }
}

/// Asks in this process, through the same shapes as over a socket.
async fn ask<M: Method>(dispatcher: &Dispatcher, params: M::Params) -> Result<M::Result, ApiError> {
    let params = serde_json::to_value(params).map_err(ApiError::internal)?;
    let result = dispatcher.dispatch(M::NAME, params).await?;
    serde_json::from_value(result).map_err(ApiError::internal)
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Home(error) => error.into(),
            NodeError::Store(error) => error.into(),
            NodeError::View(error) => error.into(),
            NodeError::Name(error) => error.into(),
            NodeError::NoAccount(home) => Self::new(Reason::NoHome).with("home", home.display().to_string()),
            NodeError::Address(BadAddress(given)) => Self::new(Reason::BadAddress).with("given", given),
            NodeError::Net(NetError::Listen { address, why, kind }) => cannot_listen(&address, &why, kind),
            NodeError::Net(_) => Self::new(Reason::Network).with("detail", error.to_string()),
            NodeError::StillBusy => Self::new(Reason::StillBusy),
            NodeError::Restore(_) => Self::new(Reason::BackupDamaged),
            NodeError::Begin(_) | NodeError::NoRandomness(_) | NodeError::Thread(_) => Self::internal(error),
        }
    }
}

fn cannot_listen(address: &Multiaddr, why: &str, kind: Option<io::ErrorKind>) -> ApiError {
    let address = address.to_string();
    // /ip4/127.0.0.1/tcp/4001: the port is the fourth part.
    let port = address.split('/').nth(4).unwrap_or_default().to_owned();
    match kind {
        Some(io::ErrorKind::AddrInUse) => ApiError::new(Reason::PortTaken).with("address", address).with("port", port),
        _ => ApiError::new(Reason::CannotListen).with("address", address).with("detail", why),
    }
}

impl From<HomeError> for ApiError {
    fn from(error: HomeError) -> Self {
        let at = |reason: Reason, dir: &Path| Self::new(reason).with("home", dir.display().to_string());
        match &error {
            HomeError::NoHome(dir) | HomeError::HalfMade(dir) => at(Reason::NoHome, dir),
            HomeError::Exists(dir) => at(Reason::HomeExists, dir),
            HomeError::NotEmpty(dir) => at(Reason::FolderNotEmpty, dir),
            HomeError::Locked(dir) => at(Reason::HomeLocked, dir),
            HomeError::NeedsPassphrase => Self::new(Reason::NoPassphrase),
            HomeError::WrongPassphrase => Self::new(Reason::WrongPassphrase),
            HomeError::Damaged(_) | HomeError::Newer { .. } => {
                Self::new(Reason::StoreDamaged).with("detail", error.to_string())
            }
            HomeError::Full => Self::new(Reason::DiskFull),
            HomeError::Io { path, source } => Self::file(path, source),
            HomeError::NoRandomness => Self::internal(error),
            HomeError::Store(_) => match error {
                HomeError::Store(error) => error.into(),
                other => Self::internal(other),
            },
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::new(Reason::DiskFull),
            other => Self::new(Reason::StoreDamaged).with("detail", other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        methods::{MessageSend, Status},
        types::{Nothing, SendParams, Wait},
    };
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    #[tokio::test]
    async fn a_node_that_was_suspended_is_not_waited_for_for_ever() {
        let home = tempfile::tempdir().unwrap();
        // Connections to it are taken by the system, and nobody ever reads them: so is a stopped process.
        let _suspended = std::os::unix::net::UnixListener::bind(home.path().join("api.sock")).unwrap();
        let mut socket = Socket::connect(home.path()).await.unwrap().unwrap();
        socket.answer_wait = Duration::from_millis(50);
        let error = socket.call::<Status>(Nothing {}).await.unwrap_err();
        assert!(error.is(Reason::NodeSilent) && error.code.exit_code() == 7, "{error:?}");
        assert!(socket.watch(None).await.is_err_and(|error| error.is(Reason::NodeSilent)));
    }

    #[tokio::test]
    async fn a_node_that_ends_while_it_is_connected_to_is_no_fault() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("api.sock");
        let ended = Arc::new(AtomicBool::new(false));
        let nodes = std::thread::spawn({
            let ended = ended.clone();
            move || {
                while !ended.load(Ordering::Relaxed) {
                    drop(std::os::unix::net::UnixListener::bind(&path));
                    std::fs::remove_file(&path).unwrap();
                }
            }
        });
        for _ in 0..20_000 {
            Socket::connect(home.path()).await.unwrap();
        }
        ended.store(true, Ordering::Relaxed);
        nodes.join().unwrap();
    }

    #[test]
    fn what_was_asked_to_wait_is_waited_for() {
        let asked = |wait, timeout| SendParams {
            chat: "mina".into(),
            text: "x".into(),
            reply_to: None,
            wait: Some(wait),
            timeout: Some(Span::seconds(timeout)),
        };
        assert_eq!(MessageSend::waits(&asked(Wait::Read, 90)), Duration::from_secs(90));
        assert_eq!(MessageSend::waits(&asked(Wait::Saved, 90)), Duration::ZERO);
        assert_eq!(Status::waits(&Nothing {}), Duration::ZERO);
    }
}

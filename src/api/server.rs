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
pub(super) const STOP_GRACE: Duration = Duration::from_millis(200);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        client::Socket,
        connection::{MAX_BATCH, MAX_LINE, MAX_REQUESTS},
        dispatch::tests::{quiet, with_feed},
    };
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

    /// A bare client, to say what a good one would not.
    struct Raw(BufReader<UnixStream>);

    impl Raw {
        async fn connect(server: &Server) -> Self {
            Self(BufReader::new(UnixStream::connect(server.path()).await.unwrap()))
        }

        async fn say(&mut self, line: &str) {
            self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }

        /// The next line; `Null` at the end.
        async fn hear(&mut self) -> Value {
            let mut line = String::new();
            let reading = tokio::time::timeout(Duration::from_secs(10), self.0.read_line(&mut line));
            match reading.await.expect("the server says something").unwrap() {
                0 => Value::Null,
                _ => serde_json::from_str(&line).unwrap(),
            }
        }

        async fn ask(&mut self, line: &str) -> Value {
            self.say(line).await;
            self.hear().await
        }
    }

    const ID: &str = r#"{"jsonrpc":"2.0","id":7,"method":"id"}"#;

    #[tokio::test]
    async fn what_is_malformed_is_answered_and_the_connection_lives() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(quiet(), dir.path()).unwrap();
        let mut raw = Raw::connect(&server).await;
        let cases = [
            ("{", -32700),
            ("\u{0}", -32700),
            ("7", -32600),
            ("[]", -32600),
            (r#"{"jsonrpc":"1.0","id":1,"method":"id"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":{},"method":"id"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"no.such"}"#, -32601),
            (r#"{"jsonrpc":"2.0","id":1,"method":"message.log","params":["mina"]}"#, -32602),
            (r#"{"jsonrpc":"2.0","id":1,"method":"message.log","params":{}}"#, -32602),
        ];
        for (line, code) in cases {
            assert_eq!(raw.ask(line).await["error"]["code"], code, "{line}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(raw.ask(&deep).await["error"]["code"], -32700);
        let answer = raw.ask(ID).await;
        assert_eq!((&answer["id"], &answer["result"]["v"]), (&json!(7), &json!(1)));
        server.stop().await;
    }

    #[tokio::test]
    async fn batches_and_notifications_follow_the_specification() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(quiet(), dir.path()).unwrap();
        let mut raw = Raw::connect(&server).await;
        raw.say(r#"{"jsonrpc":"2.0","method":"id"}"#).await;
        raw.say(r#"[{"jsonrpc":"2.0","method":"id"}]"#).await;
        let batch =
            format!(r#"[{ID},{{"jsonrpc":"2.0","method":"id"}},1,{{"jsonrpc":"2.0","id":"w","method":"watch"}}]"#);
        let answers = raw.ask(&batch).await;
        assert_eq!(answers.as_array().unwrap().len(), 3, "{answers}");
        assert_eq!(answers[0]["id"], 7);
        assert_eq!(answers[1]["error"]["code"], -32600);
        assert_eq!((&answers[2]["id"], &answers[2]["error"]["code"]), (&json!("w"), &json!(-32602)));
        let many = format!("[{}]", vec![ID; MAX_BATCH + 1].join(","));
        assert_eq!(raw.ask(&many).await["error"]["code"], -32000);
        server.stop().await;
    }

    #[tokio::test]
    async fn a_line_past_the_limit_ends_the_connection_with_a_word() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(quiet(), dir.path()).unwrap();
        let mut raw = Raw::connect(&server).await;
        // Without an end: nobody waits for it.
        raw.0.write_all(&vec![b' '; MAX_LINE + 1]).await.unwrap();
        let answer = raw.hear().await;
        assert!(answer["error"]["message"].as_str().unwrap().contains("bytes"), "{answer}");
        assert_eq!(raw.hear().await, Value::Null);
        server.stop().await;
    }

    #[tokio::test]
    async fn more_requests_than_run_at_once_are_all_answered() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(quiet(), dir.path()).unwrap();
        let mut raw = Raw::connect(&server).await;
        let all = 3 * MAX_REQUESTS;
        for n in 0..all {
            raw.say(&json!({"jsonrpc": "2.0", "id": n, "method": "id"}).to_string()).await;
        }
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..all {
            seen.insert(raw.hear().await["id"].as_u64().unwrap());
        }
        assert_eq!(seen.len(), all);
        server.stop().await;
    }

    #[tokio::test]
    async fn one_connection_too_many_is_told_so_and_a_place_that_is_left_is_free_again() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(quiet(), dir.path()).unwrap();
        let mut all = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut raw = Raw::connect(&server).await;
            assert_eq!(raw.ask(ID).await["id"], 7);
            all.push(raw);
        }
        let mut late = Raw::connect(&server).await;
        assert_eq!(late.hear().await["error"]["code"], -32000);
        assert_eq!(late.hear().await, Value::Null);
        all.pop();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while Raw::connect(&server).await.ask(ID).await["id"] != 7 {
            assert!(tokio::time::Instant::now() < deadline, "no place became free");
        }
        server.stop().await;
    }

    #[tokio::test]
    async fn watchers_side_by_side_each_see_everything() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(with_feed(40), dir.path()).unwrap();
        let mut watchers = Vec::new();
        for _ in 0..3 {
            let mut raw = Raw::connect(&server).await;
            let started = raw.ask(r#"{"jsonrpc":"2.0","id":1,"method":"watch","params":{"after":0}}"#).await;
            assert_eq!(started["result"]["cursor"], 0);
            watchers.push(raw);
        }
        for raw in &mut watchers {
            for cursor in 1..=40 {
                let event = raw.hear().await;
                assert_eq!((&event["method"], &event["params"]["cursor"]), (&json!("event"), &json!(cursor)));
                assert_eq!(event.get("id"), None);
            }
            assert_eq!(raw.ask(ID).await["id"], 7, "requests go on beside the stream");
        }
        server.stop().await;
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_stopped_server_leaves_none() {
        let dir = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("api.sock")).unwrap());
        assert!(Socket::connect(dir.path()).await.unwrap().is_none(), "nobody listens there");
        let server = Server::start(quiet(), dir.path()).unwrap();
        assert_eq!(fs::metadata(server.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Socket::connect(dir.path()).await.unwrap().is_some());
        let mut raw = Raw::connect(&server).await;
        let path = server.path().to_path_buf();
        server.stop().await;
        assert!(!path.exists());
        assert_eq!(raw.0.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(Socket::connect(dir.path()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_home_whose_path_is_too_long_has_its_socket_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("h".repeat(90));
        fs::create_dir(&home).unwrap();
        let server = Server::start(quiet(), &home).unwrap();
        assert!(!server.path().starts_with(&home) && server.path().as_os_str().len() <= 100);
        let folder = fs::metadata(server.path().parent().unwrap()).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
        assert!(Socket::connect(&home).await.unwrap().is_some());
        server.stop().await;
        assert!(!home.join("api.path").exists());
        assert!(Socket::connect(&home).await.unwrap().is_none());
    }
}

//! One connection of JSON-RPC 2.0: requests in, answers and events out, a line each. The same over a socket and over
//! stdin and stdout.
//!
//! Requests of a connection run side by side, and their answers come as they are ready; those that change something take
//! effect in the order of their lines. `watch` starts a stream of notifications of the method `event` behind its answer;
//! a second one takes its place. Batches are answered as one array; a `watch` inside is refused.

use super::{
    ApiError, Reason,
    dispatch::{Dispatcher, Watcher},
    error::RpcError,
    methods::{Method, Watch},
    params,
    types::WatchEvent,
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
    sync::CancellationToken,
};

/// The longest line, in bytes: a text of `MAX_TEXT` with every character escaped, and its envelope.
pub(super) const MAX_LINE: usize = 512 * 1024;
/// Requests of one connection under way at once. The next line is read when one is answered.
pub(super) const MAX_REQUESTS: usize = 64;
/// Requests in one batch.
pub(super) const MAX_BATCH: usize = 100;
/// Bytes of answers in one batch; what is asked for behind them is refused. Twice what the longest single answer has.
const MAX_BATCH_ANSWERS: usize = 16 * 1024 * 1024;

/// Serves until the other side closes, breaks the rules of framing, or `stop`. What was asked before is answered.
pub(super) async fn serve(
    dispatcher: Dispatcher,
    read: impl AsyncRead + Unpin + Send,
    write: impl AsyncWrite + Unpin + Send,
    stop: CancellationToken,
) {
    let connection = Connection { dispatcher, write };
    if let Err(error) = connection.run(read, stop).await {
        // The other side went away: nobody is left to tell.
        tracing::debug!(%error, "a connection of the API ended");
    }
}

struct Connection<W> {
    dispatcher: Dispatcher,
    write: W,
}

/// What became of a line.
struct Outcome {
    /// The answer, if one is due.
    line: Option<String>,
    /// The stream that begins behind it.
    watcher: Option<Watcher>,
}

/// A watcher and what it saw; it goes on from there.
type Seen = (Watcher, Option<Result<WatchEvent, ApiError>>);

impl<W: AsyncWrite + Unpin + Send> Connection<W> {
    async fn run(mut self, read: impl AsyncRead + Unpin + Send, stop: CancellationToken) -> io::Result<()> {
        let mut lines = FramedRead::new(read, LinesCodec::new_with_max_length(MAX_LINE));
        let mut running: FuturesUnordered<BoxFuture<'static, Outcome>> = FuturesUnordered::new();
        // Kept from round to round, so that many requests do not keep it from ever being ready.
        let mut watching: OptionFuture<BoxFuture<'static, Seen>> = None.into();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(outcome) = running.next() => {
                    self.say(outcome.line).await?;
                    if let Some(watcher) = outcome.watcher {
                        watching = Some(look(watcher)).into();
                    }
                }
                Some((watcher, seen)) = &mut watching => {
                    // A stream that failed is at its end: the client asks again behind the last cursor it saw.
                    let goes_on = matches!(seen, Some(Ok(_)));
                    self.say(seen.map(to_notification)).await?;
                    watching = goes_on.then(|| look(watcher)).into();
                }
                line = lines.next(), if running.len() < MAX_REQUESTS => match line {
                    Some(Ok(line)) if line.trim().is_empty() => {}
                    Some(Ok(line)) => running.push(handle(self.dispatcher.clone(), line).boxed()),
                    Some(Err(error)) => {
                        self.say(Some(broken(&error))).await?;
                        break;
                    }
                    None => break,
                },
            }
        }
        while let Some(outcome) = running.next().await {
            self.say(outcome.line).await?;
        }
        self.write.shutdown().await
    }

    async fn say(&mut self, line: Option<String>) -> io::Result<()> {
        let Some(mut line) = line else { return Ok(()) };
        line.push('\n');
        self.write.write_all(line.as_bytes()).await?;
        self.write.flush().await
    }
}

fn look(mut watcher: Watcher) -> BoxFuture<'static, Seen> {
    async move {
        let seen = watcher.next().await;
        (watcher, seen)
    }
    .boxed()
}

fn to_notification(seen: Result<WatchEvent, ApiError>) -> String {
    match seen {
        Ok(event) => to_line(&Notification { jsonrpc: VERSION, method: EVENT, params: event }),
        Err(error) => to_line(&Notification { jsonrpc: VERSION, method: EVENT_ERROR, params: RpcError::from(error) }),
    }
}

/// The version of JSON-RPC.
pub(super) const VERSION: &str = "2.0";
/// The method of the notifications of a watch.
pub(super) const EVENT: &str = "event";
/// The method of the notification by which a watch ends early.
pub(super) const EVENT_ERROR: &str = "event.error";

/// A request of the specification's §4. `id` stays as it was written.
#[derive(Debug, Deserialize)]
struct Request {
    jsonrpc: String,
    method: String,
    #[serde(default)]
    params: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
}

/// Tells `"id": null` from no id.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

#[derive(Serialize)]
struct Response {
    jsonrpc: &'static str,
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
}

#[derive(Serialize)]
struct Notification<T> {
    jsonrpc: &'static str,
    method: &'static str,
    params: T,
}

/// More of something than there may be.
pub(super) struct TooMany {
    pub(super) what: &'static str,
    pub(super) max: usize,
}

impl TooMany {
    /// The line that says so.
    pub(super) fn to_line(&self) -> String {
        let mut line = to_line(&self.response());
        line.push('\n');
        line
    }

    fn response(&self) -> Response {
        let message = format!("too many {}: {} at the most", self.what, self.max);
        failed(Value::Null, RpcError { code: SERVER_ERROR, message, data: None })
    }
}

/// The first code that JSON-RPC leaves to servers (§5.1).
const SERVER_ERROR: i32 = -32000;

async fn handle(dispatcher: Dispatcher, line: String) -> Outcome {
    match serde_json::from_str(&line) {
        Err(_) => Outcome::of(&failed(Value::Null, RpcError::parse_error())),
        Ok(Value::Array(batch)) if (1..=MAX_BATCH).contains(&batch.len()) => answer_all(&dispatcher, batch).await,
        Ok(Value::Array(batch)) if batch.len() > MAX_BATCH => {
            Outcome::of(&TooMany { what: "requests in a batch", max: MAX_BATCH }.response())
        }
        Ok(value) => match parse(value) {
            Ok(request) => answer(&dispatcher, request).await,
            Err(response) => Outcome::of(&response),
        },
    }
}

fn parse(value: Value) -> Result<Request, Box<Response>> {
    let invalid = || Box::new(failed(Value::Null, RpcError::invalid_request()));
    let request: Request = serde_json::from_value(value).map_err(|_| invalid())?;
    let id_fits = request.id.as_ref().is_none_or(|id| id.is_string() || id.is_number() || id.is_null());
    if request.jsonrpc != VERSION || !id_fits {
        return Err(invalid());
    }
    Ok(request)
}

async fn answer(dispatcher: &Dispatcher, request: Request) -> Outcome {
    if request.method == Watch::NAME {
        return watch(dispatcher, request).await;
    }
    let result = dispatch(dispatcher, &request.method, request.params).await;
    Outcome { line: request.id.map(|id| to_line(&response(id, result))), watcher: None }
}

async fn answer_all(dispatcher: &Dispatcher, batch: Vec<Value>) -> Outcome {
    let mut answers = Answers::default();
    for value in batch {
        let request = match parse(value) {
            Ok(request) => request,
            Err(response) => {
                answers.push(&response);
                continue;
            }
        };
        let result = match &request.method {
            _ if answers.is_full() => Err(ApiError::new(Reason::BatchTooLong)),
            method if method == Watch::NAME => {
                Err(ApiError::new(Reason::BadParams).with("detail", "watch cannot be part of a batch"))
            }
            method => dispatch(dispatcher, method, request.params).await,
        };
        if let Some(id) = request.id {
            answers.push(&response(id, result));
        }
    }
    Outcome { line: answers.into_line(), watcher: None }
}

/// The answers of a batch, written one after the other so that their length is known.
#[derive(Default)]
struct Answers(String);

impl Answers {
    fn push(&mut self, response: &Response) {
        self.0.push(if self.0.is_empty() { '[' } else { ',' });
        self.0.push_str(&to_line(response));
    }

    fn is_full(&self) -> bool {
        self.0.len() > MAX_BATCH_ANSWERS
    }

    fn into_line(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push(']');
        Some(self.0)
    }
}

async fn dispatch(dispatcher: &Dispatcher, method: &str, params: Option<Value>) -> Result<Value, ApiError> {
    dispatcher.dispatch(method, params.unwrap_or_else(none)).await
}

/// No parameters.
fn none() -> Value {
    Value::Object(serde_json::Map::new())
}

async fn watch(dispatcher: &Dispatcher, request: Request) -> Outcome {
    let started = match params::read(request.params.unwrap_or_else(none)) {
        Ok(params) => dispatcher.watch(params).await,
        Err(error) => Err(error),
    };
    let (result, watcher) = match started {
        Ok((result, watcher)) => (serde_json::to_value(result).map_err(ApiError::internal), Some(watcher)),
        Err(error) => (Err(error), None),
    };
    Outcome { line: request.id.map(|id| to_line(&response(id, result))), watcher }
}

fn response(id: Value, result: Result<Value, ApiError>) -> Response {
    match result {
        Ok(result) => Response { jsonrpc: VERSION, id, result: Some(result), error: None },
        Err(error) => failed(id, error.into()),
    }
}

fn failed(id: Value, error: RpcError) -> Response {
    Response { jsonrpc: VERSION, id, result: None, error: Some(error) }
}

/// After this the line's end cannot be known: the connection closes.
fn broken(error: &LinesCodecError) -> String {
    let message = match error {
        LinesCodecError::MaxLineLengthExceeded => format!("a line has at most {MAX_LINE} bytes"),
        LinesCodecError::Io(_) => "a line is not UTF-8 text".to_owned(),
    };
    to_line(&failed(Value::Null, RpcError { message, ..RpcError::parse_error() }))
}

impl Outcome {
    fn of(response: &Response) -> Self {
        Self { line: Some(to_line(response)), watcher: None }
    }
}

fn to_line(shape: &impl Serialize) -> String {
    match serde_json::to_string(shape) {
        Ok(line) => line,
        Err(_) => unreachable!("the shapes of the API have text keys only"),
    }
}

//! The actor: the one thread that owns engine and store.
//!
//! It blocks for the first input, takes what else has arrived (bounded; commands before the network), handles it all,
//! commits once, and tells the outcome in one order: network → replies → views. It promises that a drain that fails
//! leaves no trace but clear answers to those who asked, and that peers send again what was lost with it. It knows
//! neither sockets nor JSON.

use super::{
    heart::{Core, Failure, Heart, Outgoing, Settled},
    limits::{
        BYTES_PER_DRAIN, CAREFUL_DRAINS, COMMANDS_PER_DRAIN, LAST_CHORES, LONGEST_SLEEP, NET_PER_DRAIN,
        PAUSE_AFTER_FAILURE,
    },
};
use crate::{
    protocol::{
        engine::{
            Command, Input, Refusal, Reply, Token,
            rows::{self, DeviceRow, PeerRow, Row},
        },
        ids::TransportKey,
        time::Millis,
        view::{Direction, Table, ViewError},
    },
    store::{Store, StoreError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Instant,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// The network as the actor sees it.
pub(super) trait Outside: Send {
    /// What came, when something comes. May be dropped while it waits without losing anything. `None`: nothing will
    /// ever come again.
    fn next(&mut self) -> impl Future<Output = Option<Arrival>> + Send;
    /// What has come already.
    fn try_next(&mut self) -> Option<Arrival>;
    /// Sends something on its way; may wait for room, never for a peer.
    fn carry(&mut self, outgoing: Outgoing);
}

/// One thing that came from outside.
#[derive(Debug)]
pub(super) enum Arrival {
    /// For the engine.
    Input(Input),
    /// Somebody announced itself on the local network; worth a dial only where it is known.
    Seen(TransportKey, Vec<String>),
}

/// No network: for a home whose node does not run.
#[derive(Debug)]
pub(super) struct Nowhere;

impl Outside for Nowhere {
    async fn next(&mut self) -> Option<Arrival> {
        None
    }

    fn try_next(&mut self) -> Option<Arrival> {
        None
    }

    fn carry(&mut self, _: Outgoing) {}
}

/// Why a command got no answer of the engine. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It was understood and not granted.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no room on the disk.
    #[error("the disk is full")]
    DiskFull,
    /// Rows of this table are not what was written.
    #[error("rows of table {0:?} are damaged")]
    Damaged(Table),
    /// The disk failed.
    #[error("the store failed: {0}")]
    Io(String),
    /// The node stops or stopped. Only then it is not known whether the command was carried out.
    #[error("the node stopped before it answered")]
    Stopped,
}

impl From<&Failure> for CommandError {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Read(ViewError::Damaged(table)) => Self::Damaged(*table),
            Failure::Read(ViewError::Io(why)) | Failure::Write(StoreError::Io(why)) => Self::Io(why.clone()),
            Failure::Write(StoreError::Full) => Self::DiskFull,
            Failure::Write(other) => Self::Io(other.to_string()),
        }
    }
}

/// The answer to a command.
pub type Answer = Result<Reply, CommandError>;

/// A command and who waits for its answer.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Who and what is around, for views. Told after each drain that changed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Connected peers.
    pub peers: BTreeSet<TransportKey>,
    /// Where this node listens, without its PeerId.
    pub listening: Vec<String>,
}

/// Where the actor tells views what is new.
#[derive(Debug)]
pub(super) struct Views {
    pub(super) feed: watch::Sender<u64>,
    pub(super) surroundings: watch::Sender<Arc<Surroundings>>,
}

/// The actor, from [`Actor::new`] to the end of [`Actor::run`].
pub(super) struct Actor<C, S, O> {
    heart: Heart<C, S>,
    outside: O,
    commands: mpsc::Receiver<Ask>,
    views: Views,
    clock: fn() -> Millis,
    asked: BTreeMap<Token, oneshot::Sender<Answer>>,
    last_token: Token,
    /// Peers whose frames are in the present drain: if it fails they must send them again.
    heard: BTreeSet<TransportKey>,
    /// With whom gossip is shared.
    circle: BTreeSet<TransportKey>,
    /// As it is with the inputs of the present drain. What is told to views is the copy that was settled.
    around: Surroundings,
    online: bool,
    /// Drains to come that take one input each.
    careful: usize,
    net_rests_until: Option<Instant>,
    /// The engine is new and has not been told of the network yet.
    untold: bool,
    stop: CancellationToken,
}

/// What ended a wait.
enum First {
    Ask(Ask),
    Arrival(Arrival),
    Woken,
    Closed,
}

impl<C: Core, S: Store, O: Outside> Actor<C, S, O> {
    pub(super) fn new(
        heart: Heart<C, S>,
        outside: O,
        commands: mpsc::Receiver<Ask>,
        views: Views,
        clock: fn() -> Millis,
        stop: CancellationToken,
    ) -> Self {
        Self {
            heart,
            outside,
            commands,
            views,
            clock,
            asked: BTreeMap::new(),
            last_token: 0,
            heard: BTreeSet::new(),
            circle: BTreeSet::new(),
            around: Surroundings::default(),
            online: false,
            careful: 0,
            net_rests_until: None,
            untold: false,
            stop,
        }
    }

    /// Runs until it is stopped (or whoever could ask is gone) and all that was asked is answered. Blocks: give it a
    /// thread.
    pub(super) fn run(mut self) -> std::io::Result<()> {
        // Only for waiting: nothing is ever handled inside the runtime.
        let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        loop {
            let first = waiting.block_on(self.wait());
            if matches!(first, First::Closed) {
                if let Err(error) = self.heart.finish(LAST_CHORES) {
                    tracing::warn!(%error, "old keys are thrown away at the next start");
                }
                return Ok(());
            }
            self.drain(first);
            self.do_chores();
        }
    }

    /// Lets the store do what it wants to do by itself, a piece at a time.
    fn do_chores(&mut self) {
        let now = (self.clock)();
        if self.heart.next_chore(now).is_some_and(|at| at <= now)
            && let Err(error) = self.heart.chore(now)
        {
            tracing::warn!(%error, "old keys are thrown away later");
        }
    }

    /// The first input of the next drain.
    async fn wait(&mut self) -> First {
        let rest = self.net_rests_until.map(|until| until.saturating_duration_since(Instant::now()));
        let listens = rest.is_none_or(|rest| rest.is_zero());
        let until_wake = self.heart.next_wake().filter(|_| listens).map(|at| at.since((self.clock)()));
        let now = (self.clock)();
        let until_chore = self.heart.next_chore(now).map_or(LONGEST_SLEEP, |at| at.since(now));
        let sleep = until_wake.or(rest.filter(|_| !listens)).unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        let sleep = sleep.min(until_chore);
        if self.stop.is_cancelled() {
            self.commands.close();
        }
        let Self { commands, outside, stop, .. } = self;
        tokio::select! {
            biased;
            () = stop.cancelled(), if !commands.is_closed() => First::Woken,
            ask = commands.recv() => ask.map_or(First::Closed, First::Ask),
            Some(arrival) = outside.next(), if listens => First::Arrival(arrival),
            () = tokio::time::sleep(sleep) => First::Woken,
        }
    }

    /// Handles `first` and what else is there, settles, tells. A failure is told too and forgotten.
    fn drain(&mut self, first: First) {
        if self.untold && self.listens() {
            self.bring_back();
        }
        let outcome = self.gather(first).and_then(|()| self.heart.settle((self.clock)()));
        match outcome {
            Ok(settled) => self.tell(settled),
            Err(failure) => self.recover(&failure),
        }
    }

    fn gather(&mut self, first: First) -> Result<(), Failure> {
        match first {
            First::Ask(ask) => self.ask(ask)?,
            First::Arrival(arrival) => self.arrive(arrival)?,
            First::Woken => {}
            First::Closed => return Ok(()),
        }
        if self.heart.next_wake().is_some_and(|at| at <= (self.clock)()) && self.listens() {
            self.take(Input::Tick)?;
        }
        if self.careful > 0 {
            self.careful -= 1;
            return Ok(());
        }
        for _ in 0..COMMANDS_PER_DRAIN {
            let Some(ask) = self.room().then(|| self.commands.try_recv().ok()).flatten() else { break };
            self.ask(ask)?;
        }
        for _ in 0..NET_PER_DRAIN {
            let Some(arrival) = (self.room() && self.listens()).then(|| self.outside.try_next()).flatten() else {
                break;
            };
            self.arrive(arrival)?;
        }
        Ok(())
    }

    fn room(&self) -> bool {
        self.heart.staged() < BYTES_PER_DRAIN
    }

    /// Whether the network is heard now. Not once the node stops: what is not acknowledged comes again, and a stop must not
    /// wait for a drain of everything that has arrived.
    fn listens(&self) -> bool {
        !self.stop.is_cancelled() && self.net_rests_until.is_none_or(|until| until <= Instant::now())
    }

    fn ask(&mut self, ask: Ask) -> Result<(), Failure> {
        self.last_token += 1;
        self.asked.insert(self.last_token, ask.answer);
        self.take(Input::Command(self.last_token, ask.command))
    }

    fn arrive(&mut self, arrival: Arrival) -> Result<(), Failure> {
        let input = match arrival {
            Arrival::Input(input) => input,
            Arrival::Seen(peer, addresses) => return self.see(peer, addresses),
        };
        self.note(&input);
        if self.untold {
            // The engine hears of it with all the rest; frames come again.
            self.hang_up();
            return Ok(());
        }
        self.take(input)
    }

    /// Keeps what a new engine would have to be told.
    fn note(&mut self, input: &Input) {
        match input {
            Input::Online => self.online = true,
            Input::Listening(addresses) => self.around.listening.clone_from(addresses),
            Input::Connected { peer, .. } => {
                self.around.peers.insert(*peer);
            }
            Input::Disconnected(peer) => {
                self.around.peers.remove(peer);
            }
            Input::Frame(peer, _) => {
                self.heard.insert(*peer);
            }
            _ => {}
        }
    }

    fn take(&mut self, input: Input) -> Result<(), Failure> {
        self.heart.take(input, (self.clock)())
    }

    /// Dials whoever announced itself, if it is somebody.
    fn see(&mut self, peer: TransportKey, addresses: Vec<String>) -> Result<(), Failure> {
        let known = rows::read::<PeerRow>(self.heart.view(), &PeerRow::key(peer))?.is_some();
        if known && !self.around.peers.contains(&peer) {
            self.outside.carry(Outgoing::Reach(peer, addresses));
        }
        Ok(())
    }

    fn tell(&mut self, settled: Settled) {
        self.heard.clear();
        self.draw_circle(&settled.outgoing);
        for outgoing in settled.outgoing {
            self.outside.carry(outgoing);
        }
        for (token, answer) in settled.replies {
            if let Some(waiting) = self.asked.remove(&token) {
                // Whoever asked may have gone away.
                let _ = waiting.send(answer.map_err(CommandError::from));
            }
        }
        // An engine that does not answer is at fault; nobody must wait for it for ever.
        self.asked.clear();
        if let Some(cursor) = settled.feed {
            self.views.feed.send_if_modified(|last| std::mem::replace(last, cursor.max(*last)) < cursor);
        }
        self.publish_surroundings();
    }

    /// Tells the network with whom alone it may share gossip: devices of members. To anybody else the topics would say who
    /// is in a group with whom. Asked for when groups or members may have changed, before what changed goes out.
    fn draw_circle(&mut self, outgoing: &[Outgoing]) {
        let changes = |outgoing: &Outgoing| {
            matches!(
                outgoing,
                Outgoing::Subscribe(..) | Outgoing::Unsubscribe(_) | Outgoing::Reach(..) | Outgoing::Forget(_)
            )
        };
        if !outgoing.iter().any(changes) {
            return;
        }
        let devices = match self.heart.view().scan(DeviceRow::TABLE, b"", None, Direction::Forward, usize::MAX) {
            Ok(devices) => devices,
            Err(error) => return tracing::error!(%error, "gossip goes on with those with whom it was shared before"),
        };
        // A row that is damaged keeps only its own device out.
        let devices = devices.iter().filter_map(|(_, bytes)| rows::parse::<DeviceRow>(bytes).ok());
        let members = devices.filter(|device| !device.groups.is_empty());
        let circle: BTreeSet<_> = members.map(|device| device.transport).collect();
        if circle != self.circle {
            self.outside.carry(Outgoing::Circle(circle.iter().copied().collect()));
            self.circle = circle;
        }
    }

    fn publish_surroundings(&self) {
        self.views.surroundings.send_if_modified(|told| {
            let news = **told != self.around;
            if news {
                *told = Arc::new(self.around.clone());
            }
            news
        });
    }

    /// Refuses what was asked and begins with a new engine, which hears of the network after a rest.
    fn recover(&mut self, failure: &Failure) {
        tracing::error!(%failure, "nothing of this drain is kept");
        self.heart.give_up();
        for (_, waiting) in std::mem::take(&mut self.asked) {
            let _ = waiting.send(Err(CommandError::from(failure)));
        }
        self.hang_up();
        self.careful = CAREFUL_DRAINS;
        self.net_rests_until = Some(Instant::now() + PAUSE_AFTER_FAILURE);
        self.untold = self.online;
        self.publish_surroundings();
    }

    /// Drops the connections whose frames were lost. They were not acknowledged: on the next connection they come again.
    fn hang_up(&mut self) {
        for peer in std::mem::take(&mut self.heard) {
            self.outside.carry(Outgoing::HangUp(peer));
        }
    }

    /// Tells a new engine what the old one knew of the network; after another failure, later.
    fn bring_back(&mut self) {
        let connected = self.around.peers.iter().map(|peer| Input::Connected { peer: *peer, address: None });
        let inputs: Vec<Input> =
            [Input::Online, Input::Listening(self.around.listening.clone())].into_iter().chain(connected).collect();
        let outcome = inputs.into_iter().try_for_each(|input| self.take(input));
        match outcome.and_then(|()| self.heart.settle((self.clock)())) {
            Ok(settled) => {
                self.untold = false;
                self.tell(settled);
            }
            Err(failure) => self.recover(&failure),
        }
    }
}

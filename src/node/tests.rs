//! The actor over a scripted engine, a store that can be told to fail, and a network that only listens.

use super::{
    actor::{Actor, Answer, Arrival, Ask, CommandError, Outside, Surroundings, Views},
    clock,
    heart::{Core, Heart, Outgoing},
    limits::{COMMAND_QUEUE, COMMANDS_PER_DRAIN, NET_PER_DRAIN},
};
use crate::{
    protocol::{
        engine::{
            Command, Effect, Input, Reply,
            rows::{DeviceRow, PeerRow},
        },
        ids::{AccountId, DeviceId, NoiseKey, OpId, TransportKey},
        time::Millis,
        view::{Direction, Key, Rows, Table, View, ViewError, Write},
        wire::encode,
    },
    store::{MemoryStore, Store, StoreError},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use rand_core::CryptoRng;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

const PEER: TransportKey = TransportKey([1; 32]);
const ANYONE: AccountId = AccountId([9; 32]);

type Log = Arc<Mutex<Vec<String>>>;

/// Notes every input. Each command writes a row, sends a frame and answers; the name of a new group says what else.
struct Script(Log);

impl Core for Script {
    fn handle(
        &mut self,
        input: Input,
        _: Millis,
        _: &mut dyn CryptoRng,
        _: &dyn View,
    ) -> Result<Vec<Effect>, ViewError> {
        let row =
            |bytes: usize| Effect::Persist(vec![Write::Put(Key::named(Table::Held, b"", b"row"), vec![0; bytes])]);
        self.0.lock().unwrap().push(format!("{input:?}").split(['(', ' ', '{']).next().unwrap_or_default().to_owned());
        match input {
            Input::Command(_, Command::NewGroup(name)) if name == "unreadable" => Err(ViewError::Damaged(Table::Group)),
            Input::Command(_, Command::NewGroup(name)) if name == "unanswered" => Ok(vec![row(1)]),
            Input::Command(token, Command::NewGroup(name)) if name == "heavy" => {
                Ok(vec![row(400 * 1024), Effect::Reply(token, Ok(Reply::Done))])
            }
            Input::Command(token, Command::NewGroup(name)) if name == "look" => {
                Ok(vec![Effect::Reach(PEER, Vec::new()), Effect::Reply(token, Ok(Reply::Done))])
            }
            Input::Command(token, _) => Ok(vec![
                Effect::Feed(token),
                Effect::Reply(token, Ok(Reply::Done)),
                Effect::Send(PEER, vec![vec![1]]),
                row(1),
            ]),
            Input::Frame(..) => Ok(vec![row(1)]),
            _ => Ok(Vec::new()),
        }
    }

    fn next_wake(&self) -> Option<Millis> {
        None
    }
}

/// A store that notes what is done with it and has no room while it is told so.
struct Disk {
    rows: MemoryStore,
    log: Log,
    full: Arc<AtomicBool>,
}

impl View for Disk {
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError> {
        self.rows.row(key)
    }

    fn scan(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Rows, ViewError> {
        self.rows.scan(table, scope, from, direction, limit)
    }
}

impl Store for Disk {
    fn stage(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.log.lock().unwrap().push("stage".into());
        self.rows.stage(writes)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) {
            self.log.lock().unwrap().push("full".into());
            return Err(StoreError::Full);
        }
        self.log.lock().unwrap().push("commit".into());
        self.rows.commit()
    }

    fn discard(&mut self) {
        self.log.lock().unwrap().push("discard".into());
        self.rows.discard();
    }
}

/// A network whose arrivals the test writes.
struct Ear(mpsc::UnboundedReceiver<Arrival>, Log, Circle);

/// With whom gossip is shared.
type Circle = Arc<Mutex<Vec<TransportKey>>>;

impl Outside for Ear {
    async fn next(&mut self) -> Option<Arrival> {
        self.0.recv().await
    }

    fn try_next(&mut self) -> Option<Arrival> {
        self.0.try_recv().ok()
    }

    fn carry(&mut self, outgoing: Outgoing) {
        let name = format!("{outgoing:?}");
        self.1.lock().unwrap().push(format!("carry {}", name.split('(').next().unwrap_or_default()));
        if let Outgoing::Circle(peers) = outgoing {
            *self.2.lock().unwrap() = peers;
        }
    }
}

/// An actor that has not been started, and everything around it.
struct Bench {
    actor: Option<Actor<Script, Disk, Ear>>,
    commands: mpsc::Sender<Ask>,
    arrivals: mpsc::UnboundedSender<Arrival>,
    feed: watch::Receiver<u64>,
    surroundings: watch::Receiver<Arc<Surroundings>>,
    stop: CancellationToken,
    full: Arc<AtomicBool>,
    circle: Circle,
    log: Log,
}

impl Bench {
    fn new() -> Self {
        Self::over(MemoryStore::new())
    }

    fn over(rows: MemoryStore) -> Self {
        let (log, full) = (Log::default(), Arc::new(AtomicBool::new(false)));
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let (arrivals, ear) = mpsc::unbounded_channel();
        let (feed_out, feed) = watch::channel(0);
        let (around_out, surroundings) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let disk = Disk { rows, log: log.clone(), full: full.clone() };
        let of_script = log.clone();
        let heart = Heart::new(disk, ChaCha20Rng::seed_from_u64(1), move || Script(of_script.clone()));
        let views = Views { feed: feed_out, surroundings: around_out };
        let circle = Circle::default();
        let actor = Actor::new(heart, Ear(ear, log.clone(), circle.clone()), queue, views, clock::now, stop.clone());
        Self { actor: Some(actor), commands, arrivals, feed, surroundings, stop, full, circle, log }
    }

    fn start(&mut self) -> JoinHandle<()> {
        let actor = self.actor.take().unwrap();
        std::thread::spawn(|| actor.run().unwrap())
    }

    fn ask(&self, name: &str) -> oneshot::Receiver<Answer> {
        let (answer, asked) = oneshot::channel();
        self.commands.blocking_send(Ask { command: Command::NewGroup(name.into()), answer }).unwrap();
        asked
    }

    fn arrive(&self, input: Input) {
        self.arrivals.send(Arrival::Input(input)).unwrap();
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log holds this so many times.
    fn wait(&self, what: &str, times: usize) {
        let began = std::time::Instant::now();
        while self.log().iter().filter(|line| *line == what).count() < times {
            assert!(began.elapsed().as_secs() < 10, "{what} did not come: {:?}", self.log());
            std::thread::yield_now();
        }
    }
}

#[test]
fn what_is_told_is_durable_first_and_told_in_one_order() {
    let mut bench = Bench::new();
    let asked = bench.ask("hiking");
    let running = bench.start();
    assert_eq!(asked.blocking_recv().unwrap(), Ok(Reply::Done));
    assert_eq!(
        bench.log(),
        ["Command", "stage", "DrainEnd", "commit", "carry Send"],
        "the reply comes after all these"
    );
    bench.stop.cancel();
    running.join().unwrap();
    assert_eq!(*bench.feed.borrow(), 1);
}

#[test]
fn what_arrived_together_shares_one_commit_and_commands_go_first() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.arrive(Input::Frame(PEER, vec![1]));
    }
    let asked: Vec<_> = (0..5).map(|_| bench.ask("hiking")).collect();
    let running = bench.start();
    for asked in asked {
        assert_eq!(asked.blocking_recv().unwrap(), Ok(Reply::Done));
    }
    let log = bench.log();
    let handled: Vec<_> = log.iter().filter(|line| *line == "Command" || *line == "Frame").collect();
    assert_eq!(handled, ["Command", "Command", "Command", "Command", "Command", "Frame", "Frame", "Frame"]);
    assert_eq!(log.iter().filter(|line| *line == "commit").count(), 1);
    bench.stop.cancel();
    running.join().unwrap();
}

#[test]
fn a_drain_is_bounded_by_number_and_by_weight() {
    let mut bench = Bench::new();
    let asked: Vec<_> = (0..COMMANDS_PER_DRAIN + 10).map(|_| bench.ask("hiking")).collect();
    for _ in 0..NET_PER_DRAIN + 10 {
        bench.arrive(Input::Frame(PEER, vec![1]));
    }
    let running = bench.start();
    asked.into_iter().for_each(|asked| assert_eq!(asked.blocking_recv().unwrap(), Ok(Reply::Done)));
    bench.wait("Frame", NET_PER_DRAIN + 10);
    let log = bench.log();
    let first: Vec<_> = log.iter().take_while(|line| *line != "commit").collect();
    assert_eq!(first.iter().filter(|line| **line == "Command").count(), COMMANDS_PER_DRAIN + 1);
    assert_eq!(first.iter().filter(|line| **line == "Frame").count(), NET_PER_DRAIN);
    bench.stop.cancel();
    running.join().unwrap();

    let mut bench = Bench::new();
    let asked: Vec<_> = (0..5).map(|_| bench.ask("heavy")).collect();
    let running = bench.start();
    asked.into_iter().for_each(|asked| assert_eq!(asked.blocking_recv().unwrap(), Ok(Reply::Done)));
    let log = bench.log();
    let first = log.iter().take_while(|line| *line != "commit");
    assert_eq!(first.filter(|line| *line == "Command").count(), 3, "400 KiB each: a MiB is full with the third");
    bench.stop.cancel();
    running.join().unwrap();
}

#[test]
fn a_full_disk_is_said_acknowledges_nothing_and_goes_on_when_there_is_room() {
    let mut bench = Bench::new();
    bench.arrive(Input::Online);
    bench.arrive(Input::Connected { peer: PEER, address: None });
    let running = bench.start();
    bench.wait("Connected", 1);
    bench.wait("commit", 1);

    bench.full.store(true, Ordering::SeqCst);
    bench.arrive(Input::Frame(PEER, vec![1]));
    bench.wait("carry HangUp", 1);
    assert_eq!(
        bench.ask("hiking").blocking_recv().unwrap(),
        Err(CommandError::DiskFull),
        "asked while the network rests"
    );
    assert!(bench.log().iter().all(|line| line != "carry Send"), "nothing left for a peer");
    assert_eq!(*bench.feed.borrow(), 0);

    bench.full.store(false, Ordering::SeqCst);
    assert_eq!(bench.ask("hiking").blocking_recv().unwrap(), Ok(Reply::Done));
    // The new engine hears of the network after its rest.
    bench.wait("Online", 2);
    bench.wait("Connected", 2);
    assert!(bench.surroundings.borrow().peers.contains(&PEER));
    bench.stop.cancel();
    running.join().unwrap();
}

#[test]
fn a_row_that_cannot_be_read_fails_those_who_need_it_and_nobody_after() {
    let mut bench = Bench::new();
    let together = [bench.ask("hiking"), bench.ask("unreadable")];
    let running = bench.start();
    for asked in together {
        assert_eq!(asked.blocking_recv().unwrap(), Err(CommandError::Damaged(Table::Group)));
    }
    // From here on each goes alone for a while.
    let apart = [bench.ask("unreadable"), bench.ask("hiking")].map(|asked| asked.blocking_recv().unwrap());
    assert_eq!(apart, [Err(CommandError::Damaged(Table::Group)), Ok(Reply::Done)]);
    assert_eq!(bench.log().iter().filter(|line| *line == "carry Send").count(), 1);
    bench.stop.cancel();
    running.join().unwrap();
}

#[test]
fn stopping_answers_what_was_asked_and_an_engine_that_does_not_answer_leaves_nobody_waiting() {
    let mut bench = Bench::new();
    let silent = bench.ask("unanswered");
    let asked: Vec<_> = (0..COMMAND_QUEUE - 1).map(|_| bench.ask("hiking")).collect();
    bench.arrive(Input::Frame(PEER, vec![1]));
    bench.stop.cancel();
    let running = bench.start();
    assert!(silent.blocking_recv().is_err());
    asked.into_iter().for_each(|asked| assert_eq!(asked.blocking_recv().unwrap(), Ok(Reply::Done)));
    running.join().unwrap();
    assert!(bench.log().iter().all(|line| line != "Frame"), "what peers sent is not waited for: they send it again");
    let (answer, _) = oneshot::channel();
    assert!(bench.commands.blocking_send(Ask { command: Command::NewGroup(String::new()), answer }).is_err());
}

#[test]
fn only_somebody_known_is_dialled_on_the_word_of_the_local_network() {
    let known = PeerRow { device: None, account: ANYONE, transport: PEER, addresses: Vec::new() };
    let mut rows = MemoryStore::new();
    rows.stage(vec![Write::Put(PeerRow::key(PEER), encode(&known))]).unwrap();
    rows.commit().unwrap();
    let mut bench = Bench::over(rows);
    let stranger = TransportKey([2; 32]);
    for peer in [stranger, PEER] {
        bench.arrivals.send(Arrival::Seen(peer, vec!["/ip4/10.0.0.1/tcp/1".into()])).unwrap();
    }
    let running = bench.start();
    bench.wait("commit", 1);
    bench.wait("carry Reach", 1);
    bench.stop.cancel();
    running.join().unwrap();
    assert_eq!(bench.log().iter().filter(|line| *line == "carry Reach").count(), 1);
}

#[test]
fn gossip_is_shared_with_devices_of_members_alone() {
    let device = |n: u8, groups: &[OpId]| DeviceRow {
        device: DeviceId([n; 32]),
        account: ANYONE,
        transport: TransportKey([n; 32]),
        noise: NoiseKey([n; 32]),
        bundle: Vec::new(),
        bundle_seq: 0,
        addresses: Vec::new(),
        sending: None,
        sessions: Vec::new(),
        groups: groups.to_vec(),
        boxes: None,
        replaced: Vec::new(),
        offered: None,
    };
    let (member, contact) = (device(1, &[OpId([7; 32])]), device(2, &[]));
    let mut rows = MemoryStore::new();
    let rows_of = [&member, &contact].map(|row| Write::Put(DeviceRow::key(row.device), encode(row)));
    // One that is damaged keeps itself out, and nobody else.
    let damaged = Write::Put(DeviceRow::key(DeviceId([3; 32])), vec![0]);
    rows.stage(rows_of.into_iter().chain([damaged]).collect()).unwrap();
    rows.commit().unwrap();
    let mut bench = Bench::over(rows);
    let asked = ["look", "look", "hiking"].map(|name| bench.ask(name));
    let running = bench.start();
    asked.into_iter().for_each(|asked| assert_eq!(asked.blocking_recv().unwrap(), Ok(Reply::Done)));
    bench.stop.cancel();
    running.join().unwrap();
    let log = bench.log();
    let circles: Vec<_> = log.iter().filter(|line| line.starts_with("carry Circle")).collect();
    assert_eq!(circles, ["carry Circle"], "told once, before what changed it");
    let at = |what: &str| log.iter().position(|line| line == what);
    assert!(at("carry Circle") < at("carry Reach"), "{log:?}");
    assert_eq!(*bench.circle.lock().unwrap(), [member.transport]);
}

//! One simulated device: an engine over its store, and what its network would know of it.

use super::{Millis, chance::generator};
use crate::{
    protocol::{
        engine::{Engine, Input, Settings, begin, rows::OwnRow},
        group::{Gate, Topic},
        identity::{AccountKey, Words},
        ids::{AccountId, DeviceId, TransportKey},
        view::{Direction, Key, Rows, Table, View, ViewError},
        wire::decode,
    },
    store::{MemoryStore, Store},
};
use rand_chacha::ChaCha20Rng;
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

/// When virtual time begins.
const BEGINNING: i64 = 1_790_000_000_000;

/// A device and its process, if it runs.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) index: usize,
    pub(super) name: char,
    pub(super) account: AccountId,
    pub(super) device: DeviceId,
    pub(super) transport: TransportKey,
    pub(super) store: MemoryStore,
    pub(super) settings: Settings,
    pub(super) rng: ChaCha20Rng,
    pub(super) skew: i64,
    /// Counts runs of the process: what was meant for an earlier one is void.
    pub(super) life: u32,
    pub(super) run: Option<Run>,
    pub(super) address: String,
    pub(super) words: Words,
    /// Devices of this account that were lost, the last one last.
    pub(super) formers: Vec<DeviceId>,
    /// A copy of its store that may be put back.
    pub(super) copy: Option<MemoryStore>,
}

/// A running process: all of this a crash takes away.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) engine: Engine,
    pub(super) inbox: VecDeque<Input>,
    /// Whether a drain is on the queue.
    pub(super) draining: bool,
    /// After a failed drain only commands are taken, until the engine is told of the network again.
    pub(super) resting: bool,
    /// Whom to keep a connection to, and where they may be.
    pub(super) reach: BTreeMap<usize, BTreeSet<String>>,
    /// Dials on the queue.
    pub(super) dialling: BTreeSet<usize>,
    /// Connections the engine was told of, by the number of the connection.
    pub(super) connected: BTreeMap<usize, u64>,
    pub(super) gates: BTreeMap<Topic, Gate>,
    /// Gossip frames seen.
    pub(super) seen: BTreeSet<[u8; 20]>,
    pub(super) wake_at: Option<u64>,
}

impl Run {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            engine: Engine::new(settings),
            inbox: VecDeque::new(),
            draining: false,
            resting: false,
            reach: BTreeMap::new(),
            dialling: BTreeSet::new(),
            connected: BTreeMap::new(),
            gates: BTreeMap::new(),
            seen: BTreeSet::new(),
            wake_at: None,
        }
    }
}

/// A device could not be made: never a fault of the seed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoDevice {
    #[error(transparent)]
    Begin(#[from] begin::BeginError),
    #[error("a name is not one")]
    Name,
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error("the first rows do not hold the account")]
    Rows,
}

impl Device {
    pub(super) fn begin(seed: u64, index: usize, skew: i64, settings: Settings) -> Result<Self, NoDevice> {
        let mut rng = generator(seed, 100 + index as u8);
        let name = char::from(b'A' + index as u8);
        let words = Words::random(&mut rng);
        let key = AccountKey::from_words(&words);
        let shown = name.to_string().parse().map_err(|_| NoDevice::Name)?;
        let rows = begin::first_rows(&key, &shown, local(0, skew), &mut rng)?;
        let mut store = MemoryStore::new();
        store.stage(rows)?;
        store.commit()?;
        let row = store.row(&OwnRow::key()).ok().flatten().ok_or(NoDevice::Rows)?;
        let own: OwnRow = decode(&row, "own").map_err(|_| NoDevice::Rows)?;
        Ok(Self {
            index,
            name,
            account: own.account,
            device: own.device,
            transport: own.transport,
            store,
            settings,
            rng,
            skew,
            life: 0,
            run: None,
            address: address(index, 0),
            words,
            formers: Vec::new(),
            copy: None,
        })
    }

    /// What this device's clock shows at a true time.
    pub(super) fn clock(&self, now: u64) -> Millis {
        local(now, self.skew)
    }

    /// The true time at which its clock shows `at`, not before `now`.
    pub(super) fn true_time(&self, at: Millis, now: u64) -> u64 {
        let since = at.0 as i64 - self.skew - BEGINNING;
        (since.max(0) as u64).max(now)
    }
}

/// Where a device listens; another place after a move.
pub(super) fn address(index: usize, moves: u32) -> String {
    format!("/ip4/10.0.0.{}/tcp/{}", index + 1, 4001 + moves)
}

fn local(now: u64, skew: i64) -> Millis {
    Millis((BEGINNING + now as i64 + skew).max(0) as u64)
}

/// A view that fails after some reads.
pub(super) struct Flaky<'a> {
    pub(super) store: &'a MemoryStore,
    pub(super) reads_left: Cell<u32>,
}

impl Flaky<'_> {
    fn read(&self) -> Result<(), ViewError> {
        match self.reads_left.get().checked_sub(1) {
            Some(left) => {
                self.reads_left.set(left);
                Ok(())
            }
            None => Err(ViewError::Io("simulated".into())),
        }
    }
}

impl View for Flaky<'_> {
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError> {
        self.read()?;
        self.store.row(key)
    }

    fn scan(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Rows, ViewError> {
        self.read()?;
        self.store.scan(table, scope, from, direction, limit)
    }
}

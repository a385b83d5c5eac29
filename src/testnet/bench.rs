//! `moim bench`: what moim does on this machine, each load beside what it rests on. Under two minutes in all.
//!
//! Nodes are real, in this process, on 127.0.0.1, with stores on the disk that homes are on; "durable" means that the
//! disk has flushed it. The bare stream is libp2p with nothing of moim in between: it tells what the machine could do.

use super::{
    measure::{self, Figures, Load, Pace},
    real::{Acquaintance, Testnet, TestnetConfig},
};
use crate::{
    api::{
        ApiError, Reason,
        types::{self, BenchResult, V1},
    },
    protocol::view::{Key, Table, Write},
    store::{Cost, Home, SledStore, Store, StoreError},
};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, noise, swarm::SwarmEvent, tcp, yamux};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio_util::task::AbortOnDropHandle;

/// Bytes of a frame on the bare stream: those of a short message sealed.
const FRAME: usize = 512;
/// Messages under way at once between two.
const AT_ONCE: usize = 64;
/// How long each load between two goes on.
const BETWEEN_TWO: Duration = Duration::from_secs(5);
/// How long each load of the store goes on.
const APPENDING: Duration = Duration::from_secs(2);
/// Bytes of a row.
const ROW: usize = 512;
const PROTOCOL: StreamProtocol = StreamProtocol::new("/moim-bench/1");

/// Runs every load, with homes in `folder`, which is removed afterwards.
///
/// # Errors
/// Where a load does not get through: then there is nothing to compare.
pub async fn run(folder: &Path) -> Result<BenchResult, ApiError> {
    let folder = Folder(folder.to_path_buf());
    // Of a run that was interrupted.
    folder.clear();
    let mut loads = vec![
        load("bare libp2p stream, one at a time", bare(1).await?),
        load(&format!("bare libp2p stream, {AT_ONCE} at once"), bare(AT_ONCE).await?),
    ];
    loads.extend(between_two(&folder.0.join("two")).await?);
    loads.push(load("group of 10, as fast as it goes", group(&folder.0.join("ten"), 10, 200, Pace::AtOnce(8)).await?));
    let steady = group(&folder.0.join("twenty"), 20, 250, Pace::PerSecond(50)).await?;
    loads.push(load("group of 20, 50 messages/s", steady));
    loads
        .push(load("group of 50, as fast as it goes", group(&folder.0.join("fifty"), 50, 100, Pace::AtOnce(4)).await?));
    let disk = folder.0.join("store");
    let appended = tokio::task::spawn_blocking(move || appends(&disk)).await.map_err(ApiError::internal)??;
    loads.extend(appended);
    Ok(BenchResult { v: V1, loads })
}

struct Folder(PathBuf);

impl Folder {
    fn clear(&self) {
        // What cannot be removed is in the way of a home, which then says so.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.clear();
    }
}

fn load(name: &str, figures: Figures) -> types::Load {
    let Figures { count, per_second, p50_us, p99_us } = figures;
    types::Load { name: name.to_owned(), count, per_second, p50_us, p99_us }
}

async fn between_two(folder: &Path) -> Result<Vec<types::Load>, ApiError> {
    let testnet = Testnet::up(TestnetConfig::new(folder, 2)).await?;
    let [one, other] = testnet.nodes() else {
        return Err(ApiError::internal("a testnet of two has two nodes"));
    };
    let mut loads = Vec::new();
    for (name, at_once) in [("1-on-1, one at a time".to_owned(), 1), (format!("1-on-1, {AT_ONCE} at once"), AT_ONCE)] {
        let load_of = Load { at_once, most: usize::MAX, within: BETWEEN_TWO };
        loads.push(load(&name, measure::one_to_one(one, other, load_of).await?));
    }
    testnet.down().await?;
    Ok(loads)
}

async fn group(folder: &Path, nodes: u32, messages: usize, pace: Pace) -> Result<Figures, ApiError> {
    let config = TestnetConfig::new(folder, nodes).with_acquaintance(Acquaintance::WithTheFirst);
    let testnet = Testnet::up(config).await?;
    let group = testnet.group().map(|group| group.to_string()).unwrap_or_default();
    // The first message of each member brings its keys to the others: that is not what is timed.
    measure::fan_out(testnet.nodes(), &group, nodes as usize, Pace::AtOnce(4)).await?;
    let figures = measure::fan_out(testnet.nodes(), &group, messages, pace).await?;
    testnet.down().await?;
    Ok(figures)
}

/// Appends rows one by one, each with a commit of its own, then in groups, durable and not.
fn appends(folder: &Path) -> Result<Vec<types::Load>, ApiError> {
    type Commit = fn(&mut SledStore) -> Result<(), StoreError>;
    let mut store = Home::create(folder, None, Cost::FOR_TESTS)?.store()?;
    let mut next = 0u64;
    let mut loads = Vec::new();
    for group in [1, 64] {
        for (how, commit) in [("durable", SledStore::commit as Commit), ("undurable", SledStore::commit_undurably)] {
            let began = Instant::now();
            let mut took = Vec::new();
            while began.elapsed() < APPENDING {
                let start = Instant::now();
                for _ in 0..group {
                    next += 1;
                    let key = Key::at(Table::Event, b"bench", next.to_be_bytes());
                    store.stage(vec![Write::Put(key, vec![7; ROW])])?;
                }
                commit(&mut store)?;
                took.resize(took.len() + group, start.elapsed());
            }
            loads.push(load(&format!("store, {group} a commit, {how}"), Figures::of(took, began.elapsed())));
        }
    }
    Ok(loads)
}

/// Frames that are sent back over one stream of bare libp2p, so many under way at once.
async fn bare(at_once: usize) -> Result<Figures, ApiError> {
    let mut listener = swarm()?;
    let mut incoming = listener.behaviour().new_control().accept(PROTOCOL).map_err(ApiError::internal)?;
    listener.listen_on(loopback()).map_err(ApiError::internal)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = listener.select_next_some().await {
            break address;
        }
    };
    let there = *listener.local_peer_id();
    let _listening = driven(listener);
    let _echoing = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some((_, stream)) = incoming.next().await {
            let (read, mut write) = stream.split();
            // Whoever is done closes: that is its end, and the next may come.
            let _ = futures::io::copy(read, &mut write).await;
        }
    }));
    let (stream, _dialling) = dial(there, address).await?;
    let timing = echo(stream, at_once);
    let figures = tokio::time::timeout(BETWEEN_TWO * 3, timing).await;
    figures.map_err(|_| ApiError::new(Reason::DidNotHappen).with("what", "the bare stream answers"))?
}

async fn dial(peer: PeerId, address: Multiaddr) -> Result<(Stream, AbortOnDropHandle<()>), ApiError> {
    let mut dialler = swarm()?;
    let mut control = dialler.behaviour().new_control();
    dialler.dial(address.with_p2p(peer).map_err(ApiError::internal)?).map_err(ApiError::internal)?;
    let dialling = driven(dialler);
    Ok((control.open_stream(peer, PROTOCOL).await.map_err(ApiError::internal)?, dialling))
}

/// Keeps `at_once` frames under way for a while. They come back in order, so the oldest is always the next.
async fn echo(stream: Stream, at_once: usize) -> Result<Figures, ApiError> {
    let (mut read, mut write) = stream.split();
    let (mut frame, mut took) = ([7; FRAME], Vec::new());
    let mut under_way = std::collections::VecDeque::with_capacity(at_once);
    let began = Instant::now();
    loop {
        while under_way.len() < at_once && began.elapsed() < BETWEEN_TWO {
            under_way.push_back(Instant::now());
            write.write_all(&frame).await.map_err(ApiError::internal)?;
            write.flush().await.map_err(ApiError::internal)?;
        }
        let Some(sent) = under_way.pop_front() else { break };
        read.read_exact(&mut frame).await.map_err(ApiError::internal)?;
        took.push(sent.elapsed());
    }
    Ok(Figures::of(took, began.elapsed()))
}

fn swarm() -> Result<Swarm<libp2p_stream::Behaviour>, ApiError> {
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(ApiError::internal)?
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .map_err(ApiError::internal)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(BETWEEN_TWO * 4))
        .build())
}

fn driven(mut swarm: Swarm<libp2p_stream::Behaviour>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    }))
}

fn loopback() -> Multiaddr {
    Multiaddr::from(std::net::Ipv4Addr::LOCALHOST).with(libp2p::multiaddr::Protocol::Tcp(0))
}

//! Peers that speak the protocol's name and break its rules.

use super::*;
use crate::net::direct::PROTOCOL;
use crate::protocol::wire::limits::{FRAME_TIMEOUT, MAX_FRAME};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Swarm, SwarmBuilder, noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use std::time::Instant;

#[derive(NetworkBehaviour)]
struct Raw {
    streams: libp2p_stream::Behaviour,
    ping: ping::Behaviour,
}

fn raw() -> Swarm<Raw> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| Raw { streams: libp2p_stream::Behaviour::new(), ping: ping::Behaviour::default() })
        .unwrap()
        .build()
}

/// A hostile peer: connected to `node`, with one stream each way.
struct Hostile {
    out: libp2p::Stream,
    _inbound: libp2p_stream::IncomingStreams,
    swarm: tokio::task::JoinHandle<()>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

async fn attack(mut swarm: Swarm<Raw>, node: &Node) -> Option<Hostile> {
    let to = address::peer_id(&node.key).unwrap();
    let mut control = swarm.behaviour().streams.new_control();
    let mut inbound = control.accept(PROTOCOL).unwrap();
    let dial = DialOpts::peer_id(to).addresses(vec![node.addresses[0].parse().unwrap()]).build();
    swarm.dial(dial).unwrap();
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => break,
            SwarmEvent::OutgoingConnectionError { .. } => return None,
            _ => {}
        }
    }
    let swarm = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let opened = timeout(Duration::from_secs(5), control.open_stream(to, PROTOCOL)).await;
    let out = opened.ok()?.ok()?;
    // Kept open and unread: a peer that never takes anything.
    let _taken = inbound.next().await?;
    tokio::spawn(async move {
        let mut taken = _taken.1;
        let mut sink = [0; 1024];
        while taken.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    });
    Some(Hostile { out, _inbound: inbound, swarm })
}

async fn connected_stranger(node: &mut Node) -> TransportKey {
    node.wait(|event| match event {
        NetEvent::Connected { peer, .. } => Some(peer),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_length_beyond_the_limit_closes_the_connection_at_once() {
    for length in [0, MAX_FRAME as u32 + 1, u32::MAX] {
        let mut node = Node::start(1).await;
        let mut hostile = attack(raw(), &node).await.unwrap();
        let stranger = connected_stranger(&mut node).await;
        let began = Instant::now();
        hostile.out.write_all(&length.to_be_bytes()).await.unwrap();
        hostile.out.flush().await.unwrap();
        node.disconnected(stranger).await;
        assert!(began.elapsed() < FRAME_TIMEOUT / 2);
    }
}

#[tokio::test]
async fn a_frame_that_drips_or_never_ends_is_closed_in_time() {
    let mut node = Node::start(1).await;
    let mut hostile = attack(raw(), &node).await.unwrap();
    let stranger = connected_stranger(&mut node).await;
    let began = Instant::now();
    let drip = tokio::spawn(async move {
        let _sent = hostile.out.write_all(&(MAX_FRAME as u32).to_be_bytes()).await;
        loop {
            let written = hostile.out.write_all(&[0]).await;
            if written.is_err() || hostile.out.flush().await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    node.disconnected(stranger).await;
    assert!(began.elapsed() < FRAME_TIMEOUT + Duration::from_secs(2), "{:?}", began.elapsed());
    timeout(PATIENCE, drip).await.expect("the stream is closed on it").unwrap();
}

#[tokio::test]
async fn handshakes_that_never_end_are_bounded_and_keep_nobody_out_for_long() {
    use tokio::net::TcpStream;
    let door = limits::DoorLimits { pending: 8, ..limits::DOOR };
    let mut node = Node::start_with(1, NetConfig { listen: vec![tcp(0)], door, ..NetConfig::default() }).await;
    let port: u16 = node.addresses[0].rsplit('/').next().unwrap().parse().unwrap();
    let mut mute = Vec::new();
    for _ in 0..100 {
        mute.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    // Those past the limit are closed at once, and the others after their time.
    let began = Instant::now();
    let mut closed_at_once = 0;
    for stream in &mut mute {
        let mut byte = [0; 64];
        let end = async { while tokio::io::AsyncReadExt::read(stream, &mut byte).await.is_ok_and(|read| read > 0) {} };
        timeout(limits::HANDSHAKE_TIMEOUT * 3, end).await.expect("closed");
        closed_at_once += usize::from(began.elapsed() < limits::HANDSHAKE_TIMEOUT / 2);
    }
    println!("{closed_at_once} of 100 were closed at once");
    let mut honest = Node::start(2).await;
    connect(&mut honest, &mut node).await;
}

#[tokio::test]
async fn strangers_are_bounded_and_keep_out_nobody_who_is_wanted() {
    let door = limits::DoorLimits { strangers: 2, turn: PATIENCE, ..limits::DOOR };
    let mut node = Node::start_with(1, NetConfig { listen: vec![tcp(0)], door, ..NetConfig::default() }).await;
    let mut hostile = Vec::new();
    for _ in 0..2 {
        hostile.push(attack(raw(), &node).await.unwrap());
        connected_stranger(&mut node).await;
    }
    assert!(attack(raw(), &node).await.is_none(), "one too many");
    let mut wanted = Node::start(2).await;
    node.tell(Command::Reach { peer: wanted.key, addresses: Vec::new() }).await;
    connect(&mut wanted, &mut node).await;
    // One that leaves makes room.
    drop(hostile.pop());
    loop {
        if attack(raw(), &node).await.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn a_stranger_that_says_nothing_is_sent_away_and_one_who_becomes_wanted_is_not() {
    let door = limits::DoorLimits { silence: Duration::from_secs(1), ..limits::DOOR };
    let mut node = Node::start_with(1, NetConfig { listen: vec![tcp(0)], door, ..NetConfig::default() }).await;
    let mut friend = Node::start(2).await;
    connect(&mut friend, &mut node).await;
    node.tell(Command::Reach { peer: friend.key, addresses: Vec::new() }).await;
    let _hostile = attack(raw(), &node).await.unwrap();
    let stranger = connected_stranger(&mut node).await;
    // The first to go is the stranger, and the friend is heard after that.
    let gone = node.wait(|event| match event {
        NetEvent::Disconnected { peer } => Some(peer),
        _ => None,
    });
    assert_eq!(gone.await, stranger);
    friend.send(&node, vec![vec![1]]).await;
    assert_eq!(node.frames(friend.key, 1).await, [[1]]);
    // One that is wanted no longer is a stranger again.
    node.tell(Command::Forget { peer: friend.key }).await;
    node.disconnected(friend.key).await;
}

#[tokio::test]
async fn who_lies_again_and_again_is_shut_out() {
    let mut node = Node::start(1).await;
    let mut honest = Node::start(2).await;
    let key = libp2p::identity::Keypair::generate_ed25519();
    let swarm = || {
        SwarmBuilder::with_existing_identity(key.clone())
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| Raw { streams: libp2p_stream::Behaviour::new(), ping: ping::Behaviour::default() })
            .unwrap()
            .build()
    };
    for _ in 0..limits::MAX_OFFENCES {
        let mut hostile = attack(swarm(), &node).await.expect("not yet shut out");
        let stranger = connected_stranger(&mut node).await;
        hostile.out.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        hostile.out.flush().await.unwrap();
        node.disconnected(stranger).await;
    }
    assert!(attack(swarm(), &node).await.is_none(), "shut out");
    connect(&mut honest, &mut node).await;
}

#[tokio::test]
async fn what_does_not_speak_the_protocol_is_never_connected() {
    let mut a = Node::start(1).await;
    let key = libp2p::identity::Keypair::generate_ed25519();
    let peer = address::transport_key(&key.public().to_peer_id()).unwrap();
    let mut other = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| ping::Behaviour::default())
        .unwrap()
        .build();
    other.listen_on(tcp(0)).unwrap();
    let SwarmEvent::NewListenAddr { address, .. } = other.select_next_some().await else { panic!() };
    let running = tokio::spawn(async move {
        loop {
            other.select_next_some().await;
        }
    });
    a.tell(Command::Reach { peer, addresses: vec![address.to_string()] }).await;
    let event = a.next().await;
    assert_eq!(event, NetEvent::Unreachable { peer, why: Unreached::NotMoim });
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_frames_does_not_keep_others_out() {
    let mut node = Node::start(1).await;
    let mut honest = Node::start(2).await;
    let mut hostile = attack(raw(), &node).await.unwrap();
    let stranger = connected_stranger(&mut node).await;
    let flood = tokio::spawn(async move {
        let batch = [&600u32.to_be_bytes()[..], &[7; 600]].concat().repeat(100);
        while hostile.out.write_all(&batch).await.is_ok() {}
    });
    honest.reach(&node).await;
    honest.connected(node.key).await;
    honest.send(&node, numbered(0..500, 64)).await;
    let (mut next, mut flooded) = (0u32, 0u32);
    while next < 500 {
        match node.next().await {
            NetEvent::Frame { from, bytes } if from == honest.key => {
                assert_eq!(bytes[..4], next.to_be_bytes());
                next += 1;
            }
            NetEvent::Frame { from, .. } if from == stranger => flooded += 1,
            _ => {}
        }
    }
    println!("500 honest frames among {flooded} of a flood");
    assert!(flooded < 100_000, "each has its turn");
    flood.abort();
}

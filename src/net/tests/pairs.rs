//! Two nodes: frames, order, restarts, half-open connections, simultaneous dials.

use super::*;
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};

/// Sends in handfuls that fit the queue, waiting for `Drained` where it overflowed would lose frames.
async fn send_all(from: &Net, to: TransportKey, frames: Vec<Vec<u8>>, received: &tokio::sync::Semaphore) {
    for frame in frames.chunks(100) {
        received.acquire_many(100).await.unwrap().forget();
        from.tell(Command::Send { to, frames: frame.to_vec() }).await.unwrap();
    }
}

/// Sends `count` frames each way at once, with at most 2,000 under way in each direction.
async fn exchange(a: &mut Node, b: &mut Node, count: u32, size: usize) {
    let frames = numbered(0..count, size);
    let (to_a, to_b) = (tokio::sync::Semaphore::new(2_000), tokio::sync::Semaphore::new(2_000));
    let (net_a, net_b, key_a, key_b) = (a.net.clone(), b.net.clone(), a.key, b.key);
    let receive = async |node: &mut Node, from, room: &tokio::sync::Semaphore| {
        let mut got = Vec::new();
        for _ in 0..count {
            got.extend(node.frames(from, 1).await);
            room.add_permits(1);
        }
        got
    };
    let (_, _, got_a, got_b) = tokio::join!(
        send_all(&net_a, key_b, frames.clone(), &to_b),
        send_all(&net_b, key_a, frames.clone(), &to_a),
        receive(a, key_b, &to_a),
        receive(b, key_a, &to_b),
    );
    assert!(got_a == frames && got_b == frames, "all, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_frames_each_way_arrive_in_order() {
    let (mut a, mut b) = pair(1, 2).await;
    let began = Instant::now();
    exchange(&mut a, &mut b, 10_000, 600).await;
    println!("{:.0} frames/s in all", 20_000.0 / began.elapsed().as_secs_f64());
    a.net.shutdown().await;
    b.disconnected(a.key).await;
}

#[tokio::test]
async fn frames_pass_over_quic_too() {
    let quic = || NetConfig { listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()], ..NetConfig::default() };
    let (mut a, mut b) = (Node::start_with(1, quic()).await, Node::start_with(2, quic()).await);
    connect(&mut a, &mut b).await;
    exchange(&mut a, &mut b, 500, 600).await;
}

/// A port on which nobody answers, kept from others while it is held.
fn dead_port() -> (std::net::UdpSocket, u16) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn where_one_of_tcp_and_quic_is_not_reachable_the_other_serves() {
    let quic = |port: u16| -> Multiaddr { format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse().unwrap() };
    let mut a = Node::start_with(1, NetConfig { listen: vec![tcp(0), quic(0)], ..NetConfig::default() }).await;
    let (_held, dead) = dead_port();
    for (round, alive) in [quic(0), tcp(0), quic(0)].into_iter().enumerate() {
        let mut b = Node::start_with(2, NetConfig { listen: vec![alive], ..NetConfig::default() }).await;
        // What is dead comes first, and stays known from round to round.
        let at = b.addresses[0].clone();
        let addresses = vec![quic(dead).to_string(), tcp(dead).to_string(), at.clone()];
        a.tell(Command::Reach { peer: b.key, addresses }).await;
        assert_eq!(a.connected(b.key).await, Some(at), "round {round}");
        b.connected(a.key).await;
        exchange(&mut a, &mut b, 200, 600).await;
        b.net.shutdown().await;
        a.disconnected(b.key).await;
    }
}

#[tokio::test]
async fn the_longest_frame_passes_and_one_beyond_never_leaves() {
    use crate::protocol::wire::limits::MAX_FRAME;
    let (a, mut b) = pair(1, 2).await;
    a.send(&b, vec![vec![1; MAX_FRAME + 1], vec![], vec![2; MAX_FRAME], vec![3]]).await;
    assert_eq!(b.frames(a.key, 2).await, [vec![2; MAX_FRAME], vec![3]]);
}

#[tokio::test]
async fn whoever_answers_at_a_probed_address_is_connected_once() {
    let (mut a, mut b) = (Node::start(1).await, Node::start(2).await);
    let probe = Command::Probe { addresses: b.addresses.clone() };
    a.tell(probe).await;
    assert_eq!(a.connected(b.key).await, b.addresses.first().cloned());
    assert_eq!(b.connected(a.key).await, None);
    a.send(&b, vec![vec![7]]).await;
    assert_eq!(b.frames(a.key, 1).await, [[7]]);
}

#[tokio::test]
async fn a_probe_of_a_connected_peer_leaves_the_connection_alone() {
    let (mut a, mut b) = pair(1, 2).await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        from.tell(Command::Probe { addresses: to.addresses.clone() }).await;
    }
    tokio::time::sleep(limits::ANSWER_TIMEOUT * 3 / 2).await;
    // `frames` refuses any other event.
    exchange(&mut a, &mut b, 200, 64).await;
}

#[tokio::test]
async fn somebody_else_at_an_address_is_not_the_peer() {
    let (mut a, b, c) = (Node::start(1).await, Node::start(2).await, Node::start(3).await);
    a.tell(Command::Reach { peer: c.key, addresses: b.addresses.clone() }).await;
    let expected = NetEvent::Unreachable { peer: c.key, why: Unreached::SomebodyElse };
    a.wait(|event| (event == expected).then_some(())).await;
}

#[tokio::test]
async fn a_peer_that_comes_later_is_reached() {
    let mut a = Node::start(1).await;
    let (port, key) = {
        let b = Node::start(2).await;
        let port: u16 = b.addresses[0].rsplit('/').next().unwrap().parse().unwrap();
        b.net.shutdown().await;
        (port, b.key)
    };
    a.tell(Command::Reach { peer: key, addresses: vec![tcp(port).to_string()] }).await;
    let expected = NetEvent::Unreachable { peer: key, why: Unreached::Silent };
    a.wait(|event| (event == expected).then_some(())).await;
    let mut b = Node::start_with(2, NetConfig { listen: vec![tcp(port)], ..NetConfig::default() }).await;
    a.connected(b.key).await;
    b.connected(a.key).await;
}

#[tokio::test]
async fn a_peer_that_restarts_is_reached_on_its_old_port_and_on_a_new_one() {
    let (mut a, mut b) = pair(1, 2).await;
    for new_port in [false, true] {
        let port = if new_port { 0 } else { b.addresses[0].rsplit('/').next().unwrap().parse().unwrap() };
        b.net.shutdown().await;
        a.disconnected(b.key).await;
        b = Node::start_with(2, NetConfig { listen: vec![tcp(port)], ..NetConfig::default() }).await;
        a.reach(&b).await;
        a.connected(b.key).await;
        b.connected(a.key).await;
        exchange(&mut a, &mut b, 200, 64).await;
    }
}

/// A relay to `to` that can be frozen: nothing passes any more, and no socket closes. So a connection becomes half-open.
async fn relay(to: u16, frozen: CancellationToken) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        tokio::select! {
            () = frozen.cancelled() => {}
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => panic!("frozen before either end dies"),
        }
        std::future::pending::<()>().await;
        drop((near, far));
    });
    port
}

#[tokio::test]
async fn a_peer_that_restarts_while_its_old_connection_is_half_open_gets_every_message() {
    for (stale, restarted) in [(1, 2), (2, 1)] {
        let mut a = Node::start(stale).await;
        let port: u16 = a.addresses[0].rsplit('/').next().unwrap().parse().unwrap();
        let mut b = Node::start(restarted).await;
        let frozen = CancellationToken::new();
        let relay = relay(port, frozen.clone()).await;
        b.tell(Command::Reach { peer: a.key, addresses: vec![tcp(relay).to_string()] }).await;
        b.connected(a.key).await;
        a.connected(b.key).await;
        frozen.cancel();
        b.net.shutdown().await;
        // Whatever is sent now is lost without a sound: that is what half-open means.
        a.send(&b, numbered(0..200, 64)).await;
        let mut b = Node::start(restarted).await;
        b.reach(&a).await;
        let began = Instant::now();
        a.disconnected(b.key).await;
        a.connected(b.key).await;
        b.connected(a.key).await;
        println!("replaced a half-open connection in {:?}", began.elapsed());
        a.send(&b, numbered(0..200, 64)).await;
        assert_eq!(b.frames(a.key, 200).await, numbered(0..200, 64), "200 of 200");
        exchange(&mut a, &mut b, 200, 64).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_dial_each_other_at_once_end_with_one_connection() {
    for round in 0..20u8 {
        let (mut a, mut b) = (Node::start(2 * round + 10).await, Node::start(2 * round + 11).await);
        tokio::join!(a.reach(&b), b.reach(&a));
        let (key_a, key_b) = (a.key, b.key);
        tokio::join!(a.connected(key_b), b.connected(key_a));
        // `frames` refuses any other event: no Disconnected, no second Connected.
        exchange(&mut a, &mut b, 200, 64).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_receiver_does_not_stall_the_others() {
    let mut a = Node::start(1).await;
    let mut slow = Node::start_with(2, NetConfig { listen: vec![tcp(0)], events: 1, ..NetConfig::default() }).await;
    let mut quick = Node::start(3).await;
    connect(&mut a, &mut slow).await;
    connect(&mut a, &mut quick).await;
    // The slow node takes nothing: its queue here fills and says so.
    let overflow = NetEvent::Overflow { peer: slow.key };
    let mut told = false;
    for _ in 0..400 {
        a.send(&slow, vec![vec![7; 60_000]; 4]).await;
        while let Ok(event) = a.events.try_recv() {
            told |= event == overflow;
        }
        if told {
            break;
        }
        tokio::task::yield_now().await;
    }
    if !told {
        a.wait(|event| (event == overflow).then_some(())).await;
    }
    let began = Instant::now();
    exchange(&mut a, &mut quick, 2_000, 600).await;
    println!("beside a stalled peer: {:.0} frames/s", 4_000.0 / began.elapsed().as_secs_f64());
    // Once it takes them again the queue empties, and nothing of what was queued is lost.
    let drained = NetEvent::Drained { peer: slow.key };
    let reading = tokio::spawn(async move { while slow.events.recv().await.is_some() {} });
    a.wait(|event| (event == drained).then_some(())).await;
    reading.abort();
}

#[tokio::test]
async fn a_network_that_stops_is_gone_within_half_a_second_whatever_its_peers_do() {
    let mut a = Node::start(1).await;
    let port: u16 = a.addresses[0].rsplit('/').next().unwrap().parse().unwrap();
    let frozen = CancellationToken::new();
    let relay = relay(port, frozen.clone()).await;
    let mut b = Node::start(2).await;
    b.tell(Command::Reach { peer: a.key, addresses: vec![tcp(relay).to_string()] }).await;
    b.connected(a.key).await;
    a.connected(b.key).await;
    // A peer that takes nothing any more, one that never answers a handshake, and events that nobody takes.
    frozen.cancel();
    a.send(&b, numbered(0..1_000, 4_000)).await;
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute_at = tcp(mute.local_addr().unwrap().port());
    a.tell(Command::Probe { addresses: vec![mute_at.to_string()] }).await;
    let (_held, _) = mute.accept().await.unwrap();
    let began = Instant::now();
    a.net.shutdown().await;
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    // Its port is free at once.
    std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
}

#[tokio::test]
async fn a_network_that_stops_leaves_nothing_running() {
    let (a, mut b) = pair(1, 2).await;
    a.net.shutdown().await;
    assert_eq!(a.net.tell(Command::TryNow).await, Err(Stopped));
    b.disconnected(a.key).await;
}

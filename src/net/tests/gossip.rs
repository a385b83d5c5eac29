//! Gossip under a gate: what is forwarded, what is not, and how many topics a node may have.

use super::*;
use futures::StreamExt;
use libp2p::{gossipsub, swarm::SwarmEvent};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const TOPIC: Topic = Topic([9; 20]);

/// Judges by the first byte: `+` accepted, `?` ignored and told, `-` ignored, anything else rejected. Counts its calls.
fn gate(calls: &Arc<AtomicUsize>) -> Gate {
    let calls = calls.clone();
    Arc::new(move |frame| {
        calls.fetch_add(1, Ordering::SeqCst);
        match frame.first() {
            Some(b'+') => Verdict::Accept(frame[1..].to_vec()),
            Some(b'?') => Verdict::Ignore(Some(frame[1..].to_vec())),
            Some(b'-') => Verdict::Ignore(None),
            _ => Verdict::Reject,
        }
    })
}

async fn subscribed(seed: u8, topic: Topic) -> (Node, Arc<AtomicUsize>) {
    let (node, calls) = (Node::start(seed).await, Arc::new(AtomicUsize::new(0)));
    node.tell(Command::Subscribe { topic, gate: gate(&calls) }).await;
    (node, calls)
}

/// Connects two nodes that share gossip, with each other alone.
async fn connect_members(a: &mut Node, b: &mut Node) {
    a.circle(&[b.key]).await;
    b.circle(&[a.key]).await;
    connect(a, b).await;
}

/// Publishes one frame after another until `to` hears one: a mesh takes a moment to form.
async fn until_heard(from: &Node, topic: Topic, to: &mut Node) {
    for n in 0u32.. {
        let frame = [b"+mesh", &n.to_be_bytes()[..]].concat();
        from.tell(Command::Publish { topic, frame }).await;
        let heard = async {
            to.wait(|event| matches!(event, NetEvent::Gossip { topic: t, .. } if t == topic).then_some(())).await;
        };
        if timeout(Duration::from_millis(100), heard).await.is_ok() {
            return;
        }
        assert!(n < 300, "no mesh in 30 s");
    }
}

async fn heard(node: &mut Node, expected: &[u8]) -> bool {
    node.wait(|event| match event {
        NetEvent::Gossip { payload, forwarded, .. } if payload == expected => Some(forwarded),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gate_accepts_crosses_a_line_of_five_and_nothing_else_does() {
    let mut line = Vec::new();
    for seed in 1..=5 {
        line.push(subscribed(seed, TOPIC).await);
    }
    let keys: Vec<_> = line.iter().map(|(node, _)| node.key).collect();
    for (node, _) in &line {
        node.circle(&keys).await;
    }
    for at in 0..4 {
        let (left, right) = line.split_at_mut(at + 1);
        connect(&mut left[at].0, &mut right[0].0).await;
    }
    let (first, rest) = line.split_at_mut(1);
    until_heard(&first[0].0, TOPIC, &mut rest[3].0).await;

    for frame in ["bad", "-silent", "?kept", "+good"] {
        first[0].0.tell(Command::Publish { topic: TOPIC, frame: frame.into() }).await;
    }
    assert!(!heard(&mut rest[0].0, b"kept").await, "told, and not forwarded");
    for (node, _) in rest.iter_mut() {
        assert!(heard(node, b"good").await);
    }
    // The second node judged all four, those behind it only what it accepted.
    let judged: Vec<_> = rest.iter().map(|(_, calls)| calls.load(Ordering::SeqCst)).collect();
    assert_eq!(judged[1], judged[0] - 3, "{judged:?}");
    assert_eq!(judged[2], judged[1], "{judged:?}");
    assert_eq!(first[0].1.load(Ordering::SeqCst), 0, "own frames do not come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_frames_are_rejected_is_soon_not_heard_at_all() {
    let (mut good, calls) = subscribed(1, TOPIC).await;
    let (mut bad, _) = subscribed(2, TOPIC).await;
    connect_members(&mut good, &mut bad).await;
    until_heard(&bad, TOPIC, &mut good).await;
    for n in 0..200u32 {
        bad.tell(Command::Publish { topic: TOPIC, frame: [b"bad", &n.to_be_bytes()[..]].concat() }).await;
    }
    // Frames of one peer arrive in order, and direct frames after them show that they have been judged or ignored.
    let judged = |calls: &AtomicUsize| calls.load(Ordering::SeqCst);
    while judged(&calls) < 9 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bad.tell(Command::Publish { topic: TOPIC, frame: b"+too late".into() }).await;
    let late = async { heard(&mut good, b"too late").await };
    assert!(timeout(Duration::from_secs(2), late).await.is_err());
    assert!(judged(&calls) < 100, "{} of 200 were judged", judged(&calls));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_and_fifty_topics_all_work() {
    let topics: Vec<_> = (0..150u8).map(|n| Topic([n; 20])).collect();
    let (mut a, mut b) = (Node::start(1).await, Node::start(2).await);
    let calls = Arc::new(AtomicUsize::new(0));
    for (at, topic) in topics.iter().enumerate() {
        // Half of them before the connection, half after.
        if at == 75 {
            connect_members(&mut a, &mut b).await;
        }
        for node in [&a, &b] {
            node.tell(Command::Subscribe { topic: *topic, gate: gate(&calls) }).await;
        }
    }
    for topic in [0, 74, 75, 100, 101, 149].map(|at| topics[at]) {
        until_heard(&a, topic, &mut b).await;
    }
    b.tell(Command::Unsubscribe { topic: topics[149] }).await;
    until_heard(&a, topics[148], &mut b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_works_after_both_dialled_at_once_and_after_a_restart() {
    for round in 0..5u8 {
        let (mut a, _) = subscribed(10 + 2 * round, TOPIC).await;
        let (mut b, _) = subscribed(11 + 2 * round, TOPIC).await;
        a.circle(&[b.key]).await;
        b.circle(&[a.key]).await;
        tokio::join!(a.reach(&b), b.reach(&a));
        let (key_a, key_b) = (a.key, b.key);
        tokio::join!(a.connected(key_b), b.connected(key_a));
        until_heard(&a, TOPIC, &mut b).await;
        until_heard(&b, TOPIC, &mut a).await;
    }
}

/// Somebody who speaks the direct protocol, and gossip with whoever speaks it too.
#[derive(libp2p::swarm::NetworkBehaviour)]
struct Curious {
    streams: libp2p_stream::Behaviour,
    ping: libp2p::ping::Behaviour,
    gossip: gossipsub::Behaviour,
}

fn curious() -> libp2p::Swarm<Curious> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .max_transmit_size(100_000)
        .build()
        .unwrap();
    let mut gossip = gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config).unwrap();
    gossip.subscribe(&Topic([1; 20]).ident()).unwrap();
    libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(libp2p::tcp::Config::default(), libp2p::noise::Config::new, libp2p::yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| Curious {
            streams: libp2p_stream::Behaviour::new(),
            ping: libp2p::ping::Behaviour::default(),
            gossip,
        })
        .unwrap()
        .build()
}

/// What it first learns of the node's gossip.
async fn learned(node: &Node, mut curious: libp2p::Swarm<Curious>) -> gossipsub::Event {
    let mut control = curious.behaviour().streams.new_control();
    let _inbound = control.accept(crate::net::direct::PROTOCOL).unwrap();
    curious.dial(node.addresses[0].parse::<Multiaddr>().unwrap()).unwrap();
    let learned = async {
        loop {
            match curious.select_next_some().await {
                SwarmEvent::Behaviour(CuriousEvent::Gossip(event)) => return event,
                SwarmEvent::ConnectionEstablished { .. } => {
                    // One that is made later is not told either.
                    node.tell(Command::Subscribe { topic: Topic([8; 20]), gate: gate(&Arc::default()) }).await;
                }
                SwarmEvent::ConnectionClosed { cause, .. } => panic!("{cause:?}"),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, learned).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_learns_no_topic_and_cannot_tell_that_there_are_any() {
    let (node, _) = subscribed(1, TOPIC).await;
    let (stranger, member) = (curious(), curious());
    node.circle(&[address::transport_key(member.local_peer_id()).unwrap()]).await;
    let event = learned(&node, stranger).await;
    assert!(matches!(event, gossipsub::Event::GossipsubNotSupported { .. }), "{event:?}");
    let event = learned(&node, member).await;
    assert!(matches!(&event, gossipsub::Event::Subscribed { .. }), "{event:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_becomes_a_member_while_connected_shares_gossip_from_then_on() {
    for first in [0, 1] {
        let (mut a, _) = subscribed(20 + 2 * first, TOPIC).await;
        let (mut b, _) = subscribed(21 + 2 * first, TOPIC).await;
        connect(&mut a, &mut b).await;
        // One takes the other in and knocks in vain; frames show that this is over before the other does the same.
        let (early, late) = if first == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
        early.circle(&[late.key]).await;
        for n in 0..20 {
            early.send(late, vec![vec![n]]).await;
            late.frames(early.key, 1).await;
            late.send(early, vec![vec![n]]).await;
            early.frames(late.key, 1).await;
        }
        late.circle(&[early.key]).await;
        until_heard(&a, TOPIC, &mut b).await;
        until_heard(&b, TOPIC, &mut a).await;
        // The connection is the one that was: no other event came between the frames.
        a.send(&b, vec![vec![9]]).await;
        b.wait(|event| match event {
            NetEvent::Frame { bytes, .. } if bytes == [9] => Some(()),
            NetEvent::Disconnected { .. } => panic!("a new connection"),
            _ => None,
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_a_member_no_more_hears_no_gossip_and_may_come_back() {
    let (mut a, _) = subscribed(1, TOPIC).await;
    let (mut b, calls) = subscribed(2, TOPIC).await;
    connect_members(&mut a, &mut b).await;
    for _ in 0..2 {
        until_heard(&a, TOPIC, &mut b).await;
        a.circle(&[]).await;
        // Both begin anew, and the other still takes this one for a member.
        b.disconnected(a.key).await;
        b.connected(a.key).await;
        a.connected(b.key).await;
        let judged = calls.load(Ordering::SeqCst);
        a.tell(Command::Publish { topic: TOPIC, frame: b"+secret".into() }).await;
        b.tell(Command::Publish { topic: TOPIC, frame: b"+secret too".into() }).await;
        // Frames come after what was published before them.
        for n in 0..20 {
            a.send(&b, vec![vec![n]]).await;
            b.wait(|event| matches!(event, NetEvent::Frame { bytes, .. } if bytes == [n]).then_some(())).await;
        }
        assert_eq!(calls.load(Ordering::SeqCst), judged);
        a.circle(&[b.key]).await;
    }
    until_heard(&b, TOPIC, &mut a).await;
}

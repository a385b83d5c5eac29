//! How the swarm is put together: transports and behaviours, and nothing that runs.

use crate::net::{
    Mdns, NetError, circle, direct, door, gossip,
    limits::{
        CLOSE_TIMEOUT, DoorLimits, HANDSHAKE_TIMEOUT, MAX_NEGOTIATING, MAX_STREAMS, PING_INTERVAL, PING_TIMEOUT,
        QUIC_CONNECTION_WINDOW, QUIC_STREAM_WINDOW,
    },
    multiplex,
};
use libp2p::{
    PeerId, Swarm, Transport, allow_block_list as block_list,
    core::{
        muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent},
        transport::Boxed,
        upgrade::Version,
    },
    dns, identify,
    identity::Keypair,
    mdns, noise, ping, quic,
    swarm::{self, NetworkBehaviour, behaviour::toggle::Toggle},
    tcp,
};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::Sleep;
use tokio_util::task::TaskTracker;

/// What the swarm does. The order counts: a connection is offered to the fields from first to last, and one that a field
/// refuses is never seen by those after it.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) door: door::Behaviour,
    pub(super) blocked: block_list::Behaviour<block_list::BlockedPeers>,
    pub(super) direct: direct::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) circle: circle::Behaviour,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
}

/// A swarm of this identity that listens nowhere yet; its connections run among `tasks`.
pub(super) fn build(
    key: &Keypair,
    mdns: Mdns,
    door: DoorLimits,
    tasks: &TaskTracker,
) -> Result<Swarm<Behaviour>, NetError> {
    let me = key.public().to_peer_id();
    // Strangers learn what the protocols need: no version, no addresses.
    let identify = identify::Config::new("/moim/1".into(), key.public())
        .with_agent_version("moim".into())
        .with_hide_listen_addrs(true)
        .with_cache_size(0);
    let mdns = match mdns {
        Mdns::On => Some(mdns::tokio::Behaviour::new(mdns::Config::default(), me).map_err(NetError::transport)?),
        Mdns::Off => None,
    };
    let behaviour = Behaviour {
        door: door::Behaviour::new(door),
        blocked: block_list::Behaviour::default(),
        direct: direct::Behaviour::default(),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
        identify: identify::Behaviour::new(identify),
        circle: circle::Behaviour::new(gossip::behaviour()?),
        mdns: mdns.into(),
    };
    let tasks = tasks.clone();
    let executor = move |task: Pin<Box<dyn Future<Output = ()> + Send>>| drop(tasks.spawn(task));
    let config = swarm::Config::with_executor(executor).with_max_negotiating_inbound_streams(MAX_NEGOTIATING);
    Ok(Swarm::new(transport(key)?, behaviour, me, config))
}

/// TCP (Noise, yamux) and QUIC, with names resolved where the system can.
fn transport(key: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetError> {
    let named = match dns::tokio::Transport::system(sockets(key)?) {
        Ok(transport) => transport,
        // A system without resolver settings still has its own and literal addresses.
        Err(error) => {
            tracing::warn!(%error, "this system names no resolver; /dns addresses may not be found");
            dns::tokio::Transport::custom(sockets(key)?, dns::ResolverConfig::default(), dns::ResolverOpts::default())
        }
    };
    Ok(named.boxed())
}

fn sockets(key: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetError> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).map_err(NetError::transport)?)
        .multiplex(multiplex::Upgrade)
        .timeout(HANDSHAKE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(Brief::new(muxer))));
    let mut config = quic::Config::new(key);
    config.handshake_timeout = HANDSHAKE_TIMEOUT;
    config.max_concurrent_stream_limit = MAX_STREAMS as u32;
    config.max_stream_data = QUIC_STREAM_WINDOW;
    config.max_connection_data = QUIC_CONNECTION_WINDOW;
    let quic =
        quic::tokio::Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(Brief::new(muxer))));
    Ok(tcp.or_transport(quic).map(|either, _| either.into_inner()).boxed())
}

/// A connection whose goodbye is brief: on a half-open one it would wait for minutes, and keep the peer from returning.
struct Brief<M> {
    muxer: Pin<Box<M>>,
    closing: Option<Pin<Box<Sleep>>>,
}

impl<M> Brief<M> {
    fn new(muxer: M) -> Self {
        Self { muxer: Box::pin(muxer), closing: None }
    }
}

impl<M: StreamMuxer> StreamMuxer for Brief<M> {
    type Substream = M::Substream;
    type Error = M::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<M::Substream, M::Error>> {
        self.muxer.as_mut().poll_inbound(cx)
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<M::Substream, M::Error>> {
        self.muxer.as_mut().poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        if let Poll::Ready(done) = self.muxer.as_mut().poll_close(cx) {
            return Poll::Ready(done);
        }
        let closing = self.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_TIMEOUT)));
        closing.as_mut().poll(cx).map(Ok)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, M::Error>> {
        self.muxer.as_mut().poll(cx)
    }
}

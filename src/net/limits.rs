//! What one node's network may hold, each a named constant with its reason. These are this node's own policy: what both
//! sides must agree on is in [`crate::protocol::wire::limits`].

use std::time::Duration;

// Connections

/// What [`DoorLimits`] bounds, with its own values.
pub const DOOR: DoorLimits = DoorLimits {
    // Each costs a Diffie-Hellman and a few KiB, for at most HANDSHAKE_TIMEOUT.
    pending: 128,
    // An office behind one address that comes back all at once, and no more.
    pending_from_one_place: 16,
    // Each may hold CONNECTION_WINDOW of memory.
    strangers: 64,
    // A home or an office.
    strangers_from_one_place: 16,
    // Ten times what the first exchange under a link takes on a slow network.
    turn: Duration::from_secs(20),
    // Long enough for a person to look at a request.
    silence: Duration::from_secs(2 * 60),
    // Far past what a node needs, and a test of a thousand nodes in one process; well before the system kills it.
    memory: 2 * 1024 * 1024 * 1024,
};

/// How many others may come in of themselves. Peers that this node wants to reach come on top: strangers cannot take their
/// places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorLimits {
    /// Handshakes under way.
    pub pending: usize,
    /// Those of one address (IPv6: of one /64). Not for this machine's own, whose nodes share one.
    pub pending_from_one_place: usize,
    /// Connections of strangers.
    pub strangers: usize,
    /// Those of one address, as above.
    pub strangers_from_one_place: usize,
    /// How long a stranger may stay where another wants its place.
    pub turn: Duration,
    /// A stranger with whom no frame was exchanged for this long is sent away.
    pub silence: Duration,
    /// Where this process holds more bytes than these, no stranger is let in, on systems that say so (Linux).
    pub memory: u64,
}

impl Default for DoorLimits {
    fn default() -> Self {
        DOOR
    }
}

/// Dials under way at once: at start a node may know a thousand peers, and each dial tries several addresses.
pub const MAX_DIALS: usize = 32;
/// Streams of one connection: gossip, ping, identify and direct take eight; the rest is room for what comes.
pub const MAX_STREAMS: usize = 24;
/// Streams being negotiated by the remote of one connection.
pub const MAX_NEGOTIATING: usize = 8;
/// Unread bytes of one TCP connection: 256 KiB for each stream, which the multiplexer promises, and 2 MiB for those that
/// are quick and far away. Its own limit is 1 GiB, to which a peer that delays its answers can stretch it.
pub const CONNECTION_WINDOW: usize = MAX_STREAMS * 256 * 1024 + 2 * 1024 * 1024;
/// Incoming streams of one connection that wait to be taken up.
pub const MAX_WAITING_STREAMS: usize = 8;
/// Unread bytes of one QUIC stream.
pub const QUIC_STREAM_WINDOW: u32 = 1024 * 1024;
/// Unread bytes of one QUIC connection: four busy streams.
pub const QUIC_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Transport, encryption and multiplexing must be agreed within this.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Both direct streams must be open this soon after the connection, or the peer is not one of ours.
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The network has ended this soon after it was told to: what does not end by then is left to the system.
pub const STOP_TIMEOUT: Duration = Duration::from_millis(150);
/// Saying goodbye may take this long: on a half-open connection nobody answers.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// A connection whose peer makes another must answer within this, or it is dead.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a connection is asked whether it lives.
pub const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long the answer may take: a 64 KiB frame before it takes 8 s at 64 kbit/s.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

// Direct streams

/// Frames that wait for one peer.
pub const MAX_QUEUED_FRAMES: usize = 4_096;
/// Bytes of frames that wait for one peer; past it a frame is dropped and said so, and the outbox sends it again.
pub const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;
/// Frames written to a stream in one go.
pub const MAX_BATCH_FRAMES: usize = 256;
/// Bytes written to a stream in one go; one frame may go past it.
pub const MAX_BATCH_BYTES: usize = 64 * 1024;
/// The buffer a stream is read through: many small frames in one read, and little for an idle peer.
pub const READ_BUFFER: usize = 8 * 1024;
/// How long what has come in is still read after its connection closed.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

// Dialling

/// Peers this node wants to reach: every device of a few thousand people.
pub const MAX_REACHED: usize = 8_192;
/// Addresses remembered of one of them; the newest win.
pub const MAX_PEER_ADDRESSES: usize = 8;
/// Addresses taken of one of those.
pub const MAX_NEARBY_ADDRESSES: usize = 2;
/// Peers remembered of those that the local network names; more is somebody making names up.
pub const MAX_NEARBY: usize = 256;
/// The first pause between dials…
pub const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
/// …which doubles up to this.
pub const BACK_OFF_LAST: Duration = Duration::from_secs(5 * 60);
/// A connection that lived this long was a good one: the pause begins anew.
pub const STABLE_AFTER: Duration = Duration::from_secs(10);
/// Addresses of unknown peers that are tried side by side.
pub const MAX_PROBES: usize = 64;
/// How long one of them is tried.
pub const PROBE_LIFE: Duration = Duration::from_secs(2 * 60);

// Towards the node

/// Commands that wait for the network.
pub const MAX_COMMANDS: usize = 1_024;
/// Events that wait for the node: at most 256 frames of 64 KiB, 16 MiB.
pub const MAX_EVENTS: usize = 256;
/// Events the swarm holds back while the channel is full; past it the swarm itself waits.
pub const MAX_HELD_EVENTS: usize = 512;
/// Gossip among them; past it a payload is dropped, and sync brings it.
pub const MAX_HELD_GOSSIP: usize = 128;

// Offences

/// Frames that lie about their length before a peer is shut out.
pub const MAX_OFFENCES: u32 = 3;
/// How long it is shut out, and how long an offence is remembered.
pub const SHUT_OUT_FOR: Duration = Duration::from_secs(10 * 60);
/// Offenders remembered; the oldest is forgotten first.
pub const MAX_OFFENDERS: usize = 1_024;

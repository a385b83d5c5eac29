//! The engine: one function from what happened to what must be done.
//!
//! [`Engine::handle`] takes one [`Input`], the time, randomness and a [`View`] of the store, and returns [`Effect`]s. The
//! caller carries the effects of an input out in one order: persist → sync → send → reply → tell the views. `self` holds
//! only what may be lost (who is connected, timers, caches): a caller whose persist failed drops the engine and makes a new
//! one. Same inputs, same view, same seed: same effects, byte for byte.

pub mod command;
pub mod feed;
pub mod rows;

pub use command::{Command, Refusal, Reply};

use crate::protocol::{
    group::gossip::{FrameContent, Gate, Topic},
    ids::TransportKey,
    time::Millis,
    view::{View, ViewError, Write},
};
use rand_core::CryptoRng;

/// Tells which command a reply answers; chosen by the caller.
pub type Token = u64;

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    /// A person or program wants something. Answered by exactly one [`Effect::Reply`] with the same token.
    Command(Token, Command),
    /// The network is up (once, before any other input of the network).
    Online,
    /// This node listens at these addresses now (multiaddr texts). Replaces what was said before.
    Listening(Vec<String>),
    /// A peer is connected; `address` is where it was reached, if this node dialled it.
    Connected {
        /// Whose connection it is, proven by the transport's handshake.
        peer: TransportKey,
        /// The remote address that worked.
        address: Option<String>,
    },
    /// The last connection to a peer is gone.
    Disconnected(TransportKey),
    /// A frame came on a peer's direct stream.
    Frame(TransportKey, Vec<u8>),
    /// The network dropped frames for this peer since its queue was full; they are sent again later.
    Overflow(TransportKey),
    /// A gossip frame that the gate opened.
    Gossip(Topic, FrameContent),
    /// All that had arrived was handed in: receipts and replies that were gathered go out with this one. Given once at the
    /// end of each drain, in the same commit.
    DrainEnd,
    /// The time that [`Engine::next_wake`] named has come.
    Tick,
}

/// One thing to do.
#[derive(Debug)]
pub enum Effect {
    /// Apply these writes, whole or not at all, before anything below is done.
    Persist(Vec<Write>),
    /// Put frames on the direct stream of a connected peer, in order.
    Send(TransportKey, Vec<Vec<u8>>),
    /// Publish a gossip frame.
    Publish(Topic, Vec<u8>),
    /// Take part in a topic under this gate; replaces an earlier gate of the topic.
    Subscribe(Topic, Gate),
    /// Leave a topic.
    Unsubscribe(Topic),
    /// Keep a connection to this peer: dial now and with back-off. Addresses are added to those known.
    Reach(TransportKey, Vec<String>),
    /// No connection to this peer is needed any more; drop one that is open.
    Forget(TransportKey),
    /// Answer a command.
    Reply(Token, Result<Reply, Refusal>),
    /// The feed has entries up to and including this cursor: tell the views.
    Feed(u64),
}

/// What an account is made of when it begins on this device. The words stay with the caller.
pub use crate::protocol::engine::rows::OwnRow;

/// What the owner chose in the configuration, as far as the engine must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether others learn when their messages were read.
    pub read_receipts: bool,
    /// Whether a group invitation by a connected contact is accepted at once.
    pub join_contacts_groups: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { read_receipts: true, join_contacts_groups: true }
    }
}

/// The engine of one device.
#[derive(Debug, Default)]
pub struct Engine {
    settings: Settings,
}

impl Engine {
    /// An engine over a store that holds an account. Nothing is done until the first input.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// What must be done about `input`. On an error nothing must be persisted or sent; the input may be handed in again.
    pub fn handle(
        &mut self,
        input: Input,
        now: Millis,
        rng: &mut dyn CryptoRng,
        view: &dyn View,
    ) -> Result<Vec<Effect>, ViewError> {
        let _ = (input, now, rng, view, self.settings);
        Ok(Vec::new())
    }

    /// When [`Input::Tick`] is wanted next.
    pub fn next_wake(&self) -> Option<Millis> {
        None
    }
}

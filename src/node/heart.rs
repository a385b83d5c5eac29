//! The engine over its store, one drain at a time: handle, stage, commit, and only then hand out what must be told.
//!
//! It promises that nothing leaves before what it rests on is durable, and that after any failure nothing of the drain is
//! left: no staged row, no gathered effect, no memory of the engine. It knows no thread, channel or network.

use crate::{
    protocol::{
        engine::{Effect, Engine, Input, Notice, Refusal, Reply, Token},
        group::gossip::{Gate, Topic},
        ids::TransportKey,
        time::Millis,
        view::{View, ViewError, Write},
    },
    store::{Store, StoreError},
};
use rand_chacha::ChaCha20Rng;
use rand_core::CryptoRng;
use std::time::Duration;

/// What the actor needs of an engine.
pub(super) trait Core: Send {
    /// See [`Engine::handle`].
    fn handle(
        &mut self,
        input: Input,
        now: Millis,
        rng: &mut dyn CryptoRng,
        view: &dyn View,
    ) -> Result<Vec<Effect>, ViewError>;

    /// See [`Engine::next_wake`].
    fn next_wake(&self) -> Option<Millis>;
}

impl Core for Engine {
    fn handle(
        &mut self,
        input: Input,
        now: Millis,
        rng: &mut dyn CryptoRng,
        view: &dyn View,
    ) -> Result<Vec<Effect>, ViewError> {
        Engine::handle(self, input, now, rng, view)
    }

    fn next_wake(&self) -> Option<Millis> {
        Engine::next_wake(self)
    }
}

/// What goes out over the network.
#[derive(Debug)]
pub(super) enum Outgoing {
    Send(TransportKey, Vec<Vec<u8>>),
    Publish(Topic, Vec<u8>),
    Subscribe(Topic, Gate),
    Unsubscribe(Topic),
    Reach(TransportKey, Vec<String>),
    Forget(TransportKey),
    /// With whom alone gossip is shared. Never of the engine.
    Circle(Vec<TransportKey>),
    Probe(Vec<String>),
    /// Close the connection, so that a new one begins with what was not acknowledged. Never of the engine.
    HangUp(TransportKey),
}

/// What a settled drain tells, in the order it is to be told: network, replies, views.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// For the network, in the order the engine gave it.
    pub(super) outgoing: Vec<Outgoing>,
    /// Answers.
    pub(super) replies: Vec<(Token, Result<Reply, Refusal>)>,
    /// The feed's last cursor, if it grew.
    pub(super) feed: Option<u64>,
}

/// Why a drain came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Read(#[from] ViewError),
    #[error(transparent)]
    Write(#[from] StoreError),
}

/// The engine, its store and what the present drain has gathered.
pub(super) struct Heart<C, S> {
    core: C,
    fresh: Box<dyn FnMut() -> C + Send>,
    store: S,
    rng: ChaCha20Rng,
    gathered: Settled,
    staged: usize,
    /// The engine heard in this drain that the store was rolled back.
    told_of_rollback: bool,
}

impl<C: Core, S: Store> Heart<C, S> {
    /// `fresh` makes an engine that remembers nothing.
    pub(super) fn new(store: S, rng: ChaCha20Rng, mut fresh: impl FnMut() -> C + Send + 'static) -> Self {
        let core = fresh();
        let fresh = Box::new(fresh);
        Self { core, fresh, store, rng, gathered: Settled::default(), staged: 0, told_of_rollback: false }
    }

    /// Hands one input in. After an error the drain is over: call [`Heart::give_up`].
    pub(super) fn take(&mut self, input: Input, now: Millis) -> Result<(), Failure> {
        self.store.revive()?;
        if self.store.rolled_back() && !self.told_of_rollback {
            self.told_of_rollback = true;
            self.hand_in(Input::RolledBack, now)?;
        }
        self.hand_in(input, now)
    }

    fn hand_in(&mut self, input: Input, now: Millis) -> Result<(), Failure> {
        for effect in self.core.handle(input, now, &mut self.rng, &self.store)? {
            match effect {
                Effect::Persist(writes) => {
                    self.staged += writes.iter().map(weight).sum::<usize>();
                    self.store.stage(writes)?;
                }
                Effect::Reply(token, answer) => self.gathered.replies.push((token, answer)),
                Effect::Feed(cursor) => self.gathered.feed = self.gathered.feed.max(Some(cursor)),
                Effect::Send(peer, frames) => self.gathered.outgoing.push(Outgoing::Send(peer, frames)),
                Effect::Publish(topic, frame) => self.gathered.outgoing.push(Outgoing::Publish(topic, frame)),
                Effect::Subscribe(topic, gate) => self.gathered.outgoing.push(Outgoing::Subscribe(topic, gate)),
                Effect::Unsubscribe(topic) => self.gathered.outgoing.push(Outgoing::Unsubscribe(topic)),
                Effect::Reach(peer, addresses) => self.gathered.outgoing.push(Outgoing::Reach(peer, addresses)),
                Effect::Damaged(table) => {
                    tracing::error!(?table, "rows are not what was written; whatever does not need them goes on");
                }
                Effect::Forget(peer) => self.gathered.outgoing.push(Outgoing::Forget(peer)),
                Effect::Shunned(peer, offence) => {
                    tracing::warn!(?peer, ?offence, "a device misbehaves; nothing is compared with it for an hour");
                }
                Effect::Probe(addresses) => self.gathered.outgoing.push(Outgoing::Probe(addresses)),
                Effect::Notice(peer, notice) => log(&peer, notice),
            }
        }
        Ok(())
    }

    /// Ends the drain: everything that was handed in is durable when this returns. After an error call
    /// [`Heart::give_up`].
    pub(super) fn settle(&mut self, now: Millis) -> Result<Settled, Failure> {
        self.take(Input::DrainEnd, now)?;
        self.store.commit()?;
        self.staged = 0;
        self.told_of_rollback = false;
        Ok(std::mem::take(&mut self.gathered))
    }

    /// Forgets the drain, and the engine with it: it may remember what never became true.
    pub(super) fn give_up(&mut self) {
        self.store.discard();
        self.gathered = Settled::default();
        self.staged = 0;
        self.told_of_rollback = false;
        self.core = (self.fresh)();
    }

    /// Bytes that wait for the commit.
    pub(super) fn staged(&self) -> usize {
        self.staged
    }

    pub(super) fn next_wake(&self) -> Option<Millis> {
        self.core.next_wake()
    }

    /// When the store wants to do something by itself.
    pub(super) fn next_chore(&self, now: Millis) -> Option<Millis> {
        self.store.next_chore(now)
    }

    /// Lets the store do a piece of that. Between drains only.
    pub(super) fn chore(&mut self, now: Millis) -> Result<(), StoreError> {
        self.store.do_chore(now)
    }

    /// Lets the store end well.
    pub(super) fn finish(&mut self, within: Duration) -> Result<(), StoreError> {
        self.store.finish(within)
    }

    pub(super) fn view(&self) -> &dyn View {
        &self.store
    }
}

/// Tells the owner's log of a peer, by its key alone.
fn log(peer: &TransportKey, notice: Notice) {
    match notice {
        Notice::MailboxLeftAlone { all, useless } => {
            tracing::warn!(%peer, all, useless, "a mailbox gives too much of no use; it is left alone for a while");
        }
        Notice::Replaced => {
            tracing::warn!(%peer, "another device took the place of this one in its account; nobody listens to it any more");
        }
    }
}

fn weight(write: &Write) -> usize {
    write.row().map_or(0, |(key, value)| key.scope.len() + value.len())
}

//! The engine: one function from what happened to what must be done.
//!
//! [`Engine::handle`] takes one [`Input`], the time, randomness and a [`View`] of the store, and returns [`Effect`]s. The
//! caller carries the effects of an input out in one order: persist → sync → send → reply → tell the views. `self` holds
//! only what may be lost (who is connected, timers, caches): a caller whose persist failed drops the engine and makes a new
//! one. Same inputs, same view, same seed: same effects, byte for byte.

pub mod backup;
pub mod begin;
mod bundles;
mod chats;
pub mod command;
mod contacts;
pub mod feed;
mod group_give;
mod group_held;
mod group_keys;
mod group_ops;
mod group_part;
mod group_sync;
mod groups;
mod intros;
mod outbox;
mod peers;
mod receipts;
pub mod record;
pub mod rows;
mod sessions;
#[cfg(test)]
mod tests;
mod tickets;
mod turn;

pub use command::{Command, Refusal, Reply};

use crate::protocol::{
    group::{ChainKey, FrameContent, Gate, Graph, Membership, Missing, Topic, keys::HeldSecret},
    ids::{AccountId, ChatId, DeviceId, OpId, TransportKey},
    time::Millis,
    view::{View, ViewError, Write},
};
use group_give::Given;
use group_held::HeldIndex;
use group_ops::OpsAside;
use outbox::Lane;
use rand_core::CryptoRng;
use receipts::Owed;
use record::Record;
use sessions::Heard;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use turn::{Step, Stop, Turn};

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
    mem: Memory,
}

/// What the engine keeps between inputs. All of it may be lost: it is made anew from the store and what happens next.
#[derive(Debug, Default)]
struct Memory {
    /// Whether there is a network.
    online: bool,
    /// Who is connected, and as which device.
    peers: BTreeMap<TransportKey, Option<DeviceId>>,
    /// What is under way to whom.
    lanes: BTreeMap<DeviceId, Lane>,
    /// Receipts of this drain.
    owed: BTreeMap<DeviceId, Owed>,
    /// Receipts of group events, gathered a little longer.
    owed_later: BTreeSet<(DeviceId, ChatId)>,
    /// Ops of groups, as loaded.
    groups: BTreeMap<OpId, Arc<GroupMemory>>,
    /// Ops whose past is not here yet.
    ops_aside: BTreeMap<OpId, OpsAside>,
    /// Gossip secrets whose ops are not here yet, one of each device that handed one over.
    secrets_aside: BTreeMap<OpId, BTreeMap<DeviceId, HeldSecret>>,
    /// Envelopes that start a session as members, of devices that are not known as members' yet, oldest first.
    early_starts: BTreeMap<OpId, VecDeque<(TransportKey, Vec<u8>)>>,
    /// Sender chains of devices that are not known as members' yet, one of each.
    chains_aside: BTreeMap<OpId, BTreeMap<DeviceId, ChainKey>>,
    /// What is held of each group's events.
    held: BTreeMap<OpId, HeldIndex>,
    /// Topics subscribed to, and whose they are.
    topics: BTreeMap<OpId, Vec<Topic>>,
    topic_groups: BTreeMap<Topic, OpId>,
    /// Groups with a timer for a rotation (and when), for comparing with members, or for asking them.
    rotation_planned: BTreeMap<OpId, Millis>,
    repairing: BTreeSet<OpId>,
    asking: BTreeSet<OpId>,
    ask_first: BTreeMap<OpId, DeviceId>,
    /// When old keys and held events of a group were looked over last.
    looked_over: BTreeMap<OpId, Millis>,
    /// What devices that asked were given in the last second.
    given: BTreeMap<(OpId, DeviceId), Given>,
    /// When a gossip secret was handed over on request.
    secrets_handed: BTreeMap<(OpId, DeviceId, OpId), Millis>,
    timers: BTreeSet<(Millis, Timer)>,
}

/// A group's ops, resolved.
#[derive(Debug, Clone)]
struct GroupMemory {
    graph: Graph,
    membership: Membership,
    arrived: BTreeMap<OpId, Millis>,
    secrets: Vec<HeldSecret>,
}

impl GroupMemory {
    /// Whose device this was at these heads.
    fn member_at(&self, heads: &[OpId], device: DeviceId) -> Result<Option<AccountId>, Missing> {
        let whose = |membership: &Membership| {
            let mut members = membership.members.iter();
            members.find(|(_, member)| member.devices.contains(&device)).map(|(account, _)| *account)
        };
        if heads == self.graph.heads() {
            return Ok(whose(&self.membership));
        }
        Ok(whose(&self.graph.membership_at(heads)?))
    }
}

/// What a tick may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// See to what is under way to a device.
    Lane(DeviceId),
    /// Ask the maker of a link again for its bundle.
    AskBundle(TransportKey),
    /// Tell authors what is held of their group events.
    GroupReceipts,
    /// Ask members for what is missing.
    Ask(OpId),
    /// Compare with members.
    Repair(OpId),
    /// Make a new gossip secret, if nobody did.
    Rotate(OpId),
    /// See whether members have heard of the own leaving.
    Part(OpId),
    /// Look over prekeys, links and sessions.
    Upkeep,
}

impl Engine {
    /// An engine over a store that holds an account. Nothing is done until the first input.
    pub fn new(settings: Settings) -> Self {
        Self { settings, mem: Memory::default() }
    }

    /// What must be done about `input`. On an error nothing must be persisted or sent, and the engine is to be dropped and
    /// made anew; the input may be handed in again.
    pub fn handle(
        &mut self,
        input: Input,
        now: Millis,
        rng: &mut dyn CryptoRng,
        view: &dyn View,
    ) -> Result<Vec<Effect>, ViewError> {
        let mut turn = Turn::new(&mut self.mem, self.settings, now, rng, view);
        turn.input(input)?;
        Ok(turn.finish())
    }

    /// When [`Input::Tick`] is wanted next.
    pub fn next_wake(&self) -> Option<Millis> {
        self.mem.timers.first().map(|(at, _)| *at)
    }
}

impl Turn<'_> {
    fn input(&mut self, input: Input) -> Step {
        match input {
            Input::Command(token, command) => self.command(token, command),
            Input::Online => self.come_online(),
            Input::Listening(addresses) => self.listening(addresses),
            Input::Connected { peer, address } => self.connected(peer, address),
            Input::Disconnected(peer) => self.disconnected(peer),
            Input::Frame(peer, bytes) => self.frame(peer, &bytes),
            Input::Overflow(peer) => {
                self.mem.timers.insert((self.now.plus(outbox::OVERFLOW_WAIT), Timer::AskBundle(peer)));
                if let Some(device) = self.device_of(peer)? {
                    self.overflow(device.device);
                }
                Ok(())
            }
            Input::Gossip(topic, content) => self.gossip_came(&topic, content),
            Input::DrainEnd => self.tell_receipts(),
            Input::Tick => self.tick(),
        }
    }

    fn command(&mut self, token: Token, command: Command) -> Step {
        let answer = match command {
            Command::SetName(name) => self.set_name(&name),
            Command::CreateTicket { life, accept } => self.create_ticket(life, accept),
            Command::RevokeTicket(link) => self.revoke_ticket(&link),
            Command::AddContact { link, alias } => self.add_contact(&link, alias.as_deref()),
            Command::Accept(account) => self.accept(account),
            Command::Decline(account) => self.decline(account),
            Command::Block(account) => self.block(account),
            Command::Unblock(account) => self.unblock(account),
            Command::Rename(account, name) => self.rename(account, &name),
            Command::Remove(account) => self.remove(account),
            Command::MarkVerified(account) => self.mark_verified(account),
            Command::Send { chat, text, reply_to } => self.say(chat, &text, reply_to),
            Command::MarkRead { chat, up_to } => self.mark_read(chat, up_to),
            Command::NewGroup(name) => self.new_group(&name),
            Command::InviteToGroup(group, account) => self.invite_to_group(group, account),
            Command::AcceptGroup(group) => self.accept_group(group),
            Command::DeclineGroup(group) => self.decline_group(group),
            Command::RenameGroup(group, name) => self.rename_group(group, &name),
            Command::LeaveGroup(group) => self.leave_group(group),
        };
        match answer {
            Ok(reply) => self.reply(token, Ok(reply)),
            Err(Stop::Refused(refusal)) => {
                self.discard();
                self.reply(token, Err(refusal));
            }
            Err(Stop::View(error)) => return Err(error),
        }
        Ok(())
    }

    fn record(&mut self, heard: Heard) -> Step {
        let Some(record) = Record::parse(&heard.record) else { return Ok(()) };
        let contact = self.contact(heard.device.account)?;
        if contact.as_ref().is_some_and(|contact| contact.blocked) {
            return Ok(());
        }
        let wanted = contact.is_some_and(|contact| contact.wants_to_hear());
        if heard.origin == rows::Origin::Group && !record.is_of_a_group() && !wanted {
            return Ok(());
        }
        match record {
            Record::Request(name, chosen) => self.request_came(&heard, &name, chosen),
            Record::Accepted(name, chosen) => self.accepted_came(&heard, &name, chosen),
            Record::Profile(name, chosen) => self.profile_came(&heard, &name, chosen),
            Record::Event(bytes) => self.event_came(&heard, &bytes),
            Record::Receipt(receipt) => self.receipt(&heard.device, receipt),
            Record::Bundle(bytes) => self.bundle_told(&bytes),
            Record::Invite(group, name, _) => self.invite_came(&heard, group, &name),
            Record::Join(group, bytes) => self.join_came(&heard, group, &bytes),
            Record::Ops(group, ops) => self.ops_came(heard.device.device, group, &ops),
            Record::GossipSecret(group, op, secret) => self.secret_came(&heard, group, &op, secret),
            Record::Chain(group, bytes) => self.chain_came(&heard, group, &bytes),
            Record::Have(have) => self.have_came(&heard, have),
            Record::Events(group, events) => self.events_came(&heard, group, &events),
            Record::KeysWanted(group, ids) => self.keys_wanted(&heard, group, &ids),
            Record::Keys(group, keys) => self.keys_came(&heard, group, keys),
        }
    }

    fn tick(&mut self) -> Step {
        while let Some((at, timer)) = self.mem.timers.first().copied() {
            if at > self.now {
                break;
            }
            self.mem.timers.pop_first();
            match timer {
                Timer::Lane(device) => self.lane_due(device)?,
                Timer::AskBundle(peer) => self.ask_bundle_again(peer)?,
                Timer::GroupReceipts => self.group_receipts_due(),
                Timer::Ask(group) => self.ask_now(group)?,
                Timer::Repair(group) => self.repair(group)?,
                Timer::Rotate(group) => self.rotate_if_due(group)?,
                Timer::Part(group) => self.part(group)?,
                Timer::Upkeep => self.upkeep()?,
            }
        }
        Ok(())
    }
}

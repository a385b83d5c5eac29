//! The engine: one function from what happened to what must be done.
//!
//! [`Engine::handle`] takes one [`Input`], the time, randomness and a [`View`] of the store, and returns [`Effect`]s. The
//! caller carries the effects of an input out in one order: persist → sync → send → reply → tell the views. `self` holds
//! only what may be lost (who is connected, timers, caches): a caller whose persist failed drops the engine and makes a new
//! one. Same inputs, same view, same seed: same effects, byte for byte.

mod anew;
pub mod backup;
pub mod begin;
mod blocks;
mod bundles;
mod chats;
mod clear;
mod clock;
pub mod command;
mod conduct;
mod contacts;
mod contacts_anew;
mod devices;
mod ends;
pub mod feed;
pub mod find;
mod gives;
mod group_ask;
mod group_give;
mod group_held;
mod group_keys;
mod group_known;
pub mod group_log;
mod group_log_keys;
mod group_logs;
mod group_mailboxes;
mod group_members;
mod group_names;
mod group_newcomers;
mod group_ops;
mod group_part;
mod group_posts;
mod group_roles;
mod group_sync;
mod groups;
mod index;
mod intros;
mod late;
mod mailbox_first;
mod mailbox_logs;
mod mailbox_lost;
mod mailbox_mail;
mod mailbox_offer;
mod mailbox_owed;
mod mailbox_own;
mod mailbox_part;
mod mailbox_send;
mod mailbox_serve;
mod meant;
mod order;
mod outbox;
mod peers;
mod pushes;
mod receipts;
pub mod record;
mod replaced;
mod returns;
pub mod rows;
mod sessions;
mod starts;
mod stubs;
mod talks;
#[cfg(test)]
mod tests;
mod tickets;
mod turn;
mod unknown;
mod voids;
mod withdraw;

pub use command::{Command, Refusal, Reply};
pub use conduct::Offence;
pub use group_ops::Bundles;

use crate::protocol::{
    group::{ChainKey, FrameContent, Gate, Graph, Membership, Missing, Topic, keys::HeldSecret},
    ids::{AccountId, ChatId, DeviceId, EventId, OpId, TransportKey},
    time::Millis,
    view::{Table, View, ViewError, Write},
    wire::frame::Frame,
};
use conduct::Conduct;
use group_give::Answers;
use group_held::HeldIndex;
use group_logs::Logs;
use group_ops::OpsAside;
use group_posts::Posts;
use mailbox_own::MailMemory;
use outbox::Lane;
use peers::WantedBundle;
use rand_core::CryptoRng;
use receipts::Owed;
use record::Record;
use sessions::Heard;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use talks::{Sought, Talk};
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
    /// Somebody put back an older store, or older keys: secrets are gone that only the keys of that time opened. Given
    /// before any other input, again and again until [`Write::ForgetLost`] is durable.
    RolledBack,
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
    /// Dial these addresses now and then for a little while, whoever answers there.
    Probe(Vec<String>),
    /// Something the owner's log should hold; nothing of what people said is in it.
    Notice(TransportKey, Notice),
    /// Answer a command.
    Reply(Token, Result<Reply, Refusal>),
    /// A device is not listened to for a while in comparisons, for this last of its offences: nothing to do but to note it.
    Shunned(TransportKey, Offence),
    /// The feed has entries up to and including this cursor: tell the views.
    Feed(u64),
    /// Rows of this table are not what was written. What does not need them goes on; the owner should know.
    Damaged(Table),
}

/// Something about a peer that the owner's log should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A mailbox gave more than any could hold, or too much of no use: it is left alone for a while.
    MailboxLeftAlone {
        /// Things it gave within the hour.
        all: u32,
        /// Of these, things of no use.
        useless: u32,
    },
    /// Another device took the place of this one, whose key is named.
    Replaced,
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
    /// Whether it was looked when the next message ends, and the timer that is set for it.
    ends_known: bool,
    /// Whether it was looked for chats that are being cleared.
    clearing_known: bool,
    /// Whether pushing that was begun in an earlier run was looked for.
    pushes_known: bool,
    next_end: Option<Millis>,
    /// Who is connected, and as which device.
    peers: BTreeMap<TransportKey, Option<DeviceId>>,
    /// Bundles that connected peers were asked for.
    bundles_wanted: BTreeMap<TransportKey, WantedBundle>,
    /// What is under way to whom.
    lanes: BTreeMap<DeviceId, Lane>,
    /// Receipts of this drain.
    owed: BTreeMap<DeviceId, Owed>,
    /// Receipts of group events, gathered a little longer.
    owed_later: BTreeSet<(DeviceId, ChatId)>,
    /// Ops of groups, as loaded.
    groups: BTreeMap<OpId, Arc<GroupMemory>>,
    /// The ops that devices of members named last.
    named: BTreeMap<(OpId, DeviceId), Vec<OpId>>,
    /// Devices that ended memberships and are to be told that this is known here.
    ends_to_say: BTreeMap<OpId, BTreeSet<DeviceId>>,
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
    /// Members with whom events are compared as soon as ops are: who answers what this device has.
    compare_after: BTreeSet<(OpId, DeviceId)>,
    /// Groups of which more than single events may be missing.
    ask_all: BTreeSet<OpId>,
    /// Comparisons under way, whether a timer looks after them, and all that was asked for in them.
    talks: BTreeMap<(DeviceId, ChatId), Talk>,
    talks_watched: bool,
    wanted: BTreeSet<EventId>,
    /// Events that something here follows and that are looked for, and those that are out of reach.
    sought: BTreeMap<OpId, BTreeMap<EventId, Sought>>,
    given_up: BTreeMap<OpId, BTreeSet<EventId>>,
    /// How devices that compare behave.
    conduct: BTreeMap<DeviceId, Conduct>,
    /// What devices that asked were given in the last second.
    given: BTreeMap<(OpId, DeviceId), Answers>,
    /// When a gossip secret was handed over on request.
    secrets_handed: BTreeMap<(OpId, DeviceId, OpId), Millis>,
    /// When authors that are away are asked again by mail for keys, and after which wait.
    keys_asked: BTreeMap<(OpId, DeviceId), (Millis, Duration)>,
    /// The same for the past of ops, of who told those.
    ops_asked: BTreeMap<(OpId, DeviceId), (Millis, Duration)>,
    /// When it was last left again in a log what a device that made its secret does not hold.
    posted_anew: BTreeMap<(OpId, DeviceId), Millis>,
    /// How many messages of a chat stand behind its index.
    loose: BTreeMap<ChatId, usize>,
    /// What is remembered of mailboxes.
    mail: MailMemory,
    /// What is to be left at mailboxes of groups, and the logs that are read there.
    posts: BTreeMap<OpId, Posts>,
    logs: Logs,
    timers: BTreeSet<(Millis, Timer)>,
    /// Tables of which damage was told.
    damage_told: BTreeSet<Table>,
    /// The clock at the last input.
    last_now: Millis,
    /// Nothing is ever compared: to see that a simulation notices.
    #[cfg(any(test, feature = "sim"))]
    never_compares: bool,
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
    /// Tell those who ended memberships that this is known here.
    Ends(OpId),
    /// Say something after what a device said last whose place another took.
    FollowFormer(OpId),
    /// Look over what is being compared.
    Talks,
    /// Compare the chat with a contact's device.
    CompareDirect(DeviceId),
    /// Make a new gossip secret, if nobody did.
    Rotate(OpId),
    /// See whether members have heard of the own leaving.
    Part(OpId),
    /// Leave mail for a device that is away.
    Mail(DeviceId),
    /// Clear more of a chat.
    Clear(ChatId),
    /// Leave posts of a group at its mailboxes.
    Posts(OpId),
    /// Read logs of groups that have more.
    Logs,
    /// Ask mailboxes for mail.
    Mailboxes,
    /// Erase messages that are over.
    End,
    /// Look over prekeys, links and sessions.
    Upkeep,
    /// Take more of a chat into its index.
    Index(ChatId),
    /// Move more of what a late event pushes.
    Push(ChatId),
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

    /// From now on this engine compares nothing: to see that a simulation notices.
    #[cfg(any(test, feature = "sim"))]
    pub fn never_compare(&mut self) {
        self.mem.never_compares = true;
    }

    /// Says a record to a connected device as it is, true or not: how a simulated liar speaks.
    #[cfg(any(test, feature = "sim"))]
    pub fn say_anything(
        &mut self,
        device: DeviceId,
        record: &Record,
        now: Millis,
        rng: &mut dyn CryptoRng,
        view: &dyn View,
    ) -> Result<Vec<Effect>, ViewError> {
        let mut turn = Turn::new(&mut self.mem, self.settings, now, rng, view);
        turn.whisper(device, record)?;
        Ok(turn.finish())
    }

    /// When [`Input::Tick`] is wanted next.
    pub fn next_wake(&self) -> Option<Millis> {
        self.mem.timers.first().map(|(at, _)| *at)
    }
}

impl Turn<'_> {
    fn input(&mut self, input: Input) -> Step {
        self.mind_the_clock();
        self.attempt(Self::look_for_ends)?;
        self.attempt(Self::look_for_clearing)?;
        self.attempt(Self::look_for_pushes)?;
        self.take(input)?;
        self.answer_itself()
    }

    /// What this node as a member asked itself as a mailbox.
    fn answer_itself(&mut self) -> Step {
        while let Some(frame) = self.to_self.pop_front() {
            let Some(own) = self.mem.mail.own else { break };
            self.attempt(|turn| match frame {
                Frame::Ask(ask) => turn.ask_came(own, ask),
                Frame::Say(say) => turn.mailbox_said(own, say),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }

    fn take(&mut self, input: Input) -> Step {
        match input {
            Input::Command(token, command) => self.command(token, command),
            Input::Online => self.come_online(),
            Input::Listening(addresses) => self.listening(addresses),
            Input::Connected { peer, address } => self.attempt(|turn| turn.connected(peer, address)),
            Input::Disconnected(peer) => self.attempt(|turn| turn.disconnected(peer)),
            // What rests on a damaged row is not confirmed, and is no hindrance to others.
            Input::Frame(peer, bytes) => self.attempt(|turn| turn.frame(peer, &bytes)),
            Input::Overflow(peer) => {
                self.mem.timers.insert((self.now.plus(outbox::OVERFLOW_WAIT), Timer::AskBundle(peer)));
                self.fetch_again(peer);
                if let Some(device) = self.device_of(peer)? {
                    self.overflow(device.device);
                }
                Ok(())
            }
            Input::Gossip(topic, content) => self.attempt(|turn| turn.gossip_came(&topic, content)),
            Input::DrainEnd => self.tell_receipts(),
            Input::Tick => self.tick(),
            Input::RolledBack => self.start_anew(),
        }
    }

    fn command(&mut self, token: Token, command: Command) -> Step {
        if let Some(refusal) = self.refusal_of_replaced(&command)? {
            self.reply(token, Err(refusal));
            return Ok(());
        }
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
            Command::Index(chat) => self.index_more(chat),
            Command::ReadReceipts { chat, set } => self.read_receipts(chat, set),
            Command::SetTimer(chat, timer) => self.set_timer_of(chat, timer),
            Command::Clear(chat) => self.clear(chat),
            Command::NewGroup(name) => self.new_group(&name),
            Command::InviteToGroup(group, account) => self.invite_to_group(group, account),
            Command::AcceptGroup(group) => self.accept_group(group),
            Command::DeclineGroup(group) => self.decline_group(group),
            Command::RenameGroup(group, name) => self.rename_group(group, &name),
            Command::NameGroupMailbox(group, account) => self.name_group_mailbox(group, account),
            Command::DropGroupMailbox(group, account) => self.drop_group_mailbox(group, account),
            Command::RemoveMember(group, account) => self.remove_member(group, account),
            Command::SetRole(group, account, role) => self.set_role(group, account, role),
            Command::HandOver(group, account) => self.hand_over(group, account),
            Command::LeaveGroup(group) => self.leave_group(group),
            Command::ServeMailbox(serving) => self.serve_mailbox(serving),
            Command::MakeMailboxLink => self.make_mailbox_link(),
            Command::AddMailbox(at) => self.add_mailbox(&at),
            Command::RemoveMailbox(account) => self.remove_mailbox(account),
            Command::Withdraw(id) => self.withdraw(id),
            Command::GiveUp { chat, author, no } => self.give_up(chat, author, no),
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
        if contact.as_ref().is_some_and(|contact| contact.blocked) && !record.passes_a_block() {
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
            Record::Bundle(bytes) | Record::Boxes(bytes) => self.bundle_told(&bytes),
            Record::Invite(group, name, _) => self.invite_came(&heard, group, &name),
            Record::Join(group, bytes) => self.join_came(&heard, group, &bytes),
            Record::Ops(group, ops) => self.ops_came(heard.device.device, group, &ops),
            Record::GossipSecret(group, op, secret) => self.secret_came(&heard, group, &op, secret),
            Record::Chain(group, bytes) => self.chain_came(&heard, group, &bytes),
            Record::Have(have) => self.have_came(&heard, have),
            Record::Events(group, events) => self.events_came(&heard, group, &events),
            Record::KeysWanted(group, ids) => self.keys_wanted(&heard, group, &ids),
            Record::OpsWanted(group, heads) => self.ops_wanted(&heard, group, &heads),
            Record::Outside(group) => self.outside_came(&heard, group),
            Record::Keys(group, keys) => self.keys_came(&heard, group, keys),
            Record::NamesWanted(group, accounts) => self.names_wanted(&heard, group, &accounts),
            Record::Names(group, names) => self.names_came(&heard, group, &names),
            Record::Compare(chat, round, ranges) => self.compare_came(&heard, chat, round, &ranges),
            Record::Wanted(chat, ids) => self.wanted_came(&heard, chat, &ids),
            Record::Given(given) => self.given_came(&heard, given),
        }
    }

    fn tick(&mut self) -> Step {
        while let Some((at, timer)) = self.mem.timers.first().copied() {
            if at > self.now {
                break;
            }
            self.mem.timers.pop_first();
            self.attempt(|turn| turn.due(timer))?;
        }
        Ok(())
    }

    fn due(&mut self, timer: Timer) -> Step {
        match timer {
            Timer::Lane(device) => self.lane_due(device),
            Timer::AskBundle(peer) => self.ask_bundle_again(peer),
            Timer::GroupReceipts => self.group_receipts_due(),
            Timer::Ask(group) => self.ask_now(group),
            Timer::Repair(group) => self.repair(group),
            Timer::Ends(group) => self.say_ends(group),
            Timer::FollowFormer(group) => self.follow_former(group),
            Timer::Talks => self.look_over_talks(),
            Timer::CompareDirect(device) => self.compare_direct(device),
            Timer::Rotate(group) => self.rotate_if_due(group),
            Timer::Part(group) => self.part(group),
            Timer::Mail(device) => self.mail_due(device),
            Timer::Posts(group) => self.posts_due(group),
            Timer::Logs => self.logs_due(),
            Timer::Mailboxes => self.mailboxes_due(),
            Timer::End => self.end_due(),
            Timer::Upkeep => self.upkeep(),
            Timer::Index(chat) => self.index_due(chat),
            Timer::Clear(chat) => self.clear_due(chat),
            Timer::Push(chat) => self.push_due(chat),
        }
    }
}

//! A few engines on one clock, without a network: frames arrive at once, gossip passes the gates.

mod anew;
mod backup;
mod clear;
mod contacts;
mod damage;
mod ends;
mod group_log;
mod group_mailbox;
mod group_roles;
mod groups;
mod late;
mod log_keys;
mod mailbox;
mod mailbox_state;
mod names;
mod never_met;
mod offers;
mod pushes;
mod put_back;
mod replaced;
mod returns;
mod search;
mod sync;
mod withdraw;

use super::{
    Command, Effect, Engine, Input, Offence, Refusal, Reply, Settings,
    begin::first_rows,
    command::Acceptance,
    feed::FeedEntry,
    rows::{self, GroupRow, GroupState, TimelineRow},
};
use crate::protocol::{
    event::Content,
    group::{Gate, Topic, Verdict},
    identity::{AccountKey, Name, words::Words},
    ids::{AccountId, ChatId, DeviceId, OpId, TransportKey},
    time::Millis,
    view::{Cell, Direction, EachRow, Item, Key, MAX_ROW, Rows, Table, View, ViewError, Write},
    wire::frame::Frame,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// Rows in memory, and the cells they are in.
#[derive(Default, Clone)]
struct Shelf(BTreeMap<Key, Vec<u8>>, BTreeMap<Key, Cell>);

impl Shelf {
    fn take(&mut self, write: Write) {
        if let Some((key, value)) = write.row() {
            assert!(value.len() <= MAX_ROW, "no store takes this row of {:?}", key.table);
        }
        match write {
            Write::Put(key, value) => {
                self.1.remove(&key);
                self.0.insert(key, value);
            }
            Write::PutIn(cell, key, value) => {
                self.1.insert(key.clone(), cell);
                self.0.insert(key, value);
            }
            Write::Delete(key) => {
                self.0.remove(&key);
            }
            Write::EraseCell(cell) => self.0.retain(|key, _| self.1.get(key) != Some(&cell)),
            Write::RenewCell(_) | Write::ForgetLost => {}
        }
    }
}

/// What stands where a row was damaged.
const DAMAGED: &[u8] = b"not a row";

impl View for Shelf {
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError> {
        match self.0.get(key) {
            Some(value) if value == DAMAGED => Err(ViewError::Damaged(key.table)),
            value => Ok(value.cloned()),
        }
    }

    fn scan(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Rows, ViewError> {
        let rows = self.scan_each(table, scope, from, direction, limit)?;
        rows.into_iter().map(|(item, value)| Ok((item, value.ok_or(ViewError::Damaged(table))?))).collect()
    }

    fn scan_each(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<EachRow, ViewError> {
        // Items found by name come before those that have a place; no scope has both.
        let first = match (direction, from) {
            (Direction::Forward, Some(from)) => Key::at(table, scope, from),
            _ => Key::named(table, scope, b""),
        };
        let last = match (direction, from) {
            (Direction::Backward, Some(from)) => Key::at(table, scope, from),
            _ => Key::at(table, scope, [u8::MAX; 128]),
        };
        let rows = self.0.range(first..=last).map(|(key, value)| match &key.item {
            Item::Named(name) | Item::At(name) => (name.clone(), (value != DAMAGED).then(|| value.clone())),
        });
        Ok(match direction {
            Direction::Forward => rows.take(limit).collect(),
            Direction::Backward => rows.rev().take(limit).collect(),
        })
    }
}

struct Node {
    words: Words,
    engine: Engine,
    shelf: Shelf,
    rng: ChaCha20Rng,
    account: AccountId,
    transport: TransportKey,
    gates: BTreeMap<Topic, Gate>,
}

/// The nodes, the clock, and who is cut off.
pub(super) struct World {
    nodes: Vec<Node>,
    now: Millis,
    replies: Vec<Result<Reply, Refusal>>,
    inputs: VecDeque<(usize, Input)>,
    apart: BTreeSet<(usize, usize)>,
    damaged: Vec<(usize, Table)>,
    /// Who shuns whom, and for what.
    shunned: Vec<(usize, TransportKey, Offence)>,
    /// Connections that nodes ended.
    hung_up: Vec<(usize, TransportKey)>,
    /// Whom nodes look for, and where.
    sought: BTreeMap<(usize, TransportKey), Vec<String>>,
    /// Bytes of frames that each sent.
    sent: Vec<usize>,
    /// Frames to keys that are none of the nodes'.
    to_strangers: Vec<Frame>,
}

impl World {
    /// So many accounts, each a contact of every other, all connected.
    pub(super) fn new(count: usize) -> Self {
        let names: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
        Self::of(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The same with names of their own choice.
    pub(super) fn of(names: &[&str]) -> Self {
        let count = names.len();
        let mut world = Self::strangers_of(names);
        for a in 0..count {
            for b in a + 1..count {
                world.connect(a, b);
            }
        }
        for a in 0..count {
            for b in a + 1..count {
                world.meet(a, b);
            }
        }
        world
    }

    /// So many accounts that know nobody, each listening somewhere.
    pub(super) fn strangers(count: usize) -> Self {
        let names: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
        Self::strangers_of(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn strangers_of(names: &[&str]) -> Self {
        let (now, count) = (Millis(1_800_000_000_000), names.len());
        let nodes = names.iter().enumerate().map(|(n, name)| node(n, name, now)).collect();
        let mut world = Self {
            nodes,
            now,
            replies: vec![],
            inputs: VecDeque::new(),
            apart: BTreeSet::new(),
            damaged: vec![],
            shunned: vec![],
            hung_up: vec![],
            sought: BTreeMap::new(),
            sent: vec![0; count],
            to_strangers: vec![],
        };
        for at in 0..count {
            world.input(at, Input::Online);
            world.input(at, Input::Listening(vec![address(at)]));
        }
        world
    }

    /// Makes contacts of two that are connected.
    pub(super) fn meet(&mut self, a: usize, b: usize) {
        let link = self.link(a);
        self.command(b, Command::AddContact { link, alias: None }).unwrap();
        self.connect(a, b);
    }

    /// A link of one, good for the first who comes.
    pub(super) fn link(&mut self, at: usize) -> String {
        let life = Duration::from_secs(3600);
        let ticket = self.command(at, Command::CreateTicket { life, accept: Acceptance::AtOnce });
        let Ok(Reply::Ticket { link, .. }) = ticket else { panic!("{ticket:?}") };
        link
    }

    pub(super) fn command(&mut self, at: usize, command: Command) -> Result<Reply, Refusal> {
        self.input(at, Input::Command(0, command));
        self.replies.pop().expect("every command is answered")
    }

    /// Lets time pass, timers and all.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        loop {
            let next = (0..self.nodes.len()).filter_map(|at| Some((self.nodes[at].engine.next_wake()?, at))).min();
            let Some((due, at)) = next.filter(|(due, _)| *due <= end) else { break };
            self.now = self.now.max(due);
            self.input(at, Input::Tick);
        }
        self.now = end;
    }

    pub(super) fn connect(&mut self, a: usize, b: usize) {
        self.apart.remove(&(a.min(b), a.max(b)));
        let (of_a, of_b) = (self.nodes[a].transport, self.nodes[b].transport);
        self.inputs.push_back((a, Input::Connected { peer: of_b, address: Some(address(b)) }));
        self.input(b, Input::Connected { peer: of_a, address: None });
    }

    pub(super) fn part(&mut self, a: usize, b: usize) {
        self.apart.insert((a.min(b), a.max(b)));
        let (of_a, of_b) = (self.nodes[a].transport, self.nodes[b].transport);
        self.inputs.push_back((a, Input::Disconnected(of_b)));
        self.input(b, Input::Disconnected(of_a));
    }

    /// A process killed and started again.
    pub(super) fn restart(&mut self, at: usize) {
        self.restart_alone(at);
        for other in (0..self.nodes.len()).filter(|other| *other != at) {
            self.connect(at, other);
        }
    }

    /// The same, connected to nobody.
    pub(super) fn restart_alone(&mut self, at: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != at) {
            self.part(at, other);
        }
        self.nodes[at].engine = Engine::new(Settings::default());
        self.nodes[at].gates.clear();
        self.sought.retain(|(who, _), _| *who != at);
        self.input(at, Input::Online);
    }

    /// The account of a node on another device, by its 24 words alone; a node of its own.
    pub(super) fn restore(&mut self, at: usize) -> usize {
        self.pass(Duration::from_secs(5));
        let rng = ChaCha20Rng::seed_from_u64(1_000 + self.nodes.len() as u64);
        let restored = begin(self.nodes[at].words.clone(), rng, "restored", self.now);
        self.nodes.push(restored);
        self.sent.push(0);
        let new = self.nodes.len() - 1;
        for other in 0..new {
            self.apart.insert((other, new));
        }
        self.input(new, Input::Online);
        new
    }

    /// One makes a link, and the other asks by it.
    pub(super) fn add(&mut self, maker: usize, adder: usize, accept: Acceptance) -> Result<Reply, Refusal> {
        let life = Duration::from_secs(3600);
        let Ok(Reply::Ticket { link, .. }) = self.command(maker, Command::CreateTicket { life, accept }) else {
            panic!("no link")
        };
        let answer = self.command(adder, Command::AddContact { link, alias: None });
        self.connect(maker, adder);
        answer
    }

    pub(super) fn account(&self, at: usize) -> AccountId {
        self.nodes[at].account
    }

    /// A group of everybody, founded by the first.
    pub(super) fn group(&mut self) -> OpId {
        let others: Vec<usize> = (1..self.nodes.len()).collect();
        self.group_with(&others)
    }

    /// A group of these, founded by the first.
    pub(super) fn group_with(&mut self, others: &[usize]) -> OpId {
        let Ok(Reply::Group(group)) = self.command(0, Command::NewGroup("friends".into())) else { panic!("no group") };
        for at in others {
            self.invite(group, *at);
        }
        self.pass(Duration::from_secs(10));
        group
    }

    /// The first invites another.
    pub(super) fn invite(&mut self, group: OpId, at: usize) {
        let account = self.account(at);
        self.command(0, Command::InviteToGroup(group, account)).unwrap();
    }

    pub(super) fn say(&mut self, at: usize, group: OpId, text: &str) {
        self.write(at, ChatId::from(group), text).unwrap();
    }

    /// Says something to another account.
    pub(super) fn tell(&mut self, at: usize, to: usize, text: &str) {
        let chat = self.direct(at, to);
        self.write(at, chat, text).unwrap();
    }

    pub(super) fn write(&mut self, at: usize, chat: ChatId, text: &str) -> Result<Reply, Refusal> {
        self.command(at, Command::Send { chat, text: text.into(), reply_to: None })
    }

    pub(super) fn direct(&self, a: usize, b: usize) -> ChatId {
        ChatId::direct(self.account(a), self.account(b))
    }

    /// What is shown of a group, in its order.
    pub(super) fn texts(&self, at: usize, group: OpId) -> Vec<String> {
        self.texts_of(at, ChatId::from(group))
    }

    /// What is shown of a chat, in its order, as far as its keys are there.
    pub(super) fn texts_of(&self, at: usize, chat: ChatId) -> Vec<String> {
        let shelf = &self.nodes[at].shelf;
        let lines = shelf.scan(Table::Timeline, chat.as_ref(), None, Direction::Forward, 9_999).unwrap();
        let event = |bytes: &[u8]| {
            let TimelineRow(id) = rows::parse(bytes).unwrap();
            let row: rows::EventRow = rows::read(shelf, &rows::EventRow::key(id)).unwrap()?;
            Some(match Content::parse(&row.content).unwrap() {
                Content::Text(text) => text.as_str().to_owned(),
                other => format!("{other:?}"),
            })
        };
        lines.iter().filter_map(|(_, bytes)| event(bytes)).collect()
    }

    /// Puts something else in the place of a row.
    pub(super) fn damage(&mut self, at: usize, key: Key) {
        self.nodes[at].shelf.0.insert(key, DAMAGED.to_vec()).expect("there was a row");
    }

    /// Tables of which a node said that they are damaged.
    pub(super) fn damaged(&self, at: usize) -> BTreeSet<Table> {
        self.damaged.iter().filter(|(of, _)| *of == at).map(|(_, table)| *table).collect()
    }

    /// One row of a node.
    pub(super) fn row<R: rows::Row>(&self, at: usize, key: &Key) -> Option<R> {
        rows::read(&self.nodes[at].shelf, key).unwrap()
    }

    pub(super) fn contact(&self, at: usize, other: usize) -> rows::ContactRow {
        self.row(at, &rows::ContactRow::key(self.account(other))).expect("it is or was a contact")
    }

    pub(super) fn device(&self, at: usize) -> DeviceId {
        self.row::<rows::OwnRow>(at, &rows::OwnRow::key()).expect("every node has one").device
    }

    /// What a node waits for another device to confirm.
    pub(super) fn outbox(&self, at: usize, to: usize) -> usize {
        rows::all::<rows::OutboxRow>(&self.nodes[at].shelf, self.device(to)).unwrap().len()
    }

    /// Everything a node told its views.
    pub(super) fn feed(&self, at: usize) -> Vec<FeedEntry> {
        rows::all(&self.nodes[at].shelf, b"").unwrap()
    }

    pub(super) fn member(&self, at: usize, group: OpId, member: usize) -> rows::MemberRow {
        self.row(at, &rows::MemberRow::key(group, self.account(member))).expect("it is or was a member")
    }

    /// The first number of this node's messages that is meant for a member.
    pub(super) fn first_meant(&self, at: usize, group: OpId, member: usize) -> u64 {
        self.member(at, group, member).meant.first(self.device(at)).expect("something is meant for it")
    }

    pub(super) fn state(&self, at: usize, group: OpId) -> Option<GroupState> {
        rows::read::<GroupRow>(&self.nodes[at].shelf, &GroupRow::key(group)).unwrap().map(|row| row.state)
    }

    /// What a contact is called at another.
    pub(super) fn name_of(&self, contact: usize, at: usize) -> String {
        let key = rows::ContactRow::key(self.account(contact));
        rows::read::<rows::ContactRow>(&self.nodes[at].shelf, &key).unwrap().unwrap().name
    }

    pub(super) fn topics(&self, at: usize) -> BTreeSet<Topic> {
        self.nodes[at].gates.keys().copied().collect()
    }

    fn input(&mut self, at: usize, input: Input) {
        self.inputs.push_back((at, input));
        while let Some((at, input)) = self.inputs.pop_front() {
            self.handle(at, input);
            self.handle(at, Input::DrainEnd);
        }
    }

    fn handle(&mut self, at: usize, input: Input) {
        let node = &mut self.nodes[at];
        let effects = node.engine.handle(input, self.now, &mut node.rng, &node.shelf).unwrap();
        for effect in effects {
            self.carry_out(at, effect);
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Persist(writes) => {
                for write in writes {
                    self.nodes[at].shelf.take(write);
                }
            }
            Effect::Send(to, frames) => {
                let from = self.nodes[at].transport;
                let Some(to) = self.nodes.iter().position(|node| node.transport == to) else {
                    return self.to_strangers.extend(frames.iter().map(|frame| Frame::parse(frame).unwrap()));
                };
                self.sent[at] += frames.iter().map(Vec::len).sum::<usize>();
                if !self.is_apart(at, to) {
                    self.inputs.extend(frames.into_iter().map(|frame| (to, Input::Frame(from, frame))));
                }
            }
            Effect::Publish(topic, frame) => {
                let there = |to: &usize| *to != at && !self.is_apart(at, *to);
                for to in (0..self.nodes.len()).filter(there).collect::<Vec<_>>() {
                    let verdict = self.nodes[to].gates.get(&topic).map(|gate| gate.check(&frame));
                    if let Some(Verdict::Accept(content) | Verdict::Ignore(Some(content))) = verdict {
                        self.inputs.push_back((to, Input::Gossip(topic, content)));
                    }
                }
            }
            Effect::Subscribe(topic, gate) => {
                self.nodes[at].gates.insert(topic, gate);
            }
            Effect::Unsubscribe(topic) => {
                self.nodes[at].gates.remove(&topic);
            }
            Effect::Reply(_, reply) => self.replies.push(reply),
            Effect::Damaged(table) => self.damaged.push((at, table)),
            Effect::Shunned(peer, offence) => self.shunned.push((at, peer, offence)),
            Effect::Forget(peer) => {
                self.hung_up.push((at, peer));
                self.sought.remove(&(at, peer));
            }
            Effect::Reach(peer, addresses) => self.sought.entry((at, peer)).or_default().extend(addresses),
            Effect::Probe(_) | Effect::Notice(..) | Effect::Feed(_) => {}
        }
    }

    /// Whether a node knows where to look for another, and does.
    fn seeks(&self, at: usize, other: usize) -> bool {
        let found = self.sought.get(&(at, self.nodes[other].transport));
        found.is_some_and(|addresses| !addresses.is_empty())
    }

    fn is_apart(&self, a: usize, b: usize) -> bool {
        self.apart.contains(&(a.min(b), a.max(b)))
    }
}

fn address(at: usize) -> String {
    format!("/ip4/10.0.0.{}/tcp/4001", at + 1)
}

fn node(n: usize, name: &str, now: Millis) -> Node {
    let mut rng = ChaCha20Rng::seed_from_u64(n as u64);
    let words = Words::random(&mut rng);
    begin(words, rng, name, now)
}

fn begin(words: Words, mut rng: ChaCha20Rng, name: &str, now: Millis) -> Node {
    let account = AccountKey::from_words(&words);
    let name: Name = name.parse().unwrap();
    let mut shelf = Shelf::default();
    for write in first_rows(&account, &name, now, &mut rng).unwrap() {
        shelf.take(write);
    }
    let own: rows::OwnRow = rows::read(&shelf, &rows::OwnRow::key()).unwrap().unwrap();
    let engine = Engine::new(Settings::default());
    Node { words, engine, shelf, rng, account: own.account, transport: own.transport, gates: BTreeMap::new() }
}

//! `moim testnet`: N real nodes in one process, all acquainted and in one group.
//!
//! What is on the disk is all there is to know: each home is `FOLDER/N`, and a testnet is up while sockets of its homes
//! answer. So `list` and `down` need no register, and `up` goes on wherever an earlier one got to.

use super::{
    nodes::{NodeSpec, TestNode},
    wait::happens,
};
use crate::{
    api::{
        Api, ApiError, Reason,
        client::Socket,
        methods::{ChatList, Down, GroupInvite, GroupMembers, GroupNew, Id, Status},
        types::{
            Chat, ChatKind, ChatsParams, Contact, ContactState, Group, GroupInviteParams, GroupNewParams, Member,
            Nothing, TestnetNode, TestnetResult, V1,
        },
    },
    protocol::ids::{AccountId, ChatId},
};
use futures::{StreamExt, TryStreamExt, future, stream};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// The group that all nodes are in.
const GROUP: &str = "testnet";
/// Nodes that start or stop at once: each flushes to the same disk.
const AT_ONCE: usize = 8;
/// Pairs that meet at once.
const MEETINGS_AT_ONCE: usize = 64;
/// How long all nodes may take to be in the group.
const GATHERING: Duration = Duration::from_secs(60);
/// How long a node that was told to stop may take.
const STOPPING: Duration = Duration::from_secs(5);

/// What testnet to run.
#[derive(Debug, Clone)]
pub struct TestnetConfig {
    folder: PathBuf,
    nodes: u32,
    seed: u64,
    acquaintance: Acquaintance,
}

/// Who becomes whose contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquaintance {
    /// Everyone's everyone.
    All,
    /// The first node's everyone: enough to be in one group.
    WithTheFirst,
}

impl TestnetConfig {
    /// So many nodes with homes in this folder, all acquainted, of seed 0.
    pub fn new(folder: &Path, nodes: u32) -> Self {
        Self { folder: absolute(folder), nodes, seed: 0, acquaintance: Acquaintance::All }
    }

    /// The same with accounts of another seed.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same with other acquaintances.
    pub fn with_acquaintance(self, acquaintance: Acquaintance) -> Self {
        Self { acquaintance, ..self }
    }

    fn specs(&self) -> impl Iterator<Item = NodeSpec> + '_ {
        (1..=self.nodes).map(|n| NodeSpec {
            name: format!("node{n}"),
            home: home_of(&self.folder, n),
            seed: self.seed,
            n,
        })
    }
}

/// A testnet that is up.
#[derive(Debug)]
pub struct Testnet {
    nodes: Vec<TestNode>,
    group: Option<ChatId>,
}

impl Testnet {
    /// Starts the nodes, and returns when they are acquainted and in the group.
    ///
    /// # Errors
    /// `testnet-runs`, `other-testnet`, or whatever a node fails with.
    pub async fn up(config: TestnetConfig) -> Result<Self, ApiError> {
        let starting = stream::iter(config.specs().map(TestNode::start)).buffered(AT_ONCE);
        let nodes: Vec<TestNode> = starting.try_collect().await.map_err(|error: ApiError| {
            let runs = error.is(Reason::NodeRuns) || error.is(Reason::HomeLocked);
            let folder = config.folder.display().to_string();
            if runs { ApiError::new(Reason::TestnetRuns).with("folder", folder) } else { error }
        })?;
        let mut testnet = Self { nodes, group: None };
        testnet.acquaint(config.acquaintance).await?;
        testnet.group = testnet.gather().await?;
        Ok(testnet)
    }

    /// Nodes that were started by themselves, without a group.
    pub fn of(nodes: Vec<TestNode>) -> Self {
        Self { nodes, group: None }
    }

    /// The nodes, by number.
    pub fn nodes(&self) -> &[TestNode] {
        &self.nodes
    }

    /// The group; none where there is one node or none was made.
    pub fn group(&self) -> Option<ChatId> {
        self.group
    }

    /// The table of the nodes.
    ///
    /// # Errors
    /// Where a node's store cannot be read.
    pub async fn table(&self) -> Result<TestnetResult, ApiError> {
        let rows = self.nodes.iter().map(|node| async {
            let ready = node.served().ready().await?;
            Ok::<_, ApiError>(TestnetNode {
                n: node.spec().n,
                name: node.name().to_owned(),
                account: ready.account,
                peer: ready.peer,
                addrs: ready.addrs,
                home: node.spec().home.display().to_string(),
                socket: ready.socket,
            })
        });
        Ok(TestnetResult { v: V1, nodes: future::try_join_all(rows).await? })
    }

    /// Waits until every node was told to stop.
    pub async fn all_stopping(&self) {
        future::join_all(self.nodes.iter().map(|node| async { node.handle().stopping().await })).await;
    }

    /// Stops the nodes; their homes stay.
    ///
    /// # Errors
    /// Where one did not end in order.
    pub async fn down(self) -> Result<(), ApiError> {
        let ended = future::join_all(self.nodes.into_iter().map(TestNode::stop)).await;
        ended.into_iter().try_for_each(|ended| ended.map(drop))
    }

    /// The nodes of a folder that answer.
    ///
    /// # Errors
    /// `no-testnet` where none does.
    pub async fn list(folder: &Path) -> Result<TestnetResult, ApiError> {
        let mut nodes = Vec::new();
        for (n, home) in homes_in(&absolute(folder))? {
            if let Some(mut socket) = Socket::connect(&home).await? {
                nodes.push(row(n, &home, &mut socket).await?);
            }
        }
        if nodes.is_empty() {
            return Err(ApiError::new(Reason::NoTestnet));
        }
        Ok(TestnetResult { v: V1, nodes })
    }

    /// Tells the nodes of a folder to stop, wherever they run, and returns when they have.
    ///
    /// # Errors
    /// `no-testnet`; `did-not-happen`.
    pub async fn stop(folder: &Path) -> Result<TestnetResult, ApiError> {
        let testnet = Self::list(folder).await?;
        for node in &testnet.nodes {
            if let Some(mut socket) = Socket::connect(Path::new(&node.home)).await? {
                socket.call::<Down>(Nothing {}).await?;
            }
        }
        let gone = future::join_all(testnet.nodes.iter().map(|node| is_gone(PathBuf::from(&node.home))));
        match tokio::time::timeout(STOPPING, gone).await {
            Ok(_) => Ok(testnet),
            Err(_) => Err(ApiError::new(Reason::DidNotHappen).with("what", "the nodes stop")),
        }
    }

    /// Makes contacts of all who are to be and are not yet, many pairs at once.
    async fn acquaint(&self, acquaintance: Acquaintance) -> Result<(), ApiError> {
        let known = future::try_join_all(self.nodes.iter().map(connected)).await?;
        let count = self.nodes.len();
        // Round by round everyone meets somebody else, so that no node is asked for more than a few at once.
        let pairs = (1..count).flat_map(|step| (0..count - step).map(move |first| (first, first + step)));
        let wanted = pairs.filter(|(first, other)| {
            let is_known = known.get(*first).zip(self.nodes.get(*other));
            let strangers = is_known.is_some_and(|(known, other)| !known.contains(&other.spec().account()));
            strangers && (acquaintance == Acquaintance::All || *first == 0)
        });
        let meeting = wanted.filter_map(|(first, other)| Some((self.nodes.get(first)?, self.nodes.get(other)?)));
        // Whom the link comes from alternates, so that the work is shared.
        let meeting = meeting.enumerate().map(|(at, (one, other))| async move {
            if at % 2 == 0 { one.befriend(other).await } else { other.befriend(one).await }
        });
        stream::iter(meeting).buffer_unordered(MEETINGS_AT_ONCE).try_collect::<()>().await
    }

    /// Brings everyone into the group, which the first node makes where there is none.
    async fn gather(&self) -> Result<Option<ChatId>, ApiError> {
        let Some((founder, others)) = self.nodes.split_first().filter(|(_, others)| !others.is_empty()) else {
            return Ok(None);
        };
        let is_ours = |chat: &Chat| chat.kind == ChatKind::Group && chat.name == GROUP;
        let found = founder.ask::<ChatList>(ChatsParams::default()).await?.chats.into_iter().find(is_ours);
        let group = match found {
            Some(chat) => chat.id,
            None => founder.ask::<GroupNew>(GroupNewParams { name: GROUP.to_owned() }).await?.group,
        };
        let members: BTreeSet<AccountId> = members(founder, group).await?.iter().map(|member| member.id).collect();
        let missing = others.iter().map(|node| node.spec().account()).filter(|account| !members.contains(account));
        let who: Vec<String> = missing.map(|account| account.to_string()).collect();
        if !who.is_empty() {
            founder.ask::<GroupInvite>(GroupInviteParams { group: group.to_string(), who }).await?;
        }
        let all = self.nodes.iter().map(|node| {
            let what = format!("{} sees everyone in the group", node.name());
            let look = move || async move {
                match members_if_any(node, group).await? {
                    found if found.len() >= self.nodes.len() => Ok(Some(())),
                    _ => Ok(None),
                }
            };
            async move { happens(&node.handle(), &what, GATHERING, look).await }
        });
        future::try_join_all(all).await?;
        Ok(Some(group))
    }
}

async fn connected(node: &TestNode) -> Result<BTreeSet<AccountId>, ApiError> {
    let is_connected = |contact: &Contact| contact.state == ContactState::Connected;
    Ok(node.contacts().await?.into_iter().filter(is_connected).map(|contact| contact.id).collect())
}

async fn members(node: &TestNode, group: ChatId) -> Result<Vec<Member>, ApiError> {
    Ok(node.ask::<GroupMembers>(Group { group: group.to_string() }).await?.members)
}

/// Nobody, where the node has not heard of the group yet.
async fn members_if_any(node: &TestNode, group: ChatId) -> Result<Vec<Member>, ApiError> {
    match members(node, group).await {
        Err(error) if error.is(Reason::NoSuchGroup) || error.is(Reason::NotMember) => Ok(Vec::new()),
        members => members,
    }
}

async fn row(n: u32, home: &Path, socket: &mut Socket) -> Result<TestnetNode, ApiError> {
    let (status, own) = (socket.call::<Status>(Nothing {}).await?, socket.call::<Id>(Nothing {}).await?);
    Ok(TestnetNode {
        n,
        name: own.name,
        account: status.account,
        peer: status.peer,
        addrs: status.addrs,
        home: home.display().to_string(),
        socket: socket.path().display().to_string(),
    })
}

/// Waits until nobody answers at a home and nobody holds it.
async fn is_gone(home: PathBuf) {
    while !matches!(Socket::connect(&home).await, Ok(None)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is shown must hold wherever it is used.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf())
}

fn home_of(folder: &Path, n: u32) -> PathBuf {
    folder.join(n.to_string())
}

/// The homes of a folder with their numbers, in order.
fn homes_in(folder: &Path) -> Result<Vec<(u32, PathBuf)>, ApiError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| ApiError::file(folder, &error))?,
    };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut homes: Vec<_> = numbers.map(|n| (n, home_of(folder, n))).collect();
    homes.sort_unstable();
    Ok(homes)
}

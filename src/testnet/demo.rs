//! `moim demo`: three real nodes on this machine talk. Every step is told only after it was seen in the nodes' own logs.

use super::{
    measure::{self, Figures, Load},
    nodes::{NodeSpec, TestNode},
    real::Testnet,
    wait::happens,
};
use crate::{
    api::{
        ApiError, Reason,
        methods::{
            ContactAccept, ContactAdd, ContactRequests, GroupInvite, GroupMembers, GroupNew, InviteCreate, MessageRead,
        },
        types::{
            AddParams, DemoEnding, DemoHome, DemoStep, Group, GroupInviteParams, GroupNewParams, InviteParams, Message,
            MessageState, Nothing, ReadParams, Wait, Who,
        },
    },
    protocol::ids::{ChatId, EventId},
};
use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long any one step may take.
const STEP: Duration = Duration::from_secs(10);
/// The most messages a chat of the demonstration has.
const WHOLE_LOG: u32 = 1_000;
/// How long the timing goes on.
const TIMING: Duration = Duration::from_secs(4);
const GROUP: &str = "picnic";

/// Runs the demonstration. Gives the nodes back where they are to be kept: stop them with [`Kept::down`].
///
/// # Errors
/// The first thing that did not happen as it should.
pub async fn run(ending: DemoEnding, tell: &mut dyn FnMut(DemoStep)) -> Result<Option<Kept>, ApiError> {
    let began = Instant::now();
    let folder = Folder::make()?;
    let mut stage = Stage::set(&folder, tell).await?;
    stage.meet().await?;
    stage.talk().await?;
    stage.gather().await?;
    stage.go_and_come_back().await?;
    stage.check_everything().await?;
    stage.time().await?;
    let millis = began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    (stage.tell)(DemoStep::Done { messages: stage.messages, millis });

    let Stage { nodes, tell, .. } = stage;
    let nodes = Testnet::of(nodes);
    match ending {
        DemoEnding::Removed => {
            nodes.down().await?;
            Ok(None)
        }
        DemoEnding::Kept => {
            let home = |node: &TestNode| DemoHome {
                name: node.name().to_owned(),
                home: node.spec().home.display().to_string(),
            };
            tell(DemoStep::Kept { homes: nodes.nodes().iter().map(home).collect() });
            Ok(Some(Kept { nodes, _folder: folder }))
        }
    }
}

/// The nodes of a demonstration that stay up.
#[derive(Debug)]
pub struct Kept {
    nodes: Testnet,
    _folder: Folder,
}

impl Kept {
    /// Waits until every node was told to stop.
    pub async fn all_stopping(&self) {
        self.nodes.all_stopping().await;
    }

    /// Stops the nodes and removes their homes.
    ///
    /// # Errors
    /// Where one did not end in order.
    pub async fn down(self) -> Result<(), ApiError> {
        self.nodes.down().await
    }
}

/// A folder of this user alone that goes when it is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, ApiError> {
        let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
        let path = env::temp_dir().join(format!("moim-demo-{}-{nanos}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| ApiError::file(&path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What the system does not let go it clears by itself: it is the folder for temporary things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The three and what they have said so far.
struct Stage<'t> {
    tell: &'t mut dyn FnMut(DemoStep),
    nodes: Vec<TestNode>,
    group: Option<ChatId>,
    said_in_group: Vec<EventId>,
    messages: u64,
}

const MINA: usize = 0;
const JUN: usize = 1;
const SORA: usize = 2;

impl<'t> Stage<'t> {
    async fn set(folder: &Folder, tell: &'t mut dyn FnMut(DemoStep)) -> Result<Self, ApiError> {
        let start = |n: u32, name: &str| TestNode::start(spec(&folder.0, n, name));
        let (mina, jun, sora) = tokio::try_join!(start(1, "mina"), start(2, "jun"), start(3, "sora"))?;
        let nodes = vec![mina, jun, sora];
        tell(DemoStep::Nodes { names: nodes.iter().map(|node| node.name().to_owned()).collect() });
        Ok(Self { tell, nodes, group: None, said_in_group: Vec::new(), messages: 0 })
    }

    /// Two links, each used once; jun and sora never meet.
    async fn meet(&mut self) -> Result<(), ApiError> {
        for guest in [JUN, SORA] {
            let (mina, guest) = (&self.nodes[MINA], &self.nodes[guest]);
            let link = mina.ask::<InviteCreate>(InviteParams::default()).await?.link;
            guest.ask::<ContactAdd>(AddParams { link, name: None }).await?;
            let asked = || async {
                let waiting = mina.ask::<ContactRequests>(Nothing {}).await?.requests;
                Ok(waiting.into_iter().find(|request| request.id == guest.spec().account()))
            };
            let request = happens(&mina.handle(), "a request arrives", STEP, asked).await?;
            mina.ask::<ContactAccept>(Who { who: request.id.to_string() }).await?;
            mina.is_connected_to(guest.spec().account()).await?;
            guest.is_connected_to(mina.spec().account()).await?;
            let (inviter, guest) = (mina.name().to_owned(), guest.name().to_owned());
            (self.tell)(DemoStep::Met { inviter, guest });
        }
        Ok(())
    }

    async fn talk(&mut self) -> Result<(), ApiError> {
        self.say_to_one(MINA, JUN, "Hi Jun! Nobody stands between us.").await?;
        self.say_to_one(JUN, MINA, "안녕 미나, 잘 들려! 👋🏽").await
    }

    /// Says something, finds it in the other's log, has it read, and finds that out in one's own log.
    async fn say_to_one(&mut self, from: usize, to: usize, text: &str) -> Result<(), ApiError> {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let sent = from.say(to.name(), text, Wait::Delivered).await?;
        let got = to.log(from.name(), WHOLE_LOG).await?;
        let found = got.iter().filter(|message| message.id == sent.id).collect::<Vec<_>>();
        expect(
            found.len() == 1 && found.iter().all(|message| says(message, text, from)),
            "the same text arrives once",
        )?;
        to.ask::<MessageRead>(ReadParams { chat: from.name().to_owned(), up_to: None }).await?;
        let is_read = || async {
            let log = from.log(to.name(), WHOLE_LOG).await?;
            Ok(log.into_iter().find(|message| message.id == sent.id && message.state == MessageState::Read))
        };
        let read = happens(&from.handle(), "the message is read", STEP, is_read).await?;
        self.messages += 1;
        let (from, to) = (from.name().to_owned(), to.name().to_owned());
        (self.tell)(DemoStep::Said { from, to, text: text.to_owned(), state: read.state });
        Ok(())
    }

    async fn gather(&mut self) -> Result<(), ApiError> {
        let (mina, jun, sora) = (&self.nodes[MINA], &self.nodes[JUN], &self.nodes[SORA]);
        let group = mina.ask::<GroupNew>(GroupNewParams { name: GROUP.to_owned() }).await?.group;
        let who = vec![jun.name().to_owned(), sora.name().to_owned()];
        mina.ask::<GroupInvite>(GroupInviteParams { group: group.to_string(), who }).await?;
        for node in &self.nodes {
            let everyone = || async {
                match node.ask::<GroupMembers>(Group { group: group.to_string() }).await {
                    Ok(found) => Ok((found.members.len() == self.nodes.len()).then_some(())),
                    Err(error) if error.is(Reason::NoSuchGroup) || error.is(Reason::NotMember) => Ok(None),
                    Err(error) => Err(error),
                }
            };
            happens(&node.handle(), "everyone is in the group", STEP, everyone).await?;
        }
        self.group = Some(group);
        (self.tell)(DemoStep::Group { name: GROUP.to_owned(), members: self.nodes.len() as u64 });
        self.say_to_all(MINA, "Picnic on Saturday?").await?;
        self.say_to_all(SORA, "Yes! Jun, we have not met: hello").await?;
        self.say_to_all(JUN, "반가워요, 소라! 김밥은 내가 🍙").await
    }

    /// Says something to the group, and finds it once in every log.
    async fn say_to_all(&mut self, from: usize, text: &str) -> Result<(), ApiError> {
        let node = &self.nodes[from];
        let id = node.say(&self.chat(), text, Wait::Delivered).await?.id;
        self.said_in_group.push(id);
        for listener in &self.nodes {
            let log = listener.log(&self.chat(), WHOLE_LOG).await?;
            let found: Vec<&Message> = log.iter().filter(|message| message.id == id).collect();
            expect(
                found.len() == 1 && found.iter().all(|message| says(message, text, node)),
                "the group hears it once",
            )?;
        }
        self.messages += 1;
        let state = self.state_of(from, id).await?;
        let from = node.name().to_owned();
        (self.tell)(DemoStep::Said { from, to: GROUP.to_owned(), text: text.to_owned(), state });
        Ok(())
    }

    async fn state_of(&self, from: usize, id: EventId) -> Result<MessageState, ApiError> {
        let log = self.nodes[from].log(&self.chat(), WHOLE_LOG).await?;
        let found = log.into_iter().find(|message| message.id == id).map(|message| message.state);
        found.ok_or_else(|| did_not("a message is in its writer's log"))
    }

    /// Sora's node stops, the others talk on, and it comes back.
    async fn go_and_come_back(&mut self) -> Result<(), ApiError> {
        let spec = self.nodes.remove(SORA).stop().await?;
        (self.tell)(DemoStep::Away { name: spec.name.clone() });
        let mut missed = BTreeSet::new();
        for (from, text) in [
            (MINA, "Sora's battery is empty, I think"),
            (JUN, "She will read it later"),
            (MINA, "Saturday at two, then"),
        ] {
            let node = &self.nodes[from];
            let sent = node.say(&self.chat(), text, Wait::Saved).await?;
            missed.insert(sent.id);
            self.said_in_group.push(sent.id);
            self.messages += 1;
            let (from, to) = (node.name().to_owned(), GROUP.to_owned());
            (self.tell)(DemoStep::Said { from, to, text: text.to_owned(), state: sent.state });
        }
        let name = spec.name.clone();
        self.nodes.push(TestNode::start(spec).await?);
        let sora = &self.nodes[SORA];
        let has_all = || async {
            let log = sora.log(&self.chat(), WHOLE_LOG).await?;
            let got = log.iter().filter(|message| missed.contains(&message.id)).count();
            Ok((got == missed.len()).then_some(got as u64))
        };
        let received = happens(&sora.handle(), "what was missed arrives", STEP, has_all).await?;
        (self.tell)(DemoStep::Back { name, received });
        Ok(())
    }

    /// Every message of the group in every log, once, in one order.
    async fn check_everything(&mut self) -> Result<(), ApiError> {
        let said: BTreeSet<EventId> = self.said_in_group.iter().copied().collect();
        for node in &self.nodes {
            let all_there = || async {
                let ids = self.ids_in(node).await?;
                Ok((ids.len() >= said.len()).then_some(()))
            };
            happens(&node.handle(), "every message is everywhere", STEP, all_there).await?;
        }
        let order = self.ids_in(&self.nodes[MINA]).await?;
        expect(order.len() == said.len() && order.iter().copied().collect::<BTreeSet<_>>() == said, "nothing twice")?;
        for node in &self.nodes {
            expect(self.ids_in(node).await? == order, "everyone sees one order")?;
        }
        Ok(())
    }

    async fn ids_in(&self, node: &TestNode) -> Result<Vec<EventId>, ApiError> {
        let log = node.log(&self.chat(), WHOLE_LOG).await?;
        Ok(log.into_iter().filter(|message| message.text.is_some()).map(|message| message.id).collect())
    }

    async fn time(&mut self) -> Result<(), ApiError> {
        let (mina, jun) = (&self.nodes[MINA], &self.nodes[JUN]);
        let latency = measure::one_to_one(mina, jun, Load { at_once: 1, most: 100, within: TIMING / 2 }).await?;
        let rate = measure::one_to_one(mina, jun, Load { at_once: 64, most: 2_000, within: TIMING / 2 }).await?;
        let Figures { p50_us, p99_us, .. } = latency;
        let messages = latency.count + rate.count;
        self.messages += messages;
        (self.tell)(DemoStep::Figures { messages, per_second: rate.per_second, p50_us, p99_us });
        Ok(())
    }

    fn chat(&self) -> String {
        self.group.map(|group| group.to_string()).unwrap_or_default()
    }
}

fn says(message: &Message, text: &str, from: &TestNode) -> bool {
    message.text.as_deref() == Some(text) && message.from.id == from.spec().account()
}

fn expect(holds: bool, what: &str) -> Result<(), ApiError> {
    if holds { Ok(()) } else { Err(did_not(what)) }
}

fn did_not(what: &str) -> ApiError {
    ApiError::new(Reason::DidNotHappen).with("what", what)
}

fn spec(folder: &Path, n: u32, name: &str) -> NodeSpec {
    // Accounts of one run alone: the folder's name is of this process and moment.
    let seed =
        folder.as_os_str().as_encoded_bytes().iter().fold(0u64, |seed, byte| seed.wrapping_mul(31) ^ u64::from(*byte));
    NodeSpec { name: name.to_owned(), home: folder.join(name), seed, n }
}

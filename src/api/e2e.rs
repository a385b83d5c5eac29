//! Whole nodes over real sockets on the loopback: homes, engine, network and API together.

use super::{
    Api, ApiError, Client, Dispatcher, Method, Reason, Server,
    client::{Local, Socket},
    methods::*,
    time::Span,
    types::*,
};
use crate::{
    net::Mdns,
    node::{self, Node, NodeConfig},
    protocol::{engine::Settings, identity::Words},
    store::Cost,
};
use futures::StreamExt;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{path::Path, time::Duration};
use tempfile::TempDir;

/// What a test waits for before it is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node with its server and a client.
struct Running {
    node: Node,
    server: Server,
    socket: Socket,
}

fn home(seed: u64, name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let words = Words::random(&mut ChaCha20Rng::seed_from_u64(seed));
    node::create(dir.path(), None, Cost::FOR_TESTS, name, &words).unwrap();
    dir
}

async fn up(home: &Path) -> Running {
    let config = NodeConfig {
        home: home.to_path_buf(),
        passphrase: None,
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        bootstrap: Vec::new(),
        mdns: Mdns::Off,
        settings: Settings::default(),
    };
    let node = Node::start(config).await.unwrap();
    let server = Server::start(Dispatcher::new(node.client()), home).unwrap();
    let socket = Socket::connect(home).await.unwrap().expect("the node's socket is there");
    Running { node, server, socket }
}

impl Running {
    async fn call<M: Method>(&mut self, params: M::Params) -> Result<M::Result, ApiError> {
        tokio::time::timeout(PATIENCE, self.socket.call::<M>(params)).await.expect("the node answers")
    }

    async fn send(&mut self, chat: &str, text: &str, wait: Wait) -> Result<SendResult, ApiError> {
        let (chat, text) = (chat.to_owned(), text.to_owned());
        let timeout = Some(Span::seconds(15));
        self.call::<MessageSend>(SendParams { chat, text, reply_to: None, wait: Some(wait), timeout }).await
    }

    async fn log(&mut self, chat: &str) -> Vec<Message> {
        let params = LogParams { chat: chat.to_owned(), limit: None, before: None, search: None };
        self.call::<MessageLog>(params).await.unwrap().messages
    }

    async fn down(self) {
        drop(self.socket);
        self.server.stop().await;
        self.node.shutdown().await.unwrap();
    }
}

/// Makes contacts of two running nodes.
async fn acquaint(inviter: &mut Running, guest: &mut Running) {
    let invite = InviteParams { expires: None, auto_accept: true };
    let link = inviter.call::<InviteCreate>(invite).await.unwrap().link;
    let added = guest.call::<ContactAdd>(AddParams { link, name: None }).await.unwrap();
    wait_for(guest, "the contact is connected", |contacts| {
        contacts.iter().any(|contact| contact.id == added.contact && contact.state == ContactState::Connected)
    })
    .await;
}

async fn wait_for(at: &mut Running, what: &str, mut fits: impl FnMut(&[Contact]) -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let contacts = at.call::<ContactList>(Nothing {}).await.unwrap().contacts;
        if fits(&contacts) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: {contacts:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_meet_by_link_and_talk_both_ways() {
    let (mina_home, juno_home) = (home(1, "mina"), home(2, "juno"));
    let (mut mina, mut juno) = (up(mina_home.path()).await, up(juno_home.path()).await);
    acquaint(&mut mina, &mut juno).await;

    let sent = juno.send("mina", "안녕", Wait::Delivered).await.unwrap();
    assert_eq!(sent.state, MessageState::Delivered);
    let log = mina.log("juno").await;
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].id, log[0].text.as_deref(), log[0].state), (sent.id, Some("안녕"), MessageState::Received));
    assert_eq!(log[0].from.name, "juno");

    let answer = mina.send("@juno", "hello", Wait::Delivered).await.unwrap();
    assert_eq!(answer.state, MessageState::Delivered);
    let chats = mina.call::<ChatList>(ChatsParams::default()).await.unwrap().chats;
    assert_eq!(chats[0].unread, 1);
    let read = mina.call::<MessageRead>(ReadParams { chat: "juno".into(), up_to: None }).await.unwrap();
    assert_eq!((read.read, read.unread), (1, 0));
    let log = juno.log("mina").await;
    assert_eq!(log.iter().map(|message| message.id).collect::<Vec<_>>(), [sent.id, answer.id]);
    assert!(log.iter().all(|message| message.waiting.is_none()));

    let number = |who: &str| VerifyParams { who: who.to_owned(), matches: None };
    let hers = mina.call::<ContactVerify>(number("juno")).await.unwrap().safety_number;
    let his = juno.call::<ContactVerify>(number("mina")).await.unwrap().safety_number;
    assert_eq!(hers, his);
    let compared = VerifyParams { who: "mina".into(), matches: Some(hers) };
    assert!(juno.call::<ContactVerify>(compared).await.unwrap().verified);

    mina.down().await;
    juno.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_to_one_who_is_away_arrives_when_they_are_back() {
    let (mina_home, juno_home) = (home(3, "mina"), home(4, "juno"));
    let (mut mina, mut juno) = (up(mina_home.path()).await, up(juno_home.path()).await);
    acquaint(&mut mina, &mut juno).await;
    let port_before = mina.call::<Status>(Nothing {}).await.unwrap().addrs;
    mina.down().await;

    let saved = juno.send("mina", "while you were out", Wait::Saved).await.unwrap();
    assert_eq!(saved.state, MessageState::Saved);

    let mut mina = up(mina_home.path()).await;
    assert_eq!(
        mina.call::<Status>(Nothing {}).await.unwrap().addrs,
        port_before,
        "the port of last time is used again"
    );
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while mina.log("juno").await.iter().all(|message| message.id != saved.id) {
        assert!(tokio::time::Instant::now() < deadline, "the message did not arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    mina.down().await;
    juno.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_made_joined_and_talked_in() {
    let (mina_home, juno_home) = (home(5, "mina"), home(6, "juno"));
    let (mut mina, mut juno) = (up(mina_home.path()).await, up(juno_home.path()).await);
    acquaint(&mut mina, &mut juno).await;
    let group = mina.call::<GroupNew>(GroupNewParams { name: "hiking".into() }).await.unwrap().group;
    let invite = GroupInviteParams { group: "hiking".into(), who: vec!["juno".into()] };
    mina.call::<GroupInvite>(invite).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let members = juno.call::<GroupMembers>(Group { group: group.to_string() }).await;
        if members.is_ok_and(|members| members.members.len() == 2) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "juno did not join");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let sent = juno.send("#hiking", "up we go", Wait::Delivered).await.unwrap();
    assert_eq!(sent.state, MessageState::Delivered);
    let log = mina.log("hiking").await;
    assert_eq!(log.last().map(|message| (message.id, message.from.name.as_str())), Some((sent.id, "juno")));

    let member = |member: &str| GroupMemberParams { group: "hiking".into(), member: member.into() };
    assert_eq!(mina.call::<GroupPromote>(member("juno")).await.unwrap().role, Some(Role::Admin));
    assert_eq!(mina.call::<GroupPromote>(member("juno")).await.unwrap_err().reason, "has-role");
    assert_eq!(mina.call::<GroupRemove>(member("nobody")).await.unwrap_err().reason, "no-such-member");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // Until it knows that it is an admin it has no right; then it has, and not over the founder.
    while juno.call::<GroupRemove>(member("mina")).await.unwrap_err().reason != "outranked" {
        assert!(tokio::time::Instant::now() < deadline, "juno is no admin");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(mina.call::<GroupRemove>(member("juno")).await.unwrap().role, None);
    while juno.send("#hiking", "still here?", Wait::Saved).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "juno was not told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = juno.send("#hiking", "and now?", Wait::Saved).await.unwrap_err();
    assert!(refused.is(Reason::NotMember), "{refused}");
    assert!(juno.log("hiking").await.iter().any(|message| message.id == sent.id), "what was said stays");
    mina.down().await;
    juno.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_each_message_once_and_goes_on_behind_a_cursor() {
    let (mina_home, juno_home) = (home(7, "mina"), home(8, "juno"));
    let (mut mina, mut juno) = (up(mina_home.path()).await, up(juno_home.path()).await);
    acquaint(&mut mina, &mut juno).await;
    let mut watching = Socket::connect(mina_home.path()).await.unwrap().unwrap();
    let mut events = watching.watch(None).await.unwrap();
    let mut sent = Vec::new();
    for text in ["one", "two", "three"] {
        sent.push(juno.send("mina", text, Wait::Saved).await.unwrap().id);
    }
    let mut seen = Vec::new();
    let mut first_cursor = 0;
    while seen.len() < 3 {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event comes").unwrap().unwrap();
        if let Event::Message { message } = event.event {
            first_cursor = if seen.is_empty() { event.cursor } else { first_cursor };
            seen.push(message.id);
        }
    }
    assert_eq!(seen, sent);
    drop(events);
    let mut again = Socket::connect(mina_home.path()).await.unwrap().unwrap();
    let mut events = again.watch(Some(first_cursor)).await.unwrap();
    let mut rest = Vec::new();
    while rest.len() < 2 {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event comes").unwrap().unwrap();
        if let Event::Message { message } = event.event {
            rest.push(message.id);
        }
    }
    assert_eq!(rest, sent[1..]);
    drop(events);
    mina.down().await;
    juno.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_commands_are_kept_and_what_needs_the_network_changes_nothing() {
    let dir = home(9, "mina");
    let mut local = Local::open(dir.path(), Settings::default(), None).await.unwrap();
    let status = local.call::<Status>(Nothing {}).await.unwrap();
    assert!(!status.running && status.addrs.is_empty());
    let params = |wait| SendParams {
        chat: "me".into(),
        text: "buy milk".into(),
        reply_to: None,
        wait: Some(wait),
        timeout: None,
    };
    let error = local.call::<MessageSend>(params(Wait::Delivered)).await.unwrap_err();
    assert!(error.is(Reason::NeedsNode), "{error:?}");
    let log = LogParams { chat: "me".into(), limit: None, before: None, search: None };
    assert!(local.call::<MessageLog>(log.clone()).await.unwrap().messages.is_empty());
    let sent = local.call::<MessageSend>(params(Wait::Saved)).await.unwrap();
    assert!(local.watch(None).await.is_err_and(|error| error.is(Reason::NeedsNode)));
    let invite = local.call::<InviteCreate>(InviteParams::default()).await.unwrap();
    assert!(invite.without_address, "it never listened anywhere");
    local.close().await;

    let client = Client::open(dir.path(), Settings::default(), || Ok(None)).await.unwrap();
    let Client::Local(mut local) = client else { panic!("no node runs") };
    let messages = local.call::<MessageLog>(log).await.unwrap().messages;
    assert_eq!((sent.state, messages[0].state), (MessageState::Read, MessageState::Read), "one word for a note");
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [sent.id]);
    let invites = local.call::<InviteList>(Nothing {}).await.unwrap().invites;
    assert_eq!(invites.len(), 1);
    let revoked = RevokeParams { invite: invites[0].id[..8].to_owned() };
    assert_eq!(local.call::<InviteRevoke>(revoked).await.unwrap().id, invites[0].id);
    assert!(local.call::<InviteList>(Nothing {}).await.unwrap().invites.is_empty());
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_group_is_told_page_by_page_also_after_leaving_it() {
    let dir = home(11, "mina");
    let mut local = Local::open(dir.path(), Settings::default(), None).await.unwrap();
    let group = local.call::<GroupNew>(GroupNewParams { name: "hiking".into() }).await.unwrap().group;
    for name in ["walks", "climbs"] {
        let rename = GroupRenameParams { group: group.to_string(), name: name.into() };
        local.call::<GroupRename>(rename).await.unwrap();
    }
    let params = |group: &str| GroupLogParams { group: group.into(), limit: None, before: None, all: None };
    let log = local.call::<GroupLog>(params("climbs")).await.unwrap();
    let told = |log: &GroupLogResult| -> Vec<(GroupDid, Option<String>)> {
        log.changes.iter().map(|change| (change.did, change.name.clone())).collect()
    };
    let named = |did, name: &str| (did, Some(name.to_owned()));
    let [founded, walks, climbs] =
        [(GroupDid::Founded, "hiking"), (GroupDid::Renamed, "walks"), (GroupDid::Renamed, "climbs")]
            .map(|(did, name)| named(did, name));
    assert_eq!(told(&log), [founded.clone(), walks.clone(), climbs.clone()]);
    assert!(log.changes.iter().all(|change| change.by.name == "mina" && change.void.is_none()));
    let all = local.call::<GroupLog>(GroupLogParams { all: Some(true), ..params("climbs") }).await.unwrap();
    assert!(told(&all).contains(&(GroupDid::SecretChanged, None)));
    let page = GroupLogParams { limit: Some(1), ..params("climbs") };
    assert_eq!(told(&local.call::<GroupLog>(page.clone()).await.unwrap()), [climbs]);
    let before = Some(log.changes[2].id.to_string()[..8].to_owned());
    assert_eq!(told(&local.call::<GroupLog>(GroupLogParams { before, ..page }).await.unwrap()), [walks]);
    let before = Some(log.changes[1].id.to_string());
    assert_eq!(told(&local.call::<GroupLog>(GroupLogParams { before, ..params("climbs") }).await.unwrap()), [founded]);
    for (before, reason) in [("abcdefgh", Reason::NoSuchChange), ("abc", Reason::BadId)] {
        let params = GroupLogParams { before: Some(before.into()), ..params("climbs") };
        assert!(local.call::<GroupLog>(params).await.unwrap_err().is(reason), "{before}");
    }
    assert!(local.call::<GroupLog>(params("hiking")).await.unwrap_err().is(Reason::NoSuchGroup));
    local.call::<GroupLeave>(Group { group: "climbs".into() }).await.unwrap();
    let after = local.call::<GroupLog>(params(&group.to_string())).await.unwrap();
    let last = after.changes.last().unwrap();
    assert_eq!((after.changes.len(), last.did, last.applied, last.of), (4, GroupDid::Left, Some(0), Some(0)));
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_within_two_seconds_and_loses_nothing() {
    let dir = home(10, "mina");
    let mut mina = up(dir.path()).await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(mina.send("me", &format!("note {n}"), Wait::Saved).await.unwrap().id);
    }
    let began = std::time::Instant::now();
    assert!(mina.call::<Down>(Nothing {}).await.unwrap().stopping);
    mina.node.client().stopping().await;
    mina.down().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let mut mina = up(dir.path()).await;
    assert_eq!(mina.log("me").await.iter().map(|message| message.id).collect::<Vec<_>>(), ids);
    mina.down().await;
}

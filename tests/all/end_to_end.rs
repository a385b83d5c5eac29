//! Whole nodes with real sockets and stores in this process: what people do with them, across restarts and new ports.

use crate::support::PATIENCE;
use futures::StreamExt;
use moim::{
    api::{
        Api, ApiError,
        methods::{GroupInvite, GroupMembers, GroupNew, MessageRead},
        types::{Event, Group, GroupInviteParams, GroupNewParams, MessageState, ReadParams, Wait},
    },
    protocol::ids::EventId,
    testnet::{Acquaintance, NodeSpec, TestNode, Testnet, TestnetConfig, happens},
};
use std::{net::TcpListener, path::Path};

type Outcome = Result<(), ApiError>;

fn spec(folder: &Path, n: u32, name: &str) -> NodeSpec {
    NodeSpec { name: name.to_owned(), home: folder.join(name), seed: 1, n }
}

async fn two(folder: &Path) -> Result<(TestNode, TestNode), ApiError> {
    let (mina, jun) =
        tokio::try_join!(TestNode::start(spec(folder, 1, "mina")), TestNode::start(spec(folder, 2, "jun")))?;
    mina.befriend(&jun).await?;
    Ok((mina, jun))
}

/// Waits until this node's log of a chat holds exactly these messages, and gives them.
async fn holds(node: &TestNode, chat: &str, count: usize) -> Result<Vec<EventId>, ApiError> {
    let what = format!("{} has {count} messages", node.name());
    let look = || async {
        let log = node.log(chat, 1_000).await?;
        assert!(log.len() <= count, "{} has too many", node.name());
        Ok((log.len() == count).then(|| log.iter().map(|message| message.id).collect()))
    };
    happens(&node.handle(), &what, PATIENCE, look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_may_restart_and_nothing_is_lost_or_doubled() -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (mina, jun) = two(folder.path()).await?;
    mina.say("jun", "one", Wait::Delivered).await?;
    let jun = jun.stop().await?;
    mina.say("jun", "two", Wait::Saved).await?;
    let mina = mina.stop().await?;
    let jun = TestNode::start(jun).await?;
    jun.say("mina", "three", Wait::Saved).await?;
    let mina = TestNode::start(mina).await?;
    mina.say("jun", "four", Wait::Delivered).await?;
    jun.say("mina", "five", Wait::Delivered).await?;
    assert_eq!(holds(&mina, "jun", 5).await?, holds(&jun, "mina", 5).await?);
    jun.ask::<MessageRead>(ReadParams { chat: "mina".into(), up_to: None }).await?;
    let all_read = || async {
        let log = mina.log("jun", 10).await?;
        Ok(log
            .iter()
            .filter(|message| message.from.id == mina.spec().account())
            .all(|m| m.state == MessageState::Read)
            .then_some(()))
    };
    happens(&mina.handle(), "all is read", PATIENCE, all_read).await?;
    mina.stop().await?;
    jun.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn members_who_never_met_see_one_order_and_find_each_other_after_all_stopped() -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let config = || TestnetConfig::new(folder.path(), 3).with_acquaintance(Acquaintance::WithTheFirst);
    let testnet = Testnet::up(config()).await?;
    let group = testnet.group().unwrap().to_string();
    let everyone_speaks = |testnet: &Testnet| {
        let saying = testnet.nodes().iter().map(|node| {
            let group = group.clone();
            let client = node.client();
            async move { say(client, &group).await }
        });
        futures::future::try_join_all(saying.collect::<Vec<_>>())
    };
    everyone_speaks(&testnet).await?;
    one_order(&testnet, &group, 3).await?;

    let mut testnet = testnet;
    for round in 1..=2 {
        testnet.down().await?;
        testnet = Testnet::up(config()).await?;
        assert_eq!(testnet.group().unwrap().to_string(), group);
        everyone_speaks(&testnet).await?;
        one_order(&testnet, &group, 3 + 3 * round).await?;
    }
    testnet.down().await
}

async fn say(mut client: moim::api::Client, group: &str) -> Result<(), ApiError> {
    let params = moim::api::types::SendParams {
        chat: group.to_owned(),
        text: "hello".into(),
        reply_to: None,
        wait: Some(Wait::Saved),
        timeout: None,
    };
    client.call::<moim::api::methods::MessageSend>(params).await.map(drop)
}

async fn one_order(testnet: &Testnet, group: &str, count: usize) -> Outcome {
    let mut orders = Vec::new();
    for node in testnet.nodes() {
        orders.push(holds(node, group, count).await?);
    }
    assert!(orders.windows(2).all(|pair| pair[0] == pair[1]), "everyone sees one order");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_comes_back_on_another_port_tells_the_others() -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (mina, jun) = two(folder.path()).await?;
    let port = port_of(&jun).await?;
    let jun = jun.stop().await?;
    // Somebody else has its port now, and answers nobody.
    let _squatter = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let jun = TestNode::start(jun).await?;
    assert_ne!(port_of(&jun).await?, port);
    mina.say("jun", "found you", Wait::Delivered).await?;
    holds(&jun, "mina", 1).await?;

    // Now it is mina who must know where jun is: jun has forgotten nothing, but mina's own port is gone too.
    let (mina_port, mina) = (port_of(&mina).await?, mina.stop().await?);
    let _other_squatter = TcpListener::bind(("127.0.0.1", mina_port)).unwrap();
    let mina = TestNode::start(mina).await?;
    mina.say("jun", "and you me", Wait::Delivered).await?;
    holds(&jun, "mina", 2).await?;
    mina.stop().await?;
    jun.stop().await?;
    Ok(())
}

async fn port_of(node: &TestNode) -> Result<u16, ApiError> {
    let ready = node.served().ready().await?;
    Ok(ready.addrs[0].split('/').nth(4).unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_goes_on_behind_its_cursor_also_after_a_restart() -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (mina, jun) = two(folder.path()).await?;
    jun.say("mina", "one", Wait::Delivered).await?;
    let (cursor, text) = next_message(&mina, Some(0)).await?;
    assert_eq!(text, "one");
    jun.say("mina", "two", Wait::Delivered).await?;
    let mina = TestNode::start(mina.stop().await?).await?;
    jun.say("mina", "three", Wait::Delivered).await?;
    let (cursor, text) = next_message(&mina, Some(cursor)).await?;
    assert_eq!(text, "two");
    assert_eq!(next_message(&mina, Some(cursor)).await?.1, "three");
    mina.stop().await?;
    jun.stop().await?;
    Ok(())
}

/// The first message behind a cursor, and its own.
async fn next_message(node: &TestNode, after: Option<u64>) -> Result<(u64, String), ApiError> {
    let mut client = node.client();
    let mut events = client.watch(after).await?;
    let mut last = after.unwrap_or_default();
    let looking = async {
        while let Some(event) = events.next().await {
            let event = event?;
            assert!(event.cursor >= last, "cursors never go back");
            last = event.cursor;
            if let Event::Message { message } = event.event {
                return Ok((event.cursor, message.text.unwrap_or_default()));
            }
        }
        panic!("the stream ended")
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("a message comes")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_takes_in_who_was_away_when_it_was_made() -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (mina, jun) = two(folder.path()).await?;
    let jun = jun.stop().await?;
    let group = mina.ask::<GroupNew>(GroupNewParams { name: "picnic".into() }).await?.group.to_string();
    mina.ask::<GroupInvite>(GroupInviteParams { group: group.clone(), who: vec!["jun".into()] }).await?;
    let jun = TestNode::start(jun).await?;
    let everyone = || async {
        let members = mina.ask::<GroupMembers>(Group { group: group.clone() }).await?.members;
        Ok((members.len() == 2).then_some(()))
    };
    happens(&mina.handle(), "jun joins", PATIENCE, everyone).await?;
    mina.say(&group, "welcome", Wait::Delivered).await?;
    holds(&jun, &group, 1).await?;
    mina.stop().await?;
    jun.stop().await?;
    Ok(())
}

//! Real nodes that are never up at the same time: their mail is kept by a third.

use crate::support::PATIENCE;
use moim::{
    api::{
        ApiError,
        methods::{
            ContactAdd, GroupInvite, GroupMailboxAdd, GroupMembers, GroupNew, InviteCreate, MailboxAdd, MailboxLink,
            MailboxList, MailboxServe, OutboxCancel, OutboxList,
        },
        types::{
            AddParams, CancelParams, Group, GroupInviteParams, GroupMailboxParams, GroupNewParams, InviteParams,
            MailboxAddParams, MailboxServeParams, MailboxState, MessageState, Nothing, Wait, WhyWaiting,
        },
    },
    testnet::{NodeSpec, TestNode, happens},
};
use std::path::Path;

type Outcome = Result<(), ApiError>;

async fn start(folder: &Path, n: u32, name: &str) -> Result<TestNode, ApiError> {
    TestNode::start(NodeSpec { name: name.to_owned(), home: folder.join(name), seed: 11, n }).await
}

/// Has a node's mail kept by another.
async fn use_mailbox(node: &TestNode, at: String) -> Outcome {
    node.ask::<MailboxAdd>(MailboxAddParams { at }).await?;
    let look = || async {
        let mailboxes = node.ask::<MailboxList>(Nothing {}).await?.mailboxes;
        Ok(mailboxes.iter().all(|mailbox| mailbox.state == MailboxState::Active).then_some(()))
    };
    happens(&node.handle(), "the mailbox keeps the box", PATIENCE, look).await
}

/// Three contacts of whom the first keeps mail for the two others.
async fn with_a_mailbox(folder: &Path) -> Result<(TestNode, TestNode, TestNode), ApiError> {
    let (post, mina, jun) =
        tokio::try_join!(start(folder, 1, "post"), start(folder, 2, "mina"), start(folder, 3, "jun"))?;
    post.befriend(&mina).await?;
    post.befriend(&jun).await?;
    mina.befriend(&jun).await?;
    post.ask::<MailboxServe>(MailboxServeParams { serve: true }).await?;
    use_mailbox(&mina, "post".into()).await?;
    use_mailbox(&jun, "post".into()).await?;
    Ok((post, mina, jun))
}

/// Waits until a mailbox holds mail, or none.
async fn holds_mail(post: &TestNode, some: bool) -> Outcome {
    let look = || async {
        let keeps = post.ask::<MailboxList>(Nothing {}).await?.keeps;
        Ok((keeps.is_some_and(|keeps| keeps.messages > 0) == some).then_some(()))
    };
    let what = if some { "the mailbox holds mail" } else { "the mailbox is empty" };
    happens(&post.handle(), what, PATIENCE, look).await
}

/// Waits until a node shows exactly these texts of a chat, in this order.
async fn shows(node: &TestNode, chat: &str, texts: &[&str]) -> Outcome {
    let look = || async {
        let log = node.log(chat, 1_000).await?;
        let shown: Vec<String> = log.into_iter().filter_map(|message| message.text).collect();
        assert!(shown.len() <= texts.len(), "{} shows too much: {shown:?}", node.name());
        Ok((shown == texts).then_some(()))
    };
    happens(&node.handle(), &format!("{} shows {texts:?}", node.name()), PATIENCE, look).await
}

async fn all_are(node: &TestNode, chat: &str, states: &[MessageState]) -> Outcome {
    let look = || async {
        let log = node.log(chat, 1_000).await?;
        Ok(log.iter().filter(|m| m.from.id == node.spec().account()).all(|m| states.contains(&m.state)).then_some(()))
    };
    happens(&node.handle(), &format!("what {} said is {states:?}", node.name()), PATIENCE, look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_for_one_who_is_away_is_read_after_its_sender_has_gone_and_ends_at_delivered() -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (post, mina, jun) = with_a_mailbox(folder.path()).await?;
    // Each has heard of the other's box before it hears this.
    jun.say("mina", "zero", Wait::Delivered).await?;
    mina.say("jun", "one", Wait::Delivered).await?;

    let jun = jun.stop().await?;
    let two = mina.say("jun", "two", Wait::Mailbox).await?;
    assert_eq!(two.state, MessageState::Mailbox);
    mina.say("jun", "three", Wait::Mailbox).await?;
    let waiting = mina.ask::<OutboxList>(Nothing {}).await?.waiting;
    assert_eq!(waiting.iter().map(|message| message.why).collect::<Vec<_>>(), [WhyWaiting::InMailbox; 2]);
    let cancelled = mina.ask::<OutboxCancel>(CancelParams { id: two.id.to_string() }).await?;
    assert_eq!((cancelled.withdrawn, cancelled.mailbox), (0, 1), "what lies in a mailbox is not taken back");
    let mina = mina.stop().await?;

    let jun = TestNode::start(jun).await?;
    shows(&jun, "mina", &["zero", "one", "two", "three"]).await?;
    // What was fetched is deleted at once; the receipts are gathered for a while, then lie there for mina.
    holds_mail(&post, false).await?;
    holds_mail(&post, true).await?;
    let jun = jun.stop().await?;
    let mina = TestNode::start(mina).await?;
    all_are(&mina, "jun", &[MessageState::Delivered]).await?;
    holds_mail(&post, false).await?;
    assert!(mina.ask::<OutboxList>(Nothing {}).await?.waiting.is_empty());
    mina.stop().await?;
    let jun = TestNode::start(jun).await?;
    shows(&jun, "mina", &["zero", "one", "two", "three"]).await?;
    jun.stop().await?;
    post.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_answered_by_mail_where_its_maker_and_its_user_are_never_up_together() -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (post, mina) = tokio::try_join!(start(folder.path(), 1, "post"), start(folder.path(), 2, "mina"))?;
    post.ask::<MailboxServe>(MailboxServeParams { serve: true }).await?;
    let link = post.ask::<MailboxLink>(Nothing {}).await?.link;
    use_mailbox(&mina, link).await?;
    let link = mina.ask::<InviteCreate>(InviteParams { expires: None, auto_accept: true }).await?.link;
    let account = mina.spec().account();
    let mina = mina.stop().await?;

    let jun = start(folder.path(), 3, "jun").await?;
    jun.ask::<ContactAdd>(AddParams { link, name: Some("mina".into()) }).await?;
    holds_mail(&post, true).await?;
    let jun = jun.stop().await?;
    let mina = TestNode::start(mina).await?;
    mina.is_connected_to(jun.account()).await?;
    // Mail of before may still lie there: only her own message tells that what she answered lies there too.
    mina.say("jun", "welcome", Wait::Mailbox).await?;
    let mina = mina.stop().await?;
    let jun = TestNode::start(jun).await?;
    jun.is_connected_to(account).await?;
    shows(&jun, "mina", &["welcome"]).await?;
    jun.say("mina", "hello", Wait::Mailbox).await?;
    let jun = jun.stop().await?;
    let mina = TestNode::start(mina).await?;
    shows(&mina, "jun", &["welcome", "hello"]).await?;
    mina.stop().await?;
    post.stop().await?;
    drop(jun);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_has_is_taken_back() -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (mina, jun) = tokio::try_join!(start(folder.path(), 2, "mina"), start(folder.path(), 3, "jun"))?;
    mina.befriend(&jun).await?;
    mina.say("jun", "one", Wait::Delivered).await?;
    let jun = jun.stop().await?;
    let regretted = mina.say("jun", "regretted", Wait::Saved).await?;
    mina.say("jun", "three", Wait::Saved).await?;
    let cancelled = mina.ask::<OutboxCancel>(CancelParams { id: regretted.id.to_string() }).await?;
    assert_eq!((cancelled.withdrawn, cancelled.mailbox, cancelled.delivered), (1, 0, 0));
    shows(&mina, "jun", &["one", "three"]).await?;
    let jun = TestNode::start(jun).await?;
    shows(&jun, "mina", &["one", "three"]).await?;
    all_are(&mina, "jun", &[MessageState::Delivered]).await?;
    jun.say("mina", "four", Wait::Delivered).await?;
    shows(&mina, "jun", &["one", "three", "four"]).await?;
    mina.stop().await?;
    jun.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_s_messages_wait_at_its_mailbox_for_who_was_away() -> Outcome {
    const SAID: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let (post, mina, jun) = with_a_mailbox(folder.path()).await?;
    let group = mina.ask::<GroupNew>(GroupNewParams { name: "hiking".into() }).await?.group.to_string();
    mina.ask::<GroupInvite>(GroupInviteParams { group: group.clone(), who: vec!["jun".into()] }).await?;
    let joined = || async {
        let members = mina.ask::<GroupMembers>(Group { group: group.clone() }).await?.members;
        Ok((members.len() == 2).then_some(()))
    };
    happens(&mina.handle(), "jun joins", PATIENCE, joined).await?;
    let named = GroupMailboxParams { group: group.clone(), mailbox: "post".into() };
    assert_eq!(mina.ask::<GroupMailboxAdd>(named).await?.mailboxes.len(), 1);
    mina.say(&group, "here", Wait::Delivered).await?;

    let jun = jun.stop().await?;
    let said: Vec<String> = ["here".to_owned()].into_iter().chain((0..SAID).map(|n| n.to_string())).collect();
    for n in 0..SAID {
        let wait = if n + 1 == SAID { Wait::Mailbox } else { Wait::Saved };
        mina.say(&group, &said[n + 1], wait).await?;
    }
    all_are(&mina, &group, &[MessageState::Mailbox, MessageState::Delivered]).await?;
    let mina = mina.stop().await?;
    let jun = TestNode::start(jun).await?;
    shows(&jun, &group, &said.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    // What is said to her alone is left after the receipts that she is owed.
    jun.say("mina", "thanks", Wait::Mailbox).await?;
    let jun = jun.stop().await?;
    let mina = TestNode::start(mina).await?;
    all_are(&mina, &group, &[MessageState::Delivered]).await?;
    mina.stop().await?;
    post.stop().await?;
    drop(jun);
    Ok(())
}

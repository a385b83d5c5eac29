//! What is said of messages that lie in a mailbox.

use super::*;
use crate::{
    node,
    protocol::{engine::record::Record, identity::bundle::BoxId, time::days},
};

/// What is said of the state of a message that two mailboxes have had for so many days.
async fn state_after(days_there: u64) -> (Value, Value) {
    let at = node::now().minus(days(days_there));
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let direct = ChatId::direct(ME, MINA);
    home.chat(direct, ChatKind::Direct(MINA), 1, 0);
    let id = home.say(direct, ME, 1, "to one");
    let left = |n| LeftAt { node: TransportKey([n; 32]), id: BoxId([n; 16]), at };
    let what = Parcel::Event(direct, id);
    let row = OutboxRow { what, since: at, sealed: None, left: Some(vec![left(1), left(2)]), was_left: false };
    home.put(OutboxRow::key(device_of(MINA), 1), &row);
    home.change(id, |event| event.outbox = vec![(device_of(MINA), 1)]);

    let in_group = ChatId::from(HIKING);
    home.put(GroupRow::key(HIKING), &group(GroupState::Joined));
    home.member(ME, Role::Founder, "me");
    home.member(MINA, Role::Member, "mina");
    home.chat(in_group, ChatKind::Group(HIKING), 2, 0);
    let id = home.say(in_group, ME, 2, "to many");
    home.change(id, |event| event.kept = Some(at));

    let dispatcher = home.dispatcher(&[]);
    let mut states = Vec::new();
    for chat in ["mina", "#hiking"] {
        let log = ask(&dispatcher, "message.log", json!({"chat": chat})).await;
        states.push(log["messages"][0]["state"].clone());
    }
    (states.remove(0), states.remove(0))
}

#[tokio::test]
async fn a_message_is_in_a_mailbox_no_longer_than_that_keeps_it() {
    assert_eq!(state_after(13).await, (json!("mailbox"), json!("mailbox")));
    assert_eq!(state_after(15).await, (json!("saved"), json!("saved")));
}

/// What the log says of a group's message that a mailbox has, and the outbox of each member, where two lack it and a key waits
/// for one of them.
async fn states_in_group(key_left: Option<Vec<LeftAt>>, key_of: OpId) -> (Value, Vec<(Value, Value)>) {
    let mut home = Home::new();
    let chat = ChatId::from(HIKING);
    home.put(GroupRow::key(HIKING), &group(GroupState::Joined));
    for (who, name) in [(ME, "me"), (MINA, "mina"), (JUNO, "juno")] {
        home.member(who, Role::Member, name);
    }
    home.chat(chat, ChatKind::Group(HIKING), 1, 0);
    let id = home.say(chat, ME, 1, "at nine");
    home.change(id, |event| event.kept = Some(node::now()));
    let what = Parcel::Control([7; 16], Record::Chain(key_of, vec![1]).to_bytes());
    let row = OutboxRow { what, since: node::now(), sealed: None, left: key_left, was_left: false };
    home.put(OutboxRow::key(device_of(JUNO), 1), &row);
    let at = home.dispatcher(&[]);
    let log = ask(&at, "message.log", json!({"chat": "#hiking"})).await;
    let outbox = ask(&at, "outbox.list", json!({})).await;
    let mut rows: Vec<(Value, Value)> = Vec::new();
    for who in ["juno", "mina"] {
        let row = outbox["waiting"].as_array().unwrap().iter().find(|row| row["to"]["name"] == who).unwrap();
        rows.push((row["state"].clone(), row["why"].clone()));
    }
    (log["messages"][0]["state"].clone(), rows)
}

#[tokio::test]
async fn what_a_member_has_no_key_for_is_not_in_a_mailbox_for_it() {
    let (saved, there) = ((json!("saved"), json!("away")), (json!("mailbox"), json!("in_mailbox")));
    assert_eq!(states_in_group(None, HIKING).await, (json!("saved"), vec![saved, there.clone()]));
    // At a mailbox of its own the key is as good as here; and of another group it says nothing.
    let left = vec![LeftAt { node: TransportKey([1; 32]), id: BoxId([1; 16]), at: node::now() }];
    for (left, of) in [(Some(left), HIKING), (None, OpId([9; 32]))] {
        assert_eq!(states_in_group(left, of).await, (json!("mailbox"), vec![there.clone(), there.clone()]));
    }
}

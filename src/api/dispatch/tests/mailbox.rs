//! What is said of messages that lie in a mailbox.

use super::*;
use crate::{
    node,
    protocol::{identity::bundle::BoxId, time::days},
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

//! Groups that one is not in any more, or not yet again: how they are found and listed.

use super::*;

/// Another group of the same name.
const OTHER: OpId = OpId([7; 32]);

/// A home with a group in which something was said, as one stands in it now.
fn home_with(state: GroupState) -> Home {
    let mut home = Home::new();
    home.put(GroupRow::key(HIKING), &group(state));
    home.member(MINA, Role::Founder, "mina");
    let chat = ChatId::from(HIKING);
    home.chat(chat, ChatKind::Group(HIKING), 1, 0);
    home.say(chat, MINA, 1, "up");
    home
}

async fn standings(at: &Dispatcher) -> Vec<Value> {
    let chats = ask(at, "chat.list", json!({})).await;
    chats["chats"].as_array().unwrap().iter().map(|chat| chat["standing"].clone()).collect()
}

#[tokio::test]
async fn who_was_removed_and_is_invited_again_finds_what_was_said_by_the_groups_name() {
    for (state, standing) in [(GroupState::Removed, "removed"), (GroupState::Invited, "invited")] {
        let at = home_with(state).dispatcher(&[]);
        for typed in ["hiking", "#hiking"] {
            let log = ask(&at, "message.log", json!({"chat": typed})).await;
            assert_eq!(log["messages"][0]["text"], "up", "{state:?} {typed}");
        }
        assert_eq!(standings(&at).await, [json!(standing)]);
    }
}

#[tokio::test]
async fn a_group_that_was_left_or_declined_is_out_of_mind_and_its_name_is_free() {
    for state in [GroupState::Left, GroupState::Declined] {
        let at = home_with(state).dispatcher(&[]);
        assert!(at.dispatch("message.log", json!({"chat": "hiking"})).await.is_err(), "{state:?}");
        let log = ask(&at, "message.log", json!({"chat": HIKING.to_string()})).await;
        assert_eq!(log["messages"][0]["text"], "up");
        assert_eq!(standings(&at).await, [json!(null); 0]);
    }
}

#[tokio::test]
async fn a_group_that_one_is_in_goes_before_one_of_the_same_name_that_one_was_removed_from() {
    let mut home = home_with(GroupState::Removed);
    home.put(GroupRow::key(OTHER), &GroupRow { group: OTHER, ..group(GroupState::Joined) });
    home.chat(ChatId::from(OTHER), ChatKind::Group(OTHER), 0, 0);
    let at = home.dispatcher(&[]);
    assert_eq!(ask(&at, "message.log", json!({"chat": "hiking"})).await["messages"], json!([]));
    assert_eq!(standings(&at).await, [json!("removed"), json!(null)]);
    assert_eq!(ask(&at, "group.members", json!({"group": "hiking"})).await["members"], json!([]));
}

#[tokio::test]
async fn a_name_that_two_groups_had_is_not_guessed_at() {
    let mut home = home_with(GroupState::Removed);
    home.put(GroupRow::key(OTHER), &GroupRow { group: OTHER, ..group(GroupState::Removed) });
    home.chat(ChatId::from(OTHER), ChatKind::Group(OTHER), 0, 0);
    let error = home.dispatcher(&[]).dispatch("message.log", json!({"chat": "hiking"})).await.unwrap_err();
    assert_eq!(error.reason, "ambiguous");
}

#[tokio::test]
async fn one_finds_who_is_in_a_group_that_one_was_removed_from() {
    let members =
        ask(&home_with(GroupState::Removed).dispatcher(&[]), "group.members", json!({"group": "hiking"})).await;
    assert_eq!(members["members"][0]["name"], "mina");
}

#[tokio::test]
async fn a_group_that_one_was_removed_from_is_listed_until_it_is_cleared() {
    let mut home = Home::new();
    home.put(GroupRow::key(HIKING), &group(GroupState::Removed));
    home.chat(ChatId::from(HIKING), ChatKind::Group(HIKING), 1, 0);
    assert_eq!(standings(&home.dispatcher(&[])).await, [json!(null); 0]);
}

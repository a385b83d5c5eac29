//! Answers that would be long, or stand on damaged rows, and what a watcher is told of the past.

use super::*;
use crate::{
    api::types::{Event, MessageKind},
    protocol::{event::Place, view::Table},
};

/// A text of which twenty and a little fit one answer.
fn long() -> String {
    "가".repeat(50_000 / 3)
}

async fn events(mut at: Dispatcher, last: u64) -> Vec<Value> {
    at.node = at.node.fed(last);
    let (_, mut watcher) = at.watch(serde_json::from_value(json!({"after": 0})).unwrap()).await.unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|event: &Value| event["cursor"] != last) {
        seen.push(serde_json::to_value(watcher.next().await.unwrap().unwrap()).unwrap());
    }
    seen
}

#[tokio::test]
async fn a_long_log_comes_in_pages_that_go_on_where_the_last_ended() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let chat = ChatId::direct(ME, MINA);
    home.chat(chat, ChatKind::Direct(MINA), 60, 0);
    let mut ids: Vec<String> = (1..=60).map(|n| home.say(chat, MINA, n, &long()).to_string()).collect();
    let at = home.dispatcher(&[]);
    let mut before: Option<String> = None;
    let mut pages = 0;
    loop {
        let log = ask(&at, "message.log", json!({"chat": "mina", "limit": 60, "before": before})).await;
        assert!(log.to_string().len() < 2 * 1024 * 1024, "an answer is bounded by its bytes");
        let got: Vec<&str> = log["messages"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
        assert_eq!(got, ids.split_off(ids.len() - got.len()), "no gap and nothing twice");
        before = Some(got[0].to_owned());
        pages += 1;
        if log["more"] != true {
            break;
        }
    }
    assert!(ids.is_empty() && pages > 1, "{} are missing after {pages} pages", ids.len());
    let few = ask(&at, "message.log", json!({"chat": "mina", "limit": 2})).await;
    assert_eq!(few.get("more"), None, "all that was asked for is there");
}

#[tokio::test]
async fn many_chats_come_in_pages_too() {
    let mut home = Home::new();
    for n in 0..60u8 {
        let account = AccountId([n + 60; 32]);
        home.contact(account, &format!("c{n}"), ContactState::Connected);
        let chat = ChatId::direct(ME, account);
        home.chat(chat, ChatKind::Direct(account), u64::from(n) + 1, 0);
        home.say(chat, account, u64::from(n) + 1, &long());
    }
    let at = home.dispatcher(&[]);
    let mut names = Vec::new();
    let mut after: Option<Value> = None;
    loop {
        let list = ask(&at, "chat.list", json!({"after": after})).await;
        assert!(list.to_string().len() < 2 * 1024 * 1024);
        let chats = list["chats"].as_array().unwrap();
        names.extend(chats.iter().map(|chat| chat["name"].as_str().unwrap().to_owned()));
        after = chats.last().map(|chat| chat["id"].clone());
        if list["more"] != true {
            break;
        }
    }
    let newest_first: Vec<String> = (0..60).rev().map(|n| format!("c{n}")).collect();
    assert_eq!(names, newest_first);
}

#[tokio::test]
async fn a_damaged_row_ends_neither_log_nor_watch_and_is_told_in_its_place() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let chat = ChatId::direct(ME, MINA);
    home.chat(chat, ChatKind::Direct(MINA), 3, 0);
    let ids: Vec<_> = (1..=3).map(|n| home.say(chat, MINA, n, "x")).collect();
    home.0.push(Write::Put(EventRow::key(ids[1]), vec![0xff]));
    // A line of the timeline that does not decode still names its event by its place.
    let place = Place { effective: Millis(u64::MAX), id: EventId([9; 32]) };
    home.0.push(Write::Put(Key::at(Table::Timeline, chat, place.to_key()), vec![0xff]));
    home.0.push(Write::Put(ReceiptRow::key(chat, Side::Theirs, device_of(MINA)), vec![0xff]));
    for (cursor, id) in [(1, ids[0]), (2, ids[1]), (4, ids[2])] {
        home.feed(cursor, FeedEntry::Message { chat, id });
    }
    home.0.push(Write::Put(Key::at(Table::Feed, b"", 3u64.to_be_bytes()), vec![0xff]));
    let at = home.dispatcher(&[]);

    let log = ask(&at, "message.log", json!({"chat": "mina"})).await;
    let kinds: Vec<_> = log["messages"].as_array().unwrap().iter().map(|m| m["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["text", "damaged", "text", "damaged"]);
    assert_eq!(log["messages"][1]["id"], ids[1].to_string());
    assert_eq!(log["messages"][3]["id"], place.id.to_string());
    let behind = ask(&at, "message.log", json!({"chat": "mina", "before": ids[1].to_string()})).await;
    assert_eq!(behind["messages"][0]["id"], ids[0].to_string(), "one can go on behind a damaged one");

    let seen: Vec<_> = events(at, 4).await.iter().map(|e| (e["event"].clone(), e["message"]["kind"].clone())).collect();
    let message = |kind: MessageKind| (json!("message"), json!(kind));
    assert_eq!(
        seen,
        [
            message(MessageKind::Text),
            message(MessageKind::Damaged),
            (json!("damaged"), Value::Null),
            message(MessageKind::Text)
        ]
    );
}

#[tokio::test]
async fn a_replay_tells_what_happened_then_and_not_how_it_is_today() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let chat = ChatId::direct(ME, MINA);
    home.chat(chat, ChatKind::Direct(MINA), 1, 0);
    let id = home.say(chat, ME, 1, "x");
    home.receipt(chat, MINA, &[1], 1);
    home.feed(1, FeedEntry::Message { chat, id });
    home.feed(2, FeedEntry::Receipt { chat, by: MINA, state: Progress::Delivered, ids: vec![id] });
    home.feed(3, FeedEntry::Receipt { chat, by: MINA, state: Progress::Read, ids: vec![id] });
    home.feed(4, FeedEntry::Contact { account: MINA, notice: ContactNotice::LinkUsed });
    let at = home.dispatcher(&[]);
    assert_eq!(ask(&at, "message.log", json!({"chat": "mina"})).await["messages"][0]["state"], "read");
    let seen = events(at, 4).await;
    assert_eq!(seen[0]["message"]["state"], "saved");
    assert_eq!((&seen[0]["message"]["delivered"], &seen[0]["message"]["of"]), (&json!(0), &json!(1)));
    for (event, state) in [(&seen[1], "delivered"), (&seen[2], "read")] {
        assert_eq!((&event["state"], &event["by"]["name"], &event["id"]), (&json!(state), &json!("mina"), &json!(id)));
    }
    assert_eq!(seen[3]["notice"], "link_used");
    assert!(serde_json::from_value::<Event>(seen[3].clone()).is_ok());
}

#[tokio::test]
async fn notes_to_oneself_are_read_as_soon_as_they_are_saved() {
    let mut home = Home::new();
    let chat = ChatId::direct(ME, ME);
    home.chat(chat, ChatKind::Own, 1, 0);
    home.say(chat, ME, 1, "buy milk");
    let log = ask(&home.dispatcher(&[]), "message.log", json!({"chat": "me"})).await;
    let note = &log["messages"][0];
    assert_eq!((&note["state"], &note["of"], note.get("waiting")), (&json!("read"), &json!(0), None));
}

#[tokio::test]
async fn what_is_over_or_being_cleared_is_not_shown_and_is_no_damage() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    home.contact(JUNO, "juno", ContactState::Connected);
    let (over, cleared) = (ChatId::direct(ME, MINA), ChatId::direct(ME, JUNO));
    home.chat(over, ChatKind::Direct(MINA), 3, 0);
    home.say(over, MINA, 1, "stays");
    for (place, ends) in [(2, Ends::Over(Millis(u64::MAX))), (3, Ends::At(Millis(9)))] {
        let id = home.say(over, ME, place, "stays not");
        home.end(id, ends);
    }
    home.chat(cleared, ChatKind::Direct(JUNO), 13, 0);
    for n in 11..=13 {
        home.say(cleared, JUNO, n, "stays not");
    }
    let upto = place(13).to_key().to_vec();
    home.put(ClearRow::key(cleared), &ClearRow { chat: cleared, upto: upto.clone().into(), next: upto.into() });
    let at = home.dispatcher(&[]);
    let texts = async |params: Value| -> Vec<Value> {
        let log = ask(&at, "message.log", params).await;
        log["messages"].as_array().unwrap().iter().map(|message| message["text"].clone()).collect()
    };
    assert_eq!(texts(json!({"chat": "mina"})).await, ["stays"]);
    assert_eq!(texts(json!({"chat": "mina", "search": "stays"})).await, ["stays"]);
    assert!(texts(json!({"chat": "juno"})).await.is_empty());
    assert!(texts(json!({"chat": "juno", "search": "stays"})).await.is_empty());
    let chats = ask(&at, "chat.list", json!({})).await;
    assert!(chats["chats"].as_array().unwrap().iter().all(|chat| chat["last"].is_null()), "{chats}");
}

#[tokio::test]
async fn the_outbox_lists_what_is_on_its_way_to_one_who_is_connected() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let chat = ChatId::direct(ME, MINA);
    home.chat(chat, ChatKind::Direct(MINA), 2, 0);
    let [_, id] = [(1, "there"), (2, "not yet")].map(|(no, text)| home.say(chat, ME, no, text));
    home.receipt(chat, MINA, &[1], 0);
    let outbox = ask(&home.dispatcher(&[MINA]), "outbox.list", json!({})).await;
    let waiting = outbox["waiting"].as_array().unwrap();
    assert_eq!(waiting.len(), 1, "{outbox}");
    assert_eq!((&waiting[0]["id"], &waiting[0]["why"]), (&json!(id.to_string()), &json!("under_way")));
}

#[tokio::test]
async fn what_was_cancelled_after_the_backup_is_said_to_be_that() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let chat = ChatId::direct(ME, MINA);
    home.chat(chat, ChatKind::Direct(MINA), 2, 0);
    for (no, text) in [(1, "there"), (2, "regretted")] {
        home.say(chat, ME, no, text);
    }
    let numbers = |no| {
        let mut numbers = Numbers::from_base(1);
        numbers.insert(no);
        encode(&numbers)
    };
    let row = ReceiptRow { held: numbers(1), void: Some(numbers(2).into()), ..ReceiptRow::new(device_of(MINA), MINA) };
    home.put(ReceiptRow::key(chat, Side::Theirs, row.device), &row);
    let at = home.dispatcher(&[MINA]);
    let outbox = ask(&at, "outbox.list", json!({})).await;
    assert_eq!((&outbox["waiting"][0]["state"], &outbox["waiting"][0]["why"]), (&json!("saved"), &json!("withdrawn")));
    let log = ask(&at, "message.log", json!({"chat": "mina"})).await;
    assert_eq!(log["messages"][0]["waiting"], Value::Null);
    assert_eq!(log["messages"][1]["waiting"]["why"], "withdrawn");
}

#[tokio::test]
async fn own_messages_that_are_lost_are_listed_as_such_until_they_are_given_up() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let chat = ChatId::direct(ME, MINA);
    home.chat(chat, ChatKind::Direct(MINA), 4, 0);
    let [there, gone, broken, name] = [1, 2, 3, 4].map(|no| home.say(chat, ME, no, "x"));
    home.receipt(chat, MINA, &[1], 0);
    home.0.push(Write::Delete(EventRow::key(there)));
    home.0.push(Write::Delete(EventRow::key(gone)));
    home.0.push(Write::Put(EventRow::key(broken), vec![0xff]));
    // What is no message has no line.
    home.0.push(Write::Delete(EventRow::key(name)));
    home.0.push(Write::Delete(TimelineRow::key(chat, &place(4).to_key())));
    // One member has it, and gives it back.
    home.put(GroupRow::key(HIKING), &group(GroupState::Joined));
    for (who, name) in [(ME, "me"), (MINA, "mina"), (JUNO, "juno")] {
        home.member(who, Role::Member, name);
    }
    home.chat(ChatId::from(HIKING), ChatKind::Group(HIKING), 5, 0);
    let kept = home.say(ChatId::from(HIKING), ME, 5, "x");
    home.receipt(ChatId::from(HIKING), MINA, &[5], 0);
    home.0.push(Write::Delete(EventRow::key(kept)));
    home.feed(1, FeedEntry::Message { chat, id: broken });
    let at = home.dispatcher(&[MINA]);

    let outbox = ask(&at, "outbox.list", json!({})).await;
    let waiting: Vec<_> = outbox["waiting"].as_array().unwrap().iter().map(|one| (&one["id"], &one["why"])).collect();
    let [gone, broken, kept] = [gone, broken, kept].map(|id| json!(id.to_string()));
    let [lost, away] = [json!("lost"), json!("away")];
    assert_eq!(waiting.len(), 3, "{outbox}");
    assert!([(&gone, &lost), (&broken, &lost), (&kept, &away)].iter().all(|one| waiting.contains(one)), "{outbox}");
    assert_eq!(ask(&at, "status", json!({})).await["outbox"], 3);

    let log = ask(&at, "message.log", json!({"chat": "mina"})).await;
    let lines: Vec<_> = log["messages"].as_array().unwrap().iter().map(|line| (&line["state"], &line["of"])).collect();
    let saved = (&json!("saved"), &json!(1));
    assert_eq!(lines, [(&json!("delivered"), &json!(1)), saved, saved]);
    assert_eq!(log["messages"][1]["waiting"]["why"], "lost");
    assert_eq!(log["messages"][1]["from"]["id"], json!(ME.to_string()));
    // A replay does not say of then what is known now.
    assert_eq!(
        events(at, 1).await.iter().map(|event| &event["message"]["waiting"]).collect::<Vec<_>>(),
        [&Value::Null]
    );
}

//! Answers over rows that are written by hand.

mod feed;
mod groups;
mod mailbox;
mod pages;

use super::Dispatcher;
use crate::{
    api::types::MessageState,
    node::{Handle, Reach, Surroundings},
    protocol::{
        delivery::Numbers,
        engine::{
            feed::{ContactNotice, FeedEntry, Progress},
            rows::*,
        },
        event::{Content, Place},
        group::Role,
        ids::{AccountId, ChatId, DeviceId, EventId, NoiseKey, OpId, TransportKey},
        time::Millis,
        view::{Key, Table, Write},
        wire::{encode, limits::MAX_NO},
    },
    store::{MemoryStore, Store},
};
use serde_json::{Value, json};

const ME: AccountId = AccountId([1; 32]);
const MINA: AccountId = AccountId([2; 32]);
const JUNO: AccountId = AccountId([3; 32]);
const HIKING: OpId = OpId([4; 32]);
const MY_DEVICE: DeviceId = DeviceId([11; 32]);

fn device_of(account: AccountId) -> DeviceId {
    DeviceId([account.0[0] + 10; 32])
}

fn transport_of(account: AccountId) -> TransportKey {
    TransportKey([account.0[0] + 20; 32])
}

/// A home under construction.
#[derive(Default)]
struct Home(Vec<Write>);

impl Home {
    fn put(&mut self, key: Key, row: &impl Row) {
        self.0.push(Write::Put(key, encode(row)));
    }

    fn into_store(self) -> MemoryStore {
        let mut store = MemoryStore::new();
        store.stage(self.0).unwrap();
        store.commit().unwrap();
        store
    }

    fn new() -> Self {
        let mut home = Self::default();
        let own = OwnRow {
            account: ME,
            device: MY_DEVICE,
            transport: transport_of(ME),
            noise: NoiseKey([0; 32]),
            keys: Vec::new(),
            cert: Vec::new(),
            list: Vec::new(),
            bundle: Vec::new(),
            bundle_seq: 0,
            name: "me myself".into(),
            created: Millis(0),
            addresses: Vec::new(),
            prekey: [0; 8],
            prekey_made: Millis(0),
            name_chosen: Millis(0),
            former: Vec::new(),
            replaced: None,
            rolled_back: None,
            late: Vec::new(),
        };
        home.put(OwnRow::key(), &own);
        home
    }

    fn contact(&mut self, account: AccountId, name: &str, state: ContactState) {
        self.contact_with(account, name, state, None);
    }

    fn contact_with(&mut self, account: AccountId, name: &str, state: ContactState, problem: Option<ContactProblem>) {
        let row = ContactRow {
            account,
            name: name.into(),
            own_name: None,
            named: true,
            state,
            blocked: false,
            verified: false,
            problem,
            ticket: None,
            ticket_ends: Millis(0),
            intros: Vec::new(),
            devices: vec![device_of(account)],
            since: Millis(5),
            ticket_transport: None,
            own_name_chosen: Millis(0),
            new_device: None,
            former_intros: Vec::new(),
        };
        self.put(ContactRow::key(account), &row);
        let device = DeviceRow {
            device: device_of(account),
            account,
            transport: transport_of(account),
            noise: NoiseKey([0; 32]),
            bundle: Vec::new(),
            bundle_seq: 0,
            addresses: Vec::new(),
            sending: None,
            sessions: Vec::new(),
            groups: Vec::new(),
            boxes: None,
            replaced: Vec::new(),
            offered: None,
        };
        self.put(DeviceRow::key(device.device), &device);
    }

    /// Changes what is held of a contact.
    fn change_contact(&mut self, account: AccountId, change: impl FnOnce(&mut ContactRow)) {
        let key = ContactRow::key(account);
        let held = self.0.iter().rev().find_map(|write| match write {
            Write::Put(at, bytes) if *at == key => parse::<ContactRow>(bytes).ok(),
            _ => None,
        });
        let mut row = held.unwrap();
        change(&mut row);
        self.put(key, &row);
    }

    fn chat(&mut self, chat: ChatId, kind: ChatKind, last: u64, unread: u64) {
        let row = ChatRow {
            chat,
            kind,
            written: 0,
            previous: None,
            heads: Vec::new(),
            unread,
            last: Some(place(last).to_key().to_vec().into()),
            read: None,
            since: Millis(1),
            tells_read: None,
        };
        self.put(ChatRow::key(chat), &row);
    }

    /// Says something at a place, which is also the time; a message of one's own has its place for a number.
    fn say(&mut self, chat: ChatId, author: AccountId, place: u64, text: &str) -> EventId {
        let Place { id, .. } = self::place(place);
        let row = EventRow {
            chat,
            id,
            author,
            device: if author == ME { MY_DEVICE } else { device_of(author) },
            no: place,
            clock: Millis(place),
            arrived: Millis(place),
            deps: Vec::new(),
            place: self::place(place).to_key().to_vec(),
            content: Content::text(text, None).unwrap().to_bytes(),
            own: author == ME,
            outbox: Vec::new(),
            key: None,
            ends: None,
            kept: None,
            unsent: false,
        };
        self.put(EventRow::key(id), &row);
        self.put(TimelineRow::key(chat, &row.place), &TimelineRow(id));
        self.put(AuthorRow::key(chat, row.device, row.no), &AuthorRow(id));
        id
    }

    /// Has what was said end.
    fn end(&mut self, id: EventId, ends: Ends) {
        self.change(id, |event| event.ends = Some(ends));
    }

    /// Changes what is held of something that was said.
    fn change(&mut self, id: EventId, change: impl FnOnce(&mut EventRow)) {
        let key = EventRow::key(id);
        let said = self.0.iter().find_map(|write| match write {
            Write::Put(at, bytes) if *at == key => parse::<EventRow>(bytes).ok(),
            _ => None,
        });
        let mut row = said.unwrap();
        change(&mut row);
        self.put(key, &row);
    }

    /// A device of `account` holds what is numbered so, and has read up to `read`.
    fn receipt(&mut self, chat: ChatId, account: AccountId, held: &[u64], read: u64) {
        let mut numbers = Numbers::from_base(1);
        held.iter().for_each(|no| {
            numbers.insert(*no);
        });
        let row = ReceiptRow { held: encode(&numbers), read, ..ReceiptRow::new(device_of(account), account) };
        self.put(ReceiptRow::key(chat, Side::Theirs, row.device), &row);
    }

    fn member(&mut self, account: AccountId, role: Role, name: &str) {
        self.member_since(account, role, name, 1);
    }

    /// A member for whom own messages are meant from this number on.
    fn member_since(&mut self, account: AccountId, role: Role, name: &str, from_no: u64) {
        let mut meant = Meant::default();
        meant.add(MY_DEVICE, (from_no, MAX_NO));
        let row = MemberRow {
            account,
            role,
            name: Some(name.into()),
            current: true,
            devices: vec![device_of(account)],
            named_by: 1,
            joined: None,
            name_sure: true,
            named_on: None,
            heads: Vec::new(),
            meant_then: None,
            meant,
        };
        self.put(MemberRow::key(HIKING, account), &row);
    }

    /// Who was a member is none any more.
    fn leave(&mut self, account: AccountId) {
        let key = MemberRow::key(HIKING, account);
        let row = self.0.iter().find_map(|write| match write {
            Write::Put(at, bytes) if *at == key => parse::<MemberRow>(bytes).ok(),
            _ => None,
        });
        self.put(key, &MemberRow { current: false, devices: Vec::new(), ..row.unwrap() });
    }

    fn feed(&mut self, cursor: u64, entry: FeedEntry) {
        self.put(Key::at(Table::Feed, b"", cursor.to_be_bytes()), &entry);
    }

    fn dispatcher(self, online: &[AccountId]) -> Dispatcher {
        let peers = online.iter().copied().map(transport_of).collect();
        let around = Surroundings { peers, listening: vec!["/ip4/127.0.0.1/tcp/9".into()] };
        Dispatcher::new(Handle::over(self.into_store(), Reach::Network).among(around))
    }
}

async fn ask(at: &Dispatcher, method: &str, params: Value) -> Value {
    at.dispatch(method, params).await.unwrap()
}

#[tokio::test]
async fn a_message_counts_only_members_it_was_meant_for() {
    let mut home = Home::new();
    let chat = ChatId::from(HIKING);
    home.put(GroupRow::key(HIKING), &group(GroupState::Joined));
    home.member(ME, Role::Founder, "me");
    home.member(MINA, Role::Member, "mina");
    home.member_since(JUNO, Role::Member, "juno", 2);
    home.chat(chat, ChatKind::Group(HIKING), 2, 0);
    home.say(chat, ME, 1, "before juno came");
    home.say(chat, ME, 2, "after");
    home.receipt(chat, MINA, &[1, 2], 1);
    // It says it has what it was not there for.
    home.receipt(chat, JUNO, &[1], 1);
    let log = ask(&home.dispatcher(&[]), "message.log", json!({"chat": "#hiking"})).await;
    let far = |at: usize| {
        let message = &log["messages"][at];
        (message["state"].clone(), message["delivered"].clone(), message["of"].clone())
    };
    assert_eq!(far(0), (json!("read"), json!(1), json!(1)));
    assert_eq!(far(1), (json!("saved"), json!(1), json!(2)));
}

#[tokio::test]
async fn who_left_with_a_message_counts_for_it_and_who_left_without_it_does_not() {
    let chat = ChatId::from(HIKING);
    let home = |left: &[AccountId]| {
        let mut home = Home::new();
        home.put(GroupRow::key(HIKING), &group(GroupState::Joined));
        home.member(ME, Role::Founder, "me");
        home.member(MINA, Role::Member, "mina");
        home.member(JUNO, Role::Member, "juno");
        left.iter().for_each(|account| home.leave(*account));
        home.chat(chat, ChatKind::Group(HIKING), 3, 0);
        for place in 1..=3 {
            home.say(chat, ME, place, "up");
        }
        home.receipt(chat, MINA, &[1, 2], 1);
        home.receipt(chat, JUNO, &[1], 1);
        home.dispatcher(&[])
    };
    let far = async |left: &[AccountId]| {
        let log = ask(&home(left), "message.log", json!({"chat": "#hiking"})).await;
        let far = |m: &Value| (m["state"].clone(), m["delivered"].clone(), m["read"].clone(), m["of"].clone());
        log["messages"].as_array().unwrap().iter().map(far).collect::<Vec<_>>()
    };
    let state =
        |word: &str, delivered: u64, read: u64, of: u64| (json!(word), json!(delivered), json!(read), json!(of));
    assert_eq!(far(&[]).await, [state("read", 2, 2, 2), state("saved", 1, 0, 2), state("saved", 0, 0, 2)]);
    assert_eq!(far(&[JUNO]).await, [state("read", 2, 2, 2), state("delivered", 1, 0, 1), state("saved", 0, 0, 1)]);
    assert_eq!(far(&[MINA]).await, [state("read", 2, 2, 2), state("saved", 1, 0, 2), state("saved", 0, 0, 1)]);
    assert_eq!(
        far(&[MINA, JUNO]).await,
        [state("read", 2, 2, 2), state("delivered", 1, 0, 1), state("saved", 0, 0, 0)]
    );
}

#[tokio::test]
async fn a_message_is_as_far_as_the_slowest_member_proved() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let chat = ChatId::from(HIKING);
    home.put(GroupRow::key(HIKING), &group(GroupState::Joined));
    home.member(ME, Role::Founder, "me");
    home.member(MINA, Role::Member, "mina in the hills");
    home.member(JUNO, Role::Member, "juno\u{202e}");
    home.chat(chat, ChatKind::Group(HIKING), 3, 0);
    for place in 1..=3 {
        home.say(chat, ME, place, "up");
    }
    home.receipt(chat, MINA, &[1, 2, 3], 2);
    // What is read was there: a receipt that says otherwise proves nothing.
    home.receipt(chat, JUNO, &[1], 3);
    let at = home.dispatcher(&[MINA]);
    let log = ask(&at, "message.log", json!({"chat": "#hiking"})).await;
    let far: Vec<_> = log["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["state"].clone(), m["delivered"].clone(), m["read"].clone(), m["of"].clone()))
        .collect();
    assert_eq!(
        far,
        [
            (json!("read"), json!(2), json!(2), json!(2)),
            (json!("saved"), json!(1), json!(1), json!(2)),
            (json!("saved"), json!(1), json!(0), json!(2)),
        ]
    );
    assert_eq!(log["messages"][1]["waiting"]["why"], "away");
    assert_eq!(log["messages"][0].get("waiting"), None);
    let outbox = ask(&at, "outbox.list", json!({})).await;
    assert_eq!(outbox["waiting"].as_array().unwrap().len(), 2, "{outbox}");
    assert_eq!(ask(&at, "status", json!({})).await["outbox"], 2);
    let members = ask(&at, "group.members", json!({"group": "hiking"})).await;
    let names: Vec<_> = members["members"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names[0], "me myself");
    assert!(names.contains(&"mina"), "the local name goes before the one in the group: {names:?}");
    assert!(names.iter().all(|name| !name.contains('\u{202e}')), "{names:?}");
}

/// Where the message of this number stands.
fn place(number: u64) -> Place {
    Place { effective: Millis(number), id: EventId([number as u8 + 100; 32]) }
}

fn group(state: GroupState) -> GroupRow {
    GroupRow {
        group: HIKING,
        name: "hiking".into(),
        state,
        inviter: Some(MINA),
        ops: 0,
        since: Millis(7),
        held: 0,
        invited: Vec::new(),
        asked_again: Vec::new(),
        late: Vec::new(),
        mailboxes: Vec::new(),
    }
}

#[tokio::test]
async fn who_was_removed_is_told_why_its_last_words_wait() {
    let mut home = Home::new();
    let chat = ChatId::from(HIKING);
    home.put(GroupRow::key(HIKING), &group(GroupState::Removed));
    home.member(ME, Role::Member, "me");
    home.member(MINA, Role::Founder, "mina");
    home.chat(chat, ChatKind::Group(HIKING), 1, 0);
    home.say(chat, ME, 1, "nobody told me");
    let log = ask(&home.dispatcher(&[MINA]), "message.log", json!({"chat": "#hiking"})).await;
    assert_eq!(log["messages"][0]["waiting"]["why"], "removed", "nobody is only away");
}

#[tokio::test]
async fn what_waits_for_who_is_no_contact_is_listed_with_why() {
    for (problem, state, why) in [
        (None, ContactState::Removed, "not_a_contact"),
        (Some(ContactProblem::LinkUsed), ContactState::Pending, "dead_link"),
        (None, ContactState::Pending, "not_accepted"),
    ] {
        let mut home = Home::new();
        home.contact_with(MINA, "mina", state, problem);
        let chat = ChatId::direct(ME, MINA);
        home.chat(chat, ChatKind::Direct(MINA), 1, 0);
        home.say(chat, ME, 1, "are you there?");
        let at = home.dispatcher(&[]);
        assert_eq!(ask(&at, "outbox.list", json!({})).await["waiting"][0]["why"], why);
        assert_eq!(ask(&at, "status", json!({})).await["outbox"], 1);
    }
}

#[tokio::test]
async fn of_who_was_asked_in_again_it_is_said_that_it_has_not_accepted() {
    for (asked_again, why) in [(vec![MINA], "not_accepted"), (vec![], "away")] {
        let mut home = Home::new();
        let chat = ChatId::from(HIKING);
        home.put(GroupRow::key(HIKING), &GroupRow { asked_again, ..group(GroupState::Joined) });
        home.member(ME, Role::Founder, "me");
        home.member(MINA, Role::Member, "mina");
        home.chat(chat, ChatKind::Group(HIKING), 1, 0);
        home.say(chat, ME, 1, "are you in?");
        let at = home.dispatcher(&[MINA]);
        assert_eq!(ask(&at, "message.log", json!({"chat": "#hiking"})).await["messages"][0]["waiting"]["why"], why);
        assert_eq!(ask(&at, "outbox.list", json!({})).await["waiting"][0]["why"], why);
    }
}

#[tokio::test]
async fn a_log_gives_the_last_oldest_first_and_pages_backwards_without_gaps() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let chat = ChatId::direct(ME, MINA);
    home.chat(chat, ChatKind::Direct(MINA), 7, 3);
    let ids: Vec<_> = (1..=7).map(|n| home.say(chat, MINA, n, &format!("Text {n}"))).collect();
    let at = home.dispatcher(&[]);
    let texts = |log: &Value| -> Vec<String> {
        log["messages"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap().to_owned()).collect()
    };
    let log = ask(&at, "message.log", json!({"chat": "mina", "limit": 3})).await;
    assert_eq!(texts(&log), ["Text 5", "Text 6", "Text 7"]);
    assert_eq!(log["messages"][0]["state"], "received");
    let before = ids[4].to_string();
    let log = ask(&at, "message.log", json!({"chat": "mina", "limit": 3, "before": &before[..10]})).await;
    assert_eq!(texts(&log), ["Text 2", "Text 3", "Text 4"]);
    let first = ids[0].to_string();
    let log = ask(&at, "message.log", json!({"chat": "mina", "before": first})).await;
    assert!(texts(&log).is_empty());
    let log = ask(&at, "message.log", json!({"chat": "mina", "search": "TEXT 3"})).await;
    assert_eq!(texts(&log), ["Text 3"]);
    for nothing in ["", "  ", "\u{3000}\n"] {
        let error = at.dispatch("message.log", json!({"chat": "mina", "search": nothing})).await.unwrap_err();
        assert_eq!(error.reason, "empty-search");
    }
    let other = EventId([9; 32]).to_string();
    let error = at.dispatch("message.log", json!({"chat": "mina", "before": other})).await.unwrap_err();
    assert_eq!(error.code.exit_code(), 6);
    let chats = ask(&at, "chat.list", json!({})).await;
    assert_eq!((&chats["chats"][0]["name"], &chats["chats"][0]["unread"]), (&json!("mina"), &json!(3)));
    assert_eq!(chats["chats"][0]["last"]["text"], "Text 7");
}

#[tokio::test]
async fn contacts_and_requests_are_told_apart_and_presence_is_that_of_devices() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    home.contact(JUNO, "juno", ContactState::Incoming);
    home.contact(AccountId([5; 32]), "ara", ContactState::Pending);
    home.contact(AccountId([6; 32]), "gone", ContactState::Removed);
    home.put(GroupRow::key(HIKING), &group(GroupState::Invited));
    let at = home.dispatcher(&[MINA, JUNO]);
    let contacts = ask(&at, "contact.list", json!({})).await;
    let list: Vec<_> = contacts["contacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["name"].clone(), c["state"].clone(), c["online"].clone()))
        .collect();
    assert_eq!(
        list,
        [(json!("ara"), json!("pending"), json!(false)), (json!("mina"), json!("connected"), json!(true)),]
    );
    let requests = ask(&at, "contact.requests", json!({})).await;
    assert_eq!(requests["requests"][0]["name"], "juno");
    assert_eq!(requests["requests"][0]["fingerprint"].as_str().map(str::len), Some(30));
    assert_eq!(requests["groups"][0]["from"]["name"], "mina");
    assert!(at.dispatch("contact.verify", json!({"who": "gone"})).await.is_err());
    let wrong = json!({"who": "mina", "matches": "0".repeat(60)});
    let error = at.dispatch("contact.verify", wrong).await.unwrap_err();
    assert_eq!((error.code.exit_code(), error.reason.as_str()), (5, "number-differs"));
    let status = ask(&at, "status", json!({})).await;
    assert_eq!((&status["peers"], &status["running"]), (&json!(2), &json!(true)));
    assert!(status["addrs"][0].as_str().unwrap().starts_with("/ip4/127.0.0.1/tcp/9/p2p/"));
}

#[tokio::test]
async fn an_entry_of_many_events_is_seen_whole_by_one_who_stops_in_the_middle_of_it() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let chat = ChatId::direct(ME, MINA);
    home.chat(chat, ChatKind::Direct(MINA), 3, 0);
    let ids: Vec<_> = (1..=3).map(|n| home.say(chat, ME, n, "x")).collect();
    home.receipt(chat, MINA, &[1, 2, 3], 0);
    home.feed(1, FeedEntry::Message { chat, id: ids[0] });
    home.feed(2, FeedEntry::Message { chat, id: EventId([0; 32]) });
    // A name has receipts too, and was shown to nobody; nor is what is gone.
    let name = home.say(chat, ME, 4, "x");
    home.change(name, |event| event.content = Content::Profile("minsu".parse().unwrap()).to_bytes());
    let told = ids.iter().copied().chain([name, EventId([0; 32])]).collect();
    home.feed(3, FeedEntry::Receipt { chat, by: MINA, state: Progress::Delivered, ids: told });
    let mut at = home.dispatcher(&[]);
    at.node = at.node.fed(3);
    let (_, mut watcher) = at.watch(serde_json::from_value(json!({"after": 0})).unwrap()).await.unwrap();
    let mut cursors = Vec::new();
    for _ in 0..4 {
        let event = watcher.next().await.unwrap().unwrap();
        if let crate::api::types::Event::Receipt { state, .. } = &event.event {
            assert_eq!(*state, MessageState::Delivered);
        }
        cursors.push(event.cursor);
    }
    assert_eq!(cursors, [1, 2, 2, 3], "who goes on behind 2 gets the whole receipt again");
}

#[tokio::test]
async fn what_a_method_does_not_understand_is_said() {
    let at = Home::new().dispatcher(&[]);
    let code = |error: crate::api::ApiError| error.reason;
    assert_eq!(code(at.dispatch("no.such", json!({})).await.unwrap_err()), "no-such-method");
    assert_eq!(code(at.dispatch("message.log", json!({})).await.unwrap_err()), "bad-params");
    assert_eq!(code(at.dispatch("message.log", json!({"chat": "nobody"})).await.unwrap_err()), "no-such-chat");
    assert_eq!(code(at.dispatch("profile", json!({"name": "x"})).await.unwrap_err()), "node-gone");
}

/// A home in which nothing ever happened.
pub(in crate::api) fn quiet() -> Dispatcher {
    Home::new().dispatcher(&[])
}

/// A home whose feed has so many entries.
pub(in crate::api) fn with_feed(entries: u64) -> Dispatcher {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    for cursor in 1..=entries {
        home.feed(cursor, FeedEntry::Contact { account: MINA, notice: ContactNotice::Changed });
    }
    let mut at = home.dispatcher(&[]);
    at.node = at.node.fed(entries);
    at
}

#[tokio::test]
async fn a_left_group_is_gone_from_the_list_and_its_history_stays() {
    let mut home = Home::new();
    let chat = ChatId::from(HIKING);
    let other = OpId([7; 32]);
    home.put(GroupRow::key(HIKING), &group(GroupState::Left));
    home.put(GroupRow::key(other), &GroupRow { group: other, ..group(GroupState::Joined) });
    home.member(MINA, Role::Member, "mina");
    home.chat(chat, ChatKind::Group(HIKING), 1, 1);
    home.chat(ChatId::from(other), ChatKind::Group(other), 0, 0);
    home.say(chat, MINA, 1, "up");
    let at = home.dispatcher(&[]);
    let chats = ask(&at, "chat.list", json!({})).await;
    let ids: Vec<&Value> = chats["chats"].as_array().unwrap().iter().map(|chat| &chat["id"]).collect();
    assert_eq!(ids, [&json!(ChatId::from(other).to_string())]);
    let by_id = ask(&at, "message.log", json!({"chat": chat.to_string()})).await;
    assert_eq!(by_id["messages"][0]["text"], "up");
    let by_name = ask(&at, "message.log", json!({"chat": "#hiking"})).await;
    assert_eq!(by_name["messages"], json!([]), "the name is the other's alone");
}

#[tokio::test]
async fn who_was_verified_stays_so_when_numbers_differ_and_that_is_said() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    home.change_contact(MINA, |row| row.verified = true);
    let at = home.dispatcher(&[]);
    let wrong = json!({"who": "mina", "matches": "0".repeat(60)});
    let error = at.dispatch("contact.verify", wrong).await.unwrap_err();
    assert_eq!(error.reason, "verified-number-differs");
    assert!(error.hint.contains("mina stays marked as verified"), "{}", error.hint);
    assert_eq!(ask(&at, "contact.list", json!({})).await["contacts"][0]["verified"], true);
}

#[tokio::test]
async fn a_new_device_is_told_to_watchers_and_in_the_list() {
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    home.change_contact(MINA, |row| row.new_device = Some(Millis(9)));
    home.feed(1, FeedEntry::Contact { account: MINA, notice: ContactNotice::NewDevice });
    let at = home.dispatcher(&[]);
    let list = ask(&at, "contact.list", json!({})).await;
    assert_eq!(list["contacts"][0]["new_device"], json!("1970-01-01T00:00:00.009Z"));
    let watch = at.watch(crate::api::types::WatchParams { after: Some(0) }).await;
    let event = serde_json::to_value(watch.unwrap().1.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(event["notice"], "new_device");
}

#[tokio::test]
async fn what_waits_is_listed_across_numbers_that_were_left_out() {
    const FAR: u64 = 1 << 40;
    let mut home = Home::new();
    home.contact(MINA, "mina", ContactState::Connected);
    let chat = ChatId::from(HIKING);
    home.put(GroupRow::key(HIKING), &group(GroupState::Joined));
    home.member(ME, Role::Founder, "me");
    home.member(MINA, Role::Member, "mina");
    home.member(JUNO, Role::Member, "juno");
    home.chat(chat, ChatKind::Group(HIKING), FAR + 6, 0);
    for place in [1, 2, 3, FAR + 4, FAR + 5, FAR + 6] {
        home.say(chat, ME, place, &format!("number {}", place % FAR));
    }
    home.receipt(chat, MINA, &[2, 3, FAR + 4, FAR + 5, FAR + 6], 0);
    home.receipt(chat, JUNO, &[1, 2, 3, FAR + 4], 0);
    let at = home.dispatcher(&[MINA]);
    let outbox = ask(&at, "outbox.list", json!({})).await;
    let waiting = outbox["waiting"].as_array().unwrap();
    let ids: Vec<_> = waiting.iter().map(|one| one["id"].as_str().unwrap().parse::<EventId>().unwrap()).collect();
    assert_eq!(ids, [1, FAR + 5, FAR + 6].map(|no| place(no).id), "{outbox}");
}

//! An answer of every method, as the contract writes it, with one name put wherever a peer can choose one.

use serde_json::{Value, json};

/// Any id.
pub(crate) const ID: &str = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq";
const DIGITS: &str = "012345678901234567890123456789";
const AT: &str = "2026-11-22T08:20:00.000Z";

/// The answer of a method. Panics for a method that has none: add it here.
pub(crate) fn answer(method: &str, name: &str) -> Value {
    let contact = json!({"v": 1, "contact": ID, "name": name, "state": "connected"});
    let gone = json!({"v": 1, "contact": ID, "name": name});
    let own = json!({"v": 1, "account": ID, "name": name, "fingerprint": DIGITS});
    let standing = |state: &str| json!({"v": 1, "group": ID, "state": state});
    match method {
        "status" => {
            json!({"v": 1, "running": true, "account": ID, "peer": "12D3KooW", "addrs": ["/ip4/127.0.0.1/tcp/1"],
            "peers": 1, "outbox": 0, "chats": 2, "store_bytes": 4096, "version": "0.1.0"})
        }
        "down" => json!({"v": 1, "stopping": true}),
        "config" => json!({"v": 1, "settings": [{"key": "receipts.read", "value": true, "origin": "file"}]}),
        "id" | "profile" => own,
        "invite.create" => json!({"v": 1, "link": "moim:1:abc", "expires": AT}),
        "invite.list" => json!({"v": 1, "invites":
            [{"id": "abcdefghij", "created": AT, "expires": AT, "auto_accept": false, "pending": 2}]}),
        "invite.revoke" => json!({"v": 1, "id": "abcdefghij"}),
        "contact.add" | "contact.accept" | "contact.block" | "contact.unblock" | "contact.rename" => contact,
        "contact.list" => json!({"v": 1, "contacts":
            [{"id": ID, "name": name, "state": "requested", "verified": false, "online": true},
            {"id": ID, "name": name, "state": "pending", "verified": false, "online": false, "problem": "link_used"}]}),
        "contact.requests" => {
            json!({"v": 1, "requests": [{"id": ID, "name": name, "fingerprint": DIGITS, "since": AT}],
            "groups": [{"id": ID, "name": name, "from": {"id": ID, "name": name}, "since": AT}]})
        }
        "contact.decline" | "contact.remove" => gone,
        "contact.verify" => json!({"v": 1, "contact": ID, "safety_number": DIGITS.repeat(2), "verified": false}),
        "message.send" => json!({"v": 1, "id": ID, "chat": ID, "state": "saved"}),
        "message.log" => json!({"v": 1, "messages": [message(name, "received"), message(name, "delivered"), {
            "id": ID, "chat": ID, "from": {"id": ID, "name": name}, "at": AT, "kind": "file", "state": "saved",
            "delivered": 1, "read": 0, "of": 7, "waiting": {"why": "away", "since": AT}}]}),
        "message.read" => json!({"v": 1, "chat": ID, "read": 3, "unread": 1}),
        "chat.receipts" => json!({"v": 1, "chat": ID, "receipts": "default", "tells": true}),
        "chat.timer" => json!({"v": 1, "chat": ID, "timer": "1h"}),
        "chat.clear" => json!({"v": 1, "chat": ID, "cleared": true, "waiting": 1}),
        "chat.list" => json!({"v": 1, "chats": [
            {"id": ID, "name": name, "kind": "direct", "unread": 2, "last": message(name, "received")},
            {"id": ID, "name": name, "kind": "group", "unread": 0},
            {"id": ID, "name": name, "kind": "group", "standing": "removed", "unread": 0},
            {"id": ID, "name": "me", "kind": "self", "unread": 0}]}),
        "group.new" | "group.rename" => json!({"v": 1, "group": ID, "name": name}),
        "group.invite" => standing("invited"),
        "group.accept" => standing("joined"),
        "group.decline" => standing("declined"),
        "group.leave" => standing("left"),
        "group.members" => json!({"v": 1, "members": [{"id": ID, "name": name, "role": "founder"}]}),
        "group.log" => group_log(name),
        "group.remove" => json!({"v": 1, "group": ID, "member": ID, "name": name, "applied": 1, "of": 7}),
        "group.promote" | "group.demote" | "group.hand_over" => {
            json!({"v": 1, "group": ID, "member": ID, "name": name, "role": "admin"})
        }
        "group.mailbox.add" | "group.mailbox.remove" | "group.mailbox.list" => {
            json!({"v": 1, "group": ID, "mailboxes": [{"id": ID, "name": name, "online": true}]})
        }
        "mailbox.serve" | "mailbox.list" => json!({"v": 1, "serving": true,
            "keeps": {"boxes": 2, "messages": 3, "bytes": 4096},
            "mailboxes": [{"id": ID, "name": name, "state": "active", "online": true}]}),
        "mailbox.link" => json!({"v": 1, "link": "moim:1:abc", "expires": AT}),
        "mailbox.add" | "mailbox.remove" => json!({"v": 1, "mailbox": ID, "name": name, "state": "pending"}),
        "outbox.list" => json!({"v": 1, "waiting": [{"id": ID, "chat": ID, "to": {"id": ID, "name": name},
            "state": "mailbox", "why": "in_mailbox", "since": AT}]}),
        "outbox.cancel" => json!({"v": 1, "id": ID, "withdrawn": 1, "under_way": 0, "mailbox": 0, "delivered": 0}),
        "backup.page" => json!({"v": 1, "items": ["gQA="], "next": "00", "damaged": 0}),
        "watch" => json!({"v": 1, "cursor": 7}),
        other => panic!("no sample of {other}"),
    }
}

/// Every kind of change, and every reason why one does not count.
fn group_log(name: &str) -> Value {
    let person = json!({"id": ID, "name": name});
    let change = |did: &str| json!({"id": ID, "at": AT, "by": person, "did": did});
    let about = |did: &str| json!({"id": ID, "at": AT, "by": person, "did": did, "who": person});
    let named = |did: &str| json!({"id": ID, "at": AT, "by": person, "did": did, "name": name});
    let end = |mut change: Value| {
        (change["applied"], change["of"]) = (18.into(), 20.into());
        change
    };
    let mut changes = vec![named("founded"), named("renamed"), end(about("removed")), end(change("left"))];
    changes.extend(["settings", "secret_changed", "other"].map(change));
    changes.extend(["added", "promoted", "demoted", "handed_over", "mailbox_named", "mailbox_dropped"].map(about));
    changes.extend(["device_replaced", "device_added", "device_dropped", "devices_listed"].map(about));
    let cause = |did: &str| json!({"id": ID, "by": person, "did": did, "who": person});
    let void = |why: &str| json!({"why": why});
    let by = |why: &str, did: &str| json!({"why": why, "cause": cause(did)});
    let voids = [
        void("not_their_device"),
        by("device_dropped", "device_dropped"),
        void("not_member"),
        by("not_member", "removed"),
        by("not_member", "left"),
        by("not_member", "added"),
        void("target_not_member"),
        by("target_not_member", "removed"),
        by("target_not_member", "left"),
        by("target_not_member", "added"),
        void("not_allowed"),
        by("not_allowed", "demoted"),
        by("not_allowed", "promoted"),
        by("not_allowed", "handed_over"),
        by("removed", "removed"),
        by("demoted", "demoted"),
        by("outranked", "promoted"),
        void("oneself"),
        by("join_used", "added"),
        by("handed_over", "handed_over"),
        void("other"),
    ];
    changes.extend(voids.into_iter().map(|void| {
        let mut change = about("removed");
        change["void"] = void;
        change
    }));
    json!({"v": 1, "group": ID, "changes": changes})
}

/// One event of each kind.
pub(crate) fn events(name: &str) -> Vec<Value> {
    let person = json!({"id": ID, "name": name});
    let contact = json!({"id": ID, "name": name, "state": "blocked", "verified": true, "online": false});
    let request = json!({"id": ID, "name": name, "fingerprint": DIGITS, "since": AT});
    vec![
        json!({"v": 1, "cursor": 1, "event": "message", "message": message(name, "received")}),
        json!({"v": 1, "cursor": 2, "event": "receipt", "id": ID, "chat": ID, "by": person, "state": "read"}),
        json!({"v": 1, "cursor": 3, "event": "contact", "contact": contact}),
        json!({"v": 1, "cursor": 3, "event": "contact", "contact": contact, "notice": "link_used"}),
        json!({"v": 1, "cursor": 4, "event": "request", "request": request}),
        json!({"v": 1, "cursor": 5, "event": "group", "group": ID, "name": name, "state": "joined", "members": 3}),
        json!({"v": 1, "cursor": 6, "event": "peer", "contact": person, "online": true}),
        json!({"v": 1, "cursor": 7, "event": "peer", "contact": person, "online": false}),
        json!({"v": 1, "cursor": 8, "event": "damaged"}),
    ]
}

fn message(name: &str, state: &str) -> Value {
    json!({"id": ID, "chat": ID, "from": {"id": ID, "name": name}, "at": AT, "kind": "text", "text": format!("hi {name}"),
        "state": state, "delivered": 1, "read": 0, "of": 1, "reply_to": ID})
}

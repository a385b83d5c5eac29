//! Every limit of the protocol, each a named constant with its reason. A peer cannot make a node hold more than these.

use crate::protocol::time::{days, minutes};
use std::time::Duration;

// Codec

/// Containers inside containers in any record. Ours nest 6 deep; more only serves an attacker.
pub const MAX_CBOR_DEPTH: usize = 16;

// Text

/// A name of a person, device or group, in bytes of UTF-8: 64 Korean characters and room for emoji.
pub const MAX_NAME: usize = 256;
/// The text of one message, in bytes. A record must fit [`MAX_RECORD`] with its header; longer things are files.
pub const MAX_TEXT: usize = 50 * 1024;
/// Combining marks shown on one letter: Hebrew with cantillation and stacked Tibetan need up to 9.
pub const MAX_MARKS: usize = 10;

// One to one

/// A record inside an envelope, in bytes: with the largest header (a start with a bundle of [`MAX_BUNDLE`]) it still fits
/// the largest bucket, so that sealing anew is always possible; `crypto::envelope` asserts it.
pub const MAX_RECORD: usize = 54 * 1024;
/// The sizes an envelope's content is padded to, in bytes, so that a length says little.
pub const BUCKETS: [usize; 5] = [512, 1024, 4 * 1024, 16 * 1024, 64 * 1024];
/// The longest envelope: the largest bucket with version, tag, nonce and seal.
pub const MAX_ENVELOPE: usize = 64 * 1024 + 1 + 16 + 24 + 16;
/// The widest gap in one chain that is stepped over, and so the longest flight: messages sealed without an answer.
pub const MAX_GAP: u32 = 65_536;
/// Skipped message keys kept of one gap: the newest.
pub const MAX_SKIPPED_PER_GAP: usize = 1_000;
/// Skipped message keys kept in one session, oldest out first.
pub const MAX_SKIPPED_PER_SESSION: usize = 2_000;
/// How long a skipped message key is kept.
pub const SKIPPED_KEPT: Duration = days(30);
/// Older epochs of the peer whose tags are kept while keys of theirs are outstanding.
pub const MAX_OLD_EPOCHS: usize = 8;
/// How long rows of epoch 0 outlive their intro secret.
pub const EPOCH_0_KEPT: Duration = days(30);
/// A fresh ML-KEM key is offered when the last is older than this…
pub const KEM_EVERY: Duration = days(7);
/// …or this many own epochs old.
pub const KEM_EVERY_EPOCHS: u32 = 50;
/// A start is made anew when it went unanswered for this long.
pub const START_ANEW_AFTER: Duration = days(7);

/// Intro secrets kept of one contact: of its first session and of those a link began anew.
pub const MAX_INTROS: usize = 4;
/// Starts of one account that are taken under one prekey: each leaves a row until the prekey is erased.
pub const MAX_STARTS_PER_ACCOUNT: usize = 256;

// Identity

/// A new prekey is made this often.
pub const PREKEY_EVERY: Duration = days(7);
/// A prekey's private half is erased at this age.
pub const PREKEY_KEPT: Duration = days(28);
/// Devices on one list.
pub const MAX_DEVICES: usize = 16;
/// A signed device list, in bytes.
pub const MAX_LIST: usize = 1024;
/// Devices whose words another of the same account may bring: as many as took each other's place, one after the other.
pub const MAX_REPLACED: usize = 16;
/// Sessions and devices that are over and are kept to read what they left in own mailboxes.
pub const MAX_LATE: usize = 64;
/// Ranges of own numbers that are kept of a member of a group, to tell for whom a message is.
pub const MAX_MEANT: usize = 64;
/// Addresses in a bundle.
pub const MAX_ADDRESSES: usize = 8;
/// One address as text, in bytes.
pub const MAX_ADDRESS: usize = 256;
/// Mailboxes in a bundle.
pub const MAX_MAILBOXES: usize = 5;
/// Addresses of one mailbox in a bundle: one of each kind of network.
pub const MAX_MAILBOX_ADDRESSES: usize = 2;
/// The highest `seq` of a list, prekey or bundle. Honest ones are Unix seconds; so adding one never overflows.
pub const MAX_SEQ: u64 = 1 << 48;
/// A bundle, in bytes.
pub const MAX_BUNDLE: usize = 8 * 1024;
/// How long a ticket is good unless its maker says otherwise.
pub const TICKET_LIFE: Duration = days(7);
/// A ticket, packed, in bytes: as base32 it fits a QR code of version 6-L, 23 half-block rows on a terminal.
pub const MAX_TICKET: usize = 117;
/// Requests that wait side by side for one ticket.
pub const MAX_PENDING_PER_TICKET: usize = 5;
/// Open tickets of one account: more are not kept apart by a person.
pub const MAX_TICKETS: usize = 1_000;

// Events and groups

/// Events that one event names as those it follows.
pub const MAX_DEPS: usize = 8;
/// Membership heads that an op or event names.
pub const MAX_HEADS: usize = 8;
/// How far ahead of the own clock a dependency may be for the hybrid clock to follow it.
pub const CLOCK_AHEAD: Duration = minutes(10);
/// What one event says, in bytes: the longest text and room around it.
pub const MAX_CONTENT: usize = MAX_TEXT + 512;
/// One event of a 1-on-1 chat, in bytes: with its header it fits [`MAX_RECORD`].
pub const MAX_EVENT: usize = MAX_CONTENT + 1024;
/// The greatest count an event of one device may carry; sums of counts never overflow.
pub const MAX_NO: u64 = 1 << 48;
/// Ranges of counts beyond the gap-free one that a vector keeps of one device.
pub const MAX_RANGES: usize = 64;
/// The sizes a group message's content is padded to, in bytes. The largest leaves room for header, signature and frame
/// in the largest of [`BUCKETS`].
pub const CONTENT_BUCKETS: [usize; 5] = [256, 1024, 4 * 1024, 16 * 1024, 52 * 1024];
/// One group event, in bytes: the largest content, its seal, header and signature.
pub const MAX_GROUP_EVENT: usize = 53 * 1024 + 512;
// A group event is passed on inside a session: it fits a record with what names it.
const _: () = assert!(MAX_GROUP_EVENT + 256 <= MAX_RECORD);
const _: () = assert!(MAX_EVENT + 256 <= MAX_RECORD);
/// Members of one group.
pub const MAX_MEMBERS: usize = 1_000;
/// Ops of one group that are kept; an op past it is refused and said so.
pub const MAX_OPS: usize = 20_000;
/// One membership op, in bytes.
pub const MAX_OP: usize = 32 * 1024;
/// Messages under one sender chain before a new one is made.
pub const MAX_CHAIN_MESSAGES: u32 = 1_000;
/// Age of a sender chain before a new one is made.
pub const CHAIN_LIFE: Duration = days(7);
/// Age of a gossip secret before it is rotated.
pub const GOSSIP_SECRET_LIFE: Duration = days(30);
/// Gossip secrets of one group that are kept: each is a topic.
pub const MAX_GOSSIP_SECRETS: usize = 8;
/// How long old topics are still read.
pub const OLD_TOPIC_READ: Duration = days(30);
/// The longest wait before a member rotates an unusable gossip secret; the actual one is drawn from zero to this…
pub const ROTATE_JITTER: Duration = Duration::from_secs(30);
/// …and to no more than this for each member: so the first of them does it within about a second.
pub const ROTATE_JITTER_EACH: Duration = Duration::from_secs(1);
/// Who holds no usable gossip secret this long after the newest rotation was seen issues one.
pub const ROTATE_ANYWAY_AFTER: Duration = minutes(5);
/// Keys of single messages in one record: about 70 bytes each.
pub const MAX_KEYS_PER_RECORD: usize = 700;
/// Sender chains kept of one device in one group: one a week, one a thousand messages, and those that removals end. Who
/// was away comes to know them before the messages.
pub const MAX_CHAINS_PER_DEVICE: usize = 32;
/// One gossip frame, in bytes; gossipsub's `max_transmit_size` leaves room for its own framing.
pub const MAX_GOSSIP_FRAME: usize = 66 * 1024;
/// gossipsub's `max_transmit_size`.
pub const MAX_GOSSIP_TRANSMIT: usize = 68 * 1024;
/// Groups one node takes part in.
pub const MAX_GROUPS: usize = 1_000;
/// Topics a peer may subscribe to: two a group at a change of secrets.
pub const MAX_TOPICS: usize = 2 * MAX_GROUPS;
/// Group starts kept of senders that are not yet known as members.
pub const MAX_HELD_STARTS: usize = 64;
/// Events of one group that cannot be placed yet.
pub const MAX_HELD_EVENTS: usize = 10_000;
/// Of those, events of one author device (devices that no op names count as one)…
pub const MAX_HELD_PER_DEVICE: usize = 256;
/// …and their bytes. What finds no room is asked for again.
pub const MAX_HELD_BYTES_PER_DEVICE: usize = 4 * 1024 * 1024;
/// How long an event is held.
pub const HELD_KEPT: Duration = days(14);
/// Open invitations of one inviter.
pub const MAX_INVITATIONS: usize = 16;
/// Ops kept aside of one sending device until their past is here, oldest out first…
pub const MAX_OPS_ASIDE_PER_DEVICE: usize = 64;
/// …and in one group.
pub const MAX_OPS_ASIDE: usize = 512;
/// Chains and gossip secrets kept aside in one group until their senders are known as members: one a device.
pub const MAX_KEYS_ASIDE: usize = 64;
/// Ops taken of a device that is no member's now, unless a member's op was made after them.
pub const MAX_OPS_OF_FORMER: usize = 256;
/// Membership heads that a member names when it says what it has: more are told of anew each time.
pub const MAX_HEADS_TOLD: usize = 512;
/// Bytes of ops, or of events, given in one answer. Who lacks more asks again.
pub const MAX_BYTES_PER_ANSWER: usize = 1024 * 1024;
/// Questions of one device about one group answered in a second…
pub const MAX_ANSWERS_PER_SECOND: u32 = 16;
/// …and the bytes given for them.
pub const MAX_BYTES_PER_SECOND: usize = 4 * MAX_BYTES_PER_ANSWER;
/// The shortest life a message can be given: long enough to read one.
pub const MIN_TIMER: Duration = Duration::from_secs(5);
/// The longest.
pub const MAX_TIMER: Duration = days(366);
/// Heads of a conversation that are kept, the latest: only events that follow nothing make more than its devices.
pub const MAX_CHAT_HEADS: usize = 256;

// Sync

/// Ranges in one message of a comparison: prints of as many parts as fit a record.
pub const MAX_RANGES_TOLD: usize = 1_024;
/// Ids in one message of a comparison: as many as fit a record.
pub const MAX_IDS_TOLD: usize = 1_400;
/// Stubs in one answer, each some 350 bytes: as many as fit a record.
pub const MAX_STUBS_TOLD: usize = 128;
/// Members asked whether they still have what was said in an event of which one had only the stub.
pub const MAX_ASKED_FOR_BODY: usize = 3;
/// Ids in one question for events, and in one answer: as many as are asked for at a time, and room.
pub const MAX_WISHES_TOLD: usize = 512;
/// Questions about what is compared that a device may put at once: a talk in each of many groups…
pub const MAX_QUESTIONS_AT_ONCE: u64 = 512;
/// …and for ever, in a second.
pub const MAX_QUESTIONS_A_SECOND: u64 = 32;
/// Ids that a device may name in them at once: a long history…
pub const MAX_IDS_AT_ONCE: u64 = 200_000;
/// …and for ever, in a second.
pub const MAX_IDS_A_SECOND: u64 = 2_000;
/// Bytes of events that a device is given on request at once: some thirty thousand events…
pub const MAX_GIVEN_AT_ONCE: u64 = 32 * 1024 * 1024;
/// …and for ever, in a second.
pub const MAX_GIVEN_A_SECOND: u64 = 2 * 1024 * 1024;

// Mailboxes, as one that serves

/// How long mail is kept: a long holiday. Who sent it leaves it again before.
pub const MAIL_KEPT: Duration = days(14);
/// Sent mail is left again at this age, well before the other end of it.
pub const DEPOSIT_AGAIN_AFTER: Duration = days(7);
/// Things in one box: some hundred a day from its owner's contacts.
pub const MAX_BOX_BLOBS: u64 = 4_096;
/// Their bytes.
pub const MAX_BOX_BYTES: u64 = 32 * 1024 * 1024;
/// Things in a ticket's or a guest's box: some starts of those who have the link, repeated.
pub const MAX_SMALL_BOX_BLOBS: u64 = 64;
/// Their bytes.
pub const MAX_SMALL_BOX_BYTES: u64 = 2 * 1024 * 1024;
/// Things of one sender at a mailbox, in all boxes: half a box, so that one sender never fills one alone.
pub const MAX_SENDER_BLOBS: u64 = MAX_BOX_BLOBS / 2;
/// Their bytes.
pub const MAX_SENDER_BYTES: u64 = MAX_BOX_BYTES / 2;
/// Frames in the log of one group: a busy week of a large one.
pub const MAX_LOG_BLOBS: u64 = 8_192;
/// Their bytes.
pub const MAX_LOG_BYTES: u64 = 64 * 1024 * 1024;
/// Frames of one sender in all logs at a mailbox: half a log, so that one member never fills one alone.
pub const MAX_LOG_SENDER_BLOBS: u64 = MAX_LOG_BLOBS / 2;
/// Their bytes.
pub const MAX_LOG_SENDER_BYTES: u64 = MAX_LOG_BYTES / 2;
/// Logs of groups at one mailbox…
pub const MAX_LOGS: u64 = 1_024;
/// …and of those, opened by one device: one a month for some groups, each kept until it is unused for long.
pub const MAX_LOGS_PER_OPENER: usize = 64;
/// Readers of one log who are told that there is more; who finds no room looks now and then.
pub const MAX_LOG_READERS: usize = 1_024;
/// Bytes of all mail at one mailbox: what a small computer spares.
pub const MAX_MAIL_BYTES: u64 = 1024 * 1024 * 1024;
/// Boxes of one owner: one for contacts, and those of its newest links.
pub const MAX_BOXES_PER_OWNER: usize = 64;
/// Boxes that a mailbox keeps, guests' not counted: those of a thousand owners with some links each.
pub const MAX_BOXES: u64 = 8_192;
/// Guests that a mailbox keeps a box for: who answers a link while its maker is away.
pub const MAX_GUESTS: u64 = 256;
/// How long a guest's box is kept.
pub const GUEST_BOX_KEPT: Duration = days(30);
/// A box whose owner did not come for this long is dropped.
pub const BOX_KEPT_UNSEEN: Duration = days(90);
/// How long a mailbox remembers, at most, that a box was closed.
pub const CLOSED_REMEMBERED: Duration = days(90);
/// Links of a mailbox that are open side by side.
pub const MAX_MAILBOX_LINKS: usize = 16;
/// How long a link of a mailbox is good.
pub const MAILBOX_LINK_LIFE: Duration = days(30);
/// Things given in answer to one fetch…
pub const MAX_FETCHED: usize = 64;
/// …and their bytes: a quarter of what may wait for one peer in the network's queue.
pub const MAX_FETCHED_BYTES: usize = 1024 * 1024;
/// Places in one word that things were taken: those of a few fetches.
pub const MAX_TAKEN: usize = 256;
/// Questions of one peer answered in a second; fetches of its boxes and deposits alike.
pub const MAX_ASKS_PER_SECOND: u32 = 512;
/// Bytes given to one peer in a second.
pub const MAX_GIVEN_PER_SECOND: usize = 4 * MAX_FETCHED_BYTES;

// Mailboxes, as one that is served

/// Mailboxes at which a thing is left, where so many are named: one may be gone for ever.
pub const MAIL_COPIES: usize = 2;
/// Mailboxes that a group names.
pub const MAX_GROUP_MAILBOXES: usize = 2;
/// Events and ops of one group that wait to be left at its mailboxes. What finds no room reaches who is away from members.
pub const MAX_POSTS: usize = 4_096;
/// Deposits under way to one mailbox.
pub const MAX_DEPOSITS_UNDER_WAY: usize = 64;
/// Things taken out of one box in an hour: four full boxes. Past it the mailbox invents them.
pub const MAX_MAIL_PER_HOUR: u32 = 4 * MAX_BOX_BLOBS as u32;
/// Tags in one receipt that no session is known for: what some fetches bring.
pub const MAX_UNKNOWN_TAGS: usize = 256;
/// Things out of one box in an hour that are of no use (of no session, or that do not open) before it is left alone.
pub const MAX_USELESS_PER_HOUR: u32 = MAX_BOX_BLOBS as u32;

// Direct streams

/// One frame of a direct stream, in bytes: an envelope and what a mailbox says of it.
pub const MAX_FRAME: usize = MAX_ENVELOPE + 128;
/// Time for a frame that has begun to come in whole.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

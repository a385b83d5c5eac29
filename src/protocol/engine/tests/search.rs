//! The index against looking at every message, and what reading costs. Blocks are small in tests, so some dozen messages
//! make several blocks and large segments.

use super::{super::Memory, *};
use crate::protocol::{
    crypto::kdf::hash,
    engine::{
        chats::NewEvent,
        find::{Most, find, is_indexed},
        rows::{ChatRow, EventRow, IndexPart, IndexRow, ReceiptRow, Row, SegmentRow, SegmentSize, Side},
        turn::{Step, Turn},
    },
    ids::{DeviceId, EventId},
    search::Needle,
};
use proptest::prelude::*;

const WORDS: [&str; 12] =
    ["한글", "글꼴", "zeppelin", "pelican", "A", "b", "STRASSE", "seven", "eleven", "꼴불견", "회의록", "ﬁne"];
const NEEDLES: [&str; 14] =
    ["pel", "Zeppelin", "한글", "글", "b", "missing", "꼴 a", "even", "en s", "회의", "strasse", "fine", "팽", "elev"];

/// A home with one chat into which events are put.
struct Home {
    node: Node,
    mem: Memory,
    chat: ChatId,
}

impl Home {
    fn new() -> Self {
        let node = node(1, "p1", NOW);
        let chat = ChatId::direct(node.account, node.account);
        Self { node, mem: Memory::default(), chat }
    }

    fn turn<T>(&mut self, act: impl FnOnce(&mut Turn) -> Step<T>) -> T {
        let Node { shelf, rng, .. } = &mut self.node;
        let mut turn = Turn::new(&mut self.mem, Settings::default(), NOW, rng, shelf);
        let outcome = act(&mut turn).unwrap();
        for effect in turn.finish() {
            let Effect::Persist(writes) = effect else { continue };
            writes.into_iter().for_each(|write| shelf.take(write));
        }
        outcome
    }

    fn place(&mut self, n: usize, clock: u64, follows: &[usize], text: &str) {
        let (chat, author) = (self.chat, self.node.account);
        let follows = follows.iter().map(|n| id(*n)).collect();
        let content = Content::text(text, None).unwrap();
        let (no, clock, device) = (n as u64 + 1, Millis(clock), DeviceId([9; 32]));
        let new = NewEvent {
            chat,
            id: id(n),
            author,
            device,
            no,
            clock,
            follows,
            content,
            key: None,
            raw: vec![],
            heads: vec![],
        };
        self.turn(|turn| turn.place(new));
    }

    fn index(&mut self) {
        let chat = self.chat;
        self.turn(|turn| turn.index_due(chat));
    }

    fn segments(&self, size: SegmentSize) -> usize {
        let rows = self.node.shelf.scan(SegmentRow::TABLE, self.chat.as_ref(), None, Direction::Forward, 999).unwrap();
        rows.iter().filter(|(_, bytes)| rows::parse::<SegmentRow>(bytes).unwrap().size == size).count()
    }

    /// Every message that holds it, found by looking at all.
    fn looked_through(&self, needle: &Needle) -> Vec<EventRow> {
        let lines =
            self.node.shelf.scan(Table::Timeline, self.chat.as_ref(), None, Direction::Backward, 9_999).unwrap();
        let event = |bytes: &[u8]| {
            let TimelineRow(id) = rows::parse(bytes).unwrap();
            rows::read::<EventRow>(&self.node.shelf, &EventRow::key(id)).unwrap().unwrap()
        };
        let holds = |event: &EventRow| match Content::parse(&event.content).unwrap() {
            Content::Text(text) => needle.is_in(text.as_str()),
            _ => false,
        };
        lines.iter().map(|(_, bytes)| event(bytes)).filter(holds).collect()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for typed in NEEDLES {
            let needle = Needle::new(typed).unwrap();
            let expected: Vec<Vec<u8>> = self.looked_through(&needle).into_iter().map(|event| event.place).collect();
            let found = |before: Option<&[u8]>, most| -> Vec<Vec<u8>> {
                let most = Most { messages: most, bytes: usize::MAX };
                let found = find(&self.node.shelf, self.chat, &needle, before, most).unwrap();
                found.messages.into_iter().map(|event| event.place).collect()
            };
            prop_assert_eq!(&found(None, 999), &expected, "all with {}", typed);
            // Page by page, as people turn them.
            let (mut paged, mut before) = (Vec::new(), None);
            loop {
                let page = found(before.as_deref(), 3);
                let Some(last) = page.last() else { break };
                before = Some(last.clone());
                paged.extend(page);
            }
            prop_assert_eq!(&paged, &expected, "pages with {}", typed);
        }
        Ok(())
    }
}

const NOW: Millis = Millis(1_800_000_000_000);

fn id(n: usize) -> EventId {
    EventId(hash(&[&n.to_be_bytes()]))
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(0..WORDS.len(), 1..5).prop_map(|words| {
        let words: Vec<&str> = words.into_iter().map(|at| WORDS[at]).collect();
        words.join(" ")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_search_finds_what_looking_at_every_message_finds(
        events in proptest::collection::vec((0u64..400, proptest::collection::vec(any::<u8>(), 0..2), text()), 1..110),
        late in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..12),
        steps in proptest::collection::vec(0usize..4, 110),
        gone in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut order: Vec<usize> = (0..events.len()).collect();
        for (a, b) in late {
            order.swap(a as usize % events.len(), b as usize % events.len());
        }
        let mut home = Home::new();
        for (at, n) in order.into_iter().enumerate() {
            let (clock, follows, text) = &events[n];
            // Mostly in order; what follows something that comes later moves when it comes.
            let clock = n as u64 * 10 + clock % if n % 7 == 0 { 400 } else { 20 };
            let follows: Vec<usize> = follows.iter().filter(|_| n > 0).map(|back| n - 1 - *back as usize % n).collect();
            home.place(n, clock, &follows, text);
            (0..steps[at]).for_each(|_| home.index());
            if at % 37 == 36 {
                home.check()?;
            }
        }
        home.check()?;
        // What is gone is not found, though the index still speaks of it.
        for n in gone {
            let n = n as usize % events.len();
            let row: Option<EventRow> = rows::read(&home.node.shelf, &EventRow::key(id(n))).unwrap();
            if let Some(row) = row {
                home.node.shelf.0.remove(&TimelineRow::key(home.chat, &row.place));
                home.node.shelf.0.remove(&EventRow::key(id(n)));
            }
        }
        home.check()?;
    }
}

#[test]
fn an_old_history_is_indexed_in_bounded_steps_and_leaves_nothing_of_the_blocks_behind() {
    let mut home = Home::new();
    for n in 0..100 {
        home.place(n, n as u64, &[], WORDS[n % WORDS.len()]);
    }
    let (mut most, mut steps) = (home.node.shelf.0.len(), 0);
    let chat = home.chat;
    while home.turn(|turn| turn.index_step(chat)) {
        let rows = home.node.shelf.0.len();
        assert!(rows < std::mem::replace(&mut most, rows) + 200, "a step writes a bounded number of rows");
        steps += 1;
    }
    assert!(steps > 20, "in steps");
    // 100 messages: the last 4 to 7 are behind it, and of 23 or 24 blocks every four became one.
    assert_eq!((home.segments(SegmentSize::Large), home.segments(SegmentSize::Block)), (6, 0));
    let index: IndexRow = rows::read(&home.node.shelf, &IndexRow::key(home.chat)).unwrap().unwrap();
    assert_eq!((index.blocks, index.strays), (0, 0));
    let places =
        home.node.shelf.0.keys().filter(|key| key.table == IndexPart::TABLE && key.item == Item::At(vec![1, 0, 0]));
    assert_eq!(places.count(), 6, "each large segment has its places, and nobody else");
    assert!(is_indexed(&home.node.shelf, home.chat).unwrap());
    home.check().unwrap();
}

/// The chat of two, as the one at `at` has it.
fn chat_row(world: &World, at: usize) -> ChatRow {
    let chat = ChatId::direct(world.account(0), world.account(1));
    rows::read(&world.nodes[at].shelf, &ChatRow::key(chat)).unwrap().unwrap()
}

#[test]
fn reading_up_to_a_message_counts_what_is_left_and_tells_how_far() {
    let mut world = World::new(2);
    let chat = ChatId::direct(world.account(0), world.account(1));
    let mut ids = Vec::new();
    for n in 0..9 {
        let sent = world.command(1, Command::Send { chat, text: format!("{n}"), reply_to: None }).unwrap();
        let Reply::Sent { id, .. } = sent else { panic!("{sent:?}") };
        ids.push(id);
        world.command(0, Command::Send { chat, text: format!("to {n}"), reply_to: None }).unwrap();
    }
    let read_there = |world: &World| {
        let receipts: Vec<ReceiptRow> =
            rows::all(&world.nodes[1].shelf, ReceiptRow::scope(chat, Side::Theirs)).unwrap();
        receipts.iter().map(|row| row.read).collect::<Vec<_>>()
    };
    assert_eq!(chat_row(&world, 0).unread, 9);
    for (up_to, read, unread) in [(Some(ids[3]), 4, 5), (Some(ids[1]), 4, 5), (Some(ids[7]), 8, 1), (None, 9, 0)] {
        world.command(0, Command::MarkRead { chat, up_to }).unwrap();
        world.pass(Duration::from_secs(1));
        assert_eq!((chat_row(&world, 0).unread, &read_there(&world)[..]), (unread, &[read][..]), "{up_to:?}");
    }
}

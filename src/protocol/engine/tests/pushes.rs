//! A late event that a whole history follows.

use super::*;
use crate::protocol::{
    crypto::kdf::hash,
    delivery::Numbers,
    engine::{
        backup::{Cursor, page},
        chats::NewEvent,
        pushes::PAGE,
        rows::{ChatRow, ClearRow, EventRow, PushRow, PushingRow, ReceiptRow, Row, Side},
        turn::Turn,
    },
    ids::{DeviceId, EventId},
    wire::encode,
};

const NOW: Millis = Millis(1_800_000_000_000);
const FAR: u64 = 1 << 47;
const FARTHER: u64 = 1 << 48;
/// Rows written for an event that moves, and what a page of them may write beside that.
const ROWS_EACH: usize = 8;

fn id(n: usize) -> EventId {
    EventId(hash(&[&n.to_be_bytes()]))
}

/// What is said: its number, its clock and what it follows.
#[derive(Clone)]
struct Said(usize, u64, Vec<usize>);

/// How many are noted as held, whatever is.
const HELD: u64 = 3 * PAGE as u64;

/// A home with one chat into which events are put.
struct Home {
    node: Node,
    now: Millis,
    chat: ChatId,
    /// The most rows that one turn wrote.
    most: usize,
}

impl Home {
    fn new() -> Self {
        let node = node(1, "p1", NOW);
        let chat = ChatId::direct(node.account, node.account);
        let (device, account) = (DeviceId([9; 32]), AccountId([7; 32]));
        let mut held = Numbers::from_base(1);
        held.fill_through(HELD);
        let nothing = ReceiptRow { held: encode(&held), told: Some(0), ..ReceiptRow::new(device, account) };
        let mut home = Self { node, now: NOW, chat, most: 0 };
        home.node.shelf.take(Write::Put(ReceiptRow::key(chat, Side::Ours, device), encode(&nothing)));
        home
    }

    fn place(&mut self, Said(n, clock, follows): &Said) {
        let new = NewEvent {
            chat: self.chat,
            id: id(*n),
            author: AccountId([7; 32]),
            device: DeviceId([9; 32]),
            no: *n as u64 + 1,
            clock: Millis(*clock),
            follows: follows.iter().map(|n| id(*n)).collect(),
            content: Content::text(format!("{n}"), None).unwrap(),
            key: None,
            raw: vec![],
            heads: vec![],
        };
        let Node { engine, shelf, rng, .. } = &mut self.node;
        let mut turn = Turn::new(&mut engine.mem, Settings::default(), self.now, rng, shelf);
        turn.place(new).unwrap();
        let effects = turn.finish();
        self.write(effects);
    }

    fn input(&mut self, input: Input) {
        let Node { engine, shelf, rng, .. } = &mut self.node;
        let effects = engine.handle(input, self.now, rng, shelf).unwrap();
        self.write(effects);
    }

    fn write(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let Effect::Persist(writes) = effect else { continue };
            self.most = self.most.max(writes.len());
            writes.into_iter().for_each(|write| self.node.shelf.take(write));
        }
    }

    /// Another page.
    fn pass(&mut self) {
        self.now = self.now.plus(Duration::from_millis(2));
        self.input(Input::Tick);
    }

    fn pass_until_all_stand(&mut self) {
        for _ in 0..99 {
            if !self.is_being_pushed() {
                return;
            }
            self.pass();
        }
        panic!("it comes to an end");
    }

    fn restart(&mut self) {
        self.node.engine = Engine::new(Settings::default());
        self.input(Input::DrainEnd);
    }

    fn is_being_pushed(&self) -> bool {
        self.row::<PushingRow>(&PushingRow::key(self.chat)).is_some()
    }

    fn row<R: Row>(&self, key: &Key) -> Option<R> {
        rows::read(&self.node.shelf, key).unwrap()
    }

    fn chat_row(&self) -> ChatRow {
        self.row(&ChatRow::key(self.chat)).unwrap()
    }

    /// What is shown, in its order.
    fn lines(&self) -> Vec<EventId> {
        let lines =
            self.node.shelf.scan(Table::Timeline, self.chat.as_ref(), None, Direction::Forward, 99_999).unwrap();
        let shown = |(place, bytes): (Vec<u8>, Vec<u8>)| {
            let TimelineRow(id) = rows::parse(&bytes).unwrap();
            let event: EventRow = self.row(&EventRow::key(id)).unwrap();
            assert_eq!(event.place, place, "each stands where it says");
            id
        };
        lines.into_iter().map(shown).collect()
    }

    fn is_at_rest(&self) -> bool {
        let left =
            self.node.shelf.scan(PushRow::TABLE, &PushRow::scope(self.chat), None, Direction::Forward, 9).unwrap();
        left.is_empty() && !self.is_being_pushed()
    }
}

/// What a device shows that had each event after those it follows.
fn replayed(said: &[Said]) -> Vec<EventId> {
    let mut home = Home::new();
    let mut left: Vec<&Said> = said.iter().collect();
    left.sort_by_key(|Said(n, ..)| *n);
    left.into_iter().for_each(|said| home.place(said));
    assert!(home.is_at_rest());
    home.lines()
}

/// A history in which each follows the one before it, and some another one too. The first is kept back, and another one,
/// with a still later clock, that is followed in the middle.
fn history(count: usize) -> (Said, Said, Vec<Said>) {
    let middle = count / 2;
    let mut told = Vec::new();
    for n in 2..count {
        let mut follows = vec![if n == 2 { 0 } else { n - 1 }];
        follows.extend((n % 7 == 0).then(|| n - 3));
        follows.extend((n == middle).then_some(1));
        told.push(Said(n, NOW.0 + n as u64, follows));
    }
    (Said(0, FAR, vec![]), Said(1, FARTHER - 1_000_000, vec![]), told)
}

#[test]
fn what_a_whole_history_follows_moves_it_in_pages_to_where_a_fresh_replay_has_it() {
    const SAID: usize = 5_000;
    let (first, other, told) = history(SAID);
    let mut home = Home::new();
    told.iter().for_each(|said| home.place(said));
    assert_eq!(home.lines().len(), SAID - 2);
    let unread = home.chat_row().unread;

    home.most = 0;
    home.place(&first);
    assert!(home.is_being_pushed(), "one page is not all");
    assert_eq!(home.lines().len(), SAID - 1, "each is shown once, meanwhile too");
    home.pass();
    home.restart();
    // Meanwhile some say more: after what has moved, after what has not, and after both.
    let mut said = told;
    for (n, follows) in [(SAID, vec![5]), (SAID + 1, vec![SAID - 1]), (SAID + 2, vec![SAID, SAID + 1])] {
        said.push(Said(n, NOW.0, follows));
        home.place(said.last().unwrap());
    }
    home.pass();
    home.place(&other);
    home.pass();
    home.restart();
    home.pass_until_all_stand();
    assert!(home.most < ROWS_EACH * PAGE, "{} rows in one turn", home.most);

    said.extend([first, other]);
    assert!(home.is_at_rest());
    assert_eq!(home.lines(), replayed(&said));
    let row = home.chat_row();
    assert_eq!(row.unread, unread + 5);
    assert_eq!(row.last.unwrap().as_slice(), home.row::<EventRow>(&EventRow::key(id(SAID + 2))).unwrap().place);
}

#[test]
fn any_late_events_leave_the_order_of_a_fresh_replay_whatever_comes_between_two_pages() {
    let (first, other, told) = history(3 * PAGE);
    for (early, passes) in [(PAGE, 0), (PAGE / 2, 1), (2 * PAGE, 3)] {
        let mut home = Home::new();
        told[..early].iter().for_each(|said| home.place(said));
        home.place(&other);
        (0..passes).for_each(|_| home.pass());
        told[early..].iter().step_by(2).for_each(|said| home.place(said));
        home.place(&first);
        home.restart();
        told[early..].iter().skip(1).step_by(2).for_each(|said| home.place(said));
        home.pass_until_all_stand();
        let all: Vec<Said> = told.iter().chain([&first, &other]).cloned().collect();
        assert!(home.lines() == replayed(&all), "{early}, {passes}");
    }
}

#[test]
fn a_backup_written_while_a_history_moves_comes_to_the_same_order() {
    let (first, other, told) = history(3 * PAGE);
    let mut home = Home::new();
    told.iter().for_each(|said| home.place(said));
    home.place(&other);
    home.place(&first);
    assert!(home.is_being_pushed());
    let (mut items, mut next) = (Vec::new(), Some(Cursor::START));
    while let Some(from) = next {
        let page = page(&home.node.shelf, from, home.now).unwrap();
        items.extend(page.items.iter().map(encode));
        next = page.next;
    }
    home.node = backup::restored(&home.node.words, &items, 9, home.now).unwrap();
    home.restart();
    home.pass_until_all_stand();
    let all: Vec<Said> = told.iter().chain([&first, &other]).cloned().collect();
    assert!(home.lines() == replayed(&all));
}

#[test]
fn nobody_is_told_that_what_is_on_its_way_was_read() {
    let (first, _, told) = history(3 * PAGE);
    let told: Vec<Said> =
        told.into_iter().map(|Said(n, clock, follows)| Said(n, clock, follows[..1].to_vec())).collect();
    let mut home = Home::new();
    let (chat, device) = (home.chat, DeviceId([9; 32]));
    let key = ReceiptRow::key(chat, Side::Ours, device);
    told.iter().for_each(|said| home.place(said));
    home.place(&first);
    let read = |home: &Home| home.row::<ReceiptRow>(&key).unwrap().read;
    // It stands before those that have moved, which came before it.
    home.input(Input::Command(0, Command::MarkRead { chat, up_to: Some(id(2 * PAGE)) }));
    assert_eq!(read(&home), 0, "no place tells what stands before it");
    home.input(Input::Command(0, Command::MarkRead { chat, up_to: None }));
    assert_eq!(read(&home), HELD, "all that is here is all");
    home.pass_until_all_stand();
    assert_eq!(read(&home), HELD);
}

#[test]
fn what_is_read_or_cleared_while_a_history_moves_stays_so() {
    const SAID: usize = 3_000;
    let (first, _, told) = history(SAID);
    let told: Vec<Said> =
        told.into_iter().map(|Said(n, clock, follows)| Said(n, clock, follows[..1].to_vec())).collect();
    let mut home = Home::new();
    told.iter().for_each(|said| home.place(said));
    home.place(&first);
    assert!(home.is_being_pushed());
    let chat = home.chat;
    home.input(Input::Command(0, Command::MarkRead { chat, up_to: None }));
    home.place(&Said(SAID, NOW.0, vec![SAID - 1]));
    home.pass_until_all_stand();
    assert_eq!(home.chat_row().unread, 1, "what came after it was read");
    home.input(Input::Command(0, Command::MarkRead { chat, up_to: None }));
    assert_eq!(home.chat_row().unread, 0);

    let second = Said(SAID + 1, FARTHER - 1_000_000, vec![]);
    home.place(&Said(SAID + 2, FAR - 10, vec![SAID + 1]));
    for n in 3..SAID {
        home.place(&Said(SAID + n, FAR - 10, vec![SAID + n - 1]));
    }
    home.place(&second);
    assert!(home.is_being_pushed());
    home.input(Input::Command(0, Command::Clear(chat)));
    assert!(home.row::<ClearRow>(&ClearRow::key(chat)).is_some());
    for _ in 0..300 {
        home.pass();
    }
    assert!(home.is_at_rest() && home.row::<ClearRow>(&ClearRow::key(chat)).is_none());
    assert_eq!(home.lines(), [], "nothing that was cleared is passed by");
}

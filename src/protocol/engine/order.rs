//! The order in which the events of a conversation are compared, kept as rows beside them: one an event, and a sum for
//! each block of some hundred, so that two devices that compare read sums and few events.
//!
//! Whether an event is in the scope of both is decided by its class. Who calls: whatever places an event, and
//! [`talks`](super::talks), through [`Scoped`].

use super::{
    rows::{
        AuthorRow, Class, ClassId, ClassRow, DeviceRow, EventRow, OrderRow, RawRow, ReceiptRow, Row, Side, SumRow, all,
        parse,
    },
    turn::{Step, Turn},
};
use crate::protocol::{
    crypto::kdf::hash,
    group::{GroupEvent, Stub},
    ids::{ChatId, DeviceId, EventId},
    sync::{
        Set, Span, Spot, Tally,
        compare::PARTS,
        ranges::{Bound, LEAST},
        separator,
    },
    view::{Direction, Key, View, ViewError},
    wire::encode,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

/// Events in a block before it is parted in two.
const MAX_BLOCK: usize = 512;
/// Events read for one message of a comparison: some tens of milliseconds.
const MAX_READ: usize = 32_768;

/// Events of a block, ascending, and their classes.
type Events = Vec<(Bound, ClassId)>;

impl Class {
    /// Its name.
    pub fn id(&self) -> ClassId {
        ClassId(hash(&[&encode(self)]).first_chunk().copied().unwrap_or_default())
    }
}

impl Turn<'_> {
    /// Takes an event into the order. Twice is once.
    pub(super) fn order_event(&mut self, chat: ChatId, spot: Spot, class: Class) -> Step {
        self.ensure_order(chat)?;
        self.put_in_order(chat, spot, class)
    }

    /// Makes the index of a conversation that has none: of a home from before there was one.
    pub(super) fn ensure_order(&mut self, chat: ChatId) -> Step {
        if !self.scan(SumRow::TABLE, &SumRow::scope(chat), None, Direction::Forward, 1)?.is_empty() {
            return Ok(());
        }
        self.put(SumRow::key(chat, &LEAST), &SumRow::default());
        let own = self.own()?;
        let others = all::<ReceiptRow>(self, ReceiptRow::scope(chat, Side::Ours))?.into_iter().map(|row| row.device);
        for device in others.chain(own.authors()).collect::<BTreeSet<_>>() {
            let scope = AuthorRow::scope(chat, device);
            for (_, bytes) in self.scan(AuthorRow::TABLE, &scope, None, Direction::Forward, usize::MAX)? {
                let AuthorRow(id) = parse(&bytes)?;
                let Some(event) = self.event(id)? else { continue };
                let class = self.class_of(&event)?;
                self.put_in_order(chat, Spot { clock: event.clock, id }, class)?;
            }
        }
        Ok(())
    }

    /// Makes the index of a conversation anew, of what is here.
    pub(super) fn make_order_anew(&mut self, chat: ChatId) -> Step {
        for (table, scope) in [(SumRow::TABLE, SumRow::scope(chat)), (OrderRow::TABLE, OrderRow::scope(chat))] {
            for place in self.places(table, scope.as_ref(), None, Direction::Forward, usize::MAX)? {
                self.delete(Key::at(table, &scope, place));
            }
        }
        self.ensure_order(chat)
    }

    pub(super) fn class_of(&self, event: &EventRow) -> Step<Class> {
        if let Some(stub) = event.stub().and_then(|stub| Stub::parse(stub).ok()) {
            return Ok(Class { author: None, heads: stub.header().heads.clone() });
        }
        let raw = self.read::<RawRow>(&RawRow::key(event.id))?;
        let signed = raw.filter(|_| event.key.is_some()).and_then(|RawRow(bytes)| GroupEvent::parse(&bytes).ok());
        Ok(match signed {
            Some(signed) => Class { author: None, heads: signed.heads.clone() },
            None => Class { author: Some(event.device), heads: Vec::new() },
        })
    }

    fn put_in_order(&mut self, chat: ChatId, spot: Spot, class: Class) -> Step {
        let at = spot.to_key();
        if self.read::<OrderRow>(&OrderRow::key(chat, &at))?.is_some() {
            return Ok(());
        }
        let id = class.id();
        if self.read::<ClassRow>(&ClassRow::key(chat, id))?.is_none() {
            self.put(ClassRow::key(chat, id), &ClassRow { id, class });
        }
        self.put(OrderRow::key(chat, &at), &OrderRow(id));
        let page = self.scan(SumRow::TABLE, &SumRow::scope(chat), Some(&at), Direction::Backward, 1)?;
        let Some((from, bytes)) = page.into_iter().next() else { return Err(ViewError::Damaged(SumRow::TABLE)) };
        let from: Bound = from.try_into().map_err(|_| ViewError::Damaged(SumRow::TABLE))?;
        let mut block: SumRow = parse(&bytes)?;
        let mut one = Tally::default();
        one.add(&spot.id);
        block.join(id, &one);
        if block.count() <= MAX_BLOCK as u64 {
            self.put(SumRow::key(chat, &from), &block);
            return Ok(());
        }
        self.part_block(chat, from)
    }

    /// Takes an event out of the order: what was withdrawn is compared no more.
    pub(super) fn unorder_event(&mut self, chat: ChatId, spot: Spot) -> Step {
        let at = spot.to_key();
        if self.read::<OrderRow>(&OrderRow::key(chat, &at))?.is_none() {
            return Ok(());
        }
        self.delete(OrderRow::key(chat, &at));
        let page = self.scan(SumRow::TABLE, &SumRow::scope(chat), Some(&at), Direction::Backward, 1)?;
        let Some((from, _)) = page.into_iter().next() else { return Err(ViewError::Damaged(SumRow::TABLE)) };
        let from: Bound = from.try_into().map_err(|_| ViewError::Damaged(SumRow::TABLE))?;
        let mut block = SumRow::default();
        for (key, class) in read_block(self, chat, &from, MAX_BLOCK + 1)? {
            let mut one = Tally::default();
            one.add(&id_of(&key));
            block.join(class, &one);
        }
        self.put(SumRow::key(chat, &from), &block);
        Ok(())
    }

    /// Parts a block that has grown too large in two.
    fn part_block(&mut self, chat: ChatId, from: Bound) -> Step {
        let events = read_block(self, chat, &from, MAX_BLOCK + 1)?;
        let middle = events.len() / 2;
        let (Some((below, _)), Some((at, _))) = (events.get(middle.saturating_sub(1)), events.get(middle)) else {
            return Err(ViewError::Damaged(SumRow::TABLE));
        };
        let cut = separator(below, at);
        let (mut lower, mut upper) = (SumRow::default(), SumRow::default());
        for (key, class) in &events {
            let half = if *key < cut { &mut lower } else { &mut upper };
            let mut one = Tally::default();
            one.add(&id_of(key));
            half.join(*class, &one);
        }
        self.put(SumRow::key(chat, &from), &lower);
        self.put(SumRow::key(chat, &cut), &upper);
        Ok(())
    }

    /// The events of a conversation with a device that both may have. `None`: it may have none, or is not to be asked.
    pub(super) fn scoped(&mut self, chat: ChatId, device: &DeviceRow) -> Step<Option<BTreeSet<ClassId>>> {
        if !self.may_compare(chat, device)? {
            return Ok(None);
        }
        self.ensure_order(chat)?;
        let own = self.own()?;
        let classes = all::<ClassRow>(self, ClassRow::scope(chat))?;
        let Some(group) = self.group_of(chat)? else {
            // What devices wrote whose places these two took is theirs to give again.
            let theirs = std::iter::once(device.device).chain(device.replaced.iter().copied());
            let pair: BTreeSet<DeviceId> = own.authors().chain(theirs).collect();
            let is_of_pair = |row: &ClassRow| row.class.author.is_some_and(|author| pair.contains(&author));
            return Ok(Some(classes.into_iter().filter(is_of_pair).map(|row| row.id).collect()));
        };
        let memory = self.group(group)?;
        let members = &memory.membership.members;
        let (Some(ours), Some(theirs)) = (members.get(&own.account), members.get(&device.account)) else {
            return Ok(None);
        };
        let is_for_both =
            |row: &ClassRow| memory.graph.knows(ours, &row.class.heads) && memory.graph.knows(theirs, &row.class.heads);
        Ok(Some(classes.into_iter().filter(is_for_both).map(|row| row.id).collect()))
    }
}

/// The events of a conversation that are in the scope of two devices.
pub(super) struct Scoped<'t> {
    view: &'t dyn View,
    chat: ChatId,
    classes: BTreeSet<ClassId>,
    /// The block read last: many ranges of a message are in one.
    last: RefCell<Option<(Bound, Events)>>,
    read: Cell<usize>,
}

impl<'t> Scoped<'t> {
    pub(super) fn new(view: &'t dyn View, chat: ChatId, classes: BTreeSet<ClassId>) -> Self {
        Self { view, chat, classes, last: RefCell::new(None), read: Cell::new(0) }
    }

    /// The blocks that a span touches, ascending: where each begins and ends, and what is in it.
    fn blocks(&self, span: &Span) -> Step<Vec<(Span, SumRow)>> {
        let scope = SumRow::scope(self.chat);
        let first = self.view.scan(SumRow::TABLE, &scope, Some(&span.from), Direction::Backward, 1)?;
        let start = first.first().map_or(&LEAST[..], |(from, _)| from.as_slice());
        let mut blocks: Vec<(Span, SumRow)> = Vec::new();
        for (from, bytes) in self.view.scan(SumRow::TABLE, &scope, Some(start), Direction::Forward, usize::MAX)? {
            let from: Bound = from.try_into().map_err(|_| ViewError::Damaged(SumRow::TABLE))?;
            if let Some((last, _)) = blocks.last_mut() {
                last.to = Some(from);
            }
            if span.to.is_some_and(|to| from >= to) {
                break;
            }
            blocks.push((Span { from, to: None }, parse(&bytes)?));
        }
        Ok(blocks)
    }

    /// The events of a block that are in scope and in a span, ascending.
    fn events(&self, block: &Span, span: &Span) -> Step<Vec<Bound>> {
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|(from, _)| *from != block.from) {
            let events = read_block(self.view, self.chat, &block.from, MAX_BLOCK)?;
            self.read.set(self.read.get().saturating_add(events.len()));
            *last = Some((block.from, events));
        }
        let wanted = |key: &Bound, class: &ClassId| span.holds(key) && block.holds(key) && self.classes.contains(class);
        let events = last.iter().flat_map(|(_, events)| events);
        Ok(events.filter(|(key, class)| wanted(key, class)).map(|(key, _)| *key).collect())
    }

    fn tally_block(&self, block: &Span, row: &SumRow, span: &Span) -> Step<Tally> {
        if span.covers(block) {
            return Ok(row.tally(|class| self.classes.contains(class)));
        }
        let mut tally = Tally::default();
        self.events(block, span)?.iter().for_each(|key| tally.add(&id_of(key)));
        Ok(tally)
    }
}

impl Set for Scoped<'_> {
    type Error = ViewError;

    fn tally(&self, span: &Span) -> Step<Tally> {
        let mut tally = Tally::default();
        for (block, row) in self.blocks(span)? {
            tally.join(&self.tally_block(&block, &row, span)?);
        }
        Ok(tally)
    }

    fn parts(&self, span: &Span) -> Step<Vec<(Bound, Tally)>> {
        let mut blocks = Vec::new();
        for (block, row) in self.blocks(span)? {
            let tally = self.tally_block(&block, &row, span)?;
            if tally.count > 0 {
                blocks.push((block, tally));
            }
        }
        // Whole blocks where there are many; else single events, of which there are enough to be parted.
        let mut pieces: Vec<(Bound, Tally)> = Vec::new();
        if blocks.len() > PARTS {
            pieces.extend(blocks.into_iter().map(|(block, tally)| (block.from.max(span.from), tally)));
            return Ok(in_parts(pieces, span.from));
        }
        let mut before: Option<Bound> = None;
        for (block, _) in &blocks {
            for key in self.events(block, span)? {
                let mut one = Tally::default();
                one.add(&id_of(&key));
                pieces.push((before.map_or(span.from, |before| separator(&before, &key)), one));
                before = Some(key);
            }
        }
        Ok(in_parts(pieces, span.from))
    }

    fn newest(&self, span: &Span, most: usize) -> Step<Vec<Spot>> {
        let mut newest = Vec::new();
        for (block, _) in self.blocks(span)?.iter().rev() {
            let events = self.events(block, span)?;
            newest.extend(events.iter().rev().filter_map(|key| Spot::from_key(key)));
            if newest.len() >= most {
                break;
            }
        }
        newest.truncate(most);
        Ok(newest)
    }

    fn has_worked_enough(&self) -> bool {
        self.read.get() >= MAX_READ
    }
}

/// Pieces in up to [`PARTS`] parts with about as many events each, the newest first.
fn in_parts(pieces: Vec<(Bound, Tally)>, from: Bound) -> Vec<(Bound, Tally)> {
    let all: u64 = pieces.iter().fold(0, |sum, (_, tally)| sum.saturating_add(tally.count));
    let size = all.div_ceil(PARTS as u64).max(1);
    let mut parts: Vec<(Bound, Tally)> = Vec::new();
    let mut open = false;
    for (lower, tally) in pieces {
        match parts.last_mut() {
            Some((_, part)) if open => part.join(&tally),
            _ => parts.push((lower, tally)),
        }
        open = parts.last().is_some_and(|(_, part)| part.count < size);
    }
    if let Some((lower, _)) = parts.first_mut() {
        *lower = from;
    }
    parts.reverse();
    parts
}

/// The events from the beginning of a block to its end, which is the next one's beginning or is found by their number.
fn read_block(view: &dyn View, chat: ChatId, from: &Bound, most: usize) -> Step<Events> {
    let scope = SumRow::scope(chat);
    let next = view.scan(SumRow::TABLE, &scope, Some(from), Direction::Forward, 2)?;
    let end = next.get(1).map(|(end, _)| end.clone());
    let mut events = Vec::new();
    for (key, bytes) in view.scan(OrderRow::TABLE, &OrderRow::scope(chat), Some(from), Direction::Forward, most)? {
        if end.as_ref().is_some_and(|end| key >= *end) {
            break;
        }
        let OrderRow(class) = parse(&bytes)?;
        events.push((key.try_into().map_err(|_| ViewError::Damaged(OrderRow::TABLE))?, class));
    }
    Ok(events)
}

/// The event of a key in the order.
fn id_of(key: &Bound) -> EventId {
    EventId(key.last_chunk().copied().unwrap_or_default())
}

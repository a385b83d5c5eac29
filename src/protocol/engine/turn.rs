//! One turn of the engine: one input, the writes it staged and the effects it gathered.
//!
//! Every subject of the engine is an `impl Turn` in a file of its own. A turn reads through its own staged writes, so that
//! later steps of one input see earlier ones; a refused command discards them all.

use super::{
    Effect, Memory, Refusal, Reply, Settings, Token,
    feed::FeedEntry,
    rows::{self, CounterRow, OwnRow, Row},
};
use crate::protocol::{
    group::gossip::{Gate, Topic},
    ids::TransportKey,
    time::Millis,
    view::{Cell, Direction, EachRow, Item, Key, Rows, Table, View, ViewError, Write},
    wire::{encode, frame::Frame},
};
use rand_core::CryptoRng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Why a step of a command ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The wish is refused; nothing may change.
    Refused(Refusal),
    /// The store failed; nothing may change and the input may come again.
    View(ViewError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ViewError> for Stop {
    fn from(error: ViewError) -> Self {
        Self::View(error)
    }
}

/// What a step gives that can only fail with the store.
pub(super) type Step<T = ()> = Result<T, ViewError>;

/// What a command gives.
pub(super) type Answer<T = Reply> = Result<T, Stop>;

pub(super) struct Turn<'a> {
    pub(super) mem: &'a mut Memory,
    pub(super) settings: Settings,
    pub(super) now: Millis,
    pub(super) rng: &'a mut dyn CryptoRng,
    view: &'a dyn View,
    staged: BTreeMap<Key, Option<Vec<u8>>>,
    /// The cells of staged rows that are in one.
    in_cells: BTreeMap<Key, Cell>,
    /// Cells that are erased before anything else is written.
    erased: BTreeSet<Cell>,
    /// Cells whose deleted rows must not be readable on the disk.
    renewed: BTreeSet<Cell>,
    forgets_lost: bool,
    frames: Vec<(TransportKey, Vec<u8>)>,
    /// What this node as a mailbox and as a member of groups says to itself.
    pub(super) to_self: VecDeque<Frame>,
    network: Vec<Effect>,
    replies: Vec<Effect>,
    feed: Option<u64>,
    damaged: BTreeSet<Table>,
    /// Whether something of the record that is being heard is in memory alone.
    pub(super) in_memory: bool,
    /// Whether an event was dropped since there was no room to hold it.
    pub(super) no_room: bool,
    /// Events that were pushed on in this turn: a page of them fits.
    pub(super) pushed: usize,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        mem: &'a mut Memory,
        settings: Settings,
        now: Millis,
        rng: &'a mut dyn CryptoRng,
        view: &'a dyn View,
    ) -> Self {
        Self {
            mem,
            settings,
            now,
            rng,
            view,
            staged: BTreeMap::new(),
            in_cells: BTreeMap::new(),
            erased: BTreeSet::new(),
            renewed: BTreeSet::new(),
            forgets_lost: false,
            frames: vec![],
            to_self: VecDeque::new(),
            network: vec![],
            replies: vec![],
            feed: None,
            damaged: BTreeSet::new(),
            in_memory: false,
            no_room: false,
            pushed: 0,
        }
    }

    /// What is to be written; nothing else of the turn counts.
    pub(super) fn into_writes(mut self) -> Vec<Write> {
        self.take_writes()
    }

    fn take_writes(&mut self) -> Vec<Write> {
        let erased = std::mem::take(&mut self.erased).into_iter().map(Write::EraseCell);
        let renewed = std::mem::take(&mut self.renewed).into_iter().map(Write::RenewCell);
        let lost = self.forgets_lost.then_some(Write::ForgetLost);
        let rows = std::mem::take(&mut self.staged).into_iter().map(|(key, value)| match value {
            Some(bytes) => match self.in_cells.remove(&key) {
                Some(cell) => Write::PutIn(cell, key, bytes),
                None => Write::Put(key, bytes),
            },
            None => Write::Delete(key),
        });
        lost.into_iter().chain(erased).chain(renewed).chain(rows).collect()
    }

    /// The effects in the order in which they must be carried out.
    pub(super) fn finish(mut self) -> Vec<Effect> {
        let writes = self.take_writes();
        let persist = (!writes.is_empty()).then_some(Effect::Persist(writes));
        let mut effects: Vec<Effect> = persist.into_iter().collect();
        for (peer, bytes) in self.frames {
            match effects.last_mut() {
                Some(Effect::Send(last, frames)) if *last == peer => frames.push(bytes),
                _ => effects.push(Effect::Send(peer, vec![bytes])),
            }
        }
        effects.extend(self.network);
        effects.extend(self.replies);
        effects.extend(self.feed.map(Effect::Feed));
        effects.extend(self.damaged.into_iter().map(Effect::Damaged));
        effects
    }

    /// Forgets all that this turn would have done.
    pub(super) fn discard(&mut self) {
        self.staged.clear();
        self.in_cells.clear();
        self.erased.clear();
        self.renewed.clear();
        self.forgets_lost = false;
        self.frames.clear();
        self.to_self.clear();
        self.network.clear();
        self.feed = None;
    }

    /// Does one of several things that do not need each other. Where a damaged row ends it, it leaves no trace, and the
    /// others are done all the same.
    pub(super) fn attempt(&mut self, thing: impl FnOnce(&mut Self) -> Step) -> Step {
        let (staged, feed) = (self.staged.clone(), self.feed);
        let cells = (self.in_cells.clone(), self.erased.clone(), self.renewed.clone());
        let (frames, network, replies) = (self.frames.len(), self.network.len(), self.replies.len());
        match thing(self) {
            Err(ViewError::Damaged(table)) => {
                self.staged = staged;
                (self.in_cells, self.erased, self.renewed) = cells;
                self.feed = feed;
                self.frames.truncate(frames);
                self.network.truncate(network);
                self.replies.truncate(replies);
                self.note_damage(table);
                Ok(())
            }
            other => other,
        }
    }

    /// The rows of a scope that can be read, where each stands for itself.
    pub(super) fn sound<R: Row>(&mut self, scope: impl AsRef<[u8]>) -> Step<Vec<R>> {
        let (rows, damaged) = rows::sound(self, scope)?;
        if damaged > 0 {
            self.note_damage(R::TABLE);
        }
        Ok(rows)
    }

    /// Tells of damage, once for each table while this engine lives.
    fn note_damage(&mut self, table: Table) {
        if self.mem.damage_told.insert(table) {
            self.damaged.insert(table);
        }
    }

    /// One row, decoded, this turn's writes included.
    pub(super) fn read<R: Row>(&self, key: &Key) -> Step<Option<R>> {
        rows::read(self, key)
    }

    /// Stages a row.
    pub(super) fn put<R: Row>(&mut self, key: Key, row: &R) {
        self.put_in(row.cell(), key, row);
    }

    /// Stages a row that does not know its cell itself.
    pub(super) fn put_in<R: Row>(&mut self, cell: Option<Cell>, key: Key, row: &R) {
        debug_assert_eq!(key.table, R::TABLE);
        match cell {
            Some(cell) => self.in_cells.insert(key.clone(), cell),
            None => self.in_cells.remove(&key),
        };
        self.staged.insert(key, Some(encode(row)));
    }

    /// Stages a removal.
    pub(super) fn delete(&mut self, key: Key) {
        self.staged.insert(key, None);
    }

    /// Erases a cell, before anything that is staged is written.
    pub(super) fn erase_cell(&mut self, cell: Cell) {
        self.erased.insert(cell);
    }

    /// Sees to it that what is deleted from a cell in this turn is soon beyond reach.
    pub(super) fn renew_cell(&mut self, cell: Option<Cell>) {
        self.renewed.extend(cell);
    }

    /// Stages the removal of what a rollback made unreadable.
    pub(super) fn forget_lost(&mut self) {
        self.forgets_lost = true;
    }

    /// This device and its account. A store without them was never begun.
    pub(super) fn own(&self) -> Step<OwnRow> {
        self.read(&OwnRow::key())?.ok_or(ViewError::Damaged(Table::Own))
    }

    /// Puts a frame on a peer's stream, after the writes are durable.
    pub(super) fn send(&mut self, peer: TransportKey, frame: &Frame) {
        self.frames.push((peer, frame.to_bytes()));
    }

    pub(super) fn publish(&mut self, topic: Topic, frame: Vec<u8>) {
        self.network.push(Effect::Publish(topic, frame));
    }

    pub(super) fn subscribe(&mut self, topic: Topic, gate: Gate) {
        self.network.push(Effect::Subscribe(topic, gate));
    }

    pub(super) fn unsubscribe(&mut self, topic: Topic) {
        self.network.push(Effect::Unsubscribe(topic));
    }

    pub(super) fn reach(&mut self, peer: TransportKey, addresses: Vec<String>) {
        if self.mem.online {
            self.network.push(Effect::Reach(peer, addresses));
        }
    }

    /// Adds an effect that is carried out after the writes are durable.
    pub(super) fn effect(&mut self, effect: Effect) {
        self.network.push(effect);
    }

    pub(super) fn forget(&mut self, peer: TransportKey) {
        self.network.push(Effect::Forget(peer));
    }

    /// Hands on an effect that is of the network or of the owner's log.
    pub(super) fn notice(&mut self, effect: Effect) {
        self.network.push(effect);
    }

    pub(super) fn reply(&mut self, token: Token, answer: Result<Reply, Refusal>) {
        self.replies.push(Effect::Reply(token, answer));
    }

    /// Appends to the feed.
    pub(super) fn tell(&mut self, entry: &FeedEntry) -> Step {
        let mut counters = self.counters()?;
        counters.feed += 1;
        self.put(Key::at(Table::Feed, b"", counters.feed.to_be_bytes()), entry);
        self.put(CounterRow::key(), &counters);
        self.feed = Some(counters.feed);
        Ok(())
    }

    pub(super) fn counters(&self) -> Step<CounterRow> {
        Ok(self.read(&CounterRow::key())?.unwrap_or_default())
    }
}

impl View for Turn<'_> {
    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, ViewError> {
        match self.staged.get(key) {
            Some(staged) => Ok(staged.clone()),
            None => self.view.row(key),
        }
    }

    fn scan(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Rows, ViewError> {
        let staged = self.staged_in(table, scope);
        if staged.is_empty() {
            return self.view.scan(table, scope, from, direction, limit);
        }
        // Staged rows can hide at most as many of the store's.
        let stored = self.view.scan(table, scope, from, direction, limit.saturating_add(staged.len()))?;
        match staged.first().map(|(key, _)| &key.item) {
            Some(Item::At(_)) => Ok(merge_ordered(stored, &staged, from, direction, limit)),
            _ => self.merge_named(stored, &staged, limit),
        }
    }

    fn scan_each(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<EachRow, ViewError> {
        let stored = self.view.scan_each(table, scope, from, direction, usize::MAX)?;
        let (sound, damaged): (EachRow, EachRow) = stored.into_iter().partition(|(_, value)| value.is_some());
        let sound: Rows = sound.into_iter().filter_map(|(item, value)| Some((item, value?))).collect();
        let staged = self.staged_in(table, scope);
        let merged = match staged.first().map(|(key, _)| &key.item) {
            None => sound,
            Some(Item::At(_)) => merge_ordered(sound, &staged, from, direction, usize::MAX),
            Some(Item::Named(_)) => self.merge_named(sound, &staged, usize::MAX)?,
        };
        // Order is asked for by those who read whole rows; a damaged one comes behind them.
        Ok(merged.into_iter().map(|(item, value)| (item, Some(value))).chain(damaged).take(limit).collect())
    }

    fn places(
        &self,
        table: Table,
        scope: &[u8],
        from: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, ViewError> {
        let staged = self.staged_in(table, scope);
        let stored = self.view.places(table, scope, from, direction, limit.saturating_add(staged.len()))?;
        let stored = stored.into_iter().map(|place| (place, Vec::new())).collect();
        let merged = merge_ordered(stored, &staged, from, direction, limit);
        Ok(merged.into_iter().map(|(place, _)| place).collect())
    }
}

impl Turn<'_> {
    fn staged_in(&self, table: Table, scope: &[u8]) -> Vec<(&Key, &Option<Vec<u8>>)> {
        let from = self.staged.range(Key::named(table, scope, b"")..);
        from.take_while(|(key, _)| key.table == table && key.scope == scope).collect()
    }

    /// Names in the store are blinded, so a replaced row is recognised by its stored value; values hold their own ids.
    fn merge_named(&self, mut stored: Rows, staged: &[(&Key, &Option<Vec<u8>>)], limit: usize) -> Step<Rows> {
        for (key, value) in staged {
            if let Some(old) = self.view.row(key)?
                && let Some(place) = stored.iter().position(|(_, bytes)| *bytes == old)
            {
                stored.remove(place);
            }
            if let (Item::Named(name), Some(bytes)) = (&key.item, value) {
                stored.push((name.clone(), bytes.clone()));
            }
        }
        stored.truncate(limit);
        Ok(stored)
    }
}

fn merge_ordered(
    stored: Rows,
    staged: &[(&Key, &Option<Vec<u8>>)],
    from: Option<&[u8]>,
    direction: Direction,
    limit: usize,
) -> Rows {
    let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
    for (key, value) in staged {
        let Item::At(place) = &key.item else { continue };
        let wanted = match (from, direction) {
            (None, _) => true,
            (Some(from), Direction::Forward) => place.as_slice() >= from,
            (Some(from), Direction::Backward) => place.as_slice() <= from,
        };
        match value {
            Some(bytes) if wanted => merged.insert(place.clone(), bytes.clone()),
            _ => merged.remove(place),
        };
    }
    match direction {
        Direction::Forward => merged.into_iter().take(limit).collect(),
        Direction::Backward => merged.into_iter().rev().take(limit).collect(),
    }
}

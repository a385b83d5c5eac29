//! Keeping the index of texts: nothing is done for a message as it comes; every 256 of a chat make a block, and 64 blocks
//! a large segment, bucket by bucket, so that no turn does much. A stray is one small row.
//!
//! Old histories are indexed the same way, when somebody first searches them. `find.rs` reads what is kept here.

use super::{
    Timer,
    command::Reply,
    rows::{EventRow, IndexPart, IndexRow, Merging, Row, SegmentRow, SegmentSize, StrayRow, TimelineRow, parse},
    turn::{Answer, Step, Turn},
};
use crate::protocol::{
    event::{Content, Place},
    ids::ChatId,
    search::{
        grams, normalise,
        postings::{self, Posting, Spread},
    },
    view::{Cell, Direction, View, ViewError},
};
use std::{collections::BTreeSet, time::Duration};

/// Messages of a block: its numbers are bytes, its places a row of 3 KiB. Tests have small ones, to see many.
const BLOCK: usize = if cfg!(test) { 4 } else { 256 };
/// A block is made of the oldest when so many stand behind the index: what came last may still move.
const LOOSE: usize = 2 * BLOCK;
/// Strays that wait before they make a block.
const STRAYS: u64 = 2 * BLOCK as u64;
/// Postings after which a block ends early: messages may be long.
const BLOCK_POSTINGS: usize = 64 * 1024;
/// Blocks of a large segment: its numbers are two bytes.
const MERGED: usize = if cfg!(test) { 4 } else { 64 };
/// Blocks whose places are moved with one bucket, so that buckets and places end together.
const PLACES_A_STEP: usize = MERGED.div_ceil(16);
/// Steps of one command: a few milliseconds.
const STEPS: usize = 4;
/// Between two steps in the background everything else has its turn.
const PAUSE: Duration = Duration::from_millis(1);
/// How much of a place a block keeps: the effective clock and the beginning of the id.
pub(super) const PLACE_KEPT: usize = 12;

impl Turn<'_> {
    /// A message stands at a place now.
    pub(super) fn index_place(&mut self, chat: ChatId, place: &[u8]) -> Step {
        if let Some(mut index) = self.read::<IndexRow>(&IndexRow::key(chat))?
            && !index.is_behind(place)
        {
            let id = Place::from_key(place).ok_or(ViewError::Damaged(TimelineRow::TABLE))?.id;
            self.put(StrayRow::key(chat, place), &StrayRow(id));
            index.strays += 1;
            self.put(IndexRow::key(chat), &index);
            if index.strays >= STRAYS {
                self.index_soon(chat);
            }
            return Ok(());
        }
        let loose = match self.mem.loose.get(&chat) {
            Some(loose) => loose + 1,
            None => self.behind_index(chat)?.len(),
        };
        self.mem.loose.insert(chat, loose);
        if loose >= LOOSE {
            self.index_soon(chat);
        }
        Ok(())
    }

    fn index_soon(&mut self, chat: ChatId) {
        self.mem.timers.insert((self.now.plus(PAUSE), Timer::Index(chat)));
    }

    /// A step in the background, and the next one.
    pub(super) fn index_due(&mut self, chat: ChatId) -> Step {
        if self.index_step(chat)? {
            self.index_soon(chat);
        }
        Ok(())
    }

    /// Some steps for somebody who waits.
    pub(super) fn index_more(&mut self, chat: ChatId) -> Answer {
        for _ in 0..STEPS {
            if !self.index_step(chat)? {
                return Ok(Reply::Done);
            }
        }
        self.index_soon(chat);
        Ok(Reply::Done)
    }

    /// Does what is most due, if anything is. Whether it did something.
    pub(super) fn index_step(&mut self, chat: ChatId) -> Step<bool> {
        if self.is_being_cleared(chat)? {
            return Ok(false);
        }
        let key = IndexRow::key(chat);
        let mut index = match self.read::<IndexRow>(&key)? {
            Some(index) => index,
            None => IndexRow { secret: self.rng.next_u64(), upto: None, strays: 0, next: 0, blocks: 0, merging: None },
        };
        if index.merging.is_some() || index.blocks >= MERGED as u64 {
            self.merge_step(chat, &mut index)?;
        } else if index.strays >= STRAYS {
            self.index_strays(chat, &mut index)?;
        } else {
            let lines = self.behind_index(chat)?;
            if lines.len() < LOOSE {
                self.mem.loose.insert(chat, lines.len());
                return Ok(false);
            }
            let taken = self.make_block(chat, &mut index, &lines)?;
            index.upto = taken.checked_sub(1).and_then(|last| lines.get(last)).map(|last| last.clone().into());
            self.mem.loose.insert(chat, lines.len() - taken);
        }
        self.put(key, &index);
        Ok(true)
    }

    /// Places behind the index, oldest first: at most as many as matter.
    fn behind_index(&self, chat: ChatId) -> Step<Vec<Vec<u8>>> {
        let upto = self.read::<IndexRow>(&IndexRow::key(chat))?.and_then(|index| index.upto);
        let upto = upto.as_ref().map(|upto| upto.as_slice());
        let lines = self.places(TimelineRow::TABLE, chat.as_ref(), upto, Direction::Forward, LOOSE + 1)?;
        Ok(lines.into_iter().filter(|place| upto != Some(place.as_slice())).take(LOOSE).collect())
    }

    /// Takes away what the index knows of a chat, a segment at a time. Whether nothing is left.
    pub(super) fn drop_of_index(&mut self, chat: ChatId) -> Step<bool> {
        let Some(mut index) = self.read::<IndexRow>(&IndexRow::key(chat))? else { return Ok(true) };
        if let Some(Merging { into, .. }) = index.merging.take() {
            self.drop_parts(chat, into);
            self.put(IndexRow::key(chat), &index);
            return Ok(false);
        }
        if let Some((_, bytes)) = self.scan(SegmentRow::TABLE, chat.as_ref(), None, Direction::Forward, 1)?.pop() {
            let segment: SegmentRow = parse(&bytes)?;
            self.drop_parts(chat, segment.no);
            self.delete(segment.key(chat));
            return Ok(false);
        }
        for (place, _) in self.scan(StrayRow::TABLE, &StrayRow::scope(chat), None, Direction::Forward, usize::MAX)? {
            self.delete(StrayRow::key(chat, &place));
        }
        self.delete(IndexRow::key(chat));
        self.mem.loose.remove(&chat);
        Ok(true)
    }

    /// Takes what the index knows of a text out of it, which is nearly the text: the caller renews the cell they share.
    pub(super) fn unindex(&mut self, event: &EventRow) -> Step {
        let (key, chat) = (IndexRow::key(event.chat), event.chat);
        let Some(mut index) = self.read::<IndexRow>(&key)? else { return Ok(()) };
        let Ok(Content::Text(text)) = Content::parse(&event.content) else { return Ok(()) };
        // A large segment that is not whole is made anew, from blocks that do not know it.
        if let Some(Merging { into, .. }) = index.merging.take() {
            self.drop_parts(chat, into);
            self.put(key, &index);
        }
        let grams = grams(index.secret, &normalise(text.as_str()));
        for segment in self.segments(chat)? {
            let numbers = self.numbers_of(event, &segment)?;
            if numbers.is_empty() {
                continue;
            }
            for bucket in grams.iter().map(|gram| segment.spread().bucket(*gram)).collect::<BTreeSet<_>>() {
                let key = IndexPart::bucket(chat, segment.no, bucket);
                let left = match self.read::<IndexPart>(&key) {
                    Ok(Some(IndexPart(bytes))) => postings::without(&bytes, &numbers).ok(),
                    Ok(None) => continue,
                    Err(ViewError::Damaged(_)) => None,
                    Err(error) => return Err(error),
                };
                // What is damaged may know it too.
                let left = left.unwrap_or_else(postings::too_full);
                self.put_in(Some(Cell::lasting(chat)), key, &IndexPart(left));
            }
        }
        Ok(())
    }

    /// By which numbers a segment knows an event: it may have moved since it was taken in, and was taken in again.
    fn numbers_of(&self, event: &EventRow, segment: &SegmentRow) -> Step<BTreeSet<u16>> {
        let place = Place::from_key(&event.place).ok_or(ViewError::Damaged(EventRow::TABLE))?;
        let clocks = event.clock.0..=place.effective.0;
        let mut numbers = BTreeSet::new();
        if segment.from > *clocks.end() || segment.to < *clocks.start() {
            return Ok(numbers);
        }
        for block in 0..segment.blocks() {
            let Some(IndexPart(kept)) = self.read(&IndexPart::places(event.chat, segment.no, block))? else { continue };
            for (at, kept) in kept.chunks_exact(PLACE_KEPT).enumerate() {
                let Some((clock, id)) = kept.split_first_chunk() else { continue };
                if clocks.contains(&u64::from_be_bytes(*clock)) && event.id.0.starts_with(id) {
                    numbers.insert(block << 8 | at as u16);
                }
            }
        }
        Ok(numbers)
    }

    fn drop_parts(&mut self, chat: ChatId, segment: u64) {
        (0..Spread::Large.buckets()).for_each(|bucket| self.delete(IndexPart::bucket(chat, segment, bucket)));
        (0..MERGED as u16).for_each(|block| self.delete(IndexPart::places(chat, segment, block)));
    }

    fn index_strays(&mut self, chat: ChatId, index: &mut IndexRow) -> Step {
        let strays = self.scan(StrayRow::TABLE, &StrayRow::scope(chat), None, Direction::Forward, BLOCK)?;
        let places: Vec<Vec<u8>> = strays.into_iter().map(|(place, _)| place).collect();
        let taken = self.make_block(chat, index, &places)?;
        for place in places.iter().take(taken) {
            self.delete(StrayRow::key(chat, place));
        }
        // With none left, whatever was counted is none.
        index.strays = if taken == 0 { 0 } else { index.strays.saturating_sub(taken as u64) };
        Ok(())
    }

    /// Makes a block of the first of these places, which are ascending. How many it took.
    fn make_block(&mut self, chat: ChatId, index: &mut IndexRow, places: &[Vec<u8>]) -> Step<usize> {
        let (mut kept, mut postings, mut taken) = (Vec::new(), Vec::<Posting>::new(), 0);
        let mut clocks = None;
        for place in places.iter().take(BLOCK) {
            if postings.len() > BLOCK_POSTINGS {
                break;
            }
            taken += 1;
            let Some((place, text)) = Place::from_key(place).map(|at| Ok((at, self.text_at(at)?))).transpose()? else {
                continue;
            };
            let Some(text) = text else { continue };
            let number = (kept.len() / PLACE_KEPT) as u16;
            postings.extend(grams(index.secret, &normalise(&text)).into_iter().map(|gram| (gram, number)));
            kept.extend(place.to_key().into_iter().take(PLACE_KEPT));
            let (from, _) = clocks.unwrap_or((place.effective.0, 0));
            clocks = Some((from, place.effective.0));
        }
        let Some((from, to)) = clocks else { return Ok(taken) };
        postings.sort_unstable();
        for (bucket, bytes) in postings::encode(&postings, Spread::Small) {
            self.put_in(Some(Cell::lasting(chat)), IndexPart::bucket(chat, index.next, bucket), &IndexPart(bytes));
        }
        self.put_in(Some(Cell::lasting(chat)), IndexPart::places(chat, index.next, 0), &IndexPart(kept));
        let segment = SegmentRow { no: index.next, size: SegmentSize::Block, from, to };
        self.put(segment.key(chat), &segment);
        index.next += 1;
        index.blocks += 1;
        Ok(taken)
    }

    /// The text of the message at a place, if that is what stands there and it can be read.
    fn text_at(&self, place: Place) -> Step<Option<String>> {
        let event = match self.event(place.id) {
            Ok(Some(event)) => event,
            // A damaged message is not found, and keeps no other from being found.
            Ok(None) | Err(ViewError::Damaged(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        match Content::parse(&event.content) {
            // What the index knows of a text outlasts it: one that ends is looked for among the last ones only.
            _ if event.ends.is_some() => Ok(None),
            Ok(Content::Text(text)) if event.place == place.to_key() => Ok(Some(text.as_str().to_owned())),
            _ => Ok(None),
        }
    }

    /// Takes the next bucket of the oldest blocks into a large segment; with the last one it takes their place.
    fn merge_step(&mut self, chat: ChatId, index: &mut IndexRow) -> Step {
        let blocks = self.oldest_blocks(chat)?;
        let Merging { into, bucket } = index.merging.unwrap_or(Merging { into: index.next, bucket: 0 });
        if index.merging.is_none() {
            index.next += 1;
        }
        for (bucket, bytes) in self.merged(chat, &blocks, bucket)? {
            self.put_in(Some(Cell::lasting(chat)), IndexPart::bucket(chat, into, bucket), &IndexPart(bytes));
        }
        let with_this = blocks.iter().enumerate().skip(usize::from(bucket) * PLACES_A_STEP).take(PLACES_A_STEP);
        for (at, block) in with_this {
            if let Some(places) = self.read::<IndexPart>(&IndexPart::places(chat, block.no, 0))? {
                self.put_in(Some(Cell::lasting(chat)), IndexPart::places(chat, into, at as u16), &places);
            }
        }
        index.merging = Some(Merging { into, bucket: bucket + 1 });
        if bucket + 1 < Spread::Small.buckets() {
            return Ok(());
        }
        for block in &blocks {
            self.delete(block.key(chat));
            self.delete(IndexPart::places(chat, block.no, 0));
            for bucket in 0..Spread::Small.buckets() {
                self.delete(IndexPart::bucket(chat, block.no, bucket));
            }
        }
        let from = blocks.iter().map(|block| block.from).min().unwrap_or_default();
        let to = blocks.iter().map(|block| block.to).max().unwrap_or_default();
        let segment = SegmentRow { no: into, size: SegmentSize::Large, from, to };
        self.put(segment.key(chat), &segment);
        index.blocks = index.blocks.saturating_sub(MERGED as u64);
        index.merging = None;
        Ok(())
    }

    /// One bucket of all these blocks as buckets of a large segment.
    fn merged(&self, chat: ChatId, blocks: &[SegmentRow], bucket: u16) -> Step<Vec<(u16, Vec<u8>)>> {
        let mut merged = Vec::new();
        for (at, block) in blocks.iter().enumerate() {
            let Some(IndexPart(bytes)) = self.read(&IndexPart::bucket(chat, block.no, bucket))? else { continue };
            let damaged = |_| ViewError::Damaged(IndexPart::TABLE);
            let Some(postings) = postings::decode(&bytes, bucket, (at as u16) << 8).map_err(damaged)? else {
                let of_it = Spread::Large.buckets() / Spread::Small.buckets();
                return Ok((bucket * of_it..(bucket + 1) * of_it).map(|large| (large, postings::too_full())).collect());
            };
            merged.extend(postings);
        }
        merged.sort_unstable();
        Ok(postings::encode(&merged, Spread::Large))
    }

    /// The blocks that were made first: the same ones until they are merged.
    fn oldest_blocks(&self, chat: ChatId) -> Step<Vec<SegmentRow>> {
        let mut blocks = self.segments(chat)?;
        blocks.retain(|segment| segment.size == SegmentSize::Block);
        blocks.sort_unstable_by_key(|block| block.no);
        blocks.truncate(MERGED);
        Ok(blocks)
    }

    /// One row for each 16,384 messages, and the blocks.
    fn segments(&self, chat: ChatId) -> Step<Vec<SegmentRow>> {
        let rows = self.scan(SegmentRow::TABLE, chat.as_ref(), None, Direction::Forward, usize::MAX)?;
        rows.iter().map(|(_, bytes)| parse(bytes)).collect()
    }
}

impl SegmentRow {
    /// Into how many buckets its grams are spread.
    pub(super) fn spread(&self) -> Spread {
        match self.size {
            SegmentSize::Block => Spread::Small,
            SegmentSize::Large => Spread::Large,
        }
    }

    /// How many blocks its places are of.
    fn blocks(&self) -> u16 {
        match self.size {
            SegmentSize::Block => 1,
            SegmentSize::Large => MERGED as u16,
        }
    }
}

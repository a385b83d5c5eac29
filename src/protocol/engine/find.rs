//! Finding text in a chat, newest first.
//!
//! What stands behind the index is looked through. Then strays and segments, the latest first, give candidates; a segment
//! is opened only when no candidate is later than all of it, so that a page costs little in a history of any length. Every
//! candidate is looked at: what is gone or has moved is not found there. Views call this; `index.rs` keeps the index.

use super::{
    index::PLACE_KEPT,
    rows::{self, EventRow, IndexPart, IndexRow, Row, SegmentRow, StrayRow, TimelineRow},
};
use crate::protocol::{
    event::{Content, Place},
    ids::ChatId,
    search::{
        Needle,
        postings::{self, Having},
    },
    view::{Direction, View, ViewError},
};
use std::collections::{BTreeSet, BinaryHeap};

/// Lines read at once.
const STEP: usize = 256;
/// Messages behind the index that are looked through without much waiting.
const QUICK: usize = 2048;

/// The beginning of a place.
type Candidate = [u8; PLACE_KEPT];

/// Where a page ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// With so many messages.
    pub messages: usize,
    /// Before their contents are more bytes than this; one always fits.
    pub bytes: usize,
}

/// A page of what was found.
#[derive(Debug)]
pub struct Found {
    /// The messages, newest first.
    pub messages: Vec<EventRow>,
    /// Whether it ended early, since they were long.
    pub is_cut: bool,
}

/// Messages of a chat that hold a text and stand before a place (or anywhere), newest first. What is damaged is not found.
pub fn find(
    view: &dyn View,
    chat: ChatId,
    needle: &Needle,
    before: Option<&[u8]>,
    most: Most,
) -> Result<Found, ViewError> {
    let index: Option<IndexRow> = rows::read(view, &IndexRow::key(chat))?;
    let mut finding =
        Finding { view, chat, needle, before, most, bytes: 0, found: Found { messages: Vec::new(), is_cut: false } };
    finding.behind(index.as_ref())?;
    if let Some(index) = index {
        finding.within(&index)?;
    }
    Ok(finding.found)
}

/// Whether a search of this chat would be quick; if not, [`Command::Index`](super::Command::Index) makes it so.
pub fn is_indexed(view: &dyn View, chat: ChatId) -> Result<bool, ViewError> {
    let upto = rows::read::<IndexRow>(view, &IndexRow::key(chat))?.and_then(|index| index.upto);
    let upto = upto.as_ref().map(|upto| upto.as_slice());
    let lines = view.places(TimelineRow::TABLE, &chat.0, upto, Direction::Forward, QUICK)?;
    Ok(lines.len() < QUICK)
}

struct Finding<'f> {
    view: &'f dyn View,
    chat: ChatId,
    needle: &'f Needle,
    before: Option<&'f [u8]>,
    most: Most,
    bytes: usize,
    found: Found,
}

impl Finding<'_> {
    fn is_full(&self) -> bool {
        self.found.is_cut || self.found.messages.len() >= self.most.messages
    }

    fn is_wanted(&self, place: &[u8]) -> bool {
        self.before.is_none_or(|before| place < before)
    }

    /// Looks at the message at a place.
    fn look(&mut self, place: &[u8]) -> Result<(), ViewError> {
        let Some(place) = Place::from_key(place) else { return Ok(()) };
        let event = match rows::read::<EventRow>(self.view, &EventRow::key(place.id)) {
            Err(ViewError::Damaged(_)) => None,
            read => read?,
        };
        if let Some(event) = event.filter(|event| !event.is_kept_unseen())
            && let Ok(Content::Text(text)) = Content::parse(&event.content)
            && self.needle.is_in(text.as_str())
        {
            self.bytes += event.content.len();
            self.found.is_cut = self.bytes > self.most.bytes && !self.found.messages.is_empty();
            if !self.found.is_cut {
                self.found.messages.push(event);
            }
        }
        Ok(())
    }

    /// What stands behind the index: everything, where there is none.
    fn behind(&mut self, index: Option<&IndexRow>) -> Result<(), ViewError> {
        let mut from = self.before.map(<[u8]>::to_vec);
        loop {
            // One more than a step, since the line to go on from is among them.
            let lines =
                self.view.places(TimelineRow::TABLE, &self.chat.0, from.as_deref(), Direction::Backward, STEP + 1)?;
            let ended = lines.len() <= STEP;
            for place in lines {
                if self.is_full() || index.is_some_and(|index| !index.is_behind(&place)) {
                    return Ok(());
                }
                if from.as_ref() == Some(&place) {
                    continue;
                }
                self.look(&place)?;
                from = Some(place);
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Strays and segments.
    fn within(&mut self, index: &IndexRow) -> Result<(), ViewError> {
        let grams = self.needle.grams(index.secret);
        let mut candidates: BinaryHeap<Candidate> = self.strays()?;
        // One for each 16,384 messages, and up to some hundred blocks.
        let rows = self.view.scan(SegmentRow::TABLE, &self.chat.0, None, Direction::Backward, usize::MAX)?;
        let segments: Vec<SegmentRow> = rows.iter().map(|(_, bytes)| rows::parse(bytes)).collect::<Result<_, _>>()?;
        let mut segments =
            segments.into_iter().filter(|segment| self.may_hold(segment)).collect::<Vec<_>>().into_iter();
        let mut next = segments.next();
        let mut last = None;
        while !self.is_full() {
            if let Some(segment) = &next
                && candidates.peek().is_none_or(|latest| clock(latest) <= segment.to)
            {
                candidates.extend(self.of_segment(segment, &grams)?);
                next = segments.next();
                continue;
            }
            let Some(latest) = candidates.pop() else { break };
            if last.replace(latest) != Some(latest) {
                self.look_at(&latest, index)?;
            }
        }
        Ok(())
    }

    fn may_hold(&self, segment: &SegmentRow) -> bool {
        self.is_wanted(&segment.from.to_be_bytes())
    }

    fn strays(&self) -> Result<BinaryHeap<Candidate>, ViewError> {
        // Some hundred, but for the moments after a long absence.
        let scope = StrayRow::scope(self.chat);
        let places = self.view.places(StrayRow::TABLE, &scope, self.before, Direction::Backward, usize::MAX)?;
        Ok(places.iter().filter_map(|place| place.first_chunk().copied()).collect())
    }

    /// Looks at what stands at places that begin like this, the latest first.
    fn look_at(&mut self, candidate: &Candidate, index: &IndexRow) -> Result<(), ViewError> {
        let mut standing = Vec::new();
        let mut from = candidate.to_vec();
        loop {
            let lines = self.view.places(TimelineRow::TABLE, &self.chat.0, Some(&from), Direction::Forward, 2)?;
            let lines = lines.into_iter().take_while(|place| place.starts_with(candidate));
            let before = standing.len();
            for place in lines {
                if place != from {
                    from.clone_from(&place);
                    standing.push(place);
                }
            }
            if standing.len() == before {
                break;
            }
        }
        for place in standing.into_iter().rev() {
            // What is behind the index was looked at before.
            if self.is_wanted(&place) && !index.is_behind(&place) && !self.is_full() {
                self.look(&place)?;
            }
        }
        Ok(())
    }

    /// The places of a segment at which all grams may be.
    fn of_segment(&self, segment: &SegmentRow, grams: &[u32]) -> Result<Vec<Candidate>, ViewError> {
        let mut common: Option<BTreeSet<u16>> = None;
        for gram in grams {
            let key = IndexPart::bucket(self.chat, segment.no, segment.spread().bucket(*gram));
            let Some(IndexPart(bucket)) = rows::read(self.view, &key)? else { return Ok(Vec::new()) };
            let having = postings::having(&bucket, *gram).map_err(|_| ViewError::Damaged(IndexPart::TABLE))?;
            let Having::These(these) = having else { continue };
            common = Some(match common {
                None => these.into_iter().collect(),
                Some(common) => these.into_iter().filter(|number| common.contains(number)).collect(),
            });
            if common.as_ref().is_some_and(BTreeSet::is_empty) {
                return Ok(Vec::new());
            }
        }
        self.places(segment, common.as_ref())
    }

    /// The places of these numbers of a segment, or of all.
    fn places(&self, segment: &SegmentRow, numbers: Option<&BTreeSet<u16>>) -> Result<Vec<Candidate>, ViewError> {
        let blocks: BTreeSet<u8> = match numbers {
            Some(numbers) => numbers.iter().map(|number| (number >> 8) as u8).collect(),
            None => (0..=u8::MAX).collect(),
        };
        let mut places = Vec::new();
        for block in blocks {
            let key = IndexPart::places(self.chat, segment.no, block.into());
            let Some(IndexPart(kept)) = rows::read(self.view, &key)? else { continue };
            for (at, place) in kept.chunks_exact(PLACE_KEPT).enumerate() {
                let number = u16::from(block) << 8 | at as u16;
                if let Some(place) = place.first_chunk()
                    && numbers.is_none_or(|numbers| numbers.contains(&number))
                    && self.is_wanted(place)
                {
                    places.push(*place);
                }
            }
        }
        Ok(places)
    }
}

fn clock(candidate: &Candidate) -> u64 {
    candidate.first_chunk().map_or(0, |clock| u64::from_be_bytes(*clock))
}

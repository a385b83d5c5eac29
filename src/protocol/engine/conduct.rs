//! How other devices behave when events are compared and asked for: what each may still ask, and who is not listened to
//! for a while.
//!
//! All in memory: after a restart everybody begins anew. Who calls: [`talks`](super::talks) and [`gives`](super::gives).

use super::{
    Effect,
    rows::DeviceRow,
    turn::{Step, Turn},
};
use crate::protocol::{
    ids::DeviceId,
    sync::Budget,
    time::Millis,
    wire::limits::{
        MAX_GIVEN_A_SECOND, MAX_GIVEN_AT_ONCE, MAX_IDS_A_SECOND, MAX_IDS_AT_ONCE, MAX_QUESTIONS_A_SECOND,
        MAX_QUESTIONS_AT_ONCE,
    },
};
use std::time::Duration;

/// The score at which a device is not listened to any more about what is compared.
const MAX_SCORE: u32 = 1_024;
/// How long it is not, and how long a score is remembered.
const SHUNNED_FOR: Duration = Duration::from_secs(3600);
/// Devices whose conduct is remembered, the badly behaved first.
const MAX_REMEMBERED: usize = 4_096;

/// What a device does that honest ones do not, or seldom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// A message that is none.
    Malformed,
    /// More questions, ids or bytes than it may have.
    TooMuch,
    /// So many ids that it named as its own and then did not have.
    FalseOffers(u32),
    /// It did not give what it named.
    Silent,
    /// A comparison that comes to nothing and to no end.
    Endless,
}

impl Offence {
    fn weight(self) -> u32 {
        match self {
            // One who catches up with a long history also comes to the end of what it may ask, now and then.
            Self::TooMuch => 1,
            Self::FalseOffers(count) => count,
            Self::Malformed | Self::Silent => 64,
            Self::Endless => 128,
        }
    }
}

/// What one device asked and did lately.
#[derive(Debug)]
pub(super) struct Conduct {
    questions: Budget,
    ids: Budget,
    bytes: Budget,
    score: u32,
    since: Millis,
    shunned_until: Option<Millis>,
}

impl Conduct {
    fn new(now: Millis) -> Self {
        Self {
            questions: Budget::new(MAX_QUESTIONS_AT_ONCE, MAX_QUESTIONS_A_SECOND, now),
            ids: Budget::new(MAX_IDS_AT_ONCE, MAX_IDS_A_SECOND, now),
            bytes: Budget::new(MAX_GIVEN_AT_ONCE, MAX_GIVEN_A_SECOND, now),
            score: 0,
            since: now,
            shunned_until: None,
        }
    }
}

impl Conduct {
    /// The clock was set back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.since = self.since.minus(by);
        self.shunned_until = self.shunned_until.map(|until| until.minus(by));
    }
}

impl Turn<'_> {
    /// Whether a device may put one more question with so many ids. One that asks too much gets a score.
    pub(super) fn may_ask(&mut self, device: DeviceId, ids: usize) -> Step<bool> {
        let now = self.now;
        let conduct = self.conduct(device);
        let may = conduct.questions.take(1, now) && conduct.ids.take(ids as u64, now);
        if !may {
            self.note_offence(device, Offence::TooMuch)?;
        }
        Ok(may)
    }

    /// How many bytes of events a device may be given now.
    pub(super) fn bytes_left(&mut self, device: DeviceId) -> usize {
        let now = self.now;
        usize::try_from(self.conduct(device).bytes.left(now)).unwrap_or(usize::MAX)
    }

    /// It is given so many.
    pub(super) fn take_bytes(&mut self, device: DeviceId, bytes: usize) {
        let now = self.now;
        self.conduct(device).bytes.take(bytes as u64, now);
    }

    /// Whether a device is not listened to now.
    pub(super) fn is_shunned(&self, device: DeviceId) -> bool {
        let until = self.mem.conduct.get(&device).and_then(|conduct| conduct.shunned_until);
        until.is_some_and(|until| self.now < until)
    }

    /// Notes what a device did. Past a score it is not listened to for a while, and the node is told.
    pub(super) fn note_offence(&mut self, device: DeviceId, offence: Offence) -> Step {
        let now = self.now;
        let conduct = self.conduct(device);
        if now.since(conduct.since) >= SHUNNED_FOR {
            (conduct.score, conduct.since) = (0, now);
        }
        conduct.score = conduct.score.saturating_add(offence.weight());
        if conduct.score < MAX_SCORE {
            return Ok(());
        }
        conduct.score = 0;
        conduct.shunned_until = Some(now.plus(SHUNNED_FOR));
        self.end_talks(device);
        if let Some(row) = self.read::<DeviceRow>(&DeviceRow::key(device))? {
            self.effect(Effect::Shunned(row.transport, offence));
        }
        Ok(())
    }

    fn conduct(&mut self, device: DeviceId) -> &mut Conduct {
        let now = self.now;
        if self.mem.conduct.len() >= MAX_REMEMBERED && !self.mem.conduct.contains_key(&device) {
            self.mem.conduct.retain(|_, conduct| conduct.score > 0 || conduct.shunned_until.is_some());
            if self.mem.conduct.len() >= MAX_REMEMBERED {
                self.mem.conduct.pop_first();
            }
        }
        self.mem.conduct.entry(device).or_insert_with(|| Conduct::new(now))
    }
}

//! The clock of this device may be set back, by years. What was to happen then must not wait for years.
//!
//! Times in memory move back with the clock. Times in rows stay: what they decide is the age of a key or of something
//! kept, never whether a message arrives. A clock set forward only makes things due.

use super::turn::Turn;
use std::time::Duration;

/// A clock that goes back no further than this is merely corrected, and nothing waits long for it.
const CORRECTED: Duration = Duration::from_secs(10);

impl Turn<'_> {
    /// Before each input: whether the clock was set back since the last one.
    pub(super) fn mind_the_clock(&mut self) {
        let before = std::mem::replace(&mut self.mem.last_now, self.now);
        let by = before.since(self.now);
        if by <= CORRECTED {
            return;
        }
        let timers = std::mem::take(&mut self.mem.timers);
        self.mem.timers = timers.into_iter().map(|(at, timer)| (at.minus(by), timer)).collect();
        self.mem.rotation_planned.values_mut().for_each(|at| *at = at.minus(by));
        self.mem.lanes.values_mut().for_each(|lane| lane.set_back(by));
        self.mem.talks.values_mut().for_each(|talk| talk.set_back(by));
        self.mem.conduct.values_mut().for_each(|conduct| conduct.set_back(by));
        self.mem.looked_over.clear();
        self.mem.given.clear();
        self.mem.secrets_handed.clear();
        self.mem.keys_asked.clear();
        self.mem.ops_asked.clear();
        self.mem.posted_anew.clear();
        self.mem.mail.unsettled.clear();
    }
}

//! Whole worlds of engines on a virtual clock: the same seed is the same history, byte for byte.
//!
//! [`run`] draws a world from a seed: two to seven devices, what their people want (contacts, messages, a group, names, a
//! leave, a late joiner; mailboxes, and pairs that never meet), and the weather (loss, delay, copies, broken streams, partitions, crashes between any two
//! effects, commits and reads that fail, clocks that are years apart). It drives each engine as the node's actor does, lets
//! the weather end, waits until nothing is owed to anybody, and gives a [`Failure`] where a promise was broken at any
//! moment: an acknowledged message that is not everywhere or is there twice, two orders of one chat, a receipt ahead of
//! the truth, an outbox that does not empty, a position that sealed two things, a key given
//! to who left or was removed, a membership that is not what the ops of all make.
//!
//! In [`run_governed`] members with rights remove others, give and take roles, hand the group over, parted or at the same
//! moment, as often as not.
//!
//! [`run_parted`] draws another kind: a group is split for an hour or more, some links carry one way only, three frames
//! in ten are lost, some clocks jump by ten years and back, and perhaps a member lies in all that it compares. Thirty
//! seconds after it heals, everybody honest must show the same.
//!
//! It knows no thread, socket or disk, and nothing of the engine but inputs, effects and rows.

mod chance;
mod check;
mod device;
mod drain;
mod liar;
mod loss;
mod mailbox;
mod network;
mod put_back;
mod roles;
mod rules;
mod scenario;
mod settle;
mod trace;
mod watch;
mod weather;
mod world;

use crate::protocol::time::Millis;
use std::{fmt, time::Duration};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Devices in it.
    pub devices: usize,
    /// Hash of everything that happened.
    pub trace: [u8; 32],
    /// Things that happened.
    pub events: u64,
    /// Messages that were acknowledged, each delivered wherever it was meant to go.
    pub messages: usize,
    /// Crashes and failed drains that came in between.
    pub accidents: u64,
    /// Devices that were lost and restored.
    pub losses: u32,
    /// How long it took, by the virtual clock.
    pub lasted: Duration,
}

/// A promise was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// In which kind of history of that seed.
    pub kind: Kind,
    /// Which, and where.
    pub why: String,
    /// The last things that happened, oldest first.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.why)?;
        let which = match self.kind {
            Kind::Mixed => "",
            Kind::Parted => "parted ",
            Kind::RolledBack => "rolled-back ",
            Kind::Lost => "lost ",
            Kind::Governed => "governed ",
        };
        write!(f, "once more: scripts/sim-seeds {which}{0}..{0}", self.seed)
    }
}

/// A kind of history: each seed has one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bit of everything.
    Mixed,
    /// One long partition.
    Parted,
    /// As mixed, and keys of before are put under stores.
    RolledBack,
    /// As mixed, and a device is lost and restored from a backup of before.
    Lost,
    /// As mixed, and members with rights remove others, give and take roles, hand their group over.
    Governed,
}

/// What kind of world it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Climate {
    /// A bit of everything.
    Mixed,
    /// One long partition.
    Parted,
}

/// A way to drive the engine: rightly, or wrongly, to see that the checks notice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Handling {
    /// As the node does.
    #[default]
    Right,
    /// As the node does, and now and then somebody puts keys of before under a store: its secrets are gone.
    LosesSecrets,
    /// As the node does, and now and then a device is lost, and another made of its backup.
    LosesHome,
    /// As the node does, among members who use their rights on each other.
    UsesRights,
    /// Sends and answers before the commit.
    TellsBeforeDurable,
    /// A failed commit is passed over: the engine goes on with what it remembers.
    KeepsEngineAfterFailure,
    /// Engines that never compare what they hold.
    NeverCompares,
    /// Mailboxes answer before the commit.
    MailboxesAnswerFirst,
}

/// Lines of a failure's trace that are kept unless others are asked for.
pub const TRACE_KEPT: usize = 120;

/// Lives through the world of this seed.
pub fn run(seed: u64) -> Result<Report, Failure> {
    run_keeping(seed, TRACE_KEPT)
}

/// The same, keeping so many of the last lines of the trace.
pub fn run_keeping(seed: u64, lines: usize) -> Result<Report, Failure> {
    world::World::draw(seed, Handling::Right, lines)?.live()
}

/// Lives through the partition of this seed, with the engine driven in this way.
pub fn run_parted_handled(seed: u64, handling: Handling) -> Result<Report, Failure> {
    world::World::draw_in(Climate::Parted, seed, handling, TRACE_KEPT)?.live()
}

/// Lives through the partition of this seed.
pub fn run_parted(seed: u64, lines: usize) -> Result<Report, Failure> {
    world::World::draw_in(Climate::Parted, seed, Handling::Right, lines)?.live()
}

/// Lives through the world of this seed while now and then older keys are put under a store.
pub fn run_rolled_back(seed: u64, lines: usize) -> Result<Report, Failure> {
    world::World::draw(seed, Handling::LosesSecrets, lines)?.live()
}

/// Lives through the world of this seed while a device is lost now and then, and restored from its backup.
pub fn run_lost(seed: u64, lines: usize) -> Result<Report, Failure> {
    world::World::draw(seed, Handling::LosesHome, lines)?.live()
}

/// Lives through the world of this seed while members with rights use them on each other.
pub fn run_governed(seed: u64, lines: usize) -> Result<Report, Failure> {
    world::World::draw(seed, Handling::UsesRights, lines)?.live()
}

/// Lives through the world of this seed, with the engine driven in this way.
pub fn run_handled(seed: u64, handling: Handling) -> Result<Report, Failure> {
    world::World::draw(seed, handling, TRACE_KEPT)?.live()
}

#[cfg(test)]
mod tests {
    use super::{TRACE_KEPT, run_keeping};

    /// Few seeds, for a quick look while the engine is being changed; `MOIM_SIM_SEEDS=from..to` chooses others.
    #[test]
    fn a_few_worlds_end_well() {
        let wanted = std::env::var("MOIM_SIM_SEEDS").unwrap_or_else(|_| "1..12".to_owned());
        let (from, to) = wanted.split_once("..").unwrap();
        let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
        let lines = std::env::var("MOIM_SIM_TRACE").map_or(TRACE_KEPT, |lines| lines.parse().unwrap());
        let mut failures = Vec::new();
        for seed in from..=to {
            if let Err(failure) = run_keeping(seed, lines) {
                failures.push(format!("seed {seed}: {}", failure.why));
                if failures.len() == 1 {
                    println!("{failure}");
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

//! What goes wrong in a world, and how often: drawn from the seed, over at a known time.

use super::chance::Chance;

const MINUTE: i64 = 60 * 1000;
const YEAR: i64 = 365 * 24 * 60 * MINUTE;

/// The faults of a seed. Frequencies are per thousand.
#[derive(Debug, Clone, Default)]
pub(super) struct Weather {
    /// Gossip frames lost on a hop.
    pub(super) loss: u64,
    /// Gossip frames that come again, past the network's own memory.
    pub(super) twice: u64,
    /// Frames that take seconds.
    pub(super) slow: u64,
    /// Envelopes that come a second time on the same stream, much later.
    pub(super) replay: u64,
    /// Frames dropped since a queue is full.
    pub(super) overflow: u64,
    /// Drains that a crash ends, somewhere between handling and telling the views.
    pub(super) crash: u64,
    /// Drains whose commit fails.
    pub(super) full_disk: u64,
    /// Inputs during which a read fails.
    pub(super) bad_read: u64,
    /// Mean time between two broken connections, in milliseconds; 0 for never.
    pub(super) break_every: u64,
    /// Times without a way between two halves of the devices: from, to, who is on the one side (a bit each).
    pub(super) splits: Vec<(u64, u64, u64)>,
    /// How far each device's clock is from true time, in milliseconds.
    pub(super) skews: Vec<i64>,
    /// The device that listens elsewhere after each restart.
    pub(super) moves: Option<usize>,
    /// Times during which what the one sends to the other is lost: from, to, sender, receiver.
    pub(super) one_way: Vec<(u64, u64, usize, usize)>,
    /// Clocks that are set anew: when, whose, and how far from true time then.
    pub(super) jumps: Vec<(u64, usize, i64)>,
    /// The member that lies.
    pub(super) liar: Option<usize>,
    /// A pair that never meets again.
    pub(super) parted: Option<(usize, usize)>,
    /// When it all ends, in milliseconds of virtual time.
    pub(super) until: u64,
}

impl Weather {
    /// The weather of a seed among so many devices.
    pub(super) fn draw(chance: &mut Chance, devices: usize) -> Self {
        let until = chance.between(30_000, 70_000);
        let skews = skews(chance, devices);
        if chance.permille(80) {
            return Self { skews, until, ..Self::default() };
        }
        let mut maybe = |often: u64, most: u64| if chance.permille(often) { chance.between(1, most) } else { 0 };
        let mut weather = Self {
            loss: maybe(700, 400),
            twice: maybe(500, 200),
            slow: maybe(400, 200),
            replay: maybe(500, 50),
            overflow: maybe(400, 30),
            crash: maybe(700, 60),
            full_disk: maybe(400, 30),
            bad_read: maybe(300, 5),
            break_every: maybe(600, 8_000),
            until,
            ..Self::default()
        };
        weather.skews = skews;
        weather.moves = chance.permille(250).then(|| chance.index(devices));
        for _ in 0..chance.between(0, 3) {
            let from = chance.between(0, until);
            let to = from + chance.between(500, 20_000);
            weather.splits.push((from, to.min(until), chance.between(1, (1 << devices) - 1)));
        }
        weather
    }

    /// One long partition of the seed, among so many devices that met before it.
    pub(super) fn draw_parted(chance: &mut Chance, devices: usize) -> Self {
        let from = 40_000;
        let until = from + chance.between(20, 100) * MINUTE as u64;
        let mut weather = Self { loss: 300, twice: 100, slow: 250, replay: 50, until, ..Self::default() };
        weather.skews = vec![0; devices];
        weather.splits.push((from, until, chance.between(1, (1 << devices) - 2)));
        for _ in 0..chance.between(0, 2) {
            let (a, b) = (chance.index(devices), chance.index(devices));
            let start = chance.between(from, until);
            weather.one_way.push((start, until.min(start + chance.between(1, 20) * MINUTE as u64), a, b));
        }
        for _ in 0..chance.between(0, 2) {
            let (who, at) = (chance.index(devices), chance.between(from, until));
            let far = if chance.permille(500) { 10 * YEAR } else { -10 * YEAR };
            weather.jumps.push((at, who, far));
            if chance.permille(500) {
                weather.jumps.push((chance.between(at, until), who, 0));
            }
        }
        weather.liar = (devices > 2 && chance.permille(400)).then(|| 1 + chance.index(devices - 1));
        weather
    }

    /// Whether what one sends to the other is lost now.
    pub(super) fn swallows(&self, now: u64, from: usize, to: usize) -> bool {
        let is_this =
            |(start, end, a, b): &(u64, u64, usize, usize)| (*start..*end).contains(&now) && (*a, *b) == (from, to);
        self.one_way.iter().any(is_this)
    }

    /// Whether clocks are so far apart that a link for a week may be over before it is used.
    pub(super) fn is_of_days(&self) -> bool {
        self.skews.iter().any(|skew| skew.abs() > YEAR / 73)
    }

    /// Whether any two clocks may be further apart than a message takes.
    pub(super) fn has_wide_skews(&self) -> bool {
        self.skews.iter().any(|skew| *skew != 0) || !self.jumps.is_empty()
    }

    /// Whether two devices cannot reach each other now.
    pub(super) fn parts(&self, now: u64, a: usize, b: usize) -> bool {
        self.parted == Some((a.min(b), a.max(b)))
            || self
                .splits
                .iter()
                .any(|(from, to, side)| (*from..*to).contains(&now) && (side >> a) & 1 != (side >> b) & 1)
    }
}

fn skews(chance: &mut Chance, devices: usize) -> Vec<i64> {
    let widest = match chance.between(0, 9) {
        0..=3 => 0,
        4..=7 => 5 * MINUTE,
        8 => 30 * MINUTE,
        _ => 10 * YEAR,
    };
    (0..devices).map(|_| chance.between(0, 2 * widest as u64) as i64 - widest).collect()
}

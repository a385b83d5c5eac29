//! Every capacity of the node, each with its reason.

use std::time::Duration;

/// Commands that wait for the engine. Whoever asks past it waits for room.
pub(super) const COMMAND_QUEUE: usize = 256;
/// Commands in one drain: enough that one sync serves many writers.
pub(super) const COMMANDS_PER_DRAIN: usize = 128;
/// Inputs of the network in one drain.
pub(super) const NET_PER_DRAIN: usize = 256;
/// Bytes staged in one drain before it is settled: the store takes batches of 1 MiB well.
pub(super) const BYTES_PER_DRAIN: usize = 1024 * 1024;
/// After a failed drain so many go with one input each, so that a row that cannot be read fails only those who need it.
pub(super) const CAREFUL_DRAINS: usize = 64;
/// How long the network waits after a failed drain. Commands do not: whoever asks is told at once.
pub(super) const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The longest sleep without looking at the clock, so that a clock that was set is noticed.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// Threads that read for api callers: so many read at once.
pub(super) const READERS: usize = 2;
/// How long a stop waits for the engine's thread: for the sync that is under way, on a busy disk.
pub(super) const ENGINE_STOP_WAIT: Duration = Duration::from_millis(1_400);
/// How long it then waits for the network, which has nothing to write.
pub(super) const NET_STOP_WAIT: Duration = Duration::from_millis(200);
/// Of the former, what the store may take to throw old keys away.
pub(super) const LAST_CHORES: Duration = Duration::from_millis(500);
/// How long a start waits for the first address.
pub(super) const FIRST_ADDRESS_WAIT: Duration = Duration::from_secs(2);

//! Many small worlds of engines on a virtual clock: each seed is a history with its own faults.

use moim::testnet::sim::{
    Failure, Handling, Report, TRACE_KEPT, run, run_governed, run_handled, run_keeping, run_lost, run_parted,
    run_parted_handled, run_rolled_back,
};
use std::{
    ops::RangeInclusive,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Seeds of the gate; `MOIM_SIM_SEEDS=from..to` (both included) chooses others.
const SEEDS: RangeInclusive<u64> = 1..=2_000;
/// Partitions of the gate; `MOIM_SIM_PARTITIONS=from..to` chooses others.
const PARTITIONS: RangeInclusive<u64> = 1..=8;
/// Histories with rollbacks of the gate; `MOIM_SIM_ROLLBACKS=from..to` chooses others.
const ROLLBACKS: RangeInclusive<u64> = 1..=60;
/// Histories in which a device is lost and restored of the gate; `MOIM_SIM_LOSSES=from..to` chooses others.
const LOSSES: RangeInclusive<u64> = 1..=60;
/// Histories whose members use their rights on each other of the gate; `MOIM_SIM_RIGHTS=from..to` chooses others.
const RIGHTS: RangeInclusive<u64> = 1..=200;
/// Seeds that found a fault which no smaller test finds: sessions that both begin at once.
const CROSSED: [u64; 2] = [3819, 5306];
/// The same with rollbacks.
const CROSSED_ROLLBACKS: [u64; 3] = [1012, 1216, 3023];
/// Two devices are lost one after the other, and nobody met the one in between: what it wrote is asked for and confirmed.
const LOST_BETWEEN: [u64; 2] = [3500, 3869];
/// A request waits for a device that a session of members begins with meanwhile.
const ASKED_BESIDE_A_GROUP: u64 = 3644;

#[test]
fn every_acknowledged_message_is_everywhere_once_and_in_one_order() {
    let seeds = chosen_seeds("MOIM_SIM_SEEDS", SEEDS);
    let (reports, failures) = run_all(seeds.clone(), run_keeping);
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    println!(
        "{} seeds of {seeds:?}: {} messages, {} accidents, {} events",
        reports.len(),
        sum(|report| report.messages as u64),
        sum(|report| report.accidents),
        sum(|report| report.events),
    );
    all_hold(&failures);
}

/// Partitions of half an hour to two hours, with one-way links, loss, clocks set by ten years, and now and then a liar.
#[test]
fn thirty_seconds_after_a_partition_heals_everybody_shows_the_same() {
    let seeds = chosen_seeds("MOIM_SIM_PARTITIONS", PARTITIONS);
    let (reports, failures) = run_all(seeds.clone(), run_parted);
    println!("{} partitions of {seeds:?}", reports.len());
    all_hold(&failures);
}

#[test]
fn sessions_that_a_rollback_took_begin_anew_and_nothing_is_lost() {
    let seeds = chosen_seeds("MOIM_SIM_ROLLBACKS", ROLLBACKS);
    let (reports, failures) = run_all(seeds.clone(), run_rolled_back);
    println!("{} histories with rollbacks of {seeds:?}", reports.len());
    all_hold(&failures);
}

#[test]
fn a_device_that_is_lost_goes_on_as_another_and_nothing_else_is_lost() {
    let seeds = chosen_seeds("MOIM_SIM_LOSSES", LOSSES);
    let (reports, failures) = run_all(seeds.clone(), run_lost);
    let losses: u32 = reports.iter().map(|report| report.losses).sum();
    println!("{} histories with {losses} losses of {seeds:?}", reports.len());
    all_hold(&failures);
    assert!(losses as usize > reports.len() / 4, "too few devices are lost");
}

/// Removals, promotions, demotions, groups handed over, at the same moment, parted, and by who crashes with it.
#[test]
fn members_who_act_on_each_other_end_with_one_list_and_only_they_read_on() {
    let seeds = chosen_seeds("MOIM_SIM_RIGHTS", RIGHTS);
    let (reports, failures) = run_all(seeds.clone(), run_governed);
    println!("{} histories with rights of {seeds:?}", reports.len());
    all_hold(&failures);
}

#[test]
fn sessions_that_both_begin_at_once_lose_nothing() {
    let found = CROSSED.map(|seed| run(seed).err()).into_iter().flatten();
    let found = found.chain(CROSSED_ROLLBACKS.into_iter().filter_map(|seed| run_rolled_back(seed, TRACE_KEPT).err()));
    all_hold(&found.collect::<Vec<_>>());
}

#[test]
fn what_a_device_wrote_that_nobody_met_is_known_as_its_successors() {
    let found = LOST_BETWEEN.into_iter().filter_map(|seed| run_lost(seed, TRACE_KEPT).err());
    all_hold(&found.collect::<Vec<_>>());
}

#[test]
fn a_request_is_not_said_in_a_session_of_members() {
    all_hold(&run_lost(ASKED_BESIDE_A_GROUP, TRACE_KEPT).err().into_iter().collect::<Vec<_>>());
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in [3, 14, 15, 92, 65] {
        assert_eq!(run(seed), run(seed));
    }
    assert_eq!(run_parted(12, TRACE_KEPT), run_parted(12, TRACE_KEPT));
}

#[test]
fn the_simulator_notices_members_that_never_compare() {
    assert!((1..6).any(|seed| run_parted_handled(seed, Handling::NeverCompares).is_err()));
}

#[test]
fn the_simulator_notices_what_is_told_before_it_is_durable() {
    assert!((1..60).any(|seed| run_handled(seed, Handling::TellsBeforeDurable).is_err()));
}

#[test]
fn the_simulator_notices_an_engine_that_remembers_what_never_was() {
    assert!((1..60).any(|seed| run_handled(seed, Handling::KeepsEngineAfterFailure).is_err()));
}

#[test]
fn the_simulator_notices_a_mailbox_that_answers_before_it_is_durable() {
    assert!((1..120).any(|seed| run_handled(seed, Handling::MailboxesAnswerFirst).is_err()));
}

/// Shows the first failure whole, and of all what broke.
fn all_hold(failures: &[Failure]) {
    let Some(first) = failures.first() else { return };
    let shown: Vec<String> = failures.iter().map(|failure| format!("seed {}: {}", failure.seed, failure.why)).collect();
    panic!("{first}\n{} fail:\n{}", failures.len(), shown.join("\n"));
}

/// Lines of a failure's trace to print: `MOIM_SIM_TRACE=lines`.
fn chosen_lines() -> usize {
    let Ok(wanted) = std::env::var("MOIM_SIM_TRACE") else { return TRACE_KEPT };
    wanted.parse().unwrap_or_else(|_| panic!("MOIM_SIM_TRACE is {wanted}; it is a number of lines"))
}

fn chosen_seeds(variable: &str, otherwise: RangeInclusive<u64>) -> RangeInclusive<u64> {
    let Ok(wanted) = std::env::var(variable) else { return otherwise };
    let range = wanted.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..=to.parse().ok()?));
    range.unwrap_or_else(|| panic!("{variable} is {wanted}; it is like 1..5000"))
}

/// Runs the seeds on all cores; each is one thread's alone, and so the same whoever runs it.
fn run_all(seeds: RangeInclusive<u64>, run: fn(u64, usize) -> Result<Report, Failure>) -> (Vec<Report>, Vec<Failure>) {
    let lines = chosen_lines();
    let next = AtomicU64::new(*seeds.start());
    let found = Mutex::new((Vec::new(), Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    let outcome = run(seed, lines);
                    let mut found = found.lock().expect("no thread panics while it holds this");
                    match outcome {
                        Ok(report) => found.0.push(report),
                        Err(failure) => found.1.push(failure),
                    }
                }
            });
        }
    });
    let (mut reports, mut failures) = found.into_inner().expect("no thread panics while it holds this");
    reports.sort_by_key(|report| report.seed);
    failures.sort_by_key(|failure| failure.seed);
    (reports, failures)
}

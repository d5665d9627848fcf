//! The whole deployment under seeded faults, and the proof that the simulation finds what is broken.
//!
//! `SIM_SEED=7 cargo test -p hermes-tests --test it simulation` replays one seed and prints its course;
//! `SIM_SEEDS=10000` runs that many instead of the usual number.

use std::collections::BTreeMap;
use std::sync::Arc;

use hermes_diagnosis::RuleBook;
use hermes_tests::simulation::{Defect, Outcome, simulate};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 200;

/// What must have happened under some seed: else the simulation proves little.
const DANGERS: [&str; 26] = [
    "answer of the queue lost",
    "answer of the store lost",
    "attempt executed again",
    "call of the queue refused",
    "call of the store refused",
    "cancelled",
    "clock turned back",
    "diagnosis amended",
    "dispatcher killed",
    "dispatcher paused",
    "dispatcher told to stop",
    "jobs found missing",
    "killed at a border",
    "late result",
    "old reports again",
    "poison",
    "publication lost",
    "queue down",
    "queue flushed",
    "report around the queue",
    "store down",
    "submission repeated",
    "tried again",
    "worker killed",
    "worker paused",
    "worker told to stop",
];

fn run(seed: u64, book: &Arc<RuleBook>, defect: Defect) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(simulate(seed, book.clone(), defect))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

fn report(seed: u64, outcome: &Outcome) -> String {
    let found = outcome.violations.join("\n");
    format!("{found}\nreplay it: SIM_SEED={seed} cargo test -p hermes-tests --test it simulation\n{}", outcome.course)
}

#[test]
fn under_every_seed_no_run_is_lost_none_settles_twice_and_all_settle() {
    let book = Arc::new(RuleBook::shipped());
    if let Some(seed) = number("SIM_SEED") {
        let outcome = run(seed, &book, Defect::None);
        println!("{}\n{:?}", report(seed, &outcome), outcome.seen);
        assert!(outcome.violations.is_empty());
        return;
    }
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..number("SIM_SEEDS").unwrap_or(SEEDS) {
        let outcome = run(seed, &book, Defect::None);
        assert!(outcome.violations.is_empty(), "seed {seed}: {}", report(seed, &outcome));
        for (what, count) in outcome.seen {
            *seen.entry(what).or_default() += count;
        }
    }
    println!("{seen:#?}");
    for danger in DANGERS {
        assert!(seen.contains_key(danger), "under no seed: {danger}");
    }
}

#[test]
fn the_same_seed_takes_the_same_course() {
    let book = Arc::new(RuleBook::shipped());
    for seed in 0..5 {
        let (first, second) = (run(seed, &book, Defect::None), run(seed, &book, Defect::None));
        let parts = first.course.lines().zip(second.course.lines()).find(|(first, second)| first != second);
        assert_eq!(first.digest, second.digest, "seed {seed}, where they part: {parts:?}");
    }
}

#[test]
fn every_planted_bug_is_found() {
    let book = Arc::new(RuleBook::shipped());
    for defect in [Defect::NoFence, Defect::BlindReconciler, Defect::AttemptIgnored, Defect::LostCommits] {
        let found = (0..SEEDS).find(|seed| !run(*seed, &book, defect).violations.is_empty());
        println!("{defect:?} is found by seed {found:?}");
        assert!(found.is_some(), "{defect:?} is not found by {SEEDS} seeds");
    }
}

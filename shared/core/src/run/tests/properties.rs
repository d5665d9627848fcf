//! Properties over random plans and random histories.
//!
//! A history is a list of moves, each a random choice among everything that can happen: reports about any attempt,
//! current or stale, time passing, cancelling, re-running, losing a wake-up.

use proptest::prelude::*;

use std::sync::Arc;

use super::world::{RUN_MS, World, completed, failed, plan_of, plan_with, service};
use crate::kbase::Fact;
use crate::plan::{LateResults, Plan};
use crate::run::Event;
use crate::status::ServiceStatus;
use crate::wire::{ErrorClass, Outcome};

/// Something that may happen, with a number that chooses whom it happens to.
#[derive(Clone, Debug)]
enum Move {
    Report { whom: usize, attempts_ago: u32, outcome: Outcome },
    Pass { millis: u64, woken: bool },
    Cancel,
    Rerun,
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(completed()),
        2 => Just(Outcome::Started),
        1 => Just(Outcome::Deferred),
        2 => Just(failed(ErrorClass::Authentication, false, None)),
        3 => Just(failed(ErrorClass::ServerError, true, None)),
        1 => (0_u64..20_000).prop_map(|ms| failed(ErrorClass::RateLimited, true, Some(ms))),
        1 => Just(failed(ErrorClass::Timeout, true, None)),
        1 => Just(failed(ErrorClass::DeadlinePassed, false, None)),
        1 => Just(failed(ErrorClass::Poison, false, None)),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        12 => (any::<usize>(), prop_oneof![6 => Just(0_u32), 1 => 1_u32..3], outcomes())
            .prop_map(|(whom, attempts_ago, outcome)| Move::Report { whom, attempts_ago, outcome }),
        4 => (0_u64..RUN_MS / 6, any::<bool>()).prop_map(|(millis, woken)| Move::Pass { millis, woken }),
        1 => Just(Move::Cancel),
        1 => Just(Move::Rerun),
    ];
    prop::collection::vec(one, 0..60)
}

/// Random plans, with and without amendments: service `sN` depends on some of those before it, so there is no cycle.
fn plans() -> impl Strategy<Value = Arc<Plan>> {
    let late_results = prop_oneof![Just(LateResults::Keep), Just(LateResults::Amend)];
    let rows = prop::collection::vec((any::<u16>(), 1_u32..4, any::<bool>()), 1..9);
    (late_results, rows).prop_map(|(late_results, rows)| {
        let specs = rows.iter().enumerate().map(|(position, (bits, max_attempts, required))| {
            let before = (0..position).filter(|earlier| bits & (1 << earlier) != 0 && bits % 3 != 0);
            let mut spec = service(&format!("s{position}"));
            spec.depends_on = before.map(|earlier| format!("s{earlier}")).collect();
            spec.max_attempts = *max_attempts;
            spec.required = *required;
            spec
        });
        plan_with(late_results, specs.collect())
    })
}

fn play(world: &mut World, happened: &Move) {
    match happened {
        Move::Report { whom, attempts_ago, outcome } => {
            let position = whom % world.run.plan().services().len();
            let name = world.run.plan().services()[position].name().to_string();
            let attempt = world.state(&name).attempt.saturating_sub(*attempts_ago);
            let event = world.report(&name, attempt, outcome.clone());
            // An attempt that was never made is refused, and that is all.
            let first = world.apply(&event);
            if first.is_ok() {
                if world.run.awaits_amendment() {
                    world.synthesise();
                }
                assert_eq!(world.apply(&event), Ok(0), "the same event twice is a no-op the second time");
            }
        }
        Move::Pass { millis, woken: true } => world.pass(*millis),
        Move::Pass { millis, woken: false } => world.pass_unnoticed(*millis),
        Move::Cancel => drop(world.apply(&Event::CancelRequested)),
        Move::Rerun => drop(world.apply(&Event::RerunRequested)),
    }
    if world.run.awaits_synthesis() {
        // The engine makes the diagnosis before it commits.
        world.pass(0);
        world.synthesise();
    }
}

/// A run after a whole history.
fn played(plan: Arc<Plan>, history: &[Move]) -> World {
    let mut world = World::start(plan);
    world.checks_each_step = false;
    for happened in history {
        play(&mut world, happened);
    }
    world
}

/// After a long silence, whatever happened before, the run has settled.
fn settle(world: &mut World) {
    if !world.run.status().is_settled() {
        world.pass(RUN_MS);
        world.synthesise();
    }
}

fn facts(world: &World) -> Vec<Fact> {
    let read = |event: &crate::kbase::KbaseEvent| Fact::from_columns(&event.service, &event.kind, &event.payload);
    world.log.iter().map(|event| read(event).expect("readable")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_every_moment_the_replay_of_the_log_is_the_run(plan in plans(), history in moves()) {
        let mut world = World::start(plan);
        for happened in &history {
            play(&mut world, happened);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_auditor_finds_nothing_in_a_log_that_decide_can_produce(plan in plans(), history in moves()) {
        let mut world = played(plan, &history);
        world.check();
        settle(&mut world);
        world.check();
    }

    #[test]
    fn every_revision_of_a_run_settles_exactly_once(plan in plans(), history in moves()) {
        let mut world = played(plan, &history);
        settle(&mut world);
        prop_assert!(world.run.status().is_settled());
        prop_assert!(world.run.state().services.iter().all(|state| state.status.is_settled()));
        let (mut open, mut settled) = (false, 0_u32);
        for fact in facts(&world) {
            match fact {
                Fact::RunStarted(_) => {
                    prop_assert!(!open, "a revision begins when the one before has settled");
                    open = true;
                }
                Fact::RunSettled(_) => {
                    prop_assert!(open, "nothing settles twice");
                    open = false;
                    settled += 1;
                }
                _ => {}
            }
        }
        prop_assert!(!open);
        prop_assert_eq!(settled, world.run.state().revision);
    }

    #[test]
    fn a_skipped_service_has_a_cause_chain_that_ends_in_one_that_did_not_complete_by_itself(
        plan in plans(), history in moves()
    ) {
        let mut world = played(plan, &history);
        settle(&mut world);
        for fact in facts(&world) {
            let Fact::ServiceEnded(end) = fact else { continue };
            if end.status != ServiceStatus::Skipped {
                prop_assert!(end.cause.is_empty());
                continue;
            }
            let (last, before) = end.cause.split_last().expect("a skip has a cause");
            prop_assert!(before.iter().all(|link| link.status == ServiceStatus::Skipped));
            prop_assert!(
                matches!(last.status, ServiceStatus::Failed | ServiceStatus::Timeout | ServiceStatus::Cancelled),
                "{:?}", end.cause
            );
        }
    }

    #[test]
    fn no_service_is_published_before_its_dependencies_completed(plan in plans(), history in moves()) {
        let world = played(plan, &history);
        let plan = world.run.plan().clone();
        let mut completed = std::collections::HashSet::new();
        for fact in facts(&world) {
            match fact {
                Fact::ServiceCompleted(result) => drop(completed.insert(result.service)),
                Fact::WaveQueued { services, .. } => {
                    for queued in services {
                        let position = plan.position(&queued.service).expect("of the plan");
                        for &target in plan.services()[position].depends_on() {
                            prop_assert!(completed.contains(plan.services()[target].name()));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_service_settles_at_most_once_in_a_revision_and_attempts_are_counted_without_gaps(
        plan in plans(), history in moves()
    ) {
        let mut world = played(plan, &history);
        settle(&mut world);
        let mut settled = std::collections::HashSet::new();
        let mut attempts = std::collections::HashMap::new();
        let mut revision = 0;
        for fact in facts(&world) {
            match fact {
                Fact::RunStarted(start) => {
                    prop_assert_eq!(start.revision, revision + 1);
                    revision = start.revision;
                }
                Fact::ServiceCompleted(result) => prop_assert!(settled.insert((revision, result.service))),
                Fact::ServiceEnded(end) => prop_assert!(settled.insert((revision, end.service))),
                Fact::WaveQueued { services, .. } => {
                    for queued in services {
                        prop_assert!(!settled.contains(&(revision, queued.service.clone())), "terminal is final");
                        let last = attempts.insert(queued.service, queued.attempt).unwrap_or(0);
                        prop_assert_eq!(queued.attempt, last + 1);
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_settled_run_changes_by_a_re_run_only(plan in plans(), history in moves(), after in moves()) {
        let mut world = played(plan, &history);
        settle(&mut world);
        let frozen = world.run.summary();
        for happened in after.iter().filter(|happened| !matches!(happened, Move::Rerun)) {
            play(&mut world, happened);
            let mut summary = world.run.summary();
            if world.run.plan().late_results() == LateResults::Amend {
                summary.diagnosis_event_id = frozen.diagnosis_event_id;
            }
            prop_assert_eq!(&summary, &frozen);
        }
    }

    #[test]
    fn the_order_in_which_independent_services_end_does_not_change_how_the_run_ends(
        ends in prop::collection::vec(any::<bool>(), 1..8), order in any::<u64>()
    ) {
        let names: Vec<String> = (0..ends.len()).map(|position| format!("s{position}")).collect();
        let verdict = |order: Vec<usize>| {
            let mut world = World::start(plan_of(names.iter().map(|name| service(name)).collect()));
            for position in order {
                if ends[position] { world.complete(&names[position]) } else { world.fail(&names[position]) };
            }
            world.synthesise();
            let summary = world.run.summary();
            (summary.status, summary.services_completed, summary.services_failed)
        };
        let straight: Vec<usize> = (0..ends.len()).collect();
        let mut shuffled = straight.clone();
        shuffled.sort_by_key(|position| order.rotate_left(u32::try_from(*position).expect("small") * 7) % 97);
        prop_assert_eq!(verdict(straight), verdict(shuffled));
    }
}

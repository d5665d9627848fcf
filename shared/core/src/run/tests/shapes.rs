//! Plans of every shape: diamonds, fans, chains, and the largest that are allowed.

use super::world::{World, completed, failed, plan_of, service};
use crate::kbase::Fact;
use crate::limits::PLAN_SERVICES_MAX;
use crate::run::{Effect, Event, decide};
use crate::status::{RunStatus, ServiceStatus};
use crate::wire::ErrorClass;

const DIAMOND: [&str; 4] = ["top", "left after top", "right after top", "bottom after left right"];

/// The waves so far, each as the names of its services.
fn waves(world: &World) -> Vec<Vec<String>> {
    let facts = world.log.iter().map(|event| Fact::from_columns(&event.service, &event.kind, &event.payload));
    let mut waves = Vec::new();
    for fact in facts {
        let Fact::WaveQueued { wave, services } = fact.expect("readable") else { continue };
        assert_eq!(wave as usize, waves.len() + 1, "waves are counted without gaps");
        waves.push(services.iter().map(|queued| queued.service.to_string()).collect());
    }
    waves
}

fn causes(world: &World, name: &str) -> Vec<String> {
    let end = world.log.iter().rev().find(|event| event.service == name).expect("it ended");
    let fact = Fact::from_columns(&end.service, &end.kind, &end.payload).expect("readable");
    let Fact::ServiceEnded(end) = fact else { panic!("'{name}' ended without a result") };
    end.cause.iter().map(|link| format!("{} {}", link.service, link.status)).collect()
}

/// A world without the check after each step: large plans check at their end.
fn large(services: Vec<crate::plan::ServiceSpec>) -> World {
    let mut world = World::start(plan_of(services));
    world.checks_each_step = false;
    world
}

fn chain(length: usize) -> Vec<crate::plan::ServiceSpec> {
    let link = |n: usize| if n == 0 { service("s0") } else { service(&format!("s{n} after s{}", n - 1)) };
    (0..length).map(link).collect()
}

#[test]
fn a_diamond_runs_in_three_waves() {
    let mut world = World::of(&DIAMOND);
    for name in ["top", "left", "right", "bottom"] {
        world.complete(name);
    }
    assert_eq!(waves(&world), [vec!["top"], vec!["left", "right"], vec!["bottom"]]);
    assert_eq!(world.run.state().waves, 3);
    assert!(world.synthesis_wanted);
}

#[test]
fn the_foot_of_a_diamond_waits_for_the_slower_side_whichever_it_is() {
    for (first, last) in [("left", "right"), ("right", "left")] {
        let mut world = World::of(&DIAMOND);
        world.complete("top");
        world.complete(first);
        assert_eq!(world.status("bottom"), ServiceStatus::Pending, "{last} still runs");
        world.complete(last);
        assert_eq!(world.status("bottom"), ServiceStatus::Queued);
    }
}

#[test]
fn a_failed_side_of_a_diamond_skips_its_foot_once_and_names_that_side() {
    for (failing, other) in [("left", "right"), ("right", "left")] {
        let mut world = World::of(&DIAMOND);
        world.complete("top");
        world.fail(failing);
        assert_eq!(causes(&world, "bottom"), [format!("{failing} failed")]);
        assert_eq!(world.state("bottom").cause.as_ref().map(ToString::to_string).as_deref(), Some(failing));
        assert_eq!(world.fail(other), 1, "nothing is skipped twice");
        assert_eq!(causes(&world, "bottom"), [format!("{failing} failed")], "what began it stays");
    }
}

#[test]
fn a_failed_top_of_a_diamond_skips_everything_and_the_foot_names_its_first_listed_dependency() {
    for (bottom, chain) in [
        ("bottom after left right", ["left skipped", "top failed"]),
        ("bottom after right left", ["right skipped", "top failed"]),
    ] {
        let mut world = World::of(&["top", "left after top", "right after top", bottom]);
        world.fail("top");
        assert_eq!(causes(&world, "bottom"), chain);
        assert_eq!(world.run.summary().services_skipped, 3);
        assert!(world.synthesis_wanted);
    }
}

#[test]
fn a_plan_in_reverse_order_runs_as_one_in_order() {
    let mut world = World::of(&["c after b", "b after a", "a"]);
    assert_eq!(world.published(), ["a/1"]);
    world.complete("a");
    world.complete("b");
    world.complete("c");
    assert_eq!(waves(&world), [["a"], ["b"], ["c"]]);
    assert!(world.synthesis_wanted);
}

#[test]
fn a_chain_in_reverse_order_is_skipped_to_its_end_by_one_event() {
    let mut world = World::of(&["c after b", "b after a", "a"]);
    assert_eq!(world.fail("a"), 3);
    assert_eq!(causes(&world, "c"), ["b skipped", "a failed"]);
    assert!(world.synthesis_wanted);
}

#[test]
fn a_time_out_skips_as_a_failure_does() {
    let mut world = World::of(&["a", "b after a", "c after b"]);
    let event = world.report("a", 1, failed(ErrorClass::Timeout, false, None));
    world.apply(&event).expect("known");
    assert_eq!(causes(&world, "c"), ["b skipped", "a timeout"]);
}

#[test]
fn a_failure_that_is_tried_again_skips_nobody() {
    let mut world = World::of(&["a", "b after a"]);
    world.stumble("a");
    assert_eq!(world.status("b"), ServiceStatus::Pending);
    world.complete("a");
    assert_eq!(world.status("b"), ServiceStatus::Queued);
}

#[test]
fn a_cancelled_or_overdue_chain_is_not_told_as_skipped() {
    let mut cancelled = World::of(&["a", "b after a", "c after b"]);
    cancelled.apply(&Event::CancelRequested).expect("open");
    let mut overdue = World::of(&["a", "b after a", "c after b"]);
    overdue.pass(super::world::RUN_MS);
    for (world, status) in [(cancelled, ServiceStatus::Cancelled), (overdue, ServiceStatus::Timeout)] {
        assert_eq!(world.run.count(status), 3, "{status}");
        assert!(world.run.state().services.iter().all(|state| state.cause.is_none()), "{status}");
    }
}

#[test]
fn a_re_run_skips_again_by_what_fails_then() {
    let mut world = World::of(&["a", "b", "c after a b"]);
    world.fail("b");
    world.fail("a");
    assert_eq!(causes(&world, "c"), ["b failed"]);
    world.synthesise();
    world.apply(&Event::RerunRequested).expect("settled");
    assert_eq!(world.state("c").cause, None, "the old cause is forgotten");
    world.complete("b");
    world.fail("a");
    assert_eq!(causes(&world, "c"), ["a failed"]);
}

#[test]
fn a_re_run_publishes_at_once_what_waits_only_for_results_that_are_there() {
    let mut world = World::of(&["a", "b after a", "c after b"]);
    world.complete("a");
    world.fail("b");
    world.synthesise();
    world.apply(&Event::RerunRequested).expect("settled");
    assert_eq!(world.published(), ["a/1", "b/1", "b/2"]);
    assert_eq!(waves(&world), [["a"], ["b"], ["b"]], "waves are counted on over revisions");
}

#[test]
fn what_becomes_ready_by_one_event_is_one_wave_in_plan_order() {
    let mut world = World::of(&["d after hub", "hub", "b after hub", "c", "a after hub"]);
    world.complete("hub");
    assert_eq!(waves(&world), [vec!["hub", "c"], vec!["d", "b", "a"]]);
    assert_eq!(world.published(), ["hub/1", "c/1", "d/1", "b/1", "a/1"]);
}

#[test]
fn a_fact_is_recorded_before_the_attempts_that_follow_from_it_are_published() {
    let mut world = World::of(&["a", "b after a", "c after a"]);
    let event = world.report("a", 1, completed());
    let decision = decide(&world.run, &event, world.now()).expect("known");
    let words: Vec<&str> = decision
        .effects
        .iter()
        .map(|effect| match effect {
            Effect::Record { event, .. } => event.kind.as_str(),
            Effect::Publish(_) => "publish",
            Effect::Revoke(_) => "revoke",
            Effect::Synthesise => "synthesise",
        })
        .collect();
    assert_eq!(words, ["result", "wave", "publish", "publish"]);
    world.apply(&event).expect("known");
}

#[test]
fn the_widest_plan_is_one_wave_and_its_join_starts_with_the_last_of_them() {
    let width = PLAN_SERVICES_MAX - 1;
    let names: Vec<String> = (0..width).map(|n| format!("s{n}")).collect();
    let mut services: Vec<_> = names.iter().map(|name| service(name)).collect();
    let mut join = service("join");
    join.depends_on.clone_from(&names);
    services.push(join);
    let mut world = large(services);
    assert_eq!(world.published.len(), width);
    assert_eq!(world.log.len(), 2, "one start, one wave");
    // All but the last are reported to one copy of the run after the other, as a queue would deliver them.
    for name in &names[..width - 1] {
        assert_eq!(world.complete(name), 1);
    }
    assert_eq!(world.status("join"), ServiceStatus::Pending);
    assert_eq!(world.complete(&names[width - 1]), 2, "a result and a wave");
    assert_eq!(world.status("join"), ServiceStatus::Queued);
    world.complete("join");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.run.summary().services_completed, 1_024);
    assert_eq!(world.log.len(), 2 + 1_024 + 1 + 2, "start, wave; results; wave; diagnosis, end");
    assert_eq!(waves(&world).len(), 2);
    world.check();
}

#[test]
fn the_widest_plan_is_skipped_whole_by_its_one_root() {
    let mut services = vec![service("root")];
    services.extend((1..PLAN_SERVICES_MAX).map(|n| service(&format!("s{n} after root"))));
    let mut world = large(services);
    assert_eq!(world.fail("root"), PLAN_SERVICES_MAX);
    assert_eq!(world.run.summary().services_skipped, 1_023);
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Failed);
    world.check();
}

#[test]
fn the_widest_plan_is_cancelled_by_one_decision() {
    let mut world = large((0..PLAN_SERVICES_MAX).map(|n| service(&format!("s{n}"))).collect());
    assert_eq!(world.apply(&Event::CancelRequested), Ok(PLAN_SERVICES_MAX));
    assert_eq!(world.revoked.len(), PLAN_SERVICES_MAX, "each attempt is taken back");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Cancelled);
    world.check();
}

#[test]
fn a_long_chain_runs_link_by_link() {
    let mut world = large(chain(200));
    for n in 0..200 {
        assert_eq!(world.published.len(), n + 1);
        world.complete(&format!("s{n}"));
    }
    assert_eq!(waves(&world).len(), 200);
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Completed);
    world.check();
}

#[test]
fn the_last_link_of_a_long_broken_chain_names_every_link_back_to_the_break() {
    let mut world = large(chain(100));
    world.complete("s0");
    assert_eq!(world.fail("s1"), 99);
    let causes = causes(&world, "s99");
    assert_eq!(causes.len(), 98);
    assert_eq!(causes.first().map(String::as_str), Some("s98 skipped"));
    assert_eq!(causes.last().map(String::as_str), Some("s1 failed"));
    world.check();
}

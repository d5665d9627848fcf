//! Every state of a service against everything that can happen, as a table.
//!
//! A cell lists what follows, in order: `+a:running` is a recorded fact (a service's status, or else the type of the
//! event), `>a/2` an attempt that is published, `<a/1` one that is revoked, `!` a wanted synthesis. Behind the arrow
//! stand the service and its run afterwards. A refusal stands as its sentence.

use super::world::{RUN_MS, TIMEOUT_MS, World, completed, failed};
use crate::json::Json;
use crate::kbase::NotedEvent;
use crate::limits::TIMEOUT_GRACE_MS;
use crate::run::{Effect, Event, decide};
use crate::wire::{ErrorClass, Outcome};

const EVENTS: [&str; 17] = [
    "started",
    "started elsewhere",
    "deferred",
    "completed",
    "failed",
    "stumbled",
    "rate limited",
    "timed out",
    "past deadline",
    "woken",
    "woken at retry",
    "woken at time-out",
    "woken at deadline",
    "cancel",
    "rerun",
    "noted",
    "synthesised",
];

const OPEN_STAGES: [&str; 10] = [
    "waiting",
    "retrying",
    "queued",
    "running",
    "deferred",
    "completed",
    "failed",
    "given up",
    "own time-out",
    "skipped",
];

const SETTLED_STAGES: [&str; 5] = ["completed", "failed", "past deadline", "skipped", "cancelled"];

/// `a` in a run that stays open because nobody takes `z`.
fn open(stage: &str) -> World {
    let mut world = World::of(&["x", "a after x", "z"]);
    if stage == "waiting" {
        return world;
    }
    if stage == "skipped" {
        world.fail("x");
        return world;
    }
    world.complete("x");
    match stage {
        "queued" => {}
        "retrying" => say(&mut world, failed(ErrorClass::RateLimited, true, Some(5_000))),
        "running" => say(&mut world, Outcome::Started),
        "deferred" => say(&mut world, Outcome::Deferred),
        "completed" => say(&mut world, completed()),
        "failed" => say(&mut world, failed(ErrorClass::Authentication, false, None)),
        "own time-out" => say(&mut world, failed(ErrorClass::Timeout, true, None)),
        "given up" => {
            world.begin("a");
            world.pass(TIMEOUT_MS + TIMEOUT_GRACE_MS);
        }
        other => panic!("no stage '{other}'"),
    }
    world
}

/// `a` in a run that has settled.
fn settled(stage: &str) -> World {
    let mut world = World::of(&["x", "a after x"]);
    if stage == "skipped" {
        world.fail("x");
    } else {
        world.complete("x");
    }
    match stage {
        "completed" => say(&mut world, completed()),
        "failed" => say(&mut world, failed(ErrorClass::Authentication, false, None)),
        "skipped" => {}
        "past deadline" => world.pass(RUN_MS),
        "cancelled" => drop(world.apply(&Event::CancelRequested).expect("open")),
        other => panic!("no stage '{other}'"),
    }
    world.synthesise();
    world
}

fn say(world: &mut World, outcome: Outcome) {
    let event = world.report("a", world.state("a").attempt, outcome);
    world.apply(&event).expect("known");
}

/// The event called `name`, with the time that has passed until it comes.
fn event(world: &World, name: &str) -> (Event, u64) {
    let about = |outcome: Outcome| world.report("a", world.state("a").attempt.max(1), outcome);
    let at_once = match name {
        "started" => about(Outcome::Started),
        "started elsewhere" => {
            let Event::Reported { mut report, jitter } = about(Outcome::Started) else { unreachable!() };
            report.worker = "worker-2".to_owned();
            Event::Reported { report, jitter }
        }
        "deferred" => about(Outcome::Deferred),
        "completed" => about(completed()),
        "failed" => about(failed(ErrorClass::Authentication, false, None)),
        "stumbled" => about(failed(ErrorClass::ServerError, true, None)),
        "rate limited" => about(failed(ErrorClass::RateLimited, true, Some(5_000))),
        "timed out" => about(failed(ErrorClass::Timeout, true, None)),
        "past deadline" => about(failed(ErrorClass::DeadlinePassed, false, None)),
        "woken" => Event::Woken,
        "woken at retry" => return (Event::Woken, 5_000),
        "woken at time-out" => return (Event::Woken, TIMEOUT_MS + TIMEOUT_GRACE_MS),
        "woken at deadline" => return (Event::Woken, world.run.services_until().since_ms(world.now())),
        "cancel" => Event::CancelRequested,
        "rerun" => Event::RerunRequested,
        "noted" => {
            let payload = Json::parse("{}").expect("valid");
            Event::Noted(NotedEvent { service: "someone".to_owned(), kind: "note".to_owned(), payload })
        }
        "synthesised" => Event::Synthesised(Ok(Json::parse("{}").expect("valid"))),
        other => panic!("no event '{other}'"),
    };
    (at_once, 0)
}

fn written(effect: &Effect) -> String {
    match effect {
        Effect::Record { event, .. } => {
            let payload: serde_json::Value = event.payload.read().expect("JSON");
            let is_status = event.kind == "service_status";
            let word = if is_status { payload["status"].as_str().expect("a status") } else { &event.kind };
            format!("+{}:{word}", event.service)
        }
        Effect::Publish(order) => format!(">{}/{}", order.id.service, order.id.attempt),
        Effect::Revoke(order) => format!("<{}/{}", order.id.service, order.id.attempt),
        Effect::Synthesise => "!".to_owned(),
    }
}

fn cell(mut world: World, name: &str) -> String {
    let (event, millis) = event(&world, name);
    world.pass_unnoticed(millis);
    let decision = match decide(&world.run, &event, world.now()) {
        Ok(decision) => decision,
        Err(illegal) => return illegal.to_string(),
    };
    let effects: Vec<String> = decision.effects.iter().map(written).collect();
    world.apply(&event).expect("decided before");
    assert_eq!(world.run, decision.next, "the same question has the same answer");
    let mut text = effects.join(" ");
    if !text.is_empty() {
        text.push(' ');
    }
    format!("{text}-> {}, {}", world.status("a"), world.run_status())
}

type Row = (&'static str, &'static str, &'static str);

fn compare(stages: &[&str], world: fn(&str) -> World, table: &[Row]) {
    let mut wrong = Vec::new();
    for &stage in stages {
        for name in EVENTS {
            let found = cell(world(stage), name);
            let expected = table.iter().find(|row| (row.0, row.1) == (stage, name)).map(|row| row.2);
            if expected != Some(found.as_str()) {
                wrong.push(format!("        ({stage:?}, {name:?}, {found:?}),"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells differ from the table; they are\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(table.len(), stages.len() * EVENTS.len(), "the table has a row for each pair and no others");
}

#[test]
fn in_an_open_run_every_event_does_to_every_service_what_the_table_says() {
    compare(&OPEN_STAGES, open, &OPEN);
}

#[test]
fn in_a_settled_run_every_event_does_to_every_service_what_the_table_says() {
    compare(&SETTLED_STAGES, settled, &SETTLED);
}

static OPEN: [Row; 170] = [
    ("waiting", "started", "attempt 1 of service 'a' was never made"),
    ("waiting", "started elsewhere", "attempt 1 of service 'a' was never made"),
    ("waiting", "deferred", "attempt 1 of service 'a' was never made"),
    ("waiting", "completed", "attempt 1 of service 'a' was never made"),
    ("waiting", "failed", "attempt 1 of service 'a' was never made"),
    ("waiting", "stumbled", "attempt 1 of service 'a' was never made"),
    ("waiting", "rate limited", "attempt 1 of service 'a' was never made"),
    ("waiting", "timed out", "attempt 1 of service 'a' was never made"),
    ("waiting", "past deadline", "attempt 1 of service 'a' was never made"),
    ("waiting", "woken", "-> pending, started"),
    ("waiting", "woken at retry", "-> pending, started"),
    ("waiting", "woken at time-out", "-> pending, started"),
    ("waiting", "woken at deadline", "<x/1 +x:timeout +a:timeout <z/1 +z:timeout ! -> timeout, running"),
    ("waiting", "cancel", "<x/1 +x:cancelled +a:cancelled <z/1 +z:cancelled ! -> cancelled, running"),
    ("waiting", "rerun", "the run is not settled yet; cancel it or wait"),
    ("waiting", "noted", "+someone:note -> pending, started"),
    ("waiting", "synthesised", "no diagnosis is due"),
    ("retrying", "started", "-> pending, running"),
    ("retrying", "started elsewhere", "-> pending, running"),
    ("retrying", "deferred", "-> pending, running"),
    ("retrying", "completed", "-> pending, running"),
    ("retrying", "failed", "-> pending, running"),
    ("retrying", "stumbled", "-> pending, running"),
    ("retrying", "rate limited", "-> pending, running"),
    ("retrying", "timed out", "-> pending, running"),
    ("retrying", "past deadline", "-> pending, running"),
    ("retrying", "woken", "-> pending, running"),
    ("retrying", "woken at retry", "+hermes:wave >a/2 -> queued, running"),
    ("retrying", "woken at time-out", "+hermes:wave >a/2 -> queued, running"),
    ("retrying", "woken at deadline", "+a:timeout <z/1 +z:timeout ! -> timeout, running"),
    ("retrying", "cancel", "+a:cancelled <z/1 +z:cancelled ! -> cancelled, running"),
    ("retrying", "rerun", "the run is not settled yet; cancel it or wait"),
    ("retrying", "noted", "+someone:note -> pending, running"),
    ("retrying", "synthesised", "no diagnosis is due"),
    ("queued", "started", "+a:running -> running, running"),
    ("queued", "started elsewhere", "+a:running -> running, running"),
    ("queued", "deferred", "+a:running -> running, running"),
    ("queued", "completed", "+a:result -> completed, running"),
    ("queued", "failed", "+a:failed -> failed, running"),
    ("queued", "stumbled", "+a:pending +hermes:wave >a/2 -> queued, running"),
    ("queued", "rate limited", "+a:pending -> pending, running"),
    ("queued", "timed out", "+a:timeout -> timeout, running"),
    ("queued", "past deadline", "+a:timeout -> timeout, running"),
    ("queued", "woken", "-> queued, running"),
    ("queued", "woken at retry", "-> queued, running"),
    ("queued", "woken at time-out", "-> queued, running"),
    ("queued", "woken at deadline", "<a/1 +a:timeout <z/1 +z:timeout ! -> timeout, running"),
    ("queued", "cancel", "<a/1 +a:cancelled <z/1 +z:cancelled ! -> cancelled, running"),
    ("queued", "rerun", "the run is not settled yet; cancel it or wait"),
    ("queued", "noted", "+someone:note -> queued, running"),
    ("queued", "synthesised", "no diagnosis is due"),
    ("running", "started", "-> running, running"),
    ("running", "started elsewhere", "+a:running -> running, running"),
    ("running", "deferred", "+a:running -> running, running"),
    ("running", "completed", "+a:result -> completed, running"),
    ("running", "failed", "+a:failed -> failed, running"),
    ("running", "stumbled", "+a:pending +hermes:wave >a/2 -> queued, running"),
    ("running", "rate limited", "+a:pending -> pending, running"),
    ("running", "timed out", "+a:timeout -> timeout, running"),
    ("running", "past deadline", "+a:timeout -> timeout, running"),
    ("running", "woken", "-> running, running"),
    ("running", "woken at retry", "-> running, running"),
    ("running", "woken at time-out", "<a/1 +a:timeout -> timeout, running"),
    ("running", "woken at deadline", "<a/1 +a:timeout <z/1 +z:timeout ! -> timeout, running"),
    ("running", "cancel", "<a/1 +a:cancelled <z/1 +z:cancelled ! -> cancelled, running"),
    ("running", "rerun", "the run is not settled yet; cancel it or wait"),
    ("running", "noted", "+someone:note -> running, running"),
    ("running", "synthesised", "no diagnosis is due"),
    ("deferred", "started", "+a:running -> running, running"),
    ("deferred", "started elsewhere", "+a:running -> running, running"),
    ("deferred", "deferred", "-> running, running"),
    ("deferred", "completed", "+a:result -> completed, running"),
    ("deferred", "failed", "+a:failed -> failed, running"),
    ("deferred", "stumbled", "+a:pending +hermes:wave >a/2 -> queued, running"),
    ("deferred", "rate limited", "+a:pending -> pending, running"),
    ("deferred", "timed out", "+a:timeout -> timeout, running"),
    ("deferred", "past deadline", "+a:timeout -> timeout, running"),
    ("deferred", "woken", "-> running, running"),
    ("deferred", "woken at retry", "-> running, running"),
    ("deferred", "woken at time-out", "<a/1 +a:timeout -> timeout, running"),
    ("deferred", "woken at deadline", "<a/1 +a:timeout <z/1 +z:timeout ! -> timeout, running"),
    ("deferred", "cancel", "<a/1 +a:cancelled <z/1 +z:cancelled ! -> cancelled, running"),
    ("deferred", "rerun", "the run is not settled yet; cancel it or wait"),
    ("deferred", "noted", "+someone:note -> running, running"),
    ("deferred", "synthesised", "no diagnosis is due"),
    ("completed", "started", "-> completed, running"),
    ("completed", "started elsewhere", "-> completed, running"),
    ("completed", "deferred", "-> completed, running"),
    ("completed", "completed", "-> completed, running"),
    ("completed", "failed", "-> completed, running"),
    ("completed", "stumbled", "-> completed, running"),
    ("completed", "rate limited", "-> completed, running"),
    ("completed", "timed out", "-> completed, running"),
    ("completed", "past deadline", "-> completed, running"),
    ("completed", "woken", "-> completed, running"),
    ("completed", "woken at retry", "-> completed, running"),
    ("completed", "woken at time-out", "-> completed, running"),
    ("completed", "woken at deadline", "<z/1 +z:timeout ! -> completed, running"),
    ("completed", "cancel", "<z/1 +z:cancelled ! -> completed, running"),
    ("completed", "rerun", "the run is not settled yet; cancel it or wait"),
    ("completed", "noted", "+someone:note -> completed, running"),
    ("completed", "synthesised", "no diagnosis is due"),
    ("failed", "started", "-> failed, running"),
    ("failed", "started elsewhere", "-> failed, running"),
    ("failed", "deferred", "-> failed, running"),
    ("failed", "completed", "-> failed, running"),
    ("failed", "failed", "-> failed, running"),
    ("failed", "stumbled", "-> failed, running"),
    ("failed", "rate limited", "-> failed, running"),
    ("failed", "timed out", "-> failed, running"),
    ("failed", "past deadline", "-> failed, running"),
    ("failed", "woken", "-> failed, running"),
    ("failed", "woken at retry", "-> failed, running"),
    ("failed", "woken at time-out", "-> failed, running"),
    ("failed", "woken at deadline", "<z/1 +z:timeout ! -> failed, running"),
    ("failed", "cancel", "<z/1 +z:cancelled ! -> failed, running"),
    ("failed", "rerun", "the run is not settled yet; cancel it or wait"),
    ("failed", "noted", "+someone:note -> failed, running"),
    ("failed", "synthesised", "no diagnosis is due"),
    ("given up", "started", "-> timeout, running"),
    ("given up", "started elsewhere", "-> timeout, running"),
    ("given up", "deferred", "-> timeout, running"),
    ("given up", "completed", "+a:late_result -> timeout, running"),
    ("given up", "failed", "+a:late_result -> timeout, running"),
    ("given up", "stumbled", "+a:late_result -> timeout, running"),
    ("given up", "rate limited", "+a:late_result -> timeout, running"),
    ("given up", "timed out", "+a:late_result -> timeout, running"),
    ("given up", "past deadline", "+a:late_result -> timeout, running"),
    ("given up", "woken", "-> timeout, running"),
    ("given up", "woken at retry", "-> timeout, running"),
    ("given up", "woken at time-out", "-> timeout, running"),
    ("given up", "woken at deadline", "<z/1 +z:timeout ! -> timeout, running"),
    ("given up", "cancel", "<z/1 +z:cancelled ! -> timeout, running"),
    ("given up", "rerun", "the run is not settled yet; cancel it or wait"),
    ("given up", "noted", "+someone:note -> timeout, running"),
    ("given up", "synthesised", "no diagnosis is due"),
    ("own time-out", "started", "-> timeout, running"),
    ("own time-out", "started elsewhere", "-> timeout, running"),
    ("own time-out", "deferred", "-> timeout, running"),
    ("own time-out", "completed", "-> timeout, running"),
    ("own time-out", "failed", "-> timeout, running"),
    ("own time-out", "stumbled", "-> timeout, running"),
    ("own time-out", "rate limited", "-> timeout, running"),
    ("own time-out", "timed out", "-> timeout, running"),
    ("own time-out", "past deadline", "-> timeout, running"),
    ("own time-out", "woken", "-> timeout, running"),
    ("own time-out", "woken at retry", "-> timeout, running"),
    ("own time-out", "woken at time-out", "-> timeout, running"),
    ("own time-out", "woken at deadline", "<z/1 +z:timeout ! -> timeout, running"),
    ("own time-out", "cancel", "<z/1 +z:cancelled ! -> timeout, running"),
    ("own time-out", "rerun", "the run is not settled yet; cancel it or wait"),
    ("own time-out", "noted", "+someone:note -> timeout, running"),
    ("own time-out", "synthesised", "no diagnosis is due"),
    ("skipped", "started", "attempt 1 of service 'a' was never made"),
    ("skipped", "started elsewhere", "attempt 1 of service 'a' was never made"),
    ("skipped", "deferred", "attempt 1 of service 'a' was never made"),
    ("skipped", "completed", "attempt 1 of service 'a' was never made"),
    ("skipped", "failed", "attempt 1 of service 'a' was never made"),
    ("skipped", "stumbled", "attempt 1 of service 'a' was never made"),
    ("skipped", "rate limited", "attempt 1 of service 'a' was never made"),
    ("skipped", "timed out", "attempt 1 of service 'a' was never made"),
    ("skipped", "past deadline", "attempt 1 of service 'a' was never made"),
    ("skipped", "woken", "-> skipped, running"),
    ("skipped", "woken at retry", "-> skipped, running"),
    ("skipped", "woken at time-out", "-> skipped, running"),
    ("skipped", "woken at deadline", "<z/1 +z:timeout ! -> skipped, running"),
    ("skipped", "cancel", "<z/1 +z:cancelled ! -> skipped, running"),
    ("skipped", "rerun", "the run is not settled yet; cancel it or wait"),
    ("skipped", "noted", "+someone:note -> skipped, running"),
    ("skipped", "synthesised", "no diagnosis is due"),
];

static SETTLED: [Row; 85] = [
    ("completed", "started", "-> completed, completed"),
    ("completed", "started elsewhere", "-> completed, completed"),
    ("completed", "deferred", "-> completed, completed"),
    ("completed", "completed", "-> completed, completed"),
    ("completed", "failed", "-> completed, completed"),
    ("completed", "stumbled", "-> completed, completed"),
    ("completed", "rate limited", "-> completed, completed"),
    ("completed", "timed out", "-> completed, completed"),
    ("completed", "past deadline", "-> completed, completed"),
    ("completed", "woken", "-> completed, completed"),
    ("completed", "woken at retry", "-> completed, completed"),
    ("completed", "woken at time-out", "-> completed, completed"),
    ("completed", "woken at deadline", "-> completed, completed"),
    ("completed", "cancel", "the run is already settled as completed"),
    ("completed", "rerun", "all services completed; there is nothing to run again"),
    ("completed", "noted", "+someone:note -> completed, completed"),
    ("completed", "synthesised", "no diagnosis is due"),
    ("failed", "started", "-> failed, completed"),
    ("failed", "started elsewhere", "-> failed, completed"),
    ("failed", "deferred", "-> failed, completed"),
    ("failed", "completed", "-> failed, completed"),
    ("failed", "failed", "-> failed, completed"),
    ("failed", "stumbled", "-> failed, completed"),
    ("failed", "rate limited", "-> failed, completed"),
    ("failed", "timed out", "-> failed, completed"),
    ("failed", "past deadline", "-> failed, completed"),
    ("failed", "woken", "-> failed, completed"),
    ("failed", "woken at retry", "-> failed, completed"),
    ("failed", "woken at time-out", "-> failed, completed"),
    ("failed", "woken at deadline", "-> failed, completed"),
    ("failed", "cancel", "the run is already settled as completed"),
    ("failed", "rerun", "+hermes:run_status +hermes:wave >a/2 -> queued, started"),
    ("failed", "noted", "+someone:note -> failed, completed"),
    ("failed", "synthesised", "no diagnosis is due"),
    ("past deadline", "started", "-> timeout, timeout"),
    ("past deadline", "started elsewhere", "-> timeout, timeout"),
    ("past deadline", "deferred", "-> timeout, timeout"),
    ("past deadline", "completed", "+a:late_result -> timeout, timeout"),
    ("past deadline", "failed", "+a:late_result -> timeout, timeout"),
    ("past deadline", "stumbled", "+a:late_result -> timeout, timeout"),
    ("past deadline", "rate limited", "+a:late_result -> timeout, timeout"),
    ("past deadline", "timed out", "+a:late_result -> timeout, timeout"),
    ("past deadline", "past deadline", "+a:late_result -> timeout, timeout"),
    ("past deadline", "woken", "-> timeout, timeout"),
    ("past deadline", "woken at retry", "-> timeout, timeout"),
    ("past deadline", "woken at time-out", "-> timeout, timeout"),
    ("past deadline", "woken at deadline", "-> timeout, timeout"),
    ("past deadline", "cancel", "the run is already settled as timeout"),
    ("past deadline", "rerun", "+hermes:run_status +hermes:wave >a/2 -> queued, started"),
    ("past deadline", "noted", "+someone:note -> timeout, timeout"),
    ("past deadline", "synthesised", "no diagnosis is due"),
    ("skipped", "started", "attempt 1 of service 'a' was never made"),
    ("skipped", "started elsewhere", "attempt 1 of service 'a' was never made"),
    ("skipped", "deferred", "attempt 1 of service 'a' was never made"),
    ("skipped", "completed", "attempt 1 of service 'a' was never made"),
    ("skipped", "failed", "attempt 1 of service 'a' was never made"),
    ("skipped", "stumbled", "attempt 1 of service 'a' was never made"),
    ("skipped", "rate limited", "attempt 1 of service 'a' was never made"),
    ("skipped", "timed out", "attempt 1 of service 'a' was never made"),
    ("skipped", "past deadline", "attempt 1 of service 'a' was never made"),
    ("skipped", "woken", "-> skipped, failed"),
    ("skipped", "woken at retry", "-> skipped, failed"),
    ("skipped", "woken at time-out", "-> skipped, failed"),
    ("skipped", "woken at deadline", "-> skipped, failed"),
    ("skipped", "cancel", "the run is already settled as failed"),
    ("skipped", "rerun", "+hermes:run_status +hermes:wave >x/2 -> pending, started"),
    ("skipped", "noted", "+someone:note -> skipped, failed"),
    ("skipped", "synthesised", "no diagnosis is due"),
    ("cancelled", "started", "-> cancelled, cancelled"),
    ("cancelled", "started elsewhere", "-> cancelled, cancelled"),
    ("cancelled", "deferred", "-> cancelled, cancelled"),
    ("cancelled", "completed", "+a:late_result -> cancelled, cancelled"),
    ("cancelled", "failed", "+a:late_result -> cancelled, cancelled"),
    ("cancelled", "stumbled", "+a:late_result -> cancelled, cancelled"),
    ("cancelled", "rate limited", "+a:late_result -> cancelled, cancelled"),
    ("cancelled", "timed out", "+a:late_result -> cancelled, cancelled"),
    ("cancelled", "past deadline", "+a:late_result -> cancelled, cancelled"),
    ("cancelled", "woken", "-> cancelled, cancelled"),
    ("cancelled", "woken at retry", "-> cancelled, cancelled"),
    ("cancelled", "woken at time-out", "-> cancelled, cancelled"),
    ("cancelled", "woken at deadline", "-> cancelled, cancelled"),
    ("cancelled", "cancel", "the run is already settled as cancelled"),
    ("cancelled", "rerun", "+hermes:run_status +hermes:wave >a/2 -> queued, started"),
    ("cancelled", "noted", "+someone:note -> cancelled, cancelled"),
    ("cancelled", "synthesised", "no diagnosis is due"),
];

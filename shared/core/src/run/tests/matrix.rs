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
        Effect::Record(event) => {
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

static OPEN: [Row; 0] = [];
static SETTLED: [Row; 0] = [];

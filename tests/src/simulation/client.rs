//! Clients: they submit runs until they are told that one was accepted, and meddle with what they have submitted.

use std::sync::Arc;
use std::time::Duration;

use hermes_core::kbase::NotedEvent;
use hermes_core::ports::store::{Idempotency, Store as _};
use hermes_core::run::Event;
use hermes_core::{Json, RunId};
use hermes_dispatcher::engine::{Submission, Submitted};
use tokio::task::JoinHandle;

use super::world::World;

/// Clients of one simulation.
const CLIENTS: usize = 14;
/// A client that gets no answer tries again after this long, with the same key.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts all clients; they end when they have done what they wanted.
pub(super) fn start(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    (0..CLIENTS).map(|number| tokio::spawn(one(world.clone(), number))).collect()
}

async fn one(world: Arc<World>, number: usize) {
    pause(&world, 60_000).await;
    let key = format!("key-{number}");
    let run_id = if world.chance.once_in(4) {
        // The same request twice at once, as an impatient client sends it.
        let (first, second) = tokio::join!(submit(&world, number, &key), submit(&world, number, &key));
        if first != second {
            world.ledger.violation(format!("{key} was accepted as {first} and as {second}"));
        }
        first
    } else {
        submit(&world, number, &key).await
    };
    world.ledger.book().accepted.insert(key, run_id);
    world.step(&format!("client {number} has {run_id}"));
    meddle(&world, run_id).await;
}

async fn submit(world: &World, number: usize, key: &str) -> RunId {
    let submission = Submission {
        website_id: format!("site-{}", number % 3).parse().expect("valid"),
        domain: "example.com".parse().expect("valid"),
        plan: world.plans[number % world.plans.len()].clone(),
        idempotency: Some(Idempotency { key: key.to_owned(), request_hash: key.to_owned() }),
    };
    loop {
        if let Some(engine) = world.any_dispatcher() {
            match tokio::time::timeout(PATIENCE, engine.submit(submission.clone())).await {
                Ok(Ok(Submitted::Accepted(run))) => return run.id(),
                Ok(Ok(Submitted::Repeated(run_id))) => {
                    world.ledger.saw("submission repeated");
                    return run_id;
                }
                Ok(Ok(Submitted::KeyReused)) => world.ledger.violation(format!("{key} was taken for another request")),
                Ok(Err(_)) => world.ledger.saw("submission refused"),
                Err(_) => world.ledger.saw("submission without an answer"),
            }
        }
        pause(world, 1_000).await;
    }
}

/// Some runs are cancelled, some are tried again when they have settled, some get notes.
async fn meddle(world: &World, run_id: RunId) {
    match world.chance.below(8) {
        0 => {
            pause(world, 8_000).await;
            command(world, run_id, Event::CancelRequested, "cancelled").await;
        }
        1 | 2 => {
            while !is_settled(world, run_id).await {
                pause(world, 2_000).await;
            }
            command(world, run_id, Event::RerunRequested, "tried again").await;
        }
        3 => {
            let payload = Json::parse(r#"{"by": "a client"}"#).expect("valid");
            let noted = NotedEvent { service: "client".to_owned(), kind: "note".to_owned(), payload };
            command(world, run_id, Event::Noted(noted), "noted").await;
        }
        _ => {}
    }
}

async fn is_settled(world: &World, run_id: RunId) -> bool {
    let run = world.store.run(run_id).await.expect("the store in memory always answers");
    run.is_some_and(|run| run.status().is_settled())
}

async fn command(world: &World, run_id: RunId, event: Event, what: &'static str) {
    let Some(engine) = world.any_dispatcher() else { return };
    if let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, engine.command(run_id, event)).await {
        world.ledger.saw(what);
    }
}

async fn pause(world: &World, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(world.chance.between(1, most_ms))).await;
}

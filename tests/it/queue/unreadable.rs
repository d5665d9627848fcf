//! Reports that this build cannot read.

#![expect(clippy::unwrap_used, reason = "a test ends with the first failed step")]

use redis::Value;

use hermes_core::ports::queue::{JobQueue, WorkQueue};
use hermes_core::wire::{ErrorClass, Outcome};
use hermes_tests::conformance::queue::{QueueWorld, done, job, order, receive_one, take_report};

use super::world::RedisWorld;

/// What a worker of another build has sent as its final report.
async fn sent(world: &RedisWorld, number: u32, text: &str) -> String {
    let id = job(number).id.to_string();
    let entry = world.redis.command(&["XADD", &world.name("reports"), "*", "id", &id, "report", text]).await;
    let entry: String = redis::from_redis_value(entry).unwrap();
    world.redis.command(&["HSET", &world.name("reported"), &id, &entry]).await;
    entry
}

#[tokio::test]
async fn a_final_report_that_nobody_can_read_fails_its_attempt_for_good() {
    let world = RedisWorld::fresh().await;
    let dispatcher = world.queue("d").await;
    for text in ["", "[1", "{\"v\":1,\"outcome\":\"s3cret\"}", "\u{0}"] {
        sent(&world, 1, text).await;
        let taken = take_report(&dispatcher).await;
        assert_eq!(taken.report.job, job(1).id);
        let Outcome::Failed { error, retryable: false, .. } = taken.report.outcome else { panic!("{text}") };
        assert_eq!(error.class, ErrorClass::InvalidResult);
        assert!(!error.message.contains("s3cret"), "{}", error.message);
        assert!(dispatcher.missing(&[order(&job(1))]).await.unwrap().is_empty(), "known until it is acknowledged");
        dispatcher.acknowledge(&[taken.receipt]).await.unwrap();
        assert_eq!(world.redis.command(&["XLEN", &world.name("reports")]).await, Value::Int(0));
    }
}

#[tokio::test]
async fn an_unreadable_notice_and_a_forgery_fail_nothing() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    let (first, second) = (receive_one(&worker).await, receive_one(&worker).await);
    let reports = world.name("reports");
    // A notice is not noted as the final report of its job, and a forgery about a reported job is another entry.
    worker.report(&second.receipt, &done(&second.job.id, &worker)).await.unwrap();
    for number in [1, 2, 3] {
        let id = job(number).id.to_string();
        world.redis.command(&["XADD", &reports, "*", "id", &id, "report", "[1"]).await;
    }
    worker.report(&first.receipt, &done(&first.job.id, &worker)).await.unwrap();
    for expected in [2, 1] {
        let taken = take_report(&dispatcher).await;
        assert_eq!(taken.report.job, job(expected).id);
        assert!(matches!(taken.report.outcome, Outcome::Completed { .. }));
        dispatcher.acknowledge(&[taken.receipt]).await.unwrap();
    }
    assert_eq!(world.redis.command(&["XLEN", &reports]).await, Value::Int(0), "nothing unreadable is kept");
}

#[tokio::test]
async fn a_report_of_a_later_format_waits_for_a_newer_dispatcher_even_if_nothing_else_in_it_is_understood() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    let entry = sent(&world, 1, r#"{"v":2,"job":"told in another way"}"#).await;
    dispatcher.publish(&[job(2)]).await.unwrap();
    let delivery = receive_one(&worker).await;
    worker.report(&delivery.receipt, &done(&delivery.job.id, &worker)).await.unwrap();
    assert_eq!(take_report(&dispatcher).await.report.job, job(2).id);
    let left = world.redis.command(&["XRANGE", &world.name("reports"), &entry, &entry]).await;
    assert!(!matches!(left, Value::Array(entries) if entries.is_empty()), "it is still there");
    assert!(dispatcher.missing(&[order(&job(1))]).await.unwrap().is_empty(), "and its job is not started again");
}

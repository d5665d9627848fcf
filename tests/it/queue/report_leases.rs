//! Reports are lent to dispatchers for a moment only: a dead one delays nothing, a slow one keeps what it has.

use std::sync::Arc;
use std::time::Duration;

use hermes_adapters::redis::{RedisOptions, RedisQueue};
use hermes_core::ports::queue::{JobQueue, WorkQueue};
use hermes_tests::conformance::queue::{done, job, receive_one, soon, take_report};
use hermes_tests::harness::redis::Redis;

use super::world::RedisWorld;

/// Short, so that two of them pass; long beside what a busy machine may keep a renewal waiting.
const REPORT_LEASE: Duration = Duration::from_secs(5);

async fn dispatcher(world: &RedisWorld, identity: &str) -> RedisQueue {
    let mut options = RedisOptions::new(world.url.clone(), world.prefix.clone(), identity);
    options.report_lease = REPORT_LEASE;
    soon(RedisQueue::connect_with(&options)).await.expect("connected")
}

/// Milliseconds by the server's clock, a fifth of a second from now.
async fn server_ms_soon(redis: &Redis) -> u64 {
    redis.command(&["BLPOP", "a list that nobody fills", "0.2"]).await;
    let time: (u64, u64) = redis::from_redis_value(redis.command(&["TIME"]).await).expect("a time");
    time.0 * 1_000 + time.1 / 1_000
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_dispatcher_that_asks_for_more_keeps_its_reports_and_those_of_a_dead_one_go_to_another() {
    let world = RedisWorld::on(Redis::shared());
    let (slow, heir) = (Arc::new(dispatcher(&world, "slow").await), dispatcher(&world, "heir").await);
    let worker = world.queue("worker").await;
    slow.publish(&[job(1)]).await.unwrap();
    let delivery = receive_one(&worker).await;
    worker.report(&delivery.receipt, &done(&delivery.job.id, &worker)).await.unwrap();
    let taken = take_report(&*slow).await;

    let began = server_ms_soon(&world.redis).await;
    let waiting = tokio::spawn(async move { take_report(&heir).await });
    let asking = tokio::spawn({
        let slow = Arc::clone(&slow);
        async move { take_report(&*slow).await }
    });
    let two_leases_later = began + 2 * u64::try_from(REPORT_LEASE.as_millis()).expect("seconds");
    while server_ms_soon(&world.redis).await < two_leases_later {
        assert!(!waiting.is_finished() && !asking.is_finished(), "it is still being worked on");
    }
    asking.abort();
    assert!(asking.await.is_err_and(|error| error.is_cancelled()));
    drop(slow);
    assert_eq!(soon(waiting).await.expect("no panic").report, taken.report);
}

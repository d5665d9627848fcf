//! What bounds the memory of those who read, and the work of a server whose queue is long.

#![expect(clippy::unwrap_used, reason = "a test ends with the first failed step")]

use std::collections::BTreeMap;
use std::time::Duration;

use hermes_core::json::Json;
use hermes_core::limits::{
    DELIVERY_BYTES_MAX, DELIVERY_OVERSHOOT_MAX, RECONCILE_PAGE_RUNS, RESULT_BYTES_MAX, TRANSITION_RUNS_MAX,
};
use hermes_core::ports::queue::{DeliveredReport, Delivery, JobQueue, WorkQueue};
use hermes_core::wire::{Outcome, Report, WIRE_VERSION};
use hermes_tests::conformance::queue::{LEASE, QueueWorld, job, key, order, receive, soon};
use hermes_tests::harness::redis::Redis;

use super::world::RedisWorld;

/// As large as one result may be.
fn large() -> Json {
    Json::of(&"x".repeat(RESULT_BYTES_MAX - 2))
}

/// More than fit into two deliveries.
const MANY: u32 = 40;

/// Every delivery is bounded, and together they are all.
fn check_sizes(sizes: &[usize]) {
    let most = DELIVERY_BYTES_MAX / RESULT_BYTES_MAX + DELIVERY_OVERSHOOT_MAX;
    assert!(sizes.iter().all(|&size| size <= most), "{sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), MANY as usize);
    assert!(sizes.len() <= 4, "and no smaller than they need be: {sizes:?}");
}

#[tokio::test]
async fn reports_are_bounded_by_their_bytes_also_when_they_come_again() {
    let world = RedisWorld::on(Redis::start_own());
    let (dispatcher, heir, worker) = (world.queue("d").await, world.queue("heir").await, world.queue("w").await);
    for number in 0..MANY {
        let outcome = Outcome::Completed { duration_ms: 1, result: large() };
        let report = Report { v: WIRE_VERSION, job: job(number).id, worker: "w".to_owned(), outcome };
        worker.notify(&report).await.unwrap();
    }
    for reader in [&dispatcher, &heir] {
        let mut sizes = Vec::new();
        while sizes.iter().sum::<usize>() < MANY as usize {
            let taken: Vec<DeliveredReport> = soon(reader.reports(TRANSITION_RUNS_MAX)).await.unwrap();
            sizes.push(taken.len());
        }
        check_sizes(&sizes);
        // The first one is lost with all of them.
        world.pass(LEASE + Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn jobs_are_bounded_by_their_bytes() {
    let world = RedisWorld::on(Redis::start_own());
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    for number in 0..MANY {
        let mut job = job(number);
        job.upstream.insert("crawl".parse().unwrap(), large());
        dispatcher.publish(&[job]).await.unwrap();
    }
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < MANY as usize {
        let taken: Vec<Delivery> = receive(&worker, 100).await;
        sizes.push(taken.len());
    }
    check_sizes(&sizes);
}

/// How often the server has executed each command since [`forget_calls`].
async fn calls(redis: &Redis) -> BTreeMap<String, u64> {
    let info: String = redis::from_redis_value(redis.command(&["INFO", "commandstats"]).await).unwrap();
    let line = |line: &str| {
        let (name, counts) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), counts.split(',').next()?.parse().ok()?))
    };
    // What connections begin with, and the questions of the test itself.
    let own = ["info", "config|resetstat", "config|get", "client|setinfo", "hello", "ping", "select"];
    info.lines().filter_map(line).filter(|(name, _)| !own.contains(&&**name)).collect()
}

#[tokio::test]
async fn small_jobs_that_wait_are_taken_in_two_reads_however_many_are_asked_for() {
    let world = RedisWorld::on(Redis::start_own());
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    let jobs: Vec<_> = (0..256).map(job).collect();
    // The group is there, and the worker's connection.
    dispatcher.publish(&jobs[..1]).await.unwrap();
    assert_eq!(receive(&worker, 1).await.len(), 1);
    dispatcher.publish(&jobs[1..]).await.unwrap();
    world.redis.command(&["CONFIG", "RESETSTAT"]).await;
    assert_eq!(receive(&worker, 255).await.len(), 255);
    let calls = calls(&world.redis).await;
    assert!((2..=3).contains(&calls["xreadgroup"]), "a few, all others, and at most one that waits: {calls:?}");
}

/// Waiting jobs beside those of the page; `WAITING_JOBS=1000000` makes it a million.
fn waiting_jobs() -> u64 {
    std::env::var("WAITING_JOBS").map_or(200_000, |text| text.parse().expect("WAITING_JOBS is a number"))
}

#[tokio::test]
async fn comparing_a_page_costs_the_same_however_long_the_queue_is_and_finds_nothing_missing() {
    let world = RedisWorld::on(Redis::start_own());
    let dispatcher = world.queue("d").await;
    let page: Vec<_> = (0..u32::try_from(RECONCILE_PAGE_RUNS).unwrap()).map(job).collect();
    let orders: Vec<_> = page.iter().map(order).collect();
    dispatcher.publish(&page).await.unwrap();
    // The server has to be told the script once.
    dispatcher.missing(&orders).await.unwrap();
    let mut costs = Vec::new();
    for waiting in [0, waiting_jobs()] {
        // As `publish` leaves them, but all at once.
        let fill = r"for i = 1, tonumber(ARGV[1]) do
            local entry = redis.call('XADD', KEYS[1], '*', 'id', 'many/' .. i, 'job', ARGV[2])
            redis.call('HSET', KEYS[2], 'many/' .. i, entry)
        end";
        let text = serde_json::to_string(&job(0)).unwrap();
        let (stream, index) = (world.name("jobs:shop"), world.name("index:shop"));
        world.redis.command(&["EVAL", fill, "2", &stream, &index, &waiting.to_string(), &text]).await;
        world.redis.command(&["CONFIG", "RESETSTAT"]).await;
        assert!(dispatcher.missing(&orders).await.unwrap().is_empty());
        costs.push(calls(&world.redis).await);
    }
    assert_eq!(costs[0], costs[1], "the same commands, as often");
    assert_eq!(costs[0]["hget"], orders.len() as u64);
    assert!(!costs[0].contains_key("xrange"), "no job is read: {costs:?}");
    let depth = &dispatcher.depths(&[key()]).await.unwrap()[0];
    assert_eq!(depth.waiting, waiting_jobs() + page.len() as u64);
    // One of them is lost: it is found among all the others.
    let index = world.name("index:shop");
    world.redis.command(&["HDEL", &index, &page[7].id.to_string()]).await;
    assert_eq!(dispatcher.missing(&orders).await.unwrap(), [page[7].id.clone()]);
}

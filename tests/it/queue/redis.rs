//! The queue over one Redis server, and what only it can go through.

use redis::Value;

use hermes_core::ids::WorkerKey;
use hermes_core::ports::queue::{JobQueue, QueueError, WorkQueue};
use hermes_core::wire::{ErrorClass, Outcome};
use hermes_tests::conformance::queue::{
    QueueWorld, done, ids, job, key, order, receive, receive_one, soon, take_report,
};
use hermes_tests::harness::redis::Redis;

use super::world::{RedisWorld, a_job_goes_through, publish_in_the_end};

hermes_tests::queue_conformance!(RedisWorld);

#[tokio::test]
async fn both_sides_go_on_after_a_flush() {
    let world = RedisWorld::on(Redis::start_own());
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    a_job_goes_through(&dispatcher, &worker, 1).await;
    for command in ["FLUSHALL", "FLUSHDB"] {
        let key = key();
        let (jobs, ()) = soon(async {
            tokio::join!(worker.receive(&key, 1), async {
                world.redis.command(&[command]).await;
                dispatcher.publish(&[job(2)]).await.unwrap();
            })
        })
        .await;
        let jobs = jobs.unwrap();
        world.redis.command(&[command]).await;
        worker.report(&jobs[0].receipt, &done(&jobs[0].job.id, &worker)).await.unwrap();
        let report = take_report(&dispatcher).await;
        dispatcher.acknowledge(&[report.receipt]).await.unwrap();
    }
    world.redis.command(&["SCRIPT", "FLUSH"]).await;
    a_job_goes_through(&dispatcher, &worker, 3).await;
}

#[tokio::test]
async fn both_sides_go_on_after_the_server_was_killed() {
    let world = RedisWorld::on(Redis::start_own());
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    a_job_goes_through(&dispatcher, &worker, 1).await;
    for number in 2..5 {
        let key = key();
        let (jobs, reports, ()) = soon(async {
            tokio::join!(
                worker.receive(&key, 1),
                async {
                    let taken = dispatcher.reports(1).await.unwrap();
                    dispatcher.acknowledge(&[taken[0].receipt.clone()]).await.unwrap();
                    taken
                },
                async {
                    world.redis.kill();
                    let refused = dispatcher.publish(&[job(number)]).await;
                    assert!(matches!(refused, Err(QueueError::Unavailable(_))), "{refused:?}");
                    assert!(dispatcher.ping().await.is_err());
                    world.redis.restart();
                    publish_in_the_end(&dispatcher, number).await;
                    let report = done(&job(100 + number).id, &worker);
                    while worker.notify(&report).await.is_err() {
                        tokio::task::yield_now().await;
                    }
                }
            )
        })
        .await;
        assert_eq!(ids(&jobs.unwrap()), [job(number).id]);
        assert_eq!(reports[0].report.job, job(100 + number).id);
        dispatcher.ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_leased_job_survives_a_restart_of_a_server_that_keeps_its_data() {
    let redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let world = RedisWorld::on(redis);
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    let delivery = receive_one(&worker).await;
    world.redis.kill();
    world.redis.restart();
    // The holder is not given its own job again.
    assert_eq!(receive_one(&worker).await.job.id, job(2).id);
    worker.report(&delivery.receipt, &done(&delivery.job.id, &worker)).await.unwrap();
    assert_eq!(take_report(&dispatcher).await.report.job, job(1).id);
}

#[tokio::test]
async fn a_waiting_worker_survives_the_loss_of_its_stream_and_of_its_group() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    let stream = world.name("jobs:shop");
    a_job_goes_through(&dispatcher, &worker, 1).await;
    for (number, command) in [(2, vec!["DEL", &*stream]), (3, vec!["XGROUP", "DESTROY", &*stream, "workers"])] {
        let key = key();
        let (jobs, ()) = soon(async {
            tokio::join!(worker.receive(&key, 1), async {
                world.redis.command(&command).await;
                dispatcher.publish(&[job(number)]).await.unwrap();
            })
        })
        .await;
        let jobs = jobs.unwrap();
        assert_eq!(ids(&jobs), [job(number).id]);
        worker.report(&jobs[0].receipt, &done(&jobs[0].job.id, &worker)).await.unwrap();
        dispatcher.acknowledge(&[take_report(&dispatcher).await.receipt]).await.unwrap();
    }
}

#[tokio::test]
async fn the_loss_of_any_single_key_is_seen_and_repaired() {
    for lost in ["jobs:shop", "index:shop"] {
        let world = RedisWorld::fresh().await;
        let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
        dispatcher.publish(&[job(1)]).await.unwrap();
        world.redis.command(&["DEL", &world.name(lost)]).await;
        assert_eq!(dispatcher.missing(&[order(&job(1))]).await.unwrap(), [job(1).id], "{lost}");
        dispatcher.publish(&[job(1)]).await.unwrap();
        assert!(dispatcher.missing(&[order(&job(1))]).await.unwrap().is_empty(), "{lost}");
        assert_eq!(receive_one(&worker).await.job.id, job(1).id, "{lost}");
    }
    for lost in ["reports", "reported"] {
        let world = RedisWorld::fresh().await;
        let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
        dispatcher.publish(&[job(1)]).await.unwrap();
        let delivery = receive_one(&worker).await;
        worker.report(&delivery.receipt, &done(&delivery.job.id, &worker)).await.unwrap();
        world.redis.command(&["DEL", &world.name(lost)]).await;
        assert_eq!(dispatcher.missing(&[order(&job(1))]).await.unwrap(), [job(1).id], "{lost}");
    }
}

#[tokio::test]
async fn one_answer_ends_a_job_that_was_published_anew_after_a_loss() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let delivery = receive_one(&worker).await;
    world.redis.command(&["DEL", &world.name("index:shop")]).await;
    dispatcher.publish(&[job(1)]).await.unwrap();
    worker.report(&delivery.receipt, &done(&delivery.job.id, &worker)).await.unwrap();
    let depth = &dispatcher.depths(&[key()]).await.unwrap()[0];
    assert_eq!((depth.waiting, depth.leased), (0, 0));
}

#[tokio::test]
async fn an_index_that_points_to_nothing_is_not_believed() {
    for forged in ["1-1", "nonsense", "", "r:7"] {
        let world = RedisWorld::fresh().await;
        let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
        world.redis.command(&["HSET", &world.name("index:shop"), &job(1).id.to_string(), forged]).await;
        world.redis.command(&["HSET", &world.name("reported"), &job(1).id.to_string(), forged]).await;
        assert_eq!(dispatcher.missing(&[order(&job(1))]).await.unwrap(), [job(1).id], "{forged}");
        a_job_goes_through(&dispatcher, &worker, 1).await;
    }
}

#[tokio::test]
async fn entries_that_nobody_can_read_are_skipped() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    let (jobs, reports) = (world.name("jobs:shop"), world.name("reports"));
    world.redis.command(&["XADD", &jobs, "*", "x", "y"]).await;
    world.redis.command(&["XADD", &jobs, "*", "id", "no job id", "job", "{}"]).await;
    world.redis.command(&["XADD", &reports, "*", "x", "y"]).await;
    world.redis.command(&["XADD", &reports, "*", "id", &job(7).id.to_string(), "report", "[1"]).await;
    let mut connection = world.redis.connection().await;
    let odd: [&[u8]; 5] = [jobs.as_bytes(), b"*", b"\xff\xfe", b"\x00\xff", b""];
    redis::cmd("XADD").arg(&odd[..4]).query_async::<String>(&mut connection).await.unwrap();
    a_job_goes_through(&dispatcher, &worker, 1).await;
    let depth = &dispatcher.depths(&[key()]).await.unwrap()[0];
    assert_eq!((depth.waiting, depth.leased), (0, 0), "they are gone");
}

#[tokio::test]
async fn a_job_that_cannot_be_read_fails_its_attempt() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    let (mut newer, mut elsewhere) = (job(2), job(4));
    newer.v = 99;
    elsewhere.worker_key = "blog".parse().unwrap();
    let written = |job| serde_json::to_string(job).unwrap();
    let texts = ["{".to_owned(), written(&newer), written(&job(9)), written(&elsewhere)];
    for (number, text) in (1..).zip(&texts) {
        let id = job(number).id.to_string();
        world.redis.command(&["XADD", &world.name("jobs:shop"), "*", "id", &id, "job", text]).await;
    }
    dispatcher.publish(&[job(5)]).await.unwrap();
    assert_eq!(receive_one(&worker).await.job.id, job(5).id);
    for (number, may_retry) in [(1, false), (2, true), (3, false), (4, false)] {
        let report = take_report(&dispatcher).await.report;
        assert_eq!(report.job, job(number).id);
        let Outcome::Failed { error, retryable, .. } = report.outcome else { panic!("{report:?}") };
        assert_eq!((error.class, retryable), (ErrorClass::InvalidInput, may_retry), "{}", error.message);
    }
}

#[tokio::test]
async fn what_was_lost_on_the_way_comes_again_at_once_and_counts_no_death() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    let (jobs, reports) = (world.name("jobs:shop"), world.name("reports"));
    a_job_goes_through(&dispatcher, &worker, 1).await;
    dispatcher.publish(&[job(2), job(3)]).await.unwrap();
    // The server has delivered them, but the connection broke before they arrived.
    let lost = ["XREADGROUP", "GROUP", "workers", "w", "COUNT", "1", "STREAMS", &jobs, ">"];
    world.redis.command(&lost).await;
    let first = receive_one(&worker).await;
    let other = receive_one(&worker).await;
    let mut seen = ids(&[first.clone(), other.clone()]);
    seen.sort();
    assert_eq!(seen, [job(2).id, job(3).id]);
    assert_eq!((first.deaths, other.deaths), (0, 0));
    worker.report(&first.receipt, &done(&first.job.id, &worker)).await.unwrap();
    let lost = ["XREADGROUP", "GROUP", "dispatchers", "d", "COUNT", "1", "STREAMS", &reports, ">"];
    world.redis.command(&lost).await;
    assert_eq!(take_report(&dispatcher).await.report.job, first.job.id);
}

#[tokio::test]
async fn both_sides_go_on_after_their_connections_were_cut() {
    let world = RedisWorld::on(Redis::start_own());
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    let key = key();
    for number in 1..4 {
        let (jobs, ()) = soon(async {
            tokio::join!(worker.receive(&key, 1), async {
                world.redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
                // One call may meet the broken connection; it is repeated without the caller's help.
                dispatcher.publish(&[job(number)]).await.unwrap();
            })
        })
        .await;
        let jobs = jobs.unwrap();
        assert_eq!((jobs[0].job.id.clone(), jobs[0].deaths), (job(number).id, 0));
        world.redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        worker.report(&jobs[0].receipt, &done(&jobs[0].job.id, &worker)).await.unwrap();
        assert_eq!(take_report(&dispatcher).await.report.job, job(number).id);
    }
}

#[tokio::test]
async fn a_key_of_another_kind_is_waited_out() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    let stream = world.name("jobs:shop");
    world.redis.command(&["SET", &stream, "not a stream"]).await;
    assert!(dispatcher.publish(&[job(1)]).await.is_err());
    assert_eq!(dispatcher.missing(&[order(&job(1))]).await.unwrap(), [job(1).id]);
    let key = key();
    let (jobs, ()) = soon(async {
        tokio::join!(worker.receive(&key, 1), async {
            tokio::task::yield_now().await;
            world.redis.command(&["DEL", &stream]).await;
            dispatcher.publish(&[job(1)]).await.unwrap();
        })
    })
    .await;
    assert_eq!(ids(&jobs.unwrap()), [job(1).id]);
}

#[tokio::test]
async fn a_full_server_says_so_and_recovers() {
    let world = RedisWorld::on(Redis::start_own());
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    let delivery = receive_one(&worker).await;
    world.redis.command(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    let full = dispatcher.publish(&[job(3)]).await;
    assert!(matches!(full, Err(QueueError::Full(_))), "{full:?}");
    let report = done(&delivery.job.id, &worker);
    let full = worker.report(&delivery.receipt, &report).await;
    assert!(matches!(full, Err(QueueError::Full(_))), "{full:?}");
    // What is there can still be taken.
    assert_eq!(receive_one(&worker).await.job.id, job(2).id);
    world.redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    worker.report(&delivery.receipt, &report).await.unwrap();
    assert_eq!(take_report(&dispatcher).await.report, report);
    a_job_goes_through(&dispatcher, &worker, 3).await;
}

#[tokio::test]
async fn a_job_says_how_long_it_waited_also_after_it_was_handed_back() {
    let world = RedisWorld::fresh().await;
    let worker = world.queue("w").await;
    // As if it had been published at the beginning of time.
    let (id, text) = (job(1).id.to_string(), serde_json::to_string(&job(1)).unwrap());
    world.redis.command(&["XADD", &world.name("jobs:shop"), "1000-0", "id", &id, "job", &text]).await;
    let delivery = receive_one(&worker).await;
    assert!(delivery.waited_ms > 1_000_000, "{}", delivery.waited_ms);
    worker.release(&[delivery]).await.unwrap();
    let delivery = receive_one(&worker).await;
    assert!(delivery.waited_ms > 1_000_000, "{}", delivery.waited_ms);
    worker.release(&[delivery]).await.unwrap();
    assert!(receive_one(&worker).await.waited_ms > 1_000_000);
}

#[tokio::test]
async fn nothing_is_left_behind_when_all_is_done() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    for number in 0..5 {
        a_job_goes_through(&dispatcher, &worker, number).await;
    }
    for stream in ["jobs:shop", "reports"] {
        assert_eq!(world.redis.command(&["XLEN", &world.name(stream)]).await, Value::Int(0), "{stream}");
    }
    for (stream, group) in [("jobs:shop", "workers"), ("reports", "dispatchers")] {
        let pending = world.redis.command(&["XPENDING", &world.name(stream), group, "-", "+", "10"]).await;
        assert_eq!(pending, Value::Array(Vec::new()), "{stream}");
    }
    for gone in ["index:shop", "reported", "revoked"] {
        assert_eq!(world.redis.command(&["EXISTS", &world.name(gone)]).await, Value::Int(0), "{gone}");
    }
    dispatcher.publish(&[job(5)]).await.unwrap();
    dispatcher.revoke(&[order(&job(5))]).await.unwrap();
    assert_eq!(world.redis.command(&["EXISTS", &world.name("index:shop")]).await, Value::Int(0));
    assert_eq!(world.redis.command(&["ZCARD", &world.name("revoked")]).await, Value::Int(1));
    for name in world.keys().await {
        assert!(name.starts_with(&format!("{{{}}}:", world.prefix)), "{name}");
    }
}

#[tokio::test]
async fn consumers_that_were_forgotten_long_ago_are_removed() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, old) = (world.queue("d").await, world.queue("old").await);
    a_job_goes_through(&dispatcher, &old, 1).await;
    drop(old);
    let mut connection = world.redis.connection().await;
    let (stream, script) = (world.name("jobs:shop"), include_str!("../../../shared/adapters/src/redis/lua/tidy.lua"));
    let tidy = redis::Script::new(script);
    let mut run = tidy.prepare_invoke();
    // Everyone has been idle for more than minus one millisecond.
    run.key(&stream).arg("workers").arg(-1);
    run.invoke_async::<()>(&mut connection).await.unwrap();
    let consumers = world.redis.command(&["XINFO", "CONSUMERS", &stream, "workers"]).await;
    assert_eq!(consumers, Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_closed_queue_ends_those_who_wait_and_keeps_no_job() {
    let world = RedisWorld::fresh().await;
    let (dispatcher, leaving, heir) = (world.queue("d").await, world.queue("w1").await, world.queue("w2").await);
    let key: WorkerKey = key();
    let (jobs, reports, ()) =
        soon(async { tokio::join!(leaving.receive(&key, 1), leaving.reports(1), leaving.close()) }).await;
    assert!(matches!(jobs, Err(QueueError::Closed)));
    assert!(matches!(reports, Err(QueueError::Closed)));
    dispatcher.publish(&[job(1)]).await.unwrap();
    assert_eq!(ids(&receive(&heir, 1).await), [job(1).id]);
    assert!(matches!(leaving.receive(&key, 1).await, Err(QueueError::Closed)));
    dispatcher.ping().await.unwrap();
}

//! Starting: without a server, and with a wrong one.

use hermes_adapters::redis::{ConnectError, RedisQueue};
use hermes_core::ports::queue::{JobQueue, QueueError, WorkQueue};
use hermes_tests::conformance::queue::{done, ids, job, key, receive_one, soon};
use hermes_tests::harness::redis::Redis;

use super::world::{RedisWorld, a_job_goes_through, publish_in_the_end};

#[tokio::test]
async fn a_queue_starts_without_its_server_and_uses_it_when_it_comes() {
    let world = RedisWorld::on(Redis::start_own());
    world.redis.kill();
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    let refused = dispatcher.publish(&[job(1)]).await;
    assert!(matches!(refused, Err(QueueError::Unavailable(_))), "{refused:?}");
    let key = key();
    let (jobs, reports, ()) = soon(async {
        tokio::join!(worker.receive(&key, 1), dispatcher.reports(1), async {
            world.redis.restart();
            publish_in_the_end(&dispatcher, 1).await;
            while worker.notify(&done(&job(2).id, &worker)).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
    })
    .await;
    assert_eq!(ids(&jobs.unwrap()), [job(1).id]);
    assert_eq!(reports.unwrap()[0].report.job, job(2).id);
}

#[tokio::test]
async fn a_server_that_began_to_evict_is_not_used_until_it_stops() {
    let world = RedisWorld::on(Redis::start_own());
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    a_job_goes_through(&dispatcher, &worker, 1).await;
    // As after a failover to a server that nobody has configured: each new connection is checked.
    world.redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    world.redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    let refused = dispatcher.publish(&[job(2)]).await;
    assert!(matches!(&refused, Err(QueueError::Unavailable(why)) if why.contains("allkeys-lru")), "{refused:?}");
    world.redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    publish_in_the_end(&dispatcher, 2).await;
    assert_eq!(receive_one(&worker).await.job.id, job(2).id);
}

#[tokio::test]
async fn a_server_without_tls_is_no_server_when_tls_is_asked_for() {
    let redis = Redis::shared();
    let url = format!("rediss://127.0.0.1:{}/", redis.port());
    let queue = RedisQueue::connect(&url, "hermes", "d").await.unwrap();
    assert!(matches!(queue.ping().await, Err(QueueError::Unavailable(_))));
}

#[tokio::test]
async fn no_error_quotes_the_password() {
    let port = Redis::shared().port();
    for url in [
        "redis://u:s3cret@[bad".to_owned(),
        "nonsense:s3cret@x".to_owned(),
        format!("redis://u:s3cret@127.0.0.1:{port}/"),
        format!("redis+cluster://u:s3cret@127.0.0.1:{port}/"),
        format!("redis+sentinel://u:s3cret@127.0.0.1:{port}/main?sentinel_password=s3cret"),
    ] {
        let error = RedisQueue::connect(&url, "hermes", "d").await.err().unwrap();
        assert!(!error.may_pass() && !format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
    for url in ["redis://u:s3cret@127.0.0.1:1/0", "redis+sentinel://u:s3cret@127.0.0.1:1/main"] {
        let queue = RedisQueue::connect(url, "hermes", "d").await.unwrap();
        let error = queue.ping().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_prefix_that_would_break_the_slot_is_refused() {
    let refused = RedisQueue::connect(&Redis::shared().url(), "a}b", "d").await;
    assert!(matches!(refused.err(), Some(ConnectError::InvalidPrefix(_))));
}

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    let redis = Redis::start_own();
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let refused = RedisQueue::connect(&redis.url(), "hermes", "d").await;
    assert!(matches!(refused.err(), Some(ConnectError::Evicting { policy }) if policy == "allkeys-lru"));
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    assert!(RedisQueue::connect(&redis.url(), "hermes", "d").await.is_ok());
}

#[tokio::test]
async fn a_server_that_hides_its_policy_is_taken_at_its_word() {
    let redis = Redis::start_own();
    let rights = ["ACL", "SETUSER", "hermes", "on", ">s3cret", "~*", "+@all", "-config"];
    redis.command(&rights).await;
    let url = format!("redis://hermes:s3cret@127.0.0.1:{}/", redis.port());
    let queue = RedisQueue::connect(&url, "hermes", "d").await.unwrap();
    queue.ping().await.unwrap();
    let wrong = RedisQueue::connect(&url.replace("s3cret", "wr0ng"), "hermes", "d").await.err().unwrap();
    assert!(matches!(wrong, ConnectError::Refused(_)) && !wrong.to_string().contains("wr0ng"), "{wrong}");
}

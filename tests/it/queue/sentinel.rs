//! The queue behind sentinels: it follows them to the new primary, and what the failover lost is published again.

use hermes_adapters::redis::{ConnectError, RedisQueue};
use hermes_core::ports::queue::{JobQueue, WorkQueue};
use hermes_tests::conformance::queue::{done, ids, job, key, receive_one, soon, take_report};
use hermes_tests::harness::sentinel::Watched;

use super::world::{RedisWorld, a_job_goes_through, report_in_the_end, republish};

fn world(watched: &Watched, url: String) -> RedisWorld {
    RedisWorld { url, ..RedisWorld::on(watched.replica.clone()) }
}

#[tokio::test]
async fn a_failover_that_lost_the_last_jobs_loses_none_of_them() {
    let watched = Watched::start().await;
    let world = world(&watched, watched.url());
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    a_job_goes_through(&dispatcher, &worker, 1).await;
    // One is in work, one waits; the replica knows both.
    dispatcher.publish(&[job(2), job(3)]).await.unwrap();
    let in_work = receive_one(&worker).await;
    watched.synced().await;
    watched.cut_replication().await;
    // Of this second the replica knows nothing: one job more, and one report.
    dispatcher.publish(&[job(4)]).await.unwrap();
    let third = receive_one(&worker).await;
    worker.report(&third.receipt, &done(&third.job.id, &worker)).await.unwrap();

    let key = key();
    let (jobs, ()) = soon(async {
        tokio::join!(worker.receive(&key, 1), async {
            watched.primary.kill();
            watched.failed_over().await;
            report_in_the_end(&worker, &in_work).await;
            assert_eq!(republish(&dispatcher, &[2, 3, 4]).await, [job(4).id], "only what the replica never had");
        })
    })
    .await;
    let mut seen = ids(&jobs.unwrap());
    // The job whose report was lost is executed again, as the same attempt, and so is the one published again.
    while seen.iter().collect::<std::collections::BTreeSet<_>>().len() < 2 {
        let delivery = receive_one(&worker).await;
        assert_eq!(delivery.deaths, 0, "nobody died");
        seen.push(delivery.job.id.clone());
        report_in_the_end(&worker, &delivery).await;
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, [job(3).id, job(4).id]);
    assert_eq!(take_report(&dispatcher).await.report.job, job(2).id);
}

#[tokio::test]
async fn sentinels_that_are_dead_or_mistaken_and_servers_that_are_no_sentinels_are_told_apart() {
    let watched = Watched::start().await;
    let mistaken = watched.mistaken_sentinel();
    let dead_port = 1;
    let mut ports = vec![dead_port, mistaken.port()];
    ports.extend(watched.ports());
    let world = world(&watched, watched.url_with(&ports));
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    a_job_goes_through(&dispatcher, &worker, 1).await;

    let refused = async |url: String| RedisQueue::connect(&url, "hermes", "d").await.err();
    let no_sentinel = refused(watched.url_with(&[watched.primary.port()])).await;
    assert!(matches!(no_sentinel, Some(ConnectError::WrongKind(_))), "{no_sentinel:?}");
    let unknown = refused(watched.url().replace("/main/", "/other/")).await;
    assert!(matches!(&unknown, Some(ConnectError::WrongKind(why)) if why.contains("'other'")), "{unknown:?}");
    let replica = refused(watched.replica.url()).await;
    assert!(matches!(replica, Some(ConnectError::Replica)), "{replica:?}");
    // The mistaken one alone: a failover may be under way, and so the queue starts and waits.
    let queue = RedisQueue::connect(&watched.url_with(&[mistaken.port()]), "hermes", "d").await.unwrap();
    assert!(queue.ping().await.is_err());
}

//! Publishing and receiving.

#![expect(
    missing_docs,
    clippy::unwrap_used,
    reason = "each case is named by its sentence, and ends with the first failed step"
)]

use futures::FutureExt as _;

use hermes_core::json::Json;
use hermes_core::ports::queue::QueueDepth;

use super::{QueueWorld, done, ids, job, key, order, receive, receive_one, soon};

pub async fn a_job_published_twice_is_delivered_once<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    dispatcher.publish(&[job(1), job(1)]).await.unwrap();
    dispatcher.publish(&[job(1)]).await.unwrap();
    let first = receive_one(&*worker).await;
    assert_eq!((first.job, first.deaths), (job(1), 0));
    // Leased: still known.
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    assert_eq!(ids(&receive(&*worker, 10).await), [job(2).id]);
}

pub async fn two_workers_never_have_the_same_job<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, one, two) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    let jobs: Vec<_> = (0..40).map(job).collect();
    dispatcher.publish(&jobs).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < jobs.len() {
        let key = key();
        let taken = soon(async {
            tokio::select! {
                taken = one.receive(&key, 3) => taken,
                taken = two.receive(&key, 2) => taken,
            }
        });
        seen.extend(ids(&taken.await.unwrap()));
    }
    seen.sort();
    assert_eq!(seen, jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>());
}

pub async fn a_waiting_worker_is_woken_by_a_publication<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    let (key, jobs) = (key(), [job(1)]);
    let (taken, published) = soon(async { tokio::join!(worker.receive(&key, 1), dispatcher.publish(&jobs)) }).await;
    published.unwrap();
    assert_eq!(ids(&taken.unwrap()), [job(1).id]);
}

pub async fn a_receive_takes_at_most_what_it_asked_for<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    dispatcher.publish(&[job(1), job(2), job(3), job(4), job(5)]).await.unwrap();
    assert_eq!(receive(&*worker, 2).await.len(), 2);
    let depth = &dispatcher.depths(&[key()]).await.unwrap()[0];
    assert_eq!((depth.waiting, depth.leased), (3, 2), "nothing is hoarded");
    assert_eq!(receive(&*worker, 10).await.len(), 3);
    assert!(worker.receive(&key(), 0).await.unwrap().is_empty());
}

pub async fn jobs_arrive_in_the_order_of_their_publication<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    let order = [7, 3, 9, 1, 8];
    dispatcher.publish(&order[..3].iter().map(|&n| job(n)).collect::<Vec<_>>()).await.unwrap();
    dispatcher.publish(&order[3..].iter().map(|&n| job(n)).collect::<Vec<_>>()).await.unwrap();
    for number in order {
        assert_eq!(receive_one(&*worker).await.job.id, job(number).id);
    }
}

pub async fn a_worker_gets_only_jobs_of_its_key<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    let mut other = job(1);
    other.worker_key = "blog".parse().unwrap();
    dispatcher.publish(&[other.clone(), job(2)]).await.unwrap();
    assert_eq!(ids(&receive(&*worker, 10).await), [job(2).id]);
    let taken = soon(worker.receive(&other.worker_key, 10)).await.unwrap();
    assert_eq!(ids(&taken), [other.id]);
}

pub async fn a_large_job_arrives_whole<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    let mut large = job(1);
    let text = "\u{0}\"ä\\".repeat(150_000);
    large.upstream.insert("crawl".parse().unwrap(), Json::of(&text));
    dispatcher.publish(std::slice::from_ref(&large)).await.unwrap();
    let delivery = receive_one(&*worker).await;
    assert!(delivery.job == large, "the job is as it was published");
    worker.report(&delivery.receipt, &done(&large.id, &*worker)).await.unwrap();
}

pub async fn a_dropped_receive_loses_nothing<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    let key = key();
    for number in 0..10 {
        assert!(worker.receive(&key, 4).now_or_never().is_none(), "there is nothing yet");
        dispatcher.publish(&[job(number)]).await.unwrap();
        // Asked and gone again at once, whatever has arrived by now.
        let early = worker.receive(&key, 4).now_or_never();
        let taken = match early {
            Some(taken) => taken.unwrap(),
            None => receive(&*worker, 4).await,
        };
        assert_eq!(ids(&taken), [job(number).id]);
        assert_eq!(taken[0].deaths, 0);
    }
}

pub async fn a_job_after_a_dropped_receive_goes_to_whoever_asks<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, one, two) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    assert!(one.receive(&key(), 4).now_or_never().is_none());
    // The first worker is busy now, perhaps for long.
    dispatcher.publish(&[job(1)]).await.unwrap();
    let delivery = receive_one(&*two).await;
    assert_eq!((delivery.job.id, delivery.deaths), (job(1).id, 0));
}

pub async fn depths_count_what_waits_and_what_is_leased<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    let unused: hermes_core::ids::WorkerKey = "unused".parse().unwrap();
    dispatcher.publish(&[job(1), job(2), job(3), job(4)]).await.unwrap();
    let leased = receive(&*worker, 2).await;
    let counts = |waiting, leased| {
        vec![
            QueueDepth { worker_key: unused.clone(), waiting: 0, leased: 0 },
            QueueDepth { worker_key: key(), waiting, leased },
        ]
    };
    let keys = [unused.clone(), key()];
    assert_eq!(dispatcher.depths(&keys).await.unwrap(), counts(2, 2));
    worker.report(&leased[0].receipt, &done(&leased[0].job.id, &*worker)).await.unwrap();
    dispatcher.revoke(&[order(&leased[1].job), order(&job(4))]).await.unwrap();
    assert_eq!(dispatcher.depths(&keys).await.unwrap(), counts(1, 0));
}

pub async fn a_queue_that_works_answers_a_ping<W: QueueWorld>() {
    let world = W::fresh().await;
    world.dispatcher().await.ping().await.unwrap();
}

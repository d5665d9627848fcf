//! The queue may lose everything; the reconciler must be able to see it and to repair it.

#![expect(
    missing_docs,
    clippy::unwrap_used,
    reason = "each case is named by its sentence, and ends with the first failed step"
)]

use hermes_core::ports::queue::Lease;

use super::{QueueWorld, done, ids, job, key, order, receive, receive_one, soon, take_report};

pub async fn missing_names_exactly_the_unknown_jobs<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    let mut elsewhere = job(4);
    elsewhere.worker_key = "blog".parse().unwrap();
    dispatcher.publish(&[job(1), job(2), job(3), elsewhere.clone()]).await.unwrap();
    let leased = receive(&*worker, 2).await;
    worker.report(&leased[0].receipt, &done(&leased[0].job.id, &*worker)).await.unwrap();
    let mut later_attempt = job(3);
    later_attempt.id.attempt = 2;
    let asked = [&job(5), &job(1), &elsewhere, &job(2), &later_attempt, &job(3)].map(order);
    let mut missing = dispatcher.missing(&asked).await.unwrap();
    missing.sort();
    assert_eq!(missing, [later_attempt.id, job(5).id]);
    assert!(dispatcher.missing(&[]).await.unwrap().is_empty());
}

pub async fn a_report_arrives_after_everything_was_lost<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let delivery = receive_one(&*worker).await;
    world.lose_everything().await;
    assert_eq!(worker.renew(std::slice::from_ref(&delivery.receipt)).await.unwrap(), [Lease::Lost]);
    let report = done(&delivery.job.id, &*worker);
    worker.report(&delivery.receipt, &report).await.unwrap();
    assert!(dispatcher.missing(&[order(&job(1))]).await.unwrap().is_empty(), "its report is on the way");
    let taken = take_report(&*dispatcher).await;
    assert_eq!(taken.report, report);
    dispatcher.acknowledge(&[taken.receipt]).await.unwrap();
}

pub async fn work_goes_on_after_everything_was_lost<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    for round in 0..3 {
        dispatcher.publish(&[job(round)]).await.unwrap();
        let delivery = receive_one(&*worker).await;
        worker.report(&delivery.receipt, &done(&delivery.job.id, &*worker)).await.unwrap();
        let taken = take_report(&*dispatcher).await;
        assert_eq!(taken.report.job, job(round).id);
        // Both sides are waiting when it happens.
        let (key, jobs) = (key(), [job(100 + round)]);
        let (received, ()) = soon(async {
            tokio::join!(worker.receive(&key, 1), async {
                world.lose_everything().await;
                dispatcher.publish(&jobs).await.unwrap();
            })
        })
        .await;
        let received = received.unwrap();
        assert_eq!(ids(&received), [job(100 + round).id]);
        let report = done(&received[0].job.id, &*worker);
        let (reports, ()) = soon(async {
            tokio::join!(dispatcher.reports(1), async {
                world.lose_everything().await;
                worker.report(&received[0].receipt, &report).await.unwrap();
            })
        })
        .await;
        let reports = reports.unwrap();
        assert_eq!(reports[0].report, report);
        dispatcher.acknowledge(&[reports[0].receipt.clone()]).await.unwrap();
    }
}

pub async fn a_lost_job_is_missing_and_can_be_published_again<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    receive_one(&*worker).await;
    world.lose_everything().await;
    let orders = [order(&job(1)), order(&job(2))];
    assert_eq!(dispatcher.missing(&orders).await.unwrap(), [job(1).id, job(2).id]);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    assert!(dispatcher.missing(&orders).await.unwrap().is_empty());
    let mut again = receive(&*worker, 2).await;
    if again.len() < 2 {
        again.extend(receive(&*worker, 1).await);
    }
    assert_eq!(ids(&again), [job(1).id, job(2).id]);
}

pub async fn a_lost_report_makes_its_job_missing<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let delivery = receive_one(&*worker).await;
    worker.report(&delivery.receipt, &done(&delivery.job.id, &*worker)).await.unwrap();
    world.lose_everything().await;
    assert_eq!(dispatcher.missing(&[order(&job(1))]).await.unwrap(), [job(1).id]);
    dispatcher.publish(&[job(1)]).await.unwrap();
    assert_eq!(receive_one(&*worker).await.job.id, job(1).id);
}

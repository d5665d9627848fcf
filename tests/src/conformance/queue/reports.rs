//! Reports: what workers say, and what dispatchers acknowledge.

#![expect(
    missing_docs,
    clippy::unwrap_used,
    reason = "each case is named by its sentence, and ends with the first failed step"
)]

use std::time::Duration;

use futures::FutureExt as _;

use hermes_core::ports::queue::Lease;
use hermes_core::wire::{Outcome, Report, WIRE_VERSION};

use super::{LEASE, QueueWorld, done, ids, job, key, order, receive, receive_one, soon, take_report};

const MORE_THAN_A_LEASE: Duration = LEASE.saturating_add(Duration::from_secs(1));

pub async fn a_report_ends_its_job_and_reaches_the_dispatcher<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker, other) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let delivery = receive_one(&*worker).await;
    let report = done(&delivery.job.id, &*worker);
    worker.report(&delivery.receipt, &report).await.unwrap();
    assert_eq!(take_report(&*dispatcher).await.report, report);
    assert_eq!(worker.renew(&[delivery.receipt]).await.unwrap(), [Lease::Lost]);
    world.pass(MORE_THAN_A_LEASE).await;
    dispatcher.publish(&[job(2)]).await.unwrap();
    assert_eq!(ids(&receive(&*other, 10).await), [job(2).id]);
}

pub async fn a_reported_job_is_known_until_its_report_is_acknowledged<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    let orders = [order(&job(1))];
    dispatcher.publish(&[job(1)]).await.unwrap();
    let delivery = receive_one(&*worker).await;
    worker.report(&delivery.receipt, &done(&delivery.job.id, &*worker)).await.unwrap();
    assert!(dispatcher.missing(&orders).await.unwrap().is_empty());
    let report = take_report(&*dispatcher).await;
    assert!(dispatcher.missing(&orders).await.unwrap().is_empty());
    // The reconciler must not start it again while its result is on the way.
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    assert_eq!(ids(&receive(&*worker, 10).await), [job(2).id]);
    dispatcher.acknowledge(&[report.receipt]).await.unwrap();
    assert_eq!(dispatcher.missing(&orders).await.unwrap(), [job(1).id]);
}

pub async fn an_unacknowledged_report_comes_again_to_another_dispatcher<W: QueueWorld>() {
    let world = W::fresh().await;
    let (lost, heir, worker) = (world.dispatcher().await, world.dispatcher().await, world.worker("w1").await);
    lost.publish(&[job(1)]).await.unwrap();
    let delivery = receive_one(&*worker).await;
    worker.report(&delivery.receipt, &done(&delivery.job.id, &*worker)).await.unwrap();
    let first = take_report(&*lost).await;
    world.pass(MORE_THAN_A_LEASE).await;
    let again = take_report(&*heir).await;
    assert_eq!(again.report, first.report);
    heir.acknowledge(&[again.receipt]).await.unwrap();
    assert_eq!(heir.missing(&[order(&job(1))]).await.unwrap(), [job(1).id]);
}

pub async fn an_acknowledged_report_never_comes_again<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, other, worker) = (world.dispatcher().await, world.dispatcher().await, world.worker("w1").await);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    let jobs = receive(&*worker, 2).await;
    worker.report(&jobs[0].receipt, &done(&jobs[0].job.id, &*worker)).await.unwrap();
    let report = take_report(&*dispatcher).await;
    let receipts = [report.receipt];
    dispatcher.acknowledge(&receipts).await.unwrap();
    dispatcher.acknowledge(&receipts).await.unwrap();
    world.pass(MORE_THAN_A_LEASE).await;
    worker.report(&jobs[1].receipt, &done(&jobs[1].job.id, &*worker)).await.unwrap();
    let taken = soon(other.reports(10)).await.unwrap();
    assert_eq!(taken.iter().map(|one| &one.report.job).collect::<Vec<_>>(), [&jobs[1].job.id]);
}

pub async fn each_report_goes_to_one_dispatcher<W: QueueWorld>() {
    let world = W::fresh().await;
    let (one, two, worker) = (world.dispatcher().await, world.dispatcher().await, world.worker("w1").await);
    let jobs: Vec<_> = (0..20).map(job).collect();
    one.publish(&jobs).await.unwrap();
    for delivery in receive(&*worker, 20).await {
        worker.report(&delivery.receipt, &done(&delivery.job.id, &*worker)).await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < jobs.len() {
        let taken = soon(async {
            tokio::select! {
                taken = one.reports(3) => taken,
                taken = two.reports(3) => taken,
            }
        });
        seen.extend(taken.await.unwrap().into_iter().map(|one| one.report.job));
    }
    seen.sort();
    assert_eq!(seen, jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>());
}

pub async fn reports_arrive_in_their_order<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    let order = [4, 2, 9];
    dispatcher.publish(&order.map(job)).await.unwrap();
    for delivery in receive(&*worker, 3).await {
        worker.report(&delivery.receipt, &done(&delivery.job.id, &*worker)).await.unwrap();
    }
    for number in order {
        assert_eq!(take_report(&*dispatcher).await.report.job, job(number).id);
    }
    assert!(dispatcher.reports(0).await.unwrap().is_empty());
}

pub async fn a_dropped_wait_for_reports_loses_nothing<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    for number in 0..10 {
        dispatcher.publish(&[job(number)]).await.unwrap();
        let delivery = receive_one(&*worker).await;
        assert!(dispatcher.reports(4).now_or_never().is_none(), "there is nothing yet");
        worker.report(&delivery.receipt, &done(&delivery.job.id, &*worker)).await.unwrap();
        let taken = match dispatcher.reports(4).now_or_never() {
            Some(taken) => taken.unwrap(),
            None => soon(dispatcher.reports(4)).await.unwrap(),
        };
        assert_eq!(taken.iter().map(|one| &one.report.job).collect::<Vec<_>>(), [&job(number).id]);
        dispatcher.acknowledge(&[taken[0].receipt.clone()]).await.unwrap();
    }
}

pub async fn a_notice_leaves_its_job_leased<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let delivery = receive_one(&*worker).await;
    let notice =
        Report { v: WIRE_VERSION, job: job(1).id, worker: worker.worker().to_owned(), outcome: Outcome::Started };
    worker.notify(&notice).await.unwrap();
    let taken = take_report(&*dispatcher).await;
    assert_eq!(taken.report, notice);
    dispatcher.acknowledge(&[taken.receipt]).await.unwrap();
    assert!(dispatcher.missing(&[order(&job(1))]).await.unwrap().is_empty());
    assert_eq!(worker.renew(&[delivery.receipt]).await.unwrap(), [Lease::Held]);
}

pub async fn a_late_report_of_a_lost_lease_arrives_and_ends_the_job<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, slow, heir) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let late = receive_one(&*slow).await;
    world.pass(MORE_THAN_A_LEASE).await;
    let taken_over = receive_one(&*heir).await;
    slow.report(&late.receipt, &done(&late.job.id, &*slow)).await.unwrap();
    let first = take_report(&*dispatcher).await;
    assert_eq!(first.report.worker, "w1");
    assert_eq!(heir.renew(std::slice::from_ref(&taken_over.receipt)).await.unwrap(), [Lease::Lost]);
    heir.report(&taken_over.receipt, &done(&late.job.id, &*heir)).await.unwrap();
    let second = take_report(&*dispatcher).await;
    assert_eq!(second.report.worker, "w2");
    let depth = &dispatcher.depths(&[key()]).await.unwrap()[0];
    assert_eq!((depth.waiting, depth.leased), (0, 0));
    // The later report keeps the job known, whatever becomes of the earlier one.
    let orders = [order(&job(1))];
    dispatcher.acknowledge(&[first.receipt]).await.unwrap();
    assert!(dispatcher.missing(&orders).await.unwrap().is_empty());
    dispatcher.acknowledge(&[second.receipt]).await.unwrap();
    assert_eq!(dispatcher.missing(&orders).await.unwrap(), [job(1).id]);
}

pub async fn a_late_acknowledgement_ends_the_report_for_whoever_has_it_now_and_no_other_one<W: QueueWorld>() {
    let world = W::fresh().await;
    let (paused, heir, worker) = (world.dispatcher().await, world.dispatcher().await, world.worker("w1").await);
    paused.publish(&[job(1)]).await.unwrap();
    let delivery = receive_one(&*worker).await;
    let report = done(&delivery.job.id, &*worker);
    worker.report(&delivery.receipt, &report).await.unwrap();
    let late = take_report(&*paused).await;
    world.pass(MORE_THAN_A_LEASE).await;
    let taken_over = take_report(&*heir).await;
    // The worker has not heard that its report arrived, and sends it again.
    worker.report(&delivery.receipt, &report).await.unwrap();
    paused.acknowledge(&[late.receipt]).await.unwrap();
    let orders = [order(&job(1))];
    assert!(heir.missing(&orders).await.unwrap().is_empty(), "the second one keeps the job known");
    heir.acknowledge(&[taken_over.receipt]).await.unwrap();
    let second = take_report(&*heir).await;
    assert_eq!(second.report, report);
    heir.acknowledge(&[second.receipt]).await.unwrap();
    assert_eq!(heir.missing(&orders).await.unwrap(), [job(1).id]);
    world.pass(MORE_THAN_A_LEASE).await;
    worker.notify(&done(&job(2).id, &*worker)).await.unwrap();
    assert_eq!(take_report(&*heir).await.report.job, job(2).id, "neither comes again");
}

pub async fn an_unknown_receipt_is_acknowledged_without_harm<W: QueueWorld>() {
    let world = W::fresh().await;
    let dispatcher = world.dispatcher().await;
    let strange = ["", "no such receipt", "1-1", "9999999999999-0 x/y/1"].map(str::to_owned);
    dispatcher.acknowledge(&strange).await.unwrap();
    dispatcher.ping().await.unwrap();
}

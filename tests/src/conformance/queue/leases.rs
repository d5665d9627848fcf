//! Leases: what happens to jobs whose workers are lost, slow, or told to stop.

#![expect(
    missing_docs,
    clippy::unwrap_used,
    reason = "each case is named by its sentence, and ends with the first failed step"
)]

use std::time::Duration;

use hermes_core::limits::POISON_DEATHS;
use hermes_core::ports::queue::Lease;
use hermes_core::wire::{ErrorClass, Outcome};

use super::{LEASE, QueueWorld, done, ids, job, key, order, receive, receive_one, soon, take_report};

const MORE_THAN_A_LEASE: Duration = LEASE.saturating_add(Duration::from_secs(1));
const MOST_OF_A_LEASE: Duration = Duration::from_secs(LEASE.as_secs() * 3 / 4);

pub async fn a_job_whose_lease_ended_comes_again_as_the_same_attempt<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, lost, heir) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    receive_one(&*lost).await;
    world.pass(MORE_THAN_A_LEASE).await;
    let delivery = receive_one(&*heir).await;
    assert_eq!((delivery.job, delivery.deaths), (job(1), 1));
}

pub async fn a_waiting_worker_is_woken_by_the_end_of_a_lease<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, lost, heir) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    receive_one(&*lost).await;
    let key = key();
    let (taken, ()) = soon(async { tokio::join!(heir.receive(&key, 1), world.pass(MORE_THAN_A_LEASE)) }).await;
    assert_eq!(ids(&taken.unwrap()), [job(1).id]);
}

pub async fn ended_leases_come_before_waiting_jobs<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, lost, heir) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    receive_one(&*lost).await;
    dispatcher.publish(&[job(2)]).await.unwrap();
    world.pass(MORE_THAN_A_LEASE).await;
    assert_eq!(receive_one(&*heir).await.job.id, job(1).id);
    assert_eq!(receive_one(&*heir).await.job.id, job(2).id);
}

pub async fn a_job_that_lost_three_workers_is_reported_as_poison<W: QueueWorld>() {
    let world = W::fresh().await;
    let dispatcher = world.dispatcher().await;
    dispatcher.publish(&[job(1)]).await.unwrap();
    for deaths in 0..POISON_DEATHS {
        let worker = world.worker(&format!("lost-{deaths}")).await;
        assert_eq!(receive_one(&*worker).await.deaths, deaths);
        world.pass(MORE_THAN_A_LEASE).await;
    }
    dispatcher.publish(&[job(2)]).await.unwrap();
    let survivor = world.worker("survivor").await;
    assert_eq!(receive_one(&*survivor).await.job.id, job(2).id);
    let report = take_report(&*dispatcher).await.report;
    assert_eq!(report.job, job(1).id);
    let Outcome::Failed { error, retryable: false, .. } = report.outcome else { panic!("{report:?}") };
    assert_eq!(error.class, ErrorClass::Poison);
}

pub async fn a_renewed_lease_holds<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker, other) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    let receipts: Vec<_> = receive(&*worker, 2).await.into_iter().map(|delivery| delivery.receipt).collect();
    for _ in 0..3 {
        world.pass(MOST_OF_A_LEASE).await;
        assert_eq!(worker.renew(&receipts).await.unwrap(), [Lease::Held, Lease::Held]);
    }
    world.pass(MOST_OF_A_LEASE).await;
    // Ended leases would come first.
    dispatcher.publish(&[job(3)]).await.unwrap();
    assert_eq!(receive_one(&*other).await.job.id, job(3).id);
    assert!(worker.renew(&[]).await.unwrap().is_empty());
}

pub async fn a_lease_that_was_taken_over_is_lost<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, slow, heir) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    let (first, second) = (receive_one(&*slow).await, receive_one(&*slow).await);
    world.pass(MORE_THAN_A_LEASE).await;
    let heirs = receive_one(&*heir).await;
    assert_eq!(heirs.job.id, job(1).id);
    let answers = slow.renew(&[second.receipt.clone(), first.receipt.clone()]).await.unwrap();
    assert_eq!(answers, [Lease::Held, Lease::Lost], "what nobody took over is still held");
    // The one who lost it cannot disturb the new holder.
    slow.release(&[first]).await.unwrap();
    assert_eq!(heir.renew(&[heirs.receipt]).await.unwrap(), [Lease::Held]);
}

pub async fn a_revoked_job_is_not_delivered<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    dispatcher.revoke(&[order(&job(1)), order(&job(9))]).await.unwrap();
    assert_eq!(ids(&receive(&*worker, 10).await), [job(2).id]);
    assert_eq!(dispatcher.missing(&[order(&job(1))]).await.unwrap(), [job(1).id]);
}

pub async fn the_holder_of_a_revoked_job_learns_it<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker, other) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    let receipts: Vec<_> = receive(&*worker, 2).await.into_iter().map(|delivery| delivery.receipt).collect();
    dispatcher.revoke(&[order(&job(1))]).await.unwrap();
    assert_eq!(worker.renew(&receipts).await.unwrap(), [Lease::Revoked, Lease::Held]);
    // Nobody else gets it, even if its worker is lost now.
    world.pass(MORE_THAN_A_LEASE).await;
    assert_eq!(ids(&receive(&*other, 10).await), [job(2).id]);
}

pub async fn a_revoked_job_does_not_come_back<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, worker) = (world.dispatcher().await, world.worker("w1").await);
    dispatcher.revoke(&[order(&job(1))]).await.unwrap();
    // A publication that its revocation has overtaken.
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    assert_eq!(ids(&receive(&*worker, 10).await), [job(2).id]);
}

pub async fn a_released_job_is_delivered_at_once_and_counts_no_death<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, leaving, heir) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    let held = receive(&*leaving, 2).await;
    leaving.release(&held).await.unwrap();
    let mut again = receive(&*heir, 2).await;
    if again.len() < 2 {
        again.extend(receive(&*heir, 1).await);
    }
    assert_eq!(ids(&again), [job(1).id, job(2).id]);
    assert!(again.iter().all(|delivery| delivery.deaths == 0));
    assert_eq!(leaving.renew(&[held[0].receipt.clone()]).await.unwrap(), [Lease::Lost]);
    leaving.release(&held).await.unwrap();
    assert!(dispatcher.missing(&[order(&job(1)), order(&job(2))]).await.unwrap().is_empty());
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    let depth = &dispatcher.depths(&[key()]).await.unwrap()[0];
    assert_eq!((depth.waiting, depth.leased), (0, 2), "releasing twice and publishing again change nothing");
}

pub async fn a_released_job_keeps_the_deaths_that_it_had<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, lost, leaving) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    receive_one(&*lost).await;
    world.pass(MORE_THAN_A_LEASE).await;
    let held = receive_one(&*leaving).await;
    leaving.release(&[held]).await.unwrap();
    let heir = world.worker("w3").await;
    assert_eq!(receive_one(&*heir).await.deaths, 1);
}

pub async fn a_paused_worker_that_wakes_up_late_changes_nothing<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, paused, heir) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let late = receive_one(&*paused).await;
    world.pass(MORE_THAN_A_LEASE).await;
    let taken_over = receive_one(&*heir).await;
    let depth = async || {
        let depth = dispatcher.depths(&[key()]).await.unwrap().remove(0);
        (depth.waiting, depth.leased)
    };
    for _ in 0..2 {
        assert_eq!(paused.renew(std::slice::from_ref(&late.receipt)).await.unwrap(), [Lease::Lost]);
        paused.release(std::slice::from_ref(&late)).await.unwrap();
        assert_eq!(depth().await, (0, 1), "the job is with its heir, once");
    }
    assert_eq!(heir.renew(std::slice::from_ref(&taken_over.receipt)).await.unwrap(), [Lease::Held]);
    heir.report(&taken_over.receipt, &done(&taken_over.job.id, &*heir)).await.unwrap();
    paused.release(std::slice::from_ref(&late)).await.unwrap();
    assert_eq!(paused.renew(std::slice::from_ref(&late.receipt)).await.unwrap(), [Lease::Lost]);
    assert_eq!(depth().await, (0, 0), "nobody brings back what is done");
    assert_eq!(take_report(&*dispatcher).await.report.worker, "w2");
}

pub async fn a_death_is_counted_once_however_often_the_lost_one_wakes_up<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, paused, second) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let late = receive_one(&*paused).await;
    world.pass(MORE_THAN_A_LEASE).await;
    assert_eq!(receive_one(&*second).await.deaths, 1);
    for _ in 0..POISON_DEATHS {
        paused.renew(std::slice::from_ref(&late.receipt)).await.unwrap();
        paused.release(std::slice::from_ref(&late)).await.unwrap();
    }
    world.pass(MORE_THAN_A_LEASE).await;
    let third = world.worker("w3").await;
    assert_eq!(receive_one(&*third).await.deaths, 2, "two were lost");
}

pub async fn a_lease_that_ended_but_was_renewed_before_anybody_took_over_was_no_death<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, slow, heir) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let held = receive_one(&*slow).await;
    for _ in 0..POISON_DEATHS {
        world.pass(MORE_THAN_A_LEASE).await;
        assert_eq!(slow.renew(std::slice::from_ref(&held.receipt)).await.unwrap(), [Lease::Held]);
    }
    world.pass(MORE_THAN_A_LEASE).await;
    assert_eq!(receive_one(&*heir).await.deaths, 1, "now it is lost");
}

pub async fn a_late_report_ends_a_job_that_was_handed_back_and_waits_again<W: QueueWorld>() {
    let world = W::fresh().await;
    let (dispatcher, paused, leaving) = (world.dispatcher().await, world.worker("w1").await, world.worker("w2").await);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let late = receive_one(&*paused).await;
    world.pass(MORE_THAN_A_LEASE).await;
    let taken_over = receive_one(&*leaving).await;
    leaving.release(&[taken_over]).await.unwrap();
    paused.report(&late.receipt, &done(&late.job.id, &*paused)).await.unwrap();
    let depth = &dispatcher.depths(&[key()]).await.unwrap()[0];
    assert_eq!((depth.waiting, depth.leased), (0, 0), "one answer is enough");
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    assert_eq!(ids(&receive(&*leaving, 10).await), [job(2).id], "its report is on the way");
}

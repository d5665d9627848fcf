//! The queue of one process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use hermes_adapters::memory::MemoryQueue;
use hermes_core::ports::queue::{JobQueue, QueueError, WorkQueue};
use hermes_tests::conformance::queue::{LEASE, QueueWorld, done, job, key, receive_one, soon};

struct MemoryWorld(MemoryQueue);

#[async_trait]
impl QueueWorld for MemoryWorld {
    async fn fresh() -> Self {
        tokio::time::pause();
        Self(MemoryQueue::with_lease(LEASE))
    }

    async fn worker(&self, identity: &str) -> Arc<dyn WorkQueue> {
        self.0.worker(identity)
    }

    async fn dispatcher(&self) -> Arc<dyn JobQueue> {
        self.0.dispatcher()
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }

    async fn lose_everything(&self) {
        self.0.lose_everything();
    }
}

hermes_tests::queue_conformance!(MemoryWorld);

#[tokio::test(start_paused = true)]
async fn a_job_says_how_long_it_waited() {
    let queue = MemoryQueue::new();
    queue.dispatcher().publish(&[job(1)]).await.unwrap();
    tokio::time::advance(Duration::from_millis(1_234)).await;
    assert_eq!(receive_one(&*queue.worker("w1")).await.waited_ms, 1_234);
}

#[tokio::test]
async fn a_closed_queue_ends_those_who_wait() {
    let queue = MemoryQueue::new();
    let (dispatcher, worker) = (queue.dispatcher(), queue.worker("w1"));
    let key = key();
    let (jobs, reports, ()) =
        soon(async { tokio::join!(worker.receive(&key, 1), dispatcher.reports(1), async { queue.close() }) }).await;
    assert!(matches!(jobs, Err(QueueError::Closed)));
    assert!(matches!(reports, Err(QueueError::Closed)));
    assert!(matches!(dispatcher.ping().await, Err(QueueError::Closed)));
}

#[tokio::test]
async fn reports_of_attempts_that_end_together_are_taken_together() {
    let queue = MemoryQueue::new();
    let (dispatcher, worker) = (queue.dispatcher(), queue.worker("w1"));
    dispatcher.publish(&[job(1), job(2)]).await.unwrap();
    let (one, other) = (receive_one(&*worker).await, receive_one(&*worker).await);
    let taken = tokio::spawn(async move { dispatcher.reports(9).await });
    tokio::task::yield_now().await;
    worker.report(&one.receipt, &done(&one.job.id, &*worker)).await.unwrap();
    // whoever waits for reports has been woken, and this one comes after it
    let second = tokio::spawn(async move { worker.report(&other.receipt, &done(&other.job.id, &*worker)).await });
    assert_eq!(soon(taken).await.expect("no panic").unwrap().len(), 2);
    second.await.expect("no panic").unwrap();
}

//! Worlds of the queue over Redis, and what their tests have in common.

#![expect(clippy::unwrap_used, reason = "a test ends with the first failed step")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;

use hermes_adapters::redis::{RedisOptions, RedisQueue};
use hermes_core::ports::queue::{Delivery, JobQueue, WorkQueue};
use hermes_core::wire::{JobId, Report};
use hermes_tests::conformance::queue::{LEASE, QueueWorld, done, job, order, receive_one, soon, take_report};
use hermes_tests::harness::redis::Redis;

/// A part of a server that no other test looks at, and how to reach it.
pub(super) struct RedisWorld {
    /// The server that has the keys, for looking and meddling.
    pub(super) redis: Redis,
    /// The address that the queue is given.
    pub(super) url: String,
    /// What the keys begin with.
    pub(super) prefix: String,
}

impl RedisWorld {
    pub(super) fn on(redis: Redis) -> Self {
        let (url, prefix) = (redis.url(), redis.prefix());
        Self { redis, url, prefix }
    }

    pub(super) async fn queue(&self, identity: &str) -> RedisQueue {
        let mut options = RedisOptions::new(self.url.clone(), self.prefix.clone(), identity);
        options.lease = LEASE;
        options.heartbeat = Duration::from_millis(200);
        options.report_lease = LEASE;
        soon(RedisQueue::connect_with(&options)).await.expect("connected")
    }

    pub(super) fn name(&self, rest: &str) -> String {
        format!("{{{}}}:{rest}", self.prefix)
    }

    pub(super) async fn keys(&self) -> Vec<String> {
        let pattern = self.name("*");
        redis::from_redis_value(self.redis.command(&["KEYS", &pattern]).await).expect("names")
    }

    /// Ages everything that is pending in a stream's group.
    async fn age(&self, stream: &str, group: &str, by: Duration) {
        let mut connection = self.redis.connection().await;
        let script = r"
            local aged = 0
            for _, p in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000)) do
                redis.call('XCLAIM', KEYS[1], ARGV[1], p[2], 0, p[1], 'IDLE', p[3] + ARGV[2], 'JUSTID')
                aged = aged + 1
            end
            return aged";
        let by = u64::try_from(by.as_millis()).unwrap();
        redis::Script::new(script)
            .key(stream)
            .arg(group)
            .arg(by)
            .invoke_async::<u64>(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{stream}: {error}"));
    }
}

#[async_trait]
impl QueueWorld for RedisWorld {
    async fn fresh() -> Self {
        Self::on(Redis::shared())
    }

    async fn worker(&self, identity: &str) -> Arc<dyn WorkQueue> {
        Arc::new(self.queue(identity).await)
    }

    async fn dispatcher(&self) -> Arc<dyn JobQueue> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let identity = format!("dispatcher-{}", LAST.fetch_add(1, Ordering::Relaxed));
        Arc::new(self.queue(&identity).await)
    }

    async fn pass(&self, time: Duration) {
        for name in self.keys().await {
            if name.contains(":jobs:") {
                self.age(&name, "workers", time).await;
            } else if name.ends_with(":reports")
                && self.redis.command(&["XINFO", "GROUPS", &name]).await != Value::Array(Vec::new())
            {
                self.age(&name, "dispatchers", time).await;
            }
        }
    }

    async fn lose_everything(&self) {
        for name in self.keys().await {
            self.redis.command(&["DEL", &name]).await;
        }
    }
}

/// One job all the way through.
pub(super) async fn a_job_goes_through(dispatcher: &RedisQueue, worker: &RedisQueue, number: u32) {
    dispatcher.publish(&[job(number)]).await.unwrap();
    let delivery = receive_one(worker).await;
    assert_eq!(delivery.job.id, job(number).id);
    worker.report(&delivery.receipt, &done(&delivery.job.id, worker)).await.unwrap();
    let report = take_report(dispatcher).await;
    assert_eq!(report.report.job, job(number).id);
    dispatcher.acknowledge(&[report.receipt]).await.unwrap();
}

/// What the reconciler does, until it succeeds.
pub(super) async fn publish_in_the_end(dispatcher: &RedisQueue, number: u32) {
    soon(async {
        while dispatcher.publish(&[job(number)]).await.is_err() {
            tokio::task::yield_now().await
        }
    })
    .await;
}

/// What a worker-runner does with a finished job, until it succeeds.
pub(super) async fn report_in_the_end(worker: &RedisQueue, delivery: &Delivery) {
    let report: Report = done(&delivery.job.id, worker);
    soon(async {
        while worker.report(&delivery.receipt, &report).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What the reconciler does: publishes what the queue does not know, and says what that was.
pub(super) async fn republish(dispatcher: &RedisQueue, numbers: &[u32]) -> Vec<JobId> {
    let orders: Vec<_> = numbers.iter().map(|&number| order(&job(number))).collect();
    soon(async {
        loop {
            if let Ok(missing) = dispatcher.missing(&orders).await {
                let jobs: Vec<_> =
                    numbers.iter().map(|&number| job(number)).filter(|job| missing.contains(&job.id)).collect();
                if dispatcher.publish(&jobs).await.is_ok() {
                    return missing;
                }
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

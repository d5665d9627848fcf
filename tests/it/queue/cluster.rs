//! The queue in a cluster: it finds the node that has its slot, and follows it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use hermes_adapters::redis::{ConnectError, RedisQueue};
use hermes_core::ports::queue::{JobQueue, WorkQueue};
use hermes_tests::conformance::queue::{QueueWorld, ids, job, key, receive_one, soon, take_report};
use hermes_tests::harness::cluster::Cluster;
use hermes_tests::harness::redis::Redis;

use super::world::{RedisWorld, a_job_goes_through, publish_in_the_end, report_in_the_end, republish};

/// A slot of the shared cluster.
struct ClusterWorld(RedisWorld);

async fn world(cluster: &Cluster, prefix: String) -> RedisWorld {
    RedisWorld { redis: cluster.home(&prefix).await.clone(), url: cluster.url(), prefix }
}

#[async_trait]
impl QueueWorld for ClusterWorld {
    async fn fresh() -> Self {
        let cluster = Cluster::shared().await;
        Self(world(cluster, cluster.nodes[0].prefix()).await)
    }

    async fn worker(&self, identity: &str) -> Arc<dyn WorkQueue> {
        self.0.worker(identity).await
    }

    async fn dispatcher(&self) -> Arc<dyn JobQueue> {
        self.0.dispatcher().await
    }

    async fn pass(&self, time: Duration) {
        self.0.pass(time).await;
    }

    async fn lose_everything(&self) {
        self.0.lose_everything().await;
    }
}

hermes_tests::queue_conformance!(ClusterWorld);

#[tokio::test]
async fn the_queue_follows_its_slot_to_another_node_and_loses_nothing() {
    let cluster = Cluster::shared().await;
    let world = world(cluster, cluster.nodes[0].prefix()).await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    a_job_goes_through(&dispatcher, &worker, 1).await;
    dispatcher.publish(&[job(2)]).await.unwrap();
    let in_work = receive_one(&worker).await;
    let to = cluster.nodes.iter().find(|node| node.port() != world.redis.port()).unwrap();
    let key = key();
    let (jobs, ()) = soon(async {
        tokio::join!(worker.receive(&key, 1), async {
            cluster.move_slot(&world.prefix, &world.redis, to).await;
            report_in_the_end(&worker, &in_work).await;
            publish_in_the_end(&dispatcher, 3).await;
        })
    })
    .await;
    let jobs = jobs.unwrap();
    assert_eq!((ids(&jobs), jobs[0].deaths), (vec![job(3).id], 0));
    assert_eq!(take_report(&dispatcher).await.report.job, job(2).id);
}

#[tokio::test]
async fn the_queue_follows_its_slot_to_a_replica_by_order_and_after_a_death() {
    let cluster = Cluster::start_with_replica().await;
    let world = world(&cluster, cluster.prefix_at_first().await).await;
    let (dispatcher, worker) = (world.queue("d").await, world.queue("w").await);
    let (first, replica) = (&cluster.nodes[0], &cluster.nodes[3]);
    dispatcher.publish(&[job(1)]).await.unwrap();
    let in_work = receive_one(&worker).await;

    // By order: nothing is lost.
    replica.command(&["CLUSTER", "FAILOVER"]).await;
    Cluster::has_role(replica, "master").await;
    report_in_the_end(&worker, &in_work).await;
    publish_in_the_end(&dispatcher, 2).await;
    let in_work = receive_one(&worker).await;
    assert_eq!(in_work.job.id, job(2).id);
    let report = take_report(&dispatcher).await;
    assert_eq!(report.report.job, job(1).id);
    dispatcher.acknowledge(&[report.receipt]).await.unwrap();

    // By death: the first node is a replica now, and takes over again.
    Cluster::has_role(first, "slave").await;
    let key = key();
    let (jobs, ()) = soon(async {
        tokio::join!(worker.receive(&key, 1), async {
            replica.kill();
            Cluster::has_role(first, "master").await;
            report_in_the_end(&worker, &in_work).await;
            republish(&dispatcher, &[3]).await;
        })
    })
    .await;
    assert_eq!(ids(&jobs.unwrap()), [job(3).id]);
    assert_eq!(take_report(&dispatcher).await.report.job, job(2).id);
}

#[tokio::test]
async fn a_cluster_and_a_single_server_are_not_taken_for_each_other() {
    let cluster = Cluster::shared().await;
    let refused = async |url: String| RedisQueue::connect(&url, "hermes", "d").await.err();
    let single = refused(cluster.nodes[0].url()).await;
    assert!(matches!(&single, Some(ConnectError::WrongKind(why)) if why.contains("redis+cluster://")), "{single:?}");
    let cluster = refused(format!("redis+cluster://127.0.0.1:{}", Redis::shared().port())).await;
    assert!(matches!(&cluster, Some(ConnectError::WrongKind(why)) if why.contains("redis://")), "{cluster:?}");
}

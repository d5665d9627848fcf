//! A primary, its replica, and three sentinels that watch them.

use std::collections::HashMap;

use super::redis::Redis;

/// The name under which the sentinels watch the primary.
const NAME: &str = "main";

/// The servers. Dropping it ends them.
pub struct Watched {
    /// The primary until somebody kills it.
    pub primary: Redis,
    /// Its replica, which takes over then.
    pub replica: Redis,
    sentinels: Vec<Redis>,
}

impl Watched {
    /// Returns when everybody knows everybody.
    pub async fn start() -> Self {
        let primary = Redis::start_with(&["--repl-diskless-sync-delay", "0"]);
        let port = primary.port().to_string();
        let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]);
        replica.until(&["INFO", "replication"], |info| info.contains("master_link_status:up")).await;
        // Down after a second: less, and a busy machine makes a primary look dead.
        let configuration = format!(
            "sentinel monitor {NAME} 127.0.0.1 {port} 2\nsentinel down-after-milliseconds {NAME} 1000\n\
             sentinel failover-timeout {NAME} 5000"
        );
        let sentinels: Vec<Redis> = (0..3).map(|_| Redis::start_sentinel(&configuration)).collect();
        for sentinel in &sentinels {
            loop {
                let answer = sentinel.command(&["SENTINEL", "MASTER", NAME]).await;
                let state: HashMap<String, String> = redis::from_redis_value(answer).expect("names and values");
                if state["num-slaves"] == "1" && state["num-other-sentinels"] == "2" {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        Self { primary, replica, sentinels }
    }

    /// The address that names all sentinels.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_with(&self.sentinels.iter().map(Redis::port).collect::<Vec<_>>())
    }

    /// The same with other ports.
    #[must_use]
    pub fn url_with(&self, ports: &[u16]) -> String {
        let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/{NAME}/0", hosts.join(","))
    }

    /// Ports of the sentinels.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.sentinels.iter().map(Redis::port).collect()
    }

    /// A sentinel that has never heard of the primary's end: it names the replica, and has nobody to correct it.
    #[must_use]
    pub fn mistaken_sentinel(&self) -> Redis {
        let port = self.replica.port();
        Redis::start_sentinel(&format!("sentinel monitor {NAME} 127.0.0.1 {port} 5"))
    }

    /// Waits until the replica has all that the primary was told so far.
    pub async fn synced(&self) {
        let mut connection = self.primary.connection().await;
        // On one connection with a write of its own, because WAIT looks back at what this connection has written.
        let mut both = redis::pipe();
        both.cmd("SET").arg("sync").arg(1).ignore().cmd("WAIT").arg(1).arg(0);
        let (replicas,): (u32,) = both.query_async(&mut connection).await.expect("the replica is there");
        assert_eq!(replicas, 1);
    }

    /// Cuts the replica off for good: what the primary is told from now on, a failover loses.
    pub async fn cut_replication(&self) {
        self.primary.command(&["ACL", "SETUSER", "default", "-psync", "-sync", "-replconf"]).await;
        self.primary.command(&["CLIENT", "KILL", "TYPE", "replica"]).await;
    }

    /// Waits until the replica has been made the primary.
    pub async fn failed_over(&self) {
        self.replica.until(&["INFO", "replication"], |info| info.contains("role:master")).await;
    }
}

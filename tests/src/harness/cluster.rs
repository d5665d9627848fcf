//! A cluster of three primaries, and a replica of the first one where a test wants to kill that.

use super::redis::{Redis, free_port};

/// How the slots are spread.
const RANGES: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// The nodes. Dropping it ends them.
pub struct Cluster {
    /// The three primaries, and the replica of the first one if there is one.
    pub nodes: Vec<Redis>,
}

impl Cluster {
    /// The cluster that the tests of this binary share: do it no harm.
    pub async fn shared() -> &'static Self {
        static SHARED: tokio::sync::OnceCell<Cluster> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_init(|| Self::start(3, "15000")).await
    }

    /// A cluster of the test's own, in which a dead primary is noticed after a second.
    pub async fn start_with_replica() -> Self {
        let cluster = Self::start(4, "1000").await;
        let first = cluster.nodes[0].command(&["CLUSTER", "MYID"]).await;
        let first: String = redis::from_redis_value(first).expect("an id");
        let replica = &cluster.nodes[3];
        replica.command(&["CLUSTER", "REPLICATE", &first]).await;
        replica.until(&["INFO", "replication"], |info| info.contains("master_link_status:up")).await;
        // Without its vote there is no failover: both other primaries must know whose replica it is.
        for node in &cluster.nodes[..3] {
            node.until(&["CLUSTER", "NODES"], |nodes| nodes.contains(&format!("slave {first}"))).await;
        }
        cluster
    }

    async fn start(nodes: usize, timeout_ms: &str) -> Self {
        let start = |_| {
            let bus = free_port().to_string();
            let mut options = vec!["--cluster-enabled", "yes", "--cluster-port", &bus];
            options.extend(["--cluster-node-timeout", timeout_ms, "--cluster-replica-validity-factor", "0"]);
            options.extend(["--repl-diskless-sync-delay", "0"]);
            (Redis::start_with(&options), bus)
        };
        let nodes: Vec<(Redis, String)> = (0..nodes).map(start).collect();
        for (epoch, (node, _)) in (1..).zip(&nodes) {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()]).await;
        }
        for ((node, _), (first, last)) in nodes.iter().zip(RANGES) {
            node.command(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
        }
        for (node, bus) in &nodes[1..] {
            let port = node.port().to_string();
            nodes[0].0.command(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]).await;
        }
        let known = format!("cluster_known_nodes:{}", nodes.len());
        for (node, _) in &nodes {
            node.until(&["CLUSTER", "INFO"], |info| info.contains("cluster_state:ok") && info.contains(&known)).await;
        }
        Self { nodes: nodes.into_iter().map(|(node, _)| node).collect() }
    }

    /// The address that names all nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// The slot of a key prefix.
    pub async fn slot(&self, prefix: &str) -> u16 {
        let slot = self.nodes[1].command(&["CLUSTER", "KEYSLOT", &format!("{{{prefix}}}")]).await;
        redis::from_redis_value(slot).expect("a number")
    }

    /// The primary that a prefix belonged to at the start.
    pub async fn home(&self, prefix: &str) -> &Redis {
        let slot = self.slot(prefix).await;
        let home = RANGES.iter().position(|(_, last)| slot <= last.parse::<u16>().expect("a number"));
        &self.nodes[home.expect("the ranges cover all slots")]
    }

    /// A prefix that belongs to the first node.
    pub async fn prefix_at_first(&self) -> String {
        loop {
            let prefix = self.nodes[0].prefix();
            if self.home(&prefix).await.port() == self.nodes[0].port() {
                return prefix;
            }
        }
    }

    /// Waits until a node has this role (`master` or `slave`), and if it is a replica until it has caught up.
    pub async fn has_role(node: &Redis, role: &str) {
        let is_right = |info: &str| {
            info.contains(&format!("role:{role}")) && (role == "master" || info.contains("master_link_status:up"))
        };
        node.until(&["INFO", "replication"], is_right).await;
    }

    /// Moves the slot of a prefix, with its keys, from one node to another, as an operator does.
    pub async fn move_slot(&self, prefix: &str, from: &Redis, to: &Redis) {
        let slot = self.slot(prefix).await.to_string();
        let id = async |node: &Redis| -> String {
            redis::from_redis_value(node.command(&["CLUSTER", "MYID"]).await).expect("an id")
        };
        let (from_id, to_id) = (id(from).await, id(to).await);
        to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
        from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;
        let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]).await;
        let keys: Vec<String> = redis::from_redis_value(keys).expect("names");
        let port = to.port().to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "30000", "KEYS"];
        migrate.extend(keys.iter().map(String::as_str));
        from.command(&migrate).await;
        for node in [to, from] {
            node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
        }
    }
}

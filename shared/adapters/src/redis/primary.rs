//! Finding the server that takes writes now, at every connection anew, and refusing servers with which the queue cannot
//! keep its promise.
//!
//! All keys of a deployment lie in one slot, so that even in a cluster there is one server to talk to at a time. Whoever
//! loses it (a broken line, a primary that became a replica, a slot that moved) drops the connection and asks here again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, RedisError, RedisResult, Value};

use super::address::{Address, Route};
use super::connect::{ConnectError, check_info, check_policy};
use super::link::code;
use super::lock;

/// Longest wait for a connection, and for a sentinel or a node that is asked for the primary.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The server that takes writes, whichever it is.
pub(super) struct Primary {
    address: Address,
    /// A key of the deployment: all of them lie in its slot.
    any_key: String,
    /// What was wrong with the last server, so that a lasting fault is logged once.
    complaint: Mutex<Option<String>>,
    policy_told: AtomicBool,
}

impl Primary {
    pub(super) fn new(address: Address, any_key: String) -> Self {
        if address.is_tls() {
            choose_tls_provider();
        }
        Self { address, any_key, complaint: Mutex::default(), policy_told: AtomicBool::new(false) }
    }

    /// A connection to the primary whose commands may take up to `response_timeout`.
    ///
    /// Never the library's default of half a second: it also ends blocking reads, and what they deliver then is lost.
    pub(super) async fn connect(&self, response_timeout: Duration) -> Result<MultiplexedConnection, ConnectError> {
        let connected = self.find(response_timeout).await;
        let mut complaint = lock(&self.complaint);
        match &connected {
            Ok(_) => *complaint = None,
            Err(error) if error.may_pass() => {}
            Err(error) => {
                let text = error.to_string();
                if complaint.as_ref() != Some(&text) {
                    tracing::error!(redis.address = %self.address, %error, "this Redis cannot be used");
                    *complaint = Some(text);
                }
            }
        }
        connected
    }

    async fn find(&self, response_timeout: Duration) -> Result<MultiplexedConnection, ConnectError> {
        match &self.address.route {
            Route::Fixed => {
                let (connection, info) = self.open(self.address.fixed(), response_timeout).await?;
                if info.is_cluster {
                    let text = "this server is a node of a cluster: write redis+cluster://host1:6379,host2:6379";
                    return Err(ConnectError::WrongKind(text.to_owned()));
                }
                Ok(connection)
            }
            Route::Sentinels { sentinels, primary } => {
                let asked = sentinels.iter().map(|sentinel| self.ask_sentinel(sentinel.clone(), primary));
                self.first_of(asked.collect(), response_timeout).await
            }
            Route::Cluster { seeds } => {
                let asked = seeds.iter().map(|seed| self.ask_node(seed.clone()));
                self.first_of(asked.collect(), response_timeout).await
            }
        }
    }

    /// Connects to the first server that turns out to be the primary. All are asked at once: some may be dead or cut
    /// off, and not yet know of a failover.
    async fn first_of(
        &self,
        mut asked: FuturesUnordered<impl Future<Output = Result<ConnectionInfo, ConnectError>>>,
        response_timeout: Duration,
    ) -> Result<MultiplexedConnection, ConnectError> {
        let mut failed: Option<ConnectError> = None;
        while let Some(answer) = asked.next().await {
            let opened = match answer {
                Ok(server) => self.open(server, response_timeout).await,
                Err(error) => Err(error),
            };
            let error = match opened {
                Ok((connection, _)) => return Ok(connection),
                Err(ConnectError::Replica) => {
                    ConnectError::Unreachable("the server that is named as the primary is a replica".to_owned())
                }
                Err(error) => error,
            };
            // A fault that stays is worth more words than one that passes.
            if failed.as_ref().is_none_or(|failed| failed.may_pass()) {
                failed = Some(error);
            }
        }
        Err(failed.unwrap_or_else(|| ConnectError::Unreachable("the address names nobody to ask".to_owned())))
    }

    /// Which server a sentinel takes for the primary.
    async fn ask_sentinel(&self, sentinel: ConnectionInfo, name: &str) -> Result<ConnectionInfo, ConnectError> {
        let mut connection = open(sentinel, CONNECT_TIMEOUT).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let answer: Option<(String, u16)> = question.query_async(&mut connection).await.map_err(|error| {
            // A plain server does not know the command.
            if error.to_string().contains("unknown command") {
                ConnectError::WrongKind("a server that is named as a sentinel is none".to_owned())
            } else {
                failure(&error)
            }
        })?;
        let (host, port) =
            answer.ok_or_else(|| ConnectError::WrongKind(format!("the sentinels know no primary named '{name}'")))?;
        Ok(self.address.server(host, port))
    }

    /// Which server a node takes for the owner of the deployment's slot.
    async fn ask_node(&self, seed: ConnectionInfo) -> Result<ConnectionInfo, ConnectError> {
        let (seed_host, seed_port) = host_and_port(&seed);
        let mut connection = open(seed, CONNECT_TIMEOUT).await?;
        let mut questions = redis::pipe();
        questions.cmd("CLUSTER").arg("KEYSLOT").arg(&self.any_key);
        questions.cmd("CLUSTER").arg("SLOTS");
        let (slot, ranges): (u16, Vec<Value>) = questions.query_async(&mut connection).await.map_err(|error| {
            if error.to_string().contains("cluster support disabled") {
                ConnectError::WrongKind("this server is no node of a cluster: write redis://host:6379".to_owned())
            } else {
                failure(&error)
            }
        })?;
        let owner = ranges.into_iter().find_map(|range| owner_of(range, slot));
        let (host, port) =
            owner.ok_or_else(|| ConnectError::Unreachable("nobody in the cluster has the queue's slot".to_owned()))?;
        // A node that does not know its own address leaves it out: it is the one that was asked.
        let host = host.filter(|host| !matches!(&**host, "" | "?")).unwrap_or(seed_host);
        Ok(self.address.server(host, if port == 0 { seed_port } else { port }))
    }

    /// A connection to a server that is fit for the queue.
    async fn open(
        &self,
        server: ConnectionInfo,
        response_timeout: Duration,
    ) -> Result<(MultiplexedConnection, Info), ConnectError> {
        let mut connection = open(server, response_timeout).await?;
        let info: String = redis::cmd("INFO").query_async(&mut connection).await.map_err(|error| failure(&error))?;
        check_info(&info)?;
        let policy = policy(&mut connection).await;
        if let Err(error) = &policy
            && error.kind() == ErrorKind::Io
        {
            return Err(failure(error));
        }
        let told = check_policy(policy)?;
        if !told && !self.policy_told.swap(true, Ordering::Relaxed) {
            tracing::warn!("Redis does not tell its maxmemory-policy; make sure that it is noeviction");
        }
        Ok((connection, Info { is_cluster: info.lines().any(|line| line == "cluster_enabled:1") }))
    }
}

/// What a server says about itself beyond being fit.
struct Info {
    is_cluster: bool,
}

async fn open(server: ConnectionInfo, response_timeout: Duration) -> Result<MultiplexedConnection, ConnectError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(response_timeout));
    let client = Client::open(server).map_err(|error| failure(&error))?;
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| failure(&error))
}

async fn policy(connection: &mut MultiplexedConnection) -> RedisResult<Option<String>> {
    let answer: Vec<String> = redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy").query_async(connection).await?;
    Ok(answer.into_iter().nth(1))
}

/// What a failure to connect, or to ask, means.
fn failure(error: &RedisError) -> ConnectError {
    let refused = matches!(code(error).as_deref(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
    if refused || error.kind() == ErrorKind::AuthenticationFailed {
        ConnectError::Refused(error.to_string())
    } else {
        ConnectError::Unreachable(error.to_string())
    }
}

/// The primary of a range of slots, `[first, last, [host, port, …], replicas…]`, if `slot` lies in it.
fn owner_of(range: Value, slot: u16) -> Option<(Option<String>, u16)> {
    let mut parts = redis::from_redis_value::<Vec<Value>>(range).ok()?.into_iter();
    let (first, last): (u16, u16) = (read(parts.next()?)?, read(parts.next()?)?);
    let mut primary = read::<Vec<Value>>(parts.next()?)?.into_iter();
    let host: Option<String> = read(primary.next()?)?;
    (first..=last).contains(&slot).then_some((host, read(primary.next()?)?))
}

fn read<T: redis::FromRedisValue>(value: Value) -> Option<T> {
    redis::from_redis_value(value).ok()
}

fn host_and_port(server: &ConnectionInfo) -> (String, u16) {
    match server.addr() {
        redis::ConnectionAddr::Tcp(host, port) | redis::ConnectionAddr::TcpTls { host, port, .. } => {
            (host.clone(), *port)
        }
        _ => (String::new(), 0),
    }
}

/// With two providers compiled in, rustls wants one named before the first handshake. An error means that somebody
/// else has named one already.
fn choose_tls_provider() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: Value) -> Value {
        let node = Value::Array(vec![host, Value::Int(7_000), Value::SimpleString("id".to_owned())]);
        Value::Array(vec![Value::Int(first), Value::Int(last), node])
    }

    #[test]
    fn the_owner_of_a_slot_is_read_also_if_it_leaves_out_its_host() {
        let host = || Value::BulkString(b"10.0.0.1".to_vec());
        assert_eq!(owner_of(range(5, 9, host()), 9), Some((Some("10.0.0.1".to_owned()), 7_000)));
        assert_eq!(owner_of(range(5, 9, host()), 10), None);
        assert_eq!(owner_of(range(5, 9, Value::Nil), 5), Some((None, 7_000)));
        assert_eq!(owner_of(Value::Array(vec![Value::Int(1)]), 1), None);
    }
}

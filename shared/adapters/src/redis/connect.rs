//! Connecting for the first time, and refusing servers with which the queue cannot keep its promise.

use redis::aio::MultiplexedConnection;
use redis::{Client, RedisResult};

use super::link;

/// Oldest version with everything that the queue uses.
const VERSION_MIN: (u32, u32) = (7, 0);

/// Why the queue does not start. The texts say what to change and never contain the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be used.
    #[error("the Redis URL is invalid: {0}; it looks like redis://user:password@host:6379/0 or rediss://… for TLS")]
    InvalidUrl(String),
    /// The prefix cannot be used.
    #[error("the Redis key prefix is invalid: {0}")]
    InvalidPrefix(&'static str),
    /// No server answers, or it refuses: try again later, or correct address and credentials.
    #[error("Redis does not answer: {0}")]
    Unreachable(String),
    /// The server is too old.
    #[error("Redis {found} is too old: install Redis 7.0 or newer, or Valkey")]
    TooOld {
        /// Its version.
        found: String,
    },
    /// The server would throw jobs away to save memory.
    #[error(
        "Redis has maxmemory-policy {policy}, which throws jobs away when memory runs short: \
         set maxmemory-policy noeviction, or use a server of its own for Hermes"
    )]
    Evicting {
        /// Its policy.
        policy: String,
    },
    /// The server is a replica.
    #[error("this Redis server is a replica and takes no jobs: give the address of the primary")]
    Replica,
}

/// A client for `url` whose server has answered and is fit for the queue.
pub(super) async fn checked_client(url: &str) -> Result<Client, ConnectError> {
    let client = Client::open(url).map_err(|error| ConnectError::InvalidUrl(category(&error)))?;
    if url.starts_with("rediss:") {
        choose_tls_provider();
    }
    let unreachable = |error: redis::RedisError| ConnectError::Unreachable(error.to_string());
    let mut connection = link::connect(&client, link::RESPONSE_TIMEOUT).await.map_err(unreachable)?;
    let info: String = redis::cmd("INFO").arg("everything").query_async(&mut connection).await.map_err(unreachable)?;
    check_info(&info)?;
    check_policy(policy(&mut connection).await)?;
    Ok(client)
}

/// The library's words without the URL.
fn category(error: &redis::RedisError) -> String {
    error.category().to_owned()
}

/// With two providers compiled in, rustls wants one named before the first handshake. An error means that somebody
/// else has named one already.
fn choose_tls_provider() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

fn check_info(info: &str) -> Result<(), ConnectError> {
    let line = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    // Valkey says under this name which Redis it is compatible with.
    let version = line("redis_version").unwrap_or("of unknown version");
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < VERSION_MIN {
        return Err(ConnectError::TooOld { found: version.to_owned() });
    }
    if line("role") == Some("slave") {
        return Err(ConnectError::Replica);
    }
    Ok(())
}

async fn policy(connection: &mut MultiplexedConnection) -> RedisResult<Option<String>> {
    let answer: Vec<String> = redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy").query_async(connection).await?;
    Ok(answer.into_iter().nth(1))
}

fn check_policy(policy: RedisResult<Option<String>>) -> Result<(), ConnectError> {
    match policy {
        Ok(Some(policy)) if policy == "noeviction" => Ok(()),
        Ok(Some(policy)) => Err(ConnectError::Evicting { policy }),
        Ok(None) => {
            tracing::warn!("Redis does not tell its maxmemory-policy; make sure that it is noeviction");
            Ok(())
        }
        Err(error) => {
            tracing::warn!(%error, "Redis does not tell its maxmemory-policy; make sure that it is noeviction");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_and_replicas_are_refused() {
        assert!(check_info("redis_version:7.0.15\r\nrole:master\r\n").is_ok());
        assert!(check_info("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n").is_ok());
        assert!(
            matches!(check_info("redis_version:6.2.1\r\n"), Err(ConnectError::TooOld { found }) if found == "6.2.1")
        );
        assert!(matches!(check_info(""), Err(ConnectError::TooOld { .. })));
        assert!(matches!(check_info("redis_version:7.4.0\r\nrole:slave\r\n"), Err(ConnectError::Replica)));
    }

    #[test]
    fn only_a_policy_that_throws_nothing_away_is_accepted() {
        assert!(check_policy(Ok(Some("noeviction".to_owned()))).is_ok());
        assert!(check_policy(Ok(None)).is_ok());
        let refused = check_policy(Ok(Some("allkeys-lru".to_owned()))).expect_err("evicting");
        assert!(refused.to_string().contains("set maxmemory-policy noeviction"), "{refused}");
    }

    #[tokio::test]
    async fn an_error_never_quotes_the_password() {
        for url in ["redis://u:s3cret@127.0.0.1:1/0", "redis://u:s3cret@[bad", "nonsense:s3cret@x"] {
            let error = checked_client(url).await.expect_err("no server there");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }
}

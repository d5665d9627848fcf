//! What makes a server unfit for the queue.

use redis::RedisResult;

use super::address::FORMS;

/// Oldest version with everything that the queue uses.
const VERSION_MIN: (u32, u32) = (7, 0);

/// Why the queue has no server. The texts say what to change and never contain the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be used.
    #[error("the Redis URL is invalid: {0}; it looks like {FORMS}")]
    InvalidUrl(String),
    /// The prefix cannot be used.
    #[error("the Redis key prefix is invalid: {0}")]
    InvalidPrefix(&'static str),
    /// No server answers, or none is the primary for now: try again later, or correct the address.
    #[error("Redis does not answer: {0}")]
    Unreachable(String),
    /// A server answers, but not to us.
    #[error("Redis refuses the connection: {0}; correct the user, the password or the user's rights")]
    Refused(String),
    /// The address is of another kind than the server.
    #[error("the Redis URL does not fit what is there: {0}")]
    WrongKind(String),
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

impl ConnectError {
    /// Whether waiting may help; everything else needs somebody to change something.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::InvalidUrl(_)
            | Self::InvalidPrefix(_)
            | Self::Refused(_)
            | Self::WrongKind(_)
            | Self::TooOld { .. }
            | Self::Evicting { .. }
            | Self::Replica => false,
        }
    }
}

/// Refuses a server that is too old, or a replica, by what it says about itself.
pub(super) fn check_info(info: &str) -> Result<(), ConnectError> {
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

/// Refuses a policy that throws anything away; says whether the server tells its policy at all.
pub(super) fn check_policy(policy: RedisResult<Option<String>>) -> Result<bool, ConnectError> {
    match policy {
        Ok(Some(policy)) if policy == "noeviction" => Ok(true),
        Ok(Some(policy)) => Err(ConnectError::Evicting { policy }),
        // Many providers forbid CONFIG.
        Ok(None) | Err(_) => Ok(false),
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
        assert!(check_policy(Ok(Some("noeviction".to_owned()))).is_ok_and(|told| told));
        assert!(check_policy(Ok(None)).is_ok_and(|told| !told));
        let refused = check_policy(Ok(Some("allkeys-lru".to_owned()))).expect_err("evicting");
        assert!(refused.to_string().contains("set maxmemory-policy noeviction"), "{refused}");
    }
}

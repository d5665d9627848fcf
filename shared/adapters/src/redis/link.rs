//! The connection that all short commands of one process share. It is made anew when it breaks; while that fails, calls
//! fail at once instead of queueing up, and attempts are spread by jitter.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::sync::Mutex;
use tokio::time::Instant;

use hermes_core::ports::queue::QueueError;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for the answer to a short command: a busy server is slow, a cut line is silent.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between attempts to connect.
const PAUSE_MS: (u64, u64) = (50, 2_000);

/// A connection for short commands.
pub(super) struct Link {
    client: Client,
    state: Mutex<LinkState>,
}

#[derive(Default)]
struct LinkState {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that an error of an old one does not close the new one.
    generation: u64,
    failures: u32,
    not_before: Option<Instant>,
}

impl Link {
    pub(super) fn new(client: Client) -> Self {
        Self { client, state: Mutex::new(LinkState::default()) }
    }

    /// Runs `commands`, and once more if the connection turns out to be broken: every step of the queue may come twice.
    pub(super) async fn run<T, F>(&self, commands: impl Fn(MultiplexedConnection) -> F) -> Result<T, QueueError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let mut retried = false;
        loop {
            let (connection, generation) = self.connection().await?;
            let error = match commands(connection).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if must_reconnect(&error) {
                self.drop_connection(generation).await;
                if error.is_connection_dropped() && !retried {
                    retried = true;
                    continue;
                }
            }
            return Err(queue_error(&error));
        }
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), QueueError> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok((connection.clone(), state.generation));
        }
        if state.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(QueueError::Unavailable("the connection is being made anew".to_owned()));
        }
        match connect(&self.client, RESPONSE_TIMEOUT).await {
            Ok(connection) => {
                let generation = state.generation + 1;
                *state = LinkState { connection: Some(connection.clone()), generation, ..LinkState::default() };
                Ok((connection, generation))
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                state.not_before = Some(Instant::now() + pause(state.failures));
                Err(queue_error(&error))
            }
        }
    }

    async fn drop_connection(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation {
            state.connection = None;
        }
    }
}

/// A connection whose commands may take up to `response_timeout`.
///
/// Never the library's default of half a second: it also ends blocking reads, and what they deliver then is lost.
pub(super) async fn connect(client: &Client, response_timeout: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(response_timeout));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// The pause before attempt number `failures` + 1: doubling, with full jitter over its upper half.
pub(super) fn pause(failures: u32) -> Duration {
    let (first, longest) = PAUSE_MS;
    let pause_ms = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    Duration::from_millis(rand::random_range(pause_ms / 2..=pause_ms))
}

/// The server's code of an error, also within a pipeline.
pub(super) fn code(error: &RedisError) -> Option<String> {
    if let Some(code) = error.code() {
        return Some(code.to_owned());
    }
    let errors = error.clone().into_server_errors()?;
    errors.first().map(|(_, error)| error.code().to_owned())
}

/// Whether a connection that met this error is of no use any more. A primary that became a replica counts: behind its
/// name there may be another server now.
fn must_reconnect(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed)
        || matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading)
        )
}

/// What the caller can do about an error of the server or the connection.
pub(super) fn queue_error(error: &RedisError) -> QueueError {
    if code(error).is_some_and(|code| code == "OOM") {
        return QueueError::Full("Redis has reached its maxmemory".to_owned());
    }
    QueueError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_never_overflow() {
        assert!((25..=50).contains(&pause(1).as_millis()));
        assert!((100..=200).contains(&pause(3).as_millis()));
        assert!((1_000..=2_000).contains(&pause(u32::MAX).as_millis()));
    }
}

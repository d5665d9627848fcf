//! The connection that all short commands of one process share. It is made anew when it breaks; while that fails, calls
//! fail at once instead of queueing up, and attempts are spread by jitter.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult};
use tokio::sync::Mutex;
use tokio::time::Instant;

use hermes_core::ports::queue::QueueError;

use super::connect::ConnectError;
use super::primary::Primary;

/// Longest wait for the answer to a short command: a busy server is slow, a cut line is silent.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between attempts to connect.
const PAUSE_MS: (u64, u64) = (50, 2_000);

/// A connection for short commands.
pub(super) struct Link {
    primary: Arc<Primary>,
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
    pub(super) fn new(primary: Arc<Primary>) -> Self {
        Self { primary, state: Mutex::new(LinkState::default()) }
    }

    /// Makes the first connection. A failure counts, so that calls right after it do not try again at once.
    pub(super) async fn open(&self) -> Result<(), ConnectError> {
        self.reconnect(&mut *self.state.lock().await).await.map(drop)
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
        self.reconnect(&mut state).await.map_err(|error| QueueError::Unavailable(error.to_string()))
    }

    async fn reconnect(&self, state: &mut LinkState) -> Result<(MultiplexedConnection, u64), ConnectError> {
        match self.primary.connect(RESPONSE_TIMEOUT).await {
            Ok(connection) => {
                let generation = state.generation + 1;
                *state = LinkState { connection: Some(connection.clone()), generation, ..LinkState::default() };
                Ok((connection, generation))
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                state.not_before = Some(Instant::now() + pause(state.failures));
                Err(error)
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

/// Whether a connection that met this error is of no use any more: it is broken, or another server is the primary now
/// (a primary that became a replica, a slot that moved, a cluster or a primary that is down).
fn must_reconnect(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed)
        || code(error).is_some_and(|code| {
            matches!(&*code, "READONLY" | "MOVED" | "CLUSTERDOWN" | "MASTERDOWN" | "LOADING" | "NOAUTH" | "UNBLOCKED")
        })
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

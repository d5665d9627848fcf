//! The one connection that writes, on a thread of its own. What is sent there is a whole transaction or a large part of
//! one, because the way there and back, between threads that have to be woken, costs more than most statements.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hermes_core::ports::store::StoreError;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::error;

/// Statements that stay prepared: all that there are.
const STATEMENTS: usize = 32;

/// The connection, or nothing once it is closed.
type Work = Box<dyn FnOnce(&mut Option<Connection>) + Send>;

/// The near end of the thread that writes.
pub(super) struct Writer {
    work: mpsc::Sender<Work>,
    turns: Arc<Semaphore>,
    patience: Duration,
}

impl Writer {
    /// Opens the file, which is there, and starts the thread, which ends with this value. `patience` is how long a caller
    /// waits for its turn, and a statement for a lock; the log goes to the file whenever it has `checkpoint_pages`.
    pub(super) fn open(path: &Path, patience: Duration, checkpoint_pages: u32) -> Result<Self, StoreError> {
        let connection = connect(path, patience, checkpoint_pages).map_err(error::of_writing)?;
        let (work, pieces) = mpsc::channel::<Work>();
        let mut connection = Some(connection);
        let write = move || pieces.into_iter().for_each(|piece| piece(&mut connection));
        let thread = std::thread::Builder::new().name("hermes-sqlite".to_owned()).spawn(write);
        thread.map_err(|error| StoreError::Unavailable(format!("there is no thread to write with: {error}")))?;
        Ok(Self { work, turns: Arc::new(Semaphore::new(1)), patience })
    }

    /// Waits until nobody else writes.
    pub(super) async fn turn(&self) -> Result<Turn, StoreError> {
        let waiting = tokio::time::timeout(self.patience, Arc::clone(&self.turns).acquire_owned());
        let Ok(Ok(permit)) = waiting.await else {
            let ms = self.patience.as_millis();
            return Err(StoreError::Unavailable(format!("another transaction kept the file for {ms} ms")));
        };
        Ok(Turn { work: self.work.clone(), is_open: false, _permit: permit })
    }

    /// A transaction of one piece.
    pub(super) async fn commit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.turn().await?.commit(work).await
    }

    /// Closes the connection after what was begun, and with it, if it is the last one, the log; nothing can be written
    /// then.
    pub(super) async fn close(&self) {
        let (closed, is_closed) = oneshot::channel::<()>();
        let close = move |connection: &mut Option<Connection>| {
            if let Some(Err((_, error))) = connection.take().map(Connection::close) {
                tracing::warn!(%error, "the file was not closed in order");
            }
            drop(closed);
        };
        let Ok(_turn) = self.turn().await else { return };
        if self.work.send(Box::new(close)).is_ok() {
            // nothing is ever sent: it ends when the closing does
            let _ = is_closed.await;
        }
    }
}

/// The right to write, and the transaction that it was used for. Dropped before its commit, the transaction is rolled back.
pub(super) struct Turn {
    work: mpsc::Sender<Work>,
    is_open: bool,
    // dropped after the roll-back was sent: whoever is next comes behind it
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    /// Does a part of the transaction, and opens it if this is the first.
    pub(super) async fn part<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let was_open = std::mem::replace(&mut self.is_open, true);
        self.send(move |connection| {
            begin(connection, was_open)?;
            work(connection)
        })
        .await
    }

    /// Does the last part of the transaction, or all of it, and commits. If that fails, nothing was written.
    pub(super) async fn commit<T: Send + 'static>(
        self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let was_open = self.is_open;
        self.send(move |connection| {
            begin(connection, was_open)?;
            let outcome = work(connection).and_then(|outcome| {
                execute(connection, "COMMIT")?;
                Ok(outcome)
            });
            if outcome.is_err() {
                roll_back(connection);
            }
            outcome
        })
        .await
    }

    async fn send<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Unavailable("the store was closed".to_owned());
        let (answer, answered) = oneshot::channel();
        let piece = move |connection: &mut Option<Connection>| {
            let outcome = connection.as_ref().ok_or_else(gone).and_then(work);
            // whoever asked may not wait any more
            let _ = answer.send(outcome);
        };
        self.work.send(Box::new(piece)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_open {
            // a thread that is not there any more has no transaction
            let _ = self.work.send(Box::new(|connection| connection.iter().for_each(roll_back)));
        }
    }
}

fn connect(path: &Path, patience: Duration, checkpoint_pages: u32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(patience)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", checkpoint_pages)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn execute(connection: &Connection, statement: &'static str) -> Result<(), StoreError> {
    let done = connection.prepare_cached(statement).and_then(|mut statement| statement.execute(()));
    done.map(drop).map_err(error::of_writing)
}

/// Takes the write lock, unless this turn has it.
fn begin(connection: &Connection, was_open: bool) -> Result<(), StoreError> {
    if !connection.is_autocommit() {
        if was_open {
            return Ok(());
        }
        // somebody's transaction could not be rolled back: nothing of it may be committed with this one
        execute(connection, "ROLLBACK")?;
    }
    execute(connection, "BEGIN IMMEDIATE")
}

/// Ends a transaction without its effects; some errors, such as a full disk, have ended it already.
fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = execute(connection, "ROLLBACK")
    {
        tracing::warn!(%error, "a transaction could not be rolled back");
    }
}

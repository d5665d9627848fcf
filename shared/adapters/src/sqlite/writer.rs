//! The one connection that writes, on a thread of its own. What is sent there is a whole transaction or a large part of
//! one, because the way there and back, between threads that have to be woken, costs more than most statements.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hermes_core::ports::store::StoreError;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::checkpoint::Checkpoints;
use super::error;

/// Statements that stay prepared: all that there are.
const STATEMENTS: usize = 32;

/// How long a caller waits for its turn, and a statement for a lock.
const WAIT: Duration = Duration::from_secs(10);

/// It gets nothing once the file is closed.
type Work = Box<dyn FnOnce(&mut Option<File>) + Send>;

/// The open file.
struct File {
    connection: Connection,
    checkpoints: Checkpoints,
}

impl File {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = connect(path).map_err(error::of_writing)?;
        let checkpoints = Checkpoints::of(&connection, path)?;
        Ok(Self { connection, checkpoints })
    }

    /// Closes both connections; the last one of all brings the log into the file.
    fn close(self) {
        self.checkpoints.end();
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the file was not closed in order");
        }
    }
}

/// The near end of the thread that writes.
pub(super) struct Writer {
    work: mpsc::Sender<Work>,
    turns: Arc<Semaphore>,
}

impl Writer {
    /// Opens the file, which is there, and starts the thread, which ends with this value.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let (work, pieces) = mpsc::channel::<Work>();
        let mut file = Some(File::open(path)?);
        let write = move || {
            for piece in pieces {
                piece(&mut file);
                if let Some(File { connection, checkpoints }) = &mut file {
                    checkpoints.look(connection);
                }
            }
            if let Some(file) = file {
                file.close();
            }
        };
        let thread = std::thread::Builder::new().name("hermes-sqlite".to_owned()).spawn(write);
        thread.map_err(|error| StoreError::Unavailable(format!("a thread cannot be started: {error}")))?;
        Ok(Self { work, turns: Arc::new(Semaphore::new(1)) })
    }

    /// Waits until nobody else writes.
    pub(super) async fn turn(&self) -> Result<Turn, StoreError> {
        let waiting = tokio::time::timeout(WAIT, Arc::clone(&self.turns).acquire_owned());
        let Ok(Ok(permit)) = waiting.await else {
            let ms = WAIT.as_millis();
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

    /// Closes the file after what was begun; nothing can be written then.
    pub(super) async fn close(&self) {
        let (closed, is_closed) = oneshot::channel::<()>();
        let close = move |file: &mut Option<File>| {
            if let Some(file) = file.take() {
                file.close();
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
        let piece = move |file: &mut Option<File>| {
            let outcome = file.as_ref().ok_or_else(gone).and_then(|file| work(&file.connection));
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
            let _ = self.work.send(Box::new(|file| file.iter().for_each(|file| roll_back(&file.connection))));
        }
    }
}

/// A connection that may write. What it commits is durable.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(WAIT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        writer: Writer,
        folder: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("hermes.db");
            Connection::open(&path).and_then(|new| new.execute_batch("CREATE TABLE t (x)")).expect("made");
            Self { writer: Writer::open(&path).expect("it opens"), folder }
        }

        async fn count(&self) -> i64 {
            let count = |connection: &Connection| connection.query_row("SELECT count(*) FROM t", (), |row| row.get(0));
            self.writer.commit(move |connection| count(connection).map_err(error::of_writing)).await.expect("counted")
        }
    }

    fn insert(connection: &Connection) -> Result<(), StoreError> {
        connection.execute("INSERT INTO t VALUES (1)", ()).map(drop).map_err(error::of_writing)
    }

    #[tokio::test]
    async fn what_is_not_committed_is_rolled_back_and_the_next_one_writes() {
        let world = World::new();
        let mut turn = world.writer.turn().await.expect("nobody else writes");
        turn.part(insert).await.expect("written");
        turn.part(insert).await.expect("written");
        drop(turn);
        assert_eq!(world.count().await, 0);
        let mut turn = world.writer.turn().await.expect("nobody else writes");
        turn.part(insert).await.expect("written");
        turn.commit(insert).await.expect("committed");
        assert_eq!(world.count().await, 2);
    }

    #[tokio::test]
    async fn a_part_that_fails_takes_the_whole_transaction_with_it() {
        let world = World::new();
        let mut turn = world.writer.turn().await.expect("nobody else writes");
        turn.part(insert).await.expect("written");
        let defect = || StoreError::Defect("no".to_owned());
        turn.commit(move |connection| insert(connection).and(Err::<(), _>(defect()))).await.expect_err("it says so");
        assert_eq!(world.count().await, 0);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_leaves_no_transaction_behind() {
        let world = World::new();
        let mut turn = world.writer.turn().await.expect("nobody else writes");
        let (go_on, gate) = mpsc::channel::<()>();
        let slow = turn.part(move |connection| {
            let _ = gate.recv();
            insert(connection)
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), slow).await.is_err(), "it is waited for");
        drop(turn);
        drop(go_on);
        assert_eq!(world.count().await, 0);
    }

    #[tokio::test]
    async fn a_closed_file_says_so_and_has_no_log() {
        let world = World::new();
        world.writer.commit(insert).await.expect("committed");
        let log = world.folder.path().join("hermes.db-wal");
        assert!(log.exists());
        world.writer.close().await;
        assert!(!log.exists(), "it is in the file");
        let refused = world.writer.commit(insert).await.expect_err("it is closed");
        assert!(refused.to_string().contains("closed"), "{refused}");
    }
}

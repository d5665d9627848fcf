//! The one connection that writes, on a thread of its own. What is sent there is a whole transaction or a large part of
//! one, because the way there and back, between threads that have to be woken, costs more than most statements.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use hermes_core::ports::store::StoreError;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::checkpoint::{Checkpoints, checkpoint};
use super::lock::Lock;
use super::{WAIT, error};

/// Statements that stay prepared: all that there are.
const STATEMENTS: usize = 32;

/// Something to be done with the file, which is not there any more once it was closed.
type Piece = Box<dyn FnOnce(Option<&File>) + Send>;

/// What the thread does, one after the other.
enum Order {
    /// A transaction of one piece.
    Whole(Piece),
    /// A transaction of several pieces. Nothing else is done until the sender of those after the first one goes.
    Turn { first: Piece, others: mpsc::Receiver<Piece> },
    /// The end; whatever comes later finds no file.
    Close(oneshot::Sender<io::Result<()>>),
}

/// The open file, and the right of this process to have it.
struct File {
    connection: Connection,
    checkpoints: Checkpoints,
    lock: Arc<Lock>,
}

impl File {
    fn open(path: &Path, lock: Arc<Lock>) -> Result<Self, StoreError> {
        let connection = connect(path).map_err(error::of_writing)?;
        let checkpoints = Checkpoints::of(&connection, path)?;
        Ok(Self { connection, checkpoints, lock })
    }

    /// Closes both connections, of which the last one brings the log into the file; then others may have it.
    fn close(self) -> io::Result<()> {
        self.checkpoints.end();
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the file was not closed in order");
        }
        self.lock.release()
    }
}

/// The near end of the thread that writes.
pub(super) struct Writer {
    orders: mpsc::Sender<Order>,
    lock: Arc<Lock>,
}

impl Writer {
    /// Opens the file, which is there, and starts the thread. When this value goes, the thread closes the file, and lets
    /// others have it.
    pub(super) fn open(path: &Path, lock: Lock) -> Result<Self, StoreError> {
        let lock = Arc::new(lock);
        let (orders, queue) = mpsc::channel();
        let file = File::open(path, Arc::clone(&lock))?;
        let thread = std::thread::Builder::new().name("hermes-sqlite".to_owned()).spawn(move || serve(queue, file));
        thread.map_err(|error| StoreError::Unavailable(format!("a thread cannot be started: {error}")))?;
        Ok(Self { orders, lock })
    }

    /// The right of this process to have the file.
    pub(super) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Opens a transaction that goes on after this first piece of work.
    pub(super) async fn turn<T: Send + 'static>(&self, work: impl Work<T>) -> Result<(Turn, T), StoreError> {
        let (pieces, others) = mpsc::channel();
        let first = |connection: &Connection| begin(connection).and_then(|()| work(connection));
        let outcome = self.ask(first, |first| Order::Turn { first, others }).await?;
        Ok((Turn { pieces }, outcome))
    }

    /// A transaction of one piece. Those that come while another is written follow it at once.
    pub(super) async fn commit<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T, StoreError> {
        let whole = |connection: &Connection| begin(connection).and_then(|()| commit(connection, work));
        self.ask(whole, Order::Whole).await
    }

    /// Has something done when it is its turn. Whoever stops waiting before that takes it back; what has begun is waited
    /// for, however long it takes.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl Work<T>,
        order: impl FnOnce(Piece) -> Order,
    ) -> Result<T, StoreError> {
        let waiting = Waiting(Arc::new(Mutex::new(Some(work))));
        let work = Arc::clone(&waiting.0);
        let (piece, mut answered) = piece(move |connection| {
            let work = lock(&work).take();
            work.map_or_else(|| Err(kept()), |work| work(connection))
        });
        self.orders.send(order(piece)).map_err(|_| gone())?;
        let answer = match tokio::time::timeout(WAIT, &mut answered).await {
            Ok(answer) => answer,
            Err(_) if waiting.take_back() => return Err(kept()),
            Err(_) => answered.await,
        };
        answer.map_err(|_| gone())?
    }

    /// Closes the file after all that was ordered before, however long that takes; nothing can be written then.
    pub(super) async fn close(&self) -> io::Result<()> {
        let (closed, is_closed) = oneshot::channel();
        if self.orders.send(Order::Close(closed)).is_err() {
            return Ok(());
        }
        is_closed.await.unwrap_or(Ok(()))
    }
}

/// What is done within a transaction.
pub(super) trait Work<T>: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static {}

impl<T, F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static> Work<T> for F {}

/// The thread.
fn serve(orders: mpsc::Receiver<Order>, file: File) {
    let mut file = Some(file);
    for order in orders {
        match order {
            Order::Whole(piece) => piece(file.as_ref()),
            Order::Turn { first, others } => {
                std::iter::once(first).chain(others).for_each(|piece| piece(file.as_ref()))
            }
            Order::Close(closed) => {
                // whoever asked may not wait any more
                let _ = closed.send(file.take().map_or(Ok(()), File::close));
            }
        }
        if let Some(File { connection, checkpoints, .. }) = &mut file {
            roll_back(connection);
            checkpoints.look(connection);
        }
    }
    if let Some(Err(error)) = file.map(File::close) {
        tracing::warn!(%error, "the lock of the store cannot be released");
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store was closed".to_owned())
}

fn kept() -> StoreError {
    StoreError::Unavailable(format!("another transaction kept the file for {} ms", WAIT.as_millis()))
}

/// Work that nobody has begun, until somebody takes it.
struct Waiting<W>(Arc<Mutex<Option<W>>>);

impl<W> Waiting<W> {
    /// Whether it had not begun, and never will.
    fn take_back(&self) -> bool {
        lock(&self.0).take().is_some()
    }
}

impl<W> Drop for Waiting<W> {
    fn drop(&mut self) {
        self.take_back();
    }
}

fn lock<W>(work: &Mutex<Option<W>>) -> MutexGuard<'_, Option<W>> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open transaction. Dropped before its commit, it is rolled back.
pub(super) struct Turn {
    pieces: mpsc::Sender<Piece>,
}

impl Turn {
    /// Does a part of the transaction.
    pub(super) async fn part<T: Send + 'static>(&mut self, work: impl Work<T>) -> Result<T, StoreError> {
        let (piece, answered) = piece(|connection| go_on(connection).and_then(|()| work(connection)));
        self.pieces.send(piece).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Does the last part of the transaction, and commits. If `work` fails, nothing was written; if the commit itself does,
    /// the error says whether that is known.
    pub(super) async fn commit<T: Send + 'static>(self, work: impl Work<T>) -> Result<T, StoreError> {
        let (piece, answered) = piece(|connection| go_on(connection).and_then(|()| commit(connection, work)));
        self.pieces.send(piece).map_err(|_| gone())?;
        // the next order need not wait until the answer has been heard
        drop(self);
        answered.await.map_err(|_| gone())?
    }
}

/// Work for the thread, and its outcome to come.
fn piece<T: Send + 'static>(work: impl Work<T>) -> (Piece, oneshot::Receiver<Result<T, StoreError>>) {
    let (answer, answered) = oneshot::channel();
    let piece = move |file: Option<&File>| {
        let outcome = file.ok_or_else(gone).and_then(|file| {
            // The thread goes on after a panic; what it left of a transaction is rolled back.
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&file.connection)));
            outcome.unwrap_or_else(|_| Err(StoreError::Defect("a panic while writing, see the log".to_owned())))
        });
        // whoever asked may not wait any more
        let _ = answer.send(outcome);
    };
    (Box::new(piece), answered)
}

/// A connection that may write. What it commits is durable.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(WAIT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn execute(connection: &Connection, statement: &'static str) -> Result<(), StoreError> {
    let done = connection.prepare_cached(statement).and_then(|mut statement| statement.execute(()));
    done.map(drop).map_err(error::of_writing)
}

/// Opens a transaction, and takes the write lock.
fn begin(connection: &Connection) -> Result<(), StoreError> {
    if connection.is_autocommit() {
        execute(connection, "BEGIN IMMEDIATE")
    } else {
        // nothing of it may be committed with this one
        Err(StoreError::Unavailable("the transaction before could not be rolled back".to_owned()))
    }
}

/// Whether the transaction is still open.
fn go_on(connection: &Connection) -> Result<(), StoreError> {
    if connection.is_autocommit() {
        Err(StoreError::Unavailable("an error has ended the transaction".to_owned()))
    } else {
        Ok(())
    }
}

/// Does the last part of a transaction, and commits.
fn commit<T>(connection: &Connection, work: impl Work<T>) -> Result<T, StoreError> {
    let outcome = work(connection).and_then(|outcome| {
        execute(connection, "COMMIT")?;
        Ok(outcome)
    });
    if let Err(StoreError::Full(_)) = &outcome {
        // once nothing is written, all of the log can go to the file, and has room again
        roll_back(connection);
        checkpoint(connection);
    }
    outcome
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
    use std::time::Duration;

    use super::*;
    use crate::sqlite::owner_of;

    struct World {
        writer: Writer,
        folder: tempfile::TempDir,
    }

    impl World {
        async fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("hermes.db");
            Connection::open(&path).and_then(|new| new.execute_batch("CREATE TABLE t (x)")).expect("made");
            let lock = Lock::take(&path, "").await.expect("nobody has it");
            Self { writer: Writer::open(&path, lock).expect("it opens"), folder }
        }

        /// A transaction that has written.
        async fn turn(&self) -> Turn {
            self.writer.turn(insert).await.expect("nobody else writes").0
        }

        async fn number(&self, sql: &'static str) -> i64 {
            let read = |connection: &Connection| connection.query_row(sql, (), |row| row.get(0));
            self.writer.commit(move |connection| read(connection).map_err(error::of_writing)).await.expect("a number")
        }

        async fn count(&self) -> i64 {
            self.number("SELECT count(*) FROM t").await
        }
    }

    fn insert(connection: &Connection) -> Result<(), StoreError> {
        connection.execute("INSERT INTO t VALUES (1)", ()).map(drop).map_err(error::of_writing)
    }

    fn fail(_: &Connection) -> Result<(), StoreError> {
        Err(StoreError::Defect("no".to_owned()))
    }

    #[tokio::test]
    async fn what_is_committed_was_synced() {
        let world = World::new().await;
        let full = 2;
        assert_eq!(world.number("SELECT synchronous FROM pragma_synchronous").await, full);
        assert_eq!(world.number("SELECT journal_mode = 'wal' FROM pragma_journal_mode").await, 1);
    }

    #[tokio::test]
    async fn what_is_not_committed_is_rolled_back_and_the_next_one_writes() {
        let world = World::new().await;
        let mut turn = world.turn().await;
        turn.part(insert).await.expect("written");
        drop(turn);
        assert_eq!(world.count().await, 0);
        let turn = world.turn().await;
        turn.commit(insert).await.expect("committed");
        assert_eq!(world.count().await, 2);
    }

    #[tokio::test]
    async fn a_part_that_fails_takes_the_whole_transaction_with_it() {
        let world = World::new().await;
        let mut turn = world.turn().await;
        turn.part(fail).await.expect_err("it says so");
        drop(turn);
        assert_eq!(world.count().await, 0);
        let turn = world.turn().await;
        turn.commit(|connection| insert(connection).and_then(|()| fail(connection))).await.expect_err("it says so");
        assert_eq!(world.count().await, 0);
    }

    #[tokio::test]
    async fn a_transaction_that_an_error_has_ended_is_not_committed_in_part() {
        let world = World::new().await;
        let mut turn = world.turn().await;
        turn.part(|connection| execute(connection, "ROLLBACK")).await.expect("as a full disk does");
        let refused = turn.commit(insert).await.expect_err("its first part is gone");
        assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
        assert_eq!(world.count().await, 0);
    }

    #[tokio::test]
    async fn a_panic_ends_its_transaction_and_nothing_else() {
        let world = World::new().await;
        let panic = |connection: &Connection| insert(connection).map(|()| panic!("on purpose"));
        for refused in [world.turn().await.commit::<()>(panic).await, world.writer.commit::<()>(panic).await] {
            assert!(matches!(refused, Err(StoreError::Defect(_))), "{refused:?}");
        }
        world.writer.commit(insert).await.expect("committed");
        assert_eq!(world.count().await, 1);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_leaves_no_transaction_behind() {
        let world = World::new().await;
        let mut turn = world.turn().await;
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
    async fn whoever_goes_before_it_is_their_turn_has_written_nothing() {
        let world = World::new().await;
        let turn = world.turn().await;
        let waiting = world.writer.commit(insert);
        assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
        drop(turn);
        assert_eq!(world.count().await, 0);
    }

    #[tokio::test]
    async fn whoever_waits_too_long_for_others_has_written_nothing() {
        let world = World::new().await;
        let turn = world.turn().await;
        tokio::time::pause();
        let refused = world.writer.commit(insert).await.expect_err("somebody else has the file");
        assert!(refused.to_string().contains("kept the file"), "{refused}");
        tokio::time::resume();
        drop(turn);
        assert_eq!(world.count().await, 0);
    }

    #[tokio::test]
    async fn what_has_begun_is_waited_for_however_long_it_takes() {
        let world = World::new().await;
        let (begun, has_begun) = oneshot::channel();
        let (go_on, gate) = mpsc::channel::<()>();
        let slow = world.writer.commit(move |connection| {
            begun.send(()).expect("somebody waits");
            let _ = gate.recv();
            insert(connection)
        });
        let meanwhile = async {
            has_begun.await.expect("it begins");
            tokio::time::pause();
            tokio::time::sleep(2 * WAIT).await;
            tokio::time::resume();
            drop(go_on);
        };
        let (written, ()) = tokio::join!(slow, meanwhile);
        written.expect("committed");
        assert_eq!(world.count().await, 1);
    }

    #[tokio::test]
    async fn closing_waits_for_whoever_writes_and_then_others_may_have_the_file() {
        let world = World::new().await;
        let path = world.folder.path().join("hermes.db");
        let log = world.folder.path().join("hermes.db-wal");
        world.writer.commit(insert).await.expect("committed");
        assert!(log.exists());
        let turn = world.turn().await;
        {
            let closing = world.writer.close();
            tokio::pin!(closing);
            assert!(tokio::time::timeout(Duration::from_millis(20), &mut closing).await.is_err());
            assert_eq!(owner_of(&path).as_deref(), Some(""), "it is still in use");
            turn.commit(insert).await.expect("committed");
            closing.await.expect("closed");
        }
        assert!(!log.exists(), "it is in the file");
        assert_eq!(owner_of(&path), None);
        let refused = world.writer.commit(insert).await.expect_err("it is closed");
        assert!(refused.to_string().contains("closed"), "{refused}");
    }
}

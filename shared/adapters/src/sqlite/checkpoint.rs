//! Bringing the write-ahead log into the file, beside the writing: on a thread and over a connection of its own. As long as
//! something is written meanwhile, such a checkpoint never reaches the end of the log, and only then does SQLite sync the
//! file and begin the log anew. So whoever writes does the rest, when the log is long: a few pages then, and the sync of
//! what the system has not brought to the disk by itself.

use std::cell::Cell;
use std::ffi::c_int;
use std::path::Path;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

use hermes_core::ports::store::StoreError;
use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::error;
use super::writer::connect;

/// So many pages of 4 KiB in the log, and so many more each time, go to the file beside the writing. A page that is
/// written again and again goes there once.
const BESIDE_PAGES: c_int = 1_000;
/// With so many pages, whoever writes sees to the rest.
const REST_PAGES: c_int = 4_000;

thread_local! {
    /// Pages in the log after the last commit of this thread, until somebody has looked.
    static LOG_PAGES: Cell<c_int> = const { Cell::new(0) };
}

/// The thread, seen from the one that writes.
pub(super) struct Checkpoints {
    wanted: SyncSender<()>,
    thread: JoinHandle<()>,
    /// Pages that were in the log when a checkpoint was last wanted.
    wanted_at: c_int,
}

impl Checkpoints {
    /// Starts the thread for what `writing` writes to the file, instead of SQLite's own checkpoints.
    pub(super) fn of(writing: &Connection, path: &Path) -> Result<Self, StoreError> {
        writing.wal_hook(Some(|_: &Wal, pages| {
            LOG_PAGES.set(pages);
            Ok(())
        }));
        let connection = connect(path).map_err(error::of_writing)?;
        // one that is wanted while another goes on comes after it
        let (wanted, orders) = mpsc::sync_channel(1);
        let checkpoints = move || {
            for () in orders {
                checkpoint(&connection);
            }
        };
        let thread = std::thread::Builder::new().name("hermes-log".to_owned()).spawn(checkpoints);
        let thread = thread.map_err(|error| StoreError::Unavailable(format!("a thread cannot be started: {error}")))?;
        Ok(Self { wanted, thread, wanted_at: 0 })
    }

    /// Looks at the log after something was written over this connection.
    pub(super) fn look(&mut self, writing: &Connection) {
        let pages = LOG_PAGES.take();
        let nothing_committed = pages == 0;
        if nothing_committed {
            return;
        }
        let begun_anew = pages < self.wanted_at;
        if begun_anew {
            self.wanted_at = 0;
        }
        if pages >= REST_PAGES {
            checkpoint(writing);
        } else if pages >= self.wanted_at + BESIDE_PAGES {
            self.wanted_at = pages;
            // if one is wanted already, that is enough
            let _ = self.wanted.try_send(());
        }
    }

    /// Ends the thread and closes its connection.
    pub(super) fn end(self) {
        drop(self.wanted);
        if self.thread.join().is_err() {
            tracing::error!("the thread that brought the log into the file had panicked");
        }
    }
}

/// Brings into the file what nobody keeps from it: neither another checkpoint nor somebody who still reads.
pub(super) fn checkpoint(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())) {
        tracing::warn!(%error, "the log of the store cannot be brought into its file");
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const PAGE_BYTES: c_int = 4_096;
    /// What one commit of these tests writes.
    const PAGES: c_int = 256;

    struct World {
        folder: TempDir,
        writing: Connection,
        checkpoints: Checkpoints,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("hermes.db");
            Connection::open(&path).and_then(|new| new.execute_batch("CREATE TABLE t (x)")).expect("made");
            let writing = connect(&path).expect("it opens");
            let checkpoints = Checkpoints::of(&writing, &path).expect("started");
            Self { folder, writing, checkpoints }
        }

        fn write(&mut self, pages: c_int) {
            for _ in 0..pages / PAGES {
                let bytes = PAGES * PAGE_BYTES;
                self.writing.execute("INSERT INTO t VALUES (zeroblob(?))", [bytes]).expect("written");
                self.checkpoints.look(&self.writing);
            }
        }
    }

    fn pages_of(folder: &TempDir, file: &str) -> c_int {
        let bytes = std::fs::metadata(folder.path().join(file)).expect("it is there").len();
        c_int::try_from(bytes / u64::from(PAGE_BYTES.unsigned_abs())).expect("a small file")
    }

    #[test]
    fn most_of_the_log_is_brought_into_the_file_by_the_other_thread() {
        let mut world = World::new();
        world.write(2 * BESIDE_PAGES);
        const { assert!(2 * BESIDE_PAGES < REST_PAGES, "whoever writes does nothing of it") };
        let World { folder, writing: _writing, checkpoints } = world;
        checkpoints.end();
        let pages = pages_of(&folder, "hermes.db");
        assert!(pages >= BESIDE_PAGES, "{pages}");
    }

    #[test]
    fn the_log_stays_short_however_much_is_written() {
        let mut world = World::new();
        world.write(8 * REST_PAGES);
        let log = pages_of(&world.folder, "hermes.db-wal");
        assert!(log < 2 * REST_PAGES, "{log} pages");
        let sum = "SELECT sum(length(x)) FROM t";
        let bytes: i64 = world.writing.query_row(sum, (), |row| row.get(0)).expect("read");
        assert_eq!(bytes, i64::from(8 * REST_PAGES / PAGES * PAGES) * i64::from(PAGE_BYTES));
        world.checkpoints.end();
    }
}

//! Bringing the write-ahead log into the file, beside the writing: on a thread and over a connection of its own. As long as
//! something is written meanwhile, such a checkpoint never reaches the end of the log, and only then does SQLite begin it
//! anew. So whoever writes does the rest, when the log is long; it is little then.

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
const REST_PAGES: c_int = 8_000;

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
fn checkpoint(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())) {
        tracing::warn!(%error, "the log of the store cannot be brought into its file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_stays_short_however_much_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hermes.db");
        Connection::open(&path).and_then(|new| new.execute_batch("CREATE TABLE t (x)")).expect("made");
        let writing = connect(&path).expect("it opens");
        let mut checkpoints = Checkpoints::of(&writing, &path).expect("started");
        let pages = 256;
        for _ in 0..4 * REST_PAGES / pages {
            writing.execute("INSERT INTO t VALUES (zeroblob(?))", [pages * 4_096]).expect("written");
            checkpoints.look(&writing);
        }
        let log = std::fs::metadata(path.with_extension("db-wal")).expect("it is there").len();
        let longest = u64::try_from(2 * REST_PAGES).expect("positive") * 4_096;
        assert!(log < longest, "{log} bytes");
        checkpoints.end();
        let written: i64 = writing.query_row("SELECT sum(length(x)) FROM t", (), |row| row.get(0)).expect("read");
        assert_eq!(written, i64::from(4 * REST_PAGES / pages * pages) * 4_096);
    }
}

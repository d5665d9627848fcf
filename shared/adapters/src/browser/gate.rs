//! One page at a time on a machine: within this process by turns, among processes by a lock on a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

/// How often the lock of another process is tried.
const TRY_MS: u64 = 100;
/// Name of the file, in the folder for temporary files.
const FILE: &str = "hermes-browser.lock";

/// The turns of this process.
static TURNS: Semaphore = Semaphore::const_new(1);

/// Whoever has it may use the browser. The system takes the lock back when the process ends, however it ends.
pub(super) struct Permit {
    _turn: SemaphorePermit<'static>,
    _lock: Option<File>,
}

/// Waits for a permit until `end`; `None` if there was none.
pub(super) async fn enter(end: Instant) -> Option<Permit> {
    let turn = timeout_at(end, TURNS.acquire()).await.ok()?.expect("it is never closed");
    let lock = match open(std::env::temp_dir().join(FILE)) {
        Ok(file) => Some(lock(file, end).await?),
        Err(error) => {
            debug!(%error, "no lock file for the browser: only this process takes turns");
            None
        }
    };
    Some(Permit { _turn: turn, _lock: lock })
}

/// Another user's file can be read, which is enough to lock it.
fn open(path: PathBuf) -> std::io::Result<File> {
    File::open(&path).or_else(|_| OpenOptions::new().create(true).append(true).open(&path))
}

async fn lock(file: File, end: Instant) -> Option<File> {
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::WouldBlock) => {}
            // A file system without locks.
            Err(TryLockError::Error(_)) => return Some(file),
        }
        if Instant::now() >= end {
            return None;
        }
        sleep(Duration::from_millis(TRY_MS)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_that_another_process_has_is_waited_for_and_no_longer_than_there_is_time() {
        let path = std::env::temp_dir().join(format!("hermes-gate-{}", crate::entropy::process_id()));
        let held = open(path.clone()).expect("a file");
        held.try_lock().expect("nobody else knows it");
        let soon = Instant::now() + Duration::from_millis(150);
        assert!(lock(open(path.clone()).expect("a file"), soon).await.is_none());
        drop(held);
        assert!(lock(open(path.clone()).expect("a file"), Instant::now()).await.is_some());
        std::fs::remove_file(path).expect("it is ours");
    }
}

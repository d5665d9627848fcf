//! One page at a time on a machine: within this process by turns, among processes by a lock on a file.
//!
//! A lock knows no queue. So a process that had it stays away from it for a little longer than others need to try: who
//! loads page after page would keep everybody else out.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::debug;

/// How often the lock of another process is tried.
const TRY_MS: u64 = 100;
/// How long a process that had the lock leaves it to others: they try it twice in that time.
const YIELD_MS: u64 = 2 * TRY_MS + TRY_MS / 2;
/// Name of the file, in the folder for temporary files.
const FILE: &str = "hermes-browser.lock";

/// The turns of one process.
struct Turns {
    one: Semaphore,
    /// When the lock was given back, at last.
    given_back: Mutex<Option<Instant>>,
}

impl Turns {
    const fn new() -> Self {
        Self { one: Semaphore::const_new(1), given_back: Mutex::new(None) }
    }
}

/// Those of this process.
static TURNS: Turns = Turns::new();

/// Whoever has it may use the browser. The system takes the lock back when the process ends, however it ends.
pub(super) struct Permit {
    lock: Option<File>,
    turns: &'static Turns,
    _turn: SemaphorePermit<'static>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.lock.take().is_some() {
            *self.turns.given_back.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }
}

/// Waits for a permit until `end`; `None` if there was none.
pub(super) async fn enter(end: Instant) -> Option<Permit> {
    enter_by(&TURNS, std::env::temp_dir().join(FILE), end).await
}

async fn enter_by(turns: &'static Turns, path: PathBuf, end: Instant) -> Option<Permit> {
    let turn = timeout_at(end, turns.one.acquire()).await.ok()?.expect("it is never closed");
    let lock = match open(path) {
        Ok(file) => {
            let given_back = *turns.given_back.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = given_back {
                sleep_until((at + Duration::from_millis(YIELD_MS)).min(end)).await;
            }
            Some(lock(file, end).await?)
        }
        Err(error) => {
            debug!(%error, "no lock file for the browser: only this process takes turns");
            None
        }
    };
    Some(Permit { lock, turns, _turn: turn })
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

    /// A process of its own, as far as the gate can tell.
    fn process() -> &'static Turns {
        Box::leak(Box::new(Turns::new()))
    }

    #[tokio::test]
    async fn who_loads_page_after_page_lets_another_process_in_between() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let (eager, other) = (process(), process());
        let late = Instant::now() + Duration::from_secs(20);
        let first = enter_by(eager, path.clone(), late).await.expect("nobody else is there");
        let mut waiting = tokio::spawn(enter_by(other, path.clone(), late));
        // It tries its luck more than once.
        assert!(timeout_at(Instant::now() + Duration::from_millis(2 * TRY_MS), &mut waiting).await.is_err());
        drop(first);
        let again = tokio::spawn(enter_by(eager, path, late));
        let others = waiting.await.expect("no panic").expect("its turn");
        assert!(!again.is_finished(), "one at a time");
        drop(others);
        assert!(again.await.expect("no panic").is_some());
    }

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

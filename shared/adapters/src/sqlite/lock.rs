//! One process per file: an exclusive lock on a file beside it, which the operating system releases with the process.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::store::OpenError;

/// Someone who looks for the owner holds the lock for a moment: the lock is tried this often.
const TRIES: u32 = 5;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest note that is read.
const NOTE_BYTES_MAX: u64 = 4_096;

/// The lock, held as long as the value lives.
pub(super) struct Lock {
    file: Mutex<File>,
}

impl Lock {
    /// Takes the lock of the database at `path` and writes `note` into its file.
    pub(super) async fn take(path: &Path, note: &str) -> Result<Self, OpenError> {
        let failed =
            |error: io::Error| OpenError::Unavailable(format!("cannot lock {}: {error}", lock_path(path).display()));
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(lock_path(path));
        let file = open.map_err(failed)?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < TRIES => tokio::time::sleep(PAUSE).await,
                Err(TryLockError::WouldBlock) => return Err(in_use(path)),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        let lock = Self { file: Mutex::new(file) };
        lock.announce(note).map_err(failed)?;
        Ok(lock)
    }

    /// Replaces the note.
    pub(super) fn announce(&self, note: &str) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(note.as_bytes())?;
        file.flush()
    }
}

impl Lock {
    /// Lets others have the database, before the value goes.
    pub(super) fn release(&self) -> io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).unlock()
    }
}

fn in_use(path: &Path) -> OpenError {
    let place = match owner_of(path) {
        Some(note) if !note.is_empty() => format!(" ({note})"),
        Some(_) | None => String::new(),
    };
    OpenError::InUse(format!("{} is in use by another process{place}; stop it or use another file", path.display()))
}

/// The note of the process that has the database at `path` open, `None` if there is none. An empty note is a process
/// that did not leave one.
#[must_use]
pub fn owner_of(path: impl AsRef<Path>) -> Option<String> {
    let file = File::open(lock_path(path.as_ref())).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut note = String::new();
            file.take(NOTE_BYTES_MAX).read_to_string(&mut note).ok()?;
            Some(note)
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push("-lock");
    name.into()
}

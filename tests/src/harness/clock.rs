//! A wall clock of a process's own, which a test may turn while the process runs (libfaketime). Monotonic time goes on
//! as it does on a real machine whose clock is set.

use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A clock that goes wrong.
pub struct Clock {
    told: NamedTempFile,
}

impl Clock {
    /// A clock that is off by this much: `+1h`, `-90m`, `+10s`.
    #[must_use]
    pub fn off_by(offset: &str) -> Self {
        let clock = Self { told: NamedTempFile::new().expect("a temporary file can be made") };
        clock.turn(offset);
        clock
    }

    /// From now on it is off by this much instead.
    pub fn turn(&self, offset: &str) {
        std::fs::write(self.told.path(), offset).expect("the file is ours");
    }

    /// What gives this clock to a process.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let pairs = [
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.told.path().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value)).to_vec()
    }
}

/// Where Debian's package has the library, for each architecture.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let candidates = folders.chain([Path::new("/usr/lib").to_owned()]);
    candidates
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
        .expect("libfaketime is needed for this test: apt-get install faketime")
}

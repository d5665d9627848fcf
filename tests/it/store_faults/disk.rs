//! A small disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system of its own. It goes with the value.
pub(super) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// A disk with this many KiB; none if this user may not mount one, and then the test says so and proves nothing.
    pub(super) fn of_kib(size: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={size}k,mode=0777");
        let mounted = mount(&["-t", "tmpfs", "-o", &options, "hermes-test"], folder.path());
        if !mounted {
            eprintln!("skipped: no right to mount a small disk");
        }
        mounted.then_some(Self { folder })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Changes its size or makes it read-only.
    pub(super) fn remount(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], self.folder.path()), "{options}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // lazily: a server may still have files there
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    Command::new("mount").args(arguments).arg(at).output().is_ok_and(|output| output.status.success())
}

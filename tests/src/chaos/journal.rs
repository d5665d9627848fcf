//! What clients and services remember: lines of JSON that are on the disk before anybody is told. If the harness itself
//! dies, its evidence stays.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;

use serde::Serialize;
use tokio::sync::oneshot;

type Line = (String, oneshot::Sender<()>);

/// An append-only file. Clones write to the same one.
#[derive(Clone)]
pub struct Journal {
    lines: mpsc::Sender<Line>,
}

impl Journal {
    /// Makes the file.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn create(path: &Path) -> Self {
        let file = File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (lines, written) = mpsc::channel();
        std::thread::spawn(move || keep(file, &written));
        Self { lines }
    }

    /// Writes a line; returns when it is on the disk.
    ///
    /// # Panics
    /// If it cannot be written: a harness without evidence proves nothing.
    pub async fn write(&self, line: &impl Serialize) {
        let (done, is_done) = oneshot::channel();
        let text = serde_json::to_string(line).expect("lines are plain data");
        self.lines.send((text, done)).expect("the journal's thread lives");
        is_done.await.expect("the line is written");
    }
}

/// Lines that came while the last ones were being synced share the next sync.
fn keep(mut file: File, lines: &mpsc::Receiver<Line>) {
    while let Ok(first) = lines.recv() {
        let batch: Vec<Line> = std::iter::once(first).chain(lines.try_iter()).collect();
        let text: String = batch.iter().map(|(line, _)| format!("{line}\n")).collect();
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).expect("the disk takes the journal");
        for (_, done) in batch {
            // whoever was cancelled does not wait any more
            let _ = done.send(());
        }
    }
}

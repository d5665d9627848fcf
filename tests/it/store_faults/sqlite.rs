//! SQLite and its disk.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use hermes_adapters::sqlite::Sqlite;
use hermes_adapters::store::OpenError;

use super::bench::{Bench, Course};
use super::disk::Disk;

async fn refusal(path: &Path) -> String {
    let error = Sqlite::open(path, "").await.err().expect("it is refused");
    assert!(matches!(error, OpenError::Refused(_) | OpenError::Unavailable(_)), "{error:?}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_keeps_what_was_accepted_and_heals() {
    let Some(disk) = Disk::of_kib(1_024) else { return };
    let bench = Bench::over(Arc::new(Sqlite::open(disk.path(), "").await.expect("there is room"))).await;
    let mut course = Course::default();
    bench.insist("before", &mut course).await;
    let refused = loop {
        let key = format!("key-{}", course.accepted.len());
        let answer = bench.submit(&key).await;
        if answer.status != 202 {
            break answer;
        }
        course.accepted.insert(key, super::bench::run_id(&answer));
    };
    assert_eq!(refused.status, 507, "{refused:?}");
    for id in course.accepted.values() {
        assert!(bench.store().run(*id).await.expect("it can still be read").is_some());
    }
    disk.remount("size=64m");
    bench.employ();
    bench.insist("after", &mut course).await;
    bench.check(&course).await;
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_told_at_the_start() {
    let Some(disk) = Disk::of_kib(4_096) else { return };
    Sqlite::open(disk.path(), "").await.expect("there is room").close().await.expect("closed");
    disk.remount("ro");
    let text = refusal(&disk.path()).await;
    assert!(text.contains(&disk.path().display().to_string()), "{text}");
    println!("{text}");
}

#[tokio::test]
async fn a_damaged_file_is_told_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hermes.db");
    Sqlite::open(&path, "").await.expect("it opens").close().await.expect("closed");
    let mut file = OpenOptions::new().write(true).open(&path).expect("it opens");
    // the header stays, the schema behind it does not
    file.seek(SeekFrom::Start(100)).expect("it is longer");
    file.write_all(&[0xa5; 3_000]).expect("written");
    drop(file);
    let text = refusal(&path).await;
    assert!(text.contains("hermes.db") && text.contains("malformed"), "{text}");
    println!("{text}");
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_told_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hermes.db");
    Sqlite::open(&path, "").await.expect("it opens").close().await.expect("closed");
    let file = OpenOptions::new().write(true).open(&path).expect("it opens");
    let length = file.metadata().expect("it has a length").len();
    file.set_len(length / 2).expect("cut off");
    drop(file);
    let text = refusal(&path).await;
    assert!(text.contains("hermes.db"), "{text}");
    println!("{text}");
}

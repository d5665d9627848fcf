//! `hermes bench` as people use it, with sizes that take no time: it measures, it checks, and it leaves nothing behind.

use std::path::Path;

use hermes_tests::harness::process::{Ended, Process, run_to_end};
use serde_json::Value;

/// Runs the benchmark with its data below `folder`; it needs no more than these arguments.
async fn bench(folder: &Path, arguments: &[&str]) -> Ended {
    let small =
        ["--seconds", "1", "--warm-up", "0", "--open", "20", "--batch", "5", "--runs", "10", "--wide-runs", "1"];
    let place = ["--width", "20", "--json", "--data", folder.to_str().expect("a plain path")];
    run_to_end("hermes", &[&["bench"], arguments, &small, &place].concat(), &[]).await
}

/// The figures that it wrote, of which these must be greater than nothing.
fn figures(ended: &Ended, named: &[&str]) -> Value {
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let figures: Value = serde_json::from_str(&ended.stdout).expect("one line of JSON");
    for name in named {
        assert!(figures[name].as_f64().is_some_and(|value| value > 0.0), "{name} in {figures}");
    }
    figures
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_with_a_history_is_read_and_overloaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = bench(folder.path(), &["H", "O", "--history", "300", "--rate", "50"]).await;
    let members =
        ["H_list_first_p99_ms", "H_list_deep_p50_ms", "H_run_p99_ms", "O_accepted", "O_accept_p99_ms", "O_back_s"];
    let figures = figures(&ended, &members);
    assert_eq!(figures["O_accepted"], 50.0, "{figures}");
    assert_eq!(figures["services"], figures["executions"], "{figures}");
    assert_eq!(figures["history"], "300 settled runs");
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("it can be read").next().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_fleet_is_measured_and_checked_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = bench(folder.path(), &["T", "T1", "L", "F", "C", "--dispatchers", "2"]).await;
    let members = [
        "T_runs_per_s",
        "T1_runs_per_s",
        "L_p50_ms",
        "L_p99_ms",
        "F_ms",
        "C_cpu_s_postgres",
        "C_cpu_s_dispatcher_1",
        "C_memory_mb",
        "C_wal_bytes_per_run",
        "C_redis_commands_per_run",
        "services",
    ];
    let figures = figures(&ended, &members);
    assert_eq!(figures["services"], figures["executions"], "{figures}");
    assert_eq!(figures["system"], "2 dispatchers, 1 worker-runners");
    assert!(figures["postgres"].as_str().is_some_and(|about| about.contains("fsync=on")), "{figures}");
    assert!(is_empty(folder.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_process_is_measured_with_a_backlog() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = bench(folder.path(), &["T", "L", "Q", "--embedded", "--backlog", "50", "--quiet", "1"]).await;
    let members = ["T_runs_per_s", "L_p50_ms", "Q_before_p50_ms", "Q_paused_p50_ms", "Q_first_ms", "services"];
    let figures = figures(&ended, &members);
    assert_eq!(figures["T_runs"], 50.0, "{figures}");
    assert_eq!(figures["services"], figures["executions"], "{figures}");
    assert!(is_empty(folder.path()));
}

/// Needs the Debian packages `nginx-light` and `mkdocs-doc`.
#[tokio::test(flavor = "multi_thread")]
async fn crawls_of_a_real_and_a_made_up_site_are_measured_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = ["--made-pages", "40", "--made-links", "400", "--crawls", "1"];
    let ended = bench(folder.path(), &[&["crawl", "--site", "/usr/share/doc/mkdocs/html"], &made[..]].concat()).await;
    let members = ["crawl_pages_per_s", "crawl_cpu_s", "crawl_peak_memory_mb", "crawl_links", "crawl_mb"];
    let figures = figures(&ended, &members);
    assert!(figures["crawl_pages"].as_f64() > Some(15.0), "{figures}");
    // Forty pages of ten links each, and the home page, which is a copy of the first of them.
    assert_eq!(
        (&figures["crawl_made_pages"], &figures["crawl_made_links"]),
        (&41.0.into(), &410.0.into()),
        "{figures}"
    );
    assert_eq!(figures["crawl_cut_pages"], figures["crawl_pages"], "{figures}");
    assert_eq!(figures["services"], figures["executions"], "{figures}");
    assert!(is_empty(folder.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_that_is_killed_takes_its_processes_and_its_folders_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a plain path");
    let mut benchmark = Process::start("hermes", &["bench", "L", "--embedded", "--data", data], &[]);
    // Wherever it is in its course: this is its child's folder, so there is a child.
    while is_empty(folder.path()) {
        tokio::task::yield_now().await;
    }
    benchmark.kill().await;
    while !is_empty(folder.path()) {
        tokio::task::yield_now().await;
    }
}

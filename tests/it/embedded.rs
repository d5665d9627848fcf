//! The `hermes` command as people use it: everything in one process over SQLite, and a client of it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hermes_adapters::sqlite::Sqlite;
use hermes_core::RunId;
use hermes_core::ports::store::Store;
use hermes_tests::harness::process::{Ended, Process, run_to_end};
use hermes_tests::harness::worker::{Answer, HttpWorker};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder for data, and workers that the process knows.
struct Laptop {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Laptop {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), environment: Vec::new() }
    }

    fn knows(mut self, worker: &HttpWorker, key: &str) -> Self {
        self.environment.extend(worker.environment(key));
        self
    }

    /// A setting of its processes.
    fn set(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    fn data(&self) -> &str {
        self.folder.path().to_str().expect("a plain path")
    }

    async fn up(&self) -> Process {
        let mut up =
            Process::start("hermes", &["up", "--listen", "127.0.0.1:0", "--data", self.data()], &self.environment);
        up.says("dispatcher ready").await;
        up
    }

    async fn hermes(&self, arguments: &[&str]) -> Ended {
        let mut all = arguments.to_vec();
        all.extend(["--data", self.data()]);
        run_to_end("hermes", &all, &self.environment).await
    }

    /// `POST` to a running server; gives the status.
    async fn post(&self, up: &mut Process, path: &str, body: &Value) -> u16 {
        let address = up.says("dispatcher ready").await["api.listen"].as_str().expect("an address").to_owned();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.post(format!("http://{address}{path}")).header("content-type", "application/json");
        request.body(body.to_string()).send().await.expect("it answers").status().as_u16()
    }

    async fn store_plan(&self, up: &mut Process, plan: &Value) {
        assert_eq!(self.post(up, "/api/orchestration/plans", plan).await, 201);
    }
}

/// A plan with one service for each worker key.
fn plan(id: &str, keys: &[&str], max_duration_ms: u64) -> Value {
    let services: Vec<Value> = keys
        .iter()
        .map(|key| json!({ "service": format!("service-{key}"), "worker_key": key, "timeout_ms": max_duration_ms / 2 }))
        .collect();
    json!({ "plan_id": id, "name": id, "max_duration_ms": max_duration_ms, "services": services })
}

fn fine() -> Answer {
    Answer::Data(json!({ "fine": true }))
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_mid_run_and_started_again_up_goes_on_with_its_runs() {
    let worker = HttpWorker::held(fine()).await;
    let laptop = Laptop::new().knows(&worker, "slow");
    let mut up = laptop.up().await;
    laptop.store_plan(&mut up, &plan("slow-v1", &["slow"], 120_000)).await;
    let request = json!({ "website_id": "s", "domain": "example.com", "plan_id": "slow-v1", "wait": false });
    assert_eq!(laptop.post(&mut up, "/api/orchestration/run", &request).await, 202);
    worker.request().await;
    up.kill().await;

    let up = laptop.up().await;
    worker.request().await;
    worker.release();
    worker.release();
    let shown = loop {
        let shown = laptop.hermes(&["show", "last", "--json"]).await;
        if shown.stdout.contains("\"completed\"") {
            break shown;
        }
    };
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    drop(up);
}

/// Submits batches of runs with long results until nobody answers any more; gives those that were accepted.
async fn submit_until_it_dies(address: String, plan: &str) -> Vec<RunId> {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let run = json!({ "website_id": "s", "domain": "example.com", "plan_id": plan });
    let batch = json!({ "runs": vec![run; 20] }).to_string();
    let mut accepted = Vec::new();
    loop {
        let request = client.post(format!("http://{address}/api/orchestration/runs/batch"));
        let answer = request.header("content-type", "application/json").body(batch.clone()).send().await;
        let Ok(answer) = answer else { return accepted };
        let Ok(answer) = answer.bytes().await else { return accepted };
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let ids = answer["results"].as_array().into_iter().flatten().filter_map(|result| result["run_id"].as_str());
        accepted.extend(ids.map(|id| id.parse::<RunId>().expect("an id")));
    }
}

/// Returns when somebody writes to the file.
async fn written(file: PathBuf) {
    let state = |file: &Path| {
        let metadata = file.metadata().expect("it is there");
        (metadata.len(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH))
    };
    let before = state(&file);
    let watching = move || {
        while state(&file) == before {
            std::thread::yield_now();
        }
    };
    tokio::task::spawn_blocking(watching).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_log_goes_into_the_file_it_has_every_run_that_it_accepted() {
    let laptop = Laptop::new();
    let file = laptop.folder.path().join("hermes.db");
    let mut accepted = Vec::new();
    for life in 0..3 {
        let mut up = laptop.up().await;
        if life == 0 {
            let mut long = plan("long-v1", &["noop"], 600_000);
            long["services"][0]["params"] = json!({ "echo_bytes": 20_000 });
            laptop.store_plan(&mut up, &long).await;
        }
        let address = up.says("dispatcher ready").await["api.listen"].as_str().expect("an address").to_owned();
        let submitting = tokio::spawn(submit_until_it_dies(address, "long-v1"));
        // what is committed goes into the log: only a checkpoint writes to the file itself
        written(file.clone()).await;
        up.kill().await;
        accepted.extend(submitting.await.expect("no panic"));

        assert!(file.with_extension("db-wal").metadata().expect("it is there").len() > 0, "the log is in use");
        let store = Sqlite::open_to_read(&file).await.expect("it opens");
        assert_eq!(store.damage().await.expect("all of it can be read"), [""; 0]);
        for run in &accepted {
            assert!(store.run(*run).await.expect("it can be read").is_some(), "run {run} is lost in life {life}");
        }
        store.close().await.expect("closed");
    }
    assert!(accepted.len() > 20, "a log that is long enough takes more than one batch: {}", accepted.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_which_everything_completed_exits_with_0_and_writes_json() {
    let worker = HttpWorker::start(fine()).await;
    let laptop = Laptop::new().knows(&worker, "quick");
    let mut up = laptop.up().await;
    laptop.store_plan(&mut up, &plan("quick-test-v1", &["quick"], 60_000)).await;
    let ended = laptop.hermes(&["run", "example.com", "--plan", "quick-test-v1", "--json"]).await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let told: Value = serde_json::from_str(&ended.stdout).expect("JSON alone on standard output");
    assert!(told.to_string().contains("\"completed\""), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_tells_what_is_missing_failed_late_or_wrong() {
    let (good, bad) =
        (HttpWorker::start(fine()).await, HttpWorker::start(Answer::Raw(401, "text/plain", String::new())).await);
    let hangs = HttpWorker::start(Answer::Never).await;
    let laptop = Laptop::new().knows(&good, "good").knows(&bad, "bad").knows(&hangs, "hangs");
    let mut up = laptop.up().await;
    laptop.store_plan(&mut up, &plan("missing-v1", &["good", "bad"], 60_000)).await;
    laptop.store_plan(&mut up, &plan("failing-v1", &["bad"], 60_000)).await;
    let mut late = plan("late-v1", &["hangs"], 1_000);
    late["services"][0]["timeout_ms"] = json!(900);
    laptop.store_plan(&mut up, &late).await;
    for (plan, code) in [("missing-v1", 3), ("failing-v1", 1), ("unknown-v1", 2)] {
        let ended = laptop.hermes(&["run", "example.com", "--plan", plan]).await;
        assert_eq!(ended.code, code, "{plan}: {}{}", ended.stdout, ended.stderr);
    }
    let ended = laptop.hermes(&["run", "example.com", "--plan", "late-v1"]).await;
    assert_eq!(ended.code, 124, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(laptop.hermes(&["run", "no site"]).await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_the_run_and_exits_with_130() {
    let worker = HttpWorker::held(fine()).await;
    let laptop = Laptop::new().knows(&worker, "slow");
    let mut up = laptop.up().await;
    laptop.store_plan(&mut up, &plan("slow-v1", &["slow"], 120_000)).await;
    let arguments = ["run", "example.com", "--plan", "slow-v1", "--data", laptop.data()];
    let mut run = Process::start("hermes", &arguments, &laptop.environment);
    worker.request().await;
    assert_eq!(run.interrupt().await, 130);
    let shown = laptop.hermes(&["show", "last", "--json"]).await;
    assert!(shown.stdout.contains("\"cancelled\""), "{}", shown.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_commands_work_on_the_file() {
    let laptop = Laptop::new().set("HERMES_WORKER_GRACE_SECONDS", "1");
    // Nothing listens there: every service of the plan fails, and the run with them.
    let ended = laptop.hermes(&["run", "http://127.0.0.1:9", "--plan", "quick-v1", "--allow-private-targets"]).await;
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    let listed = laptop.hermes(&["runs"]).await;
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    assert!(listed.stdout.contains("quick-v1") && listed.stdout.contains("failed"), "{}", listed.stdout);
    let plans = laptop.hermes(&["plans"]).await;
    assert!(plans.stdout.contains("standard-v1"), "{}", plans.stdout);
}

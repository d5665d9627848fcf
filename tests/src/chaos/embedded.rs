//! The all-in-one process under load, killed again and again at any moment of its life. After each kill, a copy of what
//! is on the disk is opened, checked for damage, and searched for every run that was promised before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use hermes_adapters::sqlite::Sqlite;
use hermes_core::ports::store::Store;
use serde::Serialize;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::process::{Child, Command};

use crate::harness::process::binary;

use super::check::{Verdict, Violation, by_job, judge, promises_are_kept};
use super::clients::{Clients, Promise, Seen};
use super::clock::Clock;
use super::count;
use super::dice::Dice;
use super::journal::Journal;
use super::plans::{Limits, variables};
use super::report::{Executions, commit};
use super::services::Services;
use super::world::{free_addresses, store_plans};

/// What the plans' limits are made of; the queue in memory has leases of its own.
const LEASE: Duration = Duration::from_secs(2);
/// Runs for each kill.
const RUNS_PER_KILL: u32 = 5;
/// How long clients and runs may take once the killing has ended.
const SLACK: Duration = Duration::from_secs(60);
/// How long a life may take to answer.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// The whole story.
#[derive(Clone, Debug, Serialize)]
pub struct EmbeddedReport {
    /// The commit that was tested.
    pub commit: String,
    /// Where all chance came from.
    pub seed: u64,
    /// `kill -9`, and how many of them came before the process had begun to answer.
    pub kills: (u32, u32),
    /// Checks of the file that found nothing.
    pub sound: u32,
    /// Milliseconds that it took.
    pub took_ms: i64,
    /// Runs that clients were promised.
    pub promised: usize,
    /// Runs by status.
    pub statuses: BTreeMap<String, u64>,
    /// What clients saw.
    pub seen: Seen,
    /// Executions.
    pub executions: Executions,
    /// What must not be.
    pub violations: Vec<Violation>,
}

struct Laptop<'a> {
    folder: &'a Path,
    address: SocketAddr,
    services: Services,
    clock: Clock,
    life: u32,
}

/// Runs the whole thing; the file and the journals are in `folder` afterwards.
///
/// # Panics
/// If the program cannot be started, or does not answer when nobody kills it.
pub async fn run(seed: u64, kills: u32, folder: &Path) -> EmbeddedReport {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).expect("a folder for what is kept");
    let clock = Clock::start();
    let journal = |name: &str| Journal::create(&folder.join(name));
    let services = Services::start(seed, clock.clone(), journal("executions.jsonl")).await;
    let address = free_addresses(1)[0];
    let mut laptop = Laptop { folder, address, services, clock: clock.clone(), life: 0 };
    let mut first = laptop.start();
    laptop.ready().await;
    store_plans(&clock, &[address], LEASE).await;
    first.kill().await.expect("it is ours");

    let clients = Clients::new(seed, clock.clone(), journal("promises.jsonl"), vec![address]);
    let (runs, span) = (kills * RUNS_PER_KILL, Duration::from_millis(900) * kills);
    let submitting = tokio::spawn({
        let clients = clients.clone();
        async move { clients.submit(runs, span).await }
    });
    let mut verdict = Verdict::default();
    let (early, sound) = laptop.kill_again_and_again(seed, kills, &clients, &mut verdict).await;
    let mut last = laptop.start();
    laptop.ready().await;
    let patience = Limits::of(LEASE).run + SLACK;
    if tokio::time::timeout(span + patience, submitting).await.is_err() {
        verdict.broken("I3", "clients were not promised their runs although nobody killed any more");
    }
    laptop.until_settled(patience, &mut verdict).await;
    last.start_kill().expect("it is ours");
    last.wait().await.expect("it is ours");
    judge_all(&laptop, &clients.promises(), &mut verdict).await;
    for wrong in clients.seen().wrong {
        verdict.broken("I18", wrong);
    }
    laptop.log_is_clean(&mut verdict);
    let report = EmbeddedReport {
        commit: commit(),
        seed,
        kills: (kills, early),
        sound,
        took_ms: clock.now(),
        promised: clients.promises().len(),
        statuses: verdict.found.statuses,
        seen: clients.seen(),
        executions: count(&laptop.services.executions()),
        violations: verdict.violations,
    };
    let json = serde_json::to_string_pretty(&report).expect("plain data");
    std::fs::write(folder.join("report.json"), json).expect("the folder can be written to");
    report
}

impl Laptop<'_> {
    fn start(&mut self) -> Child {
        self.life += 1;
        let data = self.folder.join("data");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("hermes.log"));
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(binary("hermes"));
        command.args(["up", "--listen", &self.address.to_string(), "--data"]).arg(data);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HERMES_LOG_FORMAT", "json").env("HERMES_WORKER_CONCURRENCY", "16");
        command.envs(variables(&format!("http://{}/0/{}", self.services.address(), self.life)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("logs can be written"));
        command.kill_on_drop(true).spawn().expect("setpriv (Debian package util-linux) starts the program")
    }

    async fn answers(&self) -> bool {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().expect("a client");
        let answer = http.get(format!("http://{}/readyz", self.address)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn ready(&self) {
        let answering = async {
            while !self.answers().await {
                self.clock.pass(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(READY_PATIENCE, answering).await.expect("it answers: read hermes.log");
    }

    /// Gives how many kills came before the process answered, and after how many the file was sound.
    async fn kill_again_and_again(
        &mut self,
        seed: u64,
        kills: u32,
        clients: &Clients,
        verdict: &mut Verdict,
    ) -> (u32, u32) {
        let mut dice = Dice::of(seed, "kills");
        let (mut early, mut sound) = (0, 0);
        for number in 0..kills {
            let mut child = self.start();
            // most lives are long enough to do something, some end while they start
            if dice.happens(850) {
                self.ready().await;
                self.clock.pass(dice.between(Duration::ZERO, Duration::from_millis(700))).await;
            } else {
                self.clock.pass(dice.between(Duration::ZERO, Duration::from_millis(150))).await;
                early += 1;
            }
            let promised = clients.promises();
            child.kill().await.expect("it is ours");
            match self.inspect(&promised).await {
                Ok(()) => sound += 1,
                Err(what) => verdict.broken("I17", format!("after kill {number}: {what}")),
            }
        }
        (early, sound)
    }

    /// Checks a copy, so that the next life finds what the last one left.
    async fn inspect(&self, promised: &[Promise]) -> Result<(), String> {
        let copy = tempfile::tempdir_in(self.folder).expect("a folder");
        for name in ["hermes.db", "hermes.db-wal"] {
            match std::fs::copy(self.folder.join("data").join(name), copy.path().join(name)) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{name}: {error}")),
            }
        }
        let text = |error: sqlx::Error| error.to_string();
        let mut file = open(&copy.path().join("hermes.db")).await.map_err(text)?;
        let found: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut file).await.map_err(text)?;
        if found != ["ok"] {
            return Err(format!("integrity_check: {}", found.join("; ")));
        }
        let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut file).await.map_err(text)?;
        if !dangling.is_empty() {
            return Err(format!("foreign_key_check: {} rows", dangling.len()));
        }
        let there: Vec<String> =
            sqlx::query_scalar("SELECT run_id FROM runs").fetch_all(&mut file).await.map_err(text)?;
        let there: std::collections::HashSet<String> = there.into_iter().collect();
        let lost: Vec<&str> =
            promised.iter().map(|promise| promise.run_id.as_str()).filter(|run| !there.contains(*run)).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("lost runs: {}", lost.join(", "))) }
    }

    async fn until_settled(&self, patience: Duration, verdict: &mut Verdict) {
        let http = reqwest::Client::builder().no_proxy().timeout(READY_PATIENCE).build().expect("a client");
        let until = self.clock.now() + i64::try_from(patience.as_millis()).expect("it is short");
        let mut open = true;
        while open && self.clock.now() < until {
            open = false;
            for status in ["started", "running"] {
                let url = format!("http://{}/api/orchestration/runs?status={status}&limit=1", self.address);
                let answer = http.get(url).send().await.expect("nobody kills it");
                let page: serde_json::Value =
                    serde_json::from_slice(&answer.bytes().await.expect("a whole answer")).expect("JSON");
                open |= page["runs"].as_array().is_none_or(|runs| !runs.is_empty());
            }
            self.clock.pass(Duration::from_millis(100)).await;
        }
        if open {
            verdict.broken("I3", format!("runs are open {} s after the last kill", patience.as_secs()));
        }
    }

    fn log_is_clean(&self, verdict: &mut Verdict) {
        let log = std::fs::read(self.folder.join("hermes.log")).expect("it is there");
        for line in String::from_utf8_lossy(&log).lines().filter(|line| line.contains("panicked at")) {
            verdict.broken("I18", line);
        }
    }
}

async fn open(file: &Path) -> sqlx::Result<SqliteConnection> {
    SqliteConnectOptions::new().filename(file).create_if_missing(true).foreign_keys(true).connect().await
}

async fn judge_all(laptop: &Laptop<'_>, promises: &[Promise], verdict: &mut Verdict) {
    let file = laptop.folder.join("data/hermes.db");
    let store = Sqlite::open(&file, "the harness").await.expect("nobody has it");
    let now = store.now().await.expect("it is open");
    let mut rows = open(&file).await.expect("it can be read");
    let all = sqlx::query_as::<_, (Option<String>, String)>("SELECT idempotency_key, run_id FROM runs");
    let all = all.fetch_all(&mut rows).await.expect("the table is there");
    let keys = all.into_iter().map(|(key, run)| (key.unwrap_or_else(|| format!("no key for {run}")), run)).collect();
    promises_are_kept(verdict, promises, &keys);
    let executions = laptop.services.executions();
    let by_job = by_job(&executions);
    let epoch = now.as_millis() - laptop.clock.now();
    for run_id in keys.values() {
        judge(verdict, &store, run_id, (epoch, now), &by_job).await;
    }
    store.close().await.expect("it can be released");
}

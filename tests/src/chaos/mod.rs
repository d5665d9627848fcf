//! Chaos: a real fleet under every fault that a seed thinks of, and a check of everything that was promised.
//!
//! A private Postgres and a private Redis, three dispatchers, six worker-runners, a line of our own between each of them
//! and each server, external workers that keep a synced ledger, clients that keep a synced log. The schedule of faults
//! follows from the seed alone. When it is over, everything must settle; then the invariants are checked over the
//! database, the ledger, the log, the queue and the logs of all processes.
//!
//! Deliberately absent: what needs more than one machine (a real partition of a database's cluster, the loss of power)
//! and clocks that jump (the processes do not read them for decisions; other tests show that).

pub mod check;
pub mod clients;
pub mod clock;
pub mod dice;
pub mod embedded;
pub mod fault;
pub mod journal;
pub mod member;
pub mod nemesis;
pub mod options;
pub mod plans;
pub mod proxy;
pub mod recovery;
pub mod report;
pub mod services;
pub mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};

use check::{Verdict, Violation, queue_contents};
use fault::{Fault, Kind, schedule};
use member::{Build, DISPATCHER_BORDERS, End, Life, WORKER_BORDERS};
use nemesis::{Hit, rage};
pub use options::Options;
use plans::Limits;
use recovery::recovery;
pub use report::Report;
use report::{Executions, commit};
use services::Execution;
use world::World;

/// How much longer than a run may take its clients and the queue get, once the faults have ceased.
const SLACK: Duration = Duration::from_secs(60);

/// Runs the whole thing; logs and journals are in `folder` afterwards.
///
/// # Panics
/// If the world cannot be started, or a server does not come back.
pub async fn run(options: &Options, folder: &Path) -> Report {
    let world = Arc::new(World::start(options, folder).await);
    let limits = Limits::of(options.lease);
    let schedule = schedule(options.seed, options.span, options.lease, &options.quotas);
    let (hits, missed, late_clients) = under_faults(&world, options, &schedule, limits).await;
    let raged = world.clock.now();
    for member in world.members.values() {
        member.calm_down().await;
    }
    let unsettled = until_settled(&world, limits.run + SLACK).await;
    let settled = world.clock.now();
    until_empty(&world, options.lease * 4 + SLACK).await;
    futures::future::join_all(world.members.values().map(member::Supervised::stop)).await;
    let lives: Vec<Life> = world.members.values().flat_map(member::Supervised::ended).collect();
    let mut verdict = check::check(&world, &lives).await;
    for what in unsettled.into_iter().chain(late_clients) {
        verdict.violations.push(Violation { invariant: "I3", what });
    }
    let borders = DISPATCHER_BORDERS.iter().chain(&WORKER_BORDERS).map(|(border, _)| *border);
    let uncrossed = borders.filter(|border| !lives.iter().any(|life| life.end == End::Aborted((*border).to_owned())));
    let uncrossed = uncrossed.filter(|_| options.all_borders).map(|border| format!("no process ended at {border}"));
    let one_sided = options.old_binaries.iter().flat_map(|_| one_sided(&lives));
    for what in missed.into_iter().chain(uncrossed).chain(one_sided) {
        verdict.violations.push(Violation { invariant: "harness", what });
    }
    let report = tell(&world, options, &hits, &lives, verdict, [raged, settled, world.clock.now()]).await;
    report.write(folder);
    if !report.violations.is_empty() {
        keep_database(&world);
    }
    report
}

/// What was not seen of two builds side by side: each kind of process must have lived as both, and as the old one after
/// a current one had begun.
fn one_sided(lives: &[Life]) -> Vec<String> {
    let mut missing = Vec::new();
    for kind in ["dispatchers", "worker-runners"] {
        let of = |build: Build| lives.iter().filter(move |life| kind_of(life) == kind && life.build == build);
        if of(Build::Current).next().is_none() {
            missing.push(format!("no {kind} were of the current build"));
        }
        if !of(Build::Old).any(|life| life.number > 2) {
            missing.push(format!("no {kind} of the old build were started after one of the current build"));
        }
    }
    missing
}

async fn under_faults(
    world: &Arc<World>,
    options: &Options,
    schedule: &[fault::Planned],
    limits: Limits,
) -> (Vec<Hit>, Vec<String>, Option<String>) {
    let clients = world.clients.clone();
    let (runs, span) = (options.runs, options.span);
    let patience = span + limits.run + SLACK;
    let submitting = tokio::spawn(async move { tokio::time::timeout(patience, clients.submit(runs, span)).await });
    let (hits, missed) = rage(world.clone(), schedule, options.seed).await;
    let promised = submitting.await.expect("the clients do not panic");
    let late = promised.err().map(|_| "clients were not promised their runs although the faults had ceased".to_owned());
    (hits, missed, late)
}

/// Waits until no run is open; says if that takes longer than it may.
async fn until_settled(world: &World, patience: Duration) -> Option<String> {
    let until = world.clock.now() + i64::try_from(patience.as_millis()).expect("it is short");
    let mut connection = PgConnection::connect(&world.database_url()).await.expect("the faults have ceased");
    loop {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM runs WHERE settled_at IS NULL")
            .fetch_one(&mut connection)
            .await
            .expect("the faults have ceased");
        if open == 0 {
            return None;
        }
        if world.clock.now() > until {
            return Some(format!("{open} runs are open {} s after the faults ceased", patience.as_secs()));
        }
        world.clock.pass(Duration::from_millis(100)).await;
    }
}

/// Waits until the queue is empty, but not for ever: the check says what is left.
async fn until_empty(world: &World, patience: Duration) {
    let until = world.clock.now() + i64::try_from(patience.as_millis()).expect("it is short");
    while world.clock.now() < until && queue_contents(world).await.iter().any(|(_, count)| *count != 0) {
        world.clock.pass(Duration::from_millis(100)).await;
    }
}

async fn tell(
    world: &World,
    options: &Options,
    hits: &[Hit],
    lives: &[Life],
    verdict: Verdict,
    took_ms: [i64; 3],
) -> Report {
    let executions = world.services.executions();
    let mut faults: BTreeMap<Kind, (u64, u64)> = BTreeMap::new();
    for hit in hits {
        let (times, blows) = faults.entry(hit.kind).or_default();
        (*times, *blows) = (*times + 1, *blows + hit.blows);
    }
    let lease_ms = i64::try_from(options.lease.as_millis()).expect("a lease is short");
    let long = |hit: &&Hit| matches!(hit.fault, Fault::Pause(_)) && hit.over - hit.began > lease_ms;
    let (mut aborted, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for Life { end, .. } in lives {
        match end {
            End::Aborted(border) => *aborted.entry(border.clone()).or_default() += 1,
            End::Killed | End::Terminated(_) | End::Unborn | End::Overdue | End::ByItself(_) => {
                *ends.entry(format!("{end:?}")).or_default() += 1;
            }
        }
    }
    Report {
        commit: commit(),
        versions: versions(world).await,
        options: options.clone(),
        took_ms,
        promised: world.clients.promises().len(),
        seen: world.clients.seen(),
        faults,
        long_pauses: hits.iter().filter(long).count() as u64,
        aborted,
        ends,
        lives: lives_by_build(lives),
        recovery: recovery(hits, &verdict.found, &executions),
        executions: count(&executions),
        statuses: verdict.found.statuses,
        late_reports: verdict.found.late,
        errors: verdict.errors,
        indexes: verdict.indexes,
        violations: verdict.violations,
    }
}

fn lives_by_build(lives: &[Life]) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    for life in lives {
        *counted.entry(format!("{}, {:?} build", kind_of(life), life.build)).or_default() += 1;
    }
    counted
}

const fn kind_of(life: &Life) -> &'static str {
    match life.member {
        fault::Member::Dispatcher(_) => "dispatchers",
        fault::Member::Worker(_) => "worker-runners",
    }
}

pub(crate) fn count(executions: &[Execution]) -> Executions {
    let mut by_job: BTreeMap<&str, u32> = BTreeMap::new();
    for execution in executions {
        *by_job.entry(&execution.job).or_default() += 1;
    }
    let mut jobs_by_executions = BTreeMap::new();
    for times in by_job.values() {
        *jobs_by_executions.entry(*times).or_default() += 1;
    }
    let again = executions.len() - by_job.len();
    #[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
    let again_percent = 100.0 * again as f64 / by_job.len().max(1) as f64;
    Executions { jobs: by_job.len(), executions: executions.len(), jobs_by_executions, again_percent }
}

async fn versions(world: &World) -> Vec<String> {
    let mut connection = PgConnection::connect(&world.database_url()).await.expect("it runs");
    let postgres: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await.expect("it runs");
    let info = world.redis(&["INFO", "server"]).await.unwrap_or(redis::Value::Nil);
    let info = redis::from_redis_value::<String>(info).unwrap_or_default();
    let redis = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown").to_owned();
    let migrated = "SELECT version, (SELECT count(*) FROM runs WHERE created_at < installed_on) FROM _sqlx_migrations \
        ORDER BY version DESC LIMIT 1";
    let (schema, before): (i64, i64) = sqlx::query_as(migrated).fetch_one(&mut connection).await.expect("it runs");
    let schema = format!("schema {schema}, reached when there were {before} runs");
    let hermes = format!("Hermes {}", env!("CARGO_PKG_VERSION"));
    vec![hermes, schema, format!("Postgres {postgres}"), format!("Redis {redis}")]
}

/// A dump of the database beside the logs, where there is the program for it.
fn keep_database(world: &World) {
    let mut dump = std::process::Command::new(crate::harness::postgres::programs().join("pg_dump"));
    dump.arg("--file").arg(world.folder.join("database.sql")).arg(world.database_url());
    // the rest of the evidence is there all the same
    let _ = dump.status();
}

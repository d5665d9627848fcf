//! What must be true once the dust has settled: over the database, the services' ledger, the clients' log, the queue and
//! the logs of the processes. The numbers of the invariants are those of docs/reliability.md.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};

use hermes_adapters::postgres::{Postgres, PostgresOptions};
use hermes_core::audit::RunAudit;
use hermes_core::kbase::{Fact, KbaseEvent, QueuedService};
use hermes_core::limits::AUDIT_SLACK_MS;
use hermes_core::ports::store::Store;
use hermes_core::wire::JobId;
use hermes_core::{Run, RunId, ServiceStatus, Timestamp};
use redis::Value;
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use super::clients::Promise;
use super::clock::Ms;
use super::member::{End, Life};
use super::nemesis::FORGED;
use super::plans::KEYS;
use super::services::Execution;
use super::world::{PREFIX, World, log_name};

/// Events of a run that are read at a time.
const PAGE: usize = 1_000;
/// How often a run is read before it counts as unreadable.
const READ_TRIES: u32 = 4;

/// Something that must not be.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// What is the case instead.
    pub what: String,
}

/// What was found in the database.
#[derive(Debug, Default)]
pub struct Found {
    /// Runs by status.
    pub statuses: BTreeMap<String, u64>,
    /// When runs settled, in order.
    pub settled: Vec<Ms>,
    /// When a job was handed to the queue.
    pub queued: HashMap<String, Ms>,
    /// When the result of an attempt was recorded, by job.
    pub recorded: HashMap<String, Ms>,
    /// Reports that came too late to count.
    pub late: u64,
}

/// Everything that was checked.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong; nothing, if all is well.
    pub violations: Vec<Violation>,
    /// What was found on the way.
    pub found: Found,
    /// Lines of the logs with level ERROR, by message.
    pub errors: BTreeMap<String, u64>,
    /// Whether the indexes of the database were checked, and if not, why.
    pub indexes: String,
}

impl Verdict {
    pub(super) fn broken(&mut self, invariant: &'static str, what: impl Into<String>) {
        self.violations.push(Violation { invariant, what: what.into() });
    }
}

/// Checks everything. The processes may have ended already; the servers still run.
///
/// # Panics
/// If the database does not answer.
pub async fn check(world: &World, lives: &[Life]) -> Verdict {
    let mut verdict = Verdict::default();
    let store = Postgres::connect(&world.database_url(), PostgresOptions::default()).await.expect("it answers");
    let (promises, executions) = (world.clients.promises(), world.services.executions());
    let keys = keys_of_runs(world).await;
    promises_are_kept(&mut verdict, &promises, &keys);
    let by_job = by_job(&executions);
    let now = store.now().await.expect("it answers");
    for run_id in keys.values() {
        judge(&mut verdict, &store, run_id, (world.database_epoch, now), &by_job).await;
    }
    verdict.found.settled.sort_unstable();
    store.close().await;
    the_queue_is_empty(&mut verdict, world).await;
    nothing_false_counts(&mut verdict, world).await;
    verdict.indexes = the_indexes_are_sound(&mut verdict, world).await;
    the_logs_are_clean(&mut verdict, world);
    for wrong in world.clients.seen().wrong {
        verdict.broken("I18", wrong);
    }
    for Life { member, number, end, .. } in lives {
        // 101 is a panic; a start while a server is away ends with 1, and the supervisor tries again
        if matches!(end, End::Overdue | End::ByItself(101 | ..=-1)) {
            verdict.broken("I18", format!("life {number} of {member:?} ended like this: {end:?}"));
        }
    }
    verdict
}

/// Runs by the key of their client.
async fn keys_of_runs(world: &World) -> BTreeMap<String, String> {
    let mut connection = PgConnection::connect(&world.database_url()).await.expect("the database answers");
    let all = sqlx::query_as::<_, (Option<String>, String)>("SELECT idempotency_key, run_id FROM runs");
    let rows = all.fetch_all(&mut connection).await.expect("the table is there");
    rows.into_iter().map(|(key, run)| (key.unwrap_or_else(|| format!("no key for {run}")), run)).collect()
}

/// Judges one run by everything that is known about it. `times`: the database's time when our clock showed 0, and now.
pub(super) async fn judge(
    verdict: &mut Verdict,
    store: &dyn Store,
    run_id: &str,
    times: (Ms, Timestamp),
    by_job: &HashMap<&str, Vec<&Execution>>,
) {
    let run_id: RunId = run_id.parse().expect("the database has run ids");
    match whole(store, run_id).await {
        Ok((run, events)) => a_run_is_sound(verdict, times, &run, &events, by_job),
        Err(what) => verdict.broken("I1", format!("run {run_id}: {what}")),
    }
}

/// I1 and I2.
pub(super) fn promises_are_kept(verdict: &mut Verdict, promises: &[Promise], keys: &BTreeMap<String, String>) {
    let mut promised = BTreeSet::new();
    for Promise { key, run_id, .. } in promises {
        promised.insert(key.as_str());
        match keys.get(key) {
            Some(stored) if stored == run_id => {}
            Some(stored) => verdict.broken("I2", format!("key {key} was promised run {run_id} and has run {stored}")),
            None => verdict.broken("I1", format!("run {run_id} of key {key} was promised and is not there")),
        }
    }
    for (key, run_id) in keys.iter().filter(|(key, _)| !promised.contains(key.as_str())) {
        verdict.broken("I2", format!("run {run_id} of key {key} is there and nobody was promised it"));
    }
}

/// A run with its log, also on a machine that is busy with something else.
async fn whole(store: &dyn Store, run_id: RunId) -> Result<(Run, Vec<KbaseEvent>), String> {
    let mut read = read(store, run_id).await;
    for _ in 1..READ_TRIES {
        if read.is_ok() {
            break;
        }
        read = self::read(store, run_id).await;
    }
    read
}

async fn read(store: &dyn Store, run_id: RunId) -> Result<(Run, Vec<KbaseEvent>), String> {
    let run = store.run(run_id).await.map_err(|error| error.to_string())?.ok_or("it is not there")?;
    let mut events: Vec<KbaseEvent> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.seq);
        let page = store.run_events(run_id, after, PAGE).await.map_err(|error| error.to_string())?;
        let last = page.len() < PAGE;
        events.extend(page);
        if last {
            return Ok((run, events));
        }
    }
}

/// The executions of each job.
pub(super) fn by_job(executions: &[Execution]) -> HashMap<&str, Vec<&Execution>> {
    let mut jobs: HashMap<&str, Vec<&Execution>> = HashMap::new();
    for execution in executions {
        jobs.entry(&execution.job).or_default().push(execution);
    }
    jobs
}

/// I3 to I10 for one run.
fn a_run_is_sound(
    verdict: &mut Verdict,
    (epoch, now): (Ms, Timestamp),
    run: &Run,
    events: &[KbaseEvent],
    by_job: &HashMap<&str, Vec<&Execution>>,
) {
    let run_id = run.id();
    *verdict.found.statuses.entry(run.status().to_string()).or_default() += 1;
    let mut audit = RunAudit::new(run, now, AUDIT_SLACK_MS);
    let ours = |at: Timestamp| at.as_millis() - epoch;
    match run.state().settled_at {
        Some(at) => verdict.found.settled.push(ours(at)),
        None => verdict.broken("I3", format!("run {run_id} is {} after quiescence", run.status())),
    }
    for event in events {
        audit.take(event);
    }
    for found in audit.finish().0 {
        verdict.broken(found.invariant.code(), format!("run {run_id}: {}", found.detail));
    }
    let mut completed: HashMap<String, (String, Ms)> = HashMap::new();
    for event in events {
        match Fact::from_columns(&event.service, &event.kind, &event.payload) {
            Ok(Fact::ServiceCompleted(result)) => {
                let job = JobId { run_id, service: result.service.clone(), attempt: result.attempt }.to_string();
                verdict.found.recorded.insert(job.clone(), ours(event.created_at));
                match execution_of(by_job, &job, result.data.get()) {
                    Some(at) => drop(completed.insert(result.service.to_string(), (job, at))),
                    None => verdict.broken("I10", format!("no execution of {job} gave its result")),
                }
            }
            Ok(Fact::WaveQueued { services, .. }) => {
                for QueuedService { service, attempt, .. } in services {
                    let job = JobId { run_id, service, attempt }.to_string();
                    verdict.found.queued.insert(job, ours(event.created_at));
                }
            }
            Ok(Fact::LateReported { .. }) => verdict.found.late += 1,
            Ok(_) => {}
            // the audit has told
            Err(_) => {}
        }
    }
    dependencies_came_first(verdict, run, &completed, by_job);
}

/// When an execution of the job was answered with this result.
fn execution_of(by_job: &HashMap<&str, Vec<&Execution>>, job: &str, result: &str) -> Option<Ms> {
    let result: serde_json::Value = serde_json::from_str(result).ok()?;
    let executions = by_job.get(job)?;
    executions.iter().find(|execution| execution.result.as_ref() == Some(&result))?.answered
}

/// I6, as the services saw it.
fn dependencies_came_first(
    verdict: &mut Verdict,
    run: &Run,
    completed: &HashMap<String, (String, Ms)>,
    by_job: &HashMap<&str, Vec<&Execution>>,
) {
    for (service, state) in run.services() {
        let jobs = (1..=state.attempt)
            .map(|attempt| JobId { run_id: run.id(), service: service.name().clone(), attempt }.to_string());
        let began: Vec<Ms> =
            jobs.filter_map(|job| by_job.get(job.as_str())).flatten().map(|execution| execution.began).collect();
        let Some(first) = began.iter().min() else { continue };
        for &needed in service.depends_on() {
            let needed = run.plan().services()[needed].name();
            match completed.get(needed.as_str()) {
                Some((_, at)) if at <= first => {}
                Some(_) => verdict.broken("I6", format!("{} of {} began too early", service.name(), run.id())),
                None => {
                    verdict.broken("I6", format!("{} of {} ran without {needed}", service.name(), run.id()));
                }
            }
        }
        let settled_with_result = state.status == ServiceStatus::Completed;
        if settled_with_result && !completed.contains_key(service.name().as_str()) {
            verdict.broken("I10", format!("{} of {} completed without a result", service.name(), run.id()));
        }
    }
}

/// I3: nothing waits in the queue, nothing is leased, nothing is unacknowledged.
async fn the_queue_is_empty(verdict: &mut Verdict, world: &World) {
    for (what, count) in queue_contents(world).await {
        if count != 0 {
            verdict.broken("I3", format!("{count} left in {what}"));
        }
    }
}

/// How much is in each part of the queue.
pub async fn queue_contents(world: &World) -> Vec<(String, i64)> {
    let mut parts = vec![("XLEN", format!("{{{PREFIX}}}:reports")), ("HLEN", format!("{{{PREFIX}}}:reported"))];
    for key in KEYS {
        parts.push(("XLEN", format!("{{{PREFIX}}}:jobs:{key}")));
        parts.push(("HLEN", format!("{{{PREFIX}}}:index:{key}")));
    }
    let mut contents = Vec::new();
    for (command, key) in parts {
        let count = match world.redis(&[command, &key]).await {
            Ok(Value::Int(count)) => count,
            other => panic!("{command} {key}: {other:?}"),
        };
        contents.push((key, count));
    }
    contents
}

/// I14: what nobody sent has no effect.
async fn nothing_false_counts(verdict: &mut Verdict, world: &World) {
    let mut connection = PgConnection::connect(&world.database_url()).await.expect("the database answers");
    let counted = "SELECT run_id FROM kbase_events WHERE type <> 'late_result' AND payload::text LIKE '%' || $1 || '%'";
    let runs: Vec<String> =
        sqlx::query_scalar(counted).bind(FORGED).fetch_all(&mut connection).await.expect("the table is there");
    for run_id in runs {
        verdict.broken("I14", format!("a forged result counts in run {run_id}"));
    }
}

/// I17.
async fn the_indexes_are_sound(verdict: &mut Verdict, world: &World) -> String {
    if let Err(why) = world.sql("CREATE EXTENSION IF NOT EXISTS amcheck").await {
        return format!("not checked: {why}");
    }
    let all = "SELECT bt_index_check(indexrelid, true) FROM pg_index \
        JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam \
        WHERE amname = 'btree' AND relkind = 'i' AND indisvalid AND relpersistence = 'p'";
    match world.sql(all).await {
        Ok(checked) => format!("{} B-trees, each against its table", checked.len()),
        Err(why) => {
            verdict.broken("I17", why.clone());
            why
        }
    }
}

/// I18.
fn the_logs_are_clean(verdict: &mut Verdict, world: &World) {
    for member in world.members.keys() {
        let name = log_name(*member);
        let file = File::open(world.folder.join(&name)).expect("every member has a log");
        for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if line.contains("panicked at") {
                verdict.broken("I18", format!("{name}: {line}"));
            }
            if line.contains("\"level\":\"ERROR\"") {
                let fields: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                let message = fields["message"].as_str().unwrap_or(&line);
                // a constraint that held where a lock or a fence did not: nothing is lost by it, but nobody may get so far
                if message.starts_with("the store refuses") {
                    verdict.broken("I18", format!("{name}: {line}"));
                }
                *verdict.errors.entry(message.to_owned()).or_default() += 1;
            }
        }
    }
}

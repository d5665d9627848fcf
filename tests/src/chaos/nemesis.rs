//! Lets the schedule happen, and writes down what did.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use tokio::task::JoinSet;

use hermes_core::wire::JobId;

use super::clock::Ms;
use super::dice::Dice;
use super::fault::{Fault, Kind, Planned};
use super::plans::KEYS;
use super::proxy::Mode;
use super::services::Execution;
use super::world::{PREFIX, World};

/// True reports that come again at a time, and how often each.
const DUPLICATES: (usize, usize) = (5, 10);
/// Executions of settled runs about which false reports come.
const FORGERIES: usize = 10;
/// What a false result says.
pub const FORGED: &str = "forged-by-the-harness";
/// One session of the database is ended this often.
const TERMINATE_EVERY: Duration = Duration::from_millis(100);
/// For so long a first session is waited for.
const FIRST_SESSION_WITHIN_MS: Ms = 10_000;

/// A fault that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Hit {
    /// Its kind.
    pub kind: Kind,
    /// What exactly.
    pub fault: Fault,
    /// When it began.
    pub began: Ms,
    /// When it was over.
    pub over: Ms,
    /// For a killed worker-runner: the jobs that it was executing.
    pub held: Vec<String>,
    /// How many single blows it was: ended sessions, false reports.
    pub blows: u64,
}

/// Lets everything of the schedule happen, at its time from now on.
///
/// # Errors
/// The faults that could not be brought about.
///
/// # Panics
/// If a server does not come back.
pub async fn rage(world: Arc<World>, schedule: &[Planned], seed: u64) -> (Vec<Hit>, Vec<String>) {
    let begin = Duration::from_millis(world.clock.now().unsigned_abs());
    let mut under_way = JoinSet::new();
    for (number, planned) in schedule.iter().copied().enumerate() {
        world.clock.until(begin + planned.at).await;
        let (world, dice) = (world.clone(), Dice::of(seed, &format!("fault {number}")));
        under_way.spawn(async move { happen(&world, planned, dice).await });
    }
    let (mut hits, mut missed) = (Vec::new(), Vec::new());
    while let Some(happened) = under_way.join_next().await {
        match happened.expect("a fault does not panic") {
            Ok(hit) => hits.push(hit),
            Err(why) => missed.push(why),
        }
    }
    hits.sort_by_key(|hit| hit.began);
    (hits, missed)
}

async fn happen(world: &World, planned: Planned, dice: Dice) -> Result<Hit, String> {
    let (fault, began) = (planned.fault, world.clock.now());
    let done = bring_about(world, &planned, dice).await;
    let Done { held, blows } = done.map_err(|why| format!("{fault:?} could not be brought about: {why}"))?;
    Ok(Hit { kind: fault.kind(), fault, began, over: world.clock.now(), held, blows })
}

/// What came of it.
struct Done {
    held: Vec<String>,
    blows: u64,
}

const ONE: Done = Done { held: Vec::new(), blows: 1 };

async fn bring_about(world: &World, planned: &Planned, mut dice: Dice) -> Result<Done, String> {
    let lasts = planned.lasts;
    match planned.fault {
        Fault::Kill(member) => {
            let killed = &world.members[&member];
            let held = match member {
                super::fault::Member::Worker(n) => world.services.under_way((n, killed.life())),
                super::fault::Member::Dispatcher(_) => Vec::new(),
            };
            killed.kill().await;
            return Ok(Done { held: held.into_iter().map(|execution| execution.job).collect(), blows: 1 });
        }
        Fault::Pause(member) => {
            world.members[&member].signal("-STOP").await;
            world.clock.pass(lasts).await;
            world.members[&member].signal("-CONT").await;
        }
        Fault::Roll(member) => drop(world.members[&member].roll().await),
        Fault::Flush => drop(world.redis(&["FLUSHALL"]).await?),
        Fault::KillRedis => kill_redis(world, lasts).await,
        Fault::FillRedis => {
            world.redis(&["CONFIG", "SET", "maxmemory", "1mb"]).await?;
            world.clock.pass(lasts).await;
            world.redis(&["CONFIG", "SET", "maxmemory", "0"]).await?;
        }
        Fault::StallRedis => {
            let seconds = lasts.as_secs_f64().to_string();
            world.redis(&["DEBUG", "SLEEP", &seconds]).await?;
        }
        Fault::DropStream => drop(world.redis(&["DEL", &stream(&mut dice).0]).await?),
        Fault::DropGroup => {
            let (stream, group) = stream(&mut dice);
            // an error says that there is no such stream at this moment, and so no group either
            drop(world.redis(&["XGROUP", "DESTROY", &stream, group]).await);
        }
        Fault::RestartPostgres => restart_postgres(world).await,
        Fault::TerminateBackends => return terminate_backends(world, lasts).await,
        Fault::Disturb(member, server, mode) => {
            let line = &world.lines[&(member, server)];
            line.set(mode);
            world.clock.pass(lasts).await;
            line.set(Mode::Pass);
        }
        Fault::Duplicates => return duplicate(world).await,
        Fault::Forgeries => return forge(world).await,
    }
    Ok(ONE)
}

/// A stream with its group.
fn stream(dice: &mut Dice) -> (String, &'static str) {
    if dice.happens(300) {
        (format!("{{{PREFIX}}}:reports"), "dispatchers")
    } else {
        (format!("{{{PREFIX}}}:jobs:{}", dice.pick(&KEYS)), "workers")
    }
}

async fn kill_redis(world: &World, down: Duration) {
    let _one_at_a_time = world.redis_restarts.lock().await;
    world.redis.kill();
    world.clock.pass(down).await;
    let redis = world.redis.clone();
    tokio::task::spawn_blocking(move || redis.restart()).await.expect("Redis comes back");
}

async fn restart_postgres(world: &World) {
    let _one_at_a_time = world.postgres_restarts.lock().await;
    let postgres = world.postgres.clone();
    tokio::task::spawn_blocking(move || postgres.crash_and_recover()).await.expect("Postgres comes back");
}

async fn terminate_backends(world: &World, lasts: Duration) -> Result<Done, String> {
    const ONE_AT_RANDOM: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE application_name = 'hermes' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1";
    let until = world.clock.now() + i64::try_from(lasts.as_millis()).expect("it is short");
    let mut blows = 0;
    // right after a restart of the server there may be no session for a while
    while world.clock.now() < until || (blows == 0 && world.clock.now() < until + FIRST_SESSION_WITHIN_MS) {
        blows += world.sql(ONE_AT_RANDOM).await?.len() as u64;
        world.clock.pass(TERMINATE_EVERY).await;
    }
    Ok(Done { held: Vec::new(), blows })
}

/// Reports that workers have sent, or are about to, sent again by somebody else.
async fn duplicate(world: &World) -> Result<Done, String> {
    let mut blows = 0;
    for execution in world.services.last_results(DUPLICATES.0) {
        let result = execution.result.clone().unwrap_or_default();
        let Ok(job) = execution.job.parse::<JobId>() else { continue };
        for _ in 0..DUPLICATES.1 {
            send_report(world, &job, &result).await?;
            blows += 1;
        }
    }
    Ok(Done { held: Vec::new(), blows })
}

/// Reports that no worker sent. Those about attempts that are there are about settled runs only: whoever can write to
/// the queue is trusted with an open attempt.
async fn forge(world: &World) -> Result<Done, String> {
    let mut blows = 0;
    let settled = settled_runs(world).await?;
    let of_settled = |execution: &Execution| {
        let run = execution.job.split('/').next().unwrap_or_default();
        settled.iter().any(|settled| settled == run)
    };
    let executions = world.services.executions();
    let about = executions.iter().filter(|execution| of_settled(execution)).take(FORGERIES);
    let open = executions.iter().rev().take(FORGERIES);
    let false_result = json!({ FORGED: true });
    for (n, execution) in about.chain(open).enumerate() {
        let Ok(job) = execution.job.parse::<JobId>() else { continue };
        let unknown_attempt = JobId { attempt: job.attempt + 40, ..job.clone() };
        let unknown_service = JobId { service: "nobody".parse().expect("valid"), ..job.clone() };
        let other_run = JobId { run_id: "00000000000000000000000000000009".parse().expect("valid"), ..job.clone() };
        let mut forged = vec![unknown_attempt, unknown_service, other_run];
        if n < FORGERIES && of_settled(execution) {
            forged.push(job);
        }
        for job in &forged {
            send_report(world, job, &false_result).await?;
            blows += 1;
        }
    }
    let reports = format!("{{{PREFIX}}}:reports");
    world.redis(&["XADD", &reports, "*", "id", "rubbish", "report", "{\"v\":1,"]).await.ok();
    Ok(Done { held: Vec::new(), blows: blows + 1 })
}

async fn settled_runs(world: &World) -> Result<Vec<String>, String> {
    let some = "SELECT run_id FROM runs WHERE settled_at IS NOT NULL ORDER BY random() LIMIT 20";
    Ok(world.sql(some).await?.iter().map(|row| row.get("run_id")).collect())
}

async fn send_report(world: &World, job: &JobId, result: &serde_json::Value) -> Result<Value, String> {
    let report = json!({
        "v": 1, "job": job, "worker": "nobody", "outcome": { "completed": { "duration_ms": 1, "result": result } },
    });
    let reports = format!("{{{PREFIX}}}:reports");
    let sent = world.redis(&["XADD", &reports, "*", "id", &job.to_string(), "report", &report.to_string()]).await;
    // a full server takes no false reports either
    sent.or_else(|error| if error.contains("OOM") { Ok(Value::Nil) } else { Err(error) })
}

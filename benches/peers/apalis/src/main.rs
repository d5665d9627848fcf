//! The peer apalis: `apalis-workflow` over `apalis-redis`, the workers and the client in one program.
//!
//! A flow has no handle with which a submitter could wait for its end, so the join tells the client, in this process. That
//! is a little early, because the join itself is acknowledged after it.

use std::collections::{HashMap, HashSet};
use std::future::Future as _;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{LazyLock, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_core::backend::ext::poll_strategy::{PollSnapshot, PollStrategy, PollWith};
use apalis_redis::{Config, RedisStorage};
use apalis_workflow::{GraphFlow, WorkflowSink};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::oneshot;

/// Tasks of a standard run, the join aside.
const STANDARD_TASKS: usize = 5;
/// Tasks that a worker of standard runs has in hand at the same time.
const CONCURRENCY: usize = 100;
/// The same for wide runs: one of a thousand tasks fits in.
const WIDE_CONCURRENCY: usize = 2_000;
/// Tasks that a worker fetches at once.
const BATCH: usize = 100;
/// Tasks of the client that submit at the same time.
const SUBMITTERS: usize = 32;
/// How often an idle worker looks; by itself it would wait for its heartbeat.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long an answer of Redis may take. By default half a second, after which the worker ends for good: a wide run on a
/// busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

type Storage = RedisStorage<Vec<u8>>;
type Backend = PollWith<Storage, Often>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Wakes the worker at an interval. The crate's own interval makes a new timer without polling it, which nothing wakes.
struct Often(Pin<Box<tokio::time::Sleep>>);

impl Often {
    fn new() -> Self {
        Self(Box::pin(tokio::time::sleep(LOOK_EVERY)))
    }
}

impl Clone for Often {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl PollStrategy for Often {
    fn poll_drive(&mut self, context: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut looked = Poll::Pending;
        while self.0.as_mut().poll(context).is_ready() {
            self.0.as_mut().reset(tokio::time::Instant::now() + LOOK_EVERY);
            looked = Poll::Ready(Some(()));
        }
        looked
    }
}

/// What was executed: how often in all, and which tasks of which runs.
static EXECUTED: LazyLock<Mutex<(usize, HashSet<String>)>> = LazyLock::new(Mutex::default);
/// Who waits for which run; it is told how many results were joined.
static WAITING: LazyLock<Mutex<HashMap<String, oneshot::Sender<usize>>>> = LazyLock::new(Mutex::default);

/// Executes a task: it does nothing but answer about 200 bytes of JSON.
fn task(run: &str, name: &str) -> Result<String, BoxDynError> {
    let mut executed = EXECUTED.lock().expect("nobody panics while holding it");
    executed.0 += 1;
    executed.1.insert(format!("{run}/{name}"));
    Ok(json!({"run": run, "task": name, "ok": true, "echo": "x".repeat(150)}).to_string())
}

fn run_of(result: &str) -> Result<String, BoxDynError> {
    let result: Value = serde_json::from_str(result)?;
    Ok(result["run"].as_str().unwrap_or_default().to_owned())
}

fn join(results: &[String]) -> Result<String, BoxDynError> {
    let run = run_of(results.first().map_or("null", String::as_str))?;
    let answer = task(&run, "join")?;
    if let Some(waiting) = WAITING.lock().expect("nobody panics while holding it").remove(&run) {
        let _ = waiting.send(results.len());
    }
    Ok(answer)
}

/// `a`, `b`, `c` and `d` wait for nothing, `e` for `a`, and the join for all.
fn standard() -> GraphFlow<Backend> {
    let flow = GraphFlow::new("standard");
    let [a, b, c, d] = ["a", "b", "c", "d"]
        .map(|name| flow.add_node(name, task_fn(move |run: String| async move { task(&run, name) })));
    let e = flow.add_node("e", task_fn(|of_a: String| async move { task(&run_of(&of_a)?, "e") }));
    e.clone().depends_on(&a);
    type Five = (String, String, String, String, String);
    let joined = task_fn(|(a, b, c, d, e): Five| async move { join(&[a, b, c, d, e]) });
    // Without `a` among them the join of 1.0.0 waits for ever.
    flow.add_node("join", joined).depends_on((&a, &b, &c, &d, &e));
    flow
}

/// Tasks that wait for nothing, and a join.
fn wide(width: usize) -> GraphFlow<Backend> {
    let flow = GraphFlow::new("wide");
    let node = |number: usize| {
        let name = format!("w{number}");
        let of_run = name.clone();
        flow.add_node(
            &name,
            task_fn(move |run: String| {
                let name = of_run.clone();
                async move { task(&run, &name) }
            }),
        )
    };
    let nodes: Vec<_> = (0..width).map(node).collect();
    let joined = task_fn(|results: Vec<String>| async move { join(&results) });
    flow.add_node("join", joined).depends_on(nodes.iter().collect::<Vec<_>>());
    flow
}

fn storage(connection: &ConnectionManager, queue: &str) -> Storage {
    RedisStorage::new(connection.clone()).with_config(Config::default().queue(queue).batch_size(BATCH))
}

/// Lets a worker run for as long as the program does; one that ends says why, and ends the program.
fn work(name: &str, storage: &Storage, flow: GraphFlow<Backend>, concurrency: usize) -> Result<(), Failure> {
    flow.validate()?;
    let worker = WorkerBuilder::new(name)
        .backend(storage.clone().poll_with_strategy(Often::new()))
        .concurrency(concurrency)
        .build(flow);
    tokio::spawn(async move {
        eprintln!("a worker ended: {:?}", worker.run().await);
        std::process::exit(1);
    });
    Ok(())
}

struct Client {
    connection: ConnectionManager,
    standard: Storage,
    wide: Storage,
    runs: usize,
}

impl Client {
    fn next_run(&mut self) -> (String, oneshot::Receiver<usize>) {
        self.runs += 1;
        let run = format!("run-{}", self.runs);
        let (tell, told) = oneshot::channel();
        WAITING.lock().expect("nobody panics while holding it").insert(run.clone(), tell);
        (run, told)
    }

    /// T: all at once, until the last is complete.
    async fn many(&mut self, count: usize) -> Result<Value, Failure> {
        let (runs, told): (Vec<_>, Vec<_>) = (0..count).map(|_| self.next_run()).unzip();
        let begun = Instant::now();
        let submitting = runs.chunks(count.div_ceil(SUBMITTERS).max(1)).map(|part| {
            let (mut storage, part) = (self.standard.clone(), part.to_vec());
            tokio::spawn(async move {
                for run in part {
                    submit(&mut storage, run).await?;
                }
                Ok::<_, Failure>(())
            })
        });
        for submitted in submitting.collect::<Vec<_>>() {
            submitted.await??;
        }
        let mut complete = 0;
        for told in told {
            complete += usize::from(told.await? == STANDARD_TASKS);
        }
        Ok(json!({"seconds": begun.elapsed().as_secs_f64(), "complete": complete}))
    }

    /// L: one after the other.
    async fn one_by_one(&mut self, count: usize) -> Result<Value, Failure> {
        let (mut ms, mut complete) = (Vec::new(), 0);
        for _ in 0..count {
            let (run, told) = self.next_run();
            let begun = Instant::now();
            submit(&mut self.standard, run).await?;
            complete += usize::from(told.await? == STANDARD_TASKS);
            ms.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(json!({"ms": ms, "complete": complete}))
    }

    /// F: one run of many tasks.
    async fn wide(&mut self, width: usize) -> Result<Value, Failure> {
        let (run, told) = self.next_run();
        let begun = Instant::now();
        self.wide.start_fan_out(vec![run; width]).await.map_err(|error| error.to_string())?;
        let complete = usize::from(told.await? == width);
        Ok(json!({"ms": begun.elapsed().as_secs_f64() * 1e3, "complete": complete}))
    }

    /// What Redis has of all runs.
    async fn stored(&mut self) -> Result<Value, Failure> {
        let (mut completed, mut failed, mut open) = (0, 0, 0);
        for queue in ["standard", "wide"] {
            completed += self.count("SCARD", queue, "done").await?;
            failed += self.count("SCARD", queue, "dead").await? + self.count("ZCARD", queue, "scheduled").await?;
            open += self.count("LLEN", queue, "active").await?;
        }
        Ok(json!({"completed": completed, "failed": failed, "open": open}))
    }

    async fn count(&mut self, command: &str, queue: &str, what: &str) -> Result<u64, Failure> {
        let key = format!("{queue}:{what}");
        Ok(redis::cmd(command).arg(key).query_async(&mut self.connection).await?)
    }

    async fn answer(&mut self, command: &str, count: usize) -> Result<Value, Failure> {
        match command {
            "T" => self.many(count).await,
            "L" => self.one_by_one(count).await,
            "F" => self.wide(count).await,
            "stored" => self.stored().await,
            "executed" => {
                let executed = EXECUTED.lock().expect("nobody panics while holding it");
                Ok(json!({"executions": executed.0, "distinct": executed.1.len()}))
            }
            _ => Err(format!("unknown command {command}").into()),
        }
    }
}

async fn submit(storage: &mut Storage, run: String) -> Result<(), Failure> {
    let inputs = (run.clone(), run.clone(), run.clone(), run);
    storage.start_fan_out(inputs).await.map_err(|error| error.to_string().into())
}

fn say(answer: &Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}")?;
    Ok(out.flush()?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let redis_url = format!("redis://127.0.0.1:{}/", std::env::var("REDIS_PORT")?);
    let width = std::env::var("WIDTH")?.parse()?;
    let settings = ConnectionManagerConfig::new().set_response_timeout(Some(PATIENCE));
    let connection = ConnectionManager::new_with_config(redis::Client::open(redis_url)?, settings).await?;
    let (standard_runs, wide_runs) = (storage(&connection, "standard"), storage(&connection, "wide"));
    work("standard-worker", &standard_runs, standard(), CONCURRENCY)?;
    work("wide-worker", &wide_runs, wide(width), WIDE_CONCURRENCY)?;
    let mut client = Client { connection, standard: standard_runs, wide: wide_runs, runs: 0 };
    say(&json!({"ready": true}))?;
    // The end of the input is the end of the program.
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (command, count) = line.split_once(' ').unwrap_or((&line, "0"));
        say(&client.answer(command, count.parse()?).await?)?;
    }
    Ok(())
}

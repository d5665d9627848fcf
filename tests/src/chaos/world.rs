//! The world under faults: servers, lines, services, processes, clients.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

use crate::harness::postgres;
use crate::harness::redis::Redis;

use super::clients::Clients;
use super::clock::{Clock, Ms};
use super::fault::{DISPATCHERS, Member, Server, WORKERS};
use super::journal::Journal;
use super::member::{Spec, Supervised};
use super::options::Options;
use super::plans::{KEYS, Limits, plans, variables};
use super::proxy::Proxy;
use super::services::Services;

/// The database.
const DATABASE: &str = "chaos";
/// What the keys in Redis begin with.
pub const PREFIX: &str = "chaos";
/// How long one attempt to meddle with a server may take.
const MEDDLE_PATIENCE: Duration = Duration::from_secs(10);
/// How often meddling is tried again while the server is away.
const MEDDLE_TRIES: u32 = 300;

/// Everything.
pub struct World {
    /// The time.
    pub clock: Clock,
    /// The database's time, in milliseconds of the epoch, when the clock showed 0.
    pub database_epoch: Ms,
    /// The database.
    pub postgres: Arc<postgres::Server>,
    /// Held while the database is being restarted.
    pub postgres_restarts: Mutex<()>,
    /// The queue.
    pub redis: Redis,
    /// Held while the queue is down.
    pub redis_restarts: Mutex<()>,
    /// The external workers.
    pub services: Services,
    /// The lines.
    pub lines: BTreeMap<(Member, Server), Proxy>,
    /// The processes.
    pub members: BTreeMap<Member, Supervised>,
    /// The clients.
    pub clients: Clients,
    /// Where logs and journals are.
    pub folder: PathBuf,
}

impl World {
    /// Starts everything and stores the plans.
    ///
    /// # Panics
    /// If something that is needed is not installed or does not start.
    pub async fn start(options: &Options, folder: &Path) -> Self {
        let clock = Clock::start();
        std::fs::create_dir_all(folder).expect("a folder for what is kept");
        let server = || postgres::Server::start(&[("synchronous_commit", "on")]);
        let postgres = Arc::new(tokio::task::spawn_blocking(server).await.expect("Postgres starts"));
        postgres.execute(format!("CREATE DATABASE {DATABASE}")).await;
        let persistent = options.redis_persists();
        let redis = tokio::task::spawn_blocking(move || start_redis(persistent)).await.expect("Redis starts");
        let journal = |name: &str| Journal::create(&folder.join(name));
        let services = Services::start(options.seed, clock.clone(), journal("executions.jsonl")).await;
        let addresses: Vec<SocketAddr> = free_addresses(DISPATCHERS);
        let lines = lines(&postgres, &redis, &services).await;
        let members = members(options, folder, &addresses, &lines, &clock);
        let clients = Clients::new(options.seed, clock.clone(), journal("promises.jsonl"), addresses.clone());
        let mut world = Self {
            database_epoch: 0,
            postgres_restarts: Mutex::default(),
            redis_restarts: Mutex::default(),
            folder: folder.to_owned(),
            clock,
            postgres,
            redis,
            services,
            lines,
            members,
            clients,
        };
        world.database_epoch = world.database_now().await - world.clock.now();
        store_plans(&world.clock, &addresses, options.lease).await;
        world
    }

    /// The address of the database, past all lines.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    async fn database_now(&self) -> Ms {
        let mut connection = PgConnection::connect(&self.database_url()).await.expect("the database answers");
        let now = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");
        now.fetch_one(&mut connection).await.expect("it knows the time")
    }

    /// Executes a statement past all lines, when the database lets it; gives its rows.
    ///
    /// # Errors
    /// What the database says if it does not work for long.
    pub async fn sql(&self, statement: &'static str) -> Result<Vec<PgRow>, String> {
        let mut last = String::new();
        for _ in 0..MEDDLE_TRIES {
            let tried = tokio::time::timeout(MEDDLE_PATIENCE, async {
                let mut connection = PgConnection::connect(&self.database_url()).await?;
                let rows = sqlx::query(statement).fetch_all(&mut connection).await?;
                connection.close().await?;
                Ok::<_, sqlx::Error>(rows)
            });
            match tried.await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => "it does not answer".clone_into(&mut last),
            }
            self.clock.pass(Duration::from_millis(100)).await;
        }
        Err(last)
    }

    /// Sends a command to Redis past all lines, when it lets us.
    ///
    /// # Errors
    /// What Redis says if it does not work for long.
    pub async fn redis(&self, words: &[&str]) -> Result<Value, String> {
        let mut last = String::new();
        for _ in 0..MEDDLE_TRIES {
            match self.redis_once(words).await {
                Ok(value) => return Ok(value),
                // it answered: asking again changes nothing
                Err(error) if error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::ResponseError) => {
                    return Err(error.to_string());
                }
                Err(error) => last = error.to_string(),
            }
            self.clock.pass(Duration::from_millis(100)).await;
        }
        Err(last)
    }

    async fn redis_once(&self, words: &[&str]) -> redis::RedisResult<Value> {
        let client = redis::Client::open(self.redis.url())?;
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(MEDDLE_PATIENCE))
            .set_response_timeout(Some(MEDDLE_PATIENCE));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await
    }
}

fn start_redis(persistent: bool) -> Redis {
    let mut options = vec!["--enable-debug-command", "yes"];
    if persistent {
        options.extend(["--appendonly", "yes", "--appendfsync", "everysec"]);
    }
    Redis::start_with(&options)
}

async fn lines(postgres: &postgres::Server, redis: &Redis, services: &Services) -> BTreeMap<(Member, Server), Proxy> {
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let targets = |server| match server {
        Server::Postgres => local(postgres.port()),
        Server::Redis => local(redis.port()),
        Server::Services => services.address(),
    };
    let mut lines = BTreeMap::new();
    let of_dispatchers = (0..DISPATCHERS).map(|n| (Member::Dispatcher(n), [Server::Postgres, Server::Redis]));
    let of_workers = (0..WORKERS).map(|n| (Member::Worker(n), [Server::Services, Server::Redis]));
    for (member, servers) in of_dispatchers.chain(of_workers) {
        for server in servers {
            lines.insert((member, server), Proxy::start(targets(server)).await);
        }
    }
    lines
}

fn members(
    options: &Options,
    folder: &Path,
    addresses: &[SocketAddr],
    lines: &BTreeMap<(Member, Server), Proxy>,
    clock: &Clock,
) -> BTreeMap<Member, Supervised> {
    let lease_ms = options.lease.as_millis();
    let common = |member| {
        vec![
            ("HERMES_REDIS_URL".to_owned(), format!("redis://{}/", lines[&(member, Server::Redis)].address())),
            ("HERMES_REDIS_PREFIX".to_owned(), PREFIX.to_owned()),
            ("HERMES_QUEUE_LEASE_MS".to_owned(), lease_ms.to_string()),
            ("HERMES_QUEUE_HEARTBEAT_MS".to_owned(), (lease_ms / 3).to_string()),
        ]
    };
    let mut members = BTreeMap::new();
    for (n, address) in addresses.iter().enumerate() {
        let member = Member::Dispatcher(n);
        let database = lines[&(member, Server::Postgres)].address();
        let mut environment = common(member);
        environment.push(("HERMES_DATABASE_URL".to_owned(), format!("postgres://hermes@{database}/{DATABASE}")));
        environment.push(("HERMES_API_LISTEN".to_owned(), address.to_string()));
        members.insert(member, (Box::new(move |_| environment.clone()) as Environment, "hermes-dispatcher"));
    }
    for n in 0..WORKERS {
        let member = Member::Worker(n);
        let services = lines[&(member, Server::Services)].address();
        let mut environment = common(member);
        environment.push(("HERMES_WORKER_KEYS".to_owned(), KEYS.join(",")));
        environment.push(("HERMES_WORKER_CONCURRENCY".to_owned(), "16".to_owned()));
        environment.push(("HERMES_WORKER_GRACE_SECONDS".to_owned(), "5".to_owned()));
        let of_life = move |life| {
            let mut all = environment.clone();
            all.extend(variables(&format!("http://{services}/{n}/{life}")));
            all
        };
        members.insert(member, (Box::new(of_life), "hermes-worker-runner"));
    }
    let start = |(member, (environment, program)): (Member, (Environment, &'static str))| {
        let log = folder.join(log_name(member));
        let spec = Spec {
            member,
            program,
            environment,
            log,
            seed: options.seed,
            armed: options.armed,
            old_binaries: options.old_binaries.clone(),
        };
        (member, Supervised::start(spec, clock.clone()))
    };
    members.into_iter().map(start).collect()
}

type Environment = Box<dyn Fn(u32) -> Vec<(String, String)> + Send + Sync>;

/// The file with a member's log.
#[must_use]
pub fn log_name(member: Member) -> String {
    match member {
        Member::Dispatcher(n) => format!("dispatcher-{n}.log"),
        Member::Worker(n) => format!("worker-{n}.log"),
    }
}

/// Stores the plans at the first dispatcher that takes them.
pub(super) async fn store_plans(clock: &Clock, dispatchers: &[SocketAddr], lease: Duration) {
    let http = reqwest::Client::builder().no_proxy().timeout(MEDDLE_PATIENCE).build().expect("a client");
    for (n, plan) in plans(Limits::of(lease)).iter().enumerate() {
        let mut tries = 0;
        loop {
            tries += 1;
            let url = format!("http://{}/api/orchestration/plans", dispatchers[(n + tries) % dispatchers.len()]);
            let sent = http.post(url).header("content-type", "application/json").body(plan.to_string()).send().await;
            match sent {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) if answer.status().is_client_error() => panic!("{:?}", answer.text().await),
                _ if tries > 600 => panic!("no dispatcher takes plans: read the logs"),
                _ => clock.pass(Duration::from_millis(100)).await,
            }
        }
    }
}

/// Free addresses of loopback: held together, so that no two are the same.
pub(super) fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("it is bound")).collect()
}

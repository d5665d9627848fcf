//! A private Postgres for the tests of one process: on a free port of loopback, in a temporary folder, with a fresh
//! database for each test.
//!
//! A small shell stands between the tests and the server. It holds the other end of a pipe, so it notices the end of
//! the test process however that ends, stops the server and removes the folder.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use hermes_adapters::postgres::{Postgres, PostgresOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// The superuser of the private server. It needs no password.
const USER: &str = "hermes";
/// A database with the current schema, of which each test gets a copy.
const TEMPLATE: &str = "hermes_template";
/// How long initialising and starting may take.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// Another process may take the port between finding and using it.
const START_TRIES: u32 = 3;

/// What the shell does. Arguments: the folder, the programs' folder, the port, then how to become another user, `--`
/// and the server's settings.
const GUARD: &str = r#"
dir=$1; bin=$2; port=$3; shift 3
as=""
while [ "$1" != "--" ]; do as="$as $1"; shift; done
shift
end() { rm -rf "$dir"; exit; }
setpriv $as -- "$bin/initdb" -D "$dir/data" -U hermes -A trust -E UTF8 --locale=C --no-sync 2>&1 || end
start() {
    setpriv --pdeathsig KILL $as -- "$bin/postgres" -D "$dir/data" -k "$dir" -p "$port" -h 127.0.0.1 "$@" 2>&1 </dev/null &
    pid=$!
}
start "$@"
# the only order there is: end it as `pg_ctl stop -m immediate` does, and start it again
while read -r order; do kill -QUIT "$pid"; wait "$pid"; start "$@"; done
# a shell's background processes ignore QUIT until they set a handler; until then TERM ends them
kill -TERM "$pid" 2>/dev/null; kill -QUIT "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
end
"#;

/// A running server. It stops when the value goes, or with the process.
pub struct Server {
    guard: Child,
    port: u16,
    /// One message each time it gets ready.
    ready: Mutex<Receiver<Result<(), String>>>,
}

impl Server {
    /// Starts a server with these settings, besides those that make it small. Blocks until it accepts connections.
    ///
    /// # Panics
    /// If Postgres is not installed or does not start; the text says what to do.
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let programs = programs();
        let mut told = String::new();
        for _ in 0..START_TRIES {
            match Self::try_start(&programs, settings) {
                Ok(server) => return server,
                Err(output) => told = output,
            }
        }
        panic!("Postgres does not start:\n{told}");
    }

    fn try_start(programs: &Path, settings: &[(&str, &str)]) -> Result<Self, String> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let folder = tempfile::Builder::new().prefix("hermes-postgres-").tempdir().expect("a temporary folder").keep();
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "guard"]).arg(&folder).arg(programs).arg(port.to_string());
        command.args(other_user(&folder)).arg("--");
        let small = [("shared_buffers", "16MB"), ("max_connections", "300"), ("fsync", "on")];
        for (name, value) in small.iter().chain(settings) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        // a group of its own: Ctrl-C is for the tests, the shell cleans up behind them
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = command.spawn().expect("sh is there");
        let output = guard.stdout.take().expect("it is piped");
        let server = Self { guard, port, ready: Mutex::new(listen(output)) };
        server.wait_until_ready().map(|()| server)
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.recv_timeout(START_PATIENCE).unwrap_or_else(|_| Err("it does not get ready".to_owned()))
    }

    /// Ends the server as a crash would (`-m immediate`: no farewell, no checkpoint) and starts it again; returns when
    /// it has recovered. Blocks.
    ///
    /// # Panics
    /// If it does not come back.
    pub fn crash_and_recover(&self) {
        let mut orders = self.guard.stdin.as_ref().expect("it is piped");
        orders.write_all(b"again\n").expect("the shell listens");
        self.wait_until_ready().unwrap_or_else(|output| panic!("Postgres does not recover:\n{output}"));
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database of this server.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Executes one statement in the database `postgres`.
    ///
    /// # Panics
    /// If the server does not answer or refuses it.
    pub async fn execute(&self, sql: String) {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.expect("the server answers");
        connection.execute(AssertSqlSafe(sql)).await.expect("a valid statement");
        connection.close().await.expect("closed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        self.guard.wait().expect("the shell ends");
    }
}

/// Reads what the server says, for ever; tells when it is ready, and everything it said before its end.
fn listen(output: ChildStdout) -> Receiver<Result<(), String>> {
    let (told, tells) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = String::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if line.contains("ready to accept connections") {
                // nobody listens when that took too long
                let _ = told.send(Ok(()));
            }
            said.push_str(&line);
            said.push('\n');
            let excess = said.len().saturating_sub(64 * 1_024);
            said.drain(..said.ceil_char_boundary(excess));
        }
        let _ = told.send(Err(said));
    });
    tells
}

/// Where the server's programs are: the newest version of Debian's layout, else the search path.
///
/// # Panics
/// If they are not installed.
#[must_use]
pub fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest =
        versions.map(|entry| entry.path()).filter(|path| path.join("bin/initdb").is_file()).max_by_key(version);
    let search = std::env::var_os("PATH").unwrap_or_default();
    newest
        .map(|path| path.join("bin"))
        .or_else(|| std::env::split_paths(&search).find(|folder| folder.join("initdb").is_file()))
        .expect("Postgres 15 or newer is needed for this test: apt-get install postgresql")
}

/// Postgres refuses to run as root: arguments of `setpriv` that make it another user, who gets the folder.
fn other_user(folder: &Path) -> Vec<String> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().expect("id is there");
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return Vec::new();
    }
    let user = ["postgres", "nobody"].into_iter().find_map(|name| Some((id(&["-u", name])?, id(&["-g", name])?)));
    let (user, group) = user.expect("there is a user postgres or nobody");
    chown(folder, Some(user), Some(group)).expect("root may give folders away");
    vec![format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]
}

/// The server that the tests of this process share.
async fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let start = || {
        let server = Server::start(&[]);
        let url = server.url(TEMPLATE);
        // a runtime of its own: this one belongs to the first test that came here
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            server.execute(format!("CREATE DATABASE {TEMPLATE}")).await;
            let postgres = Postgres::connect(&url, PostgresOptions::default()).await.expect("it keeps commits");
            postgres.migrate().await.expect("migrated");
            postgres.close().await;
        });
        server
    };
    tokio::task::spawn_blocking(move || SERVER.get_or_init(start)).await.expect("Postgres starts")
}

/// The address of a fresh database with the current schema.
pub async fn database() -> String {
    copy_of(TEMPLATE).await
}

/// The address of a fresh database without a schema.
pub async fn empty_database() -> String {
    copy_of("template1").await
}

async fn copy_of(template: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let server = shared().await;
    let name = format!("t_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    server.execute(format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    server.url(&name)
}

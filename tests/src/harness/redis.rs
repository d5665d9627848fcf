//! Private Redis servers: one for all tests of a binary that do not hurt it, own ones for tests that do.
//!
//! The servers die with the test process, even if that is killed.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};

use tempfile::TempDir;

/// How often another port is tried when somebody else was faster.
const PORT_TRIES: u32 = 20;

/// A running server. Dropping the last handle ends it.
#[derive(Clone)]
pub struct Redis {
    server: Arc<Server>,
}

struct Server {
    port: u16,
    /// What the program is started with; `None` for a sentinel, whose file says everything.
    options: Option<Vec<String>>,
    child: Mutex<Option<Child>>,
    directory: TempDir,
}

impl Redis {
    /// The server that the tests of this binary share: use a prefix from [`Redis::prefix`], and do it no harm.
    #[must_use]
    pub fn shared() -> Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(Self::start_own).clone()
    }

    /// A server of the test's own, without persistence.
    #[must_use]
    pub fn start_own() -> Self {
        Self::start_with(&[])
    }

    /// The same with further options, such as `--appendonly yes`.
    ///
    /// # Panics
    /// If there is no server program, or none that starts.
    #[must_use]
    pub fn start_with(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        Self::start(Some(options), |_| String::new())
    }

    /// A sentinel with a configuration file, to which its address is added.
    ///
    /// # Panics
    /// As [`Redis::start_with`].
    #[must_use]
    pub fn start_sentinel(configuration: &str) -> Self {
        Self::start(None, |port| format!("bind 127.0.0.1\nport {port}\n{configuration}\n"))
    }

    fn start(options: Option<Vec<String>>, configuration: impl Fn(u16) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut server = Server { port: 0, options, child: Mutex::default(), directory };
        for _ in 0..PORT_TRIES {
            server.port = free_port();
            std::fs::write(server.configuration(), configuration(server.port)).expect("its directory is ours");
            if server.start() {
                return Self { server: Arc::new(server) };
            }
        }
        panic!("no Redis server starts on any of {PORT_TRIES} free ports; run redis-server by hand to see why");
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.server.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// Its directory, where an append-only file would be.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.server.directory.path().to_owned()
    }

    /// A key prefix that no other test of this process has.
    #[must_use]
    pub fn prefix(&self) -> String {
        static LAST: AtomicU32 = AtomicU32::new(0);
        format!("test-{}", LAST.fetch_add(1, Ordering::Relaxed))
    }

    /// A connection for looking and meddling.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        self.try_connection().await.expect("the server answers")
    }

    async fn try_connection(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.url()).expect("the URL is valid");
        // The library's default of half a second is too short on a busy machine.
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(std::time::Duration::from_secs(30)))
            .set_response_timeout(Some(std::time::Duration::from_secs(30)));
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Sends one command, given as words.
    ///
    /// # Panics
    /// If the server refuses it.
    pub async fn command(&self, words: &[&str]) -> redis::Value {
        self.try_command(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same with a server that may be away, or cut the line: one that changes its role does.
    ///
    /// # Errors
    /// What the server or the connection says.
    pub async fn try_command(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.try_connection().await?).await
    }

    /// Asks until the answer, a text, is as it should be.
    pub async fn until(&self, words: &[&str], is_right: impl Fn(&str) -> bool) {
        loop {
            let answer = self.try_command(words).await;
            if answer.is_ok_and(|answer| redis::from_redis_value::<String>(answer).is_ok_and(|text| is_right(&text))) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends the server as `kill -9` does.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts a killed server again, on the same port and in the same directory.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&self) {
        self.server.kill();
        assert!(self.server.start(), "the port is still free");
    }
}

impl Server {
    fn kill(&self) {
        if let Some(mut child) = lock(&self.child).take() {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
        }
    }

    fn configuration(&self) -> PathBuf {
        self.directory.path().join("server.conf")
    }

    /// Starts it and waits until it is ready; false if it ends before.
    fn start(&self) -> bool {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program()).arg(self.configuration());
        let ready = if let Some(options) = &self.options {
            command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""]).args(options);
            "Ready to accept connections"
        } else {
            command.arg("--sentinel");
            "Sentinel ID is"
        };
        // To its standard output, where its readiness is read.
        command.args(["--logfile", "", "--daemonize", "no", "--dir"]).arg(self.directory.path());
        let child = start(command, ready);
        let started = child.is_some();
        *lock(&self.child) = child;
        started
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Starts a server and waits until it says that it is `ready`; `None` if it ends before.
fn start(mut command: Command, ready: &'static str) -> Option<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (send, receive) = mpsc::channel();
    // The server dies with the thread that started it, and so this thread stays until the server is gone.
    std::thread::spawn(move || {
        let mut child = command.spawn().expect("setpriv starts: it is in the Debian package util-linux");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let mut started = Some((child, send));
        for line in lines.map_while(Result::ok) {
            if line.contains(ready)
                && let Some((child, send)) = started.take()
            {
                drop(send.send(child));
            }
        }
        if let Some((mut child, _)) = started {
            drop(child.wait());
        }
    });
    receive.recv().ok()
}

/// The server program.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = ["redis-server", "valkey-server"]
        .into_iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)).collect::<Vec<_>>());
    candidates.find(|candidate| candidate.is_file()).unwrap_or_else(|| {
        panic!("no redis-server or valkey-server in PATH: install the Debian package redis-server or valkey-server")
    })
}

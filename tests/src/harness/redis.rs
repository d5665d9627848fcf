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
    options: Vec<String>,
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
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for _ in 0..PORT_TRIES {
            let port = free_port();
            if let Some(child) = start(port, &options, &directory) {
                let server = Server { port, options, child: Mutex::new(Some(child)), directory };
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
        let client = redis::Client::open(self.url()).expect("the URL is valid");
        // The library's default of half a second is too short on a busy machine.
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(std::time::Duration::from_secs(30)))
            .set_response_timeout(Some(std::time::Duration::from_secs(30)));
        client.get_multiplexed_async_connection_with_config(&config).await.expect("the server answers")
    }

    /// Sends one command, given as words.
    ///
    /// # Panics
    /// If the server refuses it.
    pub async fn command(&self, words: &[&str]) -> redis::Value {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let mut connection = self.connection().await;
        command.query_async(&mut connection).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
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
        let server = &self.server;
        server.kill();
        let child = start(server.port, &server.options, &server.directory).expect("the port is still free");
        *lock(&server.child) = Some(child);
    }
}

impl Server {
    fn kill(&self) {
        if let Some(mut child) = lock(&self.child).take() {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
        }
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

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Starts a server and waits until it accepts connections; `None` if it ends before.
fn start(port: u16, options: &[String], directory: &TempDir) -> Option<Child> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program());
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]).arg(directory.path());
    // To its standard output, where its readiness is read.
    command.args(["--logfile", "", "--daemonize", "no"]).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (send, receive) = mpsc::channel();
    // The server dies with the thread that started it, and so this thread stays until the server is gone.
    std::thread::spawn(move || {
        let mut child = command.spawn().expect("setpriv starts: it is in the Debian package util-linux");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let mut started = Some((child, send));
        for line in lines.map_while(Result::ok) {
            if line.contains("Ready to accept connections")
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

//! Our own binaries as child processes: started, watched through their JSON logs, killed for real.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

/// How long a process may take to say what a test waits for. Generous: it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running binary of this workspace. It dies with the test, also when the test process is killed.
pub struct Process {
    name: String,
    child: Child,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Notify,
}

/// Where cargo put the binary `name`.
///
/// # Panics
/// If it was not built; `cargo build --workspace` does.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let folder = test.parent().expect("it lies in a folder");
    // tests lie in target/<profile>/deps, programs one folder higher
    let folder = if folder.ends_with("deps") { folder.parent().expect("there is one") } else { folder };
    let path = folder.join(name);
    assert!(path.exists(), "{} is not there: run `cargo build --workspace` first", path.display());
    path
}

impl Process {
    /// Starts the binary `name` with `arguments` and nothing in its environment but `environment` and `PATH`.
    #[must_use]
    pub fn start(name: &str, arguments: &[&str], environment: &[(String, String)]) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(binary(name)).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HERMES_LOG_FORMAT", "json");
        command.envs(environment.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("setpriv (Debian package util-linux) starts the binary");
        let log = Arc::new(Log::default());
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                kept.more.notify_waiters();
            }
        });
        Self { name: name.to_owned(), child, log }
    }

    /// Everything that it has logged so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a log line whose message contains `words`, and gives its fields.
    ///
    /// # Panics
    /// If the line does not come.
    pub async fn says(&mut self, words: &str) -> Value {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let more = self.log.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if let Some(fields) = self.log().iter().find_map(|line| fields_of(line, words)) {
                    return Some(fields);
                }
                tokio::select! {
                    () = more => {}
                    _ = self.child.wait() => {
                        // What it said last may still be on its way through the pipe.
                        tokio::task::yield_now().await;
                        return self.log().iter().find_map(|line| fields_of(line, words));
                    }
                }
            }
        });
        match waited.await {
            Ok(Some(fields)) => fields,
            Ok(None) => panic!("{} ended without saying '{words}':\n{}", self.name, self.log().join("\n")),
            Err(_) => panic!("{} did not say '{words}':\n{}", self.name, self.log().join("\n")),
        }
    }

    /// SIGKILL; returns when the process is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the process is ours");
    }

    /// SIGTERM; gives the exit code.
    ///
    /// # Panics
    /// If it does not end, or ends by a signal.
    pub async fn terminate(&mut self) -> i32 {
        self.signal("-TERM").await
    }

    /// SIGINT, as Ctrl-C sends it; gives the exit code.
    ///
    /// # Panics
    /// If it does not end, or ends by a signal.
    pub async fn interrupt(&mut self) -> i32 {
        self.signal("-INT").await
    }

    /// SIGTERM, without waiting for what comes of it.
    pub async fn ask_to_end(&self) {
        self.send("-TERM").await;
    }

    async fn signal(&mut self, signal: &str) -> i32 {
        self.send(signal).await;
        self.ended().await
    }

    async fn send(&self, signal: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().await.expect("kill is there");
        assert!(sent.success(), "kill {signal} {pid}");
    }

    /// Waits until it has ended; gives the exit code.
    ///
    /// # Panics
    /// If it does not end, or ends by a signal.
    pub async fn ended(&mut self) -> i32 {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("{} does not end:\n{}", self.name, self.log().join("\n")));
        status.expect("it can be waited for").code().expect("it ended by itself")
    }
}

/// The fields of a JSON log line, if its message contains `words`.
fn fields_of(line: &str, words: &str) -> Option<Value> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    fields.get("message")?.as_str()?.contains(words).then(|| fields.clone())
}

/// What a command that has ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Runs the binary `name` to its end.
///
/// # Panics
/// If it hangs or ends by a signal.
pub async fn run_to_end(name: &str, arguments: &[&str], environment: &[(String, String)]) -> Ended {
    let mut command = Command::new(binary(name));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(environment.iter().map(|(key, value)| (key, value)));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{name} {arguments:?} does not end")).expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("it ended by itself");
    Ended { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

//! Child processes that do not outlive the benchmark, however it ends.
//!
//! A small shell stands between the benchmark and each child. It holds the other end of a pipe: when the benchmark
//! closes it or is killed, the shell ends the child and removes its folder.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// What the shell does. Arguments: the signals that end the child at once, its folder, the owner of the folder if that
/// is another user, the program and its arguments. Each line that comes is a signal to be sent. Nobody may be there any
/// more to be told the process id; that must not end the shell.
const GUARD: &str = r#"
signals=$1; folder=$2; owner=$3; shift 3
mkdir -m 700 "$folder" || exit
[ -z "$owner" ] || chown "$owner" "$folder"
"$@" >"$folder/log" 2>&1 </dev/null &
pid=$!
trap '' PIPE
echo "$pid"
while read -r signal; do kill -s "$signal" "$pid" 2>/dev/null; done
for signal in $signals; do kill -s "$signal" "$pid" 2>/dev/null; done
wait "$pid"
rm -rf "$folder"
"#;
/// How long a child may take to end when it is asked to.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// How much of its log tells why a child ended.
const LOG_BYTES_TOLD: u64 = 4_096;

/// Where a child of this name keeps what it has, below `parent`.
pub(super) fn folder(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let parent = parent.canonicalize().with_context(|| format!("cannot find {}", parent.display()))?;
    Ok(parent.join(format!("hermes-bench-{}-{name}", std::process::id())))
}

/// How to start a child.
pub(super) struct Plan<'a> {
    /// What it is called in figures and errors.
    pub(super) name: &'a str,
    /// Its folder, which does not exist yet.
    pub(super) folder: PathBuf,
    /// Who gets the folder, as `chown` wants it; empty if that is this user.
    pub(super) owner: &'a str,
    /// Signals that end it at once, one after the other.
    pub(super) end: &'a str,
    /// The program and its arguments.
    pub(super) program: &'a [&'a OsStr],
    /// Everything in its environment, besides `PATH`.
    pub(super) environment: &'a [(String, String)],
}

/// A running child.
pub(super) struct Guarded {
    /// What it is called in figures and errors.
    pub(super) name: String,
    /// Its process id.
    pub(super) pid: u32,
    folder: PathBuf,
    guard: Child,
    orders: ChildStdin,
}

impl Guarded {
    /// Starts a child.
    pub(super) async fn start(plan: Plan<'_>) -> anyhow::Result<Self> {
        let Plan { name, folder, owner, end, program, environment } = plan;
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "guard", end]).arg(&folder).arg(owner).args(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(environment.iter().map(|(key, value)| (key, value)));
        // A group of its own: Ctrl-C is for the benchmark, the shell cleans up behind it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guard = command.spawn().context("cannot start sh")?;
        let orders = guard.stdin.take().expect("it is piped");
        let mut told = BufReader::new(guard.stdout.take().expect("it is piped")).lines();
        let line = told.next_line().await?.unwrap_or_default();
        let pid = line.parse().with_context(|| format!("the shell did not start {name}: {line}"))?;
        Ok(Self { name: name.to_owned(), pid, folder, guard, orders })
    }

    /// Everything that it has said, or the last part of it.
    pub(super) fn log(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(self.folder.join("log")) {
            let length = file.metadata().map_or(0, |about| about.len());
            let _ = file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES_TOLD)));
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Whether it has not ended yet. The shell has not waited for it, so an ended child is a zombie.
    pub(super) fn lives(&self) -> bool {
        super::processes::state(self.pid).is_some_and(|state| state != 'Z')
    }

    /// Asks until `is_ready` says so; an error if the child ends before, or time runs out.
    pub(super) async fn until<F: Future<Output = bool>>(
        &self,
        patience: Duration,
        mut is_ready: impl FnMut() -> F,
    ) -> anyhow::Result<()> {
        let waited = tokio::time::timeout(patience, async {
            while !is_ready().await {
                if !self.lives() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            true
        });
        match waited.await {
            Ok(true) => Ok(()),
            Ok(false) => anyhow::bail!("{} ended at once:\n{}", self.name, self.log()),
            Err(_) => anyhow::bail!("{} does not get ready:\n{}", self.name, self.log()),
        }
    }

    /// Asks it to end in order, waits until it has, and gives the last that it said.
    pub(super) async fn terminate(mut self) -> anyhow::Result<String> {
        self.orders.write_all(b"TERM\n").await.with_context(|| format!("{} has ended before", self.name))?;
        let ended = tokio::time::timeout(END_PATIENCE, async {
            while self.lives() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let in_time = ended.await.is_ok();
        let log = self.log();
        let name = self.name.clone();
        self.end().await;
        anyhow::ensure!(in_time, "{name} does not end when it is asked to:\n{log}");
        Ok(log)
    }

    /// Ends it at once and waits until it is gone, with its folder.
    pub(super) async fn end(self) {
        let Self { mut guard, orders, .. } = self;
        drop(orders);
        // The shell goes on alone if it takes longer.
        let _ = tokio::time::timeout(END_PATIENCE, guard.wait()).await;
    }
}

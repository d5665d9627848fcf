//! The port [`Browser`] over a local Chromium, spoken to in the DevTools protocol with raw JSON: typed bindings refuse
//! what a newer Chromium says.
//!
//! Each visit has a browser of its own: its own processes, its own empty folder, both gone afterwards ([`process`]). One
//! visit at a time on a machine ([`gate`]). Where only public addresses may be reached, all its connections go through
//! [`guard`].
//!
//! Deliberately absent: retries, and judging what was seen; those are the service's.

mod gate;
mod guard;
mod machine;
mod page;
mod pipe;
mod process;
mod seen;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::env::split_paths;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::ports::browser::{Browser, BrowserError, PageLoad, Visit};
use hermes_core::ports::http::Reach;
use tokio::process::Command;
use tokio::time::{Instant, timeout, timeout_at};

use guard::{Guard, Network, SystemNetwork};
use process::Process;
use session::Session;

pub use page::{LOAD_MS_MAX, MEMORY_BYTES_MAX, TRANSFER_BYTES_MAX};
pub use pipe::MESSAGE_BYTES_MAX;
pub use seen::NAVIGATIONS_MAX;

/// The variable that names the program.
pub const CHROMIUM_PATH: &str = "CHROMIUM_PATH";
/// Names under which the program is looked for in `PATH`, in this order.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
/// Longest wait for the program to tell its version: a slow disk has hundreds of MB to read for it.
const VERSION_MS: u64 = 60_000;
/// Time that is kept for ending the browser.
const END_RESERVE_MS: u64 = 1_000;

/// A Chromium on this machine, or the knowledge that there is none.
#[derive(Clone, Debug)]
pub struct Chromium {
    program: Result<PathBuf, String>,
    /// Beside those that every browser gets; for tests.
    more_flags: Vec<String>,
    network: Arc<dyn Network>,
}

/// What went wrong with one visit, inside.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// It could not be started.
    Start(String),
    /// Its processes ended.
    Gone,
    /// The process of the page ended.
    Crashed,
    /// It did not answer to this call.
    Silent(String),
    /// It answered something else than it should.
    Protocol(String),
    /// The page cannot be loaded.
    Page(String),
    /// The page does not let go of its main thread.
    Stuck(String),
    /// The page misbehaves.
    Hostile(String),
}

impl Chromium {
    /// Looks for the program: where [`CHROMIUM_PATH`] of `environment` says, else under its usual names in `PATH`.
    #[must_use]
    pub fn find(environment: &BTreeMap<String, String>) -> Self {
        let named = environment.get(CHROMIUM_PATH).map(|path| path.trim()).filter(|path| !path.is_empty());
        let program = match named {
            Some(path) if Path::new(path).is_file() => Ok(PathBuf::from(path)),
            Some(path) => Err(format!("{CHROMIUM_PATH} names {path}, which is no file")),
            None => search(environment.get("PATH").map_or("/usr/local/bin:/usr/bin:/bin", String::as_str)),
        };
        Self { program, more_flags: Vec::new(), network: Arc::new(SystemNetwork) }
    }

    /// The program, or why there is none.
    ///
    /// # Errors
    /// [`BrowserError::Missing`].
    pub fn program(&self) -> Result<&Path, BrowserError> {
        self.program.as_deref().map_err(|why| BrowserError::Missing(why.clone()))
    }

    /// What the program calls itself: `Chromium 150.0.7871.100 built on Debian`. It is started for this, and ends at once.
    ///
    /// # Errors
    /// [`BrowserError::Missing`]; [`BrowserError::Broken`] with what it said instead.
    pub async fn version(&self) -> Result<String, BrowserError> {
        let mut command = Command::new(self.program()?);
        command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
        let ended = timeout(Duration::from_millis(VERSION_MS), command.output()).await;
        let ended = ended.map_err(|_| BrowserError::Broken("it does not tell its version".to_owned()))?;
        let ended = ended.map_err(|error| BrowserError::Broken(format!("it does not start: {error}")))?;
        let told = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned()
        };
        match ended.status.success() {
            true => Ok(told(&ended.stdout)),
            false => Err(BrowserError::Broken(told(&ended.stderr))),
        }
    }

    async fn visit(&self, visit: &Visit, end: Instant) -> Result<PageLoad, BrowserError> {
        let broken = |text: String| BrowserError::Broken(text);
        let program = self.program()?;
        let guard = match visit.reach {
            Reach::Public => {
                Some(Guard::listen(self.network.clone()).await.map_err(|error| broken(error.to_string()))?)
            }
            Reach::Any => None,
        };
        let before = machine::work_seconds().await;
        let (process, pipe) = Process::start(program, &self.more_flags, guard.as_ref().map(|guard| guard.port))
            .map_err(|failure| explained(failure, ""))?;
        let mut session = Session::new(pipe);
        let end = end.checked_sub(Duration::from_millis(END_RESERVE_MS)).unwrap_or(end);
        let outcome = timeout_at(end, page::load(&mut session, visit, process.group, end)).await;
        let words = process.end().await;
        let outcome = outcome.unwrap_or_else(|_| Err(Failure::Silent("its time was over".to_owned())));
        let refused = guard.as_ref().map(Guard::refused).unwrap_or_default();
        match outcome {
            Ok(load) => Ok(PageLoad { refused, machine_seconds: [before, machine::work_seconds().await], ..load }),
            Err(Failure::Page(why)) if !refused.is_empty() => {
                Err(BrowserError::Page(format!("{why}; refused to connect to {}", refused.join(", "))))
            }
            Err(failure) => Err(explained(failure, &words)),
        }
    }
}

#[async_trait]
impl Browser for Chromium {
    async fn load(&self, visit: Visit) -> Result<PageLoad, BrowserError> {
        self.program()?;
        let begun = Instant::now();
        let end = begun + visit.timeout;
        let last = end.checked_sub(visit.least).unwrap_or(begun).max(begun);
        let _permit = gate::enter(last).await.ok_or(BrowserError::Busy)?;
        let waited_ms = begun.elapsed().as_secs_f64() * 1_000.0;
        let load = self.visit(&visit, end).await?;
        Ok(PageLoad { waited_ms, ..load })
    }

    fn is_there(&self) -> Result<(), BrowserError> {
        self.program().map(drop)
    }
}

fn search(path: &str) -> Result<PathBuf, String> {
    let folders: Vec<PathBuf> = split_paths(path).collect();
    let candidates = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let mut candidates = candidates.filter(|file| file.is_file());
    candidates.next().ok_or_else(|| format!("none of {} is in PATH", NAMES.join(", ")))
}

fn explained(failure: Failure, words: &str) -> BrowserError {
    // The line that says why: the one on which Chromium gave up, else the last one.
    let fatal = words.lines().find(|line| line.contains(":FATAL:"));
    let last = fatal.or_else(|| words.lines().rev().find(|line| !line.trim().is_empty())).unwrap_or_default().trim();
    match failure {
        Failure::Start(why) => BrowserError::Broken(format!("it does not start: {why}")),
        Failure::Gone if last.is_empty() => BrowserError::Broken("its process ended".to_owned()),
        Failure::Gone => BrowserError::Broken(format!("its process ended: {last}")),
        Failure::Crashed => BrowserError::Broken("the process of the page crashed".to_owned()),
        Failure::Silent(call) => BrowserError::Broken(format!("it does not answer ({call})")),
        Failure::Protocol(why) => BrowserError::Broken(why),
        Failure::Page(why) => BrowserError::Page(why),
        Failure::Stuck(why) => BrowserError::Stuck(why),
        Failure::Hostile(why) => BrowserError::Hostile(why),
    }
}

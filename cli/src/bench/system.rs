//! What is measured: a private system that is started for it, or a running one.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use url::Url;

use super::guarded::{Guarded, Plan, folder};
use super::http::Connection;
use super::options::Bench;
use super::servers::{Postgres, Redis, START_PATIENCE, free_port};

/// The worker-runner's last words tell how many attempts it executed; all else is logged only if it is wrong.
const LOG_FILTER: &str = "warn,hermes_worker_runner=info";

/// A Hermes to measure.
pub(super) struct System {
    /// Where its dispatchers answer.
    pub(super) servers: Vec<Url>,
    /// Its processes, if it is private.
    pub(super) processes: Vec<Guarded>,
    /// Its store and its queue, if it is private and a fleet.
    pub(super) stores: Option<(Postgres, Redis)>,
}

impl System {
    /// Starts a private system, or finds the running one.
    pub(super) async fn open(bench: &Bench) -> anyhow::Result<Self> {
        let mut system = Self { servers: Vec::new(), processes: Vec::new(), stores: None };
        if let Some(url) = &bench.url {
            system.servers.push(url.clone());
        } else if bench.embedded {
            system.start_embedded(&bench.data, &[]).await?;
        } else {
            system = Self::start_fleet(&bench.data, bench.dispatchers, bench.worker_runners).await?;
        }
        Ok(system)
    }

    /// Starts a private fleet.
    pub(super) async fn start_fleet(
        parent: &Path,
        dispatchers: NonZeroUsize,
        worker_runners: NonZeroUsize,
    ) -> anyhow::Result<Self> {
        let (postgres, redis) = (Postgres::start(parent).await?, Redis::start(parent).await?);
        let (database, queue) = (postgres.url(), redis.url());
        let mut system = Self { servers: Vec::new(), processes: Vec::new(), stores: Some((postgres, redis)) };
        for number in 1..=dispatchers.get() {
            system.start_dispatcher(parent, number, &database, &queue).await?;
        }
        for number in 1..=worker_runners.get() {
            system.start_worker_runner(parent, number, &queue).await?;
        }
        Ok(system)
    }

    /// Starts one process over SQLite that may read sites of this machine, as fast as they answer.
    pub(super) async fn start_crawler(parent: &Path) -> anyhow::Result<Self> {
        let mut system = Self { servers: Vec::new(), processes: Vec::new(), stores: None };
        system.start_embedded(parent, &["--allow-private-targets"]).await?;
        Ok(system)
    }

    async fn start_embedded(&mut self, parent: &Path, more: &[&str]) -> anyhow::Result<()> {
        let listen = format!("127.0.0.1:{}", free_port()?);
        let program = std::env::current_exe().context("cannot find this program")?;
        let folder = folder(parent, "hermes")?;
        let data = folder.join("data");
        let words =
            [OsStr::new("up"), OsStr::new("--listen"), OsStr::new(&listen), OsStr::new("--data"), data.as_os_str()];
        let command: Vec<&OsStr> =
            std::iter::once(program.as_os_str()).chain(words).chain(more.iter().map(OsStr::new)).collect();
        let process = start("hermes", folder.clone(), &command, &environment(&[])).await?;
        self.add_server(process, &listen).await
    }

    async fn start_dispatcher(
        &mut self,
        parent: &Path,
        number: usize,
        database: &str,
        redis: &str,
    ) -> anyhow::Result<()> {
        let listen = format!("127.0.0.1:{}", free_port()?);
        let name = format!("dispatcher-{number}");
        let settings = environment(&[
            ("HERMES_DATABASE_URL", database),
            ("HERMES_REDIS_URL", redis),
            ("HERMES_API_LISTEN", &listen),
        ]);
        let program = beside("hermes-dispatcher")?;
        let process = start(&name, folder(parent, &name)?, &[program.as_os_str()], &settings).await?;
        self.add_server(process, &listen).await
    }

    async fn start_worker_runner(&mut self, parent: &Path, number: usize, redis: &str) -> anyhow::Result<()> {
        let name = format!("worker-runner-{number}");
        let settings = environment(&[("HERMES_REDIS_URL", redis), ("HERMES_WORKER_KEYS", "noop")]);
        let program = beside("hermes-worker-runner")?;
        let process = start(&name, folder(parent, &name)?, &[program.as_os_str()], &settings).await?;
        process.until(START_PATIENCE, async || process.log().contains("serving worker keys")).await?;
        self.processes.push(process);
        Ok(())
    }

    async fn add_server(&mut self, process: Guarded, listen: &str) -> anyhow::Result<()> {
        let server: Url = format!("http://{listen}").parse().expect("an address with a port makes a URL");
        process.until(START_PATIENCE, async || is_ready(&server).await).await?;
        self.servers.push(server);
        self.processes.push(process);
        Ok(())
    }

    /// All private processes with their names.
    pub(super) fn all_processes(&self) -> impl Iterator<Item = (&str, u32)> {
        let stores = self.stores.iter().flat_map(|(postgres, redis)| [&postgres.process, &redis.process]);
        self.processes.iter().chain(stores).map(|process| (process.name.as_str(), process.pid))
    }

    /// Ends what was started, in order; gives how many attempts its workers say that they have executed.
    pub(super) async fn stop(self) -> anyhow::Result<Option<u64>> {
        let mut executed = Ok(None);
        // Workers first, as everywhere: what they report last must still be written.
        for process in self.processes.into_iter().rev() {
            let name = process.name.clone();
            let log = process.terminate().await;
            executed = executed.and_then(|so_far: Option<u64>| match (log?, name.starts_with("dispatcher")) {
                (_, true) => Ok(so_far),
                (log, false) => {
                    let count = executed_attempts(&log);
                    let count = count.with_context(|| format!("{name} did not say what it has done:\n{log}"))?;
                    Ok(Some(so_far.unwrap_or(0) + count))
                }
            });
        }
        if let Some((postgres, redis)) = self.stores {
            postgres.process.end().await;
            redis.process.end().await;
        }
        executed
    }
}

/// How many attempts a worker-runner reports at its end to have brought to an end, whatever came of them.
fn executed_attempts(log: &str) -> Option<u64> {
    let line = log.lines().rev().find(|line| line.contains("worker-runner ended"))?;
    let counts = ["completed: ", "failed: ", "unreported: "];
    counts
        .iter()
        .map(|name| line.split_once(name)?.1.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok())
        .sum()
}

async fn start(
    name: &str,
    folder: PathBuf,
    program: &[&OsStr],
    environment: &[(String, String)],
) -> anyhow::Result<Guarded> {
    Guarded::start(Plan { name, folder, owner: "", end: "KILL", program, environment }).await
}

async fn is_ready(server: &Url) -> bool {
    let Ok(mut connection) = Connection::to(server) else { return false };
    connection.get("/readyz").await.is_ok_and(|answer| answer.status == 200)
}

fn environment(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let always = [("HERMES_LOG_FILTER", LOG_FILTER), ("HERMES_LOG_FORMAT", "json")];
    always.iter().chain(settings).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The program of that name in the folder of this one.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let path = own.with_file_name(name);
    let advice = "`cargo build --release --workspace` makes both; --embedded and --url do without";
    anyhow::ensure!(path.is_file(), "there is no {name} beside {}: {advice}", own.display());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_worker_runner_tell_its_attempts() {
        let log = "{\"message\":\"serving\"}\n{\"message\":\"worker-runner ended\",\"report\":\"RunnerReport { completed: \
                   12, deferred: 0, failed: 1, revoked: 0, released: 4, unreported: 2 }\"}\n";
        assert_eq!(executed_attempts(log), Some(15));
        assert_eq!(executed_attempts("{\"message\":\"serving\"}"), None);
    }
}

//! How many runs have settled, as the dispatchers count after their commits (`/metrics`).

use std::time::{Duration, Instant};

use super::http::Connection;
use url::Url;

/// Between two looks. The rate is measured between looks, so this costs no precision.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A system that settles nothing for this long, although runs are open, has lost them.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the dispatchers have counted since they started, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Settled runs, whatever their status.
    pub(super) settled: u64,
    /// Completed services.
    pub(super) services: u64,
    /// Attempts that another one followed.
    pub(super) attempts_failed: u64,
    /// Reports that came too late to count.
    pub(super) late: u64,
    /// Jobs that the queue had lost.
    pub(super) republished: u64,
    /// Batches of reports whose runs were at hand, and were still as they had been.
    pub(super) hot: u64,
    /// Batches whose runs had to be taken from the store.
    pub(super) taken: u64,
    /// Batches that another dispatcher overtook.
    pub(super) conflicts: u64,
}

/// Asks the dispatchers.
pub(super) struct Meter {
    connections: Vec<Connection>,
}

impl Meter {
    pub(super) fn of(servers: &[Url]) -> anyhow::Result<Self> {
        Ok(Self { connections: servers.iter().map(Connection::to).collect::<anyhow::Result<_>>()? })
    }

    /// The counts of this moment.
    pub(super) async fn read(&mut self) -> anyhow::Result<Counts> {
        let mut counts = Counts::default();
        for connection in &mut self.connections {
            let answer = connection.get("/metrics").await?;
            anyhow::ensure!(answer.status == 200, "/metrics answers with status {}", answer.status);
            counts.add(&String::from_utf8_lossy(&answer.body));
        }
        Ok(counts)
    }

    /// Waits until `settled` runs have settled in all; tells each new count to `tell`. Gives the time of the last.
    pub(super) async fn until(&mut self, settled: u64, mut tell: impl FnMut(u64)) -> anyhow::Result<Instant> {
        let (mut seen, mut moved) = (0, Instant::now());
        loop {
            let now = self.read().await?.settled;
            if now != seen {
                (seen, moved) = (now, Instant::now());
                tell(now);
            }
            if now >= settled {
                return Ok(moved);
            }
            let missing = settled - now;
            anyhow::ensure!(moved.elapsed() < PATIENCE, "{missing} runs do not settle: nothing moved for {PATIENCE:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Counts {
    fn add(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<u64>() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            match name {
                "hermes_runs_settled_total" => self.settled += value,
                "hermes_services_settled_total" if labels.contains("\"completed\"") => self.services += value,
                "hermes_attempts_failed_total" => self.attempts_failed += value,
                "hermes_late_results_total" => self.late += value,
                "hermes_republished_jobs_total" => self.republished += value,
                "hermes_transitions_total" if labels.contains("\"hot\"") => self.hot += value,
                "hermes_transitions_total" => self.taken += value,
                "hermes_hot_conflicts_total" => self.conflicts += value,
                _ => {}
            }
        }
    }
}

impl std::ops::Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            settled: self.settled - before.settled,
            services: self.services - before.services,
            attempts_failed: self.attempts_failed - before.attempts_failed,
            late: self.late - before.late,
            republished: self.republished - before.republished,
            hot: self.hot - before.hot,
            taken: self.taken - before.taken,
            conflicts: self.conflicts - before.conflicts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_metrics_and_added_up() {
        let text = "# HELP hermes_runs_settled Runs\nhermes_runs_settled_total{status=\"completed\"} 7\n\
                    hermes_runs_settled_total{status=\"failed\"} 2\nhermes_services_settled_total{status=\"completed\"} 35\n\
                    hermes_services_settled_total{status=\"failed\"} 1\nhermes_late_results_total 3\nhermes_open_runs 4\n\
                    hermes_transitions_total{runs=\"hot\"} 9\nhermes_transitions_total{runs=\"taken\"} 1\n\
                    hermes_hot_conflicts_total 1\n";
        let mut counts = Counts::default();
        counts.add(text);
        counts.add(text);
        let expected =
            Counts { settled: 18, services: 70, late: 6, hot: 18, taken: 2, conflicts: 2, ..Counts::default() };
        assert_eq!(counts, expected);
    }
}

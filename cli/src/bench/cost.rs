//! C: what a run costs each part: processor time, memory, log and rows of Postgres, commands of Redis.

use super::processes::{cpu_seconds, machine_cpu_seconds, memory_mb, own_cpu_seconds};
use super::report::Figures;
use super::system::System;

/// What has been used up to a moment.
pub(super) struct Usage {
    /// Seconds of processor time by process; the benchmark itself is the last.
    cpu: Vec<(String, f64)>,
    /// The same of the whole machine.
    machine: f64,
    memory_mb: Vec<(String, f64)>,
    stores: Option<Stores>,
}

struct Stores {
    wal_bytes: f64,
    rows_inserted: f64,
    rows_updated: f64,
    commits: f64,
    redis_commands: f64,
}

/// What was used between two moments, for so many runs.
pub(super) struct Cost {
    used: Usage,
    runs: f64,
    seconds: f64,
}

impl Usage {
    pub(super) async fn read(system: &System) -> anyhow::Result<Self> {
        let memory_mb = system.all_processes().map(|(name, pid)| (name.to_owned(), memory_mb(pid))).collect();
        let mut cpu: Vec<_> = system.all_processes().map(|(name, pid)| (name.to_owned(), cpu_seconds(pid))).collect();
        cpu.push(("bench".to_owned(), own_cpu_seconds()));
        Ok(Self { cpu, machine: machine_cpu_seconds(), memory_mb, stores: Stores::read(system).await? })
    }

    pub(super) fn since(self, before: &Self, runs: u64, seconds: f64) -> Cost {
        let cpu = self.cpu.into_iter().zip(&before.cpu).map(|((name, now), (_, then))| (name, now - then)).collect();
        let stores = self.stores.zip(before.stores.as_ref()).map(|(now, then)| now.since(then));
        #[expect(clippy::cast_precision_loss, reason = "a count of runs is far below 2^52")]
        let runs = runs.max(1) as f64;
        let machine = self.machine - before.machine;
        Cost { used: Self { cpu, machine, memory_mb: self.memory_mb, stores }, runs, seconds }
    }
}

impl Stores {
    async fn read(system: &System) -> anyhow::Result<Option<Self>> {
        let Some((postgres, redis)) = &system.stores else { return Ok(None) };
        let sql = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn, tup_inserted, tup_updated, xact_commit \
                   FROM pg_stat_database WHERE datname = current_database()";
        let rows = postgres.query(sql).await?;
        let number = |column: usize| rows[0][column].parse::<f64>();
        Ok(Some(Self {
            wal_bytes: number(0)?,
            rows_inserted: number(1)?,
            rows_updated: number(2)?,
            commits: number(3)?,
            redis_commands: redis.told("stats", "total_commands_processed").await?.parse()?,
        }))
    }

    fn since(self, before: &Self) -> Self {
        Self {
            wal_bytes: self.wal_bytes - before.wal_bytes,
            rows_inserted: self.rows_inserted - before.rows_inserted,
            rows_updated: self.rows_updated - before.rows_updated,
            commits: self.commits - before.commits,
            redis_commands: self.redis_commands - before.redis_commands,
        }
    }
}

impl Cost {
    /// Cores that everything together kept busy.
    pub(super) fn cores_busy(&self) -> f64 {
        self.used.cpu.iter().map(|(_, seconds)| seconds).sum::<f64>() / self.seconds
    }

    /// Cores that were busy with something else: if that is more than a little, the figures are too low.
    pub(super) fn cores_of_others(&self) -> f64 {
        (self.used.machine / self.seconds - self.cores_busy()).max(0.0)
    }

    /// The figures of C.
    pub(super) fn tell(&self, figures: &mut Figures) {
        for (name, seconds) in &self.used.cpu {
            let name = name.replace('-', "_");
            figures.add(&format!("C_cpu_s_{name}"), seconds / self.runs * 10_000.0, "seconds of a core, 10,000 runs");
        }
        for (name, memory) in &self.used.memory_mb {
            figures.add(&format!("C_memory_mb_{}", name.replace('-', "_")), *memory, "MB of memory under T");
        }
        let ours = |name: &str| !["postgres", "redis"].contains(&name);
        let memory = self.used.memory_mb.iter().filter(|(name, _)| ours(name)).map(|(_, memory)| memory).sum();
        figures.add("C_memory_mb", memory, "MB of memory of Hermes under T, without stores");
        if let Some(stores) = &self.used.stores {
            figures.add("C_wal_bytes_per_run", stores.wal_bytes / self.runs, "bytes of Postgres' log for one run");
            figures.add("C_rows_inserted_per_run", stores.rows_inserted / self.runs, "rows inserted for one run");
            figures.add("C_rows_updated_per_run", stores.rows_updated / self.runs, "rows updated for one run");
            figures.add("C_commits_per_run", stores.commits / self.runs, "transactions of Postgres for one run");
            figures.add("C_redis_commands_per_run", stores.redis_commands / self.runs, "commands of Redis for one run");
        }
    }
}

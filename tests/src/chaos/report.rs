//! What is told at the end: once for machines, once for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::check::Violation;
use super::clients::Seen;
use super::fault::Kind;
use super::options::Options;
use super::recovery::Recovery;

/// How often jobs were executed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Executions {
    /// Jobs that were executed at all.
    pub jobs: usize,
    /// Executions.
    pub executions: usize,
    /// Jobs by the number of their executions.
    pub jobs_by_executions: BTreeMap<u32, u64>,
    /// Executions beyond the first of each job, in per cent of the jobs.
    pub again_percent: f64,
}

/// The whole story.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The commit that was tested, and whether there were changes upon it.
    pub commit: String,
    /// Versions of the servers.
    pub versions: Vec<String>,
    /// What was asked for.
    pub options: Options,
    /// Milliseconds until faults ceased, until all runs had settled, and until all was checked.
    pub took_ms: [i64; 3],
    /// Runs that clients were promised.
    pub promised: usize,
    /// Runs by status.
    pub statuses: BTreeMap<String, u64>,
    /// What clients saw.
    pub seen: Seen,
    /// Faults by kind: how often, and how many single blows.
    pub faults: BTreeMap<Kind, (u64, u64)>,
    /// Pauses longer than the lease.
    pub long_pauses: u64,
    /// Processes that ended by themselves at an armed border, by border.
    pub aborted: BTreeMap<String, u64>,
    /// Other ends of processes, by how.
    pub ends: BTreeMap<String, u64>,
    /// Lives of processes, by kind and build.
    pub lives: BTreeMap<String, u64>,
    /// Executions.
    pub executions: Executions,
    /// Reports that came too late to count, and did not.
    pub late_reports: u64,
    /// Recovery times in milliseconds.
    pub recovery: Recovery,
    /// Lines of the logs with level ERROR, by message.
    pub errors: BTreeMap<String, u64>,
    /// Whether the database's indexes were checked.
    pub indexes: String,
    /// What must not be.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Writes `report.json` and `report.md`.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn write(&self, folder: &Path) {
        let json = serde_json::to_string_pretty(self).expect("plain data");
        std::fs::write(folder.join("report.json"), json).expect("the folder can be written to");
        std::fs::write(folder.join("report.md"), self.to_string()).expect("the folder can be written to");
    }

    fn sections(&self, out: &mut String) -> std::fmt::Result {
        let Options { seed, runs, span, lease, .. } = &self.options;
        let redis = if self.options.redis_persists() { "with an append-only file" } else { "without persistence" };
        writeln!(out, "# Chaos: seed {seed}, {runs} runs, {} s of faults\n", span.as_secs())?;
        writeln!(out, "commit {}; lease {} ms; Redis {redis}", self.commit, lease.as_millis())?;
        writeln!(out, "{}\n", self.versions.join("; "))?;
        let [raged, settled, checked] = self.took_ms.map(|ms| ms / 1_000);
        writeln!(
            out,
            "Faults ceased after {raged} s, the last run had settled after {settled} s, checked {checked} s."
        )?;
        writeln!(
            out,
            "{} runs promised, and {:?}; {} cancelled by clients.",
            self.promised, self.statuses, self.seen.cancelled
        )?;
        writeln!(out, "Answers to clients by status (0: none): {:?}\n", self.seen.statuses)?;
        writeln!(out, "| fault | times | blows |\n|---|---|---|")?;
        for (kind, (times, blows)) in &self.faults {
            writeln!(out, "| {kind} | {times} | {blows} |")?;
        }
        for (border, times) in &self.aborted {
            writeln!(out, "| abort at {border} | {times} | {times} |")?;
        }
        writeln!(out, "\n{} pauses were longer than the lease. Other ends: {:?}", self.long_pauses, self.ends)?;
        writeln!(out, "Lives of processes: {:?}\n", self.lives)?;
        let Executions { jobs, executions, jobs_by_executions, again_percent } = &self.executions;
        writeln!(
            out,
            "{jobs} jobs, {executions} executions; executed again: {again_percent:.2} %; {jobs_by_executions:?}"
        )?;
        writeln!(out, "Late reports without effect: {}\n", self.late_reports)?;
        writeln!(out, "| recovery, ms | measured | median | p99 | max |\n|---|---|---|---|---|")?;
        for (what, times) in &self.recovery {
            writeln!(out, "| {what} | {} | {} | {} | {} |", times.count, times.median, times.p99, times.max)?;
        }
        writeln!(out, "\nIndexes: {}. Errors logged: {:?}\n", self.indexes, self.errors)?;
        if self.violations.is_empty() {
            #[expect(clippy::cast_precision_loss, reason = "a bound for people to read")]
            let bound_percent = 300.0 / self.promised.max(1) as f64;
            return writeln!(
                out,
                "No violation found. If each run were hit by chance alone, fewer than {bound_percent:.3} % of runs would \
                 be, with 95 % confidence (rule of three)."
            );
        }
        writeln!(out, "**{} violations**\n", self.violations.len())?;
        for Violation { invariant, what } in &self.violations {
            writeln!(out, "* {invariant}: {what}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.sections(&mut out)?;
        f.write_str(&out)
    }
}

/// The commit of this checkout.
#[must_use]
pub fn commit() -> String {
    let said = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = said(&["rev-parse", "--short=12", "HEAD"]).filter(|commit| !commit.is_empty());
    let changed = said(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    if changed { format!("{commit} with changes") } else { commit }
}

//! What the engine counts, in the OpenMetrics text format.

use std::sync::atomic::AtomicU64;

use hermes_core::audit::Invariant;
use hermes_core::kbase::Fact;
use hermes_core::limits::OPEN_RUNS_COUNTED_EVERY_MS;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

type ByStatus = Family<Vec<(String, String)>, Counter>;

fn by(invariant: Invariant) -> Vec<(String, String)> {
    vec![("invariant".to_owned(), invariant.code().to_owned())]
}

/// The engine's counters, and a registry that others may add theirs to.
pub struct Metrics {
    registry: Mutex<Registry>,
    pub(super) runs_accepted: Counter,
    runs_settled: ByStatus,
    services_settled: ByStatus,
    transitions: Family<Vec<(String, String)>, Counter>,
    pub(super) hot_conflicts: Counter,
    attempts_failed: Counter,
    late_results: Counter,
    pub(super) republished_jobs: Counter,
    pub(super) publish_failures: Counter,
    pub(super) synthesis_failures: Counter,
    pub(super) refused_inputs: Counter,
    pub(super) refused_submissions: Counter,
    pub(super) audit_runs: Counter,
    pub(super) removed_runs: Counter,
    audit_violations: Family<Vec<(String, String)>, Counter>,
    open_runs: Gauge<u64, AtomicU64>,
    /// When they may be counted again.
    open_runs_due: Mutex<Option<Instant>>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("hermes")),
            runs_accepted: Counter::default(),
            runs_settled: Family::default(),
            services_settled: Family::default(),
            transitions: Family::default(),
            hot_conflicts: Counter::default(),
            attempts_failed: Counter::default(),
            late_results: Counter::default(),
            republished_jobs: Counter::default(),
            publish_failures: Counter::default(),
            synthesis_failures: Counter::default(),
            refused_inputs: Counter::default(),
            refused_submissions: Counter::default(),
            audit_runs: Counter::default(),
            removed_runs: Counter::default(),
            audit_violations: Family::default(),
            open_runs: Gauge::default(),
            open_runs_due: Mutex::default(),
        };
        metrics.register(|registry| {
            registry.register("runs_accepted", "Runs accepted by this process", metrics.runs_accepted.clone());
            registry.register("runs_settled", "Runs settled by this process", metrics.runs_settled.clone());
            registry.register("services_settled", "Services settled by this process", metrics.services_settled.clone());
            registry.register(
                "transitions",
                "Committed batches of reports and commands, by whether their runs were at hand or taken from the store",
                metrics.transitions.clone(),
            );
            registry.register(
                "hot_conflicts",
                "Batches that another dispatcher overtook and that were decided anew",
                metrics.hot_conflicts.clone(),
            );
            registry.register("attempts_failed", "Attempts that another one follows", metrics.attempts_failed.clone());
            registry.register("late_results", "Reports that came too late to count", metrics.late_results.clone());
            registry.register("republished_jobs", "Jobs that the queue had lost", metrics.republished_jobs.clone());
            registry.register("publish_failures", "Failed publications", metrics.publish_failures.clone());
            registry.register("synthesis_failures", "Runs without a diagnosis", metrics.synthesis_failures.clone());
            registry.register("removed_runs", "Old runs that this process removed", metrics.removed_runs.clone());
            registry.register("refused_inputs", "Inputs that the store refused", metrics.refused_inputs.clone());
            registry.register(
                "refused_submissions",
                "Submissions refused under overload",
                metrics.refused_submissions.clone(),
            );
            registry.register("audit_runs", "Runs judged in the background", metrics.audit_runs.clone());
            registry.register(
                "audit_violations",
                "Invariants found not to hold of a run",
                metrics.audit_violations.clone(),
            );
            registry.register("open_runs", "Runs in the store that are not settled", metrics.open_runs.clone());
        });
        // A series that begins at zero can be watched before anything is wrong.
        for invariant in Invariant::ALL {
            drop(metrics.audit_violations.get_or_create(&by(invariant)));
        }
        metrics
    }

    /// Counts a committed batch of reports or commands: were its runs at hand (`hot`), or `taken` from the store?
    pub(super) fn transition(&self, runs: &str) {
        self.transitions.get_or_create(&vec![("runs".to_owned(), runs.to_owned())]).inc();
    }

    /// Counts a run of which an invariant does not hold.
    pub(super) fn audit_violation(&self, invariant: Invariant) {
        self.audit_violations.get_or_create(&by(invariant)).inc();
    }

    /// Adds metrics to the registry.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Whether it is time to count the open runs again; whoever asks does it. The store looks at each of them for that.
    pub(crate) fn counts_open_runs(&self) -> bool {
        let mut due = self.open_runs_due.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let is_due = due.is_none_or(|due| due <= now);
        if is_due {
            *due = Some(now + Duration::from_millis(OPEN_RUNS_COUNTED_EVERY_MS));
        }
        is_due
    }

    /// Sets the number of open runs, which only the store knows.
    pub fn set_open_runs(&self, count: u64) {
        self.open_runs.set(count);
    }

    /// Everything, in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        encode(&mut text, &registry).expect("writing to a string does not fail");
        text
    }

    /// Counts a recorded fact.
    pub(super) fn count(&self, fact: &Fact) {
        let by_status = |family: &ByStatus, status: &str| {
            family.get_or_create(&vec![("status".to_owned(), status.to_owned())]).inc();
        };
        match fact {
            Fact::RunSettled(end) => by_status(&self.runs_settled, end.status.as_str()),
            Fact::ServiceCompleted(_) => by_status(&self.services_settled, "completed"),
            Fact::ServiceEnded(end) => by_status(&self.services_settled, end.status.as_str()),
            Fact::AttemptFailed { .. } => {
                self.attempts_failed.inc();
            }
            Fact::LateReported { .. } => {
                self.late_results.inc();
            }
            Fact::RunStarted(_)
            | Fact::WaveQueued { .. }
            | Fact::ServiceStarted { .. }
            | Fact::ServiceDeferred { .. }
            | Fact::Diagnosed { .. }
            | Fact::Noted(_) => {}
        }
    }
}

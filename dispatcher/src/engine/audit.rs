//! Judges the runs of the last day in the background, a few at a time, again and again: what must always hold is watched
//! in production, too. Every dispatcher does it; it only reads. `hermes audit` judges everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hermes_core::RunId;
use hermes_core::audit::{Invariant, Violation};
use hermes_core::limits::{AUDIT_EVERY_MS, AUDIT_PAGE_RUNS, AUDIT_REPORTED_MAX, AUDIT_SLACK_MS, AUDIT_WINDOW_MS};
use hermes_core::ports::store::StoreError;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::Shared;
use super::outage::Outage;
use crate::audit::Auditor;

/// What was reported, so that the same violation is not told with each round.
type Reported = BTreeSet<(Option<RunId>, Invariant)>;

pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut outage = Outage::none("audit");
    let (mut after, mut reported) = (None, Reported::new());
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(AUDIT_EVERY_MS)) => {}
        }
        match shared.audit_page(after.clone(), &mut reported).await {
            Ok(next) => {
                outage.over();
                after = next;
            }
            Err(error) => outage.pause(&error, &shutdown).await,
        }
    }
}

impl Shared {
    /// Judges one page; gives where the next one begins, `None` for a new round.
    async fn audit_page(&self, after: Option<String>, reported: &mut Reported) -> Result<Option<String>, StoreError> {
        let begin = self.window_begin().await?;
        let after = after.filter(|after| *after >= begin).unwrap_or(begin);
        let mut auditor = Auditor::new(self.store.as_ref(), after, AUDIT_SLACK_MS);
        let page = auditor.page(AUDIT_PAGE_RUNS).await?;
        self.metrics.audit_runs.inc_by(page.tally.runs);
        for violation in &page.violations {
            self.report(violation, reported);
        }
        Ok((!page.is_last).then(|| auditor.after().to_owned()))
    }

    /// Ids of runs begin with their time: this text lies before those of the window.
    async fn window_begin(&self) -> Result<String, StoreError> {
        let begin = self.store.now().await?.minus_ms(AUDIT_WINDOW_MS).as_millis().max(0);
        Ok(format!("{begin:012x}"))
    }

    fn report(&self, violation: &Violation, reported: &mut Reported) {
        if reported.len() >= AUDIT_REPORTED_MAX {
            reported.clear();
        }
        let Violation { run_id, invariant, detail } = violation;
        if !reported.insert((*run_id, *invariant)) {
            return;
        }
        self.metrics.audit_violation(*invariant);
        let run_id = run_id.map_or_else(String::new, |id| id.to_string());
        error!(run.id = %run_id, invariant = %invariant, detail, "an invariant does not hold: {}", invariant.sentence());
    }
}

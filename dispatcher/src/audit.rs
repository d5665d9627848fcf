//! Judges all that a store holds, page by page: reads only, keeps one page in memory, and can begin anywhere.
//!
//! The judgement is the core's ([`hermes_core::audit`]); here is how a store that others are changing is read for it. A
//! run's row comes first and its events after it, and only those that the row knows of are judged. If that finds
//! something, or if there are more events, the row is read again: a run that has moved in between is judged anew.

use hermes_core::audit::{Invariant, RunAudit, Tally, Violation};
use hermes_core::limits::{AUDIT_PAGE_EVENTS, AUDIT_TRIES};
use hermes_core::ports::store::{Store, StoreError, StoredRun};
use hermes_core::{Run, RunId, Timestamp};

/// An audit on its way through a store.
pub struct Auditor<'a> {
    store: &'a dyn Store,
    slack_ms: u64,
    after: String,
}

/// What one page of runs gave.
#[derive(Debug)]
pub struct AuditedPage {
    /// What does not hold.
    pub violations: Vec<Violation>,
    /// What was judged.
    pub tally: Tally,
    /// Whether there are no more runs behind this page.
    pub is_last: bool,
}

impl<'a> Auditor<'a> {
    /// Begins with the first run after `after`: a run's id, or `""` for all of them. `slack_ms` is how much later than
    /// due something may happen.
    #[must_use]
    pub const fn new(store: &'a dyn Store, after: String, slack_ms: u64) -> Self {
        Self { store, slack_ms, after }
    }

    /// The id of the last run that was judged: an audit that begins after it goes on from here.
    #[must_use]
    pub fn after(&self) -> &str {
        &self.after
    }

    /// Judges the next `limit` runs. A page that fails can be tried again.
    ///
    /// # Errors
    /// If the store does not answer. What cannot be read of it is a violation.
    pub async fn page(&mut self, limit: usize) -> Result<AuditedPage, StoreError> {
        // Before the runs are read: none of them can have become due after that.
        let now = self.store.now().await?;
        let page = self.store.stored_runs(&self.after, limit).await?;
        let last = page.last().map(|stored| stored.key.clone());
        let is_last = page.len() < limit;
        let up_to = if is_last { None } else { last.as_deref() };
        let mut violations: Vec<Violation> =
            self.store.orphans(&self.after, up_to, limit).await?.iter().map(|key| orphan(key)).collect();
        let mut tally = Tally::default();
        for stored in page {
            let (found, counted) = self.judge(stored, now).await?;
            violations.extend(found);
            tally.add(&counted);
        }
        self.after = last.unwrap_or_else(|| self.after.clone());
        Ok(AuditedPage { violations, tally, is_last })
    }

    async fn judge(&self, stored: StoredRun, now: Timestamp) -> Result<(Vec<Violation>, Tally), StoreError> {
        let run = match stored.run {
            Ok(run) => run,
            Err(error) if is_damage(&error) => return Ok(unreadable(&stored.key, &error)),
            Err(error) => return Err(error),
        };
        // One row is read at once: whether it contradicts itself does not depend on who changes it meanwhile.
        let contradiction = contradiction(&run, &stored.differing);
        let (mut violations, tally) = self.judge_log(run, now).await?;
        violations.extend(contradiction);
        Ok((violations, tally))
    }

    async fn judge_log(&self, run: Run, now: Timestamp) -> Result<(Vec<Violation>, Tally), StoreError> {
        let (mut run, mut now, mut tally) = (run, now, Tally::default());
        for _ in 0..AUDIT_TRIES {
            let (mut violations, counted, is_longer) = self.judge_once(&run, now).await?;
            tally = counted;
            if violations.is_empty() && !is_longer {
                break;
            }
            now = self.store.now().await?;
            match self.store.run(run.id()).await {
                Ok(Some(fresh)) if fresh.state().last_seq != run.state().last_seq => run = fresh,
                // it was removed, with its events; events without a run are found by themselves
                Ok(None) => return Ok((Vec::new(), tally)),
                Err(error) if !is_damage(&error) => return Err(error),
                Ok(Some(_)) | Err(_) => {
                    let last_seq = run.state().last_seq;
                    let longer = format!("the log goes on after event {last_seq}, the last that the run knows of");
                    violations.extend(is_longer.then(|| violation(&run, Invariant::LogIsTheRun, longer)));
                    return Ok((violations, tally));
                }
            }
        }
        // Whole, or in such a hurry that no two reads met the same version: that one is not stuck.
        Ok((Vec::new(), tally))
    }

    /// Judges the events that the row knows of; tells whether there are more.
    async fn judge_once(&self, run: &Run, now: Timestamp) -> Result<(Vec<Violation>, Tally, bool), StoreError> {
        let (mut audit, last_seq) = (RunAudit::new(run, now, self.slack_ms), run.state().last_seq);
        let (mut after, mut is_longer) = (0, false);
        loop {
            let page = match self.store.run_events(run.id(), after, AUDIT_PAGE_EVENTS).await {
                Ok(page) => page,
                Err(error) if is_damage(&error) => {
                    let unread = violation(run, Invariant::BelongsTogether, error.to_string());
                    return Ok((vec![unread], audit.finish().1, false));
                }
                Err(error) => return Err(error),
            };
            page.iter().filter(|event| event.seq <= last_seq).for_each(|event| audit.take(event));
            is_longer |= page.last().is_some_and(|last| last.seq > last_seq);
            match page.last() {
                Some(last) if page.len() == AUDIT_PAGE_EVENTS && !is_longer => after = last.seq,
                Some(_) | None => break,
            }
        }
        let (violations, tally) = audit.finish();
        Ok((violations, tally, is_longer))
    }
}

/// Whether the store answers, but with something that cannot be read.
const fn is_damage(error: &StoreError) -> bool {
    match error {
        StoreError::Corrupt { .. } | StoreError::Defect(_) => true,
        StoreError::Conflict(_) | StoreError::Unavailable(_) | StoreError::Full(_) => false,
    }
}

fn violation(run: &Run, invariant: Invariant, detail: String) -> Violation {
    Violation { run_id: Some(run.id()), invariant, detail }
}

fn damaged(run_id: Option<RunId>, detail: &str) -> Violation {
    Violation { run_id, invariant: Invariant::BelongsTogether, detail: detail.to_owned() }
}

fn unreadable(key: &str, error: &StoreError) -> (Vec<Violation>, Tally) {
    let tally = Tally { runs: 1, ..Tally::default() };
    (vec![damaged(key.parse().ok(), &format!("the row of run {key} cannot be read: {error}"))], tally)
}

fn orphan(key: &str) -> Violation {
    damaged(key.parse().ok(), &format!("there are events of run {key}, and no such run"))
}

fn contradiction(run: &Run, differing: &[&str]) -> Option<Violation> {
    let detail = format!("columns of the row differ from its state: {}", differing.join(", "));
    (!differing.is_empty()).then(|| violation(run, Invariant::LogIsTheRun, detail))
}

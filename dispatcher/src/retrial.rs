//! What other rules would have said about past runs: their stored results are diagnosed again, and nothing is written.

use hermes_core::limits::PAGE_RUNS_MAX;
use hermes_core::ports::store::{RunFilter, RunListing, Store, StoreError};
use hermes_core::{EventId, RunId, Timestamp};
use hermes_diagnosis::{Diagnosis, RuleBook};
use serde::Serialize;

use crate::engine::{Results, again, result_of};

/// Goes through the runs that a filter takes, the newest first.
pub struct Retrial<'a> {
    store: &'a dyn Store,
    book: &'a RuleBook,
    filter: RunFilter,
    after: Option<RunId>,
}

/// What became of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retried {
    /// The run.
    pub run_id: RunId,
    /// Its site.
    pub domain: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Overall score that was given.
    pub score_before: Option<f64>,
    /// Overall score that would be.
    pub score_now: Option<f64>,
    /// Confidence of what was said; `null` where there is nothing to compare.
    pub confidence_before: Option<f64>,
    /// Confidence of what would be said.
    pub confidence_now: Option<f64>,
    /// Ids of rules that would find a fault where none was found.
    pub would_find: Vec<String>,
    /// Ids of rules that found a fault and would not.
    pub would_not_find: Vec<String>,
    /// The first cause, where it would be another one.
    pub first_cause: Option<FirstCause>,
    /// Why there is nothing to compare, where it is so.
    pub skipped: Option<String>,
}

/// The findings that a reader was, and would be, told to look at first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FirstCause {
    /// Then; `null` if nothing was wrong.
    pub before: Option<String>,
    /// Now; `null` if nothing would be.
    pub now: Option<String>,
}

impl Retried {
    /// Whether the run would have been told something else.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.would_find.is_empty()
            || !self.would_not_find.is_empty()
            || self.first_cause.is_some()
            || self.score_before != self.score_now
            || self.confidence_before != self.confidence_now
    }
}

impl<'a> Retrial<'a> {
    /// Of the runs of `store` that `filter` takes, with the rules of `book`.
    #[must_use]
    pub const fn new(store: &'a dyn Store, book: &'a RuleBook, filter: RunFilter) -> Self {
        Self { store, book, filter, after: None }
    }

    /// The next page of runs, at most `limit`; empty at the end. Runs that are not settled are left out.
    ///
    /// # Errors
    /// If the store does not answer; the page can be asked for again.
    pub async fn page(&mut self, limit: usize) -> Result<Option<Vec<Retried>>, StoreError> {
        let listings = self.store.runs(&self.filter, self.after, limit.min(PAGE_RUNS_MAX)).await?;
        let Some(last) = listings.last() else { return Ok(None) };
        let after = last.summary.run_id;
        let mut retried = Vec::with_capacity(listings.len());
        for listing in listings.into_iter().filter(|listing| listing.summary.status.is_settled()) {
            retried.push(self.one(listing).await?);
        }
        self.after = Some(after);
        Ok(Some(retried))
    }

    async fn one(&self, listing: RunListing) -> Result<Retried, StoreError> {
        let RunListing { summary, created_at, .. } = listing;
        let mut retried = Retried {
            run_id: summary.run_id,
            domain: summary.domain.to_string(),
            created_at,
            score_before: None,
            score_now: None,
            confidence_before: None,
            confidence_now: None,
            would_find: Vec::new(),
            would_not_find: Vec::new(),
            first_cause: None,
            skipped: None,
        };
        match self.diagnoses(summary.run_id).await {
            Ok((before, now)) => retried.compare(&before, &now),
            Err(Stopped::Store(error @ StoreError::Corrupt { .. })) => retried.skipped = Some(error.to_string()),
            Err(Stopped::Store(error)) => return Err(error),
            Err(Stopped::Nothing(why)) => retried.skipped = Some(why),
        }
        Ok(retried)
    }

    /// What the run was told, and what it would be.
    async fn diagnoses(&self, run_id: RunId) -> Result<(Diagnosis, Diagnosis), Stopped> {
        let nothing = |why: &str| Stopped::Nothing(why.to_owned());
        let run = self.store.run(run_id).await?.ok_or_else(|| nothing("the run is gone"))?;
        let told = run.diagnosis_event_id().ok_or_else(|| nothing("it has no diagnosis"))?;
        let mut wanted: Vec<EventId> = run.evidence_events().map(|(_, id)| id).collect();
        wanted.push(told);
        let (mut before, mut results): (Option<Diagnosis>, Results) = (None, Results::new());
        for event in self.store.events(&wanted).await? {
            if event.event_id == told {
                before = event.payload.read().ok();
            } else if let Some(result) = result_of(&event) {
                results.insert(event.event_id, result);
            }
        }
        let before = before.ok_or_else(|| nothing("its diagnosis is of an older shape"))?;
        let now = again(self.book, run, results).map_err(Stopped::Nothing)?;
        Ok((before, now))
    }
}

impl Retried {
    fn compare(&mut self, before: &Diagnosis, now: &Diagnosis) {
        let missing = |ids: &[String], from: &[String]| -> Vec<String> {
            ids.iter().filter(|id| !from.contains(id)).cloned().collect()
        };
        self.would_find = missing(&now.rules.fired, &before.rules.fired);
        self.would_not_find = missing(&before.rules.fired, &now.rules.fired);
        (self.score_before, self.score_now) = (before.score.value, now.score.value);
        (self.confidence_before, self.confidence_now) = (Some(before.confidence), Some(now.confidence));
        let first = |diagnosis: &Diagnosis| diagnosis.primary_cause.as_ref().map(|cause| cause.finding_id.clone());
        let (before, now) = (first(before), first(now));
        self.first_cause = (before != now).then_some(FirstCause { before, now });
    }
}

/// Why a run cannot be compared.
enum Stopped {
    /// The store failed.
    Store(StoreError),
    /// There is nothing to compare.
    Nothing(String),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

//! Accepting runs: concurrent submissions share a commit. A batch is what arrived while the last one was being
//! written; nothing waits for a batch to fill.

use std::ops::ControlFlow;
use std::sync::Arc;

use hermes_core::limits::TRANSITION_RUNS_MAX;
use hermes_core::ports::store::{Change, Claim, Committed, StoreError};
use hermes_core::run::{Decision, NewRun};
use hermes_core::{Run, RunId, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::transition::{Decided, Outbox};
use super::{EngineError, Shared, Submission, Submitted};
use crate::borders;

pub(super) struct PendingSubmission {
    pub(super) submission: Submission,
    pub(super) reply: oneshot::Sender<Result<Submitted, EngineError>>,
}

pub(super) async fn run(
    shared: Arc<Shared>,
    mut submitted: mpsc::Receiver<PendingSubmission>,
    shutdown: CancellationToken,
) {
    let mut batch = Vec::with_capacity(TRANSITION_RUNS_MAX);
    let mut accepted = Decided::new();
    loop {
        let next = async {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return ControlFlow::Break(()),
                count = submitted.recv_many(&mut batch, TRANSITION_RUNS_MAX) => if count == 0 {
                    return ControlFlow::Break(());
                },
            }
            ControlFlow::Continue(shared.accept(&mut batch).await)
        };
        // The queue hears of one batch while the next is written.
        let ((), next) = tokio::join!(biased; shared.tell_queue(&accepted), next);
        match next {
            ControlFlow::Continue(next) => accepted = next,
            ControlFlow::Break(()) => return,
        }
    }
}

/// Accepted runs with what is to be done for them, and the store's time.
struct Written {
    outcomes: Vec<Submitted>,
    accepted: Decided,
    now: Timestamp,
}

impl Shared {
    /// Writes a batch and answers it; gives what the queue is to be told. A failed write is answered, not repeated: the
    /// client decides.
    async fn accept(&self, batch: &mut Vec<PendingSubmission>) -> Decided {
        let (submissions, replies): (Vec<Submission>, Vec<_>) =
            batch.drain(..).map(|pending| (pending.submission, pending.reply)).unzip();
        let mut outcomes = Vec::with_capacity(submissions.len());
        let mut written = Vec::new();
        for result in self.write_apart_if_needed(&submissions).await {
            match result {
                Ok(Written { outcomes: some, accepted, now }) => {
                    outcomes.extend(some.into_iter().map(Ok));
                    written.push((accepted, now));
                }
                Err((error, runs)) => {
                    warn!(error = %error, runs, "cannot accept runs");
                    outcomes.extend(std::iter::repeat_n(Err(refusal(&error)), runs));
                }
            }
        }
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // A client that went away does not touch the run.
            let _ = reply.send(outcome);
        }
        borders::cross("answered");
        let mut decided = Decided::new();
        for (accepted, now) in written {
            self.metrics.runs_accepted.inc_by(accepted.len() as u64);
            self.tell_process(&accepted, now);
            decided.extend(accepted);
        }
        decided
    }

    /// One transaction for all; one for each if the store refuses them together for a reason in one of them, so that
    /// it does not spoil the others.
    async fn write_apart_if_needed(&self, submissions: &[Submission]) -> Vec<Result<Written, (StoreError, usize)>> {
        match self.write(submissions).await {
            Err(StoreError::Defect(_) | StoreError::Corrupt { .. }) if submissions.len() > 1 => {
                let mut results = Vec::with_capacity(submissions.len());
                for submission in submissions {
                    results.push(self.write(std::slice::from_ref(submission)).await.map_err(|error| (error, 1)));
                }
                results
            }
            result => vec![result.map_err(|error| (error, submissions.len()))],
        }
    }

    async fn write(&self, submissions: &[Submission]) -> Result<Written, StoreError> {
        let transaction = self.store.begin(Claim::Nothing).await?;
        let now = transaction.now();
        let mut changes = Vec::with_capacity(submissions.len());
        let mut decided = Decided::with_capacity(submissions.len());
        for submission in submissions {
            let Submission { website_id, domain, plan, idempotency } = submission.clone();
            let run_id = RunId::from_uuid(self.entropy.identity());
            let Decision { next, effects } = Run::start(NewRun { run_id, website_id, domain, plan }, now);
            let mut outbox = Outbox::default();
            outbox.take(effects);
            changes.push(Change::Accept { run: Box::new(next.clone()), events: outbox.events(), idempotency });
            decided.push((next, outbox));
        }
        let committed = transaction.commit(changes).await?;
        borders::cross("accepted");
        let mut written = Written { outcomes: Vec::with_capacity(committed.len()), accepted: Vec::new(), now };
        for ((run, outbox), committed) in decided.into_iter().zip(committed) {
            written.outcomes.push(match committed {
                Committed::Done => {
                    written.accepted.push((run.clone(), outbox));
                    Submitted::Accepted(Box::new(run))
                }
                Committed::Duplicate { run_id, same_request: true } => Submitted::Repeated(run_id),
                Committed::Duplicate { same_request: false, .. } => Submitted::KeyReused,
            });
        }
        Ok(written)
    }
}

fn refusal(error: &StoreError) -> EngineError {
    match error {
        StoreError::Full(_) => EngineError::Full(error.to_string()),
        StoreError::Conflict(_) | StoreError::Unavailable(_) | StoreError::Corrupt { .. } | StoreError::Defect(_) => {
            EngineError::Unavailable(error.to_string())
        }
    }
}

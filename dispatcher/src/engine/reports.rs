//! Applies what workers report. A report is acknowledged after its effect is committed; one that comes again is a no-op.

use std::sync::Arc;

use hermes_core::limits::TRANSITION_RUNS_MAX;
use hermes_core::ports::queue::{DeliveredReport, QueueError};
use hermes_core::run::{Event, Illegal};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::outage::Outage;
use super::transition::{Input, Reply};
use super::{CommandError, Shared};

pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut outage = Outage::none("reports");
    loop {
        let delivered = tokio::select! {
            () = shutdown.cancelled() => return,
            delivered = shared.queue.reports(TRANSITION_RUNS_MAX) => delivered,
        };
        match delivered {
            Ok(delivered) => {
                outage.over();
                shared.apply_reports(delivered, &shutdown).await;
            }
            Err(QueueError::Closed) => return,
            Err(error @ (QueueError::Unavailable(_) | QueueError::Full(_))) => outage.pause(&error, &shutdown).await,
        }
    }
}

impl Shared {
    /// Applies and acknowledges a batch; repeats until the store has it, or the process is to stop (then the reports
    /// come again to another dispatcher).
    async fn apply_reports(&self, delivered: Vec<DeliveredReport>, shutdown: &CancellationToken) {
        let (receipts, inputs): (Vec<String>, Vec<Input>) = delivered
            .into_iter()
            .map(|DeliveredReport { receipt, report }| {
                let run_id = report.job.run_id;
                let event = Event::Reported { report, jitter: self.entropy.jitter() };
                (receipt, Input { run_id, event, reply: Reply::None })
            })
            .unzip();
        let mut outage = Outage::none("applying reports");
        let outcomes = loop {
            match self.apply(&inputs).await {
                Ok(outcomes) => break outcomes,
                Err(error) => outage.pause(&error, shutdown).await,
            }
            if shutdown.is_cancelled() {
                return;
            }
        };
        outage.over();
        for (input, outcome) in inputs.iter().zip(outcomes) {
            match outcome {
                Ok(_) => {}
                Err(CommandError::NotFound) => debug!(run.id = %input.run_id, "report about an unknown run, dropped"),
                Err(CommandError::Illegal(error @ (Illegal::UnknownService(_) | Illegal::UnknownAttempt { .. }))) => {
                    warn!(run.id = %input.run_id, error = %error, "report that fits no attempt, dropped");
                }
                Err(error) => warn!(run.id = %input.run_id, error = %error, "report could not be applied, dropped"),
            }
        }
        if let Err(error) = self.queue.acknowledge(&receipts).await {
            warn!(error = %error, reports = receipts.len(), "cannot acknowledge reports, they will come again");
        }
    }
}

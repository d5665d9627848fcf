//! Applies what workers report. A report is acknowledged after its effect is committed; one that comes again is a no-op.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hermes_core::RunId;
use hermes_core::limits::{DELIVERY_BYTES_MAX, TRANSITION_RUNS_MAX};
use hermes_core::ports::queue::{DeliveredReport, QueueError};
use hermes_core::ports::store::StoreError;
use hermes_core::run::{Event, Illegal};
use hermes_core::wire::Outcome;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::outage::{BatchSize, Outage};
use super::transition::{Applied, Decided, Input, Reply};
use super::{CommandError, Shared};
use crate::borders;

/// When told to stop: how long the queue is asked for reports that are there already.
const LAST_LOOK: Duration = Duration::from_millis(50);
/// When told to stop: how long that goes on while more reports keep coming. In a fleet they would come for ever, and
/// other dispatchers take them; in one process the workers have ended before.
const LAST_LOOKS: Duration = Duration::from_secs(2);

/// Kilobytes of results that wait between reading and writing: as much as one read may bring.
const AHEAD_KB: usize = DELIVERY_BYTES_MAX / 1_024;

/// A batch whose effect is committed: what the queue is still to be told.
struct Written {
    decided: Decided,
    receipts: Vec<String>,
}

/// Lanes over a store whose commits take turns: one batch is decided while another is committed. Neither lane knows of the
/// other, as if each were a dispatcher of its own.
const LANES_IN_TURN: usize = 2;

/// One task reads and writes: while a batch is being written, the next is on its way, and no other task needs to be woken
/// for a report that comes alone.
pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let lanes = if shared.store.commits_take_turns() { LANES_IN_TURN } else { 1 };
    let (lanes, waiting): (Vec<_>, Vec<_>) = (0..lanes).map(|_| mpsc::channel(TRANSITION_RUNS_MAX)).unzip();
    let room = Semaphore::new(AHEAD_KB);
    let writers = waiting.into_iter().map(|waiting| write(&shared, waiting, &room, &shutdown));
    tokio::join!(biased; read(&shared, Lanes(lanes), &room, &shutdown), join_all(writers));
}

/// The ways to [`write()`]. All reports about a run take the same one, and so stay in their order.
struct Lanes(Vec<mpsc::Sender<DeliveredReport>>);

impl Lanes {
    fn of(&self, run_id: RunId) -> &mpsc::Sender<DeliveredReport> {
        // the last bytes of an id are random (RFC 9562, version 7)
        let [.., random] = *run_id.as_uuid().as_bytes();
        &self.0[usize::from(random) % self.0.len()]
    }
}

/// Reads ahead of [`write()`], as far as the lanes have room for their number, and `room` for their size.
async fn read(shared: &Shared, lanes: Lanes, room: &Semaphore, shutdown: &CancellationToken) {
    let look = || shared.backlog.reports(shared.queue.as_ref(), TRANSITION_RUNS_MAX);
    let mut outage = Outage::none("reports");
    loop {
        let delivered = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            delivered = look() => delivered,
        };
        match delivered {
            Ok(delivered) => {
                outage.over();
                hand_over(&lanes, room, delivered).await;
            }
            Err(QueueError::Closed) => return,
            Err(error @ (QueueError::Unavailable(_) | QueueError::Full(_))) => outage.pause(&error, shutdown).await,
        }
    }
    // What workers of this very process reported last is in memory only: it must be written before the end.
    let until = Instant::now() + LAST_LOOKS;
    while let Ok(Ok(delivered)) = tokio::time::timeout(LAST_LOOK, look()).await {
        hand_over(&lanes, room, delivered).await;
        if Instant::now() >= until {
            break;
        }
    }
}

async fn hand_over(lanes: &Lanes, room: &Semaphore, delivered: Vec<DeliveredReport>) {
    for report in delivered {
        let kilobytes = u32::try_from(kilobytes(&report)).unwrap_or(u32::MAX);
        room.acquire_many(kilobytes).await.expect("it is never closed").forget();
        let lane = lanes.of(report.report.job.run_id);
        lane.send(report).await.expect("the other end is read until this one is dropped");
    }
}

/// What a report counts, at most all the room there is.
fn kilobytes(delivered: &DeliveredReport) -> usize {
    match &delivered.report.outcome {
        Outcome::Completed { result, .. } => (result.get().len() / 1_024 + 1).min(AHEAD_KB),
        _ => 1,
    }
}

/// Applies what was read, all that waits in a lane at a time, until nothing more comes.
async fn write(
    shared: &Shared,
    mut waiting: mpsc::Receiver<DeliveredReport>,
    room: &Semaphore,
    shutdown: &CancellationToken,
) {
    let mut batch = BatchSize::full();
    let mut written = None;
    loop {
        let next = async {
            let mut delivered = Vec::new();
            if waiting.recv_many(&mut delivered, batch.runs()).await == 0 {
                return ControlFlow::Break(());
            }
            room.add_permits(delivered.iter().map(kilobytes).sum());
            ControlFlow::Continue(shared.apply_reports(delivered, &mut batch, shutdown).await)
        };
        // The queue hears of one batch while the next is committed.
        let ((), next) = tokio::join!(biased; shared.finish(written.take()), next);
        match next {
            ControlFlow::Continue(next) => written = next,
            ControlFlow::Break(()) => return,
        }
    }
}

impl Shared {
    /// Applies reports, part by part; repeats until the store has them, or the process is to stop (then they come again
    /// to another dispatcher). Gives what is left to do for the last part.
    async fn apply_reports(
        &self,
        mut delivered: Vec<DeliveredReport>,
        batch: &mut BatchSize,
        shutdown: &CancellationToken,
    ) -> Option<Written> {
        let mut outage = Outage::none("applying reports");
        let mut written = None;
        while !delivered.is_empty() {
            let rest = delivered.split_off(delivered.len().min(batch.runs()));
            match self.apply_part(&delivered).await {
                Ok(part) => {
                    outage.over();
                    batch.grow();
                    self.finish(written.replace(part)).await;
                    delivered = rest;
                }
                Err(error) => {
                    batch.shrink();
                    self.finish(written.take()).await;
                    if shutdown.is_cancelled() {
                        break;
                    }
                    outage.pause(&error, shutdown).await;
                    delivered.extend(rest);
                }
            }
        }
        written
    }

    async fn apply_part(&self, delivered: &[DeliveredReport]) -> Result<Written, StoreError> {
        let (receipts, inputs): (Vec<String>, Vec<Input>) = delivered
            .iter()
            .map(|DeliveredReport { receipt, report, .. }| {
                let run_id = report.job.run_id;
                let event = Event::Reported { report: report.clone(), jitter: self.entropy.jitter() };
                (receipt.clone(), Input { run_id, event, reply: Reply::None })
            })
            .unzip();
        let Applied { outcomes, decided } = self.apply(&inputs).await?;
        for (input, outcome) in inputs.iter().zip(outcomes) {
            match outcome {
                Ok(_) => {}
                Err(CommandError::NotFound) => debug!(run.id = %input.run_id, "report about an unknown run, dropped"),
                Err(CommandError::Corrupt(error)) => {
                    // Not kept: it would come again and again. Once the row is repaired, the reconciler finds that
                    // nobody has the job, and the attempt is made again.
                    self.metrics.refused_inputs.inc();
                    error!(run.id = %input.run_id, error, "report about a damaged run, dropped");
                }
                Err(CommandError::Illegal(error @ (Illegal::UnknownService(_) | Illegal::UnknownAttempt { .. }))) => {
                    warn!(run.id = %input.run_id, error = %error, "report that fits no attempt, dropped");
                }
                Err(error) => warn!(run.id = %input.run_id, error = %error, "report could not be applied, dropped"),
            }
        }
        Ok(Written { decided, receipts })
    }

    /// Tells the queue what follows from a batch, and that it is done with.
    async fn finish(&self, written: Option<Written>) {
        let Some(Written { decided, receipts }) = written else { return };
        let acknowledged = async {
            borders::cross("before_acknowledge");
            if let Err(error) = self.queue.acknowledge(&receipts).await {
                warn!(error = %error, reports = receipts.len(), "cannot acknowledge reports, they will come again");
            }
        };
        tokio::join!(biased; self.tell_queue(&decided), acknowledged);
        self.backlog.done(&receipts);
    }
}

#[cfg(test)]
mod tests {
    use hermes_core::Json;
    use hermes_core::limits::RESULT_BYTES_MAX;
    use hermes_core::wire::{Report, WIRE_VERSION};

    use super::*;

    #[test]
    fn reports_about_one_run_take_one_lane_and_those_about_many_take_all() {
        let lanes = Lanes(vec![mpsc::channel(1).0, mpsc::channel(1).0]);
        let run = |number: u128| RunId::from_uuid(uuid::Uuid::from_u128(number));
        let used = |lane: usize| (0..9).any(|number| lanes.of(run(number)).same_channel(&lanes.0[lane]));
        assert!(used(0) && used(1));
        assert!(lanes.of(run(7)).same_channel(lanes.of(run(7))));
    }

    #[tokio::test(start_paused = true)]
    async fn large_results_are_read_ahead_up_to_their_bytes_and_not_to_their_number() {
        let result = Json::parse(&format!("\"{}\"", "x".repeat(RESULT_BYTES_MAX - 2))).expect("valid");
        let job = "00000000000000000000000000000009/a/1".parse().expect("valid");
        let outcome = Outcome::Completed { duration_ms: 1, result };
        let report = Report { v: WIRE_VERSION, job, worker: "w".to_owned(), outcome };
        let one = DeliveredReport { receipt: "r".to_owned(), report, waited_ms: 0 };
        let (reports, mut waiting) = mpsc::channel(TRANSITION_RUNS_MAX);
        let room = Semaphore::new(AHEAD_KB);
        let lanes = Lanes(vec![reports]);
        let all = hand_over(&lanes, &room, vec![one; 64]);
        assert!(tokio::time::timeout(Duration::from_secs(1), all).await.is_err());
        let mut ahead = Vec::new();
        waiting.recv_many(&mut ahead, TRANSITION_RUNS_MAX).await;
        let bytes = ahead.len() * RESULT_BYTES_MAX;
        assert!(!ahead.is_empty() && bytes <= DELIVERY_BYTES_MAX, "{bytes} bytes");
        room.add_permits(ahead.iter().map(kilobytes).sum());
        assert_eq!(room.available_permits(), AHEAD_KB);
    }
}

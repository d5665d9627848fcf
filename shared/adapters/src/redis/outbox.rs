//! Final reports on their way to the server. Those that come while others are being sent go together: one run of the
//! script, one answer. Nothing waits for a batch to fill.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::oneshot;

use hermes_core::ids::WorkerKey;
use hermes_core::ports::queue::{QueueError, Receipt};
use hermes_core::wire::Report;

use super::lock;
use super::steps::Core;

/// Bytes of reports that one run of the script takes (more if a single one is larger): other clients wait meanwhile.
const BATCH_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// A report that waits to be sent.
pub(super) struct Outgoing {
    pub(super) receipt: Receipt,
    pub(super) text: Vec<u8>,
    done: oneshot::Sender<Result<(), QueueError>>,
}

/// The reports that wait, and whose turn it is to send them.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Vec<Outgoing>>,
    turn: tokio::sync::Mutex<()>,
}

impl Outbox {
    /// Sends a report, with all others that wait; returns when this one is with the server, or was refused.
    pub(super) async fn send(&self, core: &Core, receipt: &Receipt, report: &Report) -> Result<(), QueueError> {
        let text = serde_json::to_vec(report).expect("wire types serialise");
        let (done, mut answer) = oneshot::channel();
        lock(&self.waiting).push(Outgoing { receipt: receipt.clone(), text, done });
        let _turn = self.turn.lock().await;
        // Attempts that are just ending, too, may put their reports here.
        tokio::task::yield_now().await;
        // Whoever had the turn before may have sent this one, too, or have been dropped while it did.
        match answer.try_recv() {
            Ok(outcome) => return outcome,
            Err(oneshot::error::TryRecvError::Closed) => return Err(given_up()),
            Err(oneshot::error::TryRecvError::Empty) => {}
        }
        let mut by_key: BTreeMap<WorkerKey, Vec<Outgoing>> = BTreeMap::new();
        for outgoing in std::mem::take(&mut *lock(&self.waiting)) {
            by_key.entry(outgoing.receipt.worker_key.clone()).or_default().push(outgoing);
        }
        for (key, reports) in by_key {
            for batch in batches(reports) {
                let outcome = core.report(&key, &batch).await;
                for sent in batch {
                    // Whoever has stopped waiting sends it again, and that is harmless.
                    let _ = sent.done.send(outcome.clone());
                }
            }
        }
        answer.try_recv().unwrap_or_else(|_| Err(given_up()))
    }
}

/// Parts that are not too large.
fn batches(reports: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
    let (mut batches, mut bytes) = (vec![Vec::new()], 0);
    for outgoing in reports {
        let batch = batches.last_mut().expect("there is one");
        if batch.is_empty() || bytes + outgoing.text.len() <= BATCH_BYTES_MAX {
            bytes += outgoing.text.len();
            batch.push(outgoing);
        } else {
            bytes = outgoing.text.len();
            batches.push(vec![outgoing]);
        }
    }
    batches
}

fn given_up() -> QueueError {
    QueueError::Unavailable("sending was given up".to_owned())
}

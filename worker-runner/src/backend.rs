//! The apalis backend over the port [`WorkQueue`]: where the worker of one key gets its deliveries from, and where the
//! conclusions of their attempts go. Redis and memory both stand behind the port, so there is one backend.
//!
//! * **Slots.** A delivery is taken only when there is a free slot for it, and occupies the slot until its report is
//!   with the queue. So this process never sits on jobs that another one could execute, the concurrency of the key is
//!   bounded, and what is still unreported during an outage is bounded by the same number.
//! * **No errors.** An error that a backend returns ends an apalis worker. This one returns none: the reader logs an
//!   outage once and tries again.
//! * **Stopping.** Nothing more is taken, and what is taken and not yet started is handed back at once.
//!
//! Deliberately absent: apalis's own storage, codecs, retries and heartbeats.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::worker::context::WorkerContext;
use hermes_core::WorkerKey;
use hermes_core::ports::queue::{Delivery, QueueError, WorkQueue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::acknowledge::{Acknowledge, Acknowledger};
use crate::attempt::Work;
use crate::leases::Leases;
use crate::outage::Outage;

/// A reader whose queue returns nothing pauses this long, in case the queue answers without waiting.
const IDLE_PAUSE: Duration = Duration::from_millis(5);

/// What is taken and not yet started: at most as many as there are slots, and only for the moment until the worker is
/// polled.
#[derive(Default)]
struct Shelf {
    inner: Mutex<ShelfInner>,
}

#[derive(Default)]
struct ShelfInner {
    waiting: VecDeque<Arc<Work>>,
    closed: bool,
    waker: Option<Waker>,
}

impl ShelfInner {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Shelf {
    /// Puts work on the shelf; gives it back if the shelf is closed.
    fn put(&self, work: Arc<Work>) -> Result<(), Arc<Work>> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(work);
        }
        inner.waiting.push_back(work);
        inner.wake();
        Ok(())
    }

    /// Closes the shelf for good and clears it.
    fn close(&self) -> VecDeque<Arc<Work>> {
        let mut inner = self.inner();
        inner.closed = true;
        inner.wake();
        std::mem::take(&mut inner.waiting)
    }

    fn is_closed(&self, cx: &Context<'_>) -> bool {
        let mut inner = self.inner();
        inner.waker = Some(cx.waker().clone());
        inner.closed
    }

    fn take(&self, cx: &Context<'_>) -> Poll<Arc<Work>> {
        let mut inner = self.inner();
        if let Some(work) = inner.waiting.pop_front() {
            return Poll::Ready(work);
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn inner(&self) -> MutexGuard<'_, ShelfInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The backend of one worker key.
pub(crate) struct QueueBackend {
    shelf: Arc<Shelf>,
    acknowledger: Acknowledger,
}

/// The other half of the backend: takes deliveries from the queue and puts them on the shelf.
pub(crate) struct Reader {
    pub(crate) worker_key: WorkerKey,
    pub(crate) queue: Arc<dyn WorkQueue>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) outage: Arc<Outage>,
    /// Cancelled when no more is to be taken; cancelled by the reader when the queue is closed.
    pub(crate) stop: CancellationToken,
    acknowledger: Acknowledger,
    slots: Arc<Semaphore>,
    shelf: Arc<Shelf>,
}

impl QueueBackend {
    /// A backend with its reader, for `slots` attempts at a time.
    pub(crate) fn new(
        worker_key: WorkerKey,
        slots: usize,
        leases: Arc<Leases>,
        stop: CancellationToken,
        acknowledger: Acknowledger,
    ) -> (Self, Reader) {
        let shelf = Arc::new(Shelf::default());
        let reader = Reader {
            worker_key,
            queue: Arc::clone(&acknowledger.queue),
            leases,
            outage: Arc::clone(&acknowledger.outage),
            stop,
            acknowledger: acknowledger.clone(),
            slots: Arc::new(Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS))),
            shelf: Arc::clone(&shelf),
        };
        (Self { shelf, acknowledger }, reader)
    }
}

impl Backend for QueueBackend {
    type Task = Task<Arc<Work>>;
    type Error = Infallible;

    fn poll_ready(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Infallible>> {
        if !self.shelf.is_closed(cx) {
            return Poll::Ready(Ok(()));
        }
        // The worker is running, so it can be stopped; it wakes itself and drains.
        if let Err(error) = worker.stop() {
            error!(%error, "a worker cannot be stopped");
        }
        Poll::Pending
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<Arc<Work>>, Infallible>>> {
        self.shelf.take(cx).map(|work| Some(Ok(TaskBuilder::new(work).build())))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for QueueBackend {
    type Args = Arc<Work>;
    type Id = String;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Acknowledge;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Acknowledge {
        Acknowledge(self.acknowledger.clone())
    }
}

impl Reader {
    /// Takes deliveries until it is stopped, then hands back what is not yet started.
    pub(crate) async fn run(self) {
        let mut failures = 0;
        while let Some(slots) = self.free_slots().await {
            let read = self.queue.receive(&self.worker_key, slots.num_permits());
            match self.stop.run_until_cancelled(read).await {
                Some(Ok(deliveries)) => {
                    failures = 0;
                    self.outage.answered();
                    if deliveries.is_empty() {
                        tokio::time::sleep(IDLE_PAUSE).await;
                    }
                    self.accept(deliveries, slots).await;
                }
                Some(Err(QueueError::Closed)) => self.stop.cancel(),
                Some(Err(error @ (QueueError::Unavailable(_) | QueueError::Full(_)))) => {
                    self.outage.failed(&error);
                    failures += 1;
                    drop(slots);
                    self.stop.run_until_cancelled(tokio::time::sleep(self.outage.pause(failures))).await;
                }
                None => break,
            }
        }
        let unstarted = self.shelf.close();
        self.acknowledger.release(unstarted.iter().map(|work| work.delivery.clone()).collect()).await;
    }

    /// Waits for a free slot and takes all that are free. None when stopped.
    async fn free_slots(&self) -> Option<OwnedSemaphorePermit> {
        if self.stop.is_cancelled() {
            return None;
        }
        let one = self.stop.run_until_cancelled(Arc::clone(&self.slots).acquire_owned()).await?;
        let mut slots = one.expect("the semaphore is never closed");
        let more = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
        if let Ok(more) = Arc::clone(&self.slots).try_acquire_many_owned(more) {
            slots.merge(more);
        }
        Some(slots)
    }

    async fn accept(&self, deliveries: Vec<Delivery>, mut slots: OwnedSemaphorePermit) {
        let mut surplus = Vec::new();
        for delivery in deliveries {
            let Some(slot) = slots.split(1) else {
                warn!(worker.key = %self.worker_key, "the queue delivered more than was asked for");
                surplus.push(delivery);
                continue;
            };
            let Some(lease) = self.leases.hold(&delivery.receipt) else { continue };
            let work = Arc::new(Work { delivery, received_at: Instant::now(), lease, _slot: slot });
            if let Err(work) = self.shelf.put(work) {
                surplus.push(work.delivery.clone());
            }
        }
        self.acknowledger.release(surplus).await;
    }
}

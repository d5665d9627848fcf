//! Reading one stream as one consumer of its group. A task owns the blocking connection and hands over what it reads,
//! so that a caller who stops waiting loses nothing; it reads only while somebody asks, and only as much: neither more
//! entries than were asked for, nor more than a few entries over the limit of bytes, so that memory is bounded.
//!
//! Whatever the server does, the task goes on: it reconnects with jitter, makes stream and group anew when they are
//! gone (from the beginning, so that nothing is skipped), and never stumbles over an entry twice.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use hermes_core::limits::{DELIVERY_BYTES_MAX, DELIVERY_OVERSHOOT_MAX};
use hermes_core::ports::queue::QueueError;

use super::connect::ConnectError;
use super::entry::{Entry, read_entries, swept_entries, time_ms};
use super::link::{code, pause};
use super::lock;
use super::scripts::{MORE, ROOM};
use super::steps::{Core, Terms};

/// How much longer than a blocking read its answer may take before the line counts as cut.
const ANSWER_GRACE: Duration = Duration::from_secs(3);
/// A consumer that was not heard of for this long and holds nothing is removed.
const CONSUMER_IDLE: Duration = Duration::from_secs(60 * 60);
/// How often to look for such consumers.
const TIDY_EVERY: Duration = Duration::from_secs(10 * 60);
/// So much of a stream is looked at to tell how large it is (its nodes have a few entries each, or one that is large): as
/// much as one reader can ask for, and what others may have before it.
const NODES_LOOKED_AT: usize = 1_024;
/// Requests that wait for the task; more wait before that.
const REQUESTS: usize = 16;

/// What is read from a stream, and what becomes of it.
#[async_trait]
pub(super) trait Source: Send + Sync + 'static {
    /// An entry that could be read.
    type Item: Send + 'static;

    /// The stream's key.
    fn stream(&self) -> &str;

    /// The consumer group.
    fn group(&self) -> &'static str;

    /// Reads an entry; deals with one that cannot be delivered, and returns nothing then.
    async fn read(&self, core: &Core, entry: Entry) -> Option<Self::Item>;

    /// Names of the entry of an item.
    fn entry<'a>(&self, item: &'a Self::Item) -> &'a str;

    /// How long items are held, and how often they are looked after.
    fn terms(&self, core: &Core) -> Terms;

    /// Renews held entries while whoever took them is busy; gives those that are still held. Nothing where whoever took
    /// them renews them.
    async fn renew(&self, core: &Core, entries: &[String]) -> Result<Vec<String>, QueueError>;

    /// Lets others have items that nobody here wants any more.
    async fn give_back(&self, core: &Core, items: Vec<Self::Item>);
}

/// The near end of a reading task.
pub(super) struct Inbox<T> {
    requests: mpsc::Sender<Request<T>>,
    held: Arc<Held>,
    closed: CancellationToken,
}

struct Request<T> {
    max: usize,
    reply: oneshot::Sender<Handover<T>>,
}

/// Items on their way to whoever asked. Dropped on the way, they return.
struct Handover<T> {
    items: Vec<T>,
    returned: Arc<Returned<T>>,
}

impl<T> Drop for Handover<T> {
    fn drop(&mut self) {
        if !self.items.is_empty() {
            self.returned.push(std::mem::take(&mut self.items));
        }
    }
}

/// Items that were read for somebody who has stopped waiting.
struct Returned<T> {
    items: Mutex<VecDeque<T>>,
    arrived: Notify,
}

impl<T> Returned<T> {
    fn push(&self, items: Vec<T>) {
        lock(&self.items).extend(items);
        self.arrived.notify_one();
    }

    fn take(&self, max: usize) -> Vec<T> {
        let mut items = lock(&self.items);
        let count = max.min(items.len());
        items.drain(..count).collect()
    }

    async fn wait(&self) {
        while lock(&self.items).is_empty() {
            self.arrived.notified().await;
        }
    }
}

/// Entries that this process has, and when it last said so. What it has is not delivered to it again.
#[derive(Default)]
pub(super) struct Held {
    entries: Mutex<HashMap<String, Instant>>,
}

impl Held {
    /// Notes entries as held from now on.
    pub(super) fn touch<'a>(&self, entries: impl IntoIterator<Item = &'a str>) {
        let now = Instant::now();
        let mut held = lock(&self.entries);
        for entry in entries {
            held.insert(entry.to_owned(), now);
        }
    }

    /// Notes entries as gone.
    pub(super) fn forget<'a>(&self, entries: impl IntoIterator<Item = &'a str>) {
        let mut held = lock(&self.entries);
        for entry in entries {
            held.remove(entry);
        }
    }

    /// What is held by leases that have not ended.
    fn within(&self, lease: Duration) -> Vec<String> {
        let mut held = lock(&self.entries);
        held.retain(|_, touched| touched.elapsed() < lease);
        held.keys().cloned().collect()
    }
}

impl<T: Send + 'static> Inbox<T> {
    /// Starts the task. It ends by itself when the inbox is dropped, or when the queue is closed.
    pub(super) fn open<S: Source<Item = T>>(core: Arc<Core>, source: S, tasks: &TaskTracker) -> Self {
        let closed = core.closed.clone();
        let (requests, receiver) = mpsc::channel(REQUESTS);
        let held = Arc::new(Held::default());
        let next_renewal = Instant::now() + source.terms(&core).renew_every;
        let reader = Reader {
            core,
            source,
            held: Arc::clone(&held),
            returned: Arc::new(Returned { items: Mutex::default(), arrived: Notify::new() }),
            connection: None,
            failures: 0,
            next_sweep: Instant::now(),
            next_tidy: Instant::now(),
            next_renewal,
        };
        tasks.spawn(reader.run(receiver));
        Self { requests, held, closed }
    }

    /// Waits for items and takes at most `max`.
    pub(super) async fn take(&self, max: usize) -> Result<Vec<T>, QueueError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request { max, reply }).await.map_err(|_| self.gone())?;
        let mut handover = answer.await.map_err(|_| self.gone())?;
        Ok(std::mem::take(&mut handover.items))
    }

    fn gone(&self) -> QueueError {
        if self.closed.is_cancelled() {
            QueueError::Closed
        } else {
            QueueError::Unavailable("the task that reads it has ended".to_owned())
        }
    }

    /// What this process has of the stream.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
}

/// The task.
struct Reader<S: Source> {
    core: Arc<Core>,
    source: S,
    held: Arc<Held>,
    returned: Arc<Returned<S::Item>>,
    connection: Option<MultiplexedConnection>,
    failures: u32,
    next_sweep: Instant,
    next_tidy: Instant,
    next_renewal: Instant,
}

impl<S: Source> Reader<S> {
    async fn run(mut self, mut requests: mpsc::Receiver<Request<S::Item>>) {
        let closed = self.core.closed.clone();
        loop {
            tokio::select! {
                biased;
                () = closed.cancelled() => break,
                request = requests.recv() => match request {
                    Some(request) => self.serve(request).await,
                    None => break,
                },
                () = self.returned.wait() => self.give_back().await,
                () = tokio::time::sleep_until(self.next_renewal) => self.renew().await,
            }
        }
        self.give_back().await;
    }

    async fn renew(&mut self) {
        let terms = self.source.terms(&self.core);
        self.next_renewal = Instant::now() + terms.renew_every;
        let held = self.held.within(terms.lease);
        if held.is_empty() {
            return;
        }
        // What cannot be renewed now is tried again at the next beat, as long as the lease lasts.
        if let Ok(renewed) = self.source.renew(&self.core, &held).await {
            self.held.touch(renewed.iter().map(String::as_str));
        }
    }

    async fn give_back(&mut self) {
        let items = self.returned.take(usize::MAX);
        if !items.is_empty() {
            self.held.forget(items.iter().map(|item| self.source.entry(item)));
            self.source.give_back(&self.core, items).await;
        }
    }

    async fn serve(&mut self, request: Request<S::Item>) {
        // Asked once more after each blocking read: whoever has stopped waiting needs nothing.
        while !request.reply.is_closed() && !self.core.closed.is_cancelled() {
            // Whoever asks for more may still be busy with what it has.
            if Instant::now() >= self.next_renewal {
                self.renew().await;
            }
            let mut items = self.returned.take(request.max);
            if items.is_empty() {
                items = self.fetch(request.max).await;
            }
            if !items.is_empty() {
                let handover = Handover { items, returned: Arc::clone(&self.returned) };
                drop(request.reply.send(handover));
                return;
            }
        }
    }

    async fn fetch(&mut self, max: usize) -> Vec<S::Item> {
        match self.try_fetch(max).await {
            Ok(entries) => {
                if self.failures > 0 {
                    tracing::info!(stream = self.source.stream(), "the queue is readable again");
                    self.failures = 0;
                }
                let found_any = !entries.is_empty();
                let items = self.read(entries).await;
                if found_any && items.is_empty() {
                    // Entries that nobody can work on would be swept again at once, before anything new is read.
                    self.next_sweep = Instant::now() + self.source.terms(&self.core).sweep_every;
                }
                items
            }
            Err(error) => {
                self.connection = None;
                self.failures = self.failures.saturating_add(1);
                if self.failures == 1 {
                    tracing::warn!(stream = self.source.stream(), %error, "the queue cannot be read, trying on");
                }
                tokio::select! {
                    () = self.core.closed.cancelled() => {}
                    () = tokio::time::sleep(pause(self.failures)) => {}
                }
                Vec::new()
            }
        }
    }

    async fn read(&self, entries: Vec<Entry>) -> Vec<S::Item> {
        let mut items = Vec::with_capacity(entries.len());
        for entry in entries {
            items.extend(self.source.read(&self.core, entry).await);
        }
        self.held.touch(items.iter().map(|item| self.source.entry(item)));
        items
    }

    async fn try_fetch(&mut self, max: usize) -> Result<Vec<Entry>, FetchError> {
        let mut connection = self.connection().await?;
        let fetched = self.sweep_or_read(&mut connection, max).await;
        match fetched {
            Err(error) if is_group_lost(&error) => {
                self.make_group(&mut connection).await?;
                Ok(Vec::new())
            }
            fetched => Ok(fetched?),
        }
    }

    async fn sweep_or_read(&mut self, connection: &mut MultiplexedConnection, max: usize) -> RedisResult<Vec<Entry>> {
        let now = Instant::now();
        if now >= self.next_tidy {
            let idle_ms = u64::try_from(CONSUMER_IDLE.as_millis()).unwrap_or(u64::MAX);
            let mut tidy = self.core.scripts.tidy.prepare_invoke();
            tidy.key(self.source.stream()).arg(self.source.group()).arg(idle_ms);
            tidy.invoke_async::<()>(connection).await?;
            self.next_tidy = now + TIDY_EVERY;
        }
        if now >= self.next_sweep {
            let entries = self.sweep(connection, max).await?;
            if !entries.is_empty() {
                // There may be more: swept again before anything new is read.
                return Ok(entries);
            }
            self.next_sweep = now + self.source.terms(&self.core).sweep_every;
        }
        self.wait_for_new(connection, max).await
    }

    async fn sweep(&self, connection: &mut MultiplexedConnection, max: usize) -> RedisResult<Vec<Entry>> {
        let mut sweep = self.core.scripts.sweep.prepare_invoke();
        sweep
            .key(self.source.stream())
            .arg(self.source.group())
            .arg(&self.core.identity)
            .arg(self.source.terms(&self.core).lease_ms())
            .arg(max)
            .arg(DELIVERY_BYTES_MAX)
            .arg(self.held.within(self.source.terms(&self.core).lease));
        Ok(swept_entries(sweep.invoke_async(connection).await?))
    }

    /// Blocks for a first entry, until the next sweep at most, and takes along what else is there.
    ///
    /// How large an entry is shows only when it has been read. So few are read at first; then the rest, in one go if all
    /// that the stream holds is not too much, and a few at a time otherwise, which costs the server twice as much for each.
    async fn wait_for_new(&self, connection: &mut MultiplexedConnection, max: usize) -> RedisResult<Vec<Entry>> {
        let block = self.next_sweep.saturating_duration_since(Instant::now()).as_millis().max(1);
        let block_ms = u64::try_from(block).unwrap_or(u64::MAX);
        let stream = self.source.stream();
        let few = max.min(DELIVERY_OVERSHOOT_MAX);
        let mut commands = redis::pipe();
        commands.add_command(self.read_command(few, Some(block_ms)));
        commands.cmd("EVAL").arg(ROOM).arg(1).arg(stream).arg(DELIVERY_BYTES_MAX).arg(NODES_LOOKED_AT);
        commands.cmd("TIME");
        let (first, has_room, time): (Value, bool, Value) = commands.query_async(connection).await?;
        let now_ms = time_ms(time);
        let mut entries = read_entries(first, now_ms);
        if entries.len() == few && few < max {
            let more = if has_room {
                self.read_command(max - few, None).query_async(connection).await
            } else {
                let bytes_left = DELIVERY_BYTES_MAX.saturating_sub(entries.iter().map(Entry::bytes).sum());
                let mut more = redis::cmd("EVAL");
                more.arg(MORE).arg(1).arg(stream).arg(self.source.group()).arg(&self.core.identity);
                more.arg(max - few).arg(bytes_left).arg(DELIVERY_OVERSHOOT_MAX);
                more.query_async(connection).await
            };
            match more {
                Ok(more) => entries.extend(read_entries(more, now_ms)),
                // What was read is not lost, and the next read says what is wrong.
                Err(error) => tracing::debug!(stream, %error, "there may be more entries than could be read"),
            }
        }
        Ok(entries)
    }

    fn read_command(&self, max: usize, block_ms: Option<u64>) -> Cmd {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(self.source.group()).arg(&self.core.identity).arg("COUNT").arg(max);
        if let Some(block_ms) = block_ms {
            read.arg("BLOCK").arg(block_ms);
        }
        read.arg("STREAMS").arg(self.source.stream()).arg(">");
        read
    }

    async fn connection(&mut self) -> Result<MultiplexedConnection, ConnectError> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection = self.core.primary.connect(self.source.terms(&self.core).sweep_every + ANSWER_GRACE).await?;
        self.connection = Some(connection.clone());
        // What the broken connection was about to deliver is found by sweeping.
        self.next_sweep = Instant::now();
        Ok(connection)
    }

    async fn make_group(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(self.source.stream()).arg(self.source.group()).arg("0").arg("MKSTREAM");
        match create.query_async::<()>(connection).await {
            // Somebody else was faster.
            Err(error) if code(&error).is_some_and(|code| code == "BUSYGROUP") => Ok(()),
            made => made,
        }
    }
}

/// Whether the group is not there, or has just gone while a read was waiting.
fn is_group_lost(error: &redis::RedisError) -> bool {
    code(error).is_some_and(|code| code == "NOGROUP" || code == "UNBLOCKED")
}

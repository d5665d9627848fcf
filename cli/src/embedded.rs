//! Dispatcher and workers in this process, over one SQLite file and a queue in memory: the same code as on a fleet.
//!
//! What is in the queue goes with the process; the file says what must be in it, and the next start puts it there.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hermes_adapters::browser::Chromium;
use hermes_adapters::entropy::{SystemEntropy, process_id};
use hermes_adapters::memory::{MemoryPoliteness, MemoryQueue};
use hermes_adapters::names;
use hermes_adapters::ranks::RankFolder;
use hermes_adapters::settings::{Api, Worker};
use hermes_adapters::sqlite::Sqlite;
use hermes_core::ports::browser::Browser;
use hermes_core::ports::http::{Http, Reach};
use hermes_core::ports::ranks::Ranks;
use hermes_diagnosis::RuleBook;
use hermes_dispatcher::api::Hosts;
use hermes_dispatcher::engine::EngineParts;
use hermes_worker_runner::polite::PoliteHttp;
use hermes_worker_runner::{Equipment, Ports, Registry, RunnerOptions, all_servable};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Name of the file in the data folder.
const FILE: &str = "hermes.db";

/// What an all-in-one process is made of.
pub struct EmbeddedOptions {
    /// The folder for data; made if it is not there.
    pub data: PathBuf,
    /// Where the API listens.
    pub api: Api,
    /// How jobs are executed; without it none is, and runs only wait.
    pub worker: Option<Worker>,
    /// The environment, in which external workers are configured.
    pub environment: BTreeMap<String, String>,
    /// Outgoing HTTP of the services.
    pub http: Arc<dyn Http>,
    /// The rules that diagnoses are made with.
    pub book: Arc<RuleBook>,
    /// For how long settled runs are kept; `None` for ever.
    pub retention: Option<Duration>,
}

/// An all-in-one process while it runs.
pub struct Embedded {
    address: SocketAddr,
    store: Arc<Sqlite>,
    dispatcher: Part,
    workers: Option<Part>,
}

/// A part that runs until it is told to stop.
struct Part {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Embedded {
    /// Opens the file, takes up the runs that are open in it, and listens.
    pub async fn start(options: EmbeddedOptions) -> anyhow::Result<Self> {
        make_folder(&options.data)?;
        let listener = TcpListener::bind(options.api.listen)
            .await
            .with_context(|| format!("cannot listen on {}", options.api.listen))?;
        let address = listener.local_addr()?;
        let store = Arc::new(Sqlite::open(file(&options.data), own_url(address).as_str()).await?);
        let queue = MemoryQueue::new();
        let parts = EngineParts {
            store: store.clone(),
            queue: queue.dispatcher(),
            book: options.book,
            entropy: Arc::new(SystemEntropy),
            public_url: options.api.callback_base(address),
            retention: options.retention,
        };
        let workers = options
            .worker
            .map(|worker| start_workers(&queue, options.http, worker, &options.environment, &options.data))
            .transpose()?;
        Ok(Self { address, store, dispatcher: start_dispatcher(parts, listener, address), workers })
    }

    /// The address on which the API listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the API answers, for this machine.
    #[must_use]
    pub fn url(&self) -> Url {
        own_url(self.address)
    }

    /// Waits until a part ends by itself, which none should.
    pub async fn broken(&mut self) -> anyhow::Error {
        let workers = async {
            match &mut self.workers {
                Some(part) => (&mut part.task).await,
                None => std::future::pending().await,
            }
        };
        let (what, ended) = tokio::select! {
            ended = &mut self.dispatcher.task => ("the dispatcher", ended),
            ended = workers => ("the workers", ended),
        };
        match ended {
            Ok(Ok(())) => anyhow::anyhow!("{what} ended by itself"),
            Ok(Err(error)) => error,
            Err(error) => anyhow::Error::new(error).context(format!("{what} broke")),
        }
    }

    /// Lets running jobs finish within their grace period, then answers and transactions, then closes the file.
    pub async fn stop(self) -> anyhow::Result<()> {
        // Workers first: what they report must still be written.
        let worked = match self.workers {
            Some(workers) => workers.stop().await,
            None => Ok(()),
        };
        let dispatched = self.dispatcher.stop().await;
        let closed = self.store.close().await.context("failed to close the file");
        worked.and(dispatched).and(closed)
    }
}

impl Part {
    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        // A part that has ended before was seen by `broken`.
        if self.task.is_finished() { Ok(()) } else { self.task.await? }
    }
}

fn start_dispatcher(parts: EngineParts, listener: TcpListener, address: SocketAddr) -> Part {
    let stop = CancellationToken::new();
    let hosts = if address.ip().is_loopback() { Hosts::Local } else { Hosts::Any };
    let running = hermes_dispatcher::run(parts, listener, hosts, stop.clone());
    let task = tokio::spawn(async move { running.await.context("failed to run the dispatcher") });
    Part { stop, task }
}

fn start_workers(
    queue: &MemoryQueue,
    http: Arc<dyn Http>,
    worker: Worker,
    environment: &BTreeMap<String, String>,
    data: &Path,
) -> anyhow::Result<Part> {
    let stop = CancellationToken::new();
    let keys = if worker.keys.is_empty() { all_servable(environment) } else { worker.keys };
    let reach = if worker.allow_private_targets { Reach::Any } else { Reach::Public };
    let names = names::equip(environment).context("failed to set up the services")?;
    let ranks: Arc<dyn Ranks> = Arc::new(RankFolder::of(data));
    let (politeness, entropy) = (Arc::new(MemoryPoliteness::default()), Arc::new(SystemEntropy));
    let http = PoliteHttp::new(http, politeness, entropy.clone(), worker.politeness, environment)
        .signed(worker.contact.as_deref());
    let browser: Arc<dyn Browser> = Arc::new(http.browser(Arc::new(Chromium::find(environment))));
    let equipment =
        Equipment { names, ranks: Some(ranks), browser: Some(browser), ..Equipment::new(environment.clone(), reach) };
    let registry = Registry::for_keys(&keys, &equipment)?;
    let identity = process_id().to_string();
    let ports = Ports { queue: queue.worker(identity), http: Arc::new(http), entropy };
    let options = RunnerOptions { concurrency: worker.concurrency, grace: worker.grace, ..RunnerOptions::new(keys) };
    let shutdown = stop.clone();
    let task = tokio::spawn(async move {
        let ran = hermes_worker_runner::run(ports, &registry, options, shutdown).await;
        ran.map(|_| ()).context("failed to run the workers")
    });
    Ok(Part { stop, task })
}

/// The file in the data folder.
#[must_use]
pub fn file(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// The URL under which this machine reaches an API that listens on `address`.
fn own_url(address: SocketAddr) -> Url {
    let host = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port())),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    };
    format!("http://{host}").parse().expect("an address with a port makes a URL")
}

/// Makes the folder, for its owner alone: diagnoses, and the key of callbacks, are nobody else's business.
fn make_folder(data: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("cannot make the data folder {}", data.display()))
}

#[cfg(test)]
mod tests;

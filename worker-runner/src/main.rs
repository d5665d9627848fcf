//! The worker-runner process: a table of contents.

use std::sync::Arc;

use clap::Parser;
use hermes_adapters::browser::Chromium;
use hermes_adapters::entropy::{SystemEntropy, process_id};
use hermes_adapters::http::HttpClient;
use hermes_adapters::names;
use hermes_adapters::politeness::FleetPoliteness;
use hermes_adapters::ranks::RankFolder;
use hermes_adapters::redis::RedisQueue;
use hermes_adapters::settings::Settings;
use hermes_adapters::{secrets, signals, telemetry};
use hermes_core::ports::browser::Browser;
use hermes_core::ports::http::Reach;
use hermes_core::ports::ranks::Ranks;
use hermes_worker_runner::arguments::{Arguments, environment};
use hermes_worker_runner::polite::PoliteHttp;
use hermes_worker_runner::{Equipment, Ports, Registry, RunnerOptions, all_servable, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _armed = hermes_worker_runner::borders::arm();
    let arguments = Arguments::parse();
    let settings = Settings::load_with(arguments.config.as_deref(), arguments.overrides())?;
    telemetry::init(settings.log.format, &settings.log.filter)?;
    let shutdown = signals::shutdown_token()?;
    let configured = secrets::load(settings.secrets.as_ref(), &environment()).await?;
    let (worker, environment) = (settings.worker, configured.over(environment()));
    let keys = if worker.keys.is_empty() { all_servable(&environment) } else { worker.keys };
    let reach = if worker.allow_private_targets { Reach::Any } else { Reach::Public };
    let names = names::equip(&environment)?;
    let ranks = settings.embedded.data.as_deref().map(|data| Arc::new(RankFolder::of(data)) as Arc<dyn Ranks>);
    let identity = process_id().to_string();
    let queue = RedisQueue::connect_with(&settings.redis.options(settings.queue, &identity)).await?;
    let queue = Arc::new(queue);
    let (entropy, politeness) = (Arc::new(SystemEntropy), FleetPoliteness::new(queue.politeness()));
    let http = Arc::new(HttpClient::new()?);
    let http = PoliteHttp::new(http, Arc::new(politeness), entropy.clone(), worker.politeness, &environment)
        .signed(worker.contact.as_deref());
    let browser: Arc<dyn Browser> = Arc::new(http.browser(Arc::new(Chromium::find(&environment))));
    let equipment = Equipment { names, ranks, browser: Some(browser), ..Equipment::new(environment, reach) };
    let registry = Registry::for_keys(&keys, &equipment)?;
    let ports = Ports { queue: queue.clone(), http: Arc::new(http), entropy };
    let options = RunnerOptions {
        concurrency: worker.concurrency,
        grace: worker.grace,
        heartbeat: settings.queue.heartbeat,
        ..RunnerOptions::new(keys)
    };
    let ran = run(ports, &registry, options, shutdown).await;
    queue.close().await;
    ran?;
    Ok(())
}

//! The dispatcher process: a table of contents.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use hermes_adapters::entropy::{SystemEntropy, process_id};
use hermes_adapters::redis::RedisQueue;
use hermes_adapters::settings::Settings;
use hermes_adapters::{signals, store, telemetry};
use hermes_dispatcher::api::Hosts;
use hermes_dispatcher::engine::EngineParts;
use hermes_dispatcher::rules;
use tokio::net::TcpListener;

/// Accepts runs, decides what they need, hands jobs to workers, settles and diagnoses.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file; hermes.default.toml is its manual
    #[arg(long)]
    config: Option<PathBuf>,
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _armed = hermes_dispatcher::borders::arm();
    let settings = Settings::load(Arguments::parse().config.as_deref())?;
    settings.api.check()?;
    let book = Arc::new(rules::book(settings.diagnosis.rule_file())?);
    telemetry::init(settings.log.format, &settings.log.filter)?;
    let shutdown = signals::shutdown_token()?;
    let store = store::open(&settings.database).await?;
    let identity = process_id().to_string();
    let queue = RedisQueue::connect_with(&settings.redis.options(settings.queue, &identity)).await?;
    let queue = Arc::new(queue);
    let listener = TcpListener::bind(settings.api.listen).await?;
    let bound = listener.local_addr()?;
    let hosts = if bound.ip().is_loopback() { Hosts::Local } else { Hosts::Any };
    let public_url = settings.api.callback_base(bound);
    let entropy = Arc::new(SystemEntropy);
    let retention = settings.retention.settled_runs;
    let parts = EngineParts { store, queue: queue.clone(), book, entropy, public_url, retention };
    let ran = hermes_dispatcher::run(parts, listener, hosts, shutdown).await;
    queue.close().await;
    Ok(ran?)
}

//! A whole dispatcher: the engine behind the API, from start to stop. `main.rs` and the all-in-one process use it.

use std::io;

use hermes_core::plan;
use hermes_core::ports::store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::api::{self, ApiOptions, Hosts, ServerLimits};
use crate::engine::{Engine, EngineParts};

/// Why a dispatcher did not start or stopped by itself. Completes "failed to run the dispatcher: …".
#[derive(Debug, thiserror::Error)]
pub enum DispatcherError {
    /// The store does not take what a dispatcher must write before it serves anyone.
    #[error("the store could not be prepared: {0}")]
    Store(#[from] StoreError),
    /// The listener broke.
    #[error("the API stopped: {0}")]
    Listener(#[from] io::Error),
    /// A loop of the engine ended; the log says which and why. Start the process anew.
    #[error("a loop of the engine broke")]
    LoopBroke,
}

/// Runs until `shutdown` is cancelled: stores the shipped plans, starts the engine's loops, serves the API, and then
/// lets answers and transactions under way finish.
pub async fn run(
    parts: EngineParts,
    listener: TcpListener,
    hosts: Hosts,
    shutdown: CancellationToken,
) -> Result<(), DispatcherError> {
    store_shipped_plans(parts.store.as_ref()).await?;
    // The loops outlive the API: a request that is being answered still needs its transition.
    let engine_shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();
    let engine = Engine::start(parts, &tasks, engine_shutdown.clone()).await?;
    info!(api.listen = %listener.local_addr()?, "dispatcher ready");
    let options = ApiOptions { hosts, shutdown: shutdown.clone(), ..ApiOptions::default() };
    let serving = api::serve(listener, api::router(engine.clone(), options), ServerLimits::default(), shutdown);
    let ran = tokio::select! {
        served = serving => served.map_err(DispatcherError::Listener),
        () = engine.broken() => Err(DispatcherError::LoopBroke),
    };
    engine_shutdown.cancel();
    tasks.close();
    tasks.wait().await;
    info!("dispatcher stopped");
    ran
}

async fn store_shipped_plans(store: &dyn Store) -> Result<(), StoreError> {
    for plan in plan::shipped() {
        store.put_plan(&plan).await?;
    }
    Ok(())
}

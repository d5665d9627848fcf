//! `hermes up`: everything in one process, until it is told to stop.

use std::sync::Arc;

use hermes_adapters::http::HttpClient;
use hermes_adapters::settings::{Api, Settings, Worker};
use hermes_adapters::signals;
use tracing::info;

use crate::args::Up;
use crate::embedded::{Embedded, EmbeddedOptions};
use crate::exit::{Exit, Failure};
use crate::session::{configured, data_folder, environment, rules};

pub(super) async fn execute(up: Up, settings: Settings) -> Result<Exit, Failure> {
    let environment = configured(&settings).await?.over(environment());
    let data = data_folder(up.data.as_deref(), &settings)?;
    let book = Arc::new(rules(&settings)?);
    let api = Api { listen: up.listen.unwrap_or(settings.api.listen), ..settings.api };
    api.check()?;
    let allow_private_targets = up.allow_private_targets || settings.worker.allow_private_targets;
    let worker = Some(Worker { allow_private_targets, ..settings.worker });
    let http = Arc::new(HttpClient::new().map_err(anyhow::Error::from)?);
    let told_to_stop = signals::shutdown_token().map_err(anyhow::Error::from)?;
    let place = data.display().to_string();
    let retention = settings.retention.settled_runs;
    let options = EmbeddedOptions { data, api, worker, environment, http, book, retention };
    let mut embedded = Embedded::start(options).await?;
    info!(data = place, "Hermes is up at {}", embedded.url());
    let broken = tokio::select! {
        () = told_to_stop.cancelled() => None,
        broken = embedded.broken() => Some(broken),
    };
    let stopped = embedded.stop().await;
    match broken {
        Some(error) => Err(error.into()),
        None => Ok(stopped.map(|()| Exit::Complete)?),
    }
}

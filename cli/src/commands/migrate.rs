//! `hermes migrate`: brings the schema of the configured database up to date. Safe to repeat, and while others run.

use anyhow::Context;
use hermes_adapters::postgres::{Postgres, PostgresOptions};
use hermes_adapters::settings::{DatabaseUrl, Settings};
use hermes_adapters::sqlite::Sqlite;

use crate::exit::{Exit, Failure};
use crate::output;

pub(super) async fn execute(settings: Settings) -> Result<Exit, Failure> {
    let url = settings.database.url;
    match &url {
        DatabaseUrl::Postgres(secret) => {
            let store = Postgres::connect(secret.expose(), PostgresOptions::default()).await;
            store.context("failed to connect")?.migrate().await.context("failed to migrate")?;
        }
        // Opening the file is all it takes.
        DatabaseUrl::Sqlite(path) => {
            let store = Sqlite::open(path, "").await.context("failed to migrate")?;
            store.close().await.context("failed to close the file")?;
        }
    }
    output::print(&format!("the schema of {url} is up to date\n"));
    Ok(Exit::Complete)
}

//! The store that the settings name.

use std::sync::Arc;

use hermes_core::ports::store::Store;

use super::OpenError;
use crate::postgres::{Postgres, PostgresOptions};
use crate::settings::{Database, DatabaseUrl};
use crate::sqlite::Sqlite;

/// Opens the store that `[database]` names, with its schema up to date.
///
/// # Errors
/// [`OpenError`]; with `migrate_at_start = false` also [`OpenError::Outdated`] until `hermes migrate` was run.
pub async fn open(database: &Database) -> Result<Arc<dyn Store>, OpenError> {
    match &database.url {
        DatabaseUrl::Postgres(url) => {
            let store = Postgres::connect(url.expose(), PostgresOptions::default()).await?;
            if database.migrate_at_start {
                store.migrate().await?;
            }
            store.check_schema().await?;
            Ok(Arc::new(store))
        }
        DatabaseUrl::Sqlite(path) => Ok(Arc::new(Sqlite::open(path, "dispatcher").await?)),
    }
}

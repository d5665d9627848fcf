//! The store that the settings name.

use std::sync::Arc;
use std::time::Duration;

use hermes_core::ports::store::{Store, StoreError};

use super::OpenError;
use crate::postgres::{Postgres, PostgresOptions};
use crate::settings::{Database, DatabaseUrl};
use crate::sqlite::Sqlite;

/// How long one statement of an audit may take: checking a large index is one.
const AUDIT_STATEMENT: Duration = Duration::from_secs(120);
/// How long an operation of an audit may take in all.
const AUDIT_PATIENCE: Duration = Duration::from_secs(130);

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

/// A store that is only read, while others may be writing to it.
pub enum ReadOnly {
    /// A server that refuses every write of this process.
    Postgres(Postgres),
    /// A file that this process opened for reading, without the lock of the one that writes.
    Sqlite(Sqlite),
}

impl ReadOnly {
    /// Opens the store at `url` for reading.
    ///
    /// # Errors
    /// [`OpenError`]; the schema must be current.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, OpenError> {
        match url {
            DatabaseUrl::Postgres(url) => {
                let options = PostgresOptions {
                    connections: 2,
                    statement_timeout: AUDIT_STATEMENT,
                    patience: AUDIT_PATIENCE,
                    read_only: true,
                    ..PostgresOptions::default()
                };
                let store = Postgres::connect(url.expose(), options).await?;
                store.check_schema().await?;
                Ok(Self::Postgres(store))
            }
            DatabaseUrl::Sqlite(path) => Ok(Self::Sqlite(Sqlite::open_to_read(path).await?)),
        }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        match self {
            Self::Postgres(store) => store,
            Self::Sqlite(store) => store,
        }
    }

    /// What the database finds damaged in itself; `None` if it cannot look. It reads everything.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn damage(&self) -> Result<Option<Vec<String>>, StoreError> {
        match self {
            Self::Postgres(store) => store.damage().await,
            Self::Sqlite(store) => store.damage().await.map(Some),
        }
    }
}

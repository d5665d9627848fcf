//! Connections: how they are set up, and how they are given up when the server has vanished.

use std::future::Future;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use hermes_core::ports::store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::server::Server;
use super::{PostgresOptions, error};
use crate::store::OpenError;

/// Operations in a row that were given up before the connections are taken for dead.
const GIVEN_UP_MAX: u32 = 2;

/// A connection that lay idle for longer is asked whether it is alive.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// How long a connection for lists is kept, idle or not.
const LISTS_LIVE: Duration = Duration::from_secs(10 * 60);

/// The way to the server.
///
/// A connection whose peer has vanished without a word blocks whoever waits on it, and the pool never gets its place
/// back. So every operation has an end on this side, and after a few that were given up all connections are replaced.
pub(super) struct Link {
    pools: RwLock<Pools>,
    given_up: AtomicU32,
    connect: PgConnectOptions,
    options: PostgresOptions,
}

/// Connections for two kinds of statements, so that neither waits for the other's.
#[derive(Clone)]
struct Pools {
    lookups: PgPool,
    lists: PgPool,
}

/// What statements do, and so how the server had best plan them.
#[derive(Clone, Copy)]
enum Use {
    /// The engine's: they name the rows that they read or write. There is one good way, so they are planned once; planning
    /// takes as long as executing for a small batch, and by itself the server would plan each one anew.
    Lookups,
    /// People's: the best way depends on what is asked for, so they are planned for each question.
    Lists,
}

impl Pools {
    fn of(connect: &PgConnectOptions, options: &PostgresOptions) -> Self {
        Self {
            lookups: pool(connect, options, options.for_the_engine(), Use::Lookups),
            lists: pool(connect, options, options.for_lists(), Use::Lists),
        }
    }

    async fn close(&self) {
        tokio::join!(self.lookups.close(), self.lists.close());
    }
}

impl Link {
    pub(super) async fn open(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        check(&options)?;
        // the parser's own words may quote the URL
        let connect = PgConnectOptions::from_str(url).map_err(|_| {
            OpenError::Refused("the database URL cannot be read: write postgres://user:password@host:port/name".into())
        })?;
        let connect = connect.application_name("hermes");
        let pools = RwLock::new(Pools::of(&connect, &options));
        let link = Self { pools, given_up: AtomicU32::new(0), connect, options };
        let server: Server =
            link.deadline(async { sqlx::query_as(Server::QUERY).fetch_one(&link.pool()).await }).await?;
        if link.options.read_only {
            server.check_readable()?
        } else {
            server.check()?
        }
        Ok(link)
    }

    /// The engine's connections: for statements that name their rows.
    pub(super) fn pool(&self) -> PgPool {
        self.pools.read().unwrap_or_else(PoisonError::into_inner).lookups.clone()
    }

    /// The connections for lists with filters, and for going through everything.
    pub(super) fn lists(&self) -> PgPool {
        self.pools.read().unwrap_or_else(PoisonError::into_inner).lists.clone()
    }

    /// Closes all connections, after their current statements.
    pub(super) async fn close(&self) {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner).clone();
        pools.close().await;
    }

    /// Gives an operation up when it takes too long.
    pub(super) async fn within<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.options.patience, operation).await {
            Ok(outcome) => {
                self.given_up.store(0, Ordering::Relaxed);
                if let Some(why) = outcome.as_ref().err().and_then(error::why_replace) {
                    self.replace(why);
                }
                outcome
            }
            Err(_) => {
                self.suspect();
                let patience_ms = self.options.patience.as_millis();
                Err(StoreError::Unavailable(format!("Postgres did not answer within {patience_ms} ms")))
            }
        }
    }

    /// Counts an operation that was given up; replaces all connections when there were several in a row.
    fn suspect(&self) {
        if self.given_up.fetch_add(1, Ordering::Relaxed) + 1 < GIVEN_UP_MAX {
            return;
        }
        self.given_up.store(0, Ordering::Relaxed);
        self.replace("Postgres did not answer several times");
    }

    fn replace(&self, why: &str) {
        tracing::warn!("{why}, all connections are replaced");
        let fresh = Pools::of(&self.connect, &self.options);
        let old = std::mem::replace(&mut *self.pools.write().unwrap_or_else(PoisonError::into_inner), fresh);
        // closing waits for connections that may never come back
        tokio::spawn(async move { old.close().await });
    }

    async fn deadline<T>(&self, operation: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, OpenError> {
        let problem = match tokio::time::timeout(self.options.patience, operation).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error::words(&error),
            Err(_) => "it does not answer".to_owned(),
        };
        let (host, port) = (self.connect.get_host(), self.connect.get_port());
        Err(OpenError::Unavailable(format!("cannot use Postgres at {host}:{port}: {problem}")))
    }

    pub(super) async fn migrate(&self, migrations: &Migrator) -> Result<(), OpenError> {
        let ours = Migrator { migrations: migrations.migrations.clone(), ignore_missing: true, ..Migrator::DEFAULT };
        // a connection of its own: a migration may take longer than any statement of the engine
        let single = PgPoolOptions::new().max_connections(1).after_connect(|connection, _| {
            // Migrations commit their steps in the middle of a text, of which Postgres warns each time.
            Box::pin(async move { connection.execute("SET client_min_messages = error").await.map(drop) })
        });
        let pool = self.deadline(single.connect_with(self.connect.clone())).await?;
        let done = ours.run(&pool).await;
        pool.close().await;
        match done {
            Ok(()) => Ok(()),
            Err(MigrateError::Execute(error)) => match error::of(error) {
                StoreError::Unavailable(text) => Err(OpenError::Unavailable(text)),
                other => Err(OpenError::Refused(format!("a migration failed: {other}"))),
            },
            Err(other) => Err(OpenError::Refused(format!("a migration failed: {other}"))),
        }
    }

    pub(super) async fn check_schema(&self, migrations: &Migrator) -> Result<(), OpenError> {
        let pool = self.pool();
        let is_there: bool = self
            .deadline(async {
                sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&pool).await
            })
            .await?;
        let applied: Vec<i64> = if is_there {
            let query = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success");
            self.deadline(async { query.fetch_all(&pool).await }).await?
        } else {
            Vec::new()
        };
        let Some(missing) = migrations.iter().find(|migration| !applied.contains(&migration.version)) else {
            return Ok(());
        };
        let at = applied.iter().max().map_or_else(|| "it is empty".to_owned(), |at| format!("it is at version {at}"));
        Err(OpenError::Outdated(format!("{at}, version {} ({}) is missing", missing.version, missing.description)))
    }
}

/// The limits must be in the right order.
fn check(options: &PostgresOptions) -> Result<(), OpenError> {
    let longest = options.statement_timeout.max(options.lock_timeout).max(options.idle_transaction_timeout);
    if options.patience <= longest || options.connections < 2 || options.lock_timeout.is_zero() {
        return Err(OpenError::Refused(
            "the limits of Postgres are in the wrong order: patience must be longer than the time-outs of statements, \
             locks and idle transactions, and there must be two connections"
                .to_owned(),
        ));
    }
    Ok(())
}

fn pool(connect: &PgConnectOptions, options: &PostgresOptions, connections: u32, statements: Use) -> PgPool {
    let ms = |limit: Duration| limit.as_millis();
    // A batch names the rows that it wants, so each of them is looked up: always in the same way, whatever the statistics
    // say about tables that are new or have just grown, and in the order in which the batch names them.
    let planner = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;";
    // The engine's connections stay open, so that a run after a quiet hour finds its statements planned, as any other does.
    // They take turns at what the loops ask all the time, so none of them lies idle for long, and those that lead nowhere
    // are noticed ([`Link::within`]).
    let (planned, lives) = match statements {
        Use::Lookups => ("force_generic_plan", None),
        Use::Lists => ("auto", Some(LISTS_LIVE)),
    };
    let session = format!(
        "{planner} SET plan_cache_mode = {planned};
         SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {};
         SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = {}",
        ms(options.statement_timeout),
        ms(options.lock_timeout),
        ms(options.idle_transaction_timeout),
        options.read_only,
    );
    PgPoolOptions::new()
        .max_connections(connections)
        .idle_timeout(lives)
        .max_lifetime(lives)
        // the operation's own end comes first, so that waiting for a connection in vain counts as given up, too
        .acquire_timeout(options.patience * 2)
        // asking before each use would cost a round trip; what was used a moment ago is taken to be alive
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for < TRUSTED_IDLE {
                    return Ok(true);
                }
                connection.ping().await.map(|()| true)
            })
        })
        .after_connect(move |connection, _| {
            let session = session.clone();
            Box::pin(async move {
                connection.execute(AssertSqlSafe(session)).await?;
                Ok(())
            })
        })
        .connect_lazy_with(connect.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_of_dead_connections_is_replaced_within_half_a_minute() {
        let options = PostgresOptions::default();
        assert!(check(&options).is_ok());
        assert!(options.patience * GIVEN_UP_MAX <= Duration::from_secs(30));
    }
}

//! The statements that write. Each is one round trip and set-based: it does not depend on the number of runs. A run and
//! its events are written by the same statement, so that a batch without a transaction around it is still written whole
//! or not at all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hermes_core::ports::store::StoreError;
use hermes_core::{Plan, RunId};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row};

use super::{Inner, error};
use crate::store::{Accept, Heads, LogRow, Owner, StoredTime, Update, number, text};

/// The SQLSTATE by which a statement says that a fence did not hold; see the function `refuse_stale_run`.
const STALE: &str = "HR409";

/// Writes runs over the versions that were taken, with their events.
pub(super) async fn update(connection: &mut PgConnection, updates: &[Update]) -> Result<(), StoreError> {
    if updates.is_empty() {
        return Ok(());
    }
    let states = || updates.iter().map(|update| update.run.state());
    let statement = sqlx::query(
        "WITH updated AS (
             UPDATE runs SET status = new.status, revision = new.revision, last_seq = new.last_seq,
                             started_at = new.started_at, deadline_at = new.deadline_at, wake_at = new.wake_at,
                             settled_at = new.settled_at, state = new.state::json
             FROM UNNEST($9::text[], $10::bigint[], $11::text[], $12::integer[], $13::bigint[], $14::timestamptz[],
                         $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::text[])
                  AS new (run_id, taken_seq, status, revision, last_seq, started_at,
                          deadline_at, wake_at, settled_at, state)
             -- the fence: nobody has written since the run was taken
             WHERE runs.run_id = new.run_id AND runs.last_seq = new.taken_seq
             RETURNING runs.run_id
         ), logged AS (
             INSERT INTO kbase_log (run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads)
             SELECT run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads::json, payloads::json
             FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[], $6::boolean[],
                         $7::text[], $8::text[])
                  AS new (run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads)
         )
         SELECT CASE (SELECT count(*) FROM updated) WHEN cardinality($9) THEN true ELSE refuse_stale_run((
             SELECT min(run_id) FROM UNNEST($9) AS wanted (run_id) WHERE run_id NOT IN (SELECT run_id FROM updated)
         )) END",
    );
    bind_log(statement, updates.iter().flat_map(|update| LogRow::of(&update.events, Heads::Named)))
        .bind(states().map(|state| state.run_id.to_string()).collect::<Vec<_>>())
        .bind(updates.iter().map(|update| number(update.taken_seq)).collect::<Vec<_>>())
        .bind(states().map(|state| state.status.as_str()).collect::<Vec<_>>())
        .bind(states().map(|state| revision(state.revision)).collect::<Vec<_>>())
        .bind(states().map(|state| number(state.last_seq)).collect::<Vec<_>>())
        .bind(states().map(|state| StoredTime::exact(state.started_at)).collect::<Vec<_>>())
        .bind(states().map(|state| StoredTime::exact(state.deadline_at)).collect::<Vec<_>>())
        .bind(states().map(|state| state.wake_at.map(StoredTime::exact)).collect::<Vec<_>>())
        .bind(states().map(|state| state.settled_at.map(StoredTime::exact)).collect::<Vec<_>>())
        .bind(states().map(text).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
        .map_err(stale_or_other)
}

/// A statement with the log of a batch, column by column, as its first eight arguments.
fn bind_log(
    statement: Query<'static, Postgres, PgArguments>,
    rows: impl Iterator<Item = LogRow>,
) -> Query<'static, Postgres, PgArguments> {
    let rows: Vec<LogRow> = rows.collect();
    let numbers = |of: fn(&LogRow) -> i64| rows.iter().map(of).collect::<Vec<_>>();
    let texts = |of: fn(&LogRow) -> &str| rows.iter().map(|row| of(row).to_owned()).collect::<Vec<_>>();
    statement
        .bind(texts(|row| &row.run_id))
        .bind(numbers(|row| row.first_seq))
        .bind(numbers(|row| row.last_seq))
        .bind(texts(|row| &row.website_id))
        .bind(rows.iter().map(|row| row.created_at).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.diagnosed).collect::<Vec<_>>())
        .bind(texts(|row| &row.heads))
        .bind(texts(|row| &row.payloads))
}

fn stale_or_other(refused: sqlx::Error) -> StoreError {
    let stale = refused.as_database_error().filter(|inner| inner.code().as_deref() == Some(STALE));
    match stale.map(|inner| inner.message().parse()) {
        Some(Ok(run_id)) => StoreError::Conflict(run_id),
        Some(Err(_)) => StoreError::Defect("an update wrote other runs than its own".to_owned()),
        None => error::of(refused),
    }
}

/// Plans that this process has not seen in the database yet.
pub(super) async fn insert_plans(
    store: &Inner,
    connection: &mut PgConnection,
    plans: &[Arc<Plan>],
) -> Result<(), StoreError> {
    let fresh: HashMap<&str, &str> = plans
        .iter()
        .map(|plan| (plan.hash().as_str(), plan.frozen()))
        .filter(|(hash, _)| store.plans.get(hash).is_none())
        .collect();
    if fresh.is_empty() {
        return Ok(());
    }
    // in one order everywhere: two transactions may insert the same plans
    let mut fresh: Vec<(&str, &str)> = fresh.into_iter().collect();
    fresh.sort_unstable();
    let (hashes, texts): (Vec<&str>, Vec<&str>) = fresh.into_iter().unzip();
    sqlx::query("INSERT INTO plans (hash, frozen) SELECT * FROM UNNEST($1::text[], $2::text[]) ON CONFLICT DO NOTHING")
        .bind(hashes)
        .bind(texts)
        .execute(connection)
        .await
        .map_err(error::of)?;
    Ok(())
}

/// Inserts new runs with their events; gives those that were inserted: their key was not there. An id that is there ends
/// the statement.
pub(super) async fn insert(connection: &mut PgConnection, accepts: &[Accept]) -> Result<HashSet<RunId>, StoreError> {
    if accepts.is_empty() {
        return Ok(HashSet::new());
    }
    let states = || accepts.iter().map(|accept| accept.run.state());
    let plans = || accepts.iter().map(|accept| accept.run.plan());
    let idempotency = || accepts.iter().map(|accept| accept.idempotency.as_ref());
    let statement = sqlx::query(
        "WITH inserted AS (
             INSERT INTO runs (run_id, website_id, domain, plan_id, plan_hash, status, revision, last_seq, created_at,
                               started_at, deadline_at, wake_at, settled_at, idempotency_key, request_hash, state)
             SELECT run_id, website_id, domain, plan_id, plan_hash, status, revision, last_seq, created_at,
                    started_at, deadline_at, wake_at, settled_at, idempotency_key, request_hash, state::json
             FROM UNNEST($9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::integer[],
                         $16::bigint[], $17::timestamptz[], $18::timestamptz[], $19::timestamptz[],
                         $20::timestamptz[], $21::timestamptz[], $22::text[], $23::text[], $24::text[])
                  AS new (run_id, website_id, domain, plan_id, plan_hash, status, revision, last_seq, created_at,
                          started_at, deadline_at, wake_at, settled_at, idempotency_key, request_hash, state)
             -- waits for a transaction that is inserting the same key, and yields to it if it commits
             ON CONFLICT DO NOTHING
             RETURNING run_id
         ), logged AS (
             INSERT INTO kbase_log (run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads)
             SELECT run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads::json, payloads::json
             FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[], $6::boolean[],
                         $7::text[], $8::text[])
                  AS new (run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads)
             -- the second half alone would be a join, and that compares each event with each run
             WHERE (SELECT count(*) FROM inserted) = cardinality($9) OR run_id IN (SELECT run_id FROM inserted)
         )
         SELECT run_id FROM inserted
         -- the statement does not see its own rows: these were there before
         UNION ALL SELECT refuse_stale_run(run_id)::text FROM runs WHERE run_id = ANY ($9)",
    );
    let inserted = bind_log(statement, accepts.iter().flat_map(|accept| LogRow::of(&accept.events, Heads::Named)))
        .bind(states().map(|state| state.run_id.to_string()).collect::<Vec<_>>())
        .bind(states().map(|state| state.website_id.as_str()).collect::<Vec<_>>())
        .bind(states().map(|state| state.domain.as_str()).collect::<Vec<_>>())
        .bind(plans().map(|plan| plan.id().as_str()).collect::<Vec<_>>())
        .bind(plans().map(|plan| plan.hash().as_str()).collect::<Vec<_>>())
        .bind(states().map(|state| state.status.as_str()).collect::<Vec<_>>())
        .bind(states().map(|state| revision(state.revision)).collect::<Vec<_>>())
        .bind(states().map(|state| number(state.last_seq)).collect::<Vec<_>>())
        .bind(states().map(|state| StoredTime::exact(state.created_at)).collect::<Vec<_>>())
        .bind(states().map(|state| StoredTime::exact(state.started_at)).collect::<Vec<_>>())
        .bind(states().map(|state| StoredTime::exact(state.deadline_at)).collect::<Vec<_>>())
        .bind(states().map(|state| state.wake_at.map(StoredTime::exact)).collect::<Vec<_>>())
        .bind(states().map(|state| state.settled_at.map(StoredTime::exact)).collect::<Vec<_>>())
        .bind(idempotency().map(|one| one.map(|one| one.key.as_str())).collect::<Vec<_>>())
        .bind(idempotency().map(|one| one.map(|one| one.request_hash.as_str())).collect::<Vec<_>>())
        .bind(states().map(text).collect::<Vec<_>>())
        .fetch_all(connection)
        .await
        .map_err(stale_or_other)?;
    let id = |row: &PgRow| row.try_get::<&str, _>(0).map_err(error::of)?.parse().map_err(unreadable);
    inserted.iter().map(id).collect()
}

/// Whose these idempotency keys are.
pub(super) async fn owners(
    connection: &mut PgConnection,
    keys: Vec<String>,
) -> Result<HashMap<String, Owner>, StoreError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT idempotency_key, run_id, request_hash FROM runs WHERE idempotency_key = ANY ($1)")
            .bind(keys)
            .fetch_all(connection)
            .await
            .map_err(error::of)?;
    rows.into_iter().map(Owner::of_row).collect()
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Defect(error.to_string())
}

/// A revision as the database counts it; people press the button far fewer times.
fn revision(revision: u32) -> i32 {
    i32::try_from(revision).unwrap_or(i32::MAX)
}

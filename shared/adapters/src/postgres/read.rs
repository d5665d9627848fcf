//! Reading committed state, and the small writes that need no transaction of the engine.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{EventFilter, RunFilter, RunListing, StoreError, StoredPlan};
use hermes_core::{EventId, Plan, PlanId, Run, RunId, Timestamp};
use sqlx::postgres::PgExecutor;
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder};

use super::{Inner, error};
use crate::store::{
    LogRow, Newest, NewestRows, PlanRow, Restored, RunRow, StoredTime, VersionRow, count, events_of, listing, number,
};

/// The columns of a [`LogRow`].
pub(super) const COLUMNS: &str =
    "run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads::text AS heads, payloads::text AS payloads";

/// Events by identity.
pub(super) async fn events(executor: impl PgExecutor<'_>, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let runs: Vec<String> = wanted.iter().map(|id| id.run_id.to_string()).collect();
    let numbers: Vec<i64> = wanted.iter().map(|id| number(id.seq)).collect();
    let (first, last) = (runs.iter().min().cloned(), runs.iter().max().cloned());
    let rows: Vec<LogRow> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM kbase_log WHERE (run_id, first_seq) IN (
             SELECT batch.run_id, batch.first_seq FROM UNNEST($1::text[], $2::bigint[]) AS wanted (run_id, seq)
             CROSS JOIN LATERAL (
                 -- the span is known before the statement begins: parts of the log outside of it are not opened
                 SELECT run_id, first_seq, last_seq FROM kbase_log
                 WHERE run_id = wanted.run_id AND run_id BETWEEN $3 AND $4 AND first_seq <= wanted.seq
                 ORDER BY first_seq DESC LIMIT 1
             ) AS batch
             WHERE batch.last_seq >= wanted.seq
         ) AND run_id BETWEEN $3 AND $4"
    )))
    .bind(runs)
    .bind(numbers)
    .bind(first)
    .bind(last)
    .fetch_all(executor)
    .await
    .map_err(error::of)?;
    let wanted: HashSet<&EventId> = wanted.iter().collect();
    let mut events = events_of(rows)?;
    events.retain(|event| wanted.contains(&event.event_id));
    Ok(events)
}

impl Inner {
    /// Runs from their rows, each with its own outcome.
    async fn restore(
        &self,
        executor: impl PgExecutor<'_>,
        rows: Vec<RunRow>,
    ) -> Result<Vec<(String, Result<Run, StoreError>)>, StoreError> {
        self.load_plans(executor, rows.iter().map(|row| row.plan_hash.as_str())).await?;
        let run = |row: RunRow| {
            let (id, plan) = (row.run_id.clone(), self.plans.get(&row.plan_hash));
            (id, row.into_run(plan))
        };
        Ok(rows.into_iter().map(run).collect())
    }

    /// The readable ones of the runs; the others are logged.
    ///
    /// `executor` is the caller's own connection, if it has one: asking the pool for a second one could wait for
    /// others that do the same.
    pub(super) async fn restore_readable(
        &self,
        executor: impl PgExecutor<'_>,
        rows: Vec<RunRow>,
    ) -> Result<Restored, StoreError> {
        Ok(self.damaged.sort_out(self.restore(executor, rows).await?))
    }

    /// Brings plans into memory. One that is missing or unreadable stays out, and its runs are found to be corrupt.
    pub(super) async fn load_plans(
        &self,
        executor: impl PgExecutor<'_>,
        hashes: impl Iterator<Item = &str>,
    ) -> Result<(), StoreError> {
        let missing: HashSet<&str> = hashes.filter(|hash| self.plans.get(hash).is_none()).collect();
        let missing: Vec<&str> = missing.into_iter().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows: Vec<PlanRow> = sqlx::query_as("SELECT hash, frozen FROM plans WHERE hash = ANY($1)")
            .bind(missing)
            .fetch_all(executor)
            .await
            .map_err(error::of)?;
        for row in rows {
            match row.into_plan() {
                Ok(plan) => self.plans.put(&plan),
                Err(error) => tracing::error!(%error, "a stored plan cannot be read"),
            }
        }
        Ok(())
    }

    pub(super) async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        let row: Option<RunRow> =
            sqlx::query_as("SELECT run_id, plan_hash, last_seq, state::text AS state FROM runs WHERE run_id = $1")
                .bind(id.to_string())
                .fetch_optional(&self.link.pool())
                .await
                .map_err(error::of)?;
        let Some(row) = row else { return Ok(None) };
        self.restore(&self.link.pool(), vec![row]).await?.pop().map(|(_, run)| run).transpose()
    }

    pub(super) async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunListing>, StoreError> {
        let mut query = QueryBuilder::<Postgres>::new(
            "SELECT run_id, plan_hash, last_seq, state::text AS state FROM runs WHERE true",
        );
        if let Some(status) = filter.status {
            query.push(if status.is_settled() {
                " AND settled_status = "
            } else {
                " AND wake_at IS NOT NULL AND status = "
            });
            query.push_bind(status.as_str());
        }
        if let Some(plan_id) = &filter.plan_id {
            query.push(" AND plan_id = ").push_bind(plan_id.as_str());
        }
        if let Some(website_id) = &filter.website_id {
            query.push(" AND website_id = ").push_bind(website_id.as_str());
        }
        if let Some(domain) = &filter.domain {
            query.push(" AND domain = ").push_bind(domain);
        }
        if let Some(since) = filter.since {
            query.push(" AND created_at >= ").push_bind(StoredTime::exact(since));
        }
        if let Some(until) = filter.until {
            query.push(" AND created_at < ").push_bind(StoredTime::exact(until));
        }
        if let Some(after) = after {
            query.push(" AND run_id < ").push_bind(after.to_string());
        }
        query.push(" ORDER BY run_id DESC LIMIT ").push_bind(count(limit));
        let rows: Vec<RunRow> = query.build_query_as().fetch_all(&self.link.lists()).await.map_err(error::of)?;
        Ok(self.restore_readable(&self.link.lists(), rows).await?.runs.iter().map(listing).collect())
    }

    pub(super) async fn open_runs(
        &self,
        after: Option<RunId>,
        accepted_by: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let rows: Vec<RunRow> = sqlx::query_as(
            "SELECT run_id, plan_hash, last_seq, state::text AS state FROM runs
             WHERE wake_at IS NOT NULL AND run_id > $1 AND ($2 IS NULL OR created_at <= $2) ORDER BY run_id LIMIT $3",
        )
        .bind(after.map_or_else(String::new, |id| id.to_string()))
        .bind(accepted_by.map(StoredTime::exact))
        .bind(count(limit))
        .fetch_all(&self.link.pool())
        .await
        .map_err(error::of)?;
        Ok(self.restore_readable(&self.link.pool(), rows).await?.runs)
    }

    pub(super) async fn count_open(&self) -> Result<u64, StoreError> {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM runs WHERE wake_at IS NOT NULL")
            .fetch_one(&self.link.pool())
            .await
            .map_err(error::of)?;
        Ok(open.unsigned_abs())
    }

    pub(super) async fn next_wake_ms(&self) -> Result<Option<u64>, StoreError> {
        let next: Option<(StoredTime, StoredTime)> = sqlx::query_as(
            "SELECT wake_at, clock_timestamp() FROM runs
             WHERE wake_at IS NOT NULL AND run_id <> ALL ($1)
             ORDER BY wake_at LIMIT 1",
        )
        .bind(self.damaged.ids())
        .fetch_optional(&self.link.pool())
        .await
        .map_err(error::of)?;
        Ok(next.map(|(at, now)| at.timestamp().since_ms(now.timestamp())))
    }

    pub(super) async fn now(&self) -> Result<Timestamp, StoreError> {
        let asked = Instant::now();
        let now: StoredTime =
            sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.link.pool()).await.map_err(error::of)?;
        self.clock.note(asked, now.timestamp());
        Ok(now.timestamp())
    }

    pub(super) async fn run_events(&self, id: RunId, after: u64, limit: usize) -> Result<Vec<KbaseEvent>, StoreError> {
        let rows: Vec<LogRow> = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM kbase_log WHERE run_id = $1 AND last_seq > $2 ORDER BY first_seq LIMIT $3"
        )))
        .bind(id.to_string())
        .bind(number(after))
        .bind(count(limit))
        .fetch_all(&self.link.pool())
        .await
        .map_err(error::of)?;
        Ok(events_of(rows)?.into_iter().filter(|event| event.seq > after).take(limit).collect())
    }

    pub(super) async fn kbase(
        &self,
        filter: &EventFilter,
        before: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<KbaseEvent>, StoreError> {
        let mut newest = Newest::of(filter, before, limit);
        while let Some(page) = newest.next() {
            newest.add(self.newest_log(filter, page).await?)?;
        }
        Ok(newest.into_events())
    }

    async fn newest_log(&self, filter: &EventFilter, page: NewestRows) -> Result<Vec<LogRow>, StoreError> {
        let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS} FROM kbase_log WHERE true"));
        if let Some(website_id) = &filter.website_id {
            query.push(" AND website_id = ").push_bind(website_id.as_str());
        }
        if let Some(run_id) = filter.run_id {
            query.push(" AND run_id = ").push_bind(run_id.to_string());
        }
        if let Some(up_to) = page.up_to {
            query.push(" AND created_at <= ").push_bind(StoredTime::exact(up_to));
        }
        query.push(" ORDER BY created_at DESC FETCH FIRST ").push_bind(count(page.least)).push(" ROWS WITH TIES");
        query.build_query_as().fetch_all(&self.link.lists()).await.map_err(error::of)
    }

    pub(super) async fn put_plan(&self, plan: &Plan) -> Result<StoredPlan, StoreError> {
        let (id, hash) = (plan.id().as_str(), plan.hash().as_str());
        let pool = self.link.pool();
        sqlx::query("INSERT INTO plans (hash, frozen) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(hash)
            .bind(plan.frozen())
            .execute(&pool)
            .await
            .map_err(error::of)?;
        // someone else may store another version at the same time: then this one takes the next number
        let row = loop {
            sqlx::query(
                "INSERT INTO plan_versions (plan_id, version, hash, created_at)
                 SELECT $1, 1 + coalesce(max(version), 0), $2, clock_timestamp() FROM plan_versions WHERE plan_id = $1
                 ON CONFLICT DO NOTHING",
            )
            .bind(id)
            .bind(hash)
            .execute(&pool)
            .await
            .map_err(error::of)?;
            let row: Option<VersionRow> =
                sqlx::query_as("SELECT hash, version, created_at FROM plan_versions WHERE plan_id = $1 AND hash = $2")
                    .bind(id)
                    .bind(hash)
                    .fetch_optional(&pool)
                    .await
                    .map_err(error::of)?;
            if let Some(row) = row {
                break row;
            }
        };
        let plan = self.plans.get(hash).unwrap_or_else(|| Arc::new(plan.clone()));
        self.plans.put(&plan);
        row.into_stored(Some(plan))
    }

    pub(super) async fn newest_plan(&self, id: &PlanId) -> Result<Option<StoredPlan>, StoreError> {
        let row: Option<VersionRow> = sqlx::query_as(
            "SELECT hash, version, created_at FROM plan_versions WHERE plan_id = $1 ORDER BY version DESC LIMIT 1",
        )
        .bind(id.as_str())
        .fetch_optional(&self.link.pool())
        .await
        .map_err(error::of)?;
        Ok(self.stored(row.into_iter().collect()).await?.pop())
    }

    pub(super) async fn newest_plans(&self) -> Result<Vec<StoredPlan>, StoreError> {
        let rows: Vec<VersionRow> = sqlx::query_as(
            "SELECT DISTINCT ON (plan_id) hash, version, created_at FROM plan_versions
             ORDER BY plan_id, version DESC",
        )
        .fetch_all(&self.link.pool())
        .await
        .map_err(error::of)?;
        self.stored(rows).await
    }

    async fn stored(&self, rows: Vec<VersionRow>) -> Result<Vec<StoredPlan>, StoreError> {
        self.load_plans(&self.link.pool(), rows.iter().map(|row| row.hash.as_str())).await?;
        let stored = |row: VersionRow| {
            let plan = self.plans.get(&row.hash);
            row.into_stored(plan)
        };
        rows.into_iter().map(stored).collect()
    }

    pub(super) async fn callback_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        sqlx::query(
            "INSERT INTO instance (id, callback_key, created_at) VALUES (1, $1, clock_timestamp())
             ON CONFLICT DO NOTHING",
        )
        .bind(fresh.to_vec())
        .execute(&self.link.pool())
        .await
        .map_err(error::of)?;
        let key: Vec<u8> = sqlx::query_scalar("SELECT callback_key FROM instance WHERE id = 1")
            .fetch_one(&self.link.pool())
            .await
            .map_err(error::of)?;
        key.try_into().map_err(|_| StoreError::Corrupt {
            table: "instance",
            column: "callback_key",
            detail: "it does not have 32 bytes".to_owned(),
        })
    }
}

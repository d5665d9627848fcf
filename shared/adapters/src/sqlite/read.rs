//! Reading committed state, and the small writes that need no transaction of the engine.

use std::collections::HashSet;
use std::sync::Arc;

use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{EventFilter, PreviousOf, RunFilter, RunListing, StoreError, StoredPlan};
use hermes_core::{EventId, Json, Plan, PlanId, Run, RunId, Timestamp};
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite, SqliteExecutor};

use super::{Inner, error, write};
use crate::store::{
    LogRow, Newest, NewestRows, PlanRow, Restored, RunRow, StoredTime, VersionRow, count, events_of, is_diagnosis,
    listing, number, text,
};

/// The columns of a [`LogRow`].
const COLUMNS: &str = "run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads";

/// Events by identity.
pub(super) async fn events(
    executor: impl SqliteExecutor<'_>,
    wanted: &[EventId],
) -> Result<Vec<KbaseEvent>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<(String, u64)> = wanted.iter().map(|id| (id.run_id.to_string(), id.seq)).collect();
    let rows: Vec<LogRow> = sqlx::query_as(AssertSqlSafe(format!(
        // the row of an event is the last one that does not begin behind it
        "SELECT {COLUMNS} FROM (
             SELECT DISTINCT value ->> 0 AS wanted_run, (
                 SELECT max(first_seq) FROM kbase_log WHERE run_id = value ->> 0 AND first_seq <= value ->> 1
             ) AS wanted_seq
             FROM json_each(?)
         ) CROSS JOIN kbase_log ON run_id = wanted_run AND first_seq = wanted_seq"
    )))
    .bind(text(&places))
    .fetch_all(executor)
    .await
    .map_err(error::of)?;
    let wanted: HashSet<&EventId> = wanted.iter().collect();
    let mut events = events_of(rows)?;
    events.retain(|event| wanted.contains(&event.event_id));
    Ok(events)
}

/// The newest diagnosis of each website by another run than the one given.
pub(super) async fn previous_diagnoses(
    executor: impl SqliteExecutor<'_>,
    of: &[PreviousOf],
) -> Result<Vec<(RunId, Json)>, StoreError> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    #[derive(sqlx::FromRow)]
    struct Found {
        asked: String,
        #[sqlx(flatten)]
        row: LogRow,
    }
    let asked: Vec<_> = of.iter().map(|of| (of.run_id, &of.website_id, of.before)).collect();
    let rows: Vec<Found> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT asked.value ->> 0 AS asked, {COLUMNS} FROM json_each(?) AS asked
         CROSS JOIN kbase_log ON kbase_log.rowid = (
             SELECT rowid FROM kbase_log
             WHERE website_id = asked.value ->> 1 AND diagnosed AND run_id <> asked.value ->> 0
               AND created_at < coalesce(asked.value ->> 2, 'end')
             ORDER BY created_at DESC, run_id DESC, first_seq DESC
             LIMIT 1
         )"
    )))
    .bind(text(&asked))
    .fetch_all(executor)
    .await
    .map_err(error::of)?;
    let mut diagnoses = Vec::with_capacity(rows.len());
    for Found { asked, row } in rows {
        let asked: RunId = asked.parse().map_err(|error| StoreError::Defect(format!("{asked}: {error}")))?;
        let diagnosis = row.into_events()?.into_iter().rfind(is_diagnosis);
        diagnoses.extend(diagnosis.map(|event| (asked, event.payload)));
    }
    Ok(diagnoses)
}

impl Inner {
    /// Runs from their rows, each with its own outcome.
    pub(super) async fn restore(
        &self,
        rows: Vec<RunRow>,
    ) -> Result<Vec<(String, Result<Run, StoreError>)>, StoreError> {
        self.load_plans(rows.iter().map(|row| row.plan_hash.as_str())).await?;
        let run = |row: RunRow| {
            let (id, plan) = (row.run_id.clone(), self.plans.get(&row.plan_hash));
            (id, row.into_run(plan))
        };
        Ok(rows.into_iter().map(run).collect())
    }

    /// The readable ones of the runs; the others are logged.
    pub(super) async fn restore_readable(&self, rows: Vec<RunRow>) -> Result<Restored, StoreError> {
        Ok(self.damaged.sort_out(self.restore(rows).await?))
    }

    /// Brings plans into memory. One that is missing or unreadable stays out, and its runs are found to be corrupt.
    pub(super) async fn load_plans(&self, hashes: impl Iterator<Item = &str>) -> Result<(), StoreError> {
        let missing: HashSet<&str> = hashes.filter(|hash| self.plans.get(hash).is_none()).collect();
        for hash in missing {
            let row: Option<PlanRow> = sqlx::query_as("SELECT hash, frozen FROM plans WHERE hash = ?")
                .bind(hash)
                .fetch_optional(&self.readers)
                .await
                .map_err(error::of)?;
            match row.map(PlanRow::into_plan) {
                Some(Ok(plan)) => self.plans.put(&plan),
                Some(Err(error)) => tracing::error!(%error, "a stored plan cannot be read"),
                None => {}
            }
        }
        Ok(())
    }

    pub(super) async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        let row: Option<RunRow> =
            sqlx::query_as("SELECT run_id, plan_hash, last_seq, state FROM runs WHERE run_id = ?")
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await
                .map_err(error::of)?;
        let Some(row) = row else { return Ok(None) };
        self.restore(vec![row]).await?.pop().map(|(_, run)| run).transpose()
    }

    pub(super) async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunListing>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT run_id, plan_hash, last_seq, state FROM runs WHERE true");
        if let Some(status) = filter.status {
            query.push(if status.is_settled() { " AND settled_at IS NOT NULL" } else { " AND wake_at IS NOT NULL" });
            query.push(" AND status = ").push_bind(status.as_str());
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
        let rows: Vec<RunRow> = query.build_query_as().fetch_all(&self.readers).await.map_err(error::of)?;
        Ok(self.restore_readable(rows).await?.runs.iter().map(listing).collect())
    }

    pub(super) async fn open_runs(
        &self,
        after: Option<RunId>,
        accepted_by: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let rows: Vec<RunRow> = sqlx::query_as(
            "SELECT run_id, plan_hash, last_seq, state FROM runs
             WHERE wake_at IS NOT NULL AND run_id > ?1 AND (?2 IS NULL OR created_at <= ?2) ORDER BY run_id LIMIT ?3",
        )
        .bind(after.map_or_else(String::new, |id| id.to_string()))
        .bind(accepted_by.map(StoredTime::exact))
        .bind(count(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(error::of)?;
        Ok(self.restore_readable(rows).await?.runs)
    }

    pub(super) async fn count_open(&self) -> Result<u64, StoreError> {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM runs WHERE wake_at IS NOT NULL")
            .fetch_one(&self.readers)
            .await
            .map_err(error::of)?;
        Ok(open.unsigned_abs())
    }

    pub(super) async fn next_wake_ms(&self) -> Result<Option<u64>, StoreError> {
        let next: Option<StoredTime> = sqlx::query_scalar(
            "SELECT wake_at FROM runs
             WHERE wake_at IS NOT NULL AND run_id NOT IN (SELECT value FROM json_each(?))
             ORDER BY wake_at LIMIT 1",
        )
        .bind(Json::of(&self.damaged.ids()).get().to_owned())
        .fetch_optional(&self.readers)
        .await
        .map_err(error::of)?;
        Ok(next.map(|at| at.timestamp().since_ms(self.clock.now())))
    }

    pub(super) async fn run_events(&self, id: RunId, after: u64, limit: usize) -> Result<Vec<KbaseEvent>, StoreError> {
        let rows: Vec<LogRow> = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM kbase_log WHERE run_id = ? AND last_seq > ? ORDER BY first_seq LIMIT ?"
        )))
        .bind(id.to_string())
        .bind(number(after))
        .bind(count(limit))
        .fetch_all(&self.readers)
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
        let those = |query: &mut QueryBuilder<Sqlite>| {
            query.push(" FROM kbase_log WHERE true");
            if let Some(website_id) = &filter.website_id {
                query.push(" AND website_id = ").push_bind(website_id.as_str().to_owned());
            }
            if let Some(run_id) = filter.run_id {
                query.push(" AND run_id = ").push_bind(run_id.to_string());
            }
            if let Some(up_to) = page.up_to {
                query.push(" AND created_at <= ").push_bind(StoredTime::exact(up_to));
            }
        };
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {COLUMNS}"));
        those(&mut query);
        // down to the time of the last row that is wanted: all that happened then
        query.push(" AND created_at >= coalesce((SELECT created_at");
        those(&mut query);
        query.push(" ORDER BY created_at DESC LIMIT 1 OFFSET ").push_bind(count(page.least.saturating_sub(1)));
        query.push("), '') ORDER BY created_at DESC");
        query.build_query_as().fetch_all(&self.readers).await.map_err(error::of)
    }

    pub(super) async fn put_plan(&self, plan: &Plan) -> Result<StoredPlan, StoreError> {
        let (now, plan) = (StoredTime::exact(self.clock.now()), Arc::new(plan.clone()));
        let stored = Arc::clone(&plan);
        let row = self.writer()?.commit(move |connection| write::put_plan(connection, &stored, now)).await?;
        let plan = self.plans.get(plan.hash().as_str()).unwrap_or(plan);
        self.plans.put(&plan);
        row.into_stored(Some(plan))
    }

    pub(super) async fn newest_plan(&self, id: &PlanId) -> Result<Option<StoredPlan>, StoreError> {
        let row: Option<VersionRow> = sqlx::query_as(
            "SELECT hash, version, created_at FROM plan_versions WHERE plan_id = ? ORDER BY version DESC LIMIT 1",
        )
        .bind(id.as_str())
        .fetch_optional(&self.readers)
        .await
        .map_err(error::of)?;
        Ok(self.stored(row.into_iter().collect()).await?.pop())
    }

    pub(super) async fn newest_plans(&self) -> Result<Vec<StoredPlan>, StoreError> {
        let rows: Vec<VersionRow> = sqlx::query_as(
            "SELECT hash, version, created_at FROM plan_versions
             WHERE (plan_id, version) IN (SELECT plan_id, max(version) FROM plan_versions GROUP BY plan_id)
             ORDER BY plan_id",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(error::of)?;
        self.stored(rows).await
    }

    async fn stored(&self, rows: Vec<VersionRow>) -> Result<Vec<StoredPlan>, StoreError> {
        self.load_plans(rows.iter().map(|row| row.hash.as_str())).await?;
        let stored = |row: VersionRow| {
            let plan = self.plans.get(&row.hash);
            row.into_stored(plan)
        };
        rows.into_iter().map(stored).collect()
    }

    pub(super) async fn callback_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        let now = StoredTime::exact(self.clock.now());
        let key = self.writer()?.commit(move |connection| write::callback_key(connection, &fresh, now)).await?;
        key.try_into().map_err(|_| StoreError::Corrupt {
            table: "instance",
            column: "callback_key",
            detail: "it does not have 32 bytes".to_owned(),
        })
    }
}

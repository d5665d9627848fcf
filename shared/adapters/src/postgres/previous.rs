//! The diagnosis that a run's own is compared with. The website's runs say whose it is and the log has it: the log has an
//! index for each of its parts, and asking all of them would cost more with every week.

use std::collections::{BTreeMap, HashMap};

use hermes_core::ports::store::{PreviousOf, StoreError};
use hermes_core::{Json, RunId};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::error;
use super::read::COLUMNS;
use crate::store::{LogRow, StoredTime, is_diagnosis};

/// A diagnosis that is younger than this, beside the run that asks, is found with one statement: most are.
const RECENT_MS: u64 = 8 * 24 * 60 * 60 * 1_000;
/// Runs that began so much later than the one that asks may have settled before it.
const LATER_MS: u64 = 24 * 60 * 60 * 1_000;
/// The time of an id: its first 48 bits.
const ID_TIME_MAX: u64 = (1 << 48) - 1;

/// The newest diagnosis of each website by another run than the one given. Of two that settled, the later one's counts.
pub(super) async fn diagnoses(
    connection: &mut PgConnection,
    of: &[PreviousOf],
) -> Result<Vec<(RunId, Json)>, StoreError> {
    // as of a time in the past is asked seldom, and a run's row only knows its last settlement
    let (now, mut by_log): (Vec<&PreviousOf>, Vec<&PreviousOf>) = of.iter().partition(|of| of.before.is_none());
    let mut found = Vec::with_capacity(of.len());
    let mut left: BTreeMap<String, &PreviousOf> = now.into_iter().map(|of| (of.run_id.to_string(), of)).collect();
    let mut span = recent(&left);
    for _ in 0..2 {
        let mut candidates: HashMap<String, Vec<Candidate>> = HashMap::new();
        for candidate in by_runs(&mut *connection, &left, &span).await? {
            candidates.entry(candidate.asked.clone()).or_default().push(candidate);
        }
        // whose website has no other run has no previous diagnosis
        left.retain(|asked, _| candidates.contains_key(asked));
        let mut outside: Vec<String> = Vec::new();
        for (asked, candidates) in candidates {
            let unseen = candidates.iter().filter(|candidate| candidate.payloads.is_none());
            let unseen: Vec<String> = unseen.map(|candidate| candidate.candidate.clone()).collect();
            if unseen.is_empty()
                && let Some(of) = left.remove(&asked)
            {
                let rows = candidates.into_iter().filter_map(Candidate::into_row);
                let newest = rows.max_by(|a, b| place(a).cmp(&place(b)));
                found.extend(newest.map(diagnosis_of).transpose()?.flatten().map(|diagnosis| (of.run_id, diagnosis)));
            }
            outside.extend(unseen);
        }
        let (Some(first), Some(last)) = (outside.iter().min(), outside.iter().max()) else { break };
        span = (first.clone().min(span.0), last.clone().max(span.1));
    }
    by_log.extend(left.into_values());
    found.extend(newest_of_log(connection, &by_log).await?);
    Ok(found)
}

/// The ids between which a previous diagnosis most likely is.
fn recent(asked: &BTreeMap<String, &PreviousOf>) -> (String, String) {
    let time = |id: &RunId| u64::try_from(id.as_uuid().as_u128() >> 80).unwrap_or(ID_TIME_MAX);
    let times = || asked.values().map(|of| time(&of.run_id));
    let first = times().min().unwrap_or(0).saturating_sub(RECENT_MS);
    let last = times().max().unwrap_or(0).saturating_add(LATER_MS).min(ID_TIME_MAX);
    (format!("{first:012x}"), format!("{last:012x}"))
}

fn place(row: &LogRow) -> (hermes_core::Timestamp, &str, i64) {
    (row.created_at.timestamp(), &row.run_id, row.first_seq)
}

fn diagnosis_of(row: LogRow) -> Result<Option<Json>, StoreError> {
    Ok(row.into_events()?.into_iter().rfind(is_diagnosis).map(|event| event.payload))
}

/// A run whose diagnosis may be the one, and the row with its last one if that lies within the span.
#[derive(sqlx::FromRow)]
struct Candidate {
    asked: String,
    candidate: String,
    first_seq: Option<i64>,
    last_seq: Option<i64>,
    website_id: Option<String>,
    created_at: Option<StoredTime>,
    heads: Option<String>,
    payloads: Option<String>,
}

impl Candidate {
    fn into_row(self) -> Option<LogRow> {
        Some(LogRow {
            run_id: self.candidate,
            first_seq: self.first_seq?,
            last_seq: self.last_seq?,
            website_id: self.website_id?,
            created_at: self.created_at?,
            diagnosed: true,
            heads: self.heads?,
            payloads: self.payloads?,
        })
    }
}

/// Of each website the run that settled last, and those that have settled and are being tried again.
async fn by_runs(
    connection: &mut PgConnection,
    asked: &BTreeMap<String, &PreviousOf>,
    (first, last): &(String, String),
) -> Result<Vec<Candidate>, StoreError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "SELECT asked.run_id AS asked, candidate.run_id AS candidate, newest.*
         FROM UNNEST($1::text[], $2::text[]) AS asked (run_id, website_id)
         CROSS JOIN LATERAL (
             (SELECT run_id FROM runs
              WHERE website_id = asked.website_id AND settled_at IS NOT NULL AND run_id <> asked.run_id
              ORDER BY settled_at DESC, run_id DESC LIMIT 1)
             UNION ALL
             (SELECT run_id FROM runs
              WHERE website_id = asked.website_id AND settled_at IS NULL AND revision > 1 AND run_id <> asked.run_id)
         ) AS candidate
         LEFT JOIN LATERAL (
             SELECT first_seq, last_seq, website_id, created_at, heads::text AS heads, payloads::text AS payloads
             FROM kbase_log
             -- the span is known before the statement begins: parts of the log outside of it are not opened
             WHERE run_id = candidate.run_id AND run_id BETWEEN $3 AND $4 AND diagnosed
             ORDER BY first_seq DESC LIMIT 1
         ) AS newest ON true",
    )
    .bind(asked.keys().cloned().collect::<Vec<_>>())
    .bind(asked.values().map(|of| of.website_id.as_str().to_owned()).collect::<Vec<_>>())
    .bind(first)
    .bind(last)
    .fetch_all(connection)
    .await
    .map_err(error::of)
}

/// From all parts of the log: for a time in the past, and where the run that settled last has no diagnosis.
async fn newest_of_log(connection: &mut PgConnection, of: &[&PreviousOf]) -> Result<Vec<(RunId, Json)>, StoreError> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    #[derive(sqlx::FromRow)]
    struct Newest {
        asked: String,
        #[sqlx(flatten)]
        row: LogRow,
    }
    let runs: Vec<String> = of.iter().map(|of| of.run_id.to_string()).collect();
    let websites: Vec<String> = of.iter().map(|of| of.website_id.as_str().to_owned()).collect();
    let before: Vec<Option<StoredTime>> = of.iter().map(|of| of.before.map(StoredTime::exact)).collect();
    let rows: Vec<Newest> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT asked.run_id AS asked, newest.*
         FROM UNNEST($1::text[], $2::text[], $3::timestamptz[]) AS asked (run_id, website_id, before)
         CROSS JOIN LATERAL (
             SELECT {COLUMNS} FROM kbase_log
             WHERE website_id = asked.website_id AND diagnosed AND run_id <> asked.run_id
               AND created_at < COALESCE(asked.before, 'infinity')
             ORDER BY created_at DESC, run_id DESC, first_seq DESC
             LIMIT 1
         ) AS newest"
    )))
    .bind(runs)
    .bind(websites)
    .bind(before)
    .fetch_all(connection)
    .await
    .map_err(error::of)?;
    let mut diagnoses = Vec::with_capacity(rows.len());
    for Newest { asked, row } in rows {
        let asked: RunId = asked.parse().map_err(|error| StoreError::Defect(format!("{asked}: {error}")))?;
        diagnoses.extend(diagnosis_of(row)?.map(|diagnosis| (asked, diagnosis)));
    }
    Ok(diagnoses)
}

//! H: the store with a long past. A settled run is copied in bulk, with its events, under other names and earlier times;
//! then lists and pages are read as people read them.

use std::time::Instant;

use anyhow::Context as _;
use hermes_core::RunId;
use hermes_core::limits::PAGE_RUNS_MAX;
use serde::Deserialize;

use super::http::Connection;
use super::latency::{self, Latencies};
use super::plans::Plan;
use super::report::Figures;
use super::servers::Postgres;
use super::system::System;
use crate::output;

/// Runs that are copied by one statement.
const CHUNK: usize = 100_000;
/// Requests of each kind that are measured.
const REQUESTS: usize = 300;
/// Requests of each kind before them.
const WARM_UP: usize = 30;

/// Copies rows of every table that has runs in it, whatever its columns are: the run's id and its website's name are
/// replaced in every text and JSON, and times go back. The runs lie evenly between 30 and 2 days ago: what is younger, the
/// dispatchers' own audit would look at. Names: %run% the copied run, %website% its website, %from% and %to% the numbers
/// of the copies, %count% of how many.
const COPY: &str = r"
SET synchronous_commit = off;
CREATE TEMPORARY TABLE copies AS
SELECT k, at, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(k::text), 1, 3)
          || '8' || substr(md5(k::text), 4, 15) AS run_id, 'old-' || (k % 50000) AS website
FROM (SELECT k, date_trunc('milliseconds', now() - interval '30 days' + interval '28 days' * (k::float8 / %count%)) AS at
      FROM generate_series(%from%, %to%) AS k) AS numbered;
DO $copy$
DECLARE
    source record;
BEGIN
    FOR source IN
        SELECT c.table_name,
               string_agg(quote_ident(c.column_name), ', ' ORDER BY c.ordinal_position) AS names,
               string_agg(CASE
                   WHEN c.udt_name IN ('text', 'json', 'jsonb', '_text', '_json', '_jsonb') THEN format(
                       'replace(replace(t.%1$I::text, ''%run%'', copies.run_id), ''%website%'', copies.website)::%2$I',
                       c.column_name, c.udt_name)
                   WHEN c.data_type LIKE 'timestamp%' THEN format(
                       't.%1$I - (SELECT date_trunc(''milliseconds'', created_at) FROM runs WHERE run_id = ''%run%'') + copies.at',
                       c.column_name)
                   ELSE format('t.%I', c.column_name)
               END, ', ' ORDER BY c.ordinal_position) AS expressions
        FROM information_schema.columns c
        JOIN pg_class ON pg_class.relname = c.table_name AND pg_class.relkind IN ('r', 'p') AND NOT pg_class.relispartition
        WHERE c.table_schema = 'public' AND c.is_generated = 'NEVER'
          AND EXISTS (SELECT FROM information_schema.columns i
                      WHERE i.table_schema = 'public' AND i.table_name = c.table_name AND i.column_name = 'run_id')
        GROUP BY c.table_name
    LOOP
        EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM copies CROSS JOIN %I AS t WHERE t.run_id = ''%run%''',
                       source.table_name, source.names, source.expressions, source.table_name);
    END LOOP;
END
$copy$;
DROP TABLE copies;
";

/// A new database has one part of the log for all of the past, and that is empty: gives it one for each week instead, as a
/// database has that grew old.
const WEEKS: &str = "DROP TABLE kbase_log_first;
    SELECT count(*) FROM kbase_log_add_weeks(now() - interval '30 days', now())";

/// Loads `count` settled runs.
pub(super) async fn load(system: &System, plan: &Plan, count: usize) -> anyhow::Result<()> {
    let (postgres, _) = system.stores.as_ref().context("history is loaded into a private Postgres only")?;
    let (original, _) = latency::one(&mut Connection::to(&system.servers[0])?, plan, 0).await?;
    let website = website_of(postgres, original).await?;
    postgres.query(WEEKS).await?;
    for from in (0..count).step_by(CHUNK) {
        let to = (from + CHUNK).min(count) - 1;
        let values = [("%run%", original.to_string()), ("%website%", website.clone()), ("%from%", from.to_string())];
        let values = values.into_iter().chain([("%to%", to.to_string()), ("%count%", count.to_string())]);
        postgres.query(&values.fold(COPY.to_owned(), |sql, (name, value)| sql.replace(name, &value))).await?;
        output::note(&format!("history: {} of {count} runs", to + 1));
    }
    postgres.query("VACUUM (ANALYZE)").await?;
    postgres.query("CHECKPOINT").await?;
    Ok(())
}

async fn website_of(postgres: &Postgres, run: RunId) -> anyhow::Result<String> {
    let rows = postgres.query(&format!("SELECT website_id FROM runs WHERE run_id = '{run}'")).await?;
    Ok(rows.concat().concat())
}

#[derive(Deserialize)]
struct Page {
    runs: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    run_id: RunId,
    website_id: String,
}

/// Reads lists and pages, and adds how long that takes.
pub(super) async fn measure(system: &System, figures: &mut Figures) -> anyhow::Result<()> {
    let mut connection = Connection::to(&system.servers[0])?;
    let list = "/api/orchestration/runs";
    let (postgres, _) = system.stores.as_ref().context("H reads the history of a private Postgres")?;
    let middle = "SELECT run_id FROM runs ORDER BY run_id OFFSET (SELECT count(*) / 2 FROM runs) LIMIT 1";
    let (middle, size) = (postgres.query(middle).await?, "SELECT pg_database_size(current_database())");
    let (middle, size) = (middle.concat().concat(), postgres.query(size).await?);
    figures.add("H_database_mb", size.concat().concat().parse::<f64>()? / 1e6, "MB of the database");
    let deep = format!("{list}?limit={PAGE_RUNS_MAX}&cursor={middle}");
    let page: Page = connection.get(&deep).await?.read(200)?;
    anyhow::ensure!(!page.runs.is_empty(), "there are no runs to look at; --history loads some");
    let pages: Vec<String> = page.runs.iter().map(|run| format!("{list}/{}", run.run_id)).collect();
    let logs: Vec<String> = page.runs.iter().map(|run| format!("{list}/{}/events", run.run_id)).collect();
    let websites: Vec<String> = page.runs.iter().map(|run| format!("{list}?website={}", run.website_id)).collect();
    let kinds = [
        ("list_first", "first page of the runs", vec![list.to_owned()]),
        ("list_deep", "page of the runs in the middle of the history", vec![format!("{list}?cursor={middle}")]),
        ("list_website", "first page of a website's runs", websites),
        (
            "list_failed",
            "first page of the failed runs, of which there are none",
            vec![format!("{list}?status=failed")],
        ),
        ("run", "page of an old run", pages),
        ("events", "log of an old run", logs),
    ];
    for (name, meaning, paths) in kinds {
        let latencies = read(&mut connection, &paths).await?;
        figures.add(&format!("H_{name}_p50_ms"), latencies.quantile_ms(0.5), &format!("ms, {meaning}"));
        figures.add(&format!("H_{name}_p99_ms"), latencies.quantile_ms(0.99), &format!("ms, {meaning}"));
    }
    Ok(())
}

async fn read(connection: &mut Connection, paths: &[String]) -> anyhow::Result<Latencies> {
    let mut durations = Vec::with_capacity(REQUESTS);
    for (number, path) in paths.iter().cycle().take(WARM_UP + REQUESTS).enumerate() {
        let begun = Instant::now();
        let answer = connection.get(path).await?;
        anyhow::ensure!(answer.status == 200, "{path}: status {}", answer.status);
        if number >= WARM_UP {
            durations.push(begun.elapsed());
        }
    }
    Ok(Latencies::of(durations))
}

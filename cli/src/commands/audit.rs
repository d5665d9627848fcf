//! `hermes audit`: whether everything that is stored is as it must be. It only reads, so it may be used at any time.

use anyhow::Context;
use hermes_adapters::settings::Settings;
use hermes_adapters::signals;
use hermes_adapters::store::ReadOnly;
use hermes_core::audit::{Invariant, Tally, Violation};
use hermes_core::limits::AUDIT_PAGE_RUNS;
use hermes_dispatcher::audit::Auditor;
use tokio_util::sync::CancellationToken;

use crate::args::Audit;
use crate::exit::{Exit, Failure};
use crate::render::audit::{Report, line};
use crate::{output, render};

/// Between two lines of progress.
const RUNS_BETWEEN_NOTES: u64 = 10_000;

pub(super) async fn execute(audit: Audit, settings: Settings) -> Result<Exit, Failure> {
    let interrupted = signals::shutdown_token().map_err(anyhow::Error::from)?;
    let url = audit.database.clone().unwrap_or(settings.database.url);
    let database = ReadOnly::open(&url).await.context("failed to open the database for reading")?;
    let mut report = Report::new(url.to_string());
    // A part of the runs is judged soon; asking the database for damage reads all of it.
    if audit.after.is_none() && audit.limit.is_none() {
        check_database(&database, &mut report, &audit, &interrupted).await?;
    }
    let judged = judge(&database, &mut report, &audit, &interrupted).await;
    let text = if audit.json {
        serde_json::to_string_pretty(&report).expect("JSON is written as JSON") + "\n"
    } else {
        render::audit::render(&report)
    };
    output::print(&text);
    judged?;
    Ok(match (report.violations_total, interrupted.is_cancelled()) {
        (0, false) => Exit::Complete,
        (0, true) => Exit::Cancelled,
        _ => Exit::Failed,
    })
}

/// What the database itself finds.
async fn check_database(
    database: &ReadOnly,
    report: &mut Report,
    audit: &Audit,
    interrupted: &CancellationToken,
) -> Result<(), Failure> {
    let damage = tokio::select! {
        biased;
        () = interrupted.cancelled() => return Ok(()),
        damage = database.damage() => damage.context("failed to ask the database for damage")?,
    };
    let Some(damage) = damage else { return Ok(()) };
    let violation = |detail| Violation { run_id: None, invariant: Invariant::StoreIsSound, detail };
    take(report, audit, damage.into_iter().map(violation).collect(), &Tally { stores: 1, ..Tally::default() });
    Ok(())
}

async fn judge(
    database: &ReadOnly,
    report: &mut Report,
    audit: &Audit,
    interrupted: &CancellationToken,
) -> Result<(), Failure> {
    let after = audit.after.map_or_else(String::new, |id| id.to_string());
    let mut auditor = Auditor::new(database.store(), after, audit.slack_ms);
    let mut noted = 0;
    loop {
        let left = audit.limit.map_or(u64::MAX, |limit| limit.saturating_sub(report.counts.runs));
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(AUDIT_PAGE_RUNS);
        if wanted == 0 {
            return Ok(());
        }
        let page = tokio::select! {
            biased;
            () = interrupted.cancelled() => return Ok(()),
            page = auditor.page(wanted) => page,
        };
        let page = page.context("failed to read the runs; try again, or go on with --after")?;
        take(report, audit, page.violations, &page.tally);
        report.last_run = Some(auditor.after().to_owned()).filter(|after| !after.is_empty());
        if page.is_last {
            report.complete = audit.after.is_none();
            return Ok(());
        }
        if report.counts.runs / RUNS_BETWEEN_NOTES > noted {
            noted = report.counts.runs / RUNS_BETWEEN_NOTES;
            output::note(&format!("{} runs so far, the last is {}", report.counts.runs, auditor.after()));
        }
    }
}

fn take(report: &mut Report, audit: &Audit, violations: Vec<Violation>, tally: &Tally) {
    for violation in &violations {
        if !audit.json {
            output::print(&line(violation));
        }
    }
    report.add(violations, tally);
}

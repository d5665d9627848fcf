//! The commands, one file each.

mod audit;
mod cancel;
mod data;
mod diff;
mod doctor;
mod migrate;
mod plans;
mod report;
mod rerun;
mod rules;
mod run;
mod runs;
mod show;
mod up;

use hermes_adapters::settings::Settings;
use hermes_adapters::telemetry;
use hermes_core::RunId;
use serde_json::Value;

use crate::args::{Arguments, Command, Which};
use crate::client::{Client, ClientError, RunPage};
use crate::exit::{Exit, Failure};
use crate::output;

/// Executes a command and says how the process ends.
pub async fn execute(arguments: Arguments) -> Exit {
    match dispatch(arguments).await {
        Ok(exit) => exit,
        Err(failure) => {
            output::note(&format!("hermes: {failure}"));
            failure.exit()
        }
    }
}

async fn dispatch(arguments: Arguments) -> Result<Exit, Failure> {
    let settings = Settings::load(arguments.config.as_deref())?;
    start_logs(&settings, &arguments.command)?;
    match arguments.command {
        Command::Up(up) => up::execute(up, settings).await,
        Command::Run(run) => run::execute(run, settings).await,
        Command::Runs(runs) => runs::execute(runs, settings).await,
        Command::Show(show) => show::execute(show, settings).await,
        Command::Report(report) => report::execute(report, settings).await,
        Command::Diff(diff) => diff::execute(diff, settings).await,
        Command::Cancel(cancel) => cancel::execute(cancel, settings).await,
        Command::Rerun(rerun) => rerun::execute(rerun, settings).await,
        Command::Plans(plans) => plans::execute(plans, settings).await,
        Command::Rules(rules) => rules::execute(rules, settings).await,
        Command::Migrate => migrate::execute(settings).await,
        Command::Data(data) => data::execute(data, settings).await,
        Command::Audit(audit) => audit::execute(audit, settings).await,
        Command::Doctor(options) => doctor::execute(options, settings).await,
        Command::Bench(bench) => crate::bench::execute(bench).await,
    }
}

/// `hermes up` logs as told; the other commands show what they do themselves, and log only if somebody asked.
fn start_logs(settings: &Settings, command: &Command) -> Result<(), Failure> {
    let log = &settings.log;
    let quiet = !matches!(command, Command::Up(_) | Command::Migrate) && !log.filter_is_chosen;
    telemetry::init(log.format, if quiet { "off" } else { &log.filter }).map_err(anyhow::Error::from)?;
    for warning in &settings.warnings {
        if quiet { output::note(&format!("hermes: {warning}")) } else { tracing::warn!("{warning}") }
    }
    Ok(())
}

/// The id of the run that was named.
async fn resolve(client: &Client, which: Which) -> Result<RunId, Failure> {
    match which {
        Which::Id(id) => Ok(id),
        Which::Last => {
            let page: RunPage = client.read(client.runs(&[("limit", "1".to_owned())]).await?)?;
            let newest = page.runs.first().ok_or_else(|| Failure::Use("there are no runs yet".to_owned()))?;
            Ok(newest.summary.run_id)
        }
    }
}

/// The run with its diagnosis as one JSON text, as `--json` writes it.
async fn run_json(client: &Client, id: RunId) -> Result<String, ClientError> {
    let mut run = client.run_json(id).await?;
    run["diagnosis"] = client.diagnosis(id).await?.unwrap_or(Value::Null);
    Ok(serde_json::to_string_pretty(&run).expect("JSON is written as JSON") + "\n")
}

//! `hermes rules`: what the rules are, whether a file of rules is right, and what it would have said.

use std::path::Path;

use anyhow::Context;
use hermes_adapters::settings::{DatabaseUrl, Settings};
use hermes_adapters::signals;
use hermes_adapters::store::ReadOnly;
use hermes_core::limits::PAGE_RUNS_MAX;
use hermes_core::ports::store::RunFilter;
use hermes_diagnosis::RuleBook;
use hermes_dispatcher::retrial::Retrial;
use hermes_dispatcher::rules::book;

use crate::args::{RulesCommand, RulesTest};
use crate::exit::{Exit, Failure};
use crate::render::rules::{Trial, listing, one_rule, one_signal};
use crate::session::{data_folder, rules};
use crate::{embedded, output};

pub(super) async fn execute(command: RulesCommand, settings: Settings) -> Result<Exit, Failure> {
    match command {
        RulesCommand::Check { file } => check(file.as_deref(), &settings),
        RulesCommand::Show { id } => show(id.as_deref(), &settings),
        RulesCommand::Test(test) => try_out(test, settings).await,
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    Ok(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?)
}

fn check(file: Option<&Path>, settings: &Settings) -> Result<Exit, Failure> {
    let (name, checked) = match (file, &settings.diagnosis.rules) {
        (Some(path), _) => (path.display().to_string(), RuleBook::with_rules(&read(path)?)),
        (None, Some(file)) => (file.name.clone(), RuleBook::with_rules(&file.text)),
        (None, None) => ("the shipped file".to_owned(), Ok(RuleBook::shipped())),
    };
    match checked {
        Ok(book) => {
            let (rules, categories) = (book.rules().len(), book.categories().len());
            let fingerprint = book.fingerprint();
            output::print(&format!("{name} is right: {rules} rules in {categories} categories ({fingerprint})\n"));
            Ok(Exit::Complete)
        }
        Err(problems) => {
            let lines: String = problems.iter().map(|problem| format!("  {problem}\n")).collect();
            output::print(&format!("{name} is no valid rule file:\n{lines}"));
            Ok(Exit::Failed)
        }
    }
}

fn show(id: Option<&str>, settings: &Settings) -> Result<Exit, Failure> {
    let book = rules(settings)?;
    let layout = output::layout();
    let text = match id {
        None => listing(&book, output::table_layout()),
        Some(id) => {
            let rule = book.rules().iter().find(|rule| rule.id.eq_ignore_ascii_case(id));
            let signal = book.catalogue().signal(id);
            match (rule, signal) {
                (Some(rule), _) => one_rule(&book, rule, layout),
                (None, Some(signal)) => one_signal(&book, signal, layout),
                (None, None) => {
                    let text = format!("there is no rule and no signal '{id}'; `hermes rules show` lists the rules");
                    return Err(Failure::Use(text));
                }
            }
        }
    };
    output::print(&text);
    Ok(Exit::Complete)
}

async fn try_out(test: RulesTest, settings: Settings) -> Result<Exit, Failure> {
    let book = match &test.rules {
        Some(path) => {
            let name = path.display().to_string();
            let text = read(path)?;
            book(Some((&name, &text))).map_err(|error| Failure::Use(format!("failed to {error}")))?
        }
        None => rules(&settings)?,
    };
    let url = database(&test, &settings)?;
    let interrupted = signals::shutdown_token().map_err(anyhow::Error::from)?;
    let database = ReadOnly::open(&url).await.context("failed to open the database for reading")?;
    let filter = RunFilter { since: Some(test.since), until: test.until, ..RunFilter::default() };
    let mut retrial = Retrial::new(database.store(), &book, filter);
    let mut trial = Trial::new(url.to_string());
    while !trial.is_full(test.limit) {
        let page = tokio::select! {
            biased;
            () = interrupted.cancelled() => break,
            page = retrial.page(trial.room(test.limit, PAGE_RUNS_MAX)) => page,
        };
        let Some(page) = page.context("failed to read the runs")? else {
            trial.complete = true;
            break;
        };
        trial.add(page);
    }
    let text = if test.json {
        serde_json::to_string_pretty(&trial).expect("JSON is written as JSON") + "\n"
    } else {
        trial.render(&book, output::layout())
    };
    output::print(&text);
    Ok(if interrupted.is_cancelled() { Exit::Cancelled } else { Exit::Complete })
}

/// The database that was named, else the file of the data folder, else the configured one.
fn database(test: &RulesTest, settings: &Settings) -> Result<DatabaseUrl, Failure> {
    if let Some(url) = &test.database {
        return Ok(url.clone());
    }
    let file = data_folder(test.data.as_deref(), settings).map(|data| embedded::file(&data));
    match file {
        Ok(file) if file.exists() => Ok(DatabaseUrl::Sqlite(file)),
        Ok(file) if test.data.is_some() => Err(Failure::Use(format!("there is no {}", file.display()))),
        Ok(_) | Err(_) => Ok(settings.database.url.clone()),
    }
}

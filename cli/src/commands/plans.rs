//! `hermes plans`: what can be run, and what is wrong with a plan.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use hermes_adapters::settings::Settings;
use hermes_core::plan::{self, Plan, PlanError};
use serde::Deserialize;

use crate::args::{Place, Plans, PlansCommand};
use crate::client::{ClientError, PlanView};
use crate::exit::{Exit, Failure};
use crate::session::{Finder, Need};
use crate::{output, render};

#[derive(Deserialize)]
struct Answer {
    plans: Vec<PlanView>,
}

pub(super) async fn execute(plans: Plans, settings: Settings) -> Result<Exit, Failure> {
    match plans.command {
        Some(PlansCommand::Validate { file }) => validate(&file),
        None => list(plans.place, settings).await,
    }
}

async fn list(place: Place, settings: Settings) -> Result<Exit, Failure> {
    let named = place.server.is_some();
    let session = Finder::new(place, settings)?.open(Need::Runs).await?;
    let answered = session.client.plans().await.and_then(|answer| session.client.read::<Answer>(answer));
    let closed = session.close().await;
    let plans = match answered {
        Ok(answer) => answer.plans,
        // Before anything was started there are the shipped ones.
        Err(ClientError::Unreachable { .. }) if !named => plan::shipped().iter().map(PlanView::of).collect(),
        Err(error) => return Err(error.into()),
    };
    output::print(&render::plans::render(&plans, output::layout()));
    closed.map(|()| Exit::Complete)
}

fn validate(file: &Path) -> Result<Exit, Failure> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text).context("cannot read standard input")?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    match Plan::from_yaml(&text) {
        Ok(plan) => {
            output::print(&render::plans::valid(&plan));
            Ok(Exit::Complete)
        }
        Err(PlanError::Invalid(problems)) => {
            let lines: String = problems.iter().map(|problem| format!("  {problem}\n")).collect();
            output::print(&format!("{} is no valid plan:\n{lines}", file.display()));
            Ok(Exit::Failed)
        }
        Err(error @ (PlanError::Shape(_) | PlanError::HashMismatch(_))) => {
            output::print(&format!("{} is no valid plan:\n  {error}\n", file.display()));
            Ok(Exit::Failed)
        }
    }
}

//! `hermes diff`: what changed from one run to another.

use hermes_adapters::settings::Settings;
use hermes_diagnosis::diff::WhatChanged;

use super::resolve;
use crate::args::Diff;
use crate::exit::{Exit, Failure};
use crate::session::{Finder, Need};
use crate::{output, render};

pub(super) async fn execute(diff: Diff, settings: Settings) -> Result<Exit, Failure> {
    let session = Finder::new(diff.place, settings)?.open(Need::Runs).await?;
    let told = async {
        let from = resolve(&session.client, diff.from).await?;
        let to = resolve(&session.client, diff.to).await?;
        let answer = session.client.diff(from, to).await?;
        if diff.json {
            return Ok(serde_json::to_string_pretty(&answer).expect("JSON is written as JSON") + "\n");
        }
        let changed: WhatChanged = session.client.read(answer)?;
        Ok::<_, Failure>(render::diff::render(&changed, output::layout()))
    }
    .await;
    let closed = session.close().await;
    output::print(&told?);
    closed.map(|()| Exit::Complete)
}

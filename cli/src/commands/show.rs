//! `hermes show`: one run, its services, its diagnosis.

use std::fmt::Write;

use hermes_adapters::settings::Settings;
use hermes_core::RunId;

use super::run::diagnosis_text;
use super::{resolve, run_json};
use crate::args::Show;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::render::run::{headline, service_lines};
use crate::session::{Finder, Need};

pub(super) async fn execute(show: Show, settings: Settings) -> Result<Exit, Failure> {
    let session = Finder::new(show.place, settings)?.open(Need::Runs).await?;
    let shown = async {
        let id = resolve(&session.client, show.run).await?;
        if show.json { Ok(run_json(&session.client, id).await?) } else { text(&session.client, id).await }
    }
    .await;
    let closed = session.close().await;
    output::print(&shown?);
    closed.map(|()| Exit::Complete)
}

async fn text(client: &Client, id: RunId) -> Result<String, Failure> {
    let (run, layout) = (client.run(id).await?, output::table_layout());
    let mut text = headline(&run, None, layout) + "\n";
    for line in service_lines(&run.services, |_| None, layout) {
        let _ = writeln!(text, "{line}");
    }
    Ok(text + &diagnosis_text(client, id).await?)
}

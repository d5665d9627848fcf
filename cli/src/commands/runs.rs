//! `hermes runs`: what there is.

use hermes_adapters::settings::Settings;

use crate::args::Runs;
use crate::client::RunPage;
use crate::exit::{Exit, Failure};
use crate::session::{Finder, Need};
use crate::{output, render};

pub(super) async fn execute(runs: Runs, settings: Settings) -> Result<Exit, Failure> {
    let query = query(&runs);
    let session = Finder::new(runs.place, settings)?.open(Need::Runs).await?;
    let answered = session.client.runs(&query).await;
    let text = match answered {
        Ok(page) if runs.json => Ok(serde_json::to_string_pretty(&page).expect("JSON is written as JSON") + "\n"),
        Ok(page) => session.client.read(page).map(|page: RunPage| {
            let table = render::runs::render(&page.runs, output::table_layout());
            if page.next_cursor.is_some() { table + "There are more; see --limit and --until.\n" } else { table }
        }),
        Err(error) => Err(error),
    };
    let closed = session.close().await;
    output::print(&text?);
    closed.map(|()| Exit::Complete)
}

fn query(runs: &Runs) -> Vec<(&'static str, String)> {
    let given = [
        ("status", runs.status.map(|status| status.to_string())),
        ("plan", runs.plan.as_ref().map(ToString::to_string)),
        ("website", runs.website_id.as_ref().map(ToString::to_string)),
        ("domain", runs.site.clone()),
        ("since", runs.since.map(|time| time.to_string())),
        ("until", runs.until.map(|time| time.to_string())),
        ("limit", Some(runs.limit.to_string())),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

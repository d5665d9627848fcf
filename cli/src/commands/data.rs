//! `hermes data`: the lists of domain ranks that are on this machine; `hermes data update` fetches them.

use hermes_adapters::clock;
use hermes_adapters::http::HttpClient;
use hermes_adapters::ranks::{Endpoints, RankFolder, UpdateError, update};
use hermes_adapters::settings::Settings;
use hermes_adapters::signals;
use hermes_core::ports::ranks::RankList;

use crate::args::{Data, DataCommand};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::render::data::{State, render};
use crate::session::{data_folder, environment};

pub(super) async fn execute(data: Data, settings: Settings) -> Result<Exit, Failure> {
    match data.command {
        Some(DataCommand::Update { list, data }) => {
            let folder = RankFolder::of(&data_folder(data.as_deref(), &settings)?);
            fetch(&folder, list).await
        }
        None => {
            show(&RankFolder::of(&data_folder(data.data.as_deref(), &settings)?));
            Ok(Exit::Complete)
        }
    }
}

fn show(folder: &RankFolder) {
    let states = RankList::ALL.map(|list| (list, State::of(folder, list)));
    let place = folder.path().display().to_string();
    output::print(&render(&place, &states, clock::now(), output::layout()));
}

/// Fetches the list that was named, or all of them. One that fails does not keep the other from being fetched.
async fn fetch(folder: &RankFolder, list: Option<RankList>) -> Result<Exit, Failure> {
    let interrupted = signals::shutdown_token().map_err(anyhow::Error::from)?;
    let endpoints = Endpoints::read(&environment()).map_err(|error| Failure::Use(error.to_string()))?;
    let client = HttpClient::new().map_err(anyhow::Error::from)?;
    let wanted = list.map_or_else(|| RankList::ALL.to_vec(), |list| vec![list]);
    let mut failed: Option<UpdateError> = None;
    for list in wanted {
        output::note(&format!("fetching {} …", list.as_str()));
        let fetched = tokio::select! {
            biased;
            () = interrupted.cancelled() => return Ok(Exit::Cancelled),
            fetched = update(&client, &endpoints, folder, list) => fetched,
        };
        match fetched {
            Ok(meta) => output::note(&format!("{}: {} domains", list.as_str(), meta.rows)),
            Err(error) => {
                output::note(&format!("{error}; what was there before still is"));
                failed = Some(error);
            }
        }
    }
    show(folder);
    Ok(if failed.is_some() { Exit::Failed } else { Exit::Complete })
}

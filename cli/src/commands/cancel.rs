//! `hermes cancel`: ends a run that is under way.

use hermes_adapters::settings::Settings;

use super::resolve;
use crate::args::OneRun;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::{Finder, Need};

pub(super) async fn execute(cancel: OneRun, settings: Settings) -> Result<Exit, Failure> {
    let session = Finder::new(cancel.place, settings)?.open(Need::Runs).await?;
    let cancelled = async {
        let id = resolve(&session.client, cancel.run).await?;
        Ok::<_, Failure>(session.client.cancel(id).await?)
    }
    .await;
    let closed = session.close().await;
    let run = cancelled?;
    output::print(&format!("run {} is {}\n", run.run_id, run.status));
    closed.map(|()| Exit::Complete)
}

//! `hermes rerun`: tries again what did not complete, follows it, and shows the new diagnosis.

use hermes_adapters::settings::Settings;
use hermes_adapters::signals;

use super::resolve;
use super::run::settle_and_show;
use crate::args::Rerun;
use crate::exit::{Exit, Failure};
use crate::follow::Follow;
use crate::session::{Finder, Need};

pub(super) async fn execute(rerun: Rerun, settings: Settings) -> Result<Exit, Failure> {
    let need = Need::Workers { allow_private_targets: rerun.allow_private_targets };
    let alone = !settings.log.filter_is_chosen;
    let interrupted = signals::shutdown_token().map_err(anyhow::Error::from)?;
    let finder = Finder::new(rerun.place, settings)?;
    let mut session = finder.open(need).await?;
    let outcome = async {
        let run_id = resolve(&session.client, rerun.run).await?;
        session.client.rerun(run_id).await?;
        let follow = Follow { finder: &finder, need, run_id, interrupted };
        settle_and_show(&follow, &mut session, alone, rerun.json).await
    }
    .await;
    let closed = session.close().await;
    let (_, exit) = outcome?;
    closed.map(|()| exit)
}

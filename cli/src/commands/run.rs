//! `hermes run`: one diagnosis, with live progress, and then what it says.

use hermes_adapters::entropy::process_id;
use hermes_adapters::settings::Settings;
use hermes_adapters::signals;
use hermes_core::wire::ErrorClass;
use hermes_core::{Domain, RunId, WebsiteId};
use hermes_diagnosis::Diagnosis;

use super::run_json;
use crate::args::Run;
use crate::client::{Client, RunView, ServiceView, Submission};
use crate::exit::{Exit, Failure};
use crate::follow::Follow;
use crate::output;
use crate::progress::Progress;
use crate::render;
use crate::session::{Finder, Need, Session};

pub(super) async fn execute(run: Run, settings: Settings) -> Result<Exit, Failure> {
    if run.allow_private_targets && run.place.server.is_some() {
        let text = "--allow-private-targets has no effect with a server: its own settings decide";
        return Err(Failure::Use(text.to_owned()));
    }
    let need = Need::Workers { allow_private_targets: run.allow_private_targets };
    let alone = !settings.log.filter_is_chosen;
    let interrupted = signals::shutdown_token().map_err(anyhow::Error::from)?;
    let website_id = match run.website_id {
        Some(id) => id,
        None => website_id(&run.site),
    };
    let submission = Submission { website_id, domain: run.site, plan_id: run.plan };
    let finder = Finder::new(run.place, settings)?;
    let mut session = finder.open(need).await?;
    if session.is_owner && run.allow_private_targets {
        output::note("hermes: a running Hermes has the data folder; its own settings decide about private targets");
    }
    let outcome = async {
        let run_id = session.client.submit(&submission, &process_id().to_string()).await?;
        let follow = Follow { finder: &finder, need, run_id, interrupted };
        settle_and_show(&follow, &mut session, alone, run.json).await
    }
    .await;
    let closed = session.close().await;
    let (settled, exit) = outcome?;
    hint(&settled);
    closed.map(|()| exit)
}

/// Follows a run to its end and writes what came of it.
pub(super) async fn settle_and_show(
    follow: &Follow<'_>,
    session: &mut Session,
    alone: bool,
    json: bool,
) -> Result<(RunView, Exit), Failure> {
    let run = follow.until_settled(session, &mut Progress::new(alone)).await?;
    if json {
        output::print(&run_json(&session.client, run.run_id).await?);
    } else {
        output::print(&diagnosis_text(&session.client, run.run_id).await?);
    }
    let exit = Exit::of(&run.summary);
    Ok((run, exit))
}

/// The diagnosis for a person, or why there is none.
pub(super) async fn diagnosis_text(client: &Client, id: RunId) -> Result<String, Failure> {
    let Some(diagnosis) = client.diagnosis(id).await? else {
        let run = client.run(id).await?;
        let reason = run.summary.error.unwrap_or_else(|| format!("due by {} at the latest", run.deadline_at));
        return Ok(format!("\nNo diagnosis: {}\n", render::text::clean(&reason)));
    };
    let diagnosis: Diagnosis = client.read(diagnosis)?;
    Ok(format!("\n{}", render::diagnosis::render(&diagnosis, output::layout())))
}

/// Says which option would have helped.
fn hint(run: &RunView) {
    // The class is also that of a site whose robots.txt keeps us out, where the option does not help.
    let refused = |service: &ServiceView| {
        service.error_class == Some(ErrorClass::TargetRefused)
            && service.error.as_ref().is_some_and(|error| error.contains("is not a public address"))
    };
    if run.services.iter().any(refused) {
        output::note("hermes: the site is on a private address; --allow-private-targets lets the services reach it");
    }
}

/// What a website is called if the user does not say: the site without scheme and closing slash.
fn website_id(site: &Domain) -> WebsiteId {
    let text = site.as_str();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-_.:/@".contains(c) { c } else { '-' };
    let id: String = text.chars().map(allowed).take(hermes_core::limits::NAME_BYTES_MAX).collect();
    id.parse().expect("only allowed characters are left, and a site has some")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_website_is_called_after_its_site() {
        let id = |site: &str| website_id(&site.parse().expect("valid")).to_string();
        assert_eq!(id("example.com"), "example.com");
        assert_eq!(id("http://127.0.0.1:8080/docs/"), "127.0.0.1:8080/docs");
        assert_eq!(id("https://example.com/?q=ä b"), "example.com/-q---b");
        assert_eq!(id(&format!("https://example.com/{}", "x".repeat(500))).len(), 128);
    }
}

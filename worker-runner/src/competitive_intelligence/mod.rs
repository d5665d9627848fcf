//! competitive-intelligence: the site beside those that are found for the same queries.
//!
//! Competitors are those that the plan names, else the domains that the results of `serp-intelligence` show most often.
//! Of each, and of the site itself by the same code, the home page and a page that ranks are read: words, structured
//! data, age. Then a browser loads one page of each, one after the other ([`speed`]), and one source of ranks is asked
//! about all of them ([`standing`]). From the search results come shares of voice and the queries that only competitors
//! rank for.
//!
//! Deliberately absent: anything behind the pages (links, traffic, budgets), and crawling competitors: ten requests at
//! most, one a second, only what robots.txt allows, and one page in the browser.

mod freshness;
mod options;
mod profile;
mod rivals;
mod signals;
mod speed;
mod standing;
pub mod stop_list;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{BoxFuture, join, join_all};
use hermes_core::ports::browser::Browser;
use hermes_core::ports::http::Http;
use hermes_core::wire::ErrorClass;
use hermes_core::{Domain, Json, ServiceName};
use hermes_diagnosis::signal::{Measurement, MeasurementStatus};
use tokio::time::Instant;
use url::Url;

pub use options::{COMPETITORS_MAX, CompareOptions};
pub use profile::REQUESTS_MAX;

use self::profile::Profile;
use self::rivals::Rival;
use crate::domain_authority::Sources;
use crate::serp_intelligence::owner::Site;
use crate::serp_intelligence::{SearchResult, Searches};
use crate::site::report::Report;

/// Time before the deadline in which nothing is fetched any more, at most.
const REPORT_RESERVE: Duration = Duration::from_secs(2);
/// The same as a share of the time there is: one part in this many, where that is shorter.
const REPORT_RESERVE_PARTS: u32 = 10;
/// Trust in search results that do not say how far they can be trusted.
const QUALITY_UNTOLD: f64 = 0.5;

/// There is nobody to compare with: name competitors in the plan, or give `serp-intelligence` a provider that shows
/// the results of others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCompetitors {
    /// Neither the plan nor a service before names any.
    #[error(
        "no competitors: give `competitors` in the params of the service, or let it depend on serp-intelligence in the plan"
    )]
    NobodyAsked,
    /// The search results name none.
    #[error(
        "no competitors in the search results: no domain but known portals was seen for two queries and a tenth of them; \
         give `competitors` in the params of the service, or more queries to serp-intelligence"
    )]
    NobodySeen,
    /// The source of the search results shows the site's own positions only.
    #[error(
        "no competitors in the search results: their source shows the site's own positions only; \
         give `competitors` in the params of the service, or another provider to serp-intelligence"
    )]
    OwnOnly,
}

impl NoCompetitors {
    /// What kind of failure it is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NobodyAsked => ErrorClass::NotConfigured,
            Self::NobodySeen | Self::OwnOnly => ErrorClass::Dependencies,
        }
    }
}

/// What a comparison is made with.
#[derive(Clone, Copy)]
pub struct Instruments<'a> {
    /// Outgoing HTTP.
    pub http: &'a dyn Http,
    /// A browser, if this process has one.
    pub browser: Option<&'a dyn Browser>,
    /// Who knows where domains stand, or why nobody can be asked.
    pub sources: Result<&'a Sources, &'a str>,
}

/// Compares a site with its competitors. `upstream` is what the services before have found. Ends shortly before
/// `deadline`, with what it has by then.
///
/// # Errors
/// There is nobody to compare with.
pub async fn compare(
    instruments: Instruments<'_>,
    domain: &Domain,
    options: &CompareOptions,
    upstream: &BTreeMap<ServiceName, Json>,
    deadline: Instant,
) -> Result<Measurement, NoCompetitors> {
    let found = upstream.values().find_map(|result| result.read::<SearchResult>().ok());
    let searches = found.as_ref().map(|found| &found.search);
    let rivals = rivals::choose(options, searches);
    if rivals.is_empty() {
        return Err(match searches {
            None => NoCompetitors::NobodyAsked,
            Some(searches) if searches.domains.iter().all(|seen| seen.is_own) => NoCompetitors::OwnOnly,
            Some(_) => NoCompetitors::NobodySeen,
        });
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let stop_at = deadline - REPORT_RESERVE.min(left / REPORT_RESERVE_PARTS);
    let reading = read_all(instruments.http, domain, options, searches, &rivals, stop_at);
    let asking = standing::compare(instruments.http, instruments.sources, domain, &rivals, stop_at);
    let ((own, profiles), standing) = join(reading, asking).await;
    // After the reading: what else goes on would slow the pages down.
    let speeds = speed::measure(instruments.browser, options.reach, &own, &rivals, &profiles, stop_at).await;
    let quality = found.as_ref().map_or(QUALITY_UNTOLD, quality_of);
    let mut report = Report::default();
    let view = signals::View { rivals: &rivals, profiles: &profiles, own: &own, searches, quality };
    signals::measure(&view, &mut report);
    let is_told = standing::report(&standing, &mut report) & speed::report(&speeds, &mut report);
    let is_whole = warn(&mut report, &rivals, &profiles, &own, searches) && is_told;
    let status = if is_whole { MeasurementStatus::Ok } else { MeasurementStatus::Partial };
    Ok(report.finish("builtin-comparison", status, None))
}

/// Reads the site and all competitors at the same time: they are different servers.
async fn read_all(
    http: &dyn Http,
    domain: &Domain,
    options: &CompareOptions,
    searches: Option<&Searches>,
    rivals: &[Rival],
    stop_at: Instant,
) -> (Profile, Vec<Profile>) {
    let seed = domain.seeds().first().expect("a domain has at least one seed");
    let queries: Vec<&str> =
        rivals.iter().filter_map(|rival| rival.page.as_ref()).map(|(_, query)| query.as_str()).collect();
    let own =
        searches.map(|searches| rivals::own_pages(&Site::new(seed.clone()), searches, &queries)).unwrap_or_default();
    let pages: Vec<Vec<Url>> =
        rivals.iter().map(|rival| rival.page.iter().map(|(url, _)| url.clone()).collect()).collect();
    let mut sides: Vec<BoxFuture<'_, Profile>> =
        vec![Box::pin(profile::read(http, options.reach, domain.seeds(), &own, stop_at))];
    for (rival, pages) in rivals.iter().zip(&pages) {
        sides.push(Box::pin(profile::read(http, options.reach, &rival.seeds, pages, stop_at)));
    }
    let mut profiles = join_all(sides).await;
    let own = profiles.remove(0);
    (own, profiles)
}

/// How far the search results can be trusted, as they say of their positions.
fn quality_of(found: &SearchResult) -> f64 {
    let positions = found.measurement.signals.iter().find(|signal| signal.id == "serp.ranked_ratio");
    positions.map_or(QUALITY_UNTOLD, |signal| signal.quality)
}

/// Adds the warnings; whether nothing is missing.
fn warn(
    report: &mut Report,
    rivals: &[Rival],
    profiles: &[Profile],
    own: &Profile,
    searches: Option<&Searches>,
) -> bool {
    let mut is_whole = true;
    if searches.is_none_or(|searches| searches.domains.is_empty()) {
        report.warn("no_search_results", "without search results of others there are no shares of voice and no gaps");
        is_whole = false;
    }
    if let Some(problem) = &own.problem {
        report.warn("site_not_read", format!("the site's own pages were not read, or not all: {problem}"));
        is_whole = false;
    }
    for (rival, profile) in rivals.iter().zip(profiles) {
        if let Some(problem) = &profile.problem {
            report.warn("competitor_not_read", format!("{} was not read, or not all of it: {problem}", rival.domain));
            is_whole = false;
        }
    }
    is_whole
}

#[cfg(test)]
mod tests;

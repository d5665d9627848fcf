//! technical-seo: crawls a site politely and measures what search engines see of it.
//!
//! It finds the home page, obeys robots.txt, reads the sitemaps and the pages within the budgets of [`CrawlOptions`],
//! and fills a [`Measurement`] with `tech.*` signals, each with where it was seen. A crawl that runs out of pages or
//! time reports what it has and says so. What was not measured is left out: unknown is not zero.
//!
//! Deliberately absent: rendering (scripts do not run), links to other hosts, judgements (the rules of the diagnosis
//! make them), and retries of the whole (the core decides about them).

mod audits;
mod crawl;
mod directives;
mod near;
mod options;
mod page;
mod probes;
mod signals;
mod table;
mod visit;

use std::time::Duration;

use hermes_core::Domain;
use hermes_core::ports::http::Http;
use hermes_diagnosis::signal::Measurement;
use tokio::time::Instant;

pub use crate::site::SiteError as AuditError;
pub use options::{CONNECTIONS_MAX, CrawlOptions, PAGES_MAX, REQUESTS_PER_SECOND_MAX};

use crate::site::fetch::Fetcher;
use crate::site::home::{self, Home};
use crate::site::robots::CRAWL_DELAY_MAX;
use crate::site::sitemap::{self, Sitemaps};

/// Time before the deadline in which nothing is fetched any more and the report is made, at most.
pub const REPORT_RESERVE: Duration = Duration::from_secs(2);
/// The same as a share of the time there is: one part in this many, where that is shorter.
const REPORT_RESERVE_PARTS: u32 = 10;

/// Everything that one audit learned.
struct Audit {
    home: Home,
    crawled: Option<crawl::Crawled>,
    sitemaps: Option<Sitemaps>,
    probes: probes::Probes,
    /// `Crawl-delay` of robots.txt, if it was longer than what is honoured.
    delay_cut: Option<Duration>,
    /// The longest distance between two requests, if the site made us slow down.
    slowed_to: Option<Duration>,
}

/// Measures a site. Ends [`REPORT_RESERVE`] (or a tenth of the time) before `deadline`, with what it has by then.
///
/// # Errors
/// The site could not be measured at all: see [`AuditError`], and [`AuditError::retryable`].
pub async fn audit(
    http: &dyn Http,
    domain: &Domain,
    options: &CrawlOptions,
    deadline: Instant,
) -> Result<Measurement, AuditError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let stop_at = deadline - REPORT_RESERVE.min(left / REPORT_RESERVE_PARTS);
    let first = domain.seeds().first().expect("a domain has at least one seed");
    let distance = options.distance(first);
    let fetcher = Fetcher::new(http, options.reach, distance, stop_at);
    let mut home = home::find(&fetcher, domain.seeds()).await?;
    let distance = options.distance(&home.url);
    let delay = home.robots.crawl_delay().filter(|_| !distance.is_zero()).unwrap_or_default();
    let fetcher = fetcher.at_distance(distance.max(delay.min(CRAWL_DELAY_MAX)));
    let delay_cut = Some(delay).filter(|delay| *delay > CRAWL_DELAY_MAX);
    let Some(mut response) = home.response.take() else {
        let probes = probes::Probes::default();
        let audit = Audit { home, crawled: None, sitemaps: None, probes, delay_cut, slowed_to: None };
        return Ok(signals::measure(&audit));
    };
    // The body goes to the crawl; status and headers stay with the home page.
    let body = std::mem::take(&mut response.body);
    home.response = Some(response.clone());
    response.body = body;
    let sitemaps = match options.sitemaps {
        true => sitemap::fetch(&fetcher, &home.url, &home.robots.sitemaps, |url| home.robots.allows(url)).await.ok(),
        false => None,
    };
    let probes = probes::probe(&fetcher, &home).await;
    let start = crawl::Start {
        home: &home.url,
        hops: &home.hops,
        response,
        robots: &home.robots,
        listed: sitemaps.as_ref().map_or(&[], |found| &found.urls),
        pages: options.pages,
        connections: if delay.is_zero() { options.connections(&home.url) } else { 1 },
    };
    let crawled = Some(crawl::crawl(&fetcher, start).await);
    let slowed_to = fetcher.slowed_to().await;
    Ok(signals::measure(&Audit { home, crawled, sitemaps, probes, delay_cut, slowed_to }))
}

#[cfg(test)]
mod tests;

//! How many pages of the site could be in an index, to compare an engine's estimate with.
//!
//! The crawl knows best, where the plan lets this service wait for it (`depends_on: [technical-seo]`); it takes minutes,
//! so that the shipped plans do not, and the synthesis compares once both are there. Until then the sitemaps say what the
//! site itself wants to have there.

use std::collections::BTreeMap;

use hermes_core::ports::http::{Http, Reach};
use hermes_core::{Json, ServiceName};
use hermes_diagnosis::signal::Measurement;
use tokio::time::Instant;

use super::{DISTANCE, fetcher};
use crate::site::home::Home;
use crate::site::sitemap;

/// So many, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) pages: u64,
    pub(super) by: &'static str,
}

/// The pages that the crawl of a service before found indexable, else those that the sitemaps list.
pub(super) async fn pages(
    http: &dyn Http,
    reach: Reach,
    home: Option<&Home>,
    upstream: &BTreeMap<ServiceName, Json>,
    stop_at: Instant,
) -> Option<Known> {
    let crawled = upstream.values().filter_map(|result| result.read().ok()).find_map(|result| crawled(&result));
    if let Some(pages) = crawled {
        return Some(Known { pages, by: "indexable by the crawl" });
    }
    let home = home?;
    let fetcher = fetcher(http, reach, &home.url, stop_at, DISTANCE);
    let found = sitemap::fetch(&fetcher, &home.url, &home.robots.sitemaps, |url| home.robots.allows(url)).await.ok()?;
    Some(Known { pages: found.urls.len() as u64, by: "in the sitemaps" })
}

/// The share of indexable pages among those that were crawled, for all that are known to exist.
#[expect(clippy::cast_precision_loss, reason = "counts of pages are far below 2^52")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count is a count")]
fn crawled(result: &Measurement) -> Option<u64> {
    let known = result.coverage.as_ref()?.pages_known;
    let indexable = result.signals.iter().find(|signal| signal.id == "tech.indexable_ratio")?.value.as_f64()?;
    Some((indexable.clamp(0.0, 1.0) * known as f64).round() as u64)
}

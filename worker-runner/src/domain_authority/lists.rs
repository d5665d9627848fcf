//! The lists that are kept on this machine: Common Crawl's domain ranks and the Majestic Million.
//!
//! Sources: https://commoncrawl.org/web-graphs (harmonic centrality), https://majestic.com/reports/majestic-million.

use hermes_core::ports::ranks::{Listing, RankList, Ranks, RanksError};
use tokio::time::{Instant, timeout_at};

use super::score::{COMMON_CRAWL_DOMAINS, MILLION, Place, Standing, of_rank};
use super::source::SourceError;

/// What one list says about a domain; `None` if it is not kept here.
///
/// # Errors
/// [`SourceError`] if the list is there and cannot be read.
pub async fn look_up(
    ranks: &dyn Ranks,
    list: RankList,
    domain: &str,
    stop_at: Instant,
) -> Result<Option<Listing>, SourceError> {
    let found = timeout_at(stop_at, ranks.find(list, domain)).await.map_err(|_| SourceError::Timeout)?;
    found.map_err(|error: RanksError| SourceError::failed(error.to_string()))
}

/// What a list says, for the score.
#[must_use]
pub fn standing(listing: &Listing) -> Standing {
    let (source, url, of) = match listing.list {
        RankList::CommonCrawl => ("Common Crawl", "https://commoncrawl.org/web-graphs", COMMON_CRAWL_DOMAINS),
        RankList::Majestic => ("Majestic Million", "https://majestic.com/reports/majestic-million", MILLION),
    };
    let fetched = listing.fetched_at.to_string();
    let day = fetched.split('T').next().unwrap_or_default();
    let (place, said) = match listing.standing {
        Some(found) => {
            (Place::Scored(of_rank(found.rank, of)), format!("rank {} in the list fetched on {day}", found.rank))
        }
        None => {
            let said = format!("not among the first {} of the list fetched on {day}", listing.rows);
            (Place::Unlisted { among: listing.rows }, said)
        }
    };
    Standing { source, url: url.to_owned(), place, said }
}

//! Fetching what a page loads, from the same host.

use futures::StreamExt;
use futures::stream;
use url::Url;

use super::delivery::Delivery;
use crate::site::address::same_site;
use crate::site::fetch::{FetchError, Fetcher, PAGE_BYTES_MAX, REDIRECTS_MAX};
use crate::site::html::{Asset, AssetKind};
use crate::site::robots::RobotsFile;

/// Requests at the same time.
const CONNECTIONS: usize = 4;

/// One asset that was asked for, without its body: sixty of ten megabytes would not fit everywhere.
pub(super) struct Fetched {
    pub(super) kind: AssetKind,
    pub(super) url: Url,
    pub(super) outcome: Result<Delivery, String>,
}

/// What came of the assets of a page.
pub(super) struct Assets {
    /// Those that were asked for, in the order of the page.
    pub(super) fetched: Vec<Fetched>,
    /// Those on other hosts.
    pub(super) foreign: usize,
    /// Those of the site that were not asked for: forbidden, too many, or no time left.
    pub(super) left_out: usize,
}

/// Fetches the assets of the same host, at most `limit`, as far as robots.txt allows and time permits.
pub(super) async fn fetch(
    fetcher: &Fetcher<'_>,
    robots: &RobotsFile,
    page: &Url,
    named: &[Asset],
    limit: usize,
) -> Assets {
    let own = named.iter().filter(|asset| same_site(&asset.url, page)).count();
    let mut wanted = Vec::new();
    for asset in named {
        if wanted.len() < limit && same_site(&asset.url, page) && robots.allows(&asset.url) {
            wanted.push(asset.clone());
        }
    }
    // Each request owns its asset: a borrowed one would tie the stream to one lifetime, and its future to this task.
    let requests = wanted.into_iter().map(|asset| async move {
        let outcome = fetcher.follow(&asset.url, REDIRECTS_MAX, PAGE_BYTES_MAX).await;
        (asset, outcome)
    });
    let mut answers = stream::iter(requests).buffered(CONNECTIONS);
    let mut fetched = Vec::new();
    while let Some((asset, outcome)) = answers.next().await {
        let outcome = match outcome {
            Ok(end) => Ok(Delivery::of(&end.response)),
            Err(FetchError::Http(error)) => Err(error.to_string()),
            Err(FetchError::OutOfTime) => break,
        };
        fetched.push(Fetched { kind: asset.kind, url: asset.url, outcome });
    }
    Assets { foreign: named.len() - own, left_out: own - fetched.len(), fetched }
}

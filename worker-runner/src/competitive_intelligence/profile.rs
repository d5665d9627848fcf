//! What is read of one side: its home page and the pages that rank, by the same code for the site and its competitors.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::ports::http::{Http, HttpError, Reach, Request, Response};
use jiff::civil::Date;
use tokio::time::Instant;
use url::Url;

use super::freshness;
use crate::serp_intelligence::owner::page_key;
use crate::serp_intelligence::pages::{fetch_page, page_of};
use crate::serp_intelligence::{fetcher, pages::OwnPage};
use crate::site::fetch::Fetcher;
use crate::site::home;
use crate::site::robots::{self, RobotsFile};

/// Requests to one side, robots.txt and redirects included.
pub const REQUESTS_MAX: u32 = 10;
/// Pages of one side beside its home page.
const PAGES_MAX: usize = 3;
/// The least time between two requests to one public side.
const DISTANCE: Duration = Duration::from_secs(1);

/// What was read of one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    /// The home page, where it could be read.
    pub(super) home: Option<Page>,
    /// The pages that rank, as far as they could be read, in the order in which they were named.
    pub(super) ranking: Vec<Page>,
    /// Why nothing, or not everything, could be read.
    pub(super) problem: Option<String>,
}

/// One page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) url: Url,
    pub(super) words: u32,
    pub(super) types: BTreeSet<String>,
    /// When it was changed last.
    pub(super) modified: Option<Date>,
}

impl Profile {
    /// The pages that rank; the home page where none does.
    pub(super) fn compared(&self) -> Vec<&Page> {
        if self.ranking.is_empty() { self.home.iter().collect() } else { self.ranking.iter().collect() }
    }

    /// Everything that was read.
    pub(super) fn all(&self) -> impl Iterator<Item = &Page> {
        self.home.iter().chain(&self.ranking)
    }
}

/// Lets no more than [`REQUESTS_MAX`] requests through.
struct Counted<'a> {
    http: &'a dyn Http,
    left: AtomicU32,
}

#[async_trait]
impl Http for Counted<'_> {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            let host = request.url.host_str().unwrap_or_default().to_owned();
            return Err(HttpError::Protocol { host, detail: format!("{REQUESTS_MAX} requests are enough") });
        }
        self.http.send(request).await
    }
}

/// Reads one side. `seeds` are where its home page may be, `pages` those that rank.
pub(super) async fn read(http: &dyn Http, reach: Reach, seeds: &[Url], pages: &[Url], stop_at: Instant) -> Profile {
    let Some(seed) = seeds.first() else { return Profile::default() };
    let counted = Counted { http, left: AtomicU32::new(REQUESTS_MAX) };
    let fetcher = fetcher(&counted, reach, seed, stop_at, DISTANCE);
    let mut profile = Profile::default();
    let mut home = match home::find(&fetcher, seeds).await {
        Ok(home) => home,
        Err(error) => return Profile { problem: Some(error.to_string()), ..profile },
    };
    let mut found: Vec<(OwnPage, Response)> = Vec::new();
    match home.page().cloned() {
        Ok(response) => found.extend(page_of(&home.url, response).await),
        Err(error) => profile.problem = Some(error.to_string()),
    }
    home.response = None;
    let mut robots = vec![home.robots.clone()];
    let wanted = pages.iter().filter(|url| page_key(url) != page_key(&home.url)).take(PAGES_MAX);
    for url in wanted {
        match read_one(&fetcher, &mut robots, url).await {
            Ok(Some(page)) => found.push(page),
            Ok(None) => profile.problem = Some(format!("{url} is no page that our robot may read")),
            Err(error) => profile.problem = Some(error),
        }
    }
    let keys: Vec<String> = found.iter().map(|(page, _)| page_key(&page.url)).collect();
    let listed = match found.is_empty() {
        true => Default::default(),
        false => freshness::listed(&fetcher, &home.url, &home.robots, &keys).await,
    };
    let ranks = |url: &Url| pages.iter().any(|page| page_key(page) == page_key(url));
    for (page, response) in found {
        let modified = freshness::modified(&page, &response, listed.get(&page_key(&page.url)).copied());
        let (is_home, is_ranking) = (page_key(&page.url) == page_key(&home.url), ranks(&page.url));
        let page = Page { url: page.url, words: page.reading.words, types: page.reading.types, modified };
        // What rules are made for is pages: a page that ranks and is the home page is both.
        if is_home {
            profile.home = Some(page.clone());
        }
        if is_ranking || !is_home {
            profile.ranking.push(page);
        }
    }
    let place = |page: &Page| pages.iter().position(|url| page_key(url) == page_key(&page.url)).unwrap_or(usize::MAX);
    profile.ranking.sort_by_key(place);
    profile
}

async fn read_one(
    fetcher: &Fetcher<'_>,
    robots: &mut Vec<RobotsFile>,
    url: &Url,
) -> Result<Option<(OwnPage, Response)>, String> {
    let location = robots::location(url);
    if !robots.iter().any(|file| file.url == location) {
        robots.push(robots::fetch(fetcher, url).await.map_err(|error| error.to_string())?);
    }
    let file = robots.iter().find(|file| file.url == location).expect("it was read or is read now");
    fetch_page(fetcher, file, url).await.map_err(|error| error.to_string())
}

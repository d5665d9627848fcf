//! The pages of the site that tell what it wants to be found for: the home page and what it links to.

use std::collections::{HashSet, VecDeque};

use hermes_core::Domain;
use hermes_core::ports::http::{Method, Response};
use url::Url;

use crate::site::SiteError;
use crate::site::address::{may_be_a_page, repeats_itself, same_site};
use crate::site::decode::decode;
use crate::site::fetch::{FetchError, Fetcher, PAGE_BYTES_MAX, redirect_target};
use crate::site::home::{self, Home};
use crate::site::html::reading::{Reading, read};
use crate::site::robots::RobotsFile;

/// One page that was read.
#[derive(Clone, Debug)]
pub(crate) struct OwnPage {
    pub(crate) url: Url,
    pub(crate) reading: Reading,
}

/// Finds the home page and reads it with at most `pages` in all, breadth first.
///
/// # Errors
/// The home page could not be read; every other page may fail.
pub(crate) async fn read_site(
    fetcher: &Fetcher<'_>,
    domain: &Domain,
    pages: usize,
) -> Result<(Home, Vec<OwnPage>), SiteError> {
    let home = home::find(fetcher, domain.seeds()).await?;
    let response = home.page()?.clone();
    if !(200..300).contains(&response.status) {
        return Err(SiteError::ErrorPage { url: home.url.to_string(), status: response.status });
    }
    let mut found = vec![OwnPage { url: home.url.clone(), reading: reading_of(&home.url, response).await }];
    let mut known: HashSet<Url> = HashSet::from([home.url.clone()]);
    let mut queue: VecDeque<Url> = VecDeque::new();
    enqueue(&found[0], &home, &mut known, &mut queue);
    while found.len() < pages
        && let Some(url) = queue.pop_front()
    {
        match read_page(fetcher, &home.robots, &url).await {
            Ok(Some(page)) if same_site(&page.url, &home.url) => {
                enqueue(&page, &home, &mut known, &mut queue);
                found.push(page);
            }
            Ok(_) | Err(FetchError::Http(_)) => {}
            Err(FetchError::OutOfTime) => break,
        }
    }
    Ok((home, found))
}

fn enqueue(page: &OwnPage, home: &Home, known: &mut HashSet<Url>, queue: &mut VecDeque<Url>) {
    for (url, _) in &page.reading.links {
        let is_page = same_site(url, &home.url) && may_be_a_page(url) && !repeats_itself(url);
        if is_page && home.robots.allows(url) && known.insert(url.clone()) {
            queue.push_back(url.clone());
        }
    }
}

/// Reads one page, behind one redirect at most. `None` if there is no page of HTML.
pub(crate) async fn read_page(
    fetcher: &Fetcher<'_>,
    robots: &RobotsFile,
    url: &Url,
) -> Result<Option<OwnPage>, FetchError> {
    Ok(fetch_page(fetcher, robots, url).await?.map(|(page, _)| page))
}

/// The same, with the header of the answer; its body is gone.
pub(crate) async fn fetch_page(
    fetcher: &Fetcher<'_>,
    robots: &RobotsFile,
    url: &Url,
) -> Result<Option<(OwnPage, Response)>, FetchError> {
    if !robots.allows(url) {
        return Ok(None);
    }
    let mut url = url.clone();
    let mut response = fetcher.fetch(Method::Get, &url, PAGE_BYTES_MAX).await?;
    if let Some(target) =
        redirect_target(&url, &response).filter(|target| same_site(target, &url) && robots.allows(target))
    {
        url = target;
        response = fetcher.fetch(Method::Get, &url, PAGE_BYTES_MAX).await?;
    }
    Ok(page_of(&url, response).await)
}

/// The page in an answer, with the answer's header; `None` if it is none of HTML.
pub(crate) async fn page_of(url: &Url, mut response: Response) -> Option<(OwnPage, Response)> {
    let is_html = response.header("content-type").is_none_or(|kind| kind.to_ascii_lowercase().contains("html"));
    if response.status != 200 || !is_html {
        return None;
    }
    let body = std::mem::take(&mut response.body);
    let header = response.clone();
    response.body = body;
    let reading = reading_of(url, response).await;
    Some((OwnPage { url: url.clone(), reading }, header))
}

/// Reads an answer where it keeps nobody waiting. A page that the parser cannot stand says nothing.
async fn reading_of(url: &Url, response: Response) -> Reading {
    let url = url.clone();
    let content_type = response.header("content-type").map(str::to_owned);
    let reading = tokio::task::spawn_blocking(move || read(&decode(&response.body, content_type.as_deref()), &url));
    reading.await.unwrap_or_default()
}

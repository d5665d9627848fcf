//! One request of the crawl, and what its answer is.

use std::time::Duration;

use hermes_core::ports::http::{Method, Response};
use tokio::sync::Semaphore;
use url::Url;

use super::page::Page;
use crate::site::address::{normalise, same_site};
use crate::site::decode::decode;
use crate::site::fetch::{self, FetchError, Fetcher, PAGE_BYTES_MAX};
use crate::site::home;
use crate::site::html::{self, AssetKind, Link};

/// Words of a page that a bot wall shows instead of the page, at most.
const WALL_WORDS_MAX: u32 = 50;

/// How a URL is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Read it: it may be a page.
    Read,
    /// See whether it is there: it is a file.
    Check,
}

/// What an answer is.
#[derive(Debug)]
pub(super) enum Answer {
    /// A redirect; the target is normalised.
    Redirect {
        /// Status code.
        status: u16,
        /// Where to, unless that cannot be used.
        to: Option<Url>,
    },
    /// An HTML page.
    Page(Box<Read>),
    /// Something that is there and no HTML page.
    File,
    /// Neither success nor redirect.
    Status {
        /// Status code.
        status: u16,
        /// How long the server asked us to wait.
        retry_after: Option<Duration>,
    },
    /// A bot wall.
    Walled,
    /// An HTML page that the parser could not stand.
    Unreadable,
}

/// An HTML page, with what goes into the table.
#[derive(Debug)]
pub(super) struct Read {
    /// What is remembered.
    pub(super) page: Page,
    /// Its links.
    pub(super) links: Vec<Link>,
    /// Its style sheets and scripts on the same host.
    pub(super) resources: Vec<Url>,
}

/// Asks for a URL.
pub(super) async fn visit(fetcher: &Fetcher<'_>, parsers: &Parsers, url: &Url, how: How) -> Result<Answer, FetchError> {
    match how {
        How::Read => {
            let response = fetcher.fetch(Method::Get, url, PAGE_BYTES_MAX).await?;
            let _turn = parsers.0.acquire().await;
            Ok(judge(url, response).await)
        }
        How::Check => {
            let response = fetcher.fetch(Method::Head, url, 0).await?;
            if response.status < 400 {
                return Ok(judge_file(url, &response));
            }
            // Some servers answer HEAD wrongly: the word of GET decides.
            Ok(judge_file(url, &fetcher.fetch(Method::Get, url, 1).await?))
        }
    }
}

/// Tells what an answer to `GET` is, and reads it if it is a page.
pub(super) async fn judge(url: &Url, response: Response) -> Answer {
    if home::is_wall(&response) {
        return Answer::Walled;
    }
    if !(200..=299).contains(&response.status) || !is_html(&response) {
        return judge_file(url, &response);
    }
    let url = url.clone();
    tokio::task::spawn_blocking(move || read(&url, &response)).await.unwrap_or(Answer::Unreadable)
}

/// Turns at parsing, one for each core: more pages at a time would take memory and win nothing.
#[derive(Debug)]
pub(super) struct Parsers(Semaphore);

impl Parsers {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)))
    }
}

fn judge_file(url: &Url, response: &Response) -> Answer {
    match response.status {
        200..=299 => Answer::File,
        301..=303 | 307 | 308 => {
            Answer::Redirect { status: response.status, to: fetch::redirect_target(url, response).map(normalise) }
        }
        status => Answer::Status { status, retry_after: fetch::retry_after(response) },
    }
}

/// By its `Content-Type`; without one, by its first bytes.
pub(super) fn is_html(response: &Response) -> bool {
    match response.header("content-type") {
        Some(value) => {
            let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            kind == "text/html" || kind == "application/xhtml+xml"
        }
        None => {
            let start = String::from_utf8_lossy(&response.body[..response.body.len().min(512)]).to_ascii_lowercase();
            let start = start.trim_start_matches(['\u{FEFF}', ' ', '\t', '\r', '\n']);
            start.starts_with("<!doctype html") || start.starts_with("<html")
        }
    }
}

fn read(url: &Url, response: &Response) -> Answer {
    let text = decode(&response.body, response.header("content-type"));
    let mut facts = html::extract(&text, url);
    if facts.text.words < WALL_WORDS_MAX && home::has_wall_marks(response) {
        return Answer::Walled;
    }
    let links = std::mem::take(&mut facts.links);
    let resources = std::mem::take(&mut facts.assets)
        .into_iter()
        .filter(|asset| matches!(asset.kind, AssetKind::Style | AssetKind::Script) && same_site(&asset.url, url))
        .map(|asset| asset.url)
        .collect();
    facts.cut |= response.truncated;
    Answer::Page(Box::new(Read { page: Page::new(url, response, facts), links, resources }))
}

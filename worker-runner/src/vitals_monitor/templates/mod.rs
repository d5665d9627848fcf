//! One page of each kind that the home page links to, in the browser: what is true of the home page need not be true of the
//! pages that most visitors come for.
//!
//! The home page comes first and is finished before. Then each page is loaded once as a desktop computer, which is quick and
//! shows what its scripts make of it; then once as a phone; and at last the one that paints latest until there are
//! [`LOADS`](super::lab::LOADS) loads of it, because that is the one that is told.

mod kinds;
pub(super) mod signals;
#[cfg(test)]
mod tests;

use hermes_core::ports::browser::Profile;
use hermes_core::ports::http::{Method, Response};
use tokio::time::Instant;
use url::Url;

use super::lab::{LOADS, Lab, Loader, Shortfall};
use crate::site::decode::decode;
use crate::site::fetch::{FetchError, Fetcher, PAGE_BYTES_MAX};
use crate::site::home::Home;
use crate::site::html;
use kinds::{Kind, kinds};

/// Most pages beside the home page that a plan can ask for.
pub const TEMPLATES_MAX: usize = 4;

/// A page that stands for its kind.
#[derive(Debug)]
pub(super) struct Template {
    /// `/products/…`.
    pub(super) kind: String,
    pub(super) url: Url,
    /// As the server sent it, without scripts.
    pub(super) sent: Response,
    pub(super) lab: Lab,
}

/// The pages that stand for a site, beside its home page.
#[derive(Debug, Default)]
pub(super) struct Templates {
    pub(super) pages: Vec<Template>,
    /// Kinds of pages that the home page links to, less those of which no page could be read.
    pub(super) kinds: usize,
    /// Why not all pages were loaded both as a desktop computer and as a phone.
    pub(super) shortfall: Option<Shortfall>,
}

/// Reads one page of each kind, the most linked kinds first, at most `limit`. `shown` is the home page after its scripts,
/// which may have made the links.
pub(super) async fn choose(
    fetcher: &Fetcher<'_>,
    home: &Home,
    sent: &Response,
    shown: Option<String>,
    limit: usize,
    end: Instant,
) -> Templates {
    let shown = shown.unwrap_or_else(|| decode(&sent.body, sent.header("content-type")).into_owned());
    let url = home.url.clone();
    let links = tokio::task::spawn_blocking(move || html::extract(&shown, &url).links).await;
    // A page that the parser cannot stand leads nowhere that we know of.
    let found = kinds(&home.url, &links.unwrap_or_default(), |url| home.robots.allows(url));
    let mut templates = Templates { kinds: found.len(), ..Templates::default() };
    for kind in found {
        if templates.pages.len() == limit {
            break;
        }
        let read = if Instant::now() < end { read(fetcher, kind, sent).await } else { Err(OutOfTime) };
        match read {
            Ok(Some(page)) => templates.pages.push(page),
            Ok(None) => templates.kinds -= 1,
            Err(OutOfTime) => {
                templates.shortfall = Some(Shortfall::Time);
                break;
            }
        }
    }
    templates
}

/// The time passed before a page could be read.
struct OutOfTime;

/// The first page of a kind that is one: sent with success as HTML, and not the home page under another address.
async fn read(fetcher: &Fetcher<'_>, kind: Kind, home: &Response) -> Result<Option<Template>, OutOfTime> {
    for url in kind.pages {
        match fetcher.fetch(Method::Get, &url, PAGE_BYTES_MAX).await {
            Ok(sent) if is_page(&sent) && sent.body != home.body => {
                return Ok(Some(Template { kind: kind.name, url, sent, lab: Lab::default() }));
            }
            Ok(_) | Err(FetchError::Http(_)) => {}
            Err(FetchError::OutOfTime) => return Err(OutOfTime),
        }
    }
    Ok(None)
}

fn is_page(response: &Response) -> bool {
    let is_html =
        |kind: &str| kind.trim_start().to_ascii_lowercase().starts_with("text/html") || kind.contains("xhtml");
    (200..=299).contains(&response.status) && response.header("content-type").is_some_and(is_html)
}

impl Templates {
    /// Loads each page once as `profile`, as far as the time until `end` reaches.
    pub(super) async fn load(&mut self, loader: &mut Loader<'_>, profile: Profile, end: Instant) {
        for page in &mut self.pages {
            if page.lab.shortfall.is_some() || loader.is_exhausted() {
                continue;
            }
            match loader.load(&page.url, profile, end).await {
                Ok(load) => page.lab.add(profile, load),
                Err(why) => {
                    self.shortfall.get_or_insert(why.clone());
                    if why == Shortfall::Time {
                        return;
                    }
                    page.lab.shortfall = Some(why);
                }
            }
        }
    }

    /// Loads the page that paints latest as a phone again, until the latest is one that was loaded [`LOADS`] times.
    pub(super) async fn confirm(&mut self, loader: &mut Loader<'_>, end: Instant) {
        while let Some(at) = signals::slowest(&self.pages).filter(|at| self.pages[*at].lab.mobile.len() < LOADS) {
            let page = &mut self.pages[at];
            match loader.load(&page.url, Profile::MOBILE, end).await {
                Ok(load) => page.lab.add(Profile::MOBILE, load),
                // What one load showed stands, with the trust of one load.
                Err(_) => return,
            }
        }
    }
}

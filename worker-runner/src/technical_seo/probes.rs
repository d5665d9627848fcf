//! Single requests that ask what a crawl cannot see: how missing pages are answered, and what other addresses of the
//! site do.

use hermes_core::ports::http::{HttpError, Method};
use url::{Host, Url};

use super::visit::{self, Answer};
use crate::site::address::{normalise, same_site};
use crate::site::fetch::{FetchError, Fetcher, PAGE_BYTES_MAX, REDIRECTS_MAX};
use crate::site::fingerprint::Fingerprint;
use crate::site::home::Home;
use crate::site::robots::RobotsFile;

/// A path that no site has.
const MISSING: &str = "/hermes-asks-for-a-page-that-cannot-exist-7f3a9c";

/// What the probes found; `None` where nothing can be said.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    /// Whether a missing page is answered as if it were there, and how.
    pub(super) soft_404: Option<(bool, String)>,
    /// The text of that answer, if it is a page.
    pub(super) missing_text: Option<Fingerprint>,
    /// Whether `http` leads to `https`, and where it leads.
    pub(super) http_redirects: Option<(bool, String)>,
    /// Whether the site also answers under its name with or without `www`, and where.
    pub(super) other_host: Option<(bool, String)>,
}

/// Sends the probes, one after the other. What time does not allow stays unknown.
pub(super) async fn probe(fetcher: &Fetcher<'_>, home: &Home) -> Probes {
    let (soft_404, missing_text) = soft_404(fetcher, &home.url, &home.robots).await.unzip();
    Probes {
        soft_404,
        missing_text: missing_text.flatten(),
        http_redirects: http_redirects(fetcher, &home.url).await,
        other_host: other_host(fetcher, &home.url).await,
    }
}

/// Whether and how a missing page is answered as if it were there, and with which text.
type Missing = ((bool, String), Option<Fingerprint>);

async fn soft_404(fetcher: &Fetcher<'_>, home: &Url, robots: &RobotsFile) -> Option<Missing> {
    let url = home.join(MISSING).ok()?;
    if !robots.allows(&url) {
        return None;
    }
    let end = fetcher.follow(&url, REDIRECTS_MAX, PAGE_BYTES_MAX).await.ok()?;
    let is_soft = (200..=299).contains(&end.response.status);
    let told = (is_soft, format!("HTTP {} from {}", end.response.status, end.url));
    // Where the missing page is sent to the home page, the text is that of a page that is there.
    let is_own = end.url != *home;
    let text = match visit::judge(&end.url, end.response).await {
        Answer::Page(read) if is_own => Some(read.page.facts.text),
        _ => None,
    };
    Some((told, text))
}

/// Only for a site on the default port of `https`: its counterpart is port 80.
async fn http_redirects(fetcher: &Fetcher<'_>, home: &Url) -> Option<(bool, String)> {
    if home.scheme() != "https" || home.port().is_some() {
        return None;
    }
    let mut plain = home.clone();
    plain.set_scheme("http").ok()?;
    match fetcher.follow(&plain, REDIRECTS_MAX, 1).await {
        Ok(end) => Some((end.url.scheme() == "https", format!("{plain} leads to {}", end.url))),
        // Nobody can come by http where nothing listens.
        Err(FetchError::Http(HttpError::Connect { .. })) => Some((true, format!("nothing listens at {plain}"))),
        Err(FetchError::Http(_) | FetchError::OutOfTime) => None,
    }
}

async fn other_host(fetcher: &Fetcher<'_>, home: &Url) -> Option<(bool, String)> {
    let Some(Host::Domain(name)) = home.host() else { return None };
    if !name.contains('.') || name.ends_with(".localhost") {
        return None;
    }
    let other = name.strip_prefix("www.").map_or_else(|| format!("www.{name}"), str::to_owned);
    let mut url = home.clone();
    url.set_host(Some(&other)).ok()?;
    let end = match fetcher.fetch(Method::Get, &url, PAGE_BYTES_MAX).await {
        Ok(response) => response,
        Err(FetchError::Http(HttpError::Dns { .. } | HttpError::Connect { .. })) => {
            return Some((false, format!("{url} does not answer")));
        }
        Err(FetchError::Http(_) | FetchError::OutOfTime) => return None,
    };
    let status = end.status;
    let Answer::Page(read) = visit::judge(&url, end).await else {
        return Some((false, format!("{url} answers HTTP {status}")));
    };
    let points_home = read.page.canonical(&url).is_some_and(|canonical| same_site(&normalise(canonical), home));
    Some((!points_home, format!("{url} answers HTTP {status} without a redirect")))
}

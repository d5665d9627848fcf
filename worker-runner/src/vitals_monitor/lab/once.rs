//! One load of one page as a phone: enough to compare pages of several sites that are loaded one after the other.

use hermes_core::ports::browser::{Browser, BrowserError, Profile};
use hermes_core::ports::http::Reach;
use tokio::time::{Duration, Instant};
use url::Url;

use super::{FIRST_LOAD_MS, signals, visit};

/// What one load showed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Once {
    /// Largest contentful paint.
    pub(crate) lcp_ms: f64,
    /// What was painted: `main > img#hero`.
    pub(crate) element: String,
    /// How far one load can be trusted.
    pub(crate) quality: f64,
}

/// Why there is no figure.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum NotLoaded {
    /// There is no time for a load; the next page has none either.
    #[error("there was no time to load it")]
    NoTime,
    /// The browser or the page failed.
    #[error(transparent)]
    Failed(#[from] BrowserError),
    /// The page answered with an error.
    #[error("it answered the browser with HTTP {0}")]
    Status(u16),
    /// It showed nothing.
    #[error("nothing was painted")]
    Unpainted,
}

impl NotLoaded {
    /// Whether no other page can be loaded either.
    pub(crate) fn concerns_all(&self) -> bool {
        match self {
            Self::NoTime | Self::Failed(BrowserError::Missing(_) | BrowserError::Busy) => true,
            Self::Failed(_) | Self::Status(_) | Self::Unpainted => false,
        }
    }
}

/// Loads the page once, if the time until `end` allows it.
pub(crate) async fn once(browser: &dyn Browser, url: &Url, reach: Reach, end: Instant) -> Result<Once, NotLoaded> {
    let left = end.saturating_duration_since(Instant::now());
    let least = Duration::from_millis(FIRST_LOAD_MS);
    if left < least {
        return Err(NotLoaded::NoTime);
    }
    let load = browser.load(visit(url, Profile::MOBILE, reach, left, least)).await?;
    if let Some(status) = load.status.filter(|status| *status >= 400) {
        return Err(NotLoaded::Status(status));
    }
    let quality = signals::trust(std::slice::from_ref(&load));
    let paint = load.lcp.ok_or(NotLoaded::Unpainted)?;
    Ok(Once { lcp_ms: paint.at_ms, element: paint.element, quality })
}

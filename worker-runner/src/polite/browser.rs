//! Page loads with manners: the document of a page is a request to its host, and the limits of the host are asked and told.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::ports::browser::{Browser, BrowserError, PageLoad, Visit};
use hermes_core::ports::politeness::{Wait, Went};
use tokio::time::Instant;
use url::Url;

use super::{Manners, answered, target};
use crate::retry_after::wait_ms;

/// What the browser says where a host does not answer as something that is up does.
const DOWN: [&str; 3] = ["net::ERR_CONNECTION_", "net::ERR_EMPTY_RESPONSE", "net::ERR_ADDRESS_UNREACHABLE"];

/// Loads pages under limits.
pub struct PoliteBrowser {
    inner: Arc<dyn Browser>,
    manners: Manners,
}

impl PoliteBrowser {
    pub(super) fn new(inner: Arc<dyn Browser>, manners: Manners) -> Self {
        Self { inner, manners }
    }
}

impl fmt::Debug for PoliteBrowser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoliteBrowser").field(&self.inner).finish()
    }
}

#[async_trait]
impl Browser for PoliteBrowser {
    async fn load(&self, visit: Visit) -> Result<PageLoad, BrowserError> {
        let visit = Visit { robot: self.manners.signed(&visit.robot), ..visit };
        let (begun, url) = (Instant::now(), visit.url.clone());
        let mut held = match self.manners.ask(&url, visit.timeout).await {
            Ok(Some(held)) => held,
            Ok(None) => return self.inner.load(visit).await,
            Err(Wait { reason, wait_ms: retry_after_ms, .. }) => {
                let host = url.host_str().unwrap_or_default().to_owned();
                return Err(BrowserError::HeldBack { host, reason, retry_after_ms });
            }
        };
        // Waiting for leave is a part of the visit.
        let waited = begun.elapsed();
        let timeout = visit.timeout.saturating_sub(waited);
        let loaded = self.inner.load(Visit { timeout, ..visit }).await.map(|load| {
            let waited_ms = load.waited_ms + waited.as_secs_f64() * 1_000.0;
            PageLoad { waited_ms, ..load }
        });
        held.went = went(&url, &loaded);
        held.tell().await;
        loaded
    }

    fn is_there(&self) -> Result<(), BrowserError> {
        self.inner.is_there()
    }
}

/// What a visit says about the host that was asked for the page.
fn went(asked: &Url, loaded: &Result<PageLoad, BrowserError>) -> Went {
    match loaded {
        Ok(load) => {
            let came_from = Url::parse(&load.url).ok().and_then(|url| target::of(&url));
            let is_own = came_from.is_none_or(|target| Some(target) == target::of(asked));
            match load.status {
                Some(status) if is_own => {
                    answered(status, load.retry_after.as_deref().and_then(|field| wait_ms(field, load.date.as_deref())))
                }
                // It led to another host, which answered for itself.
                Some(_) | None => Went::Answered,
            }
        }
        Err(BrowserError::Page(why)) if DOWN.iter().any(|down| why.starts_with(down)) => Went::Failed,
        Err(
            BrowserError::Page(_)
            | BrowserError::Missing(_)
            | BrowserError::Busy
            | BrowserError::HeldBack { .. }
            | BrowserError::Stuck(_)
            | BrowserError::Hostile(_)
            | BrowserError::Broken(_),
        ) => Went::Unknown,
    }
}

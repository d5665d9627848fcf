//! Who answers queries. One file for each provider; all give a [`SearchPage`].
//!
//! | name | configured by | address overridden by |
//! |---|---|---|
//! | `searxng` | `SEARXNG_URL`, and `SEARXNG_ENGINE` for the true ranks of one engine | |
//! | `brave` | `BRAVE_API_KEY` | `BRAVE_ENDPOINT` |
//! | `dataforseo` | `DATAFORSEO_LOGIN` and `DATAFORSEO_PASSWORD` | `DATAFORSEO_ENDPOINT` |
//! | `serpapi` | `SERPAPI_API_KEY` | `SERPAPI_ENDPOINT` |
//! | `search-console` | `SEARCH_CONSOLE_TOKEN` | `SEARCH_CONSOLE_ENDPOINT` |
//!
//! Without a choice in the plan the first in this order answers that is configured. Deliberately absent: reading the
//! pages that engines make for people, which their terms forbid.

mod brave;
mod dataforseo;
mod error;
mod exchange;
mod page;
mod search_console;
mod searxng;
mod serpapi;

use std::collections::BTreeMap;

use async_trait::async_trait;
use hermes_core::Secret;
use hermes_diagnosis::signal::Method;
use tokio::sync::OnceCell;
use url::Url;

pub use error::SearchError;
pub use exchange::{ANSWER_BYTES_MAX, EXCHANGE_MS, Exchange};
pub use page::{Feature, Organic, SearchPage};

use super::locale::Locale;
use super::owner::Site;

/// Results that are looked at for one query.
pub const DEPTH: u32 = 20;
/// The names of all providers, in the order in which they are preferred.
pub const NAMES: [&str; 5] = ["searxng", "brave", "dataforseo", "serpapi", "search-console"];
/// What to do without any, in three lines.
pub const HOW_TO_CONFIGURE: &str = "no provider of search results is configured. The recommended one is free:\n\
    1. docker run -d -p 127.0.0.1:8888:8080 -v ./searxng:/etc/searxng searxng/searxng\n\
    2. add `json` to `search.formats` in ./searxng/settings.yml and restart the container\n\
    3. set SEARXNG_URL=http://127.0.0.1:8888";

/// What is to be searched for.
pub struct Query<'a> {
    /// The words, as a searcher types them.
    pub text: &'a str,
    /// From where and in which language.
    pub locale: &'a Locale,
    /// Whose site it is about.
    pub site: &'a Site,
}

impl Query<'_> {
    /// Whether nothing is left to be learned from a further page: the site was found, or the page is deep enough.
    fn is_answered_by(&self, page: &SearchPage) -> bool {
        let deep_enough = page.organic.len() >= DEPTH as usize;
        deep_enough || page.organic.iter().any(|found| self.site.owns(&found.url))
    }
}

/// What is known of a provider before it is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traits {
    /// One of [`NAMES`].
    pub name: &'static str,
    /// Trust in its positions, 0 to 1.
    pub quality: f64,
    /// How it knows them.
    pub method: Method,
    /// Queries at the same time.
    pub at_a_time: usize,
    /// Whether it shows the results of others, too.
    pub sees_others: bool,
    /// Whether `site:` can be relied on.
    pub understands_operators: bool,
}

/// Answers queries. One value serves one attempt.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What is known of it.
    fn traits(&self) -> Traits;

    /// The results of one query, at least [`DEPTH`] of them where there are so many and the site is not before.
    async fn search(&self, exchange: &Exchange<'_>, query: &Query<'_>) -> Result<SearchPage, SearchError>;

    /// Queries for which the provider knows that the site is shown, the most clicked first; none if it does not know.
    async fn own_queries(&self, _: &Exchange<'_>, _: &Site, _count: usize) -> Result<Vec<String>, SearchError> {
        Ok(Vec::new())
    }
}

/// A provider cannot be made as the environment describes it, or the plan asks for one that is not there: correct the
/// variable that the text names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(String);

/// The names of the providers that `environment` configures, best first.
#[must_use]
pub fn configured(environment: &BTreeMap<String, String>) -> Vec<&'static str> {
    let given = |name: &str| value(environment, name).is_some();
    NAMES
        .into_iter()
        .filter(|name| match *name {
            "searxng" => given("SEARXNG_URL"),
            "brave" => given("BRAVE_API_KEY"),
            "dataforseo" => given("DATAFORSEO_LOGIN") || given("DATAFORSEO_PASSWORD"),
            "serpapi" => given("SERPAPI_API_KEY"),
            _ => given("SEARCH_CONSOLE_TOKEN"),
        })
        .collect()
}

/// Makes the provider that the plan names, else the best that is configured.
///
/// # Errors
/// None is configured, the one that the plan names is not, or a variable has a value that cannot be used.
pub fn choose(
    environment: &BTreeMap<String, String>,
    wanted: Option<&str>,
) -> Result<Box<dyn Provider>, Misconfigured> {
    let configured = configured(environment);
    let Some(wanted) = wanted else {
        let best = configured.first().ok_or_else(|| Misconfigured(HOW_TO_CONFIGURE.to_owned()))?;
        return make(environment, best);
    };
    if !NAMES.contains(&wanted) {
        return Err(Misconfigured(format!("there is no provider {wanted:?}: choose one of {}", NAMES.join(", "))));
    }
    if !configured.contains(&wanted) {
        return Err(Misconfigured(format!(
            "the plan asks for the provider {wanted}, which is not configured: set {}",
            variables(wanted)
        )));
    }
    make(environment, wanted)
}

/// The variables that configure a provider, in words.
fn variables(name: &str) -> &'static str {
    match name {
        "searxng" => "SEARXNG_URL",
        "brave" => "BRAVE_API_KEY",
        "dataforseo" => "DATAFORSEO_LOGIN and DATAFORSEO_PASSWORD",
        "serpapi" => "SERPAPI_API_KEY",
        _ => "SEARCH_CONSOLE_TOKEN",
    }
}

fn make(environment: &BTreeMap<String, String>, name: &str) -> Result<Box<dyn Provider>, Misconfigured> {
    let given = |variable: &str| value(environment, variable).unwrap_or_default();
    let secret = |variable: &str| header_safe(variable, &given(variable)).map(Secret::new);
    Ok(match name {
        "searxng" => {
            let engine = value(environment, "SEARXNG_ENGINE");
            Box::new(searxng::Searxng { base: address("SEARXNG_URL", &given("SEARXNG_URL"))?, engine })
        }
        "brave" => {
            let base = endpoint(environment, "BRAVE_ENDPOINT", brave::ENDPOINT)?;
            Box::new(brave::Brave { base, key: secret("BRAVE_API_KEY")? })
        }
        "dataforseo" => {
            let (login, password) = (given("DATAFORSEO_LOGIN"), given("DATAFORSEO_PASSWORD"));
            if login.is_empty() || password.is_empty() {
                return Err(Misconfigured("DataForSEO needs both DATAFORSEO_LOGIN and DATAFORSEO_PASSWORD".to_owned()));
            }
            let base = endpoint(environment, "DATAFORSEO_ENDPOINT", dataforseo::ENDPOINT)?;
            Box::new(dataforseo::DataForSeo { base, login, password: Secret::new(password) })
        }
        "serpapi" => {
            let base = endpoint(environment, "SERPAPI_ENDPOINT", serpapi::ENDPOINT)?;
            Box::new(serpapi::SerpApi { base, key: secret("SERPAPI_API_KEY")? })
        }
        _ => {
            let base = endpoint(environment, "SEARCH_CONSOLE_ENDPOINT", search_console::ENDPOINT)?;
            let token = secret("SEARCH_CONSOLE_TOKEN")?;
            Box::new(search_console::SearchConsole { base, token, property: OnceCell::new() })
        }
    })
}

/// A variable's value without blanks around it; nothing if that is empty.
fn value(environment: &BTreeMap<String, String>, name: &str) -> Option<String> {
    environment.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn endpoint(environment: &BTreeMap<String, String>, variable: &str, usual: &str) -> Result<Url, Misconfigured> {
    address(variable, &value(environment, variable).unwrap_or_else(|| usual.to_owned()))
}

fn address(variable: &str, text: &str) -> Result<Url, Misconfigured> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() => {
            Ok(url)
        }
        _ => {
            Err(Misconfigured(format!("{variable} must be an address such as http://127.0.0.1:8888, without a query")))
        }
    }
}

/// A key that a header field can carry.
fn header_safe(variable: &str, key: &str) -> Result<String, Misconfigured> {
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(key.to_owned());
    }
    Err(Misconfigured(format!("{variable} has characters that no key has: copy it anew")))
}

#[cfg(test)]
mod tests;

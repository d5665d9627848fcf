//! Open PageRank: a number of 0 to 10 for a domain, made from Common Crawl; needs a free key.
//!
//! Source: https://www.domcop.com/openpagerank/documentation (`getPageRank`, header `API-OPR`).

use std::collections::BTreeMap;

use hermes_core::Secret;
use serde::Deserialize;
use serde_json::Value;

use super::score::{Place, Standing, one_decimal};
use super::source::{Asking, Endpoint, SourceError, configured, json};

/// Base of the API.
pub const API: &str = "https://openpagerank.com/api/v1.0";
/// Names another base.
pub const OPEN_PAGERANK_ENDPOINT: &str = "OPEN_PAGERANK_ENDPOINT";
/// Holds the key.
pub const OPEN_PAGERANK_API_KEY: &str = "OPEN_PAGERANK_API_KEY";

/// What people call it.
pub(super) const NAME: &str = "Open PageRank";

/// Asks Open PageRank.
#[derive(Clone, Debug)]
pub struct OpenPageRank {
    endpoint: Endpoint,
    key: Secret,
}

/// What Open PageRank says.
#[derive(Clone, Debug, PartialEq)]
pub struct PageRank {
    /// 0 to 10; `None` if the domain is not known.
    pub decimal: Option<f64>,
    /// For the score.
    pub standing: Standing,
}

#[derive(Deserialize)]
struct Answer {
    status_code: u64,
    /// Stands instead of entries where the whole call failed.
    #[serde(default)]
    message: String,
    #[serde(default)]
    response: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    status_code: u64,
    #[serde(default)]
    error: String,
    #[serde(default)]
    domain: String,
    /// A number, or an empty text for an unknown domain.
    #[serde(default)]
    page_rank_decimal: Value,
    /// A text of digits, or `null`.
    #[serde(default)]
    rank: Value,
}

impl OpenPageRank {
    /// Reads the key; `None` without one.
    ///
    /// # Errors
    /// A sentence that names the variable that is wrong.
    pub fn new(environment: &BTreeMap<String, String>) -> Result<Option<Self>, String> {
        let Some(key) = configured(environment, OPEN_PAGERANK_API_KEY) else { return Ok(None) };
        let endpoint = Endpoint::read(environment, OPEN_PAGERANK_ENDPOINT, API)?;
        Ok(Some(Self { endpoint, key: Secret::new(key) }))
    }

    /// The page rank of a registrable domain.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn look_up(&self, asking: Asking<'_>, domain: &str) -> Result<PageRank, SourceError> {
        let entry = self.ask(asking, &[domain]).await?.into_iter().next();
        read(entry.ok_or_else(|| SourceError::failed("the answer says nothing about the domain"))?)
    }

    /// The page ranks of several registrable domains, by one request; in their order. A domain that the answer leaves
    /// out is not known.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn look_up_all(&self, asking: Asking<'_>, domains: &[&str]) -> Result<Vec<PageRank>, SourceError> {
        let mut entries = self.ask(asking, domains).await?;
        let found = domains.iter().map(|domain| {
            let at = entries.iter().position(|entry| entry.domain.eq_ignore_ascii_case(domain));
            at.map_or_else(|| Ok(unknown()), |at| read(entries.swap_remove(at)))
        });
        found.collect()
    }

    async fn ask(&self, asking: Asking<'_>, domains: &[&str]) -> Result<Vec<Entry>, SourceError> {
        let mut url = self.endpoint.join(&["getPageRank"]);
        url.query_pairs_mut().extend_pairs(domains.iter().map(|domain| ("domains[]", domain)));
        let headers = [("api-opr", self.key.expose()), ("accept", "application/json")];
        let response = asking.send(url, self.endpoint.reach, &headers, None).await?;
        if response.status != 200 {
            return Err(SourceError::failed(format!("HTTP {}", response.status)));
        }
        let answer: Answer = json(&response)?;
        match answer.status_code {
            200 => Ok(answer.response),
            429 => Err(SourceError::RateLimited { retry_after_ms: None }),
            401 | 403 => Err(SourceError::KeyRefused { detail: answer.message }),
            status => Err(SourceError::failed(format!("status {status} inside the answer: {}", answer.message))),
        }
    }
}

fn standing(place: Place, said: String) -> Standing {
    Standing { source: NAME, url: "https://www.domcop.com/openpagerank/".to_owned(), place, said }
}

fn unknown() -> PageRank {
    PageRank { decimal: None, standing: standing(Place::Unknown, "no such domain known".to_owned()) }
}

fn read(entry: Entry) -> Result<PageRank, SourceError> {
    match entry.status_code {
        404 => Ok(unknown()),
        200 => {
            let decimal = entry.page_rank_decimal.as_f64().filter(|decimal| (0.0..=10.0).contains(decimal));
            let decimal = decimal.ok_or_else(|| SourceError::failed("the answer has no page rank of 0 to 10"))?;
            let rank = entry.rank.as_str().map_or_else(String::new, |rank| format!(", rank {rank}"));
            let said = format!("{decimal} of 10{rank}");
            let place = Place::Scored(one_decimal(10.0 * decimal));
            Ok(PageRank { decimal: Some(decimal), standing: standing(place, said) })
        }
        status => Err(SourceError::failed(format!("status {status} inside the answer: {}", entry.error))),
    }
}

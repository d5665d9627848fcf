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
        let mut url = self.endpoint.join(&["getPageRank"]);
        url.query_pairs_mut().append_pair("domains[]", domain);
        let headers = [("api-opr", self.key.expose()), ("accept", "application/json")];
        let response = asking.send(url, self.endpoint.reach, &headers, None).await?;
        if response.status != 200 {
            return Err(SourceError::failed(format!("HTTP {}", response.status)));
        }
        read(json(&response)?)
    }
}

fn read(answer: Answer) -> Result<PageRank, SourceError> {
    match answer.status_code {
        200 => {}
        429 => return Err(SourceError::RateLimited { retry_after_ms: None }),
        401 | 403 => return Err(SourceError::KeyRefused { detail: answer.message }),
        status => {
            return Err(SourceError::failed(format!("status {status} inside the answer: {}", answer.message)));
        }
    }
    let entry = answer.response.into_iter().next();
    let entry = entry.ok_or_else(|| SourceError::failed("the answer says nothing about the domain"))?;
    let standing = |place, said| {
        let url = "https://www.domcop.com/openpagerank/".to_owned();
        Standing { source: "Open PageRank", url, place, said }
    };
    match entry.status_code {
        404 => Ok(PageRank { decimal: None, standing: standing(Place::Unknown, "no such domain known".to_owned()) }),
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

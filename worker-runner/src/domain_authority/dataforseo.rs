//! DataForSEO's backlinks: a rank of 0 to 1,000 and the number of referring domains; a paid account.
//!
//! Sources: https://docs.dataforseo.com/v3/backlinks/summary/live/, https://docs.dataforseo.com/v3/backlinks/bulk_ranks/live/
//! and https://docs.dataforseo.com/v3/appendix/errors/.
//! Errors come inside of HTTP 200: every answer and every task has a `status_code` of its own, 20000 for success.

use std::collections::BTreeMap;

use base64::Engine as _;
use hermes_core::Secret;
use serde::Deserialize;

use super::score::{Place, Standing, one_decimal};
use super::source::{Asking, Endpoint, SourceError, configured, json};

/// Base of the API.
pub const API: &str = "https://api.dataforseo.com";
/// Names another base.
pub const DATAFORSEO_ENDPOINT: &str = "DATAFORSEO_ENDPOINT";
/// Holds the login.
pub const DATAFORSEO_LOGIN: &str = "DATAFORSEO_LOGIN";
/// Holds the password.
pub const DATAFORSEO_PASSWORD: &str = "DATAFORSEO_PASSWORD";

/// `Ok.`
const STATUS_OK: u64 = 20_000;

/// What people call it.
pub(super) const NAME: &str = "DataForSEO";

/// Asks DataForSEO.
#[derive(Clone, Debug)]
pub struct DataForSeo {
    endpoint: Endpoint,
    authorization: Secret,
}

/// What DataForSEO says.
#[derive(Clone, Debug, PartialEq)]
pub struct Backlinks {
    /// Domains that link to the domain.
    pub referring_domains: Option<u64>,
    /// For the score.
    pub standing: Standing,
}

#[derive(Deserialize)]
struct Answer<T> {
    status_code: u64,
    #[serde(default)]
    status_message: String,
    tasks: Option<Vec<Task<T>>>,
}

#[derive(Deserialize)]
struct Task<T> {
    status_code: u64,
    #[serde(default)]
    status_message: String,
    result: Option<Vec<T>>,
}

#[derive(Deserialize)]
struct Ranks {
    items: Option<Vec<Rank>>,
}

#[derive(Deserialize)]
struct Rank {
    target: String,
    rank: Option<f64>,
}

#[derive(Deserialize)]
struct Summary {
    rank: Option<f64>,
    referring_domains: Option<u64>,
}

impl DataForSeo {
    /// Reads login and password; `None` without both.
    ///
    /// # Errors
    /// A sentence that names the variable that is wrong or missing.
    pub fn new(environment: &BTreeMap<String, String>) -> Result<Option<Self>, String> {
        let (login, password) =
            match (configured(environment, DATAFORSEO_LOGIN), configured(environment, DATAFORSEO_PASSWORD)) {
                (None, None) => return Ok(None),
                (Some(login), Some(password)) => (login, password),
                (Some(_), None) => return Err(format!("{DATAFORSEO_LOGIN} is set without {DATAFORSEO_PASSWORD}")),
                (None, Some(_)) => return Err(format!("{DATAFORSEO_PASSWORD} is set without {DATAFORSEO_LOGIN}")),
            };
        let endpoint = Endpoint::read(environment, DATAFORSEO_ENDPOINT, API)?;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{login}:{password}"));
        Ok(Some(Self { endpoint, authorization: Secret::new(format!("Basic {pair}")) }))
    }

    /// The backlinks of a registrable domain.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn look_up(&self, asking: Asking<'_>, domain: &str) -> Result<Backlinks, SourceError> {
        // One item in each of the lists that come along unasked: they are not read here.
        let task = serde_json::json!([{ "target": domain, "internal_list_limit": 1, "include_subdomains": true }]);
        let summary: Option<Summary> = self.ask(asking, "summary", &task).await?;
        let referring_domains = summary.as_ref().and_then(|summary| summary.referring_domains);
        Ok(Backlinks { referring_domains, standing: standing(summary.and_then(|summary| summary.rank)) })
    }

    /// Where several registrable domains stand, by one request; in their order.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn look_up_all(&self, asking: Asking<'_>, domains: &[&str]) -> Result<Vec<Standing>, SourceError> {
        let task = serde_json::json!([{ "targets": domains }]);
        let ranks: Option<Ranks> = self.ask(asking, "bulk_ranks", &task).await?;
        let items = ranks.and_then(|ranks| ranks.items).unwrap_or_default();
        // Every target is listed; 0 has one of which no link is known.
        let rank = |domain: &str| {
            let item = items.iter().find(|item| item.target.eq_ignore_ascii_case(domain))?;
            item.rank.filter(|rank| *rank > 0.0)
        };
        Ok(domains.iter().map(|domain| standing(rank(domain))).collect())
    }

    /// The result of the only task of a call to `backlinks/<function>/live`.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        asking: Asking<'_>,
        function: &str,
        task: &serde_json::Value,
    ) -> Result<Option<T>, SourceError> {
        let url = self.endpoint.join(&["v3", "backlinks", function, "live"]);
        let headers = [("authorization", self.authorization.expose()), ("content-type", "application/json")];
        let body = Some(task.to_string().into_bytes());
        let response = asking.send(url, self.endpoint.reach, &headers, body).await?;
        if response.status != 200 {
            return Err(SourceError::failed(format!("HTTP {}", response.status)));
        }
        let answer: Answer<T> = json(&response)?;
        judge(answer.status_code, &answer.status_message)?;
        let task = answer.tasks.and_then(|tasks| tasks.into_iter().next());
        let task = task.ok_or_else(|| SourceError::failed("the answer has no task"))?;
        judge(task.status_code, &task.status_message)?;
        Ok(task.result.and_then(|results| results.into_iter().next()))
    }
}

/// Tells the kinds of errors apart by their number.
fn judge(status: u64, message: &str) -> Result<(), SourceError> {
    match status {
        STATUS_OK => Ok(()),
        // Limits per minute and per day; the account's money has run out.
        40_202 | 40_203 | 40_209 => Err(SourceError::RateLimited { retry_after_ms: None }),
        40_100..=40_199 | 40_200 | 40_201 | 40_204 | 40_210 => {
            Err(SourceError::KeyRefused { detail: format!("status {status} inside the answer: {message}") })
        }
        _ => Err(SourceError::failed(format!("status {status} inside the answer: {message}"))),
    }
}

fn standing(rank: Option<f64>) -> Standing {
    let (place, said) = match rank.filter(|rank| (0.0..=1_000.0).contains(rank)) {
        Some(rank) => (Place::Scored(one_decimal(rank / 10.0)), format!("rank {rank} of 1000")),
        None => (Place::Unknown, "no such domain known".to_owned()),
    };
    Standing { source: NAME, url: "https://dataforseo.com/apis/backlinks-api".to_owned(), place, said }
}

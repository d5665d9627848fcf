//! What a result holds beside its signals: each query with the positions that were seen, so that a person can check the
//! numbers and other services need not search again.

use hermes_diagnosis::signal::Measurement;
use serde::{Deserialize, Serialize};

use super::locale::Locale;

/// Domains that are listed, the most visible first.
pub const DOMAINS_MAX: usize = 50;
/// Bytes of an address that is listed; a longer one is left out.
pub const URL_BYTES_MAX: usize = 500;

/// The result of the service: a measurement, and what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    /// The signals.
    #[serde(flatten)]
    pub measurement: Measurement,
    /// What they were made from.
    pub search: Searches,
}

/// What was searched for, and what was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Searches {
    /// From where and in which language.
    pub locale: Locale,
    /// The assumed shares of clicks by position, in words.
    pub ctr_curve: String,
    /// The search for the name of the owner, if there was one. It does not count among the queries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<SearchedQuery>,
    /// The queries.
    pub queries: Vec<SearchedQuery>,
    /// The most visible domains over all queries.
    pub domains: Vec<SeenDomain>,
}

/// One query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchedQuery {
    /// The words.
    pub query: String,
    /// Where they come from: `plan`, `site`, `search-console`, `structured data`, `titles`, `domain`.
    pub origin: String,
    /// The page of the site that the query is clearly about, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The site's best position among the organic results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Why there are no results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The organic results that were seen, best first.
    pub results: Vec<SeenResult>,
}

/// One organic result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenResult {
    /// Position among the organic results, from 1.
    pub rank: u32,
    /// The domain that it counts for.
    pub domain: String,
    /// Where it leads; absent if that is longer than [`URL_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// One domain over all queries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenDomain {
    /// The domain.
    pub domain: String,
    /// Queries for which it was seen.
    pub queries: u32,
    /// Its share of the assumed clicks on all results that were seen, 0 to 1.
    pub share: f64,
    /// Whether it is the site itself.
    #[serde(default)]
    pub is_own: bool,
}

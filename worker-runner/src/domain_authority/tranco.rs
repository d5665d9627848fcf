//! The Tranco list: a million domains by popularity, without a key.
//!
//! Source: https://tranco-list.eu/api_documentation (ranks of a domain, newest first; one request a second).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::score::{MILLION, Place, Standing, of_rank};
use super::source::{Asking, Endpoint, SourceError, json};

/// Base of the API.
pub const API: &str = "https://tranco-list.eu/api";
/// Names another base.
pub const TRANCO_ENDPOINT: &str = "TRANCO_ENDPOINT";

/// What people call it.
pub(super) const NAME: &str = "Tranco";

/// Asks Tranco.
#[derive(Clone, Debug)]
pub struct Tranco {
    endpoint: Endpoint,
}

/// What Tranco says.
#[derive(Clone, Debug, PartialEq)]
pub struct TrancoRank {
    /// The newest rank; `None` if the domain is not in the list.
    pub rank: Option<u64>,
    /// For the score.
    pub standing: Standing,
}

#[derive(Deserialize)]
struct Answer {
    ranks: Vec<Dated>,
}

#[derive(Deserialize)]
struct Dated {
    date: String,
    rank: u64,
}

impl Tranco {
    /// Reads where the API is.
    ///
    /// # Errors
    /// A sentence that names the variable that is wrong.
    pub fn new(environment: &BTreeMap<String, String>) -> Result<Self, String> {
        Ok(Self { endpoint: Endpoint::read(environment, TRANCO_ENDPOINT, API)? })
    }

    /// The newest rank of a registrable domain.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn look_up(&self, asking: Asking<'_>, domain: &str) -> Result<TrancoRank, SourceError> {
        let url = self.endpoint.join(&["ranks", "domain", domain]);
        let response = asking.send(url, self.endpoint.reach, &[("accept", "application/json")], None).await?;
        if response.status != 200 {
            return Err(SourceError::failed(format!("HTTP {}", response.status)));
        }
        let answer: Answer = json(&response)?;
        // Dates are of ISO 8601: their order is that of their text.
        let newest = answer.ranks.into_iter().filter(|dated| dated.rank > 0).max_by(|a, b| a.date.cmp(&b.date));
        let (place, said) = match &newest {
            Some(Dated { date, rank }) => (Place::Scored(of_rank(*rank, MILLION)), format!("rank {rank} on {date}")),
            None => (Place::Unlisted { among: MILLION }, "not among the first million".to_owned()),
        };
        let url = "https://tranco-list.eu/".to_owned();
        Ok(TrancoRank { rank: newest.map(|dated| dated.rank), standing: Standing { source: NAME, url, place, said } })
    }
}

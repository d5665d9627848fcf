//! Lists of the web's domains by rank that are kept on this machine, and what they say about one domain.
//!
//! Deliberately absent: getting the lists; `hermes data update` does that.

use async_trait::async_trait;

use crate::Timestamp;

/// A list that can be kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RankList {
    /// Domains by harmonic centrality in the web graph of Common Crawl.
    CommonCrawl,
    /// The Majestic Million: domains by the number of networks that link to them.
    Majestic,
}

impl RankList {
    /// All lists.
    pub const ALL: [Self; 2] = [Self::CommonCrawl, Self::Majestic];

    /// Short name: `common-crawl`, `majestic`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CommonCrawl => "common-crawl",
            Self::Majestic => "majestic",
        }
    }
}

/// What a list says about one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The list.
    pub list: RankList,
    /// How many domains of it are kept here, from the first on. A domain that is not among them ranks below.
    pub rows: u64,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// Where the domain stands; `None` if it is not among those kept.
    pub standing: Option<Standing>,
}

/// Where a domain stands in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its rank, from 1.
    pub rank: u64,
    /// The /24 networks that link to it, where the list counts them.
    pub ref_subnets: Option<u64>,
}

/// A list is there and cannot be read: fetch it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list {} cannot be read ({detail}); `hermes data update` fetches it again", .list.as_str())]
pub struct RanksError {
    /// The list.
    pub list: RankList,
    /// What is wrong with it.
    pub detail: String,
}

/// Reads lists. One value serves the whole process; a list that is replaced meanwhile is read anew.
#[async_trait]
pub trait Ranks: Send + Sync {
    /// What one list says about `domain` (registrable, in lower-case A-labels); `None` if the list is not kept here.
    ///
    /// # Errors
    /// [`RanksError`].
    async fn find(&self, list: RankList, domain: &str) -> Result<Option<Listing>, RanksError>;
}

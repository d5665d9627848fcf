//! domain-authority: how much the web thinks of a domain, and whether its registration, zone and certificates are in
//! order.
//!
//! It works without any key: DNS records, TLS certificates, the registry's RDAP, and the rank in the Tranco list. Keys
//! add Open PageRank and DataForSEO; `hermes data update` adds the lists of Common Crawl and Majestic. All sources are
//! asked at once. One that fails is a warning, and the measurement is partial; one that is not configured is absent.
//!
//! | signal | meaning |
//! |---|---|
//! | `auth.score` | 0 to 100 on a logarithmic scale of ranks, the median of the sources; `null` with an upper bound where none lists the domain |
//! | `auth.tranco_rank`, `auth.cc_harmonic_rank` | rank in the list |
//! | `auth.opr_decimal` | Open PageRank, 0 to 10 |
//! | `auth.ref_subnets`, `auth.referring_domains` | networks (Majestic) and domains (DataForSEO) that link to the domain |
//! | `auth.domain_age_days`, `auth.domain_expires_days` | whole days since the registration, and until it ends |
//! | `auth.tls_valid`, `auth.tls_expires_days` | whether browsers trust the certificates of the host (and of its `www` or bare neighbour); whole days until the first one ends |
//! | `auth.dns_ns_count`, `auth.dnssec`, `auth.spf_dmarc` | name servers, a signed delegation, both policies about mail |
//!
//! Ranks, registration and zone are those of the registrable domain. A name on a platform (`user.github.io`) has ranks
//! of its own and no registration; an address has a certificate only: what does not exist is neither good nor unknown.
//!
//! [`compare`] tells how far a domain is behind others, for the comparison with competitors.
//!
//! Deliberately absent: retries (a source that fails now is asked again by the next run), WHOIS, and comparisons
//! between providers: their scales differ.

pub mod certificates;
pub mod compare;
pub mod dataforseo;
pub mod lists;
pub mod open_page_rank;
pub mod rdap;
pub mod score;
mod signals;
pub mod source;
pub mod subject;
pub mod tranco;
pub mod zone;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::join;
use hermes_core::Domain;
use hermes_core::ports::http::{Http, Reach};
use hermes_core::ports::names::Names;
use hermes_core::ports::ranks::{RankList, Ranks};
use hermes_diagnosis::signal::Measurement;
use tokio::time::Instant;

use dataforseo::DataForSeo;
use open_page_rank::OpenPageRank;
use rdap::Rdap;
use signals::Gathered;
use source::Asking;
use subject::Subject;
use tranco::Tranco;

pub use compare::{BySource, Comparison, Incomparable};
pub use source::SourceError;

/// Time before the deadline in which nothing is waited for any more, at most.
pub const REPORT_RESERVE: Duration = Duration::from_secs(1);
/// The same as a share of the time there is: one part in this many, where that is shorter.
const REPORT_RESERVE_PARTS: u32 = 10;

/// The sources that one process asks.
pub struct Sources {
    rdap: Rdap,
    tranco: Tranco,
    page_rank: Option<OpenPageRank>,
    backlinks: Option<DataForSeo>,
    names: Option<Arc<dyn Names>>,
    ranks: Option<Arc<dyn Ranks>>,
    reach: Reach,
}

/// No source said anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no source could be asked about {host}: {detail}")]
pub struct NothingLearned {
    /// The host.
    pub host: String,
    /// What one of them said.
    pub detail: String,
    /// Whether a later attempt may do better: they, or the network, are down. No source knows a bare address, for one.
    pub may_pass: bool,
}

impl Sources {
    /// Reads from `environment` which providers there are. `names` and `ranks` are asked where they are given; hosts
    /// of the sites are connected to within `reach`.
    ///
    /// # Errors
    /// A sentence that names the variable that is wrong.
    pub fn new(
        environment: &BTreeMap<String, String>,
        names: Option<Arc<dyn Names>>,
        ranks: Option<Arc<dyn Ranks>>,
        reach: Reach,
    ) -> Result<Self, String> {
        Ok(Self {
            rdap: Rdap::new(environment)?,
            tranco: Tranco::new(environment)?,
            page_rank: OpenPageRank::new(environment)?,
            backlinks: DataForSeo::new(environment)?,
            names,
            ranks,
            reach,
        })
    }

    /// Whom it asks, and what would make it ask more: variables to set, mostly.
    #[must_use]
    pub fn in_words(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let (mut asked, mut more) = (Vec::new(), Vec::new());
        let mut tell = |is_asked, name, lack| if is_asked { asked.push(name) } else { more.push(lack) };
        tell(self.names.is_some(), "DNS, certificates", "DNS and certificates, which cannot be looked up here");
        tell(true, "RDAP", "");
        tell(true, tranco::NAME, "");
        tell(self.page_rank.is_some(), open_page_rank::NAME, open_page_rank::OPEN_PAGERANK_API_KEY);
        tell(self.backlinks.is_some(), dataforseo::NAME, dataforseo::DATAFORSEO_LOGIN);
        (asked, more)
    }

    /// Asks all sources about a domain. Ends [`REPORT_RESERVE`] (or a tenth of the time) before `deadline`, with what
    /// there is by then.
    ///
    /// # Errors
    /// [`NothingLearned`] if that is nothing.
    pub async fn measure(
        &self,
        http: &dyn Http,
        domain: &Domain,
        deadline: Instant,
    ) -> Result<Measurement, NothingLearned> {
        let left = deadline.saturating_duration_since(Instant::now());
        let stop_at = deadline - REPORT_RESERVE.min(left / REPORT_RESERVE_PARTS);
        let gathered = self.gather(Asking { http, stop_at }, Subject::of(domain)).await;
        if gathered.has_facts() {
            return Ok(gathered.measure());
        }
        let host = gathered.subject.host.clone();
        let failure = gathered.measure().warnings.into_iter().next().map(|warning| warning.detail);
        let may_pass = failure.is_some();
        let detail = failure.unwrap_or_else(|| "none knows a host like this".to_owned());
        Err(NothingLearned { host, detail, may_pass })
    }

    async fn gather(&self, asking: Asking<'_>, subject: Subject) -> Gathered {
        let site = subject.domain.as_ref().map(|domain| domain.name.as_str());
        // What is registered, if that is not somebody else's.
        let own = subject.domain.as_ref().filter(|domain| domain.platform.is_none()).map(|domain| domain.name.as_str());
        let zone = async {
            match (&self.names, own) {
                (Some(names), Some(domain)) => Some(zone::look_up(&**names, domain, asking.stop_at).await),
                _ => None,
            }
        };
        let certificates = async {
            match (&self.names, subject.tls_port) {
                (Some(names), Some(port)) => {
                    Some(certificates::look_at(&**names, &subject, port, self.reach, asking.stop_at).await)
                }
                _ => None,
            }
        };
        let registration = async { Some(self.rdap.look_up(asking, own?).await) };
        let tranco = async { Some(self.tranco.look_up(asking, site?).await) };
        let page_rank = async { Some(self.page_rank.as_ref()?.look_up(asking, site?).await) };
        let backlinks = async { Some(self.backlinks.as_ref()?.look_up(asking, site?).await) };
        let listings = self.listings(site, asking.stop_at);
        let (zone, certificates, registration, tranco, page_rank, backlinks, listings) =
            join!(zone, certificates, registration, tranco, page_rank, backlinks, listings);
        let now = self.names.as_ref().map(|names| names.now());
        Gathered { subject, now, zone, certificates, registration, tranco, page_rank, backlinks, listings }
    }

    async fn listings(
        &self,
        site: Option<&str>,
        stop_at: Instant,
    ) -> Vec<(RankList, Result<hermes_core::ports::ranks::Listing, SourceError>)> {
        let (Some(ranks), Some(site)) = (&self.ranks, site) else { return Vec::new() };
        let mut found = Vec::new();
        for list in RankList::ALL {
            let said = lists::look_up(&**ranks, list, site, stop_at).await.transpose();
            found.extend(said.map(|said| (list, said)));
        }
        found
    }
}

#[cfg(test)]
mod tests;

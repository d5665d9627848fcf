//! `comp.authority_gap`: how far the site is behind its competitors, by the sources of ranks that know both sides.

use hermes_core::Domain;
use hermes_core::ports::http::Http;
use hermes_diagnosis::signal::Method;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::rivals::Rival;
use super::signals::quality_by;
use crate::domain_authority::score::{Place, Standing as Said};
use crate::domain_authority::subject::SiteDomain;
use crate::domain_authority::{BySource, Comparison, Incomparable, Sources};
use crate::site::report::{Findings, Report};

const ID: &str = "comp.authority_gap";

/// What came of the comparison.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// One source at least knows both sides.
    Known(Comparison),
    /// None does.
    Unknown {
        /// Why.
        why: String,
        /// Whether that may be otherwise in a later run.
        has_failed: bool,
    },
    /// Nobody ranks hosts like the site's.
    Nameless(String),
}

/// Asks where the site and its competitors stand.
pub(super) async fn compare(
    http: &dyn Http,
    sources: Result<&Sources, &str>,
    domain: &Domain,
    rivals: &[Rival],
    stop_at: Instant,
) -> Standing {
    let unknown = |why: &str| Standing::Unknown { why: why.to_owned(), has_failed: false };
    let seed = domain.seeds().first().expect("a domain has at least one seed");
    let Some(own) = registrable(seed) else {
        return Standing::Nameless(format!("{} is no name under a public suffix", seed.host_str().unwrap_or_default()));
    };
    let mut others: Vec<String> = rivals.iter().filter_map(|rival| registrable(rival.seeds.first()?)).collect();
    others.retain(|other| *other != own);
    if others.is_empty() {
        return unknown("no competitor has a domain of its own under a public suffix");
    }
    let sources = match sources {
        Ok(sources) => sources,
        Err(why) => return unknown(why),
    };
    match sources.compare(http, &own, &others, stop_at).await {
        Ok(comparison) => Standing::Known(comparison),
        Err(error @ Incomparable { has_failed, .. }) => Standing::Unknown { why: error.to_string(), has_failed },
    }
}

fn registrable(url: &Url) -> Option<String> {
    SiteDomain::of(url.domain()?).map(|domain| domain.name)
}

/// Adds the signal; whether nothing failed.
pub(super) fn report(standing: &Standing, report: &mut Report) -> bool {
    match standing {
        Standing::Known(Comparison { gap, quality, by }) => {
            let mut found = Findings::new();
            for BySource { own, others, .. } in by {
                for (domain, standing) in others {
                    found.add(&standing.url, || in_words(domain, standing));
                }
                found.add(&own.url, || in_words("the site itself", own));
            }
            let n = by.iter().map(|one| one.others.len()).max().unwrap_or_default();
            report.push(ID, Value::from(*gap), Some(n as u64), found);
            report.qualify(Method::Api, quality.min(quality_by(n)));
            true
        }
        Standing::Unknown { why, has_failed } => {
            report.unknown(ID, why.clone());
            if *has_failed {
                report.warn("authority_not_compared", why.clone());
            }
            !has_failed
        }
        Standing::Nameless(why) => {
            report.none_of(ID, why.clone());
            true
        }
    }
}

fn in_words(domain: &str, standing: &Said) -> String {
    match standing.place {
        Place::Scored(score) => format!("{domain}: {score} of 100 by {} ({})", standing.source, standing.said),
        Place::Unlisted { .. } | Place::Unknown => format!("{domain}: {} by {}", standing.said, standing.source),
    }
}

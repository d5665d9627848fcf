//! What DNS says about the registrable domain: name servers, signatures, and who may send mail in its name.

use futures::join;
use hermes_core::ports::names::{DnsError, Names, RecordKind};
use tokio::time::{Instant, timeout_at};

/// The answers about one domain.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Name servers.
    pub ns: Result<Vec<String>, DnsError>,
    /// Delegation signers at the parent.
    pub ds: Result<Vec<String>, DnsError>,
    /// Mail servers.
    pub mx: Result<Vec<String>, DnsError>,
    /// Who may issue certificates.
    pub caa: Result<Vec<String>, DnsError>,
    /// The SPF policy. Source: RFC 7208, section 4.5.
    pub spf: Result<Option<String>, DnsError>,
    /// The DMARC policy. Source: RFC 7489, section 6.6.3.
    pub dmarc: Result<Option<String>, DnsError>,
}

/// Asks for everything at once; what is not answered by `stop_at` has timed out.
pub async fn look_up(names: &dyn Names, domain: &str, stop_at: Instant) -> Zone {
    let ask = async |name: &str, kind| {
        let late = || DnsError::Timeout { name: name.to_owned() };
        timeout_at(stop_at, names.records(name, kind)).await.unwrap_or_else(|_| Err(late()))
    };
    let below = format!("_dmarc.{domain}");
    let (ns, ds, mx, caa, texts, policies) = join!(
        ask(domain, RecordKind::Ns),
        ask(domain, RecordKind::Ds),
        ask(domain, RecordKind::Mx),
        ask(domain, RecordKind::Caa),
        ask(domain, RecordKind::Txt),
        ask(&below, RecordKind::Txt),
    );
    Zone {
        ns,
        ds,
        mx,
        caa,
        spf: texts.map(|texts| policy(texts, "v=spf1")),
        // That the name below does not exist is the usual way of having no policy.
        dmarc: match policies {
            Err(DnsError::NoSuchName { .. }) => Ok(None),
            other => other.map(|texts| policy(texts, "v=DMARC1")),
        },
    }
}

/// The record that begins with a version, which ends there or goes on with a separator.
fn policy(texts: Vec<String>, version: &str) -> Option<String> {
    texts.into_iter().find(|text| {
        let head = text.get(..version.len()).is_some_and(|head| head.eq_ignore_ascii_case(version));
        head && !text[version.len()..].starts_with(|next: char| next.is_ascii_alphanumeric())
    })
}

impl Zone {
    /// Whether the domain does not exist at all.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.ns, Err(DnsError::NoSuchName { .. }))
    }

    /// The first look-up without an answer.
    #[must_use]
    pub fn silence(&self) -> Option<&DnsError> {
        let policies = [self.spf.as_ref().err(), self.dmarc.as_ref().err()];
        let records = [&self.ns, &self.ds, &self.mx, &self.caa].map(|answer| answer.as_ref().err());
        records.into_iter().chain(policies).flatten().find(|error| !matches!(error, DnsError::NoSuchName { .. }))
    }

    /// Whether both policies are there; `None` if that cannot be told. One that is missing decides alone.
    #[must_use]
    pub fn has_mail_policies(&self) -> Option<bool> {
        match (&self.spf, &self.dmarc) {
            (Ok(None), _) | (_, Ok(None)) | (Err(DnsError::NoSuchName { .. }), _) => Some(false),
            (Ok(Some(_)), Ok(Some(_))) => Some(true),
            (Err(_), _) | (_, Err(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(spf: Result<Option<String>, DnsError>, dmarc: Result<Option<String>, DnsError>) -> Zone {
        let none = || Ok(Vec::new());
        Zone { ns: none(), ds: none(), mx: none(), caa: none(), spf, dmarc }
    }

    #[test]
    fn a_policy_is_told_by_its_version() {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            policy(texts(&["google-site-verification=1", "V=SPF1 -all"]), "v=spf1").as_deref(),
            Some("V=SPF1 -all")
        );
        assert_eq!(policy(texts(&["v=spf10 -all", "v=spf", "äöü"]), "v=spf1"), None);
        assert_eq!(policy(texts(&["v=DMARC1;p=none"]), "v=DMARC1").as_deref(), Some("v=DMARC1;p=none"));
    }

    #[test]
    fn a_policy_that_is_missing_decides_where_the_other_is_unknown() {
        let late = || Err(DnsError::Timeout { name: "example.com".to_owned() });
        let there = || Ok(Some("v=spf1 -all".to_owned()));
        assert_eq!(zone(there(), there()).has_mail_policies(), Some(true));
        assert_eq!(zone(late(), Ok(None)).has_mail_policies(), Some(false));
        assert_eq!(zone(late(), there()).has_mail_policies(), None);
        assert!(zone(late(), there()).silence().is_some());
    }
}

//! Makes signals of what the sources said.

use std::fmt::Display;

use hermes_core::Timestamp;
use hermes_core::ports::names::{DnsError, RecordKind};
use hermes_core::ports::ranks::{Listing, RankList};
use hermes_diagnosis::signal::{Measurement, MeasurementStatus, Method};
use serde_json::Value;

use super::certificates::{Shown, Validity};
use super::dataforseo::Backlinks;
use super::lists;
use super::open_page_rank::PageRank;
use super::rdap::Registration;
use super::score::{Place, Score, Standing, score};
use super::source::SourceError;
use super::subject::{SiteDomain, Subject};
use super::tranco::TrancoRank;
use super::zone::Zone;
use crate::site::report::{Findings, Report};

/// Name under which the service measures.
const PROVIDER: &str = "builtin-authority";

/// Trust in what name servers and hosts said themselves.
const QUALITY_SEEN: f64 = 0.95;
/// Trust in what a registry publishes.
const QUALITY_REGISTRY: f64 = 0.95;
/// Trust in the rank of a top list.
const QUALITY_RANK: f64 = 0.7;
/// Trust in a provider's count of links: crawls differ in what they see.
const QUALITY_COUNT: f64 = 0.7;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// What a source said: nothing if it was not asked.
pub(super) type Said<T> = Option<Result<T, SourceError>>;

/// Everything that one measurement learned.
pub(super) struct Gathered {
    pub(super) subject: Subject,
    pub(super) now: Option<Timestamp>,
    /// Nothing if DNS cannot be asked, or there is no domain of its own.
    pub(super) zone: Option<Zone>,
    pub(super) certificates: Option<Vec<Shown>>,
    pub(super) registration: Said<Option<Registration>>,
    pub(super) tranco: Said<TrancoRank>,
    pub(super) page_rank: Said<PageRank>,
    pub(super) backlinks: Said<Backlinks>,
    pub(super) listings: Vec<(RankList, Result<Listing, SourceError>)>,
}

/// The signals being made.
struct Maker {
    report: Report,
    /// Whether something that was asked for is missing.
    is_partial: bool,
}

impl Gathered {
    /// Whether any source said anything.
    pub(super) fn has_facts(&self) -> bool {
        let answered = |validity| !matches!(validity, Validity::Unknown(_));
        self.zone.as_ref().is_some_and(|zone| zone.is_missing() || zone.ns.is_ok() || zone.spf.is_ok())
            || self.certificates.iter().flatten().any(|shown| answered(shown.validity()))
            || matches!(self.registration, Some(Ok(_)))
            || matches!(self.tranco, Some(Ok(_)))
            || matches!(self.page_rank, Some(Ok(_)))
            || matches!(self.backlinks, Some(Ok(_)))
            || self.listings.iter().any(|(_, listing)| listing.is_ok())
    }

    pub(super) fn measure(self) -> Measurement {
        let mut maker = Maker { report: Report::default(), is_partial: false };
        maker.tls(&self);
        match &self.subject.domain {
            Some(domain) => {
                maker.ranks(&self);
                maker.authority(&self, domain);
                if let Some(platform) = &domain.platform {
                    let reason = format!("{} is a name on {platform}, without a registration of its own", domain.name);
                    maker.none_of(&REGISTRATION, &reason);
                    maker.none_of(&ZONE, &reason);
                } else {
                    maker.zone(&self, domain);
                    maker.registration(&self);
                }
            }
            None => {
                let reason = format!("{} is no name under a public suffix", self.subject.host);
                maker.none_of(&AUTHORITY, &reason);
                maker.none_of(&REGISTRATION, &reason);
                maker.none_of(&ZONE, &reason);
            }
        }
        let status = if maker.is_partial { MeasurementStatus::Partial } else { MeasurementStatus::Ok };
        maker.report.finish(PROVIDER, status, None)
    }
}

/// Signals about the standing of a domain that need no key.
const AUTHORITY: [&str; 2] = ["auth.score", "auth.tranco_rank"];
/// Signals about the registration.
const REGISTRATION: [&str; 2] = ["auth.domain_age_days", "auth.domain_expires_days"];
/// Signals about the zone.
const ZONE: [&str; 3] = ["auth.dns_ns_count", "auth.dnssec", "auth.spf_dmarc"];

impl Maker {
    fn none_of(&mut self, ids: &[&str], reason: &str) {
        for id in ids {
            self.report.none_of(id, reason);
        }
    }

    fn fact(&mut self, id: &str, value: impl Into<Value>, method: Method, quality: f64, found: Findings) {
        self.report.push(id, value.into(), None, found);
        self.report.qualify(method, quality);
    }

    /// A source that failed is a warning, and what it would have said is missing.
    fn warn(&mut self, source: &str, error: &SourceError) {
        // Having nothing about such names is a property of the source, no failure.
        self.is_partial |= !matches!(error, SourceError::NotAvailable { .. });
        let code = format!("{}_{}", source.to_ascii_lowercase().replace([' ', '-'], "_"), error.code());
        self.report.warn(&code, format!("{source}: {error}"));
    }

    /// What a source said, or a warning.
    fn heard<'a, T>(&mut self, source: &str, said: &'a Said<T>) -> Option<&'a T> {
        match said {
            Some(Ok(value)) => Some(value),
            Some(Err(error)) => {
                self.warn(source, error);
                None
            }
            None => None,
        }
    }

    fn ranks(&mut self, all: &Gathered) {
        if let Some(said) = self.heard("Tranco", &all.tranco) {
            self.rank("auth.tranco_rank", said.rank, &said.standing);
        } else {
            self.report.unknown("auth.tranco_rank", "Tranco could not be asked");
        }
        if let Some(said) = self.heard("Open PageRank", &all.page_rank) {
            match said.decimal {
                Some(decimal) => {
                    self.fact("auth.opr_decimal", decimal, Method::Api, QUALITY_RANK, seen(&said.standing));
                }
                None => self.report.unknown("auth.opr_decimal", said.standing.said.clone()),
            }
        }
        if let Some(said) = self.heard("DataForSEO", &all.backlinks)
            && let Some(domains) = said.referring_domains
        {
            self.fact("auth.referring_domains", domains, Method::Api, QUALITY_COUNT, seen(&said.standing));
        }
        for (list, said) in &all.listings {
            match said {
                Ok(listing) => self.listing(listing),
                Err(error) => self.warn(list.as_str(), error),
            }
        }
    }

    fn listing(&mut self, listing: &Listing) {
        let standing = lists::standing(listing);
        let found = listing.standing;
        match listing.list {
            RankList::CommonCrawl => self.rank("auth.cc_harmonic_rank", found.map(|found| found.rank), &standing),
            RankList::Majestic => match found.and_then(|found| found.ref_subnets) {
                Some(subnets) => {
                    self.fact("auth.ref_subnets", subnets, Method::Api, QUALITY_COUNT, seen(&standing));
                }
                None => self.report.unknown("auth.ref_subnets", standing.said),
            },
        }
    }

    /// A rank, or that the domain ranks below everything that the list has.
    fn rank(&mut self, id: &str, rank: Option<u64>, standing: &Standing) {
        match rank {
            Some(rank) => self.fact(id, rank, Method::Api, QUALITY_RANK, seen(standing)),
            None => self.report.unknown(id, standing.said.clone()),
        }
    }

    fn authority(&mut self, all: &Gathered, domain: &SiteDomain) {
        let mut standings: Vec<Standing> = Vec::new();
        standings.extend(all.tranco.iter().flatten().map(|said| said.standing.clone()));
        standings.extend(all.page_rank.iter().flatten().map(|said| said.standing.clone()));
        standings.extend(all.backlinks.iter().flatten().map(|said| said.standing.clone()));
        standings.extend(all.listings.iter().filter_map(|(_, said)| said.as_ref().ok()).map(lists::standing));
        match score(&standings) {
            Score::Known { value, quality, .. } => {
                let mut found = Findings::new();
                for standing in &standings {
                    found.add(&standing.url, || in_words(standing));
                }
                self.fact("auth.score", value, Method::Derived, quality, found);
            }
            Score::Below(bound) => {
                let sources: Vec<&str> = standings.iter().map(|standing| standing.source).collect();
                let detail =
                    format!("{} is not listed by {}: its score is below {bound}", domain.name, sources.join(", "));
                self.report.unknown("auth.score", detail.clone());
                self.report.warn("auth_score_below", detail);
            }
            Score::Unknown => self.report.unknown("auth.score", "no source knows the domain"),
        }
    }

    fn zone(&mut self, all: &Gathered, domain: &SiteDomain) {
        let Some(zone) = &all.zone else {
            self.is_partial = true;
            self.report.warn("dns_unavailable", "DNS cannot be asked from here");
            for id in ZONE {
                self.report.unknown(id, "DNS cannot be asked from here");
            }
            return;
        };
        if zone.is_missing() {
            self.report.warn("no_such_domain", format!("{} does not exist (NXDOMAIN)", domain.name));
        }
        if let Some(error) = zone.silence() {
            self.is_partial = true;
            let code = if matches!(error, DnsError::Timeout { .. }) { "dns_timeout" } else { "dns_failed" };
            self.report.warn(code, error.to_string());
        }
        let name = &domain.name;
        match &zone.ns {
            Err(DnsError::NoSuchName { .. }) => {
                let found = one(name, || "NXDOMAIN: the name does not exist".to_owned());
                self.fact("auth.dns_ns_count", 0, Method::Crawl, QUALITY_SEEN, found);
            }
            Ok(servers) => {
                let found = records(name, RecordKind::Ns, servers);
                self.fact("auth.dns_ns_count", servers.len(), Method::Crawl, QUALITY_SEEN, found);
            }
            Err(error) => self.report.unknown("auth.dns_ns_count", error.to_string()),
        }
        self.dnssec(all, zone, name);
        match zone.has_mail_policies() {
            Some(both) => {
                let found = mail_policies(zone, name);
                self.fact("auth.spf_dmarc", both, Method::Crawl, QUALITY_SEEN, found);
            }
            None => self.report.unknown("auth.spf_dmarc", "the policies could not be looked up"),
        }
    }

    /// Signed is what has a signer at its parent; where DNS is silent, what the registry publishes.
    fn dnssec(&mut self, all: &Gathered, zone: &Zone, name: &str) {
        let published = match &all.registration {
            Some(Ok(Some(registration))) => registration.delegation_signed,
            _ => None,
        };
        match (&zone.ds, published) {
            (Ok(signers), _) => {
                let found = records(name, RecordKind::Ds, signers);
                self.fact("auth.dnssec", !signers.is_empty(), Method::Crawl, QUALITY_SEEN, found);
            }
            (Err(DnsError::NoSuchName { .. }), _) => self.report.unknown("auth.dnssec", "the domain does not exist"),
            (Err(_), Some(signed)) => {
                let found = one(name, || "the registry's word, DNS did not answer".to_owned());
                self.fact("auth.dnssec", signed, Method::Api, QUALITY_REGISTRY, found);
            }
            (Err(error), None) => self.report.unknown("auth.dnssec", error.to_string()),
        }
    }

    fn registration(&mut self, all: &Gathered) {
        let registration = match &all.registration {
            Some(Ok(Some(registration))) => registration,
            Some(Ok(None)) => return self.no_registration("the registry knows no such registration"),
            Some(Err(error)) => {
                self.warn("RDAP", error);
                return self.no_registration(error);
            }
            None => return self.no_registration("the registry was not asked"),
        };
        let Some(now) = all.now else { return self.no_registration("the time of day is not known") };
        let age = registration.registered_at.map(|at| (at, days_between(at, now)));
        let rest = registration.expires_at.map(|at| (at, days_between(now, at)));
        let dates = [("auth.domain_age_days", age, "registered"), ("auth.domain_expires_days", rest, "expires")];
        for (id, date, what) in dates {
            match date {
                Some((at, days)) => {
                    let states = registration.status.join(", ");
                    let found = one(&registration.server, || format!("{what} {at}; {states}"));
                    self.fact(id, days, Method::Api, QUALITY_REGISTRY, found);
                }
                None => self.report.unknown(id, format!("{} does not publish it", registration.server)),
            }
        }
    }

    fn no_registration(&mut self, reason: impl Display) {
        for id in REGISTRATION {
            self.report.unknown(id, reason.to_string());
        }
    }

    fn tls(&mut self, all: &Gathered) {
        const IDS: [&str; 2] = ["auth.tls_valid", "auth.tls_expires_days"];
        if all.subject.tls_port.is_none() {
            return self.none_of(&IDS, "the address names a port without TLS: there is no certificate");
        }
        let Some(certificates) = &all.certificates else {
            self.is_partial = true;
            self.report.warn("tls_unavailable", "certificates cannot be looked at from here");
            for id in IDS {
                self.report.unknown(id, "certificates cannot be looked at from here");
            }
            return;
        };
        self.tls_valid(all, certificates);
        let ends = certificates.iter().filter_map(|shown| shown.handshake.as_ref().ok());
        let nearest = ends.map(|handshake| handshake.certificate.not_after).min();
        match nearest.zip(all.now) {
            Some((end, now)) => {
                let days = days_between(now, end);
                self.fact("auth.tls_expires_days", days, Method::Crawl, QUALITY_SEEN, shown(certificates));
            }
            None => self.report.unknown("auth.tls_expires_days", "no certificate was shown"),
        }
    }

    /// One host whose certificate is not trusted is enough: visitors type both names. Where nothing is known about the
    /// host of the run itself, a neighbour that is in order says nothing.
    fn tls_valid(&mut self, all: &Gathered, certificates: &[Shown]) {
        let mut valid = None;
        let mut unknown = None;
        for one in certificates {
            match one.validity() {
                Validity::Invalid(_) if one.is_subject || one.handshake.is_ok() => valid = Some(false),
                // A neighbour that offers no TLS at all is not offered to visitors.
                Validity::Invalid(_) => {}
                Validity::Valid if one.is_subject => valid = valid.or(Some(true)),
                Validity::Valid => {}
                Validity::Unknown(why) if one.is_subject => unknown = Some(why),
                Validity::Unknown(_) => {}
            }
        }
        if let Some(why) = &unknown {
            self.is_partial = true;
            self.report.warn("tls_unknown", why.clone());
        }
        match valid {
            Some(valid) => {
                let mut found = shown(certificates);
                for authority in all.zone.iter().filter_map(|zone| zone.caa.as_ref().ok()).flatten() {
                    found.add(&all.subject.host, || format!("CAA {authority}"));
                }
                self.fact("auth.tls_valid", valid, Method::Crawl, QUALITY_SEEN, found);
            }
            None => {
                let why = unknown.unwrap_or_else(|| "no handshake came about".to_owned());
                self.report.unknown("auth.tls_valid", why);
            }
        }
    }
}

/// Whole days from one point in time to another, negative if that is earlier.
fn days_between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millis().saturating_sub(from.as_millis()).div_euclid(DAY_MS)
}

fn one(place: &str, detail: impl FnOnce() -> String) -> Findings {
    let mut found = Findings::new();
    found.add(place, detail);
    found
}

fn seen(standing: &Standing) -> Findings {
    one(&standing.url, || standing.said.clone())
}

fn in_words(standing: &Standing) -> String {
    match standing.place {
        Place::Scored(value) => {
            format!("{}: {}, {} of 100", standing.source, standing.said, super::score::one_decimal(value))
        }
        Place::Unlisted { .. } | Place::Unknown => format!("{}: {}", standing.source, standing.said),
    }
}

fn records(name: &str, kind: RecordKind, records: &[String]) -> Findings {
    let mut found = Findings::new();
    for record in records {
        found.add(name, || format!("{} {record}", kind.as_str()));
    }
    found
}

fn mail_policies(zone: &Zone, name: &str) -> Findings {
    let mut found = Findings::new();
    let policies = [("SPF", name.to_owned(), &zone.spf), ("DMARC", format!("_dmarc.{name}"), &zone.dmarc)];
    for (what, place, policy) in policies {
        let policy = policy.as_ref().ok().and_then(Option::as_ref);
        found.add(place, || policy.map_or_else(|| format!("no {what} policy"), |policy| format!("TXT {policy}")));
    }
    for mail in zone.mx.iter().flatten() {
        found.add(name, || format!("{} {mail}", RecordKind::Mx.as_str()));
    }
    found
}

fn shown(certificates: &[Shown]) -> Findings {
    let mut found = Findings::new();
    for one in certificates {
        found.add(one.url(), || one.said());
    }
    found
}

//! The service over a web and a DNS in memory. Every answer has the shape that its source documents; the documents are
//! named beside the fixtures.

mod fixtures;
mod providers;
mod whole;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::Timestamp;
use hermes_core::ports::http::Reach;
use hermes_core::ports::names::{
    Certificate, Distrust, DnsError, Handshake, HandshakeError, HandshakeRequest, Names, RecordKind,
};
use hermes_core::ports::ranks::{Listing, RankList, Ranks, RanksError};
use hermes_diagnosis::signal::{Measurement, Signal};
use tokio::time::Instant;

use super::*;
use crate::site::fake::FakeSite;

/// The time of day of all tests.
const NOW: &str = "2026-11-22T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a date-time")
}

/// Names in memory. A name that is not in it does not exist; a host that is not in it has no address.
#[derive(Default)]
struct FakeNames {
    records: HashMap<(String, RecordKind), Result<Vec<String>, DnsError>>,
    hosts: HashMap<String, Result<Handshake, HandshakeError>>,
}

impl FakeNames {
    /// `example.co.uk` in perfect order.
    fn in_order() -> Self {
        let mut names = Self::default();
        let domain = "example.co.uk";
        names = names
            .says(domain, RecordKind::Ns, &["ns1.example.net", "ns2.example.net"])
            .says(domain, RecordKind::Ds, &["60485 13 2"])
            .says(domain, RecordKind::Mx, &["10 mail.example.co.uk"])
            .says(domain, RecordKind::Caa, &["0 issue ca.example"])
            .says(domain, RecordKind::Txt, &["v=spf1 -all"])
            .says("_dmarc.example.co.uk", RecordKind::Txt, &["v=DMARC1; p=reject"]);
        for host in [domain, "www.example.co.uk"] {
            names = names.shows(host, "2026-12-22T11:00:00Z", Ok(()));
        }
        names
    }

    fn says(mut self, name: &str, kind: RecordKind, texts: &[&str]) -> Self {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.records.insert((name.to_owned(), kind), Ok(texts));
        self
    }

    fn silent(mut self, name: &str, kind: RecordKind) -> Self {
        self.records.insert((name.to_owned(), kind), Err(DnsError::Timeout { name: name.to_owned() }));
        self
    }

    fn shows(mut self, host: &str, until: &str, trust: Result<(), Distrust>) -> Self {
        let certificate = Certificate {
            not_before: at("2026-09-22T12:00:00Z"),
            not_after: at(until),
            names: vec![host.to_owned()],
            issuer: "Example Trust (R1)".to_owned(),
        };
        let (address, protocol) = ("192.0.2.1".to_owned(), "TLS 1.3".to_owned());
        self.hosts.insert(host.to_owned(), Ok(Handshake { address, protocol, certificate, trust }));
        self
    }

    fn refuses(mut self, host: &str, error: HandshakeError) -> Self {
        self.hosts.insert(host.to_owned(), Err(error));
        self
    }
}

#[async_trait]
impl Names for FakeNames {
    async fn records(&self, name: &str, kind: RecordKind) -> Result<Vec<String>, DnsError> {
        if let Some(answer) = self.records.get(&(name.to_owned(), kind)) {
            return answer.clone();
        }
        match self.records.keys().any(|(known, _)| known == name) {
            true => Ok(Vec::new()),
            false => Err(DnsError::NoSuchName { name: name.to_owned() }),
        }
    }

    async fn handshake(&self, request: HandshakeRequest) -> Result<Handshake, HandshakeError> {
        let none = || Err(HandshakeError::NoAddress { host: request.host.clone() });
        self.hosts.get(&request.host).cloned().unwrap_or_else(none)
    }

    fn now(&self) -> Timestamp {
        at(NOW)
    }
}

/// Lists in memory.
#[derive(Default)]
struct FakeRanks(Vec<Result<Listing, RanksError>>);

#[async_trait]
impl Ranks for FakeRanks {
    async fn find(&self, list: RankList, _: &str) -> Result<Option<Listing>, RanksError> {
        let of_it = self.0.iter().find(|said| match said {
            Ok(listing) => listing.list == list,
            Err(error) => error.list == list,
        });
        of_it.cloned().transpose()
    }
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Keys for every provider.
fn all_keys() -> BTreeMap<String, String> {
    environment(&[
        ("OPEN_PAGERANK_API_KEY", "opr-canary"),
        ("DATAFORSEO_LOGIN", "login-canary"),
        ("DATAFORSEO_PASSWORD", "password-canary"),
    ])
}

fn sources(environment: &BTreeMap<String, String>, names: FakeNames) -> Sources {
    Sources::new(environment, Some(Arc::new(names)), None, Reach::Public).expect("configured well")
}

fn in_half_a_minute() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

async fn measure(sources: &Sources, web: &FakeSite, domain: &str) -> Measurement {
    let domain = domain.parse().expect("a domain");
    sources.measure(web, &domain, in_half_a_minute()).await.expect("something is learned")
}

fn signal<'a>(measurement: &'a Measurement, id: &str) -> &'a Signal {
    let found = measurement.signals.iter().find(|signal| signal.id == id);
    found.unwrap_or_else(|| panic!("no {id} in {:?}", measurement.signals))
}

fn codes(measurement: &Measurement) -> Vec<&str> {
    measurement.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

//! DNS look-ups whose three kinds of silence are told apart: no such name, no such records, no answer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hermes_core::ports::names::{DnsError, RecordKind};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as Answered, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

/// Longest wait for one datagram.
const ANSWER_TIMEOUT_MS: u64 = 2_000;
/// How often one question is sent again: datagrams get lost.
const ATTEMPTS: usize = 2;
/// Number of DS among the record types. Source: RFC 4034, section 5.
const TYPE_DS: u16 = 43;

/// Asks name servers.
pub(super) struct Resolver {
    inner: TokioResolver,
}

impl Resolver {
    /// Asks `server`, else the servers of the system.
    pub(super) fn new(server: Option<SocketAddr>) -> Result<Self, String> {
        let mut builder = match server {
            Some(address) => {
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![one_server(address)]);
                let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
                // The file of hosts belongs to the system's servers.
                builder.options_mut().use_hosts_file = ResolveHosts::Never;
                builder
            }
            None => TokioResolver::builder_tokio().map_err(|error| error.to_string())?,
        };
        limit(builder.options_mut());
        Ok(Self { inner: builder.build().map_err(|error| error.to_string())? })
    }

    /// The records of one kind at a name, sorted.
    pub(super) async fn records(&self, name: &str, kind: RecordKind) -> Result<Vec<String>, DnsError> {
        let found = match self.inner.lookup(absolute(name)?, record_type(kind)).await {
            Ok(found) => found,
            Err(error) if has_no_such_records(&error) => return Ok(Vec::new()),
            Err(error) => return Err(classify(&error, name)),
        };
        let mut texts: Vec<String> = found.answers().iter().filter_map(|record| text(kind, &record.data)).collect();
        texts.sort_unstable();
        texts.dedup();
        Ok(texts)
    }

    /// The addresses of a host; empty if it exists and has none.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        match self.inner.lookup_ip(absolute(host)?).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if has_no_such_records(&error) => Ok(Vec::new()),
            Err(error) => Err(classify(&error, host)),
        }
    }
}

fn one_server(address: SocketAddr) -> NameServerConfig {
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    NameServerConfig::new(address.ip(), true, vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())])
}

fn limit(options: &mut ResolverOpts) {
    options.timeout = Duration::from_millis(ANSWER_TIMEOUT_MS);
    options.attempts = ATTEMPTS;
}

/// The name as the root sees it: no search domain of this machine may come into a diagnosis.
fn absolute(name: &str) -> Result<Name, DnsError> {
    let parsed = Name::from_utf8(name).map(|mut parsed| {
        parsed.set_fqdn(true);
        parsed
    });
    parsed.map_err(|error| DnsError::Failure { name: name.to_owned(), detail: error.to_string() })
}

const fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::Ns => RecordType::NS,
        RecordKind::Mx => RecordType::MX,
        RecordKind::Txt => RecordType::TXT,
        RecordKind::Ds => RecordType::DS,
        RecordKind::Caa => RecordType::CAA,
    }
}

/// A record as text; `None` for what came along without having been asked for (`CNAME`, signatures).
fn text(kind: RecordKind, data: &RData) -> Option<String> {
    match (kind, data) {
        (RecordKind::Ns, RData::NS(server)) => Some(bare(&server.0)),
        (RecordKind::Mx, RData::MX(mail)) => Some(format!("{} {}", mail.preference, bare(&mail.exchange))),
        (RecordKind::Txt, RData::TXT(text)) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
        (RecordKind::Ds, RData::Unknown { code, rdata }) if u16::from(*code) == TYPE_DS => signer(&rdata.anything),
        (RecordKind::Caa, RData::CAA(caa)) => {
            let flags = (u8::from(caa.issuer_critical) << 7) | caa.reserved_flags;
            Some(format!("{flags} {} {}", caa.tag, String::from_utf8_lossy(&caa.value)))
        }
        _ => None,
    }
}

/// A name without the dot of the root; the root itself (a mail server of `.` says that there is none, RFC 7505) stays.
fn bare(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    if text == "." { text } else { text.trim_end_matches('.').to_owned() }
}

/// Source: RFC 4034, section 5.1.
fn signer(data: &[u8]) -> Option<String> {
    match data {
        [high, low, algorithm, digest_type, _, ..] => {
            Some(format!("{} {algorithm} {digest_type}", u16::from_be_bytes([*high, *low])))
        }
        _ => None,
    }
}

fn has_no_such_records(error: &NetError) -> bool {
    matches!(error, NetError::Dns(Answered::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError)
}

fn classify(error: &NetError, name: &str) -> DnsError {
    let name = name.to_owned();
    match error {
        _ if error.is_nx_domain() => DnsError::NoSuchName { name },
        NetError::Timeout => DnsError::Timeout { name },
        NetError::Dns(Answered::ResponseCode(code)) => DnsError::Failure { name, detail: code_name(*code) },
        other => DnsError::Failure { name, detail: other.to_string() },
    }
}

/// As the registry spells it. Source: https://www.iana.org/assignments/dns-parameters, DNS RCODEs.
fn code_name(code: ResponseCode) -> String {
    format!("{code:?}").to_ascii_uppercase()
}

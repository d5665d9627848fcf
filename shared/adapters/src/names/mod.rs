//! The port [`Names`]: DNS records by a resolver of our own, and the facts of TLS handshakes.
//!
//! Hosts are resolved by the same name servers whose records are reported, and every address is judged by the guard
//! of outgoing HTTP before it is dialled.
//!
//! Deliberately absent: retries beyond what a lost datagram needs, and any use of a connection beyond its handshake.

mod certificate;
mod dns;
#[cfg(test)]
mod dns_tests;
mod tls;
#[cfg(test)]
mod tls_tests;
mod verdict;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use hermes_core::Timestamp;
use hermes_core::ports::names::{DnsError, Handshake, HandshakeError, HandshakeRequest, Names, RecordKind};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use tracing::warn;

use crate::clock;

/// Names the name server to ask instead of the system's: an address with its port, such as `127.0.0.1:53`.
pub const DNS_ENDPOINT: &str = "DNS_ENDPOINT";

/// The names cannot be looked up at all. Completes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The variable is wrong: correct it.
    #[error("read {DNS_ENDPOINT}: {text:?} is no address with a port, such as 127.0.0.1:53")]
    Endpoint {
        /// What it says.
        text: String,
    },
    /// The system's configuration names no usable name server.
    #[error("set up DNS: {detail}; does /etc/resolv.conf name a server?")]
    System {
        /// What the library said.
        detail: String,
    },
}

/// The names as a process is equipped with them. A system that names no name server gets none, with a warning: nothing
/// else needs them.
///
/// # Errors
/// [`SetupError::Endpoint`], which only its author can correct.
pub fn equip(environment: &BTreeMap<String, String>) -> Result<Option<Arc<dyn Names>>, SetupError> {
    match NameClient::new(environment) {
        Ok(client) => Ok(Some(Arc::new(client))),
        Err(error @ SetupError::System { .. }) => {
            warn!(%error, "names cannot be looked up");
            Ok(None)
        }
        Err(error @ SetupError::Endpoint { .. }) => Err(error),
    }
}

/// Looks up names and shakes hands with hosts.
pub struct NameClient {
    resolver: dns::Resolver,
    roots: Vec<CertificateDer<'static>>,
    verifier: OnceLock<Result<Arc<dyn ServerCertVerifier>, String>>,
}

impl NameClient {
    /// Asks the name server that [`DNS_ENDPOINT`] names in `environment`, else those of the system. Opens nothing.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(environment: &BTreeMap<String, String>) -> Result<Self, SetupError> {
        let server = match environment.get(DNS_ENDPOINT).map(|text| text.trim()).filter(|text| !text.is_empty()) {
            Some(text) => {
                let server: Result<SocketAddr, _> = text.parse();
                Some(server.map_err(|_| SetupError::Endpoint { text: text.to_owned() })?)
            }
            None => None,
        };
        let resolver = dns::Resolver::new(server).map_err(|detail| SetupError::System { detail })?;
        Ok(Self { resolver, roots: Vec::new(), verifier: OnceLock::new() })
    }

    /// Trusts these authorities too.
    #[must_use]
    pub fn trusting(self, roots: Vec<CertificateDer<'static>>) -> Self {
        Self { roots, ..self }
    }
}

#[async_trait]
impl Names for NameClient {
    async fn records(&self, name: &str, kind: RecordKind) -> Result<Vec<String>, DnsError> {
        self.resolver.records(name, kind).await
    }

    async fn handshake(&self, request: HandshakeRequest) -> Result<Handshake, HandshakeError> {
        let verifier = self.verifier.get_or_init(|| verdict::verifier(self.roots.clone())).clone();
        let limit = request.timeout;
        let host = request.host.clone();
        let shaken = async {
            let verifier = verifier.map_err(|detail| HandshakeError::Tls { host: host.clone(), detail })?;
            tls::shake(&self.resolver, verifier, &request).await
        };
        tokio::time::timeout(limit, shaken).await.unwrap_or_else(|_| {
            let timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            Err(HandshakeError::Timeout { host: host.clone(), timeout_ms })
        })
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }
}

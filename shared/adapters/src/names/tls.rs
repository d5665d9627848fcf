//! One handshake: resolve, judge the addresses, dial, shake hands, hang up.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hermes_core::ports::http::Reach;
use hermes_core::ports::names::{DnsError, Handshake, HandshakeError, HandshakeRequest};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::certificate;
use super::dns::Resolver;
use super::verdict::{Recorder, distrust};
use crate::http::guard;

/// Addresses of one host that are dialled, at most.
const ADDRESSES_MAX: usize = 4;
/// Longest wait for one of them, so that one that drops packets does not keep the others from being tried.
const DIAL_TIMEOUT_MS: u64 = 4_000;

/// Performs one handshake. The caller limits its time.
pub(super) async fn shake(
    resolver: &Resolver,
    judge: Arc<dyn ServerCertVerifier>,
    request: &HandshakeRequest,
) -> Result<Handshake, HandshakeError> {
    let addresses = judged(resolver, request).await?;
    let (stream, address) = dial(&addresses, request).await?;
    let failed = |detail: String| HandshakeError::Tls { host: request.host.clone(), detail };

    let recorder = Arc::new(Recorder::new(judge));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(recorder.clone())
        .with_no_client_auth();
    let bare = request.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).map_err(|error| failed(error.to_string()))?;
    let mut session =
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| failed(innermost(&error)))?;
    let protocol = protocol(session.get_ref().1.protocol_version());
    // The facts are here; whether the peer hears the farewell does not matter.
    session.shutdown().await.ok();

    let shown = recorder.take().ok_or_else(|| failed("the host showed no certificate".to_owned()))?;
    let read = certificate::read(&shown.certificate).map_err(failed)?;
    let trust = shown.verdict.map_err(|error| distrust(&error, read.is_self_issued));
    Ok(Handshake { address: address.ip().to_string(), protocol, certificate: read.facts, trust })
}

/// The addresses of the host, judged before anything is dialled.
async fn judged(resolver: &Resolver, request: &HandshakeRequest) -> Result<Vec<SocketAddr>, HandshakeError> {
    let host = &request.host;
    let literal: Result<IpAddr, _> = host.trim_start_matches('[').trim_end_matches(']').parse();
    let found = match literal {
        Ok(address) => vec![address],
        Err(_) => match resolver.addresses(host).await {
            Ok(found) => found,
            Err(DnsError::NoSuchName { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        },
    };
    if found.is_empty() {
        return Err(HandshakeError::NoAddress { host: host.clone() });
    }
    let found = found.into_iter().map(|address| SocketAddr::new(address, request.port)).collect();
    match request.reach {
        Reach::Any => Ok(found),
        Reach::Public => guard::judge(found).map_err(|offending| HandshakeError::Refused {
            host: host.clone(),
            address: offending.address.to_string(),
        }),
    }
}

/// The first of the addresses that answers.
async fn dial(addresses: &[SocketAddr], request: &HandshakeRequest) -> Result<(TcpStream, SocketAddr), HandshakeError> {
    let host = request.host.clone();
    let mut last = None;
    for address in addresses.iter().take(ADDRESSES_MAX) {
        match timeout(Duration::from_millis(DIAL_TIMEOUT_MS), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, *address)),
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = Some(io::ErrorKind::TimedOut.into()),
        }
    }
    Err(match last {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            HandshakeError::NotListening { host, port: request.port }
        }
        Some(error) if error.kind() == io::ErrorKind::TimedOut => {
            HandshakeError::Timeout { host, timeout_ms: DIAL_TIMEOUT_MS }
        }
        error => HandshakeError::Connect { host, detail: error.map(|error| error.to_string()).unwrap_or_default() },
    })
}

fn protocol(version: Option<ProtocolVersion>) -> String {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        Some(other) => format!("{other:?}"),
        None => "TLS".to_owned(),
    }
}

/// The TLS library's own words, where it wraps them.
fn innermost(error: &io::Error) -> String {
    error.get_ref().map_or_else(|| error.to_string(), ToString::to_string)
}

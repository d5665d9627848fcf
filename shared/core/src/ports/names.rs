//! What plain HTTP cannot tell about a name: its DNS records and the certificate that its host shows.
//!
//! Deliberately absent: judgements (the services make signals of facts), retries, and DNSSEC validation: whether a
//! zone is signed is read from its delegation.

use std::time::Duration;

use async_trait::async_trait;

use super::http::Reach;
use crate::Timestamp;

/// The kinds of DNS records that the services read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// Name servers: `ns1.example.com`.
    Ns,
    /// Mail servers with their preference: `10 mail.example.com`.
    Mx,
    /// Texts, the strings of one record joined without a space, as RFC 7208, section 3.3 asks.
    Txt,
    /// Delegation signers: `<key tag> <algorithm> <digest type>`. One is enough for a signed delegation.
    Ds,
    /// Which certificate authorities may issue: `0 issue letsencrypt.org`.
    Caa,
}

impl RecordKind {
    /// The name of the type, as zone files write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ns => "NS",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Ds => "DS",
            Self::Caa => "CAA",
        }
    }
}

/// Why there is no answer from DNS. That a name does not exist is an answer about it; the other two are not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// NXDOMAIN: the name does not exist. Asking again will not help.
    #[error("{name} does not exist (NXDOMAIN)")]
    NoSuchName {
        /// The name.
        name: String,
    },
    /// No name server answered in time. Nothing is known about the name.
    #[error("no name server answered in time about {name}")]
    Timeout {
        /// The name.
        name: String,
    },
    /// A name server failed or refused. Nothing is known about the name.
    #[error("the name servers could not answer about {name} ({detail})")]
    Failure {
        /// The name.
        name: String,
        /// What they said: `SERVFAIL` …
        detail: String,
    },
}

/// One TLS handshake to perform.
#[derive(Clone, Debug)]
pub struct HandshakeRequest {
    /// A name in A-labels, or an address. It is also the name that is sent (SNI) and that the certificate must have.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Which addresses may be reached.
    pub reach: Reach,
    /// Resolving, connecting and the handshake must end within this.
    pub timeout: Duration,
}

/// What a host showed in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The address that was connected to.
    pub address: String,
    /// `TLS 1.2` or `TLS 1.3`.
    pub protocol: String,
    /// The certificate of the host itself.
    pub certificate: Certificate,
    /// Whether browsers would trust it for this host now, and why not.
    pub trust: Result<(), Distrust>,
}

/// The facts of a certificate. Source: RFC 5280.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// When it begins to be valid.
    pub not_before: Timestamp,
    /// When it ends to be valid.
    pub not_after: Timestamp,
    /// The names and addresses that it is for (subject alternative names), in order.
    pub names: Vec<String>,
    /// Who issued it: the organisation and common name.
    pub issuer: String,
}

/// Why a certificate is not trusted; the first reason that was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Its time is over.
    #[error("the certificate has expired")]
    Expired,
    /// Its time has not begun.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// It is for other names.
    #[error("the certificate is not for this name")]
    WrongName,
    /// It vouches for itself.
    #[error("the certificate is self-signed")]
    SelfSigned,
    /// Its chain does not lead to an authority that this machine trusts; often an intermediate certificate is missing.
    #[error("the certificate chain does not lead to a trusted authority")]
    UnknownIssuer,
    /// It was withdrawn.
    #[error("the certificate was revoked")]
    Revoked,
    /// Something else, in the words of the TLS library.
    #[error("the certificate is not acceptable ({0})")]
    Other(String),
}

/// Why there was no handshake. The messages hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// [`Reach::Public`] was asked for and the host is, or resolves to, something else. Nothing was sent.
    #[error("refused to connect to {host}: {address} is not a public address")]
    Refused {
        /// The host.
        host: String,
        /// The offending address.
        address: String,
    },
    /// The host has no address.
    #[error("{host} has no address")]
    NoAddress {
        /// The host.
        host: String,
    },
    /// The address could not be looked up.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// Nothing listens there: the connection was refused. That is an answer; the next one is not.
    #[error("{host} does not listen on port {port}")]
    NotListening {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// The connection could not be made or broke.
    #[error("connection to {host} failed ({detail})")]
    Connect {
        /// The host.
        host: String,
        /// What the system said.
        detail: String,
    },
    /// The host answered, and no TLS session came of it: it speaks no TLS, or none that is still allowed.
    #[error("TLS with {host} failed ({detail})")]
    Tls {
        /// The host.
        host: String,
        /// What the TLS library said.
        detail: String,
    },
    /// [`HandshakeRequest::timeout`] passed.
    #[error("no TLS handshake with {host} within {timeout_ms} ms")]
    Timeout {
        /// The host.
        host: String,
        /// The limit that passed.
        timeout_ms: u64,
    },
}

/// Looks up names and shakes hands with hosts. One value serves the whole process.
#[async_trait]
pub trait Names: Send + Sync {
    /// The records of one kind at a name, in order of their text. An empty list says that the name exists and has none.
    ///
    /// # Errors
    /// [`DnsError`].
    async fn records(&self, name: &str, kind: RecordKind) -> Result<Vec<String>, DnsError>;

    /// Performs one handshake and hangs up. A certificate that is not trusted is no error: it is what was asked for.
    ///
    /// # Errors
    /// [`HandshakeError`].
    async fn handshake(&self, request: HandshakeRequest) -> Result<Handshake, HandshakeError>;

    /// The time of day by which certificates are judged, and the age of what is dated.
    fn now(&self) -> Timestamp;
}

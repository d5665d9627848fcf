//! The certificates of the hosts that visitors type.

use std::time::Duration;

use futures::future::join_all;
use hermes_core::ports::http::Reach;
use hermes_core::ports::names::{Handshake, HandshakeError, HandshakeRequest, Names};
use tokio::time::Instant;

use super::subject::Subject;

/// Longest single handshake, look-up included.
pub const HANDSHAKE_MS: u64 = 10_000;

/// What one host showed.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is the host of the run, and not its neighbour (`www` or the bare domain).
    pub is_subject: bool,
    /// What came.
    pub handshake: Result<Handshake, HandshakeError>,
}

/// What a handshake says about the validity of the host's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Browsers trust it.
    Valid,
    /// They do not, or get no TLS at all; why.
    Invalid(String),
    /// It could not be learned; why.
    Unknown(String),
}

/// Shakes hands with all hosts of the subject at once.
pub async fn look_at(names: &dyn Names, subject: &Subject, port: u16, reach: Reach, stop_at: Instant) -> Vec<Shown> {
    let hosts = subject.tls_hosts();
    let handshakes = hosts.into_iter().map(async |host| {
        let left = stop_at.saturating_duration_since(Instant::now());
        let timeout = left.min(Duration::from_millis(HANDSHAKE_MS));
        let request = HandshakeRequest { host: host.clone(), port, reach, timeout };
        let handshake = names.handshake(request).await;
        Shown { is_subject: host == subject.host, host, port, handshake }
    });
    let mut shown = join_all(handshakes).await;
    // A neighbour that is not there is nobody's mistake.
    shown.retain(|shown| shown.is_subject || !matches!(shown.handshake, Err(HandshakeError::NoAddress { .. })));
    shown
}

impl Shown {
    /// What this says about the certificate.
    #[must_use]
    pub fn validity(&self) -> Validity {
        match &self.handshake {
            Ok(handshake) => match &handshake.trust {
                Ok(()) => Validity::Valid,
                Err(distrust) => Validity::Invalid(distrust.to_string()),
            },
            Err(error @ (HandshakeError::NotListening { .. } | HandshakeError::Tls { .. })) => {
                Validity::Invalid(error.to_string())
            }
            Err(
                error @ (HandshakeError::Refused { .. }
                | HandshakeError::NoAddress { .. }
                | HandshakeError::Dns(_)
                | HandshakeError::Connect { .. }
                | HandshakeError::Timeout { .. }),
            ) => Validity::Unknown(error.to_string()),
        }
    }

    /// The address, for evidence.
    #[must_use]
    pub fn url(&self) -> String {
        match self.port {
            443 => format!("https://{}/", self.host),
            port => format!("https://{}:{port}/", self.host),
        }
    }

    /// The facts in words, for evidence.
    #[must_use]
    pub fn said(&self) -> String {
        match (&self.handshake, self.validity()) {
            (Ok(handshake), validity) => {
                let verdict = match validity {
                    Validity::Valid => "valid".to_owned(),
                    Validity::Invalid(why) | Validity::Unknown(why) => why,
                };
                let certificate = &handshake.certificate;
                let until = certificate.not_after.to_string();
                let day = until.split('T').next().unwrap_or_default();
                let (protocol, issuer) = (&handshake.protocol, &certificate.issuer);
                let names = certificate.names.join(", ");
                format!("{verdict}; {protocol}, issued by {issuer}, until {day}, for {names}")
            }
            (Err(error), _) => error.to_string(),
        }
    }
}

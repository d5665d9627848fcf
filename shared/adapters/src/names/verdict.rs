//! Judges certificates as outgoing HTTP does, and remembers the verdict instead of breaking off: a handshake with a bad
//! certificate must end in its facts.

use std::sync::{Arc, Mutex, PoisonError};

use hermes_core::ports::names::Distrust;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// The judge of this process: the system's authorities, and `roots`.
pub(super) fn verifier(roots: Vec<CertificateDer<'static>>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, provider).map_err(|error| error.to_string())?;
    Ok(Arc::new(verifier))
}

/// What was shown, and what the judge said of it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) verdict: Result<(), Error>,
}

/// Lets every certificate pass and notes what the judge would have done. Signatures of the handshake are still checked:
/// the host must hold the key of what it shows.
#[derive(Debug)]
pub(super) struct Recorder {
    judge: Arc<dyn ServerCertVerifier>,
    shown: Mutex<Option<Shown>>,
}

impl Recorder {
    pub(super) fn new(judge: Arc<dyn ServerCertVerifier>) -> Self {
        Self { judge, shown: Mutex::new(None) }
    }

    /// What came, if a certificate came.
    pub(super) fn take(&self) -> Option<Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let shown = Shown { certificate: end_entity.clone().into_owned(), verdict: verdict.map(|_| ()) };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// The judge's words as a reason.
pub(super) fn distrust(error: &Error, is_self_issued: bool) -> Distrust {
    let Error::InvalidCertificate(reason) = error else { return Distrust::Other(error.to_string()) };
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Distrust::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Distrust::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Distrust::WrongName,
        CertificateError::Revoked => Distrust::Revoked,
        // A chain that ends where it began leads to no authority either; what helps is another thing.
        CertificateError::UnknownIssuer if is_self_issued => Distrust::SelfSigned,
        // The latter: an issuer of the right name, whose key did not sign.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::UnknownIssuer,
        other if is_self_issued && other.to_string().contains("CaUsedAsEndEntity") => Distrust::SelfSigned,
        other => Distrust::Other(other.to_string()),
    }
}

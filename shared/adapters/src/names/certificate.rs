//! Takes the facts out of a certificate.

use std::net::IpAddr;

use hermes_core::Timestamp;
use hermes_core::ports::names::Certificate;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Name};

/// Names of a certificate that are kept; some certificates of content networks have hundreds.
const NAMES_MAX: usize = 100;

/// A certificate as it was read.
pub(super) struct Read {
    pub(super) facts: Certificate,
    /// Whether it names itself as its issuer.
    pub(super) is_self_issued: bool,
}

/// Reads one certificate in DER.
pub(super) fn read(der: &[u8]) -> Result<Read, String> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let seconds = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1_000));
    let names = match parsed.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name).take(NAMES_MAX).collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    let facts = Certificate {
        not_before: seconds(parsed.validity().not_before.timestamp()),
        not_after: seconds(parsed.validity().not_after.timestamp()),
        names,
        issuer: issuer(parsed.issuer()),
    };
    Ok(Read { facts, is_self_issued: parsed.issuer().as_raw() == parsed.subject().as_raw() })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) => Some((*text).to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The organisation and the common name, as `Let's Encrypt (R11)`.
fn issuer(name: &X509Name<'_>) -> String {
    let organisation = name.iter_organization().find_map(|part| part.as_str().ok());
    let common = name.iter_common_name().find_map(|part| part.as_str().ok());
    match (organisation, common) {
        (Some(organisation), Some(common)) => format!("{organisation} ({common})"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "an unnamed authority".to_owned(),
    }
}

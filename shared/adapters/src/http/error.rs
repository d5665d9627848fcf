//! Tells apart why an exchange failed, by the types in the error's chain of sources.
//!
//! Texts are taken from the innermost error only: the outer ones may print the URL with its query.

use std::error::Error;
use std::io;

use hermes_core::ports::http::HttpError;

use super::guard::NotPublic;
use super::resolve::Unresolved;

/// What the error's chain says about `host`, reached over TLS or not.
pub(super) fn classify(error: reqwest::Error, host: &str, over_tls: bool) -> HttpError {
    let host = host.to_owned();
    let error = error.without_url();
    if let Some(refused) = find::<NotPublic>(&error) {
        return HttpError::Refused { host, address: refused.address.to_string() };
    }
    if let Some(unresolved) = find::<Unresolved>(&error) {
        return HttpError::Dns { host, detail: unresolved.detail.clone() };
    }
    let detail = innermost(&error);
    if !error.is_connect() {
        return HttpError::Protocol { host, detail };
    }
    // A peer that hangs up in the middle of the handshake leaves no TLS error, only the end of the stream.
    let hung_up = chain(&error)
        .filter_map(|link| link.downcast_ref::<io::Error>())
        .any(|link| link.kind() == io::ErrorKind::UnexpectedEof);
    if find::<rustls::Error>(&error).is_some() || (over_tls && hung_up) {
        HttpError::Tls { host, detail }
    } else {
        HttpError::Connect { host, detail }
    }
}

/// The text of the last error in the chain.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|link| link.downcast_ref())
}

/// The error and everything inside it, outermost first. `io::Error` hides what it wraps from `source()`.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |link| {
        let link: &'a (dyn Error + 'static) = *link;
        match link.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => link.source(),
        }
    })
}

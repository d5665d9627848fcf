//! Why a site could not be measured at all.

use std::time::Duration;

use hermes_core::ports::http::HttpError;

/// A site could not be measured at all. [`SiteError::retryable`] says whether a later attempt may do better.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// The parameters of the plan are wrong: correct the plan.
    #[error("parameters are invalid: {0}")]
    Options(String),
    /// The name does not resolve: correct the domain, or wait for DNS.
    #[error("site unreachable: {0}")]
    Dns(HttpError),
    /// Nothing answers at the address: retry.
    #[error("site unreachable: {0}")]
    Connect(HttpError),
    /// The certificate or the handshake is wrong, and the site is not served without TLS either: the owner must act.
    #[error("site unreachable: {0}")]
    Tls(HttpError),
    /// The server accepts connections and does not answer in time: retry.
    #[error("site unreachable: {0}")]
    Timeout(HttpError),
    /// What answers breaks off or is no web server: retry.
    #[error("site unreachable: {0}")]
    Protocol(HttpError),
    /// The limits for calls to the site say not now: retry when they allow it.
    #[error("the site cannot be read now: {error}")]
    HeldBack {
        /// Which limit.
        error: HttpError,
        /// When it makes sense to try again.
        retry_after: Duration,
    },
    /// The address is not public: start Hermes with `--allow-private-targets` if this is meant.
    #[error("{0}; allow private targets to diagnose such a site")]
    PrivateTarget(HttpError),
    /// The home page redirects in a circle or too often: the owner must act.
    #[error("the home page cannot be reached: {hops} redirects, the last one from {url}")]
    Redirects {
        /// How many redirects were followed.
        hops: usize,
        /// Where the last one was seen.
        url: String,
    },
    /// robots.txt forbids our robot to read the home page: the owner must allow it.
    #[error("robots.txt of {host} does not allow {robot} to read the home page")]
    Disallowed {
        /// Host of the home page.
        host: String,
        /// Our name in robots.txt.
        robot: &'static str,
    },
    /// A bot wall or a rate limit answers instead of the site: allow our robot, or retry later.
    #[error("{host} turned our robot away (HTTP {status}, {wall})")]
    TurnedAway {
        /// Host of the home page.
        host: String,
        /// Status code of the answer.
        status: u16,
        /// What it looks like: a bot wall, a rate limit …
        wall: &'static str,
        /// How long the server asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The home page answers with an error, so that nothing about its delivery is worth measuring: the owner must act,
    /// or the server recover.
    #[error("the home page {url} answers HTTP {status}")]
    ErrorPage {
        /// URL of the home page.
        url: String,
        /// Status code of the answer.
        status: u16,
    },
    /// The time of the attempt ended before the home page was read: give the service more time.
    #[error("the time limit passed before the home page was read")]
    OutOfTime,
}

impl SiteError {
    /// Whether a later attempt at the same site may succeed without anybody changing anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Timeout(_) | Self::Protocol(_) | Self::HeldBack { .. } => true,
            Self::Dns(error) => is_temporary(error),
            Self::TurnedAway { status, .. } | Self::ErrorPage { status, .. } => matches!(status, 429 | 502..=504),
            Self::Options(_)
            | Self::Tls(_)
            | Self::PrivateTarget(_)
            | Self::Redirects { .. }
            | Self::Disallowed { .. }
            | Self::OutOfTime => false,
        }
    }

    /// How long the server asked us to wait before the next attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TurnedAway { retry_after, .. } => *retry_after,
            Self::HeldBack { retry_after, .. } => Some(*retry_after),
            Self::Options(_)
            | Self::Dns(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Timeout(_)
            | Self::Protocol(_)
            | Self::PrivateTarget(_)
            | Self::Redirects { .. }
            | Self::Disallowed { .. }
            | Self::ErrorPage { .. }
            | Self::OutOfTime => None,
        }
    }
}

/// A resolver that could not be asked is another thing than a name that does not exist.
fn is_temporary(error: &HttpError) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    ["temporar", "try again", "timed out", "timeout"].iter().any(|word| text.contains(word))
}

impl From<HttpError> for SiteError {
    fn from(error: HttpError) -> Self {
        match &error {
            HttpError::Refused { .. } => Self::PrivateTarget(error),
            HttpError::Dns { .. } => Self::Dns(error),
            HttpError::Connect { .. } => Self::Connect(error),
            HttpError::Tls { .. } => Self::Tls(error),
            HttpError::Timeout { .. } => Self::Timeout(error),
            HttpError::Protocol { .. } => Self::Protocol(error),
            HttpError::HeldBack { retry_after_ms, .. } => {
                let retry_after = Duration::from_millis(*retry_after_ms);
                Self::HeldBack { error, retry_after }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(detail: &str) -> SiteError {
        HttpError::Dns { host: "example.com".into(), detail: detail.into() }.into()
    }

    #[test]
    fn what_may_pass_by_itself_is_retryable_and_what_needs_a_person_is_not() {
        let connect = HttpError::Connect { host: "h".into(), detail: "refused".into() };
        let private = HttpError::Refused { host: "h".into(), address: "127.0.0.1".into() };
        assert!(SiteError::from(connect).retryable());
        assert!(!SiteError::from(private).retryable());
        assert!(!SiteError::OutOfTime.retryable());
        assert!(dns("Temporary failure in name resolution").retryable());
        assert!(!dns("no such host").retryable());
    }

    #[test]
    fn a_private_target_is_refused_with_the_way_out() {
        let error = SiteError::from(HttpError::Refused { host: "intranet".into(), address: "10.0.0.1".into() });
        assert_eq!(
            error.to_string(),
            "refused to connect to intranet: 10.0.0.1 is not a public address; allow private targets to diagnose such a site"
        );
    }
}

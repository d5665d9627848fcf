//! Why a provider did not answer a query, told by what the caller can do.

use std::time::Duration;

use hermes_core::ports::http::HttpError;
use hermes_core::wire::ErrorClass;

/// A query has no answer. The texts never hold keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The key is wrong or may not do this: correct the key.
    #[error("the key was refused ({0})")]
    Key(String),
    /// The provider is not set up as it must be: change the setting that the text names.
    #[error("{0}")]
    Setting(String),
    /// The allowance is used up: buy more, or wait for the next month.
    #[error("the allowance is used up ({0})")]
    Quota(String),
    /// Too many requests: wait.
    #[error("too many requests ({detail})")]
    Busy {
        /// What the provider says.
        detail: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The engines behind the provider have locked it out for hours: trying again makes it worse.
    #[error("the search engines lock it out ({0})")]
    LockedOut(String),
    /// It does not accept this query: change the query.
    #[error("the query was refused ({0})")]
    Query(String),
    /// It has a fault of its own: retry.
    #[error("it failed ({0})")]
    Failed(String),
    /// It cannot be reached: retry, or correct its address.
    #[error("{0}")]
    Unreachable(HttpError),
    /// It answers something that is no answer: retry, or correct its address.
    #[error("its answer cannot be read ({0})")]
    Malformed(String),
    /// The time of the attempt ended: give the service more time.
    #[error("the time limit passed")]
    OutOfTime,
}

impl SearchError {
    /// Whether every further query would end the same way.
    #[must_use]
    pub fn ends_the_search(&self) -> bool {
        match self {
            Self::Key(_) | Self::Setting(_) | Self::Quota(_) | Self::Busy { .. } | Self::OutOfTime => true,
            Self::Unreachable(HttpError::HeldBack { .. }) => true,
            Self::LockedOut(_) | Self::Query(_) | Self::Failed(_) | Self::Unreachable(_) | Self::Malformed(_) => false,
        }
    }

    /// Whether a later attempt may succeed without anybody changing anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Failed(_) | Self::Malformed(_) => true,
            Self::Unreachable(error) => !matches!(error, HttpError::Refused { .. } | HttpError::Tls { .. }),
            Self::Key(_)
            | Self::Setting(_)
            | Self::Quota(_)
            | Self::LockedOut(_)
            | Self::Query(_)
            | Self::OutOfTime => false,
        }
    }

    /// How long the provider asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            Self::Unreachable(HttpError::HeldBack { retry_after_ms, .. }) => {
                Some(Duration::from_millis(*retry_after_ms))
            }
            _ => None,
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Key(_) => ErrorClass::Authentication,
            Self::Setting(_) => ErrorClass::NotConfigured,
            Self::Quota(_) | Self::Busy { .. } | Self::LockedOut(_) => ErrorClass::RateLimited,
            Self::Query(_) => ErrorClass::InvalidInput,
            Self::Failed(_) => ErrorClass::ServerError,
            Self::Malformed(_) => ErrorClass::InvalidResult,
            Self::OutOfTime => ErrorClass::Timeout,
            Self::Unreachable(error) => match error {
                HttpError::Refused { .. } => ErrorClass::TargetRefused,
                HttpError::Dns { .. } => ErrorClass::Dns,
                HttpError::Tls { .. } => ErrorClass::Tls,
                HttpError::Timeout { .. } => ErrorClass::Timeout,
                HttpError::HeldBack { .. } => ErrorClass::RateLimited,
                HttpError::Connect { .. } | HttpError::Protocol { .. } => ErrorClass::Connection,
            },
        }
    }
}

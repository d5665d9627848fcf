//! The statuses of runs and services: the customer's words, plus `queued` and `cancelled`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Accepted; no service has been seen to start yet.
    Started,
    /// At least one service has started or settled.
    Running,
    /// Settled; at least one service completed.
    Completed,
    /// Settled; no service completed.
    Failed,
    /// Settled at its deadline, with services unfinished.
    Timeout,
    /// Settled because someone asked for it.
    Cancelled,
}

/// Where a service of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    /// Waits for its dependencies, or for its next attempt.
    Pending,
    /// An attempt has been handed to the queue; no worker has reported to be at it.
    Queued,
    /// A worker has reported to be executing the current attempt.
    Running,
    /// Settled with a result.
    Completed,
    /// Settled without a result, for the reason in its error.
    Failed,
    /// Settled because its own time-out or the run's deadline passed.
    Timeout,
    /// Settled without an attempt, because a dependency did not complete.
    Skipped,
    /// Settled because the run was cancelled.
    Cancelled,
}

/// The text names no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no status; known are {known}")]
pub struct UnknownStatus {
    /// What was given.
    pub text: String,
    /// All that would have been accepted.
    pub known: String,
}

impl RunStatus {
    /// Every status, in the order of a run's life.
    pub const ALL: [Self; 6] =
        [Self::Started, Self::Running, Self::Completed, Self::Failed, Self::Timeout, Self::Cancelled];

    /// The word used in JSON, SQL and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the run has settled: nothing but a re-run changes it any more.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Started | Self::Running => false,
            Self::Completed | Self::Failed | Self::Timeout | Self::Cancelled => true,
        }
    }
}

impl ServiceStatus {
    /// Every status, in the order of a service's life.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Timeout,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// The word used in JSON, SQL and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the service has settled within the current revision of its run.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Pending | Self::Queued | Self::Running => false,
            Self::Completed | Self::Failed | Self::Timeout | Self::Skipped | Self::Cancelled => true,
        }
    }

    /// Whether an attempt is under way: in the queue or with a worker.
    #[must_use]
    pub const fn has_open_attempt(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

macro_rules! text_form {
    ($status:ty) => {
        impl fmt::Display for $status {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $status {
            type Err = UnknownStatus;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| UnknownStatus {
                    text: text.to_owned(),
                    known: Self::ALL.map(Self::as_str).join(", "),
                })
            }
        }
    };
}

text_form!(RunStatus);
text_form!(ServiceStatus);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_back_what_it_writes() {
        for status in RunStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).expect("serialises"), status.as_str());
        }
        for status in ServiceStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).expect("serialises"), status.as_str());
        }
    }

    #[test]
    fn an_unknown_status_is_answered_with_the_known_ones() {
        let error = "done".parse::<RunStatus>().expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "'done' is no status; known are started, running, completed, failed, timeout, cancelled"
        );
    }
}

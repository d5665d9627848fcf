//! What the process says with its exit code, and how it fails.

use hermes_adapters::settings::SettingsError;
use hermes_core::{RunStatus, RunSummary};

use crate::client::ClientError;

/// Exit codes; they are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; a run completed with every service.
    Complete,
    /// A run failed, or the command did.
    Failed,
    /// The command was used wrongly: unknown option, setting, plan or run.
    Misused,
    /// A run completed with something missing.
    Incomplete,
    /// A run reached its deadline.
    TimedOut,
    /// A run was cancelled.
    Cancelled,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed => 1,
            Self::Misused => 2,
            Self::Incomplete => 3,
            Self::TimedOut => 124,
            Self::Cancelled => 130,
        }
    }

    /// What a settled run is told as. An open one has no outcome yet, which is no failure.
    #[must_use]
    pub const fn of(run: &RunSummary) -> Self {
        match run.status {
            RunStatus::Completed if run.services_completed < run.services_total => Self::Incomplete,
            RunStatus::Completed | RunStatus::Started | RunStatus::Running => Self::Complete,
            RunStatus::Failed => Self::Failed,
            RunStatus::Timeout => Self::TimedOut,
            RunStatus::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command did not do what it should: a sentence for the user, who can act on it or not.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The user can put it right: other options, settings or names.
    #[error("{0}")]
    Use(String),
    /// Something is broken or not there.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Use(_) => Exit::Misused,
            Self::Failed(_) => Exit::Failed,
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Use(format!("failed to {error}"))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        if error.is_misuse() {
            return Self::Use(error.to_string());
        }
        match &error {
            ClientError::Unreachable { .. } => {
                Self::Failed(anyhow::anyhow!("{error}; `hermes up` starts one, --server names another"))
            }
            ClientError::Refused { .. } | ClientError::Unreadable { .. } => Self::Failed(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use hermes_core::Timestamp;

    use super::*;

    fn summary(status: RunStatus, completed: u32) -> RunSummary {
        let now = Timestamp::EPOCH;
        RunSummary {
            run_id: hermes_core::RunId::from_uuid(uuid::Uuid::from_u128(1)),
            website_id: "s".parse().expect("valid"),
            domain: "example.com".parse().expect("valid"),
            plan_id: "standard-v1".parse().expect("valid"),
            status,
            started_at: now,
            completed_at: Some(now),
            duration_ms: Some(0),
            services_completed: completed,
            services_failed: 5 - completed,
            services_timeout: 0,
            services_skipped: 0,
            services_total: 5,
            diagnosis_event_id: None,
            error: None,
        }
    }

    #[test]
    fn the_exit_code_tells_how_the_run_ended() {
        let code = |status, completed| Exit::of(&summary(status, completed)).code();
        assert_eq!(code(RunStatus::Completed, 5), 0);
        assert_eq!(code(RunStatus::Completed, 4), 3);
        assert_eq!(code(RunStatus::Failed, 0), 1);
        assert_eq!(code(RunStatus::Timeout, 4), 124);
        assert_eq!(code(RunStatus::Cancelled, 4), 130);
    }
}

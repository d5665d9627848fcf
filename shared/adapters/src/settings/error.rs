//! What is wrong with the settings: everything at once, each with key, source and remedy.

use std::fmt;

/// The settings cannot be used; the process must not start. Completes "failed to …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the settings:{}", self.lines())]
pub struct SettingsError {
    /// Every problem that was found; at least one.
    pub problems: Vec<SettingsProblem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// `section.key`; empty if a whole file cannot be read.
    pub key: String,
    /// Where the value came from.
    pub source: Source,
    /// What is wrong, and what would be right. Never quotes a value that may be secret.
    pub message: String,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// Two settings do not go together, wherever they came from.
    Together {
        /// The other key.
        with: String,
    },
    /// A file, and the line in it if it is known.
    File {
        /// As it was named.
        path: String,
        /// From 1.
        line: Option<usize>,
    },
    /// A variable of the environment.
    Environment {
        /// `HERMES_…`.
        name: String,
    },
}

impl SettingsError {
    pub(super) fn one(key: &str, source: Source, message: impl Into<String>) -> Self {
        Self { problems: vec![SettingsProblem { key: key.to_owned(), source, message: message.into() }] }
    }

    fn lines(&self) -> String {
        self.problems.iter().map(|problem| format!("\n  {problem}")).collect()
    }
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.source, self.message)
        } else {
            write!(f, "{} ({}): {}", self.key, self.source, self.message)
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Together { with } => write!(f, "together with {with}"),
            Self::File { path, line: Some(line) } => write!(f, "{path} line {line}"),
            Self::File { path, line: None } => f.write_str(path),
            Self::Environment { name } => f.write_str(name),
        }
    }
}

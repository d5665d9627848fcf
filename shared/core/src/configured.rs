//! What workers and providers are configured with: values by name, each with where it came from.
//!
//! A name is that of a variable (`BRAVE_API_KEY`), whatever source its value has. Values are secrets without exception:
//! a base URL is none, but a type that had to be told apart by its holder would be printed sooner or later.
//!
//! Deliberately absent: reading the sources, which is I/O and the business of an adapter.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Secret, WorkerKey};

/// Names that providers are configured with, beside those of external workers ([`is_name`]).
pub const PROVIDER_NAMES: [&str; 8] = [
    "SEARXNG_URL",
    "BRAVE_API_KEY",
    "SERPAPI_API_KEY",
    "DATAFORSEO_LOGIN",
    "DATAFORSEO_PASSWORD",
    "SEARCH_CONSOLE_TOKEN",
    "OPEN_PAGERANK_API_KEY",
    "CRUX_API_KEY",
];

/// How names end that belong to a worker key or a provider: an external worker's address and key, and another address
/// than the usual one for a provider.
const NAME_ENDINGS: [&str; 3] = ["_BASE_URL", "_API_KEY", "_ENDPOINT"];

/// Whether a value of this name may configure a worker or a provider. Sources hold other things, too; those are left
/// alone.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let ours = |ending: &str| name.len() > ending.len() && name.ends_with(ending);
    name.chars().all(is_word)
        && !name.starts_with("HERMES_")
        && (PROVIDER_NAMES.contains(&name) || NAME_ENDINGS.into_iter().any(ours))
}

/// The names that configure the external worker of a key: base URL, API key.
#[must_use]
pub fn worker_names(worker_key: &WorkerKey) -> [String; 2] {
    let stem = worker_key.as_str().to_ascii_uppercase().replace(['-', '.'], "_");
    [format!("{stem}_BASE_URL"), format!("{stem}_API_KEY")]
}

/// Where a value came from. Shows names of variables, files and projects, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The variable of the same name.
    Environment,
    /// A file that the variable `<NAME>_FILE` names.
    File {
        /// As the variable writes it.
        path: String,
    },
    /// Bitwarden Secrets Manager.
    Bitwarden {
        /// The secret's name there.
        secret: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("environment"),
            Self::File { path } => write!(f, "file {path}"),
            Self::Bitwarden { secret } => write!(f, "Bitwarden secret {secret}"),
        }
    }
}

/// Values by name. An empty value counts as not set and is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    values: BTreeMap<String, (Secret, Origin)>,
}

impl Configured {
    /// What these variables configure.
    #[must_use]
    pub fn from_environment(environment: &BTreeMap<String, String>) -> Self {
        let mut configured = Self::default();
        for (name, value) in environment.iter().filter(|(name, _)| is_name(name)) {
            configured.add(name, value, Origin::Environment);
        }
        configured
    }

    /// Adds a value, unless there is one of that name already, or this one is empty. White space around it goes: it
    /// comes from editors.
    pub fn add(&mut self, name: &str, value: &str, origin: Origin) {
        let value = value.trim();
        if !value.is_empty() && !self.values.contains_key(name) {
            self.values.insert(name.to_owned(), (Secret::new(value), origin));
        }
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.values.get(name).map(|(value, _)| value)
    }

    /// Where the value of a name came from.
    #[must_use]
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.values.get(name).map(|(_, origin)| origin)
    }

    /// The names that have a value, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The variables of a process with these values laid over them, for those who make services. Nothing of it may be
    /// printed.
    #[must_use]
    pub fn over(&self, mut environment: BTreeMap<String, String>) -> BTreeMap<String, String> {
        environment.extend(self.values.iter().map(|(name, (value, _))| (name.clone(), value.expose().to_owned())));
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_workers_and_providers_are_ours_and_others_are_not() {
        for name in ["SERP_INTEL_BASE_URL", "SERP_INTEL_API_KEY", "SEARXNG_URL", "CRUX_API_KEY", "BRAVE_ENDPOINT"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["HOME", "_API_KEY", "HERMES_X_API_KEY", "serp_intel_api_key", "MY KEY_API_KEY", "PGPASSWORD"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn the_first_value_of_a_name_stays_and_an_empty_one_is_none() {
        let mut configured = Configured::default();
        configured.add("A_API_KEY", " \n", Origin::Environment);
        configured.add("A_API_KEY", "canary-1\n", Origin::File { path: "/run/a".to_owned() });
        configured.add("A_API_KEY", "canary-2", Origin::Bitwarden { secret: "A_API_KEY".to_owned() });
        assert_eq!(configured.get("A_API_KEY").map(Secret::expose), Some("canary-1"));
        assert_eq!(configured.origin("A_API_KEY").map(ToString::to_string).as_deref(), Some("file /run/a"));
        assert!(!format!("{configured:?}").contains("canary"), "{configured:?}");
    }
}

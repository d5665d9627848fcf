//! Names of what the queue keeps in Redis. All of them share one hash tag, so that every script stays in one slot.

use hermes_core::ids::WorkerKey;

/// Consumer group of the workers of one key.
pub(super) const WORKERS: &str = "workers";
/// Consumer group of all dispatchers.
pub(super) const DISPATCHERS: &str = "dispatchers";
/// Bytes of a prefix.
pub(super) const PREFIX_BYTES_MAX: usize = 64;

/// Names under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    /// Stream of reports.
    pub(super) reports: String,
    /// Hash: job id to the entry of its unacknowledged final report.
    pub(super) reported: String,
    /// Sorted set: job ids that nobody wants any more, by the time of their revocation.
    pub(super) revoked: String,
}

impl Keys {
    /// The names, or what is wrong with the prefix.
    pub(super) fn new(prefix: &str) -> Result<Self, &'static str> {
        if prefix.is_empty() {
            return Err("it is empty");
        }
        if prefix.len() > PREFIX_BYTES_MAX {
            return Err("it is longer than 64 bytes");
        }
        if !prefix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')) {
            return Err("use letters, digits, '-', '_', '.' and ':'");
        }
        let prefix = format!("{{{prefix}}}");
        Ok(Self {
            reports: format!("{prefix}:reports"),
            reported: format!("{prefix}:reported"),
            revoked: format!("{prefix}:revoked"),
            prefix,
        })
    }

    /// Stream of the jobs of one worker key.
    pub(super) fn jobs(&self, key: &WorkerKey) -> String {
        format!("{}:jobs:{key}", self.prefix)
    }

    /// Hash: what is known about a target of outgoing calls.
    pub(super) fn polite(&self, target: &str) -> String {
        format!("{}:polite:{target}", self.prefix)
    }

    /// Hash: job id to its entry in the stream of the worker key.
    pub(super) fn index(&self, key: &WorkerKey) -> String {
        format!("{}:index:{key}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_have_one_hash_tag() {
        let keys = Keys::new("hermes").expect("valid");
        let key: WorkerKey = "crawl".parse().expect("valid");
        let polite = keys.polite("a.test:443");
        for name in [&keys.jobs(&key), &keys.index(&key), &keys.reports, &keys.reported, &keys.revoked, &polite] {
            assert!(name.starts_with("{hermes}:"), "{name}");
        }
    }

    #[test]
    fn a_prefix_that_would_break_the_hash_tag_is_refused() {
        for prefix in ["", "a}b", "{a}", "a b", &"x".repeat(PREFIX_BYTES_MAX + 1)] {
            assert!(Keys::new(prefix).is_err(), "{prefix}");
        }
    }
}

//! The `Prefer` header (RFC 7240), as far as it says how long to wait for a run. What it does not understand it ignores.

use std::time::Duration;

use axum::http::HeaderMap;

/// How long a client wants to wait for the outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefer {
    respond_async: bool,
    wait_s: Option<u32>,
}

/// How long to wait, and what to answer in `Preference-Applied`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until the run is settled.
    Settled,
    /// Not at all.
    No,
    /// At most this many seconds.
    Seconds(u32),
}

impl Prefer {
    /// Reads all `Prefer` headers; of a preference given twice, the first counts.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        for preference in values.flat_map(|value| value.split(',')) {
            // Parameters of a preference follow after a semicolon; those that we know have none.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => prefer.respond_async = true,
                "wait" if prefer.wait_s.is_none() => prefer.wait_s = value.parse().ok(),
                _ => {}
            }
        }
        prefer
    }

    /// What follows for a run: `wait=N` bounds the wait also beside `respond-async`, as RFC 7240 4.3 has it.
    pub(super) const fn wait(self) -> Wait {
        match (self.wait_s, self.respond_async) {
            (Some(seconds), _) => Wait::Seconds(seconds),
            (None, true) => Wait::No,
            (None, false) => Wait::Settled,
        }
    }

    /// Value of `Preference-Applied`, if a preference was expressed.
    pub(super) fn applied(self) -> Option<String> {
        match self.wait() {
            Wait::Settled => None,
            Wait::No => Some("respond-async".to_owned()),
            Wait::Seconds(seconds) if self.respond_async => Some(format!("respond-async, wait={seconds}")),
            Wait::Seconds(seconds) => Some(format!("wait={seconds}")),
        }
    }
}

impl Wait {
    /// The longest wait, given how long the run can take at most.
    pub(super) fn at_most(self, run: Duration) -> Duration {
        match self {
            Self::Settled => run,
            Self::No => Duration::ZERO,
            Self::Seconds(seconds) => Duration::from_secs(seconds.into()).min(run),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefer(values: &[&str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("prefer", value.parse().expect("a header value"));
        }
        Prefer::of(&headers)
    }

    #[test]
    fn without_a_preference_the_answer_waits_for_the_run() {
        assert_eq!(prefer(&[]).wait(), Wait::Settled);
        assert_eq!(prefer(&[]).applied(), None);
    }

    #[test]
    fn respond_async_does_not_wait() {
        for text in ["respond-async", "Respond-Async", "handling=lenient, respond-async; foo=bar"] {
            assert_eq!(prefer(&[text]).wait(), Wait::No, "{text}");
            assert_eq!(prefer(&[text]).applied().as_deref(), Some("respond-async"));
        }
    }

    #[test]
    fn wait_bounds_the_wait_and_the_first_one_counts() {
        assert_eq!(prefer(&["wait=5"]).wait(), Wait::Seconds(5));
        assert_eq!(prefer(&["wait = \"5\""]).wait(), Wait::Seconds(5));
        assert_eq!(prefer(&["wait=5", "wait=7"]).wait(), Wait::Seconds(5));
        assert_eq!(prefer(&["respond-async, wait=10"]).wait(), Wait::Seconds(10));
        assert_eq!(prefer(&["respond-async, wait=10"]).applied().as_deref(), Some("respond-async, wait=10"));
    }

    #[test]
    fn a_preference_that_is_not_understood_is_ignored() {
        for text in ["wait=soon", "wait=-1", "wait=99999999999", "return=minimal", ",,;=", ""] {
            assert_eq!(prefer(&[text]), Prefer::default(), "{text}");
        }
    }

    #[test]
    fn no_wait_is_longer_than_the_run() {
        let run = Duration::from_secs(60);
        assert_eq!(Wait::Seconds(u32::MAX).at_most(run), run);
        assert_eq!(Wait::Seconds(1).at_most(run), Duration::from_secs(1));
        assert_eq!(Wait::No.at_most(run), Duration::ZERO);
    }
}

//! Where an external worker is and with which key it is called, from `<WORKER_KEY>_BASE_URL` and
//! `<WORKER_KEY>_API_KEY`.
//!
//! Read at the moment of the call: a worker that is configured wrongly fails its own service and nothing else.

use hermes_core::configured::worker_names;
use hermes_core::wire::{ErrorClass, ServiceError};
use hermes_core::{Secret, WorkerKey};
use url::{Host, Url};

/// How to reach one external worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Without a slash at the end, user name, query or fragment.
    base_url: String,
    api_key: Secret,
}

/// A worker is configured, but not so that it can be called. The operator must act. No variant holds a value that was
/// configured, only the name of its variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Set the key that belongs to the base URL.
    #[error("Worker config invalid: No API key found")]
    NoApiKey,
    /// Set the base URL that belongs to the key, or remove the key.
    #[error("Worker config invalid: No base URL found ({variable} is not set)")]
    NoBaseUrl {
        /// The variable that is missing.
        variable: String,
    },
    /// Correct the base URL.
    #[error("Worker config invalid: {variable} {problem}")]
    BaseUrl {
        /// The variable to correct.
        variable: String,
        /// What is wrong with its value.
        problem: String,
    },
    /// The key has characters that no header field can carry: copy it again.
    #[error("Worker config invalid: {variable} has characters that cannot be sent")]
    ApiKey {
        /// The variable to correct.
        variable: String,
    },
}

impl From<ConfigError> for ServiceError {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorClass::NotConfigured, error.to_string())
    }
}

impl WorkerConfig {
    /// Looks the worker's two variables up. None if neither is set; an empty value counts as not set.
    ///
    /// # Errors
    /// [`ConfigError`] if what is set cannot be used.
    pub fn from_lookup(
        worker_key: &WorkerKey,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let [url_variable, key_variable] = variables(worker_key);
        let set =
            |variable: &str| lookup(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        match (set(&url_variable), set(&key_variable)) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(ConfigError::NoBaseUrl { variable: url_variable }),
            (Some(base_url), api_key) => {
                let base_url = parse_base_url(&base_url)
                    .map_err(|problem| ConfigError::BaseUrl { variable: url_variable, problem })?;
                let api_key = api_key.ok_or(ConfigError::NoApiKey)?;
                if !api_key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
                    return Err(ConfigError::ApiKey { variable: key_variable });
                }
                Ok(Some(Self { base_url, api_key: Secret::new(api_key) }))
            }
        }
    }

    /// The worker's base URL, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The key that the worker wants to see.
    #[must_use]
    pub fn api_key(&self) -> &Secret {
        &self.api_key
    }

    /// URL of one of the worker's endpoints: `run`, `health` …
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Url {
        format!("{}/{name}", self.base_url).parse().expect("the base URL was parsed and has neither query nor fragment")
    }
}

/// The names of the two variables: base URL, API key.
#[must_use]
pub fn variables(worker_key: &WorkerKey) -> [String; 2] {
    worker_names(worker_key)
}

fn parse_base_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL ({error})"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err("must be https; plain http is accepted for a loopback address only".to_owned()),
        _ => return Err("must be https".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password; the key has its own variable".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a query or a fragment".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-5f1d";

    fn read(url: Option<&str>, key: Option<&str>) -> Result<Option<WorkerConfig>, ConfigError> {
        let worker_key = "serp_intel".parse().expect("valid");
        WorkerConfig::from_lookup(&worker_key, &|variable| match variable {
            "SERP_INTEL_BASE_URL" => url.map(str::to_owned),
            "SERP_INTEL_API_KEY" => key.map(str::to_owned),
            other => panic!("{other} was looked up"),
        })
    }

    #[test]
    fn the_variables_are_the_worker_key_in_upper_case() {
        for (key, stem) in [("serp_intel", "SERP_INTEL"), ("core-web.vitals2", "CORE_WEB_VITALS2")] {
            let names = variables(&key.parse().expect("valid"));
            assert_eq!(names, [format!("{stem}_BASE_URL"), format!("{stem}_API_KEY")]);
        }
    }

    #[test]
    fn a_worker_without_variables_is_not_configured() {
        for empty in [None, Some(""), Some("  ")] {
            assert_eq!(read(empty, empty), Ok(None));
        }
    }

    #[test]
    fn no_trailing_slash_is_kept() {
        for (text, endpoint) in [
            ("https://host/api///", "https://host/api/run"),
            ("https://host/api", "https://host/api/run"),
            (" https://HOST/ ", "https://host/run"),
            ("https://host", "https://host/run"),
        ] {
            let config = read(Some(text), Some(CANARY)).expect("valid").expect("configured");
            assert_eq!(config.endpoint("run").as_str(), endpoint, "{text}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_addresses_only() {
        for text in
            ["http://127.0.0.1:8080", "http://127.9.9.9", "http://[::1]:1", "http://localhost:3000/w", "http://0x7f.1"]
        {
            assert!(matches!(read(Some(text), Some(CANARY)), Ok(Some(_))), "{text}");
        }
        for text in [
            "http://example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://notlocalhost",
            "ftp://host",
        ] {
            let error = read(Some(text), Some(CANARY)).expect_err(text);
            assert!(
                error.to_string().starts_with("Worker config invalid: SERP_INTEL_BASE_URL must be https"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_base_url_without_a_key_is_an_error_with_the_documented_text() {
        let error = read(Some("https://host"), None).expect_err("no key");
        assert_eq!(error.to_string(), "Worker config invalid: No API key found");
        assert_eq!(ServiceError::from(error).class, ErrorClass::NotConfigured);
        let error = read(None, Some(CANARY)).expect_err("no URL");
        assert_eq!(error.to_string(), "Worker config invalid: No base URL found (SERP_INTEL_BASE_URL is not set)");
    }

    #[test]
    fn nothing_that_was_configured_is_ever_printed() {
        let config = read(Some("https://host"), Some(CANARY)).expect("valid").expect("configured");
        assert_eq!(config.api_key().expose(), CANARY);
        assert!(!format!("{config:?} {config:#?} {}", config.api_key()).contains(CANARY));
        let line_break = format!("{CANARY}\nX-Evil: 1");
        for (url, key) in [
            (format!("https://u:{CANARY}@host"), CANARY),
            (format!("https://host?key={CANARY}"), CANARY),
            (format!("https://host/#{CANARY}"), CANARY),
            (format!("{CANARY}:"), CANARY),
            (CANARY.to_owned(), CANARY),
            ("https://host".to_owned(), &line_break),
        ] {
            let error = read(Some(&url), Some(key)).expect_err(&url);
            assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
        }
    }
}

//! Names and identities: parsed once at the edge, trusted afterwards.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::{DOMAIN_BYTES_MAX, NAME_BYTES_MAX};
use crate::wire::is_plain_number;

/// A text cannot serve as the name that it was given for. Completes "failed to …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} '{text}' is invalid: {problem}")]
pub struct InvalidName {
    /// Which kind of name: `plan_id`, `service`, `website_id` …
    pub what: &'static str,
    /// What was given, cut to 64 characters.
    pub text: String,
    /// What to change.
    pub problem: String,
}

impl InvalidName {
    fn new(what: &'static str, text: &str, problem: impl Into<String>) -> Self {
        Self { what, text: text.chars().take(64).collect(), problem: problem.into() }
    }
}

/// Identity of a run: a UUID version 7, so that later runs sort behind earlier ones. Text form: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Uuid);

impl RunId {
    /// Wraps a UUID; the caller has drawn it (version 7 outside tests).
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID itself.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}

impl FromStr for RunId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| InvalidName::new("run_id", text, "a run id has 32 hexadecimal digits"))
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Identity of a recorded event: `evt_<run id>_<sequence number>`. It is derived, not drawn, so that a repeated
/// transition names the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The run that the event belongs to.
    pub run_id: RunId,
    /// Its place in the run's log, from 1, without gaps.
    pub seq: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{}_{}", self.run_id, self.seq)
    }
}

impl FromStr for EventId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("evt_")
            .and_then(|rest| rest.split_once('_'))
            .filter(|(_, seq)| is_plain_number(seq))
            .and_then(|(run, seq)| Some(Self { run_id: run.parse().ok()?, seq: seq.parse().ok()? }))
            .ok_or_else(|| InvalidName::new("event_id", text, "an event id looks like evt_<run id>_<number>"))
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn slug_problem(text: &str, extra: &[char]) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    if text.len() > NAME_BYTES_MAX {
        return Some(format!("it has {} bytes, at most {NAME_BYTES_MAX} are allowed", text.len()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || extra.contains(&c);
    text.chars()
        .find(|c| !allowed(*c))
        .map(|c| format!("{c:?} is not allowed; use letters, digits, '-', '_'{}", extra_text(extra)))
}

fn extra_text(extra: &[char]) -> String {
    extra.iter().map(|c| format!(", '{c}'")).collect()
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $extra:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match slug_problem(text, $extra) {
                    None => Ok(Self(text.into())),
                    Some(problem) => Err(InvalidName::new($what, text, problem)),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// Name of a plan, with its version by convention: `standard-v1`.
    PlanId, "plan_id", &['.']
);
name!(
    /// Name of a service within a plan: `technical-seo`.
    ServiceName, "service", &['.']
);
name!(
    /// Name of the queue from which workers of one kind take their jobs: `crawl_render`.
    WorkerKey, "worker_key", &['.']
);
name!(
    /// The customer's identity of a website: `site_123`.
    WebsiteId, "website_id", &['.', ':', '/', '@']
);

/// What a run looks at: a host with an optional port, or an origin or URL with `http` or `https`.
///
/// `example.com`, `127.0.0.1:8080` and `https://example.com/shop/` are all accepted; the text is kept as given
/// (without surrounding blanks).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    text: Arc<str>,
    seeds: Arc<[url::Url]>,
}

impl Domain {
    /// The text as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URLs at which to look, best first: `https` before `http` unless the text named a scheme.
    #[must_use]
    pub fn seeds(&self) -> &[url::Url] {
        &self.seeds
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Domain {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let refuse = |problem: &str| InvalidName::new("domain", text, problem);
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if text.len() > DOMAIN_BYTES_MAX {
            return Err(refuse("it is too long"));
        }
        // the URL parser drops some of them silently, and databases refuse U+0000
        if text.contains(char::is_control) {
            return Err(refuse("control characters are not allowed"));
        }
        let has_scheme = text.contains("://");
        let seed = |text: &str| {
            let url = url::Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(refuse("only http and https can be diagnosed"));
            }
            if !url.username().is_empty() || url.password().is_some() {
                return Err(refuse("leave user name and password out"));
            }
            if !has_scheme && (url.path() != "/" || url.query().is_some() || url.fragment().is_some()) {
                return Err(refuse("give a host such as example.com, or a full URL with http:// or https://"));
            }
            Ok(url)
        };
        let seeds = if has_scheme {
            vec![seed(text)?]
        } else {
            let secure = seed(&format!("https://{text}/"))?;
            let plain = match without_port(text, &secure) {
                Some(plain) => plain,
                None => seed(&format!("http://{text}/"))?,
            };
            vec![secure, plain]
        };
        Ok(Self { text: text.into(), seeds: seeds.into() })
    }
}

/// The same host over plain HTTP, without reading it a second time: each job and each stored run names its domain. A
/// port, which the scheme decides on, must be read again.
fn without_port(host: &str, secure: &url::Url) -> Option<url::Url> {
    let mut plain = secure.clone();
    (!host.contains(':') && plain.set_scheme("http").is_ok()).then_some(plain)
}

impl Serialize for Domain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_written_as_32_digits_and_read_with_or_without_hyphens() {
        let id = RunId::from_uuid(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        assert_eq!(id.to_string(), "0123456789abcdef0123456789abcdef");
        assert_eq!("01234567-89ab-cdef-0123-456789abcdef".parse(), Ok(id));
        assert!("abc123xyz".parse::<RunId>().is_err());
    }

    #[test]
    fn an_event_id_reads_back_what_it_writes() {
        let id = EventId { run_id: RunId::from_uuid(Uuid::from_u128(7)), seq: 42 };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("evt_789".parse::<EventId>().is_err());
        for seq in ["+42", "042", "0", ""] {
            assert!(format!("evt_{}_{seq}", id.run_id).parse::<EventId>().is_err(), "{seq}");
        }
    }

    #[test]
    fn a_name_says_which_character_is_wrong() {
        let error = "tech seo".parse::<ServiceName>().expect_err("blank");
        assert_eq!(
            error.to_string(),
            "service 'tech seo' is invalid: ' ' is not allowed; use letters, digits, '-', '_', '.'"
        );
        assert!("".parse::<PlanId>().is_err());
        assert!("x".repeat(NAME_BYTES_MAX + 1).parse::<PlanId>().is_err());
    }

    #[test]
    fn a_bare_host_is_tried_with_https_first() {
        let domain: Domain = " example.com ".parse().expect("valid");
        assert_eq!(domain.as_str(), "example.com");
        assert_eq!(format!("{domain}|{domain:>12}"), "example.com| example.com");
        let seeds: Vec<_> = domain.seeds().iter().map(url::Url::as_str).collect();
        assert_eq!(seeds, ["https://example.com/", "http://example.com/"]);
    }

    #[test]
    fn a_domain_with_a_scheme_is_tried_as_given_only() {
        let domain: Domain = "http://127.0.0.1:8080/docs/".parse().expect("valid");
        assert_eq!(domain.seeds().len(), 1);
        assert_eq!(domain.seeds()[0].as_str(), "http://127.0.0.1:8080/docs/");
    }

    #[test]
    fn what_is_no_website_is_refused() {
        for text in [
            "",
            "ftp://example.com",
            "http://user:pw@example.com",
            "example.com/path",
            "exa mple.com",
            "http://",
            "http://exa\nmple.com",
            "http://a/\0",
        ] {
            assert!(text.parse::<Domain>().is_err(), "{text}");
        }
    }
}

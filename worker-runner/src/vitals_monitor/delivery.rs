//! How one response was delivered.

use hermes_core::ports::http::Response;
use jiff::fmt::rfc2822::DateTimeParser;

/// What matters about the delivery of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) status: u16,
    /// Bytes after decompression, as far as they were read.
    pub(super) bytes: u64,
    pub(super) is_compressed: bool,
    /// Whether it is text, which compresses well.
    pub(super) is_text: bool,
    /// Seconds for which browsers may keep it without asking; `None` if nothing is said.
    pub(super) fresh_seconds: Option<u64>,
}

impl Delivery {
    pub(super) fn of(response: &Response) -> Self {
        Self {
            status: response.status,
            bytes: response.body.len() as u64,
            is_compressed: response.content_encoding.is_some(),
            is_text: response.header("content-type").is_some_and(is_text),
            fresh_seconds: fresh_seconds(response),
        }
    }

    pub(super) fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }
}

fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || kind.ends_with("json")
        || kind.ends_with("xml")
        || matches!(kind.as_str(), "application/javascript" | "application/x-javascript")
}

/// By `Cache-Control`, for a browser: `no-store` and `no-cache` mean zero. `Expires` is read only as a sign that
/// something is said at all, against the `Date` of the same response: equal or unreadable means zero.
fn fresh_seconds(response: &Response) -> Option<u64> {
    let values = response.headers.iter().filter(|(name, _)| name == "cache-control");
    let control = values.map(|(_, value)| value.to_ascii_lowercase()).collect::<Vec<_>>().join(",");
    let mut directives = control.split(',').map(str::trim);
    if directives.clone().any(|directive| matches!(directive, "no-store" | "no-cache")) {
        return Some(0);
    }
    let age = directives.find_map(|directive| directive.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    age.or_else(|| {
        let expires = response.header("expires")?;
        let lifetime = seconds_of(expires)? - seconds_of(response.header("date")?)?;
        Some(u64::try_from(lifetime).unwrap_or(0))
    })
}

/// Seconds of an HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`).
fn seconds_of(date: &str) -> Option<i64> {
    DateTimeParser::new().parse_timestamp(date.trim()).ok().map(|at| at.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::fake;

    fn fresh(headers: &[(&str, &str)]) -> Option<u64> {
        fresh_seconds(&fake::response(200, headers, ""))
    }

    #[test]
    fn cache_control_says_how_long_a_browser_may_keep_something() {
        assert_eq!(fresh(&[]), None);
        assert_eq!(fresh(&[("cache-control", "public, max-age=3600, immutable")]), Some(3_600));
        assert_eq!(fresh(&[("cache-control", "max-age=3600"), ("cache-control", "no-store")]), Some(0));
        assert_eq!(fresh(&[("cache-control", "public")]), None);
    }

    #[test]
    fn expires_counts_from_the_date_of_the_answer() {
        let date = ("date", "Sun, 28 Feb 2027 23:00:00 GMT");
        assert_eq!(fresh(&[date, ("expires", "Mon, 01 Mar 2027 01:00:00 GMT")]), Some(7_200));
        assert_eq!(fresh(&[date, ("expires", "Thu, 01 Jan 1970 00:00:00 GMT")]), Some(0));
        assert_eq!(fresh(&[date, ("expires", "0")]), None);
    }
}

//! How one response was delivered.

use hermes_core::ports::http::Response;

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
        let lifetime = seconds_of(expires)?.checked_sub(seconds_of(response.header("date")?)?);
        Some(lifetime.unwrap_or(0))
    })
}

/// Seconds since the year 0 of an HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`), for differences only.
fn seconds_of(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = date.split_ascii_whitespace().skip(1);
    let day: u64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // Days before a date in the calendar whose year begins in March, so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(headers: &[(&str, &str)]) -> Option<u64> {
        fresh_seconds(&Response {
            status: 200,
            version: "HTTP/1.1".into(),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            body: Vec::new(),
            truncated: false,
            content_encoding: None,
            ttfb_ms: 1,
            total_ms: 1,
        })
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

//! How long a `Retry-After` field asks to wait.

use hermes_core::ports::http::Response;
use jiff::fmt::rfc2822::DateTimeParser;

/// Milliseconds to wait, if the response says so in seconds, or as a date beside a `Date` of its own: our clock has no
/// part in it. Source: RFC 9110, section 10.2.3.
pub(crate) fn retry_after_ms(response: &Response) -> Option<u64> {
    wait_ms(response.header("retry-after")?, response.header("date"))
}

/// The same of the fields `Retry-After` and `Date` alone.
pub(crate) fn wait_ms(retry_after: &str, date: Option<&str>) -> Option<u64> {
    let field = retry_after.trim();
    if !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number are a long time, not none.
        return Some(field.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000));
    }
    let parser = DateTimeParser::new();
    let until = parser.parse_timestamp(field).ok()?;
    let now = parser.parse_timestamp(date?.trim()).ok()?;
    let wait_ms = until.as_millisecond().saturating_sub(now.as_millisecond());
    Some(u64::try_from(wait_ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::fake;

    fn response(fields: &[(&str, &str)]) -> Response {
        fake::response(429, fields, "")
    }

    #[test]
    fn seconds_and_dates_are_read_and_nonsense_is_not() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (field, expected) in [
            ("7", Some(7_000)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30_000)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after_ms(&response(&[date, ("retry-after", field)])), expected, "{field:?}");
        }
    }

    #[test]
    fn a_date_without_the_servers_own_date_says_nothing() {
        assert_eq!(retry_after_ms(&response(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")])), None);
        assert_eq!(retry_after_ms(&response(&[])), None);
    }
}

//! The machine's clock, for what is dated by the world outside: certificates, registrations, downloads. Runs know the
//! store's clock only.

use std::time::{SystemTime, UNIX_EPOCH};

use hermes_core::Timestamp;

/// Now, by this machine.
#[expect(clippy::disallowed_methods, reason = "certificates and downloads are dated by the world's clock, not by runs")]
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

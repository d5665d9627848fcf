//! Randomness and identities. Everything else takes them as arguments, so that a simulation can choose them.

#![expect(clippy::disallowed_methods, reason = "this is the one place where identities are drawn")]

use hermes_core::RunId;
use hermes_core::run::Jitter;
use uuid::Uuid;

/// Identity of a new run: UUID version 7, so that later runs sort behind earlier ones. Its time is that of this
/// machine and serves only the order; no decision is made with it.
#[must_use]
pub fn run_id() -> RunId {
    RunId::from_uuid(Uuid::now_v7())
}

/// Identity of a process, fresh with each start: two processes never share one, not even on one host.
#[must_use]
pub fn process_id() -> Uuid {
    Uuid::new_v4()
}

/// A number for a back-off.
#[must_use]
pub fn jitter() -> Jitter {
    Jitter::new(rand::random())
}

/// A secret key, from the system's generator by way of one that is made for secrets.
#[must_use]
pub fn key() -> [u8; 32] {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_and_keys_do_not_repeat_and_run_ids_sort_by_time() {
        let (first, second) = (run_id(), run_id());
        assert!(first < second);
        assert_ne!(process_id(), process_id());
        assert_ne!(key(), key());
    }
}

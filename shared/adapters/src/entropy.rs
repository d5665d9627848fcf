//! Identities, jitter and keys, drawn from the system. Everything else takes them through the port, so that a
//! simulation can draw from a seed.

#![expect(clippy::disallowed_methods, reason = "this is the one place where identities are drawn")]

use hermes_core::ports::entropy::Entropy;
use hermes_core::run::Jitter;
use uuid::Uuid;

/// Draws from the system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// A UUID version 7. Its time is that of this machine and serves only the order; no decision is made with it.
    fn identity(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn jitter(&self) -> Jitter {
        Jitter::new(rand::random())
    }

    fn key(&self) -> [u8; 32] {
        rand::random()
    }
}

/// Identity of a process, fresh with each start: two processes never share one, not even on one host.
#[must_use]
pub fn process_id() -> Uuid {
    Uuid::new_v4()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_and_keys_do_not_repeat_and_identities_sort_by_time() {
        let (first, second) = (SystemEntropy.identity(), SystemEntropy.identity());
        assert!(first < second);
        assert_ne!(process_id(), process_id());
        assert_ne!(SystemEntropy.key(), SystemEntropy.key());
    }
}

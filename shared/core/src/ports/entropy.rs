//! Identities and jitter, drawn outside the core.

use uuid::Uuid;

use crate::run::Jitter;

/// Draws what must not repeat. Simulations draw from a seed.
pub trait Entropy: Send + Sync {
    /// A fresh, time-ordered identity (UUID version 7).
    fn identity(&self) -> Uuid;

    /// A fresh number for a back-off.
    fn jitter(&self) -> Jitter;

    /// 32 fresh bytes, unpredictable, for a key.
    fn key(&self) -> [u8; 32];
}

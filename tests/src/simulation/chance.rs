//! Chance with a seed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hermes_core::ports::entropy::Entropy;
use hermes_core::run::Jitter;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

/// A source of chance; everything drawn from it follows from its seed.
pub(super) struct Chance(Mutex<StdRng>);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A source of its own for someone who must not be disturbed by what others draw.
    pub(super) fn fork(&self) -> Self {
        Self::new(self.rng().random())
    }

    /// True once in `in_all` times.
    pub(super) fn once_in(&self, in_all: u64) -> bool {
        self.below(in_all) == 0
    }

    /// A number below `end`.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.rng().random_range(0..end)
    }

    /// A number from `least` to `most`.
    pub(super) fn between(&self, least: u64, most: u64) -> u64 {
        self.rng().random_range(least..=most)
    }

    /// One of these.
    pub(super) fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        let position = self.rng().random_range(0..from.len());
        &from[position]
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entropy for Chance {
    fn identity(&self) -> Uuid {
        Uuid::from_bytes(self.rng().random())
    }

    fn jitter(&self) -> Jitter {
        Jitter::new(self.rng().random())
    }

    fn key(&self) -> [u8; 32] {
        self.rng().random()
    }
}

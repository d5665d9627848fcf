//! What can be chosen about a run of the harness.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::fault::{Kind, Quotas};

/// The seed that is used when none is named.
pub const SEED: u64 = 20_261_122;

/// What is to be done.
#[derive(Clone, Debug, Serialize)]
pub struct Options {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many runs the clients want.
    pub runs: u32,
    /// How long faults happen.
    pub span: Duration,
    /// The lease of jobs; a third of it is the heartbeat.
    pub lease: Duration,
    /// How often each fault happens.
    pub quotas: Quotas,
    /// Whether processes also end by themselves, at borders.
    pub armed: bool,
    /// Whether each border must have ended a process at least once: chance sees to that in the long form only.
    pub all_borders: bool,
    /// Where the programs of an older build are, to run side by side with these.
    pub old_binaries: Option<PathBuf>,
}

impl Options {
    /// About two minutes of faults.
    #[must_use]
    pub fn short(seed: u64) -> Self {
        let quotas = Kind::ALL.into_iter().map(|(kind, short, _)| (kind, short)).collect();
        Self {
            seed,
            runs: 300,
            span: Duration::from_secs(120),
            lease: Duration::from_secs(3),
            quotas,
            armed: true,
            all_borders: false,
            old_binaries: None,
        }
    }

    /// Less than a minute of faults, each kind that hurts most at least once.
    #[must_use]
    pub fn shortest(seed: u64) -> Self {
        let short = Self::short(seed);
        let quotas = short.quotas.iter().map(|(kind, count)| (*kind, count.div_ceil(4))).collect();
        Self { runs: 120, span: Duration::from_secs(40), quotas, ..short }
    }

    /// The form whose figures are published: ten thousand runs.
    #[must_use]
    pub fn long(seed: u64) -> Self {
        let quotas = Kind::ALL.into_iter().map(|(kind, _, long)| (kind, long)).collect();
        Self { runs: 10_000, span: Duration::from_secs(1_800), quotas, all_borders: true, ..Self::short(seed) }
    }

    /// Nothing but these kinds: to measure what one of them costs by itself.
    #[must_use]
    pub fn only(mut self, kinds: &[Kind]) -> Self {
        self.quotas.retain(|kind, _| kinds.contains(kind));
        Self { armed: false, all_borders: false, ..self }
    }

    /// Whether Redis keeps an append-only file: every other seed.
    #[must_use]
    pub const fn redis_persists(&self) -> bool {
        self.seed % 2 == 1
    }
}

//! The limits of a fleet with those of the process behind them: while the fleet's cannot be kept, the process keeps its
//! own, from what it has seen itself.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::ports::politeness::{
    Admission, Ask, Keeper, Limits, Permit, Politeness, PolitenessUnavailable, Target, Went,
};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::memory::MemoryPoliteness;

/// Longest wait for the fleet's answer: a request is not to wait for its permit for longer than it may take itself.
const ANSWER_MS: u64 = 1_000;
/// After a failure the fleet is not asked for this long.
const PAUSE_MS: u64 = 1_000;

/// Limits kept by the fleet, or else by the process.
pub struct FleetPoliteness<F> {
    fleet: F,
    process: MemoryPoliteness,
    /// Set while the fleet does not answer: when to ask it again.
    away_until: Mutex<Option<Instant>>,
}

impl<F: Politeness> FleetPoliteness<F> {
    /// Limits kept by `fleet` whenever it answers.
    #[must_use]
    pub fn new(fleet: F) -> Self {
        Self { fleet, process: MemoryPoliteness::default(), away_until: Mutex::default() }
    }

    /// The answer of the fleet, unless it is away.
    async fn of_fleet<T>(&self, answer: impl Future<Output = Result<T, PolitenessUnavailable>>) -> Option<T> {
        let away_until = *self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        if away_until.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let silent = || PolitenessUnavailable(format!("no answer within {ANSWER_MS} ms"));
        let answer = tokio::time::timeout(Duration::from_millis(ANSWER_MS), answer).await;
        let answer = answer.unwrap_or_else(|_| Err(silent()));
        let mut state = self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(answer) => {
                if state.take().is_some() {
                    info!("the limits of outgoing calls are kept by the fleet again");
                }
                Some(answer)
            }
            Err(error) => {
                if state.replace(Instant::now() + Duration::from_millis(PAUSE_MS)).is_none() {
                    warn!(%error, "this process keeps its limits of outgoing calls by itself for now");
                }
                None
            }
        }
    }
}

#[async_trait]
impl<F: Politeness> Politeness for FleetPoliteness<F> {
    async fn ask(&self, ask: &Ask<'_>) -> Result<Admission, PolitenessUnavailable> {
        // What the target told this process holds, even if the fleet has lost it.
        if let Some(wait) = self.process.left_alone(ask.target) {
            return Ok(Admission::Wait(wait));
        }
        match self.of_fleet(self.fleet.ask(ask)).await {
            Some(admission) => Ok(admission),
            None => self.process.ask(ask).await,
        }
    }

    async fn tell(
        &self,
        target: &Target,
        limits: &Limits,
        permit: Permit,
        went: Went,
    ) -> Result<(), PolitenessUnavailable> {
        self.process.tell(target, limits, permit, went).await?;
        // The others want to know it, also if this process acted alone.
        let is_news = permit.keeper == Keeper::Fleet || matches!(went, Went::Asked { .. } | Went::Failed);
        if is_news {
            self.of_fleet(self.fleet.tell(target, limits, permit, went)).await;
        }
        Ok(())
    }
}

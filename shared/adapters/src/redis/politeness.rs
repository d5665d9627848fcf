//! The limits of a fleet, in Redis: one atomic step to ask and one to tell, by the server's clock.
//!
//! Kept under the prefix of the queue, so in the same slot: `polite:<target>`, a hash of what is known, and
//! `polite:<target>:permits`, a sorted set of leases. Both expire ten minutes after they last counted. They may vanish
//! at any moment: then a target is called as if for the first time.

use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::ports::politeness::{
    ASK_AGAIN_MS, Admission, Ask, Keeper, Limits, OPEN_DOUBLINGS_MAX, Permit, Politeness, PolitenessUnavailable,
    Reason, Target, Turn, Wait, Went,
};
use redis::Script;

use super::steps::Core;

/// Keeps the limits of a fleet; a handle to the connection of a queue.
pub struct RedisPoliteness {
    core: Arc<Core>,
    ask: Script,
    tell: Script,
}

impl RedisPoliteness {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let (ask, tell) = (Script::new(include_str!("lua/ask.lua")), Script::new(include_str!("lua/tell.lua")));
        Self { core, ask, tell }
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        script: &Script,
        target: &Target,
        arguments: &[String],
    ) -> Result<T, PolitenessUnavailable> {
        let known = self.core.keys.polite(target.as_str());
        let mut invocation = script.prepare_invoke();
        invocation.key(known.as_str()).key(format!("{known}:permits"));
        for argument in arguments {
            invocation.arg(argument);
        }
        let ran = self.core.link.run(async |mut connection| invocation.invoke_async(&mut connection).await).await;
        ran.map_err(|error| PolitenessUnavailable(error.to_string()))
    }
}

#[async_trait]
impl Politeness for RedisPoliteness {
    async fn ask(&self, ask: &Ask<'_>) -> Result<Admission, PolitenessUnavailable> {
        let turn_us = ask.turn.filter(|turn| turn.keeper == Keeper::Fleet).map(|turn| micros(turn.at_ms));
        let arguments = [
            format!("{:x}", ask.id),
            micros(ask.lease_ms).to_string(),
            ask.limits.interval_us.to_string(),
            ask.limits.at_a_time.to_string(),
            micros(ask.limits.queue_max_ms).to_string(),
            turn_us.map_or_else(|| "-1".to_owned(), |at| at.to_string()),
            micros(ASK_AGAIN_MS).to_string(),
        ];
        let (reason, wait_us, turn_us): (String, u64, i64) = self.run(&self.ask, ask.target, &arguments).await?;
        let reason = match reason.as_str() {
            "" => return Ok(Admission::Granted(Permit { id: ask.id, keeper: Keeper::Fleet })),
            "rate" => Reason::Rate,
            "busy" => Reason::Busy,
            "open" => Reason::Open,
            "retry_after" => Reason::RetryAfter,
            other => return Err(PolitenessUnavailable(format!("a script of another release answered '{other}'"))),
        };
        // Rounded up: a turn is never taken early.
        let at_ms = u64::try_from(turn_us).ok().map(|at_us| at_us.div_ceil(1_000));
        let turn = at_ms.map(|at_ms| Turn { at_ms, keeper: Keeper::Fleet });
        Ok(Admission::Wait(Wait { reason, wait_ms: wait_us.div_ceil(1_000), turn }))
    }

    async fn tell(
        &self,
        target: &Target,
        limits: &Limits,
        permit: Permit,
        went: Went,
    ) -> Result<(), PolitenessUnavailable> {
        let (word, retry_after_ms) = match went {
            Went::Answered => ("answered", None),
            Went::Asked { retry_after_ms } => ("asked", retry_after_ms),
            Went::Failed => ("failed", None),
            Went::Unknown => ("unknown", None),
        };
        let arguments = [
            format!("{:x}", permit.id),
            word.to_owned(),
            retry_after_ms.map_or_else(|| "-1".to_owned(), |wait_ms| micros(wait_ms).to_string()),
            limits.failures_max.to_string(),
            micros(limits.open_ms).to_string(),
            micros(limits.pause_ms).to_string(),
            micros(limits.retry_after_max_ms).to_string(),
            OPEN_DOUBLINGS_MAX.to_string(),
        ];
        self.run(&self.tell, target, &arguments).await
    }
}

const fn micros(ms: u64) -> u64 {
    ms.saturating_mul(1_000)
}

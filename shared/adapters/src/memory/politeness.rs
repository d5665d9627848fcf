//! The limits of one process, kept by itself: the same rules as `redis/lua/ask.lua` and `redis/lua/tell.lua`, which a
//! conformance suite compares.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hermes_core::ports::politeness::{
    ASK_AGAIN_MS, Admission, Ask, Keeper, Limits, OPEN_DOUBLINGS_MAX, Permit, Politeness, PolitenessUnavailable,
    Reason, Target, Turn, Wait, Went,
};
use tokio::time::Instant;

/// Targets that are remembered; when there are more, those go of which nothing is known that still counts.
const TARGETS_MAX: usize = 4_096;

/// Keeps the limits in memory.
#[derive(Debug)]
pub struct MemoryPoliteness {
    start: Instant,
    targets: Mutex<HashMap<Target, State>>,
}

/// What is known about a target. Times are microseconds since the start of the process.
#[derive(Debug, Default)]
struct State {
    /// When the next request has its turn.
    next_us: u64,
    /// Ends of the leases of the requests that are under way, by id.
    permits: HashMap<u128, u64>,
    /// Until when the target asked to be left alone.
    left_alone_until_us: u64,
    /// How often in a row it asked.
    asked: u32,
    /// Failures in a row.
    failures: u32,
    /// How often in a row the breaker opened; 0 while it is closed.
    opened: u32,
    /// Until when it stays open.
    open_until_us: u64,
    /// The probe of a half-open breaker and the end of its lease.
    probe: Option<(u128, u64)>,
}

impl Default for MemoryPoliteness {
    fn default() -> Self {
        Self { start: Instant::now(), targets: Mutex::default() }
    }
}

impl MemoryPoliteness {
    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn targets(&self) -> MutexGuard<'_, HashMap<Target, State>> {
        // Every critical section leaves the value whole.
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this process was itself asked by the target, whoever keeps its limits otherwise.
    pub(crate) fn left_alone(&self, target: &Target) -> Option<Wait> {
        let now_us = self.now_us();
        let until_us = self.targets().get(target)?.left_alone_until_us;
        (until_us > now_us).then(|| wait(Reason::RetryAfter, until_us - now_us, None))
    }

    fn state<'a>(&self, targets: &'a mut HashMap<Target, State>, target: &Target, now_us: u64) -> &'a mut State {
        if targets.len() >= TARGETS_MAX && !targets.contains_key(target) {
            targets.retain(|_, state| !state.is_idle(now_us));
        }
        targets.entry(target.clone()).or_default()
    }
}

impl State {
    fn is_idle(&self, now_us: u64) -> bool {
        self.next_us.max(self.left_alone_until_us).max(self.open_until_us) <= now_us
            && self.permits.values().all(|end_us| *end_us <= now_us)
    }

    fn ask(&mut self, ask: &Ask<'_>, now_us: u64) -> Result<(), Wait> {
        let Limits { interval_us, at_a_time, queue_max_ms, .. } = *ask.limits;
        if self.left_alone_until_us > now_us {
            return Err(wait(Reason::RetryAfter, self.left_alone_until_us - now_us, ask.turn));
        }
        if self.opened > 0 {
            if self.open_until_us > now_us {
                return Err(wait(Reason::Open, self.open_until_us - now_us, ask.turn));
            }
            if self.probe.is_some_and(|(id, end_us)| id != ask.id && end_us > now_us) {
                return Err(wait(Reason::Open, ASK_AGAIN_MS * 1_000, ask.turn));
            }
        }
        let mut turn = ask.turn.filter(|turn| turn.keeper == Keeper::Process);
        if interval_us > 0 {
            let at_us = turn.map_or_else(|| self.next_us.max(now_us), |turn| turn.at_ms * 1_000);
            if turn.is_none() {
                if at_us - now_us > queue_max_ms * 1_000 {
                    return Err(wait(Reason::Rate, at_us - now_us, None));
                }
                self.next_us = at_us + interval_us;
            }
            turn = Some(Turn { at_ms: at_us.div_ceil(1_000), keeper: Keeper::Process });
            if at_us > now_us {
                return Err(wait(Reason::Rate, at_us - now_us, turn));
            }
        }
        self.permits.retain(|id, end_us| *id == ask.id || *end_us > now_us);
        if at_a_time > 0 && !self.permits.contains_key(&ask.id) && self.permits.len() >= at_a_time as usize {
            return Err(wait(Reason::Busy, ASK_AGAIN_MS * 1_000, turn));
        }
        let end_us = now_us + ask.lease_ms * 1_000;
        self.permits.insert(ask.id, end_us);
        if self.opened > 0 {
            self.probe = Some((ask.id, end_us));
        }
        Ok(())
    }

    fn tell(&mut self, limits: &Limits, id: u128, went: Went, now_us: u64) {
        self.permits.remove(&id);
        let was_probe = self.probe.is_some_and(|(probe, _)| probe == id);
        if was_probe {
            self.probe = None;
        }
        match went {
            Went::Unknown => {}
            Went::Answered => (self.failures, self.asked, self.opened, self.probe) = (0, 0, 0, None),
            Went::Asked { retry_after_ms } => {
                // It is up, and that is all a breaker wants to know.
                (self.failures, self.opened, self.probe) = (0, 0, None);
                let pause_ms = retry_after_ms.unwrap_or(limits.pause_ms << self.asked.min(OPEN_DOUBLINGS_MAX));
                let until_us = now_us + pause_ms.min(limits.retry_after_max_ms) * 1_000;
                self.left_alone_until_us = self.left_alone_until_us.max(until_us);
                self.asked = self.asked.saturating_add(1);
            }
            Went::Failed => {
                self.failures = self.failures.saturating_add(1);
                let closed_too_long = self.opened == 0 && self.failures >= limits.failures_max;
                if limits.failures_max > 0 && (was_probe || closed_too_long) {
                    let open_ms = limits.open_ms << self.opened.min(OPEN_DOUBLINGS_MAX);
                    self.open_until_us = now_us + open_ms * 1_000;
                    (self.opened, self.failures) = (self.opened.saturating_add(1), 0);
                }
            }
        }
    }
}

fn wait(reason: Reason, wait_us: u64, turn: Option<Turn>) -> Wait {
    Wait { reason, wait_ms: wait_us.div_ceil(1_000), turn }
}

#[async_trait]
impl Politeness for MemoryPoliteness {
    async fn ask(&self, ask: &Ask<'_>) -> Result<Admission, PolitenessUnavailable> {
        let now_us = self.now_us();
        let mut targets = self.targets();
        Ok(match self.state(&mut targets, ask.target, now_us).ask(ask, now_us) {
            Ok(()) => Admission::Granted(Permit { id: ask.id, keeper: Keeper::Process }),
            Err(wait) => Admission::Wait(wait),
        })
    }

    async fn tell(
        &self,
        target: &Target,
        limits: &Limits,
        permit: Permit,
        went: Went,
    ) -> Result<(), PolitenessUnavailable> {
        let now_us = self.now_us();
        let mut targets = self.targets();
        self.state(&mut targets, target, now_us).tell(limits, permit.id, went, now_us);
        Ok(())
    }
}

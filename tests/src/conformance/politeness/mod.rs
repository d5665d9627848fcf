//! What every keeper of limits must do, as sentences. An adapter provides a [`PolitenessWorld`] and stamps the cases out
//! as tests with [`politeness_conformance!`](crate::politeness_conformance).
//!
//! No test waits: [`PolitenessWorld::pass`] lets time pass for the keeper alone. Times are minutes, so that what a busy
//! machine adds to them does not matter.

pub mod breaker;
pub mod permits;
pub mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use hermes_core::ports::politeness::{Admission, Ask, Limits, Permit, Politeness, Reason, Target, Turn, Wait, Went};

/// A minute, in which everything here is counted.
pub const MINUTE: Duration = Duration::from_secs(60);
const MINUTE_MS: u64 = 60_000;

/// No limits at all, to be limited by a case.
pub const FREE: Limits = Limits {
    interval_us: 0,
    at_a_time: 0,
    queue_max_ms: 10 * MINUTE_MS,
    failures_max: 0,
    open_ms: MINUTE_MS,
    pause_ms: MINUTE_MS,
    retry_after_max_ms: 60 * MINUTE_MS,
};

/// A keeper without memories, with everything around it.
#[async_trait]
pub trait PolitenessWorld: Send + Sync + Sized {
    /// Limits that nobody else looks at.
    async fn fresh() -> Self;

    /// The keeper, as one more process sees it.
    async fn process(&self) -> Arc<dyn Politeness>;

    /// Lets `time` pass for everything that is kept.
    async fn pass(&self, time: Duration);

    /// A promised turn, after `time` has passed.
    fn aged(&self, turn: Turn, time: Duration) -> Turn;
}

/// Stamps out one `#[tokio::test]` per case for a [`PolitenessWorld`].
#[macro_export]
macro_rules! politeness_conformance {
    ($world:ty) => {
        $crate::politeness_conformance!(@cases $world, permits:
            nothing_is_limited_without_limits,
            requests_of_all_processes_keep_their_distance,
            a_turn_that_is_too_far_away_is_not_promised_and_not_taken,
            no_more_requests_are_under_way_than_allowed,
            one_request_that_asks_twice_counts_once,
            the_permit_of_a_dead_process_ends_with_its_lease,
            of_many_that_ask_at_once_as_many_as_allowed_are_let_go,
            targets_do_not_limit_each_other,
        );
        $crate::politeness_conformance!(@cases $world, requests:
            a_target_that_asked_is_left_alone_by_everybody_for_as_long,
            a_shorter_wish_does_not_shorten_a_longer_one,
            pauses_of_a_target_that_names_no_time_double_until_it_answers,
            no_target_is_left_alone_for_longer_than_the_longest_time,
        );
        $crate::politeness_conformance!(@cases $world, breaker:
            a_target_that_fails_too_often_in_a_row_is_not_called,
            an_answer_in_between_starts_the_count_anew,
            a_half_open_breaker_lets_one_probe_through_and_its_answer_closes_it,
            a_probe_that_fails_opens_it_for_twice_as_long,
            a_probe_that_dies_or_is_given_up_makes_room_for_another,
            a_wish_to_be_left_alone_shows_that_the_target_is_up,
        );
    };
    (@cases $world:ty, $group:ident: $($case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::politeness::$group::$case::<$world>().await;
            }
        )*
    };
}

/// A process, the target that it calls, and the limits.
pub(super) struct Caller {
    keeper: Arc<dyn Politeness>,
    target: Target,
    pub(super) limits: Limits,
}

impl Caller {
    pub(super) async fn new(world: &impl PolitenessWorld, limits: Limits) -> Self {
        Self { keeper: world.process().await, target: Target::host("a.test", 443), limits }
    }

    /// The same process, calling another target.
    pub(super) fn to(&self, host: &str) -> Self {
        Self { keeper: Arc::clone(&self.keeper), target: Target::host(host, 443), limits: self.limits }
    }

    pub(super) async fn ask_as(&self, id: u128, turn: Option<Turn>) -> Admission {
        let ask = Ask { target: &self.target, limits: &self.limits, id, turn, lease_ms: MINUTE_MS };
        self.keeper.ask(&ask).await.unwrap()
    }

    /// A new request.
    pub(super) async fn ask(&self) -> Admission {
        self.ask_as(fresh_id(), None).await
    }

    /// A new request that is let go.
    pub(super) async fn granted(&self) -> Permit {
        granted(self.ask().await)
    }

    /// A new request that has to wait.
    pub(super) async fn waits(&self) -> Wait {
        waits(self.ask().await)
    }

    /// A new request that has to wait for this reason, for between `minutes` - 1 and `minutes`.
    pub(super) async fn waits_for(&self, reason: Reason, minutes: u64) {
        let wait = self.waits().await;
        assert_eq!(wait.reason, reason, "{wait:?}");
        assert!((minutes - 1) * MINUTE_MS < wait.wait_ms && wait.wait_ms <= minutes * MINUTE_MS, "{wait:?}");
    }

    pub(super) async fn tell(&self, permit: Permit, went: Went) {
        self.keeper.tell(&self.target, &self.limits, permit, went).await.unwrap();
    }

    /// A request from beginning to end.
    pub(super) async fn call(&self, went: Went) {
        let permit = self.granted().await;
        self.tell(permit, went).await;
    }
}

/// An identity that no other request of this process has.
pub(super) fn fresh_id() -> u128 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed).into()
}

pub(super) fn granted(admission: Admission) -> Permit {
    match admission {
        Admission::Granted(permit) => permit,
        Admission::Wait(wait) => panic!("it is to be let go: {wait:?}"),
    }
}

pub(super) fn waits(admission: Admission) -> Wait {
    match admission {
        Admission::Wait(wait) => wait,
        Admission::Granted(_) => panic!("it is to wait"),
    }
}

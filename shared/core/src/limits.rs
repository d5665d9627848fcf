//! Every limit has a name here, and the relations between limits are asserted when the crate is compiled.
//! Units come last in the name.

/// Services of one plan.
pub const PLAN_SERVICES_MAX: usize = 1_024;
/// Dependencies of one plan, all services together.
pub const PLAN_DEPENDENCIES_MAX: usize = 8_192;
/// Bytes of a plan id, service name, worker key or website id.
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes of a display name or description.
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// Bytes of a domain or seed URL.
pub const DOMAIN_BYTES_MAX: usize = 2_048;
/// Bytes of the parameters of one service in a plan, as JSON.
pub const PARAMS_BYTES_MAX: usize = 16 * 1_024;

/// Shortest run that a plan may ask for.
pub const RUN_DURATION_MIN_MS: u64 = 1_000;
/// Longest run that a plan may ask for: a day.
pub const RUN_DURATION_MAX_MS: u64 = 24 * 60 * 60 * 1_000;
/// Shortest time-out of a service.
pub const SERVICE_TIMEOUT_MIN_MS: u64 = 100;
/// Most attempts at one service within one revision of a run.
pub const ATTEMPTS_MAX: u32 = 10;

/// Bytes of results from which diagnoses are made on the spot; for more, another thread is asked.
pub const SYNTHESIS_INLINE_BYTES_MAX: usize = 16 * 1_024;
/// Time before a run's deadline that belongs to synthesis, at most.
pub const SYNTHESIS_RESERVE_MAX_MS: u64 = 2_000;
/// The same as a share of the run's duration: one part in this many, where that is shorter.
pub const SYNTHESIS_RESERVE_PARTS: u64 = 10;
/// A retry that would leave its attempt less than this does not start.
pub const ATTEMPT_MIN_MS: u64 = 50;
/// How much longer than an attempt's own time-out the dispatcher waits for the worker to report it.
pub const TIMEOUT_GRACE_MS: u64 = 2_000;

/// First back-off; doubles with each attempt.
pub const BACKOFF_BASE_MS: u64 = 500;
/// Longest back-off.
pub const BACKOFF_CAP_MS: u64 = 30_000;
/// Longest `Retry-After` that is honoured; a longer one fails the attempt for good.
pub const RETRY_AFTER_MAX_MS: u64 = 10 * 60 * 1_000;

/// A worker that holds a job renews its lease this often.
pub const HEARTBEAT_MS: u64 = 4_000;
/// A job whose lease was not renewed for this long is delivered to another worker.
pub const LEASE_MS: u64 = 12_000;
/// A lease lasts at least this many heartbeats, so that two may be lost; also when both are configured.
pub const LEASE_HEARTBEATS_MIN: u32 = 3;
/// A job that was being executed while this many workers died is failed as poison.
pub const POISON_DEATHS: u32 = 3;
/// An attempt that is still running after this long sends a "started" notice.
pub const STARTED_NOTICE_AFTER_MS: u64 = 40;

/// Bytes of one HTTP request body that the API reads.
pub const BODY_BYTES_MAX: usize = 1_024 * 1_024;
/// Bytes of one service's result.
pub const RESULT_BYTES_MAX: usize = 1_024 * 1_024;
/// Bytes of an error message that is kept.
pub const ERROR_BYTES_MAX: usize = 1_024;
/// Bytes of a foreign body that an error quotes.
pub const EXCERPT_BYTES_MAX: usize = 200;
/// Runs in one batch submission.
pub const BATCH_RUNS_MAX: usize = 1_000;
/// Runs of one page of a list.
pub const PAGE_RUNS_MAX: usize = 200;
/// Events of one page of a log.
pub const PAGE_EVENTS_MAX: usize = 1_000;
/// Bytes of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Runs changed by one transaction.
pub const TRANSITION_RUNS_MAX: usize = 512;
/// Open runs that a dispatcher keeps at hand, so that a report needs no reading; the oldest make room for new ones.
pub const HOT_RUNS_MAX: usize = 32 * 1_024;
/// Bytes of them and their results, all together.
pub const HOT_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// By how much two readings of the store's clock may differ that were carried on by different means.
pub const CLOCK_NOISE_MS: u64 = 100;
/// Submissions that wait for their commit; one more is refused, so that accepting stays fast under overload.
pub const SUBMISSIONS_WAITING_MAX: usize = 4_096;
/// Commands (cancel, re-run, notes, callbacks) that wait for their commit.
pub const COMMANDS_WAITING_MAX: usize = 4_096;

/// Bytes of the jobs or reports that a dispatcher or worker takes from the queue in one go.
pub const DELIVERY_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// As many of them may come on top, because how large they are shows only when they are read.
pub const DELIVERY_OVERSHOOT_MAX: usize = 8;
/// After a commit, the queue may take this long to be told; then the reconciler does it. Shorter than the reserve of
/// synthesis, so that a queue that hangs costs no deadline.
pub const DELIVER_WITHIN_MS: u64 = 1_000;
/// Reports that a dispatcher has taken go to another one if it does not renew them for this long; it renews them three
/// times as often. Short, because applying a report takes milliseconds and applying it twice is harmless.
pub const REPORT_LEASE_MS: u64 = 1_500;
/// What a dispatcher left behind when it died is done by another one within this.
pub const DISPATCHER_REPLACED_WITHIN_MS: u64 = 2_000;
/// A dispatcher compares store and queue this often.
pub const RECONCILE_EVERY_MS: u64 = 1_000;
/// Jobs younger than this are not compared: their publication may be under way.
pub const RECONCILE_GRACE_MS: u64 = 500;
/// Open runs are counted for the metrics this often at most, however often these are asked for.
pub const OPEN_RUNS_COUNTED_EVERY_MS: u64 = 1_000;
/// Open runs that are compared at a time.
pub const RECONCILE_PAGE_RUNS: usize = 200;
/// Jobs that the reconciler makes and publishes in one go, one batch after the other.
pub const REPUBLISH_JOBS_MAX: usize = 256;
/// A dispatcher looks for due runs at least this often, even when it knows of none.
pub const TIMER_POLL_MS: u64 = 1_000;
/// A watcher of a run looks again at least this often: another dispatcher may have changed the run.
pub const WATCH_POLL_MS: u64 = 500;
/// First and longest pause of a loop whose store or queue does not answer.
pub const OUTAGE_PAUSE_MIN_MS: u64 = 50;
/// See [`OUTAGE_PAUSE_MIN_MS`].
pub const OUTAGE_PAUSE_MAX_MS: u64 = 2_000;
/// A queue that gives no report for this long has none.
pub const REPORTS_QUIET_MS: u64 = 50;
/// A report that waits longer than this to be read shows that dispatchers take in more than they get done: new runs are
/// refused until the backlog is read.
pub const REPORTS_LATE_MS: u64 = 1_000;
/// After an outage of the store at least this long, timers wait this long for reports that came in during it: every loop
/// of every dispatcher notices within it that the store is back.
pub const HEAD_START_MIN_MS: u64 = OUTAGE_PAUSE_MAX_MS + 500;
/// The longest that timers wait for reports, however many there are.
pub const HEAD_START_MAX_MS: u64 = 5_000;
/// A client's command is given up after this many tries at an unavailable store.
pub const COMMAND_TRIES: u32 = 3;

/// How much later than due something may happen before the auditor reports it: a store that was away for as long as its
/// connections take to heal delays no run past this.
pub const AUDIT_SLACK_MS: u64 = 30_000;
/// Violations of one run that the auditor reports; one run may be damaged in thousands of places.
pub const AUDIT_VIOLATIONS_PER_RUN_MAX: usize = 32;
/// A dispatcher judges a page of the runs of the last day this often, one after the other, again and again.
pub const AUDIT_EVERY_MS: u64 = 5_000;
/// Runs that a dispatcher judges at a time.
pub const AUDIT_PAGE_RUNS: usize = 20;
/// How old a run may be when a dispatcher begins to judge it: older than any run that is still open.
pub const AUDIT_WINDOW_MS: u64 = RUN_DURATION_MAX_MS + 60 * 60 * 1_000;
/// Violations that a dispatcher remembers to have reported.
pub const AUDIT_REPORTED_MAX: usize = 10_000;
/// Events of a run that the auditor reads at a time: each may carry a whole result.
pub const AUDIT_PAGE_EVENTS: usize = 64;
/// A run that changes while it is judged is judged again, this often at most.
pub const AUDIT_TRIES: u32 = 8;
/// Bytes of a violation's description.
pub const AUDIT_DETAIL_BYTES_MAX: usize = 512;

/// A dispatcher looks after the store this often: room for what comes, and what is to be removed.
pub const UPKEEP_EVERY_MS: u64 = 10 * 60 * 1_000;

/// The shortest time, in days, for which settled runs can be kept.
pub const RETENTION_DAYS_MIN: u64 = 2;
/// Old runs that are removed at a time.
pub const REMOVED_RUNS_MAX: usize = 500;
/// Pause between two steps of removing, which leaves the store to those who wait for it.
pub const REMOVE_PAUSE_MS: u64 = 200;

/// The part of a run of `duration_ms` that is kept for synthesis.
#[must_use]
pub const fn synthesis_reserve_ms(duration_ms: u64) -> u64 {
    let share = duration_ms / SYNTHESIS_RESERVE_PARTS;
    if share < SYNTHESIS_RESERVE_MAX_MS { share } else { SYNTHESIS_RESERVE_MAX_MS }
}

const _: () = {
    assert!(SERVICE_TIMEOUT_MIN_MS < RUN_DURATION_MIN_MS, "a service must fit into the shortest run");
    assert!(RUN_DURATION_MIN_MS < RUN_DURATION_MAX_MS);
    assert!(SYNTHESIS_RESERVE_PARTS > 1, "the reserve must leave time for the services");
    assert!(ATTEMPT_MIN_MS <= SERVICE_TIMEOUT_MIN_MS, "every permitted time-out must allow an attempt");
    assert!(BACKOFF_BASE_MS <= BACKOFF_CAP_MS);
    assert!(HEARTBEAT_MS * LEASE_HEARTBEATS_MIN as u64 <= LEASE_MS, "two heartbeats may be lost before a lease ends");
    assert!(LEASE_MS < 15_000, "a worker's death is noticed within 15 s");
    assert!(RECONCILE_GRACE_MS < RECONCILE_EVERY_MS, "a lost job is found by the second comparison at the latest");
    assert!(
        RECONCILE_GRACE_MS + RECONCILE_EVERY_MS < DISPATCHER_REPLACED_WITHIN_MS,
        "what it has committed and not published is published by another"
    );
    assert!(
        REPORT_LEASE_MS + REPORT_LEASE_MS / 6 < DISPATCHER_REPLACED_WITHIN_MS,
        "what it has taken and not applied is applied by another, who looks six times per lease"
    );
    assert!(DELIVER_WITHIN_MS < SYNTHESIS_RESERVE_MAX_MS);
    assert!(OUTAGE_PAUSE_MIN_MS < OUTAGE_PAUSE_MAX_MS);
    assert!(REPORTS_QUIET_MS < REPORTS_LATE_MS && REPORTS_LATE_MS < SYNTHESIS_RESERVE_MAX_MS);
    assert!(REPORTS_QUIET_MS < HEAD_START_MIN_MS && HEAD_START_MIN_MS < HEAD_START_MAX_MS);
    assert!(
        TIMER_POLL_MS + OUTAGE_PAUSE_MAX_MS + HEAD_START_MAX_MS + RECONCILE_EVERY_MS < AUDIT_SLACK_MS,
        "what a loop catches up with in its next round is no violation"
    );
    assert!(
        RUN_DURATION_MAX_MS < RETENTION_DAYS_MIN * 86_400_000 && AUDIT_WINDOW_MS < RETENTION_DAYS_MIN * 86_400_000,
        "what is removed is older than any run that is open, and than what dispatchers judge"
    );
    assert!(16 * RESULT_BYTES_MAX < HOT_BYTES_MAX, "an ordinary run with the largest results still fits");
    assert!(RESULT_BYTES_MAX <= BODY_BYTES_MAX, "a result must fit into the body of a callback");
    assert!(RESULT_BYTES_MAX * DELIVERY_OVERSHOOT_MAX <= DELIVERY_BYTES_MAX, "a delivery is never twice as large");
    assert!(EXCERPT_BYTES_MAX < ERROR_BYTES_MAX);
    assert!(PARAMS_BYTES_MAX < BODY_BYTES_MAX);
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What users, workers and operators were told; a limit changes on purpose only.
    #[test]
    fn the_limits_that_are_computed_are_these() {
        assert_eq!(PARAMS_BYTES_MAX, 16_384);
        assert_eq!(RUN_DURATION_MAX_MS, 86_400_000);
        assert_eq!(SYNTHESIS_INLINE_BYTES_MAX, 16_384);
        assert_eq!(RETRY_AFTER_MAX_MS, 600_000);
        assert_eq!((BODY_BYTES_MAX, RESULT_BYTES_MAX), (1_048_576, 1_048_576));
        assert_eq!((HOT_RUNS_MAX, HOT_BYTES_MAX), (32_768, 67_108_864));
        assert_eq!(DELIVERY_BYTES_MAX, 16_777_216);
        assert_eq!(HEAD_START_MIN_MS, 2_500);
        assert_eq!(AUDIT_WINDOW_MS, 90_000_000);
    }

    #[test]
    fn the_reserve_is_a_tenth_of_a_short_run_and_two_seconds_of_a_long_one() {
        assert_eq!(synthesis_reserve_ms(1_000), 100);
        assert_eq!(synthesis_reserve_ms(300_000), 2_000);
    }
}

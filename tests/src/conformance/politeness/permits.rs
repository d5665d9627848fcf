//! How often, and how many at a time.

#![expect(missing_docs, reason = "each case is named by its sentence, and ends with the first failed step")]

use super::{Caller, FREE, MINUTE, PolitenessWorld, fresh_id, granted, waits};
use futures::future::join_all;
use hermes_core::ports::politeness::{Admission, Limits, Reason, Went};

/// One request a minute.
const SELDOM: Limits = Limits { interval_us: 60_000_000, ..FREE };

pub async fn nothing_is_limited_without_limits<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let caller = Caller::new(&world, FREE).await;
    for _ in 0..20 {
        caller.granted().await;
    }
    for _ in 0..20 {
        caller.call(Went::Failed).await;
    }
    caller.granted().await;
}

pub async fn requests_of_all_processes_keep_their_distance<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let (one, other) = (Caller::new(&world, SELDOM).await, Caller::new(&world, SELDOM).await);
    one.granted().await;
    let (second_id, third_id) = (fresh_id(), fresh_id());
    let second = waits(other.ask_as(second_id, None).await);
    let third = waits(one.ask_as(third_id, None).await);
    assert_eq!((second.reason, third.reason), (Reason::Rate, Reason::Rate));
    assert!(second.wait_ms <= 60_000 && second.wait_ms > 30_000, "{second:?}");
    assert!(third.wait_ms <= 120_000 && third.wait_ms > 90_000, "{third:?}");
    let aged = |wait: hermes_core::ports::politeness::Wait, minutes| {
        Some(world.aged(wait.turn.expect("its turn is promised"), MINUTE * minutes))
    };
    world.pass(MINUTE).await;
    let still = waits(one.ask_as(third_id, aged(third, 1)).await);
    assert_eq!(still.reason, Reason::Rate);
    granted(other.ask_as(second_id, aged(second, 1)).await);
    world.pass(MINUTE).await;
    granted(one.ask_as(third_id, aged(third, 2)).await);
}

pub async fn a_turn_that_is_too_far_away_is_not_promised_and_not_taken<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let caller = Caller::new(&world, Limits { queue_max_ms: 90_000, ..SELDOM }).await;
    caller.granted().await;
    assert!(caller.waits().await.turn.is_some(), "the second turn is a minute away");
    for _ in 0..3 {
        let third = caller.waits().await;
        assert_eq!((third.reason, third.turn), (Reason::Rate, None));
        assert!(third.wait_ms > 90_000 && third.wait_ms <= 120_000, "{third:?}");
    }
    world.pass(MINUTE).await;
    assert!(caller.waits().await.turn.is_some(), "nobody took the third turn");
}

pub async fn no_more_requests_are_under_way_than_allowed<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let limits = Limits { at_a_time: 2, ..FREE };
    let (one, other) = (Caller::new(&world, limits).await, Caller::new(&world, limits).await);
    let permit = one.granted().await;
    other.granted().await;
    for caller in [&one, &other] {
        let wait = caller.waits().await;
        assert_eq!(wait.reason, Reason::Busy);
        assert!(wait.wait_ms > 0, "{wait:?}");
    }
    one.tell(permit, Went::Answered).await;
    other.granted().await;
    // Giving back twice makes no room twice.
    one.tell(permit, Went::Answered).await;
    assert_eq!(one.waits().await.reason, Reason::Busy);
}

pub async fn one_request_that_asks_twice_counts_once<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let caller = Caller::new(&world, Limits { at_a_time: 2, ..FREE }).await;
    let id = fresh_id();
    granted(caller.ask_as(id, None).await);
    granted(caller.ask_as(id, None).await);
    caller.granted().await;
    assert_eq!(caller.waits().await.reason, Reason::Busy);
}

pub async fn the_permit_of_a_dead_process_ends_with_its_lease<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let limits = Limits { at_a_time: 1, ..FREE };
    let (dead, alive) = (Caller::new(&world, limits).await, Caller::new(&world, limits).await);
    let lost = dead.granted().await;
    assert_eq!(alive.waits().await.reason, Reason::Busy);
    world.pass(MINUTE).await;
    alive.granted().await;
    // It was only paused, and gives back what it does not have any more.
    dead.tell(lost, Went::Answered).await;
    assert_eq!(dead.waits().await.reason, Reason::Busy);
}

pub async fn of_many_that_ask_at_once_as_many_as_allowed_are_let_go<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let mut callers = Vec::new();
    for _ in 0..10 {
        callers.push(Caller::new(&world, Limits { at_a_time: 5, ..FREE }).await);
    }
    let asked = join_all((0..200).map(|number| callers[number % callers.len()].ask())).await;
    let let_go = asked.iter().filter(|admission| matches!(admission, Admission::Granted(_))).count();
    assert_eq!(let_go, 5);
}

pub async fn targets_do_not_limit_each_other<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let caller = Caller::new(&world, Limits { at_a_time: 1, ..SELDOM }).await;
    caller.granted().await;
    caller.waits().await;
    caller.to("b.test").granted().await;
}

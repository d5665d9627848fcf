//! When a target is taken for down.

#![expect(
    missing_docs,
    clippy::unwrap_used,
    reason = "each case is named by its sentence, and ends with the first failed step"
)]

use hermes_core::ports::politeness::{ASK_AGAIN_MS, Limits, Reason, Went};

use super::{Caller, FREE, MINUTE, PolitenessWorld};

/// Three failures in a row open it for a minute.
const FRAGILE: Limits = Limits { failures_max: 3, ..FREE };

async fn fails(caller: &Caller, times: usize) {
    for _ in 0..times {
        caller.call(Went::Failed).await;
    }
}

pub async fn a_target_that_fails_too_often_in_a_row_is_not_called<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let (one, other) = (Caller::new(&world, FRAGILE).await, Caller::new(&world, FRAGILE).await);
    fails(&one, 2).await;
    fails(&other, 1).await;
    for caller in [&one, &other] {
        caller.waits_for(Reason::Open, 1).await;
    }
    other.to("b.test").granted().await;
}

pub async fn an_answer_in_between_starts_the_count_anew<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let caller = Caller::new(&world, FRAGILE).await;
    fails(&caller, 2).await;
    caller.call(Went::Answered).await;
    fails(&caller, 2).await;
    // What nothing is known about changes nothing.
    caller.call(Went::Unknown).await;
    fails(&caller, 1).await;
    assert_eq!(caller.waits().await.reason, Reason::Open);
}

pub async fn a_half_open_breaker_lets_one_probe_through_and_its_answer_closes_it<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let (one, other) = (Caller::new(&world, FRAGILE).await, Caller::new(&world, FRAGILE).await);
    fails(&one, 3).await;
    world.pass(MINUTE).await;
    let probe = one.granted().await;
    for caller in [&one, &other] {
        let wait = caller.waits().await;
        assert_eq!((wait.reason, wait.wait_ms), (Reason::Open, ASK_AGAIN_MS));
    }
    one.tell(probe, Went::Answered).await;
    other.granted().await;
    other.granted().await;
    // It is as good as new: one failure does not open it.
    fails(&one, 1).await;
    one.granted().await;
}

pub async fn a_probe_that_fails_opens_it_for_twice_as_long<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let caller = Caller::new(&world, FRAGILE).await;
    fails(&caller, 3).await;
    for minutes in [1, 2, 4, 8, 16, 16] {
        caller.waits_for(Reason::Open, minutes).await;
        world.pass(MINUTE * u32::try_from(minutes).unwrap()).await;
        fails(&caller, 1).await;
    }
}

pub async fn a_probe_that_dies_or_is_given_up_makes_room_for_another<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let (one, other) = (Caller::new(&world, FRAGILE).await, Caller::new(&world, FRAGILE).await);
    fails(&one, 3).await;
    world.pass(MINUTE).await;
    let given_up = one.granted().await;
    one.tell(given_up, Went::Unknown).await;
    let _dead = one.granted().await;
    assert_eq!(other.waits().await.reason, Reason::Open);
    world.pass(MINUTE).await;
    let probe = other.granted().await;
    assert_eq!(one.waits().await.reason, Reason::Open);
    other.tell(probe, Went::Answered).await;
    one.granted().await;
}

pub async fn a_wish_to_be_left_alone_shows_that_the_target_is_up<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let caller = Caller::new(&world, FRAGILE).await;
    fails(&caller, 3).await;
    world.pass(MINUTE).await;
    caller.call(Went::Asked { retry_after_ms: Some(60_000) }).await;
    caller.waits_for(Reason::RetryAfter, 1).await;
    world.pass(MINUTE).await;
    caller.granted().await;
    caller.granted().await;
}

//! What a target asks for.

#![expect(
    missing_docs,
    clippy::unwrap_used,
    reason = "each case is named by its sentence, and ends with the first failed step"
)]

use hermes_core::ports::politeness::{Limits, Reason, Went};

use super::{Caller, FREE, MINUTE, PolitenessWorld};

const fn asked(minutes: u64) -> Went {
    Went::Asked { retry_after_ms: Some(minutes * 60_000) }
}

pub async fn a_target_that_asked_is_left_alone_by_everybody_for_as_long<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let (one, other) = (Caller::new(&world, FREE).await, Caller::new(&world, FREE).await);
    one.call(asked(5)).await;
    for caller in [&one, &other] {
        caller.waits_for(Reason::RetryAfter, 5).await;
    }
    other.to("b.test").granted().await;
    world.pass(MINUTE * 4).await;
    other.waits_for(Reason::RetryAfter, 1).await;
    world.pass(MINUTE).await;
    other.granted().await;
}

pub async fn a_shorter_wish_does_not_shorten_a_longer_one<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let caller = Caller::new(&world, FREE).await;
    let (first, second) = (caller.granted().await, caller.granted().await);
    caller.tell(first, asked(5)).await;
    caller.tell(second, asked(1)).await;
    caller.waits_for(Reason::RetryAfter, 5).await;
}

pub async fn pauses_of_a_target_that_names_no_time_double_until_it_answers<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let caller = Caller::new(&world, FREE).await;
    for minutes in [1, 2, 4, 8, 16, 16] {
        caller.call(Went::Asked { retry_after_ms: None }).await;
        caller.waits_for(Reason::RetryAfter, minutes).await;
        world.pass(MINUTE * u32::try_from(minutes).unwrap()).await;
    }
    caller.call(Went::Answered).await;
    caller.call(Went::Asked { retry_after_ms: None }).await;
    caller.waits_for(Reason::RetryAfter, 1).await;
}

pub async fn no_target_is_left_alone_for_longer_than_the_longest_time<W: PolitenessWorld>() {
    let world = W::fresh().await;
    let caller = Caller::new(&world, Limits { retry_after_max_ms: 3 * 60_000, ..FREE }).await;
    caller.call(Went::Asked { retry_after_ms: Some(u64::MAX) }).await;
    caller.waits_for(Reason::RetryAfter, 3).await;
}

//! The limits of a fleet, in Redis.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hermes_adapters::politeness::FleetPoliteness;
use hermes_adapters::redis::RedisQueue;
use hermes_core::ports::politeness::{Admission, Ask, Keeper, Politeness, Reason, Target, Turn, Went};
use hermes_tests::conformance::politeness::{FREE, PolitenessWorld};
use hermes_tests::harness::redis::Redis;

/// A part of a server that no other test looks at.
struct RedisWorld {
    redis: Redis,
    prefix: String,
}

impl RedisWorld {
    async fn queue(&self) -> RedisQueue {
        RedisQueue::connect(&self.redis.url(), &self.prefix, "politeness").await.expect("connected")
    }
}

#[async_trait]
impl PolitenessWorld for RedisWorld {
    async fn fresh() -> Self {
        let redis = Redis::shared();
        let prefix = redis.prefix();
        Self { redis, prefix }
    }

    async fn process(&self) -> Arc<dyn Politeness> {
        Arc::new(self.queue().await.politeness())
    }

    /// The server's clock cannot be moved; what is kept is made older instead.
    async fn pass(&self, time: Duration) {
        let mut connection = self.redis.connection().await;
        let script = r"
            for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
              if redis.call('TYPE', key).ok == 'zset' then
                for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
                  redis.call('ZINCRBY', key, -ARGV[2], member)
                end
              else
                for _, field in ipairs({ 'next', 'left_alone', 'open_until', 'probe_end' }) do
                  local at = redis.call('HGET', key, field)
                  if at then redis.call('HSET', key, field, string.format('%.0f', at - ARGV[2])) end
                end
              end
            end
            return 0";
        let by_us = u64::try_from(time.as_micros()).expect("minutes");
        let pattern = format!("{{{}}}:polite:*", self.prefix);
        redis::Script::new(script).arg(pattern).arg(by_us).invoke_async::<u64>(&mut connection).await.expect("aged");
    }

    fn aged(&self, turn: Turn, time: Duration) -> Turn {
        let by_ms = u64::try_from(time.as_millis()).expect("minutes");
        Turn { at_ms: turn.at_ms - by_ms, ..turn }
    }
}

hermes_tests::politeness_conformance!(RedisWorld);

#[tokio::test]
async fn what_is_kept_lies_in_the_slot_of_the_queue_and_expires() {
    let world = RedisWorld::fresh().await;
    let keeper = world.process().await;
    let target = Target::host("a.test", 443);
    let ask = Ask { target: &target, limits: &FREE, id: 7, turn: None, lease_ms: 1_000 };
    let Admission::Granted(permit) = keeper.ask(&ask).await.expect("answered") else { panic!("nothing is limited") };
    keeper.tell(&target, &FREE, permit, Went::Asked { retry_after_ms: Some(1_000) }).await.expect("told");
    keeper.ask(&Ask { target: &Target::host("b.test", 443), ..ask }).await.expect("answered");
    let pattern = format!("{{{}}}:*", world.prefix);
    let keys: Vec<String> = redis::from_redis_value(world.redis.command(&["KEYS", &pattern]).await).expect("names");
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in keys {
        let left_ms: i64 = redis::from_redis_value(world.redis.command(&["PTTL", &key]).await).expect("a number");
        assert!(left_ms > 0 && left_ms <= 601_000, "{key} lives for {left_ms} ms");
    }
}

#[tokio::test]
async fn while_redis_is_away_the_process_keeps_its_own_limits_and_what_it_was_asked() {
    let redis = Redis::start_own();
    let queue = RedisQueue::connect(&redis.url(), "polite", "one").await.expect("connected");
    let keeper = FleetPoliteness::new(queue.politeness());
    let limits = hermes_core::ports::politeness::Limits { at_a_time: 1, ..FREE };
    let (asking, other) = (Target::host("a.test", 443), Target::host("b.test", 443));
    let ask = |target, id| Ask { target, limits: &limits, id, turn: None, lease_ms: 600_000 };
    let Ok(Admission::Granted(permit)) = keeper.ask(&ask(&asking, 1)).await else { panic!("the fleet lets it go") };
    assert_eq!(permit.keeper, Keeper::Fleet);
    keeper.tell(&asking, &limits, permit, Went::Asked { retry_after_ms: Some(600_000) }).await.expect("told");
    // It answers by closing the connection.
    drop(redis.try_command(&["SHUTDOWN", "NOSAVE"]).await);

    let Ok(Admission::Wait(wait)) = keeper.ask(&ask(&asking, 2)).await else { panic!("it is remembered") };
    assert_eq!(wait.reason, Reason::RetryAfter);
    let Ok(Admission::Granted(permit)) = keeper.ask(&ask(&other, 3)).await else { panic!("it goes on") };
    assert_eq!(permit.keeper, Keeper::Process);
    let Ok(Admission::Wait(wait)) = keeper.ask(&ask(&other, 4)).await else { panic!("one at a time") };
    assert_eq!(wait.reason, Reason::Busy);
}

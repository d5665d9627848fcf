//! What happens to everybody: outages, flushes, kills, pauses, restarts, clocks, and old reports that come again.

use std::sync::Arc;
use std::time::Duration;

use hermes_core::limits::LEASE_MS;
use tokio::time::Instant;

use super::world::{Slot, Slots, World, locked};

/// How long faults go on, at least and at most.
const RAGE_MS: (u64, u64) = (20_000, 90_000);

/// Does its worst for a while.
pub(super) async fn rage(world: &Arc<World>) {
    let end = Instant::now() + Duration::from_millis(world.chance.between(RAGE_MS.0, RAGE_MS.1));
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(world.chance.between(100, 4_000))).await;
        strike(world).await;
    }
    world.take_queue_down(false);
}

async fn strike(world: &Arc<World>) {
    let what = match world.chance.below(12) {
        0 | 1 => {
            world.step("the queue is flushed");
            world.queue.lose_everything();
            "queue flushed"
        }
        2 => {
            let pause = Duration::from_millis(world.chance.between(100, 20_000));
            world.step("the queue goes down");
            world.take_queue_down(true);
            tokio::time::sleep(pause).await;
            // Half the time it comes back empty.
            if world.chance.once_in(2) {
                world.queue.lose_everything();
            }
            world.take_queue_down(false);
            "queue down"
        }
        3 => {
            world.step("the store goes down");
            world.take_store_down(Instant::now() + Duration::from_millis(world.chance.between(100, 15_000)));
            "store down"
        }
        4 => {
            with_one(world, &world.dispatchers, |slot| slot.process.kill());
            "dispatcher killed"
        }
        5 => {
            with_one(world, &world.workers, |slot| slot.process.kill());
            "worker killed"
        }
        6 => {
            with_one(world, &world.workers, |slot| slot.process.pause(a_pause(world)));
            "worker paused"
        }
        7 => {
            with_one(world, &world.dispatchers, |slot| slot.process.pause(a_pause(world)));
            "dispatcher paused"
        }
        8 => {
            with_one(world, &world.workers, tell_to_stop);
            "worker told to stop"
        }
        9 => {
            with_one(world, &world.dispatchers, tell_to_stop);
            "dispatcher told to stop"
        }
        10 => {
            world.step("the clock is turned back");
            world.turn_clock_back(world.chance.between(1, 3_000));
            "clock turned back"
        }
        _ => {
            repeat_reports(world).await;
            "old reports again"
        }
    };
    world.ledger.saw(what);
}

fn with_one<T: Clone>(world: &World, slots: &Slots<T>, act: impl FnOnce(&Slot<T>)) {
    let living: Vec<Slot<T>> = locked(slots).values().cloned().collect();
    if !living.is_empty() {
        act(world.chance.pick(&living));
    }
}

fn tell_to_stop<T>(slot: &Slot<T>) {
    slot.process.world.step(&format!("{} is told to stop", slot.process.name));
    slot.stop.cancel();
}

/// From a hiccup to three leases.
fn a_pause(world: &World) -> Duration {
    Duration::from_millis(world.chance.between(100, 3 * LEASE_MS))
}

/// A worker that nobody remembers says again what it said once.
async fn repeat_reports(world: &Arc<World>) {
    let old = world.ledger.book().reports.clone();
    if old.is_empty() {
        return;
    }
    let zombie = world.queue.worker("zombie");
    for _ in 0..5 {
        let report = world.chance.pick(&old);
        world.step(&format!("an old report of {} again", report.job));
        zombie.notify(report).await.expect("the queue in memory is open");
    }
}

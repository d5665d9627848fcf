//! The store in memory.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use hermes_adapters::memory::MemoryStore;
use hermes_core::Timestamp;
use hermes_core::ports::store::{Claim, Store};
use hermes_tests::conformance::store::{StoreWorld, accept_earlier, run_id, take};

struct MemoryWorld(MemoryStore);

#[async_trait]
impl StoreWorld for MemoryWorld {
    async fn fresh() -> Self {
        let start = Instant::now();
        let clock = move || {
            let passed = u64::try_from(start.elapsed().as_millis()).expect("a short test");
            Timestamp::from_millis(1_700_000_000_000).plus_ms(passed)
        };
        Self(MemoryStore::new(Arc::new(clock)))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }
}

hermes_tests::store_conformance!(MemoryWorld);

#[tokio::test]
async fn due_runs_that_are_locked_are_skipped() {
    let store = MemoryWorld::fresh().await.store();
    for number in [1, 2] {
        accept_earlier(&*store, number, 3_600_000).await;
    }
    let (_held, _) = take(&*store, run_id(1)).await;
    let mut other = store.begin(Claim::Due(10)).await.unwrap();
    assert_eq!(other.take_runs()[0].id(), run_id(2));
}

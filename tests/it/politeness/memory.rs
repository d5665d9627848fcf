//! The limits of one process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hermes_adapters::memory::MemoryPoliteness;
use hermes_core::ports::politeness::{Politeness, Turn};
use hermes_tests::conformance::politeness::PolitenessWorld;

struct MemoryWorld(Arc<MemoryPoliteness>);

#[async_trait]
impl PolitenessWorld for MemoryWorld {
    async fn fresh() -> Self {
        tokio::time::pause();
        Self(Arc::default())
    }

    async fn process(&self) -> Arc<dyn Politeness> {
        self.0.clone()
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }

    fn aged(&self, turn: Turn, _: Duration) -> Turn {
        turn
    }
}

hermes_tests::politeness_conformance!(MemoryWorld);

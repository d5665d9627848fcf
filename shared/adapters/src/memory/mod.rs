//! The ports in memory: for the embedded mode, the simulation and tests.

pub mod politeness;
pub mod queue;
pub mod store;

pub use politeness::MemoryPoliteness;
pub use queue::MemoryQueue;
pub use store::{MemoryClock, MemoryStore};

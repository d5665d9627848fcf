//! The ports in memory: for the embedded mode, the simulation and tests.

pub mod queue;
pub mod store;

pub use queue::MemoryQueue;
pub use store::{MemoryClock, MemoryStore};

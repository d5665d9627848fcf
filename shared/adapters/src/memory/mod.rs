//! The ports in memory: for the embedded mode, the simulation and tests.

pub mod queue;

pub use queue::MemoryQueue;

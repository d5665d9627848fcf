//! The ports: what the engine and the workers need from the world, as traits. Adapters implement them.

pub mod entropy;
pub mod http;
pub mod politeness;
pub mod queue;
pub mod store;

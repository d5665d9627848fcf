//! The ports: what the engine and the workers need from the world, as traits. Adapters implement them.

pub mod browser;
pub mod entropy;
pub mod http;
pub mod names;
pub mod politeness;
pub mod queue;
pub mod ranks;
pub mod store;

//! All I/O of Hermes: the ports of the core over real stores, queues and networks.

pub mod entropy;
pub mod http;
pub mod memory;
mod poison;
pub mod politeness;
pub mod postgres;
pub mod redis;
pub mod secrets;
pub mod settings;
pub mod signals;
pub mod sqlite;
pub mod store;
pub mod telemetry;

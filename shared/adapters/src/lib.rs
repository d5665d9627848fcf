//! All I/O of Hermes: the ports of the core over real stores, queues and networks.

pub mod browser;
pub mod clock;
pub mod entropy;
pub mod http;
pub mod memory;
pub mod names;
mod poison;
pub mod politeness;
pub mod postgres;
pub mod ranks;
pub mod redis;
pub mod secrets;
pub mod settings;
pub mod signals;
pub mod sqlite;
pub mod store;
pub mod telemetry;

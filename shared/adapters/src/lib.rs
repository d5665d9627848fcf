//! All I/O of Hermes: the ports of the core over real stores, queues and networks.

mod poison;
pub mod entropy;
pub mod http;
pub mod memory;
pub mod settings;
pub mod signals;
pub mod telemetry;
pub mod sqlite;
pub mod store;
pub mod postgres;
pub mod redis;

//! The control plane: the API, the engine that loads, decides, commits and delivers, and synthesis. It sees the core,
//! the diagnosis and the ports, never an adapter; `main.rs` wires those in.

pub mod api;
pub mod audit;
pub mod borders;
pub mod engine;
mod process;
pub mod retrial;
pub mod rules;

pub use process::{DispatcherError, run};

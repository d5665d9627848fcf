//! A seeded simulation of a whole deployment in one thread: the real engine loops and the real worker attempt code, over
//! the store and the queue in memory, under a virtual clock.
//!
//! A *process* is what its ports let through. Every call of a port is a border: before it and after it a process may be
//! killed, paused, slowed down, or be told that store or queue do not answer, although they did what was asked. A killed
//! process never gets another answer, and what it had locked is released, as a database does when a connection ends.
//! Beside that, a nemesis flushes the queue, takes store or queue away for a while, drains processes, turns the store's
//! clock back and delivers old reports again.
//!
//! Safety is checked after each commit, by the same auditor that users run. In the end the faults stop, and liveness is
//! checked: nothing waits for what will never come, every accepted run settles, and the queue is empty.
//!
//! Everything is drawn from the seed, so that a seed is a replay. Deliberately absent: real servers and their clients; the
//! chaos harness has them.

mod chance;
mod check;
mod client;
mod defect;
mod http;
mod ledger;
mod nemesis;
mod plans;
mod process;
mod queue;
mod service;
mod store;
mod world;

pub use defect::Defect;
pub use world::{Outcome, simulate};

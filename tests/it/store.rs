//! The stores: one suite for all of them, and what only one of them can go through.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it must be")]

mod memory;
mod partitions;
mod postgres;
mod retention;
mod sqlite;

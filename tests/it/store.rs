//! The stores: one suite for all of them, and what only one of them can go through.

mod memory;
mod postgres;
mod sqlite;

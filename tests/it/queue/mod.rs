//! The queues: one suite for all of them, and what only one of them can go through.

mod bounds;
mod cluster;
mod memory;
mod redis;
mod report_leases;
mod sentinel;
mod start;
mod unreadable;
mod world;

//! The limits of outgoing calls: one suite for every keeper, and what a server sees of it.

mod bar;
mod memory;
mod redis;

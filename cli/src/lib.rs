//! The `hermes` command: everything in one process, and the commands around it.
//!
//! Every command speaks HTTP with a dispatcher: with a server that was named, with the process that has the data folder
//! open, or with one that it starts in its own process ([`embedded`]). So there is one way in, and it is the real one.
//!
//! Deliberately absent: decisions about runs. They are made in the core, reached through the API.

pub mod args;
pub mod bench;
pub mod client;
mod commands;
pub mod doctor;
pub mod embedded;
pub mod exit;
mod follow;
mod output;
mod paper;
mod progress;
pub mod render;
mod session;

pub use commands::execute;

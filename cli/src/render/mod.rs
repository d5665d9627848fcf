//! What people read: pure functions from data to text. Foreign text loses its control characters on the way.

pub mod audit;
pub mod data;
pub mod diagnosis;
pub mod diff;
pub mod doctor;
pub mod plans;
pub mod rules;
pub mod run;
pub mod runs;
pub mod text;

pub use text::{Layout, Paint};

#[cfg(test)]
pub(crate) mod fixtures;

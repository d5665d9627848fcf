//! Each rule of the core as a sentence, and properties over random plans and random histories.

mod attempts;
mod audit;
mod boundaries;
mod cancel_and_rerun;
mod deadlines;
mod flow;
mod late;
mod log;
mod matrix;
mod properties;
mod restore;
mod shapes;
mod world;

//! What a page says, and what nobody can make it say.

mod fixtures;
mod forms;
mod hostile;

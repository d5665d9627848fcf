//! What a store can do to us: crash, end connections, lose answers, fall silent, fill up. A dispatcher over the real store
//! accepts runs over HTTP meanwhile; workers of this process complete them.
//!
//! Always the same must hold: an accepted run is there and settles, one key has one run, a refusal says when to try
//! again, and nobody has to restart anything.

mod bench;
mod disk;
mod fan_in;
mod lossy;
mod postgres;
mod silence;
mod sqlite;

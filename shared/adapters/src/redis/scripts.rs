//! The atomic steps, each a script beside this file. Servers forget scripts when they restart; they are loaded anew then.

use redis::Script;

/// Sent in full each time: it follows a blocking read in one pipeline, where a server that has forgotten it could not be
/// told in time.
pub(super) const ROOM: &str = include_str!("lua/room.lua");

/// Sent in full, too: it is rarely needed.
pub(super) const MORE: &str = include_str!("lua/more.lua");

/// All scripts of the queue.
pub(super) struct Scripts {
    pub(super) publish: Script,
    pub(super) sweep: Script,
    pub(super) report: Script,
    pub(super) acknowledge: Script,
    pub(super) revoke: Script,
    pub(super) renew: Script,
    pub(super) release: Script,
    pub(super) missing: Script,
    pub(super) depth: Script,
    pub(super) tidy: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            publish: Script::new(include_str!("lua/publish.lua")),
            sweep: Script::new(include_str!("lua/sweep.lua")),
            report: Script::new(include_str!("lua/report.lua")),
            acknowledge: Script::new(include_str!("lua/acknowledge.lua")),
            revoke: Script::new(include_str!("lua/revoke.lua")),
            renew: Script::new(include_str!("lua/renew.lua")),
            release: Script::new(include_str!("lua/release.lua")),
            missing: Script::new(include_str!("lua/missing.lua")),
            depth: Script::new(include_str!("lua/depth.lua")),
            tidy: Script::new(include_str!("lua/tidy.lua")),
        }
    }
}

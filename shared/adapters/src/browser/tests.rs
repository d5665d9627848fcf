//! The real Chromium, on pages of ours. Needs the Debian packages `chromium` and `fonts-dejavu-core`.

mod guarded;
mod pages;
mod processes;
mod server;

use super::*;
use hermes_core::ports::browser::Profile;
use server::Server;

/// A browser of this machine; the tests need one.
fn chromium() -> Chromium {
    let environment = std::env::vars().filter(|(name, _)| name == "PATH" || name == CHROMIUM_PATH).collect();
    let chromium = Chromium::find(&environment);
    chromium.program().expect("install the Debian package chromium");
    chromium
}

fn visit(url: &str) -> Visit {
    Visit {
        least: Duration::ZERO,
        url: url.parse().expect("valid"),
        profile: Profile::DESKTOP,
        reach: Reach::Any,
        robot: "(compatible; HermesBot/test)".to_owned(),
        // Generous: the machine may be busy, and other tests have their turns first.
        timeout: Duration::from_secs(300),
    }
}

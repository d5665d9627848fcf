//! SIGTERM and SIGINT as a token. A second signal ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Exit code of a process that was told twice: 128 + SIGINT, as shells count.
const INTERRUPTED: i32 = 130;

/// A token that is cancelled by the first SIGTERM or SIGINT.
///
/// # Errors
/// If the system does not let this process listen to signals.
pub fn shutdown_token() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        for told in 1.. {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if told == 2 {
                std::process::exit(INTERRUPTED);
            }
            info!(signal = name, "told to stop, finishing what is under way");
            cancelled.cancel();
        }
    });
    Ok(token)
}

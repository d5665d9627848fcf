//! Waits for a run to settle, shows how it goes on, and cancels it when the user says so.

use std::time::Duration;

use hermes_core::RunId;
use tokio_util::sync::CancellationToken;

use crate::client::{ClientError, RunView};
use crate::exit::Failure;
use crate::progress::Progress;
use crate::session::{Finder, Need, Session};

/// Pause between two looks at the run.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Pause before a server that does not answer is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often a server may leave a question without an answer before the command gives up. The run goes on there.
const UNANSWERED_MAX: u32 = 60;

/// What to follow, and how.
pub(crate) struct Follow<'a> {
    /// Finds the server again if it goes away.
    pub(crate) finder: &'a Finder,
    /// What the command needs of it.
    pub(crate) need: Need,
    /// The run.
    pub(crate) run_id: RunId,
    /// Cancelled by Ctrl-C or SIGTERM.
    pub(crate) interrupted: CancellationToken,
}

impl Follow<'_> {
    /// Follows the run until it is settled, and gives it.
    pub(crate) async fn until_settled(
        &self,
        session: &mut Session,
        progress: &mut Progress,
    ) -> Result<RunView, Failure> {
        let (mut unanswered, mut cancelling) = (0, false);
        loop {
            // Asked for during an exchange, it is seen in the next round.
            let cancel = self.interrupted.is_cancelled() && !cancelling;
            let asked =
                if cancel { self.cancel(session, progress).await } else { session.client.run(self.run_id).await };
            let pause = match asked {
                Ok(run) => {
                    (unanswered, cancelling) = (0, cancelling || cancel);
                    progress.show(&run);
                    if run.status.is_settled() {
                        return Ok(run);
                    }
                    LOOK_EVERY
                }
                Err(error) if error.is_passing() && unanswered < UNANSWERED_MAX => {
                    unanswered += 1;
                    if unanswered == 1 {
                        progress.say(&format!("{error}; the run is kept there, trying again"));
                    }
                    self.find_again(session).await;
                    AGAIN_AFTER
                }
                Err(error) => return Err(error.into()),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.interrupted.cancelled(), if !cancelling => {}
            }
        }
    }

    async fn cancel(&self, session: &Session, progress: &mut Progress) -> Result<RunView, ClientError> {
        progress.say("cancelling the run; once more ends this command at once");
        match session.client.cancel(self.run_id).await {
            // It has settled in the meantime: then that is how it ended.
            Err(ClientError::Refused { status: 409, .. }) => session.client.run(self.run_id).await,
            answer => answer,
        }
    }

    /// The process that had the data folder may be gone: then this one takes the run up.
    async fn find_again(&self, session: &mut Session) {
        if session.is_owner
            && let Ok(found) = self.finder.open(self.need).await
        {
            *session = found;
        }
    }
}

//! Applies what clients command, and tells them what became of it.
//!
//! A command is not repeatable by itself: a note written twice stands there twice, and a run cannot be cancelled twice.
//! So when the answer to a commit is lost, the next try looks first whether that commit is there, and if it is, the
//! client gets its answer.

use std::sync::Arc;

use hermes_core::limits::{COMMAND_TRIES, TRANSITION_RUNS_MAX};
use hermes_core::ports::store::StoreError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use super::transition::{Input, Lost, Outcome, Reply};
use super::{CommandError, Shared};

pub(super) async fn run(shared: Arc<Shared>, mut commands: mpsc::Receiver<Input>, shutdown: CancellationToken) {
    let mut outage = Outage::none("commands");
    let mut batch = Vec::with_capacity(TRANSITION_RUNS_MAX);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            count = commands.recv_many(&mut batch, TRANSITION_RUNS_MAX) => if count == 0 { return },
        }
        let refused = shared.command(std::mem::take(&mut batch), &mut outage, &shutdown).await;
        // Refused together for a reason in one of them.
        for input in refused {
            shared.command_alone(input, &mut outage, &shutdown).await;
        }
    }
}

impl Shared {
    /// Applies commands together and answers them. Gives them back if the store refuses them.
    async fn command(&self, inputs: Vec<Input>, outage: &mut Outage, shutdown: &CancellationToken) -> Vec<Input> {
        match self.try_commands(&inputs, outage, shutdown).await {
            Ok(outcomes) => answer(inputs, outcomes),
            Err(StoreError::Defect(_) | StoreError::Corrupt { .. }) => return inputs,
            Err(error) => {
                let refused = inputs.iter().map(|_| Err(CommandError::from(&error))).collect();
                answer(inputs, refused);
            }
        }
        Vec::new()
    }

    async fn command_alone(&self, input: Input, outage: &mut Outage, shutdown: &CancellationToken) {
        let inputs = vec![input];
        let outcomes = match self.try_commands(&inputs, outage, shutdown).await {
            Ok(outcomes) => outcomes,
            Err(error @ (StoreError::Defect(_) | StoreError::Corrupt { .. })) => {
                let outcome = self.refuse(&inputs[0], &error).await;
                vec![outcome.unwrap_or_else(|error| Err(CommandError::from(&error)))]
            }
            Err(error) => vec![Err(CommandError::from(&error))],
        };
        answer(inputs, outcomes);
    }

    /// Tries a few times, for as long as the store does not answer.
    async fn try_commands(
        &self,
        inputs: &[Input],
        outage: &mut Outage,
        shutdown: &CancellationToken,
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut lost: Option<Lost> = None;
        let mut tried = 1;
        loop {
            match self.transition_and_tell(inputs, &mut lost).await {
                Ok(outcomes) => {
                    outage.over();
                    return Ok(outcomes);
                }
                Err(error @ (StoreError::Unavailable(_) | StoreError::Conflict(_))) if tried < COMMAND_TRIES => {
                    outage.pause(&error, shutdown).await;
                }
                Err(error) => return Err(error),
            }
            tried += 1;
        }
    }
}

fn answer(inputs: Vec<Input>, outcomes: Vec<Outcome>) {
    for (input, outcome) in inputs.into_iter().zip(outcomes) {
        match input.reply {
            Reply::None => {}
            // The client may have gone; what it commanded stands.
            Reply::Command(reply) => drop(reply.send(outcome)),
        }
    }
}

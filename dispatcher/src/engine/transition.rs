//! The transition: take runs, decide, make diagnoses, commit, and only then deliver.
//!
//! Runs are taken under a lock. Reports about runs that this process wrote last are decided without taking them
//! ([`super::hot`]): the fence of the write says whether that was right, and if not, they are taken after all.
//!
//! If the process dies before the commit, nothing happened and the cause comes again. If it dies after it, what was
//! not delivered is found by the reconciler, and a cause that comes again is a no-op.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hermes_core::kbase::{Fact, KbaseEvent, ServiceResult};
use hermes_core::limits::{CLOCK_NOISE_MS, DELIVER_WITHIN_MS};
use hermes_core::ports::store::{Change, Claim, StoreError, Transaction};
use hermes_core::run::{Effect, Event, Illegal, JobOrder};
use hermes_core::wire::{ErrorClass, Outcome as Reported, Report, ServiceError};
use hermes_core::{Run, RunId, Timestamp};
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::hot::{HotRun, Results};
use super::{CommandError, Shared, console, synthesis};
use crate::borders;

/// Something that happened to a run, and who wants to know what became of it.
pub(super) struct Input {
    pub(super) run_id: RunId,
    pub(super) event: Event,
    pub(super) reply: Reply,
}

/// Who wants to know.
pub(super) enum Reply {
    /// Nobody.
    None,
    /// A client that waits for the durable outcome.
    Command(oneshot::Sender<Outcome>),
}

/// What is to be done for one run once its decision is committed.
#[derive(Default)]
pub(super) struct Outbox {
    /// What was recorded, as the row of the log and as what it says.
    pub(super) recorded: Vec<(KbaseEvent, Box<Fact>)>,
    pub(super) publish: Vec<JobOrder>,
    pub(super) revoke: Vec<JobOrder>,
    /// Results of the run that need not be read: those of `recorded`, and earlier ones as far as they are known.
    pub(super) results: Results,
}

impl Outbox {
    /// Sorts effects; says whether a diagnosis is wanted.
    pub(super) fn take(&mut self, effects: Vec<Effect>) -> bool {
        let mut synthesise = false;
        for effect in effects {
            match effect {
                Effect::Record { event, fact } => {
                    match fact.as_ref() {
                        Fact::ServiceCompleted(ServiceResult { data, .. })
                        | Fact::LateReported { result: Some(data), .. } => {
                            self.results.insert(event.event_id, data.clone());
                        }
                        _ => {}
                    }
                    self.recorded.push((event, fact));
                }
                Effect::Publish(order) => self.publish.push(order),
                Effect::Revoke(order) => self.revoke.push(order),
                Effect::Synthesise => synthesise = true,
            }
        }
        synthesise
    }

    /// The rows of the log.
    pub(super) fn events(&self) -> Vec<KbaseEvent> {
        self.recorded.iter().map(|(event, _)| event.clone()).collect()
    }
}

/// A run on its way through a transition.
struct Taken {
    run: Run,
    taken_seq: u64,
    outbox: Outbox,
    synthesise: bool,
    /// When it was written last, if that is known: the times of a log do not go back.
    written_at: Option<Timestamp>,
}

/// What became of an input: its run as it is now, or why it was refused.
pub(super) type Outcome = Result<Arc<Run>, CommandError>;

/// Decided runs with what is to be done for them.
pub(super) type Decided = Vec<(Run, Outbox)>;

/// A transition that is committed.
pub(super) struct Applied {
    /// In the order of the inputs.
    pub(super) outcomes: Vec<Outcome>,
    /// What the queue is still to be told ([`Shared::tell_queue`]).
    pub(super) decided: Decided,
}

/// A transition whose commit got no answer: it may be in the store.
pub(super) struct Lost {
    /// One of its events. A transaction is written whole or not at all, so this one stands for all of it.
    witness: KbaseEvent,
    applied: Applied,
}

impl Lost {
    /// Whether it was committed. `transaction` has locked the same runs, so that whatever came of it has come.
    async fn is_there(&self, transaction: &mut dyn Transaction) -> Result<bool, StoreError> {
        let there = transaction.events(&[self.witness.event_id]).await?;
        Ok(there.first() == Some(&self.witness))
    }
}

/// The report of a result as that of a failure.
fn without_result(event: &Event, refused: &StoreError) -> Option<Event> {
    let Event::Reported { report, jitter } = event else { return None };
    let Reported::Completed { duration_ms, .. } = report.outcome else { return None };
    let error = ServiceError::new(ErrorClass::InvalidResult, format!("The result cannot be stored: {refused}"));
    let outcome = Reported::Failed { duration_ms, error, retryable: false, retry_after_ms: None };
    Some(Event::Reported { report: Report { outcome, ..report.clone() }, jitter: *jitter })
}

impl From<&StoreError> for CommandError {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Full(_) => Self::Full(error.to_string()),
            StoreError::Conflict(_)
            | StoreError::Unavailable(_)
            | StoreError::Corrupt { .. }
            | StoreError::Defect(_) => Self::Unavailable(error.to_string()),
        }
    }
}

impl Shared {
    /// Applies inputs durably, each run's in the given order. An error means that nothing is known to have happened:
    /// repeat.
    ///
    /// Inputs that the store refuses together for a reason in one of them are applied one by one.
    pub(super) async fn apply(&self, inputs: &[Input]) -> Result<Applied, StoreError> {
        if let Some(applied) = self.apply_hot(inputs).await? {
            return Ok(applied);
        }
        match self.transition(inputs, &mut None).await {
            Err(StoreError::Defect(_) | StoreError::Corrupt { .. }) => {
                let mut outcomes = Vec::with_capacity(inputs.len());
                for input in inputs {
                    outcomes.push(self.apply_alone(input).await?);
                }
                Ok(Applied { outcomes, decided: Decided::new() })
            }
            applied => applied,
        }
    }

    /// Applies inputs to runs that are known already, without taking them. `None` if that cannot be done: one is not
    /// known, or was changed by someone else, or the store refuses one. Nothing has happened then.
    async fn apply_hot(&self, inputs: &[Input]) -> Result<Option<Applied>, StoreError> {
        let ids = ids(inputs);
        let Some(hot) = self.hot.all(&ids) else { return Ok(None) };
        let transaction = self.store.begin(Claim::Nothing).await?;
        let now = transaction.now();
        let mut taken: BTreeMap<RunId, Taken> = hot.into_iter().map(|hot| (hot.run.id(), Taken::known(hot))).collect();
        for input in inputs {
            let run = taken.get_mut(&input.run_id).expect("all are known");
            let recorded = run.outbox.recorded.len();
            // What writes nothing has no fence: that nothing is to be done must be found in the store.
            if run.decide(&input.event, now).is_err() || run.outbox.recorded.len() == recorded {
                return Ok(None);
            }
        }
        match self.commit(transaction, &mut taken).await {
            Ok(()) => {
                let outcomes = outcomes(inputs, inputs.iter().map(|_| None), &taken);
                let decided = decided(taken);
                self.metrics.transition("hot");
                self.tell_process(&decided, now);
                Ok(Some(Applied { outcomes, decided }))
            }
            Err(error) => {
                self.hot.forget(&ids);
                match error {
                    StoreError::Conflict(_) => {
                        self.metrics.hot_conflicts.inc();
                        Ok(None)
                    }
                    StoreError::Defect(_) | StoreError::Corrupt { .. } => Ok(None),
                    StoreError::Unavailable(_) | StoreError::Full(_) => Err(error),
                }
            }
        }
    }

    /// One input; a refusal by the store is logged and final, so that it cannot come again for ever.
    async fn apply_alone(&self, input: &Input) -> Result<Outcome, StoreError> {
        match self.transition_and_tell(std::slice::from_ref(input), &mut None).await {
            Ok(mut outcomes) => Ok(outcomes.remove(0)),
            Err(error @ (StoreError::Defect(_) | StoreError::Corrupt { .. })) => self.refuse(input, &error).await,
            Err(error) => Err(error),
        }
    }

    /// Takes note that the store refuses an input for good.
    pub(super) async fn refuse(&self, input: &Input, error: &StoreError) -> Result<Outcome, StoreError> {
        self.metrics.refused_inputs.inc();
        error!(run.id = %input.run_id, error = %error, "the store refuses what happened to a run");
        self.settle_refused(input, error).await
    }

    /// A final report that the store refuses becomes a failure of its service: else the job, which has left the
    /// queue, would be published and executed again and again.
    async fn settle_refused(&self, input: &Input, refused: &StoreError) -> Result<Outcome, StoreError> {
        if let Some(event) = without_result(&input.event, refused) {
            let substitute = Input { run_id: input.run_id, event, reply: Reply::None };
            match self.transition_and_tell(std::slice::from_ref(&substitute), &mut None).await {
                Ok(mut outcomes) => return Ok(outcomes.remove(0)),
                Err(StoreError::Defect(_) | StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Err(CommandError::from(refused)))
    }

    /// A transition, and the queue knows of it.
    pub(super) async fn transition_and_tell(
        &self,
        inputs: &[Input],
        lost: &mut Option<Lost>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let Applied { outcomes, decided } = self.transition(inputs, lost).await?;
        self.tell_queue(&decided).await;
        Ok(outcomes)
    }

    /// One transaction for all inputs. If its commit gets no answer, `lost` remembers it; given to the next try, the
    /// same inputs are not applied twice.
    async fn transition(&self, inputs: &[Input], lost: &mut Option<Lost>) -> Result<Applied, StoreError> {
        let mut transaction = self.store.begin(Claim::Runs(&ids(inputs))).await?;
        let now = transaction.now();
        if let Some(before) = lost
            && before.is_there(transaction.as_mut()).await?
        {
            // For its locks; whatever becomes of this commit, the one before it stands.
            drop(transaction.commit(Vec::new()).await);
            let Lost { applied, .. } = lost.take().expect("it was just looked at");
            self.tell_process(&applied.decided, now);
            return Ok(applied);
        }
        *lost = None;
        let unreadable: BTreeMap<RunId, String> = transaction.unreadable().iter().cloned().collect();
        let mut taken = take(transaction.as_mut());
        let refused = decide_all(inputs, &mut taken, &unreadable, now);
        let committed = self.commit(transaction, &mut taken).await;
        let outcomes = outcomes(inputs, refused.into_iter(), &taken);
        let applied = Applied { outcomes, decided: decided(taken) };
        match committed {
            Ok(()) => {
                self.metrics.transition("taken");
                self.tell_process(&applied.decided, now);
                Ok(applied)
            }
            Err(error) => {
                let witness = applied.decided.iter().find_map(|(_, outbox)| outbox.recorded.first());
                if let (StoreError::Unavailable(_), Some((witness, _))) = (&error, witness) {
                    *lost = Some(Lost { witness: witness.clone(), applied });
                }
                Err(error)
            }
        }
    }

    /// Wakes due runs, at most `limit`; gives how many there were.
    ///
    /// Runs that the store refuses together for a reason in one of them are woken one by one; the error is given
    /// after the others were served.
    pub(super) async fn wake_due(&self, limit: usize) -> Result<usize, StoreError> {
        match self.wake_due_together(limit).await {
            Err(StoreError::Defect(_) | StoreError::Corrupt { .. }) => self.wake_due_apart(limit).await,
            outcome => outcome,
        }
    }

    async fn wake_due_apart(&self, limit: usize) -> Result<usize, StoreError> {
        let mut transaction = self.store.begin(Claim::Due(limit)).await?;
        let due: Vec<RunId> = transaction.take_runs().iter().map(Run::id).collect();
        transaction.commit(Vec::new()).await?;
        let mut refused = None;
        for run_id in &due {
            let input = Input { run_id: *run_id, event: Event::Woken, reply: Reply::None };
            match self.transition_and_tell(std::slice::from_ref(&input), &mut None).await {
                Ok(_) => {}
                Err(error @ (StoreError::Defect(_) | StoreError::Corrupt { .. })) => {
                    error!(run.id = %run_id, error = %error, "the store refuses what is due of a run");
                    refused = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(due.len()), Err)
    }

    async fn wake_due_together(&self, limit: usize) -> Result<usize, StoreError> {
        let mut transaction = self.store.begin(Claim::Due(limit)).await?;
        let now = transaction.now();
        let mut taken = take(transaction.as_mut());
        let count = taken.len();
        for run in taken.values_mut() {
            run.decide(&Event::Woken, now).expect("every run may be woken");
        }
        self.commit(transaction, &mut taken).await?;
        let decided = decided(taken);
        self.tell_process(&decided, now);
        self.tell_queue(&decided).await;
        Ok(count)
    }

    /// Diagnoses and commits.
    async fn commit(
        &self,
        mut transaction: Box<dyn Transaction>,
        taken: &mut BTreeMap<RunId, Taken>,
    ) -> Result<(), StoreError> {
        let now = transaction.now();
        self.diagnose(transaction.as_mut(), taken, now).await?;
        let mut changes = Vec::with_capacity(taken.len());
        for taken in taken.values().filter(|taken| !taken.outbox.recorded.is_empty()) {
            changes.push(Change::Update {
                run: Box::new(taken.run.clone()),
                taken_seq: taken.taken_seq,
                events: taken.outbox.events(),
            });
        }
        borders::cross("before_commit");
        // Also without changes: a transaction that is dropped gives its locks back a moment later only.
        transaction.commit(changes).await?;
        borders::cross("after_commit");
        Ok(())
    }

    /// Makes the diagnoses that are due, inside the transaction: a diagnosis and the settlement it belongs to are
    /// committed together, and so exactly once.
    async fn diagnose(
        &self,
        transaction: &mut dyn Transaction,
        taken: &mut BTreeMap<RunId, Taken>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let due: Vec<RunId> = taken.iter().filter(|(_, taken)| taken.synthesise).map(|(id, _)| *id).collect();
        if due.is_empty() {
            return Ok(());
        }
        let subjects = due.iter().map(|id| &taken[id]).map(|taken| (&taken.run, &taken.outbox.results));
        let (materials, damaged) = synthesis::gather(transaction, subjects.collect()).await?;
        let mut diagnoses = synthesis::diagnose_all(self.book.clone(), materials).await;
        diagnoses.extend(damaged.into_iter().map(|(id, reason)| (id, Err(reason))));
        for (id, diagnosis) in diagnoses {
            if diagnosis.is_err() {
                self.metrics.synthesis_failures.inc();
            }
            let taken = taken.get_mut(&id).expect("materials are of taken runs");
            taken.decide(&Event::Synthesised(diagnosis), now).expect("a diagnosis was due");
        }
        Ok(())
    }

    /// After the commit, at once: keeps the runs at hand, counts, logs, and wakes who waits in this process.
    pub(super) fn tell_process(&self, decided: &[(Run, Outbox)], now: Timestamp) {
        for (run, outbox) in decided {
            self.hot.keep(run, outbox.results.clone(), now);
            for (event, fact) in &outbox.recorded {
                self.metrics.count(fact);
                console::log(run, event, fact);
            }
            if !outbox.recorded.is_empty() {
                self.watchers.wake(run);
            }
        }
        let is_soon = |run: &Run| run.state().wake_at.is_some_and(|at| at.since_ms(now) < super::timers::SOON_MS);
        if decided.iter().any(|(run, _)| is_soon(run)) {
            self.timer.notify_one();
        }
    }

    /// After the commit: tells the queue. Best effort, and not for long: a queue that hangs must not delay what only the
    /// store is needed for. The reconciler does what is missed.
    pub(super) async fn tell_queue(&self, decided: &[(Run, Outbox)]) {
        let told = async {
            let revoked: Vec<JobOrder> = decided.iter().flat_map(|(_, outbox)| outbox.revoke.iter().cloned()).collect();
            if !revoked.is_empty()
                && let Err(error) = self.queue.revoke(&revoked).await
            {
                warn!(error = %error, jobs = revoked.len(), "cannot take jobs back, their results will be late ones");
            }
            self.publish(decided).await;
        };
        if tokio::time::timeout(Duration::from_millis(DELIVER_WITHIN_MS), told).await.is_err() {
            self.metrics.publish_failures.inc();
            warn!(runs = decided.len(), "the queue does not answer, what it was not told is left to the reconciler");
        }
    }
}

/// The runs of these inputs, each once, in the order in which they are locked.
fn ids(inputs: &[Input]) -> Vec<RunId> {
    let mut ids: Vec<RunId> = inputs.iter().map(|input| input.run_id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn take(transaction: &mut dyn Transaction) -> BTreeMap<RunId, Taken> {
    transaction.take_runs().into_iter().map(|run| (run.id(), Taken::of(run, Results::new()))).collect()
}

/// Decides all inputs, each run's in their order; gives for each why it was refused, if so.
fn decide_all(
    inputs: &[Input],
    taken: &mut BTreeMap<RunId, Taken>,
    unreadable: &BTreeMap<RunId, String>,
    now: Timestamp,
) -> Vec<Option<CommandError>> {
    let decide = |input: &Input| match (taken.get_mut(&input.run_id), unreadable.get(&input.run_id)) {
        (Some(run), _) => run.decide(&input.event, now).err().map(CommandError::Illegal),
        (None, Some(reason)) => Some(CommandError::Corrupt(reason.clone())),
        (None, None) => Some(CommandError::NotFound),
    };
    inputs.iter().map(decide).collect()
}

/// What became of the inputs, of which some were refused. Those about the same run share it: there may be hundreds.
fn outcomes(
    inputs: &[Input],
    refused: impl Iterator<Item = Option<CommandError>>,
    taken: &BTreeMap<RunId, Taken>,
) -> Vec<Outcome> {
    let mut runs: BTreeMap<RunId, Arc<Run>> = BTreeMap::new();
    let mut outcome = |(input, refused): (&Input, Option<CommandError>)| match refused {
        Some(error) => Err(error),
        None => Ok(runs.entry(input.run_id).or_insert_with(|| Arc::new(taken[&input.run_id].run.clone())).clone()),
    };
    inputs.iter().zip(refused).map(&mut outcome).collect()
}

fn decided(taken: BTreeMap<RunId, Taken>) -> Decided {
    taken.into_values().map(|taken| (taken.run, taken.outbox)).collect()
}

impl Taken {
    fn of(run: Run, results: Results) -> Self {
        let (taken_seq, outbox) = (run.state().last_seq, Outbox { results, ..Outbox::default() });
        Self { run, taken_seq, outbox, synthesise: false, written_at: None }
    }

    fn known(HotRun { run, results, written_at }: HotRun) -> Self {
        Self { written_at: Some(written_at), ..Self::of(run, results) }
    }

    fn decide(&mut self, event: &Event, now: Timestamp) -> Result<(), Illegal> {
        // Readings of a clock that are carried on differ a little; one that was turned back is believed.
        let last = self.written_at.filter(|at| at.since_ms(now) <= CLOCK_NOISE_MS);
        let effects = self.run.decide(event, last.map_or(now, |last| now.max(last)))?;
        // A late result asks once, even if more happens to its run in the same batch.
        let asked = self.outbox.take(effects) || self.synthesise;
        self.synthesise = asked && self.run.awaits_diagnosis();
        Ok(())
    }
}

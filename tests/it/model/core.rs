//! The real core behind handles that are cheap to copy, compare and hash.
//!
//! Every transition of the model is one call of [`hermes_core::run::decide`] on a real [`Run`]. Runs are interned, and
//! decisions remembered, so that millions of states of the model cost a few thousand calls of the core.
//!
//! **Time.** `now` never changes; what changes is whether a time that a run waits for still lies ahead or has come. So
//! any order of timers and any skew between processes is a path of the model. Times that nothing waits for are erased.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hermes_core::kbase::{Fact, KbaseEvent};
use hermes_core::limits::TIMEOUT_GRACE_MS;
use hermes_core::plan::{PlanSpec, ServiceSpec};
use hermes_core::run::{Decision, Effect, Event, Jitter, JobOrder, NewRun, decide};
use hermes_core::wire::{self, ErrorClass, JobId, Outcome, ServiceError, WIRE_VERSION};
use hermes_core::{Json, Plan, Run, RunId, ServiceName, ServiceStatus, Timestamp};
use uuid::Uuid;

use super::scopes::Scope;

/// Most services of a plan.
pub(super) const SERVICES: usize = 3;
/// Most attempts at one service, over all revisions.
pub(super) const ATTEMPTS: usize = 4;
/// Most jobs of a run.
pub(super) const JOBS: usize = SERVICES * ATTEMPTS;

const NOW: Timestamp = Timestamp::from_millis(1_737_972_000_000);
const RUN_MS: u64 = 60_000;
const ATTEMPT_MS: u64 = 10_000;

/// Number of a job, `<service>/<attempt>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Job(u8);

impl Job {
    fn of(service: usize, attempt: u32) -> Self {
        let attempt = attempt as usize;
        assert!((1..=ATTEMPTS).contains(&attempt), "the scopes ask for no more attempts");
        Self(u8::try_from(service * ATTEMPTS + attempt - 1).expect("there are few jobs"))
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) const fn service(self) -> usize {
        self.0 as usize / ATTEMPTS
    }

    pub(super) fn attempt(self) -> u32 {
        u32::from(self.0) % u32::try_from(ATTEMPTS).expect("few") + 1
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", ["a", "b", "c"][self.service()], self.attempt())
    }
}

/// A set of small numbers: of jobs, or of services.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Set(u16);

impl Set {
    pub(super) const fn has(self, number: usize) -> bool {
        self.0 & (1 << number) != 0
    }

    pub(super) const fn put(&mut self, number: usize) {
        self.0 |= 1 << number;
    }

    pub(super) const fn remove(&mut self, number: usize) {
        self.0 &= !(1 << number);
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn numbers(self) -> impl Iterator<Item = usize> {
        (0..16).filter(move |&number| self.has(number))
    }

    pub(super) fn jobs(self) -> impl Iterator<Item = Job> {
        self.numbers().map(|number| Job(u8::try_from(number).expect("small")))
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.numbers()).finish()
    }
}

/// What a worker, or the queue, says about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Says {
    /// It is at it; which delivery of the job it has stands for the worker's name.
    Started(u8),
    /// It has a result.
    Completed,
    /// It failed, and another attempt may help.
    Stumbled,
    /// It failed for good.
    Failed,
    /// It was delivered too often.
    Poison,
}

/// A report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Report {
    pub(super) job: Job,
    pub(super) says: Says,
}

impl Report {
    /// Whether it ends its job.
    pub(super) const fn is_final(self) -> bool {
        !matches!(self.says, Says::Started(_))
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.job, self.says)
    }
}

/// What may happen to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Input {
    Woken,
    Reported(Report),
    Cancel,
    Rerun,
}

/// A time that a run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Due {
    /// The next attempt at a service.
    Retry(usize),
    /// The end of the patience with a running attempt.
    Overdue(usize),
    /// The end of the time for services.
    Deadline,
}

/// An interned run.
pub(super) struct Known {
    number: u32,
    run: Run,
    pub(super) view: View,
    decisions: Mutex<HashMap<Input, Arc<Decided>>>,
    later: Mutex<HashMap<Due, KnownRun>>,
}

/// A handle of an interned run.
#[derive(Clone)]
pub(super) struct KnownRun(Arc<Known>);

impl std::ops::Deref for KnownRun {
    type Target = View;

    fn deref(&self) -> &View {
        &self.0.view
    }
}

impl PartialEq for KnownRun {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for KnownRun {}

impl PartialOrd for KnownRun {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KnownRun {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.number.cmp(&other.0.number)
    }
}

impl Hash for KnownRun {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.number.hash(state);
    }
}

impl fmt::Debug for KnownRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.run.state();
        write!(f, "{} at event {}:", state.status, state.last_seq)?;
        state.services.iter().try_for_each(|service| write!(f, " {} ({})", service.status, service.attempt))
    }
}

/// What the model wants to know about a run.
#[derive(Debug)]
pub(super) struct View {
    /// Number of its last event.
    pub(super) seq: u64,
    pub(super) revision: u32,
    pub(super) late_results: u32,
    pub(super) is_settled: bool,
    pub(super) statuses: Vec<ServiceStatus>,
    /// Jobs that must be in the queue or with a worker.
    pub(super) open: Set,
    pub(super) completed: Set,
    /// Whether the timers find it.
    pub(super) is_due: bool,
    pub(super) is_past_deadline: bool,
    /// What it waits for.
    pub(super) waits: Vec<Due>,
}

/// What follows from an input.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) next: KnownRun,
    /// Whether anything is to be recorded.
    pub(super) changes: bool,
    /// Number of the first recorded event.
    pub(super) first_seq: u64,
    pub(super) publish: Set,
    pub(super) revoke: Set,
    pub(super) facts: Facts,
}

/// What was recorded, counted.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) settled: [u8; SERVICES],
    pub(super) runs_settled: u8,
    pub(super) diagnoses: u8,
    /// A diagnosis was made again with the late result that came.
    pub(super) amended: bool,
    pub(super) restarted: bool,
    /// The numbers of the events are not consecutive.
    pub(super) gap: bool,
    /// A service was queued before its dependencies had completed.
    pub(super) too_early: bool,
    /// A service was queued more often than its plan permits.
    pub(super) too_often: bool,
    /// A report closed another attempt than its own.
    pub(super) foreign: bool,
}

/// All runs that came up so far, and the way from one to the next.
pub(super) struct Core {
    plan: Arc<Plan>,
    /// Whether a report says which attempt it is about: what the mutant leaves out.
    pub(super) compares_attempts: bool,
    known: Mutex<HashMap<String, KnownRun>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    /// For a plan of such services: `"c after a b"`.
    pub(super) fn new(scope: &Scope, compares_attempts: bool) -> Self {
        let Scope { services, max_attempts, late_results, .. } = *scope;
        assert!(services.len() <= SERVICES, "no scope has more services");
        let service = |text: &&str| {
            let mut words = text.split_whitespace().map(str::to_owned);
            let service = words.next().expect("a name");
            ServiceSpec {
                worker_key: "worker".to_owned(),
                service,
                display_name: None,
                depends_on: words.skip(1).collect(),
                required: true,
                timeout_ms: ATTEMPT_MS,
                max_attempts,
                params: serde_json::Map::new(),
            }
        };
        let spec = PlanSpec {
            plan_id: "model-v1".to_owned(),
            name: "Model".to_owned(),
            description: String::new(),
            max_duration_ms: RUN_MS,
            late_results,
            services: services.iter().map(service).collect(),
        };
        let plan = Arc::new(Plan::try_from(spec).expect("a valid plan"));
        Self { plan, compares_attempts, known: Mutex::default() }
    }

    /// An accepted run, with the jobs of its first wave.
    pub(super) fn accept(&self) -> (KnownRun, Set) {
        let new = NewRun {
            run_id: RunId::from_uuid(Uuid::from_u128(1)),
            website_id: "site".parse().expect("valid"),
            domain: "example.com".parse().expect("valid"),
            plan: Arc::clone(&self.plan),
        };
        let Decision { next, effects } = Run::start(new, NOW);
        let orders = effects.iter().filter_map(|effect| match effect {
            Effect::Publish(order) => Some(order),
            Effect::Record { .. } | Effect::Revoke(_) | Effect::Synthesise => None,
        });
        let first = self.jobs(orders);
        (self.intern(&next), first)
    }

    /// How many runs came up.
    pub(super) fn runs(&self) -> usize {
        lock(&self.known).len()
    }

    /// What the core decides; `None` if the input does not fit.
    pub(super) fn decide(&self, known: &KnownRun, input: Input) -> Option<Arc<Decided>> {
        if let Some(decided) = lock(&known.0.decisions).get(&input) {
            return Some(Arc::clone(decided));
        }
        let decided = Arc::new(self.decide_anew(&known.0.run, input)?);
        lock(&known.0.decisions).insert(input, Arc::clone(&decided));
        Some(decided)
    }

    fn decide_anew(&self, run: &Run, input: Input) -> Option<Decided> {
        let mut decision = decide(run, &self.event(run, input), NOW).ok()?;
        let wants_diagnosis = decision.effects.iter().any(|effect| matches!(effect, Effect::Synthesise));
        if wants_diagnosis && decision.next.awaits_diagnosis() {
            // As the engine does it: inside the transaction, before the commit.
            let diagnosis = Json::parse("{}").expect("valid");
            let settled = decide(&decision.next, &Event::Synthesised(Ok(diagnosis)), NOW).expect("a diagnosis is due");
            decision.effects.extend(settled.effects);
            decision.next = settled.next;
        }
        let (mut events, mut publish, mut revoke) = (Vec::new(), Vec::new(), Vec::new());
        for effect in &decision.effects {
            match effect {
                Effect::Record { event, .. } => events.push(event),
                Effect::Publish(order) => publish.push(order),
                Effect::Revoke(order) => revoke.push(order),
                Effect::Synthesise => {}
            }
        }
        Some(Decided {
            changes: !events.is_empty(),
            first_seq: events.first().map_or(0, |event| event.seq),
            publish: self.jobs(publish),
            revoke: self.jobs(revoke),
            facts: self.count(run, &decision.next, input, &events),
            next: self.intern(&decision.next),
        })
    }

    fn event(&self, run: &Run, input: Input) -> Event {
        let Report { job, says } = match input {
            Input::Woken => return Event::Woken,
            Input::Cancel => return Event::CancelRequested,
            Input::Rerun => return Event::RerunRequested,
            Input::Reported(report) => report,
        };
        let failed = |class, retryable| Outcome::Failed {
            duration_ms: 0,
            error: ServiceError::new(class, "it went wrong"),
            retryable,
            retry_after_ms: None,
        };
        let (worker, outcome) = match says {
            Says::Started(delivery) => (format!("worker of delivery {delivery}"), Outcome::Started),
            Says::Completed => {
                let result = Json::parse("{}").expect("valid");
                ("worker".to_owned(), Outcome::Completed { duration_ms: 0, result })
            }
            Says::Stumbled => ("worker".to_owned(), failed(ErrorClass::ServerError, true)),
            Says::Failed => ("worker".to_owned(), failed(ErrorClass::Authentication, false)),
            Says::Poison => ("worker".to_owned(), failed(ErrorClass::Poison, false)),
        };
        let is_failure = matches!(outcome, Outcome::Failed { .. });
        let attempt = if self.compares_attempts || !is_failure {
            job.attempt()
        } else {
            run.state().services[job.service()].attempt
        };
        let job = JobId { run_id: run.id(), service: self.plan.services()[job.service()].name().clone(), attempt };
        // Half of the first back-off: a retry waits, and needs the timers.
        Event::Reported { report: wire::Report { v: WIRE_VERSION, job, worker, outcome }, jitter: Jitter::new(0.5) }
    }

    /// Looks at what is recorded with eyes of its own.
    fn count(&self, before: &Run, after: &Run, input: Input, events: &[&KbaseEvent]) -> Facts {
        let mut facts = Facts::default();
        let mut late = false;
        for (event, seq) in events.iter().zip(before.state().last_seq + 1..) {
            facts.gap |= event.seq != seq;
            let fact = Fact::from_columns(&event.service, &event.kind, &event.payload).expect("our own event");
            match fact {
                Fact::RunStarted(_) => facts.restarted = true,
                Fact::WaveQueued { services, .. } => {
                    for queued in &services {
                        let position = self.position(&queued.service);
                        let state = &after.state().services[position];
                        let allowed = state.attempts_before + self.plan.services()[position].max_attempts();
                        facts.too_often |= queued.attempt > allowed;
                        facts.too_early |= !self.may_start(position, &completed(after));
                    }
                }
                Fact::AttemptFailed { service, attempt, .. } => {
                    facts.foreign |= self.is_foreign(input, &service, attempt);
                }
                Fact::ServiceCompleted(result) => {
                    facts.settled[self.position(&result.service)] += 1;
                    facts.foreign |= self.is_foreign(input, &result.service, result.attempt);
                }
                Fact::ServiceEnded(end) => {
                    facts.settled[self.position(&end.service)] += 1;
                    facts.foreign |= end.answered && self.is_foreign(input, &end.service, end.attempt);
                }
                Fact::Diagnosed { .. } if late && before.status().is_settled() => facts.amended = true,
                Fact::Diagnosed { .. } => facts.diagnoses += 1,
                Fact::RunSettled(_) => facts.runs_settled += 1,
                Fact::LateReported { result, .. } => late |= result.is_some(),
                Fact::ServiceStarted { .. } | Fact::ServiceDeferred { .. } | Fact::Noted(_) => {}
            }
        }
        facts.gap |= before.state().last_seq + events.len() as u64 != after.state().last_seq;
        facts
    }

    fn is_foreign(&self, input: Input, service: &ServiceName, attempt: u32) -> bool {
        input_report(input).is_none_or(|report| report.job != Job::of(self.position(service), attempt))
    }

    fn position(&self, service: &ServiceName) -> usize {
        self.plan.position(service).expect("facts name services of the plan")
    }

    /// Whether all that a service depends on has completed.
    pub(super) fn may_start(&self, service: usize, completed: &Set) -> bool {
        self.plan.services()[service].depends_on().iter().all(|&dependency| completed.has(dependency))
    }

    fn jobs<'a>(&self, orders: impl IntoIterator<Item = &'a JobOrder>) -> Set {
        let mut jobs = Set::default();
        for order in orders {
            jobs.put(Job::of(self.position(&order.id.service), order.id.attempt).index());
        }
        jobs
    }

    /// The same run when a time that it waits for has come.
    pub(super) fn when(&self, known: &KnownRun, due: Due) -> KnownRun {
        if let Some(later) = lock(&known.0.later).get(&due) {
            return later.clone();
        }
        let run = &known.0.run;
        let mut state = run.state().clone();
        let at = match due {
            Due::Retry(service) => state.services[service].retry_at.replace(NOW).expect("it waits for its retry"),
            Due::Overdue(service) => {
                let began = state.services[service].started_at.expect("it runs");
                let patience_ms = ATTEMPT_MS + TIMEOUT_GRACE_MS;
                state.services[service].started_at = Some(NOW.minus_ms(patience_ms));
                began.plus_ms(patience_ms)
            }
            Due::Deadline => {
                state.deadline_at = NOW;
                run.services_until()
            }
        };
        // Timers that ring at that time or earlier have rung by then; one that the core forgot has not.
        if state.wake_at.is_some_and(|wake_at| wake_at <= at) {
            state.wake_at = Some(NOW);
        }
        let later = self.intern(&Run::restore(Arc::clone(&self.plan), state).expect("it fits its plan"));
        lock(&known.0.later).insert(due, later.clone());
        later
    }

    fn intern(&self, run: &Run) -> KnownRun {
        let mut state = run.state().clone();
        // What nobody waits for and nothing depends on.
        state.waves = 0;
        state.diagnosis_seq = state.diagnosis_seq.map(|_| 0);
        state.settled_at = state.settled_at.map(|_| NOW);
        for service in state.services.iter_mut() {
            service.duration_ms = None;
            service.result_seq = service.result_seq.map(|_| 0);
            service.late_seq = service.late_seq.map(|_| 0);
            if service.status != ServiceStatus::Running {
                service.started_at = None;
            }
        }
        let text = Json::of(&state).get().to_owned();
        let mut known = lock(&self.known);
        let number = u32::try_from(known.len()).expect("few runs");
        let fresh = || {
            let run = Run::restore(Arc::clone(&self.plan), state).expect("it fits its plan");
            let view = self.view(&run);
            KnownRun(Arc::new(Known { number, run, view, decisions: Mutex::default(), later: Mutex::default() }))
        };
        known.entry(text).or_insert_with(fresh).clone()
    }

    fn view(&self, run: &Run) -> View {
        let state = run.state();
        let mut waits = Vec::new();
        for (position, service) in state.services.iter().enumerate() {
            if service.retry_at.is_some_and(|at| at > NOW) {
                waits.push(Due::Retry(position));
            }
            if service.status == ServiceStatus::Running && service.started_at == Some(NOW) {
                waits.push(Due::Overdue(position));
            }
        }
        let is_past_deadline = run.services_until() <= NOW;
        if !state.status.is_settled() && !is_past_deadline {
            waits.push(Due::Deadline);
        }
        View {
            seq: state.last_seq,
            revision: state.revision,
            late_results: state.late_results,
            is_settled: state.status.is_settled(),
            statuses: state.services.iter().map(|service| service.status).collect(),
            open: self.jobs(&run.open_jobs(NOW)),
            completed: completed(run),
            is_due: state.wake_at.is_some_and(|at| at <= NOW),
            is_past_deadline,
            waits,
        }
    }
}

/// The report among inputs.
pub(super) const fn input_report(input: Input) -> Option<Report> {
    match input {
        Input::Reported(report) => Some(report),
        Input::Woken | Input::Cancel | Input::Rerun => None,
    }
}

fn completed(run: &Run) -> Set {
    let mut completed = Set::default();
    for (position, service) in run.state().services.iter().enumerate() {
        if service.status == ServiceStatus::Completed {
            completed.put(position);
        }
    }
    completed
}

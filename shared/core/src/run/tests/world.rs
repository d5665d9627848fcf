//! A run under test: plans in one line, events in one call, and a check after each step that the run and the replay of
//! its log are the same, and that the auditor finds nothing.

use std::sync::Arc;

use uuid::Uuid;

use crate::audit::RunAudit;
use crate::json::Json;
use crate::kbase::KbaseEvent;
use crate::plan::{LateResults, Plan, PlanSpec, ServiceSpec};
use crate::run::{Decision, Effect, Event, Illegal, Jitter, JobOrder, NewRun, Run, ServiceState, replay};
use crate::status::{RunStatus, ServiceStatus};
use crate::time::Timestamp;
use crate::wire::{ErrorClass, JobId, Outcome, Report, ServiceError, WIRE_VERSION};

/// Milliseconds of the runs under test; services may run until 2,000 before it.
pub(super) const RUN_MS: u64 = 60_000;
/// Milliseconds of an attempt of the services under test.
pub(super) const TIMEOUT_MS: u64 = 10_000;

/// A service of a plan under test: `"e after a b"`.
pub(super) fn service(text: &str) -> ServiceSpec {
    let mut words = text.split_whitespace();
    let name = words.next().expect("a name");
    let depends_on = words.skip_while(|word| *word == "after").map(str::to_owned).collect();
    ServiceSpec {
        service: name.to_owned(),
        display_name: None,
        worker_key: format!("{name}_key"),
        depends_on,
        required: true,
        timeout_ms: TIMEOUT_MS,
        max_attempts: 3,
        params: serde_json::Map::new(),
    }
}

/// A plan of such services.
pub(super) fn plan(services: &[&str]) -> Arc<Plan> {
    plan_of(services.iter().map(|text| service(text)).collect())
}

/// A plan of these services, which keeps late results without effect.
pub(super) fn plan_of(services: Vec<ServiceSpec>) -> Arc<Plan> {
    plan_with(LateResults::Keep, services)
}

/// A plan of these services.
pub(super) fn plan_with(late_results: LateResults, services: Vec<ServiceSpec>) -> Arc<Plan> {
    let spec = PlanSpec {
        plan_id: "test-v1".to_owned(),
        name: "Test".to_owned(),
        description: String::new(),
        max_duration_ms: RUN_MS,
        late_results,
        services,
    };
    Arc::new(Plan::try_from(spec).expect("a valid plan"))
}

/// A run with everything that it asked for so far.
pub(super) struct World {
    pub(super) run: Run,
    pub(super) log: Vec<KbaseEvent>,
    pub(super) published: Vec<JobOrder>,
    pub(super) revoked: Vec<JobOrder>,
    pub(super) synthesis_wanted: bool,
    /// Whether to check after each step; long random histories check at their end.
    pub(super) checks_each_step: bool,
    now: Timestamp,
}

impl World {
    pub(super) fn start(plan: Arc<Plan>) -> Self {
        let now = Timestamp::from_millis(1_737_972_000_000);
        let new = NewRun {
            run_id: crate::RunId::from_uuid(Uuid::from_u128(1)),
            website_id: "site_123".parse().expect("valid"),
            domain: "example.com".parse().expect("valid"),
            plan,
        };
        let Decision { next, effects } = Run::start(new, now);
        let mut world = Self {
            run: next,
            log: vec![],
            published: vec![],
            revoked: vec![],
            synthesis_wanted: false,
            checks_each_step: true,
            now,
        };
        world.take(effects);
        world
    }

    pub(super) fn of(services: &[&str]) -> Self {
        Self::start(plan(services))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    fn take(&mut self, effects: Vec<Effect>) {
        self.synthesis_wanted = false;
        for effect in effects {
            match effect {
                Effect::Record { event, .. } => self.log.push(event),
                Effect::Publish(order) => self.published.push(order),
                Effect::Revoke(order) => self.revoked.push(order),
                Effect::Synthesise => self.synthesis_wanted = true,
            }
        }
        if self.checks_each_step {
            self.check();
        }
    }

    /// The fold of the log is the run, and what is stored of the run reads back as the run.
    pub(super) fn check(&self) {
        let replayed = replay(self.run.plan().clone(), &self.log).expect("the log is whole");
        assert_eq!(replayed, self.run, "the fold of the log is the run");
        let stored: crate::run::RunState =
            serde_json::from_str(&serde_json::to_string(self.run.state()).expect("writes")).expect("reads");
        assert_eq!(Run::restore(self.run.plan().clone(), stored).expect("fits its plan"), self.run);
        // Events may come as late as a test likes; nothing else is excused.
        let mut audit = RunAudit::new(&self.run, self.now, u64::MAX);
        self.log.iter().for_each(|event| audit.take(event));
        assert_eq!(audit.finish().0, [], "the auditor finds nothing");
    }

    /// Applies an event; gives the number of recorded facts.
    pub(super) fn apply(&mut self, event: &Event) -> Result<usize, Illegal> {
        let recorded = self.log.len();
        let mut next = self.run.clone();
        let effects = next.decide(event, self.now).inspect_err(|_| {
            assert_eq!(next, self.run, "what is refused changes nothing");
        })?;
        if effects.is_empty() {
            assert_eq!(next, self.run, "without effects nothing has changed");
        }
        self.run = next;
        self.check_rest();
        self.take(effects);
        Ok(self.log.len() - recorded)
    }

    /// Nothing is left that could have been done, whatever was looked at for it.
    fn check_rest(&self) {
        let run = &self.run;
        for position in 0..run.state().services.len() {
            let is_left = self.now < run.services_until() && run.is_ready(position, self.now);
            assert!(run.status().is_settled() || !is_left, "service {position} is ready and was not queued");
            let is_pending = run.state().services[position].status == ServiceStatus::Pending;
            assert!(!is_pending || run.broken_dependency(position).is_none(), "service {position} was not skipped");
        }
    }

    /// Lets time pass and wakes the run.
    pub(super) fn pass(&mut self, millis: u64) {
        self.now = self.now.plus_ms(millis);
        self.apply(&Event::Woken).expect("every run may be woken");
    }

    /// Lets time pass without waking the run.
    pub(super) fn pass_unnoticed(&mut self, millis: u64) {
        self.now = self.now.plus_ms(millis);
    }

    pub(super) fn report(&self, name: &str, attempt: u32, outcome: Outcome) -> Event {
        let job = JobId { run_id: self.run.id(), service: name.parse().expect("valid"), attempt };
        let report = Report { v: WIRE_VERSION, job, worker: "worker-1".to_owned(), outcome };
        Event::Reported { report, jitter: Jitter::new(0.0) }
    }

    /// The current attempt at `name` completes.
    pub(super) fn complete(&mut self, name: &str) -> usize {
        let event = self.report(name, self.state(name).attempt, completed());
        self.apply(&event).expect("a report about a known service")
    }

    /// The current attempt at `name` fails for good.
    pub(super) fn fail(&mut self, name: &str) -> usize {
        let event = self.report(name, self.state(name).attempt, failed(ErrorClass::Authentication, false, None));
        self.apply(&event).expect("a report about a known service")
    }

    /// The current attempt at `name` fails, and another one may help.
    pub(super) fn stumble(&mut self, name: &str) -> usize {
        let event = self.report(name, self.state(name).attempt, failed(ErrorClass::ServerError, true, None));
        self.apply(&event).expect("a report about a known service")
    }

    /// A worker says that it is at the current attempt at `name`.
    pub(super) fn begin(&mut self, name: &str) -> usize {
        let event = self.report(name, self.state(name).attempt, Outcome::Started);
        self.apply(&event).expect("a report about a known service")
    }

    /// Synthesis succeeds.
    pub(super) fn synthesise(&mut self) {
        assert!(self.synthesis_wanted, "a diagnosis is wanted");
        let diagnosis = Json::parse(r#"{"confidence":0.5}"#).expect("valid");
        self.apply(&Event::Synthesised(Ok(diagnosis))).expect("a diagnosis is due");
    }

    pub(super) fn state(&self, name: &str) -> &ServiceState {
        self.run.service(&name.parse().expect("valid")).expect("a service of the plan")
    }

    pub(super) fn status(&self, name: &str) -> ServiceStatus {
        self.state(name).status
    }

    pub(super) fn run_status(&self) -> RunStatus {
        self.run.status()
    }

    /// Services published so far, as `name/attempt`.
    pub(super) fn published(&self) -> Vec<String> {
        self.published.iter().map(|order| format!("{}/{}", order.id.service, order.id.attempt)).collect()
    }

    /// Recorded events so far, as `service:type`.
    pub(super) fn kinds(&self) -> Vec<String> {
        self.log.iter().map(|event| format!("{}:{}", event.service, event.kind)).collect()
    }
}

pub(super) fn completed() -> Outcome {
    Outcome::Completed { duration_ms: 5, result: Json::parse(r#"{"answer":42}"#).expect("valid") }
}

pub(super) fn failed(class: ErrorClass, retryable: bool, retry_after_ms: Option<u64>) -> Outcome {
    let error = ServiceError::new(class, format!("it went wrong: {class}"));
    Outcome::Failed { duration_ms: 7, error, retryable, retry_after_ms }
}

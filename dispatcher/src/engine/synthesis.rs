//! From a run's results to its diagnosis. Whatever goes wrong here becomes the run's `synthesis_error`; the run settles
//! in any case.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hermes_core::limits::SYNTHESIS_INLINE_BYTES_MAX;
use hermes_core::ports::store::{PreviousOf, StoreError, Transaction};
use hermes_core::wire::printable;
use hermes_core::{EventId, Json, Run, RunId};
use hermes_diagnosis::{Diagnosis, Input, RuleBook, ServiceOutcome, synthesise};
use tracing::error;

use super::hot::Results;
use super::publish::result_of;

/// Everything that one diagnosis is made from.
pub(super) struct Material {
    run: Run,
    results: Results,
    previous: Option<Json>,
}

impl Material {
    fn bytes(&self) -> usize {
        self.results.values().chain(&self.previous).map(|json| json.get().len()).sum()
    }
}

/// Reads what the diagnoses of `runs` need: each run with the results that are known already. A run whose
/// material is damaged gets no diagnosis, with the reason; it settles all the same, and the others are not touched.
pub(super) async fn gather(
    transaction: &mut dyn Transaction,
    runs: Vec<(&Run, &Results)>,
) -> Result<(Vec<Material>, Vec<(RunId, String)>), StoreError> {
    match gather_together(transaction, runs.clone()).await {
        Ok(materials) => Ok((materials, Vec::new())),
        Err(StoreError::Corrupt { .. }) => {
            let (mut materials, mut damaged) = (Vec::new(), Vec::new());
            for (run, known) in runs {
                match gather_together(transaction, vec![(run, known)]).await {
                    Ok(material) => materials.extend(material),
                    Err(error @ StoreError::Corrupt { .. }) => {
                        error!(run.id = %run.id(), error = %error, "no diagnosis: what it would be made from is damaged");
                        damaged.push((run.id(), error.to_string()));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok((materials, damaged))
        }
        Err(error) => Err(error),
    }
}

async fn gather_together(
    transaction: &mut dyn Transaction,
    runs: Vec<(&Run, &Results)>,
) -> Result<Vec<Material>, StoreError> {
    let mut results: HashMap<RunId, Results> = HashMap::new();
    let mut missing = Vec::new();
    for (run, known) in &runs {
        missing.extend(run.evidence_events().map(|(_, id)| id).filter(|id| !known.contains_key(id)));
        results.insert(run.id(), (*known).clone());
    }
    if !missing.is_empty() {
        for event in transaction.events(&missing).await? {
            if let Some(result) = result_of(&event) {
                results.entry(event.run_id).or_default().insert(event.event_id, result);
            }
        }
    }
    let site = |run: &Run| PreviousOf {
        run_id: run.id(),
        website_id: run.state().website_id.clone(),
        before: run.state().settled_at,
    };
    let sites: Vec<_> = runs.iter().map(|(run, _)| site(run)).collect();
    let mut previous: HashMap<RunId, Json> = transaction.previous_diagnoses(&sites).await?.into_iter().collect();
    let material = |(run, _): (&Run, _)| Material {
        run: run.clone(),
        results: results.remove(&run.id()).unwrap_or_default(),
        previous: previous.remove(&run.id()),
    };
    Ok(runs.into_iter().map(material).collect())
}

/// Makes the diagnoses; each is a JSON text or the reason why there is none. What takes long, because there is much to
/// read, is done away from the async threads.
pub(super) async fn diagnose_all(book: Arc<RuleBook>, materials: Vec<Material>) -> Vec<(RunId, Result<Json, String>)> {
    let ids: Vec<RunId> = materials.iter().map(|material| material.run.id()).collect();
    let is_small = materials.iter().map(Material::bytes).sum::<usize>() <= SYNTHESIS_INLINE_BYTES_MAX;
    let work = move || materials.iter().map(|material| (material.run.id(), diagnose(&book, material))).collect();
    if is_small {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(diagnoses) => diagnoses,
        Err(error) => {
            error!(error = %error, "synthesis was torn off");
            ids.into_iter().map(|id| (id, Err("synthesis was torn off".to_owned()))).collect()
        }
    }
}

/// What `book` says about the results of a run, compared with nothing.
pub(crate) fn again(book: &RuleBook, run: Run, results: Results) -> Result<Diagnosis, String> {
    made(book, &Material { run, results, previous: None })
}

fn diagnose(book: &RuleBook, material: &Material) -> Result<Json, String> {
    made(book, material).map(|diagnosis| Json::of(&diagnosis))
}

fn made(book: &RuleBook, material: &Material) -> Result<Diagnosis, String> {
    let run = &material.run;
    let (run_id, state) = (run.id().to_string(), run.state());
    let services = run.services().map(|(service, state)| ServiceOutcome {
        service: service.name().as_str(),
        display_name: service.display_name(),
        required: service.required(),
        status: state.status,
        error: state.error.as_ref().map(|error| error.message.as_str()),
        error_class: state.error.as_ref().map(|error| error.class.as_str()),
        duration_ms: state.duration_ms,
        is_late: state.late_seq.is_some(),
        result: state
            .evidence_seq()
            .and_then(|seq| material.results.get(&EventId { run_id: run.id(), seq }))
            .map(Json::raw),
    });
    let input = Input {
        run_id: &run_id,
        website_id: state.website_id.as_str(),
        domain: state.domain.as_str(),
        plan_id: run.plan().id().as_str(),
        run_status: run.verdict(),
        revision: state.revision,
        services: services.collect(),
        previous: material.previous.as_ref().map(Json::raw),
    };
    // A defect in a rule must not keep a run from settling.
    match catch_unwind(AssertUnwindSafe(|| synthesise(book, &input))) {
        Ok(Ok(diagnosis)) => Ok(diagnosis),
        Ok(Err(error)) => {
            error!(run.id = %run_id, error = %error, "synthesis failed");
            Err(error.to_string())
        }
        Err(panic) => {
            let text = panic_text(panic.as_ref());
            error!(run.id = %run_id, error = text, "synthesis panicked");
            Err(printable(&format!("synthesis panicked: {text}"), hermes_core::limits::ERROR_BYTES_MAX))
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

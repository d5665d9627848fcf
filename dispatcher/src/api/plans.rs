//! `/api/orchestration/plans`: what can be run. A plan is never changed; the same id with another content is its next
//! version, and runs keep the one that they started with.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use hermes_core::plan::{PlanError, PlanProblem, PlanSpec, Service};
use hermes_core::ports::store::StoredPlan;
use hermes_core::{Json, Plan, PlanHash, PlanId, ServiceName, Timestamp, WorkerKey};
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::body::{self, Media};
use super::problem::{Kind, Problem, Success};
use super::query::Segments;

#[derive(Serialize)]
struct All {
    success: bool,
    plans: Vec<PlanView>,
}

#[derive(Serialize)]
struct One {
    success: bool,
    plan: PlanView,
}

#[derive(Serialize)]
struct Stored {
    success: bool,
    plan_id: PlanId,
    version: u32,
    hash: PlanHash,
    plan: PlanView,
}

/// A plan in the customer's words: its own members in snake_case, those of its services in camelCase.
#[derive(Serialize)]
struct PlanView {
    plan_id: PlanId,
    name: String,
    description: String,
    max_duration_ms: u64,
    services: Vec<ServiceView>,
    hash: PlanHash,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceView {
    service: ServiceName,
    display_name: String,
    worker_key: WorkerKey,
    depends_on: Vec<ServiceName>,
    required: bool,
    timeout_ms: u64,
    max_attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Json>,
}

impl PlanView {
    fn of(plan: &Plan) -> Self {
        Self {
            plan_id: plan.id().clone(),
            name: plan.name().to_owned(),
            description: plan.description().to_owned(),
            max_duration_ms: plan.max_duration_ms(),
            services: plan.services().iter().map(|service| ServiceView::of(plan, service)).collect(),
            hash: plan.hash().clone(),
            version: None,
            created_at: None,
        }
    }

    fn of_stored(stored: &StoredPlan) -> Self {
        Self { version: Some(stored.version), created_at: Some(stored.created_at), ..Self::of(&stored.plan) }
    }
}

impl ServiceView {
    fn of(plan: &Plan, service: &Service) -> Self {
        let name = |&position: &usize| plan.services()[position].name().clone();
        Self {
            service: service.name().clone(),
            display_name: service.display_name().to_owned(),
            worker_key: service.worker_key().clone(),
            depends_on: service.depends_on().iter().map(name).collect(),
            required: service.required(),
            timeout_ms: service.timeout_ms(),
            max_attempts: service.max_attempts(),
            params: Some(service.params().clone()).filter(|params| params.get() != "{}"),
        }
    }
}

pub(super) async fn list(State(api): State<Api>) -> Result<Response, Problem> {
    let plans: Vec<PlanView> = api.engine.store().plans().await?.iter().map(PlanView::of_stored).collect();
    Ok(Success::Ok.json(&All { success: true, plans }))
}

pub(super) async fn show(State(api): State<Api>, segments: Segments) -> Result<Response, Problem> {
    let name = segments.get("planId");
    let unknown = || Problem::new(Kind::PlanNotFound, format!("There is no plan '{name}'."));
    let id: PlanId = name.parse().map_err(|_| unknown())?;
    let stored = api.engine.store().plan(&id).await?.ok_or_else(unknown)?;
    Ok(Success::Ok.json(&One { success: true, plan: PlanView::of_stored(&stored) }))
}

/// Stores a plan; the same content again is answered with the version that is there.
pub(super) async fn create(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let plan = read(&parts.headers, body).await?.map_err(|problems| {
        let detail = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Problem::new(Kind::InvalidPlan, detail).with("problems", in_json(&problems))
    })?;
    let store = api.engine.store();
    let before = store.plan(plan.id()).await?.map(|stored| stored.version);
    let stored = store.put_plan(&plan).await?;
    let success = if before == Some(stored.version) { Success::Ok } else { Success::Created };
    let mut response = success.json(&Stored {
        success: true,
        plan_id: plan.id().clone(),
        version: stored.version,
        hash: plan.hash().clone(),
        plan: PlanView::of_stored(&stored),
    });
    let location = format!("/api/orchestration/plans/{}", plan.id());
    let location = HeaderValue::from_str(&location).expect("plan ids have letters, digits and signs only");
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// Says what is wrong with a plan, and stores nothing.
pub(super) async fn validate(request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Ok(Success::Ok.json(&match read(&parts.headers, body).await? {
        Ok(plan) => json!({
            "success": true,
            "valid": true,
            "plan_id": plan.id(),
            "hash": plan.hash(),
            "plan": PlanView::of(&plan),
        }),
        Err(problems) => json!({"success": true, "valid": false, "problems": in_json(&problems)}),
    }))
}

/// Reads a plan; outside: the body cannot be read at all, inside: everything that is wrong with the plan.
async fn read(headers: &HeaderMap, body: Body) -> Result<Result<Plan, Vec<PlanProblem>>, Problem> {
    let media = body::media(headers)?;
    let bytes = body::read(headers, body).await?;
    let plan = match media {
        Media::Json => match body::parse(&bytes)?.read::<PlanSpec>() {
            Ok(spec) => Plan::try_from(spec),
            Err(error) => Err(PlanError::Shape(error.to_string())),
        },
        Media::Yaml => match std::str::from_utf8(&bytes) {
            Ok(text) => Plan::from_yaml(text),
            Err(error) => Err(PlanError::Shape(format!("the plan is no UTF-8: {error}"))),
        },
    };
    Ok(match plan {
        Ok(plan) => Ok(plan),
        Err(PlanError::Invalid(problems)) => Err(problems),
        Err(error @ (PlanError::Shape(_) | PlanError::HashMismatch(_))) => {
            Err(vec![PlanProblem { path: "plan".to_owned(), message: error.to_string() }])
        }
    })
}

fn in_json(problems: &[PlanProblem]) -> Value {
    problems.iter().map(|problem| json!({"path": problem.path, "message": problem.message})).collect()
}

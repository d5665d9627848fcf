//! Facts to rows of `kbase_events` and back.

use serde::{Deserialize, Serialize};

use super::fact::{CauseLink, Fact, NotedEvent, QueuedService, RunEnd, RunStart, ServiceEnd, ServiceResult};
use super::{DIAGNOSIS, HERMES, LATE_RESULT, RESULT, RUN_STATUS, SERVICE_STATUS, WAVE};
use crate::ids::ServiceName;
use crate::json::Json;
use crate::status::{RunStatus, ServiceStatus};
use crate::time::Timestamp;
use crate::wire::{ErrorClass, ServiceError};

/// A stored event cannot be read as a fact: the log is damaged, or a newer version wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event of service '{service}' and type '{kind}' cannot be read: {detail}")]
pub struct UnknownEvent {
    /// Column `service`.
    pub service: String,
    /// Column `type`.
    pub kind: String,
    /// What is wrong.
    pub detail: String,
}

#[derive(Serialize, Deserialize)]
struct WavePayload {
    wave: u32,
    services: Vec<QueuedService>,
}

/// Payload of `service_status`: one shape for all its statuses, so that it is easy to query.
#[derive(Serialize, Deserialize)]
struct ServicePayload {
    status: ServiceStatus,
    attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_class: Option<ErrorClass>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    deferred: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    answered: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cause: Vec<CauseLink>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl ServicePayload {
    const fn new(status: ServiceStatus, attempt: u32) -> Self {
        Self {
            status,
            attempt,
            duration_ms: None,
            error: None,
            error_class: None,
            retry_at: None,
            worker: None,
            deferred: false,
            answered: false,
            cause: Vec::new(),
        }
    }

    fn with_error(mut self, error: &ServiceError) -> Self {
        self.error = Some(error.message.clone());
        self.error_class = Some(error.class);
        self
    }

    fn service_error(&self) -> ServiceError {
        ServiceError {
            class: self.error_class.unwrap_or(ErrorClass::Unknown),
            message: self.error.clone().unwrap_or_default(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct ResultPayload {
    status: ServiceStatus,
    attempt: u32,
    duration_ms: u64,
    data: Json,
}

#[derive(Serialize, Deserialize)]
struct LatePayload {
    attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    data: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_class: Option<ErrorClass>,
}

/// A result that is there: `null` is one, and only a member that is missing is none.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct StatusOnly {
    status: RunStatus,
}

impl Fact {
    /// The columns `service`, `type` and `payload`.
    #[must_use]
    pub fn columns(&self) -> (String, String, Json) {
        let hermes = |kind: &str, payload: Json| (HERMES.to_owned(), kind.to_owned(), payload);
        let service_status = |service: &ServiceName, payload: &ServicePayload| {
            (service.to_string(), SERVICE_STATUS.to_owned(), Json::of(payload))
        };
        match self {
            Self::RunStarted(start) => hermes(RUN_STATUS, Json::of(start)),
            Self::RunSettled(end) => hermes(RUN_STATUS, Json::of(end)),
            Self::WaveQueued { wave, services } => {
                hermes(WAVE, Json::of(&WavePayload { wave: *wave, services: services.clone() }))
            }
            Self::Diagnosed { diagnosis } => hermes(DIAGNOSIS, diagnosis.clone()),
            Self::ServiceStarted { service, attempt, worker } => {
                let payload = ServicePayload::new(ServiceStatus::Running, *attempt);
                service_status(service, &ServicePayload { worker: Some(worker.clone()), ..payload })
            }
            Self::ServiceDeferred { service, attempt } => {
                let payload = ServicePayload::new(ServiceStatus::Running, *attempt);
                service_status(service, &ServicePayload { deferred: true, ..payload })
            }
            Self::AttemptFailed { service, attempt, error, retry_at } => {
                let payload = ServicePayload::new(ServiceStatus::Pending, *attempt).with_error(error);
                service_status(service, &ServicePayload { retry_at: Some(*retry_at), ..payload })
            }
            Self::ServiceEnded(end) => {
                let payload = ServicePayload::new(end.status, end.attempt).with_error(&end.error);
                let (duration_ms, answered, cause) = (end.duration_ms, end.answered, end.cause.clone());
                service_status(&end.service, &ServicePayload { duration_ms, answered, cause, ..payload })
            }
            Self::ServiceCompleted(ServiceResult { service, attempt, duration_ms, data }) => {
                let (attempt, duration_ms, data) = (*attempt, *duration_ms, data.clone());
                let payload = ResultPayload { status: ServiceStatus::Completed, attempt, duration_ms, data };
                (service.to_string(), RESULT.to_owned(), Json::of(&payload))
            }
            Self::LateReported { service, attempt, result, error } => {
                let payload = LatePayload {
                    attempt: *attempt,
                    data: result.clone(),
                    error: error.as_ref().map(|error| error.message.clone()),
                    error_class: error.as_ref().map(|error| error.class),
                };
                (service.to_string(), LATE_RESULT.to_owned(), Json::of(&payload))
            }
            Self::Noted(noted) => (noted.service.clone(), noted.kind.clone(), noted.payload.clone()),
        }
    }

    /// Reads back what [`Self::columns`] wrote.
    pub fn from_columns(service: &str, kind: &str, payload: &Json) -> Result<Self, UnknownEvent> {
        let unreadable = |detail: String| UnknownEvent { service: service.to_owned(), kind: kind.to_owned(), detail };
        read(service, kind, payload).map_err(|error| unreadable(error.to_string()))?.map_err(unreadable)
    }
}

type ReadFact = Result<Result<Fact, String>, serde_json::Error>;

fn read(service: &str, kind: &str, payload: &Json) -> ReadFact {
    let fact = match (service, kind) {
        (HERMES, RUN_STATUS) => {
            if payload.read::<StatusOnly>()?.status == RunStatus::Started {
                Fact::RunStarted(payload.read::<RunStart>()?)
            } else {
                Fact::RunSettled(payload.read::<RunEnd>()?)
            }
        }
        (HERMES, WAVE) => {
            let WavePayload { wave, services } = payload.read()?;
            Fact::WaveQueued { wave, services }
        }
        (HERMES, DIAGNOSIS) => Fact::Diagnosed { diagnosis: payload.clone() },
        (_, SERVICE_STATUS | RESULT | LATE_RESULT) => match service.parse() {
            Ok(name) => return read_service(name, kind, payload),
            Err(error) => return Ok(Err(format!("{error}"))),
        },
        _ => Fact::Noted(NotedEvent { service: service.to_owned(), kind: kind.to_owned(), payload: payload.clone() }),
    };
    Ok(Ok(fact))
}

fn read_service(service: ServiceName, kind: &str, payload: &Json) -> ReadFact {
    if kind == RESULT {
        let ResultPayload { attempt, duration_ms, data, .. } = payload.read()?;
        return Ok(Ok(Fact::ServiceCompleted(ServiceResult { service, attempt, duration_ms, data })));
    }
    if kind == LATE_RESULT {
        let LatePayload { attempt, data, error, error_class } = payload.read()?;
        let class = error_class.unwrap_or(ErrorClass::Unknown);
        let error = error.map(|message| ServiceError { class, message });
        return Ok(Ok(Fact::LateReported { service, attempt, result: data, error }));
    }
    let status: ServicePayload = payload.read()?;
    let (attempt, error) = (status.attempt, status.service_error());
    Ok(Ok(match status.status {
        ServiceStatus::Running if status.deferred => Fact::ServiceDeferred { service, attempt },
        ServiceStatus::Running => Fact::ServiceStarted { service, attempt, worker: status.worker.unwrap_or_default() },
        ServiceStatus::Pending => match status.retry_at {
            Some(retry_at) => Fact::AttemptFailed { service, attempt, error, retry_at },
            None => return Ok(Err("status 'pending' without 'retry_at'".to_owned())),
        },
        ServiceStatus::Failed | ServiceStatus::Timeout | ServiceStatus::Skipped | ServiceStatus::Cancelled => {
            Fact::ServiceEnded(ServiceEnd {
                service,
                status: status.status,
                attempt,
                duration_ms: status.duration_ms,
                answered: status.answered,
                error,
                cause: status.cause,
            })
        }
        ServiceStatus::Queued | ServiceStatus::Completed => {
            return Ok(Err(format!("status '{}' does not occur in '{SERVICE_STATUS}'", status.status)));
        }
    }))
}

//! Worker key `noop`: does nothing, or what it is told. For examples of arbitrary plans, for tests and benchmarks.
//!
//! Parameters of the service in the plan, all optional:
//!
//! | parameter | meaning |
//! |---|---|
//! | `result` | the result to answer with; default `{}` |
//! | `delay_ms` | milliseconds to wait before answering |
//! | `fail` | fail with this text (or with `true`) instead of answering |
//! | `retryable` | whether that failure may be retried; default `false` |
//! | `panic` | panic with this text |

use std::time::Duration;

use async_trait::async_trait;
use hermes_core::Json;
use hermes_core::wire::{ErrorClass, ServiceError};
use serde::Deserialize;

use crate::service::{AttemptContext, Service, ServiceOutcome};

/// Attempts at a time: they cost next to nothing.
const CONCURRENCY: usize = 256;

/// The service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noop;

#[derive(Deserialize)]
struct Params {
    result: Option<Json>,
    #[serde(default)]
    delay_ms: u64,
    fail: Option<Fail>,
    #[serde(default)]
    retryable: bool,
    panic: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Fail {
    Plain(bool),
    Text(String),
}

#[async_trait]
impl Service for Noop {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        let params: Params = match attempt.job.params.read() {
            Ok(params) => params,
            Err(error) => return ServiceOutcome::failed(ErrorClass::InvalidInput, format!("Parameters: {error}")),
        };
        if params.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(params.delay_ms)).await;
        }
        if let Some(text) = params.panic {
            panic!("{text}");
        }
        let text = match params.fail {
            None | Some(Fail::Plain(false)) => {
                return ServiceOutcome::Completed(params.result.unwrap_or_else(|| Json::of(&serde_json::json!({}))));
            }
            Some(Fail::Plain(true)) => "The plan asked for a failure".to_owned(),
            Some(Fail::Text(text)) => text,
        };
        ServiceOutcome::Failed {
            error: ServiceError::new(ErrorClass::WorkerError, text),
            retryable: params.retryable,
            retry_after_ms: None,
        }
    }

    fn concurrency(&self) -> usize {
        CONCURRENCY
    }
}

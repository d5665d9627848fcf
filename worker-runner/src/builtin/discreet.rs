//! Keeps secrets out of what a service says, whoever repeated them: a provider that quotes the request in its answer, a
//! page that shows an address with a key in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hermes_core::Json;
use hermes_core::wire::ServiceError;

use crate::redact::Redactor;
use crate::service::{AttemptContext, Service, ServiceOutcome, Standing};

/// Variables that end like this are secrets.
const SECRET_SUFFIXES: [&str; 3] = ["_KEY", "_TOKEN", "_PASSWORD"];
/// The other half of a password.
const LOGIN_SUFFIX: &str = "_LOGIN";

/// `service`, without the secrets of `environment` in anything that it says.
pub(crate) fn discreet(service: Arc<dyn Service>, environment: &BTreeMap<String, String>) -> Arc<dyn Service> {
    let redactor = Redactor::new(secrets(environment).iter().map(String::as_str));
    if redactor.is_idle() { service } else { Arc::new(Discreet { service, redactor }) }
}

/// The secrets, and each password as it is sent by Basic authentication (RFC 7617).
fn secrets(environment: &BTreeMap<String, String>) -> Vec<String> {
    let mut secrets = Vec::new();
    for (variable, value) in environment {
        if SECRET_SUFFIXES.iter().any(|suffix| variable.ends_with(suffix)) {
            secrets.push(value.trim().to_owned());
        }
        let login = variable.strip_suffix("_PASSWORD").and_then(|of| environment.get(&format!("{of}{LOGIN_SUFFIX}")));
        if let Some(login) = login {
            secrets.push(STANDARD.encode(format!("{}:{}", login.trim(), value.trim())));
        }
    }
    secrets
}

struct Discreet {
    service: Arc<dyn Service>,
    redactor: Redactor,
}

#[async_trait]
impl Service for Discreet {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        match self.service.run(attempt).await {
            ServiceOutcome::Completed(result) => {
                let clean = self.redactor.clean_json(result.get()).and_then(|clean| Json::parse(&clean).ok());
                ServiceOutcome::Completed(clean.unwrap_or(result))
            }
            ServiceOutcome::Deferred => ServiceOutcome::Deferred,
            ServiceOutcome::Failed { error, retryable, retry_after_ms } => {
                let error = ServiceError::new(error.class, self.redactor.clean(&error.message));
                ServiceOutcome::Failed { error, retryable, retry_after_ms }
            }
        }
    }

    fn standing(&self) -> Standing {
        self.service.standing()
    }

    fn concurrency(&self) -> usize {
        self.service.concurrency()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hermes_core::wire::ErrorClass;

    use crate::tests::{NoHttp, execute, job_for};

    struct Says(ServiceOutcome);

    #[async_trait]
    impl Service for Says {
        async fn run(&self, _: &AttemptContext<'_>) -> ServiceOutcome {
            self.0.clone()
        }
    }

    fn environment() -> BTreeMap<String, String> {
        [
            ("BRAVE_API_KEY", "key-of-brave"),
            ("DATAFORSEO_LOGIN", "somebody"),
            ("DATAFORSEO_PASSWORD", " word-to-pass "),
            ("SEARXNG_URL", "http://searx.example"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    async fn said(outcome: ServiceOutcome) -> ServiceOutcome {
        execute(&*discreet(Arc::new(Says(outcome)), &environment()), &job_for("serp_intel"), &NoHttp).await
    }

    #[tokio::test]
    async fn a_result_and_an_error_are_told_without_the_secrets_in_them() {
        let basic = STANDARD.encode("somebody:word-to-pass");
        let text = format!("key-of-brave somebody {basic} word-to-pass http://searx.example");
        let expected = "[hidden] somebody [hidden] [hidden] http://searx.example";
        let result = Json::of(&[&text]);
        assert_eq!(said(ServiceOutcome::Completed(result)).await, ServiceOutcome::Completed(Json::of(&[expected])));
        let failed = ServiceOutcome::failed(ErrorClass::WorkerError, &text);
        assert_eq!(said(failed).await, ServiceOutcome::failed(ErrorClass::WorkerError, expected));
    }

    #[test]
    fn without_secrets_nothing_stands_between() {
        let service: Arc<dyn Service> = Arc::new(Says(ServiceOutcome::Deferred));
        let same = discreet(Arc::clone(&service), &BTreeMap::from([("X_URL".to_owned(), "u".to_owned())]));
        assert!(Arc::ptr_eq(&service, &same));
    }
}

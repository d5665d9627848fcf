//! The way around the queue: while only the queue is away, reports go to a dispatcher over HTTP, with the token of the
//! attempt. The queue is told all the same once it answers, so that it lets go of the job; the same report twice counts
//! once.

use std::time::Duration;

use hermes_core::limits::BODY_BYTES_MAX;
use hermes_core::ports::http::{Http, Method, Reach, Request};
use hermes_core::wire::{Job, Report};
use tracing::{debug, info};
use url::Url;

/// Tries at the queue before a dispatcher is asked: a hiccup passes by itself.
const QUEUE_FIRST: u32 = 2;
/// Longest wait for the dispatcher's answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Bytes of the answer that are read; only its status counts.
const ANSWER_BYTES_MAX: usize = 1_024;

/// One report's way around the queue.
pub(crate) struct Bypass<'a> {
    http: &'a dyn Http,
    job: &'a Job,
    report: &'a Report,
    delivered: bool,
}

impl<'a> Bypass<'a> {
    pub(crate) const fn new(http: &'a dyn Http, job: &'a Job, report: &'a Report) -> Self {
        Self { http, job, report, delivered: false }
    }

    /// Tries to deliver after the `failures`-th failure of the queue, unless it was delivered before.
    pub(crate) async fn deliver(&mut self, failures: u32) {
        if failures < QUEUE_FIRST || self.delivered {
            return;
        }
        let Some(request) = request(self.job, self.report) else { return };
        match self.http.send(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => {
                self.delivered = true;
                info!("the queue is away; a dispatcher has the report");
            }
            Ok(answer) => debug!(status = answer.status, "no dispatcher takes the report"),
            Err(error) => debug!(%error, "no dispatcher takes the report"),
        }
    }

    /// Whether a dispatcher has it.
    pub(crate) const fn delivered(&self) -> bool {
        self.delivered
    }
}

/// `None` if the dispatchers have no address, or if the report is too long for their API.
fn request(job: &Job, report: &Report) -> Option<Request> {
    let callback = job.callback.as_ref()?;
    // The address for results and the one for reports lie beside each other.
    let url = Url::parse(&callback.url).ok()?.join("report").ok()?;
    let body = serde_json::to_vec(report).expect("wire types serialise");
    let headers = [
        ("content-type".to_owned(), "application/json".to_owned()),
        ("authorization".to_owned(), format!("Bearer {}", callback.token)),
    ];
    (body.len() <= BODY_BYTES_MAX).then(|| Request {
        method: Method::Post,
        url,
        headers: headers.into(),
        body: Some(body),
        // The operator configured it.
        reach: Reach::Any,
        timeout: ANSWER_MAX,
        body_bytes_max: ANSWER_BYTES_MAX,
    })
}

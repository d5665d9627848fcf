//! Outgoing HTTP with manners: every request asks for leave first, and says afterwards how it went.
//!
//! Services need not know: this stands before the port that they call. What the limits are, and who keeps them for the
//! whole fleet, is the business of [`Politeness`].
//!
//! A request waits for its turn. Where the target asked to be left alone, or is taken for down, it waits only briefly;
//! what takes longer fails at once with [`HttpError::HeldBack`], so that the run can do better with its time.
//!
//! A page that a browser loads is one request to its host: it asks for leave ([`PoliteBrowser`]) and says how it went.
//! Requests by which our robot reads sites and asks providers, and its page loads, get the operator's address into their
//! user agent here.
//!
//! Deliberately absent: what a page loads beside its document; a browser asks for that as every visitor's does.

mod browser;
mod signature;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::ports::browser::Browser;
use hermes_core::ports::entropy::Entropy;
use hermes_core::ports::http::{Http, HttpError, Request, Response};
use hermes_core::ports::politeness::{Admission, Ask, Limits, Permit, Policy, Politeness, Reason, Target, Wait, Went};
use tokio::runtime::Handle;
use url::Url;

use crate::retry_after::retry_after_ms;
use crate::site::fetch::USER_AGENT;
pub use browser::PoliteBrowser;

/// How much longer than its request a permit lasts.
const LEASE_MARGIN_MS: u64 = 5_000;
/// Longest wait for requests that are under way, in milliseconds: others may be slow, and ours is not lost for that.
const BUSY_WAIT_MAX_MS: u64 = 60_000;
/// A request that was given less time than this says nothing about its target when the time passes.
const PATIENCE_MIN_MS: u64 = 5_000;

/// Performs exchanges under limits.
#[derive(Clone)]
pub struct PoliteHttp {
    inner: Arc<dyn Http>,
    manners: Manners,
}

/// Whoever asks for leave.
#[derive(Clone)]
struct Manners {
    politeness: Arc<dyn Politeness>,
    entropy: Arc<dyn Entropy>,
    policy: Policy,
    /// What the operator has put there himself.
    own: Arc<BTreeSet<Target>>,
    /// Where those who are called reach the operator.
    contact: Option<Arc<str>>,
}

impl PoliteHttp {
    /// Sends through `inner` what `politeness` allows. `environment` tells the addresses that the operator configured.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Http>,
        politeness: Arc<dyn Politeness>,
        entropy: Arc<dyn Entropy>,
        policy: Policy,
        environment: &BTreeMap<String, String>,
    ) -> Self {
        let own = Arc::new(target::configured(environment));
        Self { inner, manners: Manners { politeness, entropy, policy, own, contact: None } }
    }

    /// The same, with requests and page loads of our robot that say where its operator is reached.
    #[must_use]
    pub fn signed(mut self, contact: Option<&str>) -> Self {
        self.manners.contact = contact.map(Arc::from);
        self
    }

    /// Loads pages with `browser` under the same limits.
    #[must_use]
    pub fn browser(&self, browser: Arc<dyn Browser>) -> PoliteBrowser {
        PoliteBrowser::new(browser, self.manners.clone())
    }
}

impl Manners {
    /// The user agent `robot` with the operator's address in it.
    fn signed(&self, robot: &str) -> String {
        signature::sign(robot, self.contact.as_deref())
    }

    /// Waits for leave to call what `url` names. None if nobody can be asked, or there is nobody to be called: a request
    /// does not fail for that.
    async fn ask(&self, url: &Url, timeout: Duration) -> Result<Option<Held>, Wait> {
        let Some(target) = target::of(url) else { return Ok(None) };
        let limits = target::limits(&self.policy, &self.own, &target, url);
        let Some(permit) = self.leave(&target, &limits, timeout).await? else { return Ok(None) };
        let politeness = Arc::clone(&self.politeness);
        Ok(Some(Held { politeness, target, limits, permit, went: Went::Unknown, is_told: false }))
    }

    /// Waits for leave. None if nobody can be asked: a request does not fail for that.
    async fn leave(&self, target: &Target, limits: &Limits, timeout: Duration) -> Result<Option<Permit>, Wait> {
        let lease_ms = milliseconds(timeout).saturating_add(LEASE_MARGIN_MS);
        let mut ask = Ask { target, limits, id: self.entropy.identity().as_u128(), turn: None, lease_ms };
        let mut waited_ms = 0_u64;
        loop {
            let wait = match self.politeness.ask(&ask).await {
                Ok(Admission::Granted(permit)) => return Ok(Some(permit)),
                Ok(Admission::Wait(wait)) => wait,
                Err(_) => return Ok(None),
            };
            let is_worth_it = match wait.reason {
                // A turn that is promised comes.
                Reason::Rate => wait.turn.is_some(),
                Reason::Busy => waited_ms < BUSY_WAIT_MAX_MS,
                Reason::RetryAfter | Reason::Open => waited_ms.saturating_add(wait.wait_ms) <= self.policy.wait_max_ms,
            };
            if !is_worth_it {
                return Err(wait);
            }
            let pause_ms = wait.wait_ms.max(1);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            if wait.reason != Reason::Rate {
                waited_ms = waited_ms.saturating_add(pause_ms);
            }
            ask.turn = wait.turn.or(ask.turn);
        }
    }
}

#[async_trait]
impl Http for PoliteHttp {
    async fn send(&self, mut request: Request) -> Result<Response, HttpError> {
        for (name, value) in &mut request.headers {
            if name == "user-agent" && value == USER_AGENT {
                *value = self.manners.signed(value);
            }
        }
        let mut held = match self.manners.ask(&request.url, request.timeout).await {
            Ok(Some(held)) => held,
            Ok(None) => return self.inner.send(request).await,
            Err(Wait { reason, wait_ms: retry_after_ms, .. }) => {
                let host = request.url.host_str().unwrap_or_default().to_owned();
                return Err(HttpError::HeldBack { host, reason, retry_after_ms });
            }
        };
        let is_patient = request.timeout >= Duration::from_millis(PATIENCE_MIN_MS);
        let answer = self.inner.send(request).await;
        held.went = went(&answer, is_patient);
        held.tell().await;
        answer
    }
}

/// A permit while its request is under way. Given back also when the request is dropped.
struct Held {
    politeness: Arc<dyn Politeness>,
    target: Target,
    limits: Limits,
    permit: Permit,
    went: Went,
    is_told: bool,
}

impl Held {
    async fn tell(&mut self) {
        // If nobody takes it, it ends with its lease.
        let _ = self.politeness.tell(&self.target, &self.limits, self.permit, self.went).await;
        self.is_told = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_told {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let (politeness, target) = (Arc::clone(&self.politeness), self.target.clone());
        let (limits, permit, went) = (self.limits, self.permit, self.went);
        runtime.spawn(async move { politeness.tell(&target, &limits, permit, went).await });
    }
}

/// What an exchange says about its target.
fn went(answer: &Result<Response, HttpError>, is_patient: bool) -> Went {
    match answer {
        Ok(response) => answered(response.status, retry_after_ms(response)),
        Err(HttpError::Timeout { .. }) if !is_patient => Went::Unknown,
        Err(HttpError::Connect { .. } | HttpError::Timeout { .. } | HttpError::Protocol { .. }) => Went::Failed,
        // Nothing was called, or what is wrong with it stays wrong.
        Err(HttpError::Refused { .. } | HttpError::Dns { .. } | HttpError::Tls { .. } | HttpError::HeldBack { .. }) => {
            Went::Unknown
        }
    }
}

/// What a status says, with the time that came with it.
fn answered(status: u16, retry_after_ms: Option<u64>) -> Went {
    match (status, retry_after_ms) {
        (429, retry_after_ms) => Went::Asked { retry_after_ms },
        (503, Some(wait_ms)) => Went::Asked { retry_after_ms: Some(wait_ms) },
        // What stands before a server that is down; an error of one page (500) is no such thing.
        (502..=504, _) => Went::Failed,
        _ => Went::Answered,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! From a client's words to a submission; shared by the single POST and the batch.

use std::collections::HashMap;
use std::sync::Arc;

use hermes_core::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use hermes_core::ports::store::{Idempotency, Store};
use hermes_core::{Domain, Json, Plan, PlanId, WebsiteId};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::body::Members;
use super::problem::{Kind, Problem};
use crate::engine::Submission;

const DEFAULT_PLAN: &str = "standard-v1";

/// A run that a client wants.
#[derive(Debug)]
pub(super) struct Wanted {
    website_id: WebsiteId,
    domain: Domain,
    plan_id: PlanId,
}

/// What makes two requests the same: the meaning, not the bytes.
#[derive(Serialize)]
struct Meaning<'a> {
    website_id: &'a WebsiteId,
    domain: &'a Domain,
    plan_id: &'a PlanId,
}

impl Wanted {
    /// Reads `website_id`, `domain` and `plan_id`.
    pub(super) fn of(members: &mut Members) -> Result<Self, Problem> {
        for (wrong, right) in [("websiteId", "website_id"), ("planId", "plan_id"), ("plan", "plan_id")] {
            members.refuse(wrong, right)?;
        }
        let plan_id: Option<PlanId> = members.optional("plan_id")?;
        Ok(Self {
            website_id: members.required("website_id")?,
            domain: members.required("domain")?,
            plan_id: plan_id.unwrap_or_else(|| DEFAULT_PLAN.parse().expect("a valid plan id")),
        })
    }

    /// Adds the plan.
    pub(super) async fn with_plan(self, plans: &mut Plans<'_>, key: Option<String>) -> Result<Submission, Problem> {
        let plan = plans.get(&self.plan_id).await?;
        let idempotency = key.map(|key| Idempotency { key, request_hash: self.hash() });
        Ok(Submission { website_id: self.website_id, domain: self.domain, plan, idempotency })
    }

    fn hash(&self) -> String {
        let Self { website_id, domain, plan_id } = self;
        hex::encode(Sha256::digest(Json::of(&Meaning { website_id, domain, plan_id }).get()))
    }
}

/// Why a text is no idempotency key, if it is none.
pub(super) fn key_problem(key: &str) -> Option<String> {
    let fits = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len());
    let graphic = key.chars().all(|c| !c.is_control());
    (!fits || !graphic)
        .then(|| format!("An idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes and no control characters."))
}

/// The answer to a key that came with another request before.
pub(super) fn key_reused() -> Problem {
    Problem::new(Kind::KeyReused, "The idempotency key was used for another request before; draw a new key.")
}

/// The stored plans, each read once per request.
pub(super) struct Plans<'a> {
    store: &'a dyn Store,
    found: HashMap<PlanId, Option<Arc<Plan>>>,
    available: Option<Vec<String>>,
}

impl<'a> Plans<'a> {
    pub(super) fn new(store: &'a dyn Store) -> Self {
        Self { store, found: HashMap::new(), available: None }
    }

    async fn get(&mut self, id: &PlanId) -> Result<Arc<Plan>, Problem> {
        if !self.found.contains_key(id) {
            let plan = self.store.plan(id).await?.map(|stored| stored.plan);
            self.found.insert(id.clone(), plan);
        }
        match &self.found[id] {
            Some(plan) => Ok(plan.clone()),
            None => Err(self.unknown(id).await?),
        }
    }

    async fn unknown(&mut self, id: &PlanId) -> Result<Problem, Problem> {
        let available = match &self.available {
            Some(available) => available.clone(),
            None => self.store.plans().await?.iter().map(|stored| stored.plan.id().to_string()).collect(),
        };
        self.available = Some(available.clone());
        let detail = format!("There is no plan '{id}'; available are {}.", available.join(", "));
        Ok(Problem::new(Kind::UnknownPlan, detail).with("available_plans", available))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Result<Wanted, Problem> {
        Wanted::of(&mut Members::of(&Json::parse(text).expect("valid"), "").expect("an object"))
    }

    #[test]
    fn the_standard_plan_is_the_default() {
        let wanted = wanted(r#"{"website_id": "site_123", "domain": "example.com"}"#).expect("valid");
        assert_eq!(wanted.plan_id.as_str(), "standard-v1");
    }

    #[test]
    fn every_wrong_value_is_named() {
        for (text, field) in [
            (r#"{"domain": "example.com"}"#, "website_id"),
            (r#"{"website_id": "s"}"#, "domain"),
            (r#"{"website_id": "s", "domain": "ftp://example.com"}"#, "domain"),
            (r#"{"website_id": 5, "domain": "example.com"}"#, "website_id"),
            (r#"{"website_id": "s", "domain": "example.com", "plan_id": "a b"}"#, "plan_id"),
            (r#"{"website_id": "s", "domain": "example.com", "planId": "quick-v1"}"#, "planId"),
        ] {
            assert_eq!(wanted(text).expect_err("wrong").to_json()["field"], field, "{text}");
        }
    }

    #[test]
    fn a_request_is_the_same_whatever_its_order_and_wait() {
        let hash = |text| wanted(text).expect("valid").hash();
        let one = hash(r#"{"website_id": "s", "domain": "example.com"}"#);
        assert_eq!(
            one,
            hash(r#"{"wait": false, "domain": "example.com", "plan_id": "standard-v1", "website_id": "s"}"#)
        );
        assert_ne!(one, hash(r#"{"website_id": "s", "domain": "example.org"}"#));
    }

    #[test]
    fn a_key_has_a_length_and_no_control_characters() {
        assert_eq!(key_problem("8e03978e-40d5-43dd-bc93-6894a57f9324"), None);
        for key in ["", "a\nb", &"x".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1)] {
            assert!(key_problem(key).is_some(), "{key}");
        }
    }
}

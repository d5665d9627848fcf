//! The plans that are measured, and their submissions.

use bytes::Bytes;
use serde_json::{Value, json};

use super::http::Connection;

/// Websites that the runs are for, one after the other: as on a fleet, each has a small part of the history.
const WEBSITES: u64 = 1_000;
/// Bytes of each service's result.
const RESULT_BYTES: u64 = 200;
/// Longest duration of a run: no measurement takes as long.
const HOUR_MS: u64 = 3_600_000;

/// A stored plan.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Its id.
    pub(super) id: String,
    /// How many services it has.
    pub(super) services: u64,
}

impl Plan {
    /// The standard run: `a`, `b`, `c` and `d` wait for nothing, `e` waits for `a`.
    pub(super) async fn standard(connection: &mut Connection, id: String) -> anyhow::Result<Self> {
        let mut services: Vec<Value> = ["a", "b", "c", "d"].iter().map(|name| service(name, &[])).collect();
        services.push(service("e", &["a".to_owned()]));
        Self::store(connection, id, services).await
    }

    /// Services that wait for nothing, `width` of them, and one that waits for all.
    pub(super) async fn wide(connection: &mut Connection, id: String, width: u16) -> anyhow::Result<Self> {
        let names: Vec<String> = (0..width).map(|number| format!("s{number}")).collect();
        let mut services: Vec<Value> = names.iter().map(|name| service(name, &[])).collect();
        services.push(service("join", &names));
        Self::store(connection, id, services).await
    }

    async fn store(connection: &mut Connection, id: String, services: Vec<Value>) -> anyhow::Result<Self> {
        let count = services.len() as u64;
        let plan = json!({"plan_id": id, "name": "Benchmark", "max_duration_ms": HOUR_MS, "services": services});
        let answer = connection.post("/api/orchestration/plans", plan.to_string().into()).await?;
        let _: Value = answer.read(201)?;
        Ok(Self { id, services: count })
    }

    /// The body of one submission.
    pub(super) fn submission(&self, number: u64, wait: bool) -> Bytes {
        let Value::Object(mut body) = self.wanted(number) else { unreachable!("an object was made") };
        body.insert("wait".to_owned(), wait.into());
        Value::Object(body).to_string().into()
    }

    /// The body of `count` submissions at once.
    pub(super) fn batch(&self, first: u64, count: u64) -> Bytes {
        let runs: Vec<Value> = (first..first + count).map(|number| self.wanted(number)).collect();
        json!({"runs": runs}).to_string().into()
    }

    fn wanted(&self, number: u64) -> Value {
        let website = number % WEBSITES;
        json!({
            "website_id": format!("bench-{website}"),
            "domain": format!("site-{website}.example"),
            "plan_id": self.id,
        })
    }
}

fn service(name: &str, depends_on: &[String]) -> Value {
    json!({
        "service": name,
        "worker_key": "noop",
        "depends_on": depends_on,
        "required": true,
        "timeout_ms": HOUR_MS / 4,
        "params": {"echo_bytes": RESULT_BYTES},
    })
}

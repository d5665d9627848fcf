//! One dispatcher and several worker-runners, as processes, over real Postgres and Redis: the customer's request from
//! end to end, workers that misbehave, and processes that are killed.

use hermes_tests::harness::fleet::Fleet;
use hermes_tests::harness::postgres;
use hermes_tests::harness::redis::Redis;
use hermes_tests::harness::worker::{Answer, HttpWorker};
use serde_json::{Value, json};
use sqlx::Row;

/// The five worker keys of the shipped plans.
const KEYS: [&str; 5] = ["serp_intel", "crawl_render", "backlink_authority", "competitive_snapshot", "core_web_vitals"];

fn request() -> Value {
    json!({ "website_id": "site_123", "domain": "example.com", "plan_id": "standard-v1" })
}

/// A worker for each key, each with its own answer.
struct Workers(Vec<(&'static str, HttpWorker)>);

impl Workers {
    async fn answering(answers: [Answer; 5]) -> Self {
        let mut workers = Vec::new();
        for (key, answer) in KEYS.into_iter().zip(answers) {
            workers.push((key, HttpWorker::start(answer).await));
        }
        Self(workers)
    }

    /// All answer at once, but the one of `key` is held back.
    async fn all_well_but_held(held: &str) -> Self {
        let mut workers = Vec::new();
        for key in KEYS {
            let answer = Answer::Data(json!({ "from": key }));
            let worker = if key == held { HttpWorker::held(answer).await } else { HttpWorker::start(answer).await };
            workers.push((key, worker));
        }
        Self(workers)
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.0.iter().flat_map(|(key, worker)| worker.environment(key)).collect()
    }

    fn of(&self, key: &str) -> &HttpWorker {
        &self.0.iter().find(|(name, _)| *name == key).expect("one of the five").1
    }
}

/// A database and a Redis.
struct Ground {
    database_url: String,
    redis: Redis,
}

async fn ground() -> Ground {
    Ground { database_url: postgres::database().await, redis: Redis::shared() }
}

impl Ground {
    async fn fleet(&self, workers: usize, external: &[(String, String)]) -> Fleet {
        Fleet::start(&self.database_url, &self.redis.url(), &self.redis.prefix(), workers, external).await
    }
}

fn service<'a>(run: &'a Value, name: &str) -> &'a Value {
    let services = run["services"].as_array().expect("services");
    services.iter().find(|service| service["service"] == name).expect("a service of the plan")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_customers_request_is_answered_with_the_summary_and_leaves_its_two_events() {
    // as on the first day: the dispatcher makes the tables, too
    let ground = Ground { database_url: postgres::empty_database().await, ..ground().await };
    let data = || Answer::Data(json!({ "score": 0.5 }));
    let refused =
        Answer::Raw(401, "application/json", r#"{"ok":false,"error":{"code":"unauthorized","message":"no"}}"#.into());
    let workers = Workers::answering([data(), data(), refused, data(), data()]).await;
    let fleet = ground.fleet(3, &workers.environment()).await;

    let (status, answer) = fleet.post("/api/orchestration/run", &request()).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["success"], true);
    assert_eq!(answer["status"], "completed");
    let summary = &answer["summary"];
    assert_eq!(summary["runId"], answer["run_id"]);
    let counts = ["servicesCompleted", "servicesFailed", "servicesTimeout", "servicesSkipped", "servicesTotal"];
    assert_eq!(counts.map(|name| summary[name].as_u64().expect("a count")), [4, 1, 0, 0, 5]);
    assert_eq!(summary["error"], Value::Null);

    for process in fleet.workers.iter().chain([&fleet.dispatcher]) {
        let log = process.log().join("\n");
        assert!(!log.contains("\"level\":\"WARN\"") && !log.contains("\"level\":\"ERROR\""), "all is well: {log}");
    }

    let run_id = answer["run_id"].as_str().expect("an id");
    let pool = sqlx::PgPool::connect(&ground.database_url).await.expect("the database");
    let of_site = "SELECT * FROM kbase_events
WHERE website_id = 'site_123'
  AND service = 'hermes'
  AND type = 'run_status'
ORDER BY created_at DESC;";
    let rows = sqlx::query(of_site).fetch_all(&pool).await.expect("the customer's query works as it is written");
    let payloads: Vec<Value> = rows.iter().map(|row| row.get("payload")).collect();
    let statuses: Vec<&Value> = payloads.iter().map(|payload| &payload["status"]).collect();
    assert_eq!(statuses, ["completed", "started"]);
    let (last, first) = (&payloads[0], &payloads[1]);
    assert_eq!(first["plan_name"], "Standard Diagnostic Run");
    assert_eq!(first["services_planned"].as_array().map(Vec::len), Some(5));
    assert_eq!(last["service_results"][2]["service"], "domain-authority");
    assert_eq!(last["service_results"][2]["status"], "failed");
    assert_eq!(last["diagnosis_event_id"], summary["diagnosisEventId"]);
    assert_eq!(last["synthesis_error"], Value::Null);

    // The reference's second query has the run's id in it.
    let of_run = format!("SELECT * FROM kbase_events\nWHERE run_id = '{run_id}'\nORDER BY created_at ASC;");
    let rows = sqlx::query(sqlx::AssertSqlSafe(of_run)).fetch_all(&pool).await.expect("it works as it is written");
    let numbers: Vec<i64> = rows.iter().map(|row| row.get("seq")).collect();
    assert_eq!(numbers, (1..=i64::try_from(rows.len()).expect("few")).collect::<Vec<_>>(), "in the order of the log");
    let kinds: Vec<(String, String)> = rows.iter().map(|row| (row.get("service"), row.get("type"))).collect();
    assert_eq!(kinds.first(), Some(&("hermes".to_owned(), "run_status".to_owned())));
    assert_eq!(kinds.last(), Some(&("hermes".to_owned(), "run_status".to_owned())));
    assert!(kinds.contains(&("hermes".to_owned(), "diagnosis".to_owned())));
    assert!(kinds.contains(&("serp-intelligence".to_owned(), "result".to_owned())));
}

/// A service for each of five workers, and one that depends on each of these.
fn five_and_their_dependents() -> Value {
    let services = KEYS.into_iter().flat_map(|key| {
        // Long enough for those that answer, short enough for the one that never does.
        let worker = json!({ "service": key, "worker_key": key, "timeout_ms": 10_000 });
        let after = json!({
            "service": format!("after_{key}"), "worker_key": "noop", "timeout_ms": 5_000, "depends_on": [key],
        });
        [worker, after]
    });
    let services: Vec<Value> = services.collect();
    json!({ "plan_id": "five-v1", "name": "Five workers", "max_duration_ms": 120_000, "services": services })
}

#[tokio::test(flavor = "multi_thread")]
async fn five_workers_that_misbehave_differently_are_told_apart_and_the_run_completes() {
    let ground = ground().await;
    let page = "<!doctype html><html><body>My app</body></html>".to_owned();
    let workers = Workers::answering([
        Answer::Raw(200, "text/html", page),
        Answer::Raw(401, "application/json", r#"{"ok":false,"error":{"code":"unauthorized","message":"who?"}}"#.into()),
        Answer::Never,
        Answer::Accepted,
        Answer::Data(json!({ "fine": true })),
    ])
    .await;
    let [html, unauthorized, hangs, later, fine] = KEYS;
    let mut external = workers.environment();
    external.push(("HERMES_WORKER_KEYS".to_owned(), format!("{},noop", KEYS.join(","))));
    let fleet = ground.fleet(1, &external).await;
    let (status, answer) = fleet.post("/api/orchestration/plans", &five_and_their_dependents()).await;
    assert_eq!(status, 201, "{answer}");
    let run_id = fleet.submit(&json!({ "website_id": "s", "domain": "example.com", "plan_id": "five-v1" })).await;

    let accepted = workers.of(later).request().await;
    let (url, token) = (&accepted.body["callback_url"], &accepted.body["callback_token"]);
    let (url, token) = (url.as_str().expect("a callback"), token.as_str().expect("a token"));
    let result = json!({ "ok": true, "data": { "lcp_ms": 1_200 } });
    let (status, _) = fleet.post_with_token(url, "not-the-token", &result).await;
    assert_eq!(status, 401);
    let (status, answer) = fleet.post_with_token(url, token, &result).await;
    assert_eq!(status, 200, "{answer}");

    let run = fleet.settled(&run_id).await;
    assert_eq!(run["status"], "completed", "{run}");
    let ended = |name: &str| {
        let service = service(&run, name);
        let word = |member: &str| service[member].as_str().unwrap_or_default().to_owned();
        (word("status"), word("error_class"), word("error"))
    };
    let class = |name: &str| (ended(name).0, ended(name).1);
    let words = |status: &str, class: &str| (status.to_owned(), class.to_owned());
    assert_eq!(class(html), words("failed", "html_instead_of_json"));
    assert_eq!(class(unauthorized), words("failed", "authentication"));
    assert_eq!(class(hangs), words("timeout", "timeout"));
    assert_eq!(class(later), words("completed", ""), "delivered later");
    assert_eq!(class(fine), words("completed", ""));
    for broken in [html, unauthorized, hangs] {
        let (status, _, error) = ended(&format!("after_{broken}"));
        assert_eq!((&*status, &*error), ("skipped", "Dependencies failed or timed out"));
    }
    for whole in [later, fine] {
        assert_eq!(ended(&format!("after_{whole}")).0, "completed");
    }
    let text = run.to_string();
    assert!(!text.contains("key-of-the-test"), "no error tells the key: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_completes_although_its_dispatcher_is_killed_in_the_middle() {
    let ground = ground().await;
    let workers = Workers::all_well_but_held("serp_intel").await;
    let mut fleet = ground.fleet(1, &workers.environment()).await;
    let run_id = fleet.submit(&request()).await;
    workers.of("serp_intel").request().await;
    fleet.dispatcher.kill().await;
    // Its worker answers while there is no dispatcher.
    workers.of("serp_intel").release();
    fleet.restart_dispatcher().await;
    let run = fleet.settled(&run_id).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(service(&run, "competitive-intelligence")["status"], "completed");
    assert_eq!(service(&run, "serp-intelligence")["attempt"], 1, "nothing was executed twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_completes_although_the_worker_that_had_its_job_is_killed() {
    let ground = ground().await;
    let workers = Workers::all_well_but_held("crawl_render").await;
    let mut fleet = ground.fleet(1, &workers.environment()).await;
    let run_id = fleet.submit(&request()).await;
    let first = workers.of("crawl_render").request().await;
    fleet.workers[0].kill().await;
    fleet.add_worker().await;
    let second = workers.of("crawl_render").request().await;
    let key = |received: &hermes_tests::harness::worker::Received| received.headers["idempotency-key"].clone();
    assert_eq!(key(&first), key(&second), "the same attempt, again");
    workers.of("crawl_render").release();
    workers.of("crawl_render").release();
    let run = fleet.settled(&run_id).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(service(&run, "technical-seo")["attempt"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_completes_although_redis_is_flushed_in_the_middle() {
    let mut ground = ground().await;
    // A server of its own: a flush would hit the other tests.
    ground.redis = Redis::start_own();
    let workers = Workers::all_well_but_held("serp_intel").await;
    let fleet = ground.fleet(2, &workers.environment()).await;
    let run_id = fleet.submit(&request()).await;
    workers.of("serp_intel").request().await;
    ground.redis.command(&["FLUSHALL"]).await;
    for _ in 0..4 {
        workers.of("serp_intel").release();
    }
    let run = fleet.settled(&run_id).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(service(&run, "competitive-intelligence")["status"], "completed");
    assert_eq!(service(&run, "serp-intelligence")["attempt"], 1, "a flush raises no attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_last_result_comes_while_redis_is_dead_completes_without_it() {
    let mut ground = ground().await;
    ground.redis = Redis::start_own();
    let workers = Workers::all_well_but_held("core_web_vitals").await;
    let fleet = ground.fleet(1, &workers.environment()).await;
    let run_id = fleet.submit(&request()).await;
    workers.of("core_web_vitals").request().await;
    fleet.completed(&run_id, 4).await;
    ground.redis.kill();
    workers.of("core_web_vitals").release();
    let run = fleet.settled(&run_id).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(service(&run, "vitals-monitor")["status"], "completed");
    // The queue knows the job no longer, or still; either way it counts once.
    ground.redis.restart();
    workers.of("core_web_vitals").release();
    let (status, answer) = fleet.post("/api/orchestration/run", &request()).await;
    assert_eq!((status, &answer["status"]), (200, &json!("completed")), "works again: {answer}");
    let (_, again) = fleet.get(&format!("/api/orchestration/runs/{run_id}")).await;
    assert_eq!(again, run, "nothing came after the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_a_fleet_drains_hands_back_and_exits_with_zero() {
    let ground = ground().await;
    let workers = Workers::all_well_but_held("core_web_vitals").await;
    let held = workers.of("core_web_vitals");
    let mut external = workers.environment();
    external.push(("HERMES_WORKER_GRACE_SECONDS".to_owned(), "1".to_owned()));
    let mut fleet = ground.fleet(1, &external).await;
    let run_id = fleet.submit(&request()).await;
    held.request().await;
    // The job outlives the grace period: it is handed back, and the next worker-runner gets it at once.
    assert_eq!(fleet.workers[0].terminate().await, 0);
    fleet.add_worker().await;
    held.request().await;
    held.release();
    held.release();
    let run = fleet.settled(&run_id).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(service(&run, "vitals-monitor")["attempt"], 1);
    assert_eq!(fleet.workers[1].terminate().await, 0);
    assert_eq!(fleet.dispatcher.terminate().await, 0);
}

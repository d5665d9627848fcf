//! `hermes rules` as people use it: a file of one's own, and what it would have said about past runs.

use hermes_tests::harness::process::{Ended, Process, run_to_end};
use hermes_tests::harness::worker::{Answer, HttpWorker};
use serde_json::{Value, json};
use tempfile::TempDir;

/// One rule more strict than the shipped IDX-010, and nothing else.
const OWN: &str = "schema: rules/1
categories:
  - {id: crawl, name: Crawling, weight: 1}
rules:
  - id: OWN-001
    title: Pages are slow to answer
    category: crawl
    severity: high
    effort: S
    when: tech.ttfb_p75_ms > 1000
    reach: '1.0'
    action: Be quick.
    source: our own taste
";

struct Laptop {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Laptop {
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("a plain path").to_owned()
    }

    fn data(&self) -> &str {
        self.folder.path().to_str().expect("a plain path")
    }

    async fn hermes(&self, arguments: &[&str]) -> Ended {
        run_to_end("hermes", arguments, &self.environment).await
    }

    /// A run whose worker measured a slow site with soft 404s.
    async fn diagnosed() -> Self {
        let signal = |id: &str, value: Value| json!({"id": id, "value": value, "method": "crawl", "quality": 1.0});
        let signals = [signal("tech.soft_404", json!(true)), signal("tech.ttfb_p75_ms", json!(1_300))];
        let worker = HttpWorker::start(Answer::Data(json!({ "schema": "signals/1", "signals": signals }))).await;
        let environment = worker.environment("measure").into_iter().collect();
        let laptop = Self { folder: tempfile::tempdir().expect("a folder"), environment };
        let plan = json!({
            "plan_id": "measure-v1", "name": "Measure", "max_duration_ms": 60_000,
            "services": [{ "service": "technical-seo", "worker_key": "measure", "timeout_ms": 30_000 }],
        });
        let arguments = ["up", "--listen", "127.0.0.1:0", "--data", laptop.data()];
        let mut up = Process::start("hermes", &arguments, &laptop.environment);
        let address = up.says("dispatcher ready").await["api.listen"].as_str().expect("an address").to_owned();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.post(format!("http://{address}/api/orchestration/plans"));
        let request = request.header("content-type", "application/json").body(plan.to_string());
        assert_eq!(request.send().await.expect("it answers").status().as_u16(), 201);
        let ended = laptop.hermes(&["run", "example.com", "--plan", "measure-v1", "--data", laptop.data()]).await;
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        drop(up);
        laptop
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rules_are_tried_on_past_runs_and_nothing_is_written() {
    let laptop = Laptop::diagnosed().await;
    let own = laptop.file("own.yaml", OWN);
    let since = ["rules", "test", "--since", "2020-01-01T00:00:00Z", "--data", laptop.data(), "--json"];
    let same = laptop.hermes(&since).await;
    assert_eq!(same.code, 0, "{}", same.stderr);
    let told: Value = serde_json::from_str(&same.stdout).expect("JSON alone on standard output");
    assert_eq!((&told["runs"], &told["different"], &told["complete"]), (&json!(1), &json!(0), &json!(true)), "{told}");
    let before = laptop.hermes(&["show", "last", "--json", "--data", laptop.data()]).await.stdout;
    let other = laptop.hermes(&[since.as_slice(), &["--rules", &own]].concat()).await;
    let told: Value = serde_json::from_str(&other.stdout).expect("JSON alone on standard output");
    assert_eq!(told["different"], 1, "{told}");
    assert_eq!(told["rules"]["OWN-001"], json!({"would_find": 1, "would_not_find": 0}));
    assert_eq!(told["rules"]["IDX-010"], json!({"would_find": 0, "would_not_find": 1}));
    let after = laptop.hermes(&["show", "last", "--json", "--data", laptop.data()]).await.stdout;
    assert_eq!(before, after);
    let text = laptop.hermes(&[&since[..6], &["--rules", &own]].concat()).await.stdout;
    assert!(text.contains("would look first at OWN-001 instead of IDX-010"), "{text}");
    assert!(text.contains("confidence 1.00 instead of 0."), "a single rule, and what it reads is known: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_rule_file_stops_every_process_at_its_start_with_line_and_remedy() {
    let laptop = Laptop { folder: tempfile::tempdir().expect("a folder"), environment: Vec::new() };
    let broken = laptop.file("broken.yaml", &OWN.replace("tech.ttfb_p75_ms", "tech.ttfb_p57_ms"));
    let says = "line 10: OWN-001: when: reads 'tech.ttfb_p57_ms', which is not in the catalogue; did you mean 'tech.ttfb_p75_ms'?";
    let checked = laptop.hermes(&["rules", "check", &broken]).await;
    assert_eq!(checked.code, 1);
    assert!(checked.stdout.contains(says), "{}", checked.stdout);
    let environment = [("HERMES_DIAGNOSIS_RULES".to_owned(), broken)];
    for (program, arguments) in [("hermes", vec!["up", "--data", laptop.data()]), ("hermes-dispatcher", vec![])] {
        let ended = run_to_end(program, &arguments, &environment).await;
        assert_ne!(ended.code, 0, "{program}");
        assert!(ended.stderr.contains(says), "{program}: {}", ended.stderr);
    }
    let right = laptop.file("own.yaml", OWN);
    let checked = laptop.hermes(&["rules", "check", &right]).await;
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    assert!(checked.stdout.contains("is right: 1 rule"), "{}", checked.stdout);
    let shown = laptop.hermes(&["rules", "show", "IDX-010"]).await.stdout;
    assert!(shown.contains("Missing pages answer 200") && shown.contains("tech.soft_404"), "{shown}");
}

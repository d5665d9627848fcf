//! `hermes report` as people use it: over SQLite, with a real worker and, for paper, a real Chromium.

use hermes_tests::harness::process::{Ended, Process, run_to_end};
use hermes_tests::harness::worker::{Answer, HttpWorker};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with one diagnosed run whose worker said something hostile.
struct Diagnosed {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

const TITLE: &str = "<script>alert(1)</script> is the title of a page";

impl Diagnosed {
    async fn new() -> Self {
        let finding = json!({"id": "x", "title": TITLE, "severity": "high", "action": "Give it another title."});
        let worker = HttpWorker::start(Answer::Data(json!({ "findings": [finding] }))).await;
        let environment = worker.environment("titles").into_iter().collect::<Vec<_>>();
        let diagnosed = Self { folder: tempfile::tempdir().expect("a folder"), environment };
        let plan = json!({
            "plan_id": "titles-v1", "name": "Titles", "max_duration_ms": 60_000,
            "services": [{ "service": "titles", "worker_key": "titles", "timeout_ms": 30_000 }],
        });
        let mut up = Process::start(
            "hermes",
            &["up", "--listen", "127.0.0.1:0", "--data", diagnosed.data()],
            &diagnosed.environment,
        );
        let address = up.says("dispatcher ready").await["api.listen"].as_str().expect("an address").to_owned();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.post(format!("http://{address}/api/orchestration/plans"));
        let request = request.header("content-type", "application/json").body(plan.to_string());
        assert_eq!(request.send().await.expect("it answers").status().as_u16(), 201);
        for _ in 0..2 {
            let ended = diagnosed.hermes(&["run", "example.com", "--plan", "titles-v1"]).await;
            assert_eq!(ended.code, 0, "{}", ended.stderr);
        }
        drop(up);
        diagnosed
    }

    fn data(&self) -> &str {
        self.folder.path().to_str().expect("a plain path")
    }

    async fn hermes(&self, arguments: &[&str]) -> Ended {
        let mut all = arguments.to_vec();
        all.extend(["--data", self.data()]);
        run_to_end("hermes", &all, &self.environment).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_written_in_every_form_and_runs_nothing_of_the_site() {
    let diagnosed = Diagnosed::new().await;
    let file = |name: &str| diagnosed.folder.path().join(name);
    let write = async |name: &str| {
        let path = file(name);
        let ended = diagnosed.hermes(&["report", "last", "-o", path.to_str().expect("a plain path")]).await;
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        std::fs::read(path).expect("written")
    };
    let page = String::from_utf8(write("report.html").await).expect("text");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"), "{page}");
    assert!(page.contains("Content-Security-Policy") && page.contains("The score over time"), "{page}");
    let markdown = String::from_utf8(write("report.md").await).expect("text");
    assert!(markdown.contains("\\<script\\>alert\\(1\\)"), "{markdown}");
    let document: Value = serde_json::from_slice(&write("report.json").await).expect("JSON");
    assert_eq!(document["diagnosis"]["findings"][0]["title"], TITLE);
    assert_eq!(document["history"].as_array().map(Vec::len), Some(2));
    assert!(write("report.pdf").await.starts_with(b"%PDF-"));
    let ended = diagnosed.hermes(&["report", "last", "-o", "-"]).await;
    assert_eq!(ended.stdout, page);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_made_says_what_to_do() {
    let diagnosed = Diagnosed::new().await;
    let refused = async |arguments: &[&str], says: &str| {
        let ended = diagnosed.hermes(arguments).await;
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    };
    refused(&["report", "last", "-o", "report.doc"], "--format").await;
    refused(&["report", "00000000000000000000000000000001", "-o", "-"], "no run").await;
    let mut poor = diagnosed;
    poor.environment.push(("PATH".to_owned(), poor.data().to_owned()));
    let ended = poor.hermes(&["report", "last", "-o", "report.pdf"]).await;
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("apt-get install chromium"), "{}", ended.stderr);
}

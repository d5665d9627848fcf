//! A canary in every secret of a fleet, and ears everywhere: none may show up but in the requests that carry it.

mod providers;
mod workers;

use std::sync::{Arc, Mutex};

use hermes_tests::harness::fleet::Fleet;
use hermes_tests::harness::redis::Redis;
use sqlx::Row as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What every secret begins with.
const CANARY: &str = "canary-4b7d";

/// What a server heard.
type Heard = Arc<Mutex<Vec<u8>>>;

/// Everything that any client says to this Redis, from now on.
async fn monitor(redis: &Redis) -> Heard {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).await.expect("it listens");
    stream.write_all(b"MONITOR\r\n").await.expect("it reads");
    let mut ok = [0_u8; 5];
    stream.read_exact(&mut ok).await.expect("it answers");
    assert_eq!(&ok, b"+OK\r\n");
    let heard = Heard::default();
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        let mut piece = vec![0_u8; 64 * 1_024];
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            kept.lock().expect("not poisoned").extend_from_slice(&piece[..count]);
        }
    });
    heard
}

/// Every row of every table and view, as text.
async fn database_text(url: &str) -> String {
    let pool = sqlx::PgPool::connect(url).await.expect("the database");
    let tables = sqlx::query("select table_name::text from information_schema.tables where table_schema = 'public'");
    let mut all = String::new();
    for table in tables.fetch_all(&pool).await.expect("the tables") {
        let name: String = table.get(0);
        // The text form of a row, not JSON: bytes show up in it, too, and nothing is refused.
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("select t::text from \"{name}\" t")));
        for row in rows.fetch_all(&pool).await.expect("its rows") {
            all.push_str(&row.get::<String, _>(0));
            all.push('\n');
        }
    }
    all
}

/// All that a fleet says about a run, with the place where it says it.
async fn everything(fleet: &Fleet, run_id: &str, heard: &Heard, database_url: &str) -> Vec<(&'static str, String)> {
    let run = format!("/api/orchestration/runs/{run_id}");
    let read = |path: String| async move {
        reqwest::get(fleet.url(&path)).await.expect("it answers").text().await.expect("text")
    };
    let mut seen = Vec::new();
    for of_run in ["", "/events", "/diagnosis", "/report?format=html", "/report?format=md", "/report?format=json"] {
        seen.push(("the API", read(format!("{run}{of_run}")).await));
    }
    seen.push(("the API", read("/api/orchestration/runs".to_owned()).await));
    let metrics = read("/metrics".to_owned()).await;
    assert!(metrics.contains("hermes_"), "{metrics}");
    seen.push(("metrics", metrics));
    seen.push(("the database", database_text(database_url).await));
    seen.push(("the queue", String::from_utf8_lossy(&heard.lock().expect("not poisoned")).into_owned()));
    for process in fleet.workers.iter().chain([&fleet.dispatcher]) {
        seen.push(("a log", process.log().join("\n")));
    }
    seen
}

fn nothing_is_told(seen: &[(&str, String)], run_id: &str) {
    for (place, text) in seen {
        assert!(
            text.contains(run_id) || matches!(*place, "metrics" | "the doctor" | "a log"),
            "{place} is looked at: {text}"
        );
        let found = text.find(CANARY).map(|at| text[at.saturating_sub(200)..].chars().take(400).collect::<String>());
        assert_eq!(found, None, "in {place}");
    }
}

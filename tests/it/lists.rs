//! `hermes data update` that is killed in the middle of a download.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::routing::get;
use futures::StreamExt as _;
use hermes_tests::harness::process::{Process, run_to_end};
use tokio::net::TcpListener;
use tokio::sync::Notify;

const HEAD: &str = "GlobalRank,TldRank,Domain,TLD,RefSubNets,RefIPs,IDN_Domain,IDN_TLD,PrevGlobalRank,PrevTldRank,PrevRefSubNets,PrevRefIPs\n";

/// Source of the shape: https://majestic.com/reports/majestic-million.
fn row(rank: usize, domain: &str) -> String {
    format!("{rank},1,{domain},com,477,2015,{domain},com,2,1,470,2000\n")
}

/// Gives a whole list under `/whole`; under `/endless` a beginning and then nothing, and tells when that was sent.
async fn majestic() -> (String, Arc<Notify>) {
    let sent = Arc::new(Notify::new());
    let whole = async || format!("{HEAD}{}{}", row(1, "google.com"), row(2, "example.com"));
    let endless = async |State(sent): State<Arc<Notify>>| {
        let beginning: String = (1..2_000).map(|rank| row(rank, &format!("d{rank}.com"))).collect();
        let first = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(format!("{HEAD}{beginning}")))]);
        // Asked for more, the beginning is with the client.
        let rest = futures::stream::once(async move {
            sent.notify_one();
            std::future::pending().await
        });
        Body::from_stream(first.chain(rest))
    };
    let router = Router::new().route("/whole", get(whole)).route("/endless", get(endless)).with_state(sent.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until the test ends") });
    (format!("http://{address}"), sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_killed_in_mid_download_leaves_the_old_list_and_the_next_one_clears_up() {
    let (server, sent) = majestic().await;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a plain path");
    let environment = |path: &str| [("MAJESTIC_ENDPOINT".to_owned(), format!("{server}/{path}"))];
    let update = ["data", "update", "--list", "majestic", "--data", data];
    let fetched = run_to_end("hermes", &update, &environment("whole")).await;
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);

    let mut killed = Process::start("hermes", &update, &environment("endless"));
    sent.notified().await;
    killed.kill().await;
    let shown = run_to_end("hermes", &["data", "--data", data], &[]).await;
    assert!(shown.stdout.contains("2 domains, fetched on"), "{}", shown.stdout);

    // What a process leaves that is killed while it writes.
    let left = folder.path().join("ranks/majestic.4711.new");
    std::fs::write(&left, "hermes ra").expect("written");
    let again = run_to_end("hermes", &update, &environment("whole")).await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    let names = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("readable").file_name();
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("ranks")).expect("a folder").map(names).collect();
    assert_eq!(kept, ["majestic.index"]);
}

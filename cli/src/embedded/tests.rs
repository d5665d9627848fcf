use hermes_adapters::http::HttpClient;
use hermes_adapters::settings::Settings;
use hermes_adapters::sqlite;
use hermes_core::RunStatus;

use super::*;
use crate::args::Place;
use crate::client::{Client, RunView, Submission};
use crate::exit::Exit;
use crate::follow::Follow;
use crate::progress::Progress;
use crate::session::{Finder, Need, Session};

/// A session with a process over `data`; with workers only if asked for.
async fn start(data: &Path, with_workers: bool) -> Session {
    let settings = Settings::from_layers(None, &[]).expect("the defaults are valid");
    let http: Arc<dyn Http> = Arc::new(HttpClient::new().expect("there are CA certificates"));
    let options = EmbeddedOptions {
        data: data.to_owned(),
        api: Api { listen: ([127, 0, 0, 1], 0).into(), ..settings.api },
        worker: with_workers.then_some(settings.worker),
        environment: BTreeMap::new(),
        http: http.clone(),
        book: Arc::new(RuleBook::shipped()),
        retention: None,
    };
    let embedded = Embedded::start(options).await.expect("it starts");
    Session::with(Client::new(http, embedded.url()), embedded)
}

/// A run whose services end at once: no provider is configured, and the site's address is refused.
fn submission() -> Submission {
    Submission {
        website_id: "site_1".parse().expect("valid"),
        domain: "http://127.0.0.1:9/".parse().expect("valid"),
        plan_id: Some("quick-v1".parse().expect("valid")),
    }
}

async fn settled(
    session: &mut Session,
    data: &Path,
    run_id: hermes_core::RunId,
    interrupted: CancellationToken,
) -> RunView {
    let place = Place { server: None, data: Some(data.to_owned()) };
    let settings = Settings::from_layers(None, &[]).expect("the defaults are valid");
    let finder = Finder::new(place, settings).expect("there are CA certificates");
    let follow = Follow { finder: &finder, need: Need::Runs, run_id, interrupted };
    follow.until_settled(session, &mut Progress::new(false)).await.expect("it settles")
}

#[tokio::test]
async fn a_run_that_was_accepted_before_a_stop_is_settled_after_the_next_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let session = start(&data, false).await;
    let run_id = session.client.submit(&submission(), "key").await.expect("accepted");
    assert!(!session.client.run(run_id).await.expect("known").status.is_settled());
    session.close().await.expect("it stops");

    let mut session = start(&data, true).await;
    let again = session.client.submit(&submission(), "key").await.expect("repeated");
    assert_eq!(again, run_id, "the same key is the same run");
    let run = settled(&mut session, &data, run_id, CancellationToken::new()).await;
    assert_eq!((run.status, Exit::of(&run.summary)), (RunStatus::Failed, Exit::Failed));
    let diagnosis = session.client.diagnosis(run_id).await.expect("answered").expect("there is one");
    assert_eq!(diagnosis["missing_services"].as_array().map(Vec::len), Some(3));
    session.close().await.expect("it stops");
}

#[tokio::test]
async fn the_lock_names_the_address_and_goes_with_the_process() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let session = start(folder.path(), false).await;
    let file = file(folder.path());
    assert_eq!(sqlite::owner_of(&file).as_deref(), Some(session.client.server().as_str()));
    session.close().await.expect("it stops");
    assert_eq!(sqlite::owner_of(&file), None);
}

#[tokio::test]
async fn an_interrupted_command_cancels_its_run_whenever_the_interruption_comes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut session = start(folder.path(), false).await;
    for at_once in [true, false] {
        let run_id = session.client.submit(&submission(), &at_once.to_string()).await.expect("accepted");
        let interrupted = CancellationToken::new();
        if at_once {
            interrupted.cancel();
        }
        let following = settled(&mut session, folder.path(), run_id, interrupted.clone());
        // Polled second, so in the midst of the first exchange. Without workers the run would wait for its deadline.
        let interrupt = async { interrupted.cancel() };
        let (run, ()) = tokio::join!(following, interrupt);
        assert_eq!(Exit::of(&run.summary), Exit::Cancelled);
    }
    session.close().await.expect("it stops");
}

#[test]
fn an_address_for_everybody_is_reached_over_loopback() {
    let url = |text: &str| own_url(text.parse().expect("an address")).to_string();
    assert_eq!(url("127.0.0.1:5000"), "http://127.0.0.1:5000/");
    assert_eq!(url("0.0.0.0:5000"), "http://127.0.0.1:5000/");
    assert_eq!(url("[::]:5000"), "http://[::1]:5000/");
}

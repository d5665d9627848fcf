//! No process of a browser and no folder is left, however a visit ends.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// The groups of browsers that this process has started, with their folders.
fn running() -> Vec<(u32, String)> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux").flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let stat = read("stat");
        let Some((head, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        if fields[1] == own && fields[0] != "Z" {
            let arguments = read("cmdline");
            let folder = arguments.split('\0').find_map(|word| word.strip_prefix("--user-data-dir="));
            let pid = head.split(' ').next().and_then(|pid| pid.parse().ok());
            found.extend(pid.zip(folder.map(str::to_owned)));
        }
    }
    found
}

/// Waits until nothing of a browser is left: no living process with its group or its folder, and no folder.
async fn gone(group: u32, folder: &str) {
    let mut look = tokio::time::interval(Duration::from_millis(50));
    let gone = async {
        while left(group, folder) {
            look.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("everything is gone");
}

fn left(group: u32, folder: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten().any(|entry| {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let stat = read("stat");
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace().collect()).unwrap_or_default();
        let is_of_group = fields.get(2).is_some_and(|field| *field == group.to_string());
        fields.first().is_some_and(|state| *state != "Z") && (is_of_group || read("cmdline").contains(folder))
    });
    processes || Path::new(folder).exists()
}

/// Waits until the page hangs in a browser of ours; gives that browser.
async fn hanging(server: &Server) -> (u32, String) {
    server.asked_for(server::HANG).await;
    running().pop().expect("the browser that asked")
}

#[tokio::test]
async fn a_visit_that_is_dropped_leaves_nothing_behind() {
    let server = Server::with(&[("/", "<script src=/hang></script>")]).await;
    let chromium = chromium();
    let load = chromium.load(visit(&server.url("/")));
    let (group, folder) = tokio::select! {
        ended = load => panic!("{ended:?}"),
        found = hanging(&server) => found,
    };
    // The future was dropped when the other branch was ready.
    gone(group, &folder).await;
}

#[tokio::test]
async fn a_visit_that_runs_out_of_time_leaves_nothing_behind() {
    let server = Server::with(&[("/", "<script src=/hang></script>")]).await;
    let chromium = chromium();
    let visit = visit(&server.url("/"));
    // Of the whole time only a little is left when it is this test's turn.
    let _ = chromium.load(Visit { url: server.url("/nothing").parse().expect("valid"), ..visit.clone() }).await;
    let found = std::sync::Mutex::new(None);
    let watch = async {
        *found.lock().expect("not poisoned") = Some(hanging(&server).await);
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = chromium.load(Visit { timeout: Duration::from_secs(30), ..visit }) => outcome,
        () = watch => unreachable!("it waits for ever"),
    };
    if let Some((group, folder)) = found.into_inner().expect("not poisoned") {
        assert!(!matches!(outcome, Err(BrowserError::Busy)), "{outcome:?}");
        gone(group, &folder).await;
    } else {
        assert!(outcome.is_err(), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_browser_that_is_killed_is_a_broken_browser_at_once() {
    let server = Server::with(&[("/", "<script src=/hang></script>")]).await;
    let kill = async {
        let (group, folder) = hanging(&server).await;
        let killed = tokio::process::Command::new("kill").args(["-9", &group.to_string()]).status().await;
        assert!(killed.expect("kill is there").success());
        gone(group, &folder).await;
        std::future::pending::<()>().await;
    };
    let chromium = chromium();
    let error = tokio::select! {
        outcome = chromium.load(visit(&server.url("/"))) => outcome.expect_err("killed"),
        () = kill => unreachable!("it waits for ever"),
    };
    assert!(matches!(&error, BrowserError::Broken(why) if why.contains("process")), "{error}");
}

/// A program of a test's own, in the browser's place.
fn scripted(folder: &Path, script: &str) -> Chromium {
    let program = folder.join("chromium");
    std::fs::write(&program, script).expect("writable");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("ours");
    Chromium::find(&[(CHROMIUM_PATH.to_owned(), program.display().to_string())].into())
}

/// A cold machine with a slow disk takes half a minute.
#[tokio::test]
async fn a_browser_that_takes_long_to_start_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let seconds = session::CALL_MS / 1_000 + 1;
    let program = chromium().program().expect("checked").display().to_string();
    let slow = scripted(folder.path(), &format!("#!/bin/sh\nsleep {seconds}; exec {program} \"$@\""));
    let server = Server::with(&[("/", "hello")]).await;
    let visit = visit(&server.url("/"));
    let load = slow.visit(&visit, Instant::now() + visit.timeout).await.expect("only its start is slow");
    assert_eq!(load.status, Some(200));
}

#[tokio::test]
async fn what_is_no_browser_is_told_with_its_own_words_and_does_not_hang() {
    let folder = tempfile::tempdir().expect("a folder");
    for (script, expected) in [
        ("#!/bin/sh\necho 'libnss3.so is missing' >&2; exit 3", "its process ended: libnss3.so is missing"),
        ("#!/bin/sh\nwhile :; do sleep 1; done", "does not answer"),
    ] {
        let chromium = scripted(folder.path(), script);
        let end = Instant::now() + Duration::from_secs(4);
        let error = chromium.visit(&visit("http://127.0.0.1:9/"), end).await.expect_err("no browser");
        assert!(matches!(&error, BrowserError::Broken(why) if why.contains(expected)), "{error}");
    }
}

#[tokio::test]
async fn without_a_browser_the_package_is_named() {
    for environment in [
        [("PATH".to_owned(), "/nowhere".to_owned())].into(),
        [(CHROMIUM_PATH.to_owned(), "/nowhere/chromium".to_owned())].into(),
    ] {
        let error = Chromium::find(&environment).load(visit("http://127.0.0.1:9/")).await.expect_err("none");
        assert!(matches!(error, BrowserError::Missing(_)));
        assert!(error.to_string().contains("install the Debian package chromium"), "{error}");
    }
}

#[tokio::test]
async fn a_visit_whose_turn_comes_too_late_for_it_does_not_begin() {
    let server = Server::with(&[("/", "<script src=/hang></script>"), ("/late", "late")]).await;
    let chromium = chromium();
    let first = tokio::spawn({
        let (chromium, visit) = (chromium.clone(), visit(&server.url("/")));
        async move { chromium.load(visit).await }
    });
    server.asked_for(server::HANG).await;
    // There would be a second for waiting, and the first one hangs for longer.
    let timeout = Duration::from_secs(120);
    let late = Visit { timeout, least: timeout - Duration::from_secs(1), ..visit(&server.url("/late")) };
    assert_eq!(chromium.load(late).await, Err(BrowserError::Busy));
    first.abort();
}

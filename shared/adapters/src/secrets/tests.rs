use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

const CANARY: &str = "canary-7c1e";

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    // The command of the tests is a script, and its interpreter is found by this.
    let mut environment = BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").expect("there is a PATH"))]);
    environment.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    environment
}

fn file(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("the folder is ours");
    path.display().to_string()
}

/// A command in the place of bws that runs `script`.
fn bws(folder: &Path, script: &str) -> Bitwarden {
    let path: PathBuf = folder.join("bws");
    // Written by another process: a descriptor that is open for writing here could be inherited by a child of another
    // test, and a file that somebody writes cannot be executed.
    let mut writer = std::process::Command::new("tee")
        .arg(&path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("tee is everywhere");
    let mut input = writer.stdin.take().expect("piped");
    input.write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).expect("it reads");
    drop(input);
    writer.wait().expect("it ends");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("the file is ours");
    Bitwarden {
        command: path.display().to_string(),
        project: Some("e325ea69-a3ab-4dff-836f-b02e013fe530".to_owned()),
        timeout: Duration::from_secs(60),
        workers: Vec::new(),
    }
}

/// An element as <https://bitwarden.com/help/secrets-manager-cli/> shows it.
fn listed(key: &str, value: &str) -> serde_json::Value {
    serde_json::json!({
        "object": "secret", "id": "382580ab-1368-4e85-bfa3-b02e01400c9f",
        "organizationId": "10e8cbfa-7bd2-4361-bd6f-b02e013f9c41", "projectId": "e325ea69-a3ab-4dff-836f-b02e013fe530",
        "key": key, "value": value, "note": "", "creationDate": "2023-06-28T20:13:20.643567Z",
        "revisionDate": "2023-06-28T20:13:20.643567Z",
    })
}

fn answers(folder: &Path, secrets: &[serde_json::Value]) -> Bitwarden {
    let list = file(folder, "list.json", &serde_json::Value::from(secrets).to_string());
    bws(folder, &format!("cat '{list}'"))
}

fn value<'a>(configured: &'a Configured, name: &str) -> Option<&'a str> {
    configured.get(name).map(hermes_core::Secret::expose)
}

#[tokio::test]
async fn the_nearest_source_wins_and_each_value_knows_where_it_came_from() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = file(folder.path(), "brave", "from-file\n");
    let bitwarden = answers(
        folder.path(),
        &["SERPAPI_API_KEY", "BRAVE_API_KEY", "CRUX_API_KEY"].map(|key| listed(key, "from-bitwarden")),
    );
    let environment = environment(&[
        ("SERPAPI_API_KEY", "from-environment"),
        ("SERPAPI_API_KEY_FILE", "/nowhere"),
        ("BRAVE_API_KEY", " "),
        ("BRAVE_API_KEY_FILE", &path),
        ("BWS_ACCESS_TOKEN", "token"),
        ("SOMETHING_FILE", "/nowhere"),
    ]);
    let configured = load(Some(&bitwarden), &environment).await.expect("all sources answer");
    let found: Vec<_> = configured.names().map(|name| (name, value(&configured, name).unwrap_or_default())).collect();
    let expected =
        [("BRAVE_API_KEY", "from-file"), ("CRUX_API_KEY", "from-bitwarden"), ("SERPAPI_API_KEY", "from-environment")];
    assert_eq!(found, expected);
    let origin = |name| configured.origin(name).map(ToString::to_string).unwrap_or_default();
    assert_eq!(origin("SERPAPI_API_KEY"), "environment");
    assert_eq!(origin("BRAVE_API_KEY"), format!("file {path}"));
    assert_eq!(origin("CRUX_API_KEY"), "Bitwarden secret CRUX_API_KEY");
    assert_eq!(configured.over(environment)["BRAVE_API_KEY"], "from-file");
}

#[tokio::test]
async fn a_secret_of_a_worker_configures_it_whole_under_its_key_or_another_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = |host: &str| format!(r#"{{"base_url": "https://{host}/api", "api_key": "{CANARY}"}}"#);
    let mut bitwarden = answers(
        folder.path(),
        &[
            listed("serp_intel", &whole("one")),
            listed("Worker for links", &whole("two")),
            listed("Somebody's password", "hunter2"),
            listed("notes", "{\"base\": 1}"),
        ],
    );
    bitwarden.workers = vec!["backlink_authority = Worker for links".parse().expect("valid")];
    let environment = environment(&[("BWS_ACCESS_TOKEN", "token")]);
    let configured = load(Some(&bitwarden), &environment).await.expect("it answers");
    let names: Vec<_> = configured.names().collect();
    let expected =
        ["BACKLINK_AUTHORITY_API_KEY", "BACKLINK_AUTHORITY_BASE_URL", "SERP_INTEL_API_KEY", "SERP_INTEL_BASE_URL"];
    assert_eq!(names, expected);
    assert_eq!(value(&configured, "SERP_INTEL_BASE_URL"), Some("https://one/api"));
    assert_eq!(value(&configured, "BACKLINK_AUTHORITY_BASE_URL"), Some("https://two/api"));
    bitwarden.workers = vec!["backlink_authority=Nobody".parse().expect("valid")];
    let error = load(Some(&bitwarden), &environment).await.expect_err("no such secret").to_string();
    assert!(error.contains("the secret Nobody of worker backlink_authority"), "{error}");
}

#[tokio::test]
async fn the_command_gets_the_token_and_the_project_and_none_of_our_keys() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seen = folder.path().join("seen");
    let bitwarden = bws(folder.path(), &format!("(echo \"$@\"; env) > '{}'; echo '[]'", seen.display()));
    let token = file(folder.path(), "token", &format!("{CANARY}\n"));
    let environment = environment(&[
        ("BWS_ACCESS_TOKEN_FILE", &token),
        ("BWS_SERVER_URL", "https://vault.bitwarden.eu"),
        ("BRAVE_API_KEY", "ours"),
    ]);
    load(Some(&bitwarden), &environment).await.expect("it answers");
    let seen = std::fs::read_to_string(seen).expect("it wrote");
    let first = "secret list e325ea69-a3ab-4dff-836f-b02e013fe530 --output json\n";
    assert!(seen.starts_with(first), "{seen}");
    assert!(seen.contains(&format!("BWS_ACCESS_TOKEN={CANARY}\n")), "{seen}");
    assert!(seen.contains("BWS_SERVER_URL=https://vault.bitwarden.eu\n"), "{seen}");
    assert!(!seen.contains("ours"), "{seen}");
}

#[tokio::test]
async fn every_failure_names_its_remedy_and_shows_no_value() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let told = async |bitwarden: Option<&Bitwarden>, pairs: &[(&str, &str)]| {
        let error = load(bitwarden, &environment(pairs)).await.expect_err("it fails");
        let told = format!("{error} {error:?}");
        assert!(!told.contains(CANARY), "{told}");
        told
    };
    let token = [("BWS_ACCESS_TOKEN", CANARY)];
    for (path, problem) in [
        ("/nowhere/brave", "No such file"),
        (&*file(folder.path(), "empty", " \n"), "it is empty"),
        (&*file(folder.path(), "long", &CANARY.repeat(10_000)), "more than 65536 bytes"),
    ] {
        let told = told(None, &[("BRAVE_API_KEY_FILE", path)]).await;
        assert!(told.contains("BRAVE_API_KEY_FILE") && told.contains(problem), "{told}");
    }
    let silent = bws(folder.path(), "exit 0");
    assert!(told(Some(&silent), &[]).await.contains("set BWS_ACCESS_TOKEN, or BWS_ACCESS_TOKEN_FILE"));
    let absent = Bitwarden { command: "/nowhere/bws".to_owned(), ..silent.clone() };
    assert!(told(Some(&absent), &token).await.contains("secrets.bitwarden_command"));
    let refusing = bws(folder.path(), "echo \"Error: token $BWS_ACCESS_TOKEN is not valid\" >&2; exit 1");
    assert!(told(Some(&refusing), &token).await.contains("exit status: 1: Error: token [hidden] is not valid"));
    let chatty = bws(folder.path(), &format!("echo '[{{\"key\": \"{CANARY}\", \"value\": 1}}]'"));
    assert!(told(Some(&chatty), &token).await.contains("no JSON list of secrets"));
    let whole = answers(folder.path(), &[listed("links", CANARY)]);
    let named = Bitwarden { workers: vec!["links=links".parse().expect("valid")], ..whole };
    assert!(told(Some(&named), &token).await.contains("is not of the form {\\\"base_url\\\""));
}

#[tokio::test]
async fn a_command_that_does_not_end_is_given_up_and_ended() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lives = folder.path().join("lives");
    let status = std::process::Command::new("mkfifo").arg(&lives).status().expect("mkfifo is everywhere");
    assert!(status.success());
    // It holds the pipe open for as long as it lives.
    let hanging = bws(folder.path(), &format!("exec 3<>'{}'; read never <&3", lives.display()));
    let hanging = Bitwarden { timeout: Duration::from_millis(200), ..hanging };
    let error = load(Some(&hanging), &environment(&[("BWS_ACCESS_TOKEN", "t")])).await.expect_err("it hangs");
    assert!(matches!(error, SecretsError::TooSlow { limit_ms: 200, .. }), "{error}");
}

#[test]
fn a_worker_s_secret_is_named_behind_its_key() {
    assert!(
        "serp_intel=A name = with equals".parse::<WorkerSecret>().is_ok_and(|it| it.secret == "A name = with equals")
    );
    for text in ["serp_intel", "=x", "serp intel=x", "serp_intel= "] {
        assert!(text.parse::<WorkerSecret>().is_err(), "{text}");
    }
}

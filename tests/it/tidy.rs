//! Rules about the code that a compiler does not check. A rule that is not a test is a wish.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of one file, tests aside.
const FILE_LINES_MAX: usize = 700;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files_below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "target" | ".git" | "node_modules") {
                files_below(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// Every Rust file with its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    files_below(&root(), "rs", &mut paths);
    let relative = |path: &PathBuf| path.strip_prefix(root()).expect("below the root").display().to_string();
    let mut sources: Vec<_> = paths.iter().map(|path| (relative(path), read(path))).collect();
    sources.sort();
    assert!(sources.len() > 50, "the sources are found");
    sources
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// The part of a source before its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// `[dependencies]` of a member of the workspace.
fn dependencies(member: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read(&root().join(member).join("Cargo.toml")).parse().expect("a manifest is TOML");
    let table = manifest.get("dependencies").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    table.keys().cloned().collect()
}

const MEMBERS: [&str; 8] = [
    "shared/core",
    "shared/diagnosis",
    "shared/report",
    "shared/adapters",
    "dispatcher",
    "worker-runner",
    "cli",
    "tests",
];

/// The crates without a world.
const PURE: [&str; 3] = ["shared/core", "shared/diagnosis", "shared/report"];

/// What touches the world: no pure crate may see it.
const IMPURE: [&str; 16] = [
    "tokio",
    "tokio-util",
    "sqlx",
    "redis",
    "reqwest",
    "axum",
    "hyper",
    "hyper-util",
    "apalis-core",
    "apalis",
    "rand",
    "tracing",
    "tracing-subscriber",
    "futures",
    "prometheus-client",
    "tower",
];

#[test]
fn the_pure_crates_see_no_io_no_runtime_and_no_randomness() {
    for member in PURE {
        let seen = dependencies(member);
        let impure: Vec<_> = IMPURE.iter().filter(|name| seen.contains(**name)).collect();
        assert!(impure.is_empty(), "{member} sees {impure:?}");
    }
    for (path, text) in sources() {
        let pure = PURE.iter().any(|member| path.starts_with(&format!("{member}/src")));
        if !pure || is_test_file(&path) {
            continue;
        }
        let code = without_tests(&text);
        for word in
            ["std::fs", "std::net", "std::env::var", "std::process", "Instant::now", "SystemTime", "std::thread"]
        {
            assert!(!code.contains(word), "{path} uses {word}: {PURE:?} are pure");
        }
    }
}

#[test]
fn the_core_sees_no_other_crate_of_ours_and_the_diagnosis_only_the_core() {
    let ours = |member: &str| -> Vec<String> {
        dependencies(member).into_iter().filter(|name| name.starts_with("hermes")).collect()
    };
    assert!(ours("shared/core").is_empty());
    assert_eq!(ours("shared/diagnosis"), ["hermes-core"]);
    assert_eq!(ours("shared/report"), ["hermes-core", "hermes-diagnosis"]);
    assert_eq!(ours("shared/adapters"), ["hermes-core"]);
}

#[test]
fn only_the_adapters_see_databases_queues_and_http_clients() {
    for member in MEMBERS.iter().filter(|member| !matches!(**member, "shared/adapters" | "tests")) {
        for name in ["sqlx", "redis", "reqwest"] {
            assert!(!dependencies(member).contains(name), "{member} sees {name}; only shared/adapters may");
        }
    }
}

#[test]
fn apalis_is_seen_by_the_adapters_and_the_worker_runner_alone() {
    for member in MEMBERS.iter().filter(|member| !matches!(**member, "shared/adapters" | "worker-runner")) {
        let seen = dependencies(member);
        assert!(!seen.iter().any(|name| name.starts_with("apalis")), "{member} sees apalis");
    }
}

#[test]
fn dispatcher_and_worker_runner_never_see_each_other() {
    assert!(!dependencies("dispatcher").contains("hermes-worker-runner"));
    assert!(!dependencies("worker-runner").contains("hermes-dispatcher"));
}

#[test]
fn the_libraries_of_dispatcher_and_worker_runner_see_ports_never_adapters() {
    for (path, text) in sources() {
        let library = path.starts_with("dispatcher/src") || path.starts_with("worker-runner/src");
        if library && !path.ends_with("/main.rs") && !is_test_file(&path) {
            assert!(
                !without_tests(&text).contains("hermes_adapters"),
                "{path} names an adapter; main.rs wires them in"
            );
        }
    }
}

#[test]
fn http_status_codes_are_chosen_in_one_file() {
    for (path, text) in sources() {
        if path.starts_with("dispatcher/src") && !path.ends_with("api/problem.rs") && !is_test_file(&path) {
            assert!(
                !without_tests(&text).contains("StatusCode::"),
                "{path} chooses a status; api/problem.rs does that"
            );
        }
    }
}

#[test]
fn no_file_is_longer_than_the_limit() {
    for (path, text) in sources() {
        let lines = without_tests(&text).lines().count();
        assert!(lines <= FILE_LINES_MAX, "{path} has {lines} lines, at most {FILE_LINES_MAX} are allowed");
    }
}

#[test]
fn functions_are_kept_on_a_screen_by_a_lint_that_is_on() {
    let clippy = read(&root().join("clippy.toml"));
    assert!(clippy.contains("too-many-lines-threshold = 70"));
    let manifest = read(&root().join("Cargo.toml"));
    assert!(manifest.contains("too_many_lines = \"warn\""));
    assert!(manifest.contains("allow_attributes_without_reason = \"deny\""));
    for member in MEMBERS {
        let manifest = read(&root().join(member).join("Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member} takes the workspace's lints");
    }
}

#[test]
fn nothing_is_unfinished_switched_off_or_asleep() {
    let banned = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
        concat!("#[", "ignore"),
        concat!("#[", "should_panic"),
        concat!("FIX", "ME"),
        concat!("not ", "implemented"),
    ];
    for (path, text) in sources() {
        for word in banned {
            assert!(!text.contains(word), "{path} contains {word}");
        }
        let naps = [concat!("thread::", "sleep("), concat!("time::", "sleep(")];
        // The simulation's clock is virtual, the harnesses wait for real processes.
        let may_sleep = ["tests/src/harness", "tests/src/simulation", "tests/src/chaos"];
        if is_test_file(&path) && !may_sleep.iter().any(|folder| path.starts_with(folder)) {
            assert!(!naps.iter().any(|nap| text.contains(nap)), "{path} sleeps; wait on a signal instead");
        }
    }
}

#[test]
fn every_dependency_stands_once_in_the_workspace_with_its_reason() {
    let manifest = read(&root().join("Cargo.toml"));
    let section = manifest.split("[workspace.dependencies]").nth(1).expect("the section");
    let section = section.split("\n[").next().expect("its end");
    for line in section.lines().filter(|line| line.contains(" = ") && !line.contains("path = ")) {
        assert!(line.contains(" # "), "no reason beside: {line}");
    }
    for member in MEMBERS {
        let text = read(&root().join(member).join("Cargo.toml"));
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        for kind in ["dependencies", "dev-dependencies"] {
            let Some(table) = manifest.get(kind).and_then(toml::Value::as_table) else { continue };
            for (name, value) in table {
                let inherited = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                assert!(inherited, "{member}: {name} does not come from the workspace");
            }
        }
    }
}

#[test]
fn every_endpoint_of_the_readme_is_routed_and_every_route_is_in_the_readme() {
    let readme = read(&root().join("README.md"));
    let routed: String = sources()
        .into_iter()
        .filter(|(path, _)| path.starts_with("dispatcher/src/api/") && !is_test_file(path))
        .map(|(_, text)| without_tests(&text).to_owned())
        .collect();
    let mut routes = BTreeSet::new();
    for piece in routed.split(".route(").skip(1) {
        let path = piece.split('"').nth(1).expect("a route has a path");
        routes.insert(path.to_owned());
    }
    assert!(routes.len() > 10, "{routes:?}");
    for route in &routes {
        let shown = format!("{route}`");
        assert!(readme.contains(&shown), "README.md does not list {route}");
    }
}

#[test]
fn the_scripts_can_be_read() {
    let read_by = |program: &str, arguments: &[&str], path: &Path| {
        let ended = Command::new(program).args(arguments).arg(path).output().expect("the tests need it anyway");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{}: {said}", path.display());
    };
    let python = ["-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"];
    for name in ["test", "chaos"] {
        read_by("bash", &["-n"], &root().join("scripts").join(name));
    }
    let mut modules = ["peers", "vitals-bands", "audits"].map(|name| root().join("scripts").join(name)).to_vec();
    files_below(&root().join("benches/peers"), "py", &mut modules);
    assert!(modules.len() > 5, "{modules:?}");
    for path in &modules {
        read_by("python3", &python, path);
    }
}

#[test]
fn the_peers_bring_nothing_into_the_workspace() {
    let mut manifests = Vec::new();
    files_below(&root().join("benches"), "toml", &mut manifests);
    assert!(manifests.len() > 1, "{manifests:?}");
    for path in manifests {
        let manifest: toml::Table = read(&path).parse().expect("a manifest is TOML");
        assert!(manifest.contains_key("workspace"), "{} is not a workspace of its own", path.display());
    }
    assert!(!read(&root().join("Cargo.lock")).contains("\"apalis-redis\""));
}

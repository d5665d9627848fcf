//! Tells the program which commit it is built from: the variable `HERMES_COMMIT`, else what git says, else `unknown`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=HERMES_COMMIT");
    println!("cargo:rerun-if-changed=build.rs");
    // Grows with each commit and each change of branch.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    let told = std::env::var("HERMES_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = told.or_else(|| git(&["describe", "--always", "--dirty", "--abbrev=12"]));
    println!("cargo:rustc-env=HERMES_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

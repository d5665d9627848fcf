//! Prints a page of ours to PDF with the local Chromium. The page runs and loads nothing (its own policy says so), so that
//! a browser without a sandbox, which is what root gets, meets nothing foreign but text.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use hermes_adapters::browser::Chromium;
use tokio::process::Command;

use crate::exit::Failure;

/// Longest time to print; a page takes a second or two.
const PRINT_TIMEOUT_MS: u64 = 60_000;

/// Finds the browser.
///
/// # Errors
/// What to install or set.
pub(crate) fn find(environment: &BTreeMap<String, String>) -> Result<PathBuf, Failure> {
    let chromium = Chromium::find(environment);
    let program = chromium.program();
    program.map(Path::to_owned).map_err(|error| Failure::Use(format!("{error}; or write .html and print that")))
}

/// The page as PDF.
pub(crate) async fn print(browser: &Path, page: &str) -> anyhow::Result<Vec<u8>> {
    let folder = tempfile::Builder::new().prefix("hermes-report-").tempdir().context("cannot make a folder")?;
    let (source, target) = (folder.path().join("report.html"), folder.path().join("report.pdf"));
    std::fs::write(&source, page).context("cannot write the page")?;
    let is_root = std::fs::metadata(folder.path()).context("cannot read the folder")?.uid() == 0;
    let mut command = Command::new(browser);
    command
        .args([
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-pdf-header-footer",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(is_root.then_some("--no-sandbox"))
        .arg(format!("--user-data-dir={}", folder.path().join("browser").display()))
        .arg(format!("--print-to-pdf={}", target.display()))
        .arg(format!("file://{}", source.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_millis(PRINT_TIMEOUT_MS), command.output()).await;
    let Ok(ended) = ended else { bail!("Chromium did not print the report within {} s", PRINT_TIMEOUT_MS / 1_000) };
    let ended = ended.with_context(|| format!("cannot start {}", browser.display()))?;
    match std::fs::read(&target) {
        Ok(bytes) if bytes.starts_with(b"%PDF-") => Ok(bytes),
        Ok(_) | Err(_) => {
            let said = String::from_utf8_lossy(&ended.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            bail!("Chromium did not print the report ({}): {}", ended.status, crate::render::text::clean(last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_machine_without_chromium_is_told_the_package() {
        let error = find(&environment(&[("PATH", "/nowhere:/also/nowhere")])).expect_err("not there");
        assert!(error.to_string().contains("apt-get install chromium"), "{error}");
    }

    #[test]
    fn a_named_browser_goes_before_the_usual_ones_and_must_be_there() {
        let error = find(&environment(&[("CHROMIUM_PATH", "/nowhere/chrome"), ("PATH", "/usr/bin")]));
        assert!(error.expect_err("not there").to_string().contains("/nowhere/chrome"));
        let here = std::env::current_exe().expect("a program").display().to_string();
        assert_eq!(find(&environment(&[("CHROMIUM_PATH", &here)])).expect("there"), PathBuf::from(here));
    }

    #[tokio::test]
    async fn a_browser_that_prints_nothing_is_an_error_with_what_it_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let browser = folder.path().join("chromium");
        std::fs::write(&browser, "#!/bin/sh\necho 'no usable display' >&2\nexit 1\n").expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&browser, mode).expect("executable");
        let error = print(&browser, "<p>").await.expect_err("prints nothing");
        assert!(error.to_string().contains("no usable display"), "{error:#}");
    }
}

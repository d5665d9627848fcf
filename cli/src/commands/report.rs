//! `hermes report`: the diagnosis of a run as a file to show, print, mail or process.

use std::path::{Path, PathBuf};

use anyhow::Context;
use hermes_adapters::settings::Settings;

use super::resolve;
use crate::args::{Report, ReportFormat};
use crate::exit::{Exit, Failure};
use crate::session::{Finder, Need, Session, environment};
use crate::{output, paper};

/// Where a report goes.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Stdout,
    File(PathBuf),
}

pub(super) async fn execute(report: Report, settings: Settings) -> Result<Exit, Failure> {
    let (format, target) = choose(report.format, report.output.as_deref())?;
    // Nobody should wait for a report that cannot be printed.
    let browser = match format {
        ReportFormat::Pdf => Some(paper::find(&environment())?),
        ReportFormat::Html | ReportFormat::Md | ReportFormat::Json => None,
    };
    let session = Finder::new(report.place.clone(), settings)?.open(Need::Runs).await?;
    let told = text(&session, &report, format).await;
    let closed = session.close().await;
    let text = told?;
    let bytes = match browser {
        Some(browser) => paper::print(&browser, &text).await?,
        None => text.into_bytes(),
    };
    write(&target, &bytes)?;
    closed.map(|()| Exit::Complete)
}

/// The form and the place; the form is what was asked for, else what the file is called.
fn choose(format: Option<ReportFormat>, output: Option<&Path>) -> Result<(ReportFormat, Target), Failure> {
    let Some(output) = output else {
        let format = format.unwrap_or(ReportFormat::Html);
        return Ok((format, Target::File(PathBuf::from(format!("report.{}", format.extension())))));
    };
    if output == Path::new("-") {
        return Ok((format.unwrap_or(ReportFormat::Html), Target::Stdout));
    }
    let extension = output.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let format = match (format, extension.as_deref()) {
        (Some(format), _) => format,
        (None, Some("html" | "htm")) => ReportFormat::Html,
        (None, Some("md" | "markdown")) => ReportFormat::Md,
        (None, Some("json")) => ReportFormat::Json,
        (None, Some("pdf")) => ReportFormat::Pdf,
        (None, Some(_) | None) => {
            let text = format!(
                "'{}' does not say which form the report shall have: let it end with .html, .md, .json or .pdf, or add \
                 --format",
                output.display()
            );
            return Err(Failure::Use(text));
        }
    };
    Ok((format, Target::File(output.to_owned())))
}

async fn text(session: &Session, report: &Report, format: ReportFormat) -> Result<String, Failure> {
    let id = resolve(&session.client, report.run).await?;
    let form = match format {
        ReportFormat::Html | ReportFormat::Pdf => "html",
        ReportFormat::Md => "md",
        ReportFormat::Json => "json",
    };
    Ok(session.client.report(id, form, report.revision, report.edition).await?)
}

fn write(target: &Target, bytes: &[u8]) -> Result<(), Failure> {
    match target {
        Target::Stdout => output::write(bytes),
        Target::File(path) => {
            std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
            output::note(&format!("wrote {}", path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_was_asked_for_else_what_the_file_is_called() {
        let of = |format, output: Option<&str>| choose(format, output.map(Path::new)).expect("a form");
        let file = |name: &str| Target::File(PathBuf::from(name));
        assert_eq!(of(None, None), (ReportFormat::Html, file("report.html")));
        assert_eq!(of(Some(ReportFormat::Pdf), None), (ReportFormat::Pdf, file("report.pdf")));
        assert_eq!(of(None, Some("a/b.PDF")), (ReportFormat::Pdf, file("a/b.PDF")));
        assert_eq!(of(None, Some("x.md")), (ReportFormat::Md, file("x.md")));
        assert_eq!(of(Some(ReportFormat::Json), Some("x.txt")), (ReportFormat::Json, file("x.txt")));
        assert_eq!(of(None, Some("-")), (ReportFormat::Html, Target::Stdout));
        let error = choose(None, Some(Path::new("x.doc"))).expect_err("no form");
        assert!(matches!(error, Failure::Use(text) if text.contains("--format")));
    }
}

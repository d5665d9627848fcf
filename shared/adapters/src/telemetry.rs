//! Logs: lines to read in development, JSON objects to collect in production. They go to standard error, so that
//! standard output belongs to results.
//!
//! Deliberately absent: spans in the text form (a line says everything itself), log files and rotation (the
//! supervisor's), and metrics (the API serves them).

use std::fmt::{self, Write as _};
use std::io;
use std::str::FromStr;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Target of the lines that tell how runs go on. In the text form they stand as they are, without time and level.
pub const RUN_TARGET: &str = "hermes::run";

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines to read.
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("is '{text}'; allowed are text and json")),
        }
    }
}

/// Logging could not be set up. Completes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("set up logging: the filter {0}")]
    Filter(String),
    /// Something in this process has set up logging before.
    #[error("set up logging: it is set up already")]
    Twice,
}

/// Whether `filter` can be read; if not, what is wrong, for a sentence that begins with its name.
pub fn check_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(|_| ())
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    let example = "write a level (error, warn, info, debug, trace, off), also per part: info,hermes_dispatcher=debug";
    EnvFilter::builder().parse(filter).map_err(|error| format!("is '{filter}' ({error}); {example}"))
}

/// Sets up logging for the whole process; once.
///
/// # Errors
/// [`TelemetryError`] if the filter is wrong or logging is set up already.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = parse(filter).map_err(TelemetryError::Filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false);
    match format {
        LogFormat::Text => builder.event_format(Lines).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)
}

/// The text form: `2026-01-31T10:00:00.000000Z WARN lease expired run.id=… (hermes_dispatcher)`.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut words = Words::default();
        event.record(&mut words);
        let metadata = event.metadata();
        if metadata.target() == RUN_TARGET {
            return writeln!(writer, "{}", words.message);
        }
        SystemTime.format_time(&mut writer)?;
        writeln!(writer, " {} {}{} ({})", metadata.level(), words.message, words.fields, metadata.target())
    }
}

/// Message and fields as text, without control characters: what foreign servers say must not move the cursor.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Words {
    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name() == "message" {
            let _ = Plain(&mut self.message).write_fmt(value);
        } else {
            let _ = write!(Plain(&mut self.fields), " {}={value}", field.name());
        }
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        let quoted = field.name() != "message" && value.contains([' ', '"', '=']);
        if quoted { self.put(field, format_args!("{value:?}")) } else { self.put(field, format_args!("{value}")) }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, format_args!("{value}"));
        let mut source = value.source();
        while let Some(cause) = source {
            self.put(field, format_args!("{cause}"));
            source = cause.source();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format_args!("{value:?}"));
    }
}

/// Writes text with blanks in place of control characters, line ends included.
struct Plain<'a>(&'a mut String);

impl fmt::Write for Plain<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged while `body` runs.
    fn logged(format: LogFormat, body: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().expect("one thread").write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink::default();
        let writer = sink.clone();
        let builder = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
        match format {
            LogFormat::Text => tracing::subscriber::with_default(builder.event_format(Lines).finish(), body),
            LogFormat::Json => tracing::subscriber::with_default(builder.json().flatten_event(true).finish(), body),
        }
        let bytes = sink.0.lock().expect("one thread").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn the_progress_of_a_run_is_told_without_time_and_level() {
        let text = logged(LogFormat::Text, || {
            tracing::info!(target: RUN_TARGET, { run.id = "abc" }, "[Run abc] ✓ serp-intelligence completed in 45000ms");
        });
        assert_eq!(text, "[Run abc] ✓ serp-intelligence completed in 45000ms\n");
    }

    #[test]
    fn any_other_line_has_its_level_its_fields_and_its_origin() {
        let text = logged(LogFormat::Text, || {
            tracing::warn!(target: "x", { run.id = %7, why = "too late" }, "lease expired");
        });
        assert!(text.ends_with("Z WARN lease expired run.id=7 why=\"too late\" (x)\n"), "{text}");
    }

    #[test]
    fn foreign_text_cannot_send_control_characters_to_a_terminal() {
        let text = logged(LogFormat::Text, || {
            tracing::info!(target: RUN_TARGET, "title \u{1b}]0;owned\u{7}\r\nFAKE LINE");
            tracing::info!(target: "x", title = %"\u{1b}[2J", "seen");
        });
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains(['\u{1b}', '\u{7}', '\r']));
    }

    #[test]
    fn json_carries_the_same_members_for_machines() {
        let text = logged(LogFormat::Json, || tracing::info!(run.id = "abc", "settled\n"));
        assert!(text.contains(r#""message":"settled\n""#) && text.contains(r#""run.id":"abc""#), "{text}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused_with_an_example() {
        assert_eq!(check_filter("info,hermes_dispatcher=debug"), Ok(()));
        let error = check_filter("hermes=loud").expect_err("no level");
        assert!(error.starts_with("is 'hermes=loud' (") && error.contains("info,hermes_dispatcher=debug"), "{error}");
    }
}

//! Standard output and error of the command, and what they can show.

use std::io::{self, IsTerminal, Write};

use crate::render::Layout;

/// Width of text where there is no terminal, and the widest that stays easy to read.
const WIDTH_DEFAULT: usize = 100;
/// Wider than any line.
const WIDTH_UNCUT: usize = 100_000;
/// Narrower than this nothing is laid out for.
const WIDTH_MIN: usize = 40;

/// Writes `text` to standard output. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) {
    write(text.as_bytes());
}

/// The same for what is no text.
pub(crate) fn write(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// How results are laid out on standard output.
#[must_use]
pub(crate) fn layout() -> Layout {
    let terminal = io::stdout().is_terminal();
    let width = if terminal { size().0.clamp(WIDTH_MIN, WIDTH_DEFAULT) } else { WIDTH_DEFAULT };
    Layout { width, colour: terminal && colour_wanted() }
}

/// The same for tables: as wide as the terminal, and uncut where a program reads.
#[must_use]
pub(crate) fn table_layout() -> Layout {
    let width = if io::stdout().is_terminal() { size().0.max(WIDTH_MIN) } else { WIDTH_UNCUT };
    Layout { width, ..layout() }
}

/// Whether progress can be redrawn in place on standard error.
#[must_use]
pub(crate) fn can_redraw() -> bool {
    io::stderr().is_terminal() && !is_dumb()
}

/// Whether the user wants colour where it can be shown (<https://no-color.org>).
#[must_use]
pub(crate) fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && !is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Columns and lines of the terminal.
#[must_use]
pub(crate) fn size() -> (usize, usize) {
    let known = terminal_size::terminal_size_of(io::stderr()).or_else(terminal_size::terminal_size);
    known.map_or((WIDTH_DEFAULT, 24), |(width, height)| (width.0.into(), height.0.into()))
}

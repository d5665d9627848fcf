//! Text for terminals: cleaned, measured, cut, wrapped and painted.

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Columns that a line may fill.
    pub width: usize,
    /// Whether it may be coloured.
    pub colour: bool,
}

/// What a piece of text is painted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// A heading.
    Bold,
    /// Less important.
    Dim,
    /// Good.
    Green,
    /// Bad.
    Red,
    /// So-so.
    Yellow,
    /// Under way.
    Cyan,
}

impl Layout {
    /// `text`, painted if colour is allowed.
    #[must_use]
    pub fn paint(self, paint: Paint, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Green => "32",
            Paint::Red => "31",
            Paint::Yellow => "33",
            Paint::Cyan => "36",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// `text` on one line, without what moves a cursor, changes colours or turns the direction of writing around.
#[must_use]
pub fn clean(text: &str) -> String {
    let visible = |c: char| match c {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => None,
        c if c.is_control() || c.is_whitespace() => Some(' '),
        c => Some(c),
    };
    text.chars().filter_map(visible).collect()
}

/// Columns that a character takes: 0 for what combines, 2 for East Asian wide ones and pictures, else 1.
const fn columns_of(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Columns that `text` takes.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// `text`, cut to `width` columns; a cut shows as `…`.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut out = String::new();
    for c in text.chars() {
        let Some(rest) = left.checked_sub(columns_of(c)) else { break };
        left = rest;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// `text`, cut or filled with blanks to exactly `width` columns.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    let text = cut(text, width);
    let blanks = width.saturating_sub(columns(&text));
    text + &" ".repeat(blanks)
}

/// `text` (cleaned) in lines of at most `width` columns, the first with `first` before it, the others with blanks.
#[must_use]
pub fn wrap(text: &str, first: &str, width: usize) -> String {
    let indent = columns(first);
    let room = width.saturating_sub(indent).max(1);
    let mut lines: Vec<String> = vec![String::new()];
    for word in clean(text).split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        if line.is_empty() {
            line.push_str(word);
        } else if columns(line) + 1 + columns(word) <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        if number == 0 {
            out.push_str(first)
        } else {
            out.push_str(&" ".repeat(indent))
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Milliseconds as people say them.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 if (ms / 1_000).is_multiple_of(60) => format!("{} min", ms / 60_000),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms / 1_000 % 60),
        _ => format!("{} h {:02} min", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// `1 service`, `2 services`.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_command_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\r\nc\u{202e}d\u{9b}e"), "a [31mb  cd e");
    }

    #[test]
    fn text_is_cut_by_columns_not_by_bytes() {
        assert_eq!(cut("größer", 4), "grö…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(columns("日本…"), 5);
        assert_eq!(fit("ab", 4), "ab  ");
        assert_eq!(fit("abcdef", 4), "abc…");
    }

    #[test]
    fn lines_are_wrapped_between_words_and_keep_their_indent() {
        assert_eq!(wrap("one two three", "- ", 9), "- one two\n  three\n");
        assert_eq!(wrap("", "- ", 9), "- \n");
        assert_eq!(wrap("unbreakable", "", 4), "unbreakable\n");
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        assert_eq!(duration(0), "0.0 s");
        assert_eq!(duration(45_678), "45.6 s");
        assert_eq!(duration(150_000), "2 min 30 s");
        assert_eq!(duration(300_000), "5 min");
        assert_eq!(duration(3_660_000), "1 h 01 min");
    }

    #[test]
    fn nothing_is_painted_without_colour() {
        assert_eq!(Layout { width: 80, colour: false }.paint(Paint::Red, "x"), "x");
        assert_eq!(Layout { width: 80, colour: true }.paint(Paint::Red, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}

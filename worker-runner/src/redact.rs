//! Repeats what others said without what must stay secret.

use hermes_core::limits::EXCERPT_BYTES_MAX;
use hermes_core::wire::printable;

/// What stands where a secret stood.
const HIDDEN: &str = "[hidden]";

/// Bytes of a secret that is looked for in results.
const SECRET_BYTES_MIN: usize = 8;

/// Removes given secrets from texts.
#[derive(Clone)]
pub(crate) struct Redactor {
    /// Every spelling that is looked for, none of them empty.
    spellings: Vec<String>,
}

impl Redactor {
    /// Will remove `secrets`, also as they are spelled inside JSON.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut spellings = Vec::new();
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            let quoted = serde_json::Value::from(secret).to_string();
            let in_json = quoted[1..quoted.len() - 1].to_owned();
            let slashed = |text: &str| text.replace('/', "\\/");
            spellings.extend([slashed(secret), slashed(&in_json), in_json, secret.to_owned()]);
        }
        // Longest first: a secret that contains another one is removed whole.
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
        spellings.dedup();
        Self { spellings }
    }

    pub(crate) fn clean(&self, text: &str) -> String {
        self.spellings.iter().fold(text.to_owned(), |text, spelling| text.replace(spelling, HIDDEN))
    }

    /// Whether there is no secret to look for.
    pub(crate) fn is_idle(&self) -> bool {
        self.spellings.is_empty()
    }

    /// The JSON text `json` without the secrets; `None` if there is none in it. Secrets that are as short as ordinary
    /// words are left alone: their letters are all over every result.
    pub(crate) fn clean_json(&self, json: &str) -> Option<String> {
        let long = || self.spellings.iter().filter(|spelling| spelling.len() >= SECRET_BYTES_MIN);
        long()
            .any(|spelling| json.contains(spelling.as_str()))
            .then(|| long().fold(json.to_owned(), |text, spelling| text.replace(spelling, HIDDEN)))
    }

    /// The beginning of `body`, in one line. Secrets are removed before it is cut, so that none is left in half.
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        let text = self.clean(&String::from_utf8_lossy(body));
        // Only as many words as can be shown are looked at: bodies may be long.
        let mut line = String::new();
        for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
            if line.len() > EXCERPT_BYTES_MAX {
                break;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        printable(&line, EXCERPT_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_removed_in_every_spelling() {
        let redactor = Redactor::new(["k/e\"y", ""]);
        for text in ["k/e\"y", r#"k\/e"y"#, r#"k/e\"y"#] {
            assert_eq!(redactor.clean(&format!("a {text} b")), "a [hidden] b");
        }
    }

    #[test]
    fn a_result_is_cleaned_of_secrets_and_otherwise_left_as_it_is() {
        let redactor = Redactor::new(["canary-\"1\"/2"]);
        let echoed = r#"{"said": "key canary-\"1\"/2", "again": "canary-\"1\"\/2"}"#;
        let cleaned = redactor.clean_json(echoed).expect("it is in there");
        assert!(!cleaned.contains("canary"), "{cleaned}");
        let read: serde_json::Value = serde_json::from_str(&cleaned).expect("still JSON");
        assert_eq!(read["said"], "key [hidden]");
        assert_eq!(redactor.clean_json(r#"{"said": "nothing"}"#), None);
        assert_eq!(Redactor::new(["k"]).clean_json(r#"{"k": 1}"#), None);
    }

    #[test]
    fn a_secret_at_the_cut_is_not_left_in_half() {
        let redactor = Redactor::new(["canary-0123456789"]);
        for lead in EXCERPT_BYTES_MAX - 20..EXCERPT_BYTES_MAX {
            let excerpt = redactor.excerpt(format!("{}canary-0123456789", "x".repeat(lead)).as_bytes());
            assert!(!excerpt.contains("canar"), "{excerpt}");
        }
    }

    #[test]
    fn an_excerpt_is_one_short_line_without_control_characters() {
        let excerpt = Redactor::new([]).excerpt("\u{feff}<html>\r\n\t<b>\u{1b}[31mä\0</b>\n".repeat(50).as_bytes());
        assert!(excerpt.len() <= EXCERPT_BYTES_MAX);
        assert!(excerpt.contains("<html> <b> [31mä </b>"), "{excerpt}");
        assert!(!excerpt.chars().any(char::is_control));
        assert_eq!(Redactor::new([]).excerpt(&[0xff, b'a']), "\u{fffd}a");
    }
}

//! The rules that diagnoses are made with: the shipped ones, or a file of the operator's, which is checked before anything
//! starts.

use hermes_diagnosis::{Problem, RuleBook};

/// A rule file that cannot be used. Completes "failed to …".
#[derive(Debug, thiserror::Error)]
#[error("use the rules of {name}:{}\ncorrect the file, or check it with `hermes rules check {name}`", lines(problems))]
pub struct BrokenRules {
    /// The file.
    pub name: String,
    /// Everything that is wrong with it.
    pub problems: Vec<Problem>,
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// The rules of a file (its name and text), or the shipped ones.
///
/// # Errors
/// [`BrokenRules`] with every problem, its line and what would be right; the process must not start.
pub fn book(file: Option<(&str, &str)>) -> Result<RuleBook, BrokenRules> {
    match file {
        None => Ok(RuleBook::shipped()),
        Some((name, text)) => {
            RuleBook::with_rules(text).map_err(|problems| BrokenRules { name: name.to_owned(), problems })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_is_refused_with_line_and_remedy() {
        let text = "schema: rules/1\ncategories:\n  - {id: crawl, name: Crawling, weight: 1}\nrules:\n  - id: OWN-001\n    \
                    title: t\n    category: crawl\n    severity: high\n    effort: S\n    when: tech.soft_405 == true\n    \
                    reach: '1.0'\n    action: a\n    source: s\n";
        let told = book(Some(("own.yaml", text))).expect_err("is broken").to_string();
        assert!(
            told.contains("line 10: OWN-001: when: reads 'tech.soft_405', which is not in the catalogue"),
            "{told}"
        );
        assert!(told.contains("'tech.soft_404'") && told.contains("hermes rules check own.yaml"), "{told}");
        let right = text.replace("soft_405", "soft_404");
        assert_eq!(book(Some(("own.yaml", &right))).expect("is right").rules().len(), 1);
    }
}

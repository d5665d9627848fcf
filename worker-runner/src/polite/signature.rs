//! How our robot says whose it is: by an address in its user agent.

/// A user agent that ends with a comment in parentheses, with the operator's address in it: a URL with a plus sign
/// before it, as robots usually write it, or an e-mail address.
pub(super) fn sign(agent: &str, contact: Option<&str>) -> String {
    match (agent.strip_suffix(')'), contact) {
        (Some(open), Some(contact)) if contact.contains("://") => format!("{open}; +{contact})"),
        (Some(open), Some(contact)) => format!("{open}; {contact})"),
        (_, None) | (None, _) => agent.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::sign;

    #[test]
    fn an_address_stands_at_the_end_of_the_comment() {
        for (contact, expected) in [
            (None, "(compatible; HermesBot/1)"),
            (Some("https://a.test/robot"), "(compatible; HermesBot/1; +https://a.test/robot)"),
            (Some("robots@a.test"), "(compatible; HermesBot/1; robots@a.test)"),
        ] {
            assert_eq!(sign("(compatible; HermesBot/1)", contact), expected);
        }
    }
}

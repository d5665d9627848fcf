//! Which texts are names, and that a name is read back from what it writes.

use proptest::prelude::*;
use uuid::Uuid;

use crate::limits::{DOMAIN_BYTES_MAX, NAME_BYTES_MAX};
use crate::{Domain, EventId, PlanId, RunId, ServiceName, WebsiteId, WorkerKey};

fn seeds(text: &str) -> Result<Vec<String>, String> {
    let domain = text.parse::<Domain>().map_err(|error| error.problem)?;
    Ok(domain.seeds().iter().map(ToString::to_string).collect())
}

#[test]
fn a_host_is_looked_at_with_https_first_and_then_with_http() {
    for (text, host) in [
        ("example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("  example.com\t", "example.com"),
        ("example.com.", "example.com."),
        ("example.com:8080", "example.com:8080"),
        ("localhost", "localhost"),
        ("127.0.0.1:3000", "127.0.0.1:3000"),
        ("127.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[2001:DB8::1]:8443", "[2001:db8::1]:8443"),
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("例え.jp", "xn--r8jz45g.jp"),
        ("sub_domain.example.com", "sub_domain.example.com"),
    ] {
        let expected = vec![format!("https://{host}/"), format!("http://{host}/")];
        assert_eq!(seeds(text), Ok(expected), "{text:?}");
    }
}

#[test]
fn a_default_port_is_left_out_under_its_own_scheme_only() {
    assert_eq!(seeds("a.de:443"), Ok(vec!["https://a.de/".to_owned(), "http://a.de:443/".to_owned()]));
    assert_eq!(seeds("a.de:80"), Ok(vec!["https://a.de:80/".to_owned(), "http://a.de/".to_owned()]));
}

#[test]
fn a_url_is_looked_at_as_it_is() {
    for (text, seed) in [
        ("https://example.com", "https://example.com/"),
        ("HTTP://Example.com/Shop", "http://example.com/Shop"),
        ("https://example.com/a?b=c", "https://example.com/a?b=c"),
        ("https://example.com:443/", "https://example.com/"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("https://example.com/ä", "https://example.com/%C3%A4"),
    ] {
        assert_eq!(seeds(text), Ok(vec![seed.to_owned()]), "{text:?}");
    }
}

#[test]
fn what_is_no_website_is_refused_with_what_to_change() {
    for (text, problem) in [
        ("", "it is empty"),
        (" \t ", "it is empty"),
        ("a.de\u{0}b", "control characters"),
        ("a\n.de", "control characters"),
        ("a.de\u{7f}", "control characters"),
        ("ftp://a.de", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("gopher://a.de/", "only http and https"),
        ("ws://a.de/", "only http and https"),
        ("user@a.de", "leave user name and password out"),
        ("https://user:word@a.de/", "leave user name and password out"),
        ("https://:word@a.de/", "leave user name and password out"),
        ("a.de/shop", "give a host such as example.com"),
        ("a.de\\shop", "give a host such as example.com"),
        ("a.de?x", "give a host such as example.com"),
        ("a.de#x", "give a host such as example.com"),
        ("a.de:65536", "invalid port"),
        ("a.de:http", "invalid port"),
        ("[::1", "invalid IPv6"),
        ("[::g]", "invalid IPv6"),
        ("256.1.1.1", "invalid IPv4"),
        ("a b.de", "invalid"),
        ("a<b>.de", "invalid"),
        ("https://", "empty host"),
        (":8080", "empty host"),
    ] {
        let refusal = seeds(text).expect_err(text);
        assert!(refusal.contains(problem), "{text:?}: {refusal}, expected {problem}");
    }
}

#[test]
fn a_domain_may_have_as_many_bytes_as_the_limit_says_and_not_one_more() {
    let of = |bytes: usize| format!("https://a.de/{}", "x".repeat(bytes - "https://a.de/".len()));
    assert!(of(DOMAIN_BYTES_MAX).parse::<Domain>().is_ok());
    let refusal = of(DOMAIN_BYTES_MAX + 1).parse::<Domain>().expect_err("too long");
    assert_eq!(refusal.problem, "it is too long");
    assert_eq!(refusal.text.chars().count(), 64, "an error does not repeat a long text");
}

#[test]
fn a_name_may_have_as_many_bytes_as_the_limit_says_and_not_one_more() {
    let (fits, long) = ("x".repeat(NAME_BYTES_MAX), "x".repeat(NAME_BYTES_MAX + 1));
    assert!(fits.parse::<ServiceName>().is_ok() && fits.parse::<WebsiteId>().is_ok());
    let refusal = long.parse::<ServiceName>().expect_err("too long");
    assert_eq!(refusal.problem, "it has 129 bytes, at most 128 are allowed");
    assert!(
        long.parse::<PlanId>().is_err() && long.parse::<WorkerKey>().is_err() && long.parse::<WebsiteId>().is_err()
    );
}

#[test]
fn only_a_website_id_may_have_colon_slash_and_at() {
    for text in ["site:1", "team/site", "a@b"] {
        assert!(text.parse::<WebsiteId>().is_ok(), "{text}");
        assert!(text.parse::<PlanId>().is_err(), "{text}");
        assert!(text.parse::<ServiceName>().is_err(), "{text}");
        assert!(text.parse::<WorkerKey>().is_err(), "{text}");
    }
    for text in ["", " a", "a b", "ä", "a\u{0}", "a,b", "a'b", "a%b", "a\nb"] {
        assert!(text.parse::<WebsiteId>().is_err(), "{text:?}");
    }
}

#[test]
fn an_error_says_which_kind_of_name_was_meant() {
    assert_eq!("?".parse::<PlanId>().expect_err("no name").what, "plan_id");
    assert_eq!("?".parse::<ServiceName>().expect_err("no name").what, "service");
    assert_eq!("?".parse::<WorkerKey>().expect_err("no name").what, "worker_key");
    assert_eq!("?".parse::<WebsiteId>().expect_err("no name").what, "website_id");
    assert_eq!("?".parse::<RunId>().expect_err("no id").what, "run_id");
    assert_eq!("?".parse::<EventId>().expect_err("no id").what, "event_id");
    assert_eq!("?".parse::<Domain>().expect_err("no host").what, "domain");
}

#[test]
fn a_damaged_event_id_is_refused() {
    let run = "0".repeat(32);
    for text in ["", "evt_", "evt__1", &format!("evt_{run}"), &format!("evt_{run}_"), &format!("evt_{run}_-1")] {
        assert!(text.parse::<EventId>().is_err(), "{text}");
    }
    for text in [format!("evt_{run}_1_2"), format!("evt_{run}_x"), format!("EVT_{run}_1"), format!("{run}_1")] {
        assert!(text.parse::<EventId>().is_err(), "{text}");
    }
    let beyond = format!("evt_{run}_18446744073709551616");
    assert!(beyond.parse::<EventId>().is_err(), "one more than u64 holds");
}

#[test]
fn json_refuses_the_names_that_text_refuses() {
    assert!(serde_json::from_str::<ServiceName>(r#""a b""#).is_err());
    assert!(serde_json::from_str::<Domain>(r#""ftp://a.de""#).is_err());
    assert!(serde_json::from_str::<RunId>(r#""1""#).is_err());
    assert!(serde_json::from_str::<EventId>(r#""evt_1_1""#).is_err());
    assert!(serde_json::from_str::<WebsiteId>("1").is_err());
    assert_eq!(serde_json::from_str::<ServiceName>(r#""\u0061""#).ok(), "a".parse().ok(), "escapes are read");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_name_reads_back_what_it_writes(text in "[A-Za-z0-9._-]{1,128}", site in "[A-Za-z0-9._:/@-]{1,128}") {
        prop_assert_eq!(text.parse::<ServiceName>().expect("valid").to_string(), text.clone());
        prop_assert_eq!(text.parse::<PlanId>().expect("valid").to_string(), text.clone());
        prop_assert_eq!(text.parse::<WorkerKey>().expect("valid").to_string(), text);
        let id: WebsiteId = site.parse().expect("valid");
        prop_assert_eq!(id.as_str(), &site);
        let written = serde_json::to_string(&id).expect("writes");
        prop_assert_eq!(serde_json::from_str::<WebsiteId>(&written).expect("reads"), id);
    }

    #[test]
    fn every_id_reads_back_what_it_writes(bits in any::<u128>(), seq in any::<u64>()) {
        let run_id = RunId::from_uuid(Uuid::from_u128(bits));
        let event_id = EventId { run_id, seq };
        prop_assert_eq!(run_id.to_string().len(), 32);
        prop_assert_eq!(run_id.to_string().parse(), Ok(run_id));
        prop_assert_eq!(event_id.to_string().parse(), Ok(event_id));
    }

    #[test]
    fn runs_and_events_sort_by_time_and_number(
        one in 0_u64..1 << 48, two in 0_u64..1 << 48, low in any::<[u64; 2]>(), seqs in any::<[u64; 2]>()
    ) {
        // The first 48 bits of a UUID version 7 are the milliseconds of its creation.
        let run = |millis: u64, low: u64| RunId::from_uuid(Uuid::from_u128((u128::from(millis) << 80) | u128::from(low)));
        if one != two {
            prop_assert_eq!(run(one, low[0]).cmp(&run(two, low[1])), one.cmp(&two));
            prop_assert_eq!(run(one, low[0]).to_string().cmp(&run(two, low[1]).to_string()), one.cmp(&two));
        }
        let event = |seq: u64| EventId { run_id: run(one, low[0]), seq };
        prop_assert_eq!(event(seqs[0]).cmp(&event(seqs[1])), seqs[0].cmp(&seqs[1]), "as numbers: 9 before 10");
    }

    #[test]
    fn every_accepted_domain_reads_back_and_is_looked_at_over_http_only(text in "\\PC{0,30}|[a-z.:/@\\[\\]0-9]{1,20}") {
        let Ok(domain) = text.parse::<Domain>() else { return Ok(()) };
        prop_assert_eq!(domain.to_string().parse(), Ok(domain.clone()));
        prop_assert!(matches!(domain.seeds().len(), 1 | 2));
        for seed in domain.seeds() {
            prop_assert!(matches!(seed.scheme(), "http" | "https") && seed.has_host(), "{seed}");
            prop_assert!(seed.username().is_empty() && seed.password().is_none(), "{seed}");
        }
    }
}

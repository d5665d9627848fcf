use super::*;

fn name(pairs: &[(&str, &str)], wanted: Option<&str>) -> Result<&'static str, String> {
    choose(&environment(pairs), wanted).map(|provider| provider.traits().name).map_err(|error| error.to_string())
}

const ALL: [(&str, &str); 6] = [
    ("SEARXNG_URL", "http://127.0.0.1:8888"),
    ("BRAVE_API_KEY", "k"),
    ("DATAFORSEO_LOGIN", "l"),
    ("DATAFORSEO_PASSWORD", "p"),
    ("SERPAPI_API_KEY", "k"),
    ("SEARCH_CONSOLE_TOKEN", "t"),
];

#[test]
fn the_plan_chooses_and_else_the_first_that_is_configured() {
    assert_eq!(configured(&environment(&ALL)), NAMES);
    assert_eq!(name(&ALL, None), Ok("searxng"));
    assert_eq!(name(&ALL[1..], None), Ok("brave"));
    for wanted in NAMES {
        assert_eq!(name(&ALL, Some(wanted)), Ok(wanted));
    }
    assert_eq!(name(&[("SEARXNG_URL", " "), ALL[4]], None), Ok("serpapi"));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let nothing = name(&[], None).expect_err("nothing");
    assert!(nothing.contains("SEARXNG_URL=http://127.0.0.1:8888") && nothing.lines().count() == 4, "{nothing}");
    for (pairs, wanted, words) in [
        (&ALL[..], Some("google"), "choose one of searxng"),
        (&ALL[..1], Some("brave"), "set BRAVE_API_KEY"),
        (&[("DATAFORSEO_LOGIN", "l")][..], None, "DATAFORSEO_LOGIN and DATAFORSEO_PASSWORD"),
        (&[("SEARXNG_URL", "localhost:8888")][..], None, "SEARXNG_URL must be an address"),
        (&[("BRAVE_API_KEY", "k"), ("BRAVE_ENDPOINT", "x")][..], None, "BRAVE_ENDPOINT must be an address"),
        (&[("BRAVE_API_KEY", "a\nb")][..], None, "BRAVE_API_KEY has characters"),
    ] {
        let error = name(pairs, wanted).expect_err("wrong");
        assert!(error.contains(words), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

use super::*;

fn from_file(text: &str) -> Result<Settings, SettingsError> {
    Settings::from_layers(Some(("hermes.toml", text)), &[])
}

fn from_environment(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let owned: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings::from_layers(None, &owned)
}

fn problems(result: Result<Settings, SettingsError>) -> Vec<String> {
    result.expect_err("wrong settings").problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_default_file_and_the_structure_have_the_same_keys() {
    // The reader panics on a key that is missing in the file, and on one of the file that nothing reads.
    let defaults = Settings::from_layers(None, &[]).expect("the defaults are valid");
    assert_eq!(defaults.api.listen.to_string(), "127.0.0.1:5000");
    assert!(defaults.warnings.is_empty());
}

#[test]
fn the_default_file_is_a_valid_configuration_of_its_own() {
    let defaults = Settings::from_layers(None, &[]).expect("valid");
    let copied = from_file(DEFAULT_FILE).expect("valid");
    assert_eq!(copied, defaults);
}

#[test]
fn every_key_of_the_default_file_has_a_comment_above_it() {
    let lines: Vec<&str> = DEFAULT_FILE.lines().collect();
    for pair in lines.windows(2) {
        let is_key = !pair[1].starts_with(['#', '[']) && pair[1].contains('=');
        assert!(!is_key || pair[0].starts_with('#'), "{} has no comment", pair[1]);
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = Some(("f", "[worker]\nconcurrency = 7\ngrace_seconds = 3\n"));
    let environment = [("HERMES_WORKER_CONCURRENCY".to_owned(), "9".to_owned())];
    let worker = Settings::from_layers(file, &environment).expect("valid").worker;
    assert_eq!(
        (worker.concurrency, worker.grace, worker.allow_private_targets),
        (NonZeroUsize::new(9), Duration::from_secs(3), false)
    );
}

#[test]
fn a_lease_that_cannot_lose_two_heartbeats_is_refused() {
    let wrong = from_environment(&[("HERMES_QUEUE_LEASE_MS", "2999"), ("HERMES_QUEUE_HEARTBEAT_MS", "1000")]);
    let told = problems(wrong);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("queue.lease_ms") && told[0].contains("queue.heartbeat_ms"), "{told:?}");

    let right = from_environment(&[("HERMES_QUEUE_LEASE_MS", "3000"), ("HERMES_QUEUE_HEARTBEAT_MS", "1000")]);
    let settings = right.expect("three heartbeats");
    let options = settings.redis.options(settings.queue, "me");
    assert_eq!((options.lease, options.heartbeat), (Duration::from_secs(3), Duration::from_secs(1)));
}

#[test]
fn the_default_lease_is_that_of_the_limits() {
    let Queue { heartbeat, lease } = Settings::from_layers(None, &[]).expect("valid").queue;
    let limits = (hermes_core::limits::HEARTBEAT_MS, hermes_core::limits::LEASE_MS);
    assert_eq!((heartbeat, lease), (Duration::from_millis(limits.0), Duration::from_millis(limits.1)));
}

#[test]
fn the_default_politeness_is_that_of_the_port() {
    let settings = Settings::from_layers(None, &[]).expect("valid");
    assert_eq!(settings.worker.politeness, Policy::default());
    let unlimited = from_environment(&[("HERMES_POLITENESS_REQUESTS_PER_SECOND", "0")]).expect("valid");
    assert_eq!(unlimited.worker.politeness.sites.interval_us, 0);
}

#[test]
fn bitwarden_is_asked_only_if_it_is_the_source() {
    let settings = Settings::from_layers(None, &[]).expect("valid");
    assert_eq!(settings.secrets, None);
    let file = "[secrets]\nsource = \"bitwarden\"\nbitwarden_workers = [\"serp_intel=A worker\"]\n";
    let bitwarden = from_file(file).expect("valid").secrets.expect("asked for");
    assert_eq!((&*bitwarden.command, bitwarden.project), ("bws", None));
    assert_eq!(bitwarden.workers[0].secret, "A worker");
    for (key, value) in [("SOURCE", "vault"), ("BITWARDEN_PROJECT", "--help"), ("BITWARDEN_WORKERS", "serp_intel")] {
        let told = problems(from_environment(&[(&format!("HERMES_SECRETS_{key}"), value)]));
        assert_eq!(told.len(), 1, "{told:?}");
    }
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let settings = from_environment(&[("HERMES_REDIS_URL", ""), ("HERMES_WORKER_KEYS", "")]).expect("valid");
    assert_eq!(settings, Settings::from_layers(None, &[]).expect("valid"));
}

#[test]
fn a_list_is_written_with_commas_in_the_environment() {
    let settings = from_environment(&[("HERMES_WORKER_KEYS", "crawl_render, core_web_vitals")]).expect("valid");
    let keys: Vec<_> = settings.worker.keys.iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["crawl_render", "core_web_vitals"]);
}

#[test]
fn an_unknown_key_is_an_error_with_a_suggestion() {
    assert_eq!(
        problems(from_file("[worker]\n\nconcurency = 7\n")),
        ["worker.concurency (hermes.toml line 3): is no setting; did you mean worker.concurrency?"]
    );
    assert_eq!(
        problems(from_file("[embedded]\nlisten = '127.0.0.1:1'\n")),
        ["embedded.listen (hermes.toml line 2): is no setting; did you mean api.listen?"]
    );
    assert_eq!(
        problems(from_file("colour = 'red'\n[paint]\ncolour = 'red'\n")),
        ["colour (hermes.toml line 1): stands outside of a section; sections are written [api]"]
    );
    assert_eq!(
        problems(from_file("[paint]\ncolour = 'red'\n")),
        ["paint.colour (hermes.toml line 2): is no setting; hermes.default.toml lists all of them"]
    );
}

#[test]
fn an_unknown_variable_is_a_warning_only_if_it_looks_like_a_slip() {
    let settings =
        from_environment(&[("HERMES_REDIS_ULR", "x"), ("HERMES_PORT_5000_TCP", "tcp://10.0.0.1:5000")]).expect("valid");
    assert_eq!(settings.warnings, ["HERMES_REDIS_ULR is no setting and is ignored; did you mean HERMES_REDIS_URL?"]);
}

#[test]
fn every_wrong_value_is_told_with_its_key_its_source_and_what_is_right() {
    let file = "[log]\nformat = 'xml'\n[worker]\ngrace_seconds = 4000\n[api]\nlisten = 'localhost'\n";
    assert_eq!(
        problems(from_file(file)),
        [
            "api.listen (hermes.toml line 6): is 'localhost'; write an address with a port, such as 127.0.0.1:5000, \
             0.0.0.0:5000 or [::1]:5000",
            "worker.grace_seconds (hermes.toml line 4): is 4000; allowed are 0 to 3600",
            "log.format (hermes.toml line 2): is 'xml'; allowed are text and json",
        ]
    );
    assert_eq!(
        problems(from_environment(&[("HERMES_API_ALLOW_WITHOUT_KEY", "yes"), ("HERMES_WORKER_CONCURRENCY", "many")])),
        [
            "api.allow_without_key (HERMES_API_ALLOW_WITHOUT_KEY): must be true or false",
            "worker.concurrency (HERMES_WORKER_CONCURRENCY): must be a whole number",
        ]
    );
    assert_eq!(
        problems(from_file("[worker]\nkeys = 'all'\n")),
        ["worker.keys (hermes.toml line 2): is a text in quotes; a list of texts such as [\"a\", \"b\"] is needed"]
    );
}

#[test]
fn a_password_is_never_printed_not_even_by_an_error() {
    let secret = "Tr0ub4dor";
    let (database, redis) =
        (format!("postgres://u:{secret}@db:5432/hermes?x={secret}"), format!("redis://:{secret}@cache:6379/1"));
    let pairs = [("HERMES_DATABASE_URL", database.as_str()), ("HERMES_REDIS_URL", redis.as_str())];
    let settings = from_environment(&pairs).expect("valid");
    assert!(!format!("{settings:?}").contains(secret));
    assert_eq!(settings.database.url.to_string(), "postgres://db:5432/hermes");
    assert_eq!(settings.redis.url.expose(), redis);

    let broken = [
        from_environment(&[("HERMES_DATABASE_URL", &format!("mysql://u:{secret}@db/x"))]),
        from_environment(&[("HERMES_REDIS_URL", &format!("redis://u:{secret}@"))]),
        from_file(&format!("[redis]\nurl = 'redis://:{secret}@cache\n")),
        from_file(&format!("[redis]\nurl = {secret}\n")),
    ];
    for result in broken {
        let error = result.expect_err("wrong");
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    }
}

#[test]
fn the_store_is_postgres_or_a_file() {
    let url = |text: &str| from_environment(&[("HERMES_DATABASE_URL", text)]).map(|settings| settings.database.url);
    assert_eq!(url("sqlite:data/x.db"), Ok(DatabaseUrl::Sqlite("data/x.db".into())));
    assert_eq!(url("sqlite:///var/x.db"), Ok(DatabaseUrl::Sqlite("/var/x.db".into())));
    assert!(matches!(url("postgresql://db/x"), Ok(DatabaseUrl::Postgres(_))));
    let error = url("mysql://db/x").expect_err("neither").to_string();
    assert!(error.contains("has the scheme 'mysql'; write postgres://user:password@host:port/name, or sqlite:PATH"));
}

#[test]
fn redis_is_a_server_or_whoever_knows_it() {
    let url = |text: &str| from_environment(&[("HERMES_REDIS_URL", text)]).map(|settings| settings.redis.url);
    for (text, shown) in [
        ("rediss://u:s3cret@cache/2", "rediss://cache:6379/2"),
        ("redis+sentinel://:s3cret@a,b:1/main", "redis+sentinel://a:26379,b:1/main/0"),
        ("redis+cluster://a:7000,b:7000", "redis+cluster://a:7000,b:7000"),
    ] {
        let url = url(text).expect("valid");
        assert_eq!((url.to_string(), url.expose()), (shown.to_owned(), text));
        assert!(!format!("{url:?}").contains("s3cret"));
    }
    for text in ["redis+sentinel://u:s3cret@a", "memcached://u:s3cret@a", "redis+cluster://u:s3cret@a/1"] {
        let error = url(text).expect_err("wrong").to_string();
        assert!(error.contains("write redis://user:password@host:6379/0") && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn an_address_that_others_reach_is_refused_until_it_is_allowed() {
    let api = |pairs: &[(&str, &str)]| from_environment(pairs).expect("valid").api;
    assert!(api(&[]).check().is_ok());
    let error = api(&[("HERMES_API_LISTEN", "0.0.0.0:5000")]).check().expect_err("open").to_string();
    assert!(error.contains("api.allow_without_key = true"), "{error}");
    assert!(api(&[("HERMES_API_LISTEN", "[::]:1"), ("HERMES_API_ALLOW_WITHOUT_KEY", "true")]).check().is_ok());
}

#[test]
fn callbacks_go_to_the_public_address_or_to_a_loopback_one() {
    let base = |public: &str, bound: &str| {
        let api = from_environment(&[("HERMES_API_PUBLIC_URL", public)]).expect("valid").api;
        api.callback_base(bound.parse().expect("address")).map(String::from)
    };
    assert_eq!(base("", "127.0.0.1:5000").as_deref(), Some("http://127.0.0.1:5000/"));
    assert_eq!(base("", "0.0.0.0:5000"), None);
    assert_eq!(base("https://h.example/x", "0.0.0.0:5000").as_deref(), Some("https://h.example/x"));
}

#[test]
fn data_is_kept_where_the_system_keeps_data() {
    let data = |pairs: &[(&str, &str)]| from_environment(pairs).expect("valid").embedded.data;
    assert_eq!(data(&[]), None);
    assert_eq!(data(&[("HOME", "/h")]), Some("/h/.local/share/hermes".into()));
    assert_eq!(data(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")]), Some("/d/hermes".into()));
    assert_eq!(data(&[("HOME", "/h"), ("HERMES_EMBEDDED_DATA", "~/x")]), Some("/h/x".into()));
    assert_eq!(data(&[("HERMES_EMBEDDED_DATA", "x")]), Some("x".into()));
}

#[test]
fn a_filter_counts_as_chosen_only_if_it_differs_from_the_default() {
    assert!(!from_environment(&[("HERMES_LOG_FILTER", "info")]).expect("valid").log.filter_is_chosen);
    assert!(from_environment(&[("HERMES_LOG_FILTER", "debug")]).expect("valid").log.filter_is_chosen);
}

#[test]
fn a_file_that_is_named_must_exist() {
    let error = Settings::load(Some(Path::new("/nowhere/hermes.toml"))).expect_err("no file").to_string();
    assert!(error.starts_with("read the settings:\n  /nowhere/hermes.toml: cannot be read: "), "{error}");
}

#[test]
fn a_contact_is_an_address_that_fits_into_a_user_agent() {
    let read = |text: &str| from_environment(&[("HERMES_POLITENESS_CONTACT", text)]);
    for text in ["https://example.com/robot?a=b", "http://[::1]:80/", "robots@example.com"] {
        assert_eq!(read(text).expect("valid").worker.contact.as_deref(), Some(text));
    }
    assert_eq!(from_environment(&[]).expect("valid").worker.contact, None);
    for text in
        ["example.com", "ftp://a.b/", "https://", "https://a.b/) x", "https://u:p@a.b/", "a@b", "a b@c.d", "a@b.c;d"]
    {
        let problems = problems(read(text));
        assert!(problems.len() == 1 && problems[0].contains("https://example.com/robot"), "{text}: {problems:?}");
    }
}

#[test]
fn settled_runs_are_kept_for_ever_or_for_longer_than_any_run_takes() {
    let kept = |days: &str| from_environment(&[("HERMES_RETENTION_SETTLED_RUNS_DAYS", days)]);
    let days = |count: u64| Some(Duration::from_secs(count * 86_400));
    assert_eq!(Settings::from_layers(None, &[]).expect("the defaults").retention.settled_runs, None);
    for (value, expected) in [("0", None), ("2", days(2)), ("36500", days(36_500))] {
        assert_eq!(kept(value).expect(value).retention.settled_runs, expected);
    }
    for wrong in ["1", "-1", "36501", "a year"] {
        let told = problems(kept(wrong));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("retention.settled_runs_days"), "{told:?}");
        assert!(told[0].contains("HERMES_RETENTION_SETTLED_RUNS_DAYS"), "{told:?}");
    }
    assert!(problems(kept("1"))[0].contains("0, for ever, and 2 to 36500"), "{:?}", problems(kept("1")));
}

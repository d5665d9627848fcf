//! The guard on targets, as a whole diagnosis meets it: a site of strangers that points into our network in every way
//! that a site can, and a listener there that must never be reached.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use async_trait::async_trait;
use hermes_adapters::http::HttpClient;
use hermes_core::ports::http::{Http, HttpError, Reach, Request, Response};
use hermes_core::wire::{ErrorClass, Job, JobId, WIRE_VERSION};
use hermes_core::{Json, RunId, WorkerKey};
use hermes_worker_runner::{AttemptContext, Equipment, Registry, ServiceOutcome};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Ways to write an address of this machine, and names that lead to it.
const NOTATIONS: [&str; 22] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "%31%32%37.0.0.1",
    "\u{ff11}27.0.0.1",
    "127\u{3002}0.0.1",
    "localhost",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
];

/// Status, one header field, body.
type Page = (u16, (String, String), String);

/// The strangers' site, in memory; everything else goes over the network.
pub(crate) struct World {
    network: HttpClient,
    pages: BTreeMap<String, Page>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { network: HttpClient::new().expect("CA certificates are installed"), pages: BTreeMap::new() }
    }

    pub(crate) fn with(mut self, path: &str, status: u16, header: (&str, &str), body: &str) -> Self {
        let header = (header.0.to_owned(), header.1.to_owned());
        self.pages.insert(path.to_owned(), (status, header, body.to_owned()));
        self
    }
}

#[async_trait]
impl Http for World {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let host = request.url.host_str().unwrap_or_default();
        if !host.ends_with("stranger.example") {
            return self.network.send(request).await;
        }
        let missing = || (404, ("content-type".to_owned(), "text/html".to_owned()), String::new());
        let (status, header, body) = self.pages.get(request.url.path()).cloned().unwrap_or_else(missing);
        Ok(Response {
            status,
            version: "HTTP/1.1".to_owned(),
            headers: vec![header],
            body: body.into(),
            truncated: false,
            content_encoding: None,
            ttfb_ms: 1,
            total_ms: 1,
        })
    }
}

/// A listener on both families that counts who comes.
struct Forbidden(Vec<TcpListener>, u16);

impl Forbidden {
    fn listen() -> Self {
        let v4 = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
        let port = v4.local_addr().expect("it is bound").port();
        // The same port on IPv6, where the machine has it.
        let listeners: Vec<_> = [Some(v4), TcpListener::bind(("::1", port)).ok()].into_iter().flatten().collect();
        for listener in &listeners {
            listener.set_nonblocking(true).expect("it is ours");
        }
        Self(listeners, port)
    }

    /// A connection over loopback is in the listener's queue before its client knows of it, so nothing is missed.
    fn visits(&self) -> usize {
        self.0.iter().map(|listener| std::iter::from_fn(|| listener.accept().ok()).count()).sum()
    }
}

pub(crate) async fn diagnose(worker_key: &str, http: &World, reach: Reach) -> ServiceOutcome {
    let key: WorkerKey = worker_key.parse().expect("valid");
    let equipment = Equipment::new(BTreeMap::new(), reach);
    let registry = Registry::for_keys(std::slice::from_ref(&key), &equipment).expect("it is built in");
    let job = Job {
        v: WIRE_VERSION,
        id: JobId {
            run_id: RunId::from_uuid(uuid::Uuid::from_u128(1)),
            service: "technical-seo".parse().expect("valid"),
            attempt: 1,
        },
        worker_key: key.clone(),
        website_id: "s".parse().expect("valid"),
        domain: "http://stranger.example/".parse().expect("valid"),
        params: Json::parse("{}").expect("valid"),
        timeout_ms: 60_000,
        remaining_ms: 60_000,
        upstream: BTreeMap::new(),
        callback: None,
    };
    let (deadline, stopping) = (Instant::now() + Duration::from_secs(60), CancellationToken::new());
    let context = AttemptContext { job: &job, deadline, http, stopping: &stopping };
    registry.get(&key).expect("served").run(&context).await
}

#[tokio::test]
async fn a_home_page_that_redirects_into_our_network_is_refused_in_every_notation() {
    let forbidden = Forbidden::listen();
    for host in NOTATIONS {
        let target = format!("http://{host}:{}/", forbidden.1);
        let http = World::new().with("/", 302, ("location", &target), "");
        let outcome = diagnose("crawl_render", &http, Reach::Public).await;
        let ServiceOutcome::Failed { error, retryable: false, .. } = outcome else { panic!("{host}: {outcome:?}") };
        // A name may not resolve at all where the hosts file has no entry for it.
        let refused =
            error.class == ErrorClass::TargetRefused || (host == "localhost" && error.class == ErrorClass::Dns);
        assert!(refused, "{host}: {error:?}");
    }
    assert_eq!(forbidden.visits(), 0);
}

/// A site that points at the listener with everything that a crawler may follow.
fn pointing(port: u16) -> World {
    let hosts = NOTATIONS.map(|host| format!("http://{host}:{port}"));
    let page: String = hosts
        .iter()
        .enumerate()
        .map(|(number, base)| {
            format!(
                "<link rel=canonical href='{base}/c'><link rel=stylesheet href='{base}/s.css'><script src='{base}/s.js'></script>\
                 <link rel=alternate hreflang=de href='{base}/de'><img src='{base}/i.png' alt=i><a href='{base}/a'>a</a>\
                 <a href='/away{number}'>away</a><iframe src='{base}/f'></iframe>"
            )
        })
        .collect();
    let locs: String = hosts.iter().map(|base| format!("<url><loc>{base}/l</loc></url>")).collect();
    let maps: String = hosts.iter().map(|base| format!("Sitemap: {base}/sitemap.xml\n")).collect();
    let mut world = World::new()
        .with("/", 200, ("content-type", "text/html"), &format!("<title>Points</title>{page}"))
        .with(
            "/robots.txt",
            200,
            ("content-type", "text/plain"),
            &format!("{maps}Sitemap: http://stranger.example/m.xml\n"),
        )
        .with("/m.xml", 200, ("content-type", "application/xml"), &format!("<urlset>{locs}</urlset>"))
        .with(
            "/refresh",
            200,
            ("content-type", "text/html"),
            &format!("<meta http-equiv=refresh content='0;url={}'>", hosts[0]),
        );
    for (number, base) in hosts.iter().enumerate() {
        world = world.with(&format!("/away{number}"), 301, ("location", &format!("{base}/away")), "");
    }
    world
}

#[tokio::test]
async fn nothing_that_a_site_points_at_in_our_network_is_reached() {
    let forbidden = Forbidden::listen();
    for worker_key in ["crawl_render", "core_web_vitals"] {
        let outcome = diagnose(worker_key, &pointing(forbidden.1), Reach::Public).await;
        assert!(matches!(outcome, ServiceOutcome::Completed(_)), "{worker_key}: {outcome:?}");
        assert_eq!(forbidden.visits(), 0, "{worker_key}");
    }
}

#[tokio::test]
async fn the_same_site_reaches_the_listener_where_private_targets_are_allowed() {
    // Without this the test above could not fail.
    let forbidden = Forbidden::listen();
    let http = World::new().with("/", 302, ("location", &format!("http://127.0.0.1:{}/", forbidden.1)), "");
    let run = diagnose("crawl_render", &http, Reach::Any);
    // Nobody answers there, so the diagnosis is not waited for.
    let arrived = async {
        while forbidden.visits() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = arrived => {}
        outcome = run => panic!("it ended without a visit: {outcome:?}"),
    }
}

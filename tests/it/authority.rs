//! domain-authority in a real process: a name server, a TLS host, a registry and providers of ours on loopback, and
//! one run that asks them all.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use hermes_tests::harness::process::{Process, run_to_end};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NS, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

pub(super) const SITE: &str = "www.example.co.uk";
pub(super) const DOMAIN: &str = "example.co.uk";

/// What the zone of [`DOMAIN`] says; its hosts are on this machine.
fn said(name: &str, kind: RecordType) -> Result<Vec<RData>, ResponseCode> {
    let text = |text: &str| RData::TXT(TXT::new(vec![text.to_owned()]));
    let server = |name: &str| RData::NS(NS(Name::from_ascii(name).expect("a name")));
    match (name, kind) {
        ("example.co.uk." | "www.example.co.uk.", RecordType::A) => Ok(vec![RData::A(A::new(127, 0, 0, 1))]),
        ("example.co.uk.", RecordType::NS) => Ok(vec![server("ns1.example.net."), server("ns2.example.net.")]),
        ("example.co.uk.", RecordType::TXT) => Ok(vec![text("v=spf1 -all")]),
        ("_dmarc.example.co.uk.", RecordType::TXT) => Ok(vec![text("v=DMARC1; p=reject")]),
        ("example.co.uk." | "www.example.co.uk." | "_dmarc.example.co.uk.", _) => Ok(Vec::new()),
        _ => Err(ResponseCode::NXDomain),
    }
}

pub(super) async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback can be bound");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut datagram = [0_u8; 4_096];
        while let Ok((bytes, from)) = socket.recv_from(&mut datagram).await {
            let question = Message::from_vec(&datagram[..bytes]).expect("a question");
            let asked = question.queries.first().expect("one question").clone();
            let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
            answer.add_query(asked.clone());
            // Names may come in any case.
            match said(&asked.name().to_ascii().to_ascii_lowercase(), asked.query_type()) {
                Ok(records) => {
                    for data in records {
                        answer.add_answer(Record::from_rdata(asked.name().clone(), 60, data));
                    }
                }
                Err(code) => answer.metadata.response_code = code,
            }
            socket.send_to(&answer.to_vec().expect("it can be written"), from).await.expect("sent");
        }
    });
    address
}

/// A host with a certificate for `names`, and the authority to trust, in PEM.
async fn tls_host(names: &[&str]) -> (SocketAddr, String) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).expect("signed").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.not_after = date_time_ymd(2999, 1, 1);
    let certificate = params.signed_by(&key, &issuer).expect("signed").der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut session) = acceptor.accept(stream).await {
                session.read_to_end(&mut Vec::new()).await.ok();
            }
        }
    });
    (address, root)
}

/// A registry (RFC 9224, RFC 9083) and the providers, as their documentation says: https://tranco-list.eu/api_documentation,
/// https://www.domcop.com/openpagerank/documentation, https://docs.dataforseo.com/v3/backlinks/summary/live/,
/// https://majestic.com/reports/majestic-million.
async fn providers() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let bootstrap =
        json!({ "version": "1.0", "services": [[["uk"], [format!("http://{address}/rdap/")]]] }).to_string();
    let registration = json!({ "objectClassName": "domain", "ldhName": DOMAIN, "events": [
        { "eventAction": "registration", "eventDate": "1996-08-01T00:00:00Z" },
        { "eventAction": "expiration", "eventDate": "2999-08-01T00:00:00Z" }
    ]});
    let domain = async move |Path(name): Path<String>| {
        assert_eq!(name, DOMAIN);
        registration.to_string()
    };
    let tranco = async |Path(name): Path<String>| {
        json!({ "ranks": [{ "date": "2026-11-21", "rank": 1000 }], "domain": name }).to_string()
    };
    let page_rank = async |headers: HeaderMap| {
        assert_eq!(headers["api-opr"], "key-of-the-test");
        json!({ "status_code": 200, "response": [
            { "status_code": 200, "error": "", "page_rank_decimal": 4.5, "rank": "12043", "domain": DOMAIN }
        ]})
        .to_string()
    };
    // An error inside of HTTP 200.
    let backlinks = async || {
        json!({ "status_code": 20000, "status_message": "Ok.", "tasks": [
            { "status_code": 40203, "status_message": "The cost limit has been exceeded.", "result": null }
        ]})
        .to_string()
    };
    let million = async || {
        "GlobalRank,TldRank,Domain,TLD,RefSubNets,RefIPs,IDN_Domain,IDN_TLD,PrevGlobalRank,PrevTldRank,PrevRefSubNets,PrevRefIPs\n\
         1,1,google.com,com,489921,2231002,google.com,com,1,1,489900,2230000\n\
         1000,1,example.co.uk,uk,477,2015,example.co.uk,uk,2,1,470,2000\n"
    };
    let router = axum::Router::new()
        .route("/dns.json", get(async move || bootstrap))
        .route("/rdap/domain/{name}", get(domain))
        .route("/tranco/ranks/domain/{name}", get(tranco))
        .route("/opr/getPageRank", get(page_rank))
        .route("/v3/backlinks/summary/live", post(backlinks))
        .route("/majestic_million.csv", get(million));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until the test ends") });
    address
}

struct World {
    folder: TempDir,
    environment: Vec<(String, String)>,
    site: String,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (host, root) = tls_host(&[SITE, DOMAIN]).await;
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, root).expect("written");
        let (dns, providers) = (name_server().await, providers().await);
        let set = |name: &str, value: String| (name.to_owned(), value);
        let environment = vec![
            set("SSL_CERT_FILE", roots.display().to_string()),
            set("DNS_ENDPOINT", dns.to_string()),
            set("RDAP_BOOTSTRAP_ENDPOINT", format!("http://{providers}/dns.json")),
            set("TRANCO_ENDPOINT", format!("http://{providers}/tranco")),
            set("OPEN_PAGERANK_ENDPOINT", format!("http://{providers}/opr")),
            set("OPEN_PAGERANK_API_KEY", "key-of-the-test".to_owned()),
            set("DATAFORSEO_ENDPOINT", format!("http://{providers}")),
            set("DATAFORSEO_LOGIN", "login-of-the-test".to_owned()),
            set("DATAFORSEO_PASSWORD", "password-of-the-test".to_owned()),
            set("MAJESTIC_ENDPOINT", format!("http://{providers}/majestic_million.csv")),
        ];
        Self { folder, environment, site: format!("https://{SITE}:{}/", host.port()) }
    }

    fn data(&self) -> &str {
        self.folder.path().to_str().expect("a plain path")
    }
}

async fn get_json(url: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let text = client.get(url).send().await.expect("it answers").text().await.expect("text");
    serde_json::from_str(&text).expect("JSON")
}

/// The result of the only service of a run, from its log.
async fn result_of(api: &str, run: &str) -> Value {
    let log = get_json(&format!("http://{api}/api/orchestration/runs/{run}/events")).await;
    let events = log["events"].as_array().expect("events");
    let result = events.iter().find(|event| event["type"] == "result").unwrap_or_else(|| panic!("no result in {log}"));
    result["payload"]["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_asks_names_hosts_registry_providers_and_lists_and_tells_what_failed() {
    let world = World::start().await;
    let fetched =
        run_to_end("hermes", &["data", "update", "--list", "majestic", "--data", world.data()], &world.environment)
            .await;
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    assert!(fetched.stdout.contains("2 domains, fetched on"), "{}", fetched.stdout);

    let arguments = ["up", "--listen", "127.0.0.1:0", "--data", world.data(), "--allow-private-targets"];
    let mut up = Process::start("hermes", &arguments, &world.environment);
    let api = up.says("dispatcher ready").await["api.listen"].as_str().expect("an address").to_owned();
    let plan = json!({ "plan_id": "authority-v1", "name": "Authority", "max_duration_ms": 60_000, "services": [
        { "service": "domain-authority", "worker_key": "backlink_authority", "timeout_ms": 30_000 }
    ]});
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post = client.post(format!("http://{api}/api/orchestration/plans")).header("content-type", "application/json");
    assert_eq!(post.body(plan.to_string()).send().await.expect("it answers").status().as_u16(), 201);

    let arguments = ["run", &world.site, "--plan", "authority-v1", "--json", "--data", world.data()];
    let ended = run_to_end("hermes", &arguments, &world.environment).await;
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let run: Value = serde_json::from_str(&ended.stdout).expect("JSON alone on standard output");
    let result = result_of(&api, run["run_id"].as_str().expect("an id")).await;

    let value = |id: &str| {
        let signals = result["signals"].as_array().unwrap_or_else(|| panic!("no signals in {result}"));
        let signal = signals.iter().find(|signal| signal["id"] == id);
        signal.unwrap_or_else(|| panic!("no {id} in {result}"))["value"].clone()
    };
    assert_eq!(value("auth.tls_valid"), true, "{result}");
    assert!(value("auth.tls_expires_days").as_i64().expect("days") > 300_000);
    assert_eq!(value("auth.dns_ns_count"), 2);
    assert_eq!(value("auth.dnssec"), false);
    assert_eq!(value("auth.spf_dmarc"), true);
    assert!(value("auth.domain_age_days").as_i64().expect("days") > 10_000);
    assert!(value("auth.domain_expires_days").as_i64().expect("days") > 300_000);
    assert_eq!(value("auth.tranco_rank"), 1_000);
    assert_eq!(value("auth.opr_decimal"), 4.5);
    assert_eq!(value("auth.ref_subnets"), 477);
    // Tranco and Majestic 50, Open PageRank 45.
    assert_eq!(value("auth.score"), 50.0);
    assert_eq!(
        (&result["status"], &result["warnings"][0]["code"]),
        (&json!("partial"), &json!("dataforseo_rate_limited"))
    );
    for secret in ["key-of-the-test", "login-of-the-test", "password-of-the-test"] {
        assert!(!ended.stdout.contains(secret) && !up.log().join("\n").contains(secret), "{secret} was told");
    }
}

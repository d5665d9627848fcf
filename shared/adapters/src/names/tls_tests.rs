//! Handshakes with TLS servers of ours on loopback, whose certificates are made for each test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hermes_core::ports::http::Reach;
use hermes_core::ports::names::{Distrust, Handshake, HandshakeError, HandshakeRequest, Names as _};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::NameClient;

const HOST: &str = "127.0.0.1";

/// An authority of our own.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        Self::named("Root 1")
    }

    fn named(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::OrganizationName, "Example Trust");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("signed").der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, params: &CertificateParams) -> Shown {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed").der().clone();
        Shown { certificate, key }
    }
}

/// A certificate with its key.
struct Shown {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// Of today's validity.
fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, "leaf");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2999, 12, 31);
    params
}

struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn showing(shown: Shown, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(shown.key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![shown.certificate], key)
            .expect("they belong together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((HOST, 0)).await.expect("loopback can be bound");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                if let Ok(mut session) = acceptor.accept(stream).await {
                    // Until the client hangs up.
                    session.read_to_end(&mut Vec::new()).await.ok();
                }
            }
        });
        Self { address, connections }
    }
}

async fn shake(client: &NameClient, address: SocketAddr, reach: Reach) -> Result<Handshake, HandshakeError> {
    let timeout = Duration::from_secs(30);
    client.handshake(HandshakeRequest { host: HOST.to_owned(), port: address.port(), reach, timeout }).await
}

fn trusting(authority: &Authority) -> NameClient {
    let client = NameClient::new(&BTreeMap::from([(super::DNS_ENDPOINT.to_owned(), "127.0.0.1:9".to_owned())]));
    client.expect("an address").trusting(vec![authority.certificate.clone()])
}

async fn facts_of(authority: &Authority, shown: Shown) -> Handshake {
    let server = Server::showing(shown, rustls::ALL_VERSIONS).await;
    shake(&trusting(authority), server.address, Reach::Any).await.expect("a handshake")
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_valid_and_its_facts_are_told() {
    let authority = Authority::new();
    let facts = facts_of(&authority, authority.issue(&leaf(&["www.Example.com", HOST]))).await;
    assert_eq!(facts.trust, Ok(()));
    assert_eq!((facts.address.as_str(), facts.protocol.as_str()), (HOST, "TLS 1.3"));
    assert_eq!(facts.certificate.names, ["www.example.com", HOST]);
    assert_eq!(facts.certificate.issuer, "Example Trust (Root 1)");
    assert_eq!(facts.certificate.not_before.to_string(), "2020-01-01T00:00:00.000Z");
    assert_eq!(facts.certificate.not_after.to_string(), "2999-12-31T00:00:00.000Z");
}

#[tokio::test]
async fn a_bad_certificate_ends_in_its_facts_and_the_reason() {
    let authority = Authority::new();
    let mut expired = leaf(&[HOST]);
    expired.not_after = date_time_ymd(2021, 1, 1);
    let mut early = leaf(&[HOST]);
    early.not_before = date_time_ymd(2998, 1, 1);
    for (params, expected) in [
        (expired, Distrust::Expired),
        (early, Distrust::NotYetValid),
        (leaf(&["www.example.com"]), Distrust::WrongName),
    ] {
        let facts = facts_of(&authority, authority.issue(&params)).await;
        assert_eq!(facts.trust, Err(expected));
        assert_eq!(facts.certificate.issuer, "Example Trust (Root 1)");
    }
}

#[tokio::test]
async fn self_signed_and_unknown_issuers_are_told_apart() {
    let authority = Authority::new();
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().expect("a key");
        let mut params = leaf(&[HOST]);
        params.is_ca = is_ca;
        let certificate = params.self_signed(&key).expect("signed").der().clone();
        let facts = facts_of(&authority, Shown { certificate, key }).await;
        assert_eq!(facts.trust, Err(Distrust::SelfSigned));
    }
    for stranger in [Authority::named("Root 2"), Authority::named("Root 1")] {
        let facts = facts_of(&authority, stranger.issue(&leaf(&[HOST]))).await;
        assert_eq!(facts.trust, Err(Distrust::UnknownIssuer));
    }
}

#[tokio::test]
async fn the_protocol_that_the_host_speaks_is_told() {
    let authority = Authority::new();
    let shown = authority.issue(&leaf(&[HOST]));
    let server = Server::showing(shown, &[&rustls::version::TLS12]).await;
    let facts = shake(&trusting(&authority), server.address, Reach::Any).await.expect("a handshake");
    assert_eq!((facts.protocol.as_str(), facts.trust), ("TLS 1.2", Ok(())));
}

#[tokio::test]
async fn a_private_address_is_refused_before_anything_is_dialled() {
    let authority = Authority::new();
    let server = Server::showing(authority.issue(&leaf(&[HOST])), rustls::ALL_VERSIONS).await;
    let error = shake(&trusting(&authority), server.address, Reach::Public).await.expect_err("loopback");
    assert_eq!(error, HandshakeError::Refused { host: HOST.to_owned(), address: HOST.to_owned() });
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn hosts_without_tls_or_without_anything_are_told_apart() {
    let authority = Authority::new();
    let client = trusting(&authority);
    let listener = TcpListener::bind((HOST, 0)).await.expect("loopback can be bound");
    let address = listener.local_addr().expect("bound");
    let plain = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut hello = [0_u8; 16];
        stream.read_exact(&mut hello).await.expect("a greeting");
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("sent");
    };
    let (shaken, ()) = tokio::join!(shake(&client, address, Reach::Any), plain);
    assert!(matches!(shaken, Err(HandshakeError::Tls { .. })), "{shaken:?}");
    drop(listener);
    let error = shake(&client, address, Reach::Any).await.expect_err("nothing listens");
    assert_eq!(error, HandshakeError::NotListening { host: HOST.to_owned(), port: address.port() });
}

#[tokio::test]
async fn a_host_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind((HOST, 0)).await.expect("loopback can be bound");
    let port = listener.local_addr().expect("bound").port();
    let timeout = Duration::from_millis(50);
    let request = HandshakeRequest { host: HOST.to_owned(), port, reach: Reach::Any, timeout };
    let error = trusting(&Authority::new()).handshake(request).await.expect_err("silence");
    assert_eq!(error, HandshakeError::Timeout { host: HOST.to_owned(), timeout_ms: 50 });
}

//! Where only public addresses may be reached, no page gets a connection to another one, whatever it tries.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;

/// What stands for the public host of the page in these tests.
const PUBLIC: &str = "93.184.216.34:80";

/// Names that lead where a test says, and connections that are written down. Only [`PUBLIC`] really leads anywhere: to
/// our own server.
#[derive(Debug)]
struct StagedNetwork {
    server: SocketAddr,
    lookups: Mutex<Vec<String>>,
    dialled: Mutex<Vec<SocketAddr>>,
}

#[async_trait]
impl Network for StagedNetwork {
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let again = {
            let mut lookups = self.lookups.lock().expect("not poisoned");
            lookups.push(host.to_owned());
            lookups.iter().filter(|name| *name == host).count() > 1
        };
        let public: SocketAddr = PUBLIC.parse().expect("an address");
        let private = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(match host {
            "public.test" => vec![public],
            "private.test" => vec![private],
            "mixed.test" => vec![public, private],
            // Changes its mind after the first look-up.
            "rebind.test" if !again => vec![public],
            "rebind.test" => vec![private],
            literal => tokio::net::lookup_host((literal, port)).await?.collect(),
        })
    }

    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.dialled.lock().expect("not poisoned").push(address);
        if address.to_string() == PUBLIC {
            TcpStream::connect(self.server).await
        } else {
            Err(io::ErrorKind::Other.into())
        }
    }
}

/// Everything that a page can try, against `port` of this machine by TCP, and `udp` by UDP.
fn attack(port: u16, udp: u16) -> String {
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "localhost",
        "x.localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "private.test",
        "mixed.test",
        "rebind.test",
        "169.254.169.254",
    ];
    // First, so that no resource that hangs keeps it from being tried.
    let mut page = String::from(
        "<!doctype html><p>hello<script>console.error(isSecureContext, `${typeof WebTransport}`);\
         const peer = new RTCPeerConnection({iceServers: [{urls: ['stun:127.0.0.1:UDP', 'stun:localhost:UDP']},\
         {urls: ['turn:127.0.0.1:UDP', 'turn:127.0.0.1:PORT?transport=tcp'], username: 'a', credential: 'b'}]});\
         peer.createDataChannel('x'); peer.createOffer().then(offer => peer.setLocalDescription(offer));\
         new WebTransport('https://127.0.0.1:UDP/').ready.catch(() => 0);</script>",
    );
    for host in hosts {
        let target = format!("{host}:{port}");
        page.push_str(&format!(
            "<img src='http://{target}/img'><script src='http://{target}/s.js'></script><iframe src='http://{target}/f'></iframe>\
             <link rel=stylesheet href='http://{target}/c'><link rel=preconnect href='http://{target}'>\
             <link rel=dns-prefetch href='//{target}'><link rel=prefetch href='http://{target}/p'><video src='http://{target}/v'></video>\
             <object data='http://{target}/o'></object><script>\
             fetch('http://{target}/fetch', {{mode: 'no-cors'}}).catch(() => 0); new WebSocket('ws://{target}/ws');\
             new EventSource('http://{target}/es'); navigator.sendBeacon('http://{target}/beacon', 'x');\
             new Image().src = 'https://{target}/tls'; try {{ new WebTransport('https://{host}:{udp}/').ready.catch(() => 0); }} catch {{}}</script>"
        ));
    }
    page.push_str("<img src=/redirect><iframe src=/redirect></iframe><script>fetch('/redirect', {mode: 'no-cors'}).catch(() => 0);\
        new Worker(URL.createObjectURL(new Blob([`fetch('http://127.0.0.1:PORT/worker', {mode: 'no-cors'})`])));</script>");
    page.replace("PORT", &port.to_string()).replace("UDP", &udp.to_string())
}

/// Counts what reaches it.
struct Victim {
    port: u16,
    udp: UdpSocket,
    listener: TcpListener,
}

impl Victim {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("loopback can be bound");
        Self { port: listener.local_addr().expect("bound").port(), udp, listener }
    }

    /// Whether a connection or a packet is waiting: the system has taken it even if nobody accepts.
    async fn was_reached(&self) -> (bool, bool) {
        let soon = Duration::from_millis(1);
        let mut packet = [0; 16];
        let tcp = tokio::time::timeout(soon, self.listener.accept()).await.is_ok();
        (tcp, tokio::time::timeout(soon, self.udp.recv(&mut packet)).await.is_ok())
    }
}

/// Lets the page attack; gives what was reached by TCP and by UDP, and the outcome.
async fn attacked(reach: Reach) -> ((bool, bool), Result<PageLoad, BrowserError>, Arc<StagedNetwork>) {
    let victim = Victim::new().await;
    let udp = victim.udp.local_addr().expect("bound").port();
    let to_victim = format!("->http://127.0.0.1:{}/redirected", victim.port);
    let server = Server::with(&[("/", &attack(victim.port, udp)), ("/redirect", &to_victim)]).await;
    let network =
        Arc::new(StagedNetwork { server: server.address, lookups: Mutex::default(), dialled: Mutex::default() });
    // In a secure context there is more to try, such as WebTransport.
    let secure = vec!["--unsafely-treat-insecure-origin-as-secure=http://public.test".to_owned()];
    let chromium = Chromium { network: network.clone(), more_flags: secure, ..chromium() };
    let url = match reach {
        Reach::Public => "http://public.test/".to_owned(),
        Reach::Any => server.url("/"),
    };
    let outcome = chromium.load(Visit { reach, ..visit(&url) }).await;
    (victim.was_reached().await, outcome, network)
}

#[tokio::test]
async fn no_page_reaches_a_private_address_where_only_public_ones_are_allowed() {
    let (reached, outcome, network) = attacked(Reach::Public).await;
    let load = outcome.expect("the page itself is public");
    assert_eq!(reached, (false, false), "{:?}", network.dialled);
    assert!(load.console_errors.first.iter().any(|text| text == "true function"), "{:?}", load.console_errors);
    let public: SocketAddr = PUBLIC.parse().expect("an address");
    let dialled = network.dialled.lock().expect("not poisoned");
    assert!(
        !dialled.is_empty() && dialled.iter().all(|address| *address == public || address.ip() == public.ip()),
        "{dialled:?}"
    );
    assert!(load.refused.iter().any(|host| host.starts_with("127.0.0.1 ")), "{:?}", load.refused);
    // The second look-up of the name that changes its mind was judged too.
    assert!(network.lookups.lock().expect("not poisoned").iter().filter(|name| *name == "rebind.test").count() > 1);
}

#[tokio::test]
async fn the_same_page_reaches_it_where_any_address_is_allowed() {
    let (reached, outcome, _) = attacked(Reach::Any).await;
    assert_eq!(reached, (true, true), "the attack is none: {outcome:?}");
}

#[tokio::test]
async fn a_private_page_is_refused_and_so_is_a_redirect_to_one() {
    for (url, page) in
        [("http://private.test/", "x".to_owned()), ("http://public.test/", "->http://10.0.0.1/".to_owned())]
    {
        let server = Server::with(&[("/", &page)]).await;
        let network =
            Arc::new(StagedNetwork { server: server.address, lookups: Mutex::default(), dialled: Mutex::default() });
        let chromium = Chromium { network, ..chromium() };
        let error = chromium.load(Visit { reach: Reach::Public, ..visit(url) }).await.expect_err("private");
        assert!(matches!(&error, BrowserError::Page(why) if why.contains("is not a public address")), "{error}");
    }
}

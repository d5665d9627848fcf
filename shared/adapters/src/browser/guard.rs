//! What stands between a browser and the network where only public addresses may be reached: a SOCKS5 proxy on loopback
//! (RFC 1928) through which the browser makes every connection.
//!
//! The browser gives names and looks none up by itself, so that each connection, of each redirect, frame, script, socket
//! and worker, is judged here: all addresses of the name at once, and what was judged is what is dialled. A name that
//! changes its mind between two look-ups gains nothing. UDP is not carried, and the browser is told to use none.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::http::guard::judge;

/// Connections at the same time; a browser opens 256 at most by itself.
const CONNECTIONS_MAX: usize = 256;
/// Longest wait for a name, for a connection, and for a greeting.
const STEP_MS: u64 = 10_000;
/// Refused hosts that are remembered.
const REFUSED_MAX: usize = 20;

/// Names and connections, so that tests can say where a name leads.
#[async_trait]
pub(super) trait Network: std::fmt::Debug + Send + Sync {
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// The system's resolver and its network.
#[derive(Debug)]
pub(super) struct SystemNetwork;

#[async_trait]
impl Network for SystemNetwork {
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

/// A running proxy; dropping it closes all its connections.
pub(super) struct Guard {
    pub(super) port: u16,
    refused: Arc<Mutex<BTreeSet<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl Guard {
    pub(super) async fn listen(network: Arc<dyn Network>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let refused = Arc::new(Mutex::new(BTreeSet::new()));
        let task = AbortOnDropHandle::new(tokio::spawn(accept(listener, network, refused.clone())));
        Ok(Self { port, refused, _task: task })
    }

    /// The hosts that were refused so far, with the address that was the reason.
    pub(super) fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

async fn accept(listener: TcpListener, network: Arc<dyn Network>, refused: Arc<Mutex<BTreeSet<String>>>) {
    let mut connections = JoinSet::new();
    loop {
        // Beyond the limit nothing is accepted until a connection ends.
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (network, refused) = (network.clone(), refused.clone());
        connections.spawn(async move {
            // What goes wrong with one connection is the browser's to report.
            let _ = serve(stream, &*network, &refused).await;
        });
    }
}

/// The answers of RFC 1928 that are given.
#[derive(Clone, Copy)]
enum Reply {
    Succeeded = 0,
    NotAllowed = 2,
    HostUnreachable = 4,
    CommandNotSupported = 7,
    AddressNotSupported = 8,
}

async fn serve(mut client: TcpStream, network: &dyn Network, refused: &Mutex<BTreeSet<String>>) -> io::Result<()> {
    let step = Duration::from_millis(STEP_MS);
    let asked = timeout(step, greet(&mut client)).await??;
    let (host, port) = match asked {
        Ok(target) => target,
        Err(reply) => return answer(&mut client, reply).await,
    };
    let found = timeout(step, network.lookup(&host, port)).await;
    let Ok(Ok(addresses)) = found else { return answer(&mut client, Reply::HostUnreachable).await };
    let addresses = match judge(addresses) {
        Ok(addresses) => addresses,
        Err(error) => {
            remember(refused, format!("{host} ({error})"));
            return answer(&mut client, Reply::NotAllowed).await;
        }
    };
    for address in addresses {
        if let Ok(Ok(mut server)) = timeout(step, network.dial(address)).await {
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            answer(&mut client, Reply::Succeeded).await?;
            copy_bidirectional(&mut client, &mut server).await?;
            return Ok(());
        }
    }
    answer(&mut client, Reply::HostUnreachable).await
}

fn remember(refused: &Mutex<BTreeSet<String>>, text: String) {
    let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
    if refused.len() < REFUSED_MAX {
        refused.insert(text);
    }
}

/// Reads the greeting and the request; gives what is to be connected to.
async fn greet(client: &mut TcpStream) -> io::Result<Result<(String, u16), Reply>> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    let version = client.read_u8().await?;
    let mut methods = vec![0; usize::from(client.read_u8().await?)];
    client.read_exact(&mut methods).await?;
    if version != 5 || !methods.contains(&0) {
        return Err(broken());
    }
    client.write_all(&[5, 0]).await?;
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    let [5, command, _, kind] = head else { return Err(broken()) };
    let host = match kind {
        1 => Ipv4Addr::from(client.read_u32().await?).to_string(),
        3 => {
            let mut name = vec![0; usize::from(client.read_u8().await?)];
            client.read_exact(&mut name).await?;
            String::from_utf8(name).map_err(|_| broken())?
        }
        4 => Ipv6Addr::from(client.read_u128().await?).to_string(),
        _ => return Ok(Err(Reply::AddressNotSupported)),
    };
    let port = client.read_u16().await?;
    Ok(if command == 1 { Ok((host, port)) } else { Err(Reply::CommandNotSupported) })
}

async fn answer(client: &mut TcpStream, reply: Reply) -> io::Result<()> {
    client.write_all(&[5, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

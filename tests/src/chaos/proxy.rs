//! A line between two programs that can be disturbed: cut, silent, deaf in one direction, slow, or in slices of a byte.
//!
//! What passes is never altered: as over TCP, bytes come in order, late, or not at all. A connection that lived through
//! silence stays silent, as behind a router that forgot it, until it is reset as keep-alive probes would do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A connection that was silent for this long is reset.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(20);

/// How a line behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As it should.
    Pass,
    /// Connections are reset, new ones too.
    Cut,
    /// Nothing arrives in either direction, and nobody is told.
    BlackHole,
    /// What is sent arrives; no answer does.
    HalfOpen,
    /// Everything takes this many milliseconds longer.
    Slow(u64),
    /// Bytes come one by one.
    Slices,
}

/// A listening line.
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    carried: Arc<AtomicU64>,
    end: CancellationToken,
}

/// What the two directions of a connection share.
struct Fate {
    cut: CancellationToken,
    /// Forth and back.
    silent: [AtomicBool; 2],
}

impl Proxy {
    /// A line to `target` on a free port.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (mode, modes) = watch::channel(Mode::Pass);
        let (carried, end) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let serving = serve(listener, target, modes, carried.clone());
        let ended = end.clone();
        tokio::spawn(async move { ended.run_until_cancelled(serving).await });
        Self { address, mode, carried, end }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it behaves like this.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How many connections it has carried.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, modes: watch::Receiver<Mode>, carried: Arc<AtomicU64>) {
    loop {
        // out of files for a moment: the next one may get through
        let Ok((near, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        carried.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(carry(near, target, modes.clone()));
    }
}

async fn carry(near: TcpStream, target: SocketAddr, modes: watch::Receiver<Mode>) {
    let first = *modes.borrow();
    let fate = Arc::new(Fate { cut: CancellationToken::new(), silent: Default::default() });
    fate.meet(first);
    if fate.cut.is_cancelled() {
        return reset(&near);
    }
    let Ok(far) = TcpStream::connect(target).await else { return reset(&near) };
    // an error means that the other end is gone already
    let _ = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let forth = pump(near_in, far_out, 0, modes.clone(), fate.clone());
    let back = pump(far_in, near_out, 1, modes, fate);
    tokio::join!(forth, back);
}

impl Fate {
    fn meet(&self, mode: Mode) {
        match mode {
            Mode::Pass | Mode::Slow(_) | Mode::Slices => {}
            Mode::Cut => self.cut.cancel(),
            Mode::BlackHole => self.silent.iter().for_each(|silent| silent.store(true, Ordering::Relaxed)),
            Mode::HalfOpen => self.silent[1].store(true, Ordering::Relaxed),
        }
    }

    fn is_silent(&self, direction: usize) -> bool {
        self.silent[direction].load(Ordering::Relaxed)
    }
}

/// Closes without a farewell.
fn reset(stream: &TcpStream) {
    // an error means that it is closed already
    let _ = stream.set_zero_linger();
}

/// Carries one direction until it ends, or the connection is cut.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: usize,
    mut modes: watch::Receiver<Mode>,
    fate: Arc<Fate>,
) {
    let mut buffer = vec![0; 16 * 1_024];
    let mut silent_since = None;
    loop {
        if fate.is_silent(direction) && silent_since.is_none() {
            silent_since = Some(Instant::now());
        }
        let forgotten = async {
            match silent_since {
                Some(since) => tokio::time::sleep_until(since + FORGOTTEN_AFTER).await,
                None => std::future::pending().await,
            }
        };
        let read = tokio::select! {
            () = fate.cut.cancelled() => break,
            () = forgotten => break fate.cut.cancel(),
            Ok(()) = modes.changed() => {
                fate.meet(*modes.borrow_and_update());
                continue;
            }
            read = from.read(&mut buffer) => read,
        };
        let silent = fate.is_silent(direction);
        match read {
            // a farewell is lost like everything else; what has ended is not read again
            Ok(0) | Err(_) if silent => {
                fate.cut.run_until_cancelled(tokio::time::sleep_until(Instant::now() + FORGOTTEN_AFTER)).await;
                break fate.cut.cancel();
            }
            Ok(0) => break drop(to.shutdown().await),
            Err(_) => break fate.cut.cancel(),
            Ok(_) if silent => {}
            Ok(bytes) => {
                let mode = *modes.borrow();
                let sent = fate.cut.run_until_cancelled(send(&mut to, &buffer[..bytes], mode)).await;
                if !matches!(sent, Some(Ok(()))) {
                    break fate.cut.cancel();
                }
            }
        }
    }
    if fate.cut.is_cancelled() {
        reset(from.as_ref());
        reset(to.as_ref());
        // else it would say farewell first
        to.forget();
    }
}

async fn send(to: &mut OwnedWriteHalf, bytes: &[u8], mode: Mode) -> std::io::Result<()> {
    match mode {
        Mode::Slices => {
            for byte in bytes.chunks(1) {
                to.write_all(byte).await?;
                tokio::task::yield_now().await;
            }
            Ok(())
        }
        Mode::Slow(ms) => {
            tokio::time::sleep_until(Instant::now() + Duration::from_millis(ms)).await;
            to.write_all(bytes).await
        }
        Mode::Pass | Mode::Cut | Mode::BlackHole | Mode::HalfOpen => to.write_all(bytes).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that repeats what it hears, and a line to it.
    async fn echo() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        Proxy::start(address).await
    }

    async fn said(stream: &mut TcpStream, words: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(words).await?;
        let mut heard = vec![0; words.len()];
        stream.read_exact(&mut heard).await.map(|_| heard)
    }

    #[tokio::test]
    async fn slow_and_sliced_bytes_all_arrive_in_order() {
        let line = echo().await;
        let mut stream = TcpStream::connect(line.address()).await.expect("it listens");
        for mode in [Mode::Pass, Mode::Slices, Mode::Slow(5), Mode::Pass] {
            line.set(mode);
            assert_eq!(said(&mut stream, b"some words").await.expect("it passes"), b"some words", "{mode:?}");
        }
        assert_eq!(line.carried(), 1);
    }

    #[tokio::test]
    async fn a_cut_resets_what_is_open_and_what_comes_until_it_is_mended() {
        let line = echo().await;
        let mut before = TcpStream::connect(line.address()).await.expect("it listens");
        assert!(said(&mut before, b"x").await.is_ok());
        line.set(Mode::Cut);
        assert!(before.read(&mut [0; 1]).await.is_err(), "a reset is no farewell");
        let mut during = TcpStream::connect(line.address()).await.expect("it listens");
        assert!(said(&mut during, b"x").await.is_err());
        line.set(Mode::Pass);
        let mut after = TcpStream::connect(line.address()).await.expect("it listens");
        assert!(said(&mut after, b"x").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_lived_through_silence_stays_silent_and_is_reset_at_last() {
        let line = echo().await;
        let mut stream = TcpStream::connect(line.address()).await.expect("it listens");
        assert!(said(&mut stream, b"x").await.is_ok());
        line.set(Mode::BlackHole);
        let before = Instant::now();
        let lost = tokio::time::timeout(Duration::from_secs(3), said(&mut stream, b"lost"));
        assert!(lost.await.is_err(), "nobody tells");
        line.set(Mode::Pass);
        assert!(stream.read(&mut [0; 1]).await.is_err());
        assert!(before.elapsed() >= FORGOTTEN_AFTER);
    }
}

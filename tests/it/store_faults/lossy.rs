//! A line to Postgres on which commits get lost: the connection ends right after the server has carried out a commit and
//! before anyone is told, or right before the server hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The client's message, as the protocol has it.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// What of a commit gets lost.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loses {
    /// The server's answer: it is committed, and we are not told.
    Answer,
    /// The order itself: it is not committed.
    Order,
}

/// The line.
pub(super) struct Line {
    pub(super) port: u16,
    armed: Arc<AtomicU64>,
}

impl Line {
    pub(super) async fn to(port: u16, loses: Loses) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("bound").port();
        let armed = Arc::new(AtomicU64::new(0));
        let cuts = armed.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let cuts = cuts.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
                    carry(client, server, &cuts, loses).await;
                });
            }
        });
        Self { port: own, armed }
    }

    /// The next commits, this many, get lost.
    pub(super) fn lose(&self, commits: u64) {
        self.armed.store(commits, Ordering::SeqCst);
    }

    /// Whether all of them were lost.
    pub(super) fn is_done(&self) -> bool {
        self.armed.load(Ordering::SeqCst) == 0
    }
}

/// Carries bytes until either side ends, or a commit is to be lost.
async fn carry(mut client: TcpStream, mut server: TcpStream, armed: &AtomicU64, loses: Loses) {
    let (mut forth, mut back) = (vec![0; 64 * 1_024], vec![0; 64 * 1_024]);
    loop {
        tokio::select! {
            read = client.read(&mut forth) => {
                let Ok(length @ 1..) = read else { return };
                let said = &forth[..length];
                let commits = said.windows(COMMIT.len()).any(|window| window == COMMIT);
                let is_lost = commits
                    && armed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
                if is_lost && matches!(loses, Loses::Order) {
                    return;
                }
                if server.write_all(said).await.is_err() {
                    return;
                }
                if is_lost {
                    // The server answers when it is done.
                    let _ = server.read(&mut back).await;
                    return;
                }
            }
            read = server.read(&mut back) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&back[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

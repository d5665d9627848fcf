//! A line that can go silent, as behind a router that forgot its connections.

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands between store and server. It can go silent: bytes vanish, sockets stay open, nobody is told.
pub(super) struct Proxy {
    pub(super) port: u16,
    silenced: watch::Sender<u32>,
}

impl Proxy {
    pub(super) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (silenced, silences) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut silences, born) = (server.clone(), silences.clone(), *silences.borrow());
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.expect("the server listens");
                    let silent = async { drop(silences.wait_for(|silences| *silences > born).await) };
                    let is_silent = tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => false,
                        () = silent => true,
                    };
                    if is_silent {
                        // with both sockets open
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { port, silenced }
    }

    /// No byte passes any more on the connections that are open now.
    pub(super) fn go_silent(&self) {
        self.silenced.send_modify(|silences| *silences += 1);
    }
}

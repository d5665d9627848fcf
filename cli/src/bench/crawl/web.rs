//! A private nginx over one folder, which counts in its log what it is asked for.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::net::TcpStream;

use crate::bench::guarded::{Guarded, Plan, folder};
use crate::bench::servers::{START_PATIENCE, find, free_port};

/// Writes the configuration and becomes the server. Arguments: the configuration, the folder, the program.
const CONFIGURE_AND_START: &str = r#"
printf '%s' "$1" >"$2/nginx.conf" && mkdir "$2/site" && exec "$3" -p "$2" -c "$2/nginx.conf" -e "$2/error.log"
"#;

/// A web server over one folder.
pub(super) struct Web {
    pub(super) process: Guarded,
    folder: PathBuf,
    port: u16,
}

/// What a server was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Served {
    /// Requests that were answered.
    pub(super) requests: u64,
    /// Those that were answered with a whole HTML page.
    pub(super) pages: u64,
    /// Bytes of all bodies.
    pub(super) bytes: u64,
}

impl Web {
    /// Serves `root`, or an empty folder of its own, see [`Self::own_site`].
    pub(super) async fn serve(parent: &Path, name: &str, root: Option<&Path>) -> anyhow::Result<Self> {
        // Debian keeps it where only root looks.
        let program = find(&["nginx"]).or_else(|| Some(PathBuf::from("/usr/sbin/nginx")).filter(|path| path.is_file()));
        let program = program.context("there is no nginx on this machine, which serves what is crawled: install it")?;
        let (folder, port) = (folder(parent, name)?, free_port()?);
        let root = root.map_or_else(|| folder.join("site"), Path::to_owned);
        let configuration = configuration(&folder, port, &root);
        let words = ["sh", "-c", CONFIGURE_AND_START, "nginx", &configuration].map(OsStr::new);
        let command: Vec<&OsStr> = words.into_iter().chain([folder.as_os_str(), program.as_os_str()]).collect();
        let plan = Plan { name, folder: folder.clone(), owner: "", end: "TERM", program: &command, environment: &[] };
        let process = Guarded::start(plan).await?;
        process.until(START_PATIENCE, async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await?;
        Ok(Self { process, folder, port })
    }

    /// Where it answers.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The folder that is served if no other was named. It goes when the server does.
    pub(super) fn own_site(&self) -> PathBuf {
        self.folder.join("site")
    }

    /// What it was asked for since it was started.
    pub(super) fn served(&self) -> anyhow::Result<Served> {
        let log = fs::read_to_string(self.folder.join("access.log")).context("cannot read the log of nginx")?;
        Ok(Served::count(&log))
    }
}

impl Served {
    fn count(log: &str) -> Self {
        let mut served = Self::default();
        for line in log.lines() {
            let mut words = line.split(' ');
            let bytes = words.next().and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or_default();
            let is_page = words.next() == Some("200") && words.next().is_some_and(|kind| kind.starts_with("text/html"));
            served.requests += 1;
            served.pages += u64::from(is_page && bytes > 0);
            served.bytes += bytes;
        }
        served
    }

    /// What came after `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests - before.requests,
            pages: self.pages - before.pages,
            bytes: self.bytes - before.bytes,
        }
    }
}

fn configuration(folder: &Path, port: u16, root: &Path) -> String {
    let (folder, root) = (folder.display(), root.display());
    // Started by root, its worker must still be able to read a folder that is for root alone.
    format!(
        "daemon off; user root; worker_processes 1; pid {folder}/pid; events {{ worker_connections 256; }}
        http {{
            types {{ text/html html; text/css css; text/xml xml; application/javascript js; image/png png; }}
            default_type application/octet-stream; sendfile on; tcp_nopush on; keepalive_requests 100000;
            log_format short '$body_bytes_sent $status $sent_http_content_type'; access_log {folder}/access.log short;
            client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
            uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
            server {{ listen 127.0.0.1:{port}; root '{root}'; }}
        }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_requests_pages_and_bytes_since_a_moment() {
        let (before, more) = ("12 404 text/html\n0 200 text/html\n", "100 200 text/html\n5 200 image/png\n");
        let (before, after) = (Served::count(before), Served::count(&format!("{before}{more}")));
        assert_eq!(before, Served { requests: 2, pages: 0, bytes: 12 });
        assert_eq!(after.since(before), Served { requests: 2, pages: 1, bytes: 105 });
    }
}

//! nginx over directories of this machine, each under a name of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// How often another port is tried when somebody else was faster.
const PORT_TRIES: u32 = 20;

/// A server on a free port of loopback, with everything that it writes in a directory of its own. It ends with the test.
pub struct Nginx {
    directory: TempDir,
    port: u16,
}

impl Nginx {
    /// Serves for each name the directory beside it.
    ///
    /// # Panics
    /// If nginx (Debian package `nginx-light`) is not there or starts on no port.
    #[must_use]
    pub fn serve(sites: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for _ in 0..PORT_TRIES {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).expect("a port").port();
            std::fs::write(directory.path().join("nginx.conf"), configuration(directory.path(), port, sites))
                .expect("the directory is writable");
            // It goes to the background when it listens.
            let started = command(directory.path()).status();
            if started.expect("nginx (Debian package nginx-light) is installed").success() {
                return Self { directory, port };
            }
        }
        panic!("nginx starts on none of {PORT_TRIES} free ports");
    }

    /// The first site, by its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A test that failed must not fail again here.
        let _ = command(self.directory.path()).args(["-s", "stop"]).status();
    }
}

fn command(directory: &Path) -> Command {
    // Debian keeps it where only root looks.
    let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    let mut command = Command::new(program);
    command.arg("-p").arg(directory).arg("-c").arg(directory.join("nginx.conf"));
    command.arg("-e").arg(directory.join("error.log"));
    command
}

fn configuration(directory: &Path, port: u16, sites: &[(&str, &str)]) -> String {
    let directory = directory.display();
    let servers: Vec<String> = sites
        .iter()
        .map(|(name, root)| format!("server {{ listen 127.0.0.1:{port}; server_name {name}; root {root}; }}"))
        .collect();
    format!(
        "worker_processes 1; pid {directory}/pid; events {{ worker_connections 64; }}
        http {{
            types {{ text/html html; text/css css; text/xml xml; application/javascript js; image/png png; }}
            default_type application/octet-stream;
            access_log off;
            client_body_temp_path {directory}/t; proxy_temp_path {directory}/t; fastcgi_temp_path {directory}/t;
            uwsgi_temp_path {directory}/t; scgi_temp_path {directory}/t;
            {}
        }}",
        servers.join("\n            ")
    )
}

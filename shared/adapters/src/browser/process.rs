//! The browser's processes: started in a group of their own, and never outliving us.
//!
//! A small guard, a shell in a session of its own, waits for the end of a pipe whose other end this process holds. When
//! that end goes, because the browser was closed, the attempt was dropped, or this process was killed, the guard kills
//! the whole group and removes the folder with the browser's data. Nothing has to be done by us for that to happen.

use std::fs::DirBuilder;
use std::io::{PipeWriter, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tracing::warn;

use super::Failure;
use super::pipe::Pipe;

/// Longest wait for the processes to be gone after they were told to.
const END_MS: u64 = 5_000;
/// Bytes that the path of the folder for temporary files may have: Chromium puts a socket below its own folder, whose
/// path the system limits to 108 bytes, and crashes if that is not enough. A longer one is passed over for `/tmp`.
const TEMPORARY_BYTES_MAX: usize = 36;
/// Bytes of what the browser says on standard error that are kept.
const WORDS_BYTES_MAX: usize = 2_048;

/// Standard input is the socket for messages, standard output the pipe whose end is waited for. The browser reads its
/// messages from descriptor 3 and writes them to 4, as `--remote-debugging-pipe` wants it.
const SCRIPT: &str = r#"
command -v setsid >/dev/null 2>&1 || { echo 'setsid is missing (Debian package util-linux)' >&2; exit 127; }
folder=$1; shift
exec 3<&0 4>&0 5<&1 </dev/null >/dev/null
ulimit -c 0
setsid sh -c '
    exec 3<&- 4>&-
    read -r nothing <&5
    kill -9 "-$1" 2>/dev/null
    for again in 1 2 3 4 5 6 7 8 9; do
        sleep 0.1
        rm -rf "$2" 2>/dev/null
        [ -e "$2" ] || exit
    done
' guard $$ "$folder" &
exec 5<&-
exec "$@"
"#;

/// What every browser is started with. No network of its own, no dialogs, no updates, nothing remembered; frames in the
/// process of their page, so that slowing down and counting reach them too.
const FLAGS: [&str; 31] = [
    "--headless=new",
    "--no-startup-window",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-quic",
    "--disable-sync",
    "--disable-site-isolation-trials",
    "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider,IsolateOrigins,site-per-process,\
     HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,PrefetchPrivacyChanges,WebBluetooth",
    "--deny-permission-prompts",
    // WebRTC would go around a proxy by UDP; the switch has two names. WebTransport gives up where there is a proxy.
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--hide-scrollbars",
    "--metrics-recording-only",
    "--mute-audio",
    "--password-store=basic",
    "--use-mock-keychain",
    "--js-flags=--max-old-space-size=1024",
];

/// A running browser. Dropping it ends its processes and removes its folder.
pub(super) struct Process {
    child: Child,
    lifeline: PipeWriter,
    said: JoinHandle<String>,
    /// The process, whose number is also that of its group.
    pub(super) group: u32,
}

impl Process {
    /// Starts the program with an empty profile. `proxy` is a SOCKS proxy on this machine that makes all connections.
    pub(super) fn start(program: &Path, more_flags: &[String], proxy: Option<u16>) -> Result<(Self, Pipe), Failure> {
        let folder = fresh_folder().map_err(|error| Failure::Start(format!("cannot make a folder: {error}")))?;
        let (mut child, socket, lifeline) = spawn(program, &folder, more_flags, proxy).map_err(|error| {
            // Nobody guards it yet.
            let _ = std::fs::remove_dir_all(&folder);
            Failure::Start(error.to_string())
        })?;
        let group = child.id().ok_or_else(|| Failure::Start("it ended at once".to_owned()))?;
        let said = child.stderr.take().map(|stderr| tokio::spawn(last_words(stderr)));
        let said = said.ok_or_else(|| Failure::Start("its standard error is not piped".to_owned()))?;
        Ok((Self { child, lifeline, said, group }, Pipe::new(socket)))
    }

    /// Ends the processes, waits until they are gone, and gives what they said last.
    pub(super) async fn end(self) -> String {
        let Self { mut child, lifeline, said, group } = self;
        drop(lifeline);
        // Standard error ends when the last process that has it is gone, and the guard goes last.
        let gone = async {
            let _ = child.wait().await;
            said.await.unwrap_or_default()
        };
        match tokio::time::timeout(Duration::from_millis(END_MS), gone).await {
            Ok(words) => words,
            Err(_) => {
                warn!(browser.group = group, "processes of the browser were told to end and are still there");
                String::new()
            }
        }
    }
}

type Spawned = (Child, UnixStream, PipeWriter);

fn spawn(program: &Path, folder: &Path, more_flags: &[String], proxy: Option<u16>) -> std::io::Result<Spawned> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (awaited, lifeline) = pipe()?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "browser"]).arg(folder).arg(program).args(FLAGS).args(more_flags);
    command.arg(format!("--user-data-dir={}", folder.display()));
    if !may_be_sandboxed() {
        command.arg("--no-sandbox");
    }
    if let Some(port) = proxy {
        // Names are looked up by the proxy alone, and no address goes around it, loopback included.
        command.arg(format!("--proxy-server=socks5://127.0.0.1:{port}"));
        command.args(["--proxy-bypass-list=<-loopback>", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]);
    }
    // Nothing of our environment, where keys are; its home is its folder.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
    for home in ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        command.env(home, folder);
    }
    command.env("LANG", "C.UTF-8").current_dir("/").process_group(0).kill_on_drop(true);
    command.stdin(OwnedFd::from(theirs)).stdout(awaited).stderr(Stdio::piped());
    let child = command.spawn()?;
    Ok((child, UnixStream::from_std(ours)?, lifeline))
}

/// A folder that only its owner can enter.
fn fresh_folder() -> std::io::Result<PathBuf> {
    let temporary = std::env::temp_dir();
    let is_short = temporary.as_os_str().len() <= TEMPORARY_BYTES_MAX;
    let temporary = if is_short { temporary } else { PathBuf::from("/tmp") };
    let folder = temporary.join(format!("hermes-browser-{:08x}", rand::random::<u32>()));
    DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

/// Whether Chromium's own sandbox can work: it refuses root, and containers seldom let it make its namespaces.
fn may_be_sandboxed() -> bool {
    static WARNED: AtomicBool = AtomicBool::new(false);
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let in_container = Path::new("/.dockerenv").exists()
        || Path::new("/run/.containerenv").exists()
        || std::env::var_os("container").is_some()
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let why = match (is_root, in_container) {
        (false, false) => return true,
        (true, _) => "this process is root",
        (false, true) => "this is a container",
    };
    if !WARNED.swap(true, Ordering::Relaxed) {
        warn!(
            "Chromium runs without its sandbox, because {why}; run Hermes as an ordinary user on a machine of its own"
        );
    }
    false
}

/// Reads to the end, so that the browser never waits for us, and keeps the last of it.
async fn last_words(mut stderr: ChildStderr) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut piece = [0_u8; 4_096];
    while let Ok(count @ 1..) = stderr.read(&mut piece).await {
        kept.extend_from_slice(&piece[..count]);
        let surplus = kept.len().saturating_sub(WORDS_BYTES_MAX);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

//! A download as lines: streamed, unpacked if it is packed, and bounded in every direction.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::time::timeout;

/// Longest wait for the next line; a list is slow to come, but it keeps coming.
const SILENCE_MS: u64 = 30_000;
/// Bytes of one line, at most; real ones have about a hundred.
const LINE_BYTES_MAX: u64 = 8 * 1_024;

/// What gzip begins with. Source: RFC 1952, section 2.3.1.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads lines.
pub(super) struct Lines {
    reader: Pin<Box<dyn AsyncBufRead + Send>>,
    line: Vec<u8>,
}

impl Lines {
    /// Over a body, packed or not: its first bytes tell.
    pub(super) async fn over<R: AsyncBufRead + Send + Unpin + 'static>(mut body: R) -> io::Result<Self> {
        let head = patiently(body.fill_buf()).await?;
        let reader: Pin<Box<dyn AsyncBufRead + Send>> = if head.starts_with(&GZIP) {
            let mut decoder = GzipDecoder::new(body);
            decoder.multiple_members(true);
            Box::pin(BufReader::new(decoder))
        } else {
            Box::pin(body)
        };
        Ok(Self { reader, line: Vec::new() })
    }

    /// The next line without its end; `None` after the last one.
    pub(super) async fn next(&mut self) -> io::Result<Option<&str>> {
        self.line.clear();
        let mut bounded = (&mut self.reader).take(LINE_BYTES_MAX);
        patiently(bounded.read_until(b'\n', &mut self.line)).await?;
        match self.line.last() {
            None => return Ok(None),
            Some(b'\n') => {}
            Some(_) if self.line.len() as u64 == LINE_BYTES_MAX => {
                return Err(invalid(&format!("a line is longer than {LINE_BYTES_MAX} bytes")));
            }
            // Text files end with the end of a line; this one ends in the middle of one.
            Some(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        let text = std::str::from_utf8(&self.line).map_err(|_| invalid("a line is no text"))?;
        Ok(Some(text.trim_end_matches(['\r', '\n'])))
    }
}

pub(super) fn invalid(detail: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail.to_owned())
}

async fn patiently<T>(reading: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let limit = Duration::from_millis(SILENCE_MS);
    timeout(limit, reading).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

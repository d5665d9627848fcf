//! Reads a body: undoes its content coding while it streams and counts what comes out, never what came in.
//!
//! The HTTP library could do this, but it hides which coding the server applied. Memory is bounded by the limit plus
//! the decoder's window, whatever the ratio: a decoder only produces what is pulled from it.

use std::io;

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder};
use futures::TryStreamExt as _;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;

/// The codings that are offered to servers, as `Accept-Encoding` lists them.
pub(super) const ACCEPTED: &str = "gzip, br, deflate";

/// Codings that were not offered, and whose bodies are no text. Other names, such as `utf-8`, are mistakes of servers
/// that send their text as it is.
const NOT_OFFERED: [&str; 10] =
    ["zstd", "compress", "x-compress", "dcb", "dcz", "exi", "bzip2", "lzma", "xz", "pack200-gzip"];

/// The coding of a `Content-Encoding` field that makes a body unreadable: one that was not offered, or several.
pub(super) fn unreadable(field: &str) -> Option<String> {
    let names: Vec<String> = field.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    let is_strange = |name: &String| NOT_OFFERED.contains(&name.as_str());
    let codings = names.iter().filter(|name| is_strange(name) || Coding::named(name).is_some()).count();
    (codings > 1 || names.iter().any(is_strange)).then(|| names.join(", "))
}

/// Bytes pulled from the decoder at a time.
const STEP_BYTES: usize = 16 * 1_024;

/// A content coding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Brotli,
    Deflate,
}

impl Coding {
    /// The coding that a `Content-Encoding` field names; none if it names another one, or several.
    pub(super) fn named(field: &str) -> Option<Self> {
        match field.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "br" => Some(Self::Brotli),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }
}

/// A body as far as it was read.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// Whether there was more.
    pub(super) truncated: bool,
}

/// Reads at most `bytes_max` decoded bytes of the response's body.
pub(super) async fn read(response: reqwest::Response, coding: Option<Coding>, bytes_max: usize) -> io::Result<Body> {
    let encoded = StreamReader::new(response.bytes_stream().map_err(io::Error::other));
    read_from(encoded, coding, bytes_max).await
}

async fn read_from<R>(mut encoded: R, coding: Option<Coding>, bytes_max: usize) -> io::Result<Body>
where
    R: AsyncBufRead + Unpin + Send,
{
    let head = encoded.fill_buf().await?;
    // Answers to HEAD, and 304, name a coding and have no body that one could decode.
    if head.is_empty() {
        return Ok(Body { bytes: Vec::new(), truncated: false });
    }
    let bare_deflate = !looks_like_zlib(head);
    match coding {
        None => pull(encoded, bytes_max).await,
        Some(Coding::Gzip) => {
            let mut decoder = GzipDecoder::new(encoded);
            decoder.multiple_members(true);
            pull(decoder, bytes_max).await
        }
        Some(Coding::Brotli) => pull(BrotliDecoder::new(encoded), bytes_max).await,
        // The standard means zlib; some servers send the stream without its wrapper, and browsers read both.
        Some(Coding::Deflate) if bare_deflate => pull(DeflateDecoder::new(encoded), bytes_max).await,
        Some(Coding::Deflate) => pull(ZlibDecoder::new(encoded), bytes_max).await,
    }
}

fn looks_like_zlib(head: &[u8]) -> bool {
    match head {
        [cmf, flags, ..] => cmf & 0x0f == 8 && u16::from_be_bytes([*cmf, *flags]).is_multiple_of(31),
        [cmf] => cmf & 0x0f == 8,
        [] => false,
    }
}

async fn pull<R: AsyncRead + Unpin>(mut decoded: R, bytes_max: usize) -> io::Result<Body> {
    let mut bytes = Vec::new();
    let mut step = vec![0_u8; STEP_BYTES];
    loop {
        // At the limit one byte more is asked for, only to learn whether there is one.
        let room = (bytes_max - bytes.len()).clamp(1, STEP_BYTES);
        let count = decoded.read(&mut step[..room]).await?;
        if count == 0 {
            return Ok(Body { bytes, truncated: false });
        }
        if bytes.len() == bytes_max {
            return Ok(Body { bytes, truncated: true });
        }
        bytes.extend_from_slice(&step[..count]);
    }
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder};

    use super::*;

    async fn all<R: AsyncRead + Unpin>(mut reader: R) -> Vec<u8> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.expect("in memory");
        bytes
    }

    async fn encoded(coding: &str, plain: &[u8]) -> Vec<u8> {
        match coding {
            "gzip" => all(GzipEncoder::new(plain)).await,
            "br" => all(BrotliEncoder::new(plain)).await,
            "zlib" => all(ZlibEncoder::new(plain)).await,
            "bare deflate" => all(DeflateEncoder::new(plain)).await,
            other => panic!("{other}"),
        }
    }

    const CODINGS: [(&str, Coding); 4] =
        [("gzip", Coding::Gzip), ("br", Coding::Brotli), ("zlib", Coding::Deflate), ("bare deflate", Coding::Deflate)];

    #[tokio::test]
    async fn every_coding_is_undone() {
        let plain = b"the quick brown fox jumps over the lazy dog ".repeat(2_000);
        for (name, coding) in CODINGS {
            let body = read_from(encoded(name, &plain).await.as_slice(), Some(coding), 1 << 20).await.expect(name);
            assert_eq!(body.bytes, plain, "{name}");
            assert!(!body.truncated, "{name}");
        }
    }

    #[tokio::test]
    async fn the_limit_counts_decoded_bytes_and_is_exact() {
        let plain = vec![b'a'; 100_000];
        for (name, coding) in CODINGS {
            let bytes = encoded(name, &plain).await;
            for (limit, length, truncated) in [
                (0, 0, true),
                (1, 1, true),
                (99_999, 99_999, true),
                (100_000, 100_000, false),
                (100_001, 100_000, false),
            ] {
                let body = read_from(bytes.as_slice(), Some(coding), limit).await.expect(name);
                assert_eq!((body.bytes.len(), body.truncated), (length, truncated), "{name} at {limit}");
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_or_is_not_what_it_says_is_an_error() {
        for (name, coding) in CODINGS {
            let whole = encoded(name, &b"0123456789abcdef".repeat(500)).await;
            let half = &whole[..whole.len() / 2];
            assert!(read_from(half, Some(coding), 1 << 20).await.is_err(), "half of {name}");
            assert!(read_from(b"<!doctype html><p>".as_slice(), Some(coding), 1 << 20).await.is_err(), "no {name}");
        }
    }

    #[tokio::test]
    async fn two_gzip_members_are_one_body() {
        let mut bytes = encoded("gzip", b"one ").await;
        bytes.extend(encoded("gzip", b"two").await);
        let body = read_from(bytes.as_slice(), Some(Coding::Gzip), 100).await.expect("two members");
        assert_eq!(body.bytes, b"one two");
    }

    #[tokio::test]
    async fn an_empty_body_is_empty_under_every_coding() {
        for (name, coding) in CODINGS {
            let body = read_from([].as_slice(), Some(coding), 100).await.expect(name);
            assert!(body.bytes.is_empty() && !body.truncated, "{name}");
        }
    }

    #[test]
    fn what_was_not_offered_is_unreadable_and_a_wrong_name_is_not() {
        for (field, expected) in [
            ("zstd", Some("zstd")),
            (" ZSTD", Some("zstd")),
            ("gzip, zstd", Some("gzip, zstd")),
            ("gzip, br", Some("gzip, br")),
            ("gzip, identity", None),
            ("br", None),
            ("utf-8", None),
            ("", None),
        ] {
            assert_eq!(unreadable(field).as_deref(), expected, "{field}");
        }
    }

    #[test]
    fn only_a_single_known_coding_is_undone() {
        assert_eq!(Coding::named(" GZip "), Some(Coding::Gzip));
        for field in ["", "identity", "zstd", "gzip, gzip", "utf-8"] {
            assert_eq!(Coding::named(field), None, "{field}");
        }
    }
}

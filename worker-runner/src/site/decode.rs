//! From bytes to text, as browsers do it: byte order mark, then the `Content-Type` header, then `<meta charset>`.
//!
//! Where nothing is declared, text that is valid UTF-8 is UTF-8 and everything else is windows-1252.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Bytes in which a `<meta>` declaration is looked for, as in the HTML standard.
const META_WINDOW_BYTES: usize = 1_024;

/// Decodes a body. Malformed sequences become U+FFFD.
#[must_use]
pub fn decode<'a>(body: &'a [u8], content_type: Option<&str>) -> Cow<'a, str> {
    let encoding = content_type
        .and_then(from_content_type)
        .or_else(|| from_meta(body))
        .unwrap_or_else(|| if std::str::from_utf8(body).is_ok() { UTF_8 } else { WINDOWS_1252 });
    // `decode` lets a byte order mark win over `encoding` and removes it.
    encoding.decode(body).0
}

fn from_content_type(value: &str) -> Option<&'static Encoding> {
    let (_, parameters) = value.split_once(';')?;
    parameters.split(';').find_map(|parameter| {
        let (name, label) = parameter.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("charset") {
            return None;
        }
        Encoding::for_label(label.trim().trim_matches(['"', '\'']).as_bytes())
    })
}

fn from_meta(body: &[u8]) -> Option<&'static Encoding> {
    let window = String::from_utf8_lossy(&body[..body.len().min(META_WINDOW_BYTES)]).to_ascii_lowercase();
    let encoding = window.split("<meta").skip(1).find_map(|rest| {
        let tag = rest.split('>').next().unwrap_or_default();
        let (_, value) = tag.split_once("charset")?;
        let value = value.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
        let label: String = value.chars().take_while(|c| !c.is_whitespace() && !"\"';/".contains(*c)).collect();
        Encoding::for_label(label.as_bytes())
    })?;
    // A declaration that could be read as ASCII cannot be true of UTF-16.
    Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_wins_over_the_meta_element() {
        let body = b"<meta charset=utf-8>\xE4";
        assert!(decode(body, Some("text/html; charset=\"ISO-8859-1\"")).ends_with('ä'));
    }

    #[test]
    fn the_byte_order_mark_wins_over_both() {
        let body = "\u{FEFF}<meta charset=windows-1252>ä".as_bytes();
        assert_eq!(decode(body, Some("text/html; charset=iso-8859-1")), "<meta charset=windows-1252>ä");
    }

    #[test]
    fn the_meta_element_is_read_in_both_forms() {
        for meta in ["<meta charset='koi8-r'>", "<META http-equiv=content-type content=\"text/html; charset=koi8-r\">"]
        {
            let body = [meta.as_bytes(), b"\xC1"].concat();
            assert!(decode(&body, Some("text/html")).ends_with('а'), "{meta}");
        }
    }

    #[test]
    fn without_a_declaration_valid_utf_8_is_utf_8_and_the_rest_is_windows_1252() {
        assert_eq!(decode("ä".as_bytes(), None), "ä");
        assert_eq!(decode(b"\xE4\x80", None), "ä€");
    }
}

//! Reading a request's body: its type, its size, its syntax, and then its members one by one, so that every wrong value
//! is answered with its name.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use hermes_core::Json;
use hermes_core::limits::BODY_BYTES_MAX;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem, sentence};

/// Bytes of a body that are read at most, if only to throw them away.
const THROWN_AWAY_BYTES_MAX: usize = 16 * BODY_BYTES_MAX;

/// Types that a body may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/json`, `…+json`, or none given.
    Json,
    /// YAML under any of its names.
    Yaml,
}

/// Which type the headers promise. A form or plain text is refused: a browser sends those to any host without asking.
pub(super) fn media(headers: &HeaderMap) -> Result<Media, Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Media::Json) };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(Media::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" | "text/vnd.yaml" => Ok(Media::Yaml),
        _ if essence.starts_with("application/") && essence.ends_with("+json") => Ok(Media::Json),
        _ => {
            let detail = format!("A body of type '{essence}' is not read here; send application/json.");
            Err(Problem::new(Kind::UnsupportedMediaType, detail))
        }
    }
}

/// The whole body, if it is not too long.
///
/// A body that is too long is read on for a while, and thrown away: a client that is still sending when the connection
/// is closed loses the answer, too.
pub(super) async fn read(headers: &HeaderMap, mut body: Body) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Kind::BodyTooLarge, format!("A body may have at most {BODY_BYTES_MAX} bytes."));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    // Whoever asks before sending reads the answer first.
    let longest = if headers.contains_key(header::EXPECT) { BODY_BYTES_MAX } else { THROWN_AWAY_BYTES_MAX };
    if announced.is_some_and(|bytes| bytes > longest) {
        return Err(too_large());
    }
    let (mut kept, mut seen) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let incomplete = |_| Problem::new(Kind::InvalidJson, "The body ended before it was complete.");
        // What is no data is trailers; nothing of ours is in them.
        let data = frame.map_err(incomplete)?.into_data().unwrap_or_default();
        seen += data.len();
        if seen <= BODY_BYTES_MAX {
            kept.extend_from_slice(&data);
        } else if seen > longest {
            break;
        }
    }
    if seen > BODY_BYTES_MAX { Err(too_large()) } else { Ok(kept.freeze()) }
}

/// The members of a JSON object, each still unread.
#[derive(Debug)]
pub(super) struct Members {
    members: HashMap<String, Json>,
    /// Where the object stands in the body: empty, or `runs[3].`.
    path: String,
}

impl Members {
    /// Reads the body of a request as a JSON object.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        if media(headers)? == Media::Yaml {
            let detail = "A body of type YAML is not read here; send application/json.";
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
        Self::of(&parse(&read(headers, body).await?)?, "")
    }

    /// The members of `json`, which stands at `path` of the body.
    pub(super) fn of(json: &Json, path: &str) -> Result<Self, Problem> {
        match json.read() {
            Ok(members) => Ok(Self { members, path: path.to_owned() }),
            Err(_) => Err(Problem::value(path.trim_end_matches('.'), "A JSON object is needed here.")),
        }
    }

    /// The name of a member with its place, for errors.
    pub(super) fn place(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// Whether the object has a member of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A member that may be absent or `null`.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let Some(json) = self.members.remove(name) else { return Ok(None) };
        json.read::<Option<T>>().map_err(|error| Problem::value(self.place(name), without_place(&error)))
    }

    /// A member that must be there.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Problem> {
        let value = self.optional(name)?;
        value.ok_or_else(|| Problem::value(self.place(name), format!("The member '{name}' is missing.")))
    }

    /// A member of any shape that must be there.
    pub(super) fn raw(&mut self, name: &str) -> Result<Json, Problem> {
        let json = self.members.remove(name);
        json.ok_or_else(|| Problem::value(self.place(name), format!("The member '{name}' is missing.")))
    }

    /// Refuses a member under a name that is nearly right: ignoring it would do something else than was meant.
    pub(super) fn refuse(&self, wrong: &str, right: &str) -> Result<(), Problem> {
        if self.has(wrong) {
            return Err(Problem::value(self.place(wrong), format!("The member is called '{right}' here.")));
        }
        Ok(())
    }
}

/// Checks the syntax of a JSON text.
pub(super) fn parse(body: &Bytes) -> Result<Json, Problem> {
    let invalid = |detail: String| Problem::new(Kind::InvalidJson, detail);
    let text = std::str::from_utf8(body).map_err(|error| invalid(format!("The body is no UTF-8: {error}.")))?;
    if text.trim().is_empty() {
        return Err(invalid("The body is empty; a JSON object is needed.".to_owned()));
    }
    Json::parse(text).map_err(|error| {
        let problem = invalid(format!("The body cannot be read: {error}."));
        match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => problem,
            Err(place) => problem.with("line", place.line()).with("column", place.column()),
        }
    })
}

/// Reads a text as one of our names, with the name of the field in the error.
pub(super) fn value<T: FromStr<Err: Display>>(field: impl Into<String>, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::value(field, sentence(&error.to_string())))
}

/// The message of a wrong value; its place is the field, so line and column would only confuse.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    sentence(text.split(" at line ").next().unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hermes_core::WebsiteId;
    use serde_json::json;

    fn members(text: &str) -> Members {
        Members::of(&Json::parse(text).expect("valid"), "").expect("an object")
    }

    fn headers(content_type: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().expect("a header value"))])
    }

    #[test]
    fn json_is_read_with_and_without_its_type() {
        assert_eq!(media(&HeaderMap::new()).expect("read"), Media::Json);
        for text in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert_eq!(media(&headers(text)).expect("read"), Media::Json, "{text}");
        }
        assert_eq!(media(&headers("application/yaml")).expect("read"), Media::Yaml);
    }

    #[test]
    fn what_a_foreign_page_can_send_without_asking_is_refused() {
        for text in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""] {
            assert_eq!(media(&headers(text)).expect_err("refused").kind(), Kind::UnsupportedMediaType, "{text}");
        }
    }

    #[test]
    fn wrong_json_is_answered_with_its_place() {
        let problem = parse(&Bytes::from_static(b"{\n  \"a\": 1,,\n}")).expect_err("wrong");
        assert_eq!(problem.kind(), Kind::InvalidJson);
        let body = problem.to_json();
        assert_eq!((&body["line"], &body["column"]), (&json!(2), &json!(10)));
    }

    #[test]
    fn a_body_that_is_empty_or_no_text_is_wrong_json() {
        for body in [&b""[..], b"  ", b"\xff\xfe"] {
            let problem = parse(&Bytes::copy_from_slice(body)).expect_err("wrong");
            assert_eq!(problem.kind(), Kind::InvalidJson);
        }
    }

    #[test]
    fn a_wrong_value_is_answered_with_its_name() {
        let problem = members(r#"{"wait": "no"}"#).optional::<bool>("wait").expect_err("wrong");
        assert_eq!(problem.to_json()["field"], "wait");
        assert_eq!(problem.to_json()["detail"], "Invalid type: string \"no\", expected a boolean.");
        let problem = members(r#"{"website_id": "a b"}"#).required::<WebsiteId>("website_id").expect_err("wrong");
        assert_eq!(problem.to_json()["field"], "website_id");
    }

    #[test]
    fn a_missing_member_and_null_are_the_same() {
        for text in ["{}", r#"{"website_id": null}"#] {
            let problem = members(text).required::<WebsiteId>("website_id").expect_err("missing");
            assert_eq!(problem.to_json()["message"], "The member 'website_id' is missing.");
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_a_wrong_value() {
        let json = Json::parse("[1]").expect("valid");
        assert_eq!(Members::of(&json, "runs[3].").expect_err("no object").to_json()["field"], "runs[3]");
    }

    #[test]
    fn a_name_that_is_nearly_right_is_refused_with_the_right_one() {
        let problem = members(r#"{"planId": "quick-v1"}"#).refuse("planId", "plan_id").expect_err("refused");
        assert_eq!(problem.to_json()["message"], "The member is called 'plan_id' here.");
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_with_and_without_an_announcement() {
        let body = || Body::from(vec![b' '; BODY_BYTES_MAX + 1]);
        let announced =
            HeaderMap::from_iter([(header::CONTENT_LENGTH, (BODY_BYTES_MAX + 1).to_string().parse().expect("digits"))]);
        for headers in [HeaderMap::new(), announced] {
            assert_eq!(read(&headers, body()).await.expect_err("too long").kind(), Kind::BodyTooLarge);
        }
        let whole = read(&HeaderMap::new(), Body::from(vec![b' '; BODY_BYTES_MAX])).await.expect("fits");
        assert_eq!(whole.len(), BODY_BYTES_MAX);
    }
}

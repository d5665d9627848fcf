//! Keeps web pages of other origins away: a page in someone's browser must not be able to command a server on the same
//! machine, which needs no key there.
//!
//! * A request with an `Origin` that is not the host it is sent to is refused, and so is a changing request that the
//!   browser marks as coming from another site (`Sec-Fetch-Site`). Programs send neither header.
//! * A server for this machine alone answers only under `localhost` or an address. Any other name may be one that its
//!   owner points to 127.0.0.1 after the page was loaded (DNS rebinding); the page's origin then equals the host.
//!
//! Bodies that a browser sends without asking (forms, plain text) are refused where bodies are read.

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::problem::{Kind, Problem};

/// Under which names the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// `localhost`, names below it, and IP addresses: for a server that listens on loopback.
    Local,
    /// Any: for a server whose names others give.
    Any,
}

/// Refuses what comes from elsewhere.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    match check(&request, api.options.hosts) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check<B>(request: &Request<B>, hosts: Hosts) -> Result<(), Problem> {
    let headers = request.headers();
    // HTTP/1.0 clients may send no host; browsers always do.
    let host = request.uri().authority().cloned().or_else(|| text(headers, header::HOST.as_str())?.parse().ok());
    if let Some(host) = &host
        && hosts == Hosts::Local
        && !is_local(host)
    {
        let detail = format!("This server answers under localhost or an IP address only, not under '{host}'.");
        return Err(Problem::new(Kind::ForeignHost, detail));
    }
    let foreign = |what: &str| Problem::new(Kind::ForeignOrigin, format!("Requests by pages of {what} are refused."));
    if headers.contains_key(header::ORIGIN) {
        let origin = text(headers, header::ORIGIN.as_str()).unwrap_or_default();
        let of_host = host.is_some_and(|host| is_origin_of(origin, &host));
        return if of_host { Ok(()) } else { Err(foreign("other origins")) };
    }
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    match text(headers, "sec-fetch-site") {
        Some("cross-site" | "same-site") if !is_reading => Err(foreign("other sites")),
        _ => Ok(()),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a browser's `Origin` names the host that the request was sent to. Both leave out the scheme's own port.
fn is_origin_of(origin: &str, host: &Authority) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
}

fn is_local(host: &Authority) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(hosts: Hosts, method: &str, headers: &[(&str, &str)]) -> Option<Kind> {
        let mut request = Request::builder().method(method).uri("/api/orchestration/run");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).expect("a request"), hosts).err().map(|problem| problem.kind())
    }

    #[test]
    fn a_program_needs_no_origin() {
        assert_eq!(checked(Hosts::Local, "POST", &[("host", "127.0.0.1:5000")]), None);
        assert_eq!(checked(Hosts::Local, "POST", &[]), None);
        assert_eq!(checked(Hosts::Any, "POST", &[("host", "dispatcher:5000")]), None);
    }

    #[test]
    fn a_page_of_the_server_itself_may_post() {
        let headers = [("host", "localhost:5000"), ("origin", "http://localhost:5000")];
        assert_eq!(checked(Hosts::Local, "POST", &headers), None);
        let headers = [("host", "Hermes.example"), ("origin", "https://hermes.example")];
        assert_eq!(checked(Hosts::Any, "POST", &headers), None);
    }

    #[test]
    fn a_page_of_another_origin_may_not() {
        for origin in ["https://evil.example", "null", "http://localhost:5001", "http://localhost", "", "x"] {
            let headers = [("host", "localhost:5000"), ("origin", origin)];
            for method in ["GET", "POST", "OPTIONS"] {
                assert_eq!(checked(Hosts::Local, method, &headers), Some(Kind::ForeignOrigin), "{method} {origin}");
            }
        }
    }

    #[test]
    fn a_change_from_another_site_is_refused_even_without_an_origin() {
        for (site, refused) in [("cross-site", true), ("same-site", true), ("same-origin", false), ("none", false)] {
            let headers = [("host", "localhost:5000"), ("sec-fetch-site", site)];
            let expected = refused.then_some(Kind::ForeignOrigin);
            assert_eq!(checked(Hosts::Local, "POST", &headers), expected, "{site}");
            assert_eq!(checked(Hosts::Local, "GET", &headers), None, "{site}");
        }
    }

    #[test]
    fn a_name_that_someone_pointed_to_loopback_is_no_host_of_a_local_server() {
        let headers = [("host", "evil.example:5000"), ("origin", "http://evil.example:5000")];
        assert_eq!(checked(Hosts::Local, "GET", &headers), Some(Kind::ForeignHost));
        assert_eq!(checked(Hosts::Any, "GET", &headers), None);
        for host in ["localhost", "LOCALHOST:5000", "hermes.localhost", "[::1]:5000", "192.168.1.5:5000"] {
            assert_eq!(checked(Hosts::Local, "GET", &[("host", host)]), None, "{host}");
        }
    }
}

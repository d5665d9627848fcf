//! Answers in their documented shapes.

use crate::site::fake::FakeSite;

/// Source: RFC 9224, section 3 and 4.
pub(super) const BOOTSTRAP: &str = r#"{
  "version": "1.0",
  "publication": "2026-11-01T00:00:00Z",
  "description": "RDAP bootstrap file for Domain Name System registrations",
  "services": [
    [["net", "com"], ["http://rdap.example/com/", "https://rdap.example/com/"]],
    [["UK"], ["https://rdap.example/uk"]],
    [["co.uk"], ["https://rdap.example/couk/"]]
  ]
}"#;

/// Source: RFC 9083, section 5.3 (domain object class), 4.5 (events), 4.6 (status).
pub(super) const REGISTRATION: &str = r#"{
  "objectClassName": "domain",
  "handle": "D1-EXAMPLE",
  "ldhName": "example.co.uk",
  "status": ["client transfer prohibited", "active"],
  "events": [
    { "eventAction": "registration", "eventDate": "2025-11-22T13:00:00Z" },
    { "eventAction": "last changed", "eventDate": "2026-01-02T00:00:00Z", "eventActor": "joe@example.com" },
    { "eventAction": "expiration", "eventDate": "2026-12-12T11:59:59Z" }
  ],
  "secureDNS": { "zoneSigned": true, "delegationSigned": true, "maxSigLife": 604800 },
  "entities": [{ "objectClassName": "entity", "roles": ["registrar"], "vcardArray": ["vcard", []] }]
}"#;

/// Source: https://tranco-list.eu/api_documentation, "Ranks of a domain".
pub(super) const TRANCO: &str = r#"{
  "ranks": [
    { "date": "2026-11-20", "rank": 1100 },
    { "date": "2026-11-21", "rank": 1000 },
    { "date": "2026-11-19", "rank": 900 }
  ],
  "domain": "example.co.uk"
}"#;

/// Source: the same; a domain that is in no list of the last thirty days.
pub(super) const TRANCO_UNLISTED: &str = r#"{ "ranks": [], "domain": "example.co.uk" }"#;

/// Source: https://www.domcop.com/openpagerank/documentation, sample response.
pub(super) const PAGE_RANK: &str = r#"{
  "status_code": 200,
  "response": [
    { "status_code": 200, "error": "", "page_rank_integer": 5, "page_rank_decimal": 4.98, "rank": "12043", "domain": "example.co.uk" }
  ],
  "last_updated": "26th August 2026"
}"#;

/// Source: the same; a domain without a page rank.
pub(super) const PAGE_RANK_UNKNOWN: &str = r#"{
  "status_code": 200,
  "response": [
    { "status_code": 404, "error": "Domain not found", "page_rank_integer": 0, "page_rank_decimal": 0, "rank": null, "domain": "example.co.uk" }
  ]
}"#;

/// Source: https://docs.dataforseo.com/v3/backlinks/summary/live/, sample response; shortened.
pub(super) const BACKLINKS: &str = r#"{
  "version": "0.1.20260101", "status_code": 20000, "status_message": "Ok.", "time": "0.1 sec.", "cost": 0.02003,
  "tasks_count": 1, "tasks_error": 0,
  "tasks": [{
    "id": "02101132-1535-0269-0000-68cc02213ab4", "status_code": 20000, "status_message": "Ok.", "result_count": 1,
    "data": { "api": "backlinks", "function": "summary", "target": "example.co.uk" },
    "result": [{
      "target": "example.co.uk", "first_seen": "2019-01-14 05:45:51 +00:00", "lost_date": null, "rank": 372,
      "backlinks": 15402, "backlinks_spam_score": 4, "referring_domains": 812, "referring_ips": 700
    }]
  }]
}"#;

/// Source: https://docs.dataforseo.com/v3/backlinks/bulk_ranks/live/, sample response; shortened.
pub(super) const BULK_RANKS: &str = r#"{
  "version": "0.1.20260101", "status_code": 20000, "status_message": "Ok.", "time": "0.1 sec.", "cost": 0.02003,
  "tasks_count": 1, "tasks_error": 0,
  "tasks": [{
    "id": "02101132-1535-0269-0000-68cc02213ab5", "status_code": 20000, "status_message": "Ok.", "result_count": 1,
    "data": { "api": "backlinks", "function": "bulk_ranks", "targets": ["example.co.uk", "rival.com", "new.com"] },
    "result": [{
      "items_count": 3,
      "items": [{ "target": "rival.com", "rank": 500 }, { "target": "example.co.uk", "rank": 372 }, { "target": "new.com", "rank": 0 }]
    }]
  }]
}"#;

/// Source: https://docs.dataforseo.com/v3/appendix/errors/: errors come inside of HTTP 200.
pub(super) fn dataforseo_error(status: u64, message: &str) -> String {
    format!(
        r#"{{ "version": "0.1.20260101", "status_code": 20000, "status_message": "Ok.", "tasks_count": 1, "tasks_error": 1,
          "tasks": [{{ "id": "x", "status_code": {status}, "status_message": "{message}", "result": null }}] }}"#
    )
}

pub(super) const BOOTSTRAP_URL: &str = "https://data.iana.org/rdap/dns.json";
pub(super) const RDAP_URL: &str = "https://rdap.example/couk/domain/example.co.uk";
pub(super) const TRANCO_URL: &str = "https://tranco-list.eu/api/ranks/domain/example.co.uk";
pub(super) const PAGE_RANK_URL: &str = "https://openpagerank.com/api/v1.0/getPageRank?domains%5B%5D=example.co.uk";
pub(super) const BULK_RANKS_URL: &str = "https://api.dataforseo.com/v3/backlinks/bulk_ranks/live";
pub(super) const BACKLINKS_URL: &str = "https://api.dataforseo.com/v3/backlinks/summary/live";

/// All sources, and all of them answer.
pub(super) fn web() -> FakeSite {
    FakeSite::new()
        .answer(BOOTSTRAP_URL, 200, &[("content-type", "application/json")], BOOTSTRAP)
        .answer(RDAP_URL, 200, &[("content-type", "application/rdap+json")], REGISTRATION)
        .answer(TRANCO_URL, 200, &[("content-type", "application/json")], TRANCO)
        .answer(PAGE_RANK_URL, 200, &[("content-type", "application/json")], PAGE_RANK)
        .answer(BACKLINKS_URL, 200, &[("content-type", "application/json")], BACKLINKS)
}

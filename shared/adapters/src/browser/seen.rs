//! What the events of the browser have told about a page: traffic, the document, its errors.

use std::collections::HashMap;

use hermes_core::ports::browser::{Listed, Transfer};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Failure;

/// Requests that may be open while a page counts as quiet.
const OPEN_REQUESTS_MAX: usize = 2;
/// Requests whose details are kept; more are counted only.
const REQUESTS_KEPT_MAX: usize = 5_000;
/// The largest transfers that are told.
const LARGEST_MAX: usize = 20;
/// Errors on the console whose text is kept.
const ERRORS_KEPT_MAX: usize = 20;
/// Characters of such a text, and of a URL.
const TEXT_CHARS_MAX: usize = 300;
/// Documents that a page may move on to.
pub const NAVIGATIONS_MAX: u64 = 10;
/// Name of the world in which our script runs.
pub(super) const WORLD: &str = "hermes";

/// One request.
#[derive(Debug, Default)]
struct Request {
    url: String,
    is_script: bool,
    bytes: u64,
    is_open: bool,
}

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) own_target: String,
    pub(super) main_frame: String,
    requests: HashMap<String, Request>,
    open: usize,
    pub(super) request_count: u64,
    /// Bytes of requests whose details are not kept, and of redirects.
    other_bytes: u64,
    /// All bytes as they arrive, for the limit.
    pub(super) arrived_bytes: u64,
    pub(super) status: Option<u16>,
    /// Its header fields `Retry-After` and `Date`.
    pub(super) wait: [Option<String>; 2],
    pub(super) navigations: u64,
    pub(super) is_loaded: bool,
    /// Number of our script's world in the current document.
    pub(super) world: Option<u64>,
    pub(super) errors: Listed<String>,
    /// When there was traffic last.
    pub(super) last_traffic: Option<Instant>,
    /// Since when no more than [`OPEN_REQUESTS_MAX`] requests have been open.
    pub(super) quiet_since: Option<Instant>,
}

/// A call that an event asks for.
type Reaction = (&'static str, Value);

impl Seen {
    /// Forgets everything before the navigation that is measured.
    pub(super) fn begin(&mut self, main_frame: String) {
        *self = Self { own_target: std::mem::take(&mut self.own_target), main_frame, ..Self::default() };
    }

    pub(super) fn event(&mut self, method: &str, event: &Value) -> Result<Vec<Reaction>, Failure> {
        match method {
            "Network.requestWillBeSent" => self.requested(event),
            "Network.responseReceived" => self.responded(event),
            "Network.dataReceived" => self.received(event),
            "Network.loadingFinished" => self.finished(event),
            "Network.loadingFailed" => self.closed(event["requestId"].as_str().unwrap_or_default()),
            "Page.loadEventFired" => self.is_loaded = true,
            "Page.frameNavigated" => return self.navigated(&event["frame"]).map(|()| Vec::new()),
            "Runtime.executionContextCreated" => self.entered(&event["context"]),
            "Runtime.exceptionThrown" => self.threw(&event["exceptionDetails"]),
            "Runtime.consoleAPICalled" if event["type"] == "error" => self.complained(event),
            "Log.entryAdded" if event["entry"]["level"] == "error" => {
                let entry = &event["entry"];
                let text = entry["text"].as_str().unwrap_or_default();
                self.error(&format!("{text} {}", entry["url"].as_str().unwrap_or_default()));
            }
            "Page.javascriptDialogOpening" => {
                // Leaving is allowed; to everything else the answer is what Escape says.
                let accept = event["type"] == "beforeunload" || event["type"] == "alert";
                return Ok(vec![("Page.handleJavaScriptDialog", json!({"accept": accept}))]);
            }
            "Target.attachedToTarget" => {
                let target = &event["targetInfo"]["targetId"];
                if *target != self.own_target.as_str() && event["waitingForDebugger"] == true {
                    return Ok(vec![("Target.closeTarget", json!({"targetId": target}))]);
                }
            }
            "Inspector.targetCrashed" => return Err(Failure::Crashed),
            _ => {}
        }
        Ok(Vec::new())
    }

    /// Bytes of everything, and of scripts.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let sum = |only_scripts: bool| {
            let kept = self.requests.values().filter(|request| request.is_script || !only_scripts);
            kept.map(|request| request.bytes).sum::<u64>()
        };
        (sum(false) + self.other_bytes, sum(true))
    }

    pub(super) fn largest(&self) -> Vec<Transfer> {
        let mut all: Vec<Transfer> = self
            .requests
            .values()
            .filter(|request| request.bytes > 0)
            .map(|request| Transfer { url: request.url.clone(), bytes: request.bytes })
            .collect();
        all.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.url.cmp(&other.url)));
        all.truncate(LARGEST_MAX);
        all
    }

    fn requested(&mut self, event: &Value) {
        let url = event["request"]["url"].as_str().unwrap_or_default();
        if !(url.starts_with("http:") || url.starts_with("https:")) {
            return;
        }
        let id = event["requestId"].as_str().unwrap_or_default();
        self.request_count += 1;
        if let Some(redirect) = event.get("redirectResponse") {
            self.other_bytes += count(&redirect["encodedDataLength"]);
            self.closed(id);
        }
        if self.requests.len() < REQUESTS_KEPT_MAX || self.requests.contains_key(id) {
            let is_script = event["type"] == "Script";
            let request = Request { url: cut(url), is_script, bytes: 0, is_open: true };
            self.requests.insert(id.to_owned(), request);
            self.open += 1;
        }
        self.traffic();
    }

    fn responded(&mut self, event: &Value) {
        let id = event["requestId"].as_str().unwrap_or_default();
        if event["type"] == "Document" && event["frameId"] == self.main_frame.as_str() {
            let response = &event["response"];
            self.status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok());
            self.wait = ["retry-after", "date"].map(|name| field(&response["headers"], name));
        }
        if let Some(request) = self.requests.get_mut(id) {
            request.is_script |= event["type"] == "Script";
        }
        self.traffic();
    }

    fn received(&mut self, event: &Value) {
        // What is stored was decompressed, what came over the network was not; either may be unknown, hence zero.
        let bytes = count(&event["encodedDataLength"]);
        self.arrived_bytes += bytes.max(count(&event["dataLength"]));
        if let Some(request) = self.requests.get_mut(event["requestId"].as_str().unwrap_or_default()) {
            request.bytes += bytes;
        }
        self.traffic();
    }

    fn finished(&mut self, event: &Value) {
        let id = event["requestId"].as_str().unwrap_or_default();
        match self.requests.get_mut(id) {
            Some(request) => request.bytes = request.bytes.max(count(&event["encodedDataLength"])),
            None => self.other_bytes += count(&event["encodedDataLength"]),
        }
        self.closed(id);
    }

    fn closed(&mut self, id: &str) {
        if let Some(request) = self.requests.get_mut(id)
            && request.is_open
        {
            request.is_open = false;
            self.open -= 1;
        }
        self.traffic();
    }

    fn traffic(&mut self) {
        let now = Instant::now();
        self.last_traffic = Some(now);
        if self.open > OPEN_REQUESTS_MAX {
            self.quiet_since = None;
        } else {
            self.quiet_since.get_or_insert(now);
        }
    }

    fn navigated(&mut self, frame: &Value) -> Result<(), Failure> {
        if frame["id"] != self.main_frame.as_str() {
            return Ok(());
        }
        if let Some(unreachable) = frame["unreachableUrl"].as_str() {
            return Err(Failure::Page(format!("it goes on to {}, which does not answer", cut(unreachable))));
        }
        self.navigations += 1;
        self.is_loaded = false;
        if self.navigations > NAVIGATIONS_MAX + 1 {
            return Err(Failure::Hostile(format!("it went on to more than {NAVIGATIONS_MAX} other documents")));
        }
        Ok(())
    }

    fn entered(&mut self, context: &Value) {
        if context["name"] == WORLD && context["auxData"]["frameId"] == self.main_frame.as_str() {
            self.world = context["id"].as_u64();
        }
    }

    fn threw(&mut self, details: &Value) {
        let text = details["exception"]["description"].as_str().or_else(|| details["text"].as_str());
        self.error(text.unwrap_or("an exception"));
    }

    fn complained(&mut self, event: &Value) {
        let words = event["args"].as_array().into_iter().flatten().take(5);
        let words = words.map(|word| match (&word["value"], word["description"].as_str()) {
            (Value::String(text), _) => cut(text),
            (Value::Null, Some(text)) => cut(text),
            (value, _) => cut(&value.to_string()),
        });
        let words: Vec<String> = words.collect();
        self.error(&words.join(" "));
    }

    fn error(&mut self, text: &str) {
        self.errors.total += 1;
        if self.errors.first.len() < ERRORS_KEPT_MAX {
            self.errors.first.push(cut(text.trim()));
        }
    }
}

fn count(value: &Value) -> u64 {
    // Counts come as numbers that may be written as 12.0, and as -1 where they are unknown.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the range first")]
    value.as_f64().map_or(0, |number| number.clamp(0.0, 1e15) as u64)
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// A header field, whose name comes as the server spelt it.
fn field(headers: &Value, name: &str) -> Option<String> {
    let (_, value) = headers.as_object()?.iter().find(|(spelt, _)| spelt.eq_ignore_ascii_case(name))?;
    value.as_str().map(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen { main_frame: "main".to_owned(), own_target: "own".to_owned(), ..Seen::default() }
    }

    fn request(id: &str, url: &str) -> Value {
        json!({"requestId": id, "type": "Script", "request": {"url": url}})
    }

    #[test]
    fn traffic_is_counted_per_request_and_a_redirect_is_a_request() {
        let mut seen = seen();
        for (method, event) in [
            ("Network.requestWillBeSent", request("1", "https://a.test/x.js")),
            (
                "Network.requestWillBeSent",
                json!({"requestId": "1", "type": "Script", "request": {"url": "https://a.test/y.js"},
                    "redirectResponse": {"encodedDataLength": 100}}),
            ),
            ("Network.dataReceived", json!({"requestId": "1", "dataLength": 900, "encodedDataLength": 0})),
            ("Network.loadingFinished", json!({"requestId": "1", "encodedDataLength": 500.0})),
            ("Network.requestWillBeSent", request("2", "data:text/plain,x")),
        ] {
            assert!(seen.event(method, &event).expect("harmless").is_empty());
        }
        assert_eq!((seen.request_count, seen.bytes(), seen.arrived_bytes), (2, (600, 500), 900));
        assert_eq!(seen.open, 0);
        assert_eq!(seen.largest(), [Transfer { url: "https://a.test/y.js".to_owned(), bytes: 500 }]);
    }

    #[test]
    fn a_page_is_quiet_while_at_most_two_requests_are_open() {
        let mut seen = seen();
        for (id, quiet) in [("1", true), ("2", true), ("3", false)] {
            seen.event("Network.requestWillBeSent", &request(id, "https://a.test/")).expect("harmless");
            assert_eq!(seen.quiet_since.is_some(), quiet, "{id}");
        }
        seen.event("Network.loadingFailed", &json!({"requestId": "2"})).expect("harmless");
        assert!(seen.quiet_since.is_some());
    }

    #[test]
    fn another_page_is_closed_and_a_dialog_answered() {
        let mut seen = seen();
        let popup = json!({"targetInfo": {"targetId": "other"}, "waitingForDebugger": true});
        let reaction = seen.event("Target.attachedToTarget", &popup).expect("harmless");
        assert_eq!(reaction, [("Target.closeTarget", json!({"targetId": "other"}))]);
        let own = json!({"targetInfo": {"targetId": "own"}});
        assert!(seen.event("Target.attachedToTarget", &own).expect("harmless").is_empty());
        let asked = seen.event("Page.javascriptDialogOpening", &json!({"type": "confirm"})).expect("harmless");
        assert_eq!(asked, [("Page.handleJavaScriptDialog", json!({"accept": false}))]);
    }

    #[test]
    fn a_page_that_never_stays_is_given_up() {
        let mut seen = seen();
        let frame = json!({"frame": {"id": "main"}});
        for _ in 0..=NAVIGATIONS_MAX {
            seen.event("Page.frameNavigated", &frame).expect("within the limit");
        }
        assert!(matches!(seen.event("Page.frameNavigated", &frame), Err(Failure::Hostile(_))));
    }

    #[test]
    fn the_answer_of_the_page_itself_is_known_with_the_time_that_it_asks_for() {
        let mut seen = seen();
        for (frame, status) in [("main", 429), ("other", 200)] {
            let headers = json!({"Retry-After": "7", "DATE": "Sun, 06 Nov 1994 08:49:37 GMT"});
            let response = json!({"status": status, "headers": headers});
            let event = json!({"requestId": "1", "type": "Document", "frameId": frame, "response": response});
            seen.event("Network.responseReceived", &event).expect("harmless");
        }
        assert_eq!(seen.status, Some(429));
        assert_eq!(seen.wait, ["7", "Sun, 06 Nov 1994 08:49:37 GMT"].map(|text| Some(text.to_owned())));
    }

    #[test]
    fn the_details_of_a_flood_of_requests_are_not_kept() {
        let mut seen = seen();
        for id in 0..REQUESTS_KEPT_MAX * 2 {
            seen.event("Network.requestWillBeSent", &request(&id.to_string(), "https://a.test/")).expect("harmless");
        }
        assert_eq!((seen.requests.len(), seen.request_count), (REQUESTS_KEPT_MAX, REQUESTS_KEPT_MAX as u64 * 2));
    }
}

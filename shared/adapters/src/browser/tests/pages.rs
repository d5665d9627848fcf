//! What is measured on pages whose behaviour is known.

use hermes_core::ports::browser::{LoadEnd, Profile};

use super::*;

/// A block of half the window moves down by a quarter of it: union 705 of 940 pixels, distance 235 of 1,350.
const SHIFTING: &str = "<!doctype html><body style='margin:0'><div id=gap style='height:0'></div>\
    <div id=block style='width:1350px;height:470px;background:#ccc'>text</div>\
    <script>new PerformanceObserver(() => setTimeout(() => { gap.style.height = '235px' }, 100))\
    .observe({type: 'paint', buffered: true})</script>";
const SHIFT_SCORE: f64 = 705.0 / 940.0 * 235.0 / 1_350.0;

/// A large text that comes half a second after the first one; then the main thread is busy for 300 ms.
const LATE: &str = "<!doctype html><link rel=stylesheet href=/blocking><img src=/missing.png>\
    <img src='data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==' alt=x>\
    <script src=/s.js></script><p>small</p><script>\
    setTimeout(() => { const large = document.createElement('h1'); large.id = 'late'; large.textContent = 'large '.repeat(40);\
    document.body.append(large); }, 500);\
    addEventListener('load', () => setTimeout(() => { const end = performance.now() + 300; while (performance.now() < end); }, 900));\
    </script>";

async fn loaded(pages: &[(&str, &str)], profile: Profile) -> PageLoad {
    let server = Server::with(pages).await;
    let visit = Visit { profile, ..visit(&server.url("/")) };
    chromium().load(visit).await.expect("the page loads")
}

#[tokio::test]
async fn a_shift_has_the_score_that_its_geometry_gives_it() {
    let load = loaded(&[("/", SHIFTING)], Profile::DESKTOP).await;
    let sum: f64 = load.shifts.iter().map(|shift| shift.value).sum();
    assert!((sum - SHIFT_SCORE).abs() < 0.005, "{sum} instead of {SHIFT_SCORE}: {:?}", load.shifts);
    let moved = &load.shifts[0].elements;
    assert!(moved.iter().any(|element| element.contains("div#block")), "{moved:?}");
    assert_eq!((load.end, load.status), (LoadEnd::Quiet, Some(200)));
}

#[tokio::test]
async fn a_host_that_asks_to_be_left_alone_is_heard_with_and_without_a_page_to_show() {
    for answer in ["429:<!doctype html><p>slow down", "429:"] {
        let load = loaded(&[("/", answer)], Profile::DESKTOP).await;
        assert_eq!((load.status, load.retry_after.as_deref()), (Some(429), Some("7")), "{answer}");
        assert!(load.url.starts_with("http://127.0.0.1:"), "{}", load.url);
    }
}

#[tokio::test]
async fn late_paint_long_tasks_traffic_and_errors_are_seen() {
    let script = "console.error('from a script'); throw new Error('thrown')";
    let load = loaded(&[("/", LATE), ("/s.js", script), ("/blocking", "p{color:red}")], Profile::DESKTOP).await;
    let fcp = load.fcp_ms.expect("painted");
    let lcp = load.lcp.as_ref().expect("painted");
    assert!(lcp.at_ms >= 500.0 && lcp.at_ms > fcp && lcp.element.contains("h1#late"), "{fcp} {lcp:?}");
    assert!(load.long_tasks.iter().any(|task| task.duration_ms >= 290.0), "{:?}", load.long_tasks);
    assert!(load.ttfb_ms.is_some_and(|ttfb| ttfb > 0.0 && ttfb < fcp));
    // The page, the style sheet, the script and the image that is not there; the picture in the URL is no request.
    assert!((4..=5).contains(&load.requests), "{} {:?}", load.requests, load.largest);
    assert!(load.script_bytes >= script.len() as u64 && load.transfer_bytes > load.script_bytes);
    let errors = load.console_errors.first.join("\n");
    assert!(errors.contains("from a script") && errors.contains("thrown") && errors.contains("404"), "{errors}");
    assert_eq!(load.unsized_images.total, 2, "{:?}", load.unsized_images);
    assert!(load.dom_elements.is_some_and(|elements| elements >= 8));
    assert!(load.machine_seconds.iter().all(|seconds| *seconds > 0.0));
    assert!(load.browser.starts_with("Chrome/"), "{}", load.browser);
    // What a script has added is in the document, and not in what the server sent.
    assert!(load.html.as_ref().is_some_and(|html| html.contains("<h1 id=\"late\">large large")), "{:?}", load.html);
}

#[tokio::test]
async fn the_phone_is_slowed_down_and_names_itself_and_our_robot() {
    let server = Server::with(&[("/", "<title>x</title><p>hello")]).await;
    let load = chromium().load(Visit { profile: Profile::MOBILE, ..visit(&server.url("/")) }).await.expect("loads");
    // The latency that is applied to each request is in the first paint.
    assert!(load.fcp_ms.is_some_and(|fcp| fcp >= 562.0), "{:?}", load.fcp_ms);
    let head = server.requests().first().expect("asked").clone();
    assert!(head.contains("Mobile Safari") && head.contains("(compatible; HermesBot/test)"), "{head}");
    assert!(!head.contains("Headless"), "{head}");
}

#[tokio::test]
async fn dialogs_popups_and_downloads_hold_nothing_up() {
    let page = "<p>hello<script>alert('a'); confirm('b'); prompt('c'); open('/other'); location.hash = 'x';\
        onbeforeunload = () => 'stay'; const a = document.createElement('a'); a.href = '/x'; a.download = 'x'; a.click();</script>";
    let load = loaded(&[("/", page), ("*", "x")], Profile::DESKTOP).await;
    assert_eq!(load.end, LoadEnd::Quiet);
    assert!(load.fcp_ms.is_some());
}

#[tokio::test]
async fn a_page_that_moves_on_without_end_is_given_up() {
    let page = "<p>x<script>location.href = '/' + Math.random()</script>";
    let server = Server::with(&[("*", page)]).await;
    let error = chromium().load(visit(&server.url("/"))).await.expect_err("never stays");
    assert!(matches!(&error, BrowserError::Hostile(why) if why.contains("other documents")), "{error}");
}

#[tokio::test]
async fn a_page_that_moves_on_once_is_measured_where_it_ends() {
    let moving = [("/", "<meta http-equiv=refresh content='0;url=/end'>"), ("/end", "<p>here")];
    let load = loaded(&moving, Profile::DESKTOP).await;
    assert!(load.url.ends_with("/end") && load.further_navigations == 1, "{load:?}");
}

#[tokio::test]
async fn a_resource_that_never_comes_does_not_keep_the_rest_from_being_measured() {
    let server = Server::with(&[("/", "<p>hello<img src=/hang width=1 height=1>")]).await;
    let visit = visit(&server.url("/"));
    let load = chromium().load(visit).await.expect("what there is");
    assert_eq!(load.end, LoadEnd::Stalled);
    assert!(load.fcp_ms.is_some() && load.lcp.is_some());
}

#[tokio::test]
async fn scripts_that_never_end_are_the_page_s_fault() {
    let server = Server::with(&[("/", "<p>hello<script>for (;;);</script>")]).await;
    let visit = Visit { timeout: Duration::from_secs(25), ..visit(&server.url("/")) };
    let error = chromium().load(visit).await.expect_err("never ends");
    // Where others had the browser or the machine all the time, there was too little left to tell whose fault it is.
    assert!(!matches!(error, BrowserError::Broken(_) | BrowserError::Missing(_)), "{error}");
}

#[tokio::test]
async fn an_address_where_nothing_answers_is_the_page_s_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let error = chromium().load(visit(&format!("http://{address}/"))).await.expect_err("nobody there");
    assert!(matches!(&error, BrowserError::Page(why) if why.contains("net::ERR_CONNECTION_REFUSED")), "{error}");
}

//! `tech.js_dependent_ratio`: on how many pages what is shown is not there without scripts, for search engines that run none.
//!
//! The document as the browser shows it and the HTML that the server sends are read by the same code. It is a signal of
//! the crawl that takes a browser, which the crawl does not have; here there is one, for the pages that it loads.

use hermes_core::ports::browser::{LoadEnd, PageLoad};
use hermes_core::ports::http::Response;
use hermes_diagnosis::signal::Method;
use url::Url;

use super::lab::signals::DOUBT;
use crate::site::decode::decode;
use crate::site::html::reading::{Reading, read};
use crate::site::report::{Findings, Report};

const ID: &str = "tech.js_dependent_ratio";
/// Trust in what the comparison says of a page: both sides are documents that were read, and nothing was timed.
const QUALITY: f64 = 0.95;
/// A shown page with fewer words, or links, has no content, or menu, that could depend on scripts.
const WORDS_MIN: usize = 50;
/// See [`WORDS_MIN`].
const LINKS_MIN: usize = 10;

/// A page as it was sent and as it was shown.
#[derive(Clone, Copy)]
pub(super) struct Both<'a> {
    pub(super) url: &'a Url,
    pub(super) sent: &'a Response,
    /// The load that showed it, if one did.
    pub(super) load: Option<&'a PageLoad>,
}

/// Compares the pages that the server sent with those that the browser showed. `kinds` is how many kinds of pages the site
/// has, as far as that is known: one page of each stands for all of its kind, and the trust is that of such a sample.
pub(super) async fn report(report: &mut Report, pages: &[Both<'_>], kinds: usize) {
    let (mut found, mut compared, mut trust) = (Findings::new(), 0, QUALITY);
    for page in pages {
        let Some((load, html)) = page.load.and_then(|load| Some((load, load.html.clone()?))) else { continue };
        let (url, body) = (page.url.clone(), page.sent.body.clone());
        let content_type = page.sent.header("content-type").map(str::to_owned);
        let readings = move || (read(&decode(&body, content_type.as_deref()), &url), read(&html, &url));
        let both = tokio::task::spawn_blocking(readings).await;
        // A page that the parser cannot stand says nothing.
        let Ok((sent, shown)) = both else { continue };
        compared += 1;
        if load.end != LoadEnd::Quiet {
            trust = QUALITY * DOUBT;
        }
        if depends(&sent, &shown) {
            found.add(page.url, || in_words(&sent, &shown));
        }
    }
    if compared == 0 {
        return report.unknown(ID, "it takes a browser that has shown a page which can be read");
    }
    report.ratio(ID, found, compared);
    report.qualify(Method::Lab, trust * sample_factor(compared, kinds));
}

/// How far a sample can be trusted, as for pages of a crawl: the root of its share.
#[expect(clippy::cast_precision_loss, reason = "a home page links to fewer kinds of pages than 2^52")]
fn sample_factor(compared: u64, kinds: usize) -> f64 {
    (compared as f64 / kinds.max(1) as f64).sqrt().min(1.0)
}

/// Whether the title, or most of the words or of the links, come by scripts alone.
fn depends(sent: &Reading, shown: &Reading) -> bool {
    let is_mostly_new = |sent: usize, shown: usize, least: usize| shown >= least && sent * 2 < shown;
    let has_title = |page: &Reading| page.title.as_ref().is_some_and(|title| !title.is_empty());
    is_mostly_new(sent.words as usize, shown.words as usize, WORDS_MIN)
        || is_mostly_new(sent.links.len(), shown.links.len(), LINKS_MIN)
        || (has_title(shown) && !has_title(sent))
}

fn in_words(sent: &Reading, shown: &Reading) -> String {
    let (words, links) = (sent.words, sent.links.len());
    format!("without scripts {words} of {} words and {links} of {} links", shown.words, shown.links.len())
}

#[cfg(test)]
mod tests {
    use hermes_diagnosis::signal::{Measurement, MeasurementStatus};
    use serde_json::json;

    use super::*;
    use crate::site::fake;

    async fn measured(pages: &[(&str, Option<&str>)], kinds: usize) -> Measurement {
        let url = Url::parse("https://a.test/").expect("valid");
        let load = |shown: &Option<&str>| PageLoad { html: shown.map(str::to_owned), ..PageLoad::default() };
        let all: Vec<(Response, PageLoad)> = (pages.iter())
            .map(|(sent, shown)| (fake::response(200, &[("content-type", "text/html")], *sent), load(shown)))
            .collect();
        let pages: Vec<Both<'_>> = all.iter().map(|(sent, load)| Both { url: &url, sent, load: Some(load) }).collect();
        let mut found = Report::default();
        report(&mut found, &pages, kinds).await;
        found.finish("test", MeasurementStatus::Ok, None)
    }

    #[tokio::test]
    async fn what_comes_by_scripts_alone_is_told_and_what_scripts_decorate_is_not() {
        let words = |count: usize| format!("<p>{}", "word ".repeat(count));
        let links = |count: usize| (0..count).map(|link| format!("<a href=/{link}>l</a>")).collect::<String>();
        let title = "<title>t</title>";
        for (sent, shown, ratio) in [
            (format!("{title}<div id=app></div>"), format!("{title}{}", words(300)), 1.0),
            (format!("{title}{}", words(200)), format!("{title}{}", words(300)), 0.0),
            // A small page that a script writes a line into.
            (title.to_owned(), format!("{title}{}", words(40)), 0.0),
            (format!("{title}{}{}", words(99), links(2)), format!("{title}{}{}", words(99), links(12)), 1.0),
            (words(99), format!("{title}{}", words(99)), 1.0),
        ] {
            let found = measured(&[(&sent, Some(&shown))], 1).await;
            assert_eq!(found.signals[0].value, json!(ratio), "{sent} {shown}");
        }
        let shown = format!("{title}{}", words(300));
        let found = measured(&[("<title>t</title><div id=app>", Some(&shown))], 1).await;
        let evidence = found.signals[0].evidence.as_ref().expect("told");
        assert_eq!(evidence.items[0].detail, "without scripts 0 of 300 words and 0 of 0 links");
    }

    #[tokio::test]
    async fn the_share_is_of_the_pages_that_were_shown_and_its_trust_grows_with_the_kinds_that_they_stand_for() {
        let app = format!("<title>t</title>{}", "<p>word".repeat(300));
        let [plain, scripted] = [(app.as_str(), Some(app.as_str())), ("<title>t</title>", Some(app.as_str()))];
        let unseen = (app.as_str(), None);
        let found = measured(&[plain, plain, scripted, plain, unseen], 4).await;
        let signal = &found.signals[0];
        assert_eq!((&signal.value, signal.n, signal.quality), (&json!(0.25), Some(4), 0.95));
        for (kinds, quality) in [(1, 0.95), (4, 0.48), (16, 0.24)] {
            assert_eq!(measured(&[plain], kinds).await.signals[0].quality, quality, "{kinds}");
        }
    }

    #[tokio::test]
    async fn a_page_that_was_not_shown_leaves_it_unknown() {
        let found = measured(&[("<p>x", None)], 1).await;
        assert!(found.signals[0].value.is_null() && found.signals[0].n.is_none());
    }
}

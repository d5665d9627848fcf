//! `tech.js_dependent_ratio`: whether what the page shows is there without its scripts, for search engines that run none.
//!
//! The document as the browser shows it and the HTML that the server sends are read by the same code. It is a signal of
//! the crawl that takes a browser, which the crawl does not have; here there is one, for the pages that it loads.

use hermes_core::ports::browser::PageLoad;
use hermes_diagnosis::signal::Method;
use url::Url;

use crate::site::decode::decode;
use crate::site::html::reading::{Reading, read};
use crate::site::report::{Findings, Report};

const ID: &str = "tech.js_dependent_ratio";
/// Trust in a site's share of pages that one page of it gives.
const QUALITY: f64 = 0.5;
/// A shown page with fewer words, or links, has no content, or menu, that could depend on scripts.
const WORDS_MIN: usize = 50;
/// See [`WORDS_MIN`].
const LINKS_MIN: usize = 10;

/// Compares the page that the server sent with the one that the browser showed, if it showed one.
pub(super) async fn report(
    report: &mut Report,
    url: &Url,
    body: &[u8],
    content_type: Option<&str>,
    load: Option<&PageLoad>,
) {
    let Some(html) = load.and_then(|load| load.html.clone()) else {
        return report.unknown(ID, "it takes a browser that has shown the page");
    };
    let (page, sent, content_type) = (url.clone(), body.to_vec(), content_type.map(str::to_owned));
    let both =
        tokio::task::spawn_blocking(move || (read(&decode(&sent, content_type.as_deref()), &page), read(&html, &page)));
    // A page that the parser cannot stand says nothing.
    let Ok((sent, shown)) = both.await else { return report.unknown(ID, "the page could not be read") };
    let mut found = Findings::new();
    if depends(&sent, &shown) {
        found.add(url, || in_words(&sent, &shown));
    }
    report.ratio(ID, found, 1);
    report.qualify(Method::Lab, QUALITY);
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

    async fn measured(sent: &str, shown: Option<&str>) -> Measurement {
        let url = Url::parse("https://a.test/").expect("valid");
        let load = PageLoad { html: shown.map(str::to_owned), ..PageLoad::default() };
        let mut found = Report::default();
        report(&mut found, &url, sent.as_bytes(), Some("text/html"), Some(&load)).await;
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
            let found = measured(&sent, Some(&shown)).await;
            assert_eq!(found.signals[0].value, json!(ratio), "{sent} {shown}");
        }
        let found = measured("<title>t</title><div id=app>", Some(&format!("<title>t</title>{}", words(300)))).await;
        let evidence = found.signals[0].evidence.as_ref().expect("told");
        assert_eq!(evidence.items[0].detail, "without scripts 0 of 300 words and 0 of 0 links");
    }

    #[tokio::test]
    async fn a_page_that_was_not_shown_leaves_it_unknown() {
        let found = measured("<p>x", None).await;
        assert!(found.signals[0].value.is_null() && found.signals[0].n.is_none());
    }
}

//! Titles of a site that wants to speak through the report.

use scraper::{Html, Selector};

use super::fixtures::{diagnosis, history, report};
use crate::{content_security_policy, html, markdown};

/// What a site may call its pages.
fn titles() -> Vec<String> {
    vec![
        "<script>alert(1)</script>".to_owned(),
        "</style><script>alert(1)</script>".to_owned(),
        "\"><img src=x onerror=alert(1)>".to_owned(),
        "' onmouseover='alert(1)".to_owned(),
        "<!-- --><meta http-equiv=refresh content='0;url=https://evil.example'>".to_owned(),
        "\u{202e}txet dnoces\u{2066}\u{200f}".to_owned(),
        "x".repeat(10_000),
        "\u{1f469}\u{200d}\u{1f4bb}\u{1f600} emoji \u{1f3f4}\u{e0067}\u{e007f}".to_owned(),
        "&lt;b&gt; &amp;#60;".to_owned(),
        "\u{0}\u{1b}[31m\r\n# heading\n- list\n[x](javascript:alert(1)) ![y](https://evil.example/z) <https://evil.example>".to_owned(),
    ]
}

fn elements(page: &Html, selector: &str) -> usize {
    page.select(&Selector::parse(selector).expect("a selector")).count()
}

#[test]
fn no_title_of_a_site_becomes_markup() {
    let harmless = diagnosis("A page");
    let count = |page: &Html| ["*", "a", "style", "meta", "svg"].map(|selector| elements(page, selector));
    let expected = count(&Html::parse_document(&html(&report(&harmless, &history()))));
    for title in titles() {
        let mut hostile = diagnosis(&title);
        // A stored diagnosis may be older than the cleaning of today.
        hostile.domain = title.clone();
        hostile.summary = title.clone();
        hostile.findings[0].title = title.clone();
        hostile.findings[0].source = title.clone();
        hostile.findings[0].evidence.items[0].detail = title.clone();
        hostile.missing_services[0].reason = title.clone();
        let text = html(&report(&hostile, &history()));
        let page = Html::parse_document(&text);
        assert_eq!(elements(&page, "script, img, iframe, object, embed, form, link, base"), 0, "{title}");
        assert_eq!(count(&page)[2..], expected[2..], "{title}");
        for element in page.select(&Selector::parse("*").expect("a selector")) {
            for (name, value) in element.value().attrs() {
                assert!(!name.starts_with("on") && name != "style", "{title}: {name}");
                assert!(name != "href" || value.starts_with("http://") || value.starts_with("https://"), "{value}");
            }
        }
        let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
        assert!(!text.contains(turns), "{title}");
        assert!(!text.contains("xxxxxxxxxx".repeat(130).as_str()), "long titles are cut");
        assert!(text.len() < 200_000, "{} bytes for {}", text.len(), &title[..title.len().min(20)]);
    }
}

#[test]
fn no_title_of_a_site_becomes_markdown() {
    for title in titles() {
        let mut hostile = diagnosis(&title);
        hostile.domain = title.clone();
        hostile.findings[0].title = title;
        let text = markdown(&report(&hostile, &history()));
        for line in text.lines() {
            assert!(!line.starts_with("# heading") && !line.starts_with("- list"), "{line}");
        }
        for raw in ["<script", "<img", "](javascript", "![y]", "<https://evil"] {
            for (at, _) in text.match_indices(raw) {
                assert!(text[..at].ends_with('\\'), "{raw} in\n{text}");
            }
        }
    }
}

#[test]
fn the_page_runs_and_loads_nothing_and_its_policy_says_so() {
    let text = html(&report(&diagnosis("A page"), &history()));
    let page = Html::parse_document(&text);
    let policy = page
        .select(&Selector::parse("meta[http-equiv=Content-Security-Policy]").expect("a selector"))
        .next()
        .and_then(|meta| meta.attr("content").map(str::to_owned));
    assert_eq!(policy.as_deref(), Some(content_security_policy()));
    assert!(content_security_policy().starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(!content_security_policy().contains("unsafe"));
    assert_eq!(elements(&page, "[src], [srcset], [style], link, script"), 0);
    assert!(!text.contains("url(") && !text.contains("@import"));
}

#[test]
fn an_address_that_is_no_web_address_is_text() {
    let mut odd = diagnosis("A page");
    for url in ["javascript:alert(1)", "data:text/html,x", "//evil.example", " https://x", "https://a\u{202e}b"] {
        odd.findings[0].evidence.items[0].url = url.to_owned();
        let page = Html::parse_document(&html(&report(&odd, &[])));
        let anchors = Selector::parse("a").expect("a selector");
        for link in page.select(&anchors) {
            let href = link.attr("href").unwrap_or_default();
            assert!(href.starts_with("https://example.com/shop/"), "{url} became {href}");
        }
    }
}

use super::*;

fn facts(html: &str) -> PageFacts {
    let url = Url::parse("https://a.test/dir/page").expect("valid");
    extract(html, &url)
}

fn text(found: Option<&Text>) -> Option<&str> {
    found.map(|text| text.text.as_str())
}

#[test]
fn the_head_of_a_page_is_read() {
    let facts = facts(
        "<!doctype html><html lang=de><head><title> One\n  two </title><title>second</title>
        <meta name=Description content='What  it is'><meta name=viewport content='width=device-width'>
        <meta name=robots content='NoIndex, follow'><link rel='nofollow canonical' href='/c'>
        <link rel=alternate hreflang=en href='https://a.test/en'></head><body><h1>Head</h1><h1> </h1>",
    );
    assert_eq!(text(facts.title.as_ref()), Some("One two"));
    assert_eq!(text(facts.description.as_ref()), Some("What it is"));
    assert_eq!((facts.lang.as_deref(), facts.has_viewport, facts.headings), (Some("de"), true, 1));
    let robots = RobotsMeta { name: "robots".to_owned(), content: "NoIndex, follow".to_owned(), in_head: true };
    assert_eq!((facts.robots, facts.head_description), (vec![robots], Some(true)));
    assert_eq!(facts.canonicals, ["/c"]);
    assert_eq!(facts.hreflangs, [("en".to_owned(), "https://a.test/en".to_owned())]);
}

#[test]
fn an_empty_page_has_nothing() {
    let facts = facts("");
    assert_eq!((facts.title, facts.description, facts.lang, facts.headings), (None, None, None, 0));
    assert_eq!((facts.text.words, facts.links.len(), facts.has_viewport), (0, 0, false));
}

#[test]
fn the_title_of_a_drawing_is_not_the_title_of_the_page() {
    let facts = facts("<body><svg><title>icon</title></svg>");
    assert_eq!(facts.title, None);
}

#[test]
fn a_title_is_measured_in_characters_before_it_is_cut() {
    let facts = facts(&format!("<title>{}</title>", "ä".repeat(400)));
    let title = facts.title.expect("present");
    assert_eq!((title.chars, title.text.chars().count()), (400, TEXT_CHARS_MAX));
}

#[test]
fn links_are_resolved_against_the_base_and_keep_their_nofollow() {
    let facts = facts(
        "<base href='/root/'><a href='x#y'>a</a><a href=' ../z ' rel='external NOFOLLOW'>b</a><area href='/m'>
        <a href='mailto:a@b'>mail</a><a href='javascript:void(0)'>js</a><noscript><a href=n>n</a></noscript>",
    );
    let links: Vec<(&str, bool)> = facts.links.iter().map(|link| (link.url.path(), link.nofollow)).collect();
    assert_eq!(links, [("/root/x", false), ("/z", true), ("/m", false), ("/root/n", false)]);
}

#[test]
fn a_link_that_is_repeated_is_one_link_with_a_count() {
    let facts = facts("<a href='x#1'>a</a><a href='x#2'>b</a><a href=x rel=nofollow>c</a><a href='/dir/x'>d</a>");
    let links: Vec<_> = facts.links.iter().map(|link| (link.url.path(), link.nofollow, link.count)).collect();
    assert_eq!(links, [("/dir/x", false, 2), ("/dir/x", true, 1), ("/dir/x", false, 1)]);
}

#[test]
fn what_a_crawler_cannot_follow_is_counted() {
    let facts = facts(
        "<a>no href</a><a href=''>empty</a><a href='javascript:void(0);'>js</a><a href='file:///c'>f</a>
        <svg><a title=tip>s</a></svg><a id=x></a><a name=y></a><a role=button>b</a><a href='mailto:a@b'>m</a><a href='/ok'>fine</a>",
    );
    assert_eq!((facts.anchors.total, facts.anchors.uncrawlable.count), (4, 2));
}

#[test]
fn generic_link_texts_are_counted_among_those_with_text() {
    let facts = facts(
        "<a href=/a>Click  HERE</a><a href=/b>Prices</a><a href=/c><img src=x alt=pic></a>
        <a href='#top'>here</a><a href=/d rel=nofollow>more</a>",
    );
    assert_eq!((facts.anchors.with_text, facts.anchors.generic.count), (2, 1));
}

#[test]
fn images_are_judged_by_name_and_size() {
    let facts = facts(
        "<img src=a><img src=b alt=''><img src=c role=presentation width=1 height=1><img src=d alt=d style='width:1px;height:2px'>",
    );
    assert_eq!((facts.images.total, facts.images.without_alt.count, facts.images.without_size.count), (4, 1, 2));
    assert_eq!(facts.images.without_alt.first.as_deref(), Some("a"));
}

#[test]
fn words_are_those_of_the_body_and_equal_texts_have_equal_hashes() {
    let one = facts("<title>t</title><body>Some <b>words</b><script>var x = 1</script><style>a{}</style> here");
    let two = facts("<body><p>Some</p>\n<p>words   here</p>");
    let other = facts("<body>here words Some");
    assert_eq!((one.text.words, one.text), (3, two.text));
    assert_ne!(one.text.exact, other.text.exact);
}

#[test]
fn a_refresh_to_another_page_is_a_redirect_and_a_reload_is_none() {
    for (content, expected) in [
        ("0; url=/next", Some("https://a.test/next")),
        ("0;URL='next'", Some("https://a.test/dir/next")),
        ("5", None),
        ("5; url=page", None),
        ("x; url=/next", None),
    ] {
        let found = facts(&format!("<meta http-equiv=Refresh content=\"{content}\">"));
        assert_eq!(found.refresh.map(|(_, url)| url.to_string()).as_deref(), expected, "{content}");
    }
}

#[test]
fn structured_data_is_seen_in_all_three_forms_and_checked_in_one() {
    assert!(facts("<div itemscope>").structured.present);
    assert!(facts("<div typeof=Person>").structured.present);
    let good = r#"{"@context":"https://schema.org","@type":"Person"}"#;
    for (text, errors) in [(good, 0), ("{oops", 1), (r#"{"@context":"x"}"#, 1), (r#"{"@type":"x"}"#, 1)] {
        let found = facts(&format!("<script type='application/ld+json'>{text}</script>")).structured;
        assert_eq!((found.json_ld, found.errors.count), (1, errors), "{text}");
    }
}

#[test]
fn only_style_sheets_and_plain_scripts_in_the_head_hold_up_rendering() {
    let facts = facts(
        "<head><link rel=stylesheet href=1><link rel=stylesheet href=2 media=print><script src=3></script>
        <script src=4 defer></script><script src=5 async></script><script src=6 type=module></script></head>
        <body><script src=7></script><img src=8>",
    );
    let blocking = facts.assets.iter().filter(|asset| asset.is_blocking);
    assert_eq!(blocking.map(|asset| asset.url.path()).collect::<Vec<_>>(), ["/dir/1", "/dir/3"]);
}

#[test]
fn insecure_assets_and_links_to_localhost_are_found() {
    let facts = facts(
        "<img src='http://b.test/i.png'><script src='//c.test/s.js'></script><link rel=stylesheet href=s.css>
        <a href='http://localhost:3000/x'>dev</a>",
    );
    assert_eq!((facts.insecure_assets.count, facts.localhost_links.count), (1, 1));
    let kinds: Vec<AssetKind> = facts.assets.iter().map(|asset| asset.kind).collect();
    assert_eq!(kinds, [AssetKind::Image, AssetKind::Script, AssetKind::Style]);
}

#[test]
fn a_page_nested_without_end_is_cut_and_not_parsed_for_hours() {
    let facts = facts(&format!("<a href=/first>x</a>{}<a href=/deep>x</a>", "<div>".repeat(1_000_000)));
    assert!(facts.cut);
    assert_eq!(facts.links.len(), 1);
}

#[test]
fn a_page_nested_as_deep_as_browsers_allow_is_whole() {
    let facts = facts(&format!("{}<a href=/deep>x</a>{}", "<div>".repeat(400), "<p>text</p>".repeat(10_000)));
    assert!(!facts.cut);
    assert_eq!((facts.links.len(), facts.text.words), (1, 10_001));
}

//! One pass over the tree of a page.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use html5ever::driver::{self, ParseOpts};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::TreeBuilderOpts;
use scraper::node::Element;
use scraper::{ElementRef, Html, HtmlTreeSink, Node};
use url::Url;

use super::{ASSETS_MAX, Asset, AssetKind, HREFLANGS_MAX, PageFacts, Text, links, structured};
use crate::site::address::normalise;

/// Bytes that are parsed between two looks at depth and time.
const CHUNK_BYTES: usize = 8 * 1_024;
/// Elements within elements that are parsed.
const DEPTH_MAX: usize = 512;
/// Longest parsing of one page.
const PARSE_MAX: Duration = Duration::from_secs(30);
/// Nodes inside an element that are looked at for its text.
const TEXT_NODES_MAX: usize = 2_000;
/// Names of `<meta>` elements whose content directs search engines.
const ROBOTS_NAMES: &[&str] = &["robots", "googlebot", "bingbot"];

/// The facts and what is needed while they are gathered.
pub(super) struct Walk<'a> {
    pub(super) page: &'a Url,
    pub(super) base: Url,
    pub(super) facts: PageFacts,
    hasher: DefaultHasher,
}

pub(super) fn extract(html: &str, page: &Url) -> PageFacts {
    let (document, whole) = parse(html);
    let mut walk =
        Walk { page, base: base(&document, page), facts: PageFacts::default(), hasher: DefaultHasher::new() };
    // Depth first, in document order; deep nesting costs memory here and no stack.
    let mut open = vec![(document.tree.root(), false)];
    while let Some((node, in_body)) = open.pop() {
        let mut in_body = in_body;
        match node.value() {
            Node::Element(element) => {
                let element_ref = ElementRef::wrap(node).expect("the node is an element");
                walk.element(element, element_ref, in_body);
                if matches!(element.name(), "script" | "style" | "template") {
                    continue;
                }
                in_body |= element.name() == "body";
            }
            Node::Text(text) if in_body => walk.text(text),
            Node::Document
            | Node::Fragment
            | Node::Doctype(_)
            | Node::Comment(_)
            | Node::Text(_)
            | Node::ProcessingInstruction(_) => {}
        }
        let first_child = open.len();
        open.extend(node.children().map(|child| (child, in_body)));
        open[first_child..].reverse();
    }
    walk.facts.cut = !whole;
    walk.facts.text_hash = walk.hasher.finish();
    walk.facts
}

/// Parses as a browser without scripts does, so that `<noscript>` has content; the flag tells whether all was parsed.
///
/// Parsing costs time by depth, so that a page of nothing but `<div>` would keep a core busy for hours. Browsers stop
/// nesting at 512; here the rest of such a page is dropped, and so is that of a page which takes too long.
pub(super) fn parse(html: &str) -> (Html, bool) {
    let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let options = ParseOpts { tree_builder, ..ParseOpts::default() };
    let mut parser = driver::parse_document(HtmlTreeSink::new(Html::new_document()), options);
    let start = Instant::now();
    let mut rest = html;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES));
        rest = after;
        parser.process(StrTendril::from(chunk));
        let document = parser.tokenizer.sink.sink.0.borrow();
        let depth = document.tree.nodes().next_back().map_or(0, |last| last.ancestors().take(DEPTH_MAX + 1).count());
        if depth > DEPTH_MAX || start.elapsed() > PARSE_MAX {
            break;
        }
    }
    (parser.finish(), rest.is_empty())
}

/// The URL against which the page's links are resolved: the first `<base href>`, else the page's own.
pub(super) fn base(document: &Html, page: &Url) -> Url {
    document
        .root_element()
        .descendent_elements()
        .take_while(|element| element.value().name() != "body")
        .filter(|element| element.value().name() == "base")
        .find_map(|element| element.attr("href"))
        .and_then(|href| page.join(href.trim()).ok())
        .filter(|base| matches!(base.scheme(), "http" | "https"))
        .unwrap_or_else(|| page.clone())
}

/// Whether the blank-separated list `value` has `token`, without regard to case.
pub(super) fn has_token(value: Option<&str>, token: &str) -> bool {
    value.is_some_and(|value| value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(token)))
}

impl Walk<'_> {
    fn text(&mut self, text: &str) {
        for word in text.split_whitespace() {
            self.facts.words += 1;
            word.hash(&mut self.hasher);
        }
    }

    fn element(&mut self, element: &Element, node: ElementRef<'_>, in_body: bool) {
        let is_html = element.name.ns.ends_with("xhtml");
        if element.attr("itemscope").is_some() || element.attr("typeof").is_some() {
            self.facts.structured.present = true;
        }
        match element.name() {
            "html" => {
                self.facts.lang = element.attr("lang").map(str::trim).filter(|lang| !lang.is_empty()).map(Into::into)
            }
            "title" if is_html && self.facts.title.is_none() => self.facts.title = Some(text_of(node)),
            "meta" => self.meta(element),
            "link" => self.link(element, in_body),
            "h1" => self.heading(node),
            "a" | "area" => links::anchor(self, element, node),
            "img" => self.image(element),
            "script" if element.attr("src").is_some() => {
                let waits = ["async", "defer"].iter().any(|name| element.attr(name).is_some());
                let is_module = element.attr("type").is_some_and(|kind| kind.eq_ignore_ascii_case("module"));
                self.asset(AssetKind::Script, element.attr("src"), !in_body && !waits && !is_module);
            }
            "script" => structured::script(&mut self.facts.structured, element, node),
            "iframe" => self.asset(AssetKind::Frame, element.attr("src"), false),
            _ => {}
        }
    }

    fn meta(&mut self, element: &Element) {
        let content = element.attr("content").unwrap_or_default();
        let name = element.attr("name").unwrap_or_default().trim().to_ascii_lowercase();
        if name == "description" && self.facts.description.is_none() {
            self.facts.description = Some(Text::new(content));
        } else if name == "viewport" {
            self.facts.has_viewport |= !content.trim().is_empty();
        } else if ROBOTS_NAMES.contains(&name.as_str()) {
            let directives = content.split(',').map(|directive| directive.trim().to_ascii_lowercase());
            self.facts.robots.extend(directives.filter(|directive| !directive.is_empty()).take(20));
        } else if element.attr("http-equiv").is_some_and(|name| name.trim().eq_ignore_ascii_case("refresh"))
            && self.facts.refresh.is_none()
        {
            self.facts.refresh = self.refresh(content);
        }
    }

    /// `5; url='/next'`, in the many spellings that browsers accept.
    fn refresh(&self, content: &str) -> Option<(f64, Url)> {
        let content = content.trim();
        let end = content.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(content.len());
        let delay = content[..end].parse().ok()?;
        let rest = content[end..].trim_start().trim_start_matches([';', ',']).trim_start();
        let rest = match rest.get(..3) {
            Some(word) if word.eq_ignore_ascii_case("url") => rest[3..].trim_start().strip_prefix('=')?.trim_start(),
            Some(_) | None => rest,
        };
        let target = rest.trim_matches(['"', '\'', ' ']);
        let url = normalise(self.base.join(target).ok()?);
        (!target.is_empty() && url != *self.page).then_some((delay, url))
    }

    fn link(&mut self, element: &Element, in_body: bool) {
        let (rel, href) = (element.attr("rel"), element.attr("href"));
        if has_token(rel, "canonical") && self.facts.canonicals.len() < 10 {
            self.facts.canonicals.push(href.unwrap_or_default().trim().to_owned());
        }
        if has_token(rel, "stylesheet") && !has_token(rel, "alternate") {
            let is_print = element.attr("media").is_some_and(|media| media.trim().eq_ignore_ascii_case("print"));
            self.asset(AssetKind::Style, href, !in_body && !is_print);
        }
        if let (true, Some(code), Some(href)) = (has_token(rel, "alternate"), element.attr("hreflang"), href)
            && self.facts.hreflangs.len() < HREFLANGS_MAX
        {
            self.facts.hreflangs.push((code.trim().to_owned(), href.trim().to_owned()));
        }
    }

    fn heading(&mut self, node: ElementRef<'_>) {
        let text = text_of(node);
        let named = |element: &Element| element.attr("alt").is_some_and(|alt| !alt.trim().is_empty());
        let mut inside = node.descendants().take(TEXT_NODES_MAX);
        let named_image = inside.any(|inner| inner.value().as_element().is_some_and(named));
        if !text.is_empty() || named_image {
            self.facts.headings += 1;
            self.facts.heading.get_or_insert(text);
        }
    }

    fn image(&mut self, element: &Element) {
        let source = element.attr("src").unwrap_or_default();
        let example = || source.chars().take(120).collect::<String>();
        self.facts.images.total += 1;
        let named = ["alt", "aria-label", "aria-labelledby", "title"].iter().any(|name| element.attr(name).is_some());
        let decoration = element.attr("role").is_some_and(|role| matches!(role.trim(), "presentation" | "none"))
            || element.attr("aria-hidden") == Some("true");
        if !named && !decoration {
            self.facts.images.without_alt.add(example);
        }
        let style = element.attr("style").unwrap_or_default();
        let sized = |name: &str| element.attr(name).is_some() || style.contains(name);
        if !(sized("width") && sized("height") || style.contains("aspect-ratio")) {
            self.facts.images.without_size.add(example);
        }
        self.asset(AssetKind::Image, element.attr("src"), false);
    }

    fn asset(&mut self, kind: AssetKind, source: Option<&str>, is_blocking: bool) {
        let Some(url) = source.map(str::trim).filter(|source| !source.is_empty()) else { return };
        let Ok(url) = self.base.join(url) else { return };
        if !matches!(url.scheme(), "http" | "https") {
            return;
        }
        if self.page.scheme() == "https" && url.scheme() == "http" {
            self.facts.insecure_assets.add(|| url.to_string());
        }
        if self.facts.assets.len() < ASSETS_MAX {
            self.facts.assets.push(Asset { kind, url: normalise(url), is_blocking });
        }
    }
}

/// The text inside an element, as far as its first [`TEXT_NODES_MAX`] nodes hold it.
pub(super) fn text_of(node: ElementRef<'_>) -> Text {
    let nodes = node.descendants().take(TEXT_NODES_MAX);
    Text::new(&nodes.filter_map(|inner| inner.value().as_text().map(|text| &**text)).collect::<String>())
}

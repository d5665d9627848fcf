//! `<a>` and `<area>`: which lead somewhere, which a crawler cannot follow, which say nothing about their target.
//!
//! What cannot be followed, and which texts say nothing, is what Lighthouse 13.5 says in its audits
//! `crawlable-anchors` and `link-text`. Listeners that scripts add are not seen here, attributes like `onclick` are.

use std::borrow::Cow;

use html5ever::{LocalName, local_name};
use url::Url;

use super::tree::{Data, Element, Id};
use super::walk::{TEXT_NODES_MAX, Walk, has_token};
use super::{LINKS_MAX, Link, generic};
use crate::site::address::{is_private_by_name, is_web, normalise};

/// Schemes that are for people and not for crawlers; such links are neither good nor bad.
const OTHER_SCHEMES: &[&str] = &["mailto:", "tel:", "sms:", "data:", "blob:", "ftp:", "irc:", "xmpp:", "magnet:"];
/// Attributes that only make sense beside a `href`: an element with one of them was meant as a link.
const LINK_ATTRIBUTES: [LocalName; 7] = [
    local_name!("target"),
    local_name!("download"),
    local_name!("ping"),
    local_name!("rel"),
    local_name!("hreflang"),
    local_name!("type"),
    local_name!("referrerpolicy"),
];
/// Characters of a `href` that is kept as an example.
const EXAMPLE_CHARS_MAX: usize = 80;

/// What was found out about a spelling of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Its place among the links, if it is one that is kept.
    index: Option<usize>,
    /// Whether it leads to the machine of whoever reads the page.
    is_local: bool,
    /// Whether its text is judged: it leads to another place than this page, and not to a script or an address.
    is_judged: bool,
}

pub(super) fn anchor<'a>(walk: &mut Walk<'a>, element: &'a Element, id: Id) {
    let href = element.attr(&local_name!("href")).map(str::trim);
    let rel = element.attr(&local_name!("rel"));
    let is_judged = element.name.local == local_name!("a") && walk.noscript.is_none();
    if is_judged {
        judge(walk, element, href);
    }
    let Some(href) = href.filter(|href| !href.is_empty()) else { return };
    // Links that differ in their fragments only are one, and most pages repeat theirs: each is parsed once.
    let spelling = href.split('#').next().unwrap_or_default();
    let nofollow = has_token(rel, "nofollow");
    let seen = match walk.seen.get(&(spelling, nofollow)) {
        Some(seen) => *seen,
        None => {
            let seen = look(walk, spelling, nofollow);
            walk.seen.insert((spelling, nofollow), seen);
            seen
        }
    };
    if let Some(index) = seen.index {
        walk.facts.links[index].count += 1;
    }
    if seen.is_local {
        walk.facts.localhost_links.add(|| href.to_owned());
    }
    if is_judged && seen.is_judged && !nofollow {
        judge_text(walk, id);
    }
}

/// Takes in a spelling that is new on this page.
fn look(walk: &mut Walk<'_>, spelling: &str, nofollow: bool) -> Seen {
    let Ok(url) = walk.base.join(spelling) else { return Seen { index: None, is_local: false, is_judged: false } };
    if !matches!(url.scheme(), "http" | "https") {
        return Seen { index: None, is_local: false, is_judged: !matches!(url.scheme(), "javascript" | "mailto") };
    }
    let is_local = is_private_by_name(&url) && !is_private_by_name(walk.page);
    let url = normalise(url);
    let is_judged = url != *walk.page;
    let mut index = None;
    if !is_web(&url) {
        // Too long to be asked for.
    } else if walk.facts.links.len() < LINKS_MAX {
        index = Some(walk.facts.links.len());
        walk.facts.links.push(Link { url, nofollow, count: 0 });
    } else {
        walk.facts.cut = true;
    }
    Seen { index, is_local, is_judged }
}

/// Counts the element, and tells whether a crawler can follow it.
fn judge(walk: &mut Walk<'_>, element: &Element, href: Option<&str>) {
    let given = |name: LocalName| element.attr(&name).is_some_and(|value| !value.trim().is_empty());
    let bare: Cow<'_, str> = match href {
        Some(href) if href.contains(char::is_whitespace) => href.replace(char::is_whitespace, "").into(),
        Some(href) => href.into(),
        None => "".into(),
    };
    let bare = bare.as_ref();
    // A role makes it something else than a link; an id makes it a place to link to.
    let is_other = |scheme: &&str| bare.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if given(local_name!("role"))
        || OTHER_SCHEMES.iter().any(is_other)
        || bare.is_empty() && element.attr(&local_name!("id")).is_some_and(|id| !id.is_empty())
    {
        return;
    }
    let is_file = bare.starts_with("file:");
    if !is_file && given(local_name!("name")) {
        return;
    }
    let is_placeholder = href.is_none() && LINK_ATTRIBUTES.iter().all(|name| element.attr(name).is_none());
    if is_placeholder && !element.attribute_names().any(|name| name.starts_with("on")) {
        return;
    }
    walk.facts.anchors.total += 1;
    let is_void = bare.contains("javascript:void(0") || bare.contains("javascript:void0");
    // An empty href leads to the page itself, a missing one nowhere.
    if is_file || href.is_none() || is_void || is_broken(walk.page, bare) {
        walk.facts.anchors.uncrawlable.add(|| match href {
            Some(href) => format!("href=\"{}\"", href.chars().take(EXAMPLE_CHARS_MAX).collect::<String>()),
            None => "<a> without href".to_owned(),
        });
    }
}

/// Whether a reference cannot be resolved. Only those with a colon or slashes at the beginning can fail.
fn is_broken(page: &Url, bare: &str) -> bool {
    let may_fail = bare.contains(':') || bare.starts_with("//") || bare.contains('\\');
    may_fail && page.join(bare).is_err()
}

fn judge_text(walk: &mut Walk<'_>, id: Id) {
    let mut text = String::new();
    for piece in walk.texts_in(id) {
        for word in piece.split_whitespace() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        if text.len() > generic::BYTES_MAX {
            break;
        }
    }
    if text.is_empty() {
        return;
    }
    walk.facts.anchors.with_text += 1;
    if text.len() > generic::BYTES_MAX {
        return;
    }
    let text = text.to_lowercase();
    if generic::is_generic(&text, lang_of(walk, id)) {
        walk.facts.anchors.generic.add(|| text);
    }
}

/// The language of what is inside a link: of the elements in it if they agree, of the link if there are none. `None`
/// if nothing is declared, or several languages are.
fn lang_of<'a>(walk: &Walk<'a>, id: Id) -> Option<&'a str> {
    let tree = walk.tree;
    let around = walk.langs.last().map(|(_, lang)| *lang);
    let mut found: Option<&'a str> = None;
    let primary = |lang: &'a str| lang.split('-').next().unwrap_or_default();
    for inner in tree.descendants(id).take(TEXT_NODES_MAX) {
        if tree.element(inner).is_none() || !has_text(walk, inner) {
            continue;
        }
        let mut inside = std::iter::once(inner).chain(tree.ancestors(inner).take_while(|at| *at != id));
        let own = inside.find_map(|at| tree.element(at)?.attr(&local_name!("lang")));
        let Some(lang) = own.filter(|lang| !lang.is_empty()).or(around) else { continue };
        match found {
            Some(known) if primary(known) != primary(lang) => return None,
            Some(_) => {}
            None => found = Some(lang),
        }
    }
    found.or(around)
}

fn has_text(walk: &Walk<'_>, id: Id) -> bool {
    let tree = walk.tree;
    tree.descendants(id)
        .take(TEXT_NODES_MAX)
        .any(|inner| matches!(tree.data(inner), Data::Text(text) if !text.is_empty()))
}

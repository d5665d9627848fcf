//! `<a>` and `<area>`: which lead somewhere, which a crawler cannot follow, which say nothing about their target.

use scraper::ElementRef;
use scraper::node::Element;

use super::walk::{Walk, has_token, text_of};
use super::{LINKS_MAX, Link};
use crate::site::address::{is_private_by_name, is_web, normalise};

/// Link texts that say nothing about their target.
const GENERIC: &[&str] = &[
    "click here",
    "click this",
    "go",
    "here",
    "information",
    "learn more",
    "more",
    "more info",
    "more information",
    "right here",
    "read more",
    "see more",
    "start",
    "this",
];
/// Schemes that are for people and not for crawlers; such links are neither good nor bad.
const OTHER_SCHEMES: &[&str] = &["mailto:", "tel:", "sms:", "data:", "blob:", "ftp:", "irc:", "xmpp:", "magnet:"];

pub(super) fn anchor(walk: &mut Walk<'_>, element: &Element, node: ElementRef<'_>) {
    let href = element.attr("href").map(str::trim);
    judge(walk, element, href);
    let Some(href) = href.filter(|href| !href.is_empty()) else { return };
    let Ok(url) = walk.base.join(href) else { return };
    if !matches!(url.scheme(), "http" | "https") {
        return;
    }
    if is_private_by_name(&url) && !is_private_by_name(walk.page) {
        walk.facts.localhost_links.add(|| href.to_owned());
    }
    let nofollow = has_token(element.attr("rel"), "nofollow");
    let url = normalise(url);
    judge_text(walk, node, nofollow || url == *walk.page);
    if !is_web(&url) {
        return;
    }
    if walk.facts.links.len() < LINKS_MAX {
        walk.facts.links.push(Link { url, nofollow });
    } else {
        walk.facts.cut = true;
    }
}

/// Counts the element, and tells whether a crawler can follow it.
fn judge(walk: &mut Walk<'_>, element: &Element, href: Option<&str>) {
    let given = |name: &str| element.attr(name).is_some_and(|value| !value.trim().is_empty());
    let lower = href.unwrap_or_default().to_ascii_lowercase();
    // A role makes it something else than a link; a name or an id makes it a place to link to.
    if element.name() == "area" || given("role") || OTHER_SCHEMES.iter().any(|scheme| lower.starts_with(scheme)) {
        return;
    }
    // An anchor in a drawing without a target is a tooltip.
    let is_tooltip = href.is_none() && !element.name.ns.ends_with("xhtml");
    if is_tooltip || lower.is_empty() && (given("id") || given("name")) {
        return;
    }
    walk.facts.anchors.total += 1;
    // An empty href leads to the page itself, a missing one nowhere.
    let dead = href.is_none()
        || lower.starts_with("file:")
        || lower.replace(char::is_whitespace, "").starts_with("javascript:void")
        || walk.base.join(&lower).is_err();
    if dead && !given("name") {
        walk.facts.anchors.uncrawlable.add(|| match href {
            Some(href) => format!("href=\"{}\"", href.chars().take(80).collect::<String>()),
            None => "<a> without href".to_owned(),
        });
    }
}

fn judge_text(walk: &mut Walk<'_>, node: ElementRef<'_>, excused: bool) {
    if excused {
        return;
    }
    let text = text_of(node).text.to_lowercase();
    if text.is_empty() {
        return;
    }
    walk.facts.anchors.with_text += 1;
    if GENERIC.contains(&text.as_str()) {
        walk.facts.anchors.generic.add(|| text);
    }
}

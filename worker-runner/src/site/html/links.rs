//! `<a>` and `<area>`: which lead somewhere, which a crawler cannot follow, which say nothing about their target.
//!
//! What cannot be followed, and which texts say nothing, is what Lighthouse 13.5 says in its audits
//! `crawlable-anchors` and `link-text`. Listeners that scripts add are not seen here, attributes like `onclick` are.

use std::borrow::Cow;

use html5ever::{LocalName, local_name};
use url::Url;

use super::tree::{Data, Element, Id};
use super::walk::{TEXT_NODES_MAX, Walk, has_token, is_invisible, is_unshown};
use super::{LINKS_MAX, Link, generic};
use crate::site::address::{is_private_by_name, is_web, normalise};

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
/// Attributes that listen, as the HTML standard lists them for all elements. Others that begin so do nothing.
const LISTENERS: &str = " onabort onanimationcancel onanimationend onanimationiteration onanimationstart onauxclick \
    onbeforecopy onbeforecut onbeforeinput onbeforematch onbeforepaste onbeforetoggle onblur oncancel oncanplay \
    oncanplaythrough onchange onclick onclose oncommand oncontentvisibilityautostatechange oncontextlost oncontextmenu \
    oncontextrestored oncopy oncuechange oncut ondblclick ondrag ondragend ondragenter ondragleave ondragover \
    ondragstart ondrop ondurationchange onemptied onended onerror onfocus onformdata ongotpointercapture oninput \
    oninvalid onkeydown onkeypress onkeyup onload onloadeddata onloadedmetadata onloadstart onlostpointercapture \
    onmousedown onmouseenter onmouseleave onmousemove onmouseout onmouseover onmouseup onmousewheel onpaste onpause \
    onplay onplaying onpointercancel onpointerdown onpointerenter onpointerleave onpointermove onpointerout \
    onpointerover onpointerrawupdate onpointerup onprogress onratechange onreset onresize onscroll onscrollend onsearch \
    onsecuritypolicyviolation onseeked onseeking onselect onselectionchange onselectstart onslotchange onstalled \
    onsubmit onsuspend ontimeupdate ontoggle ontouchcancel ontouchend ontouchmove ontouchstart ontransitioncancel \
    ontransitionend ontransitionrun ontransitionstart onvolumechange onwaiting onwebkitanimationend \
    onwebkitanimationiteration onwebkitanimationstart onwebkittransitionend onwheel ";
/// Elements at whose borders a line of text ends.
const ENDS_LINES: [&str; 14] =
    ["br", "div", "p", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article"];
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
    let rel = element.attr(&local_name!("rel"));
    let is_judged = element.name.local == local_name!("a") && walk.noscript.is_none();
    if is_judged {
        judge(walk, element);
    }
    let Some(href) = element.attr(&local_name!("href")).map(str::trim).filter(|href| !href.is_empty()) else {
        // Browsers know an older spelling in drawings, which robots do not follow. People read its text.
        if is_judged && element.older_target().is_some_and(|target| leads_on(walk, target)) {
            judge_text(walk, id);
        }
        return;
    };
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
    // To Lighthouse `rel` is a text here, and links in drawings have none.
    let is_asked_not_to = element.is_html() && rel.is_some_and(|rel| rel.contains("nofollow"));
    if is_judged && seen.is_judged && !is_asked_not_to {
        judge_text(walk, id);
    }
}

/// Takes in a spelling that is new on this page.
fn look(walk: &mut Walk<'_>, spelling: &str, nofollow: bool) -> Seen {
    // What leads nowhere is not this page, so its text is judged.
    let Ok(url) = walk.base.join(spelling) else { return Seen { index: None, is_local: false, is_judged: true } };
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

/// Whether a link leads to another page than this one.
fn leads_on(walk: &Walk<'_>, target: &str) -> bool {
    let url = walk.base.join(target.trim());
    url.is_ok_and(|url| !matches!(url.scheme(), "javascript" | "mailto") && normalise(url) != *walk.page)
}

/// Counts the element, and tells whether a crawler can follow it.
fn judge(walk: &mut Walk<'_>, element: &Element) {
    let given = |name: LocalName| element.attr(&name).is_some_and(|value| !value.trim().is_empty());
    let href = element.attr(&local_name!("href"));
    let bare: Cow<'_, str> = match href {
        Some(href) if href.contains(char::is_whitespace) => href.replace(char::is_whitespace, "").into(),
        Some(href) => href.into(),
        None => "".into(),
    };
    let bare = bare.as_ref();
    // A role makes it something else than a link; an id makes it a place to link to.
    if given(local_name!("role"))
        || bare.starts_with("mailto:")
        || bare.is_empty() && element.attr(&local_name!("id")).is_some_and(|id| !id.is_empty())
    {
        return;
    }
    let is_file = bare.starts_with("file:");
    if !is_file && element.is_html() && given(local_name!("name")) {
        return;
    }
    let is_placeholder = href.is_none() && LINK_ATTRIBUTES.iter().all(|name| element.attr(name).is_none());
    if is_placeholder && !element.attribute_names().any(listens) {
        return;
    }
    walk.facts.anchors.total += 1;
    // An empty href leads to the page itself, and so does a missing one in a drawing; elsewhere it leads nowhere.
    let leads_nowhere = href.is_none() && (is_placeholder || element.is_html());
    let is_void = bare.contains("javascript:void(0") || bare.contains("javascript:void0");
    if is_file || leads_nowhere || is_void || is_broken(walk.page, bare) {
        walk.facts.anchors.uncrawlable.add(|| match href {
            Some(href) => format!("href=\"{}\"", href.trim().chars().take(EXAMPLE_CHARS_MAX).collect::<String>()),
            None => "<a> without href".to_owned(),
        });
    }
}

fn listens(attribute: &str) -> bool {
    attribute.starts_with("on") && LISTENERS.split(' ').any(|listener| listener == attribute)
}

/// Whether a reference cannot be resolved. Only those with a colon or slashes at the beginning can fail.
fn is_broken(page: &Url, bare: &str) -> bool {
    let may_fail = bare.contains(':') || bare.starts_with("//") || bare.contains('\\');
    may_fail && page.join(bare).is_err()
}

fn judge_text(walk: &mut Walk<'_>, id: Id) {
    // Nobody sees it before they open what is around it.
    if walk.folded.is_some() {
        return;
    }
    let text = shown_text(walk, id);
    // As JavaScript trims: blanks of every kind.
    let text = text.trim();
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

/// The beginning of what browsers call `innerText`: blanks are one, lines end where blocks and `<br>` are, and what is
/// not shown is left out; of a link that is not shown itself, all its text as it is written.
fn shown_text(walk: &Walk<'_>, id: Id) -> String {
    let tree = walk.tree;
    let is_written = walk.unshown.is_some() || tree.element(id).is_none_or(|element| !element.is_html());
    let mut text = String::new();
    let mut at = tree.after(id, id, true, |_| ());
    for _ in 0..TEXT_NODES_MAX {
        let Some(node) = at else { break };
        let mut into_children = true;
        match tree.data(node) {
            Data::Text(piece) if is_written => text.push_str(piece),
            Data::Text(piece) => add_shown(&mut text, piece),
            Data::Element(element) if !is_written => {
                into_children = !(is_never_shown(element) || is_unshown(element) || is_invisible(element));
                if into_children && ENDS_LINES.contains(&&*element.name.local) {
                    text.push('\n');
                }
            }
            Data::Element(_) | Data::Other => {}
        }
        if text.len() > generic::BYTES_MAX * 2 {
            break;
        }
        at = tree.after(id, node, into_children, |left| {
            let ends = tree.element(left).is_some_and(|element| ENDS_LINES.contains(&&*element.name.local));
            if ends && !is_written {
                text.push('\n');
            }
        });
    }
    text
}

/// Adds a piece with its runs of blanks made one; those that no layout keeps apart from a line's end go.
fn add_shown(text: &mut String, piece: &str) {
    for c in piece.chars() {
        if !c.is_ascii_whitespace() {
            text.push(c);
        } else if !text.ends_with([' ', '\n']) {
            text.push(' ');
        }
    }
}

fn is_never_shown(element: &Element) -> bool {
    matches!(&*element.name.local, "script" | "style" | "template" | "noscript" | "title")
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
        let Some(lang) = own.or(around).filter(|lang| !lang.is_empty()) else { continue };
        match found {
            Some(known) if primary(known) != primary(lang) => return None,
            Some(_) => {}
            None => found = Some(lang),
        }
    }
    found.or(around).filter(|lang| !lang.is_empty())
}

fn has_text(walk: &Walk<'_>, id: Id) -> bool {
    let tree = walk.tree;
    tree.descendants(id)
        .take(TEXT_NODES_MAX)
        .any(|inner| matches!(tree.data(inner), Data::Text(text) if !text.is_empty()))
}

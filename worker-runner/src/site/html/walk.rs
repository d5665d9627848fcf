//! One pass over the tree of a page.

use std::collections::HashMap;

use html5ever::local_name;
use url::Url;

use super::links::{self, Seen};
use super::tree::{Data, Element, Id, ROOT, Tree};
use super::{
    ASSETS_MAX, Asset, AssetKind, HREFLANGS_MAX, HeadLink, PageFacts, ROBOTS_METAS_MAX, RobotsMeta, TEXT_CHARS_MAX,
    Text, images, structured,
};
use crate::site::address::normalise;
use crate::site::fingerprint::Fingerprinter;

/// Nodes inside an element that are looked at for its text.
pub(super) const TEXT_NODES_MAX: usize = 2_000;
/// Canonical links of one page that are kept.
const CANONICALS_MAX: usize = 10;
/// Names of `<meta>` elements whose content directs search engines, in general and one by one.
const ROBOTS_NAMES: &[&str] = &["robots", "googlebot", "bingbot", "duckduckbot", "archive.org_bot"];

/// The facts and what is needed while they are gathered.
pub(super) struct Walk<'a> {
    pub(super) tree: &'a Tree,
    pub(super) page: &'a Url,
    pub(super) base: Url,
    pub(super) facts: PageFacts,
    /// What was found out about links by their spelling.
    pub(super) seen: HashMap<(&'a str, bool), Seen>,
    /// The languages declared around the current element, from the outside in.
    pub(super) langs: Vec<(Id, &'a str)>,
    /// The outermost element around the current one that hides its content from readers with or without eyes.
    pub(super) hidden: Option<Id>,
    /// The outermost element around the current one that browsers do not draw.
    pub(super) unshown: Option<Id>,
    /// The outermost `<details>` around the current element that is closed …
    closed: Option<Id>,
    /// … and the part of it, all but its summary, that the current element is in.
    pub(super) folded: Option<Id>,
    /// The element around the current one that browsers with scripts do not show.
    pub(super) noscript: Option<Id>,
    /// The elements of the page by their ids, once somebody has asked for one.
    ids: Option<HashMap<&'a str, Id>>,
    body: Option<Id>,
    text: Fingerprinter,
}

pub(super) fn extract(html: &str, page: &Url) -> PageFacts {
    let (tree, whole) = Tree::parse(html);
    let mut walk = Walk {
        tree: &tree,
        page,
        base: base(&tree, page),
        facts: PageFacts::default(),
        seen: HashMap::new(),
        langs: Vec::new(),
        hidden: None,
        unshown: None,
        closed: None,
        folded: None,
        noscript: None,
        ids: None,
        body: None,
        text: Fingerprinter::new(),
    };
    let mut at = Some(ROOT);
    while let Some(id) = at {
        let into_children = walk.visit(id);
        at = tree.after(ROOT, id, into_children, |left| walk.leave(left));
    }
    walk.facts.cut |= !whole;
    walk.facts.text = walk.text.finish();
    walk.facts
}

/// The URL against which the page's links are resolved: the first `<base href>`, else the page's own.
pub(super) fn base(tree: &Tree, page: &Url) -> Url {
    tree.descendants(ROOT)
        .filter_map(|id| tree.element(id))
        .take_while(|element| element.name.local != local_name!("body"))
        .filter(|element| element.name.local == local_name!("base"))
        .find_map(|element| element.attr(&local_name!("href")))
        .and_then(|href| page.join(href.trim()).ok())
        .filter(|base| matches!(base.scheme(), "http" | "https"))
        .unwrap_or_else(|| page.clone())
}

/// Whether the blank-separated list `value` has `token`, without regard to case.
pub(super) fn has_token(value: Option<&str>, token: &str) -> bool {
    value.is_some_and(|value| value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(token)))
}

impl<'a> Walk<'a> {
    /// Takes in a node; tells whether what is inside it is to be taken in too.
    fn visit(&mut self, id: Id) -> bool {
        let tree = self.tree;
        match tree.data(id) {
            Data::Element(element) => self.element(id, element),
            Data::Text(text) => {
                if self.body.is_some() {
                    self.text.text(text);
                }
                true
            }
            Data::Other => true,
        }
    }

    fn leave(&mut self, id: Id) {
        self.langs.pop_if(|(at, _)| *at == id);
        self.hidden.take_if(|at| *at == id);
        self.unshown.take_if(|at| *at == id);
        self.closed.take_if(|at| *at == id);
        self.folded.take_if(|at| *at == id);
        self.noscript.take_if(|at| *at == id);
        self.body.take_if(|at| *at == id);
    }

    fn element(&mut self, id: Id, element: &'a Element) -> bool {
        // An empty one says that the language is not known, whatever is declared around it.
        if let Some(lang) = element.attr(&local_name!("lang")).map(str::trim) {
            self.langs.push((id, lang));
        }
        self.enter_what_hides(id, element);
        if element.attribute_names().any(|name| matches!(name, "itemscope" | "typeof")) {
            self.facts.structured.present = true;
        }
        let in_body = self.body.is_some();
        match element.name.local {
            local_name!("html") => {
                let lang = self.langs.last().filter(|(at, lang)| *at == id && !lang.is_empty());
                self.facts.lang = lang.map(|(_, lang)| (*lang).to_owned());
            }
            local_name!("body") if !in_body => self.body = Some(id),
            local_name!("noscript") => {
                self.noscript.get_or_insert(id);
            }
            local_name!("title") if element.is_html() && self.facts.title.is_none() => {
                self.facts.title = Some(self.text_of(id));
            }
            local_name!("meta") => self.meta(element, in_body),
            local_name!("link") if element.is_html() => self.link(element, in_body),
            local_name!("h1") => self.heading(id),
            local_name!("a") | local_name!("area") => links::anchor(self, element, id),
            local_name!("img") => images::image(self, element),
            local_name!("script") => {
                self.script(element, id, in_body);
                return false;
            }
            local_name!("iframe") => self.asset(AssetKind::Frame, element.attr(&local_name!("src")), false),
            local_name!("style") | local_name!("template") => return false,
            _ => {}
        }
        true
    }

    fn enter_what_hides(&mut self, id: Id, element: &Element) {
        let is_unshown = is_unshown(element);
        let is_folded = self.closed.is_some()
            && self.closed == self.tree.parent(id)
            && element.name.local != local_name!("summary");
        if is_unshown {
            self.unshown.get_or_insert(id);
        }
        if is_folded {
            self.folded.get_or_insert(id);
        }
        if element.name.local == local_name!("details") && element.attr(&local_name!("open")).is_none() {
            self.closed.get_or_insert(id);
        }
        if self.hidden.is_none() && (is_unshown || is_folded || is_invisible(element) || is_unspoken(element)) {
            self.hidden = Some(id);
        }
    }

    fn script(&mut self, element: &Element, id: Id, in_body: bool) {
        let source = element.attr(&local_name!("src"));
        if source.is_none() {
            structured::script(self, element, id);
            return;
        }
        let waits = [local_name!("async"), local_name!("defer")].iter().any(|name| element.attr(name).is_some());
        let is_module = element.attr(&local_name!("type")).is_some_and(|kind| kind.eq_ignore_ascii_case("module"));
        self.asset(AssetKind::Script, source, !in_body && !waits && !is_module);
    }

    fn meta(&mut self, element: &Element, in_body: bool) {
        let content = element.attr(&local_name!("content")).unwrap_or_default();
        let name = element.attr(&local_name!("name")).unwrap_or_default().trim().to_ascii_lowercase();
        if name == "description" {
            if !in_body {
                self.facts.head_description.get_or_insert(!content.trim().is_empty());
            }
            self.facts.description.get_or_insert_with(|| Text::new(content));
        } else if name == "viewport" {
            self.facts.has_viewport |= !content.trim().is_empty();
        } else if ROBOTS_NAMES.contains(&name.as_str()) {
            if self.facts.robots.len() < ROBOTS_METAS_MAX {
                let content = content.trim().chars().take(TEXT_CHARS_MAX).collect();
                self.facts.robots.push(RobotsMeta { name, content, in_head: !in_body });
            }
        } else if element
            .attr(&local_name!("http-equiv"))
            .is_some_and(|name| name.trim().eq_ignore_ascii_case("refresh"))
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
        let (rel, href) = (element.attr(&local_name!("rel")), element.attr(&local_name!("href")));
        let hreflang = element.attr(&local_name!("hreflang"));
        let is_canonical = has_token(rel, "canonical");
        if is_canonical && self.facts.canonicals.len() < CANONICALS_MAX {
            self.facts.canonicals.push(href.unwrap_or_default().trim().to_owned());
        }
        if has_token(rel, "stylesheet") && !has_token(rel, "alternate") {
            let media = element.attr(&local_name!("media"));
            let is_print = media.is_some_and(|media| media.trim().eq_ignore_ascii_case("print"));
            self.asset(AssetKind::Style, href, !in_body && !is_print);
        }
        let is_alternate = has_token(rel, "alternate");
        if let (true, Some(code), Some(href)) = (is_alternate, hreflang, href)
            && self.facts.hreflangs.len() < HREFLANGS_MAX
        {
            self.facts.hreflangs.push((code.trim().to_owned(), href.trim().to_owned()));
        }
        let says_nothing_else = rel.is_some_and(|rel| rel.split_ascii_whitespace().count() == 1);
        if !in_body && says_nothing_else && self.facts.head_links.len() < HREFLANGS_MAX {
            let hreflang = hreflang.filter(|code| is_alternate && !code.is_empty());
            if is_canonical || hreflang.is_some() {
                let href = href.unwrap_or_default().trim().to_owned();
                let url = self.base.join(&href).ok();
                self.facts.head_links.push(HeadLink { hreflang: hreflang.map(str::to_owned), href, url });
            }
        }
    }

    fn heading(&mut self, id: Id) {
        let text = self.text_of(id);
        let named = |element: &Element| element.attr(&local_name!("alt")).is_some_and(|alt| !alt.trim().is_empty());
        let mut inside = self.tree.descendants(id).take(TEXT_NODES_MAX);
        if !text.is_empty() || inside.any(|inner| self.tree.element(inner).is_some_and(named)) {
            self.facts.headings += 1;
            self.facts.heading.get_or_insert(text);
        }
    }

    pub(super) fn asset(&mut self, kind: AssetKind, source: Option<&str>, is_blocking: bool) {
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

    /// The first element with an id.
    pub(super) fn with_id(&mut self, wanted: &str) -> Option<Id> {
        let tree = self.tree;
        let ids = self.ids.get_or_insert_with(|| {
            let mut ids = HashMap::new();
            for at in tree.descendants(ROOT) {
                if let Some(id) = tree.element(at).and_then(|element| element.attr(&local_name!("id"))) {
                    ids.entry(id).or_insert(at);
                }
            }
            ids
        });
        ids.get(wanted).copied()
    }

    /// The pieces of text inside an element, as far as its first [`TEXT_NODES_MAX`] nodes hold them.
    pub(super) fn texts_in(&self, id: Id) -> impl Iterator<Item = &'a str> {
        texts_in(self.tree, id)
    }

    /// The text inside an element.
    pub(super) fn text_of(&self, id: Id) -> Text {
        text_of(self.tree, id)
    }
}

fn texts_in(tree: &Tree, id: Id) -> impl Iterator<Item = &str> {
    tree.descendants(id).take(TEXT_NODES_MAX).filter_map(move |inner| match tree.data(inner) {
        Data::Text(text) => Some(&**text),
        Data::Element(_) | Data::Other => None,
    })
}

/// The text inside an element, as far as its first [`TEXT_NODES_MAX`] nodes hold it.
pub(super) fn text_of(tree: &Tree, id: Id) -> Text {
    Text::new(&texts_in(tree, id).collect::<String>())
}

/// Whether an attribute keeps browsers from drawing the element. What style sheets do is not seen.
pub(super) fn is_unshown(element: &Element) -> bool {
    element.is_html() && element.attr(&local_name!("hidden")).is_some() || has_style(element, "display", "none")
}

/// Whether an attribute makes the element invisible, though it takes its place.
pub(super) fn is_invisible(element: &Element) -> bool {
    has_style(element, "visibility", "hidden")
}

/// Whether an attribute hides the element from those who have the page read to them.
fn is_unspoken(element: &Element) -> bool {
    element.attr(&local_name!("aria-hidden")) == Some("true")
}

fn has_style(element: &Element, property: &str, value: &str) -> bool {
    let Some(style) = element.attr(&local_name!("style")) else { return false };
    style.split(';').filter_map(|declaration| declaration.split_once(':')).any(|(name, text)| {
        let text = text.split('!').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(property) && text.trim().eq_ignore_ascii_case(value)
    })
}

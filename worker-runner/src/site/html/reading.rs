//! What a page is about, as its readers see it: titles, headings, the texts of its links, its own words, and what its
//! structured data says of it. The crawler's facts ([`super::extract`]) leave these texts out, because it keeps all
//! pages of a site at once; a handful of pages can be read in full.

use std::collections::BTreeSet;

use html5ever::local_name;
use serde_json::Value;
use url::Url;

use super::tree::{Data, Element, Id, ROOT, Tree};
use super::walk::{base, text_of};
use super::{LINKS_MAX, Text};
use crate::site::address::{is_web, normalise};

/// Characters of the page's own text that are kept, to tell its language.
pub const SAMPLE_CHARS_MAX: usize = 4_000;
/// Headings of one page that are kept.
pub const HEADINGS_MAX: usize = 50;
/// Names and types of one page's structured data that are kept, of each.
pub const STRUCTURED_MAX: usize = 50;
/// Nested objects of structured data that are looked into.
const STRUCTURED_DEPTH_MAX: usize = 12;

/// Elements that surround the content of a page: what they say is said on every page.
const AROUND: &[&str] = &["nav", "header", "footer", "aside", "form"];
/// Elements whose text nobody reads.
const UNREAD: &[&str] = &["script", "style", "template", "noscript", "svg", "iframe"];
/// Types of schema.org whose name is that of the owner of a site.
const OWNERS: &[&str] = &[
    "Organization",
    "Corporation",
    "LocalBusiness",
    "OnlineBusiness",
    "OnlineStore",
    "Store",
    "NGO",
    "EducationalOrganization",
    "NewsMediaOrganization",
    "Brand",
    "WebSite",
];

/// What a page is about.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Text of the first `<title>`.
    pub title: Option<Text>,
    /// Texts of `<h1>`, in order.
    pub headings: Vec<Text>,
    /// Links by `http(s)` with the texts that name them, in order; an image names by its `alt`.
    pub links: Vec<(Url, Text)>,
    /// `lang` of `<html>`, not empty.
    pub lang: Option<String>,
    /// Words of the content: of `<body>` without navigation, header, footer, side bars and forms.
    pub words: u32,
    /// Beginning of the content's text, at most [`SAMPLE_CHARS_MAX`] characters.
    pub sample: String,
    /// Types of schema.org that the structured data names (JSON-LD, microdata), without their address.
    pub types: BTreeSet<String>,
    /// Names that the structured data gives to the owner of the site, in order.
    pub owners: Vec<String>,
    /// The newest `dateModified` of the structured data, or `datePublished` where there is none, as written.
    pub modified: Option<String>,
}

/// Reads a page. `url` is where it came from; a `<base>` in it is respected.
#[must_use]
pub fn read(html: &str, url: &Url) -> Reading {
    let (tree, _) = Tree::parse(html);
    let base = base(&tree, url);
    let mut reading = Reading::default();
    let mut structured = Structured::default();
    // The body that is being read, and the outermost element in it that only surrounds the content.
    let (mut body, mut around) = (None, None);
    let mut at = Some(ROOT);
    while let Some(id) = at {
        let mut into_children = true;
        match tree.data(id) {
            Data::Element(element) => {
                let name = &*element.name.local;
                if name == "script" {
                    structured.script(element, &text_inside(&tree, id));
                }
                into_children = !UNREAD.contains(&name);
                if into_children {
                    structured.microdata(element.attr(&local_name!("itemtype")));
                    reading.element(&tree, element, id, &base);
                }
                if name == "body" {
                    body.get_or_insert(id);
                } else if AROUND.contains(&name) {
                    around.get_or_insert(id);
                }
            }
            Data::Text(text) if body.is_some() && around.is_none() => reading.text(text),
            Data::Text(_) | Data::Other => {}
        }
        at = tree.after(ROOT, id, into_children, |left| {
            body.take_if(|open| *open == left);
            around.take_if(|open| *open == left);
        });
    }
    reading.types = structured.types;
    reading.owners = structured.owners;
    reading.modified = structured.modified.or(structured.published);
    reading
}

impl Reading {
    fn element(&mut self, tree: &Tree, element: &Element, id: Id, base: &Url) {
        match element.name.local {
            local_name!("html") => {
                let lang = element.attr(&local_name!("lang")).map(str::trim);
                self.lang = lang.filter(|lang| !lang.is_empty()).map(Into::into);
            }
            local_name!("title") if element.is_html() && self.title.is_none() => self.title = Some(text_of(tree, id)),
            local_name!("h1") if self.headings.len() < HEADINGS_MAX => {
                self.headings.extend(Some(text_of(tree, id)).filter(|text| !text.is_empty()));
            }
            local_name!("a") if self.links.len() < LINKS_MAX => self.links.extend(link(tree, element, id, base)),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        for word in text.split_whitespace() {
            self.words += 1;
            if self.sample.len() < SAMPLE_CHARS_MAX {
                self.sample.push_str(word);
                self.sample.push(' ');
            }
        }
    }
}

fn link(tree: &Tree, element: &Element, id: Id, base: &Url) -> Option<(Url, Text)> {
    let href = element.attr(&local_name!("href")).map(str::trim);
    let href = href.filter(|href| !href.is_empty() && !href.starts_with('#'))?;
    let url = normalise(base.join(href).ok().filter(is_web)?);
    let mut text = text_of(tree, id);
    if text.is_empty() {
        let mut inside = tree.descendants(id).filter_map(|inner| tree.element(inner));
        let alt = inside.find_map(|inner| inner.attr(&local_name!("alt")));
        text = Text::new(alt.or_else(|| element.attr(&local_name!("aria-label"))).unwrap_or_default());
    }
    Some((url, text))
}

/// All text inside an element, uncut.
fn text_inside(tree: &Tree, id: Id) -> String {
    let texts = tree.descendants(id).filter_map(|inner| match tree.data(inner) {
        Data::Text(text) => Some(&**text),
        Data::Element(_) | Data::Other => None,
    });
    texts.collect()
}

/// What the structured data of a page says.
#[derive(Default)]
struct Structured {
    types: BTreeSet<String>,
    owners: Vec<String>,
    modified: Option<String>,
    published: Option<String>,
}

impl Structured {
    fn script(&mut self, element: &Element, content: &str) {
        let kind = element.attr(&local_name!("type")).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/ld+json")
            && let Ok(value) = serde_json::from_str::<Value>(content.trim())
        {
            self.item(&value, STRUCTURED_DEPTH_MAX);
        }
    }

    fn microdata(&mut self, itemtype: Option<&str>) {
        for name in itemtype.unwrap_or_default().split_ascii_whitespace() {
            self.add_type(name);
        }
    }

    fn add_type(&mut self, name: &str) {
        let name = name.rsplit(['/', '#', ':']).next().unwrap_or_default();
        let is_name = !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_name && self.types.len() < STRUCTURED_MAX {
            self.types.insert(name.to_owned());
        }
    }

    fn item(&mut self, value: &Value, depth: usize) {
        if depth == 0 {
            return;
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.item(item, depth - 1)),
            Value::Object(object) => {
                let names: Vec<&str> = match object.get("@type") {
                    Some(Value::String(name)) => vec![name],
                    Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
                    _ => Vec::new(),
                };
                names.iter().for_each(|name| self.add_type(name));
                if names.iter().any(|name| OWNERS.contains(&name.rsplit('/').next().unwrap_or_default()))
                    && let Some(name) = object.get("name").and_then(Value::as_str).map(str::trim)
                    && !name.is_empty()
                    && self.owners.len() < STRUCTURED_MAX
                {
                    self.owners.push(Text::new(name).text);
                }
                newest(&mut self.modified, object.get("dateModified"));
                newest(&mut self.published, object.get("datePublished"));
                object.values().for_each(|member| self.item(member, depth - 1));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Dates of ISO 8601 are ordered as their texts, as far as a day is concerned.
fn newest(kept: &mut Option<String>, found: Option<&Value>) {
    let Some(found) = found.and_then(Value::as_str).map(str::trim).filter(|text| text.len() <= 40) else { return };
    if found.starts_with(|c: char| c.is_ascii_digit()) && kept.as_deref().is_none_or(|kept| kept < found) {
        *kept = Some(found.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(html: &str) -> Reading {
        read(html, &Url::parse("https://a.test/dir/").expect("valid"))
    }

    #[test]
    fn titles_headings_and_named_links_are_read() {
        let found = reading(
            "<html lang=de><base href=/shop/><title> Schuhe \n kaufen </title><h1>Schuhe</h1><h1> </h1>\
             <a href=boots#x>Stiefel</a><a href='#top'>top</a><a href=sale><img alt=Angebote></a><a href='mailto:a@b'>m</a>",
        );
        assert_eq!((found.title.expect("title").text, found.lang.as_deref()), ("Schuhe kaufen".into(), Some("de")));
        assert_eq!(found.headings.iter().map(|text| text.text.as_str()).collect::<Vec<_>>(), ["Schuhe"]);
        let links: Vec<_> = found.links.iter().map(|(url, text)| (url.as_str(), text.text.as_str())).collect();
        assert_eq!(links, [("https://a.test/shop/boots", "Stiefel"), ("https://a.test/shop/sale", "Angebote")]);
    }

    #[test]
    fn words_around_the_content_are_not_its_words() {
        let found =
            reading("<header>one two</header><nav>three</nav><main>four five</main><script>six</script><footer>x");
        assert_eq!((found.words, found.sample.trim()), (2, "four five"));
    }

    #[test]
    fn structured_data_gives_types_owner_and_date_however_deep() {
        let found = reading(
            r#"<script type="application/ld+json">{"@context":"https://schema.org","@graph":[
                {"@type":["Article","https://schema.org/TechArticle"],"dateModified":"2026-02-01","publisher":
                    {"@type":"Organization","name":" Example  Ltd "}},
                {"@type":"WebPage","datePublished":"2026-03-01","dateModified":"2026-01-01"}]}</script>
               <script type="application/ld+json">{broken</script>
               <div itemscope itemtype="https://schema.org/Product"></div>"#,
        );
        let types: Vec<&str> = found.types.iter().map(String::as_str).collect();
        assert_eq!(types, ["Article", "Organization", "Product", "TechArticle", "WebPage"]);
        assert_eq!((found.owners, found.modified.as_deref()), (vec!["Example Ltd".to_owned()], Some("2026-02-01")));
    }
}

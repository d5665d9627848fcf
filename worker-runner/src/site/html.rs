//! What one HTML page says: the facts that search engines read, taken out of the tree in one pass.
//!
//! Deliberately absent: judgements. What is missing, long, repeated or wrong is decided where all pages are known.

mod generic;
mod images;
mod links;
pub mod reading;
mod structured;
mod tree;
mod walk;

use url::Url;

use super::fingerprint::Fingerprint;

/// Characters of a text (title, description, heading) that are kept; its full length is known besides.
pub const TEXT_CHARS_MAX: usize = 300;
/// Different links of one page that are kept.
pub const LINKS_MAX: usize = 50_000;
/// hreflang annotations of one page that are kept.
pub const HREFLANGS_MAX: usize = 200;
/// Assets of one page that are kept.
pub const ASSETS_MAX: usize = 1_000;
/// `<meta>` elements for robots of one page that are kept.
pub const ROBOTS_METAS_MAX: usize = 20;

/// The facts of one page.
#[derive(Clone, Debug, Default)]
pub struct PageFacts {
    /// Text of the first `<title>`; `None` without one.
    pub title: Option<Text>,
    /// Content of the first `<meta name=description>`; `None` without one.
    pub description: Option<Text>,
    /// `<h1>` elements with text, or with an image that has an `alt`.
    pub headings: u32,
    /// Text of the first of them.
    pub heading: Option<Text>,
    /// `href` of every `<link rel=canonical>`, as written.
    pub canonicals: Vec<String>,
    /// `<meta>` elements whose name is `robots` or that of a searcher, in order.
    pub robots: Vec<RobotsMeta>,
    /// Whether the first `<meta name=description>` of `<head>` has content; `None` without one.
    pub head_description: Option<bool>,
    /// `<link rel=canonical>` and `<link rel=alternate hreflang>` of `<head>` whose `rel` says nothing else.
    pub head_links: Vec<HeadLink>,
    /// `<link rel=alternate hreflang=…>`: the code and the `href`, as written.
    pub hreflangs: Vec<(String, String)>,
    /// `lang` of `<html>`, not empty.
    pub lang: Option<String>,
    /// Whether there is a `<meta name=viewport>` with content.
    pub has_viewport: bool,
    /// Target of `<meta http-equiv=refresh>` and its delay in seconds, where it leads to another URL.
    pub refresh: Option<(f64, Url)>,
    /// Links that a crawler can follow.
    pub links: Vec<Link>,
    /// Whether a part of the page was left out: too many links, nested too deep, or too slow to parse.
    pub cut: bool,
    /// Counts of `<a>` elements.
    pub anchors: Anchors,
    /// Counts of `<img>` elements.
    pub images: Images,
    /// What the page loads: style sheets, scripts, images, frames.
    pub assets: Vec<Asset>,
    /// Assets that are loaded by `http` although the page came by `https`, and the first of them.
    pub insecure_assets: Samples,
    /// Links to the machine of whoever reads the page, and the first of them.
    pub localhost_links: Samples,
    /// Structured data.
    pub structured: Structured,
    /// The text of `<body>`, without scripts and styles.
    pub text: Fingerprint,
}

/// A `<meta>` element that tells robots what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RobotsMeta {
    /// Whom it is for, lower case: `robots` for everybody, or `googlebot` …
    pub name: String,
    /// What it says, cut at [`TEXT_CHARS_MAX`].
    pub content: String,
    /// Whether it is in `<head>`.
    pub in_head: bool,
}

/// A `<link>` of `<head>`, or one of the header fields, that search engines read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadLink {
    /// The code of `rel=alternate hreflang`; `None` for `rel=canonical`.
    pub hreflang: Option<String>,
    /// `href` as written.
    pub href: String,
    /// Where that leads, if it can be read.
    pub url: Option<Url>,
}

/// A text, cut for keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The text with runs of blanks made one, cut at [`TEXT_CHARS_MAX`].
    pub text: String,
    /// Its characters before the cut.
    pub chars: usize,
}

impl Text {
    /// Collapses blanks and cuts.
    #[must_use]
    pub fn new(raw: &str) -> Self {
        let collapsed = raw.split_whitespace().collect::<Vec<_>>().join(" ");
        let chars = collapsed.chars().count();
        Self { text: collapsed.chars().take(TEXT_CHARS_MAX).collect(), chars }
    }

    /// Whether nothing but blanks was there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// A link that a crawler can follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it leads, normalised.
    pub url: Url,
    /// Whether its `rel` says `nofollow`.
    pub nofollow: bool,
    /// How many elements lead there. Spellings that differ in more than the fragment are links of their own.
    pub count: u32,
}

/// Counts of `<a>` and `<area>` elements.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// Links with text whose text can be judged: to other pages, and not `nofollow`.
    pub with_text: u32,
    /// Those whose text is generic (`click here`), and the first of them.
    pub generic: Samples,
    /// `<a>` elements that are links or should be ones.
    pub total: u32,
    /// Those that a crawler cannot follow, and the first of them.
    pub uncrawlable: Samples,
}

/// Counts of `<img>` elements.
#[derive(Clone, Debug, Default)]
pub struct Images {
    /// All.
    pub total: u32,
    /// Those that are not hidden by an attribute of theirs or around them.
    pub shown: u32,
    /// Shown without `alt` and without another name, and the first of them.
    pub without_alt: Samples,
    /// Without width and height, and the first of them.
    pub without_size: Samples,
}

/// A count with its first example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// How many.
    pub count: u32,
    /// The first.
    pub first: Option<String>,
}

impl Samples {
    /// Counts one more; `example` is called for the first only.
    pub fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(example);
    }
}

/// Something that a page loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// What it is used as.
    pub kind: AssetKind,
    /// Where it is.
    pub url: Url,
    /// Whether browsers wait for it before they draw anything: style sheets and plain scripts in `<head>`.
    pub is_blocking: bool,
}

/// What an asset is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AssetKind {
    /// `<link rel=stylesheet>`.
    Style,
    /// `<script src>`.
    Script,
    /// `<img src>`.
    Image,
    /// `<iframe src>`.
    Frame,
}

/// Structured data of a page.
#[derive(Clone, Debug, Default)]
pub struct Structured {
    /// JSON-LD, microdata or RDFa is there.
    pub present: bool,
    /// JSON-LD blocks.
    pub json_ld: u32,
    /// Blocks with errors, and the first error.
    pub errors: Samples,
}

/// Reads a page. `url` is where it came from; a `<base>` in it is respected.
#[must_use]
pub fn extract(html: &str, url: &Url) -> PageFacts {
    walk::extract(html, url)
}

#[cfg(test)]
mod tests;

//! Every URL of the site that the crawl knows, once, with what became of it.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use url::Url;

use super::page::Page;
use crate::site::address::repeats_itself;

/// URLs of one site that are remembered.
const URLS_MAX: usize = 50_000;
/// Links between pages that are remembered: page and target, each pair once.
const LINKS_MAX: usize = 5_000_000;
/// Variants of one path that differ in the query only, before the path counts as a trap.
const QUERY_VARIANTS_MAX: u32 = 100;
/// Style sheets and scripts that are remembered.
const RESOURCES_MAX: usize = 5_000;

/// Place of a URL in the table.
pub(super) type NodeId = u32;

/// One URL of the site.
#[derive(Debug)]
pub(super) struct Node {
    /// The URL, normalised.
    pub(super) url: Url,
    /// Whether a page links to it.
    pub(super) is_linked: bool,
    /// Whether a sitemap lists it.
    pub(super) is_in_sitemap: bool,
    /// Whether it was asked for a second time.
    pub(super) was_retried: bool,
    /// What became of it.
    pub(super) state: State,
}

/// What became of a URL.
#[derive(Debug)]
pub(super) enum State {
    /// It was not asked for, or the answer did not come in time.
    Waiting,
    /// robots.txt does not let us read it.
    Disallowed,
    /// It redirects.
    Redirect {
        /// Status code.
        status: u16,
        /// Where to.
        to: Target,
    },
    /// An HTML page.
    Page(Box<Page>),
    /// Something that is there and no HTML page.
    File,
    /// An answer that is neither success nor redirect.
    Status(u16),
    /// A bot wall answered instead of the site.
    Walled,
    /// No answer.
    Failed(String),
}

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Within the site.
    Site(NodeId),
    /// To another host.
    Foreign(String),
    /// Nowhere: no or an unusable `Location`.
    Nowhere,
}

/// Every URL of the site that the crawl knows.
#[derive(Debug, Default)]
pub(super) struct Table {
    nodes: Vec<Node>,
    /// Places by the hashes of their URLs; where two URLs share one, the next free number is that of the later.
    by_hash: HashMap<u64, NodeId>,
    hasher: RandomState,
    variants: HashMap<String, u32>,
    links: usize,
    /// Style sheets and scripts on the same host.
    pub(super) resources: HashSet<Url>,
    /// URLs that were left out since they look like traps.
    pub(super) traps: u64,
    /// Links that carry the id of a session, which was left out of their URLs.
    pub(super) session_ids: u64,
    /// URLs and links that were left out since there are too many.
    pub(super) left_out: u64,
}

impl Table {
    /// The place of a URL, which becomes known if it was not. `None` if it is left out.
    pub(super) fn intern(&mut self, url: Url) -> Option<NodeId> {
        let hash = match self.look_up(&url) {
            Ok(id) => return Some(id),
            Err(hash) => hash,
        };
        if self.is_trap(&url) {
            self.traps += 1;
            return None;
        }
        if self.nodes.len() == URLS_MAX {
            self.left_out += 1;
            return None;
        }
        let id = NodeId::try_from(self.nodes.len()).expect("URLS_MAX fits");
        self.by_hash.insert(hash, id);
        self.nodes.push(Node {
            url,
            is_linked: false,
            is_in_sitemap: false,
            was_retried: false,
            state: State::Waiting,
        });
        Some(id)
    }

    fn is_trap(&mut self, url: &Url) -> bool {
        if repeats_itself(url) {
            return true;
        }
        if url.query().is_none() {
            return false;
        }
        let variants = self.variants.entry(url.path().to_owned()).or_default();
        *variants += 1;
        *variants > QUERY_VARIANTS_MAX
    }

    /// Counts links of a page; `false` if there are too many in all and this one is left out.
    pub(super) fn admit_link(&mut self) -> bool {
        let admitted = self.links < LINKS_MAX;
        if admitted {
            self.links += 1;
        } else {
            self.left_out += 1;
        }
        admitted
    }

    /// Remembers a style sheet or script of the same host.
    pub(super) fn add_resource(&mut self, url: Url) {
        if self.resources.len() < RESOURCES_MAX {
            self.resources.insert(url);
        }
    }

    /// A URL by its place.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// The same, to change it.
    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// The place of a URL, if it is known.
    pub(super) fn find(&self, url: &Url) -> Option<NodeId> {
        self.look_up(url).ok()
    }

    /// The place of a URL, or the number under which it would be remembered.
    fn look_up(&self, url: &Url) -> Result<NodeId, u64> {
        let mut hash = self.hasher.hash_one(url.as_str());
        loop {
            match self.by_hash.get(&hash) {
                Some(id) if self.node(*id).url == *url => return Ok(*id),
                Some(_) => hash = hash.wrapping_add(1),
                None => return Err(hash),
            }
        }
    }

    /// Every URL, in the order in which they became known.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Every HTML page that was read, with its place.
    pub(super) fn pages(&self) -> impl Iterator<Item = (NodeId, &Url, &Page)> {
        self.nodes.iter().zip(0..).filter_map(|(node, id)| match &node.state {
            State::Page(page) => Some((id, &node.url, page.as_ref())),
            State::Waiting
            | State::Disallowed
            | State::Redirect { .. }
            | State::File
            | State::Status(_)
            | State::Walled
            | State::Failed(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_one_place_and_traps_have_none() {
        let url = |text: &str| Url::parse("https://a.test/").and_then(|base| base.join(text)).expect("valid");
        let mut table = Table::default();
        assert_eq!(table.intern(url("/a")), Some(0));
        assert_eq!(table.intern(url("/b")), Some(1));
        assert_eq!(table.intern(url("/a")), Some(0));
        assert_eq!(table.intern(url("/x/y/x/y/x/y/x/y")), None);
        let calendar = (0..200).filter_map(|day| table.intern(url(&format!("/calendar?day={day}")))).count();
        assert_eq!(calendar, QUERY_VARIANTS_MAX as usize);
        assert_eq!(table.traps, 101);
    }
}

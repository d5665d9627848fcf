//! What the signals have in common: where redirects end, how deep pages lie, which pages are judged.

use std::collections::VecDeque;

use url::Url;

use super::super::Audit;
use super::super::crawl::Crawled;
use super::super::page::{Page, Verdict};
use super::super::table::{NodeId, State, Target};
use crate::site::address::may_be_a_page;

/// Redirects in a row that a browser follows.
const REDIRECTS_MAX: usize = 20;

/// A page with what follows from it.
pub(super) struct Known<'a> {
    pub(super) id: NodeId,
    pub(super) url: &'a Url,
    pub(super) page: &'a Page,
    pub(super) verdict: Verdict,
    /// Clicks from the home page; `None` if no links lead there.
    pub(super) depth: Option<u32>,
}

/// Where a URL leads in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// To a page or a file.
    Found(NodeId),
    /// To an error, in words.
    Broken(String),
    /// Round in a circle.
    Loop,
    /// To another host.
    Foreign,
    /// Not known: not asked for, not allowed, or answered in a way that says nothing about people's browsers.
    Unknown,
}

/// Everything that is known, looked at from the signals.
pub(super) struct View<'a> {
    pub(super) audit: &'a Audit,
    pub(super) crawled: &'a Crawled,
    pub(super) pages: Vec<Known<'a>>,
}

impl<'a> View<'a> {
    pub(super) fn new(audit: &'a Audit, crawled: &'a Crawled) -> Self {
        let depths = depths(crawled);
        let pages = crawled.table.pages().map(|(id, url, page)| Known {
            id,
            url,
            page,
            verdict: page.verdict(url, !audit.home.robots.allows_googlebot(url)),
            depth: depths[id as usize],
        });
        Self { audit, crawled, pages: pages.collect() }
    }

    /// The pages whose texts and markup are judged: see [`Verdict::is_judged`].
    pub(super) fn judged(&self) -> impl Iterator<Item = &Known<'a>> {
        self.pages.iter().filter(|known| known.verdict.is_judged())
    }

    /// How many they are.
    pub(super) fn judged_count(&self) -> u64 {
        self.judged().count() as u64
    }

    /// Pages that were read, and URLs that may be pages and were not.
    pub(super) fn pages_known(&self) -> u64 {
        let nodes = self.crawled.table.nodes().iter();
        let waiting = nodes.filter(|node| matches!(node.state, State::Waiting) && may_be_a_page(&node.url)).count();
        (self.pages.len() + waiting) as u64
    }

    /// URLs that were not asked for.
    pub(super) fn waiting(&self) -> usize {
        self.crawled.table.nodes().iter().filter(|node| matches!(node.state, State::Waiting)).count()
    }

    /// Whether something of the site was left unread.
    pub(super) fn is_truncated(&self) -> bool {
        self.crawled.cut.is_some() || self.crawled.table.left_out > 0
    }

    /// Where a URL leads in the end, and over how many redirects.
    pub(super) fn end(&self, id: NodeId) -> (End, u32) {
        let mut seen = vec![id];
        let mut at = id;
        loop {
            let hops = u32::try_from(seen.len() - 1).unwrap_or(u32::MAX);
            let node = self.crawled.table.node(at);
            let end = match &node.state {
                State::Page(_) | State::File => End::Found(at),
                State::Waiting | State::Disallowed => End::Unknown,
                State::Status(status) if says_broken(*status) => End::Broken(format!("HTTP {status}")),
                State::Status(_) | State::Walled => End::Unknown,
                State::Failed(problem) => End::Broken(problem.clone()),
                State::Redirect { to: Target::Nowhere, status } => {
                    End::Broken(format!("HTTP {status} without a usable target"))
                }
                State::Redirect { to: Target::Foreign(_), .. } => return (End::Foreign, hops + 1),
                State::Redirect { to: Target::Site(next), .. } if seen.contains(next) => return (End::Loop, hops + 1),
                // A site can make up redirects without end; browsers give up here too.
                State::Redirect { .. } if seen.len() > REDIRECTS_MAX => {
                    End::Broken(format!("more than {REDIRECTS_MAX} redirects"))
                }
                State::Redirect { to: Target::Site(next), .. } => {
                    at = *next;
                    seen.push(at);
                    continue;
                }
            };
            return (end, hops);
        }
    }
}

/// Whether a status means that people who follow the link find nothing. Doors that are closed to robots or to
/// strangers, and servers that are busy for a moment, say nothing about that.
fn says_broken(status: u16) -> bool {
    !matches!(status, 401 | 403 | 405 | 407 | 429 | 451 | 503)
}

/// Clicks from the home page to every URL; redirects are no clicks.
fn depths(crawled: &Crawled) -> Vec<Option<u32>> {
    let table = &crawled.table;
    let mut depths: Vec<Option<u32>> = vec![None; table.nodes().len()];
    let mut queue = VecDeque::from([(crawled.home, 0)]);
    while let Some((id, depth)) = queue.pop_front() {
        if depths[id as usize].is_some_and(|known| known <= depth) {
            continue;
        }
        depths[id as usize] = Some(depth);
        match &table.node(id).state {
            State::Redirect { to: Target::Site(next), .. } => queue.push_front((*next, depth)),
            State::Page(page) => {
                let sends_on = page.sends_on().and_then(|url| table.find(url));
                queue.extend(sends_on.map(|next| (next, depth + 1)));
                queue.extend(page.links.iter().map(|(next, _)| (*next, depth + 1)));
            }
            State::Waiting
            | State::Disallowed
            | State::Redirect { .. }
            | State::File
            | State::Status(_)
            | State::Walled
            | State::Failed(_) => {}
        }
    }
    depths
}

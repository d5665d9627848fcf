//! The walk over a site: breadth first, within budgets of pages, requests and time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use hermes_core::ports::http::{HttpError, Response};
use url::Url;

use super::table::{NodeId, State, Table, Target};
use super::visit::{self, Answer, How, Read};
use crate::site::address::{may_be_a_page, same_site, without_session_id};
use crate::site::fetch::{FetchError, Fetcher, Hop};
use crate::site::html::Link;
use crate::site::robots::RobotsFile;

/// Answers 5xx, or none, in a row that end a crawl: the site has enough.
const ERRORS_IN_A_ROW_MAX: u32 = 5;
/// Requests per page of the budget: redirects, files and errors cost requests too.
const REQUESTS_PER_PAGE: usize = 10;
/// Longest pause that a server can ask for within a crawl.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Pause after a server's first sign of overload, if it names none.
const PAUSE: Duration = Duration::from_secs(2);

/// Why a crawl ended before everything was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The budget of pages or requests was used up.
    Budget,
    /// The time was over.
    Time,
    /// The site answered with errors only.
    Errors,
    /// The limits for calls to the site forbade to go on.
    HeldBack,
}

/// What a crawl knows at its end.
#[derive(Debug)]
pub(super) struct Crawled {
    /// Every URL.
    pub(super) table: Table,
    /// The home page.
    pub(super) home: NodeId,
    /// Why it ended early, if it did.
    pub(super) cut: Option<Cut>,
}

/// Where a crawl begins, and what is known already.
pub(super) struct Start<'a> {
    /// The home page.
    pub(super) home: &'a Url,
    /// The redirects that led to it.
    pub(super) hops: &'a [Hop],
    /// The answer of the home page.
    pub(super) response: Response,
    /// robots.txt of the site.
    pub(super) robots: &'a RobotsFile,
    /// URLs that the sitemaps list.
    pub(super) listed: &'a [Url],
    /// Pages that may be read.
    pub(super) pages: usize,
    /// Requests at the same time.
    pub(super) connections: usize,
}

struct Crawl<'a> {
    robots: &'a RobotsFile,
    site: &'a Url,
    table: Table,
    /// Linked URLs that may be pages.
    pages: VecDeque<NodeId>,
    /// URLs that only a sitemap names.
    listed: VecDeque<NodeId>,
    /// Linked files, whose presence is checked when all pages were read.
    files: VecDeque<NodeId>,
    pages_left: usize,
    requests_left: usize,
    errors_in_a_row: u32,
    cut: Option<Cut>,
}

type Visit<'f> = BoxFuture<'f, (NodeId, How, Result<Answer, FetchError>)>;

/// Crawls a site.
pub(super) async fn crawl(fetcher: &Fetcher<'_>, start: Start<'_>) -> Crawled {
    let connections = start.connections;
    let parsers = &visit::Parsers::new();
    let (mut crawl, home) = Crawl::begin(start).await;
    let mut in_flight: FuturesUnordered<Visit<'_>> = FuturesUnordered::new();
    loop {
        while in_flight.len() < connections
            && let Some((id, how)) = crawl.next()
        {
            let url = crawl.table.node(id).url.clone();
            in_flight.push(Box::pin(async move { (id, how, visit::visit(fetcher, parsers, &url, how).await) }));
        }
        match tokio::time::timeout_at(fetcher.stop_at(), in_flight.next()).await {
            Ok(None) => break,
            Ok(Some((id, how, Ok(answer)))) => {
                if let Some(pause) = crawl.answered(id, how, answer) {
                    fetcher.hold(pause).await;
                }
            }
            Ok(Some((id, how, Err(FetchError::Http(error))))) => crawl.failed(id, how, &error),
            Ok(Some((_, _, Err(FetchError::OutOfTime)))) | Err(_) => {
                crawl.cut = Some(Cut::Time);
                break;
            }
        }
    }
    if crawl.cut.is_none() && !(crawl.pages.is_empty() && crawl.listed.is_empty() && crawl.files.is_empty()) {
        crawl.cut = Some(Cut::Budget);
    }
    Crawled { table: crawl.table, home, cut: crawl.cut }
}

impl<'a> Crawl<'a> {
    async fn begin(start: Start<'a>) -> (Self, NodeId) {
        let mut crawl = Self {
            robots: start.robots,
            site: start.home,
            table: Table::default(),
            pages: VecDeque::new(),
            listed: VecDeque::new(),
            files: VecDeque::new(),
            pages_left: start.pages.saturating_sub(1),
            requests_left: start.pages.saturating_mul(REQUESTS_PER_PAGE),
            errors_in_a_row: 0,
            cut: None,
        };
        let home = crawl.table.intern(start.home.clone()).expect("an empty table takes every URL that was just read");
        // From the last to the first, so that the target of each is known already.
        for (index, hop) in start.hops.iter().enumerate().rev().filter(|(_, hop)| same_site(&hop.url, start.home)) {
            let next = start.hops.get(index + 1).map_or(start.home, |next| &next.url).clone();
            if let Some(id) = crawl.table.intern(hop.url.clone()) {
                let to = crawl.target(Some(next));
                crawl.table.node_mut(id).state = State::Redirect { status: hop.status, to };
            }
        }
        let answer = visit::judge(start.home, start.response).await;
        crawl.answered(home, How::Read, answer);
        for url in start.listed {
            let known = crawl.table.find(url).is_some();
            let Some(id) = crawl.table.intern(url.clone()) else { continue };
            crawl.table.node_mut(id).is_in_sitemap = true;
            if !known {
                crawl.enqueue(id, true);
            }
        }
        (crawl, home)
    }

    /// What to ask for next.
    fn next(&mut self) -> Option<(NodeId, How)> {
        if self.cut.is_some() || self.requests_left == 0 {
            return None;
        }
        let page = if self.pages_left > 0 { self.pages.pop_front().or_else(|| self.listed.pop_front()) } else { None };
        if page.is_some() {
            self.pages_left -= 1;
        }
        let job = page.map(|id| (id, How::Read)).or_else(|| self.files.pop_front().map(|id| (id, How::Check)));
        if job.is_some() {
            self.requests_left -= 1;
        }
        job
    }

    /// Takes an answer in. Returns how long to pause, if the server asked for it.
    fn answered(&mut self, id: NodeId, how: How, answer: Answer) -> Option<Duration> {
        let turned_away = matches!(answer, Answer::Status { status: 500..=599, .. } | Answer::Walled);
        self.count_errors(turned_away);
        if how == How::Read && !matches!(answer, Answer::Page(_)) {
            self.pages_left += 1;
        }
        let mut pause = None;
        let state = match answer {
            Answer::Redirect { status, to } => State::Redirect { status, to: self.target(to) },
            Answer::Page(read) => self.read(*read),
            Answer::File => State::File,
            Answer::Walled => State::Walled,
            Answer::Unreadable => State::Failed("the page cannot be parsed".to_owned()),
            Answer::Status { status: 429 | 503, retry_after } if !self.table.node(id).was_retried => {
                pause = Some(retry_after.unwrap_or(PAUSE).min(PAUSE_MAX));
                self.again(id, how);
                State::Waiting
            }
            Answer::Status { status, .. } => State::Status(status),
        };
        self.table.node_mut(id).state = state;
        pause
    }

    fn failed(&mut self, id: NodeId, how: How, error: &HttpError) {
        // It was not asked for, so nothing is known about it; and the others would fare no better.
        if matches!(error, HttpError::HeldBack { .. }) {
            self.table.node_mut(id).state = State::Waiting;
            self.cut = Some(Cut::HeldBack);
            return;
        }
        self.count_errors(true);
        if how == How::Read {
            self.pages_left += 1;
        }
        let may_pass = match error {
            HttpError::Connect { .. } | HttpError::Timeout { .. } | HttpError::Protocol { .. } => true,
            HttpError::Refused { .. } | HttpError::Dns { .. } | HttpError::Tls { .. } | HttpError::HeldBack { .. } => {
                false
            }
        };
        if may_pass && !self.table.node(id).was_retried {
            self.again(id, how);
        } else {
            self.table.node_mut(id).state = State::Failed(error.to_string());
        }
    }

    /// Puts a URL at the end of its queue, once.
    fn again(&mut self, id: NodeId, how: How) {
        self.table.node_mut(id).was_retried = true;
        match how {
            How::Read => self.pages.push_back(id),
            How::Check => self.files.push_back(id),
        }
    }

    fn count_errors(&mut self, is_error: bool) {
        self.errors_in_a_row = if is_error { self.errors_in_a_row + 1 } else { 0 };
        if self.errors_in_a_row == ERRORS_IN_A_ROW_MAX {
            self.cut = Some(Cut::Errors);
        }
    }

    fn read(&mut self, read: Read) -> State {
        let Read { mut page, links, resources } = read;
        for resource in resources {
            self.table.add_resource(resource);
        }
        if !page.directives.nofollow() {
            page.links = self.follow(links);
        }
        if let Some(target) = page.sends_on().cloned() {
            self.target(Some(target));
        }
        State::Page(Box::new(page))
    }

    /// Makes the internal links of a page known. Links with `nofollow` are neither followed nor judged: they lead to
    /// what is not for robots.
    fn follow(&mut self, links: Vec<Link>) -> Vec<(NodeId, u32)> {
        let mut order = Vec::new();
        let mut counts: HashMap<NodeId, u32> = HashMap::new();
        for link in links.into_iter().filter(|link| !link.nofollow && same_site(&link.url, self.site)) {
            let url = match without_session_id(&link.url) {
                Some(url) => {
                    self.table.session_ids += u64::from(link.count);
                    url
                }
                None => link.url,
            };
            let Some(id) = self.discover(url) else { continue };
            self.table.node_mut(id).is_linked = true;
            *counts.entry(id).or_insert_with(|| {
                order.push(id);
                0
            }) += link.count;
        }
        order.retain(|_| self.table.admit_link());
        order.into_iter().map(|id| (id, counts[&id])).collect()
    }

    /// The place of a URL of the site; a new one is put into its queue.
    fn discover(&mut self, url: Url) -> Option<NodeId> {
        if let Some(id) = self.table.find(&url) {
            return Some(id);
        }
        let id = self.table.intern(url)?;
        self.enqueue(id, false);
        Some(id)
    }

    fn enqueue(&mut self, id: NodeId, from_sitemap: bool) {
        let url = &self.table.node(id).url;
        if !self.robots.allows(url) {
            self.table.node_mut(id).state = State::Disallowed;
        } else if !may_be_a_page(url) {
            self.files.push_back(id);
        } else if from_sitemap {
            self.listed.push_back(id);
        } else {
            self.pages.push_back(id);
        }
    }

    fn target(&mut self, to: Option<Url>) -> Target {
        match to {
            Some(url) if same_site(&url, self.site) => self.discover(url).map_or(Target::Nowhere, Target::Site),
            Some(url) => Target::Foreign(url.to_string()),
            None => Target::Nowhere,
        }
    }
}

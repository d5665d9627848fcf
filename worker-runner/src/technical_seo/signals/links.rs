//! Status codes, broken links, redirects, depth and link texts.

use std::collections::HashMap;

use serde_json::json;

use super::super::table::{NodeId, State};
use super::view::{End, View};
use crate::site::address::{is_private_by_name, may_be_a_page};
use crate::site::report::{Findings, Report};

/// Clicks from the home page beyond which a page lies deep.
const DEPTH_MAX: u32 = 4;

pub(super) fn add(report: &mut Report, view: &View<'_>) {
    statuses(report, view);
    broken(report, view);
    redirects(report, view);
    depth(report, view);
    anchors(report, view);
}

/// Among the URLs that were read as pages and answered with HTML or an error.
fn statuses(report: &mut Report, view: &View<'_>) {
    let (mut client, mut server) = (Findings::new(), Findings::new());
    let mut all = view.pages.len() as u64;
    for node in view.crawled.table.nodes().iter().filter(|node| may_be_a_page(&node.url)) {
        let State::Status(status) = node.state else { continue };
        all += 1;
        match status {
            400..=499 => client.add(&node.url, || format!("HTTP {status}")),
            500..=599 => server.add(&node.url, || format!("HTTP {status}")),
            _ => {}
        }
    }
    report.ratio("tech.status_4xx_ratio", client, all);
    report.ratio("tech.status_5xx_ratio", server, all);
}

/// Links to one broken URL.
#[derive(Default)]
struct Broken<'a> {
    how: String,
    links: u64,
    pages: u64,
    first: Option<&'a url::Url>,
}

fn broken(report: &mut Report, view: &View<'_>) {
    let mut ends: HashMap<NodeId, Option<String>> = HashMap::new();
    let mut targets: HashMap<NodeId, Broken<'_>> = HashMap::new();
    let (mut holders, mut links) = (Findings::new(), 0);
    for known in &view.pages {
        let mut on_page: Option<NodeId> = None;
        for (target, count) in &known.page.links {
            links += u64::from(*count);
            let how = ends.entry(*target).or_insert_with(|| match view.end(*target).0 {
                End::Broken(how) => Some(how),
                End::Loop => Some("redirects in a circle".to_owned()),
                End::Found(_) | End::Foreign | End::Unknown => None,
            });
            let Some(how) = how else { continue };
            on_page.get_or_insert(*target);
            let entry = targets.entry(*target).or_default();
            entry.how.clone_from(how);
            entry.links += u64::from(*count);
            entry.pages += 1;
            entry.first.get_or_insert(known.url);
        }
        if let Some(target) = on_page.filter(|_| known.verdict.is_judged()) {
            holders.add(known.url, || format!("links to {}", view.crawled.table.node(target).url));
        }
    }
    let mut order: Vec<(NodeId, Broken<'_>)> = targets.into_iter().collect();
    order.sort_by_key(|(id, broken)| (std::cmp::Reverse(broken.links), *id));
    let broken_links: u64 = order.iter().map(|(_, broken)| broken.links).sum();
    let mut found = Findings::new();
    for (id, broken) in &order {
        let on = broken.first.map(url::Url::as_str).unwrap_or_default();
        found.add(&view.crawled.table.node(*id).url, || {
            format!("{}; {} links on {} pages, first on {on}", broken.how, broken.links, broken.pages)
        });
    }
    report.count("tech.broken_internal_links", found.clone(), links);
    report.push("tech.links_to_broken_targets", json!(broken_links), Some(links), Findings::new());
    report.ratio("tech.broken_link_page_ratio", holders, view.judged_count());
}

fn redirects(report: &mut Report, view: &View<'_>) {
    let (mut through, mut known_links, mut redirecting) = (Findings::new(), 0, 0);
    let mut links: HashMap<NodeId, u64> = HashMap::new();
    for (target, count) in view.pages.iter().flat_map(|known| &known.page.links) {
        *links.entry(*target).or_default() += u64::from(*count);
    }
    let (mut longest, mut longest_chain, mut loops) = (0, Findings::new(), Findings::new());
    for (node, id) in view.crawled.table.nodes().iter().zip(0..) {
        let links = links.get(&id).copied().unwrap_or_default();
        if !matches!(node.state, State::Waiting | State::Disallowed) {
            known_links += links;
        }
        let State::Redirect { status, .. } = node.state else { continue };
        redirecting += links;
        if links > 0 {
            through.add(&node.url, || format!("HTTP {status}; {links} links"));
        }
        match view.end(id) {
            (End::Loop, hops) => loops.add(&node.url, || format!("comes back after {hops} redirects")),
            (end, hops) if hops > longest => {
                longest = hops;
                longest_chain = Findings::new();
                longest_chain.add(&node.url, || format!("{hops} redirects, ends: {}", describe(view, &end)));
            }
            _ => {}
        }
    }
    report.share("tech.redirect_link_ratio", redirecting, known_links, through);
    report.push("tech.redirect_chain_max", json!(longest), None, longest_chain);
    report.push("tech.redirect_loops", json!(loops.total()), None, loops);
}

fn describe(view: &View<'_>, end: &End) -> String {
    match end {
        End::Found(id) => view.crawled.table.node(*id).url.to_string(),
        End::Broken(how) => how.clone(),
        End::Loop => "in a circle".to_owned(),
        End::Foreign => "on another host".to_owned(),
        End::Unknown => "not known".to_owned(),
    }
}

fn depth(report: &mut Report, view: &View<'_>) {
    let mut deep = Findings::new();
    let mut all = 0;
    for known in view.judged() {
        let Some(depth) = known.depth else { continue };
        all += 1;
        if depth > DEPTH_MAX {
            deep.add(known.url, || format!("{depth} clicks from the home page"));
        }
    }
    report.ratio("tech.depth_gt4_ratio", deep, all);
}

fn anchors(report: &mut Report, view: &View<'_>) {
    let (mut generic, mut dead, mut local) = (Findings::new(), Findings::new(), Findings::new());
    let (mut with_text, mut all, mut generic_links, mut dead_links, mut local_links) = (0, 0, 0, 0, 0);
    for known in view.judged() {
        let anchors = &known.page.facts.anchors;
        with_text += u64::from(anchors.with_text);
        all += u64::from(anchors.total);
        for (samples, found, links) in [
            (&anchors.generic, &mut generic, &mut generic_links),
            (&anchors.uncrawlable, &mut dead, &mut dead_links),
            (&known.page.facts.localhost_links, &mut local, &mut local_links),
        ] {
            *links += u64::from(samples.count);
            if let Some(first) = &samples.first {
                found.add(known.url, || format!("{} links, first: {first}", samples.count));
            }
        }
    }
    report.share("tech.generic_anchor_ratio", generic_links, with_text, generic);
    report.share("tech.uncrawlable_anchor_ratio", dead_links, all, dead);
    if !is_private_by_name(&view.audit.home.url) {
        report.push("tech.localhost_links", json!(local_links), Some(all), local);
    }
}

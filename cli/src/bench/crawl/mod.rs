//! crawl: how fast the built-in crawler reads a site, and what that takes.
//!
//! Each crawl is a run of a plan with nothing but technical-seo in it, all its signals on, in a new process that is
//! what `hermes up` is. The site is on loopback, where nothing limits the pace. Counted is from the submission to the
//! settled run, so that the diagnosis and the store are in it.

mod made;
mod peer;
mod web;

use std::time::Instant;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Executions;
use super::http::Connection;
use super::options::Bench;
use super::parts::until_settled;
use super::processes::{cpu_seconds, machine_cpu_seconds, own_cpu_seconds, peak_memory_mb};
use super::report::Figures;
use super::system::System;
use super::throughput::Accepted;
use crate::output;
use web::{Served, Web};

/// Pages that a crawl may read: as many as a plan can allow.
const PAGES_MAX: usize = 10_000;
/// So many times the pages of the site has the made-up one.
const MADE_TIMES: usize = 10;
/// Longest run.
const HOUR_MS: u64 = 3_600_000;
const PLAN: &str = "bench-crawl";
const SERVICE: &str = "technical-seo";

/// One crawl.
#[derive(Clone, Copy, Debug)]
struct Crawl {
    pages: f64,
    links: f64,
    requests: f64,
    megabytes: f64,
    seconds: f64,
    cpu_seconds: f64,
    /// Cores that were busy with something that has no part in it.
    cores_of_others: f64,
    peak_memory_mb: f64,
    is_cut: bool,
}

/// Crawls the site, a peer's crawler over the same site if there is one, and the made-up site.
pub(super) async fn measure(bench: &Bench, figures: &mut Figures) -> anyhow::Result<Executions> {
    let options = &bench.crawl;
    let home = options.site.join("index.html");
    anyhow::ensure!(home.is_file(), "there is no {}: install python3.11-doc, or name another --site", home.display());
    let root = options.site.canonicalize()?;
    let mut executions = Executions { needed: 0, counted: None };
    output::note(&format!("crawl: {} …", root.display()));
    let web = Web::serve(&bench.data, "site", Some(&root)).await?;
    let crawls = rounds(bench, &web, PAGES_MAX, &mut executions).await?;
    anyhow::ensure!(crawls.iter().all(|crawl| !crawl.is_cut), "the site has more than {PAGES_MAX} pages");
    tell("crawl", "of the site", &crawls, figures);
    let pages = whole(crawls[0].pages);
    peer::measure(&bench.data, &web, options.crawls, figures).await?;
    web.process.end().await;

    let made_pages = options.made_pages.map_or_else(|| (pages * MADE_TIMES).min(PAGES_MAX), usize::from);
    output::note(&format!("crawl: a made-up site of {made_pages} pages and {} links …", options.made_links));
    let web = Web::serve(&bench.data, "made", None).await?;
    made::write(&web.own_site(), u32::try_from(made_pages)?, options.made_links)?;
    let crawls = rounds(bench, &web, PAGES_MAX, &mut executions).await?;
    tell("crawl_made", "of the made-up site", &crawls, figures);
    // As many pages as the site has, of a site that has many times as many.
    let crawls = rounds(bench, &web, pages, &mut executions).await?;
    tell("crawl_cut", "of the made-up site with the pages of the site as its budget", &crawls, figures);
    web.process.end().await;
    figures.about("site", root.display().to_string());
    figures.about("crawls", format!("{} of each site, each in a new process (hermes up)", options.crawls));
    Ok(executions)
}

async fn rounds(bench: &Bench, web: &Web, budget: usize, executions: &mut Executions) -> anyhow::Result<Vec<Crawl>> {
    let mut crawls = Vec::new();
    for _ in 0..bench.crawl.crawls.get() {
        let system = System::start_crawler(&bench.data).await?;
        let crawled = crawl(&system, web, budget).await;
        let counted = system.stop().await;
        crawls.push(crawled?);
        executions.add(Executions { needed: 1, counted: counted? });
    }
    Ok(crawls)
}

async fn crawl(system: &System, web: &Web, budget: usize) -> anyhow::Result<Crawl> {
    let (_, pid) = system.all_processes().next().context("the process was started")?;
    let mut connection = Connection::to(&system.servers[0])?;
    let service = json!({
        "service": SERVICE, "worker_key": "crawl_render", "required": true, "timeout_ms": HOUR_MS / 2,
        "params": { "pages": budget },
    });
    let plan = json!({"plan_id": PLAN, "name": "Crawl", "max_duration_ms": HOUR_MS, "services": [service]});
    let _: Value = connection.post("/api/orchestration/plans", plan.to_string().into()).await?.read(201)?;
    let wanted = json!({"website_id": "bench", "domain": web.url(), "plan_id": PLAN, "wait": true});
    let (cpu, machine, served) = (cpu_seconds(pid), machine_cpu_seconds(), web.served()?);
    let (own, server) = (own_cpu_seconds(), cpu_seconds(web.process.pid));
    let begun = Instant::now();
    // Asking again and again would be work for the process that is measured: it answers when the run has settled, or
    // when it has waited for long enough.
    let answer = connection.post("/api/orchestration/run", wanted.to_string().into()).await?;
    let run: Accepted = answer.read(if answer.status == 202 { 202 } else { 200 })?;
    until_settled(&mut connection, run.run_id).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_seconds_used = cpu_seconds(pid) - cpu;
    let parts = cpu_seconds_used + own_cpu_seconds() - own + cpu_seconds(web.process.pid) - server;
    let Served { requests, bytes, .. } = web.served()?.since(served);
    let log: Log = connection.get(&format!("/api/orchestration/runs/{}/events", run.run_id)).await?.read(200)?;
    let signals = log.signals()?;
    #[expect(clippy::cast_precision_loss, reason = "counts of one crawl are far below 2^52")]
    let (requests, megabytes) = (requests as f64, bytes as f64 / 1e6);
    let number = |value: Option<&Value>, what| {
        value.and_then(Value::as_f64).with_context(|| format!("the crawl does not tell {what}"))
    };
    Ok(Crawl {
        pages: number(signals.value("tech.pages_crawled"), "its pages")?,
        links: number(signals.among("tech.broken_internal_links"), "its links")?,
        requests,
        megabytes,
        seconds,
        cpu_seconds: cpu_seconds_used,
        cores_of_others: ((machine_cpu_seconds() - machine - parts) / seconds).max(0.0),
        peak_memory_mb: peak_memory_mb(pid).unwrap_or_default(),
        is_cut: signals.value("tech.crawl_truncated") != Some(&Value::Bool(false)),
    })
}

/// Adds the medians of some crawls, with the least and the greatest where that says something.
fn tell(name: &str, of: &str, crawls: &[Crawl], figures: &mut Figures) {
    let mut spread = |figure: &str, meaning: &str, part: fn(&Crawl) -> f64| {
        let mut values: Vec<f64> = crawls.iter().map(part).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        figures.add(&format!("{name}_{figure}"), values[(values.len() - 1) / 2], &format!("{meaning} {of}, median"));
        figures.add(&format!("{name}_{figure}_least"), least, "the least of them");
        figures.add(&format!("{name}_{figure}_most"), most, "the most of them");
    };
    spread("pages_per_s", "pages per second", |crawl| crawl.pages / crawl.seconds);
    spread("cpu_s", "seconds of processor time for a crawl", |crawl| crawl.cpu_seconds);
    spread("peak_memory_mb", "MB of memory at its peak (resident) in a crawl", |crawl| crawl.peak_memory_mb);
    let first = crawls[0];
    figures.add(&format!("{name}_pages"), first.pages, "pages that were read");
    figures.add(&format!("{name}_links"), first.links, "links between them that were judged");
    figures.add(&format!("{name}_requests"), first.requests, "requests that nginx answered");
    figures.add(&format!("{name}_mb"), first.megabytes, "MB that it sent");
    let others = crawls.iter().map(|crawl| crawl.cores_of_others).fold(0.0, f64::max);
    figures.add(&format!("{name}_cores_of_others"), others, "cores that were busy with something else, at most");
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of at most PAGES_MAX pages")]
fn whole(pages: f64) -> usize {
    pages as usize
}

#[derive(Deserialize)]
struct Log {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    service: String,
    #[serde(rename = "type")]
    kind: String,
    payload: Value,
}

struct Signals<'a>(&'a [Value]);

impl Log {
    /// The signals of the crawl, which must have come to an end.
    fn signals(&self) -> anyhow::Result<Signals<'_>> {
        let result = self.events.iter().find(|event| event.service == SERVICE && event.kind == "result");
        let result = result.with_context(|| {
            let last = self.events.iter().rev().find(|event| event.service == SERVICE).map(|event| &event.payload);
            format!("the crawl has no result: {}", last.unwrap_or(&Value::Null))
        })?;
        let signals = signals_in(&result.payload).context("the result of the crawl has no signals")?;
        Ok(Signals(signals))
    }
}

/// The member `signals`, however deep it stands.
fn signals_in(value: &Value) -> Option<&[Value]> {
    let members = value.as_object()?;
    let own = members.get("signals").and_then(Value::as_array).map(Vec::as_slice);
    own.or_else(|| members.values().find_map(signals_in))
}

impl<'a> Signals<'a> {
    fn value(&self, id: &str) -> Option<&'a Value> {
        self.member(id, "value")
    }

    /// Among how many things a signal was looked for.
    fn among(&self, id: &str) -> Option<&'a Value> {
        self.member(id, "n")
    }

    fn member(&self, id: &str, member: &str) -> Option<&'a Value> {
        self.0.iter().find(|signal| signal["id"] == id)?.get(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signals_of_a_crawl_are_read_from_the_log_of_its_run() {
        let event = |kind: &str, payload| Event { service: SERVICE.to_owned(), kind: kind.to_owned(), payload };
        let mut log = Log { events: vec![event("failed", json!({"error": "refused"}))] };
        assert!(log.signals().is_err_and(|error| error.to_string().contains("refused")));
        let signals = json!([{"id": "tech.pages_crawled", "value": 7}, {"id": "tech.x", "value": 1, "n": 9}]);
        log.events.push(event("result", json!({"data": {"schema": "signals/1", "signals": signals}})));
        let signals = log.signals().expect("there are some");
        assert_eq!((signals.value("tech.pages_crawled"), signals.among("tech.x")), (Some(&json!(7)), Some(&json!(9))));
        assert_eq!(signals.value("tech.y"), None);
    }

    #[test]
    fn of_three_crawls_the_median_and_the_spread_are_told() {
        let crawl = |seconds| Crawl {
            pages: 12.0,
            links: 1.0,
            requests: 1.0,
            megabytes: 1.0,
            seconds,
            cpu_seconds: 1.0,
            cores_of_others: seconds,
            peak_memory_mb: 1.0,
            is_cut: false,
        };
        let mut figures = Figures::default();
        tell("x", "of it", &[crawl(4.0), crawl(1.0), crawl(2.0)], &mut figures);
        for (name, value) in [("", 6.0), ("_least", 3.0), ("_most", 12.0)] {
            assert_eq!(figures.value(&format!("x_pages_per_s{name}")), Some(value), "{name}");
        }
        assert_eq!(figures.value("x_cores_of_others"), Some(4.0));
    }
}

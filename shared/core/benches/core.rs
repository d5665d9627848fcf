//! What the core takes on the path of every run: deciding, writing events, reading and writing messages.
//!
//! `cargo bench -p hermes-core`

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hermes_core::run::{Event, Jitter, NewRun, decide};
use hermes_core::wire::{Job, JobId, Outcome, Report, WIRE_VERSION};
use hermes_core::{Json, Plan, Run, RunId, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Services of the wide run, the one that joins them not counted.
const WIDTH: usize = 1_000;

/// A plan of services that wait for nothing, and of one that waits for some of them.
fn plan(width: usize, last_waits_for: usize) -> Arc<Plan> {
    let service = |number: usize| format!("  - {{service: s{number}, worker_key: noop, timeout_ms: 60000}}\n");
    let first: String = (0..width).map(service).collect();
    let names: Vec<String> = (0..last_waits_for).map(|number| format!("s{number}")).collect();
    let last =
        format!("  - {{service: last, worker_key: noop, timeout_ms: 60000, depends_on: [{}]}}\n", names.join(", "));
    let text = format!("plan_id: bench-v1\nname: Bench\nmax_duration_ms: 120000\nservices:\n{first}{last}");
    Arc::new(Plan::from_yaml(&text).expect("a valid plan"))
}

/// The standard run: four services that wait for nothing, one that waits for the first.
fn standard() -> Arc<Plan> {
    plan(4, 1)
}

fn new_run(plan: &Arc<Plan>) -> NewRun {
    NewRun {
        run_id: RunId::from_uuid(uuid::Uuid::from_u128(1)),
        website_id: "site_123".parse().expect("valid"),
        domain: "example.com".parse().expect("valid"),
        plan: Arc::clone(plan),
    }
}

/// About 200 bytes, as the standard run's services answer.
fn result() -> Json {
    Json::parse(&format!(r#"{{"ok":true,"text":"{}"}}"#, "x".repeat(178))).expect("valid")
}

fn report(run: &Run, position: usize) -> Report {
    Report {
        v: WIRE_VERSION,
        job: JobId { run_id: run.id(), service: run.plan().services()[position].name().clone(), attempt: 1 },
        worker: "worker-0123456789abcdef".to_owned(),
        outcome: Outcome::Completed { duration_ms: 12, result: result() },
    }
}

fn reported(run: &Run, position: usize) -> Event {
    Event::Reported { report: report(run, position), jitter: Jitter::new(0.5) }
}

/// A whole life: accepted, all services completed, diagnosed.
fn live(plan: &Arc<Plan>, diagnosis: &Json) -> Run {
    let mut run = Run::start(new_run(plan), NOW).next;
    for position in 0..plan.services().len() {
        let event = reported(&run, position);
        run = decide(&run, &event, NOW).expect("the attempt is open").next;
    }
    decide(&run, &Event::Synthesised(Ok(diagnosis.clone())), NOW).expect("a diagnosis is due").next
}

fn deciding(criterion: &mut Criterion) {
    let (standard, wide) = (standard(), plan(WIDTH, WIDTH));
    let mut group = criterion.benchmark_group("decide");
    group.bench_function("accept a standard run", |bencher| {
        bencher.iter_batched(|| new_run(&standard), |new| Run::start(new, NOW), BatchSize::SmallInput);
    });
    let open = Run::start(new_run(&standard), NOW).next;
    let first = reported(&open, 0);
    group.bench_function("a result that starts the next service", |bencher| {
        bencher.iter(|| decide(black_box(&open), black_box(&first), NOW));
    });
    let wide_open = Run::start(new_run(&wide), NOW).next;
    let one_of_many = reported(&wide_open, WIDTH / 2);
    group.bench_function("a result of a run of 1,000 services", |bencher| {
        bencher.iter(|| decide(black_box(&wide_open), black_box(&one_of_many), NOW));
    });
    group.bench_function("all results of a run of 1,000 services", |bencher| {
        let results: Vec<Event> = (0..WIDTH).map(|position| reported(&wide_open, position)).collect();
        let take_all = |mut run: Run| {
            for event in &results {
                black_box(run.decide(event, NOW)).expect("the attempt is open");
            }
        };
        bencher.iter_batched(|| wide_open.clone(), take_all, BatchSize::LargeInput);
    });
    let diagnosis = Json::parse("{}").expect("valid");
    group.bench_function("the whole life of a standard run", |bencher| {
        bencher.iter(|| live(&standard, &diagnosis));
    });
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let run = Run::start(new_run(&standard()), NOW).next;
    let report = report(&run, 0);
    let job = Job {
        v: WIRE_VERSION,
        id: report.job.clone(),
        worker_key: "noop".parse().expect("valid"),
        website_id: "site_123".parse().expect("valid"),
        domain: "example.com".parse().expect("valid"),
        params: Json::parse("{}").expect("valid"),
        timeout_ms: 60_000,
        remaining_ms: 118_000,
        upstream: [("s0".parse().expect("valid"), result())].into(),
        callback: None,
    };
    let (report_text, job_text) = (text(&report), text(&job));
    let state_text = text(run.state());
    let mut group = criterion.benchmark_group("codec");
    for (name, bytes) in [("report", report_text.len()), ("job", job_text.len()), ("state of a run", state_text.len())]
    {
        group.throughput(Throughput::Bytes(bytes as u64));
        match name {
            "report" => {
                group.bench_function("write a report", |bencher| bencher.iter(|| text(black_box(&report))));
                group.bench_function("read a report", |bencher| {
                    bencher.iter(|| serde_json::from_str::<Report>(black_box(&report_text)));
                });
            }
            "job" => {
                group.bench_function("write a job", |bencher| bencher.iter(|| text(black_box(&job))));
                group.bench_function("read a job", |bencher| {
                    bencher.iter(|| serde_json::from_str::<Job>(black_box(&job_text)));
                });
            }
            _ => {
                group.bench_function("write the state of a run", |bencher| {
                    bencher.iter(|| text(black_box(run.state())));
                });
            }
        }
    }
    group.finish();
}

fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our types serialise")
}

criterion_group!(benches, deciding, messages);
criterion_main!(benches);

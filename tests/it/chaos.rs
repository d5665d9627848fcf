//! The shortest form of the chaos harness; `scripts/chaos` runs the longer ones.

use std::path::Path;

use hermes_tests::chaos::{self, Options, options::SEED};

#[tokio::test(flavor = "multi_thread")]
async fn under_every_kind_of_fault_nothing_is_lost_settled_twice_or_stuck() {
    let options = Options::shortest(SEED);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    let report = chaos::run(&options, &folder).await;
    assert!(report.violations.is_empty(), "{report}\nlogs, journals and a dump: {}", folder.display());
    assert_eq!(report.promised, options.runs as usize);
    for (kind, quota) in &options.quotas {
        let (times, blows) = report.faults.get(kind).copied().unwrap_or_default();
        assert_eq!(times, u64::from(*quota), "{kind} was to happen {quota} times");
        assert!(blows > 0, "{kind} hit nothing");
    }
    assert!(report.executions.jobs > 0 && !report.recovery.is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_process_loses_nothing_however_often_it_is_killed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos-embedded");
    let report = chaos::embedded::run(SEED, 20, &folder).await;
    assert!(report.violations.is_empty(), "{:#?}\n{}", report.violations, folder.display());
    assert_eq!((report.kills.0, report.sound, report.promised), (20, 20, 100));
    assert!(report.kills.1 > 0, "some kills come while it starts");
}

//! What `/proc` says about processes. Where there is none (not on Linux), nothing is known.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Ticks of processor time per second: what Linux tells programs, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// The fields of `/proc/PID/stat` from the state on; the name before may contain anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = text.rsplit_once(") ")?.1;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// One letter: `R` running, `S` sleeping, `Z` ended and not waited for …
pub(super) fn state(pid: u32) -> Option<char> {
    stat(pid)?.first()?.chars().next()
}

/// The process and all below it.
fn family(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if let Some(parent) = stat(process).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = vec![pid];
    let mut looked_at = 0;
    while let Some(process) = found.get(looked_at) {
        found.extend(children.remove(process).unwrap_or_default());
        looked_at += 1;
    }
    found
}

/// Seconds of processor time that the process and all below it have used, those that have ended included.
pub(super) fn cpu_seconds(pid: u32) -> f64 {
    // utime, stime, and the same of children that were waited for
    let ticks =
        |fields: Vec<String>| fields.iter().skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum();
    let ticks: f64 = family(pid).into_iter().filter_map(stat).map::<f64, _>(ticks).sum();
    ticks / TICKS_PER_SECOND
}

/// Seconds of processor time that this process has used, without those below it.
pub(super) fn own_cpu_seconds() -> f64 {
    let fields = stat(std::process::id()).unwrap_or_default();
    fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// Seconds of processor time that the whole machine has used, what its host has taken from it included.
pub(super) fn machine_cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen; guests are in the first two
    let busy = fields.take(8).enumerate().filter(|(position, _)| !matches!(position, 3 | 4));
    busy.filter_map(|(_, field)| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// Megabytes of memory of the process and all below it; what several share is counted once (proportional set size).
pub(super) fn memory_mb(pid: u32) -> f64 {
    let kilobytes: f64 = family(pid).into_iter().filter_map(|pid| field(pid, "smaps_rollup", "Pss:")).sum();
    kilobytes / 1_024.0
}

/// Most megabytes of memory that the process has had at a time, without those below it.
pub(super) fn peak_memory_mb(pid: u32) -> Option<f64> {
    field(pid, "status", "VmHWM:").map(|kilobytes| kilobytes / 1_024.0)
}

fn field(pid: u32, file: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The kind of the file system that `folder` lies in, such as `ext4`, or `tmpfs` which is memory.
pub(super) fn file_system(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind) = (words.next()?, words.next()?);
        folder.starts_with(place).then(|| (place.len(), kind.to_owned()))
    });
    // What was mounted last over the longest part of the path.
    mounts.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_costs_itself() {
        let own = std::process::id();
        assert!(state(own).is_some());
        assert!(memory_mb(own) > 0.1);
        assert!(peak_memory_mb(own) > Some(0.1));
        assert!(cpu_seconds(own) >= 0.0);
        assert!(machine_cpu_seconds() >= own_cpu_seconds());
        assert_eq!(file_system(Path::new("/proc/self/")).as_deref(), Some("proc"));
        assert!(family(1).contains(&own), "everything descends from the first process");
    }
}

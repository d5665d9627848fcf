//! What the machine is doing meanwhile: how fast a fixed piece of work is, and how much memory the browser takes.

use std::hint::black_box;
use std::time::Instant;

/// Rounds of the piece of work; the median counts.
const ROUNDS: usize = 5;
/// Steps of one round: some milliseconds.
const STEPS: u64 = 2_000_000;

/// Seconds that a fixed piece of work takes now: the median of five rounds. Compare it with itself only.
pub(super) async fn work_seconds() -> f64 {
    tokio::task::spawn_blocking(|| {
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
        rounds.sort_by(f64::total_cmp);
        rounds[ROUNDS / 2]
    })
    .await
    .unwrap_or_default()
}

fn round() -> f64 {
    let started = Instant::now();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for step in 0..STEPS {
        state ^= state << 13;
        state ^= state >> 7;
        state = (state ^ (state << 17)).wrapping_add(step);
    }
    black_box(state);
    started.elapsed().as_secs_f64()
}

/// Bytes of memory that the processes of a group have for themselves, as far as the system tells.
pub(super) fn memory_of(group: u32) -> u64 {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    processes
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            folder.file_name()?.to_str()?.parse::<u32>().ok()?;
            let of = group_of(&std::fs::read_to_string(folder.join("stat")).ok()?)?;
            (of == group).then(|| own_bytes(&std::fs::read_to_string(folder.join("statm")).unwrap_or_default()))
        })
        .sum()
}

/// The fifth field of `/proc/*/stat`; the second is a name in brackets that may hold anything.
fn group_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// Resident pages less those that are shared with a file, by `/proc/*/statm`.
fn own_bytes(statm: &str) -> u64 {
    const PAGE_BYTES: u64 = 4_096;
    let mut fields = statm.split_ascii_whitespace().skip(1).map(|field| field.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (fields.next().unwrap_or(0), fields.next().unwrap_or(0));
    resident.saturating_sub(shared) * PAGE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_process_is_found_behind_any_name() {
        assert_eq!(group_of("12 (a) b (c)) S 1 34 34 0"), Some(34));
        assert_eq!(group_of("nonsense"), None);
    }

    #[test]
    fn the_memory_of_a_group_is_what_its_processes_have_for_themselves() {
        let own = group_of(&std::fs::read_to_string("/proc/self/stat").expect("Linux")).expect("a group");
        assert!(memory_of(own) > 100_000);
        assert_eq!(own_bytes("100 50 20 1 0 30 0"), 30 * 4_096);
    }

    #[tokio::test]
    async fn a_piece_of_work_takes_some_time() {
        assert!(work_seconds().await > 0.0);
    }
}

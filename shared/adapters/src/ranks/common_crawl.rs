//! The domain ranks of Common Crawl's web graph: a packed file of 120 million lines, sorted by rank, of which only the
//! head is read.
//!
//! Sources: https://index.commoncrawl.org/graphinfo.json (the releases, newest first),
//! https://commoncrawl.org/web-graphs (the files).

use std::io;

use serde::Deserialize;

use super::index::Builder;
use super::lines::{Lines, invalid};

/// Domains that are kept: as many as the other lists have.
pub(super) const ROWS_MAX: usize = 1_000_000;

/// One release in the list of releases.
#[derive(Deserialize)]
struct Release {
    id: String,
}

/// The id of the newest release.
pub(super) fn newest(releases: &[u8]) -> Option<String> {
    let releases: Vec<Release> = serde_json::from_slice(releases).ok()?;
    let id = releases.into_iter().next()?.id;
    // It becomes a part of a path.
    let is_plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_plain.then_some(id)
}

/// Path segments of the ranks of a release.
pub(super) fn segments(release: &str) -> [String; 5] {
    let file = format!("{release}-domain-ranks.txt.gz");
    ["projects".to_owned(), "hyperlinkgraph".to_owned(), release.to_owned(), "domain".to_owned(), file]
}

/// Reads the head of the ranks: `#harmonicc_pos #harmonicc_val #pr_pos #pr_val #host_rev #n_hosts`, with tabs.
pub(super) async fn read(lines: &mut Lines, rows_max: usize) -> io::Result<Builder> {
    let mut found = Builder::default();
    while found.len() < rows_max {
        let Some(line) = lines.next().await? else { break };
        if line.starts_with('#') {
            continue;
        }
        let (rank, domain) = row(line).ok_or_else(|| invalid("a line is not as documented"))?;
        found.add(&domain, rank, None);
    }
    Ok(found)
}

fn row(line: &str) -> Option<(u32, String)> {
    let mut columns = line.split('\t');
    let rank = columns.next()?.trim().parse().ok().filter(|rank| *rank > 0)?;
    let reversed = columns.nth(3)?.trim();
    let mut labels: Vec<&str> = reversed.split('.').collect();
    labels.reverse();
    (!reversed.is_empty()).then(|| (rank, labels.join(".").to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gives_the_rank_and_the_domain_the_right_way_round() {
        // Source: https://commoncrawl.org/web-graphs, the head of a release's file.
        let line = "3\t23453366.0\t5\t0.010760718435453807\tuk.co.Google\t3328";
        assert_eq!(row(line), Some((3, "google.co.uk".to_owned())));
        for line in ["", "x\t1\t1\t1\tcom.a\t1", "0\t1\t1\t1\tcom.a\t1", "1\t1\t1", "1\t1\t1\t1\t\t1"] {
            assert_eq!(row(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_newest_release_is_the_first_and_must_be_a_plain_name() {
        let releases = br#"[{ "id": "cc-main-2026-jul-aug-sep", "stats": {} }, { "id": "cc-main-2026-apr-may-jun" }]"#;
        assert_eq!(newest(releases).as_deref(), Some("cc-main-2026-jul-aug-sep"));
        for odd in ["[]", "{}", r#"[{ "id": "../../x" }]"#, r#"[{ "id": "" }]"#] {
            assert_eq!(newest(odd.as_bytes()), None, "{odd}");
        }
    }
}

//! The Majestic Million: a million domains by the networks that link to them, as a table with commas.
//!
//! Source: https://majestic.com/reports/majestic-million (columns `GlobalRank`, `Domain`, `RefSubNets` and others).

use std::io;

use super::index::Builder;
use super::lines::{Lines, invalid};

/// Lines that are read: the list has a million, and must not grow without end.
pub(super) const ROWS_MAX: usize = 1_000_000;

/// Where the columns are that are read.
struct Columns {
    rank: usize,
    domain: usize,
    subnets: usize,
}

/// Reads the whole table; its first line names the columns.
pub(super) async fn read(lines: &mut Lines, rows_max: usize) -> io::Result<Builder> {
    let head = lines.next().await?.unwrap_or_default();
    let columns = columns(head).ok_or_else(|| invalid("the first line names other columns"))?;
    let mut found = Builder::default();
    while found.len() < rows_max {
        let Some(line) = lines.next().await? else { break };
        let (rank, domain, subnets) = columns.row(line).ok_or_else(|| invalid("a line is not as documented"))?;
        found.add(&domain, rank, Some(subnets));
    }
    Ok(found)
}

fn columns(head: &str) -> Option<Columns> {
    let place = |name: &str| head.split(',').position(|column| column.trim().eq_ignore_ascii_case(name));
    Some(Columns { rank: place("GlobalRank")?, domain: place("Domain")?, subnets: place("RefSubNets")? })
}

impl Columns {
    fn row(&self, line: &str) -> Option<(u32, String, u32)> {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let rank = cells.get(self.rank)?.parse().ok().filter(|rank| *rank > 0)?;
        let domain = cells.get(self.domain).filter(|domain| !domain.is_empty())?.to_ascii_lowercase();
        Some((rank, domain, cells.get(self.subnets)?.parse().ok()?))
    }
}

//! One list as a file: a line that names the format, the facts about the list as one line of JSON, then one entry of
//! sixteen bytes for each domain, sorted. A look-up reads some twenty entries, whatever the size.
//!
//! An entry is the first eight bytes of the SHA-256 of the domain, its rank, and its referring subnets (all ones where
//! the list has none), big-endian. That a domain which is not in a list of a million meets the digest of another one
//! has a chance of one in 18 million million.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use hermes_core::Timestamp;
use hermes_core::ports::ranks::Standing;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// First line of every file.
const FORMAT: &str = "hermes ranks 1\n";
/// How the name of a list ends while it is being written.
const UNFINISHED: &str = "new";
/// Bytes of the line with the facts, at most.
const META_BYTES_MAX: u64 = 4_096;
const DIGEST_BYTES: usize = 8;
const ENTRY_BYTES: usize = 16;
/// Stands for no count.
const NO_SUBNETS: u32 = u32::MAX;

type Entry = [u8; ENTRY_BYTES];

/// What is known about a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Domains in the file.
    pub rows: u64,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// Where from.
    pub source: String,
    /// Which release of the list, where it names them.
    pub release: Option<String>,
}

/// A file that is open for look-ups.
pub(super) struct Index {
    file: File,
    first_entry: u64,
    pub(super) meta: Meta,
}

impl Index {
    /// Opens a file; `None` if there is none.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, String> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let told = |error: io::Error| error.to_string();
        let mut head = BufReader::new(&file).take(META_BYTES_MAX);
        let (mut format, mut facts) = (String::new(), String::new());
        head.read_line(&mut format).map_err(told)?;
        if format != FORMAT {
            return Err("it is of another format".to_owned());
        }
        head.read_line(&mut facts).map_err(told)?;
        let meta: Meta = serde_json::from_str(&facts).map_err(|_| "its first lines are damaged".to_owned())?;
        let first_entry = (format.len() + facts.len()) as u64;
        let bytes = file.metadata().map_err(told)?.len();
        if meta.rows.checked_mul(ENTRY_BYTES as u64).and_then(|entries| entries.checked_add(first_entry)) != Some(bytes)
        {
            return Err("it has another length than it says".to_owned());
        }
        Ok(Some(Self { file, first_entry, meta }))
    }

    /// Where a domain stands.
    pub(super) fn find(&self, domain: &str) -> Result<Option<Standing>, String> {
        let wanted = digest(domain);
        let (mut low, mut high) = (0, self.meta.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut entry: Entry = [0; ENTRY_BYTES];
            let place = self.first_entry + middle * ENTRY_BYTES as u64;
            self.file.read_exact_at(&mut entry, place).map_err(|error| error.to_string())?;
            match entry[..DIGEST_BYTES].cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(standing(&entry))),
            }
        }
        Ok(None)
    }
}

/// Collects the entries of a list; sixteen bytes of memory for each.
#[derive(Default)]
pub(super) struct Builder {
    entries: Vec<Entry>,
}

impl Builder {
    /// One more domain.
    pub(super) fn add(&mut self, domain: &str, rank: u32, ref_subnets: Option<u32>) {
        let mut entry = [0; ENTRY_BYTES];
        entry[..DIGEST_BYTES].copy_from_slice(&digest(domain));
        entry[DIGEST_BYTES..12].copy_from_slice(&rank.to_be_bytes());
        entry[12..].copy_from_slice(&ref_subnets.unwrap_or(NO_SUBNETS).to_be_bytes());
        self.entries.push(entry);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Writes the file beside its place, and puts it there in one step: whoever reads sees the old list or the new one.
    pub(super) fn write(mut self, path: &Path, facts: impl FnOnce(u64) -> Meta) -> io::Result<Meta> {
        // Of a domain that is listed twice the better rank stays: it is the first after sorting.
        self.entries.sort_unstable();
        self.entries.dedup_by(|later, earlier| later[..DIGEST_BYTES] == earlier[..DIGEST_BYTES]);
        let meta = facts(self.entries.len() as u64);
        let _only_writer = tidied(path)?;
        let beside = beside(path);
        let written = write_all(&beside, &meta, &self.entries).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // What could not become the list is of no use; that it could not be removed either adds nothing.
            fs::remove_file(&beside).ok();
        }
        written.map(|()| meta)
    }
}

/// Where a list is written before it takes its place.
fn beside(path: &Path) -> PathBuf {
    path.with_extension(format!("{}.{UNFINISHED}", std::process::id()))
}

/// Lets one process write into the folder of `path` at a time, until the file that is given is dropped. What others left
/// there unfinished was left by processes that ended: it is removed.
fn tidied(path: &Path) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let lock = File::open(folder)?;
    match lock.lock() {
        // A file system without locks.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        other => other?,
    }
    for entry in fs::read_dir(folder)? {
        let left = entry?.path();
        if left.extension().is_some_and(|extension| extension == UNFINISHED) {
            fs::remove_file(left)?;
        }
    }
    Ok(lock)
}

fn write_all(path: &Path, meta: &Meta, entries: &[Entry]) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(FORMAT.as_bytes())?;
    serde_json::to_writer(&mut out, meta)?;
    out.write_all(b"\n")?;
    for entry in entries {
        out.write_all(entry)?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn digest(domain: &str) -> [u8; DIGEST_BYTES] {
    let whole = Sha256::digest(domain.as_bytes());
    let mut first = [0; DIGEST_BYTES];
    first.copy_from_slice(&whole[..DIGEST_BYTES]);
    first
}

fn standing(entry: &Entry) -> Standing {
    let number = |from: usize| u32::from_be_bytes([entry[from], entry[from + 1], entry[from + 2], entry[from + 3]]);
    let subnets = number(12);
    Standing {
        rank: u64::from(number(DIGEST_BYTES)),
        ref_subnets: (subnets != NO_SUBNETS).then_some(u64::from(subnets)),
    }
}

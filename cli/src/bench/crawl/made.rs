//! A made-up site of any size: pages of some sentences that link to each other in a fixed pattern.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Pages in one folder.
const FOLDER_PAGES: u32 = 500;
/// Words of each page's own text.
const WORDS: u32 = 200;
/// What the numbers of linked pages are spread by: a prime, so that links lead everywhere.
const SPREAD: u32 = 7_919;

/// Writes a site of `pages` pages with about `links` links in all into `folder`.
pub(super) fn write(folder: &Path, pages: u32, links: u32) -> anyhow::Result<()> {
    let links_of_each = (links / pages).max(1);
    for number in 0..pages {
        let path = folder.join(path(number));
        if number % FOLDER_PAGES == 0
            && let Some(folder) = path.parent()
        {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let written = fs::write(&path, page(number, pages, links_of_each));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    // The home page is the first one, under a name that servers look for.
    let first = fs::copy(folder.join(path(0)), folder.join("index.html"));
    first.with_context(|| format!("cannot write to {}", folder.display()))?;
    Ok(())
}

fn path(number: u32) -> String {
    format!("part-{}/page-{number}.html", number / FOLDER_PAGES)
}

fn page(number: u32, pages: u32, links: u32) -> String {
    let mut html = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Page {number} of a large site</title>\
         <meta name=description content=\"What page {number} of this site is about, in a sentence of some length.\">\
         </head><body><h1>Page {number}</h1><p>"
    );
    for word in 0..WORDS {
        let _ = write!(html, "word{} ", (number.wrapping_mul(SPREAD) ^ word.wrapping_mul(31)) % 5_000);
    }
    html.push_str("</p><ul>\n");
    // The next page is among them, so that all are reached.
    for link in 0..links {
        let target = (u64::from(number) + 1 + u64::from(link) * u64::from(SPREAD)) % u64::from(pages);
        let target = u32::try_from(target).expect("less than the number of pages");
        let _ = writeln!(html, "<li><a href=\"/{}\">Read about page {target}</a></li>", path(target));
    }
    html.push_str("</ul></body></html>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_of_the_made_up_site_is_linked_and_every_link_leads_to_a_page() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), 7, 21).expect("it can be written");
        let home = fs::read_to_string(folder.path().join("index.html")).expect("the home page");
        assert_eq!(home.matches("<a href=").count(), 3);
        for number in 0..7 {
            let text = fs::read_to_string(folder.path().join(path(number))).expect("every page is there");
            assert!(text.contains(&format!("href=\"/{}\"", path((number + 1) % 7))), "{text}");
            for link in text.split("href=\"/").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(folder.path().join(link).is_file(), "{link}");
            }
        }
    }
}

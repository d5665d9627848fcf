//! Who ranks for everything and competes with nobody: encyclopedias, social networks, marketplaces, portals.

/// Domains that are no competitors, all their subdomains and country domains of the same name included. A plan can add
/// to them (`ignore`) or replace them (`stop_list`).
pub const STOP_LIST: &[&str] = &[
    "wikipedia.org",
    "wiktionary.org",
    "wikihow.com",
    "fandom.com",
    "britannica.com",
    "youtube.com",
    "vimeo.com",
    "dailymotion.com",
    "reddit.com",
    "quora.com",
    "stackoverflow.com",
    "stackexchange.com",
    "medium.com",
    "substack.com",
    "facebook.com",
    "instagram.com",
    "linkedin.com",
    "twitter.com",
    "x.com",
    "tiktok.com",
    "pinterest.com",
    "tumblr.com",
    "threads.net",
    "amazon.*",
    "ebay.*",
    "etsy.com",
    "aliexpress.com",
    "alibaba.com",
    "temu.com",
    "walmart.com",
    "zalando.*",
    "otto.de",
    "idealo.*",
    "google.*",
    "apple.com",
    "microsoft.com",
    "github.com",
    "indeed.*",
    "glassdoor.*",
    "stepstone.*",
    "monster.*",
    "yelp.*",
    "tripadvisor.*",
    "trustpilot.com",
    "yellowpages.com",
    "gelbeseiten.de",
    "11880.com",
    "craigslist.org",
    "kleinanzeigen.de",
    "booking.com",
    "play.google.com",
    "archive.org",
    "gutefrage.net",
    "slideshare.net",
    "researchgate.net",
    "imdb.com",
    "merriam-webster.com",
    "dictionary.com",
];

/// Whether a domain is one of `list`, or below one; `name.*` means the name with every ending.
#[must_use]
pub fn lists(list: &[String], domain: &str) -> bool {
    list.iter().any(|entry| match entry.strip_suffix(".*") {
        Some(name) => {
            let rest = domain.strip_prefix(name).or_else(|| domain.split_once(&format!(".{name}.")).map(|_| "."));
            rest.is_some_and(|rest| rest.starts_with('.'))
        }
        None => domain == entry || domain.strip_suffix(entry.as_str()).is_some_and(|below| below.ends_with('.')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subdomains_and_country_domains_are_meant_too() {
        let list: Vec<String> = STOP_LIST.iter().map(|entry| (*entry).to_owned()).collect();
        for domain in ["wikipedia.org", "de.wikipedia.org", "amazon.de", "amazon.co.uk", "www.amazon.com", "x.com"] {
            assert!(lists(&list, domain), "{domain}");
        }
        for domain in ["notwikipedia.org", "myamazon.de", "amazonas.de", "fox.com", "wikipedia.org.evil.test"] {
            assert!(!lists(&list, domain), "{domain}");
        }
    }
}

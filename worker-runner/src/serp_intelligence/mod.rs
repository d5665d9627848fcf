//! serp-intelligence: where a site is found in search results, and for what.
//!
//! It reads the home page and some pages behind it, takes queries from the plan, from Search Console or from what the
//! pages say, asks one [`provider`], and fills a [`SearchResult`] with `serp.*` signals, each with where it was seen.
//! A provider that fails half way leaves a part, marked as such with the reason.
//!
//! Deliberately absent: reading result pages that are made for people (their terms forbid it), searching from several
//! places, and clicks: the visibility is computed with assumed shares of clicks ([`curve`]).

mod ask;
pub mod curve;
mod known;
pub mod locale;
mod options;
pub mod owner;
pub(crate) mod pages;
mod phrases;
pub mod provider;
mod queries;
pub mod result;
mod shares;
mod signals;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hermes_core::ports::http::Http;
use hermes_core::wire::ErrorClass;
use hermes_core::{Domain, Json, ServiceName};
use hermes_diagnosis::signal::MeasurementStatus;
use tokio::time::Instant;
use url::Url;

pub use options::{PAGES_MAX, PHRASES_MAX, QUERIES_MAX, SearchOptions};
pub use result::{SearchResult, Searches};

use self::ask::Answer;
use self::locale::Locale;
use self::owner::{Site, page_key};
use self::pages::OwnPage;
use self::provider::{Exchange, Misconfigured, Provider, SearchError};
use self::queries::{Suggestions, Tracked};
use crate::site::SiteError;
use crate::site::address::is_private_by_name;
use crate::site::fetch::Fetcher;
use crate::site::home::Home;
use crate::site::report::Report;
use hermes_core::ports::http::Reach;

/// Time before the deadline in which nothing is fetched any more, at most.
const REPORT_RESERVE: Duration = Duration::from_secs(2);
/// The same as a share of the time there is: one part in this many, where that is shorter.
const REPORT_RESERVE_PARTS: u32 = 10;
/// Reading the site ends after one part in this many of the time, so that there is time to search.
const SITE_PARTS: u32 = 3;
/// The least time between two requests to a public site.
const DISTANCE: Duration = Duration::from_millis(500);
/// Pages that results show and that are read for their titles, beside those that were read before.
const SHOWN_PAGES_MAX: usize = 10;
/// Characters of a page that its language is told from, at least.
const LANGUAGE_CHARS_MIN: usize = 100;

/// There is no result at all. [`SearchFailure::retryable`] says whether a later attempt may do better.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchFailure {
    /// The parameters are wrong, or the site could not be read and nothing else says what to search for.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// There is no provider, or not the one that the plan wants: configure one.
    #[error(transparent)]
    Provider(#[from] Misconfigured),
    /// No query was answered.
    #[error("{provider} answered no query: {error}")]
    Unanswered {
        /// Who was asked.
        provider: &'static str,
        /// Why the first query was not answered.
        error: SearchError,
    },
    /// The site suggests nothing to search for: give `queries` in the plan.
    #[error("the site suggests nothing to search for: give `queries` in the params of the service")]
    NothingToAsk,
}

impl SearchFailure {
    /// What kind of failure it is; `None` for that of a site, which says so itself.
    #[must_use]
    pub fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Site(_) => None,
            Self::Provider(_) => Some(ErrorClass::NotConfigured),
            Self::Unanswered { error, .. } => Some(error.class()),
            Self::NothingToAsk => Some(ErrorClass::InvalidInput),
        }
    }

    /// Whether a later attempt may succeed without anybody changing anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Site(error) => error.retryable(),
            Self::Unanswered { error, .. } => error.retryable(),
            Self::Provider(_) | Self::NothingToAsk => false,
        }
    }

    /// How long to wait before that.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Site(error) => error.retry_after(),
            Self::Unanswered { error, .. } => error.retry_after(),
            Self::Provider(_) | Self::NothingToAsk => None,
        }
    }
}

/// What was learned from the site itself.
struct Ground {
    site: Site,
    home: Option<Home>,
    pages: Vec<OwnPage>,
    /// Why its pages could not be read.
    problem: Option<SiteError>,
}

/// The answers to everything that was asked.
struct Asked {
    brand: Option<(Tracked, Answer)>,
    queries: Vec<Tracked>,
    answers: Vec<Answer>,
    of_site: Option<Answer>,
}

/// Searches for a site. Ends shortly before `deadline`, with what it has by then. `environment` configures the providers;
/// `upstream` is what the services before have found, a crawl among them where the plan has it so.
///
/// # Errors
/// See [`SearchFailure`].
pub async fn search(
    http: &dyn Http,
    domain: &Domain,
    options: &SearchOptions,
    environment: &BTreeMap<String, String>,
    upstream: &BTreeMap<ServiceName, Json>,
    deadline: Instant,
) -> Result<SearchResult, SearchFailure> {
    let curve = options.curve()?;
    let provider = provider::choose(environment, options.provider.as_deref())?;
    let provider = provider.as_ref();
    let left = deadline.saturating_duration_since(Instant::now());
    let stop_at = deadline - REPORT_RESERVE.min(left / REPORT_RESERVE_PARTS);
    let exchange = Exchange { http, stop_at };
    let mut ground = read_ground(http, domain, options, Instant::now() + left / SITE_PARTS).await;
    let detected = language_of(&ground.pages);
    let lang = ground.pages.first().and_then(|page| page.reading.lang.as_deref());
    let (country, language) = (options.country.as_deref(), options.language.as_deref());
    let locale = Locale::find(country, language, lang, detected, Some(ground.site.home()));
    let suggestions = Suggestions::of(options, &ground.pages, &locale.language, ground.site.home());
    let asked = ask_everything(provider, &exchange, &ground, options, &suggestions, &locale).await?;
    let titles = titles(http, options, &mut ground, &asked, stop_at).await;
    let known = match asked.of_site.as_ref().and_then(Answer::page).and_then(|page| page.estimate) {
        Some(_) => known::pages(http, options.reach, ground.home.as_ref(), upstream, stop_at).await,
        // There is nothing to compare it with.
        None => None,
    };
    let view = signals::View {
        traits: provider.traits(),
        site: &ground.site,
        curve: &curve,
        queries: &asked.queries,
        answers: &asked.answers,
        brand: asked.brand.as_ref().map(|(query, answer)| (query, answer)),
        of_site: asked.of_site.as_ref(),
        titles: &titles,
        known,
    };
    let mut report = Report::default();
    signals::measure(&view, &mut report);
    let is_whole = warn(&mut report, provider, &ground, &asked, &locale);
    let status = if is_whole { MeasurementStatus::Ok } else { MeasurementStatus::Partial };
    let measurement = report.finish(provider.traits().name, status, None);
    let seen = |query: &Tracked, answer: &Answer| shares::searched(&ground.site, query, answer);
    let queries: Vec<_> = asked.queries.iter().zip(&asked.answers).map(|(query, answer)| seen(query, answer)).collect();
    let domains =
        if provider.traits().sees_others { shares::domains(&ground.site, &queries, &curve) } else { Vec::new() };
    let brand = asked.brand.as_ref().map(|(query, answer)| seen(query, answer));
    Ok(SearchResult { measurement, search: Searches { locale, ctr_curve: curve.in_words(), brand, queries, domains } })
}

/// A fetcher for a site at an ordinary pace; an operator's own is not protected.
pub(crate) fn fetcher<'a>(
    http: &'a dyn Http,
    reach: Reach,
    target: &Url,
    stop_at: Instant,
    distance: Duration,
) -> Fetcher<'a> {
    let is_own = reach == Reach::Any && is_private_by_name(target);
    Fetcher::new(http, reach, if is_own { Duration::ZERO } else { distance }, stop_at)
}

async fn read_ground(http: &dyn Http, domain: &Domain, options: &SearchOptions, stop_at: Instant) -> Ground {
    let seed = domain.seeds().first().expect("a domain has at least one seed");
    let fetcher = fetcher(http, options.reach, seed, stop_at, DISTANCE);
    match pages::read_site(&fetcher, domain, options.pages).await {
        Ok((home, pages)) => Ground { site: Site::new(home.url.clone()), home: Some(home), pages, problem: None },
        Err(problem) => Ground { site: Site::new(seed.clone()), home: None, pages: Vec::new(), problem: Some(problem) },
    }
}

/// The language of the texts, as a code of two letters, where it can be told.
fn language_of(pages: &[OwnPage]) -> Option<&'static str> {
    let text: String = pages.iter().map(|page| page.reading.sample.as_str()).take(5).collect();
    let info = whatlang::detect(&text).filter(|info| info.is_reliable() && text.len() >= LANGUAGE_CHARS_MIN)?;
    two_letters(info.lang())
}

/// ISO 639-1 of the languages that are told apart and have such a code.
fn two_letters(language: whatlang::Lang) -> Option<&'static str> {
    const CODES: &[(&str, &str)] = &[
        ("afr", "af"),
        ("ara", "ar"),
        ("aze", "az"),
        ("bel", "be"),
        ("ben", "bn"),
        ("bul", "bg"),
        ("cat", "ca"),
        ("ces", "cs"),
        ("cmn", "zh"),
        ("dan", "da"),
        ("deu", "de"),
        ("ell", "el"),
        ("eng", "en"),
        ("epo", "eo"),
        ("est", "et"),
        ("fin", "fi"),
        ("fra", "fr"),
        ("guj", "gu"),
        ("heb", "he"),
        ("hin", "hi"),
        ("hrv", "hr"),
        ("hun", "hu"),
        ("hye", "hy"),
        ("ind", "id"),
        ("ita", "it"),
        ("jpn", "ja"),
        ("kan", "kn"),
        ("kat", "ka"),
        ("khm", "km"),
        ("kor", "ko"),
        ("lat", "la"),
        ("lav", "lv"),
        ("lit", "lt"),
        ("mal", "ml"),
        ("mar", "mr"),
        ("mkd", "mk"),
        ("mya", "my"),
        ("nep", "ne"),
        ("nld", "nl"),
        ("nob", "no"),
        ("pan", "pa"),
        ("pes", "fa"),
        ("pol", "pl"),
        ("por", "pt"),
        ("ron", "ro"),
        ("rus", "ru"),
        ("sin", "si"),
        ("slk", "sk"),
        ("slv", "sl"),
        ("spa", "es"),
        ("srp", "sr"),
        ("swe", "sv"),
        ("tam", "ta"),
        ("tel", "te"),
        ("tgl", "tl"),
        ("tha", "th"),
        ("tuk", "tk"),
        ("tur", "tr"),
        ("ukr", "uk"),
        ("urd", "ur"),
        ("uzb", "uz"),
        ("vie", "vi"),
        ("zul", "zu"),
    ];
    CODES.iter().find(|(three, _)| *three == language.code()).map(|(_, two)| *two)
}

async fn ask_everything(
    provider: &dyn Provider,
    exchange: &Exchange<'_>,
    ground: &Ground,
    options: &SearchOptions,
    suggestions: &Suggestions,
    locale: &Locale,
) -> Result<Asked, SearchFailure> {
    let name = provider.traits().name;
    let unanswered = |error| SearchFailure::Unanswered { provider: name, error };
    let own = match options.queries.is_empty() {
        true => provider.own_queries(exchange, &ground.site, options.phrases).await.map_err(unanswered)?,
        false => Vec::new(),
    };
    let queries = suggestions.queries(options, own);
    // A wall is no reason to give up as long as something can be searched for; a site that is not there is one.
    if queries.is_empty()
        && let Some(problem) = ground.problem.clone().filter(|problem| !matches!(problem, SiteError::Disallowed { .. }))
    {
        return Err(problem.into());
    }
    let brand = suggestions.brand.clone();
    if queries.is_empty() && brand.is_none() {
        return Err(SearchFailure::NothingToAsk);
    }
    let of_site = provider.traits().sees_others.then(|| format!("site:{}", ground.site.name()));
    let texts: Vec<&str> = (brand.iter().map(|brand| brand.text.as_str()))
        .chain(queries.iter().map(|query| query.text.as_str()))
        .chain(of_site.as_deref())
        .collect();
    let mut answers = ask::ask_all(provider, exchange, &texts, locale, &ground.site).await;
    if !answers.iter().any(|answer| answer.page().is_some()) {
        let first = answers.into_iter().find_map(|answer| match answer {
            Answer::Failed(error) => Some(error),
            Answer::Page(_) | Answer::NotAsked => None,
        });
        return Err(unanswered(first.unwrap_or(SearchError::OutOfTime)));
    }
    let of_site = of_site.and_then(|_| answers.pop());
    let brand = brand.map(|brand| (brand, answers.remove(0)));
    Ok(Asked { brand, queries, answers, of_site })
}

/// The titles of the site's pages, those that results show included, as far as there is time.
async fn titles(
    http: &dyn Http,
    options: &SearchOptions,
    ground: &mut Ground,
    asked: &Asked,
    stop_at: Instant,
) -> HashMap<String, String> {
    let mut titles = HashMap::new();
    let mut add = |shown: &Url, page: &OwnPage| {
        let title = page.reading.title.as_ref().filter(|title| !title.is_empty());
        if let Some(title) = title {
            titles.insert(page_key(shown), title.text.clone());
        }
    };
    ground.pages.iter().for_each(|page| add(&page.url, page));
    let Some(home) = &ground.home else { return titles };
    let fetcher = fetcher(http, options.reach, &home.url, stop_at, DISTANCE);
    let pages = asked.answers.iter().filter_map(Answer::page);
    let shown = pages.flat_map(|page| signals::own(&ground.site, page)).filter(|result| !result.title.is_empty());
    let mut unread: Vec<Url> = Vec::new();
    let known: Vec<String> = ground.pages.iter().map(|page| page_key(&page.url)).collect();
    for result in shown {
        let is_new = !unread.contains(&result.url) && !known.contains(&page_key(&result.url));
        // robots.txt that was read is that of the home page's host only.
        if is_new && result.url.origin() == home.url.origin() && unread.len() < SHOWN_PAGES_MAX {
            unread.push(result.url.clone());
        }
    }
    for url in unread {
        if let Ok(Some(page)) = pages::read_page(&fetcher, &home.robots, &url).await {
            add(&url, &page);
        }
    }
    titles
}

/// Adds the warnings; whether nothing is missing.
fn warn(report: &mut Report, provider: &dyn Provider, ground: &Ground, asked: &Asked, locale: &Locale) -> bool {
    let traits = provider.traits();
    let mut is_whole = true;
    if let Some(problem) = &ground.problem {
        report.warn("site_not_read", format!("the site's own pages could not be read: {problem}"));
        is_whole = false;
    }
    let everything = || asked.answers.iter().chain(asked.brand.iter().map(|(_, answer)| answer)).chain(&asked.of_site);
    let failed: Vec<&SearchError> = everything()
        .filter_map(|answer| match answer {
            Answer::Failed(error) => Some(error),
            Answer::Page(_) | Answer::NotAsked => None,
        })
        .collect();
    let left_out = everything().filter(|answer| matches!(answer, Answer::NotAsked)).count();
    if let Some(first) = failed.first() {
        let all = everything().count();
        let missing = failed.len() + left_out;
        report.warn(
            "queries_unanswered",
            format!("{} of {all} searches have no answer; {}: {first}", missing, traits.name),
        );
        is_whole = false;
    }
    let mut gaps: Vec<&str> =
        everything().filter_map(Answer::page).flat_map(|page| &page.gaps).map(String::as_str).collect();
    gaps.sort_unstable();
    gaps.dedup();
    if !gaps.is_empty() {
        report.warn("results_incomplete", format!("not everybody answered: {}", gaps.join("; ")));
        is_whole = false;
    }
    if locale.origin == "assumed" {
        let country = locale.country_or_default();
        let text = format!("nothing tells who searches for the site: {} in {country} was assumed", locale.language);
        report.warn("locale_assumed", text);
    }
    if !traits.sees_others {
        let text = "positions are averages over 28 days, of queries for which the site was shown; others are not known";
        report.warn("own_positions_only", text);
    }
    is_whole
}

#[cfg(test)]
mod tests;

//! How far a domain is behind others. Scales differ, so that each source compares both sides by itself; the median of these
//! gaps is told, and how far they are apart is its quality.
//!
//! Asked is what costs nothing: the lists on this machine, Open PageRank (one request of a free quota), Tranco (a request for
//! each domain, one a second). What costs money (DataForSEO) is asked only where none of these knows both sides.

use std::time::Duration;

use hermes_core::ports::http::Http;
use hermes_core::ports::ranks::RankList;
use tokio::time::{Instant, sleep};

use super::score::{Place, Standing, agreement, one_decimal};
use super::source::{Asking, SourceError};
use super::{Sources, dataforseo, lists, open_page_rank, tranco};

/// The least time between two requests to Tranco, as its documentation asks for.
const TRANCO_DISTANCE: Duration = Duration::from_secs(1);

/// A domain and others.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The median of the gaps by the sources, on the scale of 0 to 100.
    pub gap: f64,
    /// How far it can be trusted, by how many sources there are and how far they are apart.
    pub quality: f64,
    /// What each source that knows both sides says.
    pub by: Vec<BySource>,
}

/// A domain and others, by one source.
#[derive(Clone, Debug, PartialEq)]
pub struct BySource {
    /// What the median of the others has more than the domain, on the scale of 0 to 100.
    pub gap: f64,
    /// The domain's own standing.
    pub own: Standing,
    /// The standings of those that the source can place, in the order in which they were named.
    pub others: Vec<(String, Standing)>,
}

/// No source knows both sides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no source of ranks knows both sides ({detail})")]
pub struct Incomparable {
    /// What each source said.
    pub detail: String,
    /// Whether one of them failed, so that a later run may know more.
    pub has_failed: bool,
}

/// The sources.
#[derive(Clone, Copy)]
enum Asked {
    List(RankList),
    PageRank,
    Tranco,
    Backlinks,
}

/// Those that are asked in any case, in this order.
const FREE: [Asked; 4] =
    [Asked::List(RankList::CommonCrawl), Asked::List(RankList::Majestic), Asked::PageRank, Asked::Tranco];
/// Those that are asked if the others do not know.
const PAID: [Asked; 1] = [Asked::Backlinks];

impl Asked {
    const fn name(self) -> &'static str {
        match self {
            Self::List(list) => list.as_str(),
            Self::PageRank => open_page_rank::NAME,
            Self::Tranco => tranco::NAME,
            Self::Backlinks => dataforseo::NAME,
        }
    }
}

impl Sources {
    /// Compares the registrable domain `own` with `others` by the sources that know both sides.
    ///
    /// # Errors
    /// [`Incomparable`] if there is none.
    pub async fn compare(
        &self,
        http: &dyn Http,
        own: &str,
        others: &[String],
        stop_at: Instant,
    ) -> Result<Comparison, Incomparable> {
        let asking = Asking { http, stop_at };
        let domains: Vec<&str> = std::iter::once(own).chain(others.iter().map(String::as_str)).collect();
        let (mut by, mut said, mut has_failed) = (Vec::new(), Vec::new(), false);
        for sources in [FREE.as_slice(), &PAID] {
            for asked in sources {
                let Some(answer) = self.standings(*asked, asking, &domains).await else { continue };
                match answer.map(|standings| compared(standings, others)) {
                    Ok(Ok(one)) => by.push(one),
                    Ok(Err(lack)) => said.push(format!("{}: {lack}", asked.name())),
                    Err(error) => {
                        has_failed = true;
                        said.push(format!("{}: {error}", asked.name()));
                    }
                }
            }
            if let Some(agreed) = agreement(by.iter().map(|one| one.gap).collect()) {
                return Ok(Comparison { gap: agreed.value, quality: agreed.quality, by });
            }
        }
        Err(Incomparable { detail: said.join("; "), has_failed })
    }

    /// What one source says of each domain; `None` if it is not configured or not kept here.
    async fn standings(
        &self,
        asked: Asked,
        asking: Asking<'_>,
        domains: &[&str],
    ) -> Option<Result<Vec<Standing>, SourceError>> {
        match asked {
            Asked::List(list) => self.in_list(list, domains, asking.stop_at).await.transpose(),
            Asked::PageRank => {
                let all = self.page_rank.as_ref()?.look_up_all(asking, domains).await;
                Some(all.map(|all| all.into_iter().map(|rank| rank.standing).collect()))
            }
            Asked::Tranco => Some(self.in_tranco(asking, domains).await),
            Asked::Backlinks => Some(self.backlinks.as_ref()?.look_up_all(asking, domains).await),
        }
    }

    async fn in_list(
        &self,
        list: RankList,
        domains: &[&str],
        stop_at: Instant,
    ) -> Result<Option<Vec<Standing>>, SourceError> {
        let Some(ranks) = &self.ranks else { return Ok(None) };
        let mut found = Vec::new();
        for domain in domains {
            match lists::look_up(&**ranks, list, domain, stop_at).await? {
                Some(listing) => found.push(lists::standing(&listing)),
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    async fn in_tranco(&self, asking: Asking<'_>, domains: &[&str]) -> Result<Vec<Standing>, SourceError> {
        let mut found: Vec<Standing> = Vec::new();
        for domain in domains {
            // The site itself comes first: without it the others are of no use.
            if found.first().is_some_and(|own| score_of(own).is_none()) {
                break;
            }
            if !found.is_empty() {
                sleep(TRANCO_DISTANCE).await;
            }
            found.push(self.tranco.look_up(asking, domain).await?.standing);
        }
        Ok(found)
    }
}

fn score_of(standing: &Standing) -> Option<f64> {
    match standing.place {
        Place::Scored(score) => Some(score),
        Place::Unlisted { .. } | Place::Unknown => None,
    }
}

/// The first standing is the domain's own. Whoever a list does not have is below all that it has, so that the median is
/// known as long as it falls on one that is listed; of whom a source knows nothing at all is left out.
fn compared(standings: Vec<Standing>, others: &[String]) -> Result<BySource, String> {
    let mut standings = standings.into_iter();
    let own = standings.next().ok_or("it said nothing")?;
    let own_score = score_of(&own).ok_or_else(|| format!("the site is {}", own.said))?;
    let named = others.iter().cloned().zip(standings);
    let others: Vec<(String, Standing)> = named.filter(|(_, standing)| standing.place != Place::Unknown).collect();
    let mut scores: Vec<Option<f64>> = others.iter().map(|(_, standing)| score_of(standing)).collect();
    scores.sort_by(|one, other| match (one, other) {
        (Some(one), Some(other)) => one.total_cmp(other),
        (one, other) => one.is_some().cmp(&other.is_some()),
    });
    // Of an even number the lower of the two in the middle, as everywhere in the comparison.
    let middle = scores.len().checked_sub(1).ok_or("it knows no competitor")? / 2;
    let median = scores[middle].ok_or("it does not have most of the competitors")?;
    Ok(BySource { gap: one_decimal(median - own_score), own, others })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(place: Place) -> Standing {
        Standing { source: "a list", url: String::new(), place, said: "not listed".to_owned() }
    }

    fn gap(own: Place, others: &[Place]) -> Result<(f64, usize), String> {
        let names: Vec<String> = (0..others.len()).map(|number| format!("{number}.test")).collect();
        let standings = std::iter::once(own).chain(others.iter().copied()).map(standing).collect();
        compared(standings, &names).map(|comparison| (comparison.gap, comparison.others.len()))
    }

    #[test]
    fn the_gap_is_the_median_of_the_others_less_the_own_score() {
        let [low, middle, high] = [Place::Scored(30.0), Place::Scored(44.46), Place::Scored(90.0)];
        assert_eq!(gap(low, &[high, middle, low]), Ok((14.5, 3)));
        assert_eq!(gap(high, &[low, middle]), Ok((-60.0, 2)), "of two the lower one");
    }

    #[test]
    fn whoever_is_not_in_a_list_is_below_all_who_are_and_whoever_is_unknown_does_not_count() {
        let [own, high] = [Place::Scored(30.0), Place::Scored(90.0)];
        let unlisted = Place::Unlisted { among: 1_000_000 };
        assert_eq!(gap(own, &[unlisted, high, high]), Ok((60.0, 3)));
        assert_eq!(gap(own, &[unlisted, high]), Err("it does not have most of the competitors".to_owned()));
        assert_eq!(gap(own, &[Place::Unknown, high]), Ok((60.0, 1)));
        assert_eq!(gap(own, &[Place::Unknown]), Err("it knows no competitor".to_owned()));
        assert_eq!(gap(unlisted, &[high]), Err("the site is not listed".to_owned()));
    }
}

//! What the forms of a report say.

use scraper::{Html, Selector};
use serde_json::Value;

use super::fixtures::{diagnosis, gated, history, report};
use crate::{html, json, markdown};

fn select<'a>(page: &'a Html, selector: &str) -> Vec<scraper::ElementRef<'a>> {
    page.select(&Selector::parse(selector).expect("a selector")).collect()
}

fn text_of(element: scraper::ElementRef<'_>) -> String {
    element.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_says_verdict_score_bounds_confidence_and_what_is_missing() {
    let (diagnosis, history) = (diagnosis("A page"), history());
    let page = Html::parse_document(&html(&report(&diagnosis, &history)));
    let all = text_of(page.root_element());
    assert_eq!(text_of(select(&page, "h1")[0]), "Serious problems");
    let (low, high) = (diagnosis.score.low.round(), diagnosis.score.high.round());
    assert!(all.contains(&format!("between {low} and {high}")), "{all}");
    assert!(all.contains(&format!("{:.0} %", diagnosis.confidence * 100.0)), "{all}");
    assert!(all.contains("2 of 4 answered"), "{all}");
    for missing in &diagnosis.missing_services {
        assert!(all.contains(missing.how_to_enable.as_deref().expect("not configured")), "{all}");
        assert!(all.contains(&format!("{:.0} % of confidence", missing.confidence_lost * 100.0)), "{all}");
    }
    for category in &diagnosis.score.categories {
        assert!(category.score.is_none_or(|score| all.contains(&format!("{score:.0}"))), "{}", category.category);
    }
    assert_eq!(select(&page, "table.open tbody tr").len(), diagnosis.rules.not_evaluated.len());
}

#[test]
fn every_finding_stands_once_and_what_a_cause_explains_stands_under_it() {
    let diagnosis = diagnosis("A page");
    let page = Html::parse_document(&html(&report(&diagnosis, &[])));
    let ids: Vec<String> = select(&page, "article.finding > header .id").into_iter().map(text_of).collect();
    let mut sorted = ids.clone();
    sorted.sort();
    let mut expected: Vec<String> = diagnosis.findings.iter().map(|finding| finding.id.clone()).collect();
    expected.sort();
    assert_eq!(sorted, expected);
    let under = |cause: &str| -> Vec<String> {
        let cause = select(&page, "article.finding").into_iter().find(|article| {
            let own = Selector::parse("header .id").expect("a selector");
            article.select(&own).next().is_some_and(|id| text_of(id) == cause)
        });
        let inside = Selector::parse(".symptom header .id").expect("a selector");
        cause.expect("is there").select(&inside).map(text_of).collect()
    };
    assert_eq!(under("EXP-007"), ["EXP-002"]);
    assert!(under("IDX-010").contains(&"CNT-004".to_owned()), "{:?}", under("IDX-010"));
}

#[test]
fn what_a_gate_hides_is_listed_at_it_and_the_cap_is_told() {
    let diagnosis = gated();
    let page = Html::parse_document(&html(&report(&diagnosis, &[])));
    assert_eq!(text_of(select(&page, "h1")[0]), "One fault outweighs everything else");
    let hidden: Vec<String> = select(&page, ".hidden li").into_iter().map(text_of).collect();
    assert_eq!(hidden.len(), diagnosis.findings[0].consequences.len());
    assert!(text_of(select(&page, "p.gate")[0]).contains("30 at most"));
}

#[test]
fn the_chart_has_a_dot_for_each_score_and_a_gap_where_there_is_none() {
    let (diagnosis, history) = (diagnosis("A page"), history());
    let page = Html::parse_document(&html(&report(&diagnosis, &history)));
    assert_eq!(select(&page, ".history circle.dot").len(), 3);
    assert_eq!(select(&page, ".history polyline").len(), 1, "a single score after the gap makes no line");
    let alone = Html::parse_document(&html(&report(&diagnosis, &history[..1])));
    assert!(select(&alone, ".history").is_empty());
}

#[test]
fn markdown_and_json_say_the_same() {
    let (diagnosis, history) = (diagnosis("A page"), history());
    let text = markdown(&report(&diagnosis, &history));
    for finding in &diagnosis.findings {
        assert!(text.contains(&finding.id), "{} in\n{text}", finding.id);
    }
    assert!(text.contains("## What is missing (2 services)"), "{text}");
    assert!(text.contains("| 2 November 2026, 07:00 UTC | 48 | 30 and 74 | 70 % |"), "{text}");
    let document: Value = serde_json::from_str(&json(&report(&diagnosis, &history))).expect("JSON");
    assert_eq!(document["schema"], "report/1");
    assert_eq!(document["diagnosis"], serde_json::to_value(&diagnosis).expect("JSON"));
    assert_eq!(document["history"].as_array().map(Vec::len), Some(4));
}

#[test]
fn the_same_report_is_the_same_to_the_byte() {
    let (diagnosis, history) = (diagnosis("A page"), history());
    assert_eq!(html(&report(&diagnosis, &history)), html(&report(&diagnosis, &history)));
}

//! The history of the score as a chart: a line, and the bounds as a band behind it.

use std::fmt::Write;

use maud::{Markup, html};

use super::overview::figure;
use crate::HistoryPoint;
use crate::words;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 176.0;
const LEFT: f64 = 30.0;
const RIGHT: f64 = 6.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// The chart; nothing where there are fewer than two points.
pub(super) fn render(history: &[HistoryPoint]) -> Markup {
    let (Some(first), Some(last)) = (history.first(), history.last()) else { return html! {} };
    if history.len() < 2 {
        return html! {};
    }
    let label = format!(
        "Score in {} runs from {} to {}",
        history.len(),
        words::short_day(first.made_at),
        words::short_day(last.made_at)
    );
    let bottom = HEIGHT - BOTTOM;
    html! {
        section.history {
            h2 { "The score over time" }
            svg viewBox={ "0 0 " (figure(WIDTH)) " " (figure(HEIGHT)) } role="img" aria-label=(label) {
                @for level in [0.0, 50.0, 100.0] {
                    line.grid x1=(figure(LEFT)) x2=(figure(WIDTH - RIGHT)) y1=(figure(y(level))) y2=(figure(y(level))) {}
                    text.axis x=(figure(LEFT - 8.0)) y=(figure(y(level) + 3.5)) text-anchor="end" { (figure(level)) }
                }
                path.band d=(band(history)) {}
                @for line in lines(history) { polyline.line points=(line) {} }
                @for (place, point) in history.iter().enumerate() {
                    @if let Some(score) = point.score {
                        @let is_last = place + 1 == history.len();
                        circle.dot.now[is_last] cx=(figure(x(place, history.len()))) cy=(figure(y(score)))
                            r=(if is_last { "4" } else { "2.5" }) {
                            title { (words::moment(point.made_at)) ": " (format!("{score:.0}")) ", between " (format!("{:.0}", point.low)) " and " (format!("{:.0}", point.high)) }
                        }
                        @if is_last || place == 0 {
                            text.figure x=(figure(x(place, history.len()))) y=(figure(y(score) - 9.0)) text-anchor="middle" { (format!("{score:.0}")) }
                        }
                    }
                }
                text.axis x=(figure(LEFT)) y=(figure(bottom + 18.0)) { (words::short_day(first.made_at)) }
                text.axis x=(figure(WIDTH - RIGHT)) y=(figure(bottom + 18.0)) text-anchor="end" { (words::short_day(last.made_at)) }
            }
            p.hint { "The band is what the score could have been, had everything been measured. A run without enough evidence has no dot." }
        }
    }
}

fn x(place: usize, points: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a chart has few points")]
    let share = place as f64 / (points - 1).max(1) as f64;
    // The first and the last dot keep clear of the axis.
    LEFT + 14.0 + share * (WIDTH - LEFT - RIGHT - 28.0)
}

fn y(score: f64) -> f64 {
    TOP + (1.0 - score.clamp(0.0, 100.0) / 100.0) * (HEIGHT - TOP - BOTTOM)
}

/// Along the upper bounds and back along the lower ones.
fn band(history: &[HistoryPoint]) -> String {
    let mut path = String::new();
    let there = history.iter().enumerate().map(|(place, point)| (place, point.high));
    let back = history.iter().enumerate().rev().map(|(place, point)| (place, point.low));
    for (number, (place, score)) in there.chain(back).enumerate() {
        let step = if number == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{step}{} {}", figure(x(place, history.len())), figure(y(score)));
    }
    path + "Z"
}

/// One line for each stretch of runs that have a score.
fn lines(history: &[HistoryPoint]) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    for (place, point) in history.iter().enumerate() {
        match (point.score, lines.last_mut()) {
            (Some(score), Some(line)) => {
                line.push(format!("{},{}", figure(x(place, history.len())), figure(y(score))));
            }
            (None, _) | (Some(_), None) => lines.push(Vec::new()),
        }
    }
    lines.into_iter().filter(|line| line.len() > 1).map(|line| line.join(" ")).collect()
}

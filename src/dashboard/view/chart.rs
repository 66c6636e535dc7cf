//! Charts, drawn by the server as SVG. A table beside each chart has the same numbers in words.

use std::fmt::Write as _;
use std::time::Duration;

use super::time::At;
use crate::domain::stats::Counts;
use crate::domain::time::Timestamp;

/// Size of a chart in units of its own; the page stretches it. Its words stand beside it, so that they keep their size.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 120.0;

/// A window of time that charts can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Word in the address.
    pub key: &'static str,
    /// Word on the page.
    pub name: &'static str,
    /// Length of the window.
    pub length: Duration,
    /// Length of one bucket.
    pub bucket: Duration,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

/// Every window, the shortest first.
pub const WINDOWS: [Window; 4] = [
    window("hour", "Last hour", HOUR, MINUTE),
    window("day", "Last day", 24 * HOUR, 30 * MINUTE),
    window("week", "Last week", 7 * 24 * HOUR, 3 * HOUR),
    window("month", "Last month", 30 * 24 * HOUR, 12 * HOUR),
];

const fn window(key: &'static str, name: &'static str, length: u64, bucket: u64) -> Window {
    Window { key, name, length: Duration::from_secs(length), bucket: Duration::from_secs(bucket) }
}

impl Window {
    /// The window with this word in the address; the last hour for every other word.
    pub fn find(key: &str) -> Self {
        WINDOWS.into_iter().find(|window| window.key == key).unwrap_or(WINDOWS[0])
    }
}

/// One row of the table beside a chart.
pub struct Row {
    /// Beginning of the bucket.
    pub at: At,
    /// The counts, with separators.
    pub counts: [String; 4],
    /// Events; only of all destinations together, since an event is counted with one of its deliveries.
    pub events: String,
}

/// A chart with its table and its sums.
pub struct Chart {
    /// The SVG element.
    pub svg: String,
    /// Rows of the table; buckets in which nothing happened are left out.
    pub rows: Vec<Row>,
    /// Beginning of the first and of the last bucket.
    pub ends: Option<(At, At)>,
    /// Sum over all buckets.
    pub sum: Counts,
    /// Attempts in the bucket that has most.
    pub most: String,
}

impl Chart {
    /// Draws buckets: above the axis what succeeded, and on top of that the attempts that failed.
    pub fn draw(buckets: &[(Timestamp, Counts)], label: &str) -> Self {
        let mut sum = Counts::default();
        buckets.iter().for_each(|(_, counts)| sum.add(*counts));
        let rows = buckets
            .iter()
            .filter(|(_, counts)| *counts != Counts::default())
            .map(|(at, c)| Row {
                at: At(*at),
                events: super::words::count(c.events),
                counts: [c.accepted, c.succeeded, c.failed, c.exhausted].map(super::words::count),
            })
            .collect();
        let ends = buckets.first().zip(buckets.last()).map(|((from, _), (to, _))| (At(*from), At(*to)));
        let most = buckets.iter().map(|(_, counts)| counts.succeeded + counts.failed).max().unwrap_or(0);
        Self { svg: svg(buckets, most, label), rows, ends, sum, most: super::words::count(most) }
    }
}

/// `label` is text of this program, so that nothing has to be escaped.
fn svg(buckets: &[(Timestamp, Counts)], most: u64, label: &str) -> String {
    let step = WIDTH / buckets.len().max(1) as f64;
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">"
    );
    let scale = HEIGHT / most.max(1) as f64;
    for (n, (_, counts)) in buckets.iter().enumerate() {
        let (good, bad) = (counts.succeeded as f64 * scale, counts.failed as f64 * scale);
        let x = n as f64 * step + step * 0.1;
        let mut bar = |kind: &str, y: f64, height: f64| {
            if height > 0.0 {
                // Writing to a string cannot fail. A bar is at least as high as a line, so that one failure is seen.
                let height = height.max(1.5);
                let _ = write!(
                    svg,
                    "<rect class=\"{kind}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                    (y - height).max(0.0),
                    step * 0.8
                );
            }
        };
        bar("good", HEIGHT, good);
        bar("bad", HEIGHT - good, bad);
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_failure_among_many_successes_is_seen() {
        let counts = |succeeded, failed| Counts { succeeded, failed, ..Counts::default() };
        let buckets = [(Timestamp::EPOCH, counts(1_000_000, 1)), (Timestamp::from_millis(60_000), counts(0, 0))];
        let chart = Chart::draw(&buckets, "Attempts");
        assert_eq!((chart.svg.matches("<rect").count(), chart.rows.len()), (2, 1));
        assert!(chart.svg.contains("class=\"bad\"") && chart.svg.contains("height=\"1.5\""));
        assert_eq!((chart.sum.succeeded, chart.sum.failed), (1_000_000, 1));
    }

    #[test]
    fn nothing_at_all_is_drawn_without_bars() {
        assert!(!Chart::draw(&[], "Attempts").svg.contains("<rect"));
    }
}
